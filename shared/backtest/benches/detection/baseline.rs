//! What people use today, on the same stream: five rules without SimFuse.
//!
//! Each looks at events and usage records as they arrive, as a script at a webhook would, and cuts a
//! SIM once.

use simfuse_domain::device::Imei14;
use simfuse_domain::event::Event;
use simfuse_domain::id::SessionSid;
use simfuse_domain::port::UsageRecord;
use simfuse_domain::time::{Hour, Window};

/// Rules, in the order of their names.
pub(crate) const COUNT: usize = 5;

/// Their names.
pub(crate) const NAMES: [&str; COUNT] = [
    "the Fleet's limit, 250 MB a month",
    "10 MB in an hour",
    "20 MB in a day",
    "IMEI lock",
    "z > 6 three times",
];

const MONTH_BYTES_MAX: u64 = 250_000_000;
const HOUR_BYTES_MAX: u64 = 10_000_000;
const DAY_BYTES_MAX: u64 = 20_000_000;

/// Hours with usage that are learnt before any is judged.
const LEARNT_HOURS: f64 = 24.0;

/// How far above the mean of `ln(1 + bytes/1000)`, in standard deviations, and how often in a row.
const Z_MAX: f64 = 6.0;
const TIMES: u32 = 3;

/// Sessions whose counters are remembered.
const SESSIONS: usize = 8;

/// What the five know of a SIM.
#[derive(Debug, Default)]
pub(crate) struct Baselines {
    sessions: Vec<(SessionSid, u64)>,
    month: Sum,
    day: Sum,
    hour: Sum,
    device: Option<Imei14>,
    usual: Moments,
    latest: Option<Hour>,
    high: u32,
}

impl Baselines {
    /// Which of the five cut the SIM for this event.
    pub(crate) fn event(&mut self, event: &Event) -> [bool; COUNT] {
        let bytes = self.count(event);
        let hour = Hour::ending_at(event.ended_at());
        let month = self.month.add(Window::of_month(hour).hours.start, bytes) > MONTH_BYTES_MAX;
        let day = self.day.add(Window::of_day(hour).hours.start, bytes) > DAY_BYTES_MAX;
        let in_hour = self.hour.add(hour, bytes) > HOUR_BYTES_MAX;
        let first = *self.device.get_or_insert_with_option(event.device);
        let is_other = first.zip(event.device).is_some_and(|(first, seen)| first != seen);
        [month, in_hour, day, is_other, false]
    }

    /// Which of the five cut the SIM for this record: the one that looks at records.
    pub(crate) fn record(&mut self, record: &UsageRecord) -> [bool; COUNT] {
        let (Some(hour), Some(bytes)) = (record.hour(), record.total) else {
            return [false; COUNT];
        };
        if self.latest >= Some(hour) || bytes.0 == 0 {
            return [false; COUNT];
        }
        self.latest = Some(hour);
        #[expect(clippy::cast_precision_loss, reason = "its logarithm is taken")]
        let y = (bytes.0 as f64 / 1e3).ln_1p();
        let is_high = self.usual.count >= LEARNT_HOURS && self.usual.z(y) > Z_MAX;
        self.high = if is_high { self.high.saturating_add(1) } else { 0 };
        if !is_high {
            self.usual.add(y);
        }
        [false, false, false, false, self.high >= TIMES]
    }

    /// Bytes that the event adds to its session's counter.
    fn count(&mut self, event: &Event) -> u64 {
        let Some(session) = &event.session else { return 0 };
        let total = session.cumulative.total().unwrap_or(0);
        if let Some((_, known)) = self.sessions.iter_mut().find(|(sid, _)| *sid == session.sid) {
            let more = total.saturating_sub(*known);
            *known = total.max(*known);
            return more;
        }
        if self.sessions.len() >= SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push((session.sid, total));
        total
    }
}

/// Sets what is unknown, and says what is known.
trait OrSet<T> {
    fn get_or_insert_with_option(&mut self, value: Option<T>) -> &Option<T>;
}

impl<T> OrSet<T> for Option<T> {
    fn get_or_insert_with_option(&mut self, value: Option<T>) -> &Option<T> {
        if self.is_none() {
            *self = value;
        }
        self
    }
}

/// Bytes of the latest window.
#[derive(Debug, Default)]
struct Sum(Option<(Hour, u64)>);

impl Sum {
    fn add(&mut self, window: Hour, bytes: u64) -> u64 {
        let (known, sum) = self.0.unwrap_or((window, 0));
        let sum = match known.cmp(&window) {
            std::cmp::Ordering::Less => bytes,
            std::cmp::Ordering::Equal => sum.saturating_add(bytes),
            // What comes late is of a window that is over.
            std::cmp::Ordering::Greater => return 0,
        };
        self.0 = Some((window, sum));
        sum
    }
}

/// Mean and variance so far (Welford's method).
#[derive(Debug, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, y: f64) {
        self.count += 1.0;
        let off = y - self.mean;
        self.mean += off / self.count;
        self.squares += off * (y - self.mean);
    }

    fn z(&self, y: f64) -> f64 {
        let variance = self.squares / (self.count - 1.0).max(1.0);
        (y - self.mean) / variance.sqrt().max(1e-3)
    }
}
