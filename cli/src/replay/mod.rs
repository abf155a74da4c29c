//! `simfuse replay`: recorded events through the webhook's own handler.

pub(crate) mod input;
mod meter;
mod recorder;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;
use simfuse_domain::event::Event;
use simfuse_domain::finding::{Evidence, Finding};
use simfuse_domain::id::SimSid;
use simfuse_domain::policy::{DEFAULT, Policy};
use simfuse_domain::port::Clock as _;
use simfuse_domain::verdict::Verdict;
use simfuse_supersim::Provider;
use simfuse_supersim::envelope::{self, Decoded};
use simfuse_supersim::secret::WebhookSecrets;
use simfuse_supersim::signature::{sign_kore, sign_twilio};
use simfuse_webhook::handler::Handler;
use simfuse_webhook::intake::{Intake, Receipt, Tally};

use crate::args::ReplayArgs;
use crate::countries;
use crate::error::CliError;
use crate::local::http::function_url_request;
use crate::local::{FixedSecrets, LocalTable, random_secret};
use crate::output::{self, Output};
use crate::progress::Progress;
use input::Element;
use meter::{Meter, Used};
use recorder::Recorder;

/// Events in one body.
const BATCH: usize = 50;

/// The URL that replayed bodies are signed for; nothing is sent there.
const URL: &str = "http://127.0.0.1/events";

/// Nobody waits for the answer to a replayed body.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// A webhook that does not answer within this time is down: the provider waits for 15 s at most.
const POST_TIMEOUT: Duration = Duration::from_secs(20);

/// SIMs printed as text; `--json` has them all.
const SIMS_PRINTED_MAX: usize = 40;

#[derive(Debug, Clone, Copy, Serialize)]
struct Events {
    read: usize,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Debug, Serialize)]
struct Report {
    events: Events,
    sims: Vec<SimReport>,
}

#[derive(Debug, Serialize)]
struct SimReport {
    sim: SimSid,
    verdict: Verdict,
    findings: Vec<FindingReport>,
    bytes: Used,
}

#[derive(Debug, Serialize)]
struct FindingReport {
    detector: String,
    about: String,
    at: Timestamp,
    evidence: Evidence,
    sentence: String,
}

/// Runs the command.
pub(crate) async fn run(args: ReplayArgs, output: Output) -> Result<u8, CliError> {
    let texts: Vec<Vec<u8>> =
        args.files.iter().map(|path| input::read(path)).collect::<Result<_, _>>()?;
    let mut elements = Vec::new();
    let mut whole = true;
    for (path, text) in args.files.iter().zip(&texts) {
        let found = input::split(text);
        if let Some(error) = found.cut_off {
            output::note(&format!("{}: not read to its end: {error}", path.display()));
            whole = false;
        }
        elements.extend(found.elements);
    }
    let read = elements.len();
    let mut meter = Meter::default();
    let bodies = bodies(&elements, &args, &mut meter);
    if let Some(url) = &args.to {
        let secret = SecretString::from(args.secret.unwrap_or_default());
        let tally = post(url, args.provider.into(), &secret, &bodies).await?;
        let events = Events { read, tally };
        output.print(&serde_json::json!({ "events": events }), || summary(&events));
        whole &= says_something(&events);
    } else {
        let policy = policy_of(args.policy.as_deref())?;
        let (tally, mut found) = decide(&policy, &bodies).await?;
        let sims = meter.used().into_iter();
        let sims = sims.map(|(sim, used)| sim_report(sim, used, found.remove(&sim))).collect();
        let report = Report { events: Events { read, tally }, sims };
        output.print(&report, || text(&report));
        whole &= says_something(&report.events);
    }
    Ok(u8::from(!whole))
}

/// Whether anything was an event; says so where all was set aside: that is some other file.
fn says_something(events: &Events) -> bool {
    let is_garbage = events.read > 0 && events.tally.dead_lettered >= events.read;
    if is_garbage {
        let read = events.read;
        output::note(&format!(
            "simfuse: none of the {read} records is an event: all were set aside, and nothing was \
             judged"
        ));
    }
    !is_garbage
}

