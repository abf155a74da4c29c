use super::*;
use crate::detector::fixture::{
    MB, Opened, SENSOR, SENSOR_2, TABLET, attached, carries, event, hours_in, rejected, state_of,
    time, used,
};
use crate::event::Usage;
use crate::time::Window;

/// Bytes that the events prove: in the hour, in the day, in the sessions.
#[track_caller]
fn check(events: &[Event], at: &str, expected: (u64, u64, u64)) {
    let state = state_of(events);
    let hour = Hour::of(time(at));
    let bytes = (
        state.bytes_in(&Window::of_hour(hour).hours).0,
        state.bytes_in(&Window::of_day(hour).hours).0,
        state.sessions().iter().map(|session| session.bytes().0).sum(),
    );
    assert_eq!(bytes, expected, "of {at}, its day, and the sessions");
    let reversed = state_of(events.iter().rev());
    assert_eq!(reversed, state, "in reverse");
}

#[test]
fn a_session_that_was_open_for_three_days_is_no_burst() {
    let open = Opened("01T09:00");
    check(
        &[open.updated("04T14:00", "04T14:06", 20_000, 500 * MB)],
        "04T14:00",
        (20_000, 20_000, 500 * MB),
    );
}

#[test]
fn lost_updates_count_in_the_hour_and_the_day_that_hold_them() {
    let open = Opened("01T10:00");
    let events = [
        open.started(),
        open.updated("01T10:00", "01T10:06", MB, MB),
        // Nothing arrives for three hours.
        open.updated("01T13:30", "01T13:36", MB, 60 * MB),
        open.updated("01T13:48", "01T13:54", MB, 70 * MB),
    ];
    check(&events, "01T10:00", (MB, 70 * MB, 70 * MB));
    check(&events, "01T11:00", (0, 70 * MB, 70 * MB));
    check(&events, "01T13:00", (11 * MB, 70 * MB, 70 * MB));
}

#[test]
fn an_update_over_the_turn_of_the_day_counts_in_neither_day() {
    let open = Opened("01T23:00");
    let events = [
        open.updated("01T23:00", "01T23:57", 2 * MB, 2 * MB),
        open.updated("01T23:57", "02T00:03", 30 * MB, 32 * MB),
        open.updated("02T00:03", "02T00:09", 3 * MB, 35 * MB),
    ];
    check(&events, "01T23:00", (2 * MB, 2 * MB, 35 * MB));
    check(&events, "02T00:00", (3 * MB, 3 * MB, 35 * MB));
}

#[test]
fn an_update_that_ends_at_an_hour_sharp_belongs_to_the_hour_before() {
    let open = Opened("01T13:54");
    let events = [
        open.updated("01T13:54", "01T14:00", 5 * MB, 5 * MB),
        open.updated("01T14:00", "01T14:06", 7 * MB, 12 * MB),
    ];
    check(&events, "01T13:00", (5 * MB, 12 * MB, 12 * MB));
    check(&events, "01T14:00", (7 * MB, 12 * MB, 12 * MB));
}

#[test]
fn a_counter_that_starts_again_from_0_is_no_burst_and_hides_nothing() {
    let open = Opened("01T05:00");
    let mut events = vec![
        open.updated("01T14:00", "01T14:06", MB, 100 * MB),
        open.updated("01T14:06", "01T14:12", MB, MB),
    ];
    check(&events, "01T14:00", (2 * MB, 101 * MB, 101 * MB));
    events.push(open.updated("01T14:12", "01T14:18", 30 * MB, 31 * MB));
    check(&events, "01T14:00", (32 * MB, 131 * MB, 131 * MB));
    events.push(open.updated("01T16:00", "01T16:06", MB, 41 * MB));
    check(&events, "01T16:00", (MB, 141 * MB, 141 * MB));
}

#[test]
fn windows_that_overlap_by_a_second_around_a_fall_are_no_burst() {
    let open = Opened("01T05:00");
    let events = [
        open.updated("01T14:00", "01T14:06:01", MB, 100 * MB),
        open.updated("01T14:06", "01T14:12", MB, MB),
    ];
    check(&events, "01T14:00", (2 * MB, 101 * MB, 101 * MB));
}

