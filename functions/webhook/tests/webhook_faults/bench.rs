//! A handler on a table in memory, the events that SIMs cause, and the provider who signs them.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, Mutex};

use aws_lambda_events::lambda_function_urls::{
    LambdaFunctionUrlRequest, LambdaFunctionUrlResponse,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use simfuse_domain::id::SimSid;
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    DeadLetters, Heartbeat, NewsFeed, Policies, States, StoredState, Usages,
};
use simfuse_supersim::Provider;
use simfuse_supersim::secret::WebhookSecrets;
use simfuse_supersim::signature::{sign_kore, sign_twilio};
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::faulty::Faulty;
use simfuse_testkit::memory::MemoryTable;
use simfuse_webhook::handler::{Handler, Secrets};
use simfuse_webhook::intake::{Intake, Receipt, Tally};

pub(crate) const BOTH: [Provider; 2] = [Provider::Twilio, Provider::Kore];
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const DOMAIN: &str = "abcdefghij.lambda-url.us-east-1.on.aws";
/// The function's own URL.
pub(crate) const URL: &str = "https://abcdefghij.lambda-url.us-east-1.on.aws/";
/// When the tests begin; events happen up to it.
pub(crate) const START: &str = "2026-03-01T14:00:00Z";

/// 10 kB in an hour are too much, and a human is told.
pub(crate) const POLICY: &str = "version = 1\n[limits]\nhour_mb = 0.009\nday_mb = 0.02\n";

/// The secret, as it is now; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct TestSecrets(Arc<Mutex<Stored>>);

#[derive(Debug)]
struct Stored {
    provider: Provider,
    /// `None` while the store cannot be reached.
    current: Option<Value>,
    fetched: usize,
}

impl TestSecrets {
    pub(crate) fn new(provider: Provider) -> Self {
        let current = Some(json!(SECRET));
        Self(Arc::new(Mutex::new(Stored { provider, current, fetched: 0 })))
    }

    pub(crate) fn set(&self, current: Option<Value>) {
        self.0.lock().unwrap().current = current;
    }

    pub(crate) fn fetched(&self) -> usize {
        self.0.lock().unwrap().fetched
    }
}

impl Secrets for TestSecrets {
    async fn fetch(&self) -> Result<WebhookSecrets, Box<dyn Error + Send + Sync>> {
        let mut stored = self.0.lock().unwrap();
        stored.fetched += 1;
        let secret = stored.current.clone().ok_or("the store of secrets is down")?;
        let json = json!({ "auth_token": secret, "webhook_secret": secret }).to_string();
        Ok(WebhookSecrets::from_json(stored.provider, &json)?)
    }
}

pub(crate) type TestHandler<T> = Handler<T, TestSecrets, ManualClock>;

/// One handler, and all that it works on.
pub(crate) struct Bench {
    pub(crate) memory: MemoryTable,
    pub(crate) table: Faulty<MemoryTable>,
    pub(crate) clock: ManualClock,
    pub(crate) secrets: TestSecrets,
    pub(crate) provider: Provider,
    pub(crate) handler: TestHandler<Faulty<MemoryTable>>,
}

impl Bench {
    pub(crate) async fn new(provider: Provider) -> Self {
        Self::with(provider, Receipt::Live, None).await
    }

    pub(crate) async fn with(
        provider: Provider,
        receipt: Receipt,
        public_url: Option<&str>,
    ) -> Self {
        let memory = MemoryTable::new();
        memory.apply_policy(&POLICY.parse::<Policy>().unwrap()).await.unwrap();
        let table = Faulty::new(memory.clone());
        let clock = ManualClock::new(at(0));
        let secrets = TestSecrets::new(provider);
        let intake = Intake::new(table.clone(), receipt);
        let public_url = public_url.map(str::to_owned);
        let handler = Handler::new(intake, secrets.clone(), clock.clone(), provider, public_url);
        Self { memory, table, clock, secrets, provider, handler }
    }

    /// Posts a rightly signed body.
    pub(crate) async fn post(&self, body: &[u8]) -> Answer {
        self.handler.handle(signed(self.provider, SECRET, URL, body)).await.into()
    }

    pub(crate) async fn send(&self, request: LambdaFunctionUrlRequest) -> Answer {
        self.handler.handle(request).await.into()
    }

    pub(crate) fn pass(&self, secs: i64) -> Timestamp {
        self.clock.advance(SignedDuration::from_secs(secs))
    }

    pub(crate) async fn stored(&self, number: u8) -> Option<StoredState> {
        stored(&self.memory, sim(number)).await
    }
}

/// A handler on another table, with the secret of all tests, half a day later.
pub(crate) fn handler_on<T>(table: T, provider: Provider) -> TestHandler<T>
where
    T: States + Usages + DeadLetters + Heartbeat + Policies + NewsFeed,
{
    let intake = Intake::new(table, Receipt::Live);
    let clock = ManualClock::new(at(12 * 3_600));
    Handler::new(intake, TestSecrets::new(provider), clock, provider, None)
}

pub(crate) async fn stored(table: &impl States, sim: SimSid) -> Option<StoredState> {
    table.read_states(&[sim]).await.unwrap().remove(&sim)
}

