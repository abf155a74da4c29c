#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

use super::*;
use crate::detector::fixture::{
    MB, Opened, SENSOR, SENSOR_2, TABLET, attached, claims_beside, claims_in_fleet, fleet, hour_of,
    hours_in, records, rules, state_of, time, used,
};
use crate::detector::{Control, asks_fleet};
use crate::event::Event;
use crate::evidence::{Cohort, Sketch};
use crate::usage::Beside;

/// 30 active hours of some 50 kB, in February.
fn quiet() -> SimUsage {
    past(50_000)
}

fn past(bytes: u64) -> SimUsage {
    let mut usage = records(&[]);
    for hours in 0..30_u32 {
        let hour = hour_of("01T00").plus(i32::try_from(hours).unwrap() - 40);
        let bytes = bytes + u64::from(hours % 3) * (bytes / 5);
        usage.close(hour, Bytes(bytes), crate::usage::Source { fleet: None, page: 0 });
    }
    usage
}

/// A session that is open from 14:00 on and uses so many megabytes in each window of 6 minutes.
fn windows(megabytes: &[u64]) -> Vec<Event> {
    let open = Opened("01T14:00");
    let at = |minute: usize| format!("01T{:02}:{:02}", 14 + minute / 60, minute % 60);
    let mut sum = 0;
    let windows = megabytes.iter().zip((0..).step_by(6)).map(|(megabytes, minute)| {
        sum += megabytes * MB;
        open.updated(&at(minute), &at(minute + 6), megabytes * MB, sum)
    });
    windows.collect()
}

fn keys(events: &[Event], usage: Option<&SimUsage>, policy: &str, control: Control<'_>) -> String {
    let claims = claims_beside(DETECTOR, events, usage, &rules(policy), control);
    let keys = claims.iter().map(|claim| claim.split_once(": ").unwrap().0);
    keys.collect::<Vec<_>>().join("; ")
}

fn found(events: &[Event], usage: &SimUsage) -> String {
    keys(events, Some(usage), "", Control::default())
}

/// As for a device that reports what goes down apart.
fn down(mut event: Event, megabytes: u64) -> Event {
    event.session.as_mut().unwrap().delta.down = Some(megabytes * MB);
    event
}

const SECOND_WINDOW: &str = "strike#2026-03-01T14Z 2026-03-01T14:12:00Z";

#[test]
fn two_windows_that_no_modem_of_a_sensor_carries_are_found() {
    let found = claims_beside(
        DETECTOR,
        &windows(&[31, 31]),
        Some(&quiet()),
        &rules(""),
        Control::default(),
    );
    assert_eq!(
        found,
        ["strike#2026-03-01T14Z 2026-03-01T14:12:00Z: used 62.0 MB from 2026-03-01T14:00:00Z to \
          2026-03-01T14:12:00Z, 688 kbit/s over all of it, more and faster than a sensor can; \
          usual are 60.7 kB an hour"]
    );
}

#[test]
fn one_window_may_be_a_fault_and_more_are_one_finding_an_hour() {
    assert_eq!(found(&windows(&[230]), &quiet()), "");
    let later = "strike#2026-03-01T14Z 2026-03-01T14:24:00Z";
    assert_eq!(found(&windows(&[31, 1, 1, 31]), &quiet()), later);
    let hour = [31; 12];
    let hours = format!("{SECOND_WINDOW}; strike#2026-03-01T15Z 2026-03-01T15:06:00Z");
    assert_eq!(found(&windows(&hour), &quiet()), hours);
}

