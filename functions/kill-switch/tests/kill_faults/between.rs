//! Between any two calls of a sweep a human does something: the sweep decides nothing on what was
//! before.

use serde_json::json;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::SimStatus;
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{Bench, name};
use crate::gate::{Gate, Trap};

/// A SIM that a human restored, of which nobody was told yet.
async fn restored_untold() -> Bench {
    let bench = Bench::new(1).await;
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "done");
    bench.minutes(2).await;
    bench.topic.fail(Method::Publish, Fault::Unreachable, 1);
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    assert_eq!(bench.told(1), ["deactivated"]);
    bench
}

#[tokio::test]
async fn a_kill_between_any_two_calls_of_a_sweep_is_no_change_by_others() {
    for call in 0.. {
        let bench = restored_untold().await;
        bench.pass(60);
        let gate = Gate::new(Some(Trap::WaitsAfter(call)));
        let sweeper = bench.another(Mode::Enforce, gate.clone());
        let sweep = tokio::spawn(async move { sweeper.handle(json!({ "sweep": true })).await });
        while !sweep.is_finished() && gate.calls() <= call {
            tokio::task::yield_now().await;
        }
        if sweep.is_finished() {
            assert!(call > 10, "a sweep makes more calls than {call}");
            return;
        }
        gate.died().await;
        let (outcome, reason) = bench.act("deactivate", &name(1)).await;
        gate.open();
        sweep.await.unwrap().unwrap();
        assert_eq!(bench.status(1), SimStatus::Inactive, "{call}: {outcome} {reason}");
        bench.minutes(3).await;
        assert_eq!(bench.stage(1).await, "inactive", "{call}: {outcome} {reason}");
        let told = bench.told(1);
        assert!(!told.contains(&"restored_elsewhere".to_owned()), "{call}: {told:?}");
        bench.check_audit(1);
    }
}
