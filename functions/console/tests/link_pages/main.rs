//! The pages of links, with every fault of the table and the kill-switch injected.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong should stop at once and say where"
)]

mod bench;
mod once;
mod shown;

use std::time::Duration;

use jiff::SignedDuration;
use simfuse_console::handler::ANSWER_WITHIN;
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::Incident;
use simfuse_domain::port::LINK_ASKED_MAX;
use simfuse_domain::signed_link::{LinkAct, LinkKey, SignedLink};
use simfuse_kill_switch::request::{AsTold, Outcome, Request};
use simfuse_testkit::faulty::{Fault, Method};

use bench::{ACTS, Bench, Says, key, link, sim, token, told_at};

#[tokio::test]
async fn a_link_is_shown_and_only_its_button_acts() {
    for (act, action, _) in ACTS {
        let (bench, token) = (Bench::new(), token(act));
        let shown = bench.get(&token).await;
        assert_eq!(shown.status, 200);
        let alert = link(act, "pump-17").alert_id();
        let says = ["pump-17", &sim().to_string(), &alert, "until", "2026-03-02 14:00:00 UTC"];
        for says in says.into_iter().chain([act.label()]) {
            assert!(shown.html.contains(says), "{says}: {}", shown.html);
        }
        assert_eq!(shown.html.matches("<form method=\"post\">").count(), 1);
        assert!(!shown.html.contains(&token), "a page does not repeat the token");
        for method in ["HEAD", "GET", "OPTIONS", "PUT", "DELETE", "post", ""] {
            bench.call(method, &format!("/link/{token}"), None).await;
        }
        assert_eq!(bench.asked(), [], "nothing but POST acts");
        assert_eq!(bench.table.calls(Method::Claim), 0, "to look takes nothing");
        let done = bench.post(&token).await;
        assert_eq!(done.status, 200, "{}", done.html);
        let expected = Request {
            sims: vec![sim().to_string()],
            only_incident: Some(Incident::id_of(sim(), told_at())),
            as_told: Some(AsTold { alert: 1, findings: 0 }),
            requested_by: format!("the link in alert {alert}"),
            reason: "a link was followed, which asks for no reason".to_owned(),
            ..Request::of(action)
        };
        let looked = Request { dry_run: true, ..expected.clone() };
        assert_eq!(bench.asked_dry(), [looked], "once for both GETs, to show what it does");
        assert_eq!(bench.asked(), [expected], "bound to its incident, and overriding nothing");
    }
}

#[tokio::test]
async fn what_is_forged_changed_or_cut_off_does_nothing_and_says_so() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    let foreign = LinkKey::new(&[8; 32]).unwrap().sign(&link(LinkAct::Restore, "pump-17"));
    let cut = token[..token.len() - 1].to_owned();
    let strange = "%00\u{1f6b0}../../".repeat(1_000);
    for wrong in [foreign, cut, format!("{token}."), format!("{token}/x"), strange, String::new()] {
        for method in ["GET", "POST", "HEAD"] {
            let page = bench.call(method, &format!("/link/{wrong}"), None).await;
            assert_eq!(page.status, 403, "{method}");
            let says = page.html.contains("Nothing was done") && page.html.contains("no link of");
            assert_eq!(says, method != "HEAD", "{}", page.html);
        }
    }
    bench.check_nothing_happened(&token).await;
}

#[tokio::test]
async fn a_link_expires_after_a_day() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    bench.clock.advance(SignedDuration::from_hours(24));
    for page in [bench.get(&token).await, bench.post(&token).await] {
        assert_eq!(page.status, 410);
        assert!(page.html.contains("expired at 2026-03-02 14:00:00 UTC"), "{}", page.html);
    }
    bench.clock.advance(SignedDuration::from_secs(-1));
    bench.check_nothing_happened(&token).await;
}

