//! `simfuse simulate`: a population of SIMs written into files, with the truth beside it.
//!
//! It is written as it is made, so memory does not grow with its length.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use csv::Writer;
use jiff::Timestamp;
use serde::Serialize;
use simfuse_domain::id::SimSid;
use simfuse_testkit::fleet::Envelope;
use simfuse_testkit::population::config::{PopulationConfig, Rogues};
use simfuse_testkit::population::encode::{event_json, usage_json};
use simfuse_testkit::population::rogue::Rogue;
use simfuse_testkit::population::{Emitted, EmittedKind, Partition, Population, Truth};

use crate::args::ProviderName;
use crate::error::CliError;
use crate::output::{Output, note};
use crate::progress::Progress;

/// When every population begins: 2026-01-01, a Thursday.
const START_SECS: i64 = 1_767_225_600;

/// The account of every event and record.
const ACCOUNT_SID: &str = "AC00000000000000000000000000000001";

/// Seconds of simulated time in a day.
const DAY_SECS: u64 = 86_400;

/// What is simulated unless the command line says otherwise.
const SIMS: u32 = 100;
const DAYS: u32 = 14;
const SEED: u64 = 1;
const ROGUE_SIMS: u32 = 3;

/// What a simulated population is like.
#[derive(Debug, Args)]
pub(crate) struct PopulationArgs {
    /// Number of SIMs
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = SIMS,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) sims: u32,
    /// Days from 2026-01-01 on
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = DAYS,
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub(crate) days: u32,
    /// What all that is random follows from: the same seed gives the same files
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = SEED)]
    pub(crate) seed: u64,
    /// Rogues, by their names: R1 to R17, separated by commas
    #[arg(long = "rogue", value_name = "R1,R2,…", value_delimiter = ',', value_parser = rogues)]
    rogues: Vec<Named>,
    /// SIMs of each rogue but R13, which takes 30 % of a fleet of 5,000
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = ROGUE_SIMS,
          value_parser = clap::value_parser!(u32).range(1..))]
    rogue_sims: u32,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    population: PopulationArgs,
    /// Whose envelope the events have
    #[arg(long, value_enum, default_value_t = ProviderName::Twilio)]
    provider: ProviderName,
    /// Folder for events.ndjson, usage.ndjson and labels.csv; it is made where it is missing, and
    /// files of these names are written over
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// The rogues that one name stands for.
#[derive(Debug, Clone)]
struct Named(Vec<Rogue>);

fn rogues(name: &str) -> Result<Named, String> {
    let named = Rogue::named(name);
    if named.is_empty() {
        let names: Vec<&str> = Rogue::all().map(Rogue::name).collect();
        return Err(format!("allowed are {} and R5 for all of R5x2 to R5x10", names.join(", ")));
    }
    Ok(Named(named))
}

/// What was written.
#[derive(Debug, Default, Serialize)]
struct Report {
    seed: u64,
    events: u64,
    usage_records: u64,
    labels: u64,
    rogues: Vec<RogueReport>,
}

#[derive(Debug, Serialize)]
struct RogueReport {
    sim: SimSid,
    rogue: &'static str,
    from: Timestamp,
    first_byte: Option<Timestamp>,
    bytes: u64,
}

/// Runs the command.
pub(crate) fn run(args: &SimulateArgs, output: Output) -> Result<u8, CliError> {
    let config = args.population.config()?;
    let mut files = Files::create(args)?;
    let mut population = Population::new(&config, Partition::WHOLE);
    let mut report = Report { seed: args.population.seed, ..Report::default() };
    let progress = Progress::of(args.population.days.into(), "days");
    while let Some(emitted) = population.next() {
        let since = emitted.at.duration_since(config.start).as_secs();
        progress.reach(u64::try_from(since).unwrap_or(0) / DAY_SECS);
        files.write(&emitted, &mut report)?;
    }
    progress.finish();
    files.finish()?;
    report.rogues =
        population.truth().filter(|truth| truth.from <= population.now()).map(rogue).collect();
    note_missing(&config, report.rogues.iter().map(|rogue| rogue.rogue));
    output.print(&report, || text(&report, &args.out));
    Ok(0)
}

/// Says which rogues were asked for and did not begin: whoever looks for them in the files, or in a
/// backtest, would look for what is not there.
pub(crate) fn note_missing<'a>(
    config: &PopulationConfig,
    began: impl IntoIterator<Item = &'a str>,
) {
    let began: BTreeSet<&str> = began.into_iter().collect();
    let days = config.days;
    for rogue in config.rogues.scenarios.iter().filter(|rogue| !began.contains(rogue.name())) {
        let why = match rogue {
            Rogue::DuringFirmware => {
                let every = config.benign.firmware_days;
                format!(
                    "it begins at the height of a firmware update of its fleet, and there is none in \
                     time, as they come every {every} days. More days have it, or another seed"
                )
            }
            Rogue::Campaign => {
                "the other rogues left it no SIM of its fleet, or its time is later. \
                                More SIMs or days have it"
                    .to_owned()
            }
            _ => "its time is later. More days have it".to_owned(),
        };
        note(&format!("simfuse: no {} within {days} days: {why}", rogue.name()));
    }
}

