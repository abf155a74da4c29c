//! One SIM at a time: reads its case, decides, does it, records it, and tells.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures::future::{self, Either};
use jiff::Timestamp;
use simfuse_domain::alert::{ALONE_MAX, Alert, Known, StackName};
use simfuse_domain::audit::{AuditEntry, Phase, SIMFUSE};
use simfuse_domain::finding::Finding;
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::{self, Decision, Desired, Hold, Incident, Look, Stage};
use simfuse_domain::policy::{Mode, Policy};
use simfuse_domain::port::{
    Alerts, Campaigns, Case, Cases, Clock, Commit, Committed, Fleets, Heartbeat, Policies,
    ProviderError, Sim, SimName, SuperSim, TargetStatus,
};
use simfuse_domain::signed_link::Links;

use crate::act::Acted;
use crate::campaign::UNKNOWN_MAX;
use crate::error::{Chain, KillSwitchError};
use crate::pace::Paced;

/// How often a decision is taken anew because something changed meanwhile. A burst of kills that
/// share one cap changes it for one another, each pass lets at least one through.
const PASSES_MAX: u32 = 24;

/// The longest pause before a pass is repeated.
const PAUSE_MAX_MS: u64 = 40;

/// Whether what is decided is done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acts {
    Now,
    Later,
}

