//! One data session of a SIM, and the bytes that its events prove.
//!
//! A session counts its bytes from 0. An update says where the counter stood at the begin of its
//! window (cumulative minus delta) and at the end (cumulative). So each update proves that a range
//! of the counter was passed in a window of time; per hour the union of these ranges is kept. A
//! union does not care about order or repetition, which is what makes a SIM's state order-proof.
//!
//! What two ranges have between them (a lost update) was used between their times. Within one hour
//! they are one range; of different hours it counts in every window that holds both, and in no
//! other: an open session first seen after three days is not a burst. A counter that falls starts
//! again from 0, so a higher range does not follow from a lower one that was passed later; ranges
//! passed twice in an hour count once. What is proven is never more than what was used.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::event::{Event, EventKind, SessionReport};
use crate::id::{EventSid, SessionSid};
use crate::time::{HOUR_SECS, Hour};

/// No radio link carries more than this: 10 Gbit/s, above the best that 5G promises (20 Gbit/s is
/// its laboratory peak for a whole cell). A larger step of a counter is a fault of the counter.
pub const BYTES_PER_SEC_MAX: u64 = 1_250_000_000;

/// Ranges kept for one session and hour. There is one more than the counter fell; beyond this many
/// the smallest are dropped, which proves less and never more.
const RANGES_PER_HOUR_MAX: usize = 8;

/// Windows that meet may overlap by this much, as they are given in whole seconds.
const OVERLAP_SECS_MAX: i64 = 1;

/// Stored bytes of a session, of one of its ranges and of one of its deltas, rounded up, without
/// their numbers of bytes, which take up to ten each.
const STORED_BYTES: (usize, usize, usize) = (56, 8, 18);

/// A number of 64 bits, seven in each byte.
const VARINT_BYTES_MAX: usize = 10;

/// A session without an end is taken as closed after this many missed updates.
const MISSED_UPDATES_MAX: i64 = 3;

/// The update window that recordings show; where a session's own is longer, that one is used.
const UPDATE_SECS_USUAL: u32 = 360;

/// What is known of one data session within the horizon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session.
    pub sid: SessionSid,
    /// When it was opened: as its events say, or else the earliest of them.
    start_ms: i64,
    /// Whether an event said when it was opened.
    start_is_told: bool,
    /// When it was closed.
    ended_ms: Option<i64>,
    /// The latest event.
    last_ms: i64,
    /// Begin of the latest update window in which bytes were used.
    moved_ms: Option<i64>,
    /// Longest update window seen.
    update_secs: u32,
    /// The highest counter that the session's age allows.
    cumulative: u64,
    ranges: Vec<Range1h>,
    deltas: Vec<Delta>,
}

/// A range of the session's counter that was passed within one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Range1h {
    hour: Hour,
    low: u64,
    high: u64,
    /// Seconds of the hour in which the range was passed: 0 to 3,600.
    first_sec: u16,
    last_sec: u16,
}

impl Range1h {
    const fn bytes(&self) -> u64 {
        self.high.saturating_sub(self.low)
    }

    fn first(&self) -> i64 {
        self.hour.start_secs().saturating_add(i64::from(self.first_sec))
    }

    fn last(&self) -> i64 {
        self.hour.start_secs().saturating_add(i64::from(self.last_sec))
    }

    /// Whether all between the two was passed in their hour, too: they touch, or the higher one was
    /// passed when the lower one had begun. Holds the more, the wider they are: the order in which
    /// ranges are joined does not matter.
    fn joins(&self, other: &Self) -> bool {
        let (lower, upper) = if self.low <= other.low { (self, other) } else { (other, self) };
        let gap = upper.low.saturating_sub(lower.high);
        let secs = upper.last().saturating_sub(lower.first());
        gap == 0 || (secs > OVERLAP_SECS_MAX && is_carriable(gap, secs))
    }

    /// Bytes between this range and one of a later hour; none where the counter fell.
    fn gap_to(&self, later: &Self) -> u64 {
        let gap = later.low.saturating_sub(self.high);
        let secs = later.first().saturating_sub(self.last());
        if is_carriable(gap, secs) { gap } else { 0 }
    }
}

/// An update without a cumulative counter: counted once per event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Delta {
    from: Hour,
    to: Hour,
    /// The event's SID, shortened: one session does not have enough events for two to agree.
    event: u64,
    bytes: u64,
}

impl Session {
    /// The session as its first event shows it.
    pub(crate) fn new(report: &SessionReport, event: &Event) -> Self {
        Self {
            sid: report.sid,
            start_ms: start(report, event).as_millisecond(),
            start_is_told: false,
            ended_ms: None,
            last_ms: event.at.as_millisecond(),
            moved_ms: None,
            update_secs: 0,
            cumulative: 0,
            ranges: Vec::new(),
            deltas: Vec::new(),
        }
    }