impl PopulationArgs {
    /// Whether the command line says anything of it.
    pub(crate) fn is_given(&self) -> bool {
        let Self { sims, days, seed, rogues, rogue_sims } = self;
        (*sims, *days, *seed, *rogue_sims) != (SIMS, DAYS, SEED, ROGUE_SIMS) || !rogues.is_empty()
    }

    /// The population, with the default mix.
    ///
    /// # Errors
    /// Where there are more rogues than SIMs.
    pub(crate) fn config(&self) -> Result<PopulationConfig, CliError> {
        let start = Timestamp::from_second(START_SECS).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut config = PopulationConfig::new(self.sims, self.days, self.seed, start);
        let mut scenarios: Vec<Rogue> =
            self.rogues.iter().flat_map(|named| named.0.clone()).collect();
        scenarios.sort_unstable();
        scenarios.dedup();
        let single = scenarios.iter().filter(|rogue| **rogue != Rogue::Campaign).count();
        let needed = u64::try_from(single).unwrap_or(u64::MAX) * u64::from(self.rogue_sims);
        if needed > u64::from(self.sims) {
            let (rogue_sims, sims) = (self.rogue_sims, self.sims);
            return Err(CliError::Usage(format!(
                "{single} rogues with {rogue_sims} SIMs each need {needed} SIMs, and there are {sims}: \
                 --sims makes more, --rogue-sims takes fewer of each"
            )));
        }
        let usual = Rogues::default();
        config.rogues = Rogues {
            scenarios,
            sims_each: self.rogue_sims,
            // In a short run the first half shows what is usual.
            after_days: usual.after_days.min(self.days / 2),
            within_days: usual.within_days.min(self.days / 4),
            ..usual
        };
        Ok(config)
    }
}

/// One of the files.
struct Lines {
    path: String,
    file: BufWriter<File>,
}

impl Lines {
    fn create(folder: &Path, name: &str) -> Result<Self, CliError> {
        let path = folder.join(name);
        let name = path.display().to_string();
        let file =
            File::create(&path).map_err(|source| CliError::File { path: name.clone(), source })?;
        Ok(Self { path: name, file: BufWriter::new(file) })
    }

    fn write(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.file, "{line}")
            .map_err(|source| CliError::File { path: self.path.clone(), source })
    }

    fn finish(mut self) -> Result<(), CliError> {
        let failed = |source| CliError::File { path: self.path.clone(), source };
        self.file.flush().map_err(failed)
    }
}

struct Files {
    events: Lines,
    usage: Lines,
    labels: Writer<File>,
    labels_path: String,
    envelope: Envelope,
}

impl Files {
    fn create(args: &SimulateArgs) -> Result<Self, CliError> {
        let folder = &args.out;
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| CliError::File { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let labels_path = folder.join("labels.csv");
        let labels = File::create(&labels_path).map_err(failed(&labels_path))?;
        let mut files = Self {
            events: Lines::create(folder, "events.ndjson")?,
            usage: Lines::create(folder, "usage.ndjson")?,
            labels: Writer::from_writer(labels),
            labels_path: labels_path.display().to_string(),
            envelope: match args.provider {
                ProviderName::Twilio => Envelope::Twilio,
                ProviderName::Kore => Envelope::Kore,
            },
        };
        files.label(["sim", "label", "from"])?;
        Ok(files)
    }

    fn label(&mut self, row: [&str; 3]) -> Result<(), CliError> {
        let doing = format!("writing {}", self.labels_path);
        let written = self.labels.write_record(row);
        written.map_err(|error| CliError::local(&doing)(error.into()))
    }

    fn write(&mut self, emitted: &Emitted, report: &mut Report) -> Result<(), CliError> {
        match &emitted.kind {
            EmittedKind::Event(event) => {
                report.events += 1;
                self.events.write(&event_json(self.envelope, ACCOUNT_SID, event))
            }
            EmittedKind::Usage(record) => {
                report.usage_records += 1;
                self.usage.write(&usage_json(ACCOUNT_SID, record))
            }
            EmittedKind::Label(label) => {
                report.labels += 1;
                let (sim, from) = (emitted.sim.to_string(), label.from.to_string());
                self.label([&sim, label.what.name(), &from])
            }
        }
    }

    fn finish(mut self) -> Result<(), CliError> {
        let doing = format!("writing {}", self.labels_path);
        self.labels.flush().map_err(|error| CliError::local(&doing)(error.into()))?;
        self.events.finish()?;
        self.usage.finish()
    }
}

fn rogue(truth: Truth) -> RogueReport {
    let Truth { sim, rogue, from, first_byte, bytes, .. } = truth;
    RogueReport { sim, rogue: rogue.name(), from, first_byte, bytes }
}

fn text(report: &Report, folder: &Path) -> String {
    let Report { seed, events, usage_records, labels, rogues } = report;
    let mut text = format!(
        "Seed {seed}: {events} events, {usage_records} usage records, {labels} labels in {}\n",
        folder.display()
    );
    if !rogues.is_empty() {
        let mut table = crate::output::table(["SIM", "rogue", "from", "first byte", "MB"]);
        for rogue in rogues {
            table.add_row([
                rogue.sim.to_string(),
                rogue.rogue.to_owned(),
                rogue.from.to_string(),
                rogue.first_byte.map_or_else(|| "none".to_owned(), |first| first.to_string()),
                (rogue.bytes / 1_000_000).to_string(),
            ]);
        }
        text.push_str(&table.to_string());
    }
    text
}
