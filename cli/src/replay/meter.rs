//! Each byte of a file once: what its events say was used, over their whole time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use simfuse_domain::event::{Event, Usage};
use simfuse_domain::id::{EventSid, SessionSid, SimSid};

/// What a SIM used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Used {
    /// From the device.
    pub(crate) up: u64,
    /// To the device.
    pub(crate) down: u64,
    /// Both.
    pub(crate) total: u64,
}

/// Counts events in the order of their time, whatever the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    reports: BTreeMap<SimSid, Vec<Report>>,
    known: BTreeSet<EventSid>,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    at: Timestamp,
    ends: Timestamp,
    session: Option<(SessionSid, Option<Timestamp>, Usage, Usage)>,
}

impl Meter {
    /// Adds an event; a duplicate changes nothing.
    pub(crate) fn add(&mut self, event: &Event) {
        let reports = self.reports.entry(event.sim).or_default();
        if self.known.insert(event.sid) {
            let session = event.session.as_ref();
            let session = session.map(|of| (of.sid, of.start, of.delta, of.cumulative));
            reports.push(Report { at: event.at, ends: event.ended_at(), session });
        }
    }

    /// What each SIM used, by SID.
    pub(crate) fn used(self) -> BTreeMap<SimSid, Used> {
        self.reports.into_iter().map(|(sim, reports)| (sim, used(reports))).collect()
    }
}

fn used(mut reports: Vec<Report>) -> Used {
    reports.sort_by_key(|report| report.ends);
    let first = reports.iter().map(|report| report.at).min();
    let mut sessions: BTreeMap<SessionSid, [Counter; 3]> = BTreeMap::new();
    for (sid, start, delta, cumulative) in reports.iter().filter_map(|report| report.session) {
        let counters = sessions.entry(sid).or_default();
        // A session that began within the file began at 0; of another, the file shows only a part.
        let from_zero = start >= first;
        let pairs = [
            (delta.up, cumulative.up),
            (delta.down, cumulative.down),
            (delta.total(), cumulative.total()),
        ];
        for (counter, (delta, cumulative)) in counters.iter_mut().zip(pairs) {
            counter.add(delta, cumulative, from_zero);
        }
    }
    let sum = |of: fn(&[Counter; 3]) -> &Counter| {
        sessions.values().map(|counters| of(counters).bytes()).fold(0, u64::saturating_add)
    };
    Used { up: sum(|of| &of[0]), down: sum(|of| &of[1]), total: sum(|of| &of[2]) }
}

/// One counter of one session, in the order of time.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    /// Before the counter last began anew.
    before: u64,
    /// Where it was first seen since, and last.
    range: Option<(u64, u64)>,
    /// The sum of windows without a counter.
    deltas: u64,
}

impl Counter {
    fn add(&mut self, delta: Option<u64>, cumulative: Option<u64>, from_zero: bool) {
        let Some(high) = cumulative else {
            self.deltas = self.deltas.saturating_add(delta.unwrap_or(0));
            return;
        };
        self.range = Some(match self.range {
            None if from_zero => (0, high),
            None => (high.saturating_sub(delta.unwrap_or(0)), high),
            Some((low, last)) if high >= last => (low, high),
            Some((low, last)) => {
                self.before = self.before.saturating_add(last.saturating_sub(low));
                (0, high)
            }
        });
    }

    fn bytes(&self) -> u64 {
        let counted = self.range.map_or(0, |(low, high)| high.saturating_sub(low));
        self.before.saturating_add(counted).max(self.deltas)
    }
}