/// The policy of a file, or the default.
pub(crate) fn policy_of(path: Option<&Path>) -> Result<Policy, CliError> {
    let (path, text) = match path {
        None => ("the compiled-in policy".to_owned(), DEFAULT.as_bytes().to_vec()),
        Some(path) => (path.display().to_string(), input::read(path)?),
    };
    let utf8 = String::from_utf8(text).map_err(|error| CliError::File {
        path: path.clone(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
    })?;
    let policy = utf8.parse().and_then(countries::assigned);
    policy.map_err(|source| CliError::Policy { path, source })
}

/// Bodies as the provider would send them, in the order of event time unless asked otherwise. What
/// is not JSON goes alone, so that it costs no other.
fn bodies(elements: &[Element<'_>], args: &ReplayArgs, meter: &mut Meter) -> Vec<Vec<u8>> {
    let mut latest = Timestamp::MIN;
    let mut timed: Vec<(Timestamp, &Element<'_>)> = Vec::with_capacity(elements.len());
    for element in elements {
        // What has no time stays behind the element before it.
        if let Some(event) = event_of(element) {
            latest = event.at;
            meter.add(&event);
        }
        timed.push((latest, element));
    }
    if !args.as_is {
        timed.sort_by_key(|(at, _)| *at);
    }
    let mut bodies = Vec::new();
    let mut batch: Vec<&str> = Vec::new();
    let flush = |batch: &mut Vec<&str>, bodies: &mut Vec<Vec<u8>>| {
        if !batch.is_empty() {
            bodies.push(format!("[{}]", batch.join(",")).into_bytes());
            batch.clear();
        }
    };
    for (_, element) in timed {
        match element {
            Element::Value(value) => batch.push(value),
            Element::Text(text) => {
                flush(&mut batch, &mut bodies);
                bodies.push(text.to_vec());
            }
        }
        if batch.len() == BATCH {
            flush(&mut batch, &mut bodies);
        }
    }
    flush(&mut batch, &mut bodies);
    bodies
}

fn event_of(element: &Element<'_>) -> Option<Event> {
    let Element::Value(value) = element else { return None };
    let mut found = None;
    envelope::decode(value.as_bytes(), |decoded| {
        if let Decoded::Event(event) = decoded {
            found = Some(event);
        }
    });
    found
}

/// What was found of each SIM, and what policy ruled, at most.
type Found = BTreeMap<SimSid, (Verdict, Vec<Finding>)>;

/// Sends the bodies to the handler, on an empty table.
async fn decide(policy: &Policy, bodies: &[Vec<u8>]) -> Result<(Tally, Found), CliError> {
    let local = LocalTable::start_unstreamed(policy, simfuse_aws::SystemClock.now()).await?;
    let recorder = Recorder::new(local.table, policy.clone());
    let secret = random_secret();
    let fault = CliError::local("making a secret");
    let json = serde_json::json!({ "auth_token": secret }).to_string();
    let secrets = WebhookSecrets::from_json(Provider::Twilio, &json);
    let secrets = FixedSecrets(secrets.map_err(|error| fault(error.into()))?);
    let intake = Intake::new(recorder.clone(), Receipt::EventTime);
    let clock = Arc::new(simfuse_aws::SystemClock);
    let handler = Handler::new(intake, secrets, clock, Provider::Twilio, Some(URL.to_owned()));
    let handler = handler.answering_within(ANSWER_WITHIN);
    let secret = SecretString::from(secret);
    let progress = progress(bodies.len());
    let mut sum = Tally::default();
    for body in bodies {
        let (url, signature) = sign_twilio(&secret, URL, body);
        let mut headers = HeaderMap::new();
        let header = HeaderValue::from_str(&signature);
        headers.insert("x-twilio-signature", header.map_err(|error| fault(error.into()))?);
        let uri: Uri =
            url.parse().map_err(|error: axum::http::uri::InvalidUri| fault(error.into()))?;
        let request = function_url_request(&Method::POST, &uri, headers, body);
        let answer = handler.handle(request).await;
        let answered = answer.body.unwrap_or_default();
        if answer.status_code != 200 {
            let status = answer.status_code;
            return Err(CliError::Remote(format!("the webhook answered {status}: {answered}")));
        }
        sum = plus(sum, &answered)?;
        progress.advance();
    }
    progress.finish();
    Ok((sum, recorder.found()))
}

/// Posts the bodies to a running webhook.
async fn post(
    url: &str,
    provider: Provider,
    secret: &SecretString,
    bodies: &[Vec<u8>],
) -> Result<Tally, CliError> {
    let fault = CliError::local(&format!("posting to {url}"));
    let client = reqwest::Client::builder().no_proxy().timeout(POST_TIMEOUT).build();
    let client = client.map_err(|error| fault(error.into()))?;
    let progress = progress(bodies.len());
    let mut sum = Tally::default();
    for body in bodies {
        let (url, signature) = match provider {
            Provider::Twilio => sign_twilio(secret, url, body),
            Provider::Kore => (url.to_owned(), sign_kore(secret, "POST", url, body)),
        };
        let request = client.post(url).header(provider.signature_header(), signature);
        let request = request.header("content-type", "application/json").body(body.clone());
        let answer = request.send().await.map_err(|error| fault(error.into()))?;
        let status = answer.status();
        let answered = answer.text().await.map_err(|error| fault(error.into()))?;
        if !status.is_success() {
            return Err(CliError::Remote(format!("the webhook answered {status}: {answered}")));
        }
        sum = plus(sum, &answered)?;
        progress.advance();
    }
    progress.finish();
    Ok(sum)
}

fn plus(sum: Tally, answered: &str) -> Result<Tally, CliError> {
    let tally: Tally = serde_json::from_str(answered).map_err(|error| {
        CliError::Remote(format!("the webhook answered what cannot be read: {error}"))
    })?;
    Ok(Tally {
        applied: sum.applied + tally.applied,
        late: sum.late + tally.late,
        dead_lettered: sum.dead_lettered + tally.dead_lettered,
        ignored: sum.ignored + tally.ignored,
    })
}

fn sim_report(sim: SimSid, bytes: Used, found: Option<(Verdict, Vec<Finding>)>) -> SimReport {
    let (verdict, mut findings) = found.unwrap_or((Verdict::Clear, Vec::new()));
    findings.sort_by_key(|finding| (finding.at, finding.key()));
    let findings = findings.into_iter().map(|finding| FindingReport {
        sentence: finding.to_string(),
        detector: finding.detector.to_string(),
        about: finding.about,
        at: finding.at,
        evidence: finding.evidence,
    });
    SimReport { sim, verdict, findings: findings.collect(), bytes }
}

fn progress(bodies: usize) -> Progress {
    Progress::of(u64::try_from(bodies).unwrap_or(u64::MAX), "batches")
}

fn summary(events: &Events) -> String {
    let Events { read, tally } = events;
    format!(
        "{read} events read: {} applied, {} late, {} set aside, {} ignored (tests, unknown types)\n",
        tally.applied, tally.late, tally.dead_lettered, tally.ignored
    )
}

fn text(report: &Report) -> String {
    let mut text = summary(&report.events);
    let mut sims: Vec<&SimReport> = report.sims.iter().collect();
    sims.sort_by_key(|sim| std::cmp::Reverse((sim.verdict, sim.bytes.total)));
    let mut table = output::narrow_table(["SIM", "verdict", "used", "why"]);
    for sim in sims.iter().take(SIMS_PRINTED_MAX) {
        let why = sim
            .findings
            .iter()
            .map(|finding| format!("{} {}: {}", finding.at, finding.detector, finding.sentence));
        let why = why.collect::<Vec<_>>().join("\n");
        let used = simfuse_domain::bytes::Bytes(sim.bytes.total).to_string();
        table.add_row([sim.sim.to_string(), sim.verdict.to_string(), used, why]);
    }
    if !sims.is_empty() {
        text.push_str(&format!("{table}\n"));
    }
    if sims.len() > SIMS_PRINTED_MAX {
        let more = sims.len() - SIMS_PRINTED_MAX;
        text.push_str(&format!("… and {more} more SIMs; --json has them all\n"));
    }
    text
}
