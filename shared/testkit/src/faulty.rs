//! A port that fails on demand: throttled, unreachable, in conflict, stale, or after it took
//! effect.
//!
//! ```
//! use simfuse_testkit::faulty::{Fault, Faulty, Method};
//! use simfuse_testkit::memory::MemoryTable;
//!
//! let table = Faulty::new(MemoryTable::new());
//! table.fail(Method::WriteState, Fault::LostAnswer, 2);
//! ```

mod campaigns;
mod link_claims;
mod policies;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;
use simfuse_domain::alert::Alert;
use simfuse_domain::audit::{AuditEntry, ChainHead, ChainName, DayHeads, Head, HeadsRun};
use simfuse_domain::evidence::Cohort;
use simfuse_domain::finding::Finding;
use simfuse_domain::guard::{CapScope, KillWindow};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::Incident;
use simfuse_domain::news::{News, Scope, Told};
use simfuse_domain::port::{
    AlertError, Alerts, AuditLog, AuditPage, AuditQuery, AuditTrail, Beat, Case, Cases, Commit,
    Committed, DeadLetter, DeadLetters, Fleet, FleetUsed, Fleets, HeadsLog, Heartbeat, NewsFeed,
    NewsLimits, OpenIncident, Page, PageLink, ProviderError, RankPage, Sim, SimName, StateWrite,
    States, Stop, StoredState, SuperSim, TableError, TargetStatus, UsageRanks, UsageWindow, Usages,
    Written,
};
use simfuse_domain::usage::SimUsage;

/// A port's method.
#[expect(missing_docs, reason = "each is named after its method")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    ReadStates,
    WriteState,
    InsertFinding,
    Beat,
    LastBeat,
    PutDeadLetter,
    CurrentPolicy,
    PolicyVersion,
    PastPolicy,
    ReplacePolicy,
    RecordAudit,
    AuditPage,
    AuditHead,
    HeadsPage,
    DayHeads,
    ReadHeadsRun,
    WriteHeadsRun,
    InsertNews,
    ReadTold,
    WriteTold,
    ReadCampaign,
    WriteCampaign,
    ReadTexts,
    WriteTexts,
    ReadCase,
    ReadKillWindow,
    Commit,
    Acknowledge,
    Unacknowledged,
    OpenIncidents,
    HeldIncidents,
    FiledIncidents,
    Claim,
    UseUp,
    GiveBack,
    LinkUse,
    ReadStop,
    FleetSims,
    ReadUsages,
    ReadCohort,
    WriteStop,
    LastPaged,
    RecordPaged,
    Fetch,
    SetStatus,
    SetFleet,
    FetchFleet,
    SetDataLimit,
    ListFleets,
    ListSims,
    ReadFleetUsed,
    ReadRanks,
    ReadListed,
    Publish,
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Throttled: nothing happened, and the caller knows it.
    Throttled,
    /// Unavailable: nothing happened, but the caller cannot know it.
    Unreachable,
    /// It took effect, and the answer was lost.
    LostAnswer,
    /// Another came first: a `Conflict` from `write_state`, `commit`, `write_told`, `write_campaign`,
    /// `write_heads_run` and `replace_policy`,
    /// *transition not allowed* from `set_status`. Nothing happened. The others are throttled.
    Conflict,
    /// A read gives what the same read gave the last time, or nothing for states never read before.
    /// `read_states`, `read_case`, `read_kill_window` and `fetch` only; the others are left alone.
    Stale,
    /// Nothing happened, nor will it: an item that cannot be read, an alert that is refused. What
    /// knows no such answer is unavailable.
    Refused,
    /// Nothing happens, and no answer comes.
    Hangs,
}

/// A port with a script of faults. Clones share the script.
#[derive(Debug, Clone)]
pub struct Faulty<P> {
    inner: P,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    faults: BTreeMap<Method, VecDeque<Option<Fault>>>,
    calls: BTreeMap<Method, usize>,
    states: BTreeMap<SimSid, StoredState>,
    cases: BTreeMap<SimSid, Case>,
    kill_windows: BTreeMap<CapScope, (KillWindow, u64)>,
    sims: BTreeMap<String, Sim>,
}

