//! The function's own binary, under the Lambda Runtime API: a signed event becomes a stored state.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong should stop at once and say where")]

use std::process::Child;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use simfuse_aws::{Table, create_table};
use simfuse_domain::port::States as _;
use simfuse_supersim::signature::sign_twilio;
use simfuse_testkit::runtime_api::RuntimeApi;
use simfuse_testkit::secrets_manager::SecretsManager;
use tokio::net::TcpListener;

const TABLE: &str = "simfuse";
const DOMAIN: &str = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws";
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const EVENT: &str = include_str!("../../../tests/fixtures/twilio/data-session.updated.json");

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn start(api: &RuntimeApi, table: &str, secrets: &SecretsManager) -> Running {
    let mut command = api.command(env!("CARGO_BIN_EXE_webhook"));
    command.envs([
        ("AWS_ENDPOINT_URL_DYNAMODB", table),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.endpoint()),
        ("TABLE_NAME", TABLE),
        ("PROVIDER", "twilio"),
        ("WEBHOOK_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:w"),
    ]);
    Running(command.spawn().unwrap())
}

fn request(signature: &str, query: &str) -> String {
    json!({
        "version": "2.0", "rawPath": "/", "rawQueryString": query,
        "headers": { "x-twilio-signature": signature, "host": "elsewhere.example.com" },
        "requestContext": {
            "domainName": DOMAIN, "timeEpoch": 0, "http": { "method": "POST", "path": "/" },
        },
        "body": EVENT, "isBase64Encoded": false,
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_event_becomes_a_state_and_a_forged_one_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    let client = aws_sdk_dynamodb::Client::new(&simfuse_aws::client::local_config(&endpoint));
    create_table(&client, TABLE).await.unwrap();
    let table = Table::new(client, TABLE);
    let api = RuntimeApi::start().await.unwrap();
    // The first read, at start, is refused: the first request reads it again.
    let secret = json!({ "auth_token": "t" });
    let secrets = SecretsManager::failing(1, &secret).await.unwrap();
    let _function = start(&api, &endpoint, &secrets);

    let event: Value = serde_json::from_str(EVENT).unwrap();
    let sim = event[0]["data"]["sim_sid"].as_str().unwrap().parse().unwrap();
    let secret = SecretString::from("t");
    let (url, signature) = sign_twilio(&secret, &format!("https://{DOMAIN}/"), EVENT.as_bytes());
    let query = url.split_once('?').unwrap().1;

    let forged = api.invoke(request("Zm9yZ2Vk", query), ANSWER_WITHIN).await.unwrap();
    let forged: Value = serde_json::from_slice(&forged).unwrap();
    assert_eq!(forged["statusCode"], 403, "{forged}");
    assert!(table.read_states(&[sim]).await.unwrap().is_empty());

    let taken = api.invoke(request(&signature, query), ANSWER_WITHIN).await.unwrap();
    let taken: Value = serde_json::from_slice(&taken).unwrap();
    assert_eq!(taken["statusCode"], 200, "{taken}");
    assert_eq!(table.read_states(&[sim]).await.unwrap()[&sim].version, 1);
}
