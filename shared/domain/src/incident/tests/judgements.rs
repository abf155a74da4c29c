//! A human's judgement does not expire: what goes on as it was when a SIM was restored cuts no SIM,
//! the day after and once the cool-down is over.

use super::*;
use crate::detector;
use crate::detector::fixture::{SENSOR, SENSOR_2, carries, failed, reports};
use crate::device::Imei14;
use crate::finding::{DetectorId, Evidence};
use crate::place::Point;
use crate::verdict::Verdict;

/// How a SIM that a detector found goes on after a human restored it.
struct Story {
    detector: DetectorId,
    policy: &'static str,
    /// Up to the restore at 12:00 of the 2nd.
    before: Vec<Event>,
    /// The same behaviour, on the 3rd, 4th and 5th.
    after: Vec<Event>,
    /// What comes next for the SIM then.
    then: &'static str,
}

const RESTORED: &str = "02T12:00";

/// More of it is more than the human saw, so policy may cut again.
const AGAIN: &str = "deactivate by Policy, was requested";

fn story(detector: DetectorId, policy: &'static str, event: impl Fn(&str) -> Event) -> Story {
    let before = ["02T09:00", "02T10:00", "02T11:00"].map(&event).to_vec();
    let hours = ["03T09:00", "03T10:00", "04T09:00", "04T12:00", "04T14:00", "05T14:00"];
    Story { detector, policy, before, after: hours.map(&event).to_vec(), then: "rest" }
}

/// A SIM whose modem wakes now here, now there.
fn in_turn(detector: DetectorId, policy: &'static str, at: [fn(Event) -> Event; 2]) -> Story {
    let mut turns = story(detector, policy, attached);
    for events in [&mut turns.before, &mut turns.after] {
        let changed = events.iter().cloned().enumerate();
        *events = changed.map(|(turn, event)| at[turn % 2](event)).collect();
    }
    turns
}

const LIMITS: &str = "act = 'deactivate'";

/// Too much on each day.
fn over(detector: DetectorId, policy: &'static str) -> Story {
    Story {
        before: vec![used("02T10:00", "02T10:30", 31 * MB)],
        after: vec![used("03T10:00", "03T10:30", 31 * MB), used("04T13:00", "04T13:30", 31 * MB)],
        then: AGAIN,
        ..story(detector, policy, attached)
    }
}

fn towns(at: [&str; 4]) -> Vec<Event> {
    let cells = [(1, 48.14, 11.58), (2, 48.2, 11.58), (8, 53.55, 10.0), (9, 53.6, 10.0)];
    let seen = at.into_iter().zip(cells);
    seen.map(|(at, (cell, lat, lon))| attached(at).at_cell(cell, lat, lon)).collect()
}

/// It stands 80 km from the middle of its area, and its masts change from day to day.
fn outside() -> Story {
    let place = "[places]\ngeofence = { lat = 48.0, lon = 11.0, radius_km = 50 }\n\
                 geofence_act = 'deactivate'";
    let seen = |at: &str, cell, lat, lon| attached(at).at_cell(cell, lat, lon);
    Story {
        before: vec![
            seen("02T08:00", 1, 48.1, 11.0),
            seen("02T09:00", 2, 48.7, 11.0),
            seen("02T10:00", 3, 48.74, 11.1),
        ],
        after: vec![
            seen("02T13:00", 2, 48.7, 11.0),
            seen("03T13:00", 4, 48.76, 11.3),
            seen("03T14:00", 5, 48.8, 11.0),
            seen("04T12:00", 4, 48.76, 11.3),
            seen("04T14:00", 6, 48.5, 11.26),
            seen("04T15:00", 7, 48.9, 10.8),
        ],
        ..story(DetectorId::GeofenceLeft, place, attached)
    }
}

/// A SIM that was at home over four days of February, and elsewhere since.
fn moved(detector: DetectorId, policy: &'static str, to: impl Fn(Event) -> Event) -> Story {
    let mut moved = story(detector, policy, |at| to(attached(at)));
    moved.before.splice(0..0, at_home());
    moved
}

fn at_home() -> impl Iterator<Item = Event> {
    let home = attached("01T06:00").in_country("US").on_network("310-260");
    (22..26).map(move |day| {
        let at = format!("2026-02-{day}T06:00:00Z").parse().unwrap();
        Event { at, ..home.clone() }
    })
}

