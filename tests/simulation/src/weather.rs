//! How much goes wrong in one seed. Each kind of fault is absent, rare or frequent by itself, so that
//! some seeds have one kind only and others all of them.

use crate::chance::Chance;

/// Rates are permille of the calls or deliveries that they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weather {
    /// The table is throttled or out of reach, before or after the effect.
    pub(crate) table: u32,
    /// Someone else came first, it says.
    pub(crate) conflicts: u32,
    /// The provider throttles, fails, refuses, or answers nonsense.
    pub(crate) provider: u32,
    /// A request to the provider lands minutes later, or once more.
    pub(crate) late: u32,
    /// The topic fails, before or after the effect.
    pub(crate) topic: u32,
    /// A function dies at a call.
    pub(crate) crashes: u32,
    /// A record of the stream is lost, late, or comes twice.
    pub(crate) stream: u32,
    /// An event is lost, late, or comes twice.
    pub(crate) events: u32,
    /// The longest way of a call, there or back.
    pub(crate) slow_ms: i64,
    /// How far clocks of two instances are from the true time.
    pub(crate) skew_ms: i64,
    /// Sweeps are invoked twice.
    pub(crate) doubled_sweeps: u32,
}

impl Weather {
    /// What the seed makes of it.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let mut rate = |rare, frequent| match chance.of(0..=4) {
            0 | 1 => 0,
            2 | 3 => rare,
            _ => frequent,
        };
        Self {
            table: rate(10, 60),
            conflicts: rate(10, 60),
            provider: rate(50, 400),
            late: rate(50, 300),
            topic: rate(50, 400),
            crashes: rate(4, 25),
            stream: rate(50, 300),
            events: rate(30, 200),
            slow_ms: match rate(1, 2) {
                0 => 40,
                1 => 1_500,
                _ => 8_000,
            },
            skew_ms: match rate(1, 2) {
                0 => 0,
                1 => 500,
                _ => 3_000,
            },
            doubled_sweeps: rate(100, 500),
        }
    }

    /// Nothing goes wrong.
    pub(crate) const fn calm() -> Self {
        Self {
            table: 0,
            conflicts: 0,
            provider: 0,
            late: 0,
            topic: 0,
            crashes: 0,
            stream: 0,
            events: 0,
            slow_ms: 5,
            skew_ms: 0,
            doubled_sweeps: 0,
        }
    }
}
