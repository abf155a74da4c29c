//! The inventory, once a day: every SIM and fleet, and what contradicts itself.

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::finding::{DetectorId, Finding};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::notice::{NAMED_MAX, Notice};
use simfuse_domain::port::{
    Alerts, Clock, Heartbeat, Inventory, PageLink, Policies, Sim, SimStatus, States, UsageItem,
    UsageRecords, UsageStore, Usages,
};
use simfuse_domain::reconcile::Reconciliation;
use simfuse_domain::time::{Hour, Window};

use crate::checkpoint::{Checkpoint, Inventory as Taken, Run, Suspects};
use crate::error::AggregatorError;
use crate::handler::Aggregator;
use crate::run::{Context, PAGES_MAX, Progress};

/// Two inventories lie at least so far apart: what a SIM's status was before has to be from the day
/// before.
const APART_MIN: SignedDuration = SignedDuration::from_hours(20);

/// SIMs looked at together: their states of up to 8 kB each are in memory at once.
const SIMS_AT_ONCE: usize = 100;

/// SIMs whose unseen bytes are told one by one. More have one cause, and are told together.
const UNSEEN_MAX: u64 = 20;

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// Takes the day's inventory, unless it is taken.
    pub(crate) async fn take_inventory(
        &self,
        context: &Context<'_>,
        run: &mut Checkpoint<Run>,
        now: Timestamp,
    ) -> Result<Progress, AggregatorError> {
        let today = Window::of_day(Hour::of(now)).hours.start;
        let is_fresh = |at: Timestamp| now.duration_since(at) < APART_MIN;
        let is_taken = run.content.inventory_of >= Some(today)
            || (run.content.inventory.is_none() && run.content.inventory_at.is_some_and(is_fresh));
        let Some(closed_through) = run.content.closed_through.filter(|_| !is_taken) else {
            return Ok(Progress::Done);
        };
        let behind = run.content.behind.clone();
        let closed = |fleet: Option<FleetSid>| {
            fleet.and_then(|fleet| behind.get(&fleet)).copied().unwrap_or(closed_through)
        };
        // A copy: whatever ends this run, the next goes on from what was written last.
        let mut taken = run.content.inventory.clone().unwrap_or_default();
        while !taken.is_read {
            context.at(format!("taking the inventory, {} SIMs so far", taken.sims_read));
            if self.is_over(context) {
                return Ok(Progress::Paused);
            }
            let link = taken.next.clone().map(PageLink);
            let page = self.provider.sims_page(link.as_ref()).await;
            context.tally(|answer| answer.calls += 1);
            let page = page.map_err(AggregatorError::provider("listing SIMs"))?;
            if taken.pages >= PAGES_MAX || (page.next.is_some() && page.next == link) {
                let (what, pages) = ("the list of SIMs".to_owned(), taken.pages);
                return Err(AggregatorError::Endless { what, pages });
            }
            for sims in page.items.chunks(SIMS_AT_ONCE) {
                self.take_sims(context, &mut taken, sims, &closed).await?;
            }
            taken.pages = taken.pages.saturating_add(1);
            taken.next = page.next.map(|link| link.0);
            taken.is_read = taken.next.is_none();
            run.content.inventory = Some(taken.clone());
            run.write(&self.table, self.clock.now()).await?;
        }
        if !self.conclude(context, &taken).await? {
            return Ok(Progress::Done);
        }
        run.content.inventory = None;
        (run.content.inventory_of, run.content.inventory_at) = (Some(today), Some(now));
        run.write(&self.table, self.clock.now()).await?;
        Ok(Progress::Done)
    }

    async fn take_sims(
        &self,
        context: &Context<'_>,
        taken: &mut Taken,
        sims: &[Sim],
        closed: &impl Fn(Option<FleetSid>) -> Hour,
    ) -> Result<(), AggregatorError> {
        let sids: Vec<SimSid> = sims.iter().map(|sim| sim.sid).collect();
        let table = &self.table;
        let read = tokio::try_join!(
            table.read_inventory(&sids),
            table.read_states(&sids),
            table.read_usages(&sids),
            table.read_desired(&sids)
        );
        let (known, states, usages, desired) =
            read.map_err(AggregatorError::table("reading what is known of SIMs"))?;
        let now = self.clock.now();
        let (mut items, mut findings) = (Vec::new(), Vec::new());
        for sim in sims {
            count(taken, sim);
            let before = known.get(&sim.sid);
            let looked = Reconciliation {
                now,
                closed_through: closed(sim.fleet),
                sim,
                status_before: before.map(|before| before.status),
                desired: desired.get(&sim.sid),
                state: states.get(&sim.sid).map(|stored| &*stored.state),
                usage: usages.get(&sim.sid),
            };
            let found = suspect(taken, &looked);
            if !found.is_empty() {
                findings.push((sim.sid, found));
            }
            if before != Some(sim) {
                items.push(UsageItem::Inventory(sim.clone()));
            }
        }
        // What is found rests on the status before: it is written after.
        self.insert(&findings).await?;
        self.put(context, &items).await
    }

    /// Writes the fleets' sizes, and tells what is told together. Says whether that is out.
    async fn conclude(
        &self,
        context: &Context<'_>,
        taken: &Taken,
    ) -> Result<bool, AggregatorError> {
        for (fleet, sims) in &taken.sims {
            let known = self.table.read_fleet(*fleet).await;
            // A SIM may be in a fleet that was made a moment ago; the next inventory has it.
            let known = known.map_err(AggregatorError::table("reading a fleet"))?;
            let Some(mut item) = known else { continue };
            item.sims = Some(*sims);
            self.put(context, &[UsageItem::FleetInventory(item)]).await?;
        }
        let Suspects { count, named } = taken.unseen.clone();
        let mut is_told = true;
        if count > UNSEEN_MAX {
            is_told &= self.notify(&Notice::BytesUnseen { sims: count, named }).await?;
        }
        let Suspects { count, named } = taken.silent.clone();
        if count > 0 {
            is_told &= self.notify(&Notice::Silent { sims: count, named }).await?;
        }
        Ok(is_told)
    }
}

