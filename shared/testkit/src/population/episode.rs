//! What befalls one SIM now and then, harmlessly. At each wake one thing at most is drawn.

use super::behaviour::Behaviour;
use super::calendar::{DAY_MS, HOUR_MS};
use super::config::Benign;
use super::line::{Life, World, whole_second};
use super::sensor::{Sensor, TECHNICIAN_TIMES};
use super::unit::{self, Model};

/// Hours in a year: an hourly wake befalls a SIM so much more seldom.
const HOURS_A_YEAR: f64 = 8_766.0;

/// What may befall a SIM at a wake, and how often in a year.
const fn rates(benign: &Benign) -> [(Behaviour, f64); 8] {
    [
        (Behaviour::MissedHours, benign.missed_hours),
        (Behaviour::RetryStorm, benign.retry_storms),
        (Behaviour::NewLevel, benign.new_levels),
        (Behaviour::Technician, benign.technicians),
        (Behaviour::Asleep, benign.asleep),
        (Behaviour::ModemSameModel, benign.modems_same_model),
        (Behaviour::ModemNewModel, benign.modems_new_model),
        (Behaviour::DepotSwap, benign.depot_swaps),
    ]
}

/// Draws what befalls the SIM at a wake. Says whether it keeps the sensor from attaching.
pub(super) fn befall(sensor: &mut Sensor, life: &mut Life, world: &mut World<'_>, at: i64) -> bool {
    let mut rest = life.draw.share() * HOURS_A_YEAR;
    let drawn = rates(&world.config.benign).into_iter().find(|(_, rate)| {
        rest -= rate;
        rest < 0.0
    });
    let Some((behaviour, _)) = drawn else { return false };
    life.mark(world, behaviour, at);
    let secs = |life: &mut Life, from: i64, to: i64| whole_second(at + life.draw.within(from..to));
    match behaviour {
        Behaviour::MissedHours => {
            let until = secs(life, 2 * HOUR_MS, 12 * HOUR_MS);
            sensor.miss(at, until);
        }
        Behaviour::RetryStorm => {
            sensor.attempts_left = life.draw.within(10..61);
            sensor.times = life.draw.between(2.0, 6.0);
            return false;
        }
        Behaviour::NewLevel => {
            sensor.level = life.draw.between(0.7, 2.0);
            return false;
        }
        Behaviour::Technician => {
            sensor.technician_hours = life.draw.within(1..4);
            let hours = super::draw::float(sensor.technician_hours.unsigned_abs());
            sensor.times = TECHNICIAN_TIMES * hours;
            return false;
        }
        Behaviour::Asleep => sensor.stay_away(secs(life, 30 * DAY_MS, 31 * DAY_MS)),
        Behaviour::ModemSameModel => {
            sensor.seat.device = unit::another_modem(life, world.config.seed, Model::Same);
            sensor.stay_away(secs(life, 5 * 60_000, HOUR_MS));
        }
        Behaviour::ModemNewModel => {
            sensor.seat.device = unit::another_modem(life, world.config.seed, Model::Other);
            sensor.stay_away(secs(life, 5 * 60_000, HOUR_MS));
        }
        _ => {
            let model = if life.draw.chance(0.5) { Model::Same } else { Model::Other };
            sensor.seat.device = unit::another_modem(life, world.config.seed, model);
            let place = sensor.seat.place;
            sensor.move_home(place.elsewhere(world.config.seed, u64::from(life.card.index)));
            sensor.stay_away(secs(life, 2 * DAY_MS, 10 * DAY_MS));
        }
    }
    true
}
