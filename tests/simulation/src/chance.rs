//! What is left to chance, all of it drawn from the seed.

use std::ops::RangeInclusive;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

/// A named algorithm, so that a seed means the same on every machine and in every version.
#[derive(Debug)]
pub(crate) struct Chance(Xoshiro256PlusPlus);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A number of this range.
    pub(crate) fn of(&mut self, range: RangeInclusive<i64>) -> i64 {
        self.0.random_range(range)
    }

    /// An index below `len`, which must not be 0.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.0.random_range(0..len)
    }

    /// True so many times in a thousand.
    pub(crate) fn permille(&mut self, permille: u32) -> bool {
        permille > 0 && self.0.random_range(0..1_000) < permille
    }

    /// True in one of two cases.
    pub(crate) fn coin(&mut self) -> bool {
        self.permille(500)
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        if all.is_empty() {
            return None;
        }
        let index = self.index(all.len());
        all.get(index).copied()
    }

    /// Decides between two happenings at the same time.
    pub(crate) fn order(&mut self) -> u32 {
        self.0.random()
    }
}