#[test]
fn many_short_windows_in_reverse_order_prove_what_they_do_in_order() {
    let open = Opened("01T14:00");
    let minute = |minute: u64| {
        let (from, to) = (format!("01T14:{minute:02}"), format!("01T14:{:02}", minute + 1));
        open.updated(&from, &to, MB, (minute + 1) * MB)
    };
    let odd_then_even = (0..58).filter(|at| at % 2 == 1).chain((0..58).filter(|at| at % 2 == 0));
    let events: Vec<Event> = odd_then_even.map(minute).collect();
    check(&events, "01T14:00", (58 * MB, 58 * MB, 58 * MB));
}

#[test]
fn a_wild_counter_proves_nothing_and_hides_nothing() {
    const WILD: u64 = 1_000_000_000_000_000_000;
    let open = Opened("01T14:00");
    let mut events = vec![
        open.updated("01T14:00", "01T14:06", MB, MB),
        open.updated("01T14:06", "01T14:12", WILD, WILD),
    ];
    check(&events, "01T14:00", (MB, MB, MB));
    events.push(open.updated("01T14:12", "01T14:18", MB, 3 * MB));
    check(&events, "01T14:00", (3 * MB, 3 * MB, 3 * MB));
    let without_total = |event: Event| event.with(|report| report.cumulative = Usage::default());
    let only_wild = without_total(open.updated("01T14:06", "01T14:12", WILD, 0));
    check(&[only_wild], "01T14:00", (0, 0, 0));
}

#[test]
fn a_wild_counter_of_a_session_of_unknown_age_counts_its_own_window_at_most() {
    const WILD: u64 = 1_000_000_000_000_000_000;
    let open = Opened("01T14:00");
    let of_unknown_age = |event: Event| event.with(|report| report.start = None);
    let events = [
        of_unknown_age(open.updated("01T14:00", "01T14:06", MB, MB)),
        of_unknown_age(open.updated("01T14:06", "01T14:12", 2 * MB, WILD)),
        of_unknown_age(open.updated("01T15:06", "01T15:12", 4 * MB, WILD / 2)),
        of_unknown_age(open.updated("01T16:06", "01T16:12", 8 * MB, WILD + WILD / 2)),
    ];
    check(&events, "01T14:00", (3 * MB, 15 * MB, 15 * MB));
}

#[test]
fn of_a_counter_that_falls_again_and_again_the_largest_ranges_are_kept() {
    let open = Opened("01T05:00");
    let fall = |number: u64| {
        let (from, to) = (format!("01T14:{number:02}"), format!("01T14:{:02}", number + 1));
        open.updated(&from, &to, number * MB, (30 - number) * 100 * MB)
    };
    let events: Vec<Event> = (1..=20).map(fall).collect();
    let hour = Window::of_hour(Hour::of(time("01T14:00"))).hours;
    assert_eq!(state_of(&events).bytes_in(&hour).0, (13..=20).sum::<u64>() * MB);
}

#[test]
fn updates_without_a_total_count_once_each_where_all_of_them_lies() {
    let open = Opened("01T13:00");
    let delta = |from: &str, to: &str, bytes| {
        open.updated(from, to, bytes, 0).with(|report| report.cumulative = Usage::default())
    };
    let first = delta("01T13:50", "01T13:56", 4 * MB);
    let events = [
        first.clone(),
        first,
        delta("01T13:56", "01T14:02", 2 * MB),
        delta("01T14:02", "01T14:08", 8 * MB),
    ];
    check(&events, "01T13:00", (4 * MB, 14 * MB, 14 * MB));
    check(&events, "01T14:00", (8 * MB, 14 * MB, 14 * MB));
}

#[test]
fn updates_without_a_total_are_forgotten_behind_the_horizon() {
    let open = Opened("01T09:00");
    let delta = |from: &str, to: &str| {
        open.updated(from, to, MB, 0).with(|report| report.cumulative = Usage::default())
    };
    let mut state = state_of(&[delta("01T10:10", "01T10:16"), delta("02T10:10", "02T10:16")]);
    let bytes = |state: &SimState| state.sessions()[0].bytes().0;
    assert_eq!(bytes(&state), 2 * MB);
    state.fold(&attached("02T12:30"));
    assert_eq!(bytes(&state), 2 * MB, "of the horizon's own hour");
    state.fold(&attached("02T13:00"));
    assert_eq!(bytes(&state), MB);
}

