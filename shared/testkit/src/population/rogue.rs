//! The rogues: each one row that says in which device, where, how much, and since when.

use std::ops::Range;

/// A way in which a SIM is misused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rogue {
    /// Video on a tablet that shows its own IMEI.
    Tablet,
    /// The same with the sensor's IMEI.
    SpoofedImei,
    /// Video in high definition, with the sensor's IMEI.
    HdVideo,
    /// A laptop behind the sensor's own modem.
    Tether,
    /// A leak of once the usual on top: twice as much.
    LeakTwice,
    /// Five times as much.
    LeakFiveTimes,
    /// Ten times as much.
    LeakTenTimes,
    /// One small transfer a day.
    OnceADay,
    /// A bot that attacks others.
    Botnet,
    /// Stolen, silent for three weeks, then video on a tablet in another country.
    StolenAsleep,
    /// The whole sensor taken abroad, and used as before.
    MovedAbroad,
    /// A copy of the SIM, used at night beside the sensor.
    Clone,
    /// Moved into another device of the sensor's model, and used modestly.
    SameModel,
    /// Stolen within an hour of its installation: video on a tablet.
    FirstHour,
    /// Video on tablets with the sensors' IMEIs, in 30 % of a fleet within 10 minutes.
    Campaign,
    /// Video with the sensor's IMEI, from the height of a firmware update on.
    DuringFirmware,
    /// A leak that grows by 3 % a day.
    SlowBoil,
    /// A leak of a tenth of the usual: nothing can tell it, and nothing may be cut off for it.
    InsideEnvelope,
    /// As with the sensor's IMEI; whoever has it comes back when the SIM is switched on again.
    Again,
}

/// One way of misuse.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) rogue: Rogue,
    name: &'static str,
    pub(super) begins: Begins,
    pub(super) sensor: Sensor,
    pub(super) device: Device,
    pub(super) where_to: Where,
    pub(super) traffic: Traffic,
}

/// When the misuse begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// With the theft, some time within the days that are configured.
    WithTheft,
    /// So many days after the theft.
    DaysLater(i64),
    /// Within the SIM's first hour.
    WithInstallation,
    /// When a firmware update reaches the last stage.
    WithFirmware,
    /// At one time for all of them.
    AllAtOnce,
}

/// What becomes of the sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sensor {
    /// It has no SIM any more.
    Robbed,
    /// It goes on, knowing nothing.
    GoesOn,
}

/// Which IMEI is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    /// A tablet's.
    Tablet,
    /// The sensor's.
    Sensors,
    /// Another of the sensor's model.
    SameModel,
}

/// Where the SIM is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    Home,
    /// Another cell of the same country.
    City,
    /// A country that is no neighbour.
    Far,
}

/// What is transferred.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Traffic {
    /// Without a pause: megabytes in a window of six minutes, of a log-normal distribution.
    Stream { median_mb: f64, spread: f64 },
    /// A session every so many minutes of these local hours.
    Visits { every_mins: i64, hours: Range<i64>, amount: Amount },
    /// Beside what the sensor sends, in its own sessions: so many times as much, and what it grows
    /// by in a day.
    Leak { up: f64, down: f64, growth_a_day: f64 },
    /// Beside what the sensor sends, once a day: so many megabytes up.
    Daily { mb: f64 },
}

/// What one visit transfers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Amount {
    /// Megabytes, of a log-normal distribution with a spread of 0.2; mostly down.
    Mb(f64),
    /// As much as the sensor would.
    Usual,
}

/// A video that is watched: 31 MB in six minutes at the median, 16 MB at the 5th percentile. A player
/// loads at some 5 Mbit/s and pauses until it has played that.
const VIDEO: Traffic = Traffic::Stream { median_mb: 31.0, spread: 0.402 };

/// 230 MB in six minutes, which is 5 Mbit/s without a pause.
const HD_VIDEO: Traffic = Traffic::Stream { median_mb: 230.0, spread: 0.15 };

/// The daytime, in which people use what they stole.
const DAY: Range<i64> = 7..23;

/// Hours after which a clone is not looked for.
const NIGHT: Range<i64> = 22..29;