/// It cannot attach, for an hour of each of these days.
fn fails() -> Story {
    let hour_of = |day: &'static str| {
        let sharp = std::iter::once(format!("{day}10:00"));
        (0..60).map(move |minute| format!("{day}09:{minute:02}")).chain(sharp)
    };
    let failures = |days: &[&'static str]| {
        days.iter().flat_map(|day| hour_of(day)).map(|at| failed(&at)).collect()
    };
    Story {
        before: failures(&["02T"]),
        after: failures(&["03T", "04T"]),
        ..story(DetectorId::AttachStorm, "[attach_storm]\nminutes_max = 60", attached)
    }
}

/// It sent for a day of February, and loads since.
fn loads() -> Story {
    let sent = reports(24, 40_000, 10_000).into_iter().map(|event| {
        let earlier = |at: Timestamp| at.saturating_sub(SignedDuration::from_hours(96)).unwrap();
        let at = earlier(event.at);
        let event = event.with(|report| {
            for time in [&mut report.start, &mut report.update_start, &mut report.update_end] {
                *time = time.map(earlier);
            }
        });
        Event { at, ..event }
    });
    let visits = |opened: [&'static str; 2]| {
        let visit =
            |opened: &'static str| carries(opened, &opened.replace(":00", ":06"), 100_000, 5 * MB);
        opened.map(visit)
    };
    Story {
        before: sent.chain(visits(["02T09:00", "02T11:00"])).collect(),
        after: [visits(["03T09:00", "03T14:00"]), visits(["04T09:00", "04T14:00"])].concat(),
        ..story(DetectorId::DownloadHeavy, "[download_heavy]\nact = 'alert'", attached)
    }
}

fn stories() -> Vec<Story> {
    let strict = "[binding]\nmode = 'strict'\nallowed_tacs = ['35378572']";
    let handsets = "[binding]\nmode = 'strict'\nhandset_tacs = ['86600905']";
    let (sensor, tablet) = (|e: Event| e.in_device(SENSOR), |e: Event| e.in_device(TABLET));
    let mut changed =
        story(DetectorId::DeviceChanged, "[binding]\nmode = 'strict'\nenrol = 'first'", |at| {
            attached(at).in_device(SENSOR_2)
        });
    changed.before.insert(0, attached("01T09:00").in_device(SENSOR));
    let mut travels = story(DetectorId::ImpossibleTravel, "", attached);
    travels.before = towns(["02T09:00", "02T09:05", "02T09:10", "02T09:15"]);
    travels.after = towns(["04T13:00", "04T13:05", "04T13:10", "04T13:15"]);
    // The device was known to the human, and what it used.
    let streams = |from, to| used(from, to, 31 * MB).in_device(TABLET);
    let video = Story {
        before: vec![attached("01T11:00").in_device(SENSOR), streams("02T10:00", "02T10:06")],
        after: vec![streams("03T10:00", "03T10:06"), streams("04T13:00", "04T13:06")],
        ..story(
            DetectorId::Strike,
            "[strike]\nact = 'deactivate'\n[binding]\nenrol = 'first'",
            attached,
        )
    };
    let alive = Story {
        before: vec![used("02T10:00", "02T10:06", MB)],
        after: vec![used("04T13:00", "04T13:06", MB)],
        ..story(DetectorId::AliveAfterKill, "", attached)
    };
    vec![
        story(DetectorId::DeviceNotAllowed, strict, |at| attached(at).in_device(TABLET)),
        story(DetectorId::DeviceIsHandset, handsets, |at| attached(at).in_device(TABLET)),
        changed,
        in_turn(DetectorId::DeviceFlipFlop, "", [sensor, tablet]),
        video,
        story(DetectorId::CountryNotAllowed, "[places]\ncountries = ['US']", |at| {
            attached(at).in_country("MX")
        }),
        outside(),
        travels,
        over(DetectorId::SessionLimit, "[limits]\nsession_mb = 20"),
        over(DetectorId::HourLimit, "[limits]\nhour_mb = 20"),
        over(DetectorId::DayLimit, "[limits]\nday_mb = 20"),
        // The same period as was judged: the next one is another matter.
        Story { then: "rest", ..over(DetectorId::PeriodLimit, "[limits]\nperiod_mb = 20") },
        alive,
        moved(DetectorId::CountryNew, "[places]\nnew_country = 'alert'", |e| e.in_country("MX")),
        moved(DetectorId::NetworkNew, "[places]\nnew_network = 'alert'", |e| {
            e.on_network("334-020")
        }),
        fails(),
        loads(),
    ]
}

impl Story {
    fn scene(&self) -> Scene {
        let limits = if self.policy.starts_with("[limits]") { LIMITS } else { "" };
        let mut scene = Scene::of(&self.before).when("02T11:30");
        scene.policy = format!("mode = 'enforce'\n{}\n{limits}", self.policy);
        scene
    }
}

