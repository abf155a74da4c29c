//! What a cap holds, as an approval without names takes it: ruled again first, since hours may have
//! passed, and one that would be refused for it is not to be offered, counted or confirmed.

use futures::{StreamExt as _, stream};
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::{self, Incident, Look};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Alerts, Campaigns, Cases, Clock, Fleets, Heartbeat, Policies, SuperSim,
};
use simfuse_domain::verdict::Verdict;

use crate::engine::KillSwitch;
use crate::error::{Chain, KillSwitchError};
use crate::sweep::{HELD_MAX, SIMS_AT_ONCE};

/// SIMs whose kills a cap holds.
pub(crate) struct HeldByCap {
    /// What policy still asks for.
    pub(crate) asked: Vec<String>,
    /// What it asks for no more.
    pub(crate) cleared: Vec<SimSid>,
}

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// All that a cap holds, by what policy rules now.
    pub(crate) async fn held_by_cap(&self) -> Result<HeldByCap, KillSwitchError> {
        let held = self.table.held_incidents(HELD_MAX).await;
        let held = held.map_err(KillSwitchError::table("listing held incidents"))?;
        let policy = self.policy().await?;
        let held = held.into_iter().filter(Incident::is_held_by_cap);
        let ruled = held.map(|incident| self.is_cleared(incident, &policy)).collect::<Vec<_>>();
        let ruled: Vec<_> = stream::iter(ruled).buffered(SIMS_AT_ONCE).collect().await;
        let mut by_cap = HeldByCap { asked: Vec::new(), cleared: Vec::new() };
        for (sim, is_cleared) in ruled {
            if is_cleared {
                by_cap.cleared.push(sim);
            } else {
                by_cap.asked.push(sim.to_string());
            }
        }
        Ok(by_cap)
    }

    /// Whether policy asks for it no more. What cannot be read may be asked for still.
    pub(crate) async fn is_cleared(&self, held: Incident, policy: &Policy) -> (SimSid, bool) {
        let case = match self.read_case(held.sim).await {
            Ok(case) => case,
            Err(error) => {
                tracing::warn!(sim.sid = %held.sim, error = %Chain(&error), "not ruled again");
                return (held.sim, false);
            }
        };
        let look =
            Look { now: self.clock.now(), case: &case, policy, armed: self.armed, sim: None };
        let (verdict, _) = incident::assess(&look, held.fleet);
        (held.sim, verdict < Verdict::Quarantine && case.unread.is_empty())
    }
}
