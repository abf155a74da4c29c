//! The SIM sits in a device that is neither enrolled for it nor of a declared model.
//!
//! Catches a SIM that was put into another device, on its first event and before it used a byte.
//! Fooled by a device that reports the sensor's IMEI: the limits are there for that. Silent while
//! nothing is declared and the SIM's own device is not yet learnt, and where the carrier does not
//! pass the IMEI on.

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::BindingMode;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::DeviceNotAllowed, assess };

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let binding = &snapshot.rules.binding;
    let enrolled = snapshot.enrolled();
    if binding.mode == BindingMode::Off || (enrolled.is_none() && binding.allowed_tacs.is_empty()) {
        return Vec::new();
    }
    let devices = snapshot.state.recent_devices();
    let devices = devices.filter(|device| Some(device.imei) != enrolled);
    let strangers = devices.filter(|device| !binding.allowed_tacs.contains(&device.imei.tac()));
    strangers
        .map(|device| Finding {
            detector: DetectorId::DeviceNotAllowed,
            about: device.imei.to_string(),
            at: device.first(),
            evidence: Evidence::Device {
                seen: device.imei,
                seen_tac: device.imei.tac(),
                enrolled,
                allowed_tacs: binding.allowed_tacs.clone(),
            },
        })
        .collect()
}
