//! How fast the functions start: from the start of a process to its first request for work, under a
//! Runtime API, with its table and its secret on loopback.
//!
//! `cargo xtask bench cold` builds the functions as they are shipped, runs this on their folder and
//! judges what it prints: a JSON line a function.
#![expect(clippy::print_stdout, reason = "a bench says what it measured")]

use std::error::Error;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use serde_json::{Value, json};
use simfuse_aws::client::local_config;
use simfuse_aws::create_table;
use simfuse_testkit::runtime_api::RuntimeApi;
use simfuse_testkit::secrets_manager::SecretsManager;
use tokio::net::TcpListener;

/// Starts of each function that are measured.
const STARTS: usize = 30;

/// One that takes longer does not start at all.
const START_WITHIN: Duration = Duration::from_secs(20);

const TABLE: &str = "simfuse";

/// A port on which nothing listens: nothing may be connected to at start but table and secret.
const NOWHERE: &str = "http://127.0.0.1:9";

const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:s";

const FUNCTIONS: [&str; 4] = ["webhook", "kill-switch", "usage-aggregator", "console"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = folder.ok_or("name the folder of the functions' binaries")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let table = format!("http://{}", listener.local_addr()?);
    tokio::spawn(dynoxide::server::serve_on(listener, dynoxide::Database::memory()?));
    create_table(&aws_sdk_dynamodb::Client::new(&local_config(&table)), TABLE).await?;
    let account = format!("AC{}", "0".repeat(32));
    // One secret for all: the API's, the webhook's, and the key of links.
    let key = "k".repeat(64);
    let secret = json!({ "account_sid": account, "auth_token": "t", "key": key });
    let secrets = SecretsManager::start(&secret).await?;
    for function in FUNCTIONS {
        let binary = Path::new(&folder).join(function);
        // The first one reads the binary from the disk.
        start(&binary, &table, &secrets).await?;
        let mut starts = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            starts.push(start(&binary, &table, &secrets).await?);
        }
        println!("{}", summary(function, &starts));
    }
    Ok(())
}

/// One start.
struct Start {
    took: Duration,
    /// What its threads spent on a core; it does not grow when others use the machine.
    cpu: Duration,
    resident_kb: u64,
}

/// A process that does not outlive its measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

async fn start(
    binary: &Path,
    table: &str,
    secrets: &SecretsManager,
) -> Result<Start, Box<dyn Error>> {
    let api = RuntimeApi::start().await?;
    let mut command = api.command(binary);
    command.stdout(Stdio::null()).envs([
        ("AWS_ENDPOINT_URL", NOWHERE),
        ("AWS_ENDPOINT_URL_DYNAMODB", table),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.endpoint()),
        ("SUPERSIM_API_BASE", NOWHERE),
        ("TABLE_NAME", TABLE),
        ("PROVIDER", "twilio"),
        ("WEBHOOK_SECRET_ARN", SECRET),
        ("API_SECRET_ARN", SECRET),
        ("LINK_SECRET_ARN", SECRET),
        ("CONSOLE_URL", "https://console.example.com/"),
        ("KILL_SWITCH_FUNCTION", "simfuse-kill-switch"),
        ("ALERT_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:alerts"),
    ]);
    let began = Instant::now();
    let running = Running(command.spawn()?);
    let ready = tokio::time::timeout(START_WITHIN, api.ready()).await;
    let took = began.elapsed();
    ready.map_err(|_elapsed| format!("{} does not start", binary.display()))?;
    let process = Path::new("/proc").join(running.0.id().to_string());
    Ok(Start { took, cpu: cpu(&process)?, resident_kb: resident_kb(&process)? })
}

/// The first number of each thread's `schedstat` (proc(5)).
fn cpu(process: &Path) -> io::Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(process.join("task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let on_core = text.split_whitespace().next().and_then(|number| number.parse().ok());
        nanos += on_core.unwrap_or(0_u64);
    }
    Ok(Duration::from_nanos(nanos))
}

fn resident_kb(process: &Path) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string(process.join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmRSS")?.parse()?)
}

fn summary(function: &str, starts: &[Start]) -> Value {
    let ms = |times: Vec<Duration>, percent| at(times, percent).as_secs_f64() * 1e3;
    let took = |percent| ms(starts.iter().map(|start| start.took).collect(), percent);
    let cpu: Vec<_> = starts.iter().map(|start| start.cpu).collect();
    json!({
        "function": function,
        "starts": starts.len(),
        "min_ms": took(0),
        "median_ms": took(50),
        "p95_ms": took(95),
        "cpu_ms": ms(cpu, 50),
        "resident_kb": at(starts.iter().map(|start| start.resident_kb).collect(), 50),
    })
}

/// The value that this share of them does not exceed.
fn at<T: Ord + Copy + Default>(mut values: Vec<T>, percent: usize) -> T {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
