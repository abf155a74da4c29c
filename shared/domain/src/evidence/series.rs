//! A series of numbers that has no peers: its own past alone decides.
//!
//! What usage evidence is worth can so be checked on series that have nothing to do with SIMs.

use jiff::Timestamp;

use crate::bytes::Bytes;
use crate::evidence::{Level, Ranks, Usual, Wallet};
use crate::usage::Baseline;

/// Values before the first judgement, which give the series its unit.
const FIRST_VALUES: usize = 24;

/// A series has no unit. Its first values' median is taken for the bytes that a sensor usually sends
/// in an hour, so that the kilobyte below which nothing matters is as small beside them.
const MEDIAN_BYTES: f64 = 50_000.0;

/// A series, and what its past says.
#[derive(Debug, Clone, Default)]
pub struct Series {
    first: Vec<f64>,
    /// Bytes that stand for 1.
    unit: Option<f64>,
    past: Baseline,
    ranks: Ranks,
    wallet: Wallet,
    latest: Option<Timestamp>,
    /// It was detected, and the evidence has not gone since.
    is_detected: bool,
}

/// What became of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The natural logarithm of the evidence that there is now; not below 0.
    pub log_evidence: f64,
    /// With this value there is enough evidence for an alert: once, until it has all gone.
    pub is_detection: bool,
    /// It goes on with what was detected before.
    pub is_told_before: bool,
}

impl Series {
    /// Judges the next value, which stands for an active hour, and learns it. Values below 0 count
    /// as 0.
    pub fn judge(&mut self, at: Timestamp, value: f64) -> Judged {
        let since = self.latest.map_or(0.0, |latest| at.duration_since(latest).as_secs_f64());
        self.latest = self.latest.max(Some(at));
        let nothing = Judged { log_evidence: 0.0, is_detection: false, is_told_before: false };
        let Some(unit) = self.unit else {
            self.take_first(value);
            return nothing;
        };
        let bytes = bytes_of(value, unit);
        let Some(usual) = Usual::of_past(&self.past) else {
            self.past.learn(bytes, 0.0);
            return nothing;
        };
        let may_learn = self.wallet.may_learn();
        let deviation = usual.deviation(bytes);
        self.ranks.age(since / 86_400.0);
        self.wallet.add(self.ranks.p_value(deviation), bytes, &usual);
        self.ranks.add(deviation);
        if may_learn {
            self.past.learn(bytes, 0.0);
        }
        let log_evidence = self.wallet.log_evidence().max(0.0);
        let is_enough = self.wallet.level() >= Some(Level::Alert);
        let is_told_before = self.is_detected && log_evidence > 0.0;
        self.is_detected = is_enough || is_told_before;
        let is_detection = is_enough && !is_told_before;
        Judged { log_evidence, is_detection, is_told_before }
    }

    fn take_first(&mut self, value: f64) {
        self.first.push(value);
        if self.first.len() < FIRST_VALUES {
            return;
        }
        let first = std::mem::take(&mut self.first);
        let mut sorted = first.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(FIRST_VALUES / 2).copied().unwrap_or_default();
        let unit = if median > 0.0 { MEDIAN_BYTES / median } else { MEDIAN_BYTES };
        first.iter().for_each(|value| self.past.learn(bytes_of(*value, unit), 0.0));
        self.unit = Some(unit);
    }
}

fn bytes_of(value: f64, unit: f64) -> Bytes {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; what is below 0 counts as 0"
    )]
    Bytes((value * unit) as u64)
}
