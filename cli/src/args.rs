//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use simfuse_domain::policy::Mode;
use simfuse_kill_switch::request::{Megabytes, Select};
use simfuse_supersim::Provider;

/// A fuse for every IoT SIM: finds a stolen SIM by its connection events, switches it off, proves
/// that it is dead, tells you, and undoes it when you say so.
///
/// Without a command it runs the drill. `drill`, `up` and `replay` use an embedded table and a
/// simulated Super SIM service on loopback, whatever AWS or Twilio variables the environment holds.
/// They leave loopback only where you say so: `replay --to URL`, and `up` with SUPERSIM_API_BASE,
/// which says so first. The operator's commands speak to a running `up`, or with `--stack NAME` to a
/// deployed stack.
///
/// Exit codes: 0 done; 1 something asked for was not done; 2 a mistake in the command line, or a file
/// named there that cannot be read or is refused, and nothing was done; 3 a digest is needed (more than
/// 10 SIMs), and nothing was done. What is wrong is said on standard error, with --json as
/// {"error": …} on standard output, too; only a command line that is not understood prints no JSON.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Print exactly one JSON document on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

const KILL_EXAMPLES: &str = "\
Examples:
  simfuse kill pump-17 --reason 'stolen by the look of it'
      one SIM, by its unique name, ICCID or SID
  simfuse kill --file sims.txt --dry-run
      what would be done to the SIMs of a file, and the digest of it
  simfuse kill --file sims.txt --confirm 58045a87a9d6 --reason 'stolen from the depot'
      do it; on a terminal leave --confirm out, and you are shown all and asked for the digest
  simfuse kill --used-more-than-mb 50 --in-last-hours 6 --fleet river --dry-run
      who used more than 50 MB in 6 hours: by usage records, and of hours that have none yet by
      events. What is not known selects nobody; the answer says up to which hour it is known.
  grep stolen list.txt | cut -f 1 | simfuse kill - --confirm 58045a87a9d6
      from standard input

Thousands take minutes: a bar shows how far it is, and Ctrl-C says how to go on. Repeating the whole
command is harmless: what is off is answered as `already`.";

const RESTORE_EXAMPLES: &str = "\
Examples:
  simfuse restore pump-17 --reason 'it was a firmware update'
  simfuse restore --file sims.txt --reason 'the rule was wrong'
      above 10 SIMs with --confirm DIGEST, or typed when asked for";

const FALSE_ALARM_EXAMPLES: &str = "\
Examples:
  simfuse false-alarm pump-17 --reason 'we gave it a new modem'
  simfuse false-alarm --file swapped.txt --reason 'all of them got new modems'
      above 10 SIMs with --confirm DIGEST, or typed when asked for

`restore` says the same of what was found so far, and allows no device for good.";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  simfuse simulate --sims 200 --days 14 --rogue R1,R4 --out run
      two hundred SIMs, three of which fall to each of the two rogues
  simfuse replay run/events.ndjson --as-is
      what SimFuse finds of it; run/labels.csv says what there was to be found

Rogues:
  R1 video on a tablet with its own IMEI    R2 the same with the sensor's IMEI    R3 HD video
  R4 tether, 3 x 50 MB a day    R5 leak, 2, 5 and 10 times the usual (R5x2, R5x5, R5x10)
  R6 5 MB once a day    R7 botnet, 100 times the upload    R8 stolen, wakes abroad 3 weeks later
  R9 the sensor itself moved abroad    R10 a clone used at night    R11 another device of the model
  R12 stolen in its first hour    R13 30 % of a fleet at once    R14 during a firmware update
  R15 slow boil, 3 % more a day    R16 within the usual    R17 comes back when switched on again

What healthy SIMs do and how often is in docs/detection.md.";

