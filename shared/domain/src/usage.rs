//! What usage records say about one SIM: the aggregator's side of what is known.
//!
//! Events are fast and may be lost; usage records are what the provider bills, come an hour or more
//! later, and may still grow. So an hour is *seen* when it ends and *closed* three hours later, once
//! and in order: then, and only then, it is counted towards the period and learnt. What grows later
//! is counted and never learnt.
//!
//! Whoever judges a SIM adds to the closed hours what events show after them (`closed_through`).

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::evidence::{Cohort, Days, Diurnal, Standing, Usual, excess_of_hour};
use crate::id::{FleetSid, SimSid};
use crate::money::{Bill, Money};
use crate::port::BillingPeriod;
use crate::time::{Hour, Window};

/// Version of the stored form. One of a newer version is never overwritten.
pub const USAGE_SCHEMA: u32 = 5;

/// Hours kept one by one: two whole days, so that yesterday can be judged when its last hour closes.
pub const HOURS_KEPT: i32 = 50;

/// An hour is closed this long after its end: by then its records have come, as a rule.
pub const CLOSE_AFTER: SignedDuration = SignedDuration::from_hours(3);

/// A price rests on at least this many bytes, where so many were billed: the amount of an hour of a few
/// kilobytes is mostly rounding. What is older weighs half.
const PRICE_BYTES: Bytes = Bytes(10 * Bytes::MB);

/// Fleets that one SIM may be in within one hour.
const FLEETS_PER_HOUR_MAX: usize = 4;

/// What usage records say about one SIM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimUsage {
    /// The SIM.
    pub sim: SimSid,
    /// The latest hour with a record that is closed.
    closed_through: Option<Hour>,
    /// Where the records of that hour were found: one that comes again elsewhere counts once.
    closed_from: Vec<Source>,
    /// The latest hours with records, closed or only seen, in order.
    hours: Vec<(Hour, u64)>,
    /// Closed bytes of the calendar month of the latest closed hour.
    month: Option<(Hour, u64)>,
    period: Option<Period>,
    baseline: Baseline,
    /// The longest pause between two hours with usage, in hours.
    pause_hours_max: u32,
    last_active: Option<Hour>,
    price: Bill,
    standing: Standing,
    // Apart, so that an item of usage is not far larger than any other.
    days: Box<Days>,
    diurnal: Diurnal,
}

/// What an hour that is closed is judged beside.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Beside<'a> {
    /// The SIM's fleet, merged through the hour before; `None` judges nothing.
    pub cohort: Option<&'a Cohort>,
    /// Planned work touches the hour: it is no evidence, and not usual either.
    pub is_suspended: bool,
}

/// A billing period, and what was used in its closed hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Period {
    start_ms: i64,
    end_ms: i64,
    bytes: u64,
    /// The provider was asked when this hour was closed.
    asked_at: Option<Hour>,
    /// An hour turned out to be other than when the provider was asked, which may have known it.
    is_doubtful: bool,
}

/// What is usual for a SIM: of the natural logarithm of an active hour's kilobytes and one, the
/// middle and the spread, with a half-life of about a week (`ln(1 + bytes/1000)`; Huber's clipping,
/// so that one wild hour teaches little). Of its days the same, with a half-life of some three weeks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// Active hours learnt, or days.
    pub active_hours: u32,
    /// The middle.
    pub middle: f64,
    /// The spread: 1.2533 times the mean distance from the middle, which is a normal distribution's
    /// standard deviation; from what is usual at that hour of the day where that is nearer.
    pub spread: f64,
}

/// Where a record was found: a SIM that changes its fleet has one of each for the same hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The fleet whose records were read; `None` for all of the SIM's.
    pub fleet: Option<FleetSid>,
    /// The page.
    pub page: u32,
}

/// What became of an hour that was to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It is counted and learnt.
    Now,
    /// It was closed from another fleet's records, too, and these are added to it.
    Added,
    /// It was closed from the same page before: nothing is changed.
    Before,
    /// It was closed from another page, or a later hour was: the record came twice.
    Elsewhere,
}

