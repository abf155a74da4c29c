//! Builders for tests: one SIM's events, its state, the rules that it is judged by.

use jiff::Timestamp;

use super::{Control, Detector, Snapshot};
use crate::bytes::Bytes;
use crate::event::{Event, EventKind, SessionReport, Usage};
use crate::evidence::Cohort;
use crate::id::{EventSid, FleetSid, SessionSid, SimSid};
use crate::network::Plmn;
use crate::place::{CellId, Location, Point};
use crate::policy::{Policy, Rules};
use crate::state::SimState;
use crate::time::Hour;
use crate::usage::{SimUsage, Source};

pub(crate) const MB: u64 = 1_000_000;

/// The device that the SIM belongs in, another one of its model, and a tablet.
pub(crate) const SENSOR: &str = "35378572000001";
pub(crate) const SENSOR_2: &str = "35378572000002";
pub(crate) const TABLET: &str = "86600905000001";

pub(crate) fn sim() -> SimSid {
    SimSid::from_bytes([1; 16])
}

pub(crate) fn fleet() -> FleetSid {
    FleetSid::from_bytes([2; 16])
}

/// A time in March 2026: `01T14:00` or `01T14:00:00.500`.
pub(crate) fn time(text: &str) -> Timestamp {
    let seconds = if text.len() == "01T14:00".len() { ":00" } else { "" };
    format!("2026-03-{text}{seconds}Z").parse().unwrap()
}

/// An event of the SIM that says nothing but that it happened.
pub(crate) fn event(kind: EventKind, at: &str) -> Event {
    let at = time(at);
    let sid = u128::from(at.as_millisecond().unsigned_abs()) << 16 | kind as u128;
    Event {
        sid: EventSid::from_bytes(sid.to_be_bytes()),
        kind,
        sim: sim(),
        iccid: None,
        unique_name: Some("pump-17".to_owned()),
        fleet: Some(fleet()),
        at,
        device: None,
        plmn: None,
        country: None,
        location: None,
        session: None,
        error_code: None,
    }
}

pub(crate) fn attached(at: &str) -> Event {
    event(EventKind::AttachmentAccepted, at)
}

/// An attachment that failed for no reason that lies in the SIM.
pub(crate) fn failed(at: &str) -> Event {
    Event { error_code: Some(83_700), ..event(EventKind::AttachmentFailed, at) }
}

/// An attachment that was rejected because the SIM is inactive.
pub(crate) fn rejected(at: &str) -> Event {
    Event { error_code: Some(83_705), ..event(EventKind::AttachmentRejected, at) }
}

impl Event {
    pub(crate) fn in_device(self, imei: &str) -> Self {
        Self { device: Some(imei.parse().unwrap()), ..self }
    }

    pub(crate) fn in_country(self, country: &str) -> Self {
        Self { country: Some(country.parse().unwrap()), ..self }
    }

    pub(crate) fn on_network(self, plmn: &str) -> Self {
        Self { plmn: Some(plmn.parse().unwrap()), ..self }
    }

    /// Served by the cell of this number, which is there.
    pub(crate) fn at_cell(self, cell: u64, lat: f64, lon: f64) -> Self {
        let cell = CellId { plmn: Plmn::new("262", "01").ok(), area: 7, cell };
        let location = Location { cell, point: Point::new(lat, lon).unwrap() };
        Self { location: Some(location), ..self }
    }

    /// The same cell's numbers in another network.
    pub(crate) fn of_network(mut self, mnc: &str) -> Self {
        self.location.as_mut().unwrap().cell.plmn = Plmn::new("262", mnc).ok();
        self
    }

    /// Changes what the event says about its session.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut SessionReport)) -> Self {
        self.session.as_mut().map(change).unwrap();
        self
    }
}

/// A data session, by the time at which it was opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened(pub(crate) &'static str);

impl Opened {
    pub(crate) fn sid(self) -> SessionSid {
        let opened = u128::from(time(self.0).as_millisecond().unsigned_abs());
        SessionSid::from_bytes(opened.to_be_bytes())
    }

    pub(crate) fn started(self) -> Event {
        self.event(EventKind::SessionStarted, self.0)
    }

    /// An update whose window began and ended at these times, with its bytes and all so far.
    pub(crate) fn updated(self, from: &str, to: &str, delta: u64, cumulative: u64) -> Event {
        let event = self.event(EventKind::SessionUpdated, to);
        event.with(|report| {
            (report.update_start, report.update_end) = (Some(time(from)), Some(time(to)));
            (report.delta.total, report.cumulative.total) = (Some(delta), Some(cumulative));
        })
    }

    pub(crate) fn ended(self, at: &str) -> Event {
        self.event(EventKind::SessionEnded, at).with(|report| report.end = Some(time(at)))
    }

