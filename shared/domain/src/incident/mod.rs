//! An incident: what is done about one SIM, from the request to the proof.
//!
//! ```text
//! requested ─▶ held (observe · protected · stopped · cooldown · cap) ── a human approves ─┐
//!     └──────▶ admitted ◀────────────────────────────────────────────────────────────────┘
//!                └▶ sent ─▶ scheduled ─▶ inactive ─▶ quiet ─▶ proven     restoring ─▶ restored
//!                     └▶ unreachable, refused │       └▶ leaking ─▶ proven
//!                                             └▶ quarantined
//! ```
//!
//! Quarantine is a deactivation that goes on: once the SIM is inactive it is moved to another fleet
//! and made active there. Whatever refuses on the way, it stays inactive.
//!
//! [`decide`] is pure: it looks at the case and says what comes next; the kill-switch function does
//! it and records it.

mod cooldown;
mod decide;
mod false_alarm;
mod freeze;
mod judged;
mod outcome;
mod proof;
mod quarantine;
mod restore;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::{AlertKind, PendingAlert};
use crate::bytes::Bytes;
use crate::device::Imei14;
use crate::finding::{Evidence, Finding};
use crate::id::{FleetSid, SimSid};
use crate::port::TargetStatus;
use crate::state::SimState;
use crate::time::Hour;
use crate::verdict::Verdict;

pub use cooldown::is_cooling;
pub use decide::{Authority, Decision, Look, QUIET_MAX, assess, decide, held, quarantine_for};
pub use false_alarm::{ALLOWED_DEVICES_MAX, FalseAlarm, PAST_LOOKED_AT_MAX, false_alarm};
pub use judged::{judged_keys, told_as};
pub use outcome::outcome_of;
pub use proof::{Proof, positive_sign};
pub use quarantine::{kept_out, next_step_back};
pub use restore::RESTORE_WATCH;

/// The longest freeze: a month.
pub const FREEZE_HOURS_MAX: u32 = 31 * 24;

/// A human is paged when a SIM is not switched off this long after it should have been.
pub const PAGE_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// An alert that was not published is tried again after this long.
const ALERT_RETRY: SignedDuration = SignedDuration::from_secs(30);

/// Findings kept with an incident: the first ones, which explain it, and room for what follows.
const FINDINGS_MAX: usize = 24;

/// What should be, whatever the provider says at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Desired {
    /// The status that the SIM should have; `None` while we never touched it.
    pub status: Option<TargetStatus>,
    /// When a human last restored it: limits count only bytes after it.
    pub restored_at: Option<Timestamp>,
    /// Keys of findings that a human judged by restoring: they never fire again.
    pub judged: BTreeSet<String>,
    /// Devices that a human allowed for this SIM by judging an alarm about them false: no evidence
    /// against it, until a human kills it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed_devices: BTreeSet<Imei14>,
    /// Who protected the SIM at run time, and in brackets why.
    pub protected_by: Option<String>,
    /// Keys of findings that a guard held back while a restore was watched, and which one: what is
    /// found then waits for a human, though the guard be gone when the watch is over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<String, Hold>,
    /// Since when the SIM is inactive on our request, once it was proven dead.
    #[serde(default)]
    pub inactive_at: Option<Timestamp>,
    /// Where the SIM is kept so that it can do no harm, and where it belongs.
    #[serde(default)]
    pub quarantine: Option<Quarantine>,
}

/// A SIM's place in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The fleet that it is moved to.
    pub fleet: FleetSid,
    /// The fleet that it is moved back to when it is restored.
    pub home: FleetSid,
    /// Since when it is there and may connect.
    pub since: Option<Timestamp>,
}

