//! What a population is like, and how often what befalls it.
//!
//! Defaults are the mix that detection is measured on (`docs/detection.md`). What has a rate is off
//! at 0, and takes nothing from the SIMs' random numbers then.

use std::ops::Range;

use jiff::Timestamp;

use super::behaviour::Behaviour;
use super::rogue::Rogue;

/// A population of SIMs, from its start to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct PopulationConfig {
    /// Number of SIMs.
    pub sims: u32,
    /// SIMs of one fleet; the last may have fewer.
    pub fleet_sims: u32,
    /// What all that is random follows from.
    pub seed: u64,
    /// When it begins.
    pub start: Timestamp,
    /// How many days it lasts. Nothing that is kept depends on it.
    pub days: u32,
    /// What healthy SIMs do.
    pub benign: Benign,
    /// What befalls events and usage records.
    pub delivery: Delivery,
    /// What rogues there are.
    pub rogues: Rogues,
}

/// What healthy SIMs do. Rates are for one SIM and year unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Benign {
    /// Seconds that a wake may be early or late.
    pub wake_jitter_secs: u32,
    /// Share of SIMs with a daily upload of 0.3 to 2 MB.
    pub daily_upload_share: f64,
    /// Share of SIMs with a weekly upload of 2 to 10 MB.
    pub weekly_upload_share: f64,
    /// Retry storms: 10 to 60 failed attempts, then 2 to 6 times the usual bytes.
    pub retry_storms: f64,
    /// Pauses of 2 to 12 missed wakes.
    pub missed_hours: f64,
    /// Days from one outage of a region to the next, of 1 to 6 hours; 0 for none.
    pub outage_days: u32,
    /// Days from one firmware update of a fleet to the next, at least 7; 0 for none.
    pub firmware_days: u32,
    /// Bytes of an update, each doubling as likely as the next.
    pub firmware_bytes: Range<f64>,
    /// New usual amounts for good, of 0.7 to 2 times the first.
    pub new_levels: f64,
    /// How far the height of the season is above the mean.
    pub season: f64,
    /// Share of SIMs that work from 06:00 to 22:00 local time only.
    pub day_shift_share: f64,
    /// Whether local time has a summer time.
    pub summer_time: SummerTime,
    /// Share of SIMs at a border.
    pub border_share: f64,
    /// Days from one steering of a fleet to the next; 0 for none.
    pub steering_days: u32,
    /// Modems replaced by one of the same model.
    pub modems_same_model: f64,
    /// Modems replaced by one of another model.
    pub modems_new_model: f64,
    /// Technicians' sessions: 30 times the usual for 1 to 3 hours.
    pub technicians: f64,
    /// Swaps through the depot, which take 2 to 10 days.
    pub depot_swaps: f64,
    /// Share of SIMs that are installed during the first two thirds of the time.
    pub installed_later_share: f64,
    /// Share of those that are tested in a factory first, for 1 to 3 days, and rest for 3 to 10.
    pub burn_in_share: f64,
    /// Sleeps of 30 days.
    pub asleep: f64,
    /// Share of SIMs whose session stays open.
    pub stays_open_share: f64,
}

/// Whether clocks are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SummerTime {
    /// By the law of the country.
    ByLaw,
    /// Never.
    Never,
}

/// What befalls events and usage records: shares of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Without device and location.
    pub identity_unknown: f64,
    /// Delivered a second time, seconds to an hour later.
    pub duplicated: f64,
    /// More than an hour late, up to a day.
    pub delayed_over_hour: f64,
    /// More than a day late, up to three.
    pub delayed_over_day: f64,
    /// Up to five minutes late.
    pub reordered: f64,
    /// Never delivered.
    pub lost: f64,
    /// Of windows: before which the session's counter starts again from 0.
    pub counter_reset: f64,
    /// Of sessions with an update in their last window but one: whose end is delivered before it.
    pub ended_first: f64,
    /// Of SIMs: whose events are stamped up to five minutes off.
    pub clock_skew: f64,
    /// Of usage records: which lack a part of the bytes, and come again 4 to 36 hours later.
    pub corrected: f64,
}

/// What rogues there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Rogues {
    /// Which scenarios.
    pub scenarios: Vec<Rogue>,
    /// SIMs of each; of [`Rogue::Campaign`] it is 30 % of one fleet.
    pub sims_each: u32,
    /// Days before the first theft: what is usual can be learnt in them.
    pub after_days: u32,
    /// Days within which thefts begin after that.
    pub within_days: u32,
    /// Seconds from a deactivation's request until the provider cuts the SIM off.
    pub cut_after_secs: Range<u32>,
}

