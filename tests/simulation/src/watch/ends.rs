//! What has to be true when no fault happens any more and time has passed.

use jiff::Timestamp;
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::{Hold, Incident, Stage};
use simfuse_domain::policy::{BindingMode, Mode};
use simfuse_domain::port::SimStatus;

use super::{LastAct, Seen, Watch};
use crate::shared::time_of;

/// A request that is younger may still be under way: what a provider schedules takes its time.
const UNDER_WAY_MS: i64 = 30 * 60_000;

/// A sweep comes every minute: what is due for longer than this is forgotten.
const LEFT_DUE_MS: i64 = 150_000;

/// Requests for another status of one SIM in the hours without faults: some for what was under way,
/// none of them without a pause.
const POSTS_MAX: u32 = 12;

/// Reads of one SIM in an hour without faults: one a minute, and a few of humans and of deliveries.
const FETCHES_PER_HOUR_MAX: u32 = 75;

/// How things are with one SIM, as no function of SimFuse would know it.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    /// What the provider has; `None` for a SIM that is gone.
    pub(crate) status: Option<SimStatus>,
    /// Strange devices of which the webhook took an event, and when the first.
    pub(crate) strangers: Vec<(String, i64)>,
}

/// The end of a seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) now_ms: i64,
    /// Since when no fault happened.
    pub(crate) calm_since_ms: i64,
    pub(crate) armed: Mode,
    /// Neither policy, fleets nor switches changed: there is no other reason to do less.
    pub(crate) is_plain: bool,
    /// Everyone slept for days: nothing may be open but what waits for a human.
    pub(crate) is_long: bool,
}

impl Watch {
    pub(crate) fn check_end(&mut self, end: &End, sim: SimSid, truth: &Truth) {
        let Some(seen) = self.sims.get(&sim) else { return };
        let broken = self
            .lingers(end, seen, truth)
            .or_else(|| untold(seen, |id| self.published.contains_key(id)))
            .or_else(|| restored_and_not_active(seen, truth))
            .or_else(|| killed_and_not_inactive(seen, truth))
            .or_else(|| asks_too_often(end, seen))
            .or_else(|| self.rogue_and_silence(end, seen, truth));
        if let Some((invariant, what)) = broken {
            self.broken(invariant, || format!("{sim} ({:?}): {what}", truth.status));
        }
    }

    /// What should have come to its end, or to a human.
    fn lingers(&self, end: &End, seen: &Seen, truth: &Truth) -> Option<(&'static str, String)> {
        let (incident, _) = seen.incident.as_ref()?;
        let due = incident.due_at();
        if due < time_of(end.now_ms - LEFT_DUE_MS) {
            return Some(("nothing_left_due", format!("{} is due since {due}", incident.id)));
        }
        let told = |action: &str| self.told(&incident.id, Timestamp::MIN, &[action]);
        let since = incident.sent_at.unwrap_or(incident.opened_at);
        let young = since > time_of(end.now_ms - UNDER_WAY_MS);
        let (invariant, is_fine) = match incident.stage {
            Stage::Requested
            | Stage::Admitted
            | Stage::Sent
            | Stage::Scheduled
            | Stage::Unreachable
            | Stage::Refused
            | Stage::Restoring => {
                ("ends_or_paged", young || (truth.status.is_none() && told("unreachable")))
            }
            Stage::Leaking => ("ends_or_paged", told("leaking")),
            Stage::Held(Hold::Cap) => ("held_is_paged", self.cap_paged(end, seen)),
            Stage::Held(_) => ("held_is_paged", told("held")),
            Stage::Inactive | Stage::Quiet | Stage::Quarantined | Stage::Restored => {
                ("ends_or_paged", !end.is_long)
            }
            Stage::Alerted => ("ends_or_paged", told("alerted") || !incident.told),
            Stage::Proven if incident.frozen_until.is_some() => ("ends_or_paged", !end.is_long),
            Stage::Proven | Stage::RestoredElsewhere | Stage::Expired => ("ends_or_paged", false),
        };
        let open = format!("{} is still {}", incident.id, incident.stage);
        (!is_fine).then_some((invariant, open))
    }

    /// A page about held kills goes out soon after the first is held, and again until none is.
    fn cap_paged(&self, end: &End, seen: &Seen) -> bool {
        let pages = self.published.iter().filter(|(id, _)| id.starts_with("held-"));
        let last = pages.map(|(_, page)| page.last_ms).max();
        let since = seen.capped_ms.unwrap_or(end.now_ms);
        // Once each was in a page, a stop is an answer.
        let lately = if self.stopped { i64::MIN } else { end.now_ms - 20 * 60_000 };
        last.is_some_and(|last| last >= since.max(lately).min(end.now_ms - 120_000))
    }

    fn told(&self, incident: &str, since: Timestamp, actions: &[&str]) -> bool {
        let prefix = format!("{incident}-");
        let alerts = self.published.range(prefix.clone()..);
        let mut alerts = alerts.take_while(|(id, _)| id.starts_with(&prefix));
        alerts.any(|(_, alert)| {
            time_of(alert.last_ms) >= since && actions.contains(&alert.action.as_str())
        })
    }