impl SimUsage {
    /// The usage of a SIM that has no records.
    #[must_use]
    pub fn new(sim: SimSid) -> Self {
        Self {
            sim,
            closed_through: None,
            closed_from: Vec::new(),
            hours: Vec::new(),
            month: None,
            period: None,
            baseline: Baseline { active_hours: 0, middle: 0.0, spread: 0.0 },
            pause_hours_max: 0,
            last_active: None,
            price: Bill::of(Bytes(0), None),
            standing: Standing::default(),
            days: Box::default(),
            diurnal: Diurnal::default(),
        }
    }

    /// Closes an hour of which a record was found there; it is learnt and not judged.
    pub fn close(&mut self, hour: Hour, bytes: Bytes, source: Source) -> Closed {
        self.close_beside(hour, bytes, source, Beside::default())
    }

    /// Closes an hour of which a record was found there. The active hour before is judged, now that
    /// the whole cohort's is known; this one is taken up, and judged with the next.
    pub fn close_beside(
        &mut self,
        hour: Hour,
        bytes: Bytes,
        source: Source,
        beside: Beside<'_>,
    ) -> Closed {
        match self.closed_through {
            Some(closed) if closed > hour => return Closed::Elsewhere,
            Some(closed) if closed == hour => return self.close_again(hour, bytes, source),
            _ => {}
        }
        // What was only seen, and had no record when it should have been closed, does not count.
        let before = self.closed_through;
        // Records of all of the SIM's fleets say nothing of a move.
        let is_same = |known: &Source| known.fleet.is_none() || known.fleet == source.fleet;
        let stayed = self.closed_from.iter().any(is_same);
        self.hours.retain(|(kept, _)| Some(*kept) <= before || *kept >= hour);
        (self.closed_through, self.closed_from) = (Some(hour), vec![source]);
        self.keep(hour, bytes);
        self.count(hour, bytes);
        if let Some(cohort) = beside.cohort {
            if stayed {
                self.standing.settle(cohort);
            } else {
                self.standing.leave();
                self.days.leave();
            }
        }
        // A silent hour teaches nothing.
        if bytes > Bytes(0) {
            if !beside.is_suspended {
                self.judge_and_learn(hour, bytes, beside.cohort);
            }
            self.days.count(hour, bytes, beside);
            let pause = self.last_active.map_or(0, |last| last.hours_until(hour));
            self.pause_hours_max = self.pause_hours_max.max(pause);
            self.last_active = Some(hour);
        }
        Closed::Now
    }

    fn judge_and_learn(&mut self, hour: Hour, bytes: Bytes, cohort: Option<&Cohort>) {
        let at_that_hour = self.diurnal.level_around(hour);
        let usual = self.usual_in(hour, cohort.and_then(Cohort::spread));
        if let Some(usual) = &usual
            && cohort.is_some()
        {
            self.standing.take_up(hour, bytes, usual);
        }
        let may_learn = self.standing.wallet().may_learn();
        let excess = usual.map_or(Bytes(0), |usual| excess_of_hour(bytes, usual.expected()));
        // A new level that does no harm is learnt, and slowly: by the hour of the day a thief could teach
        // as much again within days.
        if may_learn || excess == Bytes(0) {
            self.baseline.learn(bytes, at_that_hour);
        }
        if may_learn {
            self.diurnal.learn(hour, bytes, self.baseline.middle);
        }
    }

    /// What is usual for the SIM in such an hour, beside peers of this spread; `None` while its past is
    /// too short.
    pub(crate) fn usual_in(&self, hour: Hour, peers_spread: Option<f64>) -> Option<Usual> {
        let usual = Usual::beside(&self.baseline, peers_spread)?;
        Some(usual.at_least(self.diurnal.level_around(hour)))
    }

    fn close_again(&mut self, hour: Hour, bytes: Bytes, source: Source) -> Closed {
        if self.closed_from.contains(&source) {
            return Closed::Before;
        }
        // Records of all of the SIM's fleets leave nothing to be added.
        if self.closed_from.iter().any(|other| other.fleet.is_none()) {
            return Closed::Before;
        }
        let known = self.closed_from.iter().any(|other| other.fleet == source.fleet);
        if known || self.closed_from.len() >= FLEETS_PER_HOUR_MAX {
            return Closed::Elsewhere;
        }
        self.closed_from.push(source);
        let was = self.bytes_in(hour);
        self.amend(hour, was, was.plus(bytes));
        Closed::Added
    }