    /// Adds what an event of the session says; order and repetition do not matter.
    pub(crate) fn fold(&mut self, report: &SessionReport, event: &Event, horizon: Hour) {
        let update_end = report.update_end.unwrap_or(event.at);
        self.start_ms = self.start_ms.min(start(report, event).as_millisecond());
        self.start_is_told |= report.start.is_some() || event.kind == EventKind::SessionStarted;
        self.last_ms = self.last_ms.max(event.at.as_millisecond());
        if event.kind == EventKind::SessionEnded {
            let ended = report.end.unwrap_or(event.at).as_millisecond();
            self.ended_ms = Some(self.ended_ms.map_or(ended, |known| known.max(ended)));
        }
        if let Some(update_start) = report.update_start {
            let secs = update_end.duration_since(update_start).as_secs();
            self.update_secs = self.update_secs.max(u32::try_from(secs).unwrap_or(0));
        }
        // Bytes that are not known to belong to a window of their own belong to the session.
        let begin = report.update_start.or(report.start);
        let secs = begin.map_or(0, |begin| update_end.duration_since(begin).as_secs());
        let delta = report.delta.total().filter(|bytes| is_carriable(*bytes, secs));
        if delta.is_some_and(|bytes| bytes > 0) {
            let moved = report.update_start.unwrap_or(update_end).as_millisecond();
            self.moved_ms = Some(self.moved_ms.map_or(moved, |known| known.max(moved)));
        }
        let age = report.start.map(|start| update_end.duration_since(start).as_secs());
        let is_counter = |high: &u64| age.is_none_or(|age| is_carriable(*high, age));
        match (report.cumulative.total().filter(is_counter), delta) {
            (Some(high), delta) => self.fold_counter(high, delta, report, update_end, horizon),
            (None, Some(bytes)) if bytes > 0 => {
                if let Some(begin) = begin {
                    self.fold_delta(bytes, begin, update_end, event.sid, horizon);
                }
            }
            (None, _) => {}
        }
        if let Some(start) = report.start {
            self.pass(0..0, start, start, horizon);
        }
    }

    fn fold_counter(
        &mut self,
        high: u64,
        delta: Option<u64>,
        report: &SessionReport,
        update_end: Timestamp,
        horizon: Hour,
    ) {
        if report.start.is_some() {
            self.cumulative = self.cumulative.max(high);
        }
        match (report.update_start, delta) {
            (Some(update_start), Some(bytes)) => {
                self.pass(high.saturating_sub(bytes)..high, update_start, update_end, horizon);
            }
            _ => self.pass(high..high, update_end, update_end, horizon),
        }
    }

    /// Records that the counter passed the range between the two times. Across the turn of an hour
    /// only its ends are proven for either hour; at the very turn, the end belongs to both.
    fn pass(&mut self, range: Range<u64>, from: Timestamp, to: Timestamp, horizon: Hour) {
        let (begin, end) = (Hour::of(from), Hour::ending_at(to).max(Hour::of(from)));
        if begin == end {
            self.insert(begin, &range, from, to, horizon);
        } else {
            self.insert(begin, &(range.start..range.start), from, from, horizon);
            self.insert(end, &(range.end..range.end), to, to, horizon);
        }
        if begin.start() == from {
            self.insert(begin.before(), &(range.start..range.start), from, from, horizon);
        }
        if end.end() == to {
            self.insert(end.after(), &(range.end..range.end), to, to, horizon);
        }
    }

    fn insert(
        &mut self,
        hour: Hour,
        range: &Range<u64>,
        from: Timestamp,
        to: Timestamp,
        horizon: Hour,
    ) {
        if hour < horizon {
            return;
        }
        let second = |time: Timestamp| {
            let secs = time.as_second().saturating_sub(hour.start_secs()).clamp(0, HOUR_SECS);
            u16::try_from(secs).unwrap_or(u16::MAX)
        };
        let mut merged = Range1h {
            hour,
            low: range.start,
            high: range.end,
            first_sec: second(from),
            last_sec: second(to),
        };
        let joins = |other: &Range1h, merged: &Range1h| other.hour == hour && other.joins(merged);
        while let Some(place) = self.ranges.iter().position(|other| joins(other, &merged)) {
            let other = self.ranges.remove(place);
            merged.low = merged.low.min(other.low);
            merged.high = merged.high.max(other.high);
            merged.first_sec = merged.first_sec.min(other.first_sec);
            merged.last_sec = merged.last_sec.max(other.last_sec);
        }
        let place = self.ranges.partition_point(|other| *other < merged);
        self.ranges.insert(place, merged);
        self.drop_smallest_range(hour);
    }