/// The scene once a human restored the SIM, and all that goes with it is over.
fn restored(mut scene: Scene, at: &str) -> Scene {
    scene.now = time(at);
    let incident = scene.case.incident.take().unwrap().0;
    let policy = policy(&scene.policy);
    let judged = judged_keys(&scene.look(&policy, None), &incident);
    scene.case.desired.0 = Desired {
        status: Some(TargetStatus::Active),
        restored_at: Some(scene.now),
        judged,
        inactive_at: None,
        ..scene.case.desired.0
    };
    scene
}

/// Looks after each event, as the webhook's findings make the kill-switch do; says what comes next in
/// the end.
fn goes_on(mut scene: Scene, events: &[Event]) -> (Scene, String) {
    let mut told = String::new();
    for event in events {
        scene.now = event.at;
        scene = scene.also(event.clone());
        told = scene.told(&scene.decide(Says::Active));
        if told != "rest" {
            break;
        }
    }
    (scene, told)
}

#[test]
fn what_a_human_judged_does_not_come_again_by_itself() {
    let stories = stories();
    let told: Vec<DetectorId> = stories.iter().map(|story| story.detector).collect();
    let all = detector::ALL.iter().map(|detector| detector.id);
    // Usage evidence rests on more than events: `tests/joined.rs` tells of it.
    let all: Vec<DetectorId> = all.filter(|detector| *detector != DetectorId::UsageSpike).collect();
    assert_eq!(told, all, "a story of each detector");
    for story in &stories {
        let mut scene = story.scene();
        let is_its = |finding: &Finding| finding.detector == story.detector;
        scene = scene.at(Stage::Inactive);
        if story.detector == DetectorId::AliveAfterKill {
            scene.incident().inactive_at = Some(time("02T09:30"));
            scene = scene.also(used("02T10:30", "02T10:36", MB));
        } else {
            scene.incident().inactive_at = None;
        }
        let rules = policy(&scene.policy);
        let (_, found) = assess(&scene.look(&rules, None), Some(fleet()));
        assert!(found.values().any(is_its), "{}: found at first", story.detector);
        scene.incident().add_findings(found.values());
        let scene = restored(scene, RESTORED);
        scene.check(Says::Active, "rest");
        // Limits count anew: the cool-down alone holds back what is used on the first day.
        let later =
            story.after.iter().filter(|event| story.then != AGAIN || event.at > time("03T12:00"));
        let later: Vec<Event> = later.cloned().collect();
        let (_, told) = goes_on(scene, &later);
        assert_eq!(told, story.then, "{}", story.detector);
    }
}

#[test]
fn a_limit_that_is_kept_after_a_restore_cuts_no_more() {
    for story in stories().iter().filter(|story| story.then == AGAIN) {
        let scene = restored(story.scene().at(Stage::Inactive), RESTORED);
        let (_, told) = goes_on(scene, &[used("04T13:00", "04T13:30", 19 * MB)]);
        assert_eq!(told, "rest", "{}", story.detector);
    }
}

#[test]
fn a_sim_that_is_taken_to_another_place_is_found_and_within_the_cooldown_held() {
    let story = outside();
    let seen = |at: &str, cell, lat| attached(at).at_cell(cell, lat, 11.0);
    let judged = || restored(story.scene().at(Stage::Inactive), RESTORED);
    let far = [seen("04T16:00", 20, 50.4), seen("04T17:00", 21, 50.5)];
    let (scene, told) = goes_on(judged(), &[story.after.as_slice(), &far].concat());
    assert_eq!(told, AGAIN);
    let key = "geofence_left#50.5,11.0/2026-03-04";
    let rules = policy(&scene.policy);
    let (verdict, found) = assess(&scene.look(&rules, None), Some(fleet()));
    assert_eq!((verdict, found.into_keys().collect()), (Verdict::Deactivate, vec![key.to_owned()]));
    let soon = [seen("02T16:00", 20, 50.4), seen("02T17:00", 21, 50.5)];
    let (_, told) = goes_on(judged(), &soon);
    assert_eq!(told, "record held (restored lately and no new evidence) +Held");
    // Judged there as well, it may be at either place, and is found at a third.
    let scene = scene.at(Stage::Inactive);
    let twice = restored(scene, "04T18:00");
    let keys = &twice.case.desired.0.judged;
    assert!(keys.contains(key) && keys.contains("geofence_left#48.5,11.0/2026-03-02"), "{keys:?}");
    let back = [seen("06T09:00", 20, 50.4), seen("06T10:00", 30, 48.8), seen("06T11:00", 31, 48.7)];
    let (twice, told) = goes_on(twice, &back);
    assert_eq!(told, "rest");
    let third = [seen("06T20:00", 40, 52.9), seen("06T21:00", 41, 53.0)];
    assert_eq!(goes_on(twice, &third).1, AGAIN);
}

