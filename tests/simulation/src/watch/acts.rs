//! Recorded: an intent before each act, an outcome after it.

use simfuse_domain::audit::Phase;
use simfuse_domain::finding::Evidence;
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::Stage;
use simfuse_domain::port::Commit;

use super::{Caller, FALSE_ALARM, Kind, LastAct, Seen, Watch, intent_of};

impl Watch {
    /// Whoever calls back proves nothing: it makes the kill-switch look, and ask for no change.
    pub(super) fn check_hint(&mut self, caller: &Caller, sim: SimSid) {
        if caller.kind == Kind::Hint {
            self.broken("a_hint_asks_for_nothing", || {
                format!("{caller} asked for a change of {sim}")
            });
        }
    }

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
        seen.note_judgement(commit);
        for entry in &commit.audit {
            // A judgement is whole in one transaction: nothing comes of it later.
            let about = entry.incident.as_ref().filter(|_| entry.action != FALSE_ALARM);
            let Some(incident) = about else { continue };
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
        // A human said that a running SIM is as it should be. Who only calls an alarm false says
        // nothing of a SIM that is off for another reason.
        if commit.closes && incident.stage == Stage::Restored && commit.desired.is_some() {
            if incident.false_alarm_at.is_none() {
                seen.last_act = LastAct::Restored;
            }
            seen.judged.insert(incident.id.clone());
        }
    }
}

impl Seen {
    /// By a human's word devices are allowed, and by another they are not any more.
    fn note_judgement(&mut self, commit: &Commit) {
        let is_said = |action: &str| commit.audit.iter().any(|entry| entry.action == action);
        if is_said("disallow") {
            self.allowed.clear();
        }
        if let Some((incident, _)) = commit.incident.as_ref().filter(|_| is_said(FALSE_ALARM)) {
            let devices = incident.findings.iter().filter_map(|finding| match &finding.evidence {
                Evidence::Device { seen, .. } => Some(*seen),
                _ => None,
            });
            self.allowed.extend(devices);
        }
    }
}
