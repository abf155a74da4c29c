//! A panic costs what panicked, and nothing beside it.

use simfuse_domain::detector::{self, Detector};
use simfuse_domain::finding::{DetectorId, Evidence, Finding};
use simfuse_domain::policy::Policy;
use simfuse_supersim::Provider;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::memory::MemoryTable;
use simfuse_webhook::handler::Handler;
use simfuse_webhook::intake::{Intake, Receipt};

use crate::bench::{
    Answer, BOTH, POLICY, SECRET, TestHandler, TestSecrets, URL, at, body, handler_on, signed, sim,
    stored, update,
};
use crate::gate::Gate;

/// The day's detector fails on the first SIM only; the others are the real ones.
static ONE_FAILS: [Detector; 3] = [
    Detector {
        id: DetectorId::DayLimit,
        assess: |snapshot| {
            assert_ne!(snapshot.state.sim, sim(1), "a detector fails");
            Vec::new()
        },
    },
    detector::LIMITS[0],
    detector::ALL[0],
];

/// The same behind one that claims more than is looked at.
static ONE_FAILS_BESIDE_MANY: [Detector; 2] = [
    Detector {
        id: DetectorId::HourLimit,
        assess: |snapshot| {
            let claim = |number: u8| Finding {
                detector: DetectorId::HourLimit,
                about: number.to_string(),
                at: snapshot.state.now(),
                evidence: Evidence::Fault { what: "claimed".to_owned() },
            };
            (0..100).map(claim).collect()
        },
    },
    ONE_FAILS[0],
];

async fn table() -> MemoryTable {
    let table = MemoryTable::new();
    table.apply_policy(&POLICY.parse::<Policy>().unwrap()).await.unwrap();
    table
}

fn handler_with(
    table: &MemoryTable,
    provider: Provider,
    detectors: &'static [Detector],
) -> TestHandler<MemoryTable> {
    let intake = Intake::new(table.clone(), Receipt::Live).with_detectors(detectors);
    let (secrets, clock) = (TestSecrets::new(provider), ManualClock::new(at(0)));
    Handler::new(intake, secrets, clock, provider, None)
}

#[tokio::test(start_paused = true)]
async fn a_failing_detector_costs_only_its_own_findings() {
    for provider in BOTH {
        let table = table().await;
        let handler = handler_with(&table, provider, &ONE_FAILS);
        let raw = body(&[update(provider, 1, 0), update(provider, 2, 0)]);
        for _sent in 0..2 {
            let answer: Answer = handler.handle(signed(provider, SECRET, URL, &raw)).await.into();
            assert_eq!(answer.counts(), (200, [2, 0, 0, 0]), "its events stay");
            let found = |number| -> Vec<String> {
                table.findings(sim(number)).iter().map(|finding| finding.key()).collect()
            };
            assert_eq!(found(1), ["degraded#day_limit", "hour_limit#2026-03-01T12Z"], "{provider}");
            assert_eq!(found(2), ["hour_limit#2026-03-01T12Z"]);
        }
        let findings = table.findings(sim(1));
        let what = "the detector day_limit failed on this SIM".to_owned();
        assert_eq!(findings[0].evidence, Evidence::Fault { what });
        assert!(stored(&table, sim(1)).await.unwrap().found.contains("degraded#day_limit"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_detector_is_told_however_much_the_others_find() {
    let (table, provider) = (table().await, Provider::Twilio);
    let handler = handler_with(&table, provider, &ONE_FAILS_BESIDE_MANY);
    let raw = body(&[update(provider, 1, 0)]);
    let answer: Answer = handler.handle(signed(provider, SECRET, URL, &raw)).await.into();
    assert_eq!(answer.counts(), (200, [1, 0, 0, 0]));
    let found: Vec<String> = table.findings(sim(1)).iter().map(Finding::key).collect();
    assert!(found.len() < 100, "{} findings", found.len());
    assert!(found.contains(&"degraded#day_limit".to_owned()), "{found:?}");
}

/// No event makes the fold panic, by its lints and by the properties in `simfuse-domain`. The one
/// way in is its own assertion, in a debug build: a stored state that belongs to another SIM.
#[cfg(debug_assertions)]
#[tokio::test(start_paused = true)]
async fn a_fold_that_panics_costs_that_sims_events_and_a_human_is_told() {
    for provider in BOTH {
        let table = table().await;
        let handler = handler_on(Gate::new(table.clone()).mixing_up(sim(2)), provider);
        let events = [
            update(provider, 1, 0),
            update(provider, 2, 0),
            update(provider, 3, 0),
            update(provider, 2, 1),
        ];
        let raw = body(&events);
        for _sent in 0..2 {
            let answer: Answer = handler.handle(signed(provider, SECRET, URL, &raw)).await.into();
            assert_eq!(answer.counts(), (200, [2, 0, 2, 0]));
        }
        assert!(stored(&table, sim(1)).await.is_some() && stored(&table, sim(3)).await.is_some());
        assert_eq!(stored(&table, sim(2)).await, None);
        let mut letters: Vec<Vec<u8>> =
            table.dead_letters().into_iter().map(|letter| letter.bytes).collect();
        letters.sort();
        let mut expected: Vec<Vec<u8>> =
            [1, 3].map(|place| serde_json::to_vec(&events[place]).unwrap()).into();
        expected.sort();
        assert_eq!(letters, expected, "the events' own texts");
        let findings = table.findings(sim(2));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].key(), "degraded#fold");
        assert!(table.findings_stream().contains(&sim(2)), "the kill-switch will tell a human");
    }
}

#[test]
fn the_test_relies_on_the_hours_detector() {
    let ids = ONE_FAILS.map(|detector| detector.id);
    assert_eq!(ids[1..], [DetectorId::HourLimit, DetectorId::DeviceNotAllowed]);
    assert_ne!(Provider::Twilio, Provider::Kore);
}