#[test]
fn the_same_place_is_no_news_to_a_sim_that_is_held_for_it() {
    let story = outside();
    let mut scene = story.scene();
    scene.armed = Mode::Observe;
    let held = scene.then(Says::Active);
    assert_eq!(held.case.incident.as_ref().unwrap().0.stage, Stage::Held(Hold::Observe));
    // Arming releases nothing: neither now nor when its masts are others, or it is away for longer
    // than the cell of its home is remembered.
    let armed = held.with(|scene| scene.armed = Mode::Enforce);
    assert_eq!(goes_on(armed, &story.after[..3]).1, "rest");
}

#[test]
fn what_is_about_the_same_place_is_withheld_with_it() {
    let story = outside();
    let mut scene = restored(story.scene().at(Stage::Inactive), RESTORED);
    scene.case.desired.0.judged.clear();
    scene.case.desired.0.withheld =
        BTreeMap::from([("geofence_left#48.5,11.0".to_owned(), Hold::Stopped)]);
    let (_, told) = goes_on(scene, &story.after);
    assert_eq!(told, "record held (stopped by an operator) +Held");
}

#[test]
fn a_second_clone_is_told_and_a_false_alarm_allows_each() {
    let tablets = [TABLET, "86600905000002"];
    let mut events = hours_in(SENSOR, 80);
    let turn = |at: [&str; 2], imei: &str| {
        [attached(at[0]).in_device(imei), attached(at[1]).in_device(SENSOR)]
    };
    events.extend(turn(["04T09:00", "04T10:00"], tablets[0]));
    let mut scene = Scene::of(&events).when("04T10:00");
    scene.policy = "mode = 'enforce'\n[binding]\nallowed_tacs = ['86600905']".to_owned();
    scene.check(Says::Active, "record alerted +Opened");
    let scene = scene.then(Says::Active);
    scene.check(Says::Active, "rest");
    let [away, back] = turn(["04T11:00", "04T12:00"], tablets[1]);
    let scene = scene.also(away).also(back).when("04T12:00");
    scene.check(Says::Active, "record alerted +Opened");
    let mut scene = scene.then(Says::Active);
    let foreign: BTreeSet<Imei14> = tablets.iter().map(|imei| imei.parse().unwrap()).collect();
    assert_eq!(scene.incident().devices(), foreign);
}

#[test]
fn a_place_is_the_same_as_far_as_masts_of_one_place_may_be_apart() {
    let outside = |lat, lon| Finding {
        detector: DetectorId::GeofenceLeft,
        about: String::new(),
        at: time("01T14:00"),
        evidence: Evidence::Outside { seen: Point::new(lat, lon).unwrap(), cells: 2 },
    };
    let judged = "geofence_left#48.5,11.0/2026-03-01";
    assert!(outside(48.5, 11.0).is_about(judged));
    assert!(outside(49.48, 11.0).is_about(judged), "109 km");
    assert!(!outside(49.50, 11.0).is_about(judged), "111 km");
    assert!(outside(48.5, 11.0).is_about("geofence_left#48.5,11.0"));
    for other in ["geofence_left#2026-03-01", "country_not_allowed#48.5,11.0", "geofence_left"] {
        assert!(!outside(48.5, 11.0).is_about(other), "{other}");
    }
}

#[test]
fn a_failure_to_attach_is_one_matter_on_every_day_and_of_its_detector_alone() {
    let failing = Finding {
        detector: DetectorId::AttachStorm,
        about: "2026-03-04".to_owned(),
        at: time("04T14:00"),
        evidence: Evidence::Failures {
            minutes: 361,
            limit: 360,
            from: time("04T08:00"),
            to: time("04T14:01"),
        },
    };
    assert!(failing.is_about("attach_storm#2026-03-02"));
    assert!(!failing.is_about("day_limit#2026-03-04") && !failing.is_about("attach_storm"));
}

#[test]
fn what_is_only_watched_opens_nothing_and_what_policy_wants_told_is_told() {
    for (detector, default) in [
        (DetectorId::CountryNew, "rest"),
        (DetectorId::NetworkNew, "rest"),
        (DetectorId::AttachStorm, "record alerted +Opened"),
        (DetectorId::DownloadHeavy, "rest"),
    ] {
        let story = stories().into_iter().find(|story| story.detector == detector).unwrap();
        let mut scene = story.scene();
        scene.check(Says::Active, "record alerted +Opened");
        scene.policy = scene.policy.replace("= 'alert'", "= 'watch'");
        scene.check(Says::Active, default);
        scene.policy = scene.policy.replace("[attach_storm]", "[attach_storm]\nact = 'watch'");
        scene.check(Says::Active, "rest");
    }
}

