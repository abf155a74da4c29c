//! One SIM: its sensor, and the rogue that uses it, if there is one.

use simfuse_domain::device::Imei14;
use simfuse_domain::id::{FleetSid, SimSid};

use super::behaviour::{Behaviour, Labelled, Seen};
use super::calendar::{Calendar, DAY_MS, HOUR_MS};
use super::config::PopulationConfig;
use super::delivery::{Card, Seat};
use super::draw::{Draw, hash, share};
use super::line::{Life, NEVER, World, whole_second};
use super::place::Place;
use super::records::Records;
use super::rogue::{self, Begins, Device, Rogue, Scenario, Where};
use super::sensor::Sensor;
use super::thief::Thief;

/// Type allocation codes of sensors: what an operator would declare.
pub const SENSOR_TACS: [u32; 3] = [35_378_572, 86_412_704, 35_612_310];
/// Of the modems that replace some of them, and of tablets.
const OTHER_TAC: u32 = 86_723_505;
const TABLET_TACS: [u32; 2] = [35_925_406, 35_880_123];

/// Share of one fleet that a campaign takes.
const CAMPAIGN_SHARE: f64 = 0.3;

/// Thefts of a campaign fall within this time.
const CAMPAIGN_MS: f64 = 600_000.0;

/// Which model a modem is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Model {
    /// That of the fleet's sensors.
    Same,
    Other,
}

#[derive(Debug)]
pub(super) struct Unit {
    pub(super) life: Life,
    sensor: Sensor,
    thief: Option<Box<Thief>>,
}

impl Unit {
    /// The SIM with this number.
    pub(super) fn new(index: u32, world: &World<'_>) -> Self {
        let config = world.config;
        let fleet = index / config.fleet_sims.max(1);
        let mut draw = Draw::new(config.seed, index);
        let skewed = draw.chance(config.delivery.clock_skew);
        let skew_ms = if skewed { 1_000 * draw.within(-300..301) } else { 0 };
        let card = Card {
            index,
            sid: sid(config.seed, index),
            iccid: format!("8988307{index:012}").parse().ok(),
            fleet_sid: fleet_sid(config.seed, fleet),
            fleet,
            skew_ms,
        };
        let dark_from = NEVER;
        let (records, seen) = (Records::new(), Seen::never());
        let mut life = Life { card, draw, records, seen, dark_from };
        let device = imei(sensor_tac(config.seed, fleet), index % 1_000_000);
        let seat = Seat { device, place: Place::home(config.seed, fleet, index) };
        let plan = rogue_of(index, config).and_then(|scenario| {
            Some((scenario, theft_at(scenario, index, fleet, config, world.calendar)?))
        });
        // What becomes of a SIM that nobody knows yet is R12; any other victim is in service.
        let installed = plan.map(|(scenario, from)| match scenario.begins {
            Begins::WithInstallation => from - 1_000 * life.draw.within(600..3_000),
            Begins::WithTheft | Begins::DaysLater(_) | Begins::WithFirmware | Begins::AllAtOnce => {
                config.start.as_millisecond()
            }
        });
        let sensor = Sensor::new(&mut life, world, seat, installed);
        let thief = plan.map(|(scenario, from)| {
            let seat = thief_seat(scenario, seat, index, config.seed);
            Box::new(Thief::new(scenario, seat, from, sensor.usual_bytes()))
        });
        Self { life, sensor, thief }
    }

    /// The median of its sensor's bytes in an hour.
    #[cfg(test)]
    pub(super) const fn usual_bytes(&self) -> f64 {
        self.sensor.usual_bytes()
    }

    /// When something happens next.
    pub(super) fn next_at(&self) -> i64 {
        let thief = self.thief.as_ref().map_or(NEVER, |thief| {
            let theft = if thief.is_told { NEVER } else { thief.from };
            theft.min(thief.line.next.0)
        });
        self.sensor.line.next.0.min(thief).min(self.life.records.due)
    }

    /// Lets what is due happen.
    pub(super) fn step(&mut self, world: &mut World<'_>) {
        let at = self.next_at();
        let Self { life, sensor, thief } = self;
        if life.records.due <= at {
            return tell_usage(life, world, at);
        }
        if let Some(thief) = thief.as_deref_mut() {
            if !thief.is_told && thief.from <= at {
                return steal(life, world, sensor, thief, at);
            }
            if thief.line.next.0 <= at {
                thief.step(life, world);
                return thief.line.settle(life.dark_from);
            }
        }
        let leak = thief.as_deref_mut().filter(|thief| thief.is_leak());
        sensor.step(life, world, leak);
        sensor.line.settle(life.dark_from);
    }

