//! What a backtest says: for a person, a program, and a table.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use csv::Writer;
use jiff::Timestamp;
use serde::Serialize;
use simfuse_backtest::{ModeFrom, Trial};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::finding::{DetectorId, Finding};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::policy::Mode;
use simfuse_domain::verdict::Verdict;

use super::recorded::Counts;
use super::stored::StoredCounts;
use super::surges::{self, SurgeReport};
use super::totals::Totals;
use super::{Group, Outcome, Tried};
use crate::error::CliError;
use crate::output::{self, Aligned};

/// SIMs printed as text; `--json` and `--csv` have them all.
const SIMS_PRINTED_MAX: usize = 40;

/// Beside a SIM, what was done and why.
const ACTED: Aligned = Aligned { indent: 0, label_width: 36 };

/// Below a SIM, what each policy does.
const DIFFERING: Aligned = Aligned { indent: 4, label_width: 15 };

/// Fleets of which it is said how many of their SIMs were acted on.
const FLEETS_PRINTED_MAX: usize = 5;

/// What a policy was tried on.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Input {
    Simulated { sims: u32, days: u32, seed: u64 },
    Read(Counts),
    Stored(StoredCounts),
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    input: Input,
    policy: String,
    /// What the policy says by itself.
    policy_mode: Mode,
    judged_as: &'static str,
    groups: Totals,
    /// Pages about whole fleets.
    surges: Vec<SurgeReport>,
    /// SIMs of which anything was found.
    sims: Vec<SimReport>,
    /// Events that could not be folded, and cost nothing else.
    faults: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Compared>,
}

#[derive(Debug, Serialize)]
struct SimReport {
    sim: SimSid,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fleet: Option<FleetSid>,
    /// How it is now, whatever would have been done.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<&'static str>,
    group: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'static str>,
    verdict: Verdict,
    acts: Vec<ActReport>,
    findings: Vec<FindingReport>,
}

#[derive(Debug, Serialize)]
struct ActReport {
    #[serde(rename = "act")]
    what: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<String>,
    at: Timestamp,
    detector: String,
    evidence: String,
    /// Since the theft where it is known, else since the first sign of what was found.
    bytes_before: u64,
    bytes_since: Timestamp,
    /// A human judged since that it says nothing against the SIM.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    judged_false: bool,
}

#[derive(Debug, Serialize)]
struct FindingReport {
    detector: String,
    about: String,
    at: Timestamp,
    sentence: String,
}

/// Another policy on the same history; the SIMs that only one of both acts on (deactivates, moves, holds
/// or tells of), and those that both deactivate at different times.
#[derive(Debug, Serialize)]
struct Compared {
    policy: String,
    groups: Totals,
    surges: Vec<SurgeReport>,
    used: Used,
    other_used: Used,
    only_this: Vec<Differing>,
    only_other: Vec<Differing>,
    earlier: Vec<Differing>,
    later: Vec<Differing>,
}

/// What SIMs used before they were deactivated.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Used {
    sims: usize,
    bytes: u64,
    bytes_most: u64,
}

#[derive(Debug, Serialize)]
struct Differing {
    sim: SimSid,
    this: Option<ActReport>,
    other: Option<ActReport>,
}

impl Report {
    pub(super) fn new(input: Input, policy: String, trial: Trial<'_>, outcome: &Outcome) -> Self {
        let tried = &outcome.sims;
        let found = tried.iter().filter(|tried| !tried.course.findings().is_empty());
        Self {
            input,
            policy,
            policy_mode: trial.policy.base().mode,
            judged_as: match trial.mode {
                ModeFrom::Enforce => "enforce",
                ModeFrom::Policy => "its own mode",
            },
            groups: Totals::of(tried),
            surges: surges::reports(&outcome.pages),
            sims: found.map(sim_report).collect(),
            faults: tried.iter().map(|tried| u64::from(tried.course.faults())).sum(),
            compared: None,
        }
    }

