//! What a human is told: subject, e-mail and SMS.

mod account;
mod campaign;
mod digest;
mod leak;
mod many;
mod short;
mod stack;
mod texts;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::finding::{DetectorId, Finding};
use crate::id::FleetSid;
use crate::incident::{Hold, Incident, Stage};
use crate::policy::Policy;
use crate::signed_link::{LinkAct, Links, SignedLink};

pub use campaign::{
    ALONE_MAX, AlertName, Campaign, CampaignScope, GatheredKind, LINES_BYTES_MAX, Line, Place,
    TOLD_TOGETHER_MAX, Together, alert_id,
};
pub use digest::{Digest, FLEETS_SHOWN_MAX, ToLook};
pub use leak::Known;
pub use stack::StackName;
pub(crate) use stack::typed;
pub use texts::{HourTexts, SMS_HOUR_MAX, SMS_KEPT, TextRoom};

/// A subject that SNS accepts: ASCII, shorter than this.
pub(crate) const SUBJECT_BYTES_MAX: usize = 99;

/// One SMS of the GSM-7 alphabet.
pub(crate) const SMS_CHARS_MAX: usize = 160;

/// A name longer than this is shortened in an SMS, so that what to do stays in it.
const SMS_NAME_CHARS_MAX: usize = 20;

/// Held kills that nobody answered for this long, after the page and its first repetition, are told
/// to more people.
pub const ESCALATE_AFTER: SignedDuration = SignedDuration::from_mins(30);

/// How ids of the page about held kills begin; those of incidents begin with a SIM.
pub const HELD_PAGE: &str = "held-";

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A verdict that asks for a human, not for an act.
    Opened,
    /// An act waits for a human.
    Held,
    /// The provider took the request to deactivate a SIM.
    Killed,
    /// A SIM is proven dead.
    Proven,
    /// A SIM is inactive and yet carries traffic.
    Leaking,
    /// A SIM should go off or on and does not: the provider cannot be reached, or refuses.
    Unreachable,
    /// A SIM is in its quarantine, and active there.
    Quarantined,
    /// A SIM cannot go to quarantine and stays inactive.
    QuarantineFailed,
    /// A SIM is active again, as a human asked, or because its freeze is over.
    Restored,
    /// A freeze is over and the SIM stays off, because policy asks for it.
    KeptOff,
    /// A human changed when a SIM that is off comes back by itself, or that it does.
    FreezeChanged,
    /// Someone else made a SIM active again.
    RestoredElsewhere,
}

/// How soon a human should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    Info,
    /// In working hours.
    Warning,
    /// Now.
    Critical,
}

impl Severity {
    /// As a message attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// An alert that is not yet known to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAlert {
    /// Which of the incident's alerts it is, from 1.
    pub number: u32,
    /// What it is about.
    pub kind: AlertKind,
    /// When it came up.
    pub at: Timestamp,
    /// The SIM's fleet then: alerts of one fleet may be told together.
    #[serde(default)]
    pub fleet: Option<FleetSid>,
    /// Whether a human had asked for what it is about by then.
    #[serde(default)]
    pub by_human: bool,
    /// Whether the SIM was protected by then.
    #[serde(default)]
    pub is_protected: bool,
}

/// An alert as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The same for every attempt to publish it.
    pub id: String,
    /// How soon a human should look.
    pub severity: Severity,
    /// Subject of the e-mail.
    pub subject: String,
    /// Body of the e-mail.
    pub email: String,
    /// Text of the SMS; `None` for what can wait.
    pub sms: Option<String>,
    /// The SIM's fleet.
    pub fleet: Option<FleetSid>,
    /// The first detector that found what a policy may act on.
    pub detector: Option<DetectorId>,
    /// What was done: `alerted`, `held`, `deactivated` …
    pub action: String,
    /// Whether those are told, too, who hear only of what nobody answers.
    #[serde(default)]
    pub escalated: bool,
    /// The stack that it is of, where that has a name.
    #[serde(default)]
    pub stack: Option<String>,
    /// Ids of the alerts that this one tells together.
    #[serde(default)]
    pub tells: Vec<String>,
}

