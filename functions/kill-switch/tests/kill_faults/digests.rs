//! One digest a day, whichever call fails or is the last.

use std::collections::BTreeSet;

use serde_json::json;
use simfuse_domain::alert::Alert;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::money::{Bill, Money};
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{FleetUsed, UsageItem, UsageStore as _, UsageWindow};
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{Bench, at, fleet, name, rejection, sim};
use crate::crashes::{TRAPS, invoke};
use crate::gate::Gate;

fn digests(bench: &Bench) -> Vec<Alert> {
    let alerts = bench.alerts.published();
    alerts.into_iter().filter(|alert| alert.id.starts_with("digest-")).collect()
}

/// A SIM is stolen and proven dead, another held; until a quarter past midnight.
async fn day() -> Bench {
    let bench = Bench::new(2).await;
    // The record of heads begins with the day before, of which there is no digest.
    bench.sweep().await.unwrap();
    bench.steal_and_tell([1]).await;
    bench.ask(json!({ "action": "stop", "requested_by": "ops", "reason": "lunch" })).await;
    bench.steal_and_tell([2]).await;
    bench.minutes(1).await;
    bench.happen(sim(1), &[rejection(1, bench.now())]).await;
    bench.minutes(5).await;
    assert_eq!(digests(&bench), []);
    let (window, total) = (UsageWindow::Day("2026-02-28T00Z".parse().unwrap()), Bytes(5_000_000));
    let billed = Money { micros: 500_000, currency: "EUR".parse().unwrap() };
    let bill = Bill::of(total, Some(billed));
    let used = FleetUsed { sims: 2, total, bill, closed: true, rank_pages: 0 };
    let items = [UsageItem::Fleet(fleet(), window, used)];
    bench.memory.put_usage(&items, bench.now()).await.unwrap();
    let until = at(10 * 3_600 + 16 * 60).duration_since(bench.now()).as_secs();
    bench.pass(until);
    bench
}

#[tokio::test]
async fn a_day_is_told_once_with_what_happened_and_what_is_open() {
    let bench = day().await;
    bench.minutes(30).await;
    let digests = digests(&bench);
    let [digest] = digests.as_slice() else { panic!("{digests:?}") };
    assert_eq!(digest.id, "digest-2026-03-01");
    assert_eq!((digest.sms.as_ref(), digest.action.as_str()), (None, "digest"));
    let head = "2026-03-01: 2 opened, 1 held, 1 deactivated, 1 proven dead\n";
    assert!(digest.email.starts_with(head), "{}", digest.email);
    let open = format!("- {} held (stopped by an operator) since ", name(2));
    assert!(digest.email.contains(&open), "{}", digest.email);
    let used = format!("\nUsed       2026-02-28: fleet {} 5.0 MB, billed 0.50 EUR\n", fleet());
    assert!(digest.email.contains(&used), "{}", digest.email);
    assert!(digest.email.contains("\nSTOPPED    by ops: lunch\n"), "{}", digest.email);
    assert!(digest.email.contains("\nRecord     audit of 2026-03-01: "), "{}", digest.email);
}

#[tokio::test]
async fn the_next_day_has_its_own_though_nothing_happened() {
    let bench = day().await;
    bench.minutes(2).await;
    bench.pass(86_400);
    bench.minutes(2).await;
    let digests = digests(&bench);
    assert_eq!(digests.len(), 2);
    assert!(digests[1].email.starts_with("2026-03-02: "), "{}", digests[1].email);
    assert!(digests[1].email.contains("\n30 days    2 incidents, 0 false alarms, 0 %"));
}

#[tokio::test(start_paused = true)]
async fn whichever_call_fails_or_is_the_last_a_day_is_told_under_one_id() {
    for trap in TRAPS {
        for call in 0.. {
            let bench = day().await;
            let gate = Gate::new(Some(trap(call)));
            let switch = bench.another(Mode::Enforce, gate.clone());
            invoke(&switch, &gate, json!({ "sweep": true })).await;
            bench.minutes(3).await;
            let digests = digests(&bench);
            assert!((1..=2).contains(&digests.len()), "{:?}: {digests:?}", trap(call));
            let ids: BTreeSet<&str> = digests.iter().map(|digest| digest.id.as_str()).collect();
            assert_eq!(ids, BTreeSet::from(["digest-2026-03-01"]), "{:?}", trap(call));
            let head = "2026-03-01: 2 opened, 1 held, 1 deactivated, 1 proven dead\n";
            assert!(digests.iter().all(|digest| digest.email.starts_with(head)));
            if gate.calls() <= call {
                assert_eq!(digests.len(), 1, "without a fault once");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_digest_that_is_out_is_not_told_again_though_that_cannot_be_recorded() {
    let bench = day().await;
    // The first records that an alert went out at all, the second which.
    bench.table.fail(Method::RecordPaged, Fault::Unreachable, 2);
    bench.minutes(5).await;
    assert_eq!(digests(&bench).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_fails_for_a_day_does_not_stop_the_record() {
    let bench = day().await;
    bench.topic.fail(Method::Publish, Fault::Unreachable, 10_000);
    bench.minutes(3).await;
    bench.pass(86_400);
    bench.minutes(3).await;
    let (run, _) = simfuse_domain::port::HeadsLog::read_heads_run(&bench.memory).await.unwrap();
    assert_eq!(run.unwrap().so_far.day.to_string(), "2026-03-02", "given up, and gone on");
}