    /// Adds what another policy does on the same SIMs, and what differs.
    pub(super) fn compare(&mut self, policy: String, this: &Outcome, other: &Outcome) {
        let mut compared = Compared {
            policy,
            groups: Totals::of(&other.sims),
            surges: surges::reports(&other.pages),
            used: Used::of(&this.sims),
            other_used: Used::of(&other.sims),
            only_this: Vec::new(),
            only_other: Vec::new(),
            earlier: Vec::new(),
            later: Vec::new(),
        };
        let others: BTreeMap<SimSid, &Tried> =
            other.sims.iter().map(|tried| (tried.course.sim(), tried)).collect();
        for tried in &this.sims {
            let sim = tried.course.sim();
            let Some(other) = others.get(&sim) else { continue };
            let (this, other) = (strongest(tried), strongest(other));
            let times = this.as_ref().zip(other.as_ref()).filter(|(this, _)| is_off(this));
            let times = times.map(|(this, other)| this.at.cmp(&other.at));
            let to = match (done(this.as_ref()).cmp(&done(other.as_ref())), times) {
                (Ordering::Greater, _) => &mut compared.only_this,
                (Ordering::Less, _) => &mut compared.only_other,
                (Ordering::Equal, Some(Ordering::Less)) => &mut compared.earlier,
                (Ordering::Equal, Some(Ordering::Greater)) => &mut compared.later,
                (Ordering::Equal, Some(Ordering::Equal) | None) => continue,
            };
            to.push(Differing { sim, this, other });
        }
        self.compared = Some(compared);
    }

    pub(super) fn write_csv(&self, path: &Path) -> Result<(), CliError> {
        let doing = format!("writing {}", path.display());
        let failed = |error: csv::Error| CliError::local(&doing)(error.into());
        let mut writer = Writer::from_path(path).map_err(failed)?;
        let header = ["sim", "group", "label", "act", "held_by", "at", "detector", "evidence"];
        let added = ["bytes_before", "bytes_since", "judged_false", "name", "fleet", "now"];
        let header = header.into_iter().chain(added);
        writer.write_record(header).map_err(failed)?;
        for sim in &self.sims {
            for act in &sim.acts {
                let row = [
                    sim.sim.to_string(),
                    sim.group.to_owned(),
                    sim.label.unwrap_or_default().to_owned(),
                    act.what.to_string(),
                    act.held_by.clone().unwrap_or_default(),
                    act.at.to_string(),
                    act.detector.clone(),
                    act.evidence.clone(),
                    act.bytes_before.to_string(),
                    act.bytes_since.to_string(),
                    act.judged_false.to_string(),
                    sim.name.clone().unwrap_or_default(),
                    sim.fleet.map(|fleet| fleet.to_string()).unwrap_or_default(),
                    sim.now.unwrap_or_default().to_owned(),
                ];
                writer.write_record(row).map_err(failed)?;
            }
        }
        for surge in &self.surges {
            let row = [
                "",
                "fleet",
                &surge.fleet.to_string(),
                "page",
                "",
                &surge.at.to_string(),
                &DetectorId::CohortSurge.to_string(),
                &surge.sentence(),
                "",
                "",
                "",
                "",
                &surge.fleet.to_string(),
                "",
            ];
            writer.write_record(row).map_err(failed)?;
        }
        writer.flush().map_err(|error| CliError::local(&doing)(error.into()))
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.input.text();
        if self.groups.is_empty() {
            return text;
        }
        text.push_str(&self.tried_as());
        match &self.compared {
            None => {
                text.push_str(&self.groups.text());
                text.push_str(&surges::text(&self.surges));
            }
            Some(other) => {
                let sides = [
                    ("This policy", &self.policy, &self.groups, &self.surges),
                    ("The other", &other.policy, &other.groups, &other.surges),
                ];
                for (side, name, groups, surges) in sides {
                    text.push_str(&format!("\n{side} ({name}):\n{}", groups.text()));
                    text.push_str(&surges::text(surges));
                }
                text.push('\n');
            }
        }
        self.add_sims(&mut text);
        if let Some(compared) = &self.compared {
            text.push_str(&format!(
                "Used before they were deactivated (what the others used is in neither):\n  \
                 with this policy  {}\n  with the other    {}\n",
                compared.used.text(),
                compared.other_used.text()
            ));
            for (what, differing) in [
                ("Only this policy, or it more than the other", &compared.only_this),
                ("Only the other, or it more than this one", &compared.only_other),
                ("Both deactivate it, this policy earlier", &compared.earlier),
                ("Both deactivate it, the other earlier", &compared.later),
            ] {
                text.push_str(&format!("{what}:\n"));
                add_differing(&mut text, differing);
            }
        }
        text
    }

    /// Which policy was tried, and what it would do as it is.
    fn tried_as(&self) -> String {
        let Self { policy, policy_mode, .. } = self;
        let judged = match (self.judged_as, policy_mode) {
            ("enforce", Mode::Observe) => {
                "Judged as if all of it were in mode enforce. Its own mode is observe: applied as it \
                 is, it would\nhold such acts, some later, as a thief that stays on is a peer \
                 (--own-mode)."
                    .to_owned()
            }
            ("enforce", Mode::Enforce) => "Judged as if all of it were in mode enforce.".to_owned(),
            (own, mode) => format!("Judged by {own}: {mode}."),
        };
        format!("Policy: {policy}\n{judged}\n")
    }