    /// The provider lets the SIM do nothing from this time on.
    pub(super) fn darken(&mut self, from: i64) {
        self.life.dark_from = from;
        self.sensor.line.settle(from);
        if let Some(thief) = &mut self.thief {
            thief.line.settle(from);
        }
    }

    /// Switched on again, the SIM is back in its sensor, unless its thief still has it.
    pub(super) fn restore(&mut self, world: &mut World<'_>, at: i64) {
        self.life.dark_from = NEVER;
        let Some(thief) = self.thief.as_deref_mut().filter(|thief| thief.is_told) else { return };
        if thief.scenario.rogue == Rogue::Again {
            if thief.line.session.is_none() {
                thief.come_back(&mut self.life, at);
            }
            return;
        }
        if thief.line.session.is_some() {
            thief.leave(&mut self.life, world, at);
        }
        thief.end();
        if self.sensor.line.next.0 == NEVER {
            self.sensor.sleep(&mut self.life, world, at);
        }
    }

    /// The rogue, and what it has carried up to a time.
    pub(super) fn truth(&self, at: i64) -> Option<Truth> {
        let thief = self.thief.as_deref()?;
        let partial = if thief.is_leak() { &self.sensor.line } else { &thief.line };
        let partial = partial.session.as_ref().map_or(0, |session| session.rogue_partial(at));
        Some(Truth {
            rogue: thief.scenario.rogue,
            from: thief.from,
            first_byte: thief.first_byte.filter(|first| *first <= at),
            bytes: thief.bytes + partial,
        })
    }
}

/// What is true of a rogue.
pub(super) struct Truth {
    pub(super) rogue: Rogue,
    pub(super) from: i64,
    pub(super) first_byte: Option<i64>,
    pub(super) bytes: u64,
}

fn tell_usage(life: &mut Life, world: &mut World<'_>, at: i64) {
    let corrected = world.config.delivery.corrected;
    let Some(due) = life.records.take(&mut life.draw, corrected) else { return };
    world.out.tell_usage(&life.card, at, due.hour, due.bytes);
    if due.is_correction {
        life.mark(world, Behaviour::Corrected, at);
    }
}

/// The SIM changes hands.
fn steal(life: &mut Life, world: &mut World<'_>, sensor: &mut Sensor, thief: &mut Thief, at: i64) {
    thief.is_told = true;
    world.out.label(&life.card, Labelled::Rogue(thief.scenario.rogue), at);
    if thief.scenario.sensor == rogue::Sensor::Robbed {
        sensor.leave(life, world, at);
    }
    let later = match thief.scenario.begins {
        Begins::DaysLater(days) => days * DAY_MS,
        Begins::WithTheft | Begins::WithInstallation | Begins::WithFirmware | Begins::AllAtOnce => {
            0
        }
    };
    thief.begin(life, world.calendar, at + later + 60_000);
}

/// The SID of a SIM: its number is in it, so that one leads to the other.
pub(super) fn sid(seed: u64, index: u32) -> SimSid {
    let mut bytes = [0; 16];
    let (scattered, number) = bytes.split_at_mut(12);
    let drawn = u128::from(hash(seed, 0x601, u64::from(index))) << 64
        | u128::from(hash(seed, 0x602, u64::from(index)));
    scattered.copy_from_slice(drawn.to_be_bytes().split_at(12).0);
    number.copy_from_slice(&(index ^ mask(seed)).to_be_bytes());
    SimSid::from_bytes(bytes)
}

/// The number of the SIM with this SID, if it is one of the population's.
pub(super) fn index_of(seed: u64, sim: SimSid) -> Option<u32> {
    let [.., a, b, c, d] = *sim.as_bytes();
    let index = u32::from_be_bytes([a, b, c, d]) ^ mask(seed);
    (sid(seed, index) == sim).then_some(index)
}

#[expect(clippy::cast_possible_truncation, reason = "any half of it will do")]
const fn mask(seed: u64) -> u32 {
    hash(seed, 0x603, 0) as u32
}

fn fleet_sid(seed: u64, fleet: u32) -> FleetSid {
    let drawn = u128::from(hash(seed, 0x604, u64::from(fleet)));
    FleetSid::from_bytes(((drawn << 64) | (u128::from(fleet) + 1)).to_be_bytes())
}

