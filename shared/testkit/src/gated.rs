//! Ports that lead through a gate, which sees each call, lets others come in between, and may let it
//! fail or never answer.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::Timestamp;
use jiff::civil::Date;
use simfuse_domain::alert::{Alert, Campaign, CampaignScope, HourTexts};
use simfuse_domain::audit::{AuditEntry, ChainHead, ChainName, DayHeads, Head, HeadsRun};
use simfuse_domain::evidence::Cohort;
use simfuse_domain::finding::Finding;
use simfuse_domain::guard::{CapScope, KillWindow};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::Incident;
use simfuse_domain::news::{News, Scope, Told};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    AlertError, Alerts, AuditLog, AuditPage, AuditQuery, AuditTrail, Beat, Campaigns, Case, Cases,
    Commit, Committed, DeadLetter, DeadLetters, Fleet, FleetUsed, Fleets, HeadsLog, Heartbeat,
    NewsFeed, NewsLimits, OpenIncident, Page, PageLink, Policies, PolicyChange, PolicyVersion,
    PolicyVersions, ProviderError, RankPage, Sim, SimName, StateWrite, States, Stop, StoredState,
    SuperSim, TableError, TargetStatus, UsageRanks, UsageWindow, Usages, Written,
};
use simfuse_domain::time::Hour;
use simfuse_domain::usage::SimUsage;

use crate::faulty::{Fault, Method};