impl<P> Faulty<P> {
    /// The port as it is, until it is told to fail.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self { inner, script: Arc::default() }
    }

    /// Lets the next so many calls of a method fail, after those that were scripted before.
    pub fn fail(&self, method: Method, fault: Fault, times: usize) {
        self.push(method, Some(fault), times);
    }

    /// Lets the next so many calls of a method pass, after those that were scripted before.
    pub fn pass(&self, method: Method, times: usize) {
        self.push(method, None, times);
    }

    /// How often a method was called, failed calls included.
    #[must_use]
    pub fn calls(&self, method: Method) -> usize {
        self.script().calls.get(&method).copied().unwrap_or_default()
    }

    /// The port behind.
    #[must_use]
    pub const fn inner(&self) -> &P {
        &self.inner
    }

    fn push(&self, method: Method, fault: Option<Fault>, times: usize) {
        let mut script = self.script();
        let faults = script.faults.entry(method).or_default();
        faults.extend(std::iter::repeat_n(fault, times));
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, method: Method) -> Option<Fault> {
        let mut script = self.script();
        let calls = script.calls.entry(method).or_default();
        *calls = calls.saturating_add(1);
        script.faults.get_mut(&method).and_then(VecDeque::pop_front).flatten()
    }
}

/// Makes the errors of one port.
trait Broken: Sized {
    fn throttled(doing: Method) -> Self;
    fn unavailable(doing: Method) -> Self;
    fn refused(doing: Method) -> Self;
}

/// The source of an error that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("a fault injected by a test")]
struct Injected;

impl Broken for TableError {
    fn throttled(doing: Method) -> Self {
        Self::unavailable(doing)
    }

    fn unavailable(doing: Method) -> Self {
        Self::Unavailable { doing: doing.to_string(), source: Some(Box::new(Injected)) }
    }

    fn refused(doing: Method) -> Self {
        let reason = "told to fail for good".to_owned();
        Self::Fault { doing: doing.to_string(), reason, source: Some(Box::new(Injected)) }
    }
}

impl Broken for ProviderError {
    fn throttled(_: Method) -> Self {
        Self::Throttled { retry_after: None }
    }

    fn unavailable(doing: Method) -> Self {
        Self::Unavailable { reason: doing.to_string(), source: Some(Box::new(Injected)) }
    }

