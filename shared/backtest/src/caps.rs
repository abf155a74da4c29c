//! What the caps on kills would have held.
//!
//! The caps of fleets and account bind SIMs together, so they are asked last, in the order of time,
//! by the domain's own sliding window. A SIM whose kill is held is taken as switched off from then
//! on, as by a human who approves it at once: nothing else is done of itself after a hold.

use std::collections::BTreeMap;

use simfuse_domain::guard::{CapScope, KillWindow};
use simfuse_domain::id::FleetSid;
use simfuse_domain::incident::Hold;
use simfuse_domain::policy::Policy;
use simfuse_domain::verdict::Verdict;

use crate::course::Act;

/// Marks the acts that a cap would have held. Acts at the same time go by their SIM's number.
///
/// `fleet_sims` are the sizes of fleets: of one that is not in it, only a cap's count is asked.
pub fn hold_over_caps<'a>(
    acts: impl IntoIterator<Item = &'a mut Act>,
    policy: &Policy,
    fleet_sims: &BTreeMap<FleetSid, u32>,
) {
    let is_kill = |act: &&mut Act| act.what >= Verdict::Quarantine && act.hold.is_none();
    let mut kills: Vec<&mut Act> = acts.into_iter().filter(is_kill).collect();
    kills.sort_by_key(|act| (act.at, act.sim));
    let mut windows: BTreeMap<CapScope, KillWindow> = BTreeMap::new();
    for act in kills {
        let rules = policy.rules_for(act.fleet, act.sim);
        let account = (CapScope::Account, rules.guards.account_max_kills, None);
        let fleet = act.fleet.map(|fleet| {
            (CapScope::Fleet(fleet), rules.guards.max_kills, fleet_sims.get(&fleet).copied())
        });
        let mut admitted = Vec::new();
        for (scope, cap, sims) in std::iter::once(account).chain(fleet) {
            let known = windows.get(&scope).cloned().unwrap_or_default();
            let Some(window) = known.admit(act.at, cap, sims) else {
                act.hold = Some(Hold::Cap);
                break;
            };
            admitted.push((scope, window));
        }
        if act.hold.is_none() {
            windows.extend(admitted);
        }
    }
}
