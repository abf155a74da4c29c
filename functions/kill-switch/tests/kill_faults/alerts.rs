//! Alerts are never lost, and come twice only where the outcome of publishing is unknown, with the
//! same id.

use std::collections::BTreeMap;

use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{Bench, name, rejection, sim};

/// How often each alert was published.
fn copies(bench: &Bench) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for alert in bench.alerts.published() {
        *copies.entry(alert.id).or_default() += 1;
    }
    copies
}

async fn theft(bench: &Bench) {
    bench.steal_and_tell([1]).await;
    bench.minutes(1).await;
    bench.happen(sim(1), &[rejection(1, bench.now())]).await;
    bench.minutes(20).await;
    assert_eq!(bench.stage(1).await, "none", "filed once all is told");
}

#[tokio::test]
async fn an_alert_that_does_not_go_out_is_published_later_once() {
    for failures in 0..14 {
        let bench = Bench::new(1).await;
        bench.alerts.fail_next(failures);
        theft(&bench).await;
        // One that fails holds up no other, so they may be out of order.
        let mut told = bench.told(1);
        told.sort();
        assert_eq!(told, ["deactivated", "proven"], "{failures} failures");
        assert!(copies(&bench).values().all(|copies| *copies == 1));
    }
}

#[tokio::test]
async fn an_alert_whose_answer_is_lost_comes_again_with_the_same_id() {
    for (passes, lost) in [(0, 1), (0, 3), (1, 1), (1, 2)] {
        let bench = Bench::new(1).await;
        bench.topic.pass(Method::Publish, passes);
        bench.topic.fail(Method::Publish, Fault::LostAnswer, lost);
        theft(&bench).await;
        let copies: Vec<usize> = copies(&bench).into_values().collect();
        assert_eq!(copies.len(), 2, "two alerts");
        assert_eq!(copies.iter().sum::<usize>(), 2 + lost);
    }
}

#[tokio::test]
async fn an_alert_that_is_out_and_not_recorded_comes_again_with_the_same_id() {
    // The third commit records that the first alert is out.
    let bench = Bench::new(1).await;
    bench.table.pass(Method::Commit, 2);
    bench.table.fail(Method::Commit, Fault::Unreachable, 1);
    bench.steal(1).await;
    bench.deliver().await;
    assert_eq!(bench.told(1), ["deactivated"]);
    bench.minutes(5).await;
    let copies: Vec<usize> = copies(&bench).into_values().collect();
    assert_eq!(copies, [2], "one alert");
}

#[tokio::test]
async fn a_page_about_held_kills_is_tried_until_it_is_out() {
    let bench = Bench::new(8).await;
    bench.steal_and_tell(1..=8).await;
    bench.alerts.fail_next(3);
    bench.minutes(3).await;
    assert_eq!(bench.held_pages().len(), 0);
    bench.minutes(14).await;
    assert_eq!(bench.held_pages().len(), 1);
    // Published, and not recorded: it comes again, as the same.
    bench.table.fail(Method::RecordPaged, Fault::Unreachable, 2);
    bench.pass(60);
    bench.pass(60);
    assert!(bench.sweep().await.is_err());
    bench.minutes(16).await;
    let ids: Vec<String> = bench.held_pages().into_iter().map(|page| page.id).collect();
    assert_eq!(ids.len(), 4, "{ids:?}");
    assert_eq!(ids[1], ids[2]);
    assert_ne!(ids[0], ids[1]);
    assert_ne!(ids[2], ids[3]);
}

#[tokio::test]
async fn a_dead_topic_keeps_no_sim_alive() {
    let bench = Bench::new(2).await;
    bench.alerts.fail_next(usize::MAX);
    bench.steal_and_tell([1, 2]).await;
    assert_eq!((bench.asked(1).len(), bench.asked(2).len()), (1, 1));
    bench.minutes(30).await;
    assert_eq!(bench.alerts.published(), []);
    bench.alerts.fail_next(0);
    bench.minutes(2).await;
    assert_eq!((bench.told(1).len(), bench.told(2).len()), (1, 1));
}

#[tokio::test]
async fn what_cannot_be_told_lets_others_be_looked_at_first() {
    let bench = Bench::new(1).await;
    bench.act("deactivate", &name(1)).await;
    bench.minutes(1).await;
    bench.alerts.fail_next(usize::MAX);
    bench.act("restore", &name(1)).await;
    for _minute in 0..30 {
        bench.pass(60);
        bench.sweep().await.unwrap();
        let next_check = bench.incident(1).await.unwrap().next_check;
        assert!(next_check > bench.now(), "due again at {next_check}, now {}", bench.now());
    }
    bench.alerts.fail_next(0);
    bench.minutes(3).await;
    assert_eq!(
        (bench.told(1), bench.stage(1).await),
        (vec!["deactivated".to_owned(), "restored".to_owned()], "none".to_owned())
    );
}
