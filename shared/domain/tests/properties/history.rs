//! Random histories of one SIM: what it truly used and when, and the events that tell of it.

use std::ops::Range;

use jiff::Timestamp;
use proptest::prelude::*;
use simfuse_domain::event::{Event, EventKind, SessionReport, Usage};
use simfuse_domain::id::{EventSid, SessionSid, SimSid};
use simfuse_domain::network::Plmn;
use simfuse_domain::place::{CellId, Location, Point};
use simfuse_domain::time::Hour;

/// Sunday, an hour and a half before midnight: a history of 26 hours touches three days.
pub(crate) const BEGIN: &str = "2026-02-28T22:30:00Z";

/// All events of a history lie within the horizon of the last one.
const HISTORY_MS: i64 = 26 * HOUR_MS;

const HOUR_MS: i64 = 3_600_000;

/// More than any link carries.
const WILD: u64 = 1_000_000_000_000_000_000;

/// What a SIM did, session by session.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) sessions: Vec<SessionPlan>,
}

/// One data session.
#[derive(Debug, Clone)]
pub(crate) struct SessionPlan {
    /// When it is opened, in milliseconds of the history.
    pub(crate) opens_ms: i64,
    /// How long before that it was opened in truth, and what it used in that time.
    pub(crate) open_for: Option<(i64, u64)>,
    pub(crate) window_ms: i64,
    pub(crate) steps: Vec<Step>,
    pub(crate) device: Option<u8>,
    pub(crate) country: Option<u8>,
    pub(crate) ends: bool,
}

/// One update window.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) bytes: u64,
    /// At which thousandth of the window the bytes were used.
    pub(crate) when: i64,
    /// Bytes used in the window before the counter started again from 0.
    pub(crate) reset_after: Option<u64>,
    pub(crate) fate: Fate,
}

/// What the event of an update tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Full,
    Lost,
    CumulativeOnly,
    DeltaOnly,
    NoWindowStart,
    NoSessionStart,
    NoTimes,
    WildCounter,
}

/// What happens to events on the way.
pub(crate) const SPOILT: &[Fate] = &[
    Fate::Full,
    Fate::Lost,
    Fate::CumulativeOnly,
    Fate::DeltaOnly,
    Fate::NoWindowStart,
    Fate::NoSessionStart,
    Fate::NoTimes,
    Fate::WildCounter,
];

/// Whether counters may start again from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resets {
    Never,
    Some,
}

/// A history: its events in the order of time, and the truth.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    /// By session: when how many bytes were used, in milliseconds since 1970.
    pub(crate) uses: Vec<(SessionSid, Vec<(i64, u64)>)>,
    /// By session: times at which the counter is told, as long as it never fell.
    pub(crate) told: Vec<Vec<(i64, u64)>>,
}

pub(crate) fn sim() -> SimSid {
    SimSid::from_bytes([7; 16])
}

pub(crate) fn session_sid(number: usize) -> SessionSid {
    let mut bytes = [number as u8; 16];
    bytes[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    SessionSid::from_bytes(bytes)
}

pub(crate) fn begin_ms() -> i64 {
    BEGIN.parse::<Timestamp>().unwrap().as_millisecond()
}

pub(crate) fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

pub(crate) fn plans(
    fates: &'static [Fate],
    resets: Resets,
    sessions: Range<usize>,
) -> impl Strategy<Value = Plan> {
    let sessions = proptest::collection::vec(session_plans(fates, resets), sessions);
    sessions.prop_map(|sessions| Plan { sessions })
}

fn session_plans(fates: &'static [Fate], resets: Resets) -> impl Strategy<Value = SessionPlan> {
    let opens = prop_oneof![
        0..HISTORY_MS,
        (0..26_i64).prop_map(|hour| hour * HOUR_MS + HOUR_MS / 2),
        (0..HISTORY_MS / 1000).prop_map(|second| second * 1000),
    ];
    let window_secs = prop_oneof![
        Just(360),
        Just(360),
        Just(60),
        Just(900),
        Just(1_800),
        Just(5_400),
        2..8_000_i64
    ];
    let before = (1..72_i64, prop_oneof![Just(500_000_000), 0..1_000_000_u64]);
    let open_for = prop::option::weighted(0.2, before.prop_map(|(h, used)| (h * HOUR_MS, used)));
    let steps = proptest::collection::vec(steps(fates, resets), 1..24);
    let place = (prop::option::of(0..4_u8), prop::option::of(0..4_u8));
    (opens, open_for, window_secs, steps, place, any::<bool>()).prop_map(
        |(opens_ms, open_for, window_secs, steps, (device, country), ends)| SessionPlan {
            opens_ms,
            open_for,
            window_ms: window_secs * 1000,
            steps,
            device,
            country,
            ends,
        },
    )
}

fn steps(fates: &'static [Fate], resets: Resets) -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![Just(0), 1..2_000_u64, 1..60_000_000_u64];
    let reset_after = match resets {
        Resets::Never => Just(None).boxed(),
        Resets::Some => {
            let used = prop_oneof![3 => Just(None), 1 => Just(Some(0)), 1 => (1..9_000_u64).prop_map(Some)];
            (0..4_u8, used).prop_map(|(dice, used)| used.filter(|_| dice == 0)).boxed()
        }
    };
    let fate = prop_oneof![2 => Just(Fate::Full), 1 => proptest::sample::select(fates)];
    (bytes, 1..999_i64, reset_after, fate).prop_map(|(bytes, when, reset_after, fate)| Step {
        bytes,
        when,
        reset_after,
        fate,
    })
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.bytes, self.when)?;
        self.reset_after.map_or(Ok(()), |used| write!(f, " reset after {used}"))?;
        if self.fate == Fate::Full { Ok(()) } else { write!(f, " {:?}", self.fate) }
    }
}