#[tokio::test]
async fn what_is_no_link_is_answered_without_a_look() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    for path in ["/", "", "/favicon.ico", "/link", &format!("/links/{token}"), &token] {
        for method in ["GET", "POST"] {
            let page = bench.call(method, path, None).await;
            assert_eq!(page.status, 404, "{path}");
        }
    }
    let page = bench.call("PUT", &format!("/link/{token}"), None).await;
    assert_eq!((page.status, &page.headers["allow"]), (405, &"GET, HEAD, POST".parse().unwrap()));
    let page = bench.call("POST", &format!("/link/{token}"), Some("x".repeat(1_025))).await;
    assert_eq!(page.status, 413);
    bench.check_nothing_happened(&token).await;
}

#[tokio::test]
async fn what_was_not_done_is_said_with_the_reason_and_the_command_and_may_be_tried_again() {
    let refusals = [
        (Says::Outcome(Outcome::Refused, "its incident is another one now (HS-1)"), 409),
        (Says::Outcome(Outcome::Refused, "protected by policy"), 409),
        (Says::Outcome(Outcome::NotFound, "no such SIM"), 409),
        (Says::Outcome(Outcome::Unreachable, "the provider is throttling requests"), 503),
        (Says::RefusesAll("only_incident goes with one SIM"), 409),
    ];
    for (act, _, command) in ACTS {
        for (says, status) in refusals {
            let (bench, token) = (Bench::new(), token(act));
            bench.says([says]);
            let page = bench.post(&token).await;
            let (Says::Outcome(_, reason) | Says::RefusesAll(reason)) = says else { panic!() };
            assert_eq!(page.status, status, "{reason}");
            let command = format!("simfuse {command} {}", sim());
            let (title, may) = match status {
                503 => ("No answer", "still works"),
                _ => ("Nothing was done", "may be used again"),
            };
            for says in [title, reason, &command, may, "--reason"] {
                assert!(page.html.contains(says), "{says}: {}", page.html);
            }
            if status == 503 {
                assert!(page.html.contains("What became of it is not known"), "{}", page.html);
                assert!(!page.html.contains("Nothing was done"), "nobody knows: {}", page.html);
            }
            assert_eq!(bench.post(&token).await.status, 200, "the link was given back");
            assert_eq!(bench.post(&token).await.status, 409, "and is used now");
        }
    }
}

#[tokio::test]
async fn what_is_under_way_or_was_so_before_uses_the_link_up() {
    for (outcome, says) in
        [(Outcome::Pending, "It goes on by itself"), (Outcome::Already, "was so before")]
    {
        let (bench, token) = (Bench::new(), token(LinkAct::Restore));
        bench.says([Says::Outcome(outcome, "it is as it is")]);
        let page = bench.post(&token).await;
        assert_eq!(page.status, 200);
        assert!(page.html.contains(says) && page.html.contains("it is as it is"), "{}", page.html);
        assert_eq!(bench.post(&token).await.status, 409);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_switch_that_does_not_answer_leaves_the_link_for_another_try() {
    for says in [Says::Fails, Says::NothingOfTheSim, Says::Never] {
        let (bench, token) = (Bench::new(), token(LinkAct::Restore));
        bench.says([says]);
        let began = tokio::time::Instant::now();
        let page = bench.post(&token).await;
        assert_eq!(page.status, 503);
        for says in ["It may have done it", "still works", "simfuse restore HS"] {
            assert!(page.html.contains(says), "{says}: {}", page.html);
        }
        assert!(began.elapsed() <= ANSWER_WITHIN + Duration::from_secs(1), "a browser waits");
        assert_eq!(bench.post(&token).await.status, 200, "another try");
        assert_eq!(bench.asked().len(), 2);
    }
}

#[tokio::test]
async fn without_the_table_nothing_is_asked_and_a_lost_answer_is_no_lost_link() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    bench.table.fail(Method::Claim, Fault::Unreachable, 1);
    let page = bench.post(&token).await;
    assert_eq!(page.status, 503);
    for says in ["Nothing was done", "did not answer", "simfuse restore HS"] {
        assert!(page.html.contains(says), "{says}: {}", page.html);
    }
    assert_eq!(bench.asked(), []);
    assert_eq!(bench.post(&token).await.status, 200);
}

#[tokio::test]
async fn a_link_that_cannot_be_given_back_works_again_later_and_says_so() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    bench.says([Says::Fails]);
    bench.table.fail(Method::GiveBack, Fault::Unreachable, 1);
    let page = bench.post(&token).await;
    assert_eq!(page.status, 503);
    assert!(page.html.contains("works again in half a minute"), "{}", page.html);
    assert!(!page.html.contains("still works"));
    assert!(page.html.contains("simfuse restore HS"), "{}", page.html);
    assert_eq!(bench.post(&token).await.status, 409);
    bench.clock.advance(LINK_ASKED_MAX + SignedDuration::from_secs(1));
    assert_eq!(bench.post(&token).await.status, 200);
}

