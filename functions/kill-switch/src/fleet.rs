//! A Fleet's own data limit at the provider: shown, or set because a human wants it.

use simfuse_domain::audit::{AuditEntry, Phase};
use simfuse_domain::policy::FLEET_LIMIT_MB;
use simfuse_domain::port::{
    Alerts, AuditLog, Campaigns, Cases, Clock, Fleet, Fleets, Heartbeat, Policies, PolicyVersions,
    ProviderError, SuperSim,
};

use crate::engine::KillSwitch;
use crate::error::{Chain, KillSwitchError};
use crate::manual::{by, outcome_of, reason};
use crate::request::{FleetAnswer, Outcome, Request};

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + PolicyVersions + AuditLog + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Shows the fleet's limit, or sets it where the request has a number. Intent and outcome are
    /// recorded; a set whose outcome stays unknown is answered so, and may be asked for again.
    pub(crate) async fn fleet_limit(
        &self,
        request: &Request,
    ) -> Result<Result<FleetAnswer, String>, KillSwitchError> {
        let Some(name) = request.fleet.as_deref().map(str::trim).filter(|name| !name.is_empty())
        else {
            return Ok(Err("no fleet named in \"fleet\"".to_owned()));
        };
        let wanted = match request.limit_mb {
            Some(mb) => match u32::try_from(mb).ok().filter(|mb| FLEET_LIMIT_MB.contains(mb)) {
                Some(mb) => Some(mb),
                None => return Ok(Err(format!("a limit of {mb} MB: 1 to 2,000,000 is allowed"))),
            },
            None => None,
        };
        let mut answer = FleetAnswer {
            requested: name.to_owned(),
            fleet: None,
            unique_name: None,
            outcome: Outcome::Done,
            reason: String::new(),
            was_mb: None,
            limit_mb: None,
            policy_mb: None,
        };
        let fleet = match self.provider.fetch_fleet(name).await {
            Ok(fleet) => fleet,
            Err(error) => {
                (answer.outcome, answer.reason) = (outcome_of(&error), said(&error));
                return Ok(Ok(answer));
            }
        };
        answer.fleet = Some(fleet.sid);
        answer.unique_name.clone_from(&fleet.unique_name);
        (answer.was_mb, answer.limit_mb) = (fleet.data_limit_mb, fleet.data_limit_mb);
        answer.policy_mb = self.policy().await?.rules_of_fleet(fleet.sid).limits.fleet_limit_mb;
        match wanted {
            None => answer.reason = format!("the provider says {}", text(fleet.data_limit_mb)),
            Some(mb) => self.set_fleet_limit(request, &fleet, mb, &mut answer).await?,
        }
        Ok(Ok(answer))
    }

    async fn set_fleet_limit(
        &self,
        request: &Request,
        fleet: &Fleet,
        wanted: u32,
        answer: &mut FleetAnswer,
    ) -> Result<(), KillSwitchError> {
        let change = format!("{} → {wanted} MB", text(fleet.data_limit_mb));
        if fleet.data_limit_mb == Some(wanted) {
            answer.outcome = Outcome::Already;
            answer.reason = format!("it is {wanted} MB");
            return Ok(());
        }
        if request.dry_run {
            answer.outcome = Outcome::Pending;
            answer.reason = format!("would be changed: {change}");
            return Ok(());
        }
        let at = self.clock.now();
        let about = format!("limit of {} {change}", fleet.sid);
        let why = format!("{about}: {}", reason(request));
        let entry = |phase, name, reason| AuditEntry {
            sim: None,
            fleet: Some(fleet.sid),
            at,
            id: format!("fleet_limit-{}-{}-{name}", fleet.sid, at.as_millisecond()),
            actor: by(request),
            action: request.action.to_string(),
            phase,
            reason,
            incident: None,
        };
        let intent = self.table.record_audit(&entry(Phase::Intent, "intent", why)).await;
        intent.map_err(KillSwitchError::table("recording an intent"))?;
        let set = self.provider.set_data_limit(fleet.sid, wanted).await;
        let came = match &set {
            Ok(fleet) => {
                answer.limit_mb = fleet.data_limit_mb;
                // The provider's answer counts, not what it was asked for.
                let done = fleet.data_limit_mb == Some(wanted);
                answer.outcome = if done { Outcome::Done } else { Outcome::Pending };
                answer.reason = change;
                format!("{about}: the provider says {}", text(fleet.data_limit_mb))
            }
            Err(error) => {
                answer.limit_mb = None;
                (answer.outcome, answer.reason) = (outcome_of(error), said(error));
                format!("{about}: {}", Chain(error))
            }
        };
        tracing::info!(fleet.sid = %fleet.sid, outcome = %came, "a fleet's limit was asked for");
        let outcome = self.table.record_audit(&entry(Phase::Outcome, "outcome", came)).await;
        if let Err(error) = outcome {
            // What was done is done, and the intent says so: the human must hear of it.
            tracing::error!(error = %Chain(&error), "the outcome of a fleet's limit not recorded");
            answer.reason.push_str("; the outcome could not be recorded");
        }
        Ok(())
    }
}

fn text(limit_mb: Option<u32>) -> String {
    limit_mb.map_or("no limit known".to_owned(), |mb| format!("{mb} MB"))
}

fn said(error: &ProviderError) -> String {
    match error {
        ProviderError::NotFound => "the provider knows no such fleet".to_owned(),
        error => Chain(error).to_string(),
    }
}
