//! Two devices use the SIM in turn within a day, or carry traffic at once: it was cloned, or its
//! card goes to and fro.
//!
//! Catches a copy that is used at night beside the sensor. True of a card that is put into a tester
//! and back within a day: so it alerts and never cuts by itself. To and fro between a device that a
//! human allowed and another that belongs to the SIM is none; traffic of both at once is. Fooled by
//! a clone that reports the sensor's IMEI. Hours are compared, not minutes: two devices that change
//! within one hour are seen by the hours before and after, or by their sessions.

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::detector::{Detector, Snapshot};
use crate::device::Imei14;
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::BindingMode;
use crate::session::Session;
use crate::state::Device;
use crate::time::Hour;

/// To and fro within this many hours.
const HOURS_MAX: i32 = 24;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::DeviceFlipFlop, assess };

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    // Nearly every SIM has one.
    let is_single = snapshot.state.devices().len() < 2;
    if snapshot.rules.binding.mode == BindingMode::Off || is_single {
        return Vec::new();
    }
    let devices: Vec<&Device> = snapshot.state.recent_devices().collect();
    let pairs = devices.iter().enumerate().flat_map(|(place, one)| {
        devices.iter().skip(place.saturating_add(1)).map(move |other| (*one, *other))
    });
    pairs.flat_map(|(one, other)| assess_pair(snapshot, one, other)).collect()
}

/// To and fro, and both at once: two claims, since whoever judged the one has not judged the other.
fn assess_pair(snapshot: &Snapshot<'_>, one: &Device, other: &Device) -> Vec<Finding> {
    let foreign = foreign(snapshot, one, other);
    let pair = format!("{}-{}", one.imei, other.imei);
    let claim = |about: String, at, first, second, at_once| Finding {
        detector: DetectorId::DeviceFlipFlop,
        about,
        at,
        evidence: Evidence::Devices { first, second, foreign, at_once },
    };
    let at_once = since_at_once(snapshot, one.imei, other.imei)
        .map(|at| claim(format!("{pair}/at-once"), at, one.imei, other.imei, true));
    let swaps = [(one, other), (other, one)];
    let back = swaps.map(|(a, b)| Some((there_and_back(a, b)?, a.imei, b.imei)));
    let back = back.into_iter().flatten().min();
    let back = back.filter(|_| !is_settled(snapshot, one.imei, other.imei));
    let fro = back.map(|(at, first, second)| claim(pair, at, first, second, false));
    at_once.into_iter().chain(fro).collect()
}

/// Which of the two belongs to the SIM less: not the enrolled one, rather than an allowed one one
/// that is not, and else the one that was seen later.
fn foreign(snapshot: &Snapshot<'_>, one: &Device, other: &Device) -> Imei14 {
    let enrolled = snapshot.enrolled();
    let standing = |device: &Device| {
        let imei = device.imei;
        (Some(imei) == enrolled, snapshot.allows(imei), Reverse((device.first(), imei)))
    };
    if standing(one) < standing(other) { one.imei } else { other.imei }
}

