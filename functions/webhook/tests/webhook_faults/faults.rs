//! With every fault of the table: what is acknowledged is stored, and what is sent again until it is
//! acknowledged leaves the table as if nothing had gone wrong.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use simfuse_domain::policy::Policy;
use simfuse_domain::state::SCHEMA;
use simfuse_supersim::Provider;
use simfuse_testkit::faulty::{Fault, Method};
use simfuse_testkit::memory::MemoryTable;

use crate::bench::{
    BOTH, Bench, Held, POLICY, SECRET, URL, body, handler_on, held, moved, signed, sim, update,
};
use crate::gate::{Gate, Hang};

const SIMS: u8 = 5;

/// Bodies with several SIMs, a duplicate, a bad event and one from the future.
fn bodies(provider: Provider) -> Vec<Vec<u8>> {
    let mut bad = update(provider, 0, 0);
    bad["data"]["imei"] = json!([]);
    let of = |report: i64| -> Vec<Value> {
        (0..SIMS).map(|number| update(provider, number, report)).collect()
    };
    let mut second = of(2);
    second.extend(of(1));
    second.push(bad);
    let third = vec![
        update(provider, 1, 4),
        moved(update(provider, 1, 9), "2031-01-01T00:00:00Z"),
        update(provider, 1, 3),
        update(provider, 1, 0),
    ];
    vec![body(&of(0)), body(&second), body(&third), b"[".to_vec()]
}

/// Posts until it is acknowledged, as a sender does; says how often.
async fn deliver(bench: &Bench, raw: &[u8]) -> usize {
    for attempt in 1..=200 {
        let answer = bench.post(raw).await;
        if answer.status == 200 {
            return attempt;
        }
        assert_eq!(answer.status, 503, "a fault of our own is no one else's");
        assert_eq!(answer.tally, None);
        bench.pass(31);
    }
    panic!("never acknowledged");
}

/// What the table holds after each body when nothing goes wrong.
async fn without_faults(provider: Provider) -> Vec<Held> {
    let bench = Bench::new(provider).await;
    let mut all = Vec::new();
    for raw in bodies(provider) {
        assert_eq!(deliver(&bench, &raw).await, 1);
        all.push(held(&bench.memory, SIMS).await);
        bench.pass(31);
    }
    all
}

async fn with_faults(provider: Provider, script: &[(Method, usize, Fault, usize)]) -> Vec<Held> {
    let bench = Bench::new(provider).await;
    for (method, passes, fault, times) in script {
        bench.table.pass(*method, *passes);
        bench.table.fail(*method, *fault, *times);
    }
    let mut all = Vec::new();
    for raw in bodies(provider) {
        deliver(&bench, &raw).await;
        all.push(held(&bench.memory, SIMS).await);
        bench.pass(31);
    }
    all
}

const METHODS: [Method; 6] = [
    Method::ReadStates,
    Method::WriteState,
    Method::InsertFinding,
    Method::Beat,
    Method::PutDeadLetter,
    Method::CurrentPolicy,
];

const FAULTS: [Fault; 5] =
    [Fault::Throttled, Fault::Unreachable, Fault::LostAnswer, Fault::Conflict, Fault::Stale];