/// One call of a port, as the gate sees it: with what it is about, where a gate may want to know.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each is named after its method and has its arguments")]
pub enum Call<'a> {
    ReadCase(SimSid),
    Commit(&'a Commit),
    WriteState(&'a StateWrite),
    WriteStop(Option<&'a Stop>),
    ReplacePolicy(&'a PolicyChange),
    Publish(&'a Alert),
    Fetch(&'a SimName),
    SetStatus(SimSid, TargetStatus),
    SetFleet(SimSid, FleetSid),
    /// Any other.
    Plain(Method),
}

impl Call<'_> {
    /// The port's method.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::ReadCase(_) => Method::ReadCase,
            Self::Commit(_) => Method::Commit,
            Self::WriteState(_) => Method::WriteState,
            Self::WriteStop(_) => Method::WriteStop,
            Self::ReplacePolicy(_) => Method::ReplacePolicy,
            Self::Publish(_) => Method::Publish,
            Self::Fetch(_) => Method::Fetch,
            Self::SetStatus(..) => Method::SetStatus,
            Self::SetFleet(..) => Method::SetFleet,
            Self::Plain(method) => *method,
        }
    }
}

/// Where each call has to pass.
pub trait Gate: Send + Sync {
    /// Lets a call take effect, or not. `is_done` tells of its answer whether it changed what it was
    /// to change.
    ///
    /// # Errors
    /// The fault that the caller is to see. `Stale` is answered as `Unreachable`.
    fn pass<R: Send>(
        &self,
        call: Call<'_>,
        effect: impl Future<Output = R> + Send,
        is_done: impl Fn(&R) -> bool + Send,
    ) -> impl Future<Output = Result<R, Fault>> + Send;
}

/// A port behind a gate.
#[derive(Debug, Clone)]
pub struct Gated<P, G> {
    /// The port.
    pub inner: P,
    /// The gate.
    pub gate: G,
}

impl<P, G: Gate> Gated<P, G> {
    async fn table<R: Send>(
        &self,
        call: Call<'_>,
        effect: impl Future<Output = Result<R, TableError>> + Send,
    ) -> Result<R, TableError> {
        self.gate.pass(call, effect, Result::is_ok).await.map_err(|_| failed(call))?
    }

    async fn committed(
        &self,
        call: Call<'_>,
        effect: impl Future<Output = Result<Committed, TableError>> + Send,
    ) -> Result<Committed, TableError> {
        let is_done = |answer: &Result<_, _>| matches!(answer, Ok(Committed::Done));
        match self.gate.pass(call, effect, is_done).await {
            Ok(answer) => answer,
            Err(Fault::Conflict) => Ok(Committed::Conflict),
            Err(_) => Err(failed(call)),
        }
    }

    async fn provider<R: Send>(
        &self,
        call: Call<'_>,
        effect: impl Future<Output = Result<R, ProviderError>> + Send,
    ) -> Result<R, ProviderError> {
        match self.gate.pass(call, effect, Result::is_ok).await {
            Ok(answer) => answer,
            Err(Fault::Throttled) => Err(ProviderError::Throttled { retry_after: None }),
            Err(Fault::Conflict) => Err(ProviderError::TransitionNotAllowed),
            Err(
                Fault::Unreachable
                | Fault::LostAnswer
                | Fault::Stale
                | Fault::Refused
                | Fault::Hangs,
            ) => Err(ProviderError::Unavailable { reason: "the gate".to_owned(), source: None }),
        }
    }
}

fn failed(call: Call<'_>) -> TableError {
    TableError::Unavailable { doing: call.method().to_string(), source: None }
}

impl<P: Cases, G: Gate> Cases for Gated<P, G> {
    async fn read_case(&self, sim: SimSid) -> Result<Case, TableError> {
        self.table(Call::ReadCase(sim), self.inner.read_case(sim)).await
    }

    async fn read_kill_window(&self, scope: CapScope) -> Result<(KillWindow, u64), TableError> {
        let call = Call::Plain(Method::ReadKillWindow);
        self.table(call, self.inner.read_kill_window(scope)).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, TableError> {
        self.committed(Call::Commit(commit), self.inner.commit(commit)).await
    }

    async fn acknowledge(&self, sim: SimSid, keys: &[String]) -> Result<(), TableError> {
        self.table(Call::Plain(Method::Acknowledge), self.inner.acknowledge(sim, keys)).await
    }

    async fn unacknowledged(
        &self,
        before: Timestamp,
        sims_max: usize,
    ) -> Result<Vec<SimSid>, TableError> {
        let call = Call::Plain(Method::Unacknowledged);
        self.table(call, self.inner.unacknowledged(before, sims_max)).await
    }

    async fn open_incidents(
        &self,
        due_before: Timestamp,
        incidents_max: usize,
    ) -> Result<Vec<OpenIncident>, TableError> {
        let call = Call::Plain(Method::OpenIncidents);
        self.table(call, self.inner.open_incidents(due_before, incidents_max)).await
    }

    async fn held_incidents(&self, incidents_max: usize) -> Result<Vec<Incident>, TableError> {
        let call = Call::Plain(Method::HeldIncidents);
        self.table(call, self.inner.held_incidents(incidents_max)).await
    }

    async fn filed_incidents(
        &self,
        sim: SimSid,
        incidents_max: usize,
    ) -> Result<Vec<Incident>, TableError> {
        let call = Call::Plain(Method::FiledIncidents);
        self.table(call, self.inner.filed_incidents(sim, incidents_max)).await
    }

    async fn fleet_sims(&self, fleet: FleetSid) -> Result<Option<u32>, TableError> {
        self.table(Call::Plain(Method::FleetSims), self.inner.fleet_sims(fleet)).await
    }

    async fn read_stop(&self) -> Result<Option<Stop>, TableError> {
        self.table(Call::Plain(Method::ReadStop), self.inner.read_stop()).await
    }

    async fn write_stop(&self, stop: Option<&Stop>, audit: &AuditEntry) -> Result<(), TableError> {
        self.table(Call::WriteStop(stop), self.inner.write_stop(stop, audit)).await
    }

    async fn last_paged(&self, name: &str) -> Result<Option<Timestamp>, TableError> {
        self.table(Call::Plain(Method::LastPaged), self.inner.last_paged(name)).await
    }

    async fn record_paged(&self, name: &str, at: Timestamp) -> Result<(), TableError> {
        self.table(Call::Plain(Method::RecordPaged), self.inner.record_paged(name, at)).await
    }
}

impl<P: Policies, G: Gate> Policies for Gated<P, G> {
    async fn current_policy(&self) -> Result<Policy, TableError> {
        self.table(Call::Plain(Method::CurrentPolicy), self.inner.current_policy()).await
    }
}

impl<P: PolicyVersions, G: Gate> PolicyVersions for Gated<P, G> {
    async fn policy_version(&self) -> Result<PolicyVersion, TableError> {
        self.table(Call::Plain(Method::PolicyVersion), self.inner.policy_version()).await
    }

    async fn past_policy(&self, number: u64) -> Result<Option<PolicyVersion>, TableError> {
        self.table(Call::Plain(Method::PastPolicy), self.inner.past_policy(number)).await
    }

    async fn replace_policy(&self, change: &PolicyChange) -> Result<Committed, TableError> {
        self.committed(Call::ReplacePolicy(change), self.inner.replace_policy(change)).await
    }
}

impl<P: AuditLog, G: Gate> AuditLog for Gated<P, G> {
    async fn record_audit(&self, entry: &AuditEntry) -> Result<(), TableError> {
        self.table(Call::Plain(Method::RecordAudit), self.inner.record_audit(entry)).await
    }
}

impl<P: NewsLimits, G: Gate> NewsLimits for Gated<P, G> {
    async fn read_told(&self, scope: Scope) -> Result<(Told, u64), TableError> {
        self.table(Call::Plain(Method::ReadTold), self.inner.read_told(scope)).await
    }

    async fn write_told(
        &self,
        scope: Scope,
        told: &Told,
        read: u64,
        now: Timestamp,
    ) -> Result<Committed, TableError> {
        let call = Call::Plain(Method::WriteTold);
        self.committed(call, self.inner.write_told(scope, told, read, now)).await
    }
}

impl<P: Campaigns, G: Gate> Campaigns for Gated<P, G> {
    async fn read_campaign(&self, scope: CampaignScope) -> Result<(Campaign, u64), TableError> {
        self.table(Call::Plain(Method::ReadCampaign), self.inner.read_campaign(scope)).await
    }

    async fn write_campaign(
        &self,
        scope: CampaignScope,
        campaign: &Campaign,
        read: u64,
        now: Timestamp,
    ) -> Result<Committed, TableError> {
        let call = Call::Plain(Method::WriteCampaign);
        self.committed(call, self.inner.write_campaign(scope, campaign, read, now)).await
    }

    async fn read_texts(&self, hour: Hour) -> Result<(HourTexts, u64), TableError> {
        self.table(Call::Plain(Method::ReadTexts), self.inner.read_texts(hour)).await
    }

    async fn write_texts(
        &self,
        hour: Hour,
        texts: &HourTexts,
        read: u64,
    ) -> Result<Committed, TableError> {
        let call = Call::Plain(Method::WriteTexts);
        self.committed(call, self.inner.write_texts(hour, texts, read)).await
    }
}

impl<P: Heartbeat, G: Gate> Heartbeat for Gated<P, G> {
    async fn beat(&self, beat: Beat) -> Result<(), TableError> {
        self.table(Call::Plain(Method::Beat), self.inner.beat(beat)).await
    }

    async fn last_beat(&self) -> Result<Option<Beat>, TableError> {
        self.table(Call::Plain(Method::LastBeat), self.inner.last_beat()).await
    }
}

impl<P: States, G: Gate> States for Gated<P, G> {
    async fn read_states(
        &self,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, StoredState>, TableError> {
        self.table(Call::Plain(Method::ReadStates), self.inner.read_states(sims)).await
    }

    async fn write_state(&self, write: &StateWrite) -> Result<Written, TableError> {
        let call = Call::WriteState(write);
        let is_done = |answer: &Result<_, _>| matches!(answer, Ok(Written::Done));
        match self.gate.pass(call, self.inner.write_state(write), is_done).await {
            Ok(answer) => answer,
            Err(Fault::Conflict) => Ok(Written::Conflict),
            Err(_) => Err(failed(call)),
        }
    }

    async fn insert_finding(
        &self,
        sim: SimSid,
        finding: &Finding,
        received_at: Timestamp,
    ) -> Result<(), TableError> {
        let call = Call::Plain(Method::InsertFinding);
        self.table(call, self.inner.insert_finding(sim, finding, received_at)).await
    }
}

impl<P: Usages, G: Gate> Usages for Gated<P, G> {
    async fn read_usages(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, SimUsage>, TableError> {
        self.table(Call::Plain(Method::ReadUsages), self.inner.read_usages(sims)).await
    }

    async fn read_cohort(&self, fleet: FleetSid) -> Result<Option<Cohort>, TableError> {
        self.table(Call::Plain(Method::ReadCohort), self.inner.read_cohort(fleet)).await
    }
}

impl<P: DeadLetters, G: Gate> DeadLetters for Gated<P, G> {
    async fn put_dead_letter(&self, letter: &DeadLetter) -> Result<(), TableError> {
        self.table(Call::Plain(Method::PutDeadLetter), self.inner.put_dead_letter(letter)).await
    }
}

impl<P: NewsFeed, G: Gate> NewsFeed for Gated<P, G> {
    async fn insert_news(&self, news: &News, received_at: Timestamp) -> Result<(), TableError> {
        let call = Call::Plain(Method::InsertNews);
        self.table(call, self.inner.insert_news(news, received_at)).await
    }
}

impl<P: SuperSim, G: Gate> SuperSim for Gated<P, G> {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        self.provider(Call::Fetch(name), self.inner.fetch(name)).await
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        let call = Call::SetStatus(sim, status);
        self.provider(call, self.inner.set_status(sim, status)).await
    }

    async fn set_fleet(&self, sim: SimSid, fleet: FleetSid) -> Result<Sim, ProviderError> {
        self.provider(Call::SetFleet(sim, fleet), self.inner.set_fleet(sim, fleet)).await
    }
}

impl<P: Fleets, G: Gate> Fleets for Gated<P, G> {
    async fn fetch_fleet(&self, name: &str) -> Result<Fleet, ProviderError> {
        self.provider(Call::Plain(Method::FetchFleet), self.inner.fetch_fleet(name)).await
    }

    async fn set_data_limit(
        &self,
        fleet: FleetSid,
        megabytes: u32,
    ) -> Result<Fleet, ProviderError> {
        let call = Call::Plain(Method::SetDataLimit);
        self.provider(call, self.inner.set_data_limit(fleet, megabytes)).await
    }

    async fn list_fleets(&self, page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        self.provider(Call::Plain(Method::ListFleets), self.inner.list_fleets(page)).await
    }

    async fn list_sims(
        &self,
        fleet: FleetSid,
        page: Option<&PageLink>,
    ) -> Result<Page<Sim>, ProviderError> {
        self.provider(Call::Plain(Method::ListSims), self.inner.list_sims(fleet, page)).await
    }
}

impl<P: Alerts, G: Gate> Alerts for Gated<P, G> {
    async fn publish(&self, alert: &Alert) -> Result<(), AlertError> {
        let call = Call::Publish(alert);
        let failed = |_| AlertError {
            alert_id: alert.id.clone(),
            is_refused: false,
            source: "the gate".into(),
        };
        self.gate.pass(call, self.inner.publish(alert), Result::is_ok).await.map_err(failed)?
    }
}

impl<P: AuditTrail, G: Gate> AuditTrail for Gated<P, G> {
    async fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, TableError> {
        self.table(Call::Plain(Method::AuditPage), self.inner.audit_page(query)).await
    }

    async fn audit_head(&self, chain: ChainName) -> Result<Option<Head>, TableError> {
        self.table(Call::Plain(Method::AuditHead), self.inner.audit_head(chain)).await
    }

    async fn heads_page(&self, day: Date, page: u32) -> Result<Option<Vec<ChainHead>>, TableError> {
        self.table(Call::Plain(Method::HeadsPage), self.inner.heads_page(day, page)).await
    }

    async fn day_heads(&self, day: Date) -> Result<Option<DayHeads>, TableError> {
        self.table(Call::Plain(Method::DayHeads), self.inner.day_heads(day)).await
    }
}

impl<P: HeadsLog, G: Gate> HeadsLog for Gated<P, G> {
    async fn read_heads_run(&self) -> Result<(Option<HeadsRun>, u64), TableError> {
        self.table(Call::Plain(Method::ReadHeadsRun), self.inner.read_heads_run()).await
    }

    async fn write_heads_run(
        &self,
        run: &HeadsRun,
        page: Option<&[ChainHead]>,
        read: u64,
    ) -> Result<Committed, TableError> {
        let call = Call::Plain(Method::WriteHeadsRun);
        self.committed(call, self.inner.write_heads_run(run, page, read)).await
    }
}

impl<P: UsageRanks, G: Gate> UsageRanks for Gated<P, G> {
    async fn read_fleet_used(
        &self,
        fleet: FleetSid,
        windows: &[UsageWindow],
    ) -> Result<BTreeMap<UsageWindow, FleetUsed>, TableError> {
        let call = Call::Plain(Method::ReadFleetUsed);
        self.table(call, self.inner.read_fleet_used(fleet, windows)).await
    }

    async fn read_ranks(
        &self,
        fleet: FleetSid,
        pages: &[(UsageWindow, u32)],
    ) -> Result<Vec<RankPage>, TableError> {
        self.table(Call::Plain(Method::ReadRanks), self.inner.read_ranks(fleet, pages)).await
    }

    async fn read_listed(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Sim>, TableError> {
        self.table(Call::Plain(Method::ReadListed), self.inner.read_listed(sims)).await
    }
}
