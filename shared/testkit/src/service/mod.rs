//! A simulated Super SIM service over real HTTP, with a will of its own: Sims and their billing
//! periods, Fleets, Networks, UsageRecords.
//!
//! It speaks as the OpenAPI description shapes it, for both providers: HTTP Basic as on Twilio, OAuth2
//! client credentials as on KORE. Each SIM has a [`Behaviour`], because the provider does not say
//! what a deactivation does to an open session; each request is kept in a journal; and every fault
//! that a client has to bear can be injected. Time is the given clock's, so days pass in no time.

mod answer;
mod callback;
mod fault;
mod fleets;
mod http;
mod journal;
mod page;
mod sim;
mod sims;
#[cfg(test)]
mod tests;
mod usage;
mod usage_query;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use jiff::Timestamp;
use simfuse_domain::id::{FleetSid, NetworkSid, SimSid};
use simfuse_domain::port::{Clock, Fleet, Network, Sim, SimStatus};
use simfuse_domain::time::Hour;
use tokio::net::TcpListener;

pub use callback::{CallbackTime, Called};
pub use fault::{Fault, FaultRule, LateAnswer, PageFault, Requests};
pub use fleets::DATA_LIMIT_MB;
pub use journal::{REQUESTS_MAX, Request};
pub use sim::{Attach, Behaviour, Line};
pub use usage::{Usage, UsageSource};
pub use usage_query::USAGE_PAGE_SIZE_MAX;

pub(crate) use sim::{Effect, SimRecord};

use callback::Owed;
use fault::Faults;
use fleets::FleetRecord;
use journal::Journal;
use usage::UsageBook;

/// Life of a bearer token, in seconds of virtual time: the shortest that KORE lets one choose.
pub const TOKEN_SECS: i64 = 3600;

