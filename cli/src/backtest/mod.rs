//! `simfuse backtest`: what a policy would have done over history.

mod recorded;
mod report;
mod stored;
mod surges;
mod totals;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use simfuse_backtest::{Act, Course, ModeFrom, Page, Trial, hold_over_caps, stream};
use simfuse_domain::id::FleetSid;
use simfuse_domain::policy::Policy;

use crate::error::CliError;
use crate::output::{Output, note};
use crate::progress::Progress;
use crate::replay::policy_of;
use crate::score::is_same;
use crate::simulate::{PopulationArgs, note_missing};
use crate::target;
use recorded::Recorded;
use report::Report;
use stored::Stored;

#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    /// Files of events and of usage records, one or both in each: a JSON array, a single object, or
    /// one object a line; `-` is standard input
    #[arg(value_name = "FILE", conflicts_with_all = ["simulate", "stack"])]
    files: Vec<PathBuf>,
    /// What the table of this deployed stack keeps instead: 40 days of usage by the hour, and what the
    /// events of each SIM added up to. Nothing is written there. Without files and --simulate the
    /// one that SIMFUSE_STACK names
    #[arg(long, value_name = "NAME", conflicts_with = "simulate",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    stack: Option<String>,
    /// Policy to judge by, instead of the default; of a stack instead of the one that is in force
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Another policy: says which SIMs only one of both acts on, or cuts earlier
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// What is known of SIMs: comma-separated values with the columns sim, label and from; a label is
    /// a rogue's name or `rogue`, the name of something harmless or `benign`
    #[arg(long, value_name = "FILE", conflicts_with = "simulate")]
    labels: Option<PathBuf>,
    /// Let policy's own mode count: where it observes, acts are held. What the deployed function's
    /// EnforcementMode says is not known
    #[arg(long)]
    own_mode: bool,
    /// Write what would have been done to this file, as comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Threads; by default one for each core. The result does not depend on it
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    threads: Option<NonZeroUsize>,
    /// Simulate SIMs instead of reading files
    #[arg(long)]
    simulate: bool,
    #[command(flatten)]
    population: PopulationArgs,
}

/// What is known about a SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// It is misused from then on.
    Rogue { name: &'static str, from: Timestamp },
    /// Nothing is wrong with it.
    Benign,
    /// Nobody says.
    Unlabelled,
}

/// One SIM after the policy was tried on it.
struct Tried {
    course: Course,
    acts: Vec<Act>,
    fleet: Option<FleetSid>,
    group: Group,
    /// How the SIM is now, where that is known.
    now: Option<&'static str>,
    /// Of each act the bytes since the theft, where that is known.
    rogue_bytes: Vec<Option<u64>>,
}

/// All of a history after the policy was tried on it.
struct Outcome {
    sims: Vec<Tried>,
    /// What was told of fleets.
    pages: Vec<Page>,
}

/// Runs the command.
pub(crate) async fn run(args: &BacktestArgs, output: Output) -> Result<u8, CliError> {
    check_csv(args)?;
    let given = args.policy.as_deref().map(|path| policy_of(Some(path))).transpose()?;
    let other = args.compare.as_deref().map(|path| policy_of(Some(path))).transpose()?;
    let mode = if args.own_mode { ModeFrom::Policy } else { ModeFrom::Enforce };
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok());
    let threads = threads.unwrap_or(NonZeroUsize::MIN);
    let (mut history, whole) = History::of(args, given.is_none()).await?;
    let (policy, called) = match (given, history.take_policy()) {
        (Some(policy), _) => (policy, name_of(args.policy.as_deref())),
        (None, Some(in_force)) => in_force,
        (None, None) => (policy_of(None)?, name_of(None)),
    };
    let tried = history.tried(Trial { policy: &policy, mode }, threads);
    if let History::Simulated(config) = &history {
        let began = tried.sims.iter().filter_map(|tried| match tried.group {
            Group::Rogue { name, .. } => Some(name),
            Group::Benign | Group::Unlabelled => None,
        });
        note_missing(config, began);
    }
    let mut report = Report::new(history.input(), called, Trial { policy: &policy, mode }, &tried);
    if let Some(other) = &other {
        let others = history.tried(Trial { policy: other, mode }, threads);
        report.compare(name_of(args.compare.as_deref()), &tried, &others);
    }
    if let Some(path) = &args.csv {
        report.write_csv(path)?;
    }
    output.print(&report, || report.text());
    Ok(u8::from(!whole))
}

/// Refuses a file for the result that would overwrite what is read, or that cannot be written: before
/// the work is done.
fn check_csv(args: &BacktestArgs) -> Result<(), CliError> {
    let Some(csv) = &args.csv else { return Ok(()) };
    let named = [&args.policy, &args.compare, &args.labels].into_iter().flatten();
    if args.files.iter().chain(named).any(|read| is_same(csv, read)) {
        return Err(CliError::Usage("--csv would overwrite what is read".to_owned()));
    }
    let folder = csv.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(CliError::Usage(format!("--csv: no folder for {}", csv.display())));
    }
    if csv.is_dir() {
        return Err(CliError::Usage(format!("--csv: {} is a folder", csv.display())));
    }
    Ok(())
}