fn count(taken: &mut Taken, sim: &Sim) {
    taken.sims_read = taken.sims_read.saturating_add(1);
    let Some(fleet) = sim.fleet else { return };
    let sims = taken.sims.entry(fleet).or_default();
    let of_status = match sim.status {
        SimStatus::Active | SimStatus::Ready => &mut sims.active,
        SimStatus::Inactive => &mut sims.inactive,
        SimStatus::New | SimStatus::Scheduled | SimStatus::Unknown => &mut sims.other,
    };
    *of_status = of_status.saturating_add(1);
}

/// What is found of a SIM and handed over; what many SIMs share is counted for a notice.
fn suspect(taken: &mut Taken, looked: &Reconciliation<'_>) -> Vec<Finding> {
    let name = looked.sim.unique_name.clone().unwrap_or_else(|| looked.sim.sid.to_string());
    let mut found = looked.findings();
    found.retain(|finding| match finding.detector {
        DetectorId::BytesUnseen => {
            remember(&mut taken.unseen, &name, finding);
            taken.unseen.count <= UNSEEN_MAX
        }
        DetectorId::Silent => {
            if fell_silent_today(looked) {
                remember(&mut taken.silent, &name, finding);
            }
            true
        }
        _ => true,
    });
    found
}

fn fell_silent_today(looked: &Reconciliation<'_>) -> bool {
    let yesterday = looked.now.saturating_sub(SignedDuration::from_hours(24));
    let before = Reconciliation { now: yesterday.unwrap_or(Timestamp::MIN), ..*looked };
    !before.findings().iter().any(|finding| finding.detector == DetectorId::Silent)
}

fn remember(suspects: &mut Suspects, name: &str, finding: &Finding) {
    suspects.count = suspects.count.saturating_add(1);
    if suspects.named.len() < NAMED_MAX {
        suspects.named.push(format!("{name}: {finding}"));
    }
}
