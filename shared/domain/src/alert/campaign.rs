//! Many SIMs of one fleet within hours: told together, not one by one.
//!
//! The first [`ALONE_MAX`] alerts of a fleet, kind and two hours go out as they come, which SIMs they
//! are is kept. The others wait in their incidents, and the sweep tells them in one message: at
//! once, then whenever as many more have come as were told so far, or after a pause, which for what
//! cannot wait is short. A message is written down before it is published, by the names of its
//! alerts only, and an alert is taken off its incident once it is out: so each is in one message
//! only. What it says is read from the incidents each time it is told, so that it holds then.

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Alert, AlertKind, PendingAlert, StackName, one_line, sms_of, subject_of, typed};
use crate::device::{Imei14, Tac};
use crate::finding::{DetectorId, Finding};
use crate::id::{FleetSid, SimSid};
use crate::incident::{Hold, Incident, Stage};
use words::{Words, words_of};

/// Alerts of one campaign that are told one by one: as many as a human reads before they ask for a
/// list.
pub const ALONE_MAX: usize = 10;

/// Alerts that one message tells, all by name. More come in the next message.
pub const TOLD_TOGETHER_MAX: usize = 500;

/// Bytes of the lines of one message, which SNS takes to 256 KiB: even if each were a quote, which
/// JSON doubles, there is room for the SIDs beside them, and for the head.
pub const LINES_BYTES_MAX: usize = 90_000;

/// Alerts of so many hours are one campaign.
const HOURS: i64 = 2;

/// The pause between two messages about what cannot wait. With half a minute until an alert is
/// looked for, and a sweep each minute, none waits longer than two minutes, but those about SIMs that
/// the provider is asked about every five minutes only.
const PAUSE_URGENT: SignedDuration = SignedDuration::from_secs(90);

/// After the first message about what can wait the next waits for this long, unless as many alerts
/// have come as were told so far; each further one twice as long as the one before.
const PAUSE_FIRST: SignedDuration = SignedDuration::from_mins(2);

/// The longest pause: until then an incident that is over but for its alert stays open.
const PAUSE_MAX: SignedDuration = SignedDuration::from_mins(15);

/// Characters of a name that stand in a line.
const NAME_CHARS_MAX: usize = 100;

/// Characters of a reason that stand beside a name.
const WHY_CHARS_MAX: usize = 80;

/// Kinds of which many are told together. What asks for a look at one SIM's network, and what keeps
/// an incident from going on, is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GatheredKind {
    /// Verdicts that ask for a human, not for an act.
    Opened,
    /// Acts that wait for a human.
    Held,
    /// SIMs that are being deactivated.
    Killed,
    /// SIMs that should be off and of which the provider does not say that they are.
    Unreachable,
    /// SIMs that are proven dead.
    Proven,
    /// SIMs that are in quarantine.
    Quarantined,
    /// SIMs that are active again.
    Restored,
}

impl GatheredKind {
    /// The kind of an alert, if many of it are told together.
    #[must_use]
    pub const fn of(kind: AlertKind) -> Option<Self> {
        match kind {
            AlertKind::Opened => Some(Self::Opened),
            AlertKind::Held => Some(Self::Held),
            AlertKind::Killed => Some(Self::Killed),
            AlertKind::Unreachable => Some(Self::Unreachable),
            AlertKind::Proven => Some(Self::Proven),
            AlertKind::Quarantined => Some(Self::Quarantined),
            AlertKind::Restored => Some(Self::Restored),
            AlertKind::Leaking
            | AlertKind::QuarantineFailed
            | AlertKind::KeptOff
            | AlertKind::FreezeChanged
            | AlertKind::RestoredElsewhere => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Held => "held",
            Self::Killed => "killed",
            Self::Unreachable => "unreachable",
            Self::Proven => "proven",
            Self::Quarantined => "quarantined",
            Self::Restored => "restored",
        }
    }

