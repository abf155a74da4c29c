//! Policy: the operator's rules, and the verdict they give.
//!
//! A policy file has a layer for the whole account and may have one for a fleet and one for a SIM;
//! [`Policy::rules_for`] lays them over one another.

mod arming;
mod change;
mod file;
mod leak;
mod spike;
mod strike;
mod watched;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::bytes::Bytes;
use crate::detector::Snapshot;
use crate::device::{Imei14, Tac};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::id::{FleetSid, SimSid};
use crate::network::Country;
use crate::news::NewsKind;
use crate::place::Area;
use crate::port::Sim;
use crate::verdict::Verdict;

pub use file::PolicyError;
pub use leak::{CohortSurge, SlowLeak, TellAct};
pub use spike::{CHANCE_HOURS, SpikeAct, UsageSpike};
pub use strike::{SPEED_KBPS, Strike};
pub use watched::{AttachStorm, FAILED_MINUTES, WatchAct};

/// The policy that SimFuse starts with: it observes, and deactivates nothing.
pub const DEFAULT: &str = include_str!("../../../../infra/policy.toml");

/// What a Fleet's own data limit may be, in megabytes: the provider takes no more (OpenAPI
/// description, `DataLimit`), and 0 would cut off the whole fleet.
pub const FLEET_LIMIT_MB: RangeInclusive<u32> = 1..=2_000_000;

/// A whole policy.
#[derive(Debug, Clone)]
pub struct Policy {
    base: Rules,
    fleets: BTreeMap<FleetSid, Rules>,
    sims: BTreeMap<SimSid, file::Layer>,
    /// The text that it was read from.
    text: String,
    /// Which version it is, where a table says so.
    number: Option<u64>,
}

/// The policy as it applies to one SIM.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Whether anything is deactivated automatically.
    pub mode: Mode,
    /// Which devices a SIM may sit in.
    pub binding: Binding,
    /// How much a SIM may use.
    pub limits: Limits,
    /// What usage means that no sensor can have.
    pub strike: Strike,
    /// What usage means that is unusual for a SIM and its peers.
    pub usage_spike: UsageSpike,
    /// What attachments that fail mean.
    pub attach_storm: AttachStorm,
    /// When days that are unusual are told.
    pub slow_leak: SlowLeak,
    /// Whether it is told that many SIMs of a fleet are unusual at once.
    pub cohort_surge: CohortSurge,
    /// Planned work, during which limits are higher and nothing is unusual.
    pub maintenance: Vec<Maintenance>,
    /// Countries where a SIM may be; empty: any.
    pub countries: Vec<Country>,
    /// Where a SIM may be on the ground; `None`: anywhere.
    pub geofence: Option<Area>,
    /// What it means to be outside of it.
    pub geofence_act: LimitAct,
    /// What a country means in which a SIM was not seen before.
    pub new_country: WatchAct,
    /// What such a network means.
    pub new_network: WatchAct,
    /// What it means that a SIM loads that sends.
    pub download_heavy: WatchAct,
    /// What bounds automatic acts.
    pub guards: Guards,
    /// The fleet that a SIM is moved to where it should do no harm and yet not be dark.
    pub quarantine: Option<FleetSid>,
    /// Plain news that humans asked for.
    pub notify: Vec<NewsKind>,
    /// Inactive and silent for this long is quiet.
    pub proof_window: SignedDuration,
}

/// Whether anything is deactivated automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything is computed, alerted and recorded; nothing is deactivated automatically.
    Observe,
    /// A verdict is carried out, within the guards.
    Enforce,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        })
    }
}

impl std::str::FromStr for Mode {
    type Err = crate::id::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "observe" => Ok(Self::Observe),
            "enforce" => Ok(Self::Enforce),
            _ => Err(crate::id::IdError::new("a mode: observe or enforce")),
        }
    }
}