/// What is done about one SIM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The same for the life of the incident; part of its alerts' ids.
    pub id: String,
    /// The SIM.
    pub sim: SimSid,
    /// What its operator calls it.
    pub name: String,
    /// The fleet that it belongs to.
    pub fleet: Option<FleetSid>,
    /// When the incident was opened.
    pub opened_at: Timestamp,
    /// What policy ruled.
    pub verdict: Verdict,
    /// Why, the earliest first.
    pub findings: Vec<Finding>,
    /// How far it is.
    pub stage: Stage,
    /// The human who asked for it or approved it, with their reason.
    pub human: Option<Human>,
    /// When a human judged it a false alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub false_alarm_at: Option<Timestamp>,
    /// Since when it waits for a human.
    #[serde(default)]
    pub held_at: Option<Timestamp>,
    /// Where the SIM goes once it is inactive, so that it is not dark.
    #[serde(default)]
    pub quarantine: Option<Quarantine>,
    /// When the SIM is made active again by itself, unless a human says that it is stolen.
    #[serde(default)]
    pub frozen_until: Option<Timestamp>,
    /// Keys of findings that were there no more before anything was done about them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lifted: BTreeSet<String>,
    /// While its restore is watched: see [`Desired::withheld`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<String, Hold>,
    /// Requests sent to the provider.
    pub attempts: u32,
    /// When the first request was sent.
    pub sent_at: Option<Timestamp>,
    /// When the provider was first seen to say inactive.
    pub inactive_at: Option<Timestamp>,
    /// When the SIM was proven dead, and by what.
    pub proof: Option<Proof>,
    /// The last thing that went wrong with the provider.
    pub trouble: Option<String>,
    /// Whether a human was told that the SIM was deactivated.
    pub told: bool,
    /// Whether a human was paged about a SIM that does not go off.
    pub paged: bool,
    /// When to look again.
    pub next_check: Timestamp,
    /// Alerts that are not yet known to be published.
    pub alerts: Vec<PendingAlert>,
    /// Alerts made so far: the next one's number.
    pub alerts_made: u32,
}

/// A human's part in an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Human {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// How many alerts of the incident had come up by then: links in them are of before.
    #[serde(default)]
    pub alerts_before: u32,
}

/// How far an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A human was told; policy asks for no more.
    Alerted,
    /// Policy asks for an act, the provider could not yet be asked about the SIM.
    Requested,
    /// Policy asks for an act, and a guard waits for a human.
    Held(Hold),
    /// The intent is recorded; the request may or may not have been sent.
    Admitted,
    /// The provider took the request.
    Sent,
    /// The provider will do it by itself, later.
    Scheduled,
    /// The provider could not be reached, or its answer was lost: the outcome is unknown.
    Unreachable,
    /// The provider refused.
    Refused,
    /// The provider says inactive.
    Inactive,
    /// Inactive, and silent for the proof window; no positive sign.
    Quiet,
    /// Inactive, and yet there is traffic that began later.
    Leaking,
    /// Inactive, and a positive sign that the network carries it no more.
    Proven,
    /// Moved to a fleet where it can do no harm, and active there.
    Quarantined,
    /// A human's restore is under way.
    Restoring,
    /// The provider says active again, as a human asked.
    Restored,
    /// Someone else made the SIM active again.
    RestoredElsewhere,
    /// Nothing more happened for [`QUIET_MAX`].
    Expired,
}

/// What an act waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Policy or the function observes only.
    Observe,
    /// The SIM is protected.
    Protected,
    /// The stop switch is set.
    Stopped,
    /// A human restored the SIM lately, and the evidence is not new.
    Cooldown,
    /// The cap on kills is reached.
    Cap,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe mode",
            Self::Protected => "the SIM is protected",
            Self::Stopped => "stopped by an operator",
            Self::Cooldown => "restored lately and no new evidence",
            Self::Cap => "cap on kills reached",
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alerted => "alerted",
            Self::Requested => "requested",
            Self::Held(hold) => return write!(f, "held ({hold})"),
            Self::Admitted => "admitted",
            Self::Sent => "sent",
            Self::Scheduled => "scheduled",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Inactive => "inactive",
            Self::Quiet => "quiet",
            Self::Leaking => "leaking",
            Self::Proven => "proven",
            Self::Quarantined => "quarantined",
            Self::Restoring => "restoring",
            Self::Restored => "restored",
            Self::RestoredElsewhere => "restored elsewhere",
            Self::Expired => "expired",
        })
    }
}