static TABLE: [Scenario; 19] = {
    use Begins::{AllAtOnce, DaysLater, WithFirmware, WithInstallation, WithTheft};
    use Device::{SameModel, Sensors, Tablet};
    use Sensor::{GoesOn, Robbed};
    use Where::{City, Far, Home};
    [
        row(Rogue::Tablet, "R1", WithTheft, Robbed, Tablet, City, VIDEO),
        row(Rogue::SpoofedImei, "R2", WithTheft, Robbed, Sensors, City, VIDEO),
        row(Rogue::HdVideo, "R3", WithTheft, Robbed, Sensors, City, HD_VIDEO),
        row(Rogue::Tether, "R4", WithTheft, GoesOn, Sensors, Home, TETHER),
        row(Rogue::LeakTwice, "R5x2", WithTheft, GoesOn, Sensors, Home, leak(1.0)),
        row(Rogue::LeakFiveTimes, "R5x5", WithTheft, GoesOn, Sensors, Home, leak(4.0)),
        row(Rogue::LeakTenTimes, "R5x10", WithTheft, GoesOn, Sensors, Home, leak(9.0)),
        row(Rogue::OnceADay, "R6", WithTheft, GoesOn, Sensors, Home, DAILY),
        row(Rogue::Botnet, "R7", WithTheft, GoesOn, Sensors, Home, BOTNET),
        row(Rogue::StolenAsleep, "R8", DaysLater(21), Robbed, Tablet, Far, VIDEO),
        row(Rogue::MovedAbroad, "R9", WithTheft, Robbed, Sensors, Far, AS_BEFORE),
        row(Rogue::Clone, "R10", WithTheft, GoesOn, Tablet, City, NIGHTLY),
        row(Rogue::SameModel, "R11", WithTheft, Robbed, SameModel, City, MODEST),
        row(Rogue::FirstHour, "R12", WithInstallation, Robbed, Tablet, City, VIDEO),
        row(Rogue::Campaign, "R13", AllAtOnce, Robbed, Sensors, City, VIDEO),
        row(Rogue::DuringFirmware, "R14", WithFirmware, Robbed, Sensors, City, VIDEO),
        row(Rogue::SlowBoil, "R15", WithTheft, GoesOn, Sensors, Home, BOIL),
        row(Rogue::InsideEnvelope, "R16", WithTheft, GoesOn, Sensors, Home, leak(0.1)),
        row(Rogue::Again, "R17", WithTheft, Robbed, Sensors, City, VIDEO),
    ]
};

/// 50 MB three times a day.
const TETHER: Traffic = Traffic::Visits { every_mins: 320, hours: DAY, amount: Amount::Mb(50.0) };

/// 5 MB.
const DAILY: Traffic = Traffic::Daily { mb: 5.0 };

/// 100 times the upload.
const BOTNET: Traffic = Traffic::Leak { up: 99.0, down: 0.0, growth_a_day: 0.0 };

/// Every hour, what the sensor would send.
const AS_BEFORE: Traffic = Traffic::Visits { every_mins: 60, hours: 0..24, amount: Amount::Usual };

/// Some 10 MB three times a night.
const NIGHTLY: Traffic =
    Traffic::Visits { every_mins: 140, hours: NIGHT, amount: Amount::Mb(10.0) };

/// Some 2 MB five times a day.
const MODEST: Traffic = Traffic::Visits { every_mins: 190, hours: DAY, amount: Amount::Mb(2.0) };

/// From nothing, by 3 % a day compounded.
const BOIL: Traffic = Traffic::Leak { up: 0.0, down: 0.0, growth_a_day: 0.03 };

const fn leak(times: f64) -> Traffic {
    Traffic::Leak { up: times, down: times, growth_a_day: 0.0 }
}

const fn row(
    rogue: Rogue,
    name: &'static str,
    begins: Begins,
    sensor: Sensor,
    device: Device,
    where_to: Where,
    traffic: Traffic,
) -> Scenario {
    Scenario { rogue, name, begins, sensor, device, where_to, traffic }
}

impl Rogue {
    /// All of them, in the order of their names.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.rogue)
    }

    pub(super) fn scenario(self) -> &'static Scenario {
        let [first, ..] = &TABLE;
        TABLE.get(self as usize).unwrap_or(first)
    }

    /// `R1` to `R17`; the leak is `R5x2`, `R5x5` and `R5x10`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.scenario().name
    }

    /// Those that a name stands for: `R5` for three of them, any other for one.
    #[must_use]
    pub fn named(name: &str) -> Vec<Self> {
        let is_it = |row: &&Scenario| row.name == name || row.name.split('x').next() == Some(name);
        TABLE.iter().filter(is_it).map(|row| row.rogue).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rogue_has_its_own_row() {
        assert!(TABLE.iter().all(|row| row.rogue.scenario().rogue == row.rogue));
    }

    #[test]
    fn a_name_stands_for_one_rogue_or_for_all_sizes_of_the_leak() {
        assert_eq!(Rogue::named("R1"), [Rogue::Tablet]);
        assert_eq!(Rogue::named("R5").len(), 3);
        assert_eq!(Rogue::named("R5x5"), [Rogue::LeakFiveTimes]);
        assert!(Rogue::named("R18").is_empty() && Rogue::named("").is_empty());
    }
}