impl PopulationConfig {
    /// A population of so many SIMs in fleets of 5,000, with the default mix and without rogues.
    #[must_use]
    pub fn new(sims: u32, days: u32, seed: u64, start: Timestamp) -> Self {
        Self {
            sims,
            fleet_sims: 5_000,
            seed,
            start,
            days,
            benign: Benign::default(),
            delivery: Delivery::default(),
            rogues: Rogues::default(),
        }
    }

    /// Switches one behaviour off.
    pub fn switch_off(&mut self, behaviour: Behaviour) {
        let (benign, delivery) = (&mut self.benign, &mut self.delivery);
        match behaviour {
            Behaviour::WakeJitter => benign.wake_jitter_secs = 0,
            Behaviour::DailyUpload => benign.daily_upload_share = 0.0,
            Behaviour::WeeklyUpload => benign.weekly_upload_share = 0.0,
            Behaviour::RetryStorm => benign.retry_storms = 0.0,
            Behaviour::MissedHours => benign.missed_hours = 0.0,
            Behaviour::Outage => benign.outage_days = 0,
            Behaviour::Firmware => benign.firmware_days = 0,
            Behaviour::NewLevel => benign.new_levels = 0.0,
            Behaviour::Season => benign.season = 0.0,
            Behaviour::DaylightSaving => benign.summer_time = SummerTime::Never,
            Behaviour::BorderPingPong => benign.border_share = 0.0,
            Behaviour::CarrierSteering => benign.steering_days = 0,
            Behaviour::ModemSameModel => benign.modems_same_model = 0.0,
            Behaviour::ModemNewModel => benign.modems_new_model = 0.0,
            Behaviour::Technician => benign.technicians = 0.0,
            Behaviour::DepotSwap => benign.depot_swaps = 0.0,
            Behaviour::BurnIn => benign.burn_in_share = 0.0,
            Behaviour::Asleep => benign.asleep = 0.0,
            Behaviour::StaysOpen => benign.stays_open_share = 0.0,
            Behaviour::IdentityUnknown => delivery.identity_unknown = 0.0,
            Behaviour::Duplicated => delivery.duplicated = 0.0,
            Behaviour::Delayed => {
                (delivery.delayed_over_hour, delivery.delayed_over_day) = (0.0, 0.0);
            }
            Behaviour::Reordered => delivery.reordered = 0.0,
            Behaviour::Lost => delivery.lost = 0.0,
            Behaviour::CounterReset => delivery.counter_reset = 0.0,
            Behaviour::EndedFirst => delivery.ended_first = 0.0,
            Behaviour::ClockSkew => delivery.clock_skew = 0.0,
            Behaviour::Corrected => delivery.corrected = 0.0,
        }
    }

    /// Switches everything off but the hourly wake.
    pub fn switch_all_off(&mut self) {
        Behaviour::ALL.iter().for_each(|behaviour| self.switch_off(*behaviour));
        self.benign.day_shift_share = 0.0;
        self.benign.installed_later_share = 0.0;
    }
}

impl Default for Benign {
    fn default() -> Self {
        Self {
            wake_jitter_secs: 90,
            daily_upload_share: 0.3,
            weekly_upload_share: 0.1,
            retry_storms: 4.0,
            missed_hours: 8.0,
            outage_days: 90,
            firmware_days: 60,
            firmware_bytes: 0.4e6..60e6,
            new_levels: 0.5,
            season: 0.3,
            day_shift_share: 0.2,
            summer_time: SummerTime::ByLaw,
            border_share: 0.01,
            steering_days: 45,
            modems_same_model: 0.02,
            modems_new_model: 0.01,
            technicians: 0.2,
            depot_swaps: 0.02,
            installed_later_share: 0.1,
            burn_in_share: 0.2,
            asleep: 0.1,
            stays_open_share: 0.02,
        }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            identity_unknown: 0.1,
            duplicated: 0.01,
            delayed_over_hour: 0.02,
            delayed_over_day: 0.001,
            reordered: 0.03,
            lost: 0.001,
            counter_reset: 0.001,
            ended_first: 0.2,
            clock_skew: 0.01,
            corrected: 0.01,
        }
    }
}

impl Default for Rogues {
    fn default() -> Self {
        Self {
            scenarios: Vec::new(),
            sims_each: 10,
            after_days: 14,
            within_days: 3,
            cut_after_secs: 5..600,
        }
    }
}
