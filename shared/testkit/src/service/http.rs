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
use serde_json::json;
use simfuse_domain::id::SimSid;
use simfuse_domain::port::SimStatus;

use super::answer::{Answer, ApiError};
use super::fault::{Fault, LateAnswer, Requests};
use super::journal;
use super::sim::Effect;
use super::sims::status_named;
use super::{ServiceConfig, State as ServiceState, SuperSimService, TOKEN_SECS};
use crate::time;

pub(super) fn router(service: SuperSimService) -> Router {
    // The routes are there for the names, which they decode.
    Router::new()
        .route("/v1/Sims/{name}", any(handle))
        .route("/v1/Sims/{name}/BillingPeriods", any(handle))
        .route("/v1/Fleets/{name}", any(handle))
        .fallback(handle)
        .with_state(service)
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Resource {
    Token,
    Sims,
    Sim(String),
    BillingPeriods(String),
    Fleets,
    Fleet(String),
    Networks,
    UsageRecords,
    Unknown,
}

impl Resource {
    fn of(path: &str, name: Option<String>) -> Self {
        match (path, name) {
            ("/api-services/v1/auth/token", None) => Self::Token,
            ("/v1/Sims", None) => Self::Sims,
            ("/v1/Fleets", None) => Self::Fleets,
            ("/v1/Networks", None) => Self::Networks,
            ("/v1/UsageRecords", None) => Self::UsageRecords,
            (path, Some(name)) if path.starts_with("/v1/Fleets/") => Self::Fleet(name),
            // A name is one segment: a slash in it is encoded.
            (path, Some(name)) if path.split('/').count() == 5 => Self::BillingPeriods(name),
            (_, Some(name)) => Self::Sim(name),
            (_, None) => Self::Unknown,
        }
    }

    /// Its methods, as the header `Allow` lists them.
    fn methods(&self) -> &'static str {
        match self {
            Self::Token => "POST",
            Self::Sim(_) | Self::Fleet(_) => "GET, POST",
            _ => "GET",
        }
    }
}

/// One request, read and not yet judged.
pub(super) struct Call {
    method: Method,
    pub(super) path: String,
    resource: Resource,
    pub(super) query: String,
    form: BTreeMap<String, String>,
    authorization: String,
    /// Scheme, host and port that links are made with.
    pub(super) origin: String,
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
    let mut call = Call::read(name.map(|Path(name)| name), request).await;
    if let Some(origin) = &service.lock().public_origin {
        call.origin.clone_from(origin);
    }
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
        let resource = Resource::of(&path, name);
        Self { method, path, resource, query, form, authorization, origin }
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }

    fn kind(&self) -> Requests {
        match (&self.resource, &self.method) {
            (Resource::Token, _) => Requests::Tokens,
            (Resource::Fleet(_), &Method::POST) => Requests::FleetUpdates,
            (_, &Method::POST) if self.form.contains_key("Status") => Requests::StatusUpdates,
            (_, &Method::POST) if self.form.contains_key("Fleet") => Requests::Moves,
            (Resource::UsageRecords, _) => Requests::Usage,
            _ => Requests::Reads,
        }
    }
}

impl SuperSimService {
    fn receive(&self, call: &Call) -> (journal::RequestId, Outcome) {
        let arrived = Instant::now();
        let now = self.shared.clock.now();
        let config = &self.shared.config;
        let mut state = self.lock();
        state.settle(now);
        let sim = state.sim_named_by(call);
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
    pub(super) fn sim_named_by(&self, call: &Call) -> Option<SimSid> {
        match &call.resource {
            Resource::Sim(name) | Resource::BillingPeriods(name) => self.by_name(name),
            Resource::Sims => {
                let iccid = call.field("Iccid")?.parse().ok()?;
                let mut sims = self.sims.values();
                sims.find(|record| record.sim.iccid == Some(iccid)).map(|record| record.sim.sid)
            }
            Resource::UsageRecords => self.by_name(call.field("Sim")?),
            _ => None,
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
        if call.resource != Resource::Token
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
            Some(Fault::Lie) => self.update_sim(config, call, sim, now, Effect::Pretended),
            Some(Fault::Refusal(code)) => ApiError::refused(code).into(),
            Some(Fault::Page(fault)) => fault.spoil(self.route(config, call, sim, now)),
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
        let listed = match (&call.resource, &call.method) {
            (Resource::Token, _) => return self.issue_token(config, call, now),
            (Resource::Unknown, _) => return ApiError::not_found(&call.path).into(),
            (Resource::Sim(_), &Method::GET) => return self.fetch_sim(config, call, sim),
            (Resource::Sim(_), &Method::POST) => {
                return self.update_sim(config, call, sim, now, Effect::Real);
            }
            (Resource::Fleet(name), &Method::GET) => return self.fetch_fleet(config, call, name),
            (Resource::Fleet(name), &Method::POST) => self.update_fleet(config, call, name, now),
            (Resource::Sims, &Method::GET) => self.list_sims(config, call),
            (Resource::Fleets, &Method::GET) => self.list_fleets(config, call),
            (Resource::Networks, &Method::GET) => self.list_networks(call),
            (Resource::BillingPeriods(_), &Method::GET) => {
                self.list_periods(config, call, sim, now)
            }
            (Resource::UsageRecords, &Method::GET) => self.list_usage(config, call, now),
            (resource, _) => Err(ApiError::method_not_allowed(resource.methods())),
        };
        listed.unwrap_or_else(Answer::from)
    }

    /// Basic with the account's token or an API key, as on Twilio, or a bearer token issued here, as on KORE; each
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
        let account = (&config.account_sid, &config.auth_token);
        let mut accepted = self.api_keys.iter().chain([account]);
        let is_given = |(user, password): (&String, &String)| {
            let basic = BASE64.encode(format!("{user}:{password}"));
            call.authorization == format!("Basic {basic}")
        };
        if accepted.any(is_given) { Ok(()) } else { Err(ApiError::unauthorized().into()) }
    }

    fn issue_token(&mut self, config: &ServiceConfig, call: &Call, now: Timestamp) -> Answer {
        if call.method != Method::POST {
            return ApiError::method_not_allowed(call.resource.methods()).into();
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
}