/// Whether a human who allowed one of the two has to expect to and fro: the other belongs to the SIM
/// as well. Beside a device that nobody allowed an allowed one proves nothing.
fn is_settled(snapshot: &Snapshot<'_>, one: Imei14, other: Imei14) -> bool {
    let by_human = |device| snapshot.control.allowed_devices.contains(&device);
    let belongs = |device| Some(device) == snapshot.enrolled() || snapshot.allows(device);
    (by_human(one) || by_human(other)) && belongs(one) && belongs(other)
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

/// Since when any two sessions of the devices carry traffic at once. All that are kept are looked
/// at: which are the latest depends on when one looks.
fn since_at_once(snapshot: &Snapshot<'_>, one: Imei14, other: Imei14) -> Option<Timestamp> {
    let sessions = |device| snapshot.state.sessions_of(device);
    sessions(one).flat_map(|a| sessions(other).filter_map(move |b| at_once(a, b))).min()
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
    use crate::detector::fixture::{
        Opened, SENSOR, SENSOR_2, TABLET, attached, claims, hours_in, rules, state_of,
    };
    use crate::detector::{Control, Snapshot};
    use crate::device::Imei14;
    use crate::event::Event;
    use crate::finding::Finding;

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
            &[
                "device_flip_flop#35378572000001-86600905000001/at-once 2026-03-01T14:20:00Z: devices \
             35378572000001 and 86600905000001 carry traffic at once",
            ],
        );
        // A later session of either does not hide it.
        let (later, latest) = (Opened("01T15:00"), Opened("01T16:00"));
        check(
            &[
                sensor.updated("01T14:24", "01T14:30", 5_000, 10_000).in_device(SENSOR),
                second.clone(),
                latest.updated("01T16:00", "01T16:06", 5_000, 5_000).in_device(SENSOR),
                later.updated("01T15:00", "01T15:06", 5_000, 5_000).in_device(TABLET),
            ],
            &[
                "device_flip_flop#35378572000001-86600905000001/at-once 2026-03-01T14:20:00Z: devices \
             35378572000001 and 86600905000001 carry traffic at once",
                "device_flip_flop#35378572000001-86600905000001 2026-03-01T16:00:00Z: in device \
             35378572000001, then in 86600905000001, then in 35378572000001 again",
            ],
        );
        // A session that is closed late carried nothing any more.
        let closed = sensor.ended("01T14:40").in_device(SENSOR);
        check(&[first, second, closed], &[]);
    }

    /// Two devices in turn, and which of them is held against the SIM.
    #[track_caller]
    fn check_foreign(events: &[Event], policy: &str, allowed: &[&str], expected: Option<&str>) {
        let allowed: Vec<Imei14> = allowed.iter().map(|imei| imei.parse().unwrap()).collect();
        let control = Control { allowed_devices: &allowed, ..Control::default() };
        let state = state_of(events);
        let rules = rules(policy);
        let snapshot = Snapshot::of(&state, None, None, &rules, control);
        let found: Vec<Option<Imei14>> =
            (super::DETECTOR.assess)(&snapshot).iter().map(Finding::device).collect();
        let expected = expected.map(|imei| Some(imei.parse().unwrap()));
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }

    fn in_turn(one: &str, other: &str) -> [Event; 3] {
        [seen(one, "04T14:00"), seen(other, "04T15:00"), seen(one, "04T16:00")]
    }

    #[test]
    fn the_device_that_belongs_to_the_sim_less_is_the_foreign_one() {
        let learnt = |turn: [Event; 3]| [hours_in(SENSOR, 80).as_slice(), &turn].concat();
        check_foreign(&learnt(in_turn(SENSOR, TABLET)), "", &[], Some(TABLET));
        check_foreign(&learnt(in_turn(TABLET, SENSOR)), "", &[], Some(TABLET));
        let declared = "[binding]\nallowed_tacs = ['86600905']";
        check_foreign(&in_turn(TABLET, SENSOR), declared, &[], Some(SENSOR));
        check_foreign(&in_turn(SENSOR, TABLET), declared, &[], Some(SENSOR));
        // Of two that nothing is known of, the later one.
        check_foreign(&in_turn(TABLET, SENSOR), "", &[], Some(SENSOR));
        check_foreign(&in_turn(SENSOR, TABLET), "", &[], Some(TABLET));
        // Of two of a declared model as well: one of them may be a clone.
        let model = "[binding]\nallowed_tacs = ['35378572']";
        check_foreign(&in_turn(SENSOR, SENSOR_2), model, &[], Some(SENSOR_2));
    }

    #[test]
    fn an_allowed_device_settles_to_and_fro_with_what_belongs_to_the_sim_and_with_nothing_else() {
        let learnt = |turn: [Event; 3]| [hours_in(SENSOR, 80).as_slice(), &turn].concat();
        check_foreign(&learnt(in_turn(SENSOR, TABLET)), "", &[TABLET], None);
        check_foreign(&in_turn(SENSOR_2, TABLET), "", &[TABLET, SENSOR_2], None);
        let model = "[binding]\nallowed_tacs = ['35378572']";
        check_foreign(&in_turn(SENSOR_2, TABLET), model, &[TABLET], None);
        // The sensor's modem was replaced and allowed, and a thief has a clone.
        let clone = in_turn(SENSOR_2, TABLET);
        check_foreign(&clone, "", &[SENSOR_2], Some(TABLET));
        check_foreign(&in_turn(TABLET, SENSOR_2), "", &[SENSOR_2], Some(TABLET));
    }
}
