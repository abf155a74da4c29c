//! What a backtest says: for a person, a program, and a table.

use std::collections::BTreeMap;
use std::path::Path;

use csv::Writer;
use jiff::Timestamp;
use serde::Serialize;
use simfuse_backtest::ModeFrom;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::finding::{DetectorId, Finding};
use simfuse_domain::id::SimSid;
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

/// Below a SIM, what each policy does.
const DIFFERING: Aligned = Aligned { indent: 4, label_width: 15 };

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
}

#[derive(Debug, Serialize)]
struct FindingReport {
    detector: String,
    about: String,
    at: Timestamp,
    sentence: String,
}

/// Another policy on the same history, and the SIMs that only one of both acts on: deactivates, moves,
/// holds or tells of.
#[derive(Debug, Serialize)]
struct Compared {
    policy: String,
    groups: Totals,
    surges: Vec<SurgeReport>,
    only_this: Vec<Differing>,
    only_other: Vec<Differing>,
}

#[derive(Debug, Serialize)]
struct Differing {
    sim: SimSid,
    this: Option<ActReport>,
    other: Option<ActReport>,
}

impl Report {
    pub(super) fn new(input: Input, policy: String, mode: ModeFrom, outcome: &Outcome) -> Self {
        let tried = &outcome.sims;
        let found = tried.iter().filter(|tried| !tried.course.findings().is_empty());
        Self {
            input,
            policy,
            judged_as: match mode {
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
            only_this: Vec::new(),
            only_other: Vec::new(),
        };
        let others: BTreeMap<SimSid, &Tried> =
            other.sims.iter().map(|tried| (tried.course.sim(), tried)).collect();
        for tried in &this.sims {
            let sim = tried.course.sim();
            let Some(other) = others.get(&sim) else { continue };
            let (this, other) = (strongest(tried), strongest(other));
            let (this_did, other_did) = (done(this.as_ref()), done(other.as_ref()));
            if this_did > other_did {
                compared.only_this.push(Differing { sim, this, other });
            } else if this_did < other_did {
                compared.only_other.push(Differing { sim, this, other });
            }
        }
        self.compared = Some(compared);
    }

    pub(super) fn write_csv(&self, path: &Path) -> Result<(), CliError> {
        let doing = format!("writing {}", path.display());
        let failed = |error: csv::Error| CliError::local(&doing)(error.into());
        let mut writer = Writer::from_path(path).map_err(failed)?;
        let header = ["sim", "group", "label", "act", "held_by", "at", "detector", "evidence"];
        let header = header.into_iter().chain(["bytes_before", "bytes_since"]);
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
            ];
            writer.write_record(row).map_err(failed)?;
        }
        writer.flush().map_err(|error| CliError::local(&doing)(error.into()))
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.input.text();
        text.push_str(&match self.judged_as {
            "enforce" => "Judged as if all of the policy were in mode enforce.\n".to_owned(),
            mode => format!("Judged by {mode}.\n"),
        });
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
            text.push_str("Only this policy, or it more than the other:\n");
            add_differing(&mut text, &compared.only_this);
            text.push_str("Only the other, or it more than this one:\n");
            add_differing(&mut text, &compared.only_other);
        }
        text
    }

    fn add_sims(&self, text: &mut String) {
        let mut acted: Vec<&SimReport> =
            self.sims.iter().filter(|sim| !sim.acts.is_empty()).collect();
        acted.sort_by_key(|sim| {
            let first = sim.acts.first().map(|act| act.at);
            (std::cmp::Reverse(sim.acts.iter().map(done_by).max()), first)
        });
        let mut table = output::narrow_table(["SIM", "group", "act", "used before", "why"]);
        for sim in acted.iter().take(SIMS_PRINTED_MAX) {
            let Some(act) =
                sim.acts.iter().max_by_key(|act| (done_by(act), std::cmp::Reverse(act.at)))
            else {
                continue;
            };
            let label = sim.label.map_or(sim.group.to_owned(), str::to_owned);
            let used = Bytes(act.bytes_before).to_string();
            let why = format!("{} {}: {}", act.at, act.detector, act.evidence);
            table.add_row([sim.sim.to_string(), label, act.words(), used, why]);
        }
        text.push_str(&format!("{table}\n"));
        let more = acted.len().saturating_sub(SIMS_PRINTED_MAX);
        if more > 0 {
            text.push_str(&format!("… and {more} more SIMs; --json and --csv have them all\n"));
        }
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
    let StoredCounts {
        stack,
        read_at,
        sims,
        usage_records,
        since,
        as_they_stand,
        off,
        unread,
        unread_first,
    } = counts;
    let since = since.map_or_else(String::new, |since| format!(", since {since}"));
    let mut text = format!(
        "Stack {stack} at {read_at}: {sims} SIMs, {usage_records} hours with usage{since}\n\
         What is stored of {as_they_stand} SIMs was judged as it stands; {off} are off, {unread} \
         items could not be read\n"
    );
    unread_first.iter().for_each(|unread| text.push_str(&format!("  {unread}\n")));
    text
}

impl ActReport {
    fn words(&self) -> String {
        match &self.held_by {
            Some(hold) => format!("{}, held: {hold}", self.what),
            None => self.what.to_string(),
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
        }
    })
}

/// The first of what was done most.
fn strongest(tried: &Tried) -> Option<ActReport> {
    acts(tried).max_by_key(|act| (done_by(act), std::cmp::Reverse(act.at)))
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
