//! Far more goes down to the SIM than up from it, although its habit is the reverse.
//!
//! A sensor sends; whoever streams or browses loads. Catches a thief who uses too little for a limit,
//! in whichever device. The habit is what the SIM's sessions of the last weeks carried that are over,
//! without those that were heavy themselves, so a thief does not make it.
//!
//! Fooled by whoever sends as much as they load, and by visits of less than [`BYTES_MIN`], which teach
//! that loading is usual. Silent for a SIM of which fewer than [`SESSIONS_MIN`] sessions are over, for
//! one whose only session is never closed, and where events do not tell both directions. True of every
//! firmware update, and of a display that loads once a day beside many small reports: it is recorded,
//! and alone it tells nothing.

use std::collections::BTreeMap;

use crate::bytes::Bytes;
use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::WatchAct;
use crate::session::Session;
use crate::state::Habit;
use crate::time::{Hour, Window};

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::DownloadHeavy, assess };

/// A session is heavy when more than so many times as much goes down as up: of a video or a page 20 to
/// 30 times as much does, of what a sensor does less than once …
pub const TIMES: u64 = 8;

/// … and when it carries more than this: acknowledgements and a look at the clock are no download.
pub const BYTES_MIN: Bytes = Bytes(Bytes::MB);

/// Sessions of which a habit is known: those of a day, of a sensor that reports every hour.
pub const SESSIONS_MIN: u32 = 24;

/// Whether a session that carried so much up and down is one of loading.
pub(crate) fn is_heavy(up: Bytes, down: Bytes) -> bool {
    down.0 > up.0.saturating_mul(TIMES) && up.plus(down) > BYTES_MIN
}

/// Whether it is known that the SIM sends more than it loads.
const fn sends(habit: Habit) -> bool {
    habit.sessions >= SESSIONS_MIN && habit.up.0 > habit.down.0
}

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let (rules, restored_at) = (snapshot.rules, snapshot.control.restored_at);
    let habit = snapshot.state.habit();
    if rules.download_heavy == WatchAct::Off || !sends(habit) {
        return Vec::new();
    }
    let is_found = |(session, up, down): &(&Session, Bytes, Bytes)| {
        is_heavy(*up, *down)
            && Some(session.start()) >= restored_at
            && !rules.is_planned(session.start(), session.last())
    };
    // One finding a day: a thief opens many sessions.
    let mut days: BTreeMap<Hour, Vec<(&Session, Bytes, Bytes)>> = BTreeMap::new();
    for heavy in snapshot.state.directions().filter(is_found) {
        days.entry(Hour::of(heavy.0.start()).day()).or_default().push(heavy);
    }
    let found = days.into_iter().filter_map(|(day, heavy)| {
        let from = heavy.iter().map(|(session, ..)| session.start()).min()?;
        let at = heavy.iter().map(|(session, ..)| session.last()).min()?;
        Some(Finding {
            detector: DetectorId::DownloadHeavy,
            about: Window::of_day(day).name(),
            at,
            evidence: Evidence::Downloads {
                down: heavy.iter().map(|(_, _, down)| *down).sum(),
                up: heavy.iter().map(|(_, up, _)| *up).sum(),
                usual_down_percent: percent(habit),
                from,
                to: heavy.iter().map(|(session, ..)| session.last()).max()?,
            },
        })
    });
    found.collect()
}