/// Which devices a SIM may sit in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// What an unknown device means.
    pub mode: BindingMode,
    /// How a SIM's own device becomes known.
    pub enrol: Enrol,
    /// Models that are known for every SIM.
    pub allowed_tacs: Vec<Tac>,
    /// Models of phones and tablets: none of them is a sensor, also before a SIM's own is learnt.
    pub handset_tacs: Vec<Tac>,
}

/// What an unknown device means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindingMode {
    /// It alerts.
    Learnt,
    /// It is deactivated.
    Strict,
    /// Nothing.
    Off,
}

/// How a SIM's own device becomes known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enrol {
    /// Over its first 24 active hours and 3 days.
    Learnt,
    /// The first device seen is trusted at once.
    First,
}

/// How much a SIM may use; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// In an hour of UTC.
    pub hour: Option<Bytes>,
    /// In a day of UTC.
    pub day: Option<Bytes>,
    /// In a billing period.
    pub period: Option<Bytes>,
    /// In a data session.
    pub session: Option<Bytes>,
    /// What the Fleet's own data limit at the provider should be at most: megabytes for each of its
    /// SIMs in a billing period. It says nothing of single SIMs, and no detector asks for it.
    pub fleet_limit_mb: Option<u32>,
    /// What a broken limit means.
    pub act: LimitAct,
}

impl LimitAct {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Alert => Verdict::Alert,
            Self::Quarantine => Verdict::Quarantine,
            Self::Deactivate => Verdict::Deactivate,
        }
    }
}

/// What a broken limit means, or to be outside of the geofence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitAct {
    /// A human is told.
    Alert,
    /// The SIM is moved to the quarantine fleet.
    Quarantine,
    /// The SIM is deactivated.
    Deactivate,
}

/// Planned work, such as a firmware update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// When it begins.
    pub from: Timestamp,
    /// When it is over.
    pub to: Timestamp,
    /// What a SIM may use in an hour, day, period or session that the work touches.
    pub bytes_max: Bytes,
}

/// What bounds automatic acts.
#[derive(Debug, Clone, PartialEq)]
pub struct Guards {
    /// SIMs that are never deactivated automatically: SIDs, ICCIDs or unique names.
    pub protected: Vec<String>,
    /// Kills of one fleet in a sliding window.
    pub max_kills: Cap,
    /// Kills of the account in a sliding window.
    pub account_max_kills: Cap,
    /// No automatic kill this long after a human restored the SIM, unless its evidence is new.
    pub cooldown: SignedDuration,
}

impl Guards {
    /// Whether policy protects the SIM, by any of its names.
    #[must_use]
    pub fn protects(&self, sim: &Sim) -> bool {
        let names = [sim.iccid.map(|iccid| iccid.to_string()), sim.unique_name.clone()];
        let is_sid = |name: &String| name.parse() == Ok(sim.sid);
        names.iter().flatten().any(|name| self.protected.contains(name))
            || self.protected.iter().any(is_sid)
    }
}

/// At most so many kills in a sliding window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cap {
    /// How many.
    pub count: u32,
    /// At most this share of the fleet, where its size is known; in percent.
    pub percent: Option<f64>,
    /// Length of the window in minutes.
    pub window_mins: u32,
}

impl Cap {
    /// How many kills the window may hold in a fleet of this size: the smaller of count and share,
    /// but never under 1. Of a fleet whose size is unknown only the count is asked.
    #[must_use]
    pub fn kills_max(&self, fleet_sims: Option<u32>) -> u32 {
        let share = self.percent.zip(fleet_sims).map(|(percent, sims)| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "rounded down, between 0 and the number of SIMs"
            )]
            let share = (f64::from(sims) * percent / 100.0).floor() as u32;
            share
        });
        share.map_or(self.count, |share| share.min(self.count)).max(1)
    }
}

