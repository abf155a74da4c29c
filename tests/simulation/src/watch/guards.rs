//! What binds automatic acts: protection, stop switch, mode, caps, the ruling, a human's judgement.
//!
//! Each is looked at in the moment in which the intent is recorded. The fleet is read a little before,
//! and no transaction holds it: what was true at any time since counts.

use std::collections::BTreeSet;

use simfuse_domain::device::Imei14;
use simfuse_domain::finding::{Evidence, Finding};
use simfuse_domain::guard::CapScope;
use simfuse_domain::id::FleetSid;
use simfuse_domain::incident::{Desired, Incident};
use simfuse_domain::policy::{Mode, Policy, Rules};
use simfuse_domain::port::Commit;
use simfuse_domain::verdict::Verdict;

use super::{Caller, Seen, Watch, intent_of};

/// A kill counts from the moment in which its function looked at the clock, and two clocks differ.
/// By this much a window may seem shorter: two skews, and the slowest calls up to the intent.
const SKEW_MS_MAX: i64 = 70_000;

/// A fleet may be read this long before the intent is recorded.
const FLEET_READ_MS_MAX: i64 = 120_000;

impl Watch {
    pub(super) fn check_guards(&mut self, now_ms: i64, caller: &Caller, commit: &Commit) {
        match intent_of(commit) {
            Some(("deactivate", true)) => {}
            Some(("quarantine", true)) if self.stopped => {
                let sim = commit.sim;
                self.broken("no_automatic_kill_while_stopped", || {
                    format!("{caller} wrote an automatic intent to move {sim}")
                });
                return;
            }
            _ => return,
        }
        let Some((incident, _)) = &commit.incident else { return };
        let Some(seen) = self.sims.get(&commit.sim) else { return };
        let sim = commit.sim;
        let desired = commit.desired.as_ref().map_or(&seen.desired.0, |(desired, _)| desired);
        let first = self.policy_read.get(&caller.task).copied().unwrap_or_default();
        let policies = self.policies.get(first..).unwrap_or_default();
        let rules = |policy: &Policy, fleet: &Option<FleetSid>| -> Rules {
            policy.rules_for(*fleet, sim).into_owned()
        };
        let fleets = fleets_lately(seen, now_ms);
        let all: Vec<Rules> = policies
            .iter()
            .flat_map(|policy| fleets.iter().map(move |fleet| rules(policy, fleet)))
            .collect();
        // The policy of this very moment, by any of the fleets that the SIM may have been seen in.
        let now: Vec<Rules> = self
            .policies
            .last()
            .map(|policy| fleets.iter().map(|fleet| rules(policy, fleet)).collect())
            .unwrap_or_default();
        let wrong = if desired.protected_by.is_some()
            || now.iter().all(|rules| rules.guards.protects(&seen.names))
        {
            Some("no_automatic_kill_of_protected")
        } else if self.stopped {
            Some("no_automatic_kill_while_stopped")
        } else if caller.armed == Mode::Observe
            || all.iter().all(|rules| rules.mode == Mode::Observe)
        {
            Some("no_automatic_kill_in_observe")
        } else if !all.iter().any(|rules| is_ruled(rules, incident, desired, &BTreeSet::new())) {
            Some("ruled_again_and_not_judged")
        } else if !all.iter().any(|rules| is_ruled(rules, incident, desired, &seen.allowed)) {
            Some("not_for_an_allowed_device")
        } else if !is_counted(commit, incident, seen) {
            Some("caps_count_each_kill")
        } else {
            None
        };
        if let Some(invariant) = wrong {
            let id = incident.id.clone();
            self.broken(invariant, || format!("{caller} wrote an automatic intent for {id}"));
            return;
        }
        self.check_caps(now_ms, &all, commit);
    }

    /// No window of a cap's length holds more admissions than the cap has.
    fn check_caps(&mut self, now_ms: i64, all: &[Rules], commit: &Commit) {
        for (scope, ..) in &commit.kill_windows {
            let admitted = self.admissions.get(scope).map_or(&[][..], Vec::as_slice);
            let is_within = |rules: &Rules| {
                let (cap, sims) = match scope {
                    CapScope::Account => (rules.guards.account_max_kills, None),
                    CapScope::Fleet(fleet) => {
                        (rules.guards.max_kills, self.fleet_sims.get(fleet).copied())
                    }
                };
                let since = now_ms - i64::from(cap.window_mins) * 60_000 + SKEW_MS_MAX;
                let kills = admitted.iter().filter(|at| **at > since).count() + 1;
                kills <= usize::try_from(cap.kills_max(sims)).unwrap_or(usize::MAX)
            };
            if !all.iter().any(is_within) {
                let (scope, kills) = (*scope, admitted.len() + 1);
                self.broken("caps", || format!("kill {kills} of {scope} is over the cap"));
                return;
            }
        }
    }
}

/// The SIM's fleets a moment ago, and whatever is between.
fn fleets_lately(seen: &Seen, now_ms: i64) -> Vec<Option<FleetSid>> {
    let since = now_ms - FLEET_READ_MS_MAX;
    let recent = seen.fleets.iter().rposition(|(from, _)| *from <= since).unwrap_or(0);
    let fleets = seen.fleets.get(recent..).unwrap_or_default();
    fleets.iter().map(|(_, fleet)| Some(*fleet)).collect()
}

/// Whether policy asks for the act because of something that no human judged, in a device that none
/// allowed.
fn is_ruled(
    rules: &Rules,
    incident: &Incident,
    desired: &Desired,
    allowed: &BTreeSet<Imei14>,
) -> bool {
    let is_allowed = |finding: &Finding| match &finding.evidence {
        Evidence::Device { seen, .. } => allowed.contains(seen),
        _ => false,
    };
    let news = incident.findings.iter().filter(|finding| !desired.judged.contains(&finding.key()));
    let news: Vec<&Finding> = news.filter(|finding| !is_allowed(finding)).collect();
    rules.rule(news.iter().copied()) >= Verdict::Quarantine
}

/// Whether the caps count the kill now, or have counted it before.
fn is_counted(commit: &Commit, incident: &Incident, seen: &Seen) -> bool {
    let scopes: Vec<CapScope> = commit.kill_windows.iter().map(|(scope, ..)| *scope).collect();
    if scopes.is_empty() {
        return seen.admitted.contains(&incident.id);
    }
    let fleet = incident.fleet.map(CapScope::Fleet);
    scopes.contains(&CapScope::Account) && fleet.is_none_or(|fleet| scopes.contains(&fleet))
}