impl Alert {
    /// Writes out one of an incident's alerts: its commands are for this stack, where it has a name,
    /// and its links act, where there is a console to serve them. The same alert of the same incident
    /// is the same each time, links included.
    #[must_use]
    pub fn of_incident(
        incident: &Incident,
        pending: &PendingAlert,
        known: Known<'_>,
        stack: Option<&StackName>,
        links: Option<&Links>,
    ) -> Self {
        let mut words = words_of(pending.kind, incident);
        if pending.kind == AlertKind::Proven {
            words.happened = leak::proven(incident, known.state);
        }
        let leak = |finding: &&Finding| finding.detector == DetectorId::AliveAfterKill;
        let leak =
            incident.findings.iter().find(leak).filter(|_| pending.kind == AlertKind::Leaking);
        // A human's word explains an act better than what a machine found before.
        let human =
            incident.human.as_ref().map(|human| format!("By {}: {}", human.by, human.reason));
        // What is only watched explains no act.
        let acting = incident.findings.iter().find(|finding| finding.detector.may_act());
        let found = acting.or(incident.findings.first());
        let detector = found.map(|finding| finding.detector);
        let found = found.map(ToString::to_string);
        let why = leak.map(ToString::to_string).or(human).or(found).unwrap_or_default();
        Self {
            id: alert_id(&incident.id, pending.number),
            severity: words.severity,
            subject: subject(&incident.name, &words),
            email: email(incident, pending, known, &words, (stack, links)),
            sms: (words.severity >= Severity::Critical).then(|| sms(incident, &words, &why, stack)),
            fleet: incident.fleet,
            detector,
            action: words.action.to_owned(),
            escalated: false,
            stack: None,
            tells: Vec::new(),
        }
    }

    /// The page that lists kills that a cap holds back, each with the finding for which policy asks for
    /// most, or, where policy cannot be read, with the first. Once one has waited for
    /// [`ESCALATE_AFTER`], more people are told.
    #[must_use]
    pub fn of_held(
        held: &[&Incident],
        policy: Option<&Policy>,
        now: Timestamp,
        stack: Option<&StackName>,
    ) -> Self {
        use std::fmt::Write as _;
        /// SIMs named in one page; the count is of all.
        const NAMED_MAX: usize = 100;
        let count = held.len();
        let oldest = held.iter().filter_map(|incident| incident.held_at).min();
        let mut email = format!(
            "{count} SIMs should be deactivated and wait, because the cap on automatic kills is \
             reached.\nEither this is a mass theft, or a rule is wrong.\n\n"
        );
        for incident in held.iter().take(NAMED_MAX) {
            let rules = policy.map(|policy| policy.rules_for(incident.fleet, incident.sim));
            let worst = rules.and_then(|rules| rules.worst_of(&incident.findings));
            let why = worst.or(incident.findings.first()).map(ToString::to_string);
            // Writing to a string cannot fail.
            _ = writeln!(email, "- {}: {}", called(incident), why.unwrap_or_default());
        }
        if count > NAMED_MAX {
            _ = writeln!(email, "… and {} more", count.saturating_sub(NAMED_MAX));
        }
        let commands = [
            "All, and their digest:       simfuse approve --all --dry-run",
            "To deactivate all of them:   simfuse approve --all --reason \"...\"",
            "To deactivate one of them:   simfuse approve SIM --reason \"...\"",
            "To see why one waits:        simfuse status SIM",
            "If a rule is wrong:          simfuse stop --reason \"...\"",
        ];
        let commands = commands.map(|command| typed(command, stack)).join("\n");
        _ = write!(
            email,
            "\n{commands}\n\
             Above 10 SIMs, all are deactivated only with --confirm and that digest; those that policy \
             asks for no more by then are left out.\n\
             This page is repeated every 15 minutes until none waits, or until simfuse stop.\n"
        );
        let happened = format!("{count} kills held by the cap, approve or look");
        Self {
            id: format!("{HELD_PAGE}{}", now.as_second()),
            severity: Severity::Critical,
            subject: plain(&format!("SimFuse: {happened}"), SUBJECT_BYTES_MAX),
            email,
            sms: Some(sms_of(
                &happened,
                "Mass theft or wrong rule? See them: simfuse approve --all --dry-run",
                "",
                stack,
            )),
            fleet: None,
            detector: None,
            action: "held".to_owned(),
            escalated: oldest.is_some_and(|at| now.duration_since(at) >= ESCALATE_AFTER),
            stack: None,
            tells: Vec::new(),
        }
    }
}

