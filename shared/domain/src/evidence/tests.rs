//! Whole cohorts, hour by hour, as the aggregator closes them.

use crate::bytes::Bytes;
use crate::evidence::{COHORT_SCHEMA, Cohort, LOG_EVIDENCE_MAX, Sketch, Usual};
use crate::id::{FleetSid, SimSid};
use crate::time::Hour;
use crate::usage::{Baseline, Beside, SimUsage, Source};

fn fleet() -> FleetSid {
    FleetSid::from_bytes([2; 16])
}

/// A fleet whose hours are closed one after the other, all SIMs on one page.
struct Story {
    hour: Hour,
    cohort: Cohort,
    sims: Vec<SimUsage>,
}

impl Story {
    fn of(sims: u8) -> Self {
        let hour = "2026-03-01T00Z".parse().unwrap();
        let sims = (0..sims).map(|n| SimUsage::new(SimSid::from_bytes([n; 16]))).collect();
        Self { hour, cohort: Cohort::default(), sims }
    }

    /// A fleet that did what is usual for 14 days.
    fn learnt(sims: u8) -> Self {
        let mut story = Self::of(sims);
        story.hours(14 * 24, |_, _| None);
        story
    }

    /// Hours pass in which SIMs use what is usual, unless `of` says otherwise of a SIM and hour; 0
    /// is no record.
    fn hours(&mut self, hours: u32, of: impl Fn(usize, u32) -> Option<u64>) {
        for number in 0..hours {
            let mut sketch = Sketch::default();
            for (place, usage) in self.sims.iter_mut().enumerate() {
                let bytes = of(place, number).unwrap_or_else(|| usual_of(place, self.hour));
                if bytes == 0 {
                    continue;
                }
                let source = Source { fleet: Some(fleet()), page: 0 };
                let beside = Beside { cohort: Some(&self.cohort), is_suspended: false };
                usage.close_beside(self.hour, Bytes(bytes), source, beside);
                sketch.add(usage, self.hour);
            }
            self.cohort.merge(self.hour, &sketch);
            self.hour = self.hour.after();
        }
    }

    fn log_evidence(&self, place: usize) -> f64 {
        self.sims[place].standing().wallet().log_evidence()
    }
}

