//! SIMs by fleet and usage.
//!
//! Usage is what the aggregator ranked of each fleet's hours and days, and, of hours that it does
//! not know yet, what events prove. Both are lower bounds, so a SIM is selected only if it is
//! proven to have used more than asked for: what is unknown selects nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::chain::Chain;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{
    Cases, Clock, FleetUsed, Fleets, PageLink, ProviderError, States, UsageRanks, UsageWindow,
};
use simfuse_domain::time::Hour;

use crate::choice::{Megabytes, SIMS_MAX, Select};
use crate::engine::KillSwitch;
use crate::error::KillSwitchError;
use crate::request::Selected;

/// Up to so many hours are added up one by one; of more, whole days are taken where they are known.
const HOURS_ONE_BY_ONE: u32 = 48;

/// SIMs of a fleet whose events are looked at, those with the largest records: 20 reads of 100.
const EVENTS_OF_SIMS_MAX: usize = 2_000;

/// Open incidents read, to find SIMs that no record names yet.
const INCIDENTS_MAX: usize = 5_000;

/// States and inventory items read at once.
const SIMS_PER_READ: usize = 500;

/// Pages of a rank read at once: some 4 MB.
const RANK_PAGES_PER_READ: usize = 40;

/// SIMs on a page of a rank that is full, as all pages of a rank are that leaves SIMs out.
const SIMS_PER_RANK_PAGE: u64 = 4_000;

/// Fleets read at the same time.
const FLEETS_AT_ONCE: usize = 4;

/// Pages of a list followed: 50 of 1,000 hold as many SIMs as are taken, and some may be short.
const LIST_PAGES_MAX: usize = 200;

/// What a selection found, or why it was refused.
pub(crate) type Selection = Result<(Vec<(SimSid, Option<Bytes>)>, Selected), String>;

/// A SIM's bytes in the hours that were asked for.
type Used = BTreeMap<SimSid, Bytes>;

/// One fleet's usage.
struct OfFleet {
    used: Used,
    hours_known: u32,
    known_through: Option<Hour>,
    sims_unranked: u64,
}