#[test]
fn an_update_without_a_begin_is_as_old_as_its_session() {
    let open = Opened("01T10:30");
    let delta = open.updated("01T14:00", "01T14:06", 9 * MB, 0).with(|report| {
        (report.update_start, report.cumulative) = (None, Usage::default());
    });
    check(std::slice::from_ref(&delta), "01T14:00", (0, 9 * MB, 9 * MB));
    let unknown = delta.with(|report| report.start = None);
    check(&[unknown], "01T14:00", (0, 0, 0));
}

#[test]
fn directions_stand_in_for_a_missing_total_and_one_alone_does_not() {
    let up_and_down = |up, down| {
        used("01T14:00", "01T14:06", 0).with(|report| {
            report.delta = Usage { up, down, total: None };
            report.cumulative = report.delta;
        })
    };
    check(&[up_and_down(Some(MB), Some(2 * MB))], "01T14:00", (3 * MB, 3 * MB, 3 * MB));
    check(&[up_and_down(Some(MB), None)], "01T14:00", (0, 0, 0));
}

#[test]
fn a_session_may_be_reported_as_ended_before_it_is_updated() {
    let open = Opened("01T14:00");
    let events = [
        open.ended("01T14:12").with(|report| report.cumulative.total = Some(9 * MB)),
        open.updated("01T14:00", "01T14:06", 5 * MB, 5 * MB),
        open.started(),
    ];
    check(&events, "01T14:00", (9 * MB, 9 * MB, 9 * MB));
    let state = state_of(&events);
    let [session] = state.sessions() else { panic!("one session") };
    assert_eq!(session.ended(), Some(time("01T14:12")));
    assert!(!state.is_open(session));
    let again = state_of(&[open.ended("01T14:20"), open.ended("01T14:12")]);
    assert_eq!(again.sessions().first().and_then(Session::ended), Some(time("01T14:20")));
}

#[test]
fn sessions_that_overlap_add_up() {
    let events = [used("01T14:00", "01T14:20", 5 * MB), used("01T14:10", "01T14:30", 7 * MB)];
    check(&events, "01T14:00", (12 * MB, 12 * MB, 12 * MB));
}

#[test]
fn after_a_time_only_what_began_later_counts() {
    let open = Opened("01T14:00");
    let events = [
        open.updated("01T14:00", "01T14:50:00.200", 5 * MB, 5 * MB),
        open.updated("01T14:50:00.200", "01T15:06", 7 * MB, 12 * MB),
        open.updated("01T15:06", "01T15:12", 9 * MB, 21 * MB),
        used("01T15:20:00.300", "01T15:26", 2 * MB),
    ];
    let state = state_of(&events);
    let day = Window::of_day(Hour::of(time("01T14:00"))).hours;
    let after = |text: &str| state.bytes_after(time(text), &day).0;
    assert_eq!(after("01T13:59"), 23 * MB);
    assert_eq!(after("01T14:30"), 11 * MB, "the hour under way counts no more");
    assert_eq!(after("01T15:20"), 2 * MB);
    assert_eq!(after("01T15:20:00.400"), 0, "it began in the same second, and earlier");
}

#[test]
fn an_event_at_the_horizon_counts_and_one_before_it_changes_nothing() {
    let mut state = state_of(&[used("02T16:00", "02T16:06", MB)]);
    let before = state.clone();
    let late = used("01T13:00", "01T14:05:59.999", 40 * MB).in_device(TABLET).in_country("MX");
    assert_eq!(state.fold(&late), Folded::Late);
    let two_days = used("28T13:00", "28T13:06", MB);
    let mut later = state_of(&[two_days]);
    assert_eq!(later.fold(&late), Folded::Late);
    let update_before = Event { at: time("02T15:00"), ..late.clone() };
    assert_eq!(state.fold(&update_before), Folded::Late, "its update ended before the horizon");
    assert_eq!(state, before);
    assert_eq!(state.fold(&used("01T14:00", "01T14:06", 3 * MB)), Folded::Applied);
    assert_eq!(state.bytes_in(&Window::of_day(Hour::of(time("01T14:00"))).hours).0, 3 * MB);
}

