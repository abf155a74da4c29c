//! Many SIMs of one fleet within hours: told together, not one by one.
//!
//! The first [`ALONE_MAX`] alerts of a fleet, kind and two hours go out as they come, which SIMs they
//! are is kept. The others wait in their incidents, and the sweep tells them in one message: at
//! once, then when as many more have come as were told so far, or after a pause that doubles. A
//! message is written down before it goes out, so that it is the same when it has to go out again;
//! an alert leaves its incident only once a message that names it is out.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Alert, AlertKind, PendingAlert, Severity, StackName, one_line, sms_of, subject_of, typed,
};
use crate::device::{Imei14, Tac};
use crate::finding::{DetectorId, Finding};
use crate::id::{FleetSid, SimSid};
use crate::incident::Incident;

/// Alerts of one campaign that are told one by one: as many as a human reads before they ask for a
/// list.
pub const ALONE_MAX: usize = 10;

/// Alerts that one message tells, all by name: some 60 kB, of the 256 kB that SNS takes. More come
/// in the next message.
pub const TOLD_TOGETHER_MAX: usize = 500;

/// Alerts of so many hours are one campaign.
const HOURS: i64 = 2;

/// After the first message the next waits for this long, unless as many alerts have come as were
/// told so far; each further one twice as long as the one before.
const PAUSE_FIRST: SignedDuration = SignedDuration::from_mins(2);

/// The longest pause: until then an incident that is over but for its alert stays open.
const PAUSE_MAX: SignedDuration = SignedDuration::from_mins(15);

/// Characters of a reason that stand beside a name.
const WHY_CHARS_MAX: usize = 80;

impl AlertKind {
    /// Whether many of the kind are told together. What asks for a look at one SIM's network, and
    /// what keeps an incident from going on, is not.
    #[must_use]
    pub const fn is_gathered(self) -> bool {
        match self {
            Self::Opened
            | Self::Held
            | Self::Killed
            | Self::Proven
            | Self::Quarantined
            | Self::Restored => true,
            Self::Leaking
            | Self::Unreachable
            | Self::QuarantineFailed
            | Self::KeptOff
            | Self::RestoredElsewhere => false,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Held => "held",
            Self::Killed => "killed",
            Self::Proven => "proven",
            Self::Leaking => "leaking",
            Self::Unreachable => "unreachable",
            Self::Quarantined => "quarantined",
            Self::QuarantineFailed => "quarantine_failed",
            Self::Restored => "restored",
            Self::KeptOff => "kept_off",
            Self::RestoredElsewhere => "restored_elsewhere",
        }
    }
}

/// Which alerts are one campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CampaignScope {
    /// The fleet of the SIMs, as it was known when the alert came up.
    pub fleet: Option<FleetSid>,
    /// What the alerts are about.
    pub kind: AlertKind,
    /// When its two hours begin, in seconds since 1970.
    pub begin: i64,
}

impl CampaignScope {
    /// The campaign that an alert belongs to; `None` for a kind that is never told together.
    #[must_use]
    pub fn of(pending: &PendingAlert) -> Option<Self> {
        let (fleet, kind, span) = (pending.fleet, pending.kind, HOURS.saturating_mul(3_600));
        let secs = pending.at.as_second();
        let begin = secs.saturating_sub(secs.rem_euclid(span));
        kind.is_gathered().then_some(Self { fleet, kind, begin })
    }
}

impl fmt::Display for CampaignScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fleet {
            Some(fleet) => fleet.fmt(f)?,
            None => f.write_str("none")?,
        }
        write!(f, "-{}-{}", self.kind.as_str(), self.begin)
    }
}

/// What was told of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Campaign {
    /// Ids of the alerts that are told one by one.
    pub alone: BTreeSet<String>,
    /// Messages that are done.
    pub messages: u32,
    /// Alerts that they told.
    pub told: u32,
    /// When the latest was begun.
    pub last_at: Option<Timestamp>,
    /// The message that is under way.
    pub open: Option<Together>,
}

/// A message that tells many alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Together {
    /// When it was begun.
    pub at: Timestamp,
    /// Whether it is known to be out.
    pub is_out: bool,
    /// The alerts, the oldest first.
    pub lines: Vec<Line>,
}

/// One alert in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The SIM.
    pub sim: SimSid,
    /// What its operator calls it.
    pub name: String,
    /// The incident whose alert it is.
    pub incident: String,
    /// Which of its alerts.
    pub number: u32,
    /// When it came up.
    pub at: Timestamp,
    /// What was found, or who asked and why.
    pub why: String,
    /// Who found something.
    #[serde(default)]
    pub detectors: BTreeSet<DetectorId>,
    /// The device that was found last.
    #[serde(default)]
    pub device: Option<Imei14>,
}

