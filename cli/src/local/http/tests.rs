use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use simfuse_domain::alert::{AlertKind, PendingAlert};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::Incident;
use simfuse_domain::policy::{DEFAULT, Mode};
use simfuse_domain::port::{Clock as _, Sim, SimStatus};
use simfuse_domain::signed_link::{LinkAct, LinkKey, SignedLink};
use simfuse_supersim::Provider;
use simfuse_supersim::secret::WebhookSecrets;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::service::{Behaviour, CallbackTime, SuperSimService};
use simfuse_webhook::intake::Receipt;

use super::super::mailbox::Mailbox;
use super::super::{self as local, LocalService, LocalTable, SharedClock};
use super::*;

/// How long the provider takes for a change.
const SETTLES_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Nothing here takes longer.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

/// The server on a port of its own, over a simulated service in virtual time. Nothing sweeps.
struct Bench {
    clock: ManualClock,
    service: SuperSimService,
    switch: Arc<LocalKillSwitch>,
    mailbox: Mailbox,
    key: LinkKey,
    origin: String,
    http: reqwest::Client,
    sim: SimSid,
}

impl Bench {
    async fn new(behaviour: Behaviour) -> Self {
        // Only the first of the tests installs it.
        drop(crate::install_tls());
        let clock = ManualClock::new("2026-03-01T14:00:00Z".parse().unwrap());
        let shared: SharedClock = Arc::new(clock.clone());
        let policy = DEFAULT.parse().unwrap();
        let LocalTable { table, .. } = LocalTable::start(&policy, clock.now()).await.unwrap();
        let service = LocalService::start(Arc::clone(&shared)).await.unwrap();
        let (sim, fleet) = (SimSid::from_bytes([1; 16]), FleetSid::from_bytes([9; 16]));
        service.service.add_fleet(fleet, "river");
        service.service.add_sim(Sim {
            sid: sim,
            iccid: None,
            unique_name: Some("pump-17".to_owned()),
            status: SimStatus::Active,
            fleet: Some(fleet),
        });
        service.service.set_behaviour(sim, behaviour);
        let (listener, origin) = local::listen("127.0.0.1:0").await.unwrap();
        let (links, key) = local::links(&origin).unwrap();
        let callbacks = local::callbacks(links, Arc::clone(&shared));
        let client = service.client().unwrap().calling_back(Some(callbacks));
        let mailbox = Mailbox::new().unwrap();
        let (table_of, mailbox_of, clock_of) =
            (table.clone(), mailbox.clone(), Arc::clone(&shared));
        let switch = local::kill_switch(table_of, client, mailbox_of, clock_of, Mode::Observe);
        let switch = Arc::new(switch);
        let secrets = WebhookSecrets::from_json(Provider::Kore, r#"{"webhook_secret":"s"}"#);
        let (table_of, clock_of) = (table.clone(), Arc::clone(&shared));
        let (kore, secrets, url) = (Provider::Kore, secrets.unwrap(), "http://127.0.0.1/events");
        let webhook = local::webhook(table_of, Receipt::Live, clock_of, kore, secrets, url);
        let console = local::console(table, Arc::clone(&switch), shared, key.clone());
        let served = Served {
            webhook: Arc::new(webhook),
            kill_switch: Arc::clone(&switch),
            console: Some(Arc::new(console)),
            received: Arc::new(Notify::new()),
            accepted: None,
        };
        tokio::spawn(async move { axum::serve(listener, router(served)).await });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { clock, service: service.service, switch, mailbox, key, origin, http, sim }
    }

    async fn ask(&self, action: &str) -> Value {
        let request = json!({ "action": action, "sims": ["pump-17"] });
        self.switch.handle(request).await.unwrap()["sims"][0].clone()
    }

    async fn stage(&self) -> String {
        let answer = self.ask("status").await;
        answer["details"]["stage"].as_str().unwrap().to_owned()
    }

    /// Waits until the incident is at this stage, without a sweep.
    async fn until(&self, stage: &str) {
        let seen = tokio::time::timeout(WITHIN, async {
            while self.stage().await != stage {
                tokio::task::yield_now().await;
            }
        });
        assert!(seen.await.is_ok(), "it stays {}", self.stage().await);
    }

    /// Waits until the kill-switch has asked about the SIM so often.
    async fn until_fetched(&self, times: usize) {
        let seen = tokio::time::timeout(WITHIN, async {
            while self.fetched() < times {
                tokio::task::yield_now().await;
            }
        });
        assert!(seen.await.is_ok(), "it was asked for {} times", self.fetched());
    }

    fn fetched(&self) -> usize {
        let requests = self.service.requests();
        requests.iter().filter(|one| one.sim.is_some() && one.status_wanted().is_none()).count()
    }

    async fn post(&self, path: &str) -> u16 {
        let answer = self.http.post(format!("{}{path}", self.origin)).send().await.unwrap();
        answer.status().as_u16()
    }

    /// What the callbacks that are due were answered.
    async fn call_back(&self) -> Vec<Option<u16>> {
        self.service.call_back().await.into_iter().map(|called| called.answer).collect()
    }

    /// Waits until these alerts are out, and no other: a stage is recorded before it is told.
    async fn until_told(&self, actions: &[&str]) {
        let told = || -> Vec<String> {
            self.mailbox.alerts().into_iter().map(|alert| alert.action).collect()
        };
        let seen = tokio::time::timeout(WITHIN, async {
            while told() != actions {
                tokio::task::yield_now().await;
            }
        });
        assert!(seen.await.is_ok(), "{:?} were told", told());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // It may be gone already.
        drop(std::fs::remove_file(self.mailbox.path()));
    }
}

#[tokio::test]
async fn a_link_that_expired_does_nothing_over_the_wire_either() {
    let bench = Bench::new(Behaviour::CutAtOnce).await;
    let now: Timestamp = bench.clock.now();
    let killed = bench.ask("deactivate").await;
    assert_eq!(killed["outcome"], "done", "{killed}");
    let incident = Incident::open(bench.sim, "pump-17".to_owned(), None, now);
    assert_eq!(killed["incident"], incident.id);
    let pending = PendingAlert {
        number: 1,
        kind: AlertKind::Killed,
        at: now,
        fleet: None,
        by_human: false,
        is_protected: false,
    };
    let token = bench.key.sign(&SignedLink::of(LinkAct::Restore, &incident, &pending));
    let path = format!("/link/{token}");
    let status = || bench.service.sim(bench.sim).unwrap().status;
    bench.clock.advance(SignedDuration::from_hours(24));
    assert_eq!((bench.post(&path).await, status()), (410, SimStatus::Inactive));
    bench.clock.advance(SignedDuration::from_secs(-1));
    let posted = bench.post(&path).await;
    assert_eq!((posted, status()), (200, SimStatus::Active), "it is its time alone that it lacked");
}

#[tokio::test]
async fn a_kill_that_settles_is_seen_by_the_providers_callback_without_a_sweep() {
    let bench = Bench::new(Behaviour::Scheduled { after: SETTLES_AFTER }).await;
    assert_eq!(bench.ask("deactivate").await["outcome"], "pending");
    assert_eq!((bench.stage().await, bench.call_back().await), ("scheduled".to_owned(), vec![]));
    bench.clock.advance(SETTLES_AFTER);
    assert_eq!(bench.stage().await, "scheduled", "to ask for its status is not to look");
    assert_eq!(bench.call_back().await, [Some(204)]);
    bench.until("inactive").await;
    assert_eq!(bench.call_back().await, [], "once");
    assert_eq!(bench.ask("restore").await["outcome"], "pending");
    bench.clock.advance(SETTLES_AFTER);
    assert_eq!(bench.call_back().await, [Some(204)]);
    bench.until("restored").await;
    bench.until_told(&["deactivated", "restored"]).await;
}

#[tokio::test]
async fn callbacks_that_come_late_or_twice_do_no_harm() {
    let bench = Bench::new(Behaviour::Scheduled { after: SETTLES_AFTER }).await;
    let late = SignedDuration::from_mins(5);
    bench.service.set_callbacks(CallbackTime::Late(late));
    bench.ask("deactivate").await;
    bench.clock.advance(SETTLES_AFTER);
    assert_eq!(bench.call_back().await, []);
    bench.clock.advance(late);
    assert_eq!(bench.call_back().await, [Some(204)]);
    bench.until("inactive").await;
    bench.service.set_callbacks(CallbackTime::Twice);
    bench.ask("restore").await;
    bench.clock.advance(SETTLES_AFTER);
    assert_eq!(bench.call_back().await, [Some(204), Some(204)]);
    bench.until("restored").await;
    bench.until_told(&["deactivated", "restored"]).await;
    assert_eq!(bench.service.status_requests(bench.sim).len(), 2);
}

#[tokio::test]
async fn a_callback_that_lies_changes_nothing_and_a_forged_one_is_not_heard() {
    let bench = Bench::new(Behaviour::Scheduled { after: SETTLES_AFTER }).await;
    bench.service.set_callbacks(CallbackTime::TooEarly);
    bench.ask("deactivate").await;
    let before = bench.fetched();
    assert_eq!(bench.call_back().await, [Some(204)], "it says that the SIM is inactive");
    bench.until_fetched(before + 1).await;
    assert_eq!(bench.stage().await, "scheduled", "the provider is asked and says otherwise");

    bench.clock.advance(SETTLES_AFTER);
    let hint = |key: &LinkKey| key.sign_hint(bench.sim, bench.clock.now() + SETTLES_AFTER);
    let (ours, forged) = (hint(&bench.key), hint(&LinkKey::new(&[7; 32]).unwrap()));
    assert_eq!(bench.post(&format!("/hint/{forged}")).await, 403);
    bench.clock.advance(SETTLES_AFTER);
    assert_eq!(bench.post(&format!("/hint/{ours}")).await, 410, "expired");
    let asked = bench.fetched();
    assert_eq!(bench.stage().await, "scheduled");
    assert_eq!(bench.fetched(), asked + 1, "nobody but this test asked");
    assert_eq!(bench.post(&format!("/hint/{}", hint(&bench.key))).await, 204);
    bench.until("inactive").await;
}