impl Incident {
    /// An incident that begins now, at stage `Requested`.
    #[must_use]
    pub fn open(sim: SimSid, name: String, fleet: Option<FleetSid>, now: Timestamp) -> Self {
        Self {
            id: Self::id_of(sim, now),
            sim,
            name,
            fleet,
            opened_at: now,
            verdict: Verdict::Clear,
            findings: Vec::new(),
            stage: Stage::Requested,
            human: None,
            false_alarm_at: None,
            held_at: None,
            quarantine: None,
            frozen_until: None,
            lifted: BTreeSet::new(),
            withheld: BTreeMap::new(),
            attempts: 0,
            sent_at: None,
            inactive_at: None,
            proof: None,
            trouble: None,
            told: false,
            paged: false,
            next_check: now,
            alerts: Vec::new(),
            alerts_made: 0,
        }
    }

    /// The id of the incident of a SIM that was opened then.
    #[must_use]
    pub fn id_of(sim: SimSid, opened_at: Timestamp) -> String {
        format!("{sim}-{}", opened_at.as_millisecond())
    }

    /// A restore begins: a kill that took long may have been paged, a restore that does is another
    /// matter.
    pub fn begin_restore(&mut self, now: Timestamp) {
        self.stage = Stage::Restoring;
        (self.paged, self.frozen_until) = (false, None);
        (self.sent_at, self.inactive_at) = (Some(now), None);
        self.withheld.clear();
    }

