//! The pages of links, with every fault of the table and the kill-switch injected.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong should stop at once and say where"
)]

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::lambda_function_urls::{
    LambdaFunctionUrlRequest, LambdaFunctionUrlResponse,
};
use jiff::{SignedDuration, Timestamp};
use simfuse_console::handler::{ANSWER_WITHIN, Handler, Switch};
use simfuse_domain::alert::{AlertKind, PendingAlert};
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::Incident;
use simfuse_domain::signed_link::{LinkAct, LinkKey, SignedLink};
use simfuse_kill_switch::request::{Action, Answer, AsTold, Outcome, Request, SimAnswer};
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::faulty::{Fault, Faulty, Method};
use simfuse_testkit::memory::MemoryTable;

/// What the kill-switch says next.
#[derive(Clone, Copy)]
enum Says {
    Outcome(Outcome, &'static str),
    RefusesAll(&'static str),
    NothingOfTheSim,
    Fails,
    Never,
}

/// A kill-switch that says what it is told to, and remembers what it was asked.
#[derive(Clone, Default)]
struct Scripted {
    next: Arc<Mutex<VecDeque<Says>>>,
    asked: Arc<Mutex<Vec<Request>>>,
    hinted: Arc<Mutex<Vec<SimSid>>>,
}

impl Switch for Scripted {
    async fn ask(&self, request: &Request) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        self.asked.lock().unwrap().push(request.clone());
        let next = self.next.lock().unwrap().pop_front();
        let mut answer = Answer::to(request);
        match next.unwrap_or(Says::Outcome(Outcome::Done, "inactive")) {
            Says::Outcome(outcome, reason) => answer.sims.push(SimAnswer {
                requested: request.sims[0].clone(),
                sim: None,
                name: None,
                used_bytes: None,
                found: None,
                outcome,
                reason: reason.to_owned(),
                incident: None,
                details: None,
            }),
            Says::RefusesAll(why) => answer.error = Some(why.to_owned()),
            Says::NothingOfTheSim => {}
            Says::Fails => return Err("TooManyRequestsException".into()),
            Says::Never => std::future::pending().await,
        }
        Ok(answer)
    }

    async fn hint(&self, sim: SimSid) -> Result<(), Box<dyn Error + Send + Sync>> {
        let next = self.next.lock().unwrap().pop_front();
        if matches!(next, Some(Says::Fails)) {
            return Err("TooManyRequestsException".into());
        }
        self.hinted.lock().unwrap().push(sim);
        Ok(())
    }
}

struct Bench {
    table: Faulty<MemoryTable>,
    switch: Scripted,
    clock: ManualClock,
    handler: Handler<Faulty<MemoryTable>, Scripted, ManualClock>,
    calls: Mutex<u32>,
}

/// A page as it arrives.
struct Shown {
    status: i64,
    html: String,
    headers: aws_lambda_events::http::HeaderMap,
}

impl Bench {
    fn new() -> Self {
        let table = Faulty::new(MemoryTable::new());
        let (switch, clock) = (Scripted::default(), ManualClock::new(told_at()));
        let handler = Handler::new(table.clone(), switch.clone(), clock.clone(), key());
        Self { table, switch, clock, handler, calls: Mutex::default() }
    }

    async fn call(&self, method: &str, path: &str, body: Option<String>) -> Shown {
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            format!("call-{calls}")
        };
        let request = request(method, path, body);
        let LambdaFunctionUrlResponse { status_code: status, headers, body, .. } =
            self.handler.handle(&request, &call).await;
        Shown { status, html: body.unwrap_or_default(), headers }
    }

    async fn get(&self, token: &str) -> Shown {
        self.call("GET", &format!("/link/{token}"), None).await
    }

    async fn post(&self, token: &str) -> Shown {
        self.call("POST", &format!("/link/{token}"), None).await
    }

    fn says(&self, says: impl IntoIterator<Item = Says>) {
        self.switch.next.lock().unwrap().extend(says);
    }

    fn asked(&self) -> Vec<Request> {
        self.switch.asked.lock().unwrap().clone()
    }

    /// Nothing was asked of the kill-switch, and the link still works.
    async fn check_nothing_happened(&self, token: &str) {
        assert_eq!(self.asked(), []);
        assert_eq!(self.table.calls(Method::Claim), 0);
        assert_eq!(self.post(token).await.status, 200, "the link still works");
    }
}

fn request(method: &str, path: &str, body: Option<String>) -> LambdaFunctionUrlRequest {
    let mut request = LambdaFunctionUrlRequest::default();
    request.raw_path = Some(path.to_owned());
    request.request_context.http.method = Some(method.to_owned());
    request.body = body;
    request
}

fn key() -> LinkKey {
    LinkKey::new(&[7; 32]).unwrap()
}

fn told_at() -> Timestamp {
    "2026-03-01T14:00:00Z".parse().unwrap()
}

fn sim() -> SimSid {
    SimSid::from_bytes([1; 16])
}

fn link(act: LinkAct, name: &str) -> SignedLink {
    let incident = Incident::open(sim(), name.to_owned(), None, told_at());
    let pending = PendingAlert {
        number: 1,
        kind: AlertKind::Killed,
        at: told_at(),
        fleet: None,
        by_human: false,
    };
    SignedLink::of(act, &incident, &pending)
}

fn token(act: LinkAct) -> String {
    key().sign(&link(act, "pump-17"))
}

const ACTS: [(LinkAct, Action, &str); 4] = [
    (LinkAct::Deactivate, Action::Deactivate, "kill"),
    (LinkAct::Approve, Action::Approve, "approve"),
    (LinkAct::Restore, Action::Restore, "restore"),
    (LinkAct::FalseAlarm, Action::FalseAlarm, "false-alarm"),
];

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
        assert_eq!(bench.asked(), [expected], "bound to its incident, and overriding nothing");
    }
}

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
            let may = if status == 503 { "still works" } else { "may be used again" };
            for says in ["Nothing was done", reason, &command, may] {
                assert!(page.html.contains(says), "{says}: {}", page.html);
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
async fn a_link_that_cannot_be_given_back_is_said_to_be_lost() {
    let (bench, token) = (Bench::new(), token(LinkAct::Restore));
    bench.says([Says::Fails]);
    bench.table.fail(Method::GiveBack, Fault::Unreachable, 1);
    let page = bench.post(&token).await;
    assert_eq!(page.status, 503);
    assert!(page.html.contains("works no more") && !page.html.contains("still works"));
    assert!(page.html.contains("simfuse restore HS"), "{}", page.html);
    assert_eq!(bench.post(&token).await.status, 409);
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
