//! Evidence of hours that are not closed: whoever acts on it looks again, and acts on what is known then.

use super::*;
use crate::detector::usage_spike::tests::{PAST_HOURS, beside_peers};
use crate::finding::Evidence;

const FOUND: &str = "usage_spike#2026-03-11T00Z/deactivate/open";

/// Six hours of theft that are closed, and two that are not.
fn scene() -> Scene {
    let streams = [used("11T06:00", "11T06:30", 300 * MB), used("11T07:00", "11T07:30", 300 * MB)];
    let (usage, cohort) = beside_peers(PAST_HOURS, &[300 * MB; 6]);
    Scene::of(&streams).when("11T07:31").with(|scene| {
        scene.policy = "mode = 'enforce'\n[usage_spike]\nact = 'deactivate'".to_owned();
        (scene.case.usage, scene.case.cohort) = (Some(usage), Some(cohort));
    })
}

/// What the webhook found.
fn stored(scene: &Scene) -> Finding {
    let (_, found) = assess(&scene.look(&policy(&scene.policy), None), Some(fleet()));
    found.get(FOUND).unwrap().clone()
}

#[track_caller]
fn check(scene: &Scene, verdict: Verdict, is_found: bool) {
    let (is, found) = assess(&scene.look(&policy(&scene.policy), None), Some(fleet()));
    assert_eq!((is, found.contains_key(FOUND)), (verdict, is_found), "{found:?}");
}

#[test]
fn it_cuts_as_long_as_it_is_so() {
    let found = stored(&scene());
    assert!(matches!(found.evidence, Evidence::Unusual { is_open: true, .. }));
    let scene = scene().with(|scene| {
        scene.case.findings = BTreeMap::from([(found.key(), found)]);
    });
    check(&scene, Verdict::Deactivate, true);
    scene.check(Says::Active, "deactivate by Policy, was requested");
}

#[test]
fn what_turned_out_to_be_less_cuts_no_more() {
    let found = stored(&scene());
    let kept = scene().with(|scene| {
        scene.case.findings = BTreeMap::from([(found.key(), found.clone())]);
    });
    // Two strikes beside it are told.
    let unread = kept.clone().with(|scene| scene.case.cohort = None);
    check(&unread, Verdict::Alert, false);
    let planned = kept.clone().with(|scene| {
        scene.policy = format!(
            "{}\n[[maintenance]]\nfrom = 2026-03-11T06:00:00Z\nto = 2026-03-11T08:00:00Z\n\
             bytes_max_mb = 600",
            scene.policy
        );
    });
    check(&planned, Verdict::Alert, false);
    // What closed hours show stands, whatever is known by now.
    let mut closed = Finding { about: "2026-03-11T00Z/deactivate".to_owned(), ..found };
    if let Evidence::Unusual { is_open, .. } = &mut closed.evidence {
        *is_open = false;
    }
    let stands = unread.with(|scene| {
        scene.case.findings.insert(closed.key(), closed);
    });
    check(&stands, Verdict::Deactivate, false);
}

#[test]
fn who_restored_the_sim_knew_of_it_and_so_did_who_judged_it() {
    let found = stored(&scene());
    let kept = scene().with(|scene| {
        scene.case.findings = BTreeMap::from([(found.key(), found)]);
    });
    let restored = kept.clone().with(|scene| {
        scene.case.desired.0.restored_at = Some(time("11T07:31"));
    });
    check(&restored, Verdict::Clear, false);
    let judged = kept.with(|scene| {
        scene.case.desired.0.judged.insert("usage_spike#2026-03-11T00Z/alert".to_owned());
    });
    check(&judged, Verdict::Alert, false);
}