    /// Learns what the bytes of an hour cost.
    pub fn learn_price(&mut self, bytes: Bytes, billed: Option<Money>) {
        let bill = Bill::of(bytes, billed);
        let (Some((money, _)), known) = (bill.known(), self.price.known()) else { return };
        self.price = match known {
            Some((before, _)) if before.currency != money.currency => bill,
            Some((_, of)) if of > PRICE_BYTES => self.price.halved().with(bill),
            _ => self.price.with(bill),
        };
    }

    /// What bytes of the SIM were billed lately: a price, where one is known.
    #[must_use]
    pub const fn price(&self) -> Bill {
        self.price
    }

    /// Sees an hour that is not closed yet; it may be seen again and hold more. Says whether that
    /// changed anything.
    pub fn see(&mut self, hour: Hour, bytes: Bytes) -> bool {
        if self.closed_through.is_some_and(|closed| closed >= hour) || self.bytes_in(hour) == bytes
        {
            return false;
        }
        self.keep(hour, bytes);
        true
    }

    /// A closed hour turned out to hold another number of bytes: it is counted, and not learnt.
    pub fn amend(&mut self, hour: Hour, was: Bytes, is: Bytes) {
        if let Some((_, kept)) = self.hours.iter_mut().find(|(kept, _)| *kept == hour) {
            *kept = is.0;
        } else if self.oldest_kept() <= Some(hour) {
            self.keep(hour, is);
        }
        self.days.amend(hour, was, is);
        let adjust = |bytes: &mut u64| *bytes = bytes.saturating_add(is.0).saturating_sub(was.0);
        if let Some((month, bytes)) = &mut self.month
            && Window::of_month(*month).hours.contains(&hour)
        {
            adjust(bytes);
        }
        if let Some(period) = &mut self.period
            && period.hours().contains(&hour)
        {
            adjust(&mut period.bytes);
            period.is_doubtful |= Some(hour) <= period.asked_at;
        }
    }

    /// Learns the SIM's billing period, and what was used in its hours up to `closed_through`.
    pub fn set_period(&mut self, period: BillingPeriod, closed_bytes: Bytes) {
        let (start_ms, end_ms) = (period.start.as_millisecond(), period.end.as_millisecond());
        let (bytes, asked_at) = (closed_bytes.0, self.closed_through);
        self.period = Some(Period { start_ms, end_ms, bytes, asked_at, is_doubtful: false });
    }

    fn keep(&mut self, hour: Hour, bytes: Bytes) {
        let place = self.hours.partition_point(|(kept, _)| *kept < hour);
        match self.hours.get_mut(place) {
            Some((kept, known)) if *kept == hour => *known = bytes.0,
            _ => self.hours.insert(place, (hour, bytes.0)),
        }
        let oldest = self.oldest_kept();
        // Of hours that are only seen, should closing lag behind for days, the latest are kept.
        let seen_from =
            self.hours.last().map(|(latest, _)| latest.plus(HOURS_KEPT.saturating_neg()));
        let closed = self.closed_through;
        self.hours.retain(|(kept, _)| {
            Some(*kept) >= oldest && (Some(*kept) <= closed || Some(*kept) >= seen_from)
        });
    }

    /// Whether the hour is among those that are kept one by one, used or not.
    #[must_use]
    pub fn keeps(&self, hour: Hour) -> bool {
        self.oldest_kept().is_some_and(|oldest| oldest <= hour)
    }

    /// Hours before this one are not kept.
    fn oldest_kept(&self) -> Option<Hour> {
        let latest = self.closed_through.or(self.hours.last().map(|(latest, _)| *latest));
        latest.map(|latest| latest.plus(HOURS_KEPT.saturating_neg()))
    }

    fn count(&mut self, hour: Hour, bytes: Bytes) {
        let month = Window::of_month(hour).hours.start;
        self.month = match self.month {
            Some((known, sum)) if known == month => Some((month, sum.saturating_add(bytes.0))),
            _ => Some((month, bytes.0)),
        };
        if let Some(period) = &mut self.period
            && period.hours().contains(&hour)
        {
            period.bytes = period.bytes.saturating_add(bytes.0);
        }
    }

    /// The latest hour with a record that is closed: of later hours, events say more.
    #[must_use]
    pub const fn closed_through(&self) -> Option<Hour> {
        self.closed_through
    }

    /// The hours kept, with their bytes, in order.
    pub fn hours(&self) -> impl Iterator<Item = (Hour, Bytes)> {
        self.hours.iter().map(|(hour, bytes)| (*hour, Bytes(*bytes)))
    }

