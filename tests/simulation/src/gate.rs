//! The gate of one invocation: each call takes its time, and may fail or be the last thing that the
//! function does, as the weather has it. The watch sees each effect in the moment of its happening.

use std::future::Future;
use std::sync::Arc;

use simfuse_domain::id::FleetSid;
use simfuse_domain::id::SimSid;
use simfuse_domain::port::{
    Fleet, Fleets, Page, PageLink, ProviderError, Sim, SimName, SimStatus, SuperSim, TargetStatus,
};
use simfuse_testkit::faulty::{Fault, Method};
use simfuse_testkit::gated::{Call, Gate};
use simfuse_testkit::super_sim::MemorySuperSim;

use crate::plan::{QUARANTINE, fleet};
use crate::shared::{Inner, Shared};
use crate::watch::Caller;

/// A request may land this much later: less than a restore is watched.
const LATE_MS: std::ops::RangeInclusive<i64> = 5_000..=540_000;

/// The gate before all ports of one invocation.
#[derive(Clone)]
pub(crate) struct CallGate {
    pub(crate) shared: Arc<Shared>,
    pub(crate) caller: Caller,
}

/// What becomes of one call.
struct Plan {
    there_ms: i64,
    back_ms: i64,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    Fails(Fault),
    DiesBefore,
    DiesAfter,
}

impl Gate for CallGate {
    async fn pass<R: Send>(
        &self,
        call: Call<'_>,
        effect: impl Future<Output = R> + Send,
        is_done: impl Fn(&R) -> bool + Send,
    ) -> Result<R, Fault> {
        let plan = plan(&mut self.shared.lock(), &call);
        self.shared.turn(plan.there_ms).await;
        if plan.end == End::DiesBefore {
            return self.die(&call).await;
        }
        if let Call::SetStatus(sim, wanted) = call {
            self.shared.lock().posted(&self.caller, sim, wanted);
        }
        if let End::Fails(fault) = plan.end
            && fault != Fault::LostAnswer
        {
            self.shared.lock().note(|| format!("{} {:?} {fault:?}", self.caller, call.method()));
            self.shared.turn(plan.back_ms).await;
            return Err(fault);
        }
        let answer = effect.await;
        // Who reads and hears no answer knows nothing.
        let is_lost = matches!((plan.end, &call), (End::Fails(_), Call::ReadCase(_)));
        self.shared.lock().took_effect(&self.caller, &call, is_done(&answer) && !is_lost);
        if plan.end == End::DiesAfter {
            return self.die(&call).await;
        }
        self.shared.turn(plan.back_ms).await;
        match plan.end {
            End::Fails(fault) => Err(fault),
            End::Answered | End::DiesBefore | End::DiesAfter => Ok(answer),
        }
    }
}

impl CallGate {
    async fn die<R>(&self, call: &Call<'_>) -> Result<R, Fault> {
        {
            let mut inner = self.shared.lock();
            inner.note(|| format!("{} dies at {:?}", self.caller, call.method()));
            inner.dying.push(self.caller.task);
        }
        std::future::pending().await
    }
}

impl Inner {
    /// A request for another status has reached the provider, whatever it makes of it.
    fn posted(&mut self, caller: &Caller, sim: SimSid, wanted: TargetStatus) {
        self.note(|| format!("{caller} POST {sim} {wanted:?}"));
        let now_ms = self.now_ms;
        self.watch.posted(now_ms, caller, sim, wanted);
    }

    fn took_effect(&mut self, caller: &Caller, call: &Call<'_>, is_done: bool) {
        self.note(|| {
            let what = match call {
                Call::Commit(commit) => commit_in_words(commit),
                Call::Publish(alert) => format!("{} {}", alert.id, alert.action),
                Call::ReadCase(sim) => sim.to_string(),
                Call::WriteState(write) => {
                    format!("{} with {} findings", write.state.sim, write.findings.len())
                }
                _ => String::new(),
            };
            let refused = if is_done { "" } else { " not done" };
            format!("{caller} {:?}{refused} {what}", call.method())
        });
        let now_ms = self.now_ms;
        self.watch.took_effect(now_ms, caller, call, is_done);
    }
}

fn commit_in_words(commit: &simfuse_domain::port::Commit) -> String {
    let incident = commit.incident.as_ref().map_or_else(String::new, |(incident, read)| {
        let told: Vec<u32> = incident.alerts.iter().map(|alert| alert.number).collect();
        format!("{} on {read}, alerts {told:?}", incident.stage)
    });
    let audit: Vec<String> =
        commit.audit.iter().map(|entry| format!("{} by {}", entry.id, entry.actor)).collect();
    let closes = if commit.closes { " closes" } else { "" };
    format!("{} {incident}{closes} {audit:?}", commit.sim)
}

fn plan(inner: &mut Inner, call: &Call<'_>) -> Plan {
    let slow_ms = inner.weather.slow_ms;
    let (there_ms, back_ms) = (inner.chance.of(0..=slow_ms), inner.chance.of(0..=slow_ms));
    Plan { there_ms, back_ms, end: end(inner, call) }
}