#[tokio::test(start_paused = true)]
async fn each_fault_of_each_call_is_mended_by_sending_again() {
    for provider in BOTH {
        let expected = without_faults(provider).await;
        for method in METHODS {
            for fault in FAULTS {
                for passes in 0..8 {
                    for times in [1, 3, 7] {
                        let script = [(method, passes, fault, times)];
                        let all = with_faults(provider, &script).await;
                        assert_eq!(all, expected, "{provider} {script:?}");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// After each acknowledgement the table holds what it would hold without faults, so no event is
    /// acknowledged and lost.
    #[test]
    fn whatever_goes_wrong_no_event_is_acknowledged_and_lost(
        kore: bool,
        script in prop::collection::vec(
            (
                prop::sample::select(&METHODS[..]),
                0..6_usize,
                prop::sample::select(&FAULTS[..]),
                1..6_usize,
            ),
            0..24,
        ),
    ) {
        let provider = BOTH[usize::from(kore)];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let (all, expected) = runtime.block_on(async {
            (with_faults(provider, &script).await, without_faults(provider).await)
        });
        prop_assert_eq!(all, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_five_times_and_then_left_to_the_sender() {
    let bench = Bench::new(Provider::Kore).await;
    let raw = body(&[update(Provider::Kore, 1, 0)]);
    bench.table.fail(Method::WriteState, Fault::Conflict, 4);
    assert_eq!(bench.post(&raw).await.status, 200);
    assert_eq!(bench.table.calls(Method::WriteState), 5);
    let raw = body(&[update(Provider::Kore, 1, 1)]);
    bench.table.fail(Method::WriteState, Fault::Conflict, 5);
    assert_eq!(bench.post(&raw).await.status, 503);
    assert_eq!(bench.post(&raw).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn findings_that_exist_already_do_not_hold_up_the_state() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        let raw = body(&[update(provider, 1, 0)]);
        assert_eq!(bench.post(&raw).await.status, 200);
        let findings = bench.memory.findings(sim(1));
        assert!(!findings.is_empty());
        // The same findings in a table that has lost the SIM's state.
        let other = Bench::new(provider).await;
        for finding in &findings {
            use simfuse_domain::port::States as _;
            other.memory.insert_finding(sim(1), finding, crate::bench::at(0)).await.unwrap();
        }
        assert_eq!(other.post(&raw).await.status, 200);
        assert_eq!(held(&other.memory, 2).await, held(&bench.memory, 2).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_of_a_newer_version_is_never_overwritten() {
    let bench = Bench::new(Provider::Twilio).await;
    assert_eq!(bench.post(&body(&[update(Provider::Twilio, 1, 0)])).await.status, 200);
    bench.memory.set_schema(sim(1), SCHEMA + 1);
    let raw = body(&[update(Provider::Twilio, 1, 1)]);
    for _sent in 0..3 {
        assert_eq!(bench.post(&raw).await.status, 503);
    }
    bench.memory.set_schema(sim(1), SCHEMA);
    assert_eq!(bench.stored(1).await.unwrap().version, 1);
    assert_eq!(bench.post(&raw).await.status, 200, "the new version is back");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_cannot_be_read_is_not_replaced_by_another() {
    let bench = Bench::new(Provider::Twilio).await;
    bench.table.fail(Method::CurrentPolicy, Fault::Unreachable, 2);
    let raw = body(&[update(Provider::Twilio, 1, 0)]);
    assert_eq!(bench.post(&raw).await.status, 503);
    assert!(bench.handler.warm().await.is_err());
    assert_eq!(held(&bench.memory, 2).await, (vec![None, None], [].into()));
    assert_eq!(bench.post(&raw).await.status, 200);
    bench.pass(30);
    bench.table.fail(Method::CurrentPolicy, Fault::Unreachable, 1);
    let raw = body(&[update(Provider::Twilio, 1, 1)]);
    assert_eq!(bench.post(&raw).await.status, 503, "an old one may be wrong by now");
    assert_eq!(bench.post(&raw).await.status, 200);
}

/// The sender hears of it before it gives up; whatever was under way then may be repeated.
#[tokio::test(start_paused = true)]
async fn a_table_that_never_answers_costs_a_503_in_time_and_nothing_else() {
    for provider in BOTH {
        let expected = without_faults(provider).await;
        for hang in (0..40).flat_map(|n| [Hang::Before(n), Hang::After(n)]) {
            let memory = MemoryTable::new();
            memory.apply_policy(&POLICY.parse::<Policy>().unwrap()).await.unwrap();
            let gate = Gate::new(memory.clone()).hanging(hang);
            let handler = handler_on(gate.clone(), provider);
            let mut refused = 0;
            for (raw, expected) in bodies(provider).iter().zip(&expected) {
                loop {
                    let began = tokio::time::Instant::now();
                    let request = signed(provider, SECRET, URL, raw);
                    let status = handler.handle(request).await.status_code;
                    assert!(began.elapsed() < Duration::from_secs(5), "Twilio gives up");
                    if status == 200 {
                        break;
                    }
                    assert_eq!(status, 503);
                    refused += 1;
                    assert!(refused < 2, "it hangs once");
                }
                assert_eq!(held(&memory, SIMS).await, *expected, "{hang:?}");
            }
            assert_eq!(refused, usize::from(gate.calls() > number(hang)), "{hang:?}");
        }
    }
}

const fn number(hang: Hang) -> usize {
    match hang {
        Hang::Before(number) | Hang::After(number) => number,
    }
}