    /// Whether it cannot wait: it goes out by SMS.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::Held | Self::Killed | Self::Unreachable)
    }
}

/// Which alerts are one campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CampaignScope {
    /// The fleet of the SIMs, as it was known when the alert came up.
    pub fleet: Option<FleetSid>,
    /// What the alerts are about.
    pub kind: GatheredKind,
    /// Whether humans asked for what they are about: their own work hides no theft.
    pub by_human: bool,
    /// When its two hours begin, in seconds since 1970.
    pub begin: i64,
}

impl CampaignScope {
    /// The campaign that an alert belongs to; `None` for a kind that is never told together.
    #[must_use]
    pub fn of(pending: &PendingAlert) -> Option<Self> {
        let PendingAlert { fleet, by_human, is_protected, at, .. } = *pending;
        let (secs, span) = (at.as_second(), HOURS.saturating_mul(3_600));
        let begin = secs.saturating_sub(secs.rem_euclid(span));
        let kind = GatheredKind::of(pending.kind);
        // Whether a SIM that is protected is a thief's is for a human to say, who is told of each.
        let kind = kind.filter(|kind| !(is_protected && *kind == GatheredKind::Held));
        kind.map(|kind| Self { fleet, kind, by_human, begin })
    }
}

impl fmt::Display for CampaignScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fleet {
            Some(fleet) => fleet.fmt(f)?,
            None => f.write_str("none")?,
        }
        let by = if self.by_human { "-by-human" } else { "" };
        write!(f, "-{}{by}-{}", self.kind.as_str(), self.begin)
    }
}

/// What was told of a campaign. In the table it is 150 kB at most, and a few in most cases: it names
/// at most [`ALONE_MAX`] alerts, and twice [`TOLD_TOGETHER_MAX`].
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
    /// Alerts that messages told and that could not be taken off their incidents yet.
    pub left: BTreeSet<AlertName>,
}

/// How an alert of a campaign is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// By itself.
    Alone,
    /// By itself, once the campaign is written as it is here.
    Room(Box<Campaign>),
    /// With others.
    Together,
}

/// A message that tells many alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Together {
    /// When it was begun.
    pub at: Timestamp,
    /// Whether it is known to be out.
    pub is_out: bool,
    /// The alerts, the oldest first.
    pub lines: Vec<AlertName>,
}

/// Which alert of which incident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertName {
    /// The SIM.
    pub sim: SimSid,
    /// The incident whose alert it is.
    pub incident: String,
    /// Which of its alerts.
    pub number: u32,
}

impl AlertName {
    /// The alert's own id.
    #[must_use]
    pub fn alert_id(&self) -> String {
        alert_id(&self.incident, self.number)
    }
}

/// One alert in a message, as its incident is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which alert it is.
    pub of: AlertName,
    /// When it came up.
    pub at: Timestamp,
    /// What the operator calls the SIM.
    name: String,
    /// How far the incident is now; `None` where it could not be read.
    stage: Option<Stage>,
    /// What was found, or who asked and why, or why it is not done.
    why: String,
    /// Who found something.
    detectors: BTreeSet<DetectorId>,
    /// The device that was found last.
    device: Option<Imei14>,
}

impl Line {
    /// The line of an incident's alert.
    #[must_use]
    pub fn of(incident: &Incident, pending: &PendingAlert) -> Self {
        let human = incident.human.as_ref();
        let human = human.map(|human| format!("by {}: {}", human.by, human.reason));
        let first = incident.findings.first();
        let trouble = incident.trouble.clone().filter(|_| pending.kind == AlertKind::Unreachable);
        let why = trouble.or(human).or_else(|| first.map(ToString::to_string)).unwrap_or_default();
        let (sim, number) = (incident.sim, pending.number);
        Self {
            of: AlertName { sim, incident: incident.id.clone(), number },
            at: pending.at,
            name: one_line(&incident.name).chars().take(NAME_CHARS_MAX).collect(),
            stage: Some(incident.stage),
            why: one_line(&why).chars().take(WHY_CHARS_MAX).collect(),
            detectors: incident.findings.iter().map(|finding| finding.detector).collect(),
            device: incident.findings.iter().rev().find_map(Finding::device),
        }
    }

