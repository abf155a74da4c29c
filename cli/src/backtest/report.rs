//! What a backtest says: for a person, a program, and a table.

use std::collections::BTreeMap;
use std::path::Path;

use csv::Writer;
use jiff::Timestamp;
use serde::Serialize;
use simfuse_backtest::{Act, ModeFrom};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::finding::Finding;
use simfuse_domain::id::SimSid;
use simfuse_domain::verdict::Verdict;

use super::files::Counts;
use super::{Group, Tried};
use crate::error::CliError;
use crate::output;

/// SIMs printed as text; `--json` and `--csv` have them all.
const SIMS_PRINTED_MAX: usize = 40;

/// What a policy was tried on.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Input {
    Simulated { sims: u32, days: u32, seed: u64 },
    Read(Counts),
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    input: Input,
    judged_as: &'static str,
    groups: BTreeMap<&'static str, Sum>,
    /// SIMs of which anything was found.
    sims: Vec<SimReport>,
    /// Events that could not be folded, and cost nothing else.
    faults: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Compared>,
}

/// What was done to the SIMs of a group. A rogue before its time is a benign SIM.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Sum {
    sims: u64,
    sim_hours: f64,
    deactivated: u64,
    quarantined: u64,
    held: u64,
    alerted: u64,
    alerts: u64,
    kills_per_million_sim_hours: f64,
    alerts_per_million_sim_hours: f64,
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

/// SIMs that only one of two policies acts on: deactivates, moves, holds or tells of.
#[derive(Debug, Serialize)]
struct Compared {
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
    pub(super) fn new(input: Input, mode: ModeFrom, tried: &[Tried]) -> Self {
        let mut groups: BTreeMap<&'static str, Sum> = BTreeMap::new();
        for tried in tried {
            add(&mut groups, tried);
        }
        for sum in groups.values_mut() {
            let hours = sum.sim_hours.max(1.0);
            #[expect(clippy::cast_precision_loss, reason = "a rate of far fewer than 2^52")]
            let rate = |count: u64| count as f64 * 1e6 / hours;
            sum.kills_per_million_sim_hours = rate(sum.deactivated.saturating_add(sum.quarantined));
            sum.alerts_per_million_sim_hours = rate(sum.alerts);
        }
        let found = tried.iter().filter(|tried| !tried.course.findings().is_empty());
        Self {
            input,
            judged_as: match mode {
                ModeFrom::Enforce => "enforce",
                ModeFrom::Policy => "its own mode",
            },
            groups,
            sims: found.map(sim_report).collect(),
            faults: tried.iter().map(|tried| u64::from(tried.course.faults())).sum(),
            compared: None,
        }
    }

    /// Adds what differs from another policy's acts on the same SIMs.
    pub(super) fn compare(&mut self, these: &[Tried], others: &[Tried]) {
        let others: BTreeMap<SimSid, &Tried> =
            others.iter().map(|tried| (tried.course.sim(), tried)).collect();
        let mut compared = Compared { only_this: Vec::new(), only_other: Vec::new() };
        for tried in these {
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
        writer.flush().map_err(|error| CliError::local(&doing)(error.into()))
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.input.text();
        text.push_str(&match self.judged_as {
            "enforce" => "Judged as if all of the policy were in mode enforce.\n".to_owned(),
            mode => format!("Judged by {mode}.\n"),
        });
        let mut table = output::table([
            "group",
            "SIMs",
            "SIM-hours",
            "deactivated",
            "quarantined",
            "held",
            "alerted",
            "kills, alerts per million SIM-hours",
        ]);
        for (group, sum) in &self.groups {
            table.add_row([
                (*group).to_owned(),
                sum.sims.to_string(),
                format!("{:.0}", sum.sim_hours),
                sum.deactivated.to_string(),
                sum.quarantined.to_string(),
                sum.held.to_string(),
                sum.alerted.to_string(),
                format!(
                    "{:.2}, {:.2}",
                    sum.kills_per_million_sim_hours, sum.alerts_per_million_sim_hours
                ),
            ]);
        }
        text.push_str(&format!("{table}\n"));
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
        }
    }
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
        text.push_str(&format!("  {sim}: {}; the other: {}\n", words(this), words(other)));
    }
    let more = differing.len().saturating_sub(SIMS_PRINTED_MAX);
    if more > 0 {
        text.push_str(&format!("  … and {more} more; --json has them all\n"));
    }
}

/// Counts a SIM; what was done to a rogue before its time was done to a benign one.
fn add(groups: &mut BTreeMap<&'static str, Sum>, tried: &Tried) {
    let (name, from) = match tried.group {
        Group::Rogue { from, .. } => ("rogue", Some(from)),
        Group::Benign => ("benign", None),
        Group::Unlabelled => ("unlabelled", None),
    };
    let hours = tried.course.judged().as_secs_f64() / 3_600.0;
    let first = tried.course.first();
    let before = first.zip(from).map_or(0.0, |(first, from)| {
        (from.duration_since(first).as_secs_f64() / 3_600.0).clamp(0.0, hours)
    });
    let is_early = |act: &&Act| from.is_some_and(|from| act.at < from);
    let of_group: Vec<&Act> = tried.acts.iter().filter(|act| !is_early(act)).collect();
    let early: Vec<&Act> = tried.acts.iter().filter(is_early).collect();
    let sum = groups.entry(name).or_default();
    sum.sims = sum.sims.saturating_add(1);
    sum.sim_hours += hours - before;
    sum.count(&of_group);
    if from.is_some() {
        let sum = groups.entry("benign").or_default();
        sum.sim_hours += before;
        sum.count(&early);
    }
}

impl Sum {
    fn count(&mut self, acts: &[&Act]) {
        let any = |is: fn(&Act) -> bool| u64::from(acts.iter().any(|act| is(act)));
        let is_alert = |act: &&&Act| act.what == Verdict::Alert;
        let done = |act: &Act, what| act.what == what && act.hold.is_none();
        self.deactivated += any(|act| act.what == Verdict::Deactivate && act.hold.is_none());
        self.quarantined += u64::from(acts.iter().any(|act| done(act, Verdict::Quarantine)));
        self.held += any(|act| act.hold.is_some());
        self.alerted += any(|act| act.what == Verdict::Alert);
        let alerts = acts.iter().filter(is_alert).count();
        self.alerts = self.alerts.saturating_add(u64::try_from(alerts).unwrap_or(0));
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
