//! What detection is worth: the shipped policy, the same with strict binding, and what people use
//! today, on one simulated stream (`docs/detection.md`).
//!
//! Nobody's deactivation is fed back, so that all see the same: a SIM is judged by each until that one
//! cuts it, and a rogue that any of them noticed for 14 days. What a rogue used before that is the
//! truth's, reported or not. Caps are asked of the campaign alone.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench says what it measured")]

mod baseline;
mod benign;
mod tables;
mod tally;

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use clap::Parser;
use jiff::{SignedDuration, Timestamp};
use simfuse_backtest::stream::{by_partition, end_of};
use simfuse_backtest::{Course, ModeFrom, Peers, Trial};
use simfuse_domain::policy::{DEFAULT, Policy};
use simfuse_domain::verdict::Verdict;
use simfuse_testkit::population::behaviour::Behaviour;
use simfuse_testkit::population::config::PopulationConfig;
use simfuse_testkit::population::rogue::Rogue;
use simfuse_testkit::population::{
    Emitted, EmittedKind, Partition, Population, SENSOR_TACS, Truth,
};

use baseline::Baselines;
use tally::{CONTENDERS, Hit, Score, Tally, Theft, Wrong};

/// When the population begins: 2026-01-01.
const START_SECS: i64 = 1_767_225_600;

/// SIMs of a small fleet, in which what peers do says little.
const SMALL_FLEET_SIMS: u32 = 200;

/// SIMs that a thread takes at a time.
const PARTITION_SIMS: u32 = 250;

/// What befell a SIM this long before it was cut is told as a cause.
const CAUSE_HOURS: i64 = 48;

/// A rogue that was noticed is judged for this long since its first byte.
const SHOWN: SignedDuration = SignedDuration::from_hours(14 * 24);

/// One event in so many is timed.
const TIMED_ONE_IN: u64 = 16;

#[derive(Debug, Parser)]
struct Arguments {
    /// Simulated SIM-hours in all; rogues are among them
    #[arg(long, default_value_t = 5_000_000)]
    sim_hours: u64,
    /// What the stream follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// SIMs of a fleet
    #[arg(long, default_value_t = 2_000)]
    fleet_sims: u32,
    /// Days: 60 show R8, which sleeps for three weeks, for another two
    #[arg(long, default_value_t = 60)]
    days: u32,
    /// SIMs of each rogue but R13
    #[arg(long, default_value_t = 12)]
    rogue_sims: u32,
    /// SIM-hours of healthy SIMs alone under the shipped policy; 3e8 show 0.01 false kills a million
    #[arg(long, default_value_t = 10_000_000)]
    benign_sim_hours: u64,
    /// The same with firmware updates of 60 MB and ten times the technicians
    #[arg(long, default_value_t = 10_000_000)]
    stress_sim_hours: u64,
    /// Fail when healthy SIMs are cut more often than the bars allow; look at nothing else
    #[arg(long)]
    gate: bool,
    /// Write the tables into docs/detection.md
    #[arg(long)]
    write: bool,
    /// What cargo tells every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let config = config(&arguments)?;
    let policies: [Policy; 2] = [DEFAULT.parse()?, strict().parse()?];
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let [shipped, _] = &policies;
    let alone = healthy(&config);
    let benign = benign::run(&alone, arguments.benign_sim_hours, shipped, threads)?;
    let stress = benign::run(&stressed(&alone), arguments.stress_sim_hours, shipped, threads)?;
    if arguments.gate {
        println!("{}", tables::of_healthy(&[&benign, &stress]));
        return match tables::false_kills_over_bar(&benign, &stress) {
            Some(kills) => Err(kills.into()),
            None => Ok(()),
        };
    }
    let mut tally = judge(&config, &policies, threads);
    let in_small_fleets = PopulationConfig { fleet_sims: SMALL_FLEET_SIMS, ..config.clone() };
    let small = judge(&in_small_fleets, &policies, threads);
    let command = format!(
        "cargo xtask bench detection --sim-hours {} --seed {} --days {} --rogue-sims {} \
         --fleet-sims {} --benign-sim-hours {} --stress-sim-hours {}",
        arguments.sim_hours,
        arguments.seed,
        arguments.days,
        arguments.rogue_sims,
        arguments.fleet_sims,
        arguments.benign_sim_hours,
        arguments.stress_sim_hours
    );
    let text = tables::all(&command, &config, (&mut tally, &small), &[benign, stress]);
    println!("{text}");
    if arguments.write {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/detection.md");
        let document = std::fs::read_to_string(&docs)?;
        std::fs::write(&docs, tables::between_markers(&document, &text)?)?;
    }
    Ok(())
}

/// All contenders on one population.
fn judge(config: &PopulationConfig, policies: &[Policy; 2], threads: NonZeroUsize) -> Tally {
    let of = config.sims.div_ceil(PARTITION_SIMS);
    let parts = by_partition(of, threads, |index| {
        Judges::new(config, Partition { index, of }, policies).run()
    });
    let mut tally = Tally::default();
    parts.into_iter().for_each(|part| tally.merge(part));
    tally
}