/// How much of the usual goes down.
fn percent(habit: Habit) -> u8 {
    let all = habit.up.plus(habit.down).0.max(1);
    u8::try_from(habit.down.0.saturating_mul(100).checked_div(all).unwrap_or(0)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{
        MB, attached, carries, check_in_any_order, claims, reports, rules, state_of, time,
    };
    use crate::event::Event;

    const SENSOR_UP: u64 = 40_000;
    const SENSOR_DOWN: u64 = 10_000;

    /// A sensor of the first two days, of which all is over on the fourth.
    fn sensor_then(events: &[Event]) -> Vec<Event> {
        [reports(48, SENSOR_UP, SENSOR_DOWN), events.to_vec()].concat()
    }

    #[track_caller]
    fn check(events: &[Event], policy: &str, expected: &[&str]) {
        check_in_any_order(super::DETECTOR, events, policy, expected);
    }

    const FOUND: &str = "download_heavy#2026-03-04 2026-03-04T12:06:00Z: 5.0 MB down and 200.0 kB up \
                         since 2026-03-04T12:00:00Z; usual is 20 % down";

    #[test]
    fn who_loads_in_a_sim_that_sends_is_found() {
        let visit = carries("04T12:00", "04T12:06", 200_000, 5 * MB);
        let events = sensor_then(std::slice::from_ref(&visit));
        check(&events, "", &[FOUND]);
        check(&events, "[download_heavy]\nact = 'off'", &[]);
        // Beside what the sensor goes on to send.
        let beside = [carries("04T11:00", "04T11:06", 3 * MB, 10_000), visit];
        check(&sensor_then(&beside), "", &[FOUND]);
    }

    #[test]
    fn visits_of_one_day_are_one_finding_and_of_another_another() {
        let visits = ["04T12:00", "04T18:00", "05T01:00"]
            .map(|opened| carries(opened, &opened.replace(":00", ":06"), 200_000, 5 * MB));
        let found = claims(super::DETECTOR, &sensor_then(&visits), &rules(""), Control::default());
        let next = "download_heavy#2026-03-05 2026-03-05T01:06:00Z: 5.0 MB down and 200.0 kB up \
                    since 2026-03-05T01:00:00Z; usual is 20 % down";
        let both = FOUND.replace("5.0 MB down and 200.0 kB up", "10.0 MB down and 400.0 kB up");
        assert_eq!(found, [both.as_str(), next]);
    }

    #[test]
    fn as_much_up_and_little_down_are_no_download() {
        let near =
            |up, down| check(&sensor_then(&[carries("04T12:00", "04T12:06", up, down)]), "", &[]);
        near(5 * MB / 8, 5 * MB);
        near(10_000, MB - 10_000);
        near(5 * MB, 10_000);
        let found = |up, down| {
            let events = sensor_then(&[carries("04T12:00", "04T12:06", up, down)]);
            claims(super::DETECTOR, &events, &rules(""), Control::default()).len()
        };
        assert_eq!((found(5 * MB / 8 - 100, 5 * MB), found(10_000, MB)), (1, 1));
    }

    #[test]
    fn of_a_session_that_does_not_tell_both_directions_nothing_is_known() {
        let untold = carries("04T12:00", "04T12:06", 200_000, 5 * MB);
        let untold = untold.with(|report| report.cumulative.up = None);
        check(&sensor_then(&[untold]), "", &[]);
    }

    #[test]
    fn a_sim_that_loads_as_a_habit_is_not_accused_nor_one_that_is_not_known() {
        let visit = carries("04T12:00", "04T12:06", 200_000, 5 * MB);
        let after = |past: Vec<Event>| [past, vec![visit.clone()]].concat();
        check(&after(reports(48, SENSOR_DOWN, SENSOR_UP)), "", &[]);
        check(&after(reports(23, SENSOR_UP, SENSOR_DOWN)), "", &[]);
        check(&after(reports(24, SENSOR_UP, SENSOR_DOWN)), "", &[FOUND]);
        check(&[visit], "", &[]);
    }

    #[test]
    fn what_is_accused_teaches_nothing() {
        let mut events = sensor_then(&[]);
        events.extend(["05", "06", "07", "08"].map(|day| {
            let at = |time: &str| -> &'static str { format!("{day}T{time}").leak() };
            carries(at("12:00"), at("12:06"), 200_000, 5 * MB)
        }));
        events.push(attached("11T12:00"));
        let habit = state_of(&events).habit();
        assert_eq!(
            (habit.sessions, habit.up.0, habit.down.0),
            (48, 48 * SENSOR_UP, 48 * SENSOR_DOWN)
        );
    }

    #[test]
    fn planned_work_and_what_a_human_restored_are_none() {
        let events = sensor_then(&[carries("04T12:00", "04T12:06", 200_000, 5 * MB)]);
        let work = "[[maintenance]]\nfrom = 2026-03-04T11:00:00Z\nto = 2026-03-04T12:03:00Z\n\
                    bytes_max_mb = 60";
        check(&events, work, &[]);
        let found = |restored_at: &str| {
            let restored_at = Some(time(restored_at));
            let control = Control { restored_at, ..Control::default() };
            claims(super::DETECTOR, &events, &rules(""), control).len()
        };
        assert_eq!((found("04T12:00"), found("04T12:00:00.001")), (1, 0));
    }
}
