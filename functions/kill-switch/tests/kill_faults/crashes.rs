//! Every call of every port fails once, or is the last thing that a function does: the end is the
//! same.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simfuse_domain::guard::CapScope;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{Cases as _, SimStatus};

use crate::bench::{Bench, STRICT, TestSwitch, name, rejection, request, sim};
use crate::gate::{Gate, Trap};

pub(crate) const TRAPS: [fn(usize) -> Trap; 4] =
    [Trap::FailsBefore, Trap::FailsAfter, Trap::DiesBefore, Trap::DiesAfter];

/// Invokes the function; it may fail, or die on the way. Says whether it answered.
pub(crate) async fn invoke(switch: &TestSwitch, gate: &Gate, payload: Value) -> Option<Value> {
    tokio::select! {
        answer = switch.handle(payload) => answer.ok(),
        () = gate.died() => None,
    }
}

/// Asks until there is an answer: a human who hears nothing asks again, a little later.
pub(crate) async fn insist(bench: &Bench, switch: &TestSwitch, gate: &Gate, asked: Value) -> Value {
    loop {
        let answer = invoke(switch, gate, asked.clone()).await;
        let answer = answer.filter(|answer| answer["sims"][0]["outcome"] != "unreachable");
        if let Some(answer) = answer {
            return answer;
        }
        bench.pass(10);
    }
}

/// Sweeps every minute; the network refuses SIMs that are off.
pub(crate) async fn minutes(
    bench: &Bench,
    switch: &TestSwitch,
    gate: &Gate,
    count: usize,
    sims: u8,
) {
    for _minute in 0..count {
        bench.pass(60);
        for number in 1..=sims {
            if bench.status(number) == SimStatus::Inactive {
                bench.happen(sim(number), &[rejection(number, bench.now())]).await;
            }
        }
        invoke(switch, gate, json!({ "sweep": true })).await;
    }
}

async fn kills_counted(bench: &Bench) -> u32 {
    let (window, _) = bench.memory.read_kill_window(CapScope::Account).await.unwrap();
    window.kills(bench.now(), 60)
}

/// Alerts about a SIM without copies; copies are allowed where the trap leaves the outcome unknown.
fn told(bench: &Bench, number: u8) -> Vec<String> {
    let about = format!("{}-", sim(number));
    let alerts = bench.alerts.published();
    let mut seen = BTreeSet::new();
    let alerts = alerts.into_iter().filter(|alert| alert.id.starts_with(&about));
    alerts.filter(|alert| seen.insert(alert.id.clone())).map(|alert| alert.action).collect()
}

#[tokio::test(start_paused = true)]
async fn a_theft_ends_in_death_whichever_call_fails_or_is_the_last() {
    for trap in TRAPS {
        for call in 0.. {
            let policy = STRICT.replace("[guards]", "[guards]\nprotected = [\"pump-2\"]");
            let bench = Bench::with(2, &policy, Mode::Enforce).await;
            bench.steal(1).await;
            bench.steal(2).await;
            let trap = trap(call);
            let gate = Gate::new(Some(trap));
            let switch = bench.another(Mode::Enforce, gate.clone());
            invoke(&switch, &gate, bench.stream()).await;
            minutes(&bench, &switch, &gate, 12, 2).await;

            assert_eq!(bench.status(1), SimStatus::Inactive, "{trap:?}");
            let past = bench.memory.past_incidents(sim(1));
            assert_eq!(bench.stage(1).await, "none", "{trap:?}");
            assert_eq!(past.len(), 1, "{trap:?}: one incident");
            assert_eq!(past[0].stage.to_string(), "proven", "{trap:?}");
            assert_eq!(told(&bench, 1), ["deactivated", "proven"], "{trap:?}");
            assert_eq!(told(&bench, 2), ["held"], "{trap:?}");
            assert_eq!(bench.asked(2).len(), 0, "{trap:?}: protected");
            assert!((1..=2).contains(&bench.asked(1).len()), "{trap:?}: {:?}", bench.asked(1));
            assert_eq!(kills_counted(&bench).await, 1, "{trap:?}: one admission");
            bench.check_audit(1);
            if gate.calls() <= call {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cap_holds_whichever_call_fails_or_is_the_last() {
    for trap in TRAPS {
        for call in 0..140 {
            let bench = Bench::new(7).await;
            for number in 1..=7 {
                bench.steal(number).await;
            }
            let trap = trap(call);
            let gate = Gate::new(Some(trap));
            let switch = bench.another(Mode::Enforce, gate.clone());
            invoke(&switch, &gate, bench.stream()).await;
            minutes(&bench, &switch, &gate, 5, 0).await;
            let off = (1..=7).filter(|number| bench.status(*number) == SimStatus::Inactive);
            assert_eq!(off.count(), 5, "{trap:?}");
            assert_eq!(kills_counted(&bench).await, 5, "{trap:?}");
            let ids: BTreeSet<String> =
                bench.held_pages().into_iter().map(|page| page.id).collect();
            assert_eq!(ids.len(), 1, "{trap:?}: a human is paged");
            if gate.calls() <= call {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_human_restores_whichever_call_fails_or_is_the_last() {
    for trap in TRAPS {
        for call in 0.. {
            let bench = Bench::new(1).await;
            bench.steal_and_tell([1]).await;
            bench.minutes(2).await;
            let trap = trap(call);
            let gate = Gate::new(Some(trap));
            let switch = bench.another(Mode::Enforce, gate.clone());
            insist(&bench, &switch, &gate, request("restore", &[&name(1)])).await;
            minutes(&bench, &switch, &gate, 25, 0).await;
            assert_eq!(bench.status(1), SimStatus::Active, "{trap:?}");
            assert_eq!(bench.stage(1).await, "none", "{trap:?}");
            assert_eq!(told(&bench, 1), ["deactivated", "restored"], "{trap:?}");
            bench.check_audit(1);
            if gate.calls() <= call {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_human_kills_whichever_call_fails_or_is_the_last() {
    for trap in TRAPS {
        for call in 0.. {
            let bench = Bench::with(1, STRICT, Mode::Observe).await;
            let trap = trap(call);
            let gate = Gate::new(Some(trap));
            let switch = bench.another(Mode::Observe, gate.clone());
            insist(&bench, &switch, &gate, request("deactivate", &[&name(1)])).await;
            minutes(&bench, &switch, &gate, 12, 1).await;
            assert_eq!(bench.status(1), SimStatus::Inactive, "{trap:?}");
            assert_eq!(bench.stage(1).await, "none", "{trap:?}");
            assert_eq!(told(&bench, 1), ["deactivated", "proven"], "{trap:?}");
            assert_eq!(kills_counted(&bench).await, 0, "{trap:?}");
            bench.check_audit(1);
            if gate.calls() <= call {
                break;
            }
        }
    }
}