const BACKTEST_EXAMPLES: &str = "\
Examples:
  simfuse backtest events.ndjson usage.ndjson --policy new.toml
      what this policy would have done over recorded history
  simfuse backtest events.ndjson --policy new.toml --compare old.toml
      and what differs from the one in force
  simfuse backtest --simulate --sims 5000 --days 40 --rogue R1,R4 --rogue-sims 10
      over simulated SIMs, of which the truth is known
  simfuse backtest run/events.ndjson run/usage.ndjson --labels run/labels.csv --csv acted.csv
      of what `simfuse simulate` wrote, told apart by its labels
  simfuse backtest --stack prod --policy new.toml
      over what the table of a deployed stack keeps: usage of 40 days by the hour, and what the
      events of each SIM added up to. Without --policy the one in force is tried";

const APPROVE_EXAMPLES: &str = "\
Examples:
  simfuse approve pump-17 --reason 'a thief'
  simfuse approve --all --dry-run
      what the cap holds, and the digest of it
  simfuse approve --all --confirm 58045a87a9d6 --reason 'mass theft'
      needed above 10 SIMs; one more held in between, and nothing is done";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Let thieves steal SIMs of a simulated fleet, and watch what SimFuse does (the default)
    Drill,
    /// Keep SimFuse running on this machine: webhook, table, kill-switch, simulated Super SIM
    Up(UpArgs),
    /// Run recorded events through the webhook's handler and say what it finds
    Replay(ReplayArgs),
    /// Switch SIMs off, whatever policy says
    ///
    /// One SIM or thousands: named, listed in a file, or selected by fleet and usage. Above 10 SIMs
    /// nothing is done without the digest that a dry run prints; it stands for exactly these SIMs
    /// and this act, so what changed in between is not done.
    ///
    /// A kill says that the SIM is stolen: devices that a false alarm allowed for it are allowed no
    /// more. With --freeze-hours it says only that something is wrong, and they stay allowed.
    #[command(after_long_help = KILL_EXAMPLES)]
    Kill(KillArgs),
    /// Move SIMs to the fleet that policy names for it: they can do no harm there and are not dark
    Quarantine(QuarantineArgs),
    /// Switch SIMs on again, in the fleet where they belong; what was found so far is judged by that
    #[command(after_long_help = RESTORE_EXAMPLES)]
    Restore(SimsArgs),
    /// Say that what was found of SIMs was no theft: as `restore`, and their devices are allowed
    ///
    /// Each SIM is switched on again where SimFuse switched it off or moved it, its incident is filed
    /// as a false alarm, and the devices that it was about are allowed for this SIM from now on.
    #[command(after_long_help = FALSE_ALARM_EXAMPLES)]
    FalseAlarm(SimsArgs),
    /// Say how things are: of the whole, or of the SIMs named
    Status(StatusArgs),
    /// Never deactivate SIMs automatically
    Protect(ProtectArgs),
    /// Carry out kills that a guard holds
    ///
    /// What policy asks for no more is refused, and --all leaves it out. As with `kill`, devices that a
    /// false alarm allowed for a SIM are allowed no more.
    #[command(after_long_help = APPROVE_EXAMPLES)]
    Approve(ApproveArgs),
    /// Deactivate nothing automatically, anywhere, until `resume`
    Stop(WhyArgs),
    /// Let policy act again
    Resume(WhyArgs),
    /// Check, show or replace the policy
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Show what was done, by whom and why, and whether the record of it holds
    Audit(crate::audit::AuditArgs),
    /// Score a series of numbers by usage evidence: one score a row, edges, not levels
    ///
    /// Reads comma-separated values with the columns timestamp and value, as the Numenta Anomaly
    /// Benchmark has them, and writes timestamp,value,anomaly_score,label. A row stands for an active
    /// hour of a SIM without peers: its own past alone decides, with the parameters that judge SIMs.
    /// Only what exceeds the usual is looked for. The score is the evidence as a part of what it
    /// takes to deactivate a SIM: 0.75 is an alert. After an alert it is 0 until the evidence has
    /// gone, so that a long anomaly is one detection. The first 24 rows give the series its unit.
    Score(crate::score::ScoreArgs),
    /// Write the events and usage records of simulated SIMs into files, and the truth about them
    ///
    /// Healthy SIMs do all that makes detection hard: firmware updates, outages, retry storms, new
    /// modems, technicians, borders; events come late, twice and not at all. Rogues are those that
    /// you name. events.ndjson holds a CloudEvent a line in the order of arrival, usage.ndjson a
    /// record of the API's list a line, labels.csv which SIM did what since when.
    #[command(after_long_help = SIMULATE_EXAMPLES)]
    Simulate(crate::simulate::SimulateArgs),
    /// Say what a policy would have done over history, by the code that does it live
    ///
    /// Reads recorded connection events (as `replay` does) and usage records (one of the API's list
    /// a line), in any order, or what a deployed table keeps, or simulates SIMs. A table keeps
    /// usage of 40 days by the hour and no events, only what they added up to: of devices, places,
    /// sessions and fast windows it shows what is not forgotten yet, most of it 26 hours. An event
    /// is known at its time, an hour's usage at the end of the hour; hours are closed three hours
    /// later, and until then usage evidence goes by events. The policy is judged as if all of it
    /// were in mode enforce, unless --own-mode is given; what protection or a cap would have held
    /// is said to be held. A SIM is deactivated once: what it did later in the recording is not
    /// judged, and a simulated rogue feels it.
    #[command(after_long_help = BACKTEST_EXAMPLES)]
    Backtest(crate::backtest::BacktestArgs),
    /// Show or set what a fleet may use at the provider
    #[command(subcommand)]
    Fleet(FleetCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say whether a policy file would be taken, and if not, which line is wrong
    Check {
        /// The file; `-` is standard input
        file: PathBuf,
    },
    /// Print the current policy, or an older version, who applied it, and when
    Show(ShowArgs),
    /// Show the difference to the current policy, then replace it
    Apply(ApplyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The number of an older version; 0 is the default. `policy apply` of what it prints is the way
    /// back
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) number: Option<u64>,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The file; `-` is standard input
    pub(crate) file: PathBuf,
    /// Only show the difference
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) why: WhyArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Show the fleet's own data limit at the provider, or set it
    Limit(LimitArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// The fleet: its SID or unique name
    pub(crate) fleet: String,
    /// Megabytes that each SIM of the fleet may use in a billing period
    #[arg(long, value_name = "MB", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub(crate) set: Option<u32>,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) why: WhyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Address of loopback to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    pub(crate) listen: String,
    /// Policy to start with, instead of the default, which observes
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Whose webhooks are taken
    #[arg(long, env = "PROVIDER", value_enum, default_value_t = ProviderName::Twilio)]
    pub(crate) provider: ProviderName,
    /// The URL that the provider calls and signs, where a proxy stands in between
    #[arg(long, env = "PUBLIC_WEBHOOK_URL", value_name = "URL")]
    pub(crate) public_webhook_url: Option<String>,
    /// Secrets as one JSON object: Twilio {"auth_token"}, KORE {"webhook_secret"}, and the API's
    /// credentials where SUPERSIM_API_BASE is given
    #[arg(long, env = "SIMFUSE_SECRET_JSON", value_name = "JSON", hide_env_values = true)]
    pub(crate) secret_json: Option<String>,
    /// A real Super SIM API instead of the simulated one: kills then are real
    #[arg(long, env = "SUPERSIM_API_BASE", value_name = "ORIGIN")]
    pub(crate) supersim_api_base: Option<String>,
    /// KORE's token endpoint, where it is not KORE's own
    #[arg(long, env = "SUPERSIM_TOKEN_URL", value_name = "URL")]
    pub(crate) supersim_token_url: Option<String>,
    /// Whether anything is deactivated automatically; policy has to say enforce as well
    #[arg(long, env = "ENFORCEMENT_MODE", value_enum, default_value_t = ModeName::Observe)]
    pub(crate) mode: ModeName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProviderName {
    Twilio,
    Kore,
}

impl From<ProviderName> for Provider {
    fn from(name: ProviderName) -> Self {
        match name {
            ProviderName::Twilio => Self::Twilio,
            ProviderName::Kore => Self::Kore,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    Observe,
    Enforce,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Observe => Self::Observe,
            ModeName::Enforce => Self::Enforce,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Files of events: a JSON array, a single object, or one object a line; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Policy to judge by, instead of the default
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    pub(crate) policy: Option<PathBuf>,
    /// Keep the order of the files instead of sorting by event time
    #[arg(long)]
    pub(crate) as_is: bool,
    /// Post the batches to a running webhook instead
    #[arg(long, value_name = "URL", requires = "secret")]
    pub(crate) to: Option<String>,
    /// The secret to sign with
    #[arg(long, requires = "to", hide_env_values = true)]
    pub(crate) secret: Option<String>,
    /// Whose signature to make
    #[arg(long, value_enum, default_value_t = ProviderName::Twilio, requires = "to")]
    pub(crate) provider: ProviderName,
}

#[derive(Debug, Args)]
pub(crate) struct WhereArgs {
    /// Where `simfuse up` listens; by default the latest one of this user
    #[arg(long, value_name = "URL")]
    pub(crate) up: Option<String>,
    /// A deployed stack instead, with the AWS credentials and region of the environment; by default
    /// the one that SIMFUSE_STACK names, unless --up is given
    #[arg(long, value_name = "NAME", conflicts_with = "up")]
    pub(crate) stack: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Why: it is recorded, and told with the alert where there is one
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Who asks
    #[arg(long, env = "USER", default_value = "")]
    pub(crate) by: String,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
}

/// SIMs by name.
#[derive(Debug, Args)]
pub(crate) struct NamesArgs {
    /// SIMs: SIDs, ICCIDs or unique names; `-` reads them from standard input, one a line
    #[arg(value_name = "SIM")]
    pub(crate) sims: Vec<String>,
    /// File with one name a line, `-` for standard input; empty lines, and lines that begin with #,
    /// are left out
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// SIMs by what they have in common.
#[derive(Debug, Args)]
pub(crate) struct SelectArgs {
    /// All SIMs of this fleet, by SID or unique name; with --used-more-than-mb only those of them
    #[arg(long, value_name = "FLEET", conflicts_with_all = ["sims", "file"])]
    pub(crate) fleet: Option<String>,
    /// SIMs that are proven to have used more than so many megabytes, of all fleets or of --fleet
    #[arg(long, value_name = "MB", allow_negative_numbers = true,
          conflicts_with_all = ["sims", "file"])]
    pub(crate) used_more_than_mb: Option<Megabytes>,
    /// In the last so many hours, by default 24
    #[arg(long, value_name = "HOURS", requires = "used_more_than_mb", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=720))]
    pub(crate) in_last_hours: Option<u32>,
}

impl SelectArgs {
    /// What the request says of it.
    pub(crate) fn select(&self) -> Option<Select> {
        let Self { fleet, used_more_than_mb, in_last_hours } = self;
        (fleet.is_some() || used_more_than_mb.is_some()).then(|| Select {
            fleet: fleet.clone(),
            used_more_than_mb: *used_more_than_mb,
            in_last_hours: *in_last_hours,
        })
    }
}

/// How a request about many SIMs is confirmed and gone on with.
#[derive(Debug, Args)]
pub(crate) struct ManyArgs {
    /// Only say what would be done, and the digest of it
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The digest that a dry run printed: needed above 10 SIMs
    #[arg(long, value_name = "DIGEST", conflicts_with = "dry_run")]
    pub(crate) confirm: Option<String>,
    /// Go on from this SIM on, as a command that was interrupted said
    #[arg(long, value_name = "SIM")]
    pub(crate) next: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SimsArgs {
    #[command(flatten)]
    pub(crate) names: NamesArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) many: ManyArgs,
    #[command(flatten)]
    pub(crate) why: WhyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    #[command(flatten)]
    pub(crate) sims: SimsArgs,
    /// Switch them on again by itself after so many hours, unless they are killed again without this
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=744))]
    pub(crate) freeze_hours: Option<u32>,
    /// Deactivate a SIM although it is protected
    #[arg(long)]
    pub(crate) override_protection: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineArgs {
    #[command(flatten)]
    pub(crate) sims: SimsArgs,
    /// Move a SIM although it is protected
    #[arg(long)]
    pub(crate) override_protection: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Without a name: the whole
    #[command(flatten)]
    pub(crate) names: NamesArgs,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ProtectArgs {
    #[command(flatten)]
    pub(crate) sims: SimsArgs,
    /// Let policy decide about them again
    #[arg(long)]
    pub(crate) undo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    pub(crate) names: NamesArgs,
    /// Approve every kill that the cap holds
    #[arg(long, conflicts_with_all = ["sims", "file"])]
    pub(crate) all: bool,
    /// Deactivate a SIM although it is protected
    #[arg(long)]
    pub(crate) override_protection: bool,
    #[command(flatten)]
    pub(crate) many: ManyArgs,
    #[command(flatten)]
    pub(crate) why: WhyArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a command line, as a shell takes them apart: quotes and nothing else.
    fn words(line: &str) -> Vec<String> {
        let line = line.split_once(" #").map_or(line, |(line, _comment)| line).trim_end();
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for char in line.chars() {
            match (char, quote) {
                (char, Some(open)) if char == open => quote = None,
                ('"' | '\'', None) => quote = Some(char),
                (' ', None) => words.push(std::mem::take(&mut word)),
                (char, _) => word.push(char),
            }
        }
        words.push(word);
        words
    }

    /// Commands that documents and help show.
    fn documented() -> Vec<String> {
        let runbook = include_str!("../../docs/runbook.md");
        let help = [
            KILL_EXAMPLES,
            RESTORE_EXAMPLES,
            FALSE_ALARM_EXAMPLES,
            APPROVE_EXAMPLES,
            SIMULATE_EXAMPLES,
            BACKTEST_EXAMPLES,
        ];
        let lines = runbook.lines().chain(help.iter().flat_map(|text| text.lines().map(str::trim)));
        let commands = lines
            .filter_map(|line| line.rsplit_once(" | ").map_or(Some(line), |(_, last)| Some(last)));
        let commands = commands.filter(|line| line.starts_with("simfuse ") && !line.contains('`'));
        commands
            .map(|line| line.split(' ').take_while(|word| !["<", ">", "|", "#"].contains(word)))
            .map(|words| words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn every_command_that_is_shown_as_an_example_is_understood() {
        let commands = documented();
        assert!(commands.len() > 15, "{commands:?}");
        for command in &commands {
            let parsed = Cli::try_parse_from(words(command));
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        }
        assert!(commands.iter().any(|command| command.starts_with("simfuse kill - ")));
    }

    #[test]
    fn a_number_below_zero_is_refused_as_a_number() {
        for line in [
            "kill a --freeze-hours -5",
            "kill --used-more-than-mb -5",
            "kill --used-more-than-mb 5 --in-last-hours -5",
            "fleet limit river --set -5",
            "policy show --number -5",
            "simulate --sims -5 --out run",
            "simulate --days -5 --out run",
            "simulate --seed -5 --out run",
            "simulate --rogue-sims -5 --out run",
            "backtest --simulate --threads -5",
        ] {
            let refused = Cli::try_parse_from(words(&format!("simfuse {line}"))).unwrap_err();
            let said = refused.to_string();
            assert!(said.contains("invalid value '-5' for '--"), "{line}: {said}");
        }
    }

    #[test]
    fn names_and_a_selection_do_not_go_together() {
        for (line, fine) in [
            ("kill a --fleet f", false),
            ("kill --file a --used-more-than-mb 5", false),
            ("kill --in-last-hours 5 --fleet f", false),
            ("kill --used-more-than-mb 5 --in-last-hours 721", false),
            ("kill --used-more-than-mb -5", false),
            ("kill a --confirm 0 --dry-run", false),
            ("approve a --all", false),
            ("approve --all --fleet f", false),
            ("kill --fleet f --used-more-than-mb 0.5 --in-last-hours 720", true),
            ("protect --fleet f --undo", true),
            ("kill a - --file b", true),
        ] {
            let parsed = Cli::try_parse_from(words(&format!("simfuse {line}")));
            assert_eq!(parsed.is_ok(), fine, "{line}");
        }
    }
}
