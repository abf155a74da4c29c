//! What befalls many SIMs at once. It follows from the seed and the time alone, so it is the same in
//! every partition, and nothing has to be remembered of it.

use std::f64::consts::TAU;

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use super::config::{Benign, PopulationConfig, SummerTime};
use super::draw::{float, hash, millis, share};
use super::place::{Land, REGIONS, Summer};

pub(super) const HOUR_MS: i64 = 3_600_000;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// Days from the first stage of a firmware update to each: 5 % of the fleet, 25 %, all.
const STAGES: [(f64, i64); 3] = [(0.05, 0), (0.25, 2), (1.0, 4)];

/// A SIM takes an update within this long after its stage begins.
const STAGE_MS: i64 = 12 * HOUR_MS;

/// From the first stage until the last SIM took it.
const ROLLOUT_MS: i64 = 5 * DAY_MS;

/// Share of a fleet that is steered to another network at once.
const STEERED: f64 = 1.0 / 3.0;

mod subject {
    pub(super) const FIRMWARE: u64 = 0x101;
    pub(super) const FIRMWARE_BYTES: u64 = 0x102;
    pub(super) const FIRMWARE_STAGE: u64 = 0x103;
    pub(super) const FIRMWARE_DELAY: u64 = 0x104;
    pub(super) const OUTAGE: u64 = 0x111;
    pub(super) const OUTAGE_LENGTH: u64 = 0x112;
    pub(super) const STEERING: u64 = 0x121;
    pub(super) const STEERED: u64 = 0x122;
    pub(super) const STEERED_AT: u64 = 0x123;
    pub(super) const SEASON: u64 = 0x131;
}

/// What befalls fleets, regions and countries.
#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) seed: u64,
    pub(super) start: i64,
    benign: Benign,
    summer: Summers,
}

/// An event of a fleet or region: the number of its turn, and when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    number: u64,
    begin: i64,
}

/// A firmware update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Update {
    /// Which of the fleet's, from 1.
    pub(super) number: u32,
    pub(super) bytes: f64,
}

/// Summer times of one year.
#[derive(Debug)]
struct Summers {
    europe: std::ops::Range<i64>,
    america: std::ops::Range<i64>,
    year: std::ops::Range<i64>,
}

impl Calendar {
    pub(super) fn new(config: &PopulationConfig) -> Self {
        let start = config.start.as_millisecond();
        Self {
            seed: config.seed,
            start,
            benign: config.benign.clone(),
            summer: Summers::of_year_at(start),
        }
    }

    /// Lets the year change.
    pub(super) fn turn_to(&mut self, at: i64) {
        if !self.summer.year.contains(&at) {
            self.summer = Summers::of_year_at(at);
        }
    }

    /// One event in each run of so many days; it begins early enough to last `lasts_ms` in it.
    fn turn(&self, subject: u64, which: u64, days: u32, lasts_ms: i64, at: i64) -> Option<Turn> {
        if days == 0 || at < self.start {
            return None;
        }
        let length = i64::from(days) * DAY_MS;
        let number = (at - self.start) / length;
        let number = u64::try_from(number).unwrap_or(0);
        let draw = share(self.seed, subject, which << 32 | number);
        let room = float(u64::try_from(length - lasts_ms).unwrap_or(0));
        let from = self.start + (at - self.start) / length * length;
        Some(Turn { number, begin: from + millis(room * draw) })
    }

    fn firmware_turn(&self, fleet: u32, at: i64) -> Option<Turn> {
        let days = match self.benign.firmware_days {
            0 => 0,
            days => days.max(7),
        };
        self.turn(subject::FIRMWARE, u64::from(fleet), days, ROLLOUT_MS, at)
    }

    /// The update that is due at a SIM, taken or not.
    pub(super) fn firmware(&self, fleet: u32, sim: u32, at: i64) -> Option<Update> {
        let turn = self.firmware_turn(fleet, at).filter(|turn| turn.begin <= at)?;
        let key = u64::from(sim) << 32 | turn.number;
        let rank = share(self.seed, subject::FIRMWARE_STAGE, key);
        let (_, days) = STAGES.into_iter().find(|(upto, _)| rank < *upto)?;
        let delay = share(self.seed, subject::FIRMWARE_DELAY, key) * float(STAGE_MS.unsigned_abs());
        let due = turn.begin + days * DAY_MS + millis(delay);
        let key = u64::from(fleet) << 32 | turn.number;
        let draw = share(self.seed, subject::FIRMWARE_BYTES, key);
        let (low, high) = (self.benign.firmware_bytes.start, self.benign.firmware_bytes.end);
        let number = u32::try_from(turn.number + 1).unwrap_or(u32::MAX);
        (due <= at).then(|| Update { number, bytes: low * (high / low).powf(draw) })
    }

