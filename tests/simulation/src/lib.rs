//! The whole pipeline under faults, in virtual time: the real webhook and kill-switch on ports in
//! memory, thousands of small worlds, each made from a number, the seed.
//!
//! In a seed nothing is left to the machine: no clock, no thread, no sleep, no order of a hash. Its
//! scheduler decides at every call of a port who goes on next, when, and whether the call fails or
//! is the last thing that its function does. So a seed that breaks a promise breaks it again, step
//! by step. The `watch` holds the promises; `docs/architecture.md` has them in words.

mod chance;
mod device;
mod gate;
mod plan;
mod shared;
mod watch;
mod weather;
mod world;

use std::fmt;
use std::sync::Arc;

use futures::FutureExt as _;
use simfuse_domain::policy::{Policy, PolicyError};
use simfuse_domain::port::{Fleet, FleetItem, FleetSims, UsageItem, UsageStore as _};
use simfuse_testkit::memory::MemoryTable;
use simfuse_testkit::super_sim::MemorySuperSim;

use chance::Chance;
use plan::{Act, Plan};
use shared::{Happening, InstanceClock, Shared};
pub use watch::Violation;
use watch::ends::{End, Truth};
use watch::{Seen, Watch};
use weather::Weather;
use world::World;

/// 2026-03-01T14:00:00Z: every seed begins then.
const START_MS: i64 = 1_772_373_600_000;

const MINUTE_MS: i64 = 60_000;

/// What was under way when the faults ceased may go on for this long.
const SETTLE_MS: i64 = 30 * MINUTE_MS;

/// By then everything has come to its end, or to a human.
const CALM_MS: i64 = 3 * 60 * MINUTE_MS;

/// Longer than the 72 hours after which an incident is over by itself, and those before it.
const LONG_MS: i64 = 160 * 60 * MINUTE_MS;

/// What came of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// Steps taken.
    pub steps: u64,
    /// Requests for another status that reached the provider.
    pub posts: u64,
    /// Alerts that went out.
    pub alerts: usize,
    /// Every step in words; empty where it was not asked for.
    pub trace: Vec<String>,
}

/// How much of a seed is to be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// Nothing.
    Off,
    /// Every step.
    On,
}

impl Outcome {
    /// The plan's own policy is refused: the simulation is at fault.
    fn unreadable(error: &PolicyError) -> Self {
        let violation =
            Violation { invariant: "a policy that can be read", what: error.to_string() };
        Self { violation: Some(violation), steps: 0, posts: 0, alerts: 0, trace: Vec::new() }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, posts, alerts, .. } = self;
        match &self.violation {
            Some(violation) => write!(f, "{violation}")?,
            None => f.write_str("every promise kept")?,
        }
        write!(f, " ({steps} steps, {posts} requests, {alerts} alerts)")
    }
}

/// Runs one seed from its begin to its end, or to the first broken promise.
#[must_use]
pub fn run(seed: u64, trace: Trace) -> Outcome {
    let mut chance = Chance::new(seed);
    let weather = Weather::draw(&mut chance);
    let plan = Plan::draw(&mut chance);
    let policy: Policy = match plan.policies.first().map_or("", String::as_str).parse() {
        Ok(policy) => policy,
        Err(error) => return Outcome::unreadable(&error),
    };
    let table = MemoryTable::new();
    drop(table.apply_policy(&policy).now_or_never());
    let shared = Shared::new(START_MS, chance, weather.clone(), Watch::new(policy));
    if trace == Trace::On {
        let mut inner = shared.lock();
        inner.trace = Some(Vec::new());
        inner.note(|| format!("seed {seed}: {weather:?}"));
    }
    let (is_long, chaos_ms) = (plan.is_long, plan.chaos_ms);
    let is_plain = !plan
        .happenings
        .iter()
        .any(|(_, act)| matches!(act, Act::Policy(_) | Act::Moves(_) | Act::Human(_)));
    let mut world = set_up(&shared, table, plan);
    let violation = live(&mut world, chaos_ms, is_plain, is_long).err();
    let mut inner = shared.lock();
    Outcome {
        violation,
        steps: world.steps,
        posts: inner.watch.sims.values().map(|seen| u64::from(seen.posts)).sum(),
        alerts: inner.watch.published.len(),
        trace: inner.trace.take().unwrap_or_default(),
    }
}

