//! The policy, as a human reads and replaces it. This function is its only writer.

use simfuse_domain::audit::{AuditEntry, Phase};
use simfuse_domain::policy::{DEFAULT, Policy};
use simfuse_domain::port::{
    Alerts, Applied, AuditLog, AuditTrail, Campaigns, Cases, Clock, Committed, Fleets, Heartbeat,
    Policies, PolicyChange, PolicyVersion, PolicyVersions, SuperSim,
};

use crate::engine::KillSwitch;
use crate::error::KillSwitchError;
use crate::manual::{by, reason};
use crate::request::{PolicyAnswer, PolicyOutcome, Request};

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + PolicyVersions + AuditLog + AuditTrail + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// The current policy, or an older version; or why there is none.
    pub(crate) async fn show_policy(
        &self,
        version: Option<u64>,
    ) -> Result<Result<PolicyAnswer, String>, KillSwitchError> {
        let current = self.policy_version().await?;
        let Some(number) = version.filter(|number| *number != current.number) else {
            return Ok(Ok(answer_of(current, PolicyOutcome::Current)));
        };
        let past = if number == 0 {
            Some(PolicyVersion { number, text: DEFAULT.to_owned(), applied: None })
        } else {
            let past = self.table.past_policy(number).await;
            past.map_err(KillSwitchError::table("reading an older policy"))?
        };
        let latest = current.number;
        let past = past.ok_or_else(|| format!("no version {number}: the current one is {latest}"));
        Ok(past.map(|past| answer_of(past, PolicyOutcome::Past)))
    }

    /// Makes the policy of the request the current one, or says why not; a dry run only compares.
    pub(crate) async fn apply_policy(
        &self,
        request: &Request,
    ) -> Result<Result<PolicyAnswer, String>, KillSwitchError> {
        let Some(toml) = &request.toml else {
            return Ok(Err("no policy in \"toml\"".to_owned()));
        };
        let policy: Policy = match toml.parse() {
            Ok(policy) => policy,
            Err(error) => return Ok(Err(format!("the policy is refused: {error}"))),
        };
        let current = self.policy_version().await?;
        if current.text == policy.text() {
            // Also after an answer that was lost: what was asked for holds.
            return Ok(Ok(answer_of(current, PolicyOutcome::Already)));
        }
        let changes = match current.text.parse::<Policy>() {
            Ok(before) => policy.changes_since(&before),
            Err(error) => vec![format!("the current policy cannot be read ({error})")],
        };
        let warnings = policy.warnings();
        if request.dry_run {
            let answer = answer_of(current, PolicyOutcome::Pending);
            return Ok(Ok(PolicyAnswer { changes, warnings, ..answer }));
        }
        let Some(compared) = request.compared_with else {
            let reason = "say in \"compared_with\" which version's difference was looked at";
            return Ok(Err(reason.to_owned()));
        };
        if compared != current.number {
            return Ok(Err(overtaken(&current, compared)));
        }
        let change = self.change(request, policy, compared);
        let replaced = self.table.replace_policy(&change).await;
        match replaced.map_err(KillSwitchError::table("applying a policy"))? {
            Committed::Conflict => Ok(Err(overtaken(&self.policy_version().await?, compared))),
            Committed::Done => {
                tracing::info!(policy.number = compared.saturating_add(1), "policy applied");
                self.tell_act(&change.audit, &changes).await;
                let applied = PolicyVersion {
                    number: compared.saturating_add(1),
                    text: toml.clone(),
                    applied: Some(change.applied),
                };
                let answer = answer_of(applied, PolicyOutcome::Done);
                Ok(Ok(PolicyAnswer { changes, warnings, ..answer }))
            }
        }
    }

    fn change(&self, request: &Request, policy: Policy, read_number: u64) -> PolicyChange {
        let (at, number) = (self.clock.now(), read_number.saturating_add(1));
        let applied = Applied { by: by(request), at, reason: reason(request) };
        let audit = AuditEntry {
            sim: None,
            fleet: None,
            at,
            id: format!("policy-{number}"),
            actor: applied.by.clone(),
            action: request.action.to_string(),
            phase: Phase::Outcome,
            reason: format!("version {read_number} → {number}: {}", applied.reason),
            incident: None,
        };
        PolicyChange { policy, read_number, applied, audit }
    }

    async fn policy_version(&self) -> Result<PolicyVersion, KillSwitchError> {
        let version = self.table.policy_version().await;
        version.map_err(KillSwitchError::table("reading the policy's version"))
    }
}

fn overtaken(current: &PolicyVersion, compared: u64) -> String {
    let by = match &current.applied {
        Some(applied) => format!(", applied by {} at {}", applied.by, applied.at),
        None => String::new(),
    };
    format!(
        "version {} is current{by}, and the difference shown was from version {compared}: look at \
         the difference again",
        current.number
    )
}

fn answer_of(version: PolicyVersion, outcome: PolicyOutcome) -> PolicyAnswer {
    PolicyAnswer {
        outcome,
        number: version.number,
        applied: version.applied,
        toml: version.text,
        changes: Vec::new(),
        warnings: Vec::new(),
    }
}
