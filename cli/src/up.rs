//! `simfuse up`: SimFuse kept running on this machine.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use simfuse_domain::event::Event;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{Sim, SimStatus};
use simfuse_supersim::Provider;
use simfuse_supersim::envelope::{self, Decoded};
use simfuse_supersim::secret::{ApiCredentials, WebhookSecrets};
use simfuse_testkit::service::SuperSimService;
use simfuse_webhook::intake::Receipt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use crate::args::UpArgs;
use crate::error::CliError;
use crate::local::http::{Listener, Served, router};
use crate::local::mailbox::Mailbox;
use crate::local::run_file::{self, Running};
use crate::local::stream::Stream;
use crate::local::{self, LocalKillSwitch, LocalService, LocalTable, SharedClock, random_secret};
use crate::output::{Output, note};
use crate::replay::policy_of;
use crate::target;

/// As the deployed schedule.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The stream is read after each body, and this often in any case.
const STREAM_EVERY: Duration = Duration::from_secs(1);

/// The simulated service calls back this often.
const CALL_BACK_EVERY: Duration = Duration::from_secs(1);

/// What is running where.
#[derive(Debug, Serialize)]
struct Places {
    webhook: String,
    /// Where links in alerts lead.
    console: String,
    supersim: String,
    table: String,
    invoke: String,
    mailbox: String,
    /// What the policy and this process say; automatic kills need both to say enforce.
    policy_mode: Mode,
    mode: Mode,
    /// The secret that was made up because none was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// Runs the command until it is interrupted.
pub(crate) async fn run(args: UpArgs, output: Output) -> Result<u8, CliError> {
    let args = checked(args)?;
    let address = loopback(&args.listen)?;
    let interrupted = interrupts();
    let interrupted =
        interrupted.map_err(|error| CliError::local("listening for Ctrl-C")(error.into()))?;
    let policy = policy_of(args.policy.as_deref())?;
    if let Some(other) = target::running_up().await {
        return Err(CliError::Remote(format!(
            "`simfuse up` of this user runs at {} already (process {}), and commands would no longer \
             find it: end it first",
            other.origin, other.pid
        )));
    }
    let clock: SharedClock = Arc::new(simfuse_aws::SystemClock);
    let service = LocalService::start(Arc::clone(&clock)).await?;
    let (listener, origin) = local::listen(&address.to_string()).await?;
    let local = LocalTable::start(&policy, clock.now()).await?;
    let mailbox =
        Mailbox::new().map_err(|error| CliError::local("making a mailbox")(error.into()))?;
    let (served, supersim, made_up) = serve(&args, &origin, &service, &local, &mailbox, clock)?;
    let running = Running { origin: origin.clone(), pid: std::process::id() };
    if let Err(error) = run_file::write(&running) {
        tracing::debug!(%error, "other commands have to be told `--up {origin}`");
    }
    let places = Places {
        webhook: events_url(&origin),
        console: origin.clone(),
        supersim,
        table: local.endpoint.clone(),
        invoke: origin,
        mailbox: mailbox.path().display().to_string(),
        policy_mode: policy.base().mode,
        mode: args.mode.into(),
        secret: made_up,
    };
    for warning in policy.warnings() {
        note(&format!("warning: {warning}"));
    }
    output.print(&places, || text(&places, &args));
    let calls_back = tokio::spawn(call_back(service.service.clone()));
    let (kill_switch, received) = (Arc::clone(&served.kill_switch), Arc::clone(&served.received));
    let work = tokio::spawn(work(local.stream(), kill_switch, received));
    let ended = tokio::select! {
        ended = axum::serve(listener, router(served)) => {
            ended.map_err(|error| CliError::local("serving")(error.into()))
        }
        () = interrupted => Ok(()),
    };
    work.abort();
    calls_back.abort();
    run_file::remove(&running);
    ended.map(|()| 0)
}

/// The arguments, of which a variable that is set to nothing is not set.
fn checked(mut args: UpArgs) -> Result<UpArgs, CliError> {
    for value in [
        &mut args.public_webhook_url,
        &mut args.secret_json,
        &mut args.supersim_api_base,
        &mut args.supersim_token_url,
    ] {
        *value = value.take().filter(|text| !text.is_empty());
    }
    let is_http = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    match args.public_webhook_url.as_ref().filter(|url| !is_http(url)) {
        Some(url) => {
            let why = "expected an absolute http or https URL";
            Err(CliError::Usage(format!("PUBLIC_WEBHOOK_URL {url}: {why}")))
        }
        None => Ok(args),
    }
}

fn events_url(origin: &str) -> String {
    format!("{origin}/events")
}

/// What is served at the origin, where kills go, and the webhook's secret if it was made up.
fn serve(
    args: &UpArgs,
    origin: &str,
    service: &LocalService,
    local: &LocalTable,
    mailbox: &Mailbox,
    clock: SharedClock,
) -> Result<(Served, String, Option<String>), CliError> {
    let provider: Provider = args.provider.into();
    let (secrets, made_up) = webhook_secrets(provider, args.secret_json.as_deref())?;
    let (links, key) = local::links(origin)?;
    let (client, supersim) = match &args.supersim_api_base {
        None => (service.client()?, service.origin.clone()),
        Some(origin) => {
            note(&format!("Kills go to {origin}, not to the simulated Super SIM service."));
            let credentials = api_credentials(provider, args.secret_json.as_deref())?;
            let token_url = args.supersim_token_url.as_deref();
            (local::client(origin, token_url, credentials)?, origin.clone())
        }
    };
    let events = events_url(origin);
    let public_url = args.public_webhook_url.as_deref().unwrap_or(&events);
    let (table, live) = (local.table.clone(), Receipt::Live);
    let webhook =
        local::webhook(table.clone(), live, Arc::clone(&clock), provider, secrets, public_url);
    // A provider elsewhere does not reach this machine.
    let is_simulated = args.supersim_api_base.is_none();
    let callbacks = is_simulated.then(|| local::callbacks(links.clone(), Arc::clone(&clock)));
    let client = client.calling_back(callbacks);
    let (mailbox, clock_of) = (mailbox.clone(), Arc::clone(&clock));
    let kill_switch =
        local::kill_switch(table.clone(), client, mailbox, clock_of, args.mode.into());
    let kill_switch = Arc::new(kill_switch.linking(Some(links)));
    let console = local::console(table, Arc::clone(&kill_switch), clock, key);
    let simulated = is_simulated.then(|| service.service.clone());
    let served = Served {
        webhook: Arc::new(webhook),
        kill_switch,
        console: Some(Arc::new(console)),
        received: Arc::new(Notify::new()),
        accepted: simulated
            .map(|service| -> Listener { Arc::new(move |body| introduce(&service, body)) }),
    };
    Ok((served, supersim, made_up))
}

fn text(places: &Places, args: &UpArgs) -> String {
    // The first line is part of the contract.
    let mut text = format!("webhook {}\n", places.webhook);
    if let Some(secret) = &places.secret {
        text.push_str(&format!("secret {secret}\n"));
    }
    text.push_str(&format!("console {}\n", places.console));
    text.push_str(&format!("supersim {}\n", places.supersim));
    text.push_str(&format!("table {}\n", places.table));
    text.push_str(&format!("mailbox {}\n", places.mailbox));
    let both = places.policy_mode == Mode::Enforce && places.mode == Mode::Enforce;
    text.push_str(&format!(
        "automatic kills {} (policy: {}, --mode: {})\n",
        if both { "ON" } else { "off" },
        places.policy_mode,
        places.mode
    ));
    let provider: Provider = args.provider.into();
    let secret = places.secret.as_deref().unwrap_or("SECRET");
    let program = std::env::args().next().unwrap_or_else(|| "simfuse".to_owned());
    text.push_str(&format!(
        "\nTry it from another terminal:\n  \
         {program} replay tests/fixtures/theft.ndjson --to {} --provider {provider} --secret {secret}\n  \
         {program} status\n\
         Ctrl-C ends it.\n",
        places.webhook
    ));
    text
}

/// Reads the stream after each body and sweeps every minute.
async fn work(mut stream: Stream, kill_switch: Arc<LocalKillSwitch>, received: Arc<Notify>) {
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = sweep.tick() => {
                let swept = kill_switch.handle(serde_json::json!({ "sweep": true }));
                if let Err(error) = swept.await {
                    tracing::error!(%error, "the sweep failed");
                }
            }
            () = received.notified() => {}
            () = tokio::time::sleep(STREAM_EVERY) => {}
        }
        if let Err(error) = stream.drain(&kill_switch).await {
            tracing::error!(%error, "reading the stream failed");
        }
    }
}

