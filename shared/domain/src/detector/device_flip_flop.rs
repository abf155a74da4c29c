//! Two devices use the SIM in turn within a day, or carry traffic at once: it was cloned, or its
//! card goes to and fro.
//!
//! Catches a copy that is used at night beside the sensor. True of a card that is put into a tester
//! and back within a day: so it alerts and never cuts by itself. Fooled by a clone that reports the
//! sensor's IMEI. Hours are compared, not minutes: two devices that change within one hour are seen
//! by the hours before and after, or by their sessions.

use jiff::Timestamp;

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::BindingMode;
use crate::session::Session;
use crate::state::Device;
use crate::time::Hour;

/// To and fro within this many hours.
const HOURS_MAX: i32 = 24;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::DeviceFlipFlop, assess };

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    if snapshot.rules.binding.mode == BindingMode::Off {
        return Vec::new();
    }
    let devices: Vec<&Device> = snapshot.state.recent_devices().collect();
    let sessions: Vec<_> = snapshot.state.device_sessions().collect();
    let mut found = Vec::new();
    for (place, one) in devices.iter().enumerate() {
        for other in devices.iter().skip(place.saturating_add(1)) {
            let session = |device: &Device| {
                let of_device = |(imei, _): &&(_, &Session)| *imei == device.imei;
                sessions.iter().find(of_device).map(|(_, session)| *session)
            };
            let at_once = session(one).zip(session(other)).and_then(|(a, b)| at_once(a, b));
            let swaps = [(one, other), (other, one)];
            let back = swaps.map(|(a, b)| Some((there_and_back(a, b)?, a.imei, b.imei)));
            let back = back.into_iter().flatten().min();
            let (at, first, second, at_once) = match (at_once, back) {
                (Some(at), _) => (at, one.imei, other.imei, true),
                (None, Some((at, first, second))) => (at, first, second, false),
                (None, None) => continue,
            };
            found.push(Finding {
                detector: DetectorId::DeviceFlipFlop,
                about: format!("{}-{}", one.imei, other.imei),
                at,
                evidence: Evidence::Devices { first, second, at_once },
            });
        }
    }
    found
}

/// When the SIM was back in `a`, having been in `b` between.
fn there_and_back(a: &Device, b: &Device) -> Option<Timestamp> {
    let back = b.recent_hours().filter_map(|between| {
        let before = a.recent_hours().filter(|hour| *hour < between).max()?;
        let after = a.recent_hours().filter(|hour| *hour > between).min()?;
        (before.hours_until(after) <= u32::try_from(HOURS_MAX).ok()?).then_some(after)
    });
    back.min().map(Hour::start)
}

/// Since when both sessions carry traffic: the one that was opened first still used bytes in an
/// update that began after the other was opened, and so did that one.
fn at_once(one: &Session, other: &Session) -> Option<Timestamp> {
    if one.sid == other.sid {
        return None;
    }
    let (first, second) = if one.start() <= other.start() { (one, other) } else { (other, one) };
    let goes_on = first.moved().is_some_and(|moved| moved >= second.start());
    second.moved().filter(|_| goes_on).map(|_| second.start())
}

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{Opened, SENSOR, SENSOR_2, TABLET, attached, claims, rules};
    use crate::event::Event;

    #[track_caller]
    fn check(events: &[Event], expected: &[&str]) {
        let found = claims(super::DETECTOR, events, &rules(""), Control::default());
        assert_eq!(found, expected);
        let found =
            claims(super::DETECTOR, events, &rules("[binding]\nmode = 'off'"), Control::default());
        assert!(found.is_empty());
    }

    fn seen(imei: &str, at: &str) -> Event {
        attached(at).in_device(imei)
    }

    #[test]
    fn there_and_back_within_a_day_is_found() {
        check(
            &[seen(SENSOR, "01T14:00"), seen(TABLET, "01T22:00"), seen(SENSOR, "02T13:59")],
            &["device_flip_flop#35378572000001-86600905000001 2026-03-02T13:00:00Z: in device \
               35378572000001, then in 86600905000001, then in 35378572000001 again"],
        );
    }

    #[test]
    fn one_change_is_none_and_neither_is_one_hour_or_more_than_a_day() {
        check(&[seen(SENSOR, "01T14:00"), seen(SENSOR_2, "01T22:00")], &[]);
        check(&[seen(SENSOR, "01T14:00"), seen(SENSOR_2, "01T14:20"), attached("01T14:30")], &[]);
        let slow = [seen(SENSOR, "01T14:00"), seen(SENSOR_2, "01T22:00"), seen(SENSOR, "02T15:00")];
        check(&slow, &[]);
        check(&[], &[]);
    }

    #[test]
    fn two_sessions_that_carry_traffic_at_once_are_found() {
        let (sensor, clone) = (Opened("01T14:00"), Opened("01T14:20"));
        let first = sensor.updated("01T14:00", "01T14:06", 5_000, 5_000).in_device(SENSOR);
        let second = clone.updated("01T14:20", "01T14:26", 9_000, 9_000).in_device(TABLET);
        let on = sensor.updated("01T14:24", "01T14:30", 5_000, 10_000).in_device(SENSOR);
        check(&[first.clone(), second.clone()], &[]);
        check(
            &[first.clone(), second.clone(), on],
            &["device_flip_flop#35378572000001-86600905000001 2026-03-01T14:20:00Z: devices \
             35378572000001 and 86600905000001 carry traffic at once"],
        );
        // A session that is closed late carried nothing any more.
        let closed = sensor.ended("01T14:40").in_device(SENSOR);
        check(&[first, second, closed], &[]);
    }
}