    fn drop_smallest_range(&mut self, hour: Hour) {
        let of_hour = || self.ranges.iter().enumerate().filter(|(_, range)| range.hour == hour);
        if of_hour().count() > RANGES_PER_HOUR_MAX
            && let Some((smallest, _)) = of_hour().min_by_key(|(_, range)| range.bytes())
        {
            self.ranges.remove(smallest);
        }
    }

    fn fold_delta(
        &mut self,
        bytes: u64,
        begin: Timestamp,
        update_end: Timestamp,
        event: EventSid,
        horizon: Hour,
    ) {
        let to = Hour::ending_at(update_end);
        let from = Hour::of(begin).min(to);
        let event = shortened(event);
        let delta = Delta { from, to, event, bytes };
        if from < horizon || self.deltas.iter().any(|known| known.event == event) {
            return;
        }
        let place = self.deltas.partition_point(|other| *other < delta);
        self.deltas.insert(place, delta);
    }

    /// About how many bytes the session takes in the stored state.
    pub(crate) fn stored_bytes(&self) -> usize {
        let (session, range, delta) = STORED_BYTES;
        let ranges = self.ranges.iter().map(|stored| {
            let numbers = varint_bytes(stored.low).saturating_add(varint_bytes(stored.high));
            range.saturating_add(numbers)
        });
        let deltas = self.deltas.iter();
        let deltas = deltas.map(|stored| delta.saturating_add(varint_bytes(stored.bytes)));
        let all = ranges.chain(deltas).fold(session, usize::saturating_add);
        all.saturating_add(varint_bytes(self.cumulative))
    }

    /// No fewer than [`stored_bytes`](Self::stored_bytes), without a look at what is stored.
    pub(crate) const fn stored_bytes_at_most(&self) -> usize {
        let (session, range, delta) = STORED_BYTES;
        let ranges = range.saturating_add(2 * VARINT_BYTES_MAX).saturating_mul(self.ranges.len());
        let deltas = delta.saturating_add(VARINT_BYTES_MAX).saturating_mul(self.deltas.len());
        session.saturating_add(VARINT_BYTES_MAX).saturating_add(ranges).saturating_add(deltas)
    }

    /// The earliest hour of which bytes are known.
    pub(crate) fn oldest_hour(&self) -> Option<Hour> {
        let range = self.ranges.first().map(|range| range.hour);
        let delta = self.deltas.first().map(|delta| delta.from);
        range.into_iter().chain(delta).min()
    }

    /// Drops what lies before the horizon.
    pub(crate) fn forget_before(&mut self, horizon: Hour) {
        if self.ranges.first().is_some_and(|earliest| earliest.hour < horizon) {
            self.ranges.retain(|range| range.hour >= horizon);
        }
        if self.deltas.first().is_some_and(|earliest| earliest.from < horizon) {
            self.deltas.retain(|delta| delta.from >= horizon);
        }
    }

    /// The least number of bytes that the session used within the hours.
    #[must_use]
    pub fn bytes_in(&self, hours: &Range<Hour>) -> Bytes {
        let begin = self.ranges.partition_point(|range| range.hour < hours.start);
        let end = self.ranges.partition_point(|range| range.hour < hours.end);
        let ranges = self.ranges.get(begin..end).unwrap_or_default();
        let counted = proven(ranges);
        let deltas = self.deltas.iter();
        let inside = |delta: &&Delta| hours.contains(&delta.from) && hours.contains(&delta.to);
        let summed: Bytes = deltas.filter(inside).map(|delta| Bytes(delta.bytes)).sum();
        Bytes(counted).max(summed)
    }

    /// The least number of bytes that the session used after the time within the hours: what was
    /// under way at that moment does not count.
    #[must_use]
    pub fn bytes_after(&self, time: Timestamp, hours: &Range<Hour>) -> Bytes {
        // Seconds of ranges are rounded down, so one that began in this very second may be older.
        let whole = Timestamp::from_second(time.as_second()).is_ok_and(|second| second == time);
        let after = time.as_second().saturating_add(i64::from(!whole));
        let inside = |range: &&Range1h| hours.contains(&range.hour) && range.first() >= after;
        let ranges: Vec<Range1h> = self.ranges.iter().filter(inside).copied().collect();
        let next = Hour::of(time).after();
        let later = |delta: &&Delta| {
            delta.from >= next && hours.contains(&delta.from) && hours.contains(&delta.to)
        };
        let summed = self.deltas.iter().filter(later).map(|delta| Bytes(delta.bytes)).sum();
        Bytes(proven(&ranges)).max(summed)
    }