fn sensor_tac(seed: u64, fleet: u32) -> u32 {
    pick(SENSOR_TACS, hash(seed, 0x605, u64::from(fleet)))
}

fn pick<const N: usize>(all: [u32; N], drawn: u64) -> u32 {
    let place = usize::try_from(drawn % 64).unwrap_or(0) % N;
    all.get(place).copied().unwrap_or(OTHER_TAC)
}

fn imei(tac: u32, serial: u32) -> Option<Imei14> {
    format!("{tac:08}{serial:06}").parse().ok()
}

/// A modem that was in no sensor before.
pub(super) fn another_modem(life: &mut Life, seed: u64, model: Model) -> Option<Imei14> {
    let tac = match model {
        Model::Same => sensor_tac(seed, life.card.fleet),
        Model::Other => OTHER_TAC,
    };
    imei(tac, u32::try_from(life.draw.within(1..1_000_000)).unwrap_or(1))
}

fn thief_seat(scenario: &Scenario, sensor: Seat, index: u32, seed: u64) -> Seat {
    let drawn = hash(seed, 0x606, u64::from(index));
    let serial = u32::try_from(drawn % 1_000_000).unwrap_or(1);
    let device = match scenario.device {
        Device::Tablet => imei(pick(TABLET_TACS, drawn >> 32), serial),
        Device::Sensors => sensor.device,
        Device::SameModel => {
            sensor.device.and_then(|device| imei(device.tac().to_string().parse().ok()?, serial))
        }
    };
    let place = match scenario.where_to {
        Where::Home => sensor.place,
        Where::City => sensor.place.elsewhere(seed, u64::from(index) | 1 << 32),
        Where::Far => Place::far(seed, index),
    };
    Seat { device, place }
}

/// Which rogue has the SIM with this number: so many of each, scattered over all fleets; and of one
/// fleet a share, where there is a campaign.
fn rogue_of(index: u32, config: &PopulationConfig) -> Option<&'static Scenario> {
    let rogues = &config.rogues;
    let singles = rogues.scenarios.iter().filter(|rogue| **rogue != Rogue::Campaign);
    let each = u64::from(rogues.sims_each);
    let rank = scattered(u64::from(index), u64::from(config.sims), config.seed);
    let place = rank.checked_div(each).and_then(|place| usize::try_from(place).ok());
    if let Some(rogue) = place.and_then(|place| singles.copied().nth(place)) {
        return Some(rogue.scenario());
    }
    let fleets = u64::from(config.sims.div_ceil(config.fleet_sims.max(1)).max(1));
    let target = hash(config.seed, 0x607, 0) % fleets;
    let is_target = u64::from(index / config.fleet_sims.max(1)) == target;
    let is_taken = share(config.seed, 0x608, u64::from(index)) < CAMPAIGN_SHARE;
    let is_campaign = rogues.scenarios.contains(&Rogue::Campaign);
    (is_campaign && is_target && is_taken).then(|| Rogue::Campaign.scenario())
}

/// The number's place in an order of all numbers below `sims` that follows from the seed.
fn scattered(number: u64, sims: u64, seed: u64) -> u64 {
    let sims = sims.max(1);
    let gcd = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let first = hash(seed, 0x609, 0) % sims;
    let step = (first..first + sims).find(|step| gcd(*step, sims) == 1).unwrap_or(1);
    (number * (step % sims) + hash(seed, 0x60a, 0) % sims) % sims
}

/// When the SIM is stolen.
fn theft_at(
    scenario: &Scenario,
    index: u32,
    fleet: u32,
    config: &PopulationConfig,
    calendar: &Calendar,
) -> Option<i64> {
    let rogues = &config.rogues;
    let begin = config.start.as_millisecond() + i64::from(rogues.after_days) * DAY_MS;
    let days = f64::from(rogues.within_days.max(1));
    let span = |subject, number| {
        let day = super::draw::float(DAY_MS.unsigned_abs());
        super::draw::millis(share(config.seed, subject, number) * days * day)
    };
    let at = match scenario.begins {
        Begins::WithFirmware => calendar.firmware_height(fleet, begin)?,
        Begins::AllAtOnce => {
            let apart = share(config.seed, 0x60c, u64::from(index)) * CAMPAIGN_MS;
            begin + span(0x60b, 0) + super::draw::millis(apart)
        }
        Begins::WithTheft | Begins::DaysLater(_) | Begins::WithInstallation => {
            (begin + span(0x60d, u64::from(index))).max(config.start.as_millisecond() + HOUR_MS)
        }
    };
    Some(whole_second(at))
}
