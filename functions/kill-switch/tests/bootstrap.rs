//! The function's own binary, under the Lambda Runtime API: what it does when it cannot start well.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong should stop at once and say where")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use simfuse_aws::client::local_config;
use simfuse_aws::create_table;
use simfuse_testkit::runtime_api::RuntimeApi;
use simfuse_testkit::secrets_manager::SecretsManager;
use tokio::net::TcpListener;

const TABLE: &str = "simfuse";
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A port on which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn command(api: &RuntimeApi, table: &str, secrets: &SecretsManager) -> Command {
    let mut command = api.command(env!("CARGO_BIN_EXE_kill-switch"));
    command.envs([
        ("AWS_ENDPOINT_URL_DYNAMODB", table),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.endpoint()),
        ("AWS_ENDPOINT_URL_SNS", NOWHERE),
        ("SUPERSIM_API_BASE", NOWHERE),
        ("TABLE_NAME", TABLE),
        ("PROVIDER", "twilio"),
        ("API_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:a"),
        ("ALERT_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:alerts"),
    ]);
    command
}

fn secret() -> Value {
    json!({ "account_sid": format!("AC{}", "0".repeat(32)), "auth_token": "t" })
}

async fn dynamo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    endpoint
}

async fn sweep(api: &RuntimeApi) -> Value {
    let answer = api.invoke(r#"{"sweep": true}"#, ANSWER_WITHIN).await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_secret_it_says_why_and_the_next_start_goes_well() {
    let (endpoint, api) = (dynamo().await, RuntimeApi::start().await.unwrap());
    create_table(&aws_sdk_dynamodb::Client::new(&local_config(&endpoint)), TABLE).await.unwrap();
    let secrets = SecretsManager::failing(1, &secret()).await.unwrap();
    let mut refused = command(&api, &endpoint, &secrets);
    refused.stdout(Stdio::piped()).stderr(Stdio::null());
    let refused = tokio::task::spawn_blocking(move || refused.output().unwrap()).await.unwrap();
    assert!(!refused.status.success());
    let log = String::from_utf8(refused.stdout).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let reason = lines.filter(|line| line["fields"]["message"] == "cannot start");
    let reasons: Vec<_> = reason.map(|line| line["fields"]["error"].to_string()).collect();
    assert_eq!(reasons.len(), 1, "{log}");
    assert!(reasons[0].contains("secret:a") && reasons[0].contains("AccessDenied"), "{reasons:?}");

    let _function = Running(command(&api, &endpoint, &secrets).spawn().unwrap());
    assert_eq!(sweep(&api).await, json!({ "swept": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_table_it_starts_and_the_first_invocation_opens_it() {
    let (endpoint, api) = (dynamo().await, RuntimeApi::start().await.unwrap());
    let secrets = SecretsManager::start(&secret()).await.unwrap();
    let _function = Running(command(&api, &endpoint, &secrets).spawn().unwrap());
    tokio::time::timeout(ANSWER_WITHIN, api.ready()).await.unwrap();
    create_table(&aws_sdk_dynamodb::Client::new(&local_config(&endpoint)), TABLE).await.unwrap();
    assert_eq!(sweep(&api).await, json!({ "swept": true }));
}
