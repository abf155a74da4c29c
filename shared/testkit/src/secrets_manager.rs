//! Secrets Manager, as far as reading one secret needs it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running service on a port of the loopback interface; it ends when this is dropped.
#[derive(Debug)]
pub struct SecretsManager {
    endpoint: String,
    server: JoinHandle<()>,
}

impl SecretsManager {
    /// Starts on a free port; whatever secret is asked for, it is this JSON.
    ///
    /// # Errors
    /// When no port of the loopback interface can be bound.
    pub async fn start(secret: &Value) -> io::Result<Self> {
        Self::failing(0, secret).await
    }

    /// The same, and it refuses this many requests before the first that it answers.
    ///
    /// # Errors
    /// When no port of the loopback interface can be bound.
    pub async fn failing(times: u32, secret: &Value) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let answer = Arc::new(json!({ "SecretString": secret.to_string() }));
        let left = Arc::new(AtomicU32::new(times));
        let router =
            Router::new().route(
                "/",
                post(move || {
                    let refused = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    });
                    let answer = Arc::clone(&answer);
                    async move {
                        if refused.is_ok() { refusal() } else { Json(&*answer).into_response() }
                    }
                }),
            );
        let server = tokio::spawn(async move {
            // It ends only with the task: errors of single connections stay with them.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { endpoint, server })
    }

    /// Its URL, the value for `AWS_ENDPOINT_URL_SECRETS_MANAGER`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for SecretsManager {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What a role gets that may not read the secret: nothing that the SDK tries again.
fn refusal() -> Response {
    let body = json!({
        "__type": "AccessDeniedException", "Message": "not authorized to read this secret",
    });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