#[test]
fn as_much_as_its_modem_carries_is_an_update() {
    // 340 kbit/s are 15.3 MB in 360 s; one second more may have passed.
    assert_eq!(found(&windows(&[15, 15, 15, 15]), &quiet()), "");
    assert_eq!(found(&windows(&[16, 16]), &quiet()), SECOND_WINDOW);
    let faster = "[strike]\nfaster_than_kbps = 1000";
    assert_eq!(keys(&windows(&[45, 45]), Some(&quiet()), faster, Control::default()), "");
    let two = keys(&windows(&[46, 46]), Some(&quiet()), faster, Control::default());
    assert_eq!(two, SECOND_WINDOW);
    // Fast, and little.
    let short = [used("01T14:00", "01T14:01", 7 * MB), used("01T15:00", "01T15:01", 7 * MB)];
    assert_eq!(found(&short, &quiet()), "");
    let short = [used("01T14:00", "01T14:01", 8 * MB), used("01T15:00", "01T15:01", 8 * MB)];
    assert_eq!(found(&short, &quiet()), "strike#2026-03-01T15Z 2026-03-01T15:01:00Z");
    // What goes up is what sensors send.
    let up: Vec<Event> = windows(&[31, 31]).into_iter().map(|event| down(event, 9)).collect();
    assert_eq!(found(&up, &quiet()), "");
    let most: Vec<Event> = windows(&[31, 31]).into_iter().map(|event| down(event, 16)).collect();
    assert_eq!(found(&most, &quiet()), SECOND_WINDOW);
}

#[test]
fn windows_that_tell_the_same_time_twice_count_once() {
    let open = Opened("01T14:00");
    let twice = [
        open.updated("01T14:00", "01T14:06", 31 * MB, 31 * MB),
        open.updated("01T14:00", "01T14:05", 30 * MB, 30 * MB),
    ];
    assert_eq!(found(&twice, &quiet()), "");
    // A counter that is told as what was added to it.
    let open = Opened("01T14:00");
    let told = [
        open.updated("01T14:00", "01T14:06", 31 * MB, 31 * MB),
        open.updated("01T14:06", "01T14:12", 31 * MB, 31 * MB),
        open.updated("01T14:12", "01T14:18", 32 * MB, 32 * MB),
        open.updated("01T14:18", "01T14:24", 33 * MB, 32 * MB),
    ];
    assert_eq!(found(&told, &quiet()), "");
    let instants =
        [used("01T14:00", "01T14:00:05", 9 * MB), used("01T15:00", "01T15:00:05", 9 * MB)];
    assert_eq!(found(&instants, &quiet()), "");
    // Of one that is long and those that it is made of, those count.
    let mut parts = windows(&[31, 31]);
    parts.push(open.updated("01T14:00", "01T14:12:01", 62 * MB, 62 * MB));
    assert_eq!(found(&parts, &quiet()), SECOND_WINDOW);
}

#[test]
fn a_sim_that_loads_as_much_once_a_day_is_none_that_was_robbed() {
    let mut usage = records(&[]);
    let source = crate::usage::Source { fleet: None, page: 0 };
    let start = hour_of("01T14").plus(-20 * 24);
    for hours in 0..20 * 24 {
        let daily = if hours % 24 == 0 { 40 * MB } else { 50_000 };
        usage.close(start.plus(hours), Bytes(daily), source);
    }
    assert_eq!(found(&windows(&[20, 20]), &usage), "");
    assert_eq!(found(&windows(&[90, 90]), &usage), SECOND_WINDOW);
}

#[test]
fn what_is_usual_for_the_sim_is_no_strike() {
    assert_eq!(found(&windows(&[31, 31]), &past(20 * MB)), "");
    assert_eq!(found(&windows(&[31, 31]), &past(MB)), SECOND_WINDOW);
}

#[test]
fn without_a_past_nothing_is_unusual() {
    assert_eq!(found(&windows(&[31, 31]), &records(&[("01T10", 50_000)])), "");
    assert_eq!(keys(&windows(&[31, 31]), None, "", Control::default()), "");
    assert_eq!(keys(&[], Some(&quiet()), "", Control::default()), "");
}

