//! Callbacks: the service calls the URL that came with a change (`CallbackUrl`), once that is done.
//!
//! What the provider sends is not documented: the fields here are made up, and nobody may rest on
//! them. It also may come late, twice, or too early, so each can be played.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::id::SimSid;
use simfuse_domain::port::SimStatus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http::Call;
use super::{State, SuperSimService};
use crate::time;

/// Whoever does not answer by then is not called again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A URL has no more to say than its status line.
const ANSWER_BYTES_MAX: u64 = 4_096;

/// When callbacks come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallbackTime {
    /// Once the change is done.
    #[default]
    WhenDone,
    /// So much virtual time later.
    Late(SignedDuration),
    /// Twice, once the change is done.
    Twice,
    /// Before it is done, as if it were.
    TooEarly,
}

/// A callback that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The SIM that it was about.
    pub sim: SimSid,
    /// What the URL answered; `None` where nobody did, or where it is not on loopback, which this
    /// service does not leave.
    pub answer: Option<u16>,
}

/// A callback that is still to be made.
#[derive(Debug, Clone)]
pub(super) struct Owed {
    sim: SimSid,
    url: String,
    method: String,
    /// What the SIM is to become.
    wanted: Option<SimStatus>,
}

impl SuperSimService {
    /// Sets when callbacks come from now on, also those that are owed.
    pub fn set_callbacks(&self, when: CallbackTime) {
        self.lock().callback_time = when;
    }

    /// Makes every callback that is due by now, and says what became of each.
    pub async fn call_back(&self) -> Vec<Called> {
        let now = self.shared.clock.now();
        let due = {
            let mut state = self.lock();
            state.settle(now);
            state.take_due_callbacks(now)
        };
        let mut called = Vec::with_capacity(due.len());
        for (owed, status) in due {
            let form =
                format!("AccountSid={}&SimSid={}&SimStatus={status}", self.account_sid(), owed.sim);
            let call = tokio::time::timeout(ANSWER_WITHIN, send(&owed.method, &owed.url, &form));
            called.push(Called { sim: owed.sim, answer: call.await.ok().flatten() });
        }
        called
    }
}

impl State {
    /// Notes that an update asked to be called back.
    pub(super) fn owe(&mut self, sim: SimSid, wanted: Option<SimStatus>, call: &Call) {
        let Some(url) = call.field("CallbackUrl").filter(|url| !url.is_empty()) else { return };
        let method = call.field("CallbackMethod").unwrap_or("POST");
        let (url, method) = (url.to_owned(), method.to_owned());
        self.callbacks.push(Owed { sim, url, method, wanted });
    }

    /// Takes out what is due, with the status to tell.
    fn take_due_callbacks(&mut self, now: Timestamp) -> Vec<(Owed, SimStatus)> {
        let mut due = Vec::new();
        for owed in std::mem::take(&mut self.callbacks) {
            let Some(record) = self.sims.get(&owed.sim) else { continue };
            let is_done = !record.is_unsettled();
            let (times, status) = match self.callback_time {
                CallbackTime::TooEarly => (1, owed.wanted.unwrap_or(record.sim.status)),
                CallbackTime::Late(after) => {
                    let is_late = time::later(record.updated, after) <= now;
                    (usize::from(is_done && is_late), record.sim.status)
                }
                CallbackTime::WhenDone => (usize::from(is_done), record.sim.status),
                CallbackTime::Twice => (usize::from(is_done) * 2, record.sim.status),
            };
            if times == 0 {
                self.callbacks.push(owed);
            } else {
                due.extend(std::iter::repeat_n((owed, status), times));
            }
        }
        due
    }
}

/// Calls a URL on loopback; the status of its answer.
async fn send(method: &str, url: &str, form: &str) -> Option<u16> {
    let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
    if !host.starts_with("127.0.0.1:") {
        return None;
    }
    let mut stream = TcpStream::connect(host).await.ok()?;
    let length = form.len();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1)?.parse().ok()
}
