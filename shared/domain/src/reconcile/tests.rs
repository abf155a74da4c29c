use super::*;
use crate::detector::fixture::{self, MB, hour_of, records, time, used};
use crate::event::Event;

struct World {
    now: &'static str,
    status: SimStatus,
    status_before: Option<SimStatus>,
    desired: Option<Desired>,
    events: Vec<Event>,
    usage: SimUsage,
    lag_hours: i32,
}

impl World {
    fn new(hours: &[(&str, u64)]) -> Self {
        Self {
            now: "02T03:10",
            status: SimStatus::Active,
            status_before: None,
            desired: None,
            events: Vec::new(),
            usage: records(hours),
            lag_hours: 4,
        }
    }

    #[track_caller]
    fn check(&self, expected: &[&str]) {
        let sim = Sim {
            sid: fixture::sim(),
            iccid: None,
            unique_name: None,
            status: self.status,
            fleet: None,
        };
        let now = time(self.now);
        let state = fixture::state_of(&self.events);
        let looked = Reconciliation {
            now,
            closed_through: Hour::of(now).plus(0_i32.saturating_sub(self.lag_hours)),
            sim: &sim,
            status_before: self.status_before,
            desired: self.desired.as_ref(),
            state: (!self.events.is_empty()).then_some(&state),
            usage: Some(&self.usage),
        };
        let found = looked.findings();
        let found: Vec<_> =
            found.iter().map(|finding| format!("{}: {finding}", finding.key())).collect();
        assert_eq!(found, expected);
    }
}

fn killed_at(at: &str) -> Desired {
    Desired {
        status: Some(TargetStatus::Inactive),
        inactive_at: Some(time(at)),
        ..Desired::default()
    }
}

#[test]
fn bytes_that_no_event_showed_are_found_where_they_are_many() {
    let mut world = World::new(&[("01T14", 7 * MB + 1)]);
    world.events = vec![used("01T14:00", "01T14:36", 3 * MB)];
    world.check(&["bytes_unseen#2026-03-01: used 7.0 MB in 2026-03-01, events showed 3.0 MB"]);
    world.usage = records(&[("01T14", 7 * MB)]);
    world.check(&[]);
    world.usage = records(&[("01T14", MB)]);
    world.events.clear();
    world.check(&[]);
}

#[test]
fn what_is_older_than_events_reach_back_is_not_compared() {
    World::new(&[("01T03", 70 * MB)]).check(&[]);
    World::new(&[("01T04", 70 * MB)])
        .check(&["bytes_unseen#2026-03-01: used 70.0 MB in 2026-03-01, events showed 0 B"]);
}

#[test]
fn while_closing_lags_behind_nothing_is_unseen() {
    let mut world = World::new(&[("01T14", 70 * MB)]);
    world.lag_hours = 6;
    world.now = "02T05:10";
    world.check(&[]);
}

#[test]
fn a_sim_that_was_killed_and_is_active_is_found() {
    let mut world = World::new(&[]);
    world.desired = Some(killed_at("01T10:00"));
    world.check(&[
        "active_after_kill#2026-03-01T10:00:00Z: the provider says active, should be inactive since \
         2026-03-01T10:00:00Z",
    ]);
    world.status = SimStatus::Inactive;
    world.check(&[]);
    world.status = SimStatus::Active;
    world.desired = Some(Desired { status: Some(TargetStatus::Active), ..killed_at("01T10:00") });
    world.check(&[]);
}

#[test]
fn usage_of_an_inactive_sim_is_found_from_the_hour_after_its_end() {
    let mut world = World::new(&[("01T10", 400), ("01T11", 0)]);
    (world.status, world.desired) = (SimStatus::Inactive, Some(killed_at("01T10:30")));
    world.check(&[]);
    world.usage = records(&[("01T10", 400), ("01T11", 500)]);
    world.check(&[
        "inactive_uses_data#2026-03-01: the provider says inactive, should be inactive since \
         2026-03-01T10:30:00Z, used 500 B since then",
    ]);
}

#[test]
fn a_sim_that_others_made_inactive_is_found_only_when_it_was_so_a_day_ago() {
    let mut world = World::new(&[("01T14", 400)]);
    world.status = SimStatus::Inactive;
    world.check(&[]);
    world.status_before = Some(SimStatus::Active);
    world.check(&[]);
    world.status_before = Some(SimStatus::Inactive);
    world.check(&[
        "inactive_uses_data#2026-03-01: the provider says inactive, used 400 B since then",
    ]);
}

#[test]
fn a_sim_is_silent_by_its_own_rhythm() {
    let mut world = World::new(&[]);
    // Every second hour, up to the first of March at 22 o'clock.
    for at in 0..24 {
        let source = crate::usage::Source { fleet: None, page: 0 };
        world.usage.close(hour_of("01T00").plus(at * 2 - 24), Bytes(100), source);
    }
    world.now = "02T23:00";
    world.check(&[]);
    world.now = "02T23:01";
    world.check(&["silent#2026-03-01T23:00:00Z: silent since 2026-03-01T23:00:00Z, never before \
         for over 2 hours"]);
    world.events = vec![fixture::attached("02T10:00")];
    world.check(&[]);
    world.events.clear();
    world.status = SimStatus::Inactive;
    world.check(&[]);
}

#[test]
fn a_sim_whose_rhythm_is_not_known_yet_is_not_silent() {
    let mut world = World::new(&[("01T00", 5)]);
    world.now = "20T00:00";
    world.check(&[]);
}