struct Words {
    severity: Severity,
    action: &'static str,
    happened: String,
    to_do: &'static str,
}

fn words_of(kind: AlertKind, incident: &Incident) -> Words {
    let words = |severity, action, happened: &str, to_do| Words {
        severity,
        action,
        happened: happened.to_owned(),
        to_do,
    };
    match kind {
        AlertKind::Opened => words(
            Severity::Warning,
            "alerted",
            "needs a look",
            "Nothing was done. To switch it off: simfuse kill SIM",
        ),
        AlertKind::Held => {
            let hold = if let Stage::Held(hold) = incident.stage {
                hold.to_string()
            } else {
                incident.stage.to_string()
            };
            words(
                Severity::Critical,
                "held",
                &format!("NOT deactivated: {hold}"),
                if incident.stage == Stage::Held(Hold::Protected) {
                    "To switch it off: simfuse approve SIM --override-protection"
                } else {
                    "To switch it off: simfuse approve SIM"
                },
            )
        }
        // The provider took the request, but may carry it out later.
        AlertKind::Killed => words(
            Severity::Critical,
            "deactivated",
            &killed(incident),
            "To undo: simfuse restore SIM",
        ),
        AlertKind::Proven => {
            words(Severity::Info, "proven", "proven dead", "To undo: simfuse restore SIM")
        }
        AlertKind::Leaking => words(
            Severity::Critical,
            "leaking",
            "STILL CARRIES TRAFFIC although inactive",
            "Call the provider: its network has not cut it",
        ),
        AlertKind::Unreachable => words(
            Severity::Critical,
            "unreachable",
            "is NOT in the status it should have",
            "Retrying. Check the provider and its credentials, or use its console",
        ),
        AlertKind::Quarantined => {
            words(Severity::Info, "quarantined", "is in quarantine", "To undo: simfuse restore SIM")
        }
        AlertKind::QuarantineFailed => words(
            Severity::Warning,
            "deactivated",
            "is NOT in quarantine, it stays inactive",
            "Look at the fleet that policy names. To undo: simfuse restore SIM",
        ),
        AlertKind::KeptOff => words(
            Severity::Critical,
            "held",
            "stays off after its freeze: policy asks for it",
            "To switch it on: simfuse restore SIM",
        ),
        AlertKind::FreezeChanged => words(
            Severity::Info,
            "frozen",
            &freeze_changed(incident),
            "To switch it on now: simfuse restore SIM",
        ),
        AlertKind::Restored => words(
            Severity::Info,
            "restored",
            "restored",
            "If that was nobody you know, switch it off again: simfuse kill SIM",
        ),
        AlertKind::RestoredElsewhere => words(
            Severity::Warning,
            "restored_elsewhere",
            "was made active outside SimFuse",
            "If that was not you, kill it again: simfuse kill SIM",
        ),
    }
}

fn killed(incident: &Incident) -> String {
    let is_under_way = matches!(incident.stage, Stage::Sent | Stage::Scheduled);
    let happened = if is_under_way { "is being deactivated" } else { "deactivated" };
    match incident.frozen_until {
        Some(until) => format!("{happened} until {}", until.strftime("%F %H:%MZ")),
        None => happened.to_owned(),
    }
}

