//! What policy makes of strikes.

use super::SpikeAct;
use crate::bytes::Bytes;
use crate::detector::strike::{DEVICE_BYTES, FASTER_THAN_KBPS};
use crate::state::BURST_KBPS_MIN;

/// What a speed may be, in kilobits a second: slower windows are not kept, and none is faster.
pub const SPEED_KBPS: std::ops::RangeInclusive<u32> = BURST_KBPS_MIN..=1_000_000;

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
    /// What holds where a policy does not speak of it: it is told. The shipped policy deactivates, and
    /// whoever wrote one of his own before there were strikes is not surprised.
    pub const UNSAID: Self = Self {
        act: SpikeAct::Alert,
        faster_than_kbps: FASTER_THAN_KBPS,
        device_bytes: DEVICE_BYTES,
    };
}
