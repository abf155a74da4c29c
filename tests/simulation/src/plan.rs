//! What one seed is about: SIMs, devices, policies, humans, and what the world does to them.

use std::fmt::Write as _;

use serde_json::{Value, json};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{Sim, SimStatus};
use simfuse_testkit::service::Behaviour;

use crate::chance::Chance;
use crate::device::{Device, Rogue, SENSOR_TAC, Temper};

/// Minutes in which things go wrong: long enough for caps and restores to be seen more than once.
const CHAOS_MINS: std::ops::RangeInclusive<i64> = 50..=130;

/// Few, so that they get in one another's way.
const SIMS: std::ops::RangeInclusive<i64> = 2..=7;

/// The provider may take this long to carry out what it scheduled.
const SCHEDULED_MINS: std::ops::RangeInclusive<i64> = 1..=8;

/// Callbacks in a seed: enough to come between any two steps of an act.
const HINTS_MAX: i64 = 40;

/// The number of the fleet in which SIMs can do no harm.
pub(crate) const QUARANTINE: u8 = 2;

pub(crate) struct Plan {
    pub(crate) chaos_ms: i64,
    pub(crate) armed: Mode,
    pub(crate) devices: Vec<Device>,
    pub(crate) behaviours: Vec<Behaviour>,
    /// SIMs whose network does not cut them, whatever the provider says.
    pub(crate) liars: Vec<bool>,
    /// The first is there from the start.
    pub(crate) policies: Vec<String>,
    /// The inventory counted the fleets.
    pub(crate) fleet_sims: Option<u32>,
    /// What happens when, in milliseconds from the start.
    pub(crate) happenings: Vec<(i64, Act)>,
    /// Whether the calm lasts for days.
    pub(crate) is_long: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    GoesRogue(usize),
    Human(Value),
    Policy(usize),
    Console(usize),
    Moves(usize),
    Vanishes(usize),
    Hint(SimSid),
}

pub(crate) fn fleet(number: u8) -> FleetSid {
    FleetSid::from_bytes([0xf0 + number; 16])
}

fn sim(number: usize) -> SimSid {
    let number = u8::try_from(number).unwrap_or(u8::MAX);
    SimSid::from_bytes([number; 16])
}

impl Plan {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let chaos_ms = chance.of(CHAOS_MINS) * 60_000;
        let sims = usize::try_from(chance.of(SIMS)).unwrap_or(2);
        let devices: Vec<Device> = (1..=sims).map(|number| device(chance, number)).collect();
        let behaviours = devices.iter().map(|_| behaviour(chance)).collect();
        let liars = devices.iter().map(|_| chance.permille(60)).collect();
        let changes = if chance.permille(400) { chance.of(1..=3) } else { 0 };
        let policies = (0..=changes).map(|_| policy(chance, &devices)).collect();
        let happenings = happenings(chance, chaos_ms, &devices, changes);
        Self {
            chaos_ms,
            armed: if chance.permille(50) { Mode::Observe } else { Mode::Enforce },
            devices,
            behaviours,
            liars,
            policies,
            fleet_sims: chance.coin().then_some(200),
            happenings,
            is_long: chance.permille(60),
        }
    }
}

fn device(chance: &mut Chance, number: usize) -> Device {
    let status = match chance.of(0..=19) {
        0 => SimStatus::New,
        1 => SimStatus::Ready,
        2 => SimStatus::Inactive,
        3 => SimStatus::Scheduled,
        _ => SimStatus::Active,
    };
    let sim = Sim {
        sid: sim(number),
        iccid: format!("8988307{number:012}").parse().ok(),
        unique_name: Some(format!("pump-{number}")),
        status,
        fleet: Some(fleet(u8::from(chance.permille(250)))),
    };
    let tempers = [Temper::Tries, Temper::Tries, Temper::Quiet, Temper::Sleeps];
    let temper = chance.one_of(&tempers).unwrap_or(Temper::Tries);
    let mut device = Device::new(number, sim, temper, chance.of(240..=900) * 1_000);
    device.rogue = match chance.of(0..=9) {
        0..=5 => Some(Rogue::Stolen),
        6 | 7 => Some(Rogue::Glutton),
        _ => None,
    };
    device
}

fn behaviour(chance: &mut Chance) -> Behaviour {
    match chance.of(0..=5) {
        0 => Behaviour::AtNextAttach,
        1 => {
            let after = jiff::SignedDuration::from_mins(chance.of(SCHEDULED_MINS));
            Behaviour::Scheduled { after }
        }
        _ => Behaviour::CutAtOnce,
    }
}

