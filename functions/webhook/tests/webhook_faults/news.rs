//! News: left for the kill-switch once, for those who asked, and never in the way of an event.

use serde_json::Value;
use simfuse_domain::news::NewsKind;
use simfuse_domain::policy::Policy;
use simfuse_domain::port::States as _;
use simfuse_supersim::Provider;
use simfuse_testkit::faulty::{Fault, Method};
use simfuse_testkit::memory::MemoryTable;

use crate::bench::{BOTH, Bench, SECRET, URL, body, handler_on, moved, signed, sim, update};
use crate::gate::{Gate, Hang};

/// Usage of one SIM is under watch, and nothing of any other.
fn watch(number: u8) -> Policy {
    let text = format!("version = 1\n[sim.{}.notify]\nevents = [\"usage\"]\n", sim(number));
    text.parse().unwrap()
}

async fn bench(provider: Provider) -> Bench {
    let bench = Bench::new(provider).await;
    bench.memory.apply_policy(&watch(1)).await.unwrap();
    bench
}

/// A report that came to its end this many minutes before the start of the tests.
fn recent(provider: Provider, number: u8, minutes: i64) -> Value {
    update(provider, number, (60 - minutes) / 6)
}

#[tokio::test]
async fn news_are_left_for_the_sim_under_watch_and_for_no_other() {
    for provider in BOTH {
        let bench = bench(provider).await;
        let raw = body(&[recent(provider, 1, 6), recent(provider, 2, 6)]);
        assert_eq!(bench.post(&raw).await.counts(), (200, [2, 0, 0, 0]));
        let news = bench.memory.news_stream();
        let left: Vec<_> = news.iter().map(|news| (news.sim, news.kind)).collect();
        assert_eq!(left, [(sim(1), NewsKind::Usage)], "online is not watched");
        assert_eq!(news[0].used.unwrap().0, 10_000);
    }
}

#[tokio::test]
async fn the_same_event_again_makes_no_second_news() {
    for provider in BOTH {
        let bench = bench(provider).await;
        let raw = body(&[recent(provider, 1, 6)]);
        bench.post(&raw).await;
        assert_eq!(bench.memory.news_stream().len(), 1);
        bench.post(&raw).await;
        // The state is lost, and the event comes again: the item is there already.
        let handler = handler_on(bench.memory.clone(), provider);
        handler.handle(signed(provider, SECRET, URL, &raw)).await;
        assert!(bench.memory.news_stream().is_empty());
    }
}

#[tokio::test]
async fn of_one_body_the_latest_news_counts_the_others() {
    for provider in BOTH {
        let bench = bench(provider).await;
        let raw = body(&[18, 12, 6].map(|minutes| recent(provider, 1, minutes)));
        bench.post(&raw).await;
        let news = bench.memory.news_stream();
        assert_eq!((news.len(), news[0].more), (1, 2));
    }
}

#[tokio::test]
async fn what_is_older_than_an_hour_is_history() {
    for provider in BOTH {
        let bench = bench(provider).await;
        let old = moved(recent(provider, 1, 6), "2026-03-01T12:59:59Z");
        assert_eq!(bench.post(&body(&[old])).await.counts().1[0], 1);
        assert!(bench.memory.news_stream().is_empty());
        let young = moved(recent(provider, 1, 0), "2026-03-01T13:00:00Z");
        bench.post(&body(&[young])).await;
        assert_eq!(bench.memory.news_stream().len(), 1);
    }
}

#[tokio::test]
async fn news_that_cannot_be_left_cost_no_event() {
    for provider in BOTH {
        for fault in [Fault::Throttled, Fault::Unreachable, Fault::LostAnswer] {
            let bench = bench(provider).await;
            bench.table.fail(Method::InsertNews, fault, 10);
            let raw = body(&[recent(provider, 1, 6)]);
            assert_eq!(bench.post(&raw).await.counts(), (200, [1, 0, 0, 0]), "{fault:?}");
            assert!(bench.stored(1).await.is_some());
        }
    }
}

#[tokio::test]
async fn an_event_that_is_not_stored_makes_no_news() {
    for provider in BOTH {
        let bench = bench(provider).await;
        bench.table.fail(Method::WriteState, Fault::Unreachable, 1);
        let raw = body(&[recent(provider, 1, 6)]);
        assert_eq!(bench.post(&raw).await.status, 503);
        assert!(bench.memory.news_stream().is_empty());
        assert_eq!(bench.post(&raw).await.status, 200);
        assert_eq!(bench.memory.news_stream().len(), 1);
    }
}

/// A conflict has the event folded anew, and its news told once.
#[tokio::test]
async fn a_conflict_makes_no_second_news() {
    for provider in BOTH {
        let bench = bench(provider).await;
        bench.table.fail(Method::WriteState, Fault::Conflict, 2);
        bench.post(&body(&[recent(provider, 1, 6)])).await;
        assert_eq!(bench.memory.news_stream().len(), 1);
    }
}

/// News are the last that the table is asked for: once all else is stored, the answer comes in time.
#[tokio::test(start_paused = true)]
async fn a_table_that_hangs_on_news_delays_the_answer_by_a_moment() {
    let provider = Provider::Twilio;
    let raw = body(&[moved(update(provider, 1, 1), "2026-03-02T02:00:00Z")]);
    let answered = async |gate: Gate<MemoryTable>| {
        let began = tokio::time::Instant::now();
        let handler = handler_on(gate, provider);
        let answer = handler.handle(signed(provider, SECRET, URL, &raw)).await;
        (answer.status_code, began.elapsed().as_millis())
    };
    let watched = async || {
        let memory = MemoryTable::new();
        memory.apply_policy(&watch(1)).await.unwrap();
        memory
    };
    let memory = watched().await;
    let undisturbed = Gate::new(memory.clone());
    assert_eq!(answered(undisturbed.clone()).await, (200, 0));
    assert_eq!(memory.news_stream().len(), 1);

    let memory = watched().await;
    let last = undisturbed.calls() - 1;
    let (status, took) = answered(Gate::new(memory.clone()).hanging(Hang::Before(last))).await;
    assert_eq!(status, 200);
    assert!((400..700).contains(&took), "{took} ms");
    assert!(memory.news_stream().is_empty());
    assert_eq!(memory.read_states(&[sim(1)]).await.unwrap().len(), 1);
}
