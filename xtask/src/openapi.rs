//! The simulated Super SIM service and the client, held against the providers' OpenAPI descriptions.
//!
//! schemathesis asks the service and judges its answers; the client asks the service through Prism,
//! which judges both. The descriptions are not part of the project: `SIMFUSE_OPENAPI_DIR` says where
//! they are. All of it stays on this machine.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::run::{cargo, root, say, step, target};

/// Where the descriptions are.
const FOLDER: &str = "SIMFUSE_OPENAPI_DIR";

/// Versions of the two tools.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const PRISM: &str = "@stoplight/prism-cli@5.14.2";

/// Cases that schemathesis makes up for each operation and phase; some thousand in all, in 10 s.
const EXAMPLES_MAX: &str = "100";

/// The same cases every time.
const SEED: &str = "1";

/// Prism reads a description in a second or two.
const START_WITHIN: Duration = Duration::from_secs(30);

/// The account of the simulated service.
const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "simulated";

/// Each provider's description.
const DESCRIPTIONS: [(&str, &str); 2] =
    [("twilio", "twilio_supersim_v1.json"), ("kore", "kore-supersim-v1.json")];

/// What the service has; it creates nothing.
const OPERATIONS: [(&str, &[&str]); 7] = [
    ("/v1/Sims", &["get"]),
    ("/v1/Sims/{Sid}", &["get", "post"]),
    ("/v1/Sims/{SimSid}/BillingPeriods", &["get"]),
    ("/v1/Fleets", &["get"]),
    ("/v1/Fleets/{Sid}", &["get", "post"]),
    ("/v1/UsageRecords", &["get"]),
    ("/v1/Networks", &["get"]),
];

/// Holds both against each description, where these are there.
pub(crate) fn contract() -> Result<(), String> {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        say(&format!("── OpenAPI contract: not run, for {FOLDER} is not set"));
        return Ok(());
    };
    let (schemathesis, prism) = (schemathesis()?, prism()?);
    // The whole workspace, as the tests build it: another set of packages has other features, for
    // which the dependencies would be built anew.
    let build = cargo(&["build", "--locked", "--workspace", "--examples"]);
    step("building the service and what exercises the client", build)?;
    let work = target().join("openapi");
    fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    for (provider, file) in DESCRIPTIONS {
        let description = folder.join(file);
        service_against(&schemathesis, provider, &description, &work)?;
        client_against(&prism, provider, &description, &work)?;
    }
    Ok(())
}

/// The service's answers to thousands of requests, right and wrong ones.
fn service_against(
    schemathesis: &Path,
    provider: &str,
    description: &Path,
    work: &Path,
) -> Result<(), String> {
    let held = work.join(format!("{provider}.json"));
    let text = with_refusals(&read_json(description)?)?.to_string();
    fs::write(&held, text).map_err(|error| format!("{}: {error}", held.display()))?;
    let service = Running::service(None)?;
    let mut run = Command::new(schemathesis);
    run.arg("--config-file").arg(root().join("xtask").join("schemathesis.toml"));
    run.arg("run").arg(held).args(["--url", &service.origin]).current_dir(work);
    run.args(["--auth", &format!("{ACCOUNT}:{TOKEN}")]);
    run.args(["--phases", "examples,coverage,fuzzing", "--generation-database", "none"]);
    run.args(["--max-examples", EXAMPLES_MAX, "--seed", SEED, "--checks", "all"]);
    // The description knows neither how long a time may be asked for nor which change of status is
    // allowed, so a request that it permits may be refused; and, as the provider does with fields
    // it does not know, the service leaves unread those that it does not model.
    run.args(["--exclude-checks", "positive_data_acceptance,negative_data_rejection"]);
    step(&format!("{provider}: the service against the description"), run)
}

/// Every request of the client, and every answer to it, through a proxy that objects to what the
/// description does not allow.
fn client_against(
    prism: &Path,
    provider: &str,
    description: &Path,
    work: &Path,
) -> Result<(), String> {
    let address = free_address()?;
    let proxied = format!("http://{address}");
    let service = Running::service(Some(&proxied))?;
    let log = work.join(format!("prism-{provider}.log"));
    let _proxy = Running::proxy(prism, description, &service.origin, address, &log)?;
    let mut exercise = Command::new(target().join("debug/examples/exercise"));
    let token_url = format!("{}/api-services/v1/auth/token", service.origin);
    exercise.args([provider, &proxied, &token_url, ACCOUNT, TOKEN]);
    let name = format!("{provider}: the client against the description");
    step(&name, exercise).map_err(|error| format!("{error}; see {}", log.display()))
}