fn end(inner: &mut Inner, call: &Call<'_>) -> End {
    let Inner { chance, weather, .. } = inner;
    if chance.permille(weather.crashes) {
        return if chance.coin() { End::DiesBefore } else { End::DiesAfter };
    }
    let rate = match call.method() {
        Method::Fetch | Method::SetStatus | Method::SetFleet => weather.provider,
        Method::Publish => weather.topic,
        _ => weather.table,
    };
    let conflicting = matches!(call, Call::Commit(_) | Call::WriteState(_))
        || matches!(
            call.method(),
            Method::ReplacePolicy | Method::WriteCampaign | Method::WriteTexts
        );
    if conflicting && chance.permille(weather.conflicts) {
        return End::Fails(Fault::Conflict);
    }
    if !chance.permille(rate) {
        return End::Answered;
    }
    let faults = [Fault::Throttled, Fault::Unreachable, Fault::LostAnswer];
    chance.one_of(&faults).map_or(End::Answered, End::Fails)
}

/// The provider as it is on a bad day.
#[derive(Clone)]
pub(crate) struct WildProvider {
    pub(crate) sims: MemorySuperSim,
    pub(crate) shared: Arc<Shared>,
}

/// What the provider makes of a request, other than what it should.
#[derive(Debug, Clone, Copy)]
enum Whim {
    Code83010,
    Refused,
    Unauthorized,
    OtherStatus,
    Late(i64),
    Twice(i64),
}

impl WildProvider {
    fn whim(&self) -> Option<Whim> {
        let mut inner = self.shared.lock();
        let Inner { chance, weather, .. } = &mut *inner;
        if chance.permille(weather.late) {
            let after_ms = chance.of(LATE_MS);
            let whims = [Whim::Late(after_ms), Whim::Twice(after_ms)];
            return chance.one_of(&whims);
        }
        if !chance.permille(weather.provider / 4) {
            return None;
        }
        let whims = [Whim::Code83010, Whim::Refused, Whim::Unauthorized, Whim::OtherStatus];
        chance.one_of(&whims)
    }
}

fn refused(status: u16) -> ProviderError {
    ProviderError::Refused { status, code: None, message: "a whim".to_owned() }
}

impl SuperSim for WildProvider {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        let sim = self.sims.fetch(name).await?;
        match self.whim() {
            Some(Whim::OtherStatus) => Ok(Sim { status: SimStatus::Unknown, ..sim }),
            Some(Whim::Unauthorized) => Err(ProviderError::Unauthorized { status: 401 }),
            _ => Ok(sim),
        }
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        let whim = self.whim();
        if let Some(whim) = whim {
            let mut inner = self.shared.lock();
            inner.note(|| format!("  the provider's whim: {whim:?}"));
        }
        match whim {
            Some(Whim::Code83010) => Err(ProviderError::TransitionNotAllowed),
            Some(Whim::Refused) => Err(refused(400)),
            Some(Whim::Unauthorized) => Err(ProviderError::Unauthorized { status: 403 }),
            Some(Whim::OtherStatus) => {
                let answer = self.sims.set_status(sim, status).await?;
                Ok(Sim { status: SimStatus::Unknown, ..answer })
            }
            Some(Whim::Late(after_ms)) => {
                self.land_late(sim, status, after_ms);
                let reason = "no answer".to_owned();
                Err(ProviderError::Unavailable { reason, source: None })
            }
            Some(Whim::Twice(after_ms)) => {
                self.land_late(sim, status, after_ms);
                self.sims.set_status(sim, status).await
            }
            None => self.sims.set_status(sim, status).await,
        }
    }

    async fn set_fleet(&self, sim: SimSid, fleet: FleetSid) -> Result<Sim, ProviderError> {
        match self.whim() {
            Some(Whim::Code83010) => Err(ProviderError::TransitionNotAllowed),
            Some(Whim::Refused) => Err(refused(400)),
            Some(Whim::Unauthorized) => Err(ProviderError::Unauthorized { status: 403 }),
            Some(Whim::OtherStatus | Whim::Late(_) | Whim::Twice(_)) | None => {
                self.sims.set_fleet(sim, fleet).await
            }
        }
    }
}

impl WildProvider {
    fn land_late(&self, sim: SimSid, status: TargetStatus, after_ms: i64) {
        let mut inner = self.shared.lock();
        let due = crate::shared::time_of(inner.now_ms.saturating_add(after_ms));
        if status == TargetStatus::Active {
            inner.watch.activated_elsewhere(sim);
        }
        drop(inner);
        self.sims.land_late(sim, status, due);
    }
}

impl Fleets for WildProvider {
    async fn fetch_fleet(&self, name: &str) -> Result<Fleet, ProviderError> {
        let sid = fleet(QUARANTINE);
        if name != sid.to_string() {
            return Err(ProviderError::NotFound);
        }
        Ok(Fleet { sid, unique_name: None, data_enabled: None, data_limit_mb: Some(1) })
    }

    async fn set_data_limit(
        &self,
        _fleet: FleetSid,
        _megabytes: u32,
    ) -> Result<Fleet, ProviderError> {
        Err(ProviderError::NotFound)
    }

    async fn list_fleets(&self, _page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        Err(ProviderError::NotFound)
    }

    async fn list_sims(
        &self,
        _fleet: FleetSid,
        _page: Option<&PageLink>,
    ) -> Result<Page<Sim>, ProviderError> {
        Err(ProviderError::NotFound)
    }
}