#[test]
fn what_leaves_the_horizon_is_forgotten() {
    let events = [used("01T14:00", "01T14:06", MB), attached("03T00:00")];
    let state = state_of(&events);
    assert_eq!(state.sessions(), []);
    assert_eq!(state.hours(), BTreeSet::new());
}

#[test]
fn an_open_session_closes_by_its_end_by_a_later_one_or_by_silence() {
    let is_open = |events: &[Event]| {
        let state = state_of(events);
        let session = state.sessions().iter().find(|one| one.sid == Opened("01T14:00").sid());
        session.is_some_and(|session| state.is_open(session))
    };
    let first = used("01T14:00", "01T14:06", MB);
    assert!(is_open(std::slice::from_ref(&first)));
    assert!(is_open(&[first.clone(), attached("01T14:24")]), "three missed updates");
    assert!(!is_open(&[first.clone(), attached("01T14:24:00.001")]));
    assert!(!is_open(&[first.clone(), Opened("01T14:10").started()]));
    assert!(!is_open(&[first, Opened("01T14:00").ended("01T14:07")]));
}

#[test]
fn a_device_is_learnt_over_24_active_hours_and_3_days_and_not_before() {
    let enrolled =
        |events: &[Event]| state_of(events).enrolled().map(|device| device.imei.to_string());
    assert_eq!(enrolled(&hours_in(SENSOR, 72)), None, "an hour short of three days");
    assert_eq!(enrolled(&hours_in(SENSOR, 73)), Some(SENSOR.to_owned()));
    let mut daily = Vec::new();
    for day in 1..=24 {
        assert_eq!(enrolled(&daily), None, "before day {day}");
        daily.push(attached(&format!("{day:02}T06:00")).in_device(SENSOR));
    }
    assert_eq!(enrolled(&daily), Some(SENSOR.to_owned()));
}

#[test]
fn the_device_that_was_learnt_first_stays_the_enrolled_one() {
    let mut events = hours_in(SENSOR, 73);
    for hour in 73..200 {
        let at = format!("{:02}T{:02}:05", hour / 24 + 1, hour % 24);
        events.push(attached(&at).in_device(TABLET));
    }
    let state = state_of(&events);
    assert_eq!(state.enrolled().map(|device| device.imei.to_string()), Some(SENSOR.to_owned()));
}

#[test]
fn a_newer_value_wins_and_a_missing_one_changes_nothing() {
    let named = |at: &str, name: Option<&str>| Event {
        unique_name: name.map(str::to_owned),
        fleet: None,
        ..attached(at)
    };
    let events =
        [named("01T14:00", Some("old")), named("01T15:00", Some("new")), named("01T16:00", None)];
    let state = state_of(events.iter().rev());
    assert_eq!(state.unique_name(), Some("new"));
    assert_eq!(state.fleet(), None);
    let long = "\u{1f600}".repeat(100);
    let state = state_of(&[named("01T14:00", Some(&long))]);
    assert_eq!(state.unique_name().map(str::len), Some(128));
}

#[test]
fn the_latest_countries_are_kept_when_there_are_too_many() {
    let visit = |number: u8| {
        let country = format!("A{}", char::from(b'A' + number));
        attached(&format!("01T14:{number:02}")).in_country(&country)
    };
    let events: Vec<Event> = (0..20).map(visit).collect();
    let state = state_of(&events);
    assert_eq!(state.countries().len(), COUNTRIES_MAX);
    let names: Vec<String> =
        state.recent_countries().map(|visited| visited.country.to_string()).collect();
    assert_eq!(names.first().map(String::as_str), Some("AE"), "the latest sixteen");
    assert_eq!(state_of(events.iter().rev()).countries(), state.countries());
}

#[test]
fn only_a_rejection_as_inactive_is_remembered_as_one() {
    let other = Event { error_code: Some(83_702), ..rejected("01T15:00") };
    let failed =
        Event { error_code: Some(83_705), ..event(EventKind::AttachmentFailed, "01T15:01") };
    let state = state_of(&[rejected("01T14:00"), other, failed]);
    assert_eq!(state.rejected_as_inactive(), Some(time("01T14:00")));
}

#[test]
fn a_session_that_failed_to_open_is_no_session() {
    let failed = Event { kind: EventKind::SessionFailed, ..Opened("01T14:00").started() };
    assert_eq!(state_of(&[failed]).sessions(), []);
}