/// Some 50 kB, 20 % up and down, without any pattern.
#[expect(clippy::arithmetic_side_effects, reason = "small numbers")]
fn usual_of(place: usize, hour: Hour) -> u64 {
    let seconds = u64::try_from(hour.start().as_second()).unwrap();
    let mixed = (seconds / 3_600 * 1_000 + place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    40_000 + (mixed >> 40) % 20_000
}

#[test]
fn a_sim_that_streams_beside_quiet_peers_is_found_within_hours() {
    let mut story = Story::learnt(200);
    assert!((story.cohort.peers() - 200.0).abs() < 1e-6, "each SIM once");
    let before = (0..200).map(|place| story.log_evidence(place)).fold(0.0, f64::max);
    assert!(before < 9.0, "{before}");
    story.hours(10, |place, _| (place == 7).then_some(300_000_000));
    assert!(story.log_evidence(7) > 1e6_f64.ln(), "{}", story.log_evidence(7));
    let standing = story.sims[7].standing();
    assert_eq!(standing.since(), Some(story.hour.plus(-10)), "nothing was held against it before");
    assert!(standing.wallet().excess() > Bytes(2_600_000_000), "{:?}", standing.wallet());
    let others = (0..200).filter(|place| *place != 7).map(|place| story.log_evidence(place));
    assert!(others.fold(0.0, f64::max) < 9.0);
}

#[test]
fn an_update_of_the_whole_fleet_is_no_evidence_but_for_its_first_sims() {
    let mut story = Story::learnt(200);
    // Five SIMs at first, an hour later the others, over six hours.
    let updated = |place: usize, number: u32| {
        let at = if place < 5 { 0 } else { (place % 6).saturating_add(1) };
        (usize::try_from(number) == Ok(at)).then_some(40_000_000)
    };
    story.hours(8, updated);
    let worst = (0..200).map(|place| story.log_evidence(place)).fold(0.0, f64::max);
    assert!(worst < 6.0, "one strange hour is far from a million: {worst}");
    let late = (100..200).map(|place| story.log_evidence(place)).fold(0.0, f64::max);
    assert!(late < 3.5, "who comes late has peers: {late}");
}

#[test]
fn a_third_of_a_fleet_stolen_at_once_hides_each() {
    let mut story = Story::learnt(200);
    story.hours(24, |place, _| (place < 60).then_some(300_000_000));
    let worst = (0..60).map(|place| story.log_evidence(place)).fold(0.0, f64::max);
    assert!(worst < 1e6_f64.ln(), "their share of the cohort is what tells: {worst}");
}

#[test]
fn three_peers_never_make_evidence() {
    let mut story = Story::learnt(3);
    story.hours(72, |place, _| (place == 1).then_some(300_000_000));
    assert!(story.log_evidence(1) <= 0.0, "{}", story.log_evidence(1));
}

#[test]
fn a_slow_boil_is_learnt_as_long_as_it_is_no_evidence() {
    let mut story = Story::learnt(100);
    let grown = |number: u32| 1.03_f64.powf(f64::from(number) / 24.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    story.hours(24 * 24, |place, number| (place == 1).then_some((50_000.0 * grown(number)) as u64));
    assert!(story.log_evidence(1) < 1e6_f64.ln(), "3 % a day: the limits are for it");
}

#[test]
fn what_is_strange_is_not_learnt_and_a_human_may_say_that_it_is_usual() {
    let mut story = Story::learnt(200);
    let middle = story.sims[7].baseline().middle;
    story.hours(48, |place, _| (place == 7).then_some(5_000_000));
    let taught = story.sims[7].baseline().middle - middle;
    assert!(taught < 0.1, "it learns until there is evidence, and then no more: {taught}");
    assert!((story.log_evidence(7) - LOG_EVIDENCE_MAX).abs() < 1.0, "{}", story.log_evidence(7));
    story.sims[7].forgive();
    story.hours(24 * 7, |place, _| (place == 7).then_some(5_000_000));
    assert!(story.log_evidence(7) < 6.0, "{}", story.log_evidence(7));
}

#[test]
fn uploads_that_come_every_day_hide_no_leak_of_their_size() {
    let mut story = Story::of(200);
    // A third of the fleet uploads once a day, each SIM at its own hour.
    let uploads = |place: usize, number: u32| {
        let is_due = usize::try_from(number % 24) == Ok(place % 24);
        (place.is_multiple_of(3) && is_due).then_some(1_000_000)
    };
    story.hours(14 * 24, uploads);
    let leaks = |place, number| match place {
        7 => Some(500_000),
        place => uploads(place, number),
    };
    story.hours(24, leaks);
    assert!(story.log_evidence(7) > 1e8_f64.ln(), "{}", story.log_evidence(7));
    let others = (0..200).filter(|place| *place != 7).map(|place| story.log_evidence(place));
    assert!(others.fold(0.0, f64::max) < 9.0);
}

#[test]
fn a_theft_within_the_first_day_is_what_is_usual() {
    let mut story = Story::learnt(200);
    // A SIM without any past.
    story.sims[9] = SimUsage::new(story.sims[9].sim);
    story.hours(100, |place, _| (place == 9).then_some(300_000_000));
    assert!(story.log_evidence(9) <= 3.0, "{}", story.log_evidence(9));
}

#[test]
fn an_hour_is_judged_by_its_own_peers_however_late() {
    let mut story = Story::learnt(200);
    // All wake once a day from now on; in the first hour all are updated.
    let daily = |_: usize, number: u32| match number % 24 {
        0 if number == 0 => Some(40_000_000),
        0 => None,
        _ => Some(0),
    };
    story.hours(73, daily);
    let worst = (0..200).map(|place| story.log_evidence(place)).fold(0.0, f64::max);
    assert!(worst <= 6.0, "a day later the update is still known: {worst}");
}

#[test]
fn an_hour_of_which_the_cohort_says_nothing_speaks_neither_way() {
    let mut story = Story::learnt(200);
    story.hours(6, |place, _| (place == 7).then_some(300_000_000));
    let before = story.log_evidence(7);
    // The hour that waits is lost with the cohort.
    story.cohort = Cohort::default();
    story.hours(1, |_, _| None);
    assert!((story.log_evidence(7) - before).abs() < 1e-9);
}

#[test]
fn a_page_that_is_read_again_says_the_same() {
    let mut story = Story::learnt(50);
    let source = Source { fleet: Some(fleet()), page: 0 };
    let beside = Beside { cohort: Some(&story.cohort), is_suspended: false };
    let (mut first, mut again) = (Sketch::default(), Sketch::default());
    for usage in &mut story.sims {
        usage.close_beside(story.hour, Bytes(60_000), source, beside);
        first.add(usage, story.hour);
    }
    for usage in &mut story.sims {
        let before = usage.clone();
        usage.close_beside(story.hour, Bytes(60_000), source, beside);
        assert_eq!(*usage, before);
        again.add(usage, story.hour);
    }
    assert_eq!(first, again);
    let mut merged = story.cohort.clone();
    merged.merge(story.hour, &first);
    let once = merged.clone();
    merged.merge(story.hour, &again);
    assert_eq!(merged, once, "an hour is merged once");
    assert!((merged.peers() - 50.0).abs() < 1e-6);
}

#[test]
fn planned_work_is_neither_evidence_nor_usual() {
    let mut story = Story::learnt(100);
    let before = story.sims[3].clone();
    let source = Source { fleet: Some(fleet()), page: 0 };
    let beside = Beside { cohort: Some(&story.cohort), is_suspended: true };
    story.sims[3].close_beside(story.hour, Bytes(60_000_000), source, beside);
    assert_eq!(story.sims[3].baseline(), before.baseline());
    let mut sketch = Sketch::default();
    sketch.add(&story.sims[3], story.hour);
    assert!(sketch.is_empty());
    assert!(before.standing().wallet().log_evidence() >= story.log_evidence(3) - 9.0);
}

#[test]
fn a_short_past_is_as_wide_as_the_peers_and_as_high_as_the_sim() {
    let story = Story::learnt(100);
    let spread = story.cohort.spread().unwrap();
    assert!((0.08..0.2).contains(&spread), "{spread}");
    let past = Baseline { active_hours: 24, middle: 6.0, spread: 0.9 };
    let deviation = |past, spread| Usual::beside(&past, spread).unwrap().deviation(Bytes(900_000));
    // The mean of both squares, at 24 hours of each.
    let both = ((0.9_f64.powi(2) + 0.4_f64.powi(2)) / 2.0).sqrt();
    let expected = (Usual::level_of(Bytes(900_000)) - 6.0) / both;
    assert!((deviation(past, Some(0.4)) - expected).abs() < 1e-9);
    assert!((deviation(past, None) - (expected * both / 0.9)).abs() < 1e-9);
    assert_eq!(Usual::beside(&Baseline { active_hours: 23, ..past }, Some(0.4)), None);
}

#[test]
fn a_sim_that_changes_its_fleet_leaves_what_waits_behind() {
    let mut story = Story::learnt(200);
    story.hours(3, |place, _| (place == 7).then_some(300_000_000));
    let before = story.log_evidence(7);
    let source = Source { fleet: Some(FleetSid::from_bytes([3; 16])), page: 0 };
    let empty = Cohort::default();
    let beside = Beside { cohort: Some(&empty), is_suspended: false };
    story.sims[7].close_beside(story.hour, Bytes(300_000_000), source, beside);
    assert!((story.log_evidence(7) - before).abs() < 1e-9);
}

#[test]
fn a_cohort_without_days_or_middles_is_still_read() {
    let mut story = Story::learnt(60);
    story.cohort.forget_middles();
    assert_eq!(story.cohort.usual(), None);
    let stored = story.cohort.encode().unwrap();
    let second = stored.strip_suffix(Cohort::no_middles().unwrap().as_slice()).unwrap();
    assert_eq!(Cohort::decode(2, second).unwrap(), story.cohort);
    assert!(Cohort::decode(COHORT_SCHEMA, second).is_err());
    story.cohort.forget_days();
    let stored = story.cohort.encode().unwrap();
    let second = stored.strip_suffix(Cohort::no_middles().unwrap().as_slice()).unwrap();
    let first = second.strip_suffix(Cohort::no_days().unwrap().as_slice()).unwrap();
    assert_eq!(Cohort::decode(1, first).unwrap(), story.cohort);
    assert!(Cohort::decode(2, first).is_err());
    story.hours(1, |_, _| None);
    assert!(story.cohort.usual().is_some(), "with the next hour that is merged");
}

#[test]
fn a_sketch_without_days_or_middles_is_still_read() {
    // Of SIMs whose first day is taken up nothing is known, and no day is over.
    let mut story = Story::of(20);
    story.hours(23, |_, _| None);
    let source = Source { fleet: Some(fleet()), page: 0 };
    let beside = Beside { cohort: Some(&story.cohort), is_suspended: false };
    let mut sketch = Sketch::default();
    for usage in &mut story.sims {
        usage.close_beside(story.hour, Bytes(50_000), source, beside);
        sketch.add(usage, story.hour);
    }
    let stored = sketch.encode().unwrap();
    // What is empty is one byte.
    let no_middles = stored.strip_suffix(&[0]).unwrap();
    for stored in [&stored, no_middles, no_middles.strip_suffix(&[0]).unwrap()] {
        assert_eq!(Sketch::decode(stored).unwrap(), sketch);
    }
    let learnt = Story::learnt(60);
    let mut sketch = Sketch::default();
    learnt.sims.iter().for_each(|usage| sketch.add(usage, learnt.hour.before()));
    assert_eq!(Sketch::decode(&sketch.encode().unwrap()).unwrap(), sketch);
}

/// How far a window of video is from what a fleet says is usual.
fn strangeness(cohort: &Cohort) -> Option<f64> {
    cohort.usual().map(|usual| usual.deviation(Bytes(31_000_000)))
}

#[test]
fn a_fleet_of_fifty_says_what_is_usual_for_a_sim_of_which_nothing_is_known() {
    assert_eq!(Story::of(60).cohort.usual(), None);
    let mut story = Story::of(60);
    story.hours(24, |_, _| None);
    assert_eq!(story.cohort.usual(), None, "of none of them enough is known");
    story.hours(1, |_, _| None);
    assert!(strangeness(&story.cohort) > Some(20.0), "{:?}", story.cohort.usual());
    assert_eq!(Story::learnt(49).cohort.usual(), None);
    let usual = Story::learnt(50).cohort.usual().unwrap();
    assert!(usual.deviation(Bytes(40_000)) < 0.0 && usual.deviation(Bytes(100_000)) > 2.0);
}

#[test]
fn where_some_are_cameras_a_new_sim_may_be_one() {
    // Each of them is one of fifty, or as many as wake but once a day.
    let fleet = |cameras: usize, wakes: u32| {
        let mut story = Story::of(100);
        let is_awake = |number: u32| number.checked_rem(wakes) == Some(0);
        story.hours(40 * 24, |place, number| {
            (place < cameras).then(|| if is_awake(number) { 40_000_000 } else { 0 })
        });
        story
    };
    for wakes in [1, 24] {
        let some = strangeness(&fleet(6, wakes).cohort).unwrap();
        assert!(some < 3.0, "{some}");
        let one = strangeness(&fleet(1, wakes).cohort).unwrap();
        assert!(one > 20.0, "{one}");
    }
    let mut gone = fleet(6, 1);
    gone.hours(10 * 24, |place, _| (place < 6).then_some(0));
    let without = strangeness(&gone.cohort).unwrap();
    assert!(without > 20.0, "what was usual is forgotten: {without}");
}

#[test]
fn a_fleet_that_wakes_once_a_day_is_known_at_any_hour() {
    let mut story = Story::of(60);
    let daily = |_: usize, number: u32| (!number.is_multiple_of(24)).then_some(0);
    story.hours(30 * 24 + 20, daily);
    assert!(story.cohort.peers() < 1.0);
    assert!(strangeness(&story.cohort) > Some(20.0));
}

#[test]
fn pages_together_say_what_is_usual() {
    let story = Story::learnt(60);
    let (mut whole, mut joined) = (Sketch::default(), Sketch::default());
    for (place, usage) in story.sims.iter().enumerate() {
        whole.add(usage, story.hour.before());
        let mut page = Sketch::default();
        page.add(usage, story.hour.before());
        joined.join(&page);
        assert_eq!(joined, whole, "{place}");
    }
    let mut cohort = Cohort::default();
    cohort.merge(story.hour, &joined);
    assert!(cohort.usual().is_some());
}

#[test]
fn days_are_judged_a_day_later_and_those_of_late_sims_are_on_record() {
    let mut story = Story::learnt(200);
    story.hours(24 * 3, |_, _| None);
    // A day of ten times the usual, and one of a SIM that is silent for three days after it.
    story.hours(24, |place, _| (place < 2).then_some(500_000));
    let evidence =
        |story: &Story, place: usize| story.sims[place].days().ledger().wallet().log_evidence();
    let before = [evidence(&story, 0), evidence(&story, 1)];
    story.hours(24, |place, _| (place == 1).then_some(0));
    assert_eq!(
        [evidence(&story, 0), evidence(&story, 1)].map(f64::to_bits),
        before.map(f64::to_bits)
    );
    story.hours(1, |place, _| (place == 1).then_some(0));
    assert!(evidence(&story, 0) > 1.3, "{}", evidence(&story, 0));
    story.hours(47, |place, _| (place == 1).then_some(0));
    story.hours(25, |_, _| None);
    assert!(evidence(&story, 1) > 1.3, "late, and beside its own day: {}", evidence(&story, 1));
}

#[test]
fn what_is_stored_is_small() {
    let mut story = Story::learnt(200);
    story.hours(30, |place, number| (usize::try_from(number) == Ok(place)).then_some(5_000_000));
    let bytes = story.sims.iter().map(|usage| usage.encode().unwrap().len()).max().unwrap();
    assert!(bytes < 700, "{bytes}");
    // A page holds 249 SIMs, six kilobytes without it.
    let mut sketch = Sketch::default();
    story.sims.iter().for_each(|usage| sketch.add(usage, story.hour.before()));
    assert!(sketch.encode().unwrap().len() < 1_000, "{}", sketch.encode().unwrap().len());
    let cohort = story.cohort.encode().unwrap();
    assert!(cohort.len() < 16_000, "{}", cohort.len());
    assert_eq!(Cohort::decode(COHORT_SCHEMA, &cohort).unwrap(), story.cohort);
}
