//! The local HTTP server: the webhook and the console as their function URLs would serve them, and the
//! kill-switch as Lambda's Invoke call would.

use std::sync::Arc;

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::sync::Notify;

use super::{LocalConsole, LocalKillSwitch, LocalWebhook, random_secret};

/// What Lambda takes in one request.
const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The name under which the kill-switch is invoked.
pub(crate) const KILL_SWITCH: &str = "kill-switch";

/// Someone who is told of bodies.
pub(crate) type Listener = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) webhook: Arc<LocalWebhook>,
    pub(crate) kill_switch: Arc<LocalKillSwitch>,
    /// Serves the links in alerts, where they hold any.
    pub(crate) console: Option<Arc<LocalConsole>>,
    /// Told after each body, so that the stream is read at once.
    pub(crate) received: Arc<Notify>,
    /// Told of each body that was taken in.
    pub(crate) accepted: Option<Listener>,
}

/// The routes.
pub(crate) fn router(served: Served) -> Router {
    Router::new()
        .route("/events", any(events))
        .route("/link/{token}", any(link))
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(served)
}

async fn events(
    State(served): State<Served>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = served.webhook.handle(function_url_request(&method, &uri, headers, &body)).await;
    let status = u16::try_from(answer.status_code).unwrap_or(500);
    if status == 200 {
        if let Some(accepted) = &served.accepted {
            accepted(&body);
        }
        served.received.notify_one();
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, answer.body.unwrap_or_default()).into_response()
}

async fn link(
    State(served): State<Served>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(console) = &served.console else {
        return (StatusCode::NOT_FOUND, "no links lead here\n").into_response();
    };
    let request = function_url_request(&method, &uri, headers, &body);
    let answer = console.handle(&request, &random_secret()).await;
    let status = u16::try_from(answer.status_code).unwrap_or(500);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, answer.headers, answer.body.unwrap_or_default()).into_response()
}

/// The request as Lambda's function URL hands it over (payload format 2.0).
pub(crate) fn function_url_request(
    method: &Method,
    uri: &Uri,
    headers: HeaderMap,
    body: &[u8],
) -> LambdaFunctionUrlRequest {
    let mut request = LambdaFunctionUrlRequest::default();
    request.version = Some("2.0".to_owned());
    request.raw_path = Some(uri.path().to_owned());
    request.raw_query_string = Some(uri.query().unwrap_or_default().to_owned());
    request.headers = headers;
    request.request_context.http.method = Some(method.to_string());
    request.body = Some(STANDARD.encode(body));
    request.is_base64_encoded = true;
    request
}

/// On AWS this call is signed. Here it is taken from programs of this machine only: what a web page
/// has a browser send carries an `Origin`, or a Host that is not loopback's.
async fn invoke(
    State(served): State<Served>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let local =
        host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
    if headers.contains_key(header::ORIGIN) || !local {
        return (StatusCode::FORBIDDEN, "not from a web page\n").into_response();
    }
    if name != KILL_SWITCH {
        return (StatusCode::NOT_FOUND, "the only function here is kill-switch\n").into_response();
    }
    let payload: Value = match serde_json::from_slice(&body) {
        Ok(payload) => payload,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    match served.kill_switch.handle(payload).await {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => {
            let diagnostic = simfuse_kill_switch::handler::diagnostic(&error);
            let body = serde_json::json!({
                "errorType": diagnostic.error_type,
                "errorMessage": diagnostic.error_message,
            });
            // Lambda answers 200 with this header when the function itself failed.
            ([("x-amz-function-error", "Unhandled")], axum::Json(body)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use simfuse_domain::alert::{AlertKind, PendingAlert};
    use simfuse_domain::incident::Incident;
    use simfuse_domain::policy::{DEFAULT, Mode};
    use simfuse_domain::port::{Sim, SimStatus};
    use simfuse_domain::signed_link::{LinkAct, SignedLink};
    use simfuse_supersim::Provider;
    use simfuse_supersim::secret::WebhookSecrets;
    use simfuse_testkit::clock::ManualClock;
    use simfuse_webhook::intake::Receipt;

    use super::super::mailbox::Mailbox;
    use super::super::{self as local, LocalService, LocalTable, SharedClock};
    use super::*;

    #[tokio::test]
    async fn a_link_that_expired_does_nothing_over_the_wire_either() {
        // Only the first of the tests installs it.
        drop(crate::install_tls());
        let clock = ManualClock::new("2026-03-01T14:00:00Z".parse().unwrap());
        let now = simfuse_domain::port::Clock::now(&clock);
        let shared: SharedClock = Arc::new(clock.clone());
        let LocalTable { table, .. } =
            LocalTable::start(&DEFAULT.parse().unwrap(), now).await.unwrap();
        let service = LocalService::start(Arc::clone(&shared)).await.unwrap();
        let sid = simfuse_domain::id::SimSid::from_bytes([1; 16]);
        let fleet = simfuse_domain::id::FleetSid::from_bytes([9; 16]);
        service.service.add_fleet(fleet, "river");
        let (iccid, unique_name, fleet) = (None, Some("pump-17".to_owned()), Some(fleet));
        let status = SimStatus::Active;
        service.service.add_sim(Sim { sid, iccid, unique_name, status, fleet });
        let mailbox = Mailbox::new().unwrap();
        let (client, clock_of) = (service.client().unwrap(), Arc::clone(&shared));
        let switch =
            local::kill_switch(table.clone(), client, mailbox.clone(), clock_of, Mode::Observe);
        let switch = Arc::new(switch);
        let secrets = WebhookSecrets::from_json(Provider::Kore, r#"{"webhook_secret":"s"}"#);
        let (live, kore, url) = (Receipt::Live, Provider::Kore, "http://127.0.0.1/events");
        let webhook =
            local::webhook(table.clone(), live, Arc::clone(&shared), kore, secrets.unwrap(), url);
        let key = local::link_key().unwrap();
        let console = local::console(table, Arc::clone(&switch), shared, key.clone());
        let served = Served {
            webhook: Arc::new(webhook),
            kill_switch: Arc::clone(&switch),
            console: Some(Arc::new(console)),
            received: Arc::new(Notify::new()),
            accepted: None,
        };
        let (listener, origin) = local::listen("127.0.0.1:0").await.unwrap();
        tokio::spawn(async move { axum::serve(listener, router(served)).await });
        let kill = serde_json::json!({ "action": "deactivate", "sims": ["pump-17"] });
        let killed = switch.handle(kill).await.unwrap();
        assert_eq!(killed["sims"][0]["outcome"], "done", "{killed}");
        let incident = Incident::open(sid, "pump-17".to_owned(), None, now);
        assert_eq!(killed["sims"][0]["incident"], incident.id);
        let pending = PendingAlert { number: 1, kind: AlertKind::Killed, at: now };
        let token = key.sign(&SignedLink::of(LinkAct::Restore, &incident, &pending));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let post = async || {
            let answer = http.post(format!("{origin}/link/{token}")).send().await.unwrap();
            (answer.status().as_u16(), service.service.sim(sid).unwrap().status)
        };
        clock.advance(SignedDuration::from_hours(24));
        assert_eq!(post().await, (410, SimStatus::Inactive));
        clock.advance(SignedDuration::from_secs(-1));
        assert_eq!(post().await, (200, SimStatus::Active), "it is its time alone that it lacked");
        std::fs::remove_file(mailbox.path()).unwrap();
    }
}