#[test]
fn a_state_of_the_first_schema_is_read_without_what_came_later() {
    let mut events = hours_in(SENSOR, 3);
    events.push(used("01T03:00", "01T03:06", MB).in_device(SENSOR));
    let state = state_of(&events);
    let nothing = (Added::NOTHING, Bursts::NOTHING, Radio::NOTHING, Directions::NOTHING);
    let nothing_added = postcard::to_stdvec(&nothing).unwrap();
    let (added, bursts, radio, directions) = nothing;
    let bare = SimState { added, bursts, radio, directions, ..state.clone() };
    let stored = bare.encode().unwrap();
    let first = stored.strip_suffix(nothing_added.as_slice()).unwrap();
    assert_eq!(SimState::decode(1, first).unwrap(), bare);
    assert!(SimState::decode(SCHEMA, first).is_err());
    assert_eq!(SimState::decode(SCHEMA, &state.encode().unwrap()).unwrap(), state);
    assert_ne!(state, bare, "a device's session is what came later");
}

#[test]
fn cells_and_devices_sessions_are_kept_for_the_horizon_and_within_their_bounds() {
    let mut events: Vec<Event> = (0..40_u8)
        .map(|cell| attached(&format!("01T14:{cell:02}")).at_cell(cell.into(), 48.0, 11.0))
        .collect();
    let kept: Vec<u64> = state_of(&events).cells().iter().map(|seen| seen.cell.cell).collect();
    assert_eq!(kept, (24..40).collect::<Vec<_>>(), "the latest");
    events.push(used("01T14:00", "01T14:06", MB).in_device(TABLET));
    let tablet = TABLET.parse().unwrap();
    assert_eq!(state_of(&events).sessions_of(tablet).count(), 1);
    events.push(attached("03T14:00"));
    let state = state_of(&events);
    assert_eq!((state.cells().len(), state.sessions_of(tablet).count()), (0, 0));
}

#[test]
fn a_masts_place_is_what_was_said_last() {
    let events = [
        attached("01T14:00").at_cell(1, 48.0, 11.0),
        attached("01T15:00").at_cell(1, 49.0, 11.0),
        attached("01T14:30").at_cell(1, 50.0, 11.0),
    ];
    let state = state_of(&events);
    let [seen] = state.cells() else { panic!("{:?}", state.cells()) };
    assert_eq!((seen.first(), seen.last()), (time("01T14:00"), time("01T15:00")));
    assert!((seen.point.lat() - 49.0).abs() < 1e-9);
    assert_eq!(state_of(events.iter().rev()), state);
}

#[test]
fn what_is_dropped_beyond_a_cap_is_dropped_again_and_changes_nothing() {
    let minute = |minute: u8| format!("01T14:{minute:02}");
    let device = |number: u8| format!("860000{number:02}000001");
    let mut full: Vec<Event> =
        (1..=8).map(|n| attached(&minute(n)).in_device(&device(n))).collect();
    full.extend((1..=16).map(|n| {
        let country = format!("A{}", char::from(b'A' + n));
        attached(&minute(n)).in_country(&country).at_cell(n.into(), 48.0, 11.0)
    }));
    let state = state_of(&full);
    let ninth = used("01T14:00", "01T14:00:30", MB).in_device(&device(9));
    let with_session = state_of(full.iter().chain([&ninth]));
    let early = attached("01T14:00");
    let seventeenth = early.clone().in_country("ZZ");
    let with_country = state_of(full.iter().chain([&seventeenth]));
    let name = Event { unique_name: Some("\u{1f600}".repeat(100)), ..attached("01T15:00") };
    for (state, event) in [
        (&state, early.clone().in_device(&device(9))),
        (&with_session, ninth),
        (&with_country, seventeenth),
        (&state, early.at_cell(99, 48.0, 11.0)),
        (&state_of([&name]), name),
    ] {
        let mut again = state.clone();
        assert_eq!(again.fold(&event), Folded::Known, "{event:?}");
        assert_eq!(&again, state, "{event:?}");
    }
    assert_eq!(state.all_countries().map(<[_]>::len), Some(COUNTRIES_MAX));
    assert_eq!(with_country.all_countries(), None, "one is known to be missing");
}

