//! `simulation`: runs seeds, and says which one breaks a promise and how to see it again.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use simfuse_simulation::{Outcome, Trace, run};

/// Progress is told this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// The pipeline under faults, in virtual time. Each seed is a small world: SIMs, thieves, humans, a
/// provider and a table with their moods. The first seed that breaks a promise ends the run.
#[derive(Debug, Parser)]
struct Cli {
    /// How many seeds to run
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One seed only, with every step in words on standard output
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// With --seed: only the last so many steps
    #[arg(long, requires = "seed")]
    steps: Option<usize>,
    /// Seeds at the same time; as many as there are cores, unless told
    #[arg(long)]
    threads: Option<usize>,
    /// Go on after a broken promise, and tell of each
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.seed {
        Some(seed) => show(seed, cli.steps),
        None => run_all(&cli),
    }
}

/// Runs one seed and shows it.
fn show(seed: u64, steps: Option<usize>) -> ExitCode {
    let outcome = run(seed, Trace::On);
    let skipped = steps.map_or(0, |steps| outcome.trace.len().saturating_sub(steps));
    let mut out = std::io::stdout().lock();
    for line in outcome.trace.iter().skip(skipped) {
        // Nobody reads on.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    say(&format!("seed {seed}: {outcome}"));
    if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What all threads share.
struct Run {
    next: AtomicU64,
    end: u64,
    done: AtomicU64,
    steps: AtomicU64,
    failed: AtomicBool,
    keep_going: bool,
    began: Instant,
}

fn run_all(cli: &Cli) -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let run = Run {
        next: AtomicU64::new(cli.from),
        end: cli.from.saturating_add(cli.seeds),
        done: AtomicU64::new(0),
        steps: AtomicU64::new(0),
        failed: AtomicBool::new(false),
        keep_going: cli.keep_going,
        began: Instant::now(),
    };
    std::thread::scope(|scope| {
        for _ in 0..cli.threads.unwrap_or(cores).max(1) {
            scope.spawn(|| run.take_seeds());
        }
    });
    let (done, steps) = (run.done.load(Ordering::SeqCst), run.steps.load(Ordering::SeqCst));
    let seconds = run.began.elapsed().as_secs_f64();
    say(&format!("{done} seeds, {steps} steps in {seconds:.1} s"));
    if run.failed.load(Ordering::SeqCst) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

impl Run {
    fn take_seeds(&self) {
        let mut told = Instant::now();
        while self.keep_going || !self.failed.load(Ordering::SeqCst) {
            let seed = self.next.fetch_add(1, Ordering::SeqCst);
            if seed >= self.end {
                return;
            }
            let outcome = run(seed, Trace::Off);
            self.done.fetch_add(1, Ordering::SeqCst);
            self.steps.fetch_add(outcome.steps, Ordering::SeqCst);
            self.judge(seed, &outcome);
            if told.elapsed() > PROGRESS_EVERY {
                told = Instant::now();
                let seconds = self.began.elapsed().as_secs();
                let done = self.done.load(Ordering::SeqCst);
                say(&format!("{done} seeds after {seconds} s"));
            }
        }
    }

    fn judge(&self, seed: u64, outcome: &Outcome) {
        if outcome.violation.is_some() {
            self.failed.store(true, Ordering::SeqCst);
            say(&format!(
                "seed {seed}: {outcome}\n  to see it: cargo xtask simulate --seed {seed}"
            ));
        }
    }
}

fn say(text: &str) {
    // Nobody is left to be told that nobody is listening.
    _ = writeln!(std::io::stderr(), "{text}");
}
