//! The SIM sits in another device of the same model as the one enrolled for it.
//!
//! Catches a swap within a model, which a declared list lets through. Fooled by a copied IMEI, and
//! true of every honest repair: it alerts and never cuts.

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::BindingMode;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::DeviceChanged, assess };

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let binding = &snapshot.rules.binding;
    let Some(enrolled) = snapshot.enrolled().filter(|_| binding.mode != BindingMode::Off) else {
        return Vec::new();
    };
    let devices = snapshot.state.recent_devices();
    let others =
        devices.filter(|device| device.imei != enrolled && device.imei.tac() == enrolled.tac());
    others
        .map(|device| Finding {
            detector: DetectorId::DeviceChanged,
            about: device.imei.to_string(),
            at: device.first(),
            evidence: Evidence::Device {
                seen: device.imei,
                seen_tac: device.imei.tac(),
                enrolled: Some(enrolled),
                allowed_tacs: binding.allowed_tacs.clone(),
            },
        })
        .collect()
}