    /// What records say of the hour, as far as it is kept.
    #[must_use]
    pub fn bytes_in(&self, hour: Hour) -> Bytes {
        self.hours().find(|(kept, _)| *kept == hour).map_or(Bytes(0), |(_, bytes)| bytes)
    }

    /// What records say of these hours, as far as they are kept.
    #[must_use]
    pub fn bytes_within(&self, hours: &Range<Hour>) -> Bytes {
        self.hours().filter(|(hour, _)| hours.contains(hour)).map(|(_, bytes)| bytes).sum()
    }

    /// No period holds more bytes beyond the hours that are kept than this.
    #[must_use]
    pub fn counted_at_most(&self) -> Bytes {
        let month = self.month.map_or(0, |(_, bytes)| bytes);
        let period = self.period.map_or(0, |period| period.bytes);
        Bytes(month.max(period))
    }

    /// The begin of the first hour after those that are closed.
    #[must_use]
    pub fn open_from(&self) -> Option<Hour> {
        self.closed_through.map(Hour::after)
    }

    /// The end of the latest hour with a record.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        self.hours.last().map(|(hour, _)| hour.end())
    }

    /// The period that the hour is part of: the SIM's billing period where that is known, else the
    /// calendar month of UTC, or what of it lies before or after that billing period.
    #[must_use]
    pub fn period_of(&self, hour: Hour) -> Window {
        let month = Window::of_month(hour);
        let Some(known) = self.period.as_ref().map(Period::hours) else { return month };
        let hours = if known.contains(&hour) {
            known
        } else if hour < known.start {
            month.hours.start..month.hours.end.min(known.start)
        } else {
            month.hours.start.max(known.end)..month.hours.end
        };
        if hours == month.hours {
            return month;
        }
        Window::of_dates(hours)
    }

    /// What was used in the closed hours of a period that [`period_of`](Self::period_of) gave: as far
    /// as it is counted, or else as far as its hours are kept.
    #[must_use]
    pub fn closed_bytes_in(&self, period: &Window) -> Bytes {
        let open_from = self.open_from().unwrap_or(period.hours.start);
        let kept = self.bytes_within(&(period.hours.start..open_from.min(period.hours.end)));
        if let Some(known) = &self.period
            && known.hours() == period.hours
        {
            return if known.is_doubtful { kept } else { Bytes(known.bytes) };
        }
        let is_it = |month: &(Hour, u64)| Window::of_month(month.0).hours == period.hours;
        self.month.filter(is_it).map_or(kept, |(_, bytes)| Bytes(bytes))
    }

    /// Whether the SIM's billing period should be asked for. It spans at most two calendar months,
    /// so its usage can be over a limit only when a month's is over half of it; half of that leaves
    /// time to ask.
    #[must_use]
    pub fn needs_period(&self, limit: Bytes) -> bool {
        let now = self.now().unwrap_or(Timestamp::MIN);
        let is_good = |period: &Period| now <= period.end() && !period.is_doubtful;
        let known = self.period.as_ref().is_some_and(is_good);
        let quarter = limit.0 / 4;
        !known && self.month.is_some_and(|(_, bytes)| bytes > quarter)
    }

    /// What is usual for the SIM.
    #[must_use]
    pub const fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// The evidence that there is against the SIM, and its place among its peers.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The SIM's days beside what is usual.
    #[must_use]
    pub fn days(&self) -> &Days {
        &self.days
    }

    /// A human judged that the SIM's usage is no theft: the evidence is gone, and what is usual is
    /// learnt anew. Until that is known again no hour is unusual for 24 active hours, and no day for 14.
    pub fn forgive(&mut self) {
        self.standing.forgive();
        self.days.forgive();
        (self.baseline, self.diurnal) = Default::default();
    }

    /// The fleet from whose records its latest hour was closed first.
    #[must_use]
    pub fn fleet(&self) -> Option<FleetSid> {
        self.closed_from.first().and_then(|source| source.fleet)
    }

    /// Whether the hour was closed first from this fleet's records: only there the SIM is a peer.
    #[must_use]
    pub fn is_peer_in(&self, fleet: FleetSid, hour: Hour) -> bool {
        self.closed_through == Some(hour) && self.fleet() == Some(fleet)
    }

    /// The latest closed hour in which the SIM used bytes.
    #[must_use]
    pub const fn last_active(&self) -> Option<Hour> {
        self.last_active
    }

    /// The longest pause between two hours with usage so far.
    #[must_use]
    pub fn pause_max(&self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.pause_hours_max))
    }

    /// The compact form that is stored.
    ///
    /// # Errors
    /// Never for usage that was made here; the encoder's signature allows for one.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(self)
    }

    /// Reads the compact form of this schema.
    ///
    /// # Errors
    /// When the bytes are not usage of that schema.
    pub fn decode(schema: u32, bytes: &[u8]) -> Result<Self, postcard::Error> {
        if schema >= USAGE_SCHEMA {
            return postcard::from_bytes(bytes);
        }
        let no_price = || postcard::to_stdvec(&Bill::default());
        let no_standing = || postcard::to_stdvec(&Standing::default());
        let no_days = || postcard::to_stdvec(&Days::default());
        let no_diurnal = || postcard::to_stdvec(&Diurnal::default());
        // Each schema ended before something: the price, the evidence, the days, the hours of the day.
        let mut whole = bytes.to_vec();
        if schema < 2 {
            whole.extend(no_price()?);
        }
        if schema < 3 {
            whole.extend(no_standing()?);
        }
        if schema < 4 {
            whole.extend(no_days()?);
        }
        whole.extend(no_diurnal()?);
        postcard::from_bytes(&whole)
    }
}

