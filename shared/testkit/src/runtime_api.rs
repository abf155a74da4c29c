//! The AWS Lambda Runtime API (2018-06-01), as far as running a function's own binary needs it.
//!
//! The binary is started with `AWS_LAMBDA_RUNTIME_API` set to [`RuntimeApi::address`] and fetches its
//! invocations here. Several binaries on one address share the queue, as environments of one
//! function do.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Largest answer of a function: 6 MB and what the service adds (Lambda quotas; the runtime API
/// answers 413 above it).
pub const ANSWER_BYTES_MAX: usize = 6_291_556;

/// The ARN that every invocation is said to be of.
pub const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:simfuse-test";

/// Why an invocation gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The function reported an error for this invocation.
    #[error("the function failed: {body}")]
    Function {
        /// What the function posted, in general `{"errorType", "errorMessage"}`.
        body: String,
    },
    /// The function reported that it could not start; every later invocation fails with it.
    #[error("the function could not start: {body}")]
    Init {
        /// What the function posted.
        body: String,
    },
    /// No answer within the time-out; a later one is refused.
    #[error("the function did not answer within {timeout:?}")]
    TimedOut {
        /// How long was waited.
        timeout: Duration,
    },
}

/// A running Runtime API on a port of the loopback interface; it ends when this is dropped.
#[derive(Debug)]
pub struct RuntimeApi {
    address: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl RuntimeApi {
    /// Starts on a free port.
    ///
    /// # Errors
    /// When no port of the loopback interface can be bound.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (queue, queued) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            queue,
            queued: tokio::sync::Mutex::new(queued),
            open: Mutex::new(Open { last_id: 0, waiting: HashMap::new(), init_error: None }),
            ready: Notify::new(),
        });
        let router = router(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It ends only with the task: errors of single connections stay with them.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { address, shared, server })
    }

    /// Host and port, the value for `AWS_LAMBDA_RUNTIME_API`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The command that runs a function's binary here, with Lambda's own variables and no others.
    #[must_use]
    pub fn command(&self, binary: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(binary);
        command.env_clear().envs([
            ("AWS_LAMBDA_RUNTIME_API", self.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", "simfuse-test"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ]);
        command
    }

    /// Waits until an environment asks for its next invocation: from then on it is initialised.
    ///
    /// Each such request ends one wait, also one that begins later.
    pub async fn ready(&self) {
        self.shared.ready.notified().await;
    }

    /// Hands the payload to the next free environment and waits for its answer. Calls may overlap.
    ///
    /// # Errors
    /// [`InvokeError`]: the function failed, could not start, or did not answer in time.
    pub async fn invoke(
        &self,
        payload: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<Bytes, InvokeError> {
        let (id, answer) = self.shared.enqueue(payload.into(), timeout)?;
        let outcome = tokio::time::timeout(timeout, answer).await;
        self.shared.open().waiting.remove(&id);
        match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(InvokeError::TimedOut { timeout }),
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What an invocation waits for.
type Answer = Result<Bytes, InvokeError>;

#[derive(Debug)]
struct Shared {
    queue: mpsc::UnboundedSender<Invocation>,
    queued: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    open: Mutex<Open>,
    ready: Notify,
}

#[derive(Debug)]
struct Open {
    last_id: u64,
    waiting: HashMap<String, oneshot::Sender<Answer>>,
    init_error: Option<InvokeError>,
}

#[derive(Debug)]
struct Invocation {
    id: String,
    deadline_ms: u128,
    payload: Bytes,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(
        &self,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<(String, oneshot::Receiver<Answer>), InvokeError> {
        let (sender, receiver) = oneshot::channel();
        let mut open = self.open();
        if let Some(error) = &open.init_error {
            return Err(error.clone());
        }
        open.last_id = open.last_id.wrapping_add(1);
        let id = format!("00000000-0000-4000-8000-{:012x}", open.last_id);
        open.waiting.insert(id.clone(), sender);
        drop(open);
        let invocation = Invocation { id: id.clone(), deadline_ms: deadline_ms(timeout), payload };
        // The receiver lives as long as `self`, so there is always someone to send to.
        drop(self.queue.send(invocation));
        Ok((id, receiver))
    }

    /// Passes an answer on, unless nobody waits for it any more.
    fn answer(&self, id: &str, answer: Answer) -> Response {
        let waiting = self.open().waiting.remove(id);
        match waiting.map(|sender| sender.send(answer)) {
            Some(Ok(())) => (StatusCode::ACCEPTED, r#"{"status":"OK"}"#).into_response(),
            Some(Err(_)) | None => {
                let body =
                    r#"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#;
                (StatusCode::BAD_REQUEST, body).into_response()
            }
        }
    }
}

/// When an invocation ends, in milliseconds since 1970.
fn deadline_ms(timeout: Duration) -> u128 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the binary under test compares its deadline with the real clock"
    )]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .saturating_add(timeout)
        .as_millis()
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(ANSWER_BYTES_MAX))
        .with_state(shared)
}

/// Waits for the next invocation that somebody still waits for.
async fn next(State(shared): State<Arc<Shared>>) -> Response {
    shared.ready.notify_one();
    let mut queued = shared.queued.lock().await;
    while let Some(invocation) = queued.recv().await {
        let waited_for = |sender: &oneshot::Sender<Answer>| !sender.is_closed();
        if !shared.open().waiting.get(&invocation.id).is_some_and(waited_for) {
            continue;
        }
        let headers = [
            ("Lambda-Runtime-Aws-Request-Id", invocation.id),
            ("Lambda-Runtime-Deadline-Ms", invocation.deadline_ms.to_string()),
            ("Lambda-Runtime-Invoked-Function-Arn", FUNCTION_ARN.to_owned()),
            ("Content-Type", "application/json".to_owned()),
        ];
        return (headers, invocation.payload).into_response();
    }
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

async fn response(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    shared.answer(&id, Ok(body))
}

async fn error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    shared.answer(&id, Err(InvokeError::Function { body }))
}

async fn init_error(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let error = InvokeError::Init { body: String::from_utf8_lossy(&body).into_owned() };
    let mut open = shared.open();
    for (_id, sender) in open.waiting.drain() {
        // One that has just timed out is not told.
        drop(sender.send(Err(error.clone())));
    }
    open.init_error = Some(error);
    (StatusCode::ACCEPTED, r#"{"status":"OK"}"#).into_response()
}

#[cfg(test)]
mod tests {
    use reqwest::Client;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    async fn start() -> (Arc<RuntimeApi>, Client, String) {
        // Only the first of the tests installs it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let api = Arc::new(RuntimeApi::start().await.unwrap());
        let base = format!("http://{}/2018-06-01/runtime", api.address());
        (api, Client::new(), base)
    }

    /// Fetches one invocation as a function does, and gives its id and payload.
    async fn fetch(client: &Client, base: &str) -> (String, Bytes) {
        let next = client.get(format!("{base}/invocation/next")).send().await.unwrap();
        assert_eq!(next.status(), 200);
        let header = |name: &str| next.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("Lambda-Runtime-Invoked-Function-Arn"), FUNCTION_ARN);
        let deadline: u128 = header("Lambda-Runtime-Deadline-Ms").parse().unwrap();
        assert!(deadline > deadline_ms(Duration::ZERO), "lies ahead");
        let id = header("Lambda-Runtime-Aws-Request-Id");
        (id, next.bytes().await.unwrap())
    }

    async fn post(client: &Client, url: String, body: &'static str) -> u16 {
        client.post(url).body(body).send().await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn answers_reach_the_invocations_that_they_are_for() {
        let (api, client, base) = start().await;
        let invoke = |payload: &'static str| {
            let api = Arc::clone(&api);
            tokio::spawn(async move { api.invoke(payload, LONG).await })
        };
        // Two environments wait before there is anything to do.
        let (one, other, first, second) = {
            let fetches = tokio::spawn({
                let (client, base) = (client.clone(), base.clone());
                async move { tokio::join!(fetch(&client, &base), fetch(&client, &base)) }
            });
            let (first, second) = (invoke("first"), invoke("second"));
            let (one, other) = fetches.await.unwrap();
            (one, other, first, second)
        };
        let (of_first, of_second) = if one.1 == "first" { (one, other) } else { (other, one) };
        assert_eq!((&of_first.1[..], &of_second.1[..]), (&b"first"[..], &b"second"[..]));
        let url = |id: &str| format!("{base}/invocation/{id}/response");
        assert_eq!(post(&client, url(&of_second.0), "answer 2").await, 202);
        assert_eq!(post(&client, url(&of_first.0), "answer 1").await, 202);
        assert_eq!(first.await.unwrap().unwrap(), "answer 1");
        assert_eq!(second.await.unwrap().unwrap(), "answer 2");
        assert_eq!(post(&client, url(&of_first.0), "again").await, 400, "answered once");
    }

    #[tokio::test]
    async fn a_functions_error_is_the_invocations_error() {
        let (api, client, base) = start().await;
        let invocation = tokio::spawn(async move { api.invoke("x", LONG).await });
        let (id, _) = fetch(&client, &base).await;
        let body = r#"{"errorType":"E","errorMessage":"no"}"#;
        assert_eq!(post(&client, format!("{base}/invocation/{id}/error"), body).await, 202);
        let error = invocation.await.unwrap().unwrap_err();
        assert_eq!(error, InvokeError::Function { body: body.to_owned() });
    }

    #[tokio::test]
    async fn one_that_cannot_start_fails_every_invocation() {
        let (api, client, base) = start().await;
        let waiting = tokio::spawn({
            let api = Arc::clone(&api);
            async move { api.invoke("x", LONG).await }
        });
        fetch(&client, &base).await;
        assert_eq!(post(&client, format!("{base}/init/error"), "no table").await, 202);
        let error = InvokeError::Init { body: "no table".to_owned() };
        assert_eq!(waiting.await.unwrap(), Err(error.clone()));
        assert_eq!(api.invoke("y", LONG).await, Err(error));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_handed_out() {
        let (api, client, base) = start().await;
        let timeout = Duration::from_millis(20);
        let error = api.invoke("stale", timeout).await.unwrap_err();
        assert_eq!(error, InvokeError::TimedOut { timeout });
        let given_up = tokio::spawn({
            let api = Arc::clone(&api);
            async move { api.invoke("given up", LONG).await }
        });
        tokio::task::yield_now().await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        let fresh = tokio::spawn(async move { api.invoke("fresh", LONG).await });
        let (id, payload) = fetch(&client, &base).await;
        assert_eq!(payload, "fresh");
        post(&client, format!("{base}/invocation/{id}/response"), "ok").await;
        assert_eq!(fresh.await.unwrap().unwrap(), "ok");
    }

    #[tokio::test]
    async fn an_answer_above_lambdas_limit_is_refused() {
        let (api, client, base) = start().await;
        let timeout = Duration::from_secs(5);
        let invocation = tokio::spawn(async move { api.invoke("x", timeout).await });
        let (id, _) = fetch(&client, &base).await;
        let url = format!("{base}/invocation/{id}/response");
        let body = vec![b'x'; ANSWER_BYTES_MAX + 1];
        let answer = client.post(&url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(post(&client, url, "shorter").await, 202);
        assert_eq!(invocation.await.unwrap().unwrap(), "shorter");
    }
}
