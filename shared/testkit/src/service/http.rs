//! The service's HTTP surface: what a request is, who may make it, and what it is answered.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::Router;
use axum::extract::{Form, FromRequest, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{Sim, SimStatus};

use super::answer::{Answer, ApiError, Page, page_json, sim_json};
use super::fault::{Fault, LateAnswer, Requests};
use super::journal;
use super::sim::{Behaviour, Effect};
use super::{ServiceConfig, State as ServiceState, SuperSimService, TOKEN_SECS};
use crate::time;

/// Sims on a page where the request does not say, and at most (OpenAPI description).
const PAGE_SIZE: usize = 50;
const PAGE_SIZE_MAX: usize = 1000;

pub(super) fn router(service: SuperSimService) -> Router {
    Router::new()
        .route("/v1/Sims", any(handle))
        .route("/v1/Sims/{name}", any(handle))
        .fallback(handle)
        .with_state(service)
}

/// One request, read and not yet judged.
struct Call {
    method: Method,
    path: String,
    /// The `{name}` of `/v1/Sims/{name}`, decoded.
    name: Option<String>,
    query: String,
    form: BTreeMap<String, String>,
    authorization: String,
    origin: String,
}

/// What a client gets to see.
enum Outcome {
    Answer(Answer),
    Silence,
}

async fn handle(
    State(service): State<SuperSimService>,
    name: Option<Path<String>>,
    request: Request,
) -> Response {
    let call = Call::read(name.map(|Path(name)| name), request).await;
    let (id, outcome) = service.receive(&call);
    match outcome {
        Outcome::Answer(answer) => {
            service.lock().journal.answered(id, answer.status.as_u16());
            answer.into_response()
        }
        Outcome::Silence => std::future::pending().await,
    }
}

impl Call {
    /// Reads the form of a POST, or the query of a GET. What is neither counts as no field at all,
    /// as the provider ignores a JSON body.
    async fn read(name: Option<String>, request: Request) -> Self {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let header = |headers: &HeaderMap, name| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let authorization = header(request.headers(), header::AUTHORIZATION);
        let origin = format!("http://{}", header(request.headers(), header::HOST));
        let form = match Form::<Vec<(String, String)>>::from_request(request, &()).await {
            Ok(Form(fields)) => fields.into_iter().collect(),
            Err(_not_a_form) => BTreeMap::new(),
        };
        Self { method, path, name, query, form, authorization, origin }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }

    fn is_token_request(&self) -> bool {
        self.path == "/api-services/v1/auth/token"
    }

    fn kind(&self) -> Requests {
        if self.is_token_request() {
            Requests::Tokens
        } else if self.method == Method::POST && self.form.contains_key("Status") {
            Requests::StatusUpdates
        } else {
            Requests::Reads
        }
    }
}

/// What an update of a Sim asks for, checked against the Sim.
struct Update {
    status: Option<SimStatus>,
    /// The inner `None` takes the Sim out of its Fleet.
    fleet: Option<Option<FleetSid>>,
    unique_name: Option<String>,
}

impl SuperSimService {
    fn receive(&self, call: &Call) -> (journal::RequestId, Outcome) {
        let arrived = Instant::now();
        let now = self.shared.clock.now();
        let config = &self.shared.config;
        let mut state = self.lock();
        state.settle(now);
        let sim = state.named(call);
        let id = state.journal.arrived(journal::Request {
            at: now,
            arrived,
            method: call.method.to_string(),
            path: call.path.clone(),
            sim,
            form: call.form.clone(),
            answer: None,
        });
        (id, state.decide(config, call, sim, now))
    }
}

impl ServiceState {
    /// The SIM that a request names.
    fn named(&self, call: &Call) -> Option<SimSid> {
        match (&call.name, call.field("Iccid")) {
            (Some(name), _) => self.by_name(name),
            (None, Some(iccid)) => {
                let is_it = |iccid_of: &str| iccid_of == iccid;
                let mut sims = self.sims.values();
                let found = sims.find(|record| {
                    record.sim.iccid.is_some_and(|iccid_of| is_it(&iccid_of.to_string()))
                });
                found.map(|record| record.sim.sid)
            }
            (None, None) => None,
        }
    }

    /// Who asks comes first, then the faults, then the request itself.
    fn decide(
        &mut self,
        config: &ServiceConfig,
        call: &Call,
        sim: Option<SimSid>,
        now: Timestamp,
    ) -> Outcome {
        if !call.is_token_request()
            && let Err(refused) = self.authenticate(config, call, now)
        {
            return Outcome::Answer(refused);
        }
        let answer = match self.faults.take(call.kind(), sim) {
            None => self.route(config, call, sim, now),
            Some(Fault::Status(status)) => ApiError::injected(status).into(),
            Some(Fault::Code83010) => {
                let from = sim.and_then(|sim| self.sims.get(&sim)).map(|record| record.sim.status);
                let from = from.unwrap_or(SimStatus::Unknown);
                let to = call.field("Status").and_then(status_named);
                ApiError::transition_not_allowed(from, to.unwrap_or(SimStatus::Unknown)).into()
            }
            Some(Fault::Hang) => return Outcome::Silence,
            Some(Fault::LateEffect { after, answer }) => {
                match self.update_late(sim, call, time::later(now, after)) {
                    Err(refused) => refused.into(),
                    Ok(()) if answer == LateAnswer::Silence => return Outcome::Silence,
                    Ok(()) => ApiError::injected(500).into(),
                }
            }
            Some(Fault::Lie) => self.update(config, call, sim, now, Effect::Pretended),
        };
        Outcome::Answer(answer)
    }

    fn route(
        &mut self,
        config: &ServiceConfig,
        call: &Call,
        sim: Option<SimSid>,
        now: Timestamp,
    ) -> Answer {
        if call.is_token_request() {
            return self.issue_token(config, call, now);
        }
        match (&call.method, &call.name) {
            (&Method::GET, Some(_)) => self.fetch(config, call, sim),
            (&Method::POST, Some(_)) => self.update(config, call, sim, now, Effect::Real),
            (&Method::GET, None) if call.path == "/v1/Sims" => {
                self.list(config, call).unwrap_or_else(Answer::from)
            }
            (_, None) if call.path != "/v1/Sims" => ApiError::not_found(&call.path).into(),
            _ => ApiError::method_not_allowed().into(),
        }
    }

    /// Basic with the account's token, as on Twilio, or a bearer token issued here, as on KORE; each
    /// refuses in its own words.
    fn authenticate(
        &self,
        config: &ServiceConfig,
        call: &Call,
        now: Timestamp,
    ) -> Result<(), Answer> {
        if let Some(token) = call.authorization.strip_prefix("Bearer ") {
            let description = "Invalid or expired token";
            let body = json!({ "error": "unauthorized_client", "error_description": description });
            return match self.tokens.get(token) {
                Some(expires) if *expires > now => Ok(()),
                _ => Err(Answer::new(StatusCode::UNAUTHORIZED, body)),
            };
        }
        let account = format!("{}:{}", config.account_sid, config.auth_token);
        if call.authorization == format!("Basic {}", BASE64.encode(account)) {
            Ok(())
        } else {
            Err(ApiError::unauthorized().into())
        }
    }

    fn issue_token(&mut self, config: &ServiceConfig, call: &Call, now: Timestamp) -> Answer {
        if call.method != Method::POST {
            return ApiError::method_not_allowed().into();
        }
        if call.field("grant_type") != Some("client_credentials") {
            let body = json!({ "error": "unsupported_grant_type" });
            return Answer::new(StatusCode::BAD_REQUEST, body);
        }
        let client = (call.field("client_id"), call.field("client_secret"));
        if client != (Some(&config.client_id), Some(&config.client_secret)) {
            let description = "Invalid client or Invalid client credentials";
            let body = json!({ "error": "invalid_client", "error_description": description });
            return Answer::new(StatusCode::UNAUTHORIZED, body);
        }
        self.tokens.retain(|_, expires| *expires > now);
        self.tokens_issued = self.tokens_issued.saturating_add(1);
        let token = format!("simulated-{}", self.tokens_issued);
        self.tokens.insert(token.clone(), time::later_secs(now, TOKEN_SECS));
        Answer::ok(json!({
            "access_token": token, "expires_in": TOKEN_SECS, "token_type": "Bearer", "scope": "",
        }))
    }

    fn fetch(&self, config: &ServiceConfig, call: &Call, sim: Option<SimSid>) -> Answer {
        match sim.and_then(|sim| self.sims.get(&sim)) {
            Some(record) => Answer::ok(sim_json(record, &config.account_sid, &call.origin)),
            None => ApiError::not_found(&call.path).into(),
        }
    }

    fn list(&self, config: &ServiceConfig, call: &Call) -> Result<Answer, ApiError> {
        let page = page(call)?;
        let status = call.field("Status").map(|text| status_named(text).ok_or("Status"));
        let status = status.transpose().map_err(ApiError::bad_parameter)?;
        let fleet = call.field("Fleet").map(|name| self.fleet_named(name));
        let iccid = call.field("Iccid").map(|_| self.named(call));
        let found: Vec<_> = self
            .sims
            .values()
            .filter(|record| status.is_none_or(|status| record.sim.status == status))
            .filter(|record| fleet.is_none_or(|fleet| fleet.is_some() && record.sim.fleet == fleet))
            .filter(|record| iccid.is_none_or(|sim| sim == Some(record.sim.sid)))
            .collect();
        let json = |record: &&_| sim_json(record, &config.account_sid, &call.origin);
        let sims: Vec<Value> = found.iter().skip(page.first()).take(page.size).map(json).collect();
        let base = format!("{}/v1/Sims", call.origin);
        Ok(Answer::ok(page_json(&sims, found.len(), page, &base, &call.query)))
    }

    fn update(
        &mut self,
        config: &ServiceConfig,
        call: &Call,
        sim: Option<SimSid>,
        now: Timestamp,
        effect: Effect,
    ) -> Answer {
        match self.checked_update(sim, call) {
            Err(refused) => refused.into(),
            Ok((sim, update)) => self.apply(sim, update, now, effect).map_or_else(
                || ApiError::not_found(&call.path).into(),
                |status| {
                    let mut answer = self.fetch(config, call, Some(sim));
                    answer.status = status;
                    answer
                },
            ),
        }
    }

    /// Does what is asked; a change of status that is not settled at once is `Accepted` (202).
    fn apply(
        &mut self,
        sim: SimSid,
        update: Update,
        now: Timestamp,
        effect: Effect,
    ) -> Option<StatusCode> {
        let record = self.sims.get_mut(&sim)?;
        record.updated = now;
        record.sim.fleet = update.fleet.unwrap_or(record.sim.fleet);
        if update.unique_name.is_some() {
            record.sim.unique_name = update.unique_name.filter(|name| !name.is_empty());
        }
        let Some(target) = update.status else { return Some(StatusCode::OK) };
        record.change_status(target, now, effect);
        Some(match record.behaviour {
            Behaviour::CutAtOnce => StatusCode::OK,
            Behaviour::AtNextAttach | Behaviour::Scheduled { .. } => StatusCode::ACCEPTED,
        })
    }

    fn update_late(
        &mut self,
        sim: Option<SimSid>,
        call: &Call,
        due: Timestamp,
    ) -> Result<(), ApiError> {
        let (sim, update) = self.checked_update(sim, call)?;
        if let (Some(record), Some(target)) = (self.sims.get_mut(&sim), update.status) {
            record.change_status_late(target, due);
        }
        Ok(())
    }

    /// Reads an update and checks all of it before any of it is done.
    fn checked_update(
        &self,
        sim: Option<SimSid>,
        call: &Call,
    ) -> Result<(SimSid, Update), ApiError> {
        let record = sim.and_then(|sim| self.sims.get(&sim));
        let record = record.ok_or_else(|| ApiError::not_found(&call.path))?;
        let status = call.field("Status").map(|text| status_named(text).ok_or("Status"));
        let status = status.transpose().map_err(ApiError::bad_parameter)?;
        if status == Some(SimStatus::Scheduled) {
            return Err(ApiError::bad_parameter("Status"));
        }
        if let Some(target) = status {
            record.check_transition(target)?;
        }
        let fleet = self.checked_fleet(&record.sim, status, call)?;
        let unique_name = call.field("UniqueName").map(str::to_owned);
        let holder = unique_name.as_deref().and_then(|name| self.by_name(name));
        if holder.is_some_and(|holder| holder != record.sim.sid) {
            return Err(ApiError::unique_name_taken());
        }
        Ok((record.sim.sid, Update { status, fleet, unique_name }))
    }

    /// The Fleet that an update asks for. An empty name takes the Sim out of its Fleet, which one
    /// that may connect has to keep; moving to another Fleet is always possible.
    fn checked_fleet(
        &self,
        sim: &Sim,
        status: Option<SimStatus>,
        call: &Call,
    ) -> Result<Option<Option<FleetSid>>, ApiError> {
        let wanted = match call.field("Fleet") {
            None => None,
            Some("") => Some(None),
            Some(name) => Some(Some(self.fleet_named(name).ok_or_else(ApiError::fleet_unknown)?)),
        };
        if wanted.is_some() && sim.status == SimStatus::Scheduled {
            return Err(ApiError::fleet_fixed_while_scheduled());
        }
        let may_connect =
            matches!(status.unwrap_or(sim.status), SimStatus::Ready | SimStatus::Active);
        if may_connect && wanted.unwrap_or(sim.fleet).is_none() {
            let leaves = sim.fleet.is_some();
            return Err(if leaves { ApiError::fleet_kept() } else { ApiError::fleet_needed() });
        }
        Ok(wanted)
    }
}

/// A status by its name; `None` for what is none.
fn status_named(text: &str) -> Option<SimStatus> {
    Some(match text {
        "new" => SimStatus::New,
        "ready" => SimStatus::Ready,
        "active" => SimStatus::Active,
        "inactive" => SimStatus::Inactive,
        "scheduled" => SimStatus::Scheduled,
        _ => return None,
    })
}

fn page(call: &Call) -> Result<Page, ApiError> {
    let number = |name, default| match call.field(name).map(str::parse::<usize>) {
        None => Ok(default),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(ApiError::bad_parameter(name)),
    };
    let page = Page { number: number("Page", 0)?, size: number("PageSize", PAGE_SIZE)? };
    if (1..=PAGE_SIZE_MAX).contains(&page.size) {
        Ok(page)
    } else {
        Err(ApiError::bad_parameter("PageSize"))
    }
}