#[tokio::test]
async fn every_page_is_kept_from_caches_frames_and_scripts() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    let pages = [
        bench.get(&token).await,
        bench.post(&token).await,
        bench.post(&token).await,
        bench.get("forged").await,
        bench.call("GET", "/", None).await,
        bench.call("HEAD", &format!("/link/{token}"), None).await,
    ];
    for page in pages {
        let header = |name: &str| page.headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-robots-tag"), "noindex, nofollow");
        let policy = header("content-security-policy");
        for says in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.contains(says), "{policy}");
        }
        assert!(!page.html.contains("<script") && !page.html.contains("http://"));
    }
}

#[tokio::test]
async fn a_name_is_text_whatever_it_holds() {
    let bench = Bench::new();
    let link = link(LinkAct::Restore, "<script>alert(1)</script>");
    let page = bench.get(&key().sign(&link)).await;
    assert!(page.html.contains("&lt;script&gt;alert(1)"), "{}", page.html);
    assert!(!page.html.contains("<script"));
    let page = bench.get(&key().sign(&SignedLink { name: String::new(), ..link })).await;
    assert!(page.html.contains(&format!("Switch {} on again?", sim())), "{}", page.html);
    assert!(page.html.contains(&format!("<dd>{}</dd>", sim())), "once: {}", page.html);
}

#[tokio::test]
async fn a_hint_makes_the_kill_switch_look_however_it_comes_and_as_often() {
    let bench = Bench::new();
    let until = told_at() + SignedDuration::from_hours(24);
    let path = format!("/hint/{}", key().sign_hint(sim(), until));
    let hinted = || std::mem::take(&mut *bench.switch.hinted.lock().unwrap());
    for (method, body) in [
        ("POST", Some(format!("SimSid={}&SimStatus=inactive", SimSid::from_bytes([2; 16])))),
        ("POST", Some("{".repeat(100_000))),
        ("POST", None),
        ("GET", None),
    ] {
        let answer = bench.call(method, &path, body).await;
        assert_eq!((answer.status, answer.html.as_str()), (204, ""));
        assert_eq!(hinted(), [sim()], "the SIM is the token's, whatever the body says");
    }
    let other_key = LinkKey::new(&[8; 32]).unwrap().sign_hint(sim(), until);
    let link = token(LinkAct::Restore);
    for (method, path, status) in [
        ("POST", format!("/hint/{other_key}"), 403),
        ("POST", format!("/hint/{link}"), 403),
        ("GET", "/hint/".to_owned(), 403),
        ("HEAD", path.clone(), 405),
        ("PUT", path.clone(), 405),
        ("POST", path.replace("/hint/", "/link/"), 403),
    ] {
        assert_eq!(bench.call(method, &path, None).await.status, status, "{method} {path}");
    }
    bench.clock.advance(SignedDuration::from_hours(24));
    assert_eq!(bench.call("POST", &path, None).await.status, 410);
    bench.clock.advance(SignedDuration::from_secs(-1));
    bench.says([Says::Fails]);
    assert_eq!(bench.call("POST", &path, None).await.status, 503, "the provider may try again");
    assert_eq!((hinted(), bench.asked()), (vec![], vec![]), "a hint asks for nothing");
    assert_eq!(bench.table.calls(Method::Claim), 0);
}
