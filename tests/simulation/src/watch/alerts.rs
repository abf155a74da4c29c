//! No alert is lost, and none comes twice but where nobody can know whether it went out.

use simfuse_domain::alert::{Alert, AlertKind};
use simfuse_domain::incident::{Hold, Incident, Stage};
use simfuse_domain::port::Commit;

use super::{Caller, Published, Watch};

impl Watch {
    pub(super) fn note_published(&mut self, now_ms: i64, caller: &Caller, alert: &Alert) {
        self.note_out(now_ms, caller, alert, alert.id.clone());
        for told in &alert.tells {
            self.note_out(now_ms, caller, alert, told.clone());
        }
    }

    /// An alert is out, in this message.
    fn note_out(&mut self, now_ms: i64, caller: &Caller, message: &Alert, id: String) {
        let effects = self.effects;
        let alert = &Alert { id, ..message.clone() };
        let by = message.id.clone();
        let known = self.published.entry(alert.id.clone()).or_insert_with(|| Published {
            by: by.clone(),
            action: alert.action.clone(),
            times: 0,
            last_ms: now_ms,
            recorded_at: None,
        });
        known.times += 1;
        known.last_ms = now_ms;
        let (action, recorded_at) = (known.action.clone(), known.recorded_at);
        let first = known.by.clone();
        if first != by {
            self.broken("alerts_once", || format!("{} went out in {first} and in {by}", alert.id));
        }
        if action != alert.action {
            self.broken("alert_ids", || {
                format!("{} said {action}, and now says {}", alert.id, alert.action)
            });
        }
        // Who read the case after it was recorded as out knew that it was.
        let sim = alert.id.split('-').next().and_then(|sid| sid.parse().ok());
        let read_at = sim.and_then(|sim| self.read_at.get(&(caller.task, sim)).copied());
        if let (Some(recorded_at), Some(read_at)) = (recorded_at, read_at)
            && recorded_at < read_at
        {
            self.broken("alerts_once", || {
                format!("{} went out again at effect {effects}, {caller} knew better", alert.id)
            });
        }
    }

    /// Alerts that a decision makes, or says to be out.
    pub(super) fn note_alerts(&mut self, commit: &Commit) {
        let Some((incident, _)) = &commit.incident else { return };
        let effects = self.effects;
        let Some(seen) = self.sims.get_mut(&commit.sim) else { return };
        let kinds = seen.alerts.entry(incident.id.clone()).or_default();
        kinds.extend(incident.alerts.iter().map(|alert| (alert.number, alert.kind)));
        for number in kinds.keys() {
            let id = format!("{}-{number}", incident.id);
            let pending = incident.alerts.iter().any(|alert| alert.number == *number);
            if let Some(known) = self.published.get_mut(&id).filter(|_| !pending) {
                known.recorded_at.get_or_insert(effects);
            }
        }
    }

    /// What was pending is out, or is still pending; and what happens is told.
    pub(super) fn check_alerts(&mut self, commit: &Commit) {
        let Some((incident, _)) = &commit.incident else { return };
        let Some(seen) = self.sims.get(&commit.sim) else { return };
        let judges = commit.closes && incident.stage == Stage::Restored && commit.desired.is_some();
        let before = seen.incident.as_ref().map(|(before, _)| before);
        let lost = before.into_iter().flat_map(|before| &before.alerts).find(|alert| {
            let id = format!("{}-{}", incident.id, alert.number);
            !incident.alerts.contains(alert) && !self.published.contains_key(&id)
        });
        if let Some(alert) = lost.filter(|_| !judges) {
            let what = format!("{}-{} {:?}", incident.id, alert.number, alert.kind);
            self.broken("alerts_not_lost", || format!("{what} was dropped and never published"));
            return;
        }
        if commit.closes && !incident.alerts.is_empty() {
            let id = incident.id.clone();
            self.broken("alerts_not_lost", || format!("{id} was filed with alerts pending"));
            return;
        }
        let kinds = seen.alerts.get(&incident.id);
        let is_told = |kind| {
            kinds.is_some_and(|kinds| kinds.values().any(|made| *made == kind))
                || incident.alerts.iter().any(|alert| alert.kind == kind)
        };
        let demanded = demanded(before, incident, commit.closes);
        if let Some(kind) = demanded.filter(|kind| !judges && !is_told(*kind)) {
            let (id, stage) = (incident.id.clone(), incident.stage);
            self.broken("alerts_demanded", || format!("{id} is {stage}, no alert {kind:?}"));
        }
    }
}

/// The alert that a change of stage demands.
fn demanded(before: Option<&Incident>, after: &Incident, closes: bool) -> Option<AlertKind> {
    if before.map(|before| before.stage) == Some(after.stage) && !closes {
        return None;
    }
    match after.stage {
        Stage::Alerted => (!after.told && before.is_none()).then_some(AlertKind::Opened),
        Stage::Held(Hold::Observe | Hold::Protected | Hold::Stopped | Hold::Cooldown) => {
            Some(AlertKind::Held)
        }
        Stage::Inactive | Stage::Quiet => Some(AlertKind::Killed),
        Stage::Sent => after.trouble.is_none().then_some(AlertKind::Killed),
        Stage::Refused => Some(AlertKind::Unreachable),
        Stage::Leaking => Some(AlertKind::Leaking),
        Stage::Proven => Some(AlertKind::Proven),
        Stage::Quarantined => Some(AlertKind::Quarantined),
        Stage::Restored => Some(AlertKind::Restored),
        Stage::RestoredElsewhere => Some(AlertKind::RestoredElsewhere),
        Stage::Requested
        | Stage::Held(Hold::Cap)
        | Stage::Admitted
        | Stage::Scheduled
        | Stage::Unreachable
        | Stage::Restoring
        | Stage::Expired => None,
    }
}