/// Which windows of a fleet are added up, and which hours no record is known of.
struct Windows {
    known: BTreeMap<UsageWindow, FleetUsed>,
    unknown: Vec<Range<Hour>>,
    hours_known: u32,
    known_through: Option<Hour>,
}

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: UsageRanks + States + Cases,
    P: Fleets,
    C: Clock,
{
    /// Finds the SIMs that a request selects, largest first.
    pub(crate) async fn select(&self, select: &Select) -> Result<Selection, KillSwitchError> {
        let fleet = match &select.fleet {
            None => None,
            Some(name) => match self.provider.fetch_fleet(name.trim()).await {
                Ok(fleet) => Some(fleet.sid),
                Err(ProviderError::NotFound) => {
                    return Ok(Err(format!("the provider knows no fleet {name:?}")));
                }
                Err(error) => return Ok(Err(format!("fleet {name:?}: {}", Chain(&error)))),
            },
        };
        match (fleet, select.used_more_than_mb) {
            (Some(fleet), None) => Ok(self.all_of(fleet).await),
            (fleet, megabytes) => {
                let Megabytes(more_than) = megabytes.unwrap_or(Megabytes(Bytes(0)));
                self.by_usage(fleet, more_than, select.hours()).await
            }
        }
    }

    /// All SIMs of a fleet, as the provider lists them.
    async fn all_of(&self, fleet: FleetSid) -> Selection {
        let mut sims = BTreeSet::new();
        let mut next: Option<PageLink> = None;
        for _page in 0..LIST_PAGES_MAX {
            let page = self.provider.list_sims(fleet, next.as_ref()).await;
            let page = page.map_err(|error| format!("listing the fleet: {}", Chain(&error)))?;
            sims.extend(page.items.into_iter().map(|sim| sim.sid));
            if sims.len() > SIMS_MAX {
                return Err(too_many());
            }
            match page.next {
                None => {
                    let selected = nothing_known(Some(fleet), 0);
                    return Ok((sims.into_iter().map(|sim| (sim, None)).collect(), selected));
                }
                same if same == next => break,
                link => next = link,
            }
        }
        Err("listing the fleet: the provider's list does not end".to_owned())
    }

    async fn by_usage(
        &self,
        fleet: Option<FleetSid>,
        more_than: Bytes,
        hours: u32,
    ) -> Result<Selection, KillSwitchError> {
        let fleets = match fleet {
            Some(fleet) => vec![fleet],
            None => match self.all_fleets().await {
                Ok(fleets) => fleets,
                Err(error) => return Ok(Err(error)),
            },
        };
        let now = self.clock.now();
        let open = self.table.open_incidents(Timestamp::MAX, INCIDENTS_MAX).await;
        let open = open.map_err(KillSwitchError::table("listing open incidents"))?;
        let suspects = |fleet: FleetSid| -> Vec<SimSid> {
            let of_fleet = open.iter().filter(|open| open.incident.fleet == Some(fleet));
            of_fleet.map(|open| open.incident.sim).collect()
        };
        let read = fleets.iter().map(|fleet| self.of_fleet(*fleet, suspects(*fleet), hours, now));
        let read: Vec<_> = read.collect();
        let read: Vec<OfFleet> = stream::iter(read).buffered(FLEETS_AT_ONCE).try_collect().await?;
        let mut selected = nothing_known(fleet, hours);
        let known_through = read.iter().map(|of_fleet| of_fleet.known_through).min().flatten();
        selected.known_through = known_through.map(|hour| hour.to_string());
        selected.hours_known = read.iter().map(|of_fleet| of_fleet.hours_known).min().unwrap_or(0);
        let unranked = read.iter().map(|of_fleet| of_fleet.sims_unranked);
        selected.sims_unranked = unranked.max().unwrap_or(0);
        let mut used = Used::new();
        for (sim, bytes) in read.into_iter().flat_map(|of_fleet| of_fleet.used) {
            let sum = used.entry(sim).or_default();
            *sum = sum.plus(bytes);
        }
        used.retain(|_, bytes| *bytes > more_than);
        if let Some(fleet) = fleet {
            selected.sims_moved = self.leave_out_moved(fleet, &mut used).await?;
        }
        if used.len() > SIMS_MAX {
            return Ok(Err(too_many()));
        }
        let mut sims: Vec<_> = used.into_iter().map(|(sim, bytes)| (sim, Some(bytes))).collect();
        sims.sort_by_key(|(sim, bytes)| (std::cmp::Reverse(*bytes), *sim));
        Ok(Ok((sims, selected)))
    }

    async fn all_fleets(&self) -> Result<Vec<FleetSid>, String> {
        let mut fleets = BTreeSet::new();
        let mut next: Option<PageLink> = None;
        for _page in 0..LIST_PAGES_MAX {
            let page = self.provider.list_fleets(next.as_ref()).await;
            let page = page.map_err(|error| format!("listing all fleets: {}", Chain(&error)))?;
            if page.unreadable > 0 {
                return Err("listing all fleets: one of them cannot be read".to_owned());
            }
            fleets.extend(page.items.into_iter().map(|fleet| fleet.sid));
            match page.next {
                None => return Ok(fleets.into_iter().collect()),
                same if same == next => break,
                link => next = link,
            }
        }
        Err("listing all fleets: the provider's list does not end".to_owned())
    }

    /// What the SIMs of a fleet used: by its ranks, and of hours without them by their events.
    async fn of_fleet(
        &self,
        fleet: FleetSid,
        suspects: Vec<SimSid>,
        hours: u32,
        now: Timestamp,
    ) -> Result<OfFleet, KillSwitchError> {
        let windows = self.windows(fleet, hours, now).await?;
        let mut used = Used::new();
        let mut sims_unranked = 0;
        let mut pages = Vec::new();
        for (window, total) in &windows.known {
            pages.extend((0..total.rank_pages).map(|page| (*window, page)));
            let ranked = u64::from(total.rank_pages).saturating_mul(SIMS_PER_RANK_PAGE);
            sims_unranked = sims_unranked.max(total.sims.saturating_sub(ranked));
        }
        for pages in pages.chunks(RANK_PAGES_PER_READ) {
            let ranks = self.table.read_ranks(fleet, pages).await;
            let ranks = ranks.map_err(KillSwitchError::table("reading SIMs by usage"))?;
            for (sim, bytes) in ranks.into_iter().flatten() {
                let sum = used.entry(sim).or_default();
                *sum = sum.plus(bytes);
            }
        }
        let mut looked_at: Vec<(SimSid, Bytes)> =
            used.iter().map(|(sim, bytes)| (*sim, *bytes)).collect();
        looked_at.sort_by_key(|(sim, bytes)| (std::cmp::Reverse(*bytes), *sim));
        looked_at.truncate(EVENTS_OF_SIMS_MAX);
        let sims: BTreeSet<SimSid> =
            looked_at.into_iter().map(|(sim, _)| sim).chain(suspects).collect();
        let sims: Vec<SimSid> = sims.into_iter().collect();
        for sims in sims.chunks(SIMS_PER_READ) {
            let states = self.table.read_states(sims).await;
            let states = states.map_err(KillSwitchError::table("reading states"))?;
            for (sim, stored) in states {
                // Of a SIM that moved, the hours count in the fleet where it is now.
                if stored.state.fleet().is_some_and(|other| other != fleet) {
                    continue;
                }
                let bytes = windows.unknown.iter().map(|hours| stored.state.bytes_in(hours));
                let bytes: Bytes = bytes.sum();
                if bytes > Bytes(0) {
                    let sum = used.entry(sim).or_default();
                    *sum = sum.plus(bytes);
                }
            }
        }
        let Windows { hours_known, known_through, .. } = windows;
        Ok(OfFleet { used, hours_known, known_through, sims_unranked })
    }

    /// Reads which hours and days of a fleet are known.
    async fn windows(
        &self,
        fleet: FleetSid,
        hours: u32,
        now: Timestamp,
    ) -> Result<Windows, KillSwitchError> {
        let end = Hour::of(now);
        let start = end.plus(0_i32.saturating_sub_unsigned(hours));
        let all: Vec<Hour> = each(start..end).collect();
        let mut asked: BTreeSet<UsageWindow> = all.iter().copied().map(UsageWindow::Hour).collect();
        if hours > HOURS_ONE_BY_ONE {
            asked.extend(all.iter().copied().map(UsageWindow::day_of));
        }
        let asked: Vec<UsageWindow> = asked.into_iter().collect();
        let known = self.table.read_fleet_used(fleet, &asked).await;
        let mut known = known.map_err(KillSwitchError::table("reading what a fleet used"))?;
        // A day counts where it lies wholly within the hours, and then its hours do not.
        let days: Vec<Range<Hour>> = known
            .keys()
            .filter(|window| matches!(window, UsageWindow::Day(_)))
            .map(|day| day.window().hours)
            .filter(|day| start <= day.start && day.end <= end)
            .collect();
        let in_day = |hour: &Hour| days.iter().any(|day| day.contains(hour));
        known.retain(|window, _| match window {
            UsageWindow::Hour(hour) => !in_day(hour),
            UsageWindow::Day(hour) => in_day(hour),
        });
        let is_known = |hour: &Hour| in_day(hour) || known.contains_key(&UsageWindow::Hour(*hour));
        let hours_known = all.iter().filter(|hour| is_known(hour)).count();
        let mut unknown: Vec<Range<Hour>> = Vec::new();
        for hour in each(start..end.after()).filter(|hour| !is_known(hour)) {
            match unknown.last_mut().filter(|range| range.end == hour) {
                Some(range) => range.end = hour.after(),
                None => unknown.push(hour..hour.after()),
            }
        }
        Ok(Windows {
            unknown,
            hours_known: u32::try_from(hours_known).unwrap_or(u32::MAX),
            known_through: all.iter().rev().find(|hour| is_known(hour)).copied(),
            known,
        })
    }

    /// Leaves out SIMs that the inventory has in another fleet, and says how many.
    async fn leave_out_moved(
        &self,
        fleet: FleetSid,
        used: &mut Used,
    ) -> Result<usize, KillSwitchError> {
        let sims: Vec<SimSid> = used.keys().copied().collect();
        let mut moved = 0;
        for sims in sims.chunks(SIMS_PER_READ) {
            let listed = self.table.read_listed(sims).await;
            let listed = listed.map_err(KillSwitchError::table("reading the inventory"))?;
            for sim in listed.into_values() {
                if sim.fleet.is_some_and(|other| other != fleet) {
                    used.remove(&sim.sid);
                    moved += 1;
                }
            }
        }
        Ok(moved)
    }
}

fn each(hours: Range<Hour>) -> impl Iterator<Item = Hour> {
    std::iter::successors(Some(hours.start), |hour| Some(hour.after()))
        .take_while(move |hour| *hour < hours.end)
}

const fn nothing_known(fleet: Option<FleetSid>, hours: u32) -> Selected {
    Selected { fleet, known_through: None, hours_known: 0, hours, sims_unranked: 0, sims_moved: 0 }
}

fn too_many() -> String {
    format!("more than {SIMS_MAX} SIMs are selected: select fewer, by fleet or by usage")
}