impl Policy {
    /// The rules for a SIM of this fleet.
    #[must_use]
    pub fn rules_for(&self, fleet: Option<FleetSid>, sim: SimSid) -> Cow<'_, Rules> {
        let rules = fleet.map_or(&self.base, |fleet| self.rules_of_fleet(fleet));
        match self.sims.get(&sim) {
            Some(layer) => Cow::Owned(layer.over(rules)),
            None => Cow::Borrowed(rules),
        }
    }

    /// The rules for SIMs of this fleet without rules of their own.
    #[must_use]
    pub fn rules_of_fleet(&self, fleet: FleetSid) -> &Rules {
        self.fleets.get(&fleet).unwrap_or(&self.base)
    }

    /// The rules for SIMs without rules of their own or of their fleet.
    #[must_use]
    pub const fn base(&self) -> &Rules {
        &self.base
    }

    /// Whether any SIM's rules enforce: the account's, a fleet's or a SIM's own.
    #[must_use]
    pub fn enforces_anywhere(&self) -> bool {
        let mut own = self.sims.values().map(|layer| layer.over(&self.base).mode);
        self.base.mode == Mode::Enforce
            || self.fleets.values().any(|rules| rules.mode == Mode::Enforce)
            || own.any(|mode| mode == Mode::Enforce)
    }

    /// Every country that any layer allows.
    #[must_use]
    pub fn countries(&self) -> BTreeSet<Country> {
        let layers = std::iter::once(&self.base).chain(self.fleets.values());
        let mut all: BTreeSet<Country> =
            layers.flat_map(|rules| rules.countries.iter().copied()).collect();
        all.extend(self.sims.values().flat_map(|layer| layer.over(&self.base).countries));
        all
    }

    /// What an operator may expect of this policy, and will not get; of a fleet's or SIM's layer
    /// only what is not said of the account's already.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let base = self.base.warnings();
        let mut warnings: Vec<String> = base.iter().map(ToString::to_string).collect();
        let fleets = self.fleets.iter().map(|(sid, rules)| (sid.to_string(), rules.warnings()));
        let sims = self.sims.iter();
        let sims = sims.map(|(sid, layer)| (sid.to_string(), layer.over(&self.base).warnings()));
        for (sid, own) in fleets.chain(sims) {
            let new = own.iter().filter(|warning| !base.contains(warning));
            warnings.extend(new.map(|warning| format!("{sid}: {warning}")));
        }
        warnings
    }

    /// The policy as the version with this number; 0 stands for the default, which nobody applied.
    #[must_use]
    pub const fn numbered(mut self, number: Option<u64>) -> Self {
        self.number = number;
        self
    }

    /// Which version it is; `None` for one that is not from a table, or of which it does not say.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        self.number
    }

    /// The text that the policy was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Rules {
    /// What an operator may expect of these rules, and will not get.
    fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.binding.mode == BindingMode::Strict
            && self.binding.allowed_tacs.is_empty()
            && self.binding.enrol == Enrol::Learnt
        {
            warnings.push(
                "binding is strict and no allowed_tacs are declared: no device is strange to a SIM \
                 until its own is learnt, over 24 active hours and 3 days",
            );
        }
        let Limits { hour, day, period, session, act, .. } = &self.limits;
        let is_unlimited = [hour, day, period, session].iter().all(|limit| limit.is_none());
        match act {
            LimitAct::Deactivate if is_unlimited => warnings
                .push("limits.act is deactivate and no limit is set: usage deactivates nothing"),
            LimitAct::Quarantine if is_unlimited => {
                warnings.push("limits.act is quarantine and no limit is set: usage moves nothing")
            }
            LimitAct::Alert | LimitAct::Quarantine | LimitAct::Deactivate => {}
        }
        if self.mode == Mode::Enforce
            && self.binding.mode != BindingMode::Strict
            && self.limits.act == LimitAct::Alert
            && self.countries.is_empty()
            && (self.geofence.is_none() || self.geofence_act == LimitAct::Alert)
            && self.strike.act <= SpikeAct::Alert
            && self.usage_spike.act <= SpikeAct::Alert
        {
            warnings
                .push("mode is enforce, and no rule here deactivates: every verdict is an alert");
        }
        warnings
    }

    /// The verdict that one finding asks for.
    #[must_use]
    pub fn verdict_of(&self, finding: &Finding) -> Verdict {
        match finding.detector {
            DetectorId::DeviceNotAllowed | DetectorId::DeviceIsHandset => match self.binding.mode {
                BindingMode::Strict => Verdict::Deactivate,
                BindingMode::Learnt => Verdict::Alert,
                BindingMode::Off => Verdict::Clear,
            },
            DetectorId::DeviceChanged => match self.binding.mode {
                BindingMode::Strict => Verdict::Alert,
                BindingMode::Learnt => Verdict::Watch,
                BindingMode::Off => Verdict::Clear,
            },
            DetectorId::CountryNotAllowed => Verdict::Deactivate,
            DetectorId::SessionLimit
            | DetectorId::HourLimit
            | DetectorId::DayLimit
            | DetectorId::PeriodLimit => self.limits.act.verdict(),
            DetectorId::GeofenceLeft => self.geofence_act.verdict(),
            DetectorId::CountryNew => self.new_country.verdict(),
            DetectorId::NetworkNew => self.new_network.verdict(),
            DetectorId::AttachStorm => self.attach_storm.act.verdict(),
            DetectorId::DownloadHeavy => self.download_heavy.verdict(),
            DetectorId::AliveAfterKill => Verdict::Deactivate,
            DetectorId::Strike => self.strike.act.verdict(),
            DetectorId::UsageSpike => self.verdict_of_unusual(&finding.evidence),
            DetectorId::SlowLeak => self.slow_leak.act.verdict(),
            DetectorId::DeviceFlipFlop
            | DetectorId::ImpossibleTravel
            | DetectorId::Degraded
            | DetectorId::BytesUnseen
            | DetectorId::ActiveAfterKill
            | DetectorId::InactiveUsesData
            | DetectorId::LimitDrift
            | DetectorId::CohortSurge
            | DetectorId::UpdatesMissing
            | DetectorId::NoEvents => Verdict::Alert,
            DetectorId::Silent => Verdict::Watch,
        }
    }

    fn verdict_of_unusual(&self, evidence: &Evidence) -> Verdict {
        let Evidence::Unusual { level, .. } = evidence else { return Verdict::Clear };
        self.usage_spike.verdict_of(*level)
    }

    /// The verdict over all findings: the most severe.
    #[must_use]
    pub fn rule<'a>(&self, findings: impl IntoIterator<Item = &'a Finding>) -> Verdict {
        let verdicts = findings.into_iter().map(|finding| self.verdict_of(finding));
        verdicts.max().unwrap_or(Verdict::Clear)
    }

    /// Of these findings the one that asks for most, and of several such the first: a mild rule's must
    /// not stand for what an act rests on.
    #[must_use]
    pub fn worst_of<'a>(
        &self,
        findings: impl IntoIterator<Item = &'a Finding>,
    ) -> Option<&'a Finding> {
        // Of equal ones `min_by_key` gives the first.
        findings.into_iter().min_by_key(|finding| std::cmp::Reverse(self.verdict_of(finding)))
    }

    /// Whether planned work touches a window of time.
    #[must_use]
    pub fn is_planned(&self, from: Timestamp, to: Timestamp) -> bool {
        self.maintenance.iter().any(|work| work.from < to && from < work.to)
    }

    /// A limit as it holds in a window of time: planned work that touches the window raises it.
    #[must_use]
    pub fn limit_during(&self, limit: Bytes, from: Timestamp, to: Timestamp) -> Bytes {
        let touching = self.maintenance.iter().filter(|work| work.from < to && from < work.to);
        touching.map(|work| work.bytes_max).max().map_or(limit, |raised| limit.max(raised))
    }
}

impl Snapshot<'_> {
    /// The device that the SIM is known to belong in.
    #[must_use]
    pub fn enrolled(&self) -> Option<Imei14> {
        let device = match self.rules.binding.enrol {
            Enrol::Learnt => self.state.enrolled(),
            Enrol::First => self.state.first_device(),
        };
        device.map(|device| device.imei)
    }
}