/// The kill-switch: made once, lent to each call.
pub struct KillSwitch<T, P, A, C> {
    pub(crate) table: T,
    pub(crate) provider: Paced<P, C>,
    pub(crate) alerts: A,
    pub(crate) clock: Arc<C>,
    /// What the environment allows: automatic acts need this *and* policy to enforce.
    pub(crate) armed: Mode,
    /// Writes links into alerts, where there is a console to serve them.
    pub(crate) links: Option<Links>,
    /// Which stack this is, where it has a name.
    pub(crate) stack: Option<StackName>,
    /// Alerts of a campaign that are told one by one.
    pub(crate) alone_max: usize,
    /// What will fail again, since the sweep last said so.
    pub(crate) faults: AtomicUsize,
}

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// A kill-switch on these ports.
    pub fn new(table: T, provider: P, alerts: A, clock: C, armed: Mode) -> Self {
        let clock = Arc::new(clock);
        let provider = Paced::new(provider, Arc::clone(&clock));
        let (links, stack, alone_max) = (None, None, ALONE_MAX);
        let faults = AtomicUsize::new(0);
        Self { table, provider, alerts, clock, armed, links, stack, alone_max, faults }
    }

    /// The same kill-switch, whose alerts hold these links.
    #[must_use]
    pub fn linking(self, links: Option<Links>) -> Self {
        Self { links, ..self }
    }

    /// The same of a stack with a name: commands in alerts are for it.
    #[must_use]
    pub fn of_stack(self, stack: Option<StackName>) -> Self {
        Self { stack, ..self }
    }

    /// Brings one SIM's case to where it should be now. The answer says which findings were seen.
    pub(crate) async fn converge(&self, sim: SimSid) -> Result<Vec<String>, KillSwitchError> {
        self.converge_by(sim, Acts::Now).await
    }

    /// Looks at one SIM and records what is seen. What has to be asked of the provider is left to the
    /// sweep: else a request, the callback that it brings and the next request would chase each other.
    pub(crate) async fn look_at(&self, sim: SimSid) -> Result<(), KillSwitchError> {
        self.converge_by(sim, Acts::Later).await.map(drop)
    }

    async fn converge_by(&self, sim: SimSid, acts: Acts) -> Result<Vec<String>, KillSwitchError> {
        for pass in 0..PASSES_MAX {
            let policy = self.policy().await?;
            let case = self.read_case(sim).await?;
            let mut seen: Vec<String> = case.findings.keys().cloned().collect();
            // What is found of a SIM whose incident is over and waits only to be told is for the look
            // after it: then nobody has judged it.
            let waits = |open: &Incident| open.is_over() && !open.alerts.is_empty();
            if let Some((incident, _)) = case.incident.as_ref().filter(|(open, _)| waits(open)) {
                let known: BTreeSet<String> = incident.findings.iter().map(Finding::key).collect();
                seen.retain(|key| known.contains(key));
            }
            if !case.unread.is_empty() {
                // What was found is not judged for good: it stays for a version that can read all.
                seen.clear();
                tracing::error!(sim.sid = %sim, unread = ?case.unread, "not all can be read");
                self.note_fault(true);
            }
            if self.step(case, &policy, acts).await? == Step::Done {
                return Ok(seen);
            }
            pause(&self.clock, (sim, pass)).await;
        }
        Err(KillSwitchError::Contention { sim: sim.to_string(), passes: PASSES_MAX })
    }

    /// Decides once, and does it. Where nothing is to be asked of the provider it is told first what is
    /// still to be told; an act tells after it.
    async fn step(
        &self,
        mut case: Case,
        policy: &Policy,
        acts: Acts,
    ) -> Result<Step, KillSwitchError> {
        let look = |case: &Case, sim: Option<&Result<Sim, ProviderError>>| {
            let (now, armed) = (self.clock.now(), self.armed);
            incident::decide(&Look { now, case, policy, armed, sim })
        };
        let (mut decision, mut answer) = (look(&case, None), None);
        if decision == Decision::AskProvider {
            answer = Some(self.provider.fetch(&SimName::Sid(case.sim)).await);
            decision = look(&case, answer.as_ref());
        }
        let acts_now = acts == Acts::Now && is_act(&decision);
        let tells = case.incident.as_ref().is_some_and(|(open, _)| !open.alerts.is_empty());
        if tells && !acts_now {
            if answer.is_some() {
                // While the provider was asked, another may have told, or done something: then what
                // it answered is about what was before.
                let asked_of = (incident_version(&case), case.desired.1);
                case = self.read_case(case.sim).await?;
                if (incident_version(&case), case.desired.1) != asked_of {
                    return Ok(Step::Again);
                }
            }
            if let Some((incident, version)) = case.incident.take() {
                case.incident = Some(self.tell(incident, version, Known::from(&case)).await?);
            }
            decision = look(&case, answer.as_ref());
        }
        let case = &case;
        match decision {
            Decision::Rest | Decision::AskProvider => Ok(Step::Done),
            Decision::Record(incident) => self.record(case, *incident).await,
            ref act if acts == Acts::Later && is_act(act) => Ok(Step::Done),
            Decision::Close(incident) => self.close(case, policy, *incident).await,
            Decision::Deactivate(incident, authority) => {
                match self.deactivate(case, policy, (*incident).clone(), authority).await? {
                    Acted::Recorded(_) => Ok(Step::Done),
                    Acted::Conflict => Ok(Step::Again),
                    Acted::CapReached => {
                        let held = incident::held(self.clock.now(), *incident, Hold::Cap);
                        self.record(case, held).await
                    }
                }
            }
            Decision::Restore(incident) => {
                let desired = case.desired.0.clone();
                Ok(self.restore(case, *incident, desired, Vec::new()).await?.into())
            }
            Decision::Thaw(incident) => self.thaw(case, policy, *incident).await,
            Decision::Relocate(incident, change) => {
                let desired = case.desired.0.clone();
                Ok(self.relocate(case, *incident, desired, change, Vec::new()).await?.into())
            }
        }
    }

    /// Records the incident as it is now, then tells what it has to tell.
    pub(crate) async fn record(
        &self,
        case: &Case,
        incident: Incident,
    ) -> Result<Step, KillSwitchError> {
        self.record_with(case, incident, Vec::new()).await
    }

    /// As [`record`](Self::record), with more to the audit.
    pub(crate) async fn record_with(
        &self,
        case: &Case,
        incident: Incident,
        mut audit: Vec<AuditEntry>,
    ) -> Result<Step, KillSwitchError> {
        let version = incident_version(case);
        audit.extend(self.stage_entry(case, &incident));
        let incident_read = Some((incident.clone(), version));
        let commit = Commit { incident: incident_read, audit, ..Commit::of(case.sim) };
        if self.commit(&commit, "recording an incident").await? == Committed::Conflict {
            return Ok(Step::Again);
        }
        self.tell(incident, version.saturating_add(1), case.into()).await?;
        Ok(Step::Done)
    }

    /// Files the incident, once everything is told: until then the sweep must find it.
    async fn close(
        &self,
        case: &Case,
        policy: &Policy,
        incident: Incident,
    ) -> Result<Step, KillSwitchError> {
        let stored = case.incident.as_ref().map(|(stored, _)| stored);
        if !incident.alerts.is_empty() && stored == Some(&incident) {
            if !incident.is_over() {
                // It lets others come first until it is looked at again.
                let mut later = incident;
                later.check_later(self.clock.now());
                let incident = Some((later, incident_version(case)));
                let commit = Commit { incident, ..Commit::of(case.sim) };
                self.commit(&commit, "putting off an incident that is not told").await?;
            }
            return Ok(Step::Done);
        }
        if !incident.alerts.is_empty() {
            self.record(case, incident).await?;
            return Ok(Step::Again);
        }
        // Whoever made the SIM active again has judged what was found so far.
        let (desired, desired_version) = &case.desired;
        let desired = match incident.stage {
            Stage::RestoredElsewhere => Some(Desired {
                status: None,
                inactive_at: None,
                quarantine: None,
                ..self.judged(case, policy, &incident)
            }),
            // Traffic that begins after this is no event that came late.
            // It was seen in another fleet than its quarantine: it is at home.
            Stage::Restored if desired.quarantine.is_some() || !incident.withheld.is_empty() => {
                let withheld = incident.withheld.clone();
                Some(Desired { quarantine: None, withheld, ..desired.clone() })
            }
            Stage::Proven => Some(Desired { inactive_at: incident.inactive_at, ..desired.clone() }),
            _ => None,
        };
        let desired = desired.map(|desired| (desired, *desired_version));
        // What was found while a restore was watched has only been seen, not considered. That it held
        // is the outcome, also of a request whose function died.
        let watched = incident.stage == Stage::Restored;
        let entry = self.stage_entry(case, &incident);
        let entry = entry.or_else(|| watched.then(|| self.entry_of(&incident)));
        let commit = Commit {
            audit: entry.into_iter().collect(),
            incident: Some((incident, incident_version(case))),
            closes: true,
            desired,
            ..Commit::of(case.sim)
        };
        Ok(match self.commit(&commit, "closing an incident").await? {
            Committed::Done if !watched => Step::Done,
            Committed::Done | Committed::Conflict => Step::Again,
        })
    }

    /// A freeze is over: records that the SIM should be active; the next look makes it so.
    async fn thaw(
        &self,
        case: &Case,
        policy: &Policy,
        mut incident: Incident,
    ) -> Result<Step, KillSwitchError> {
        let desired = self.judged(case, policy, &incident);
        incident.begin_restore(self.clock.now());
        self.begin_restore(case, incident, desired, Vec::new()).await?;
        Ok(Step::Again)
    }

    /// Records that the SIM should be active, and asks for nothing yet.
    pub(crate) async fn begin_restore(
        &self,
        case: &Case,
        incident: Incident,
        desired: Desired,
        mut audit: Vec<AuditEntry>,
    ) -> Result<Step, KillSwitchError> {
        let desired = Desired { status: Some(TargetStatus::Active), inactive_at: None, ..desired };
        audit.extend(self.stage_entry(case, &incident));
        let commit = Commit {
            incident: Some((incident, incident_version(case))),
            desired: Some((desired, case.desired.1)),
            audit,
            ..Commit::of(case.sim)
        };
        Ok(match self.commit(&commit, "recording that a SIM should be active").await? {
            Committed::Done => Step::Done,
            Committed::Conflict => Step::Again,
        })
    }

    /// What should be once a SIM is made active: what is found of it now is judged by that.
    pub(crate) fn judged(&self, case: &Case, policy: &Policy, incident: &Incident) -> Desired {
        let (now, armed) = (self.clock.now(), self.armed);
        let look = Look { now, case, policy, armed, sim: None };
        Desired {
            restored_at: Some(now),
            judged: incident::judged_keys(&look, incident),
            withheld: BTreeMap::new(),
            ..case.desired.0.clone()
        }
    }

    /// Publishes the incident's pending alerts, but for those that the sweep tells together with
    /// others, and records which are out. One that does not go out stays pending, and keeps nothing
    /// else from being done.
    pub(crate) async fn tell(
        &self,
        mut incident: Incident,
        version: u64,
        known: Known<'_>,
    ) -> Result<(Incident, u64), KillSwitchError> {
        let (stack, links) = (self.stack.as_ref(), self.links.as_ref());
        let mut told = Vec::new();
        for pending in &incident.alerts {
            if !self.is_told_alone(&incident, pending).await {
                continue;
            }
            let alert = Alert::of_incident(&incident, pending, known, stack, links);
            let alert = self.texted(alert).await;
            // Another look may have told it meanwhile, or goes on with it.
            if !self.is_still(&incident, version, pending.at).await {
                break;
            }
            match self.send(&alert).await {
                Ok(()) => told.push(pending.number),
                Err(error) => tracing::error!(error = %Chain(&error), "alert not published"),
            }
        }
        if told.is_empty() {
            return Ok((incident, version));
        }
        incident.alerts.retain(|alert| !told.contains(&alert.number));
        let commit =
            Commit { incident: Some((incident.clone(), version)), ..Commit::of(incident.sim) };
        match self.commit(&commit, "recording that alerts are out").await? {
            Committed::Done => Ok((incident, version.saturating_add(1))),
            // Someone else changed the incident and will find the alert still pending: it may go
            // out twice, with the same id, which is the lesser evil.
            Committed::Conflict => Ok((incident, version)),
        }
    }

    /// Whether an incident is as it was read. Where that cannot be known an alert waits for the next
    /// look, but not for long: rather twice than never.
    async fn is_still(&self, incident: &Incident, version: u64, since: Timestamp) -> bool {
        match self.read_case(incident.sim).await {
            Ok(case) => incident_version(&case) == version,
            Err(_not_known) => self.clock.now().duration_since(since) >= UNKNOWN_MAX,
        }
    }

    /// An audit entry for a change of stage.
    fn stage_entry(&self, case: &Case, incident: &Incident) -> Option<AuditEntry> {
        let was = case.incident.as_ref().map(|(stored, _)| stored.stage);
        (was != Some(incident.stage)).then(|| self.entry_of(incident))
    }

    /// An audit entry for the stage that an incident is at.
    fn entry_of(&self, incident: &Incident) -> AuditEntry {
        let at = self.clock.now();
        let why = incident.trouble.clone();
        let why = why.or_else(|| incident.findings.first().map(ToString::to_string));
        AuditEntry {
            sim: Some(incident.sim),
            fleet: incident.fleet,
            at,
            id: format!("{}-{}", incident.id, incident.stage),
            actor: SIMFUSE.to_owned(),
            action: incident.stage.to_string(),
            phase: Phase::Outcome,
            reason: why.unwrap_or_default(),
            incident: Some(incident.id.clone()),
        }
    }

    pub(crate) async fn policy(&self) -> Result<Policy, KillSwitchError> {
        self.table.current_policy().await.map_err(KillSwitchError::table("reading the policy"))
    }

    pub(crate) async fn read_case(&self, sim: SimSid) -> Result<Case, KillSwitchError> {
        self.table.read_case(sim).await.map_err(KillSwitchError::table("reading a SIM's case"))
    }

    pub(crate) async fn commit(
        &self,
        commit: &Commit,
        doing: &'static str,
    ) -> Result<Committed, KillSwitchError> {
        self.table.commit(commit).await.map_err(KillSwitchError::table(doing))
    }
}