/// A fleet whose 60 SIMs use so much in every hour.
fn fleet_of(bytes: u64) -> Cohort {
    let (mut sims, mut cohort) = (vec![records(&[]); 60], Cohort::default());
    for hours in (1..=30).rev() {
        let (hour, mut sketch) = (hour_of("01T00").plus(-hours), Sketch::default());
        for usage in &mut sims {
            let beside = Beside { cohort: Some(&cohort), is_suspended: false };
            let source = crate::usage::Source { fleet: Some(fleet()), page: 0 };
            usage.close_beside(hour, Bytes(bytes), source, beside);
            sketch.add(usage, hour);
        }
        cohort.merge(hour, &sketch);
    }
    cohort
}

fn in_fleet(events: &[Event], usage: Option<&SimUsage>, cohort: Option<&Cohort>) -> String {
    let none = Control::default();
    let claims = claims_in_fleet(DETECTOR, events, (usage, cohort), &rules(""), none);
    let keys = claims.iter().map(|claim| claim.split_once(": ").unwrap().0);
    keys.collect::<Vec<_>>().join("; ")
}

#[test]
fn a_sim_that_was_never_used_is_judged_by_its_fleet() {
    let (sensors, cameras) = (fleet_of(50_000), fleet_of(20 * MB));
    let (sensors, cameras) = (Some(&sensors), Some(&cameras));
    let two = windows(&[31, 31]);
    assert_eq!(in_fleet(&two, None, sensors), SECOND_WINDOW);
    let began = records(&[("01T10", 50_000)]);
    assert_eq!(in_fleet(&two, Some(&began), sensors), SECOND_WINDOW);
    assert_eq!(in_fleet(&windows(&[230]), None, sensors), "", "one may be a fault");
    assert_eq!(in_fleet(&windows(&[15, 15]), None, sensors), "", "an update");
    assert_eq!(in_fleet(&two, None, cameras), "");
    assert_eq!(in_fleet(&two, None, None), "");
    // What is known of the SIM itself comes first.
    assert_eq!(in_fleet(&two, Some(&past(20 * MB)), sensors), "");
    assert_eq!(in_fleet(&two, Some(&quiet()), cameras), SECOND_WINDOW);
}

#[test]
fn hours_of_a_sim_that_was_never_used_are_judged_by_its_fleet() {
    let hours = records(&[("01T10", 154 * MB), ("01T11", 154 * MB)]);
    let later = "strike#2026-03-01T11Z 2026-03-01T12:00:00Z";
    assert_eq!(in_fleet(&[], Some(&hours), Some(&fleet_of(50_000))), later);
    assert_eq!(in_fleet(&[], Some(&hours), Some(&fleet_of(100 * MB))), "");
    assert_eq!(in_fleet(&[], Some(&hours), None), "");
}

#[test]
fn in_a_strange_device_its_fleet_changes_nothing() {
    let tablet = "strike#86600905000001/2026-03-04T10Z 2026-03-04T10:06:00Z";
    for cohort in [None, Some(&fleet_of(50_000)), Some(&fleet_of(20 * MB))] {
        assert_eq!(in_fleet(&moved_to(TABLET, &[31]), None, cohort), tablet);
    }
}

#[test]
fn a_fleet_is_asked_where_too_little_is_known_of_a_sim_that_carried_much() {
    let asked =
        |events: &[Event], usage: &SimUsage| asks_fleet(Some(&state_of(events)), Some(usage));
    let began = records(&[("01T10", 50_000)]);
    assert_eq!(asked(&windows(&[9]), &began), Some(fleet()));
    assert_eq!(asked(&windows(&[7, 7]), &began), None);
    assert_eq!(asked(&windows(&[31, 31]), &quiet()), None);
    assert_eq!(asks_fleet(Some(&state_of(&windows(&[9]))), None), Some(fleet()));
    // Of a SIM without events its records say which fleet it is in.
    let mut alone = records(&[]);
    let source = crate::usage::Source { fleet: Some(fleet()), page: 0 };
    alone.close(hour_of("01T10"), Bytes(8 * MB - 1), source);
    assert_eq!(asks_fleet(None, Some(&alone)), None);
    alone.close(hour_of("01T11"), Bytes(8 * MB), source);
    assert_eq!(asks_fleet(None, Some(&alone)), Some(fleet()));
}

