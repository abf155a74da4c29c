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

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{SENSOR, SENSOR_2, TABLET, attached, claims, hours_in, rules};
    use crate::event::Event;

    #[track_caller]
    fn check(events: &[Event], policy: &str, expected: &[&str]) {
        let found = claims(super::DETECTOR, events, &rules(policy), Control::default());
        assert_eq!(found, expected);
    }

    fn learnt_then(event: Event) -> Vec<Event> {
        let mut events = hours_in(SENSOR, 73);
        events.push(event);
        events
    }

    const FOUND: &str = "device_changed#35378572000002 2026-03-04T09:00:00Z: in device \
                         35378572000002 (model 35378572) instead of 35378572000001";

    #[test]
    fn another_device_of_the_same_model_is_found() {
        let events = learnt_then(attached("04T09:00").in_device(SENSOR_2));
        check(&events, "", &[FOUND]);
        check(&events, "[binding]\nmode = 'strict'\nallowed_tacs = ['35378572']", &[FOUND]);
        check(&events, "[binding]\nmode = 'off'", &[]);
    }

    #[test]
    fn the_same_device_another_model_or_an_unknown_one_is_not() {
        check(&learnt_then(attached("04T09:00").in_device(SENSOR)), "", &[]);
        check(&learnt_then(attached("04T09:00").in_device(TABLET)), "", &[]);
        check(&learnt_then(attached("04T09:00")), "", &[]);
    }

    #[test]
    fn nothing_is_found_before_a_device_is_learnt() {
        let events =
            [attached("01T14:00").in_device(SENSOR), attached("01T15:00").in_device(SENSOR_2)];
        check(&events, "", &[]);
        check(
            &events,
            "[binding]\nenrol = 'first'",
            &[
                "device_changed#35378572000002 2026-03-01T15:00:00Z: in device 35378572000002 (model \
             35378572) instead of 35378572000001",
            ],
        );
    }
}
