//! What humans ask of the kill-switch, and what they are answered.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::device::{Imei14, Tac};
use simfuse_domain::finding::Finding;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{Applied, SimStatus, Stop};
use simfuse_domain::verdict::Verdict;

use crate::audit::AuditAnswer;
pub use crate::choice::{CONFIRM_ABOVE, Megabytes, SIMS_MAX, Select, digest_of};

/// A manual request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// To which SIMs: SIDs, ICCIDs or unique names.
    #[serde(default)]
    pub sims: Vec<String>,
    /// To which SIMs, instead: those of a fleet, or those that used much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,
    /// Beside `sims`: only those that are in this fleet when it is done. Who makes a request of a
    /// selection's SIMs says so with the answer's `selected.fleet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_fleet: Option<FleetSid>,
    /// Why: it is recorded, and told to everyone.
    #[serde(default)]
    pub reason: String,
    /// Who asks.
    #[serde(default)]
    pub requested_by: String,
    /// Deactivate a SIM although it is protected.
    #[serde(default)]
    pub override_protection: bool,
    /// For `deactivate`: make the SIM active again by itself after so many hours, 744 (31
    /// days) at most. Without it the SIM stays off; asked so of a SIM that is frozen, its
    /// freeze is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_hours: Option<u32>,
    /// For one SIM to `deactivate`, `approve` or `restore`, or that was a `false_alarm`: do it only
    /// while this is the incident that it is about. For the first two it has to be open, for the
    /// others it has to be the SIM's latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_incident: Option<String>,
    /// Beside `only_incident`: what is known of it to whoever asks, who follows a link in an alert. It
    /// is refused where a human did something about the incident since, and a `false_alarm` also where
    /// more was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_told: Option<AsTold>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// The digest that a dry run gave: above [`CONFIRM_ABOVE`] SIMs nothing is done without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// Where to go on: the `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// For `policy_apply`: the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// For `policy_apply`: the number of the version that it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<u64>,
    /// For `policy_show`: the number of an older version; absent for the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// For `fleet_limit`: the fleet, by SID or unique name. For `audit`: only its entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
    /// For `fleet_limit`: the limit to set, in megabytes; without it the limit is only shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_mb: Option<u64>,
    /// For `audit`: entries from this time on; by default a day before `until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// For `audit`: entries before this time; by default now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// For `audit`: entries of one page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    /// For `audit`: where the page begins; the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// For `audit`: only entries that are about no SIM.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub account_only: bool,
    /// For `audit`: instead of entries, what was recorded of this day's heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads_of: Option<Date>,
}

impl Request {
    /// A request for an action and nothing else.
    #[must_use]
    pub const fn of(action: Action) -> Self {
        Self {
            action,
            sims: Vec::new(),
            select: None,
            of_fleet: None,
            reason: String::new(),
            requested_by: String::new(),
            override_protection: false,
            freeze_hours: None,
            only_incident: None,
            as_told: None,
            dry_run: false,
            confirm: None,
            next: None,
            toml: None,
            compared_with: None,
            version: None,
            fleet: None,
            limit_mb: None,
            since: None,
            until: None,
            page_size: None,
            cursor: None,
            account_only: false,
            heads_of: None,
        }
    }
}

/// How far an incident was when one of its alerts was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsTold {
    /// The alert's number.
    pub alert: u32,
    /// How many findings the incident held.
    pub findings: u32,
}

