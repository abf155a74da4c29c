//! A console on a table and a kill-switch that fail as they are told to.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex};

use aws_lambda_events::lambda_function_urls::{
    LambdaFunctionUrlRequest, LambdaFunctionUrlResponse,
};
use jiff::Timestamp;
use simfuse_console::handler::{Handler, Switch};
use simfuse_domain::alert::{AlertKind, PendingAlert};
use simfuse_domain::finding::{DetectorId, Evidence, Finding};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::Incident;
use simfuse_domain::port::SimStatus;
use simfuse_domain::signed_link::{LinkAct, LinkKey, SignedLink};
use simfuse_domain::verdict::Verdict;
use simfuse_kill_switch::request::{Action, Answer, Details, Found, Outcome, Request, SimAnswer};
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::faulty::{Faulty, Method};
use simfuse_testkit::memory::MemoryTable;

/// What the kill-switch says next.
#[derive(Clone, Copy)]
pub(crate) enum Says {
    Outcome(Outcome, &'static str),
    /// That it would be done, and all that is known of the SIM.
    Details,
    RefusesAll(&'static str),
    NothingOfTheSim,
    Fails,
    Never,
}

/// A kill-switch that says what it is told to, and remembers what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    next: Arc<Mutex<VecDeque<Says>>>,
    /// The same for dry runs.
    next_dry: Arc<Mutex<VecDeque<Says>>>,
    pub(crate) asked: Arc<Mutex<Vec<Request>>>,
    asked_dry: Arc<Mutex<Vec<Request>>>,
    pub(crate) hinted: Arc<Mutex<Vec<SimSid>>>,
}

impl Switch for Scripted {
    async fn ask(&self, request: &Request) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let (asked, next, else_says) = if request.dry_run {
            (&self.asked_dry, &self.next_dry, Says::Outcome(Outcome::Pending, "would be made so"))
        } else {
            (&self.asked, &self.next, Says::Outcome(Outcome::Done, "inactive"))
        };
        asked.lock().unwrap().push(request.clone());
        let next = next.lock().unwrap().pop_front();
        let mut answer = Answer::to(request);
        match next.unwrap_or(else_says) {
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
            Says::Details => answer.sims.push(details(&request.sims[0])),
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

pub(crate) fn fleet() -> FleetSid {
    "HF0123456789abcdef0123456789abcdef".parse().unwrap()
}

pub(crate) fn details(requested: &str) -> SimAnswer {
    let seen: simfuse_domain::device::Imei14 = "35378572000000".parse().unwrap();
    let finding = Finding {
        detector: DetectorId::DeviceNotAllowed,
        about: seen.to_string(),
        at: told_at(),
        evidence: Evidence::Device {
            seen,
            seen_tac: seen.tac(),
            enrolled: Some("86012345000000".parse().unwrap()),
            allowed_tacs: Vec::new(),
        },
    };
    let details = Details {
        verdict: Verdict::Deactivate,
        findings: vec![finding],
        used_bytes: None,
        used_since: None,
        last_incident: None,
        acted: None,
        quarantine: None,
        stage: Some("inactive".to_owned()),
        trouble: None,
        held_by: None,
        protected_by: None,
        frozen_until: None,
        allowed_devices: std::collections::BTreeSet::new(),
        false_alarm_at: None,
        last_event: None,
        next_step: String::new(),
    };
    let reason = "it is inactive, and would be made active, and judged a false alarm, \
                  35378572000000 allowed";
    SimAnswer {
        requested: requested.to_owned(),
        sim: Some(sim()),
        name: None,
        used_bytes: None,
        found: Some(Found { status: SimStatus::Inactive, fleet: Some(fleet()) }),
        outcome: Outcome::Pending,
        reason: reason.to_owned(),
        incident: None,
        details: Some(details),
    }
}

pub(crate) struct Bench {
    pub(crate) table: Faulty<MemoryTable>,
    pub(crate) switch: Scripted,
    pub(crate) clock: ManualClock,
    pub(crate) handler: Handler<Faulty<MemoryTable>, Scripted, ManualClock>,
    calls: Mutex<u32>,
}

/// A page as it arrives.
pub(crate) struct Shown {
    pub(crate) status: i64,
    pub(crate) html: String,
    pub(crate) headers: aws_lambda_events::http::HeaderMap,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let table = Faulty::new(MemoryTable::new());
        let (switch, clock) = (Scripted::default(), ManualClock::new(told_at()));
        let handler = Handler::new(table.clone(), switch.clone(), clock.clone(), key());
        Self { table, switch, clock, handler, calls: Mutex::default() }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<String>) -> Shown {
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

    pub(crate) async fn get(&self, token: &str) -> Shown {
        self.call("GET", &format!("/link/{token}"), None).await
    }

    pub(crate) async fn post(&self, token: &str) -> Shown {
        self.call("POST", &format!("/link/{token}"), None).await
    }

    pub(crate) fn says(&self, says: impl IntoIterator<Item = Says>) {
        self.switch.next.lock().unwrap().extend(says);
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.switch.asked.lock().unwrap().clone()
    }

    pub(crate) fn says_dry(&self, says: Says) {
        self.switch.next_dry.lock().unwrap().push_back(says);
    }

    pub(crate) fn asked_dry(&self) -> Vec<Request> {
        self.switch.asked_dry.lock().unwrap().clone()
    }

    /// Nothing was asked of the kill-switch, and the link still works.
    pub(crate) async fn check_nothing_happened(&self, token: &str) {
        assert_eq!(self.asked(), []);
        assert_eq!(self.table.calls(Method::Claim), 0);
        assert_eq!(self.post(token).await.status, 200, "the link still works");
    }
}

pub(crate) fn request(method: &str, path: &str, body: Option<String>) -> LambdaFunctionUrlRequest {
    let mut request = LambdaFunctionUrlRequest::default();
    request.raw_path = Some(path.to_owned());
    request.request_context.http.method = Some(method.to_owned());
    request.body = body;
    request
}

pub(crate) fn key() -> LinkKey {
    LinkKey::new(&[7; 32]).unwrap()
}

pub(crate) fn told_at() -> Timestamp {
    "2026-03-01T14:00:00Z".parse().unwrap()
}

pub(crate) fn sim() -> SimSid {
    SimSid::from_bytes([1; 16])
}

pub(crate) fn link(act: LinkAct, name: &str) -> SignedLink {
    let incident = Incident::open(sim(), name.to_owned(), None, told_at());
    let pending = PendingAlert {
        number: 1,
        kind: AlertKind::Killed,
        at: told_at(),
        fleet: None,
        by_human: false,
        is_protected: false,
    };
    SignedLink::of(act, &incident, &pending)
}

pub(crate) fn token(act: LinkAct) -> String {
    key().sign(&link(act, "pump-17"))
}

pub(crate) const ACTS: [(LinkAct, Action, &str); 4] = [
    (LinkAct::Deactivate, Action::Deactivate, "kill"),
    (LinkAct::Approve, Action::Approve, "approve"),
    (LinkAct::Restore, Action::Restore, "restore"),
    (LinkAct::FalseAlarm, Action::FalseAlarm, "false-alarm"),
];
