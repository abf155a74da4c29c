//! What a SIM used by the hour, until the provider's record of it is told.

use simfuse_domain::time::Hour;

use super::calendar::HOUR_MS;
use super::delivery::time;
use super::draw::Draw;
use super::session::millis_between;
use crate::fleet::Volume;

/// From the end of an hour until its record is there. Windows that reach into the hour are closed
/// by then, as none is longer than six minutes.
const LAG_MS: std::ops::Range<i64> = 20 * 60_000..80 * 60_000;

/// From a record that lacks bytes until it is corrected.
const CORRECTION_MS: std::ops::Range<i64> = 4 * HOUR_MS..36 * HOUR_MS;

/// Hours whose record is still to come: two or three, and those to be corrected.
#[derive(Debug)]
pub(super) struct Records {
    open: Vec<Open>,
    /// When the next record is due.
    pub(super) due: i64,
}

#[derive(Debug)]
struct Open {
    /// When the hour begins.
    begin: i64,
    bytes: Volume,
    due: i64,
    is_told: bool,
}

/// A record that is due.
pub(super) struct Due {
    pub(super) hour: Hour,
    pub(super) bytes: Volume,
    pub(super) is_correction: bool,
}

impl Records {
    pub(super) const fn new() -> Self {
        Self { open: Vec::new(), due: i64::MAX }
    }

    /// Adds what was used between two times, which are at most a window apart.
    pub(super) fn add(&mut self, draw: &mut Draw, from: i64, to: i64, bytes: Volume) {
        if bytes.total() == 0 {
            return;
        }
        let turn = to.div_euclid(HOUR_MS) * HOUR_MS;
        let before = if from < turn {
            bytes.share(millis_between(from, turn), millis_between(from, to))
        } else {
            Volume::default()
        };
        self.add_to(draw, turn - HOUR_MS, before);
        self.add_to(draw, turn, bytes.minus(before));
    }

    fn add_to(&mut self, draw: &mut Draw, begin: i64, bytes: Volume) {
        if bytes.total() == 0 {
            return;
        }
        if let Some(open) = self.open.iter_mut().find(|open| open.begin == begin) {
            open.bytes = open.bytes.plus(bytes);
            return;
        }
        let due = begin + HOUR_MS + draw.within(LAG_MS);
        self.open.push(Open { begin, bytes, due, is_told: false });
        self.due = self.due.min(due);
    }

    /// Takes a record that is due; a share of them lacks bytes and becomes due again.
    pub(super) fn take(&mut self, draw: &mut Draw, corrected: f64) -> Option<Due> {
        let due = self.due;
        let place = self.open.iter().position(|open| open.due == due)?;
        let open = self.open.get_mut(place)?;
        let hour = Hour::of(time(open.begin));
        let (bytes, is_correction) = (open.bytes, open.is_told);
        let taken = if !open.is_told && draw.chance(corrected) {
            open.is_told = true;
            open.due += draw.within(CORRECTION_MS);
            let part = u64::try_from(draw.within(40..95)).unwrap_or(95);
            Due { hour, bytes: bytes.share(part, 100), is_correction }
        } else {
            self.open.swap_remove(place);
            Due { hour, bytes, is_correction }
        };
        self.due = self.open.iter().map(|open| open.due).min().unwrap_or(i64::MAX);
        Some(taken)
    }
}
