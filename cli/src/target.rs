//! The kill-switch that a command speaks to: of a running `up`, or of a deployed stack.

use std::time::Duration;

use simfuse_kill_switch::request::{Action, Answer, Request};

use crate::args::WhereArgs;
use crate::error::CliError;
use crate::local::http::KILL_SWITCH;
use crate::local::run_file::{self, Running};
use crate::output::note;
use crate::stack::Stack;

/// A function answers within its own time limit; this is a little more.
const INVOKE_TIMEOUT: Duration = Duration::from_secs(65);

/// On this machine it answers at once; one that does not is no hindrance.
const RUNNING_TIMEOUT: Duration = Duration::from_secs(3);

/// Names the deployed stack that commands go to where none is named.
const USUAL_STACK: &str = "SIMFUSE_STACK";

/// The stack that commands go to where none is named.
pub(crate) fn usual_stack() -> Option<String> {
    std::env::var(USUAL_STACK).ok().filter(|name| !name.is_empty())
}

/// Where requests go.
pub(crate) enum Target {
    /// A running `up`, by the address where it invokes functions.
    Up(String),
    /// A deployed stack.
    Stack(Box<Stack>),
}

impl Target {
    /// Finds what the command line names, and says on standard error which stack it is.
    pub(crate) async fn of(place: &WhereArgs) -> Result<Self, CliError> {
        let stack = place.stack.clone().or_else(|| place.up.is_none().then(usual_stack).flatten());
        if let Some(name) = stack {
            let stack = Stack::find(&name).await?;
            stack.announce().await;
            return Ok(Self::Stack(Box::new(stack)));
        }
        if let Some(origin) = &place.up {
            let origin = origin.trim_end_matches('/');
            if !is_on_this_machine(origin) {
                return Err(CliError::Usage(format!(
                    "--up {origin}: a `simfuse up` listens on this machine only, as at \
                     http://127.0.0.1:9100; a deployed stack is named by --stack NAME"
                )));
            }
            return Ok(Self::up(origin.to_owned()));
        }
        let running = run_file::read().map_err(|_none| {
            CliError::Remote(
                "no `simfuse up` of this user is running: start one, name it by --up URL, or name \
                 a deployed stack by --stack NAME"
                    .to_owned(),
            )
        })?;
        Ok(Self::up(running.origin))
    }

    /// A running `up`: that it is no deployed stack has to be seen, since commands look alike.
    fn up(origin: String) -> Self {
        note(&format!("simfuse up at {origin}, on this machine"));
        Self::Up(origin)
    }

    /// Lambda's Invoke call.
    pub(crate) async fn invoke(&self, request: &Request) -> Result<Answer, CliError> {
        match self {
            Self::Up(origin) => invoke_up(origin, request).await,
            Self::Stack(stack) => stack.invoke(request).await,
        }
    }
}

/// Whether an address is a web server's on this machine.
fn is_on_this_machine(origin: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(origin) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    matches!(url.scheme(), "http" | "https") && (is_loopback || host == "localhost")
}

/// The `up` of this user that answers; what one that died left behind is none.
pub(crate) async fn running_up() -> Option<Running> {
    let running = run_file::read().ok()?;
    let status = Request::of(Action::Status);
    let asked = tokio::time::timeout(RUNNING_TIMEOUT, invoke_up(&running.origin, &status)).await;
    asked.is_ok_and(|answer| answer.is_ok()).then_some(running)
}

async fn invoke_up(origin: &str, request: &Request) -> Result<Answer, CliError> {
    let fault = CliError::local(&format!("asking `simfuse up` at {origin}"));
    let client = reqwest::Client::builder().no_proxy().timeout(INVOKE_TIMEOUT).build();
    let client = client.map_err(|error| fault(error.into()))?;
    let url = format!("{origin}/2015-03-31/functions/{KILL_SWITCH}/invocations");
    let answer =
        client.post(url).json(request).send().await.map_err(|error| fault(error.into()))?;
    let status = answer.status();
    let failed = answer.headers().contains_key("x-amz-function-error");
    let body = answer.bytes().await.map_err(|error| fault(error.into()))?;
    if failed || !status.is_success() {
        let body = String::from_utf8_lossy(&body);
        return Err(CliError::Remote(format!("the kill-switch failed ({status}): {body}")));
    }
    serde_json::from_slice(&body).map_err(|error| fault(error.into()))
}
