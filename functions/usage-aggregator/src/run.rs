//! One run: whatever is due, in order, as far as the time allows.
//!
//! The newest hour is seen first, because it is what a thief is in. Then the inventory, once a day;
//! at first the history; and then every hour that ended three hours ago or earlier is closed.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use simfuse_domain::id::FleetSid;
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Alerts, Clock, Fleet, Heartbeat, Inventory, PageLink, Pass, Policies, States, UsageRecords,
    UsageStore, UsageWindow, Usages,
};
use simfuse_domain::time::Hour;
use simfuse_domain::usage::CLOSE_AFTER;

use crate::checkpoint::{Checkpoint, Lease, Run};
use crate::error::AggregatorError;
use crate::handler::{Aggregator, Answer, Invocation, STOP_BEFORE};

/// Days compared again when a day is closed, itself included: their records may still have grown.
pub(crate) const DAYS_COMPARED: i32 = 4;

/// Fleets of one account: more than any operator has, and a checkpoint holds their counts.
const FLEETS_MAX: usize = 1_000;

/// Pages of a list that is not usage: a list that goes on longer links to itself.
pub(crate) const PAGES_MAX: u32 = 10_000;

/// Whether a stage is over, or the run's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing is left of it.
    Done,
    /// The next run goes on with it.
    Paused,
}

/// What the stages of one run share.
pub(crate) struct Context<'a> {
    pub(crate) policy: &'a Policy,
    stop_at: Timestamp,
    answer: Mutex<Answer>,
}

impl Context<'_> {
    /// Notes what the run did.
    pub(crate) fn tally(&self, note: impl FnOnce(&mut Answer)) {
        note(&mut self.answer.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes what the run is at.
    pub(crate) fn at(&self, progress: String) {
        tracing::info!(progress, "aggregating");
        self.tally(|answer| answer.progress = progress);
    }
}

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// Does what is due, unless another run is under way.
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<Answer, AggregatorError> {
        let mut run = Checkpoint::of_run(&self.table).await?;
        let now = self.clock.now();
        let taken = run.content.lease.as_ref().is_some_and(|lease| lease.until > now);
        if taken {
            return Ok(Answer { busy: true, ..Answer::default() });
        }
        let lease = Lease { owner: invocation.id.clone(), until: invocation.deadline };
        run.content.lease = Some(lease);
        run.write(&self.table, now).await?;
        let policy = self.table.current_policy().await;
        let policy = policy.map_err(AggregatorError::table("reading the policy"))?;
        let stop_at = invocation.deadline.saturating_sub(STOP_BEFORE).unwrap_or(now);
        let context = Context { policy: &policy, stop_at, answer: Mutex::default() };
        let ran = self.stages(&context, &mut run).await;
        // Whether it went well or not, the next run need not wait.
        run.content.lease = None;
        let released = run.write(&self.table, self.clock.now()).await;
        let progress = ran?;
        released?;
        let closed_through = run.content.closed_through.map(|hour| hour.to_string());
        let answer = context.answer.into_inner().unwrap_or_else(PoisonError::into_inner);
        let behind = std::mem::take(&mut run.content.behind);
        let behind = behind.into_iter().map(|(fleet, hour)| (fleet, hour.to_string())).collect();
        let done = progress == Progress::Done;
        let answer = Answer { done, closed_through, behind, ..answer };
        tracing::info!(
            run.done = answer.done,
            run.pages = answer.pages,
            run.records = answer.records,
            run.records_unknown = answer.records_unknown,
            run.items_written = answer.items_written,
            run.calls = answer.calls,
            "run is over"
        );
        Ok(answer)
    }

    /// Whether the run's time is over.
    pub(crate) fn is_over(&self, context: &Context<'_>) -> bool {
        self.clock.now() >= context.stop_at
    }

    async fn stages(
        &self,
        context: &Context<'_>,
        run: &mut Checkpoint<Run>,
    ) -> Result<Progress, AggregatorError> {
        let now = self.clock.now();
        let fleets = self.fleets(context).await?;
        let sids: Vec<FleetSid> = fleets.iter().map(|fleet| fleet.sid).collect();
        self.look_at_fleets(context, &fleets).await?;
        self.look_for_silence(&mut run.content, now).await?;
        let closable = Hour::of(now.saturating_sub(CLOSE_AFTER).unwrap_or(now)).before();
        run.content.closed_through.get_or_insert(closable);
        // What cannot be seen or listed now must not keep hours from being closed.
        let seen = self.see(context, run, &sids, now).await;
        let taken = match seen {
            Ok(Progress::Paused) => return Ok(Progress::Paused),
            _ => self.take_inventory(context, run, now).await,
        };
        if matches!(taken, Ok(Progress::Paused))
            || self.read_history(context, run, &sids).await? == Progress::Paused
        {
            return Ok(Progress::Paused);
        }
        if self.close_due(context, run, &sids, closable).await? == Progress::Paused {
            return Ok(Progress::Paused);
        }
        seen.and(taken)
    }

    /// Sees the hour that ended last.
    async fn see(
        &self,
        context: &Context<'_>,
        run: &mut Checkpoint<Run>,
        fleets: &[FleetSid],
        now: Timestamp,
    ) -> Result<Progress, AggregatorError> {
        let latest = Hour::of(now).before();
        if run.content.seen_through >= Some(latest) {
            return Ok(Progress::Done);
        }
        context.at(format!("seeing {latest}"));
        let window = UsageWindow::Hour(latest);
        let reads = self.read_window(context, fleets, window, Pass::Fresh, latest).await;
        let progress = reads.first_error()?;
        if progress == Progress::Done {
            run.content.seen_through = Some(latest);
            run.write(&self.table, self.clock.now()).await?;
        }
        Ok(progress)
    }

    /// All fleets of the account.
    async fn fleets(&self, context: &Context<'_>) -> Result<Vec<Fleet>, AggregatorError> {
        let mut fleets: Vec<Fleet> = Vec::new();
        let mut next: Option<PageLink> = None;
        for pages in 1..=PAGES_MAX {
            let page = self.provider.fleets_page(next.as_ref()).await;
            context.tally(|answer| answer.calls += 1);
            let page = page.map_err(AggregatorError::provider("listing fleets"))?;
            fleets.extend(page.items);
            if page.next.is_none() && fleets.len() <= FLEETS_MAX {
                fleets.sort_by_key(|fleet| fleet.sid);
                fleets.dedup_by_key(|fleet| fleet.sid);
                return Ok(fleets);
            }
            if page.next == next || page.next.is_none() {
                let what = "the list of fleets".to_owned();
                return Err(AggregatorError::Endless { what, pages });
            }
            next = page.next;
        }
        let what = "the list of fleets".to_owned();
        Err(AggregatorError::Endless { what, pages: PAGES_MAX })
    }
}
