//! Everything around the function: table, provider, Lambda's Runtime API, and its own process.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, StreamSpecification};
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use simfuse_aws::client::local_config;
use simfuse_aws::{SystemClock, Table, create_table};
use simfuse_domain::port::UsageWindow;
use simfuse_domain::time::Hour;
use simfuse_testkit::runtime_api::RuntimeApi;
use simfuse_testkit::service::{ServiceConfig, SuperSimService};
use simfuse_usage_aggregator::handler::Answer;
use tokio::net::TcpListener;

use crate::Failure;
use crate::fleet::{self, Generated};
use crate::meter::Meter;

/// The function's time, as deployed.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(15);

const TABLE: &str = "simfuse";

/// A table in memory, and what counts in front of it.
pub(crate) struct World {
    /// Reached past the meter.
    pub(crate) table: Table,
    pub(crate) meter: Meter,
    client: Client,
}

impl World {
    /// An empty table. Its stream is off: the embedded one would keep both images of every write
    /// for a day, in memory; at AWS they cost nothing by themselves.
    pub(crate) async fn new() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let database = dynoxide::Database::memory()?;
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        let client = Client::new(&local_config(&endpoint));
        create_table(&client, TABLE).await?;
        let off = StreamSpecification::builder().stream_enabled(false);
        let off = client.update_table().table_name(TABLE).stream_specification(off.build()?);
        Box::pin(off.send()).await?;
        let meter = Meter::start(&endpoint).await?;
        Ok(Self { table: Table::new(client.clone(), TABLE), meter, client })
    }

    /// SIMs and bytes of the fleet in an hour, for which no port reads.
    pub(crate) async fn fleet_total(&self, hour: Hour) -> Result<(u64, u64), Failure> {
        let text = |text: String| AttributeValue::S(text);
        let window = UsageWindow::Hour(hour).window().name();
        let request = self.client.get_item().table_name(TABLE).consistent_read(true);
        let request = request
            .key("pk", text(format!("FLEET#{}", fleet::fleet())))
            .key("sk", text(format!("HOUR#{window}")));
        let item = request.send().await?.item.ok_or("the fleet's hour is not there")?;
        let number = |name: &str| -> Result<u64, Failure> {
            let number = item.get(name).and_then(|value| value.as_n().ok());
            Ok(number.ok_or_else(|| format!("{name} is no number"))?.parse()?)
        };
        Ok((number("sims")?, number("total")?))
    }

    /// The table as the function reaches it: every request is counted.
    pub(crate) fn counted_table(&self) -> Table {
        let aws = local_config(&self.meter.endpoint);
        Table::new(Client::new(&aws), TABLE)
    }
}

/// The provider, with a fleet whose usage is made up as it is asked for.
pub(crate) struct Provider {
    pub(crate) service: SuperSimService,
    origin: String,
}

impl Provider {
    pub(crate) async fn start(usage: Generated) -> Result<Self, Failure> {
        let config = ServiceConfig {
            account_sid: fleet::ACCOUNT.to_owned(),
            auth_token: "bench".to_owned(),
            client_id: "bench".to_owned(),
            client_secret: "bench".to_owned(),
        };
        let service = SuperSimService::new(config, Arc::new(SystemClock));
        service.add_fleet(fleet::fleet(), "bench");
        service.set_usage_source(Arc::new(usage));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let serving = service.clone();
        tokio::spawn(async move { serving.serve(listener).await });
        Ok(Self { service, origin })
    }
}

/// Answers for Secrets Manager and SNS, which take no part in what is measured.
async fn other_services() -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let app = Router::new().fallback(other).with_state(());
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(endpoint)
}

async fn other(State(()): State<()>, headers: HeaderMap) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    if target.is_some_and(|target| target.starts_with("secretsmanager")) {
        let secret = json!({ "account_sid": fleet::ACCOUNT, "auth_token": "bench" });
        return axum::Json(json!({ "SecretString": secret.to_string() })).into_response();
    }
    "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
        .into_response()
}

/// The function's own binary, in a process that does not outlive this.
pub(crate) struct Function {
    child: Child,
    pub(crate) api: RuntimeApi,
    log: PathBuf,
}

/// What the process took so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// Most resident memory, in kB.
    pub(crate) peak_kb: u64,
    /// Processor time.
    pub(crate) cpu: Duration,
    /// Bytes that it logged.
    pub(crate) logged: u64,
}

impl Function {
    pub(crate) async fn start(world: &World, provider: &Provider) -> Result<Self, Failure> {
        let api = RuntimeApi::start().await?;
        let others = other_services().await?;
        let log = std::env::temp_dir().join(format!("simfuse-bench-{}.log", std::process::id()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_usage-aggregator"));
        command.env_clear().stdout(File::create(&log)?).stderr(Stdio::inherit());
        for (name, value) in [
            ("AWS_LAMBDA_RUNTIME_API", api.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", "usage-aggregator"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &world.meter.endpoint),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &others),
            ("AWS_ENDPOINT_URL_SNS", &others),
            ("TABLE_NAME", TABLE),
            ("PROVIDER", "twilio"),
            ("SUPERSIM_API_BASE", &provider.origin),
            ("API_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:a"),
            ("ALERT_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:alerts"),
        ] {
            command.env(name, value);
        }
        // For looking into what memory is used for.
        for name in ["MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "RUST_LOG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        Ok(Self { child: command.spawn()?, api, log })
    }

    /// One invocation as the schedule makes it.
    pub(crate) async fn invoke(&self, timeout: Duration) -> Result<Answer, Failure> {
        let answer = self.api.invoke(r#"{"run": true}"#, timeout).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What it took; while it runs.
    pub(crate) fn taken(&self) -> Result<Taken, Failure> {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = fs::read_to_string(process.join("status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        let peak_kb = peak.ok_or("/proc says nothing of VmHWM")?.parse()?;
        let stat = fs::read_to_string(process.join("stat"))?;
        // Behind the name, which may hold anything: utime and stime are the 12th and 13th.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 =
            fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        // USER_HZ is 100 on every Linux that Lambda or a developer runs.
        let cpu = Duration::from_millis(ticks.saturating_mul(10));
        Ok(Taken { peak_kb, cpu, logged: fs::metadata(&self.log)?.len() })
    }

    /// The end of what it logged, for a failure.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        lines.join("\n")
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_file(&self.log));
    }
}