    /// A SIM in a strange device, where policy wants it off, is off, or a human knows.
    fn rogue_and_silence(
        &self,
        end: &End,
        seen: &Seen,
        truth: &Truth,
    ) -> Option<(&'static str, String)> {
        let fleet = seen.fleets.last().map(|(_, fleet)| *fleet);
        let policy = self.policies.last()?;
        let rules = policy.rules_for(fleet, seen.names.sid);
        let strangers = truth.strangers.iter().filter(|(imei, _)| {
            let tac = imei.parse().map(simfuse_domain::device::Imei14::tac);
            let allowed = tac.is_ok_and(|tac| rules.binding.allowed_tacs.contains(&tac));
            let judged = seen.desired.0.judged.contains(&format!("device_not_allowed#{imei}"));
            let by_human = imei.parse().is_ok_and(|imei| seen.allowed.contains(&imei));
            !allowed && !judged && !by_human
        });
        let since = strangers.map(|(_, at)| *at).min()?;
        let wants_it_off = rules.binding.mode == BindingMode::Strict
            && rules.mode == Mode::Enforce
            && end.armed == Mode::Enforce
            && !self.stopped
            && seen.desired.0.protected_by.is_none()
            && !rules.guards.protects(&seen.names);
        if !wants_it_off || is_off(seen, truth) || seen.activated_elsewhere {
            return None;
        }
        let since = time_of(since);
        let strict =
            ["held", "unreachable", "leaking", "restored_elsewhere", "restored", "quarantined"];
        let lax = ["alerted", "deactivated", "proven"];
        let incidents = seen.past.iter().chain(seen.incident.as_ref().map(|(open, _)| open));
        let knows = |incident: &Incident| {
            let held = matches!(incident.stage, Stage::Held(_) | Stage::Expired);
            seen.capped.contains(&incident.id)
                || self.told(&incident.id, since, &strict)
                // What is held is not told again when there is more against it.
                || (held && self.told(&incident.id, Timestamp::MIN, &["held"]))
                // Nor is that a SIM is gone.
                || (truth.status.is_none()
                    && self.told(&incident.id, Timestamp::MIN, &["unreachable"]))
                || (!end.is_plain && self.told(&incident.id, Timestamp::MIN, &lax))
        };
        if incidents.clone().any(knows) {
            return None;
        }
        let stages: Vec<String> = incidents.map(|incident| incident.stage.to_string()).collect();
        Some(("rogue_is_dead_or_paged", format!("strange since {since}, incidents {stages:?}")))
    }
}

fn is_off(seen: &Seen, truth: &Truth) -> bool {
    let open = seen.incident.as_ref().map(|(open, _)| open.stage);
    let ends = open.is_none_or(|stage| {
        matches!(stage, Stage::Inactive | Stage::Quiet | Stage::Leaking | Stage::Alerted)
    });
    let status = matches!(truth.status, None | Some(SimStatus::Inactive | SimStatus::New));
    ends && status
}

/// Alerts that never went out, and acts of which nobody wrote what came of them.
fn untold(seen: &Seen, is_published: impl Fn(&String) -> bool) -> Option<(&'static str, String)> {
    if let Some(incident) = seen.without_outcome.first() {
        return Some(("outcome_after_act", format!("{incident} has an intent and no outcome")));
    }
    let alerts = seen.alerts.iter().filter(|(incident, _)| !seen.judged.contains(*incident));
    let mut ids = alerts.flat_map(|(incident, alerts)| {
        alerts.iter().map(move |(number, kind)| (format!("{incident}-{number}"), kind))
    });
    let lost = ids.find(|(id, _)| !is_published(id));
    lost.map(|(id, kind)| ("alerts_not_lost", format!("{id} {kind:?} never went out")))
}

fn restored_and_not_active(seen: &Seen, truth: &Truth) -> Option<(&'static str, String)> {
    let is_off = matches!(truth.status, Some(SimStatus::Inactive | SimStatus::Scheduled));
    let restored = seen.last_act == LastAct::Restored;
    (restored && is_off).then(|| ("restore_wins", "a human wanted it active".to_owned()))
}

fn killed_and_not_inactive(seen: &Seen, truth: &Truth) -> Option<(&'static str, String)> {
    let last = seen.incident.as_ref().map(|(open, _)| open).or(seen.past.last())?;
    let dead = matches!(last.stage, Stage::Inactive | Stage::Quiet | Stage::Proven);
    let runs = matches!(truth.status, Some(SimStatus::Active | SimStatus::Ready));
    let wrong = dead && runs && !seen.activated_elsewhere && seen.last_act == LastAct::Killed;
    wrong.then(|| ("dead_is_inactive", format!("{} is {}", last.id, last.stage)))
}

fn asks_too_often(end: &End, seen: &Seen) -> Option<(&'static str, String)> {
    let minutes = u32::try_from((end.now_ms - end.calm_since_ms) / 60_000).unwrap_or(u32::MAX);
    let fetches_max = (minutes / 60 + 1).saturating_mul(FETCHES_PER_HOUR_MAX);
    let (posts, fetches) = (seen.posts, seen.fetches);
    (posts > POSTS_MAX || fetches > fetches_max).then(|| {
        ("asks_with_pauses", format!("{posts} requests and {fetches} reads in {minutes} minutes"))
    })
}