fn freeze_changed(incident: &Incident) -> String {
    match incident.frozen_until {
        Some(until) => format!("stays off until {} now", until.strftime("%F %H:%MZ")),
        None => "stays off: its freeze is lifted".to_owned(),
    }
}

/// A text as a subject that SNS accepts.
pub(crate) fn subject_of(text: &str) -> String {
    plain(text, SUBJECT_BYTES_MAX)
}

/// The subject; a long name is shortened, what happened is not.
fn subject(name: &str, words: &Words) -> String {
    let around = format!("SimFuse:  {}", words.happened).len();
    let name = plain(name, SUBJECT_BYTES_MAX.saturating_sub(around));
    plain(&format!("SimFuse: {name} {}", words.happened), SUBJECT_BYTES_MAX)
}

/// What happened, why, and what to do; the reason is shortened first.
fn sms(incident: &Incident, words: &Words, why: &str, stack: Option<&StackName>) -> String {
    let name = plain(&incident.name, SMS_NAME_CHARS_MAX);
    let happened = format!("{name} {}", words.happened);
    sms_of(&happened, &words.to_do.replace("SIM", &handle(incident)), why, stack)
}

/// An SMS of what happened and what to do, and of why as much as there is room for.
pub(crate) fn sms_of(happened: &str, to_do: &str, why: &str, stack: Option<&StackName>) -> String {
    let (head, to_do) = stack::in_sms(happened, to_do, stack);
    let room = SMS_CHARS_MAX.saturating_sub(format!("{head}. . {to_do}").len());
    let why = plain(why, room);
    let dot = if why.is_empty() { "" } else { ". " };
    plain(&format!("{head}{dot}{why}. {to_do}"), SMS_CHARS_MAX)
}

/// What to call the SIM in a command: its name where a shell takes it as it is, else its SID.
fn handle(incident: &Incident) -> String {
    let name = &incident.name;
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    let fits = (1..=SMS_NAME_CHARS_MAX).contains(&name.len()) && !name.starts_with('-');
    if fits && name.chars().all(is_plain) { name.clone() } else { incident.sim.to_string() }
}

/// The SIM's name and SID, once where it has no other name.
fn called(incident: &Incident) -> String {
    let (name, sid) = (one_line(&incident.name), incident.sim.to_string());
    if name == sid { sid } else { format!("{name} ({sid})") }
}

/// What to do, whose command asks for a reason. An SMS has no room for it.
fn with_reason(to_do: &str) -> String {
    if to_do.contains("simfuse ") { format!("{to_do} --reason \"...\"") } else { to_do.to_owned() }
}

