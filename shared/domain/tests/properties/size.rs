//! A stored state stays small, whatever arrives.

use jiff::SignedDuration;
use proptest::prelude::*;
use simfuse_domain::event::{Event, EventKind, SessionReport, Usage};
use simfuse_domain::id::{EventSid, FleetSid, SessionSid};
use simfuse_domain::network::{Country, Plmn};
use simfuse_domain::place::{CellId, Location, Point};
use simfuse_domain::state::{Folded, SimState};

use crate::history::{begin_ms, session_sid, sim, time};

/// Two kilobytes, and what its network and its habit take.
const SENSOR_BYTES_MAX: usize = 2_200;
const STATE_BYTES_MAX: usize = 8_000;

fn event(sid: u128, kind: EventKind, at_ms: i64) -> Event {
    Event {
        sid: EventSid::from_bytes(
            sid.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes(),
        ),
        kind,
        sim: sim(),
        iccid: Some("8988307000000000001234".parse().unwrap()),
        unique_name: Some("pump-17".to_owned()),
        fleet: Some(FleetSid::from_bytes([9; 16])),
        at: time(at_ms),
        device: Some("35378572000001".parse().unwrap()),
        plmn: Plmn::new("310", "260").ok(),
        country: Some("US".parse().unwrap()),
        location: Some(location(sid as u64 % 3)),
        session: None,
        error_code: None,
    }
}

fn location(cell: u64) -> Location {
    let plmn = Plmn::new("310", "260").ok();
    let cell = CellId { plmn, area: 15_170, cell: 47_322_374 + cell };
    Location { cell, point: Point::new(34.17, -118.57).unwrap() }
}

#[test]
fn an_hourly_sensor_takes_two_kilobytes_after_ten_days() {
    let mut state = SimState::new(sim());
    for hour in 0..240_i64 {
        let start = begin_ms() + hour * 3_600_000 + (hour * 977_000) % 3_500_000;
        let report = |from: i64, to: i64, delta, cumulative| SessionReport {
            sid: session_sid(hour as usize),
            start: Some(time(start)),
            end: None,
            update_start: Some(time(from)),
            update_end: Some(time(to)),
            delta: Usage { total: Some(delta), ..Usage::default() },
            cumulative: Usage {
                up: Some(cumulative - cumulative / 5),
                down: Some(cumulative / 5),
                total: Some(cumulative),
            },
        };
        let wake = [
            (EventKind::SessionStarted, start, report(start, start, 0, 0)),
            (
                EventKind::SessionUpdated,
                start + 360_000,
                report(start, start + 360_000, 9_000, 9_000),
            ),
            (
                EventKind::SessionEnded,
                start + 400_000,
                report(start + 360_000, start + 400_000, 1_200, 10_200),
            ),
        ];
        for (place, (kind, at_ms, report)) in wake.into_iter().enumerate() {
            let sid = (hour as u128) << 8 | place as u128;
            state.fold(&Event { session: Some(report), ..event(sid, kind, at_ms) });
        }
        let size = state.encode().unwrap().len();
        assert!(size <= SENSOR_BYTES_MAX, "{size} bytes in hour {hour}");
    }
}

/// One event of a hostile stream, from a few random numbers.
fn hostile([a, b, c, d]: [u64; 4], sessions: u64, modes: u64) -> Event {
    let at_ms = begin_ms() + (a % (30 * 3_600_000)) as i64;
    let update_start = at_ms - (b % 7_200_000) as i64;
    let start = at_ms - (c % (10 * 86_400_000)) as i64;
    let mode = d % modes;
    let bytes = |number: u64| Usage {
        up: Some(number / 3),
        down: Some(number - number / 3),
        total: Some(number),
    };
    let report = SessionReport {
        sid: SessionSid::from_bytes((u128::from(c % sessions) << 100 | 7).to_be_bytes()),
        start: (mode != 3).then(|| time(start)),
        end: (mode == 2).then(|| time(at_ms)),
        update_start: Some(time(update_start)),
        update_end: Some(time(at_ms)),
        delta: bytes(d % 1_250_000_000),
        cumulative: if mode == 1 { Usage::default() } else { bytes(b % 1_000_000_000_000_000) },
    };
    let letters = [b'A' + (a % 26) as u8, b'A' + (b % 26) as u8];
    let country: Country = std::str::from_utf8(&letters).unwrap().parse().unwrap();
    let kinds = [
        EventKind::SessionUpdated,
        EventKind::SessionEnded,
        EventKind::SessionStarted,
        EventKind::AttachmentFailed,
    ];
    Event {
        unique_name: Some("\u{1f600}".repeat((d % 90) as usize)),
        device: Some(format!("{:014}", b % 99_999_999_999_999 + 1).parse().unwrap()),
        plmn: Plmn::new(&format!("{:03}", b % 1_000), &format!("{:03}", c % 1_000)).ok(),
        country: Some(country),
        location: Some(location(c)),
        session: Some(report),
        ..event(u128::from(a) << 64 | u128::from(d), kinds[(d >> 8) as usize % 4], at_ms)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_stream_makes_a_state_larger_than_eight_kilobytes_or_changes_it_twice(
        seed: u64,
        sessions in prop_oneof![Just(1_u64), Just(3), Just(60), Just(5_000)],
        modes in 1_u64..5,
    ) {
        let mut state = SimState::new(sim());
        let mut number = seed | 1;
        let mut next = || {
            // xorshift64*, by Vigna.
            number ^= number >> 12;
            number ^= number << 25;
            number ^= number >> 27;
            number.wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        for count in 0..2_500 {
            let event = hostile([next(), next(), next(), next()], sessions, modes);
            let earliest = state.hours().first().copied();
            state.fold(&event);
            let before = state.clone();
            // Where earlier hours went for want of room, a repetition may find some.
            if state.hours().first().copied() <= earliest || earliest.is_none() {
                prop_assert_ne!(state.fold(&event), Folded::Applied, "again: {:?}", event);
                prop_assert_eq!(&state, &before, "again: {:?}", event);
            }
            if count % 16 == 0 {
                let size = state.encode().unwrap().len();
                prop_assert!(size <= STATE_BYTES_MAX, "{} bytes after {} events", size, count);
            }
        }
    }
}

#[test]
fn devices_that_are_enrolled_survive_a_flood_of_others() {
    let mut state = SimState::new(sim());
    let own = event(0, EventKind::AttachmentAccepted, begin_ms());
    for hour in 0..80_i64 {
        state.fold(&Event { at: time(begin_ms() + hour * 3_600_000), ..own.clone() });
    }
    let enrolled = state.enrolled().map(|device| device.imei);
    assert_eq!(enrolled, own.device);
    let now = state.now();
    for number in 1..500_i64 {
        let at = now.checked_add(SignedDuration::from_secs(number)).unwrap();
        let device = Some(format!("99{number:012}").parse().unwrap());
        state.fold(&Event { at, device, ..own.clone() });
    }
    assert_eq!(state.enrolled().map(|device| device.imei), enrolled);
}