/// Puts all in its place, and into the queue what is to happen.
fn set_up(shared: &Arc<Shared>, table: MemoryTable, plan: Plan) -> World {
    let clock = InstanceClock { shared: Arc::clone(shared), skew_ms: 0 };
    let sims = MemorySuperSim::new(Arc::new(clock));
    for ((device, behaviour), is_liar) in plan.devices.iter().zip(&plan.behaviours).zip(&plan.liars)
    {
        sims.add(device.sim.clone());
        sims.set_behaviour(device.sim.sid, *behaviour);
        if *is_liar {
            sims.lie_about(device.sim.sid);
        }
        if device.sim.status == simfuse_domain::port::SimStatus::Scheduled {
            // Someone else scheduled it; it goes on by itself.
            let active = simfuse_domain::port::SimStatus::Active;
            sims.set_status_elsewhere(device.sim.sid, active);
        }
        let seen = Seen::new(START_MS, device.sim.clone());
        shared.lock().watch.sims.insert(device.sim.sid, seen);
    }
    if let Some(count) = plan.fleet_sims {
        count_fleets(shared, &table, count);
    }
    let mut inner = shared.lock();
    inner.after(MINUTE_MS, Happening::Sweep);
    for index in 0..plan.devices.len() {
        let first_ms = inner.chance.of(0..=5 * MINUTE_MS);
        inner.after(first_ms, Happening::Device(index));
    }
    for (at_ms, act) in plan.happenings {
        let happening = match act {
            Act::GoesRogue(index) => Happening::GoesRogue(index),
            Act::Human(request) => Happening::Ask(Box::new(request), 1),
            Act::Policy(index) => Happening::Apply(index),
            Act::Console(index) => Happening::Console(index),
            Act::Moves(index) => Happening::Moves(index),
            Act::Vanishes(index) => Happening::Vanishes(index),
            Act::Hint(sim) => Happening::Hint(sim),
        };
        inner.after(at_ms, happening);
    }
    drop(inner);
    World::new(Arc::clone(shared), (table, sims), plan.armed, plan.devices, plan.policies)
}

/// The inventory has counted the fleets.
fn count_fleets(shared: &Shared, table: &MemoryTable, count: u32) {
    let mut inner = shared.lock();
    let items = [0, 1].map(|number| {
        let sid = plan::fleet(number);
        inner.watch.fleet_sims.insert(sid, count);
        let fleet = Fleet { sid, unique_name: None, data_enabled: None, data_limit_mb: None };
        let sims = FleetSims { active: count, ..FleetSims::default() };
        UsageItem::FleetInventory(FleetItem { fleet, sims: Some(sims) })
    });
    drop(table.put_usage(&items, inner.now()).now_or_never());
}

/// Chaos, then calm, then perhaps days of silence.
fn live(world: &mut World, chaos_ms: i64, is_plain: bool, is_long: bool) -> Result<(), Violation> {
    world.run(START_MS + chaos_ms)?;
    let calm_since_ms = START_MS + chaos_ms + SETTLE_MS;
    calm_down(world);
    world.run(calm_since_ms)?;
    forget_counts(world);
    let mut end = End {
        now_ms: calm_since_ms + CALM_MS,
        calm_since_ms,
        armed: world.armed,
        is_plain,
        is_long: false,
    };
    world.skip_ms = 10 * MINUTE_MS;
    run_to_end(world, &end)?;
    check_end(world, &end)?;
    if is_long {
        world.shared.lock().drop_all(|happening| matches!(happening, Happening::Device(_)));
        forget_counts(world);
        world.skip_ms = 60 * MINUTE_MS;
        end.calm_since_ms = end.now_ms;
        end.now_ms += LONG_MS;
        end.is_long = true;
        run_to_end(world, &end)?;
        check_end(world, &end)?;
    }
    Ok(())
}

/// The last sweeps come every minute, so that nothing waits for one.
fn run_to_end(world: &mut World, end: &End) -> Result<(), Violation> {
    world.run(end.now_ms - world.skip_ms - 10 * MINUTE_MS)?;
    world.skip_ms = MINUTE_MS;
    world.run(end.now_ms)
}

/// Nothing goes wrong from here on, and nobody does anything new.
fn calm_down(world: &World) {
    let mut inner = world.shared.lock();
    inner.note(|| "from here on nothing goes wrong".to_owned());
    inner.weather = Weather::calm();
    inner.drop_all(|happening| {
        matches!(
            happening,
            Happening::Ask(..)
                | Happening::Apply(_)
                | Happening::Console(_)
                | Happening::Moves(_)
                | Happening::Vanishes(_)
                | Happening::GoesRogue(_)
                | Happening::Hint(_)
        )
    });
}

fn forget_counts(world: &World) {
    for seen in world.shared.lock().watch.sims.values_mut() {
        (seen.posts, seen.fetches) = (0, 0);
    }
}

fn check_end(world: &World, end: &End) -> Result<(), Violation> {
    for device in &world.devices {
        let sim = device.sim.sid;
        let strangers = world.strangers.get(&sim).into_iter().flatten();
        let truth = Truth {
            status: world.sims.sim(sim).map(|sim| sim.status),
            strangers: strangers.map(|(imei, at)| (imei.clone(), *at)).collect(),
        };
        world.shared.lock().watch.check_end(end, sim, &truth);
    }
    match world.shared.lock().watch.violation.clone() {
        Some(violation) => Err(violation),
        None => Ok(()),
    }
}