    fn add_sims(&self, text: &mut String) {
        let mut acted: Vec<(&SimReport, &ActReport)> =
            self.sims.iter().filter_map(|sim| Some((sim, most(&sim.acts)?))).collect();
        if acted.is_empty() {
            text.push_str("No SIM would have been acted on, or told of.\n");
            return;
        }
        acted.sort_by_key(|(_, act)| std::cmp::Reverse((done_by(act), act.at)));
        let mut fleets: BTreeMap<Option<FleetSid>, usize> = BTreeMap::new();
        for (sim, _) in &acted {
            let fleet = fleets.entry(sim.fleet).or_default();
            *fleet = fleet.saturating_add(1);
        }
        let mut fleets: Vec<_> = fleets.into_iter().collect();
        fleets.sort_by_key(|(_, sims)| std::cmp::Reverse(*sims));
        text.push_str("By fleet, SIMs that would have been acted on or told of:\n");
        for (fleet, sims) in fleets.iter().take(FLEETS_PRINTED_MAX) {
            let fleet = fleet.map_or("no fleet".to_owned(), |fleet| fleet.to_string());
            text.push_str(&format!("  {fleet:<36}{sims}\n"));
        }
        let more = fleets.len().saturating_sub(FLEETS_PRINTED_MAX);
        if more > 0 {
            text.push_str(&format!("  … and {more} more fleets\n"));
        }
        text.push_str("\nOf each SIM the first of what was done most, the latest first:\n");
        let printed = acted.iter().take(SIMS_PRINTED_MAX);
        let lines: Vec<(String, String)> =
            printed.map(|(sim, act)| (sim.sim.to_string(), sim.words(act))).collect();
        let lines = lines.iter().map(|(sim, words)| (sim.as_str(), words.clone()));
        text.push_str(&output::aligned(lines, ACTED));
        let more = acted.len().saturating_sub(SIMS_PRINTED_MAX);
        if more > 0 {
            text.push_str(&format!("… and {more} more SIMs; --json and --csv have them all\n"));
        }
    }
}

impl SimReport {
    fn words(&self, act: &ActReport) -> String {
        let name = self.name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        let group = match (self.label, self.group) {
            (Some(label), _) => format!(" ({label})"),
            (None, "unlabelled") => String::new(),
            (None, group) => format!(" ({group})"),
        };
        let now = self.now.map_or_else(String::new, |now| format!("; now {now}"));
        let used = Bytes(act.bytes_before);
        let ActReport { at, detector, evidence, .. } = act;
        format!(
            "{name}{} at {at}{group}, {used} used before{now}. {detector}: {evidence}",
            act.words()
        )
    }
}

impl Used {
    fn of(tried: &[Tried]) -> Self {
        let off = tried.iter().filter_map(strongest).filter(is_off);
        off.fold(Self::default(), |used, act| Self {
            sims: used.sims.saturating_add(1),
            bytes: used.bytes.saturating_add(act.bytes_before),
            bytes_most: used.bytes_most.max(act.bytes_before),
        })
    }

    fn text(self) -> String {
        let Self { sims, bytes, bytes_most } = self;
        format!("{} by {sims} SIMs, {} the most", Bytes(bytes), Bytes(bytes_most))
    }
}

impl Input {
    fn text(&self) -> String {
        match self {
            Self::Simulated { sims, days, seed } => {
                format!("{sims} simulated SIMs over {days} days, seed {seed}\n")
            }
            Self::Read(counts) => {
                let Counts { events, usage_records, ignored, bad, bad_first } = counts;
                let mut text = format!(
                    "{events} events and {usage_records} usage records read, {ignored} ignored \
                     (tests, unknown types), {bad} bad\n"
                );
                bad_first.iter().for_each(|bad| text.push_str(&format!("  {bad}\n")));
                text
            }
            Self::Stored(counts) => stored_text(counts),
        }
    }
}

fn stored_text(counts: &StoredCounts) -> String {
    let StoredCounts { stack, read_at, sims, usage_records, since, unread, unread_first, stopped } =
        counts;
    let since = since.map_or_else(String::new, |since| format!(", since {since}"));
    let mut text = format!(
        "Stack {stack} at {read_at}: {sims} SIMs, {usage_records} hours with usage{since}; {unread} \
         items could not be read\n"
    );
    unread_first.iter().for_each(|unread| text.push_str(&format!("  {unread}\n")));
    text.push_str(
        "The hours show limits by hour, day and period, strikes of two hours, usage_spike, \
         slow_leak and\ncohort_surge. Events are not kept: strikes of two windows, devices, \
         countries, places and sessions\nare judged by what is stored of each SIM, most of it the \
         last 26 hours. That nothing was cut\nbefore does not show that an update or a new modem is \
         safe.\n",
    );
    if *stopped {
        text.push_str("The stop switch is set there: nothing is deactivated automatically.\n");
    }
    text.push_str(
        "To apply a policy acts on nothing that was found before, until something new is found of \
         the SIM.\n",
    );
    text
}