impl Line {
    /// The line of an incident's alert.
    #[must_use]
    pub fn of(incident: &Incident, pending: &PendingAlert) -> Self {
        let human = incident.human.as_ref();
        let human = human.map(|human| format!("by {}: {}", human.by, human.reason));
        let first = incident.findings.first();
        let why = human.or_else(|| first.map(ToString::to_string)).unwrap_or_default();
        Self {
            sim: incident.sim,
            name: incident.name.clone(),
            incident: incident.id.clone(),
            number: pending.number,
            at: pending.at,
            why: one_line(&why).chars().take(WHY_CHARS_MAX).collect(),
            detectors: incident.findings.iter().map(|finding| finding.detector).collect(),
            device: incident.findings.iter().rev().find_map(Finding::device),
        }
    }

    /// The alert's own id.
    #[must_use]
    pub fn alert_id(&self) -> String {
        alert_id(&self.incident, self.number)
    }
}

/// The id of an incident's alert.
#[must_use]
pub fn alert_id(incident: &str, number: u32) -> String {
    format!("{incident}-{number}")
}

impl Campaign {
    /// Whether an alert is told by itself; where there is room for one more, with it.
    ///
    /// # Errors
    /// The campaign with this alert among those that are told by themselves: it is so once that is
    /// written.
    pub fn is_alone(&self, id: &str, alone_max: usize) -> Result<bool, Self> {
        if self.alone.contains(id) {
            return Ok(true);
        }
        if self.alone.len() >= alone_max {
            return Ok(false);
        }
        let mut with = self.clone();
        with.alone.insert(id.to_owned());
        Err(with)
    }

    /// The campaign with the next message begun, if there is reason for one. `waiting` are alerts
    /// that are not told by themselves, in any order.
    #[must_use]
    pub fn begin(&self, mut waiting: Vec<Line>, now: Timestamp) -> Option<Self> {
        if self.open.is_some() || waiting.is_empty() || !self.is_due(waiting.len(), now) {
            return None;
        }
        waiting.sort_by_key(|line| (line.at, line.sim));
        waiting.truncate(TOLD_TOGETHER_MAX);
        let open = Together { at: now, is_out: false, lines: waiting };
        Some(Self { open: Some(open), ..self.clone() })
    }

    fn is_due(&self, waiting: usize, now: Timestamp) -> bool {
        let Some(last_at) = self.last_at else { return true };
        let told = usize::try_from(self.told).unwrap_or(usize::MAX);
        let doublings = self.messages.saturating_sub(1).min(8);
        let pause = PAUSE_FIRST.saturating_mul(1_i32.checked_shl(doublings).unwrap_or(256));
        waiting >= told.min(TOLD_TOGETHER_MAX)
            || now.duration_since(last_at) >= pause.min(PAUSE_MAX)
    }

    /// The campaign with its message known to be out.
    #[must_use]
    pub fn out(mut self) -> Self {
        if let Some(open) = &mut self.open {
            open.is_out = true;
        }
        self
    }

    /// The campaign once no incident holds an alert of its message any more.
    #[must_use]
    pub fn done(mut self) -> Self {
        if let Some(open) = self.open.take() {
            let lines = u32::try_from(open.lines.len()).unwrap_or(u32::MAX);
            self.told = self.told.saturating_add(lines);
            self.messages = self.messages.saturating_add(1);
            self.last_at = Some(open.at);
        }
        self
    }

    /// The message under way, as it is published.
    #[must_use]
    pub fn alert(&self, scope: CampaignScope, stack: Option<&StackName>) -> Option<Alert> {
        let open = self.open.as_ref()?;
        let words = words_of(scope.kind);
        let count = open.lines.len();
        let fleet = scope.fleet.map(|fleet| format!(" of fleet {fleet}"));
        let happened = format!("{count} SIMs {}", words.happened);
        let to_do = format!("Look: {}", words.look);
        let detectors: BTreeSet<DetectorId> =
            open.lines.iter().flat_map(|line| line.detectors.iter().copied()).collect();
        let kinds: Vec<String> = detectors.iter().map(ToString::to_string).collect();
        let kinds = kinds.join(", ");
        Some(Alert {
            id: format!("campaign-{scope}-{}", self.messages.saturating_add(1)),
            severity: words.severity,
            subject: subject_of(&format!("SimFuse: {happened}, {}", words.sort)),
            email: self.email(scope, open, &words, &kinds, stack),
            sms: (words.severity >= Severity::Critical).then(|| {
                let why = format!("{}{}", kinds, fleet.unwrap_or_default());
                sms_of(&happened, &to_do, why.trim(), stack)
            }),
            fleet: scope.fleet,
            detector: None,
            action: words.action.to_owned(),
            escalated: false,
            stack: None,
            tells: open.lines.iter().map(Line::alert_id).collect(),
        })
    }

