//! Recorded: an intent before each act, an outcome after it.

use simfuse_domain::audit::Phase;
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::Stage;
use simfuse_domain::port::Commit;

use super::{Caller, LastAct, Watch, intent_of};

impl Watch {
    /// Who asks the provider has recorded that it would, once for each request.
    pub(super) fn check_intent_before_act(
        &mut self,
        caller: &Caller,
        sim: SimSid,
        actions: &[&str],
    ) {
        let intents = self.intents.entry((caller.task, sim)).or_default();
        match intents.iter().position(|intent| actions.contains(&intent.as_str())) {
            Some(place) => drop(intents.remove(place)),
            None => self.broken("intent_before_act", || {
                format!("{caller} asked for {actions:?} of {sim} without an intent")
            }),
        }
    }

    pub(super) fn note_acts(&mut self, caller: &Caller, commit: &Commit) {
        let intent = intent_of(commit);
        if let Some((action, _)) = intent {
            self.intents.entry((caller.task, commit.sim)).or_default().push(action.to_owned());
        }
        let Some(seen) = self.sims.get_mut(&commit.sim) else { return };
        for entry in &commit.audit {
            let Some(incident) = &entry.incident else { continue };
            match entry.phase {
                Phase::Intent => seen.without_outcome.insert(incident.clone()),
                Phase::Outcome => seen.without_outcome.remove(incident),
            };
        }
        match intent {
            Some(("deactivate", _)) => seen.last_act = LastAct::Killed,
            Some(("quarantine", _)) => seen.last_act = LastAct::Quarantined,
            Some(_) => seen.last_act = LastAct::Restored,
            None => {}
        }
        let Some((incident, _)) = &commit.incident else { return };
        if commit.closes && incident.stage == Stage::RestoredElsewhere {
            seen.last_act = LastAct::Nothing;
        }
        // A human said that a running SIM is as it should be.
        if commit.closes && incident.stage == Stage::Restored && commit.desired.is_some() {
            seen.last_act = LastAct::Restored;
            seen.judged.insert(incident.id.clone());
        }
    }
}
