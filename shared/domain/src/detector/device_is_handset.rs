//! The SIM sits in a model that policy names as a phone or tablet.
//!
//! Catches a thief before the SIM's own device is learnt, in its first hour too, where
//! `device_not_allowed` has nothing to compare with. Fooled by a device that reports the sensor's
//! IMEI, and by a model that is not on the list. Silent without a list; a model that is also
//! declared as allowed, and a device that was learnt, are none.

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::BindingMode;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::DeviceIsHandset, assess };

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let binding = &snapshot.rules.binding;
    if binding.mode == BindingMode::Off || binding.handset_tacs.is_empty() {
        return Vec::new();
    }
    let learnt = snapshot.state.enrolled().map(|device| device.imei);
    let handsets = snapshot.state.recent_devices().filter(|device| {
        let tac = device.imei.tac();
        Some(device.imei) != learnt
            && binding.handset_tacs.contains(&tac)
            && !binding.allowed_tacs.contains(&tac)
    });
    handsets
        .map(|device| Finding {
            detector: DetectorId::DeviceIsHandset,
            about: device.imei.to_string(),
            at: device.first(),
            evidence: Evidence::Device {
                seen: device.imei,
                seen_tac: device.imei.tac(),
                enrolled: learnt,
                allowed_tacs: binding.allowed_tacs.clone(),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{SENSOR, TABLET, attached, claims, hours_in, rules};
    use crate::event::Event;

    const LISTED: &str = "[binding]\nhandset_tacs = ['86600905']";

    #[track_caller]
    fn check(events: &[Event], policy: &str, expected: &[&str]) {
        let found = claims(super::DETECTOR, events, &rules(policy), Control::default());
        assert_eq!(found, expected);
    }

    #[test]
    fn a_listed_model_is_found_on_its_first_event_before_anything_is_learnt() {
        let stolen = [attached("01T14:00").in_device(TABLET)];
        let found = "device_is_handset#86600905000001 2026-03-01T14:00:00Z: in device \
                     86600905000001, model 86600905 is not among none";
        check(&stolen, LISTED, &[found]);
        // Also where the first device seen would be trusted.
        check(&stolen, "[binding]\nenrol = 'first'\nhandset_tacs = ['86600905']", &[found]);
        check(&stolen, "[binding]\nmode = 'off'\nhandset_tacs = ['86600905']", &[]);
    }

    #[test]
    fn another_model_an_allowed_one_and_an_unknown_one_are_not() {
        check(&[attached("01T14:00").in_device(SENSOR), attached("01T15:00")], LISTED, &[]);
        let allowed = "[binding]\nhandset_tacs = ['86600905']\nallowed_tacs = ['86600905']";
        check(&[attached("01T14:00").in_device(TABLET)], allowed, &[]);
        check(&[attached("01T14:00").in_device(TABLET)], "", &[]);
        check(&[], LISTED, &[]);
    }

    #[test]
    fn a_handset_that_a_sim_was_in_for_days_is_its_own_device() {
        check(
            &hours_in(TABLET, 72)[48..],
            LISTED,
            &["device_is_handset#86600905000001 2026-03-03T00:05:00Z: in device 86600905000001, \
             model 86600905 is not among none"],
        );
        check(&hours_in(TABLET, 73), LISTED, &[]);
    }
}
