//! The service through a real socket, as a client sees it.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use super::*;
use crate::clock::ManualClock;

mod accounts;
mod usage;

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

struct Bench {
    service: SuperSimService,
    clock: ManualClock,
    client: Client,
    origin: String,
}

impl Bench {
    /// A service with one fleet and the SIMs river-001 (active) to river-003.
    async fn start() -> Self {
        // Only the first of the tests installs it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let clock = ManualClock::new("2026-03-01T14:00:00Z".parse().unwrap());
        let config = ServiceConfig {
            account_sid: ACCOUNT.to_owned(),
            auth_token: "hush".to_owned(),
            client_id: "apiclient_1".to_owned(),
            client_secret: "hush too".to_owned(),
        };
        let service = SuperSimService::new(config, Arc::new(clock.clone()));
        service.add_fleet(fleet(1), "river");
        service.add_fleet(fleet(2), "quarantine");
        for number in 1..=3 {
            service.add_sim(Sim {
                sid: sim(number),
                iccid: format!("898830700000000000{number}").parse().ok(),
                unique_name: Some(format!("river 00{number}")),
                status: SimStatus::Active,
                fleet: Some(fleet(1)),
            });
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server = service.clone();
        tokio::spawn(async move { server.serve(listener).await });
        Self { service, clock, client: Client::new(), origin }
    }

    async fn send(&self, request: RequestBuilder) -> (u16, Value) {
        let answer = request.basic_auth(ACCOUNT, Some("hush")).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(self.client.get(format!("{}{path}", self.origin))).await
    }

    fn update(&self, sim: SimSid, form: &[(&str, &str)]) -> RequestBuilder {
        self.client.post(format!("{}/v1/Sims/{sim}", self.origin)).form(form)
    }

    async fn post(&self, sim: SimSid, form: &[(&str, &str)]) -> (u16, Value) {
        self.send(self.update(sim, form)).await
    }

    /// HTTP status, and the Sim's status or the error's code.
    async fn set(&self, sim: SimSid, status: &str) -> (u16, String) {
        let (http, body) = self.post(sim, &[("Status", status)]).await;
        let said = body["status"].as_str().map_or_else(|| body["code"].to_string(), str::to_owned);
        (http, said)
    }

    fn status(&self, sim: SimSid) -> SimStatus {
        self.service.sim(sim).unwrap().status
    }

    fn pass(&self, secs: i64) -> Timestamp {
        self.clock.advance(SignedDuration::from_secs(secs))
    }

    /// What the network makes of the SIM now, and of a session that is open since the start.
    fn network(&self, sim: SimSid) -> (Attach, Line) {
        let now = self.clock.now();
        let start = "2026-03-01T13:00:00Z".parse().unwrap();
        (self.service.attach(sim, now), self.service.line(sim, start, now))
    }
}

fn sim(number: u8) -> SimSid {
    SimSid::from_bytes([number; 16])
}

fn fleet(number: u8) -> FleetSid {
    FleetSid::from_bytes([number; 16])
}

fn answer(http: u16, said: &str) -> (u16, String) {
    (http, said.to_owned())
}

const REJECTED: Attach = Attach::Rejected { code: 83705 };

#[tokio::test]
async fn a_sim_is_fetched_by_sid_and_by_unique_name_as_the_description_shapes_it() {
    let bench = Bench::start().await;
    let (status, by_sid) = bench.get(&format!("/v1/Sims/{}", sim(1))).await;
    let (_, by_name) = bench.get("/v1/Sims/river%20001").await;
    assert_eq!(status, 200);
    assert_eq!(by_sid, by_name);
    let url = format!("{}/v1/Sims/{}", bench.origin, sim(1));
    let expected = serde_json::json!({
        "sid": "HS01010101010101010101010101010101",
        "unique_name": "river 001",
        "account_sid": ACCOUNT,
        "iccid": "8988307000000000001",
        "status": "active",
        "fleet_sid": "HF01010101010101010101010101010101",
        "date_created": "2026-03-01T14:00:00Z",
        "date_updated": "2026-03-01T14:00:00Z",
        "url": url,
        "links": {
            "billing_periods": format!("{url}/BillingPeriods"),
            "sim_ip_addresses": format!("{url}/IpAddresses"),
        },
    });
    assert_eq!(by_sid, expected);
}

#[tokio::test]
async fn what_is_not_there_is_20404() {
    let bench = Bench::start().await;
    for path in ["/v1/Sims/nobody", "/v1/Sims/HS0123456789abcdef0123456789abcdef", "/v2/x"] {
        let (status, body) = bench.get(path).await;
        assert_eq!((status, &body["code"], &body["status"]), (404, &20404.into(), &404.into()));
        assert!(body["message"].as_str().unwrap().contains(path));
        assert_eq!(body["more_info"], "https://www.twilio.com/docs/errors/20404");
    }
    let (status, body) = bench.post(sim(9), &[("Status", "inactive")]).await;
    assert_eq!((status, &body["code"]), (404, &20404.into()));
}

#[tokio::test]
async fn lists_page_by_page_and_keep_the_filters() {
    let bench = Bench::start().await;
    bench.set(sim(2), "inactive").await;
    let (_, first) = bench.get("/v1/Sims?Fleet=river&PageSize=2").await;
    assert_eq!(first["sims"].as_array().unwrap().len(), 2);
    assert_eq!(first["meta"]["key"], "sims");
    assert_eq!(first["meta"]["previous_page_url"], Value::Null);
    let next = first["meta"]["next_page_url"].as_str().unwrap();
    let (sims, last) = (format!("{}/v1/Sims", bench.origin), sim(2));
    assert_eq!(next, format!("{sims}?Fleet=river&PageSize=2&Page=1&PageToken=PA{last}"));
    let (_, by_number) = bench.get("/v1/Sims?Fleet=river&PageSize=2&Page=1").await;
    assert_eq!(by_number["sims"][0]["sid"], sim(3).to_string());
    let (_, second) = bench.send(bench.client.get(next)).await;
    assert_eq!(second["sims"][0]["sid"], sim(3).to_string());
    assert_eq!(second["meta"]["next_page_url"], Value::Null);
    assert_eq!(second["meta"]["previous_page_url"], first["meta"]["url"]);
    assert_eq!(second["meta"]["first_page_url"], first["meta"]["url"]);

    let (_, full) = bench.get("/v1/Sims?Status=active&PageSize=2").await;
    assert_eq!(full["sims"].as_array().unwrap().len(), 2);
    assert_eq!(full["meta"]["next_page_url"], Value::Null, "no page comes after a full last one");

    let sids = |body: &Value| -> Vec<String> {
        let sims = body["sims"].as_array().unwrap().iter();
        sims.map(|sim| sim["sid"].as_str().unwrap().to_owned()).collect()
    };
    let (_, inactive) = bench.get("/v1/Sims?Status=inactive").await;
    assert_eq!(sids(&inactive), [sim(2).to_string()]);
    let (_, one) = bench.get("/v1/Sims?Iccid=8988307000000000003").await;
    assert_eq!(sids(&one), [sim(3).to_string()]);
    for nothing in ["Iccid=8988307000000000009", "Fleet=quarantine", "Fleet=none", "Page=7"] {
        let (status, none) = bench.get(&format!("/v1/Sims?{nothing}")).await;
        assert_eq!((status, sids(&none).len()), (200, 0), "{nothing}");
    }
    for wrong in
        ["Status=dead", "PageSize=0", "PageSize=1001", "PageSize=x", "Page=-1", "PageToken=x"]
    {
        assert_eq!(bench.get(&format!("/v1/Sims?{wrong}")).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn only_the_account_and_its_tokens_may_ask() {
    let bench = Bench::start().await;
    let url = format!("{}/v1/Sims", bench.origin);
    let status = async |request: RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(bench.client.get(&url)).await, 401);
    assert_eq!(status(bench.client.get(&url).basic_auth(ACCOUNT, Some("guess"))).await, 401);
    assert_eq!(status(bench.client.get(&url).bearer_auth("guess")).await, 401);

    let token_url = format!("{}/api-services/v1/auth/token", bench.origin);
    let ask = |secret: &str, grant: &str| {
        let form = [("grant_type", grant), ("client_id", "apiclient_1"), ("client_secret", secret)];
        bench.client.post(&token_url).form(&form)
    };
    assert_eq!(status(ask("guess", "client_credentials")).await, 401);
    assert_eq!(status(ask("hush too", "password")).await, 400);
    let granted = ask("hush too", "client_credentials").send().await.unwrap();
    let granted: Value = granted.json().await.unwrap();
    assert_eq!(granted["token_type"], "Bearer");
    assert_eq!(granted["expires_in"], TOKEN_SECS);
    let token = granted["access_token"].as_str().unwrap();
    bench.pass(TOKEN_SECS - 1);
    assert_eq!(status(bench.client.get(&url).bearer_auth(token)).await, 200);
    bench.pass(1);
    assert_eq!(status(bench.client.get(&url).bearer_auth(token)).await, 401, "expired");

    let kept = format!("{:?}", bench.service.requests());
    assert!(!kept.contains("hush"), "the journal holds no secret: {kept}");
}

#[tokio::test]
async fn permits_the_documented_transitions_only() {
    let bench = Bench::start().await;
    let statuses = ["new", "ready", "active", "inactive"];
    let allowed = [
        ("new", "ready"),
        ("new", "active"),
        ("new", "inactive"),
        ("ready", "active"),
        ("ready", "inactive"),
        ("active", "inactive"),
        ("inactive", "active"),
    ];
    for from in statuses {
        for to in statuses {
            let status = serde_json::from_value(from.into()).unwrap();
            bench.service.set_status(sim(1), status);
            let is_allowed = allowed.contains(&(from, to));
            let expected = if is_allowed { answer(200, to) } else { answer(400, "83010") };
            assert_eq!(bench.set(sim(1), to).await, expected, "{from} to {to}");
            assert_eq!(bench.status(sim(1)) == status, !is_allowed, "{from} to {to}");
        }
    }
    for wrong in ["scheduled", "dead", ""] {
        assert_eq!(bench.set(sim(1), wrong).await, answer(400, "20001"), "{wrong:?}");
    }
}

#[tokio::test]
async fn updates_fleet_and_name_all_or_nothing() {
    let bench = Bench::start().await;
    let code = async |form: &[(&str, &str)]| {
        let (status, body) = bench.post(sim(1), form).await;
        (status, body["code"].as_u64())
    };
    assert_eq!(code(&[("Fleet", "nowhere"), ("Status", "inactive")]).await, (400, Some(83006)));
    assert_eq!(code(&[("UniqueName", "river 002")]).await, (400, Some(83011)));
    assert_eq!(code(&[("Fleet", "")]).await, (400, Some(83008)));
    assert_eq!(bench.service.sim(sim(1)).unwrap().status, SimStatus::Active, "nothing was done");

    assert_eq!(code(&[("Fleet", "quarantine")]).await, (400, Some(83008)));
    let moved = [("Fleet", "quarantine"), ("UniqueName", "pump"), ("Status", "inactive")];
    assert_eq!(code(&moved).await, (200, None));
    let updated = bench.service.sim(sim(1)).unwrap();
    assert_eq!((updated.fleet, updated.unique_name.as_deref()), (Some(fleet(2)), Some("pump")));
    assert_eq!(code(&[("Fleet", "")]).await, (200, None));
    assert_eq!(code(&[("Status", "active")]).await, (400, Some(83007)));
    assert_eq!(code(&[("Status", "active"), ("Fleet", "river")]).await, (200, None));

    let json = bench.client.post(format!("{}/v1/Sims/{}", bench.origin, sim(1)));
    let (status, body) = bench.send(json.json(&serde_json::json!({"Status": "inactive"}))).await;
    assert_eq!((status, &body["status"]), (200, &"active".into()), "a JSON body is ignored");
}

#[tokio::test]
async fn cut_at_once_ends_the_session_and_refuses_the_next() {
    let bench = Bench::start().await;
    assert_eq!(bench.network(sim(1)).0, Attach::Accepted);
    assert_eq!(bench.set(sim(1), "inactive").await, answer(200, "inactive"));
    let now = bench.clock.now();
    let dead = Line { cut_at: Some(now), refused_since: Some(now) };
    assert_eq!(bench.network(sim(1)), (REJECTED, dead));
    assert_eq!(bench.network(sim(2)).0, Attach::Accepted, "the others live on");
    let opened_then = bench.service.line(sim(1), now, now);
    assert_eq!(opened_then.cut_at, None, "the cut is of sessions that were open before");
    let restored_at = bench.pass(60);
    assert_eq!(bench.set(sim(1), "active").await, answer(200, "active"));
    let was_cut = Line { cut_at: Some(now), refused_since: None };
    assert_eq!(bench.network(sim(1)), (Attach::Accepted, was_cut));
    let later = bench.service.line(sim(1), restored_at, Timestamp::MAX);
    assert_eq!(later, Line { cut_at: None, refused_since: None }, "a new session is untouched");
}

#[tokio::test]
async fn at_next_attach_leaves_the_session_open() {
    let bench = Bench::start().await;
    bench.service.set_behaviour(sim(1), Behaviour::AtNextAttach);
    let now = bench.clock.now();
    assert_eq!(bench.set(sim(1), "inactive").await, answer(202, "inactive"));
    let open = Line { cut_at: None, refused_since: Some(now) };
    assert_eq!(bench.network(sim(1)), (REJECTED, open));
}

#[tokio::test]
async fn a_scheduled_change_is_done_when_its_time_has_come() {
    let bench = Bench::start().await;
    let after = SignedDuration::from_secs(90);
    bench.service.set_behaviour(sim(1), Behaviour::Scheduled { after });
    assert_eq!(bench.set(sim(1), "inactive").await, answer(202, "scheduled"));
    bench.pass(89);
    assert_eq!(bench.status(sim(1)), SimStatus::Scheduled);
    assert_eq!(bench.network(sim(1)).0, Attach::Accepted);
    assert_eq!(bench.set(sim(1), "active").await, answer(400, "83010"), "one change at a time");
    let (_, body) = bench.post(sim(1), &[("Fleet", "quarantine")]).await;
    assert_eq!(body["code"], 83009);
    let (_, seen_before) =
        (bench.clock.now(), bench.service.line(sim(1), Timestamp::MIN, Timestamp::MAX));
    let due = bench.pass(1);
    assert_eq!(seen_before.cut_at, Some(due), "the network's view looks ahead");
    bench.pass(600);
    let (_, body) = bench.get("/v1/Sims/river%20001").await;
    assert_eq!(
        (&body["status"], &body["date_updated"]),
        (&"inactive".into(), &due.to_string().into())
    );
    let dead = Line { cut_at: Some(due), refused_since: Some(due) };
    assert_eq!(bench.network(sim(1)), (REJECTED, dead));
}

#[tokio::test]
async fn injected_statuses_change_nothing_and_are_used_up() {
    let bench = Bench::start().await;
    for (status, code) in [(429, "20429"), (500, "20500"), (503, "20503"), (401, "20003")] {
        let rule = FaultRule::once(Fault::Status(status)).of(sim(1)).on(Requests::StatusUpdates);
        bench.service.inject(rule.times(2));
        assert_eq!(bench.get("/v1/Sims/river%20001").await.0, 200, "reads are spared");
        assert_eq!(bench.set(sim(2), "inactive").await.0, 200, "other SIMs are spared");
        bench.service.set_status(sim(2), SimStatus::Active);
        let (http, body) = bench.post(sim(1), &[("Status", "inactive")]).await;
        assert_eq!((http, body["code"].to_string().as_str()), (status, code));
        assert_eq!(bench.post(sim(1), &[("Status", "inactive")]).await.0, status);
        assert_eq!(bench.status(sim(1)), SimStatus::Active);
    }
    bench.service.inject(FaultRule::once(Fault::Code83010).times(u32::MAX));
    assert_eq!(bench.set(sim(1), "inactive").await, answer(400, "83010"));
    bench.service.clear_faults();
    assert_eq!(bench.set(sim(1), "inactive").await, answer(200, "inactive"));
}

#[tokio::test]
async fn a_hanging_request_is_in_the_journal_without_an_answer() {
    let bench = Bench::start().await;
    bench.service.inject(FaultRule::once(Fault::Hang));
    let impatient = bench.update(sim(1), &[("Status", "inactive")]);
    let impatient = impatient.basic_auth(ACCOUNT, Some("hush")).timeout(Duration::from_millis(200));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    assert_eq!(bench.status(sim(1)), SimStatus::Active);
    bench.pass(30);
    assert_eq!(bench.set(sim(1), "inactive").await.0, 200);
    let seen: Vec<_> = bench
        .service
        .status_requests(sim(1))
        .into_iter()
        .map(|seen| (seen.at, seen.answer))
        .collect();
    let start = "2026-03-01T14:00:00Z".parse().unwrap();
    assert_eq!(seen, [(start, None), (bench.clock.now(), Some(200))]);
}

#[tokio::test]
async fn a_late_request_lands_after_a_restore() {
    let bench = Bench::start().await;
    let after = SignedDuration::from_mins(5);
    let late = |answer| FaultRule::once(Fault::LateEffect { after, answer });
    bench.service.inject(late(LateAnswer::Error).on(Requests::Reads));
    assert_eq!(bench.set(sim(1), "inactive").await.0, 500);
    assert_eq!(bench.status(sim(1)), SimStatus::Active);
    bench.pass(60);
    assert_eq!(bench.set(sim(1), "inactive").await.0, 200);
    bench.pass(60);
    assert_eq!(bench.set(sim(1), "active").await.0, 200, "restored by a human");
    bench.pass(179);
    assert_eq!(bench.status(sim(1)), SimStatus::Active);
    let landed = bench.pass(1);
    assert_eq!(bench.status(sim(1)), SimStatus::Inactive);
    assert_eq!(bench.network(sim(1)).1.refused_since, Some(landed));

    bench.service.inject(late(LateAnswer::Silence));
    let impatient = bench.update(sim(2), &[("Status", "inactive")]);
    let impatient = impatient.basic_auth(ACCOUNT, Some("hush")).timeout(Duration::from_millis(200));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    bench.pass(300);
    assert_eq!(bench.status(sim(2)), SimStatus::Inactive);

    bench.service.inject(late(LateAnswer::Silence));
    assert_eq!(bench.set(sim(2), "inactive").await, answer(400, "83010"), "refusals come at once");
}

#[tokio::test]
async fn a_late_request_does_nothing_where_it_is_not_allowed_any_more() {
    let bench = Bench::start().await;
    let after = SignedDuration::from_mins(5);
    bench.service.inject(FaultRule::once(Fault::LateEffect { after, answer: LateAnswer::Error }));
    assert_eq!(bench.set(sim(1), "inactive").await.0, 500);
    let done_at = bench.pass(60);
    assert_eq!(bench.set(sim(1), "inactive").await.0, 200);
    bench.pass(600);
    let (_, body) = bench.get("/v1/Sims/river%20001").await;
    assert_eq!(body["date_updated"], done_at.to_string());
}

#[tokio::test]
async fn a_lie_is_told_by_the_api_and_not_by_the_network() {
    let bench = Bench::start().await;
    bench.service.inject(FaultRule::once(Fault::Lie).of(sim(1)));
    assert_eq!(bench.set(sim(1), "inactive").await, answer(200, "inactive"));
    assert_eq!(bench.status(sim(1)), SimStatus::Inactive);
    let untouched = Line { cut_at: None, refused_since: None };
    assert_eq!(bench.network(sim(1)), (Attach::Accepted, untouched));
    bench.set(sim(1), "active").await;
    bench.set(sim(1), "inactive").await;
    assert_eq!(bench.network(sim(1)).0, REJECTED, "the next time it is true");
}

#[tokio::test]
async fn the_journal_keeps_what_was_asked_in_order() {
    let bench = Bench::start().await;
    let fields = [("Status", "inactive"), ("CallbackUrl", "https://example.com/?a=1&b=2")];
    let by_name = bench.client.post(format!("{}/v1/Sims/river%20001", bench.origin)).form(&fields);
    bench.send(by_name).await;
    bench.get("/v1/Sims?Iccid=8988307000000000003").await;
    let requests = bench.service.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].sim, Some(sim(1)));
    assert_eq!(requests[0].status_wanted(), Some("inactive"));
    assert_eq!(requests[0].form["CallbackUrl"], "https://example.com/?a=1&b=2");
    assert_eq!((requests[1].method.as_str(), requests[1].path.as_str()), ("GET", "/v1/Sims"));
    assert_eq!((requests[1].sim, requests[1].status_wanted()), (Some(sim(3)), None));
    assert!(requests[0].arrived <= requests[1].arrived);
    assert_eq!(bench.service.status_requests(sim(1)).len(), 1);
    assert_eq!(bench.service.status_requests(sim(3)).len(), 0);
}