fn config(arguments: &Arguments) -> Result<PopulationConfig, Box<dyn Error>> {
    let hours = u64::from(arguments.days.max(1)) * 24;
    let sims = u32::try_from(arguments.sim_hours.div_ceil(hours))?;
    let start = Timestamp::from_second(START_SECS)?;
    let mut config = PopulationConfig::new(sims, arguments.days, arguments.seed, start);
    config.fleet_sims = arguments.fleet_sims;
    config.rogues.scenarios = Rogue::all().collect();
    config.rogues.sims_each = arguments.rogue_sims;
    Ok(config)
}

/// The population without rogues, by seeds that no table of rogues was made with.
fn healthy(config: &PopulationConfig) -> PopulationConfig {
    let mut healthy = config.clone();
    healthy.rogues.scenarios = Vec::new();
    healthy.seed = config.seed.wrapping_mul(1_000_000);
    healthy
}

/// Every update is as large as any, and technicians come ten times as often.
fn stressed(config: &PopulationConfig) -> PopulationConfig {
    let mut stressed = config.clone();
    stressed.seed = config.seed.wrapping_add(500_000);
    stressed.benign.firmware_bytes = 60e6..60.1e6;
    stressed.benign.technicians *= 10.0;
    stressed
}

/// The shipped policy, strict about devices, with the sensors' models declared.
fn strict() -> String {
    let tacs = SENSOR_TACS.map(|tac| format!("\"{tac}\"")).join(", ");
    DEFAULT
        .replace("mode = \"learnt\"", "mode = \"strict\"")
        .replace("allowed_tacs = []", &format!("allowed_tacs = [{tacs}]"))
}

/// All contenders on one SIM.
struct Sim {
    courses: [Course; 2],
    /// Of each course the acts that were looked at.
    looked_at: [usize; 2],
    baselines: Baselines,
    first: Timestamp,
    told: [Option<Hit>; CONTENDERS],
    killed: [Option<Hit>; CONTENDERS],
    /// When a rogue was shown for long enough.
    over_at: Timestamp,
    /// Whether it ever was noticed as a rogue; its events cost more than a healthy SIM's.
    is_noticed: bool,
}

/// All contenders on one partition.
struct Judges<'a> {
    population: Population,
    trials: [Trial<'a>; 2],
    peers: [Peers; 2],
    sims: Vec<Option<Sim>>,
    first_sim: u32,
    end: Timestamp,
    tally: Tally,
}

impl<'a> Judges<'a> {
    fn new(config: &PopulationConfig, part: Partition, policies: &'a [Policy; 2]) -> Self {
        Self {
            population: Population::new(config, part),
            trials: policies.each_ref().map(|policy| Trial { policy, mode: ModeFrom::Enforce }),
            sims: Vec::new(),
            first_sim: part.sims(config).start,
            peers: Default::default(),
            end: end_of(config),
            tally: Tally::default(),
        }
    }

    fn run(mut self) -> Tally {
        while let Some(emitted) = self.population.next() {
            self.close_due(emitted.at);
            self.judge(&emitted);
        }
        let sims = std::mem::take(&mut self.sims);
        for (sim, index) in sims.into_iter().zip(self.first_sim..) {
            if let Some(sim) = sim {
                self.finish(sim, index);
            }
        }
        self.tally
    }

    /// Closes the hours that are due by now, each for all SIMs before the next. What is found is noted
    /// with the SIM's next event or record.
    fn close_due(&mut self, now: Timestamp) {
        for (place, (peers, trial)) in self.peers.iter_mut().zip(self.trials).enumerate() {
            while let Some(hour) = peers.due(now) {
                let courses = self.sims.iter_mut().flatten();
                for course in courses.filter_map(|sim| sim.courses.get_mut(place)) {
                    course.close(trial, hour, peers);
                }
                peers.merge(hour, trial.policy);
            }
        }
    }

    fn judge(&mut self, emitted: &Emitted) {
        let Self { population, trials, peers, sims, first_sim, tally, .. } = self;
        let place = usize::try_from(emitted.sim_index.saturating_sub(*first_sim)).unwrap_or(0);
        if sims.len() <= place {
            sims.resize_with(place + 1, || None);
        }
        let Some(sim) = sims.get_mut(place) else { return };
        let sim = sim.get_or_insert_with(|| Sim::new(emitted));
        if emitted.at > sim.over_at {
            population.deactivate(emitted.sim, emitted.at);
            return;
        }
        let cuts = match &emitted.kind {
            EmittedKind::Event(event) => {
                tally.events += 1;
                let is_timed = tally.events.is_multiple_of(TIMED_ONE_IN) && !sim.is_noticed;
                for (((course, trial), peers), is_timed) in
                    sim.courses.iter_mut().zip(&*trials).zip(&*peers).zip([is_timed, false])
                {
                    let began = is_timed.then(Instant::now).filter(|_| !course.is_off());
                    course.event(*trial, event, emitted.at, peers);
                    if let Some(began) = began {
                        let ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(0);
                        tally.note_ns(ns);
                    }
                }
                sim.baselines.event(event)
            }
            EmittedKind::Usage(record) => {
                for (course, trial) in sim.courses.iter_mut().zip(&*trials) {
                    course.record(*trial, record, emitted.at);
                }
                sim.baselines.record(record)
            }
            EmittedKind::Label(_) => return,
        };
        let acted = sim.courses.iter().zip(sim.looked_at);
        let acted = acted.fold(false, |any, (course, known)| any || course.acts().len() > known);
        if acted || cuts.contains(&true) {
            sim.note(emitted, cuts, population, &mut tally.scores);
        }
    }