    fn email(
        &self,
        scope: CampaignScope,
        open: &Together,
        words: &Words,
        kinds: &str,
        stack: Option<&StackName>,
    ) -> String {
        let count = open.lines.len();
        let before = usize::try_from(self.told).unwrap_or(0).saturating_add(self.alone.len());
        let mut lines = vec![
            format!("{count} SIMs {}: {}", words.happened, words.sort),
            String::new(),
            format!("Fleet      {}", scope.fleet.map_or("not known".to_owned(), |f| f.to_string())),
        ];
        if let (Some(first), Some(last)) = (open.lines.first(), open.lines.last()) {
            lines.push(format!("Time       {} to {}", first.at, last.at));
        }
        if !kinds.is_empty() {
            lines.push(format!("Found      {kinds}"));
        }
        // Many strange devices are thieves, one model in all is rather an exchange of modems.
        let devices: BTreeSet<Imei14> = open.lines.iter().filter_map(|line| line.device).collect();
        if !devices.is_empty() {
            let models: BTreeSet<Tac> = devices.iter().map(|device| device.tac()).collect();
            lines.push(format!("Devices    {}, of {} models", devices.len(), models.len()));
        }
        lines.push(format!("Before     {before} told before, in these two hours"));
        lines.push(String::new());
        lines.push(words.means.to_owned());
        let fleet = scope.fleet.map_or("FLEET".to_owned(), |fleet| fleet.to_string());
        for (label, command) in words.to_do {
            let command = command.replace("FLEET", &fleet);
            lines.push(format!("{label} {}", typed(&command, stack)));
        }
        lines.push(String::new());
        for Line { name, sim, why, .. } in &open.lines {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            lines.push(format!("- {} ({sim}){why}", one_line(name)));
        }
        lines.push(String::new());
        lines.push("Each of these SIMs is told of here and by no mail of its own.".to_owned());
        lines.join("\n")
    }
}

struct Words {
    severity: Severity,
    action: &'static str,
    happened: &'static str,
    sort: &'static str,
    means: &'static str,
    look: &'static str,
    to_do: &'static [(&'static str, &'static str)],
}

const LOOK: (&str, &str) = ("To see how things are:        ", "simfuse status");
const STOP: (&str, &str) = ("To stop automatic kills:      ", "simfuse stop --reason \"...\"");
const KILL: (&str, &str) =
    ("To see what would go off:     ", "simfuse kill --fleet FLEET --dry-run --reason \"...\"");

/// Why many SIMs do the same thing at once.
const ONE_CAUSE: &str = "Many SIMs of one fleet within two hours may have one cause: a theft of many, a \
                         carrier's or a firmware's change, or a wrong rule.";

fn words_of(kind: AlertKind) -> Words {
    let words = |severity, action, happened, to_do| Words {
        severity,
        action,
        happened,
        sort: "a campaign or a wrong rule",
        means: ONE_CAUSE,
        look: "simfuse status",
        to_do,
    };
    match kind {
        AlertKind::Held => words(
            Severity::Critical,
            "held",
            "NOT deactivated: a guard holds each",
            &[
                LOOK,
                ("To switch one off:            ", "simfuse approve SIM --reason \"...\""),
                KILL,
            ],
        ),
        AlertKind::Killed => words(
            Severity::Critical,
            "deactivated",
            "are being deactivated",
            &[
                STOP,
                LOOK,
                ("To undo it for those in FILE: ", "simfuse restore --file FILE --reason \"...\""),
            ],
        ),
        AlertKind::Proven => Words {
            sort: "no traffic any more",
            means: "The provider says inactive, and the network carries none of them any more.",
            ..words(Severity::Info, "proven", "proven dead", &[LOOK])
        },
        AlertKind::Quarantined => Words {
            sort: "they can do no harm",
            means: "They may connect, in a fleet without data.",
            ..words(Severity::Info, "quarantined", "are in quarantine", &[LOOK])
        },
        AlertKind::Restored => Words {
            sort: "active again",
            means: "They are active again, as was asked.",
            ..words(Severity::Info, "restored", "restored", &[LOOK])
        },
        AlertKind::Opened
        | AlertKind::Leaking
        | AlertKind::Unreachable
        | AlertKind::QuarantineFailed
        | AlertKind::KeptOff
        | AlertKind::RestoredElsewhere => {
            words(Severity::Warning, "alerted", "need a look", &[LOOK, KILL, STOP])
        }
    }
}

#[cfg(test)]
mod tests;
