//! A rogue: what a scenario does with one SIM, and the truth about it.

use super::calendar::{Calendar, DAY_MS, HOUR_MS, hour_of_day};
use super::delivery::Seat;
use super::draw::{float, whole};
use super::line::{Answer, Ended, Life, Line, NEVER, Step, Work, World, whole_second};
use super::rogue::{Amount, Scenario, Traffic};
use super::sensor::scaled;
use super::session::{After, Load, WINDOW_MS};
use crate::fleet::Volume;

/// All of a thief's bytes are a rogue's.
const ALL_PPM: u32 = 1_000_000;

/// Of what a person transfers, so much goes up.
const UP_SHARE: f64 = 0.04;

/// A visit lasts so many seconds.
const VISIT_SECS: std::ops::Range<i64> = 360..1_200;

/// Refused, a thief tries again a dozen times soon, then every hour.
const SOON_SECS: std::ops::Range<i64> = 120..300;
const TRIES_SOON: u32 = 12;

/// How much visits of one amount differ, as logarithms.
const VISIT_SPREAD: f64 = 0.2;

/// Whoever has one of [`super::Rogue::Again`] sees within this long that it works again.
const BACK_SECS: std::ops::Range<i64> = 600..3_600;

#[derive(Debug)]
pub(super) struct Thief {
    pub(super) scenario: &'static Scenario,
    pub(super) line: Line,
    pub(super) seat: Seat,
    /// When the SIM is stolen, or the leak begins.
    pub(super) from: i64,
    pub(super) is_told: bool,
    pub(super) first_byte: Option<i64>,
    /// Bytes in windows that are closed.
    pub(super) bytes: u64,
    /// What the sensor usually transfers in an hour.
    usual: f64,
    refused: u32,
    last_day: i64,
    /// The SIM was given back.
    pub(super) is_over: bool,
}

impl Thief {
    pub(super) fn new(scenario: &'static Scenario, seat: Seat, from: i64, usual: f64) -> Self {
        Self {
            scenario,
            line: Line::idle(),
            seat,
            from,
            is_told: false,
            first_byte: None,
            bytes: 0,
            usual,
            refused: 0,
            last_day: -1,
            is_over: false,
        }
    }

    /// Begins to use the SIM at a time or after it.
    pub(super) fn begin(&mut self, life: &mut Life, calendar: &Calendar, at: i64) {
        match &self.scenario.traffic {
            Traffic::Stream { .. } => self.line.wait_until(at),
            Traffic::Visits { .. } => {
                let at = life.after_secs(at, 0..3_600);
                self.line.wait_until(self.in_hours(calendar, life, at));
            }
            Traffic::Leak { .. } | Traffic::Daily { .. } => {}
        }
    }

    /// Comes back to a SIM that was switched on again.
    pub(super) fn come_back(&mut self, life: &mut Life, at: i64) {
        self.refused = 0;
        self.line.wait_until(whole_second(life.after_secs(at, BACK_SECS)));
    }

    /// Takes the step that is due.
    pub(super) fn step(&mut self, life: &mut Life, world: &mut World<'_>) {
        let (at, step) = self.line.next;
        match step {
            Step::Attach => {
                if self.line.attach(life, world, &self.seat, at) == Answer::Rejected {
                    self.refused = self.refused.saturating_add(1);
                    let secs = if self.refused < TRIES_SOON { SOON_SECS } else { 3_500..3_700 };
                    self.line.wait_until(life.after_secs(at, secs));
                }
            }
            Step::Start => {
                self.refused = 0;
                let work = self.work(life, at);
                self.note_first(at, work.load.bytes.total());
                self.line.open(life, world, &self.seat, at, work);
            }
            Step::Window | Step::Cut => self.end_window(life, world, (at, step)),
        }
    }

    fn end_window(&mut self, life: &mut Life, world: &mut World<'_>, (at, step): (i64, Step)) {
        let (ended, bytes) = self.line.end_window(life, world, &self.seat, (at, step));
        self.bytes += bytes;
        match (ended, &self.scenario.traffic) {
            (Ended::Window, Traffic::Stream { .. }) => {
                let work = self.work(life, at);
                self.line.carry(work.load, work.until);
            }
            (Ended::Window, _) => {}
            (Ended::Session, _) if step == Step::Cut => {
                self.line.wait_until(life.after_secs(at, 20..60));
            }
            (Ended::Session, Traffic::Visits { every_mins, .. }) => {
                let mins = every_mins * 60;
                let next = life.after_secs(at, mins * 3 / 4..mins * 5 / 4);
                self.line.wait_until(self.in_hours(world.calendar, life, next));
            }
            (Ended::Session, _) => {}
        }
    }