/// Whose account it is, and who may ask.
#[derive(Clone)]
pub struct ServiceConfig {
    /// The account, `AC` and 32 hexadecimal digits: the user of HTTP Basic, and in every answer.
    pub account_sid: String,
    /// Password of HTTP Basic.
    pub auth_token: String,
    /// OAuth2 client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

/// Secrets stay out of logs, simulated ones too.
impl fmt::Debug for ServiceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceConfig")
            .field("account_sid", &self.account_sid)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// The service; clones are handles to the same one.
#[derive(Clone)]
pub struct SuperSimService {
    shared: Arc<Shared>,
}

struct Shared {
    config: ServiceConfig,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sims: BTreeMap<SimSid, SimRecord>,
    /// SIMs for which something may be under way.
    unsettled: BTreeSet<SimSid>,
    fleets: BTreeMap<FleetSid, FleetRecord>,
    networks: BTreeMap<NetworkSid, Network>,
    /// Billing periods that were set: begin and end.
    periods: BTreeMap<SimSid, (Timestamp, Timestamp)>,
    usage: UsageBook,
    /// API keys and their secrets.
    api_keys: BTreeMap<String, String>,
    public_origin: Option<String>,
    /// Bearer tokens and when they expire.
    tokens: BTreeMap<String, Timestamp>,
    tokens_issued: u64,
    faults: Faults,
    journal: Journal,
    /// Callbacks that are still to be made.
    callbacks: Vec<Owed>,
    callback_time: CallbackTime,
}

impl SuperSimService {
    /// A service without SIMs, whose time is the clock's.
    #[must_use]
    pub fn new(config: ServiceConfig, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { config, clock, state: Mutex::default() }) }
    }

    /// The routes, for serving next to others.
    pub fn router(&self) -> Router {
        http::router(self.clone())
    }

    /// Serves on a listener until the future is dropped.
    ///
    /// # Errors
    /// When the listener fails; errors of single connections are not reported.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    /// The account of all its SIMs.
    #[must_use]
    pub fn account_sid(&self) -> &str {
        &self.shared.config.account_sid
    }

    /// Takes an API key in place of the account's token, in HTTP Basic.
    pub fn accept_api_key(&self, key_sid: &str, secret: &str) {
        self.lock().api_keys.insert(key_sid.to_owned(), secret.to_owned());
    }

    /// Makes links with this scheme, host and port, as behind a proxy, and not with those that a
    /// request was sent to.
    pub fn set_public_origin(&self, origin: &str) {
        self.lock().public_origin = Some(origin.to_owned());
    }

    /// Adds a fleet with a data limit of [`DATA_LIMIT_MB`], or replaces it.
    pub fn add_fleet(&self, fleet: FleetSid, unique_name: &str) {
        let record = FleetRecord::new(fleet, unique_name, self.shared.clock.now());
        self.lock().fleets.insert(fleet, record);
    }

    /// A fleet as a fetch would show it now.
    #[must_use]
    pub fn fleet(&self, fleet: FleetSid) -> Option<Fleet> {
        self.lock().fleets.get(&fleet).map(|record| record.fleet.clone())
    }

    /// Adds a network, or replaces it.
    pub fn add_network(&self, network: Network) {
        self.lock().networks.insert(network.sid, network);
    }

    /// Sets a SIM's billing period, which is the calendar month until then.
    pub fn set_billing_period(&self, sim: SimSid, start: Timestamp, end: Timestamp) {
        self.lock().periods.insert(sim, (start, end));
    }

    /// Adds usage of a SIM, which was in this fleet then, to what an hour already has: past hours
    /// still grow at the provider, too.
    pub fn record_usage(&self, sim: SimSid, fleet: FleetSid, hour: Hour, usage: Usage) {
        self.lock().usage.record(sim, fleet, hour, usage);
    }

    /// Answers from this source, too, in place of the one before. Its usage comes on top of what
    /// was recorded.
    pub fn set_usage_source(&self, source: Arc<dyn UsageSource>) {
        self.lock().usage.set_source(source);
    }

    /// Adds a SIM whose open session is cut at once by a deactivation, or replaces the one with its
    /// SID together with all that is under way for it.
    pub fn add_sim(&self, sim: Sim) {
        let now = self.shared.clock.now();
        let record = SimRecord::new(sim, Behaviour::CutAtOnce, now);
        self.lock().sims.insert(record.sim.sid, record);
    }

    /// Adds many SIMs, each as [`add_sim`](Self::add_sim) does.
    pub fn add_sims(&self, sims: impl IntoIterator<Item = Sim>) {
        let now = self.shared.clock.now();
        let records = sims.into_iter().map(|sim| SimRecord::new(sim, Behaviour::CutAtOnce, now));
        self.lock().sims.extend(records.map(|record| (record.sim.sid, record)));
    }

    /// A SIM as a fetch would show it now.
    #[must_use]
    pub fn sim(&self, sim: SimSid) -> Option<Sim> {
        self.settle();
        self.lock().sims.get(&sim).map(|record| record.sim.clone())
    }

    /// All SIMs as a list would show them now, in the order of their SIDs.
    #[must_use]
    pub fn sims(&self) -> Vec<Sim> {
        self.settle();
        self.lock().sims.values().map(|record| record.sim.clone()).collect()
    }

    /// Sets what a change of status does to this SIM from now on.
    pub fn set_behaviour(&self, sim: SimSid, behaviour: Behaviour) {
        if let Some(record) = self.lock().sims.get_mut(&sim) {
            record.behaviour = behaviour;
        }
    }

    /// Changes a SIM's status behind the client's back, as someone in the provider's console does: at
    /// once, every transition allowed, not in the journal. What was scheduled is dropped; a request
    /// that is still to land is not.
    pub fn set_status(&self, sim: SimSid, status: SimStatus) {
        self.settle();
        let now = self.shared.clock.now();
        if let Some(record) = self.lock().sims.get_mut(&sim) {
            record.set_status(status, now);
        }
    }

    /// Carries out every change that is due by now; reads do so by themselves.
    pub fn settle(&self) {
        let now = self.shared.clock.now();
        self.lock().settle(now);
    }

    /// Lets requests go wrong. Of several rules that apply to a request the oldest is used.
    pub fn inject(&self, rule: FaultRule) {
        self.lock().faults.inject(rule);
    }

    /// Lets no further request go wrong; what was to take effect late still does.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// The last [`REQUESTS_MAX`] requests, in the order of their arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.lock().journal.requests().cloned().collect()
    }

    /// The requests for another status of this SIM, whatever became of them.
    #[must_use]
    pub fn status_requests(&self, sim: SimSid) -> Vec<Request> {
        let is_one =
            |request: &&Request| request.sim == Some(sim) && request.status_wanted().is_some();
        self.lock().journal.requests().filter(is_one).cloned().collect()
    }

    /// The network's answer to a SIM that attaches at this time; an unknown SIM is refused as
    /// inactive.
    #[must_use]
    pub fn attach(&self, sim: SimSid, at: Timestamp) -> Attach {
        let rejected = Attach::Rejected { code: 83705 };
        self.lock().sims.get(&sim).map_or(rejected, |record| record.attach(at))
    }

    /// What the network did up to `until` to a session that this SIM opened at `since`; a session of
    /// an unknown SIM is left alone. Changes that will be due by `until` count.
    #[must_use]
    pub fn line(&self, sim: SimSid, since: Timestamp, until: Timestamp) -> Line {
        let untouched = Line { cut_at: None, refused_since: None };
        self.lock().sims.get(&sim).map_or(untouched, |record| record.line(since, until))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SuperSimService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SuperSimService")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Looks only at SIMs for which something may be under way: there may be a million others.
    fn settle(&mut self, now: Timestamp) {
        let Self { sims, unsettled, .. } = self;
        unsettled.retain(|sim| {
            sims.get_mut(sim).is_some_and(|record| {
                record.settle(now);
                record.is_unsettled()
            })
        });
    }

    /// A SIM by its SID or unique name, which is what a path may hold.
    fn by_name(&self, name: &str) -> Option<SimSid> {
        match name.parse() {
            Ok(sid) => self.sims.contains_key(&sid).then_some(sid),
            Err(_not_a_sid) => {
                let has_name =
                    |record: &&SimRecord| record.sim.unique_name.as_deref() == Some(name);
                self.sims.values().find(has_name).map(|record| record.sim.sid)
            }
        }
    }
}