/// Text of others that stands in a line of ours.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn email(
    incident: &Incident,
    pending: &PendingAlert,
    known: Known<'_>,
    words: &Words,
    (stack, links): (Option<&StackName>, Option<&Links>),
) -> String {
    let mut lines = vec![
        format!("{} {}", one_line(&incident.name), words.happened),
        String::new(),
        format!("SIM        {}", incident.sim),
    ];
    if let Some(fleet) = incident.fleet {
        lines.push(format!("Fleet      {fleet}"));
    }
    lines.push(format!("Time       {}", pending.at));
    // What is only watched explains no act.
    let mut findings: Vec<&Finding> = incident.findings.iter().collect();
    findings.sort_by_key(|finding| !finding.detector.may_act());
    for finding in findings {
        lines.push(format!("Why        {}: {finding} (at {})", finding.detector, finding.at));
    }
    if let Some(human) = &incident.human {
        lines.push(format!("By         {}: {}", one_line(&human.by), one_line(&human.reason)));
    }
    let is_over = pending.kind == AlertKind::Proven;
    if is_over {
        lines.extend(leak::steps(incident, pending, known));
    } else if let Some(state) = known.state.filter(|_| !incident.findings.is_empty()) {
        let bytes = known.priced(incident.bytes_since(state));
        lines.push(format!("Used       at least {bytes} since {}", incident.rogue_since()));
    }
    lines.push(format!("Stage      {}", incident.stage));
    if let Some(at) = &incident.false_alarm_at {
        lines.push(format!("Judged     a false alarm at {at}: its devices are allowed"));
    }
    if let Some(quarantine) = &incident.quarantine {
        lines.push(format!("Quarantine {}, at home in {}", quarantine.fleet, quarantine.home));
    }
    if let Some(until) = &incident.frozen_until {
        lines.push(format!("Frozen     until {until}, then it comes back by itself, unless policy asks for it to be off"));
    }
    if let Some(proof) = &incident.proof {
        lines.push(format!("Proven by  the provider, which says inactive, and {proof}"));
    }
    if let Some(trouble) = &incident.trouble {
        lines.push(format!("Trouble    {trouble}"));
    }
    lines.push(String::new());
    let to_do = with_reason(&words.to_do.replace("SIM", &incident.sim.to_string()));
    let to_do = typed(&to_do, stack);
    lines.push(format!("What to do: {to_do}"));
    if pending.kind == AlertKind::Killed {
        lines.push(
            "Making it active again bills a month; a `ready` SIM comes back as `active`.".into(),
        );
    }
    lines.push(typed(&format!("Details:    simfuse status {}", incident.sim), stack));
    lines.extend(links.into_iter().flat_map(|links| linked(incident, pending, links)));
    lines.join("\n")
}

/// Links for who has no shell at hand, each on a line of its own so that a telephone makes one of it.
fn linked(incident: &Incident, pending: &PendingAlert, links: &Links) -> Vec<String> {
    let mut lines = Vec::new();
    for act in acts(pending.kind, incident) {
        let link = SignedLink::of(act, incident, pending);
        if lines.is_empty() {
            let until = link.expires_at.strftime("%F %H:%MZ");
            lines.extend([
                String::new(),
                format!("Or by a link: it shows what it does, works once, and until {until}."),
            ]);
        }
        lines.extend([String::new(), format!("{}:", act.label()), links.url(&link)]);
    }
    lines
}

/// What links in such an alert may do: what a human who has read it may want, and nothing that would
/// be refused.
fn acts(kind: AlertKind, incident: &Incident) -> Vec<LinkAct> {
    let act = match kind {
        AlertKind::Opened => Some(LinkAct::Deactivate),
        // A link does not override protection: that takes more than one touch of a screen.
        AlertKind::Held if incident.stage == Stage::Held(Hold::Protected) => None,
        AlertKind::Held => Some(LinkAct::Approve),
        AlertKind::Killed
        | AlertKind::Proven
        | AlertKind::Quarantined
        | AlertKind::QuarantineFailed
        | AlertKind::KeptOff
        | AlertKind::FreezeChanged => Some(LinkAct::Restore),
        // A SIM that was made active elsewhere has no incident any more that a link could be about;
        // of the others a human asked for it, or the provider has to be called.
        AlertKind::Leaking
        | AlertKind::Unreachable
        | AlertKind::Restored
        | AlertKind::RestoredElsewhere => return Vec::new(),
    };
    // What a human asked for by themselves is no alarm.
    let is_alarm = !incident.findings.is_empty();
    act.into_iter().chain(is_alarm.then_some(LinkAct::FalseAlarm)).collect()
}

/// Printable ASCII that GSM-7 carries in one character each; anything else becomes a question mark.
/// Two dots stand for what is cut off.
pub(crate) fn plain(text: &str, chars_max: usize) -> String {
    let plain = |char: char| match char {
        ' '..='Z' | 'a'..='z' | '_' => char,
        _ if char.is_control() => ' ',
        _ => '?',
    };
    let mut plain: String = text.chars().map(plain).collect();
    if plain.len() > chars_max {
        plain.truncate(chars_max.saturating_sub(2));
        plain.push_str("..");
        plain.truncate(chars_max);
    }
    plain
}

#[cfg(test)]
mod tests;