#[test]
fn planned_work_and_what_came_before_a_restore_do_not_count() {
    let events = windows(&[31, 31, 31]);
    let work = "[[maintenance]]\nfrom = 2026-03-01T14:10:00Z\nto = 2026-03-01T20:00:00Z\n\
                bytes_max_mb = 60";
    assert_eq!(keys(&events, Some(&quiet()), work, Control::default()), "");
    let restored = |at| Control { restored_at: Some(time(at)), ..Control::default() };
    let later = "strike#2026-03-01T14Z 2026-03-01T14:18:00Z";
    assert_eq!(keys(&events, Some(&quiet()), "", restored("01T14:06")), later);
    assert_eq!(keys(&events, Some(&quiet()), "", restored("01T14:07")), "");
    assert_eq!(keys(&events, Some(&quiet()), "[strike]\nact = 'off'", Control::default()), "");
}

/// Learnt in the sensor's device for three days, then these windows in another one.
fn moved_to(imei: &str, megabytes: &[u64]) -> Vec<Event> {
    let mut events = hours_in(SENSOR, 73);
    events.push(attached("04T09:05").in_device(imei));
    let open = Opened("04T10:00");
    let mut sum = 0;
    for (window, megabytes) in megabytes.iter().enumerate() {
        sum += megabytes * MB;
        let at = |window: usize| format!("04T10:{:02}", window * 6);
        let update = open.updated(&at(window), &at(window + 1), megabytes * MB, sum);
        events.push(update.in_device(imei));
    }
    events
}

#[test]
fn slow_windows_and_uploads_do_not_push_out_fast_ones() {
    let open = Opened("01T14:00");
    let mut events = vec![open.updated("01T14:00", "01T14:06", 31 * MB, 31 * MB)];
    // Nine windows of an hour with 40 MB, which are 89 kbit/s, and nine of 9 MB that went up.
    for number in 1..=9 {
        let at = |minute: u64| format!("01T{:02}:{minute:02}", 14 + number);
        let sum = 31 + number * 49;
        events.push(open.updated(&at(0), &at(50), 40 * MB, (sum - 9) * MB));
        events.push(down(open.updated(&at(51), &at(57), 9 * MB, sum * MB), 1));
    }
    events.push(open.updated("02T01:00", "02T01:06", 31 * MB, 503 * MB));
    assert_eq!(found(&events, &quiet()), "strike#2026-03-02T01Z 2026-03-02T01:06:00Z");
}

#[test]
fn in_a_strange_device_one_window_is_enough() {
    let none = Control::default();
    let tablet = "strike#86600905000001/2026-03-04T10Z 2026-03-04T10:06:00Z";
    assert_eq!(keys(&moved_to(TABLET, &[26]), None, "", none), tablet);
    assert_eq!(keys(&moved_to(TABLET, &[25]), None, "", none), "", "not over 25 MB");
    let sum = "strike#86600905000001/2026-03-04T10Z 2026-03-04T10:06:00Z";
    assert_eq!(keys(&moved_to(TABLET, &[17, 9]), None, "", none), sum);
    assert_eq!(
        keys(&moved_to(TABLET, &[13, 13]), None, "", none),
        "",
        "a new modem loads its update"
    );
    let same_model = "strike#35378572000002/2026-03-04T10Z 2026-03-04T10:06:00Z";
    assert_eq!(keys(&moved_to(SENSOR_2, &[31]), None, "", none), same_model);
    assert_eq!(keys(&moved_to(SENSOR, &[31]), None, "", none), "");
    assert_eq!(keys(&moved_to(TABLET, &[31]), Some(&past(20 * MB)), "", none), "", "as ever");
    assert_eq!(keys(&moved_to(TABLET, &[31]), Some(&quiet()), "", none), tablet);
}

