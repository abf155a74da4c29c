//! What policy makes of strikes.

use super::SpikeAct;
use crate::bytes::Bytes;
use crate::detector::strike::{DEVICE_BYTES, FASTER_THAN_KBPS};
use crate::verdict::Verdict;

/// What a speed may be, in kilobits a second: slower than the slowest modem that there is, or faster
/// than any sensor's.
pub const SPEED_KBPS: std::ops::RangeInclusive<u32> = 10..=1_000_000;

/// What no sensor of its kind can use, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// What it leads to.
    pub act: SpikeAct,
    /// Speed over an update window or an hour, of which two are a strike.
    pub faster_than_kbps: u32,
    /// Bytes in a device that does not belong to the SIM.
    pub device_bytes: Bytes,
}

impl Strike {
    /// A SIM with a strike is deactivated.
    pub const DEFAULT: Self = Self {
        act: SpikeAct::Deactivate,
        faster_than_kbps: FASTER_THAN_KBPS,
        device_bytes: DEVICE_BYTES,
    };

    /// The verdict for a strike.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self.act {
            SpikeAct::Off => Verdict::Clear,
            SpikeAct::Alert => Verdict::Alert,
            SpikeAct::Quarantine => Verdict::Quarantine,
            SpikeAct::Deactivate => Verdict::Deactivate,
        }
    }
}