    /// When the first update after a time reaches the last stage of a fleet.
    pub(super) fn firmware_height(&self, fleet: u32, after: i64) -> Option<i64> {
        let height = |turn: Turn| turn.begin + 4 * DAY_MS + STAGE_MS / 2;
        let length = i64::from(self.benign.firmware_days.max(7)) * DAY_MS;
        let turns =
            [after, after + length].into_iter().filter_map(|at| self.firmware_turn(fleet, at));
        turns.map(height).find(|height| *height >= after)
    }

    /// When the outage that a region suffers is over.
    pub(super) fn outage_until(&self, region: u64, at: i64) -> Option<i64> {
        let turn = self.turn(subject::OUTAGE, region, self.benign.outage_days, 6 * HOUR_MS, at)?;
        let hours =
            1.0 + 5.0 * share(self.seed, subject::OUTAGE_LENGTH, region << 32 | turn.number);
        let until = turn.begin + millis(hours * float(HOUR_MS.unsigned_abs()));
        (turn.begin..until).contains(&at).then_some(until)
    }

    /// The part of a country that a SIM is in.
    pub(super) fn region(&self, land: &Land, sim: u32) -> u64 {
        let part = hash(self.seed, subject::OUTAGE, u64::from(sim)) % REGIONS;
        land.code.bytes().fold(part, |region, letter| region << 5 ^ u64::from(letter & 31))
    }

    /// The steering that has reached a SIM, from 1: the number of its turn.
    pub(super) fn steering(&self, fleet: u32, sim: u32, at: i64) -> Option<u32> {
        let days = self.benign.steering_days;
        let turn = self.turn(subject::STEERING, u64::from(fleet), days, DAY_MS, at)?;
        let key = u64::from(sim) << 32 | turn.number;
        if at < turn.begin || share(self.seed, subject::STEERED, key) >= STEERED {
            return None;
        }
        let delay = share(self.seed, subject::STEERED_AT, key) * float(DAY_MS.unsigned_abs());
        let number = u32::try_from(turn.number + 1).unwrap_or(u32::MAX);
        (turn.begin + millis(delay) <= at).then_some(number)
    }

    /// What the season multiplies the usual by. Of half of the fleets the height is in January, of
    /// the others in July.
    pub(super) fn season(&self, fleet: u32, at: i64) -> f64 {
        if self.benign.season <= 0.0 {
            return 1.0;
        }
        let half = share(self.seed, subject::SEASON, u64::from(fleet)).round() / 2.0;
        let day = u64::try_from(at / DAY_MS).unwrap_or(0);
        1.0 + self.benign.season * (TAU * (float(day) / 365.25 + half)).cos()
    }

    /// Whether clocks are an hour ahead.
    pub(super) fn is_summer(&self, land: &Land, at: i64) -> bool {
        self.benign.summer_time == SummerTime::ByLaw
            && match land.summer {
                Summer::Europe => self.summer.europe.contains(&at),
                Summer::America => self.summer.america.contains(&at),
                Summer::Never => false,
            }
    }

    /// Local time, as milliseconds since 1970 would be if it were UTC.
    pub(super) fn local(&self, land: &Land, at: i64) -> i64 {
        at + (land.utc_hours + i64::from(self.is_summer(land, at))) * HOUR_MS
    }
}

/// The hour of the day, from 0 to 23.
pub(super) const fn hour_of_day(local: i64) -> i64 {
    local.div_euclid(HOUR_MS).rem_euclid(24)
}

impl Summers {
    fn of_year_at(at: i64) -> Self {
        let time = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
        let year = time.to_zoned(TimeZone::UTC).year();
        let sunday = |month: i8, nth: i8| {
            let first = Date::new(year, month, 1).unwrap_or(Date::ZERO);
            first.nth_weekday_of_month(nth, Weekday::Sunday).unwrap_or(first)
        };
        let midnight = |date: Date| {
            let zoned = date.to_zoned(TimeZone::UTC);
            zoned.map_or(0, |zoned| zoned.timestamp().as_millisecond())
        };
        let turn = |year: i16| Date::new(year, 1, 1).map_or(0, midnight);
        Self {
            europe: midnight(sunday(3, -1)) + HOUR_MS..midnight(sunday(10, -1)) + HOUR_MS,
            america: midnight(sunday(3, 2)) + 7 * HOUR_MS..midnight(sunday(11, 1)) + 7 * HOUR_MS,
            year: turn(year)..turn(year + 1),
        }
    }
}