/// What a human may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Switch SIMs off.
    Deactivate,
    /// Move SIMs to the fleet that policy names, where they can do no harm and are not dark.
    Quarantine,
    /// Switch SIMs on again, in the fleet where they belong.
    Restore,
    /// Say that what was found of SIMs was no theft: they are restored, and their devices allowed.
    FalseAlarm,
    /// Say how things are: of the SIMs named, or of the whole.
    Status,
    /// Carry out what is held: for the SIMs named, or for all that a cap holds.
    Approve,
    /// Never deactivate SIMs automatically.
    Protect,
    /// Let policy decide about SIMs again.
    Unprotect,
    /// Deactivate nothing automatically, anywhere.
    Stop,
    /// Let policy act again.
    Resume,
    /// Show the current policy.
    PolicyShow,
    /// Make a policy the current one.
    PolicyApply,
    /// Show or set a Fleet's own data limit at the provider.
    FleetLimit,
    /// Show what was done, by whom and why.
    Audit,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deactivate => "deactivate",
            Self::Quarantine => "quarantine",
            Self::Restore => "restore",
            Self::FalseAlarm => "false_alarm",
            Self::Status => "status",
            Self::Approve => "approve",
            Self::Protect => "protect",
            Self::Unprotect => "unprotect",
            Self::Stop => "stop",
            Self::Resume => "resume",
            Self::PolicyShow => "policy_show",
            Self::PolicyApply => "policy_apply",
            Self::FleetLimit => "fleet_limit",
            Self::Audit => "audit",
        })
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked.
    pub action: Action,
    /// Whether nothing was to be done.
    pub dry_run: bool,
    /// What to `confirm` so that it is done: of a dry run, and of a request that needs it.
    pub digest: Option<String>,
    /// What became of each SIM, in the order of the request; of a selection, largest first.
    pub sims: Vec<SimAnswer>,
    /// How many SIMs the whole request is about, where it is about many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sims_all: Option<usize>,
    /// There was no time for more: the same request with this `next` goes on. Of a selection, the
    /// request with `all` as its `sims`, since a selection may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Beside `next`: the provider wants to be left alone for so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_secs: Option<u64>,
    /// Beside `next`: all SIMs of the selection, or all that were held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<String>>,
    /// Of `approve` without SIMs: those that the cap holds and that policy asks for no more. They are
    /// left out: `deactivate` switches one off all the same, `restore` lets go of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleared: Vec<SimSid>,
    /// What a selection rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<Selected>,
    /// Of the stop switch: that it is already as was asked. Nothing was done, and nobody is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub already: Option<String>,
    /// How the whole is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyAnswer>,
    /// What became of a request about a fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetAnswer>,
    /// What was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditAnswer>,
    /// Why the whole request was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answer {
    /// An answer that says nothing yet.
    #[must_use]
    pub const fn to(request: &Request) -> Self {
        Self {
            action: request.action,
            dry_run: request.dry_run,
            digest: None,
            sims: Vec::new(),
            sims_all: None,
            next: None,
            wait_secs: None,
            all: None,
            cleared: Vec::new(),
            selected: None,
            already: None,
            status: None,
            policy: None,
            fleet: None,
            audit: None,
            error: None,
        }
    }

    /// Whether nothing was done because a digest is needed.
    #[must_use]
    pub const fn needs_digest(&self) -> bool {
        self.digest.is_some() && !self.dry_run
    }
}

/// What a selection rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    /// The fleet, where the selection is of one.
    pub fleet: Option<FleetSid>,
    /// For a selection by usage: up to which hour usage records are known (`2026-03-01T14Z`), of
    /// several fleets the earliest; later bytes are those that events prove. Absent where none are
    /// known.
    pub known_through: Option<String>,
    /// Of the hours that were asked for, how many are known from usage records, of several fleets
    /// the fewest. In the others a SIM may have used more than is counted.
    pub hours_known: u32,
    /// How many hours were asked for; 0 for a selection that is not by usage.
    pub hours: u32,
    /// SIMs with usage that are beyond the ranks which are kept (20,000 of a fleet and hour): what
    /// they used is not counted in that hour.
    pub sims_unranked: u64,
    /// SIMs left out because they belong to another fleet now.
    pub sims_moved: usize,
}

/// What became of one SIM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimAnswer {
    /// What it was called in the request.
    pub requested: String,
    /// The SIM.
    pub sim: Option<SimSid>,
    /// What its operator calls it, where the request did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For a selection by usage: the least that it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<Bytes>,
    /// How it was found.
    pub found: Option<Found>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, in one sentence.
    pub reason: String,
    /// The incident that it belongs to.
    pub incident: Option<String>,
    /// For `status`, and a dry run with `only_incident`: what is known of the SIM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// How the provider knew a SIM before anything was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Whether it may connect.
    pub status: SimStatus,
    /// Its fleet.
    pub fleet: Option<FleetSid>,
}

/// What became of a request about one SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is under way: the provider will do it, or the sweep tries again.
    Pending,
    /// It was so before.
    Already,
    /// A guard holds it.
    Held,
    /// It is not done, and will not be.
    Refused,
    /// There is no such SIM.
    NotFound,
    /// The name is the ICCID of one SIM and the unique name of another.
    Ambiguous,
    /// The provider or the table did not answer.
    Unreachable,
}