fn happenings(
    chance: &mut Chance,
    chaos_ms: i64,
    devices: &[Device],
    changes: i64,
) -> Vec<(i64, Act)> {
    let mut all = Vec::new();
    // All at once, as in a mass theft, or one after the other.
    let at_once = chance.permille(300).then(|| chance.of(60_000..=chaos_ms / 2));
    for (index, device) in devices.iter().enumerate() {
        if device.rogue.is_some() {
            let alone = chance.of(60_000..=chaos_ms * 3 / 4);
            all.push((at_once.unwrap_or(alone), Act::GoesRogue(index)));
        }
        if chance.permille(40) {
            all.push((chance.of(0..=chaos_ms), Act::Vanishes(index)));
        }
    }
    let humans = if chance.permille(250) { 0 } else { chance.of(1..=10) };
    for _ in 0..humans {
        all.push((chance.of(0..=chaos_ms), Act::Human(request(chance, devices))));
    }
    for index in 1..=usize::try_from(changes).unwrap_or(0) {
        all.push((chance.of(0..=chaos_ms), Act::Policy(index)));
    }
    if chance.permille(200) {
        all.push((chance.of(0..=chaos_ms), Act::Console(chance.index(devices.len()))));
    }
    if chance.permille(200) {
        all.push((chance.of(0..=chaos_ms), Act::Moves(chance.index(devices.len()))));
    }
    let hints = if chance.coin() { chance.of(1..=HINTS_MAX) } else { 0 };
    for _ in 0..hints {
        // One more than there are: of a SIM that nobody knows.
        let of = sim(chance.index(devices.len() + 1) + 1);
        all.push((chance.of(0..=chaos_ms), Act::Hint(of)));
    }
    all
}

/// What a human asks for.
fn request(chance: &mut Chance, devices: &[Device]) -> Value {
    let actions = [
        "restore",
        "restore",
        "restore",
        "restore",
        "false_alarm",
        "false_alarm",
        "false_alarm",
        "deactivate",
        "deactivate",
        "approve",
        "approve",
        "approve_all",
        "protect",
        "unprotect",
        "stop",
        "resume",
        "resume",
        "status",
        "quarantine",
        "quarantine",
    ];
    let action = chance.one_of(&actions).unwrap_or("status");
    let device = devices.get(chance.index(devices.len()));
    let name = device.and_then(|device| device.sim.unique_name.clone()).unwrap_or_default();
    let sims = match action {
        "stop" | "resume" | "approve_all" => Vec::new(),
        _ => vec![name],
    };
    let action = if action == "approve_all" { "approve" } else { action };
    // A freeze is short enough to end while all goes wrong, or after it.
    let freezes = action == "deactivate" && chance.permille(400);
    let freeze_hours = freezes.then(|| chance.of(1..=2));
    json!({
        "action": action, "sims": sims, "reason": "a test", "requested_by": "ops",
        "override_protection": chance.permille(300), "freeze_hours": freeze_hours,
    })
}

fn policy(chance: &mut Chance, devices: &[Device]) -> String {
    let mode = if chance.permille(120) { "observe" } else { "enforce" };
    let binding = if chance.permille(120) { "learnt" } else { "strict" };
    let keeps = chance.permille(400);
    let acts = ["deactivate", "alert", if keeps { "quarantine" } else { "deactivate" }];
    let act = chance.one_of(&acts).unwrap_or("alert");
    let quarantine = format!("quarantine = {{ fleet = \"{}\" }}\n", fleet(QUARANTINE));
    let quarantine = if keeps { quarantine } else { String::new() };
    let protected: Vec<String> = devices
        .iter()
        .filter(|_| chance.permille(100))
        .map(|device| format!("\"{}\"", device.sim.sid))
        .collect();
    let window_mins = |chance: &mut Chance| if chance.coin() { 30 } else { 60 };
    let percent = if chance.coin() { ", percent = 1.0" } else { "" };
    let (fleet_cap, account_cap) = (chance.of(1..=5), chance.of(1..=8));
    let (fleet_mins, account_mins) = (window_mins(chance), window_mins(chance));
    let cooldown = chance.one_of(&[1, 10, 1_440]).unwrap_or(1);
    let mut text = format!(
        "version = 1\nmode = \"{mode}\"\n{quarantine}\
         [binding]\nmode = \"{binding}\"\nallowed_tacs = [\"{SENSOR_TAC}\"]\n\
         [limits]\nhour_mb = 5\nact = \"{act}\"\n\
         [guards]\nprotected = [{}]\ncooldown_mins = {cooldown}\n\
         max_kills = {{ count = {fleet_cap}, window_mins = {fleet_mins}{percent} }}\n\
         account_max_kills = {{ count = {account_cap}, window_mins = {account_mins} }}\n",
        protected.join(", ")
    );
    let other = fleet(1);
    // Writing to a string cannot fail.
    _ = match chance.of(0..=5) {
        0 => write!(text, "[fleet.{other}]\nmode = \"observe\"\n"),
        1 => write!(text, "[fleet.{other}.binding]\nmode = \"learnt\"\n"),
        _ => Ok(()),
    };
    text
}