/// The description of what the service has, with the refusals that it leaves out: it lists
/// successes only, though every operation can be refused.
fn with_refusals(description: &Value) -> Result<Value, String> {
    let integer = json!({ "type": "integer" });
    let text = json!({ "type": "string" });
    let schema = json!({
        "type": "object",
        "required": ["code", "message", "more_info", "status"],
        "properties": { "code": integer, "message": text, "more_info": text, "status": integer },
    });
    let content = json!({ "application/json": { "schema": schema } });
    let refusal = json!({ "description": "refused", "content": content });
    let mut paths = serde_json::Map::new();
    for (path, methods) in OPERATIONS {
        let mut kept = serde_json::Map::new();
        for method in methods {
            let found = description.get("paths").and_then(|paths| paths.get(path)?.get(method));
            let mut operation = found.ok_or_else(|| format!("no {method} {path}"))?.clone();
            let answers = operation.get_mut("responses").and_then(Value::as_object_mut);
            let answers = answers.ok_or_else(|| format!("no answers to {method} {path}"))?;
            answers
                .extend(["400", "401", "404"].map(|status| (status.to_owned(), refusal.clone())));
            kept.insert((*method).to_owned(), operation);
        }
        paths.insert(path.to_owned(), kept.into());
    }
    let mut description = description.clone();
    let root = description.as_object_mut().ok_or("the description is no JSON object")?;
    root.insert("paths".to_owned(), paths.into());
    Ok(description)
}

fn read_json(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A program that serves until this is dropped.
struct Running {
    child: Child,
    origin: String,
}

impl Running {
    /// The simulated service, whose links name this origin where one is given.
    fn service(public_origin: Option<&str>) -> Result<Self, String> {
        let mut command = Command::new(target().join("debug/examples/super_sim_contract"));
        command.args([ACCOUNT, TOKEN]).args(public_origin).stdout(Stdio::piped());
        let mut running = Self::start(command)?;
        let stdout = running.child.stdout.take().ok_or("super_sim_contract: no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("{error}"))?;
        line.trim().clone_into(&mut running.origin);
        if running.origin.is_empty() {
            Err("super_sim_contract did not start".to_owned())
        } else {
            Ok(running)
        }
    }

    /// Prism between the client and the service.
    fn proxy(
        prism: &Path,
        description: &Path,
        upstream: &str,
        address: SocketAddr,
        log: &Path,
    ) -> Result<Self, String> {
        let log = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new(prism);
        command.arg("proxy").arg(description).args([upstream, "--errors", "--host"]);
        command.args([address.ip().to_string(), "--port".to_owned(), address.port().to_string()]);
        let stderr = log.try_clone().map_err(|error| format!("prism's log: {error}"))?;
        command.stdout(log).stderr(stderr);
        let mut running = Self::start(command)?;
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = running.child.try_wait().map_err(|error| format!("prism: {error}"))?;
            if ended.is_some() || began.elapsed() > START_WITHIN {
                return Err(format!("prism does not listen on {address}"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(running)
    }

    fn start(mut command: Command) -> Result<Self, String> {
        let child = command.stdin(Stdio::null()).spawn();
        let child =
            child.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()));
        Ok(Self { child: child?, origin: String::new() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A port that nobody listens on now.
fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map_err(|error| format!("no free port: {error}"))
}

/// schemathesis, installed where it is not there in this version.
fn schemathesis() -> Result<PathBuf, String> {
    let folder = tools(SCHEMATHESIS);
    let program = folder.join("bin").join("schemathesis");
    if !program.exists() {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&folder);
        step("making a Python environment for schemathesis", venv)?;
        let mut install = Command::new(folder.join("bin").join("pip"));
        install.args(["install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS]);
        step("installing schemathesis", install)?;
    }
    Ok(program)
}

/// Prism, installed where it is not there in this version; it needs Node 20 or later.
fn prism() -> Result<PathBuf, String> {
    let folder = tools(PRISM);
    let program = folder.join("node_modules").join(".bin").join("prism");
    if !program.exists() {
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
        install.arg(&folder).arg(PRISM);
        step("installing Prism", install)?;
    }
    Ok(program)
}

/// A folder of a tool's own, by its name and version.
fn tools(package: &str) -> PathBuf {
    let name = package.rsplit('/').next().unwrap_or(package);
    target().join("tools").join(name.replace("==", "@"))
}