/// An answer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: i64,
    /// What a 200 says; nothing else has one.
    pub(crate) tally: Option<Tally>,
}

impl From<LambdaFunctionUrlResponse> for Answer {
    fn from(response: LambdaFunctionUrlResponse) -> Self {
        let body = response.body.unwrap_or_default();
        let tally = serde_json::from_str(&body).ok();
        Self { status: response.status_code, tally }
    }
}

impl Answer {
    /// Applied, late, dead letters, ignored.
    pub(crate) fn counts(&self) -> (i64, [usize; 4]) {
        let tally = self.tally.unwrap_or_default();
        (self.status, [tally.applied, tally.late, tally.dead_lettered, tally.ignored])
    }
}

pub(crate) fn at(secs: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(secs)
}

pub(crate) fn sim(number: u8) -> SimSid {
    SimSid::from_bytes([number; 16])
}

/// The n-th SIM's n-th report of 10 kB over its one session, six minutes after the one before; the
/// first ends an hour before the start.
pub(crate) fn update(provider: Provider, number: u8, report: i64) -> Value {
    let end = at(-3_600 + report * 360);
    let start = at(-3_960 + report * 360);
    let path = match provider {
        Provider::Twilio => "twilio",
        Provider::Kore => "kore",
    };
    let mut body = fixture(&format!("{path}/data-session.updated.json"));
    let event = &mut body[0];
    let id = format!("EZ{:032x}", u128::from(number) << 64 | u128::try_from(report).unwrap());
    event["id"] = json!(id);
    event["time"] = json!(end);
    let total = 10_000 * (report + 1);
    for (key, value) in [
        ("event_sid", json!(id)),
        ("sim_sid", json!(sim(number))),
        ("timestamp", json!(end)),
        ("data_session_sid", json!(format!("PI{number:032x}"))),
        ("data_session_start_time", json!(at(-3_960))),
        ("data_session_update_start_time", json!(start)),
        ("data_session_update_end_time", json!(end)),
        ("data_upload", json!(5_000)),
        ("data_download", json!(5_000)),
        ("data_total", json!(10_000)),
        ("data_session_data_upload", json!(total / 2)),
        ("data_session_data_download", json!(total / 2)),
        ("data_session_data_total", json!(total)),
    ] {
        event["data"][key] = value;
    }
    event.take()
}

/// The event, at another time, with all that it says about times.
pub(crate) fn moved(mut event: Value, time: &str) -> Value {
    event["time"] = json!(time);
    for key in [
        "timestamp",
        "data_session_start_time",
        "data_session_update_start_time",
        "data_session_update_end_time",
    ] {
        event["data"][key] = json!(time);
    }
    event
}

pub(crate) fn body(events: &[Value]) -> Vec<u8> {
    serde_json::to_vec(events).unwrap()
}

pub(crate) fn fixture(path: &str) -> Value {
    serde_json::from_slice(&fixture_bytes(path)).unwrap()
}

pub(crate) fn fixture_bytes(path: &str) -> Vec<u8> {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
    std::fs::read(format!("{fixtures}/{path}")).unwrap()
}

/// A request as the provider signs it for this URL.
pub(crate) fn signed(
    provider: Provider,
    secret: &str,
    url: &str,
    body: &[u8],
) -> LambdaFunctionUrlRequest {
    let secret = SecretString::from(secret);
    let (url, signature) = match provider {
        Provider::Twilio => sign_twilio(&secret, url, body),
        Provider::Kore => (url.to_owned(), sign_kore(&secret, "POST", url, body)),
    };
    arriving(provider, &url, Some(&signature), body)
}

/// A request as it arrives at the function's own URL, whichever was called.
pub(crate) fn arriving(
    provider: Provider,
    url: &str,
    signature: Option<&str>,
    body: &[u8],
) -> LambdaFunctionUrlRequest {
    let rest = url.split_once("://").unwrap().1;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = place.find('/').map_or("/", |slash| &place[slash..]);
    let mut request = LambdaFunctionUrlRequest::default();
    request.raw_path = Some(path.to_owned());
    request.raw_query_string = Some(query.to_owned());
    request.request_context.domain_name = Some(DOMAIN.to_owned());
    request.request_context.http.method = Some("POST".to_owned());
    if let Some(signature) = signature {
        request.headers.insert(provider.signature_header(), signature.parse().unwrap());
    }
    request.body = Some(STANDARD.encode(body));
    request.is_base64_encoded = true;
    request
}

/// All that a table holds and that must not depend on what went wrong on the way.
pub(crate) type Held = (Vec<Option<(StoredState, Vec<String>)>>, BTreeSet<String>);

pub(crate) async fn held(table: &MemoryTable, sims: u8) -> Held {
    let mut states = Vec::new();
    for number in 0..sims {
        let stored = stored(table, sim(number)).await;
        let mut keys: Vec<String> =
            table.findings(sim(number)).iter().map(|finding| finding.key()).collect();
        keys.sort();
        // How often it was written does depend on it.
        states.push(stored.map(|stored| (StoredState { version: 0, ..stored }, keys)));
    }
    let letters = table.dead_letters().into_iter().map(|letter| letter.sha256).collect();
    (states, letters)
}
