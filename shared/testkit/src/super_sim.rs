//! The provider's Sims in memory: the fake of the `SuperSim` port, on the same SIMs as the simulated
//! service, without HTTP. Both keep the contract in [`crate::contract::super_sim`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{Clock, ProviderError, Sim, SimName, SimStatus, SuperSim, TargetStatus};

use crate::service::{Attach, Behaviour, Line};
use crate::service::{Effect, SimRecord};

/// SIMs and their statuses, in the clock's time. Clones share them.
#[derive(Clone)]
pub struct MemorySuperSim {
    sims: Arc<Mutex<BTreeMap<SimSid, Known>>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
struct Known {
    record: SimRecord,
    effect: Effect,
}

impl MemorySuperSim {
    /// An account without SIMs, whose time is the clock's.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { sims: Arc::default(), clock }
    }

    /// Adds a SIM whose open session is cut at once by a deactivation, or replaces the one with its
    /// SID.
    pub fn add(&self, sim: Sim) {
        let record = SimRecord::new(sim, Behaviour::CutAtOnce, self.clock.now());
        self.lock().insert(record.sim.sid, Known { record, effect: Effect::Real });
    }

    /// Takes a SIM out of the account: it is not found from here on.
    pub fn remove(&self, sim: SimSid) {
        self.lock().remove(&sim);
    }

    /// Sets what a change of status does to this SIM from now on.
    pub fn set_behaviour(&self, sim: SimSid, behaviour: Behaviour) {
        self.change(sim, |known, _| known.record.behaviour = behaviour);
    }

    /// From now on a change of this SIM's status is answered and shown as done, while the network
    /// knows nothing of it.
    pub fn lie_about(&self, sim: SimSid) {
        self.change(sim, |known, _| known.effect = Effect::Pretended);
    }

    /// Moves a SIM to another fleet.
    pub fn move_to(&self, sim: SimSid, fleet: FleetSid) {
        self.change(sim, |known, _| known.record.sim.fleet = Some(fleet));
    }

    /// Changes a SIM's status as someone in the provider's console does: at once, every transition
    /// allowed. What was scheduled is dropped; a request that is still to land is not.
    pub fn set_status_elsewhere(&self, sim: SimSid, status: SimStatus) {
        self.change(sim, |known, now| known.record.set_status(status, now));
    }

    /// Lets a request that seems lost land at this time, if the SIM's status permits it then.
    pub fn land_late(&self, sim: SimSid, status: TargetStatus, due: Timestamp) {
        self.change(sim, |known, _| known.record.change_status_late(status.status(), due));
    }

    /// A SIM as a fetch would show it now.
    #[must_use]
    pub fn sim(&self, sim: SimSid) -> Option<Sim> {
        let now = self.clock.now();
        let mut sims = self.lock();
        let known = sims.get_mut(&sim)?;
        known.record.settle(now);
        Some(known.record.sim.clone())
    }

    /// Whether something is still to happen to a SIM by itself.
    #[must_use]
    pub fn is_unsettled(&self, sim: SimSid) -> bool {
        self.lock().get(&sim).is_some_and(|known| known.record.is_unsettled())
    }

    /// The network's answer to a SIM that attaches at this time; an unknown SIM is refused as
    /// inactive.
    #[must_use]
    pub fn attach(&self, sim: SimSid, at: Timestamp) -> Attach {
        let rejected = Attach::Rejected { code: 83_705 };
        self.lock().get(&sim).map_or(rejected, |known| known.record.attach(at))
    }

    /// What the network did up to `until` to a session that this SIM opened at `since`; a session of
    /// an unknown SIM is left alone.
    #[must_use]
    pub fn line(&self, sim: SimSid, since: Timestamp, until: Timestamp) -> Line {
        let untouched = Line { cut_at: None, refused_since: None };
        self.lock().get(&sim).map_or(untouched, |known| known.record.line(since, until))
    }

    fn change(&self, sim: SimSid, change: impl FnOnce(&mut Known, Timestamp)) {
        let now = self.clock.now();
        if let Some(known) = self.lock().get_mut(&sim) {
            known.record.settle(now);
            change(known, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SimSid, Known>> {
        self.sims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemorySuperSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySuperSim").field("sims", &self.sims).finish_non_exhaustive()
    }
}

impl SuperSim for MemorySuperSim {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        let sid = match name {
            SimName::Sid(sid) => Some(*sid),
            SimName::Iccid(iccid) => self.find(|sim| sim.iccid == Some(*iccid)),
            SimName::UniqueName(name) => {
                self.find(|sim| sim.unique_name.as_deref() == Some(name.as_str()))
            }
        };
        sid.and_then(|sid| self.sim(sid)).ok_or(ProviderError::NotFound)
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        let now = self.clock.now();
        let mut sims = self.lock();
        let known = sims.get_mut(&sim).ok_or(ProviderError::NotFound)?;
        known.record.settle(now);
        let target = status.status();
        if !known.record.allows(target) {
            return Err(ProviderError::TransitionNotAllowed);
        }
        known.record.change_status(target, now, known.effect);
        Ok(known.record.sim.clone())
    }

    async fn set_fleet(&self, sim: SimSid, fleet: FleetSid) -> Result<Sim, ProviderError> {
        let now = self.clock.now();
        let mut sims = self.lock();
        let known = sims.get_mut(&sim).ok_or(ProviderError::NotFound)?;
        known.record.settle(now);
        let sim = &mut known.record.sim;
        let refused = |code| ProviderError::Refused {
            status: 400,
            code: Some(code),
            message: "no other fleet now".to_owned(),
        };
        match sim.status {
            SimStatus::Ready | SimStatus::Active if sim.fleet != Some(fleet) => {
                Err(refused(83_008))
            }
            SimStatus::Scheduled => Err(refused(83_009)),
            _ => {
                sim.fleet = Some(fleet);
                Ok(sim.clone())
            }
        }
    }
}

impl MemorySuperSim {
    fn find(&self, is_it: impl Fn(&Sim) -> bool) -> Option<SimSid> {
        let sims = self.lock();
        let mut known = sims.values().map(|known| &known.record.sim);
        known.find(|sim| is_it(sim)).map(|sim| sim.sid)
    }
}
