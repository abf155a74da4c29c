//! Update windows in which a session carried much: what [`strike`](crate::detector::strike) is about.
//!
//! Sessions keep what each hour proves, in which a short burst drowns; these are kept one by one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::event::SessionReport;
use crate::id::SessionSid;
use crate::session::is_carriable;

/// Windows kept, within the horizon: the latest. Two are enough for a detector, as long as no more
/// than these come between them.
pub const BURSTS_MAX: usize = 16;

/// A window with fewer bytes is not kept: more than a sensor's daily upload, less than 6 minutes of
/// video in the poorest quality.
pub const BURST_MIN: Bytes = Bytes(8 * Bytes::MB);

/// Nor is one in which less went to the device, in kilobits a second: 6 minutes of that are the least
/// bytes. Long windows and uploads so do not push out what is looked for.
pub const BURST_KBPS_MIN: u32 = 180;

/// A shorter window says nothing of a speed: it is given in whole seconds.
const MILLIS_MIN: u32 = 10_000;

/// The latest windows with at least [`BURST_MIN`] bytes and [`BURST_KBPS_MIN`], in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Bursts(Vec<Burst>);

/// One update window and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Burst {
    from_ms: i64,
    millis: u32,
    bytes: u64,
    /// Of these what went to the device, where the event says so; else all.
    down: u64,
    /// The session's counter at the end of the window, where the event says so.
    counter: Option<u64>,
    session: SessionSid,
}

impl Bursts {
    pub(super) const NOTHING: Self = Self(Vec::new());

    pub(super) fn all(&self) -> &[Burst] {
        &self.0
    }

    /// Adds the window of a report. Says whether that is new.
    pub(super) fn fold(&mut self, report: &SessionReport) -> bool {
        let Some(burst) = Burst::of(report) else { return false };
        let Err(place) = self.0.binary_search(&burst) else { return false };
        self.0.insert(place, burst);
        let is_dropped = self.0.len() > BURSTS_MAX;
        if is_dropped {
            self.0.remove(0);
        }
        !(is_dropped && place == 0)
    }

    pub(super) fn forget_before(&mut self, begin: Timestamp) {
        self.0.retain(|burst| burst.from() >= begin);
    }
}

impl Burst {
    fn of(report: &SessionReport) -> Option<Self> {
        let (from, to) = (report.update_start?, report.update_end?);
        let bytes = report.delta.total().filter(|bytes| Bytes(*bytes) >= BURST_MIN)?;
        let length = to.duration_since(from);
        let millis =
            u32::try_from(length.as_millis()).ok().filter(|millis| *millis >= MILLIS_MIN)?;
        let counter = report.cumulative.total();
        let is_true =
            is_carriable(bytes, length.as_secs()) && counter.is_none_or(|counter| bytes <= counter);
        let down = report.delta.down.map_or(bytes, |down| down.min(bytes));
        let (from_ms, session) = (from.as_millisecond(), report.sid);
        let burst = Self { from_ms, millis, bytes, down, counter, session };
        (is_true && burst.is_faster_than(BURST_KBPS_MIN)).then_some(burst)
    }

    /// When the window began.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        Timestamp::from_millisecond(self.from_ms).unwrap_or(Timestamp::MIN)
    }

    /// When it was over.
    #[must_use]
    pub fn to(&self) -> Timestamp {
        let to = self.from_ms.saturating_add(i64::from(self.millis));
        Timestamp::from_millisecond(to).unwrap_or(Timestamp::MAX)
    }

    /// What was used in it.
    #[must_use]
    pub const fn bytes(&self) -> Bytes {
        Bytes(self.bytes)
    }

    /// The session that it is of.
    #[must_use]
    pub const fn session(&self) -> SessionSid {
        self.session
    }

    /// Whether so many kilobits a second, over the whole window, do not carry what went to the device.
    /// A window is given in whole seconds: one more counts.
    #[must_use]
    pub fn is_faster_than(&self, kbps: u32) -> bool {
        let millis = u64::from(self.millis).saturating_add(1_000);
        // One kilobit a second is one bit a millisecond.
        self.down.saturating_mul(8) > u64::from(kbps).saturating_mul(millis)
    }

    /// Whether both tell the same time, or the same bytes of one session, twice.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let is_at_once = self.from() < other.to() && other.from() < self.to();
        let passed =
            |burst: &Self| burst.counter.map(|high| high.saturating_sub(burst.bytes)..high);
        let is_counted = passed(self)
            .zip(passed(other))
            .is_some_and(|(one, other)| one.start < other.end && other.start < one.end);
        is_at_once || (self.session == other.session && is_counted)
    }
}
