//! Randomness that follows from the seed: hashes for what SIMs share, a stream for each SIM.

use std::f64::consts::TAU;
use std::ops::Range;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

/// One step of SplitMix64, which spreads every bit of its input over all of its output (Steele, Lea
/// and Flood, "Fast splittable pseudorandom number generators", 2014).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// What is drawn once for a subject and its number, wherever and whenever it is asked for.
pub(super) const fn hash(seed: u64, subject: u64, number: u64) -> u64 {
    mix(mix(mix(seed) ^ subject) ^ number)
}

/// The same as a number from 0 up to 1.
pub(super) fn share(seed: u64, subject: u64, number: u64) -> f64 {
    unit(hash(seed, subject, number))
}

/// 53 bits as a number from 0 up to 1.
fn unit(bits: u64) -> f64 {
    float(bits >> 11) / float(1 << 53)
}

/// As a float: nothing here is large enough to lose more than a rounding.
#[expect(clippy::cast_precision_loss, reason = "bytes and milliseconds stay below 2^53")]
pub(super) const fn float(value: u64) -> f64 {
    value as f64
}

/// As whole milliseconds; saturates.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
pub(super) const fn millis(value: f64) -> i64 {
    value as i64
}

/// As a whole number of bytes; saturates, at 0 for what is negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub(super) const fn whole(value: f64) -> u64 {
    value as u64
}

/// A SIM's own stream of random numbers.
#[derive(Debug)]
pub(super) struct Draw(Xoshiro256PlusPlus);

impl Draw {
    /// The stream of the SIM with this number. Its values are part of what a seed means: the
    /// generator's algorithm is fixed, and what is made of its bits is made here.
    pub(super) fn new(seed: u64, index: u32) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(hash(seed, 0x51b, u64::from(index))))
    }

    /// Sixteen bytes for a SID.
    pub(super) fn bytes(&mut self) -> [u8; 16] {
        let both = (u128::from(self.0.next_u64()) << 64) | u128::from(self.0.next_u64());
        both.to_be_bytes()
    }

    /// From 0 up to 1.
    pub(super) fn share(&mut self) -> f64 {
        unit(self.0.next_u64())
    }

    /// True so often.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.share() < share
    }

    /// A whole number of the range; its begin when it is empty.
    pub(super) fn within(&mut self, range: Range<i64>) -> i64 {
        if range.is_empty() { range.start } else { self.0.random_range(range) }
    }

    /// Evenly between the two.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// Between the two, each doubling as likely as the next.
    pub(super) fn log_between(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    /// Of the standard normal distribution (Box and Muller, 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (TAU * self.share()).cos()
    }

    /// Of the log-normal distribution with this median; the spread is that of the logarithm.
    pub(super) fn log_normal(&mut self, median: f64, spread: f64) -> f64 {
        median * (spread * self.normal()).exp()
    }
}