    fn refused(doing: Method) -> Self {
        Self::unavailable(doing)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A call that knows neither conflict nor staleness. It is lazy: what is never polled has no
/// effect.
async fn plain<T, E: Broken>(
    method: Method,
    fault: Option<Fault>,
    call: impl Future<Output = Result<T, E>> + Send,
) -> Result<T, E> {
    match fault {
        None | Some(Fault::Stale) => call.await,
        Some(Fault::Throttled | Fault::Conflict) => Err(E::throttled(method)),
        Some(Fault::Unreachable) => Err(E::unavailable(method)),
        Some(Fault::Refused) => Err(E::refused(method)),
        Some(Fault::Hangs) => std::future::pending().await,
        Some(Fault::LostAnswer) => {
            call.await?;
            Err(E::unavailable(method))
        }
    }
}

impl<P: States> States for Faulty<P> {
    async fn read_states(
        &self,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, StoredState>, TableError> {
        let fault = self.next(Method::ReadStates);
        let read = plain(Method::ReadStates, fault, self.inner.read_states(sims)).await?;
        let mut script = self.script();
        if fault == Some(Fault::Stale) {
            let known = |sim: &SimSid| Some((*sim, script.states.get(sim)?.clone()));
            return Ok(sims.iter().filter_map(known).collect());
        }
        script.states.extend(read.clone());
        Ok(read)
    }

    async fn write_state(&self, write: &StateWrite) -> Result<Written, TableError> {
        match self.next(Method::WriteState) {
            Some(Fault::Conflict) => Ok(Written::Conflict),
            fault => plain(Method::WriteState, fault, self.inner.write_state(write)).await,
        }
    }

    async fn insert_finding(
        &self,
        sim: SimSid,
        finding: &Finding,
        received_at: Timestamp,
    ) -> Result<(), TableError> {
        let method = Method::InsertFinding;
        let call = self.inner.insert_finding(sim, finding, received_at);
        plain(method, self.next(method), call).await
    }
}

impl<P: Heartbeat> Heartbeat for Faulty<P> {
    async fn beat(&self, beat: Beat) -> Result<(), TableError> {
        let fault = self.next(Method::Beat);
        plain(Method::Beat, fault, self.inner.beat(beat)).await
    }

    async fn last_beat(&self) -> Result<Option<Beat>, TableError> {
        plain(Method::LastBeat, self.next(Method::LastBeat), self.inner.last_beat()).await
    }
}

impl<P: DeadLetters> DeadLetters for Faulty<P> {
    async fn put_dead_letter(&self, letter: &DeadLetter) -> Result<(), TableError> {
        let fault = self.next(Method::PutDeadLetter);
        plain(Method::PutDeadLetter, fault, self.inner.put_dead_letter(letter)).await
    }
}

impl<P: NewsFeed> NewsFeed for Faulty<P> {
    async fn insert_news(&self, news: &News, received_at: Timestamp) -> Result<(), TableError> {
        let fault = self.next(Method::InsertNews);
        plain(Method::InsertNews, fault, self.inner.insert_news(news, received_at)).await
    }
}

impl<P: NewsLimits> NewsLimits for Faulty<P> {
    async fn read_told(&self, scope: Scope) -> Result<(Told, u64), TableError> {
        plain(Method::ReadTold, self.next(Method::ReadTold), self.inner.read_told(scope)).await
    }

    async fn write_told(
        &self,
        scope: Scope,
        told: &Told,
        read: u64,
        now: Timestamp,
    ) -> Result<Committed, TableError> {
        match self.next(Method::WriteTold) {
            Some(Fault::Conflict) => Ok(Committed::Conflict),
            fault => {
                let call = self.inner.write_told(scope, told, read, now);
                plain(Method::WriteTold, fault, call).await
            }
        }
    }
}

impl<P: AuditLog> AuditLog for Faulty<P> {
    async fn record_audit(&self, entry: &AuditEntry) -> Result<(), TableError> {
        let fault = self.next(Method::RecordAudit);
        plain(Method::RecordAudit, fault, self.inner.record_audit(entry)).await
    }
}

impl<P: AuditTrail> AuditTrail for Faulty<P> {
    async fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, TableError> {
        let fault = self.next(Method::AuditPage);
        plain(Method::AuditPage, fault, self.inner.audit_page(query)).await
    }

    async fn audit_head(&self, chain: ChainName) -> Result<Option<Head>, TableError> {
        let fault = self.next(Method::AuditHead);
        plain(Method::AuditHead, fault, self.inner.audit_head(chain)).await
    }

    async fn heads_page(&self, day: Date, page: u32) -> Result<Option<Vec<ChainHead>>, TableError> {
        let fault = self.next(Method::HeadsPage);
        plain(Method::HeadsPage, fault, self.inner.heads_page(day, page)).await
    }

    async fn day_heads(&self, day: Date) -> Result<Option<DayHeads>, TableError> {
        plain(Method::DayHeads, self.next(Method::DayHeads), self.inner.day_heads(day)).await
    }
}

impl<P: HeadsLog> HeadsLog for Faulty<P> {
    async fn read_heads_run(&self) -> Result<(Option<HeadsRun>, u64), TableError> {
        let fault = self.next(Method::ReadHeadsRun);
        plain(Method::ReadHeadsRun, fault, self.inner.read_heads_run()).await
    }

    async fn write_heads_run(
        &self,
        run: &HeadsRun,
        page: Option<&[ChainHead]>,
        read: u64,
    ) -> Result<Committed, TableError> {
        match self.next(Method::WriteHeadsRun) {
            Some(Fault::Conflict) => Ok(Committed::Conflict),
            fault => {
                let call = self.inner.write_heads_run(run, page, read);
                plain(Method::WriteHeadsRun, fault, call).await
            }
        }
    }
}

impl<P: Fleets> Fleets for Faulty<P> {
    async fn fetch_fleet(&self, name: &str) -> Result<Fleet, ProviderError> {
        let fault = self.next(Method::FetchFleet);
        plain(Method::FetchFleet, fault, self.inner.fetch_fleet(name)).await
    }

    async fn set_data_limit(
        &self,
        fleet: FleetSid,
        megabytes: u32,
    ) -> Result<Fleet, ProviderError> {
        let fault = self.next(Method::SetDataLimit);
        let call = self.inner.set_data_limit(fleet, megabytes);
        plain(Method::SetDataLimit, fault, call).await
    }

    async fn list_fleets(&self, page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        let fault = self.next(Method::ListFleets);
        plain(Method::ListFleets, fault, self.inner.list_fleets(page)).await
    }

    async fn list_sims(
        &self,
        fleet: FleetSid,
        page: Option<&PageLink>,
    ) -> Result<Page<Sim>, ProviderError> {
        let fault = self.next(Method::ListSims);
        plain(Method::ListSims, fault, self.inner.list_sims(fleet, page)).await
    }
}

impl<P: UsageRanks> UsageRanks for Faulty<P> {
    async fn read_fleet_used(
        &self,
        fleet: FleetSid,
        windows: &[UsageWindow],
    ) -> Result<BTreeMap<UsageWindow, FleetUsed>, TableError> {
        let fault = self.next(Method::ReadFleetUsed);
        plain(Method::ReadFleetUsed, fault, self.inner.read_fleet_used(fleet, windows)).await
    }

    async fn read_ranks(
        &self,
        fleet: FleetSid,
        pages: &[(UsageWindow, u32)],
    ) -> Result<Vec<RankPage>, TableError> {
        let fault = self.next(Method::ReadRanks);
        plain(Method::ReadRanks, fault, self.inner.read_ranks(fleet, pages)).await
    }

    async fn read_listed(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, Sim>, TableError> {
        let fault = self.next(Method::ReadListed);
        plain(Method::ReadListed, fault, self.inner.read_listed(sims)).await
    }
}

impl<P: Usages> Usages for Faulty<P> {
    async fn read_usages(&self, sims: &[SimSid]) -> Result<BTreeMap<SimSid, SimUsage>, TableError> {
        let call = self.inner.read_usages(sims);
        plain(Method::ReadUsages, self.next(Method::ReadUsages), call).await
    }

    async fn read_cohort(&self, fleet: FleetSid) -> Result<Option<Cohort>, TableError> {
        let call = self.inner.read_cohort(fleet);
        plain(Method::ReadCohort, self.next(Method::ReadCohort), call).await
    }
}

impl<P: Cases> Cases for Faulty<P> {
    async fn read_case(&self, sim: SimSid) -> Result<Case, TableError> {
        let fault = self.next(Method::ReadCase);
        let case = plain(Method::ReadCase, fault, self.inner.read_case(sim)).await?;
        let mut script = self.script();
        if fault == Some(Fault::Stale) {
            return Ok(script.cases.get(&sim).cloned().unwrap_or(case));
        }
        script.cases.insert(sim, case.clone());
        Ok(case)
    }

    async fn read_kill_window(&self, scope: CapScope) -> Result<(KillWindow, u64), TableError> {
        let fault = self.next(Method::ReadKillWindow);
        let call = self.inner.read_kill_window(scope);
        let window = plain(Method::ReadKillWindow, fault, call).await?;
        let mut script = self.script();
        if fault == Some(Fault::Stale) {
            return Ok(script.kill_windows.get(&scope).cloned().unwrap_or_default());
        }
        script.kill_windows.insert(scope, window.clone());
        Ok(window)
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, TableError> {
        match self.next(Method::Commit) {
            Some(Fault::Conflict) => Ok(Committed::Conflict),
            fault => plain(Method::Commit, fault, self.inner.commit(commit)).await,
        }
    }

    async fn acknowledge(&self, sim: SimSid, keys: &[String]) -> Result<(), TableError> {
        let fault = self.next(Method::Acknowledge);
        plain(Method::Acknowledge, fault, self.inner.acknowledge(sim, keys)).await
    }

    async fn unacknowledged(
        &self,
        before: Timestamp,
        sims_max: usize,
    ) -> Result<Vec<SimSid>, TableError> {
        let fault = self.next(Method::Unacknowledged);
        plain(Method::Unacknowledged, fault, self.inner.unacknowledged(before, sims_max)).await
    }

    async fn open_incidents(
        &self,
        due_before: Timestamp,
        incidents_max: usize,
    ) -> Result<Vec<OpenIncident>, TableError> {
        let fault = self.next(Method::OpenIncidents);
        let call = self.inner.open_incidents(due_before, incidents_max);
        plain(Method::OpenIncidents, fault, call).await
    }

    async fn held_incidents(&self, incidents_max: usize) -> Result<Vec<Incident>, TableError> {
        let fault = self.next(Method::HeldIncidents);
        plain(Method::HeldIncidents, fault, self.inner.held_incidents(incidents_max)).await
    }

    async fn filed_incidents(
        &self,
        sim: SimSid,
        incidents_max: usize,
    ) -> Result<Vec<Incident>, TableError> {
        let fault = self.next(Method::FiledIncidents);
        plain(Method::FiledIncidents, fault, self.inner.filed_incidents(sim, incidents_max)).await
    }

    async fn fleet_sims(&self, fleet: FleetSid) -> Result<Option<u32>, TableError> {
        let call = self.inner.fleet_sims(fleet);
        plain(Method::FleetSims, self.next(Method::FleetSims), call).await
    }

    async fn read_stop(&self) -> Result<Option<Stop>, TableError> {
        plain(Method::ReadStop, self.next(Method::ReadStop), self.inner.read_stop()).await
    }

    async fn write_stop(&self, stop: Option<&Stop>, audit: &AuditEntry) -> Result<(), TableError> {
        let fault = self.next(Method::WriteStop);
        plain(Method::WriteStop, fault, self.inner.write_stop(stop, audit)).await
    }

    async fn last_paged(&self, name: &str) -> Result<Option<Timestamp>, TableError> {
        plain(Method::LastPaged, self.next(Method::LastPaged), self.inner.last_paged(name)).await
    }

    async fn record_paged(&self, name: &str, at: Timestamp) -> Result<(), TableError> {
        let fault = self.next(Method::RecordPaged);
        plain(Method::RecordPaged, fault, self.inner.record_paged(name, at)).await
    }
}

impl<P: SuperSim> SuperSim for Faulty<P> {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        let fault = self.next(Method::Fetch);
        let sim = plain(Method::Fetch, fault, self.inner.fetch(name)).await?;
        let mut script = self.script();
        if fault == Some(Fault::Stale) {
            return Ok(script.sims.get(&name.to_string()).cloned().unwrap_or(sim));
        }
        script.sims.insert(name.to_string(), sim.clone());
        Ok(sim)
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        match self.next(Method::SetStatus) {
            Some(Fault::Conflict) => Err(ProviderError::TransitionNotAllowed),
            fault => plain(Method::SetStatus, fault, self.inner.set_status(sim, status)).await,
        }
    }

    async fn set_fleet(&self, sim: SimSid, fleet: FleetSid) -> Result<Sim, ProviderError> {
        let fault = self.next(Method::SetFleet);
        plain(Method::SetFleet, fault, self.inner.set_fleet(sim, fleet)).await
    }
}

impl<P: Alerts> Alerts for Faulty<P> {
    async fn publish(&self, alert: &Alert) -> Result<(), AlertError> {
        let fault = self.next(Method::Publish);
        if fault == Some(Fault::Hangs) {
            return std::future::pending().await;
        }
        if matches!(fault, None | Some(Fault::Stale | Fault::LostAnswer)) {
            self.inner.publish(alert).await?;
        }
        if matches!(fault, None | Some(Fault::Stale)) {
            return Ok(());
        }
        let is_refused = fault == Some(Fault::Refused);
        Err(AlertError { alert_id: alert.id.clone(), is_refused, source: Box::new(Injected) })
    }
}