impl Plan {
    /// Plays the plan.
    pub(crate) fn play(&self) -> History {
        let mut history = History { events: Vec::new(), uses: Vec::new(), told: Vec::new() };
        for (number, plan) in self.sessions.iter().enumerate() {
            plan.play(number, &mut history);
        }
        history.events.sort_by_key(|event| (event.at, event.sid));
        history
    }
}

impl SessionPlan {
    fn play(&self, number: usize, history: &mut History) {
        let seen_from = begin_ms() + self.opens_ms;
        let (age_ms, mut counter) = self.open_for.unwrap_or((0, 0));
        let start = seen_from - age_ms;
        let (mut uses, mut told) = (vec![(start, counter)], Vec::new());
        let mut from = seen_from;
        if self.ends {
            // Before it came to be, it failed, minute after minute.
            let tries = (0..40)
                .map(|minute| begin_ms() + (seen_from + minute * 60_000 - begin_ms()) % HISTORY_MS);
            history.events.extend(tries.map(|at| failure(number, at)));
        }
        if age_ms == 0 {
            let mut report = self.report(number, start);
            report.cumulative.total = Some(0);
            told.push((start, 0));
            history.events.push(self.event(number, EventKind::SessionStarted, start, report));
        }
        let last = self.steps.len() - 1;
        for (place, step) in self.steps.iter().enumerate() {
            let to = from + self.window_ms;
            if to > begin_ms() + HISTORY_MS {
                break;
            }
            let at = from + self.window_ms * step.when / 1000;
            if let Some(used) = step.reset_after {
                uses.push((from + self.window_ms * step.when / 2000, used));
                counter = 0;
            }
            uses.push((at, step.bytes));
            counter += step.bytes;
            let delta = step.bytes + step.reset_after.unwrap_or(0);
            let ends = self.ends && place == last;
            let kind = if ends { EventKind::SessionEnded } else { EventKind::SessionUpdated };
            let mut report = self.report(number, start);
            (report.update_start, report.update_end) = (Some(time(from)), Some(time(to)));
            (report.delta.total, report.cumulative.total) = (Some(delta), Some(counter));
            let (up, down) = self.directions(counter);
            (report.cumulative.up, report.cumulative.down) = (Some(up), Some(down));
            report.end = ends.then(|| time(to));
            if step.fate != Fate::Lost {
                spoil(&mut report, step.fate);
                if let Some(start) = report.start {
                    told.push((start.as_millisecond(), 0));
                }
                if let Some(cumulative) = report.cumulative.total {
                    told.push((to, cumulative));
                    if report.delta.total.is_some() && report.update_start.is_some() {
                        told.push((from, cumulative.saturating_sub(delta)));
                    }
                }
                history.events.push(self.event(number, kind, to, report));
            }
            from = to;
        }
        history.uses.push((session_sid(number), uses));
        history.told.push(told);
    }

    /// What of a counter went up and down: some sessions load.
    pub(crate) fn directions(&self, counter: u64) -> (u64, u64) {
        let up = if self.device == Some(0) { counter / 20 } else { counter - counter / 5 };
        (up, counter - up)
    }

    fn report(&self, number: usize, start: i64) -> SessionReport {
        SessionReport {
            sid: session_sid(number),
            start: Some(time(start)),
            end: None,
            update_start: None,
            update_end: None,
            delta: Usage::default(),
            cumulative: Usage::default(),
        }
    }

