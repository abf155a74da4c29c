//! How events and usage records reach the consumer: late, twice, in another order, or not at all.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use jiff::Timestamp;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::device::Imei14;
use simfuse_domain::event::{Event, EventKind, SessionReport, Usage};
use simfuse_domain::id::{EventSid, FleetSid, Iccid, SessionSid, SimSid};
use simfuse_domain::port::UsageRecord;
use simfuse_domain::time::Hour;

use super::behaviour::{Behaviour, Label, Labelled};
use super::calendar::{DAY_MS, HOUR_MS};
use super::config::Delivery;
use super::draw::{Draw, millis};
use super::place::{Networks, Place};
use super::session::Report;
use super::{Emitted, EmittedKind};
use crate::fleet::Volume;

/// From what happens until it is told, where nothing delays it.
pub(super) const LATENCY_MS: i64 = 2_000;

/// An update that arrives after its session's end does so by this much.
const AFTER_END_MS: i64 = 3_000;

/// The network refuses an attachment because the SIM is inactive; it or a session failed.
const SIM_INACTIVE: u32 = 83_705;
const ATTACH_FAILED: u32 = 83_700;
const SESSION_FAILED: u32 = 83_701;

/// Who a SIM is.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) index: u32,
    pub(super) sid: SimSid,
    pub(super) iccid: Option<Iccid>,
    pub(super) fleet_sid: FleetSid,
    pub(super) fleet: u32,
    /// How far off the clock is that stamps its events.
    pub(super) skew_ms: i64,
}

/// The device that a SIM sits in, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) device: Option<Imei14>,
    pub(super) place: Place,
}

/// What an event tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told {
    Accepted,
    Rejected,
    AttachFailed,
    SessionFailed,
    Started(SessionSid),
    Updated(Report),
    Ended(Report),
}

/// What is on its way to the consumer.
#[derive(Debug)]
pub(super) struct Outbox {
    networks: Networks,
    delivery: Delivery,
    ready: VecDeque<Emitted>,
    held: BinaryHeap<Held>,
    held_before: u64,
    counts: [u64; Behaviour::COUNT],
}

/// What arrives later than it should; the earliest is the greatest, and of two the first.
#[derive(Debug)]
struct Held {
    at: i64,
    number: u64,
    emitted: Box<Emitted>,
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}

/// What becomes of one event.
enum Fate {
    InTime,
    Lost,
    Twice,
    /// So much later.
    Later(Behaviour, i64),
}

/// What befell an event, for the SIM's record of it.
pub(super) type Befell = Option<Behaviour>;

impl Outbox {
    pub(super) fn new(delivery: &Delivery) -> Self {
        Self {
            networks: Networks::new(),
            delivery: delivery.clone(),
            ready: VecDeque::new(),
            held: BinaryHeap::new(),
            held_before: 0,
            counts: [0; Behaviour::COUNT],
        }
    }

    /// What has arrived and was not taken.
    pub(super) fn pop_ready(&mut self) -> Option<Emitted> {
        self.ready.pop_front()
    }

    /// What was held and arrives before a time.
    pub(super) fn pop_held(&mut self, before: i64) -> Option<Emitted> {
        let is_due = self.held.peek().is_some_and(|held| held.at < before);
        is_due.then(|| self.held.pop()).flatten().map(|held| *held.emitted)
    }

