//! A link works once, whatever fails in between.

use jiff::SignedDuration;
use simfuse_domain::port::LINK_ASKED_MAX;
use simfuse_domain::signed_link::{LinkAct, SignedLink};
use simfuse_kill_switch::request::Outcome;
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{Bench, Says, key, link, token};

#[tokio::test]
async fn a_link_works_once() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    assert_eq!(bench.post(&token).await.status, 200);
    bench.clock.advance(SignedDuration::from_secs(5));
    for _again in 0..3 {
        let again = bench.post(&token).await;
        assert_eq!(again.status, 409);
        assert!(again.html.contains("was used at 2026-03-01 14:00:00 UTC"), "{}", again.html);
    }
    assert_eq!(bench.asked().len(), 1);
    let other = key().sign(&SignedLink { alert: 2, ..link(LinkAct::Restore, "pump-17") });
    assert_eq!(bench.post(&other).await.status, 200, "the link of another alert is another one");
}

#[tokio::test]
async fn of_two_at_the_same_time_one_acts() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    let (one, other) = tokio::join!(bench.post(&token), bench.post(&token));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!((statuses, bench.asked().len()), ([200, 409], 1));
}

#[tokio::test]
async fn a_used_link_shows_when_it_was_used_and_no_button() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    assert_eq!(bench.post(&token).await.status, 200);
    bench.clock.advance(SignedDuration::from_hours(2));
    for method in ["GET", "HEAD"] {
        let page = bench.call(method, &format!("/link/{token}"), None).await;
        assert_eq!(page.status, 409, "{method}");
        let says = page.html.contains("was used at 2026-03-01 14:00:00 UTC");
        assert!(method == "HEAD" || says, "{}", page.html);
        assert!(!page.html.contains("<form"), "{}", page.html);
    }
    assert_eq!((bench.asked().len(), bench.asked_dry().len()), (1, 0));
}

/// A call that died after it took the link, and what the kill-switch was asked by it.
async fn dies_while_it_asks(bench: &Bench, token: &str) {
    bench.says([Says::Never]);
    let path = format!("/link/{token}");
    let mut call = std::pin::pin!(bench.call("POST", &path, None));
    assert!(futures::poll!(call.as_mut()).is_pending(), "it waits for the kill-switch");
    assert_eq!(bench.asked().len(), 1);
}

#[tokio::test]
async fn a_link_whose_call_died_asks_again_and_works_once() {
    for (says, status) in [
        (Says::Outcome(Outcome::Done, "active"), 200),
        // It had done it: the kill-switch knows by the incident, and does nothing a second time.
        (Says::Outcome(Outcome::Already, "it is active"), 200),
        (
            Says::Outcome(Outcome::Refused, "since that alert the link in alert x did something"),
            409,
        ),
    ] {
        let (bench, token) = (Bench::new(), token(LinkAct::Restore));
        dies_while_it_asks(&bench, &token).await;
        for page in [bench.post(&token).await, bench.get(&token).await] {
            assert_eq!(page.status, 409);
            for says in
                ["No answer yet", "is being asked", "2026-03-01 14:00:00 UTC", "half a minute"]
            {
                assert!(page.html.contains(says), "{says}: {}", page.html);
            }
            assert!(!page.html.contains("<form"), "{}", page.html);
        }
        assert_eq!(bench.asked().len(), 1, "while it may still be asked nobody else does");
        bench.clock.advance(LINK_ASKED_MAX + SignedDuration::from_secs(1));
        let page = bench.get(&token).await;
        let known = page.html.contains("nobody knows what became of it");
        assert!(page.status == 200 && known && page.html.contains("<form"), "{}", page.html);
        bench.says([says]);
        let page = bench.post(&token).await;
        assert_eq!((page.status, bench.asked().len()), (status, 2), "{}", page.html);
        let asked = bench.asked();
        assert_eq!(asked[0], asked[1], "it asks for the same, so that nothing is done twice");
        if status == 200 {
            bench.clock.advance(SignedDuration::from_hours(1));
            assert_eq!(bench.post(&token).await.status, 409);
            assert_eq!(bench.asked().len(), 2, "once it was answered nothing more is asked");
        }
    }
}

#[tokio::test]
async fn a_link_that_could_not_be_used_up_asks_again_for_the_same() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    bench.table.fail(Method::UseUp, Fault::Unreachable, 1);
    assert_eq!(bench.post(&token).await.status, 200, "it was done all the same");
    assert_eq!(bench.post(&token).await.status, 409);
    bench.clock.advance(LINK_ASKED_MAX + SignedDuration::from_secs(1));
    bench.says([Says::Outcome(Outcome::Already, "it is active")]);
    assert_eq!(bench.post(&token).await.status, 200);
    let page = bench.get(&token).await;
    assert!(page.html.contains("was used at 2026-03-01 14:00:31 UTC"), "{}", page.html);
}
