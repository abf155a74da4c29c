//! What was done can be read, and its chains hold whatever happens.

use jiff::Timestamp;
use serde_json::{Value, json};
use simfuse_domain::audit::{ChainName, HeadsRun, Verifier};
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{AuditTrail as _, HeadsLog as _};
use simfuse_kill_switch::audit::AuditAnswer;
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{Bench, at, fleet, name, request, sim};
use crate::gate::{Gate, Trap};

/// All pages of a request.
async fn read(bench: &Bench, mut request: Value) -> Vec<AuditAnswer> {
    request["action"] = json!("audit");
    let mut pages = Vec::new();
    loop {
        let answer = bench.ask(request.clone()).await;
        assert_eq!(answer["error"], Value::Null, "{answer}");
        let page: AuditAnswer = serde_json::from_value(answer["audit"].clone()).unwrap();
        request["cursor"] = json!(page.next);
        let is_last = page.next.is_none();
        pages.push(page);
        if is_last {
            return pages;
        }
    }
}

/// What was done, by all pages, the SIM's number beside it.
fn done(pages: &[AuditAnswer]) -> Vec<(u8, String)> {
    let entries = pages.iter().flat_map(|page| &page.entries).map(|record| &record.entry);
    let number =
        |entry: &simfuse_domain::audit::AuditEntry| entry.sim.map_or(0, |sim| sim.as_bytes()[0]);
    entries.map(|entry| (number(entry), entry.action.clone())).collect()
}

/// Two stolen SIMs, one of them restored, and the switch set.
async fn story() -> Bench {
    let bench = Bench::new(3).await;
    bench.steal_and_tell([1, 2]).await;
    bench.pass(3_600);
    assert_eq!(bench.act("restore", &name(2)).await.0, "done");
    bench.ask(json!({ "action": "stop", "requested_by": "ops", "reason": "lunch" })).await;
    bench.pass(60);
    bench
}

#[tokio::test]
async fn what_was_done_is_read_by_time_sim_and_fleet() {
    let bench = story().await;
    let all = done(&read(&bench, json!({})).await);
    let of = |number: u8| -> Vec<String> {
        all.iter().filter(|(of, _)| *of == number).map(|(_, what)| what.clone()).collect()
    };
    assert_eq!(of(1), ["deactivate", "deactivate"]);
    assert_eq!(of(2), ["deactivate", "deactivate", "restore", "restore"]);
    assert_eq!(of(0), ["stop"]);
    for size in [1, 2, 100] {
        let paged = read(&bench, json!({ "page_size": size })).await;
        assert_eq!(done(&paged), all, "pages of {size}");
        let one = read(&bench, json!({ "page_size": size, "sims": [name(2), sim(1)] })).await;
        let numbers: Vec<u8> = done(&one).into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [2, 2, 2, 2, 1, 1], "SIM by SIM, by name or SID");
    }
    let late = read(&bench, json!({ "since": at(60) })).await;
    assert_eq!(done(&late).len(), 3);
    let early = read(&bench, json!({ "since": at(0), "until": at(60) })).await;
    assert_eq!(done(&early).len(), 4);
    let river = read(&bench, json!({ "fleet": "river" })).await;
    assert_eq!((done(&river).len(), river[0].fleet, river[0].fleet_unknown), (6, Some(fleet()), 1));
    let other = read(&bench, json!({ "fleet": "HF00000000000000000000000000000001" })).await;
    assert!(done(&other).is_empty());
    let account = read(&bench, json!({ "account_only": true })).await;
    assert_eq!(done(&account), [(0, "stop".to_owned())]);
    assert_eq!(account[0].entries[0].entry.reason, "lunch");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_words() {
    let bench = story().await;
    let refused = [
        (json!({ "since": at(10), "until": at(10) }), "no time lies between"),
        (json!({ "sims": ["nobody"] }), "knows no nobody"),
        (json!({ "fleet": "nowhere" }), "knows no nowhere"),
        (json!({ "account_only": true, "sims": [name(1)] }), "account_only"),
        (json!({ "cursor": "elsewhere" }), "cursor"),
        (json!({ "sims": [name(1)], "cursor": "1 begin" }), "cursor"),
    ];
    for (mut request, words) in refused {
        request["action"] = json!("audit");
        let answer = bench.ask(request).await;
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(words), "{error}");
    }
    // One that the provider knows no more is found by its SID.
    let gone = read(&bench, json!({ "sims": ["HS00000000000000000000000000000001"] })).await;
    assert_eq!((gone[0].sims.len(), gone[0].entries.len()), (1, 0));
}