#[test]
fn a_repetition_says_nothing_new_whatever_its_fraction_of_a_millisecond() {
    let event = used("01T14:00", "01T14:06:00.0009", MB);
    let mut state = state_of([&event]);
    assert_eq!(state.fold(&event), Folded::Known);
    let mut later = event.clone();
    later.at = time("01T14:07");
    assert_eq!(state.fold(&later), Folded::Applied, "the session goes on");
}

#[test]
fn a_device_that_is_dropped_takes_its_sessions_with_it() {
    let tablet = TABLET.parse().unwrap();
    let mut state = state_of(&[used("01T14:00", "01T14:06", MB).in_device(TABLET)]);
    assert_eq!(state.sessions_of(tablet).count(), 1);
    for number in 1..=8 {
        state.fold(&attached("01T15:00").in_device(&format!("8600000{number}000001")));
    }
    assert_eq!(state.sessions_of(tablet).count(), 0);
    assert_eq!(state.sessions().len(), 1, "the session stays");
}

#[test]
fn sessions_stay_those_of_their_devices_while_others_come_and_go() {
    let (sensor, tablet) = (SENSOR.parse().unwrap(), TABLET.parse().unwrap());
    let mut state = SimState::new(crate::detector::fixture::sim());
    let starts: Vec<(u8, SessionSid)> = (0..90_u8)
        .map(|number| {
            // Neither in the order of their SIDs nor in that of their times.
            let sid = SessionSid::from_bytes([number.wrapping_mul(91) | 1; 16]);
            (number.wrapping_mul(37) % 90, sid)
        })
        .collect();
    for (number, (minute, sid)) in starts.iter().enumerate() {
        let at = format!("{:02}T{:02}:{:02}", 1, 14 + minute / 60, minute % 60);
        let event = Opened("01T14:00").started().with(|report| {
            (report.sid, report.start) = (*sid, Some(time(&at)));
        });
        let imei = if number % 3 == 0 { TABLET } else { SENSOR };
        state.fold(&Event { at: time(&at), ..event }.in_device(imei));
        for (device, is_its) in [(tablet, 0), (sensor, 1)] {
            let known = &starts[..=number];
            let its = |sid| {
                let numbers = known.iter().enumerate().filter(|(_, (_, other))| *other == sid);
                numbers.map(|(number, _)| number).any(|n| usize::from(n % 3 != 0) == is_its)
            };
            for session in state.sessions() {
                let is_of = state.sessions_of(device).any(|one| one.sid == session.sid);
                assert_eq!(is_of, its(session.sid), "{number} {:?}", session.sid);
            }
        }
    }
    assert_eq!(state.sessions().len(), SESSIONS_MAX);
}

#[test]
fn a_session_that_is_over_leaves_others_with_their_devices_and_counters() {
    let session = |number: u8, opened: &'static str, device: &str, up: u64| {
        let until = opened.replace(":00", ":06");
        let event = carries(opened, &until, up, 100).in_device(device);
        event.with(|report| report.sid = SessionSid::from_bytes([number; 16]))
    };
    let mut state = state_of(&[
        session(1, "02T10:00", TABLET, 1_000),
        session(2, "01T10:00", SENSOR, 5_000),
        session(3, "02T09:00", SENSOR_2, 3_000),
    ]);
    state.fold(&attached("02T13:00"));
    let of = |device: &str| -> Vec<u8> {
        let sessions = state.sessions_of(device.parse().unwrap());
        sessions.map(|session| session.sid.as_bytes()[0]).collect()
    };
    assert_eq!((of(TABLET), of(SENSOR), of(SENSOR_2)), (vec![1], vec![], vec![3]));
    let told: Vec<u64> = state.directions().map(|(_, up, _)| up.0).collect();
    assert_eq!((told, state.habit().up), (vec![1_000, 3_000], Bytes(5_000)));
}

#[test]
fn cells_of_two_networks_with_the_same_numbers_are_kept_apart() {
    let here = attached("01T14:00").at_cell(1, 48.0, 11.0);
    let there = attached("01T15:00").at_cell(1, 53.0, 10.0).of_network("02");
    assert_eq!(state_of(&[here, there]).cells().len(), 2);
}