    /// The line of an alert whose incident cannot be read now; it came up by `at`.
    #[must_use]
    pub fn unread(of: AlertName, at: Timestamp) -> Self {
        let name = "a SIM that cannot be read now".to_owned();
        let (why, detectors) = (String::new(), BTreeSet::new());
        Self { of, at, name, stage: None, why, detectors, device: None }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "- {} ({})", self.name, self.of.sim)?;
        if let Some(stage) = self.stage {
            write!(f, ", {stage}")?;
        }
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

/// The id of an incident's alert.
#[must_use]
pub fn alert_id(incident: &str, number: u32) -> String {
    format!("{incident}-{number}")
}

impl Campaign {
    /// How an alert is told where so many are told by themselves.
    #[must_use]
    pub fn place_of(&self, id: &str, alone_max: usize) -> Place {
        if self.alone.contains(id) {
            return Place::Alone;
        }
        if self.alone.len() >= alone_max {
            return Place::Together;
        }
        let mut with = self.clone();
        with.alone.insert(id.to_owned());
        Place::Room(Box::new(with))
    }

    /// The campaign with the next message begun, and its lines, if there is reason for one.
    /// `waiting` are alerts that are not told by themselves, in any order.
    #[must_use]
    pub fn begin(
        &self,
        scope: CampaignScope,
        mut waiting: Vec<Line>,
        now: Timestamp,
    ) -> Option<(Self, Vec<Line>)> {
        if self.open.is_some() || waiting.is_empty() || !self.is_due(scope, waiting.len(), now) {
            return None;
        }
        waiting.sort_by(|one, other| (one.at, &one.of).cmp(&(other.at, &other.of)));
        waiting.truncate(TOLD_TOGETHER_MAX);
        let mut bytes: usize = 0;
        let fits = |line: &Line| {
            bytes = bytes.saturating_add(line.to_string().len()).saturating_add("\n".len());
            bytes <= LINES_BYTES_MAX
        };
        let lines: Vec<Line> = waiting.into_iter().take_while(fits).collect();
        let names = lines.iter().map(|line| line.of.clone()).collect();
        let open = Together { at: now, is_out: false, lines: names };
        Some((Self { open: Some(open), ..self.clone() }, lines))
    }

    fn is_due(&self, scope: CampaignScope, waiting: usize, now: Timestamp) -> bool {
        let Some(last_at) = self.last_at else { return true };
        let told = usize::try_from(self.told).unwrap_or(usize::MAX);
        let doublings = self.messages.saturating_sub(1).min(8);
        let pause = PAUSE_FIRST.saturating_mul(1_i32.checked_shl(doublings).unwrap_or(256));
        let pause = if scope.kind.is_urgent() { PAUSE_URGENT } else { pause.min(PAUSE_MAX) };
        waiting >= told.min(TOLD_TOGETHER_MAX) || now.duration_since(last_at) >= pause
    }

    /// The campaign with its message known to be out.
    #[must_use]
    pub fn out(mut self) -> Self {
        if let Some(open) = &mut self.open {
            open.is_out = true;
        }
        self
    }

    /// The campaign once no incident holds an alert of its message any more, but for those that are
    /// `left`. Of too many some are forgotten: those may be told again.
    #[must_use]
    pub fn done(mut self, left: BTreeSet<AlertName>) -> Self {
        self.left.extend(left);
        while self.left.len() > TOLD_TOGETHER_MAX {
            self.left.pop_last();
        }
        if let Some(open) = self.open.take() {
            let lines = u32::try_from(open.lines.len()).unwrap_or(u32::MAX);
            self.told = self.told.saturating_add(lines);
            self.messages = self.messages.saturating_add(1);
            self.last_at = Some(open.at);
        }
        self
    }

