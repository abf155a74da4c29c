//! A fleet's totals and its SIMs by usage, from the parts that the pages left.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::SimSid;
use simfuse_domain::port::{FleetUsed, Part};

/// SIMs on one page of a rank: 96 kB, a quarter of what an item holds, and more than anyone scrolls.
pub(crate) const SIMS_PER_PAGE: usize = 4_000;

/// SIMs ranked: five pages. Memory must not grow with the fleet, and of a million SIMs nobody asks
/// who came twenty thousandth.
pub(crate) const SIMS_RANKED_MAX: usize = 20_000;

/// Totals and rank in the making; memory is bounded whatever is added.
#[derive(Debug, Default)]
pub(crate) struct Rank {
    used: FleetUsed,
    /// The SIMs with most bytes, the least of them on top.
    most: BinaryHeap<Reverse<(Bytes, SimSid)>>,
}

impl Rank {
    /// Adds one page's SIMs.
    pub(crate) fn add(&mut self, part: &Part) {
        self.used.bill = self.used.bill.with(part.bill);
        for (sim, bytes) in &part.sims {
            self.used.sims = self.used.sims.saturating_add(1);
            self.used.total = self.used.total.plus(*bytes);
            let least = self.most.peek().map(|Reverse(least)| *least);
            if self.most.len() < SIMS_RANKED_MAX {
                self.most.push(Reverse((*bytes, *sim)));
            } else if least.is_some_and(|least| (*bytes, *sim) > least) {
                self.most.pop();
                self.most.push(Reverse((*bytes, *sim)));
            }
        }
    }

    /// The totals, and the SIMs, largest first.
    pub(crate) fn finish(self) -> (FleetUsed, Vec<(SimSid, Bytes)>) {
        // Ascending by what is turned round: the largest comes first.
        let sims = self.most.into_sorted_vec();
        (self.used, sims.into_iter().map(|Reverse((bytes, sim))| (sim, bytes)).collect())
    }
}

#[cfg(test)]
mod tests {
    use simfuse_domain::evidence::Sketch;
    use simfuse_domain::money::{Bill, Money};

    use super::*;

    fn sim(number: u32) -> SimSid {
        let mut bytes = [0; 16];
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        SimSid::from_bytes(bytes)
    }

    #[test]
    fn the_largest_come_first_and_everyone_counts() {
        let mut rank = Rank::default();
        let currency = "USD".parse().unwrap();
        let number = |n: u32| (n * 7_919) % 50_000;
        for page in 0..50_u32 {
            let sims = (0..1_000).map(|n| number(page * 1_000 + n));
            let sims = sims.map(|n| (sim(n), Bytes(n.into()))).collect();
            let billed = (page % 2 == 0).then_some(Money { micros: 3, currency });
            let (bill, sketch) = (Bill::of(Bytes(1), billed), Sketch::default());
            rank.add(&Part { page, sims, bill, sketch });
        }
        let (used, sims) = rank.finish();
        assert_eq!((used.sims, used.total), (50_000, Bytes(49_999 * 50_000 / 2)));
        assert_eq!(used.bill.known(), Some((Money { micros: 75, currency }, Bytes(25))));
        let expected = (30_000..50_000).rev().map(|n| (sim(n), Bytes(n.into())));
        assert!(sims.into_iter().eq(expected));
    }
}