    /// The time itself if it lies in the scenario's local hours, or else one in the next such hour.
    fn in_hours(&self, calendar: &Calendar, life: &mut Life, at: i64) -> i64 {
        let Traffic::Visits { hours, .. } = &self.scenario.traffic else { return at };
        let land = self.seat.place.network.land();
        let is_within = |at: i64| {
            let hour = hour_of_day(calendar.local(land, at));
            hours.contains(&hour) || hours.contains(&(hour + 24))
        };
        if is_within(at) {
            return at;
        }
        let turn = at.div_euclid(HOUR_MS) * HOUR_MS;
        let later = (1..=24).map(|hours| turn + hours * HOUR_MS);
        let begin = later.into_iter().find(|at| is_within(*at)).unwrap_or(at);
        life.after_secs(begin, 0..3_600)
    }

    /// What the session that begins now, or its next window, carries.
    fn work(&self, life: &mut Life, at: i64) -> Work {
        let (bytes, up_share, until, after) = match &self.scenario.traffic {
            Traffic::Stream { median_mb, spread } => {
                let bytes = life.draw.log_normal(median_mb * 1e6, *spread);
                (bytes, UP_SHARE, at + WINDOW_MS, After::StayOpen)
            }
            Traffic::Visits { amount: Amount::Mb(mb), .. } => {
                let bytes = life.draw.log_normal(mb * 1e6, VISIT_SPREAD);
                (bytes, UP_SHARE, life.after_secs(at, VISIT_SECS), After::Close)
            }
            Traffic::Visits { amount: Amount::Usual, .. } => {
                let bytes = life.draw.log_normal(self.usual, 2.0 * VISIT_SPREAD);
                (bytes, 0.8, life.after_secs(at, 30..240), After::Close)
            }
            Traffic::Leak { .. } | Traffic::Daily { .. } => (0.0, 0.0, at, After::Close),
        };
        let up = bytes * up_share;
        let bytes = Volume { up: whole(up), down: whole(bytes - up) };
        Work { load: Load { bytes, rogue_ppm: ALL_PPM }, until, after }
    }

    /// What leaks in a session of the sensor that begins now.
    pub(super) fn leak(&mut self, at: i64, usual: Volume) -> Volume {
        if at < self.from || self.is_over {
            return Volume::default();
        }
        let leaked = match &self.scenario.traffic {
            Traffic::Leak { up, down, growth_a_day } => {
                let days = float((at - self.from).unsigned_abs()) / float(DAY_MS.unsigned_abs());
                let grown = (1.0 + growth_a_day).powf(days) - 1.0;
                let up = scaled(usual, up + grown).up;
                Volume { up, down: scaled(usual, down + grown).down }
            }
            Traffic::Daily { mb } => {
                let day = at.div_euclid(DAY_MS);
                if day <= self.last_day {
                    return Volume::default();
                }
                self.last_day = day;
                Volume { up: whole(mb * 1e6), down: 0 }
            }
            Traffic::Stream { .. } | Traffic::Visits { .. } => Volume::default(),
        };
        self.note_first(at, leaked.total());
        leaked
    }

    fn note_first(&mut self, at: i64, bytes: u64) {
        if bytes > 0 && self.first_byte.is_none() {
            self.first_byte = Some(at);
        }
    }

    /// Whether the sensor's sessions carry the rogue's bytes.
    pub(super) const fn is_leak(&self) -> bool {
        matches!(self.scenario.traffic, Traffic::Leak { .. } | Traffic::Daily { .. })
    }

    /// Ends its session.
    pub(super) fn leave(&mut self, life: &mut Life, world: &mut World<'_>, at: i64) {
        let at = self.line.session.map_or(at, |session| at.max(session.window_start));
        let (_, bytes) = self.line.end_window(life, world, &self.seat, (at, Step::Cut));
        self.bytes += bytes;
    }

    /// Gives the SIM back.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        self.line.next = (NEVER, Step::Attach);
    }
}
