//! The SIM fails to attach, or to open a session, over and over.
//!
//! Catches a SIM that carriers refuse, be it for the device that it was put into, and a device whose
//! modem never waits between attempts, for which carriers shut SIMs out. Counted are minutes in which
//! an attempt failed, so neither order nor repetition matters, and a state stays small. Fooled by an
//! outage of a carrier that lasts most of a day; misses a thousand attempts within some minutes. What
//! the network says of an inactive SIM (83705) never counts, nor what came before it: a SIM that was
//! switched off tries again every few minutes for good.

use jiff::{SignedDuration, Timestamp};

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::WatchAct;
use crate::time::{Hour, Window};

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::AttachStorm, assess };

/// More minutes than these of the 26 hours that are known, each with a failed attempt, are a storm.
///
/// A modem that keeps to 3GPP TS 24.301 and fails all day makes five attempts over two minutes
/// (T3410 of 15 s, T3411 of 10 s) and then waits twelve (T3402): some 300 of these minutes. A healthy
/// sensor's bad hour is taken to have up to 60 (`docs/detection.md`, `retry_storm`).
pub const FAILED_MINUTES_MAX: u32 = 360;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let (state, storm) = (snapshot.state, snapshot.rules.attach_storm);
    if storm.act == WatchAct::Off {
        return Vec::new();
    }
    let since = state.rejected_as_inactive().max(snapshot.control.restored_at);
    let failed = state.failed_minutes().filter(|begin| since.is_none_or(|since| *begin > since));
    let failed: Vec<Timestamp> = failed.collect();
    let limit = usize::try_from(storm.minutes_max).unwrap_or(usize::MAX);
    let (Some(from), Some(broken), Some(last)) = (failed.first(), failed.get(limit), failed.last())
    else {
        return Vec::new();
    };
    vec![Finding {
        detector: DetectorId::AttachStorm,
        about: Window::of_day(Hour::of(*broken)).name(),
        at: *broken,
        evidence: Evidence::Failures {
            minutes: u32::try_from(failed.len()).unwrap_or(u32::MAX),
            limit: storm.minutes_max,
            from: *from,
            to: last.saturating_add(MINUTE).unwrap_or(Timestamp::MAX),
        },
    }]
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use crate::detector::Control;
    use crate::detector::fixture::{attached, claims, event, failed, rejected, rules, time};
    use crate::event::{Event, EventKind};

    /// An event for each of so many minutes from midnight on the first of March.
    fn each_minute(minutes: u32, event: impl Fn(&str) -> Event) -> Vec<Event> {
        let second = |minute: u32| i64::from(minute.saturating_mul(60).saturating_add(30));
        let begin = time("01T00:00");
        let at = |minute| begin.saturating_add(SignedDuration::from_secs(second(minute))).unwrap();
        (0..minutes).map(|minute| event(&at(minute).strftime("%dT%H:%M:%S").to_string())).collect()
    }

    #[track_caller]
    fn check_after(events: &[Event], policy: &str, control: Control<'_>, expected: &[&str]) {
        let found = |events: &[Event]| claims(super::DETECTOR, events, &rules(policy), control);
        assert_eq!(found(events), expected);
        let twice: Vec<Event> = events.iter().rev().chain(events).cloned().collect();
        assert_eq!(found(&twice), expected, "in reverse, and again");
    }

    #[track_caller]
    fn check(events: &[Event], policy: &str, expected: &[&str]) {
        check_after(events, policy, Control::default(), expected);
    }

    const FOUND: &str = "attach_storm#2026-03-01 2026-03-01T06:00:00Z: attachments or sessions \
                         failed in 361 minutes since 2026-03-01T00:00:00Z, limit 360";

    #[test]
    fn a_sim_that_fails_in_every_minute_of_six_hours_is_found() {
        check(&each_minute(361, failed), "", &[FOUND]);
        let refused = |at: &str| event(EventKind::AttachmentRejected, at);
        check(&each_minute(361, refused), "", &[FOUND]);
        let no_session = |at: &str| event(EventKind::SessionFailed, at);
        check(&each_minute(361, no_session), "", &[FOUND]);
        check(&each_minute(361, failed), "[attach_storm]\nact = 'watch'", &[FOUND]);
        check(&each_minute(361, failed), "[attach_storm]\nact = 'off'", &[]);
    }

    #[test]
    fn a_minute_less_is_not_unless_policy_says_so() {
        let events = each_minute(360, failed);
        check(&events, "", &[]);
        let lower = "attach_storm#2026-03-01 2026-03-01T05:59:00Z: attachments or sessions failed \
                     in 360 minutes since 2026-03-01T00:00:00Z, limit 359";
        check(&events, "[attach_storm]\nminutes_max = 359", &[lower]);
        check(&each_minute(361, failed), "[attach_storm]\nminutes_max = 361", &[]);
    }

    #[test]
    fn many_attempts_in_few_minutes_and_attachments_that_succeed_are_not() {
        let burst = |second: u32| failed(&format!("01T14:{:02}:{:02}", second / 60, second % 60));
        check(&(0..3_600).map(burst).collect::<Vec<_>>(), "", &[]);
        check(&each_minute(900, attached), "", &[]);
        check(&[], "", &[]);
    }

    #[test]
    fn a_sim_that_is_inactive_may_try_for_good() {
        check(&each_minute(1_500, rejected), "", &[]);
        let inactive = |at: &str| Event { error_code: Some(83_705), ..failed(at) };
        check(&each_minute(1_500, inactive), "", &[]);
        // What lacks its code among such, or came before, says nothing either.
        let mut mixed = each_minute(500, failed);
        mixed.push(rejected("01T08:20"));
        mixed.extend(each_minute(860, failed).split_off(500));
        check(&mixed, "", &[]);
        mixed.extend(each_minute(861, failed).split_off(860));
        let after = "attach_storm#2026-03-01 2026-03-01T14:20:00Z: attachments or sessions failed in \
                     360 minutes since 2026-03-01T08:21:00Z, limit 359";
        check(&mixed, "[attach_storm]\nminutes_max = 359", &[after]);
    }

    #[test]
    fn what_failed_before_a_restore_does_not_count() {
        let restored = |at| Control { restored_at: Some(time(at)), ..Control::default() };
        let events = each_minute(361, failed);
        check_after(&events, "", restored("01T00:00"), &[]);
        check_after(&events, "", restored("28T00:00"), &[]);
        let before = Control {
            restored_at: time("01T00:00").checked_sub(super::MINUTE).ok(),
            ..restored("01T00:00")
        };
        check_after(&events, "", before, &[FOUND]);
    }

    #[test]
    fn minutes_before_the_horizon_are_forgotten() {
        let until = |at: &str| [each_minute(361, failed), vec![attached(at)]].concat();
        check(&until("02T02:00"), "", &[FOUND]);
        check(&until("02T02:00:00.001"), "", &[]);
    }
}