impl Period {
    fn start(&self) -> Timestamp {
        Timestamp::from_millisecond(self.start_ms).unwrap_or(Timestamp::MIN)
    }

    fn end(&self) -> Timestamp {
        Timestamp::from_millisecond(self.end_ms).unwrap_or(Timestamp::MAX)
    }

    /// Its hours: of the first and the last only what lies wholly in it is certain to be its own.
    fn hours(&self) -> Range<Hour> {
        BillingPeriod { start: self.start(), end: self.end() }.hours()
    }
}

impl BillingPeriod {
    /// The hours that lie wholly in the period.
    #[must_use]
    pub fn hours(&self) -> Range<Hour> {
        Hour::ending_at(self.start).after()..Hour::of(self.end)
    }
}

impl Baseline {
    /// Hours that are learnt as they are, before there is a middle to compare with.
    const UNCLIPPED_HOURS: u32 = 24;

    /// The least weight of an hour: its half-life is about a week of hours.
    const WEIGHT_MIN: f64 = 1.0 / 168.0;

    /// The same for days.
    const UNCLIPPED_DAYS: u32 = 14;

    /// The least weight of a day: its half-life is some three weeks.
    const WEIGHT_OF_DAY_MIN: f64 = 1.0 / 28.0;

    /// The mean distance from the middle of a normal distribution, as a part of its standard
    /// deviation, turned round: the square root of half of pi.
    const SPREAD_OF_DISTANCE: f64 = 1.2533;

    /// Learns an active hour, at an hour of the day of which this level is usual: what is far from the
    /// middle and usual there is no spread.
    pub(crate) fn learn(&mut self, bytes: Bytes, usual: f64) {
        self.learn_by(bytes, usual, Self::UNCLIPPED_HOURS, Self::WEIGHT_MIN);
    }

    /// Learns an active day.
    pub(crate) fn learn_day(&mut self, bytes: Bytes) {
        self.learn_by(bytes, 0.0, Self::UNCLIPPED_DAYS, Self::WEIGHT_OF_DAY_MIN);
    }

    fn learn_by(&mut self, bytes: Bytes, usual: f64, unclipped: u32, weight_min: f64) {
        let level = Usual::level_of(bytes);
        if self.active_hours == 0 {
            self.middle = level;
        }
        let weight = (1.0 / f64::from(self.active_hours.saturating_add(1))).max(weight_min);
        let mut step = level - self.middle;
        // Hours beside an upload's are as usual at the one as at the other.
        let nearest = (level - self.middle.max(usual)).abs().min(step.abs());
        let mut distance = Self::SPREAD_OF_DISTANCE * nearest;
        if self.active_hours >= unclipped {
            step = step.clamp(-2.5 * self.spread, 2.5 * self.spread);
            distance = distance.min(4.0 * self.spread);
        }
        self.middle += weight * step;
        self.spread += weight * (distance - self.spread);
        self.active_hours = self.active_hours.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