/// The policy, and what became of a request to replace it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyAnswer {
    /// What became of it.
    pub outcome: PolicyOutcome,
    /// The number of the version that is current now, or was shown; 0 is the default, which nobody applied.
    pub number: u64,
    /// Who applied it, when and why; absent for the default.
    pub applied: Option<Applied>,
    /// Its text.
    pub toml: String,
    /// What changes in effect, in words.
    #[serde(default)]
    pub changes: Vec<String>,
    /// What the operator may expect of the new policy, and will not get.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What became of a request about the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyOutcome {
    /// It was only shown.
    Current,
    /// An older version was only shown.
    Past,
    /// It would be replaced.
    Pending,
    /// The policy of the request is the current one.
    Done,
    /// It was the current one before.
    Already,
}

/// A Fleet's own data limit, and what became of a request to set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetAnswer {
    /// What it was called in the request.
    pub requested: String,
    /// The fleet.
    pub fleet: Option<FleetSid>,
    /// The operator's own name for it.
    pub unique_name: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, in one sentence.
    pub reason: String,
    /// The limit before, in megabytes for each SIM and billing period.
    pub was_mb: Option<u32>,
    /// The limit now; absent where it is not known.
    pub limit_mb: Option<u32>,
    /// What policy wants it to be at most.
    pub policy_mb: Option<u32>,
}

/// What is known of one SIM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// What policy rules now.
    pub verdict: Verdict,
    /// What was found, and what it is about.
    pub findings: Vec<Finding>,
    /// The least that it used since what was found of it began, and nobody judged; absent where
    /// nothing was, or no event tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<Bytes>,
    /// Since when that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_since: Option<Timestamp>,
    /// How far the incident is.
    pub stage: Option<String>,
    /// Without an incident: how its latest one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_incident: Option<String>,
    /// Who acted in the incident, or in the latest one, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted: Option<String>,
    /// Where it is kept, or how far it is on the way there or home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// What went wrong with the provider last, where it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Why it was not deactivated, if policy asks for it.
    pub held_by: Option<String>,
    /// Who protected it at run time, and in brackets why.
    pub protected_by: Option<String>,
    /// When it is switched on again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_until: Option<Timestamp>,
    /// Devices that a human allowed for it by judging an alarm about them false.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed_devices: BTreeSet<Imei14>,
    /// When a human judged the open incident a false alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub false_alarm_at: Option<Timestamp>,
    /// When its latest event happened.
    pub last_event: Option<Timestamp>,
    /// What happens next, or what to do.
    pub next_step: String,
}

/// How the whole is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What policy says.
    pub policy_mode: Mode,
    /// Whether policy enforces for any fleet or SIM, whatever it says for the account.
    pub enforces_anywhere: bool,
    /// What the function's environment allows.
    pub armed: Mode,
    /// Whether and why everything is stopped.
    pub stopped: Option<Stop>,
    /// Incidents that are not over.
    pub open: usize,
    /// Of these, restored: nothing is to be done but to watch that it lasts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restored: usize,
    /// Of these, held for a human.
    pub held: usize,
    /// Of these, deactivated and not yet proven dead.
    pub unproven: usize,
    /// Seconds since events were last received.
    pub last_event_age_secs: Option<i64>,
    /// When an alert was last published.
    pub last_alert: Option<Timestamp>,
    /// The first of those that are open, but for restored ones: paged ones first, then those that are
    /// held, then those not proven dead, then the others; in each the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attention: Vec<Attention>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attention_more: usize,
}

/// A SIM that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// The SIM.
    pub sim: SimSid,
    /// What its operator calls it.
    pub name: String,
    /// How far its incident is.
    pub stage: String,
    /// Whether humans were paged because it is not in the status that it should have.
    pub paged: bool,
    /// Since when: of a SIM that should be off, when that was first asked for.
    pub since: Timestamp,
    /// The device that it was last seen in, without the IMEI's last digit.
    pub imei: Option<Imei14>,
    /// The device's model.
    pub tac: Option<Tac>,
    /// The least that it used since what was found of it began; absent where no events tell.
    pub used_bytes: Option<Bytes>,
    /// What to do next.
    pub next_step: String,
    /// The command for it.
    pub command: String,
}

const fn is_zero(number: &usize) -> bool {
    *number == 0
}