/// What a policy is tried on.
enum History {
    Simulated(Box<simfuse_testkit::population::config::PopulationConfig>),
    Files(Box<Recorded>),
    Stored(Box<Stored>),
}

impl History {
    /// Reads it, if it is not simulated; says whether all of it could be read, and there was any.
    async fn of(args: &BacktestArgs, asks_policy: bool) -> Result<(Self, bool), CliError> {
        if args.simulate {
            return Ok((Self::Simulated(Box::new(args.population.config()?)), true));
        }
        if args.population.is_given() {
            let why = "--sims, --days, --seed, --rogue and --rogue-sims are of --simulate";
            return Err(CliError::Usage(why.to_owned()));
        }
        let labelled = Recorded::labelled(args.labels.as_deref())?;
        let usual = || args.files.is_empty().then(target::usual_stack).flatten();
        if let Some(stack) = args.stack.clone().or_else(usual) {
            let stored = Box::pin(Stored::read(&stack, labelled, asks_policy)).await?;
            note_unused(&stored.recorded);
            let (sims, unread) = (stored.counts.sims, stored.counts.unread);
            if sims == 0 {
                note("simfuse: nothing of any SIM could be read in the table: nothing was judged");
            }
            return Ok((Self::Stored(Box::new(stored)), sims > 0 && unread == 0));
        }
        if args.files.is_empty() {
            let why = "name history: FILE…, --stack NAME (or set SIMFUSE_STACK), or --simulate";
            return Err(CliError::Usage(why.to_owned()));
        }
        let files = labelled.with_files(&args.files)?;
        note_unused(&files);
        for what in &files.cut_off {
            note(what);
        }
        let counts = &files.counts;
        let missing = match (counts.events, counts.usage_records) {
            (0, 0) => {
                Some("nothing in these files is an event or a usage record: nothing was judged")
            }
            (_, 0) => Some(
                "no usage records: strikes of two hours, usage_spike, slow_leak and cohort_surge \
                 were not judged",
            ),
            (0, _) => Some(
                "no events: devices, countries, places, sessions and strikes of two windows were \
                 not judged; nor is a SIM protected that policy names by its unique name or ICCID",
            ),
            _ => None,
        };
        if let Some(missing) = missing {
            note(&format!("simfuse: {missing}"));
        }
        let whole = files.cut_off.is_empty() && !counts.is_nothing();
        Ok((Self::Files(Box::new(files)), whole))
    }

    /// The policy that is in force where history comes from.
    fn take_policy(&mut self) -> Option<(Policy, String)> {
        match self {
            Self::Stored(stored) => stored.in_force.take(),
            Self::Simulated(_) | Self::Files(_) => None,
        }
    }

    fn input(&self) -> report::Input {
        match self {
            Self::Simulated(config) => {
                report::Input::Simulated { sims: config.sims, days: config.days, seed: config.seed }
            }
            Self::Files(files) => report::Input::Read(files.counts.clone()),
            Self::Stored(stored) => report::Input::Stored(stored.counts.clone()),
        }
    }

    /// Takes every SIM through it, and asks the caps.
    fn tried(&self, trial: Trial<'_>, threads: NonZeroUsize) -> Outcome {
        let mut outcome = match self {
            Self::Simulated(config) => {
                let parts = stream::partitions(config.sims);
                let progress = Progress::of(parts.into(), "parts of the fleets");
                let over = stream::judge(config, trial, threads, || progress.advance());
                progress.finish();
                let sims = over.sims.into_iter().map(of_passed).collect();
                Outcome { sims, pages: over.pages }
            }
            Self::Files(files) => files.tried(trial, threads),
            Self::Stored(stored) => stored.recorded.tried(trial, threads),
        };
        ask_caps(&mut outcome.sims, trial.policy);
        outcome
    }
}

fn note_unused(recorded: &Recorded) {
    let unused = recorded.labels_unused();
    if unused > 0 {
        note(&format!("simfuse: labels of SIMs that are not in this history: {unused}"));
    }
}

/// What a policy is called.
fn name_of(policy: Option<&Path>) -> String {
    policy.map_or_else(|| "the compiled-in policy".to_owned(), |path| path.display().to_string())
}

fn of_passed(passed: stream::Passed) -> Tried {
    let stream::Passed { course, fleet, truth, rogue_bytes, .. } = passed;
    let group = truth.map_or(Group::Benign, |truth| {
        let (name, from) = (truth.rogue.name(), truth.from);
        Group::Rogue { name, from }
    });
    let acts = course.acts().to_vec();
    Tried { course, acts, fleet, group, now: None, rogue_bytes }
}

fn ask_caps(tried: &mut [Tried], policy: &Policy) {
    let mut sizes: BTreeMap<FleetSid, u32> = BTreeMap::new();
    for fleet in tried.iter().filter_map(|tried| tried.fleet) {
        let size = sizes.entry(fleet).or_default();
        *size = size.saturating_add(1);
    }
    hold_over_caps(tried.iter_mut().flat_map(|tried| &mut tried.acts), policy, &sizes);
}
