//! The audit, for those who read it; and, once a day, the record of what its chains ended with.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use simfuse_domain::audit::{
    AuditRecord, ChainHead, ChainName, DayHeads, Head, HeadsRun, heads_of,
};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{
    Alerts, AuditCursor, AuditLog, AuditQuery, AuditTrail, Campaigns, Cases, Clock, Committed,
    Fleets, HeadsLog, Heartbeat, Policies, PolicyVersions, ProviderError, States, SuperSim,
    TableError, UsageRanks,
};

use crate::engine::KillSwitch;
use crate::error::{Chain, KillSwitchError};
use crate::find::NotFound;
use crate::request::Request;

/// Entries of one page, where the request does not say how many.
const PAGE_SIZE: u32 = 100;

/// Entries of one page, at most: some 0.3 MB, of the 6 MB that an answer may have.
pub const PAGE_SIZE_MAX: u32 = 500;

/// The span that is read where the request does not say from when.
const SPAN: SignedDuration = SignedDuration::from_hours(24);

/// Steps of the record of heads in one sweep: 10,000 entries, a second or two; the next goes on.
const STEPS_MAX: usize = 20;

/// One page of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditAnswer {
    /// Entries from this time on.
    pub since: Timestamp,
    /// Entries before this time.
    pub until: Timestamp,
    /// The SIMs that were asked for, in the order of the request.
    #[serde(default)]
    pub sims: Vec<SimSid>,
    /// The fleet that was asked for.
    #[serde(default)]
    pub fleet: Option<FleetSid>,
    /// The entries: by time; where SIMs were asked for, one SIM after the other.
    pub entries: Vec<AuditRecord>,
    /// Items that could not be read, and are left out.
    #[serde(default)]
    pub unreadable: u64,
    /// Entries left out because they do not say which fleet they are of, where one was asked for.
    #[serde(default)]
    pub fleet_unknown: u64,
    /// Where one chain alone was asked for, and on its first page: its end, read before the entries.
    #[serde(default)]
    pub head: Option<Head>,
    /// Where a day's heads were asked for: these.
    #[serde(default)]
    pub heads: Option<HeadsAnswer>,
    /// Where the next page begins; absent: this is the last one. A page without entries may have
    /// one that follows.
    #[serde(default)]
    pub next: Option<String>,
}

