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

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{SENSOR, SENSOR_2, TABLET, attached, claims, hours_in, rules};
    use crate::event::Event;

    const STRICT: &str = "[binding]\nmode = 'strict'\nallowed_tacs = ['35378572']";

    #[track_caller]
    fn check(events: &[Event], policy: &str, expected: &[&str]) {
        let found = claims(super::DETECTOR, events, &rules(policy), Control::default());
        assert_eq!(found, expected);
    }

    fn later(imei: &str) -> Event {
        attached("04T09:00").in_device(imei)
    }

    #[test]
    fn another_model_than_the_declared_ones_is_found_on_its_first_event() {
        check(&[attached("01T14:00").in_device(SENSOR)], STRICT, &[]);
        check(
            &[attached("01T14:00").in_device(TABLET)],
            STRICT,
            &["device_not_allowed#86600905000001 2026-03-01T14:00:00Z: in device 86600905000001, \
             model 86600905 is not among 35378572"],
        );
        check(&[attached("01T14:00").in_device(SENSOR_2)], STRICT, &[]);
    }

    #[test]
    fn another_device_than_the_learnt_one_is_found_whatever_the_binding_leads_to() {
        let mut events = hours_in(SENSOR, 73);
        check(&events, "", &[]);
        events.push(later(TABLET));
        let found = "device_not_allowed#86600905000001 2026-03-04T09:00:00Z: in device \
                     86600905000001 (model 86600905) instead of 35378572000001";
        check(&events, "", &[found]);
        check(&events, "[binding]\nmode = 'strict'", &[found]);
        check(&events, "[binding]\nmode = 'off'", &[]);
        check(&events, "[binding]\nallowed_tacs = ['86600905']", &[]);
    }

    #[test]
    fn nothing_is_found_while_nothing_is_learnt_or_declared() {
        let mut events = hours_in(SENSOR, 72);
        events.truncate(71);
        events.push(attached("03T23:59").in_device(TABLET));
        check(&events, "", &[]);
        check(&events, "[binding]\nmode = 'strict'", &[]);
        check(
            &events,
            "[binding]\nenrol = 'first'",
            &["device_not_allowed#86600905000001 2026-03-03T23:59:00Z: in device 86600905000001 \
             (model 86600905) instead of 35378572000001"],
        );
    }

    #[test]
    fn a_learnt_device_is_known_though_its_model_is_not_declared() {
        let mut events = hours_in(TABLET, 73);
        check(&events, STRICT, &[]);
        events.push(later(SENSOR));
        check(&events, STRICT, &[]);
    }

    #[test]
    fn an_unknown_device_neither_matches_nor_differs() {
        let unknown = attached("04T09:00");
        check(std::slice::from_ref(&unknown), STRICT, &[]);
        let mut events = hours_in(SENSOR, 73);
        events.push(unknown);
        check(&events, STRICT, &[]);
        assert!("000000000000000".parse::<crate::device::Imei14>().is_err());
    }

    #[test]
    fn a_software_version_is_no_other_device() {
        let mut events = hours_in(SENSOR, 73);
        events.push(later(&format!("{SENSOR}42")));
        check(&events, "", &[]);
    }

    #[test]
    fn what_is_long_over_is_not_judged_again() {
        let tablet = attached("01T02:00").in_device(TABLET);
        let after = |at| [tablet.clone(), attached(at).in_device(SENSOR)];
        let found = "device_not_allowed#86600905000001 2026-03-01T02:00:00Z: in device \
                     86600905000001, model 86600905 is not among 35378572";
        check(&after("02T04:00"), STRICT, &[found]);
        check(&after("02T04:00:00.001"), STRICT, &[]);
        let again = attached("01T20:00").in_device(TABLET);
        check(&[tablet.clone(), again, attached("02T10:00")], STRICT, &[found]);
    }
}
