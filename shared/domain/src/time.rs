//! Hours, days and months of UTC: the windows that usage is counted in.

use std::fmt;
use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long events stay in a SIM's state: the order-proof horizon (`docs/architecture.md`).
///
/// A day, so that a day's limit can be judged from events alone, and two hours for what is late.
pub const HORIZON: SignedDuration = SignedDuration::from_hours(HORIZON_HOURS);
const HORIZON_HOURS: i64 = 26;

/// The same in milliseconds, for what is asked several times for each event.
pub(crate) const HORIZON_MS: i64 = HORIZON_HOURS * HOUR_SECS * 1_000;

/// How far an event may be stamped after its receipt before it is set aside: more than the clocks
/// of two healthy systems differ, and too little to push a SIM's own events out of the horizon.
pub const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(15);

/// Seconds in an hour.
pub(crate) const HOUR_SECS: i64 = 3_600;

/// A day of UTC has no other number of them.
const HOURS_PER_DAY: i32 = 24;

/// An hour of UTC, as the number of hours since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hour(i32);

impl Hour {
    /// The hour that begins at or before the time.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        // A `Timestamp` ends in the year 9999, some 70 million hours from 1970.
        Self(i32::try_from(time.as_second().div_euclid(HOUR_SECS)).unwrap_or(i32::MAX))
    }

    /// The hour that a usage window's end belongs to: at 14:00:00 sharp, that from 13 to 14.
    #[must_use]
    pub fn ending_at(time: Timestamp) -> Self {
        let hour = Self::of(time);
        if hour.start() == time { hour.before() } else { hour }
    }

    /// The hour before.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The hour after.
    #[must_use]
    pub const fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The hour so many hours later; earlier for a negative number.
    #[must_use]
    pub const fn plus(self, hours: i32) -> Self {
        Self(self.0.saturating_add(hours))
    }

    /// The first hour of its day of UTC.
    #[must_use]
    pub const fn day(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(24)))
    }

    /// Which hour of its day of UTC it is: 0 to 23.
    #[must_use]
    pub fn of_day(self) -> usize {
        usize::try_from(self.0.rem_euclid(HOURS_PER_DAY)).unwrap_or(0)
    }

    /// Days of UTC from 1970 to the hour.
    #[must_use]
    pub const fn days(self) -> i32 {
        self.0.div_euclid(HOURS_PER_DAY)
    }

    /// How many hours later the other is; 0 for one that is not.
    #[must_use]
    pub fn hours_until(self, other: Self) -> u32 {
        u32::try_from(other.0.saturating_sub(self.0)).unwrap_or(0)
    }

    /// When the hour begins.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_second(i64::from(self.0).saturating_mul(HOUR_SECS))
            .unwrap_or(Timestamp::MAX)
    }

    /// When the hour is over.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.after().start()
    }

    /// Seconds from 1970 to the begin of the hour.
    pub(crate) fn start_secs(self) -> i64 {
        i64::from(self.0).saturating_mul(HOUR_SECS)
    }
}

impl std::str::FromStr for Hour {
    type Err = crate::id::IdError;

    /// Reads what `Display` prints: `2026-03-01T14Z`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ERROR: crate::id::IdError = crate::id::IdError::new("an hour: 2026-03-01T14Z");
        let begin = text.strip_suffix('Z').ok_or(ERROR)?;
        let begin: Timestamp = format!("{begin}:00:00Z").parse().map_err(|_syntax| ERROR)?;
        Ok(Self::of(begin))
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{:02}Z", date_of(*self), self.0.rem_euclid(HOURS_PER_DAY))
    }
}

impl fmt::Debug for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A run of whole hours in which usage is counted: an hour, a day, a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its hours.
    pub hours: Range<Hour>,
    called: Called,
}

/// How a window is called. The words are made when someone wants them: detectors look at a hundred
/// windows for each event, and name hardly any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Called {
    Hour,
    Day,
    Month,
    Dates,
}

impl Window {
    /// The hour as a window.
    #[must_use]
    pub const fn of_hour(hour: Hour) -> Self {
        Self { hours: hour..hour.after(), called: Called::Hour }
    }

    /// The UTC day that the hour is part of.
    #[must_use]
    pub const fn of_day(hour: Hour) -> Self {
        let begin = Hour(hour.days().saturating_mul(HOURS_PER_DAY));
        Self { hours: begin..begin.plus(HOURS_PER_DAY), called: Called::Day }
    }

    /// The UTC calendar month that the hour is part of.
    #[must_use]
    pub fn of_month(hour: Hour) -> Self {
        let date = date_of(hour);
        let first = date.first_of_month();
        let next = date.last_of_month().tomorrow().unwrap_or(Date::MAX);
        Self { hours: hour_at(first)..hour_at(next), called: Called::Month }
    }

    /// Any other run of hours, which is called by its first date and the one at which it is over.
    #[must_use]
    pub const fn of_dates(hours: Range<Hour>) -> Self {
        Self { hours, called: Called::Dates }
    }

    /// What the window is called: `2026-03-01T14Z`, `2026-03-01`, `2026-03`, `2026-03-10/2026-04-10`.
    #[must_use]
    pub fn name(&self) -> String {
        let first = self.hours.start;
        match self.called {
            Called::Hour => first.to_string(),
            Called::Day => date_of(first).to_string(),
            Called::Month => {
                let date = date_of(first);
                format!("{:04}-{:02}", date.year(), date.month())
            }
            Called::Dates => format!("{}/{}", date_of(first), date_of(self.hours.end)),
        }
    }

    /// Whether the window is longer than a day: a month or a billing period.
    #[must_use]
    pub fn is_period(&self) -> bool {
        self.hours.start.hours_until(self.hours.end) > 24
    }

    /// When the window begins.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.hours.start.start()
    }

    /// When the window is over.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.hours.end.start()
    }
}

fn date_of(hour: Hour) -> Date {
    hour.start().to_zoned(TimeZone::UTC).date()
}

fn hour_at(date: Date) -> Hour {
    date.to_zoned(TimeZone::UTC).map_or(Hour(i32::MAX), |midnight| Hour::of(midnight.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_hour_sharp_ends_one_hour_and_begins_the_next() {
        let sharp = time("2026-03-01T14:00:00Z");
        assert_eq!(Hour::of(sharp).to_string(), "2026-03-01T14Z");
        assert_eq!(Hour::ending_at(sharp).to_string(), "2026-03-01T13Z");
        let later = time("2026-03-01T14:00:00.001Z");
        assert_eq!(Hour::ending_at(later), Hour::of(later));
    }

    #[test]
    fn days_and_months_are_of_utc() {
        let hour = Hour::of(time("2024-02-29T23:59:59Z"));
        let day = Window::of_day(hour);
        assert_eq!((day.name().as_str(), day.end()), ("2024-02-29", time("2024-03-01T00:00:00Z")));
        let month = Window::of_month(hour);
        assert_eq!(month.name(), "2024-02");
        assert_eq!(month.start(), time("2024-02-01T00:00:00Z"));
        assert_eq!(month.end(), time("2024-03-01T00:00:00Z"));
    }

    #[test]
    fn hours_before_1970_are_hours_too() {
        assert_eq!(Hour::of(time("1969-12-31T23:30:00Z")).to_string(), "1969-12-31T23Z");
    }
}