/// One page of what was recorded of a day's heads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsAnswer {
    /// The day's record; absent while it is not whole.
    pub day: Option<DayHeads>,
    /// The heads of this page.
    pub heads: Vec<ChainHead>,
}

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + PolicyVersions + AuditLog + AuditTrail + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Reads one page, or says why not.
    pub(crate) async fn audit(
        &self,
        request: &Request,
    ) -> Result<Result<AuditAnswer, String>, KillSwitchError> {
        let until = request.until.unwrap_or_else(|| self.clock.now());
        let day_before = || until.saturating_sub(SPAN).unwrap_or(Timestamp::MIN);
        let since = request.since.unwrap_or_else(day_before);
        if since >= until {
            return Ok(Err(format!("no time lies between {since} and {until}")));
        }
        if request.account_only && !(request.sims.is_empty() && request.fleet.is_none()) {
            return Ok(Err("\"account_only\" with \"sims\" or \"fleet\"".to_owned()));
        }
        let mut answer = AuditAnswer {
            since,
            until,
            sims: Vec::new(),
            fleet: None,
            entries: Vec::new(),
            unreadable: 0,
            fleet_unknown: 0,
            head: None,
            heads: None,
            next: None,
        };
        if let Some(day) = request.heads_of {
            return Ok(self.recorded_heads(day, request, &mut answer).await?.map(|()| answer));
        }
        if let Err(reason) = self.resolve(request, &mut answer).await {
            return Ok(Err(reason));
        }
        Ok(self.entries(request, &mut answer).await?.map(|()| answer))
    }

    /// Finds the SIMs and the fleet that are asked for. A SID is taken as it is: what was done to a
    /// SIM can be read when the provider knows it no more.
    async fn resolve(&self, request: &Request, answer: &mut AuditAnswer) -> Result<(), String> {
        for name in &request.sims {
            let sim = match name.parse() {
                Ok(sim) => sim,
                Err(_no_sid) => self.find(name).await.map_err(|error| no_such(name, &error))?.sid,
            };
            answer.sims.push(sim);
        }
        if let Some(name) = &request.fleet {
            answer.fleet = Some(match name.parse() {
                Ok(fleet) => fleet,
                Err(_no_sid) => {
                    let fleet = self.provider.fetch_fleet(name).await;
                    fleet.map_err(|error| no_such(name, &error.into()))?.sid
                }
            });
        }
        Ok(())
    }

    async fn entries(
        &self,
        request: &Request,
        answer: &mut AuditAnswer,
    ) -> Result<Result<(), String>, KillSwitchError> {
        let chains: Vec<ChainName> = if request.account_only {
            vec![ChainName::Account]
        } else {
            answer.sims.iter().copied().map(ChainName::Sim).collect()
        };
        let Some((place, after)) = position(request.cursor.as_deref(), chains.len()) else {
            return Ok(Err("\"cursor\" is not one that an answer gave".to_owned()));
        };
        let chain = chains.get(place).copied();
        if let ([chain], None) = (chains.as_slice(), &after) {
            answer.head = match self.table.audit_head(*chain).await {
                Ok(head) => head,
                // As good as none.
                Err(TableError::Fault { .. }) => None,
                Err(error) => return Err(KillSwitchError::table("reading a head")(error)),
            };
        }
        let size = request.page_size.unwrap_or(PAGE_SIZE).clamp(1, PAGE_SIZE_MAX);
        let entries_max = usize::try_from(size).unwrap_or(1);
        let (since, until) = (answer.since, answer.until);
        let query = AuditQuery { chain, since, until, after, entries_max };
        let page = self.table.audit_page(&query).await;
        let page = page.map_err(KillSwitchError::table("reading the audit"))?;
        answer.unreadable = page.unreadable;
        answer.entries = page.records;
        if let Some(fleet) = answer.fleet {
            let all = answer.entries.len();
            answer.entries.retain(|record| record.entry.fleet.is_some());
            let unknown = all.saturating_sub(answer.entries.len());
            answer.fleet_unknown = u64::try_from(unknown).unwrap_or(u64::MAX);
            answer.entries.retain(|record| record.entry.fleet == Some(fleet));
        }
        answer.next = match page.next {
            Some(next) => Some(format!("{place} {next}")),
            None => {
                let place = place.saturating_add(1);
                (place < chains.len()).then(|| format!("{place} begin"))
            }
        };
        Ok(Ok(()))
    }

    async fn recorded_heads(
        &self,
        day: Date,
        request: &Request,
        answer: &mut AuditAnswer,
    ) -> Result<Result<(), String>, KillSwitchError> {
        let Ok(page) = request.cursor.as_deref().unwrap_or("1").parse::<u32>() else {
            return Ok(Err("\"cursor\" is not one that an answer gave".to_owned()));
        };
        let whole = self.table.day_heads(day).await;
        let whole = whole.map_err(KillSwitchError::table("reading a day's record"))?;
        let heads = self.table.heads_page(day, page).await;
        let heads = heads.map_err(KillSwitchError::table("reading a day's heads"))?;
        let more = heads.is_some() && whole.is_none_or(|whole| page < whole.pages);
        answer.next = more.then(|| page.saturating_add(1).to_string());
        answer.heads = Some(HeadsAnswer { day: whole, heads: heads.unwrap_or_default() });
        Ok(Ok(()))
    }
}

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat + States + UsageRanks + AuditTrail + HeadsLog,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Records the heads of the days that are over. What fails is left to the next sweep: it must
    /// not fail this one.
    pub(crate) async fn record_heads(&self) {
        for _step in 0..STEPS_MAX {
            match self.record_some_heads().await {
                Ok(Committed::Done) => {}
                Ok(Committed::Conflict) => return,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the audit's heads were not recorded");
                    return;
                }
            }
        }
    }

    /// One step. `Conflict`: there is no more to do, or another sweep does it.
    async fn record_some_heads(&self) -> Result<Committed, TableError> {
        let now = self.clock.now();
        let (run, version) = self.table.read_heads_run().await?;
        let run = run.unwrap_or_else(|| HeadsRun::first(now));
        if run.is_whole {
            // The digest is worth most where those who may write the table may not: in the log.
            let DayHeads { day, digest, .. } = run.so_far;
            tracing::info!(audit.day = %day, audit.digest = %digest, "{}", run.so_far);
            if !Box::pin(self.tell_digest(&run)).await {
                return Ok(Committed::Conflict);
            }
            return self.table.write_heads_run(&run.next(), None, version).await;
        }
        if !run.is_due(now) {
            return Ok(Committed::Conflict);
        }
        let (since, until) = run.span();
        let (mut so_far, mut tally) = (run.so_far, run.tally);
        let after = run.after.as_deref().map(str::parse::<AuditCursor>);
        let after = match after.transpose() {
            Ok(after) => after,
            // From the beginning: half of a day under one digest would say nothing.
            Err(_unreadable) => {
                so_far = DayHeads::of(so_far.day);
                tally = tally.map(|tally| tally.begun_anew());
                None
            }
        };
        let entries_max = usize::try_from(PAGE_SIZE_MAX).unwrap_or(1);
        let query = AuditQuery { chain: None, since, until, after, entries_max };
        let page = self.table.audit_page(&query).await?;
        let heads = heads_of(&page.records);
        let has_heads = !heads.is_empty();
        if has_heads {
            so_far = so_far.with(u64::try_from(page.records.len()).unwrap_or(u64::MAX), &heads);
        }
        if let Some(tally) = &mut tally {
            page.records.iter().for_each(|record| tally.count(so_far.day, &record.entry));
        }
        let is_whole = page.next.is_none();
        let run =
            HeadsRun { so_far, after: page.next.map(|next| next.to_string()), is_whole, tally };
        self.table.write_heads_run(&run, has_heads.then_some(heads.as_slice()), version).await
    }
}

/// Which of the chains a cursor is in, and where in it.
fn position(cursor: Option<&str>, chains: usize) -> Option<(usize, Option<AuditCursor>)> {
    let Some(cursor) = cursor else {
        return Some((0, None));
    };
    let (place, after) = cursor.split_once(' ')?;
    let place = place.parse().ok().filter(|place| *place < chains.max(1))?;
    match after {
        "begin" => Some((place, None)),
        after => Some((place, Some(after.parse().ok()?))),
    }
}

fn no_such(name: &str, error: &NotFound) -> String {
    match error {
        NotFound::Provider(ProviderError::NotFound) => {
            format!("the provider knows no {name}: name it by its SID")
        }
        error => format!("{name} could not be looked up: {}", error.said().1),
    }
}