/// Lets the simulated service call back what is done.
async fn call_back(service: SuperSimService) {
    loop {
        tokio::time::sleep(CALL_BACK_EVERY).await;
        service.call_back().await;
    }
}

/// Introduces the SIMs and fleets of a body to the simulated service, as a provider knows the SIMs whose events
/// it sends. One that it knows stays as it is.
fn introduce(service: &SuperSimService, body: &[u8]) {
    envelope::decode(body, |decoded| {
        let Decoded::Event(Event { sim, iccid, unique_name, fleet, .. }) = decoded else { return };
        if let Some(fleet) = fleet.filter(|fleet| service.fleet(*fleet).is_none()) {
            service.add_fleet(fleet, &fleet.to_string());
        }
        if service.sim(sim).is_none() {
            let status = SimStatus::Active;
            service.add_sim(Sim { sid: sim, iccid, unique_name, status, fleet });
        }
    });
}

fn loopback(text: &str) -> Result<SocketAddr, CliError> {
    let wrong = || CliError::Usage(format!("--listen {text}: expected an address, 127.0.0.1:8787"));
    let address = text.to_socket_addrs().map_err(|_not_one| wrong())?.next().ok_or_else(wrong)?;
    if !address.ip().is_loopback() {
        let why = "only loopback is served: put a proxy in front of it, or deploy SimFuse";
        return Err(CliError::Usage(format!("--listen {text}: {why}")));
    }
    Ok(address)
}

/// The secret of webhooks, and the one that was made up if none was given.
fn webhook_secrets(
    provider: Provider,
    json: Option<&str>,
) -> Result<(WebhookSecrets, Option<String>), CliError> {
    let made_up = json.is_none().then(random_secret);
    let key = match provider {
        Provider::Twilio => "auth_token",
        Provider::Kore => "webhook_secret",
    };
    let own = made_up.as_ref().map(|secret| serde_json::json!({ key: secret }).to_string());
    let json = own.as_deref().or(json).unwrap_or_default();
    let secrets = WebhookSecrets::from_json(provider, json);
    let secrets = secrets.map_err(|error| CliError::Usage(format!("SIMFUSE_SECRET_JSON: {error}")));
    Ok((secrets?, made_up))
}

fn api_credentials(provider: Provider, json: Option<&str>) -> Result<ApiCredentials, CliError> {
    let json = json.ok_or_else(|| {
        let why = "SUPERSIM_API_BASE needs the API's credentials in SIMFUSE_SECRET_JSON";
        CliError::Usage(why.to_owned())
    })?;
    ApiCredentials::from_json(provider, json)
        .map_err(|error| CliError::Usage(format!("SIMFUSE_SECRET_JSON: {error}")))
}

/// Listens for Ctrl-C and SIGTERM from now on; the future ends with the first of them.
fn interrupts() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    })
}
