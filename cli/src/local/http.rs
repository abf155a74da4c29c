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
        .route("/hint/{token}", any(link))
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
mod tests;