#[test]
fn what_is_only_watched_is_not_told_with_what_a_human_knows() {
    let used = |opened, until| used(opened, until, 31 * MB).in_country("US").on_network("310-260");
    let before: Vec<Event> = at_home().chain([used("02T10:00", "02T10:30")]).collect();
    let mut scene = Scene::of(&before).when("02T11:30");
    scene.policy = "[limits]\nhour_mb = 20".to_owned();
    let abroad = used("02T13:00", "02T13:30").in_country("MX").on_network("334-020");
    let mut scene = scene.at(Stage::Alerted).also(abroad);
    scene.check(Says::Active, "record alerted");
    scene.policy += "\n[places]\nnew_network = 'alert'";
    scene.check(Says::Active, "record alerted +Opened");
}

#[test]
fn a_sign_that_alone_cuts_nothing_lifts_no_cooldown() {
    let used = |opened, until| used(opened, until, 31 * MB).in_country("US").on_network("310-260");
    let before: Vec<Event> = at_home().chain([used("02T10:00", "02T10:30")]).collect();
    let policy = "[limits]\nhour_mb = 20\n[places]\nnew_country = 'alert'\nnew_network = 'alert'";
    let policy = policy.replace("[places]", "act = 'deactivate'\n[places]");
    let mut scene = Scene::of(&before).when("02T11:30");
    scene.policy = format!("mode = 'enforce'\n{policy}");
    let scene = restored(scene.at(Stage::Inactive), RESTORED);
    let abroad = used("02T13:00", "02T13:30").in_country("MX").on_network("334-020");
    let (scene, told) = goes_on(scene, &[abroad]);
    assert_eq!(told, "record held (restored lately and no new evidence) +Held");
    let rules = crate::detector::fixture::policy(&scene.policy);
    let (_, found) = assess(&scene.look(&rules, None), Some(fleet()));
    let found: Vec<String> = found.into_keys().collect();
    assert_eq!(found, ["country_new#MX", "hour_limit#2026-03-02T13Z", "network_new#334-020"]);
}

#[test]
fn a_network_that_came_before_says_not_since_when_a_sim_is_stolen() {
    let stolen = Finding {
        detector: DetectorId::DeviceNotAllowed,
        about: TABLET.to_owned(),
        at: time("04T14:00"),
        evidence: Evidence::Fault { what: String::new() },
    };
    let steered = Finding {
        detector: DetectorId::NetworkNew,
        about: "310-410".to_owned(),
        at: time("04T02:00"),
        evidence: Evidence::NewNetwork {
            seen: crate::network::NamedPlmn("310-410".parse().unwrap()),
            known: Vec::new(),
        },
    };
    assert_eq!(began([&steered, &stolen]), Some(stolen.at));
    assert_eq!(began([&steered]), Some(steered.at));
}

#[test]
fn what_was_judged_of_networks_and_failures_outlasts_a_restore_that_finds_nothing() {
    for (detector, key) in [
        (DetectorId::CountryNew, "country_new#MX"),
        (DetectorId::NetworkNew, "network_new#334-020"),
        (DetectorId::AttachStorm, "attach_storm#2026-03-02"),
        (DetectorId::DownloadHeavy, "download_heavy#2026-03-02"),
    ] {
        let story = stories().into_iter().find(|story| story.detector == detector).unwrap();
        let once = restored(story.scene().at(Stage::Inactive), RESTORED);
        assert!(once.case.desired.0.judged.contains(key), "{:?}", once.case.desired.0.judged);
        let mut later = once.also(attached("08T09:00")).at(Stage::Inactive);
        later.incident().findings.clear();
        let twice = restored(later, "08T10:00");
        assert!(twice.case.desired.0.judged.contains(key), "{:?}", twice.case.desired.0.judged);
    }
}

#[test]
fn loading_is_one_matter_on_every_day() {
    let story = stories().into_iter().find(|story| story.detector == DetectorId::DownloadHeavy);
    let found = story.unwrap().scene();
    let rules = policy(&found.policy);
    let (_, found) = assess(&found.look(&rules, None), Some(fleet()));
    let found = &found["download_heavy#2026-03-02"];
    assert!(found.is_about("download_heavy#2026-02-20"));
    assert!(!found.is_about("attach_storm#2026-03-02") && !found.is_about("download_heavy"));
}