    /// How many are held.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn count(&mut self, behaviour: Behaviour) {
        if let Some(count) = self.counts.get_mut(behaviour.place()) {
            *count += 1;
        }
    }

    pub(super) fn counted(&self, behaviour: Behaviour) -> u64 {
        self.counts.get(behaviour.place()).copied().unwrap_or(0)
    }

    /// Tells a label.
    pub(super) fn label(&mut self, card: &Card, what: Labelled, at: i64) {
        let kind = EmittedKind::Label(Label { what, from: time(at) });
        self.ready.push_back(emitted(card, at, kind));
    }

    /// Tells an event; `held_until` is when it arrives at the earliest. Says what befell it.
    pub(super) fn tell(
        &mut self,
        card: &Card,
        draw: &mut Draw,
        seat: &Seat,
        at: i64,
        told: Told,
        held_until: Option<i64>,
    ) -> [Befell; 2] {
        let is_unknown = draw.chance(self.delivery.identity_unknown);
        let unknown = is_unknown.then_some(Behaviour::IdentityUnknown);
        let sid = EventSid::from_bytes(draw.bytes());
        let seen = self.seen(card, seat, is_unknown);
        let event = event(card, sid, at, told, seen);
        let kind = EmittedKind::Event(event);
        let emitted = emitted(card, at, kind);
        let befell = self.send(emitted, draw, at, held_until);
        for behaviour in [unknown, befell].into_iter().flatten() {
            self.count(behaviour);
        }
        [unknown, befell]
    }

    fn seen(&self, card: &Card, seat: &Seat, is_unknown: bool) -> Event {
        let (plmn, country) = self.networks.codes(seat.place.network);
        Event {
            sid: EventSid::from_bytes([0; 16]),
            kind: EventKind::AttachmentAccepted,
            sim: card.sid,
            iccid: card.iccid,
            unique_name: None,
            fleet: Some(card.fleet_sid),
            at: Timestamp::UNIX_EPOCH,
            device: seat.device.filter(|_| !is_unknown),
            plmn,
            country,
            location: (!is_unknown).then(|| seat.place.cell.location(plmn)).flatten(),
            session: None,
            error_code: None,
        }
    }

    fn send(
        &mut self,
        emitted: Emitted,
        draw: &mut Draw,
        at: i64,
        held_until: Option<i64>,
    ) -> Befell {
        if let Some(until) = held_until {
            self.hold(emitted, until + LATENCY_MS + AFTER_END_MS);
            return Some(Behaviour::EndedFirst);
        }
        match self.fate(draw) {
            Fate::InTime => {
                self.ready.push_back(emitted);
                None
            }
            Fate::Lost => Some(Behaviour::Lost),
            Fate::Twice => {
                let later = millis(draw.log_between(1_000.0, 3.6e6));
                self.hold(emitted.clone(), at + LATENCY_MS + later);
                self.ready.push_back(emitted);
                Some(Behaviour::Duplicated)
            }
            Fate::Later(why, later) => {
                self.hold(emitted, at + LATENCY_MS + later);
                Some(why)
            }
        }
    }

    fn fate(&self, draw: &mut Draw) -> Fate {
        let rates = &self.delivery;
        let mut rest = draw.share();
        let mut falls = |rate: f64| {
            rest -= rate;
            rest < 0.0
        };
        if falls(rates.lost) {
            Fate::Lost
        } else if falls(rates.duplicated) {
            Fate::Twice
        } else if falls(rates.delayed_over_day) {
            Fate::Later(Behaviour::Delayed, draw.within(DAY_MS + 1..3 * DAY_MS))
        } else if falls(rates.delayed_over_hour - rates.delayed_over_day) {
            Fate::Later(Behaviour::Delayed, draw.within(HOUR_MS + 1..DAY_MS))
        } else if falls(rates.reordered) {
            Fate::Later(Behaviour::Reordered, draw.within(1_000..300_000))
        } else {
            Fate::InTime
        }
    }

    fn hold(&mut self, mut emitted: Emitted, at: i64) {
        emitted.at = time(at);
        self.held_before += 1;
        self.held.push(Held { at, number: self.held_before, emitted: Box::new(emitted) });
    }

    /// Tells what a SIM used in an hour, by the provider's record of it.
    pub(super) fn tell_usage(&mut self, card: &Card, at: i64, hour: Hour, bytes: Volume) {
        let record = UsageRecord {
            sim: Some(card.sid),
            fleet: Some(card.fleet_sid),
            network: None,
            country: None,
            from: hour.start(),
            to: hour.end(),
            up: Some(Bytes(bytes.up)),
            down: Some(Bytes(bytes.down)),
            total: Some(Bytes(bytes.total())),
            billed: None,
        };
        self.ready.push_back(emitted(card, at, EmittedKind::Usage(record)));
    }
}

fn emitted(card: &Card, at: i64, kind: EmittedKind) -> Emitted {
    Emitted { at: time(at + LATENCY_MS), sim_index: card.index, sim: card.sid, kind }
}

/// Adds to what every event says what this one tells.
fn event(card: &Card, sid: EventSid, at: i64, told: Told, common: Event) -> Event {
    let stamped = |at: i64| time(at + card.skew_ms);
    let mut event = Event { sid, at: stamped(at), ..common };
    let report = |report: Report, end: Option<i64>| SessionReport {
        sid: report.sid,
        start: Some(stamped(report.start)),
        end: end.map(stamped),
        update_start: Some(stamped(report.window_start)),
        update_end: Some(stamped(at)),
        delta: usage(report.delta),
        cumulative: usage(report.cumulative),
    };
    match told {
        Told::Accepted => {}
        Told::Rejected => {
            (event.kind, event.error_code) = (EventKind::AttachmentRejected, Some(SIM_INACTIVE));
        }
        Told::AttachFailed => {
            (event.kind, event.error_code) = (EventKind::AttachmentFailed, Some(ATTACH_FAILED));
        }
        Told::SessionFailed => {
            (event.kind, event.error_code) = (EventKind::SessionFailed, Some(SESSION_FAILED));
        }
        Told::Started(sid) => {
            event.kind = EventKind::SessionStarted;
            event.session = Some(SessionReport {
                sid,
                start: Some(stamped(at)),
                end: None,
                update_start: None,
                update_end: None,
                delta: Usage::default(),
                cumulative: Usage::default(),
            });
        }
        Told::Updated(window) => {
            (event.kind, event.session) = (EventKind::SessionUpdated, Some(report(window, None)));
        }
        Told::Ended(window) => {
            (event.kind, event.session) = (EventKind::SessionEnded, Some(report(window, Some(at))));
        }
    }
    event
}

fn usage(bytes: Volume) -> Usage {
    Usage { up: Some(bytes.up), down: Some(bytes.down), total: Some(bytes.total()) }
}

/// A time within the years that a population may live in.
pub(super) fn time(at: i64) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
}