/// Whether the provider is asked for a change.
const fn is_act(decision: &Decision) -> bool {
    match decision {
        Decision::Deactivate(..)
        | Decision::Restore(_)
        | Decision::Thaw(_)
        | Decision::Relocate(..) => true,
        Decision::Rest | Decision::AskProvider | Decision::Record(_) | Decision::Close(_) => false,
    }
}

/// Whether a case is where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is.
    Done,
    /// Something changed meanwhile: read it again.
    Again,
}

impl From<Acted> for Step {
    fn from(acted: Acted) -> Self {
        match acted {
            Acted::Recorded(_) => Self::Done,
            Acted::Conflict | Acted::CapReached => Self::Again,
        }
    }
}

pub(crate) fn incident_version(case: &Case) -> u64 {
    case.incident.as_ref().map_or(0, |(_, version)| *version)
}

/// Waits a moment, so that those who disturbed one another do not meet again. How long is not drawn
/// but follows from who waits, and when: the same run can be had again.
pub(crate) async fn pause(clock: &impl Clock, who: impl Hash) {
    let mut hasher = DefaultHasher::new();
    (who, clock.now()).hash(&mut hasher);
    let milliseconds = hasher.finish().checked_rem(PAUSE_MAX_MS).unwrap_or(0).saturating_add(1);
    clock.sleep(Duration::from_millis(milliseconds)).await;
}

/// What a call answers, unless it takes longer than this.
pub(crate) async fn within<R>(
    clock: &impl Clock,
    limit: Duration,
    call: impl Future<Output = R>,
) -> Option<R> {
    match future::select(pin!(call), clock.sleep(limit)).await {
        Either::Left((answer, _)) => Some(answer),
        Either::Right(_) => None,
    }
}