    /// The message under way, as it is published: `lines` are its alerts as they are now.
    #[must_use]
    pub fn alert(
        &self,
        scope: CampaignScope,
        lines: &[Line],
        now: Timestamp,
        stack: Option<&StackName>,
    ) -> Alert {
        let words = words_of(scope);
        let fleet = scope.fleet.map(|fleet| format!(" of fleet {fleet}"));
        let happened = format!("{} SIMs {}", lines.len(), words.happened);
        let detectors: BTreeSet<DetectorId> =
            lines.iter().flat_map(|line| line.detectors.iter().copied()).collect();
        let found: Vec<String> = detectors.iter().map(ToString::to_string).collect();
        let found = found.join(", ");
        Alert {
            id: format!("campaign-{scope}-{}", self.messages.saturating_add(1)),
            severity: words.severity,
            subject: subject_of(&format!("SimFuse: {happened}, {}", words.sort)),
            email: self.email(scope, (lines, &found), &words, now, stack),
            sms: scope.kind.is_urgent().then(|| {
                let why = format!("{found}{}", fleet.unwrap_or_default());
                sms_of(&happened, "Look: simfuse status", why.trim(), stack)
            }),
            fleet: scope.fleet,
            detector: None,
            action: words.action.to_owned(),
            escalated: false,
            stack: None,
            tells: lines.iter().map(|line| line.of.alert_id()).collect(),
        }
    }

    fn email(
        &self,
        scope: CampaignScope,
        (told, found): (&[Line], &str),
        words: &Words,
        now: Timestamp,
        stack: Option<&StackName>,
    ) -> String {
        let before = usize::try_from(self.told).unwrap_or(0).saturating_add(self.alone.len());
        let mut lines = vec![
            format!("{} SIMs {}: {}", told.len(), words.happened, words.sort),
            String::new(),
            format!("Fleet      {}", scope.fleet.map_or("not known".to_owned(), |f| f.to_string())),
        ];
        if let (Some(first), Some(last)) = (told.first(), told.last()) {
            lines.push(format!("Time       {} to {}", first.at, last.at));
        }
        lines.push(format!("Stage      {} (at {now})", stages_of(told)));
        if !found.is_empty() {
            lines.push(format!("Found      {found}"));
        }
        // Many strange devices are thieves, one model in all is rather an exchange of modems.
        let devices: BTreeSet<Imei14> = told.iter().filter_map(|line| line.device).collect();
        if !devices.is_empty() {
            let models: BTreeSet<Tac> = devices.iter().map(|device| device.tac()).collect();
            lines.push(format!("Devices    {}, of {} models", devices.len(), models.len()));
        }
        lines.push(format!("Before     {before} told before, in these two hours"));
        lines.push(String::new());
        lines.push(words.means.to_owned());
        let is_protected = told.iter().any(|line| line.stage == Some(Stage::Held(Hold::Protected)));
        for (label, command) in words.commands(scope.fleet, is_protected) {
            lines.push(format!("{label} {}", typed(&command, stack)));
        }
        lines.push(String::new());
        lines.extend(told.iter().map(ToString::to_string));
        lines.push(String::new());
        lines.push("Each of these SIMs is told of here and by no mail of its own.".to_owned());
        if words.takes_file() {
            lines.push("Their SIDs, to be saved as FILE:".to_owned());
            lines.extend(told.iter().map(|line| line.of.sim.to_string()));
        }
        lines.join("\n")
    }
}

/// How many are at which stage.
fn stages_of(lines: &[Line]) -> String {
    let mut stages: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        let stage = line.stage.map_or("not read".to_owned(), |stage| stage.to_string());
        let count = stages.entry(stage).or_default();
        *count = count.saturating_add(1);
    }
    let stages: Vec<String> =
        stages.iter().map(|(stage, count)| format!("{count} {stage}")).collect();
    stages.join(", ")
}

#[cfg(test)]
mod tests;
