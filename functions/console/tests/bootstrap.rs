//! The function's own binary, under the Lambda Runtime API: a link is followed over real sockets to
//! the table and to the kill-switch.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong should stop at once and say where")]

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::post;
use serde_json::{Value, json};
use simfuse_aws::client::local_config;
use simfuse_aws::create_table;
use simfuse_domain::id::SimSid;
use simfuse_domain::signed_link::{LinkAct, LinkKey, SignedLink};
use simfuse_testkit::runtime_api::RuntimeApi;
use simfuse_testkit::secrets_manager::SecretsManager;
use tokio::net::TcpListener;

const TABLE: &str = "simfuse";
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// What Lambda was asked to invoke: names and payloads.
type Invoked = Arc<Mutex<Vec<(String, Value)>>>;

/// Lambda's Invoke call, which answers that it is done.
async fn lambda(invoked: Invoked) -> String {
    async fn invoke(
        State(invoked): State<Invoked>,
        Path(name): Path<String>,
        body: Bytes,
    ) -> axum::Json<Value> {
        let request: Value = serde_json::from_slice(&body).unwrap();
        let sim = json!({ "requested": "x", "sim": null, "found": null, "outcome": "done",
                          "reason": "active", "incident": null });
        let answer = json!({ "action": request.get("action"), "dry_run": false, "digest": null,
                             "sims": [sim] });
        invoked.lock().unwrap().push((name, request));
        axum::Json(answer)
    }
    let path = "/2015-03-31/functions/{name}/invocations";
    let router = Router::new().route(path, post(invoke)).with_state(invoked);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    endpoint
}

async fn dynamo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    create_table(&aws_sdk_dynamodb::Client::new(&local_config(&endpoint)), TABLE).await.unwrap();
    endpoint
}

fn command(api: &RuntimeApi, table: &str, secrets: &SecretsManager, lambda: &str) -> Command {
    let mut command = api.command(env!("CARGO_BIN_EXE_console"));
    command.envs([
        ("AWS_ENDPOINT_URL_DYNAMODB", table),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.endpoint()),
        ("AWS_ENDPOINT_URL_LAMBDA", lambda),
        ("TABLE_NAME", TABLE),
        ("LINK_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:l"),
        ("KILL_SWITCH_FUNCTION", "simfuse-kill-switch"),
    ]);
    command
}

async fn ask(api: &RuntimeApi, method: &str, token: &str) -> (Value, String) {
    let request = json!({
        "version": "2.0", "rawPath": format!("/link/{token}"), "rawQueryString": "",
        // What the runtime's own type would not read.
        "headers": { "host": "elsewhere.example.com", "user-agent": "T\u{e9}l\u{e9}phone" },
        "requestContext": { "timeEpoch": 0, "http": { "method": method, "path": "/" } },
        "isBase64Encoded": false,
    });
    let answer = api.invoke(request.to_string(), ANSWER_WITHIN).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let field = |name: &str| answer.get(name).cloned().unwrap_or_default();
    (field("statusCode"), field("body").as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_shown_acted_on_once_and_logged_without_its_token() {
    let (table, api, invoked) =
        (dynamo().await, RuntimeApi::start().await.unwrap(), Invoked::default());
    let lambda = lambda(Arc::clone(&invoked)).await;
    let key = "0123456789abcdef0123456789abcdef";
    let secrets = SecretsManager::start(&json!({ "key": key })).await.unwrap();
    let mut command = command(&api, &table, &secrets, &lambda);
    let mut function = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let link = SignedLink {
        act: LinkAct::Restore,
        sim: SimSid::from_bytes([1; 16]),
        opened_at: "2026-03-01T14:00:00Z".parse().unwrap(),
        alert: 1,
        findings: 1,
        // The binary asks the real clock.
        expires_at: "2199-01-01T00:00:00Z".parse().unwrap(),
        name: "pump-17".to_owned(),
    };
    let token = LinkKey::new(key.as_bytes()).unwrap().sign(&link);
    let forged = LinkKey::new(&[7; 32]).unwrap().sign(&link);

    assert_eq!(ask(&api, "POST", &forged).await.0, 403);
    let (status, page) = ask(&api, "GET", &token).await;
    assert!(status == 200 && page.contains("pump-17"), "{status} {page}");
    let looked = std::mem::take(&mut *invoked.lock().unwrap());
    let [(_, request)] = looked.as_slice() else { unreachable!("{looked:?}") };
    assert_eq!(request.get("dry_run"), Some(&json!(true)), "only a POST acts");
    let (status, page) = ask(&api, "POST", &token).await;
    assert!(status == 200 && page.contains("Done: "), "{status} {page}");
    assert_eq!(ask(&api, "POST", &token).await.0, 409, "once");
    let asked = invoked.lock().unwrap().clone();
    let [(name, request)] = asked.as_slice() else { unreachable!("{asked:?}") };
    assert_eq!(name, "simfuse-kill-switch");
    assert_eq!(request.get("only_incident"), Some(&json!(link.incident())));

    function.0.kill().unwrap();
    let log = std::io::read_to_string(function.0.stdout.take().unwrap()).unwrap();
    assert!(log.contains("link used") && log.contains(&link.alert_id()), "{log}");
    assert!(!log.contains(&token) && !log.contains(&forged), "a log's reader is not to use it");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_it_does_not_start_and_says_why() {
    let (table, api) = (dynamo().await, RuntimeApi::start().await.unwrap());
    let secrets = SecretsManager::start(&json!({ "key": "short" })).await.unwrap();
    let mut command = command(&api, &table, &secrets, "http://127.0.0.1:9");
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let refused = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(!refused.status.success());
    let log = String::from_utf8(refused.stdout).unwrap();
    assert!(log.contains("cannot start") && log.contains("a key of 5 bytes"), "{log}");
    assert!(!log.contains("short"), "{log}");
}