    /// The least number of bytes that the whole session used.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let deltas: Bytes = self.deltas.iter().map(|delta| Bytes(delta.bytes)).sum();
        Bytes(self.cumulative.max(proven(&self.ranges))).max(deltas)
    }

    /// No window holds more bytes of the session than this: a bound that is quick to compute.
    pub(crate) fn bytes_at_most(&self) -> Bytes {
        // As nearly all sessions of a sensor that sends once an hour.
        if let ([only], []) = (self.ranges.as_slice(), self.deltas.as_slice()) {
            return Bytes(only.bytes());
        }
        let mut all = Bytes(0);
        self.for_each_hour(|_, bytes| all = all.plus(bytes));
        all
    }

    /// Hours with bytes, an hour maybe more than once, and for each a bound of what it adds to a window
    /// that holds it.
    pub(crate) fn for_each_hour(&self, mut told: impl FnMut(Hour, Bytes)) {
        // After a fall, which ranges are nearest to the gap between two hours depends on the window.
        let mut least_high = u64::MAX;
        for of_hour in self.ranges.chunk_by(|a, b| a.hour == b.hour) {
            let (mut own, mut most_low, mut lowest_high) = (0_u64, 0, u64::MAX);
            for range in of_hour {
                own = own.saturating_add(range.bytes());
                most_low = range.low.max(most_low);
                lowest_high = range.high.min(lowest_high);
            }
            let bytes = Bytes(own.saturating_add(most_low.saturating_sub(least_high)));
            least_high = lowest_high;
            of_hour.first().into_iter().for_each(|range| told(range.hour, bytes));
        }
        for delta in &self.deltas {
            told(delta.from, Bytes(delta.bytes));
            told(delta.to, Bytes(0));
        }
    }

    /// Hours with bytes, in order; an hour may come more than once.
    pub(crate) fn hours(&self) -> impl Iterator<Item = Hour> {
        let ranges = self.ranges.iter().map(|range| range.hour);
        ranges.chain(self.deltas.iter().flat_map(|delta| [delta.from, delta.to]))
    }

    /// When the session was opened, or the earliest sign of it.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        at(self.start_ms)
    }

    /// When the session was opened, if an event said so.
    #[must_use]
    pub fn opened(&self) -> Option<Timestamp> {
        self.start_is_told.then(|| self.start())
    }

    /// When the session was closed, if an event said so.
    #[must_use]
    pub fn ended(&self) -> Option<Timestamp> {
        self.ended_ms.map(at)
    }

    /// The latest event of the session.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        at(self.last_ms)
    }

    /// The same in milliseconds, for what is asked for each event.
    pub(crate) const fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// Begin of the latest update window in which bytes were used.
    #[must_use]
    pub fn moved(&self) -> Option<Timestamp> {
        self.moved_ms.map(at)
    }

    /// When the session is taken as closed although no event says so.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        let secs = i64::from(self.update_secs.max(UPDATE_SECS_USUAL));
        let silence = SignedDuration::from_secs(secs.saturating_mul(MISSED_UPDATES_MAX));
        self.last().saturating_add(silence).unwrap_or(Timestamp::MAX)
    }
}

/// A session's start as the event tells it; where it does not, the earliest moment it speaks of.
fn start(report: &SessionReport, event: &Event) -> Timestamp {
    let signs = [report.update_start, report.update_end, report.end];
    report.start.unwrap_or_else(|| signs.into_iter().flatten().fold(event.at, Timestamp::min))
}

/// The least number of bytes that ranges of one session prove: their own, and what lies between the
/// last one of an hour and the first one of the next hour that has any.
fn proven(ranges: &[Range1h]) -> u64 {
    let mut bytes = ranges.iter().fold(0_u64, |sum, range| sum.saturating_add(range.bytes()));
    let mut before: Option<&Range1h> = None;
    for hour in ranges.chunk_by(|a, b| a.hour == b.hour) {
        let first = hour.iter().min_by_key(|range| range.first_sec);
        let gap = before.zip(first).map_or(0, |(before, first)| before.gap_to(first));
        bytes = bytes.saturating_add(gap);
        before = hour.iter().max_by_key(|range| range.last_sec);
    }
    bytes
}

/// Whether a radio link can carry so much within the seconds, which are rounded down.
pub(crate) fn is_carriable(bytes: u64, secs: i64) -> bool {
    let secs = u64::try_from(secs).unwrap_or(0).saturating_add(1);
    bytes <= secs.saturating_mul(BYTES_PER_SEC_MAX)
}

/// How many bytes the stored form of a number takes: seven bits each.
fn varint_bytes(number: u64) -> usize {
    let bits = u64::BITS.saturating_sub(number.leading_zeros()).max(1);
    usize::try_from(bits.div_ceil(7)).unwrap_or(usize::MAX)
}

/// The remainder by the largest prime of 64 bits: unlike half of the SID, it depends on every digit.
fn shortened(event: EventSid) -> u64 {
    const PRIME: u128 = 0xffff_ffff_ffff_ffc5;
    u64::try_from(u128::from_be_bytes(*event.as_bytes()) % PRIME).unwrap_or(u64::MAX)
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}