#[tokio::test]
async fn an_answer_is_enough_to_verify_a_chain() {
    let bench = story().await;
    let page = read(&bench, json!({ "sims": [name(2)], "since": Timestamp::UNIX_EPOCH })).await;
    let mut verifier = Verifier::new(ChainName::Sim(sim(2)));
    page[0].entries.iter().for_each(|record| verifier.take(record));
    let verified = verifier.finish(page[0].head, &[]);
    assert_eq!((verified.entries, verified.broken), (4, None));
    bench.memory.tamper(|records| records.retain(|record| record.entry.action != "stop"));
    let chain = bench.memory.verified(ChainName::Account);
    assert!(chain.broken.is_some(), "the head names what is gone: {chain:?}");
}

#[tokio::test]
async fn a_lost_head_delays_no_kill() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    bench.memory.lose_head(ChainName::Sim(sim(1)));
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    let chain = bench.memory.verified(ChainName::Sim(sim(1)));
    assert_eq!(chain.entries, 4);
    let broken = chain.broken.unwrap();
    assert_eq!(broken.to_string().split(" (").next(), Some("the chain begins anew"));
}

#[tokio::test]
async fn the_heads_of_a_day_are_recorded_once_it_is_over() {
    let bench = story().await;
    bench.sweep().await.unwrap();
    let day = "2026-03-01".parse().unwrap();
    let (run, _) = bench.memory.read_heads_run().await.unwrap();
    assert_eq!(run.unwrap(), HeadsRun::of(day), "the day before was empty");
    assert_eq!(bench.memory.day_heads(day).await.unwrap(), None);
    let until_midnight = at(10 * 3_600).duration_since(bench.now()).as_secs();
    bench.pass(until_midnight + 14 * 60);
    bench.sweep().await.unwrap();
    assert_eq!(bench.memory.day_heads(day).await.unwrap(), None, "entries may still come");
    bench.pass(60);
    bench.sweep().await.unwrap();
    let recorded = bench.memory.day_heads(day).await.unwrap().unwrap();
    assert_eq!(recorded.pages, 1);
    let heads = bench.memory.heads_page(day, 1).await.unwrap().unwrap();
    assert_eq!(heads.len(), 3, "of two SIMs and the account");
    for head in &heads {
        assert!(bench.memory.verified(head.chain).broken.is_none());
    }
    let answer = read(&bench, json!({ "heads_of": "2026-03-01" })).await;
    let answer = answer[0].heads.as_ref().unwrap();
    assert_eq!((answer.day, &answer.heads), (Some(recorded), &heads));
    bench.sweep().await.unwrap();
    assert_eq!(bench.memory.day_heads(day).await.unwrap(), Some(recorded));
}

/// Whichever call of the sweep that records them fails or is the last.
#[tokio::test]
async fn the_heads_of_a_day_are_the_same_whichever_call_fails() {
    let day = "2026-03-01".parse().unwrap();
    let mut undisturbed = None;
    for trap in [Trap::FailsBefore, Trap::FailsAfter, Trap::DiesBefore, Trap::DiesAfter] {
        for call in 0.. {
            let bench = story().await;
            bench.pass(86_400);
            let gate = Gate::new(Some(trap(call)));
            let switch = bench.another(Mode::Enforce, gate.clone());
            tokio::select! {
                swept = switch.handle(json!({ "sweep": true })) => drop(swept),
                () = gate.died() => {}
            }
            bench.sweep().await.unwrap();
            let recorded = bench.memory.day_heads(day).await.unwrap().unwrap();
            assert_eq!(*undisturbed.get_or_insert(recorded), recorded, "{:?}", trap(call));
            if gate.calls() <= call {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_record_that_fails_fails_no_sweep() {
    let bench = story().await;
    bench.pass(86_400);
    bench.table.fail(Method::AuditPage, Fault::Unreachable, 1);
    bench.sweep().await.unwrap();
    bench.table.fail(Method::WriteHeadsRun, Fault::LostAnswer, 1);
    bench.sweep().await.unwrap();
    bench.sweep().await.unwrap();
    let day = "2026-03-01".parse().unwrap();
    assert!(bench.memory.day_heads(day).await.unwrap().is_some());
    let answer = bench.ask(request("status", &[&name(1)])).await;
    assert_eq!(answer["sims"][0]["outcome"], "done");
}