    fn event(self, kind: EventKind, at: &str) -> Event {
        let session = SessionReport {
            sid: self.sid(),
            start: Some(time(self.0)),
            end: None,
            update_start: None,
            update_end: None,
            delta: Usage::default(),
            cumulative: Usage::default(),
        };
        Event { session: Some(session), ..event(kind, at) }
    }
}

/// A session opened then that uses so many bytes in the minutes that follow, and stays open.
pub(crate) fn used(opened: &'static str, until: &str, bytes: u64) -> Event {
    Opened(opened).updated(opened, until, bytes, bytes)
}

/// The same of a session that tells how much of it went up.
pub(crate) fn carries(opened: &'static str, until: &str, up: u64, down: u64) -> Event {
    let bytes = up.saturating_add(down);
    Opened(opened).updated(opened, until, bytes, bytes).with(|report| {
        (report.cumulative.up, report.cumulative.down) = (Some(up), Some(down));
    })
}

/// A session in each of so many hours, from midnight of the first of March, each of these bytes.
pub(crate) fn reports(hours: u32, up: u64, down: u64) -> Vec<Event> {
    let at = |hour: u32, minute: u32| {
        format!("{:02}T{:02}:{minute:02}", (hour / 24).saturating_add(1), hour % 24)
    };
    (0..hours).map(|hour| carries(at(hour, 0).leak(), &at(hour, 6), up, down)).collect()
}

/// An attachment in the device in each of so many hours, from midnight of the first of March.
pub(crate) fn hours_in(imei: &str, hours: u32) -> Vec<Event> {
    let at = |hour: u32| format!("{:02}T{:02}:05", (hour / 24).saturating_add(1), hour % 24);
    (0..hours).map(|hour| attached(&at(hour)).in_device(imei)).collect()
}

pub(crate) fn state_of<'a>(events: impl IntoIterator<Item = &'a Event>) -> SimState {
    let mut state = SimState::new(sim());
    for event in events {
        state.fold(event);
    }
    state
}

/// The policy of this text, without its first line.
pub(crate) fn policy(text: &str) -> Policy {
    format!("version = 1\n{text}").parse().unwrap()
}

pub(crate) fn rules(text: &str) -> Rules {
    policy(text).base().clone()
}

/// What a detector claims, as `key at: sentence`.
pub(crate) fn claims(
    detector: Detector,
    events: &[Event],
    rules: &Rules,
    control: Control<'_>,
) -> Vec<String> {
    claims_beside(detector, events, None, rules, control)
}

/// What a detector claims of events and usage records.
pub(crate) fn claims_beside(
    detector: Detector,
    events: &[Event],
    usage: Option<&SimUsage>,
    rules: &Rules,
    control: Control<'_>,
) -> Vec<String> {
    claims_in_fleet(detector, events, (usage, None), rules, control)
}

/// As [`claims_beside`], in a fleet that does this.
pub(crate) fn claims_in_fleet(
    detector: Detector,
    events: &[Event],
    (usage, cohort): (Option<&SimUsage>, Option<&Cohort>),
    rules: &Rules,
    control: Control<'_>,
) -> Vec<String> {
    let state = state_of(events);
    let snapshot = Snapshot::of(&state, usage, cohort, rules, control);
    let findings = (detector.assess)(&snapshot);
    let claims = findings.iter().map(|found| format!("{} {}: {found}", found.key(), found.at));
    claims.collect()
}

/// Usage of the SIM with these hours of March closed.
pub(crate) fn records(hours: &[(&str, u64)]) -> SimUsage {
    let mut usage = SimUsage::new(sim());
    for (hour, bytes) in hours {
        usage.close(hour_of(hour), Bytes(*bytes), Source { fleet: None, page: 0 });
    }
    usage
}

/// An hour of March 2026: `01T14`.
pub(crate) fn hour_of(text: &str) -> Hour {
    format!("2026-03-{text}Z").parse().unwrap()
}

/// Whether that is found, in any order within the horizon and however often the events come.
#[track_caller]
pub(crate) fn check_in_any_order(
    detector: Detector,
    events: &[Event],
    policy: &str,
    expected: &[&str],
) {
    let found = |events: &[Event]| claims(detector, events, &rules(policy), Control::default());
    assert_eq!(found(events), expected);
    let latest = events.iter().map(|event| event.at).max().unwrap_or_default();
    let is_past = |event: &Event| latest.duration_since(event.at) > crate::time::HORIZON;
    let (past, last_day): (Vec<Event>, Vec<Event>) = events.iter().cloned().partition(is_past);
    let reversed = last_day.iter().rev().chain(&last_day).cloned();
    assert_eq!(found(&past.into_iter().chain(reversed).collect::<Vec<_>>()), expected);
}