    /// History is over for a SIM.
    fn finish(&mut self, sim: Sim, index: u32) {
        let truth = self.population.truth_of(index, self.end).filter(|truth| truth.from < self.end);
        let healthy_until = truth.map_or(self.end, |truth| truth.from);
        for ((score, told), killed) in self.tally.scores.iter_mut().zip(sim.told).zip(sim.killed) {
            let until = killed.map_or(healthy_until, |killed| killed.at.min(healthy_until));
            let hours = until.duration_since(sim.first).as_secs_f64() / 3_600.0;
            score.benign_hours += hours.max(0.0);
            let Some(truth) = truth else { continue };
            // Who was cut before the theft has no theft to find.
            if killed.is_none_or(|killed| killed.at >= truth.from) {
                let first = truth.first_byte.unwrap_or(truth.from);
                let shown = self.end.duration_since(first);
                let theft = Theft { first, shown, told, killed };
                score.thefts.entry(truth.rogue).or_default().push(theft);
            }
        }
        let [shipped, _] = &sim.courses;
        if truth.is_some_and(|truth| truth.rogue == Rogue::Campaign) {
            self.tally.campaign.extend(shipped.acts().iter().cloned());
        }
        let state = shipped.state().and_then(|state| state.encode().ok());
        self.tally.state_bytes.extend(state.map(|bytes| bytes.len()));
        let usage = shipped.usage().and_then(|usage| usage.encode().ok());
        self.tally.usage_bytes.extend(usage.map(|bytes| bytes.len()));
    }
}

impl Sim {
    fn new(emitted: &Emitted) -> Self {
        Self {
            courses: [Course::new(emitted.sim), Course::new(emitted.sim)],
            looked_at: [0; 2],
            baselines: Baselines::default(),
            first: emitted.at,
            told: [None; CONTENDERS],
            killed: [None; CONTENDERS],
            over_at: Timestamp::MAX,
            is_noticed: false,
        }
    }

    /// Someone acted on what arrived: rightly or not.
    fn note(
        &mut self,
        emitted: &Emitted,
        cuts: [bool; baseline::COUNT],
        population: &Population,
        scores: &mut [Score; CONTENDERS],
    ) {
        let since = emitted.at.saturating_sub(SignedDuration::from_hours(CAUSE_HOURS));
        let befell = population.befell(emitted.sim_index, since.unwrap_or(emitted.at));
        let befell: Vec<Behaviour> = befell.filter(|befell| befell.is_labelled()).collect();
        let truth = population.truth_of(emitted.sim_index, emitted.at);
        let truth = truth.filter(|truth| truth.from <= emitted.at);
        if let Some(first) = truth.and_then(|truth| truth.first_byte) {
            self.over_at = first.saturating_add(SHOWN).unwrap_or(Timestamp::MAX);
            self.is_noticed = true;
        }
        let mut done: Vec<(usize, bool, &str, String)> = Vec::new();
        for (place, course) in self.courses.iter().enumerate() {
            let known = self.looked_at.get(place).copied().unwrap_or(0);
            for act in course.acts().iter().skip(known) {
                let kills = act.what == Verdict::Deactivate && act.hold.is_none();
                done.push((place, kills, "", act.detector.to_string()));
            }
        }
        self.looked_at = self.courses.each_ref().map(|course| course.acts().len());
        for ((place, cut), name) in (2..).zip(cuts).zip(baseline::NAMES) {
            if cut && self.killed.get(place).is_some_and(Option::is_none) {
                done.push((place, true, name, String::new()));
            }
        }
        for (place, kills, name, detector) in done {
            let what = if name.is_empty() { &detector } else { name };
            let score = scores.get_mut(place);
            self.note_one(place, kills, emitted.at, truth);
            if let (Some(score), None) = (score, truth) {
                let wrong = Wrong { kills: u64::from(kills), alerts: u64::from(!kills) };
                score.wrong(wrong, what, &befell);
            }
        }
    }

    fn note_one(&mut self, place: usize, kills: bool, at: Timestamp, truth: Option<Truth>) {
        let hit = Hit { at, bytes: truth.map_or(0, |truth| truth.bytes) };
        if truth.is_some()
            && let Some(told) = self.told.get_mut(place)
        {
            told.get_or_insert(hit);
        }
        if kills && let Some(killed) = self.killed.get_mut(place) {
            killed.get_or_insert(hit);
        }
    }
}
