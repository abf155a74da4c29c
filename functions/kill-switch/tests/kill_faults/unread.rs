//! A newer version wrote what is known of a SIM: a human may act all the same, nothing that was begun
//! is given up, and what was found waits for a version that can read it.

use simfuse_domain::port::{Cases as _, SimStatus};
use simfuse_domain::state::SCHEMA;
use simfuse_testkit::service::{Fault, FaultRule, Requests};

use crate::bench::{Bench, name, session, sim};

const SENSOR: &str = "35378572000000";

/// Lets so many minutes pass; sweeps may fail, since an operator has to hear of it.
async fn minutes(bench: &Bench, count: usize) -> usize {
    let mut failed = 0;
    for _minute in 0..count {
        bench.pass(60);
        failed += usize::from(bench.sweep().await.is_err());
    }
    failed
}

#[tokio::test]
async fn a_human_acts_on_what_cannot_be_read() {
    let bench = Bench::new(1).await;
    bench.appears(1, SENSOR, 1_000).await;
    bench.memory.set_schema(sim(1), SCHEMA + 1);
    for (action, status) in [("deactivate", SimStatus::Inactive), ("restore", SimStatus::Active)] {
        let (outcome, reason) = bench.act(action, &name(1)).await;
        assert_eq!((outcome.as_str(), bench.status(1)), ("done", status), "{action}: {reason}");
        assert!(minutes(&bench, 2).await > 0, "the sweep says that something cannot be read");
    }
    let answer = bench.ask(crate::bench::request("status", &[&name(1)])).await;
    let trouble = answer["sims"][0]["details"]["trouble"].as_str().unwrap();
    assert!(trouble.starts_with("not all can be read: the state of "), "{trouble}");
}

#[tokio::test]
async fn what_was_found_waits_until_it_can_be_read() {
    let bench = Bench::new(1).await;
    bench.steal(1).await;
    bench.memory.set_schema(sim(1), SCHEMA + 1);
    bench.deliver().await;
    assert_eq!(minutes(&bench, 5).await, 5, "each sweep says so");
    assert_eq!(bench.status(1), SimStatus::Active);
    let later = bench.now();
    assert_eq!(bench.memory.unacknowledged(later, 10).await.unwrap(), [sim(1)]);
    bench.memory.set_schema(sim(1), SCHEMA);
    bench.minutes(2).await;
    assert_eq!(bench.status(1), SimStatus::Inactive);
}

#[tokio::test]
async fn a_kill_that_is_under_way_is_not_given_up_for_what_cannot_be_read() {
    for requests in [Requests::StatusUpdates, Requests::All] {
        let bench = Bench::new(1).await;
        let down = FaultRule::once(Fault::Status(503)).on(requests).times(1);
        bench.service.inject(down);
        bench.happen(sim(1), &[session(1, SENSOR, bench.now(), 8_000_000)]).await;
        assert!(bench.deliver().await);
        let stage = bench.stage(1).await;
        bench.memory.set_schema(sim(1), SCHEMA + 1);
        minutes(&bench, 15).await;
        assert_eq!((bench.status(1), bench.stage(1).await), (SimStatus::Active, stage));
        assert_eq!(bench.told(1), ["unreachable"], "a human hears of it");
        let trouble = bench.incident(1).await.unwrap().trouble.unwrap();
        assert!(trouble.starts_with("not ruled again: the state of "), "{trouble}");
        bench.memory.set_schema(sim(1), SCHEMA);
        bench.minutes(2).await;
        assert_eq!(bench.status(1), SimStatus::Inactive, "{requests:?}");
        assert_eq!(bench.told(1), ["unreachable", "deactivated"]);
    }
}