#[test]
fn what_the_sensor_uses_is_not_the_strangers() {
    let mut events = moved_to(TABLET, &[]);
    events.push(used("04T11:00", "04T11:06", 31 * MB).in_device(SENSOR));
    assert_eq!(keys(&events, None, "", Control::default()), "", "a technician tried it in a phone");
    // One wrong device in an open session.
    let open = Opened("04T10:00");
    let mut events = hours_in(SENSOR, 73);
    events.push(open.updated("04T10:00", "04T10:06", 20 * MB, 20 * MB).in_device(SENSOR));
    events.push(open.updated("04T10:06", "04T10:12", 20 * MB, 40 * MB).in_device(TABLET));
    assert_eq!(keys(&events, None, "", Control::default()), "");
}

#[test]
fn a_device_that_a_human_allowed_is_not_strange() {
    let allowed = [TABLET.parse().unwrap()];
    let control = Control { allowed_devices: &allowed, ..Control::default() };
    assert_eq!(keys(&moved_to(TABLET, &[31]), None, "", control), "");
    let declared = "[binding]\nallowed_tacs = ['86600905']";
    assert_eq!(keys(&moved_to(TABLET, &[31]), None, declared, Control::default()), "");
    let declared = "[binding]\nallowed_tacs = ['35378572']";
    assert_eq!(keys(&moved_to(SENSOR_2, &[31]), None, declared, Control::default()), "");
    let restored = |at| Control { restored_at: Some(time(at)), ..Control::default() };
    assert_eq!(
        keys(&moved_to(TABLET, &[31, 31]), None, "", restored("04T10:00")),
        "",
        "it was known"
    );
    let tablet = "strike#86600905000001/2026-03-04T10Z 2026-03-04T10:06:00Z";
    assert_eq!(keys(&moved_to(TABLET, &[31]), None, "", restored("04T09:00")), tablet);
    let work = "[[maintenance]]\nfrom = 2026-03-04T09:00:00Z\nto = 2026-03-04T10:06:00Z\n\
                bytes_max_mb = 60";
    assert_eq!(keys(&moved_to(TABLET, &[31, 17]), None, work, Control::default()), "");
}

#[test]
fn two_hours_of_more_than_its_modem_carries_are_found_where_events_are_lost() {
    let beside = |hours: &[(&str, u64)]| {
        let mut usage = quiet();
        for (hour, bytes) in hours {
            usage.close(
                hour_of(hour),
                Bytes(*bytes),
                crate::usage::Source { fleet: None, page: 0 },
            );
        }
        found(&[], &usage)
    };
    // 340 kbit/s are 153 MB in an hour.
    let later = "strike#2026-03-01T11Z 2026-03-01T12:00:00Z";
    assert_eq!(beside(&[("01T10", 154 * MB), ("01T11", 153 * MB + 1)]), later);
    assert_eq!(beside(&[("01T10", 154 * MB), ("01T11", 153 * MB)]), "");
    assert_eq!(beside(&[("01T10", 990 * MB), ("01T11", 60 * MB), ("01T20", 60 * MB)]), "");
    let mut usage = quiet();
    usage.see(hour_of("01T08"), Bytes(300 * MB));
    usage.see(hour_of("01T09"), Bytes(300 * MB));
    let both = "strike#2026-03-01T09Z 2026-03-01T10:00:00Z";
    assert_eq!(found(&[], &usage), both, "not closed yet");
    let restored = Control { restored_at: Some(time("01T08:30")), ..Control::default() };
    assert_eq!(keys(&[], Some(&usage), "", restored), "");
}

#[test]
fn order_and_repetition_do_not_matter() {
    let events = windows(&[31, 2, 16, 9, 31, 40]);
    let expected = found(&events, &quiet());
    assert_eq!(expected, "strike#2026-03-01T14Z 2026-03-01T14:18:00Z");
    let reversed: Vec<Event> = events.iter().rev().chain(&events).cloned().collect();
    assert_eq!(found(&reversed, &quiet()), expected);
}