impl ActReport {
    fn words(&self) -> String {
        let judged = if self.judged_false { ", which a human judged false" } else { "" };
        match &self.held_by {
            Some(hold) => format!("{}{judged}, held: {hold},", self.what),
            None => format!("{}{judged}", self.what),
        }
    }
}

fn add_differing(text: &mut String, differing: &[Differing]) {
    if differing.is_empty() {
        text.push_str("  no SIM\n");
    }
    for Differing { sim, this, other } in differing.iter().take(SIMS_PRINTED_MAX) {
        let words = |act: &Option<ActReport>| match act {
            Some(act) => {
                format!("{} at {} ({}: {})", act.words(), act.at, act.detector, act.evidence)
            }
            None => "nothing".to_owned(),
        };
        text.push_str(&format!("  {sim}\n"));
        let sides = [("this", words(this)), ("the other", words(other))];
        text.push_str(&output::aligned(sides, DIFFERING));
    }
    let more = differing.len().saturating_sub(SIMS_PRINTED_MAX);
    if more > 0 {
        text.push_str(&format!("  … and {more} more; --json has them all\n"));
    }
}

fn sim_report(tried: &Tried) -> SimReport {
    let (group, label) = match tried.group {
        Group::Rogue { name, .. } => ("rogue", Some(name)),
        Group::Benign => ("benign", None),
        Group::Unlabelled => ("unlabelled", None),
    };
    SimReport {
        sim: tried.course.sim(),
        name: tried.course.name(),
        fleet: tried.fleet,
        now: tried.now,
        group,
        label,
        verdict: tried.course.verdict(),
        acts: acts(tried).collect(),
        findings: tried.course.findings().iter().map(finding_report).collect(),
    }
}

fn finding_report(finding: &Finding) -> FindingReport {
    FindingReport {
        detector: finding.detector.to_string(),
        about: finding.about.clone(),
        at: finding.at,
        sentence: finding.to_string(),
    }
}

fn acts(tried: &Tried) -> impl Iterator<Item = ActReport> + '_ {
    let stolen = match tried.group {
        Group::Rogue { from, .. } => Some(from),
        Group::Benign | Group::Unlabelled => None,
    };
    let known = tried.rogue_bytes.iter().copied().chain(std::iter::repeat(None));
    tried.acts.iter().zip(known).map(move |(act, bytes)| {
        let (bytes_before, bytes_since) = match bytes.zip(stolen) {
            Some((bytes, stolen)) if act.at >= stolen => (bytes, stolen),
            _ => (act.bytes.0, act.since),
        };
        ActReport {
            what: act.what,
            held_by: act.hold.map(|hold| hold.to_string()),
            at: act.at,
            detector: act.detector.to_string(),
            evidence: act.sentence.clone(),
            bytes_before,
            bytes_since,
            judged_false: act.is_judged,
        }
    })
}

/// The first of what was done most.
fn strongest(tried: &Tried) -> Option<ActReport> {
    acts(tried).max_by_key(strength)
}

/// The same of acts.
fn most(acts: &[ActReport]) -> Option<&ActReport> {
    acts.iter().max_by_key(|act| strength(act))
}

/// Of two that did as much, the first is the stronger.
fn strength(act: &ActReport) -> (u8, std::cmp::Reverse<Timestamp>) {
    (done_by(act), std::cmp::Reverse(act.at))
}

fn is_off(act: &ActReport) -> bool {
    act.what == Verdict::Deactivate && act.held_by.is_none()
}

/// How much was done: what is held is more than an alert and less than what is done.
fn done_by(act: &ActReport) -> u8 {
    match (act.what, act.held_by.is_some()) {
        (Verdict::Clear | Verdict::Watch, _) => 0,
        (Verdict::Alert, _) => 1,
        (Verdict::Quarantine, true) => 2,
        (Verdict::Deactivate, true) => 3,
        (Verdict::Quarantine, false) => 4,
        (Verdict::Deactivate, false) => 5,
    }
}

fn done(act: Option<&ActReport>) -> u8 {
    act.map_or(0, done_by)
}