    /// Notes that this guard held back what was found while the restore is watched.
    pub(crate) fn withhold<'a>(&mut self, keys: impl IntoIterator<Item = &'a String>, hold: Hold) {
        for key in keys {
            if self.withheld.len() < FINDINGS_MAX {
                self.withheld.entry(key.clone()).or_insert(hold);
            }
        }
    }

    /// Findings that are there no more: what comes back is as new as on the first day.
    pub(crate) fn lift(&mut self, current: &BTreeMap<String, Finding>) {
        let gone = |known: &&Finding| !current.values().any(|found| found.is_about(&known.key()));
        self.lifted.extend(self.findings.iter().filter(gone).map(Finding::key));
    }

    /// Whether a finding is among those that the incident rests on.
    pub(crate) fn knows(&self, finding: &Finding) -> bool {
        let known = self.findings.iter().map(Finding::key);
        known.filter(|key| !self.lifted.contains(key)).any(|key| finding.is_about(&key))
    }

    /// Adds findings that the incident does not yet hold: of what a human would not be told anew, as
    /// many as there is room for.
    pub fn add_findings<'a>(&mut self, findings: impl IntoIterator<Item = &'a Finding>) {
        for finding in findings {
            self.lifted.retain(|key| !finding.is_about(key));
            let known = self.findings.iter().any(|other| other.key() == finding.key());
            if !known && (self.findings.len() < FINDINGS_MAX || self.make_room_for(finding)) {
                self.findings.push(finding.clone());
            }
        }
        self.findings.sort_by_key(|finding| finding.at);
    }

    /// Gives up the latest finding that repeats another, for one that is news to a human: were it not
    /// held, it would be told again at each look. Says whether there is room.
    fn make_room_for(&mut self, finding: &Finding) -> bool {
        let told: Vec<_> = self.findings.iter().map(told_as).collect();
        if told.contains(&told_as(finding)) {
            return false;
        }
        let first = |place: usize| told.iter().position(|other| Some(other) == told.get(place));
        let repeats = |place: &usize| first(*place) < Some(*place);
        let Some(place) = (0..told.len()).rev().find(repeats) else { return false };
        self.findings.remove(place);
        true
    }

    /// Puts an alert into the incident's outbox.
    pub fn alert(&mut self, kind: AlertKind, at: Timestamp) {
        self.alerts_made = self.alerts_made.saturating_add(1);
        let (number, fleet, by_human) = (self.alerts_made, self.fleet, self.human.is_some());
        let is_protected = self.stage == Stage::Held(Hold::Protected);
        self.alerts.push(PendingAlert { number, kind, at, fleet, by_human, is_protected });
    }

    /// When the sweep has to look at the incident: at its next check, or sooner where nothing but an
    /// alert that is not known to be published is left to be done.
    #[must_use]
    pub fn due_at(&self) -> Timestamp {
        if !self.only_tells() {
            return self.next_check;
        }
        let retries = self.alerts.iter().filter_map(|alert| alert.at.checked_add(ALERT_RETRY).ok());
        retries.fold(self.next_check, Timestamp::min)
    }

    /// Lets a minute pass until the next look.
    pub fn check_later(&mut self, now: Timestamp) {
        self.next_check = self.next_check.max(decide::later(now, outcome::CHECK_EVERY));
    }

    /// Whether it has something to tell, and otherwise waits: for a human, for proof, or for nothing
    /// any more. Any other is looked at within a few minutes anyway, and tells then: a topic that is
    /// broken brings nobody forward among those that have something to be done.
    #[must_use]
    pub const fn only_tells(&self) -> bool {
        let waits = matches!(
            self.stage,
            Stage::Alerted | Stage::Held(_) | Stage::Quiet | Stage::Quarantined | Stage::Proven
        );
        !self.alerts.is_empty() && (waits || self.is_over())
    }

    /// Whether nothing is left to be done but to tell of it.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self.stage {
            Stage::Proven => self.frozen_until.is_none(),
            Stage::RestoredElsewhere | Stage::Expired => true,
            Stage::Alerted
            | Stage::Requested
            | Stage::Held(_)
            | Stage::Admitted
            | Stage::Sent
            | Stage::Scheduled
            | Stage::Unreachable
            | Stage::Refused
            | Stage::Inactive
            | Stage::Quiet
            | Stage::Leaking
            | Stage::Quarantined
            | Stage::Restoring
            | Stage::Restored => false,
        }
    }

    /// Whether it waits for a human because a cap is reached: all of these are told together.
    #[must_use]
    pub const fn is_held_by_cap(&self) -> bool {
        matches!(self.stage, Stage::Held(Hold::Cap))
    }

    /// When the behaviour that the findings show began, by event time.
    #[must_use]
    pub fn rogue_since(&self) -> Timestamp {
        began(&self.findings).unwrap_or(self.opened_at)
    }

    /// The least number of bytes that the SIM used since then, as far as the state still shows it.
    #[must_use]
    pub fn bytes_since(&self, state: &SimState) -> Bytes {
        used_since(state, self.rogue_since())
    }
}

/// When what these findings show began, by event time; `None` where there is none. That a network is
/// new counts only where nothing else was found: a carrier may have steered the SIM the day before.
pub fn began<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Option<Timestamp> {
    let begins = findings.into_iter().map(|finding| match &finding.evidence {
        Evidence::Bytes { from, .. }
        | Evidence::Unseen { from, .. }
        | Evidence::Strike { from, .. }
        | Evidence::Failures { from, .. }
        | Evidence::Downloads { from, .. }
        | Evidence::Unusual { from, .. } => (false, *from),
        Evidence::Alive { began, .. } => (false, *began),
        Evidence::Silence { since, .. } => (false, *since),
        Evidence::Travel { left, .. } => (false, *left),
        Evidence::NewNetwork { .. } => (true, finding.at),
        Evidence::Device { .. }
        | Evidence::Devices { .. }
        | Evidence::Outside { .. }
        | Evidence::Country { .. }
        | Evidence::NewCountry { .. }
        | Evidence::Status { .. }
        | Evidence::Fault { .. } => (false, finding.at),
    });
    begins.min().map(|(_, began)| began)
}

/// The least number of bytes that a SIM used since a time, as far as its state still shows it.
#[must_use]
pub fn used_since(state: &SimState, since: Timestamp) -> Bytes {
    state.bytes_after(since, &(Hour::of(since)..Hour::of(state.now()).after()))
}

#[cfg(test)]
mod tests;