    fn event(&self, number: usize, kind: EventKind, at: i64, report: SessionReport) -> Event {
        let text =
            format!("3537857{}00000{}", self.device.unwrap_or(0) % 2, self.device.unwrap_or(0));
        let country = ["US", "CA", "MX", "DE"][usize::from(self.country.unwrap_or(0))];
        let sid = (at as u128) << 64 | (number as u128) << 8 | kind as u128;
        Event {
            sid: EventSid::from_bytes(sid.to_be_bytes()),
            kind,
            sim: sim(),
            iccid: self.device.map(|_| "8988307000000000001".parse().unwrap()),
            unique_name: self.country.map(|country| format!("sensor-{country}")),
            fleet: self.device.map(|device| simfuse_domain::id::FleetSid::from_bytes([device; 16])),
            at: time(at),
            device: self.device.map(|_| text.parse().unwrap()),
            plmn: self.country.and_then(|country| {
                Plmn::new("310", ["260", "410", "120", "26"][usize::from(country)]).ok()
            }),
            country: self.country.map(|_| country.parse().unwrap()),
            location: self.country.map(|country| {
                // Three towns, in each of which masts change with the hour and from time to time move.
                let (town, mast) = (country % 3, u8::try_from(at / HOUR_MS % 3).unwrap());
                let moved = if at % 7 == 0 { 0.01 } else { 0.0 };
                let lat = 40.0 + 5.0 * f64::from(town) + 0.1 * f64::from(mast) + moved;
                let plmn = Plmn::new("262", if mast == 0 { "01" } else { "02" }).ok();
                let cell = CellId { plmn, area: u32::from(town), cell: mast.into() };
                Location { cell, point: Point::new(lat, 11.0).unwrap() }
            }),
            session: Some(report),
            error_code: None,
        }
    }
}

/// An attachment that failed.
pub(crate) fn failure(number: usize, at: i64) -> Event {
    let sid = (at as u128) << 64 | (number as u128) << 8 | 0xff;
    Event {
        sid: EventSid::from_bytes(sid.to_be_bytes()),
        kind: EventKind::AttachmentFailed,
        sim: sim(),
        iccid: None,
        unique_name: None,
        fleet: None,
        at: time(at),
        device: None,
        plmn: Plmn::new("310", "410").ok(),
        country: None,
        location: None,
        session: None,
        error_code: Some(83_700),
    }
}

fn spoil(report: &mut SessionReport, fate: Fate) {
    match fate {
        Fate::Full | Fate::Lost => {}
        Fate::CumulativeOnly => report.delta = Usage::default(),
        Fate::DeltaOnly => report.cumulative = Usage::default(),
        Fate::NoWindowStart => report.update_start = None,
        Fate::NoSessionStart => report.start = None,
        Fate::NoTimes => {
            (report.start, report.update_start, report.update_end) = (None, None, None);
        }
        Fate::WildCounter => {
            report.cumulative.total = Some(WILD);
            report.cumulative.down = Some(WILD);
        }
    }
}

impl History {
    /// What was truly used from the first hour to before the second.
    pub(crate) fn used_in(&self, hours: &Range<Hour>) -> u64 {
        self.used_after(i64::MIN, hours)
    }

    /// What was truly used in the hours and not before the time.
    pub(crate) fn used_after(&self, after_ms: i64, hours: &Range<Hour>) -> u64 {
        let within = hours.start.start().as_millisecond()..hours.end.start().as_millisecond();
        let uses = self.uses.iter().flat_map(|(_, uses)| uses);
        let inside = uses.filter(|(at, _)| within.contains(at) && *at >= after_ms);
        inside.map(|(_, bytes)| bytes).sum()
    }

    /// What the told counters pin down for the hours within the horizon, if no counter ever fell.
    pub(crate) fn pinned_in(&self, hours: &Range<Hour>) -> u64 {
        let last = self.events.last().map_or(begin_ms(), |event| event.at.as_millisecond());
        let horizon = Hour::of(time(last - HISTORY_MS)).max(hours.start);
        let within = horizon.start().as_millisecond()..=hours.end.start().as_millisecond();
        let sessions = self.told.iter().map(|told| {
            let inside = told.iter().filter(|(at, _)| within.contains(at));
            let counters: Vec<u64> = inside.map(|(_, counter)| *counter).collect();
            let least = counters.iter().min().copied().unwrap_or(0);
            counters.iter().max().copied().unwrap_or(0) - least
        });
        sessions.sum()
    }
}

/// Every hour of a history, every run of them that begins with one of a few, and the days.
pub(crate) fn windows() -> Vec<Range<Hour>> {
    let first = Hour::of(time(begin_ms()));
    let mut hours = vec![first];
    for _ in 0..27 {
        hours.push(hours[hours.len() - 1].after());
    }
    let mut windows: Vec<Range<Hour>> = hours.iter().map(|hour| *hour..hour.after()).collect();
    for length in [2, 3, 24] {
        windows.extend(hours.windows(length).map(|run| run[0]..run[length - 1].after()));
    }
    windows.extend(hours.iter().map(|hour| simfuse_domain::time::Window::of_day(*hour).hours));
    windows
}
