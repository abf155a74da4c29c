//! The policy file: TOML in, [`Policy`] out; anything unknown, bad or impossible is refused with
//! its line, its key and the reason.

mod attach_storm;
mod download_heavy;
mod guards;
mod places;
mod slow_leak;
mod strike;
mod usage_spike;
mod words;

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use toml::Spanned;

use super::{AttachStorm, CohortSurge, FLEET_LIMIT_MB, Policy, Rules, SlowLeak, SpikeAct, Strike};
use super::{Binding, BindingMode, Cap, Enrol, Guards, LimitAct, Limits, Maintenance, Mode};
use super::{UsageSpike, WatchAct};
use crate::bytes::Bytes;
use crate::device::Tac;
use crate::id::{FleetSid, SimSid};
use crate::news::NewsKind;
use attach_storm::AttachStormLayer;
use download_heavy::DownloadHeavyLayer;
use guards::{CapLayer, GuardsLayer};
use places::PlacesLayer;
use slow_leak::{CohortSurgeLayer, SlowLeakLayer};
use strike::StrikeLayer;
use usage_spike::UsageSpikeLayer;

/// A policy is stored in one DynamoDB item, which holds 400 kB.
const TEXT_BYTES_MAX: usize = 256_000;

/// The longest window that a cap, a cool-down or a proof may have: 31 days.
const MINUTES_MAX: u32 = 31 * 24 * 60;

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyError {
    /// The line at fault, counted from 1; absent when the file as a whole is.
    pub line: Option<usize>,
    /// The key at fault, with the tables that it lies in (`fleet.HF….limits.hour_mb`); absent when
    /// the file as a whole is at fault or is no TOML.
    pub key: Option<String>,
    /// What stands there.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: `{}`: ", self.text)?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::str::FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        if text.len() > TEXT_BYTES_MAX {
            let reason = format!("longer than {TEXT_BYTES_MAX} bytes");
            return Err(PolicyError { line: None, key: None, text: String::new(), reason });
        }
        let file = read(text)?;
        let layer = file.base();
        let base = layer.over(&EMPTY);
        check(text, "", &layer, &base)?;
        let mut fleets = BTreeMap::new();
        for (sid, layer) in file.fleet {
            let rules = layer.over(&base);
            check(text, &format!("fleet.{sid}."), &layer, &rules)?;
            fleets.insert(sid, rules);
        }
        for (sid, layer) in &file.sim {
            let prefix = format!("sim.{sid}.");
            check(text, &prefix, layer, &layer.over(&base))?;
        }
        Ok(Self { base, fleets, sims: file.sim, text: text.to_owned(), number: None })
    }
}

fn read(text: &str) -> Result<File, PolicyError> {
    let refused = |key: Option<String>, error: &toml::de::Error| {
        let reason = words::in_words(error.message());
        located(text, error.span().map(|span| span.start), key, reason)
    };
    let document = toml::Deserializer::parse(text).map_err(|error| refused(None, &error))?;
    let file: File = serde_path_to_error::deserialize(document).map_err(|error| {
        let key = key_of(error.path());
        refused(key, error.inner())
    })?;
    let misplaced = |start, key, reason: &str| located(text, Some(start), Some(key), reason.into());
    for (sid, layer) in &file.fleet {
        // The account's cap cannot be one fleet's.
        if let Some(cap) = &layer.guards.account_max_kills {
            let key = format!("fleet.{sid}.guards.account_max_kills");
            let reason = "it is the whole account's: set it outside a fleet";
            return Err(misplaced(cap.span().start, key, reason));
        }
    }
    for (sid, layer) in &file.sim {
        let (guards, limits) = (&layer.guards, &layer.limits);
        let caps =
            [("max_kills", &guards.max_kills), ("account_max_kills", &guards.account_max_kills)];
        for (name, cap) in caps {
            if let Some(cap) = cap {
                let key = format!("sim.{sid}.guards.{name}");
                let reason = "a cap counts the SIMs of a fleet or account: set it there";
                return Err(misplaced(cap.span().start, key, reason));
            }
        }
        if let Some(limit) = &limits.fleet_limit_mb {
            let key = format!("sim.{sid}.limits.fleet_limit_mb");
            let reason = "the provider has this limit for whole fleets: set it for the fleet";
            return Err(misplaced(limit.span().start, key, reason));
        }
        if let Some(surge) = &layer.cohort_surge {
            let key = format!("sim.{sid}.cohort_surge");
            let reason = "it is of a fleet's SIMs together: set it for the fleet";
            return Err(misplaced(surge.span().start, key, reason));
        }
    }
    Ok(file)
}

/// What one layer leads to must be possible.
fn check(text: &str, prefix: &str, layer: &Layer, rules: &Rules) -> Result<(), PolicyError> {
    layer.usage_spike.check(text, prefix, rules.usage_spike)?;
    check_quarantine(text, prefix, layer, rules)
}

/// A SIM can only be moved to a fleet that is named.
fn check_quarantine(
    text: &str,
    prefix: &str,
    layer: &Layer,
    rules: &Rules,
) -> Result<(), PolicyError> {
    let start_of = |act: &Option<Spanned<LimitAct>>| act.as_ref().map(|act| act.span().start);
    let leaves_area = rules.geofence.as_ref().map(|_| rules.geofence_act);
    let (key, start) = if rules.limits.act == LimitAct::Quarantine {
        ("limits.act", start_of(&layer.limits.act))
    } else if leaves_area == Some(LimitAct::Quarantine) {
        ("places.geofence_act", start_of(&layer.places.geofence_act))
    } else if rules.strike.act == SpikeAct::Quarantine {
        ("strike.act", layer.strike.act.as_ref().map(|act| act.span().start))
    } else if rules.usage_spike.act == SpikeAct::Quarantine {
        ("usage_spike.act", layer.usage_spike.act.as_ref().map(|act| act.span().start))
    } else {
        return Ok(());
    };
    if rules.quarantine.is_some() {
        return Ok(());
    }
    let reason = "no fleet to move SIMs to: name it with `quarantine = { fleet = \"HF…\" }`";
    Err(located(text, start, Some(format!("{prefix}{key}")), reason.to_owned()))
}

fn located(text: &str, start: Option<usize>, key: Option<String>, reason: String) -> PolicyError {
    let before = start.and_then(|start| text.get(..start.min(text.len())));
    let line = before.map(|before| before.matches('\n').count().saturating_add(1));
    let source = line.and_then(|line| text.lines().nth(line.saturating_sub(1)));
    PolicyError { line, key, text: source.unwrap_or_default().trim().to_owned(), reason }
}

/// The path without the steps that only [`Spanned`] takes.
fn key_of(path: &serde_path_to_error::Path) -> Option<String> {
    use serde_path_to_error::Segment;
    let mut key = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => key.push_str(&format!("[{index}]")),
            Segment::Map { key: name } if name.starts_with("$__") => {}
            Segment::Map { key: name } => {
                if !key.is_empty() {
                    key.push('.');
                }
                key.push_str(name);
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    Some(key).filter(|key| !key.is_empty())
}

/// What holds where the file says nothing. A limit that is left out is no limit.
const EMPTY: Rules = Rules {
    mode: Mode::Observe,
    binding: Binding {
        mode: BindingMode::Learnt,
        enrol: Enrol::Learnt,
        allowed_tacs: Vec::new(),
        handset_tacs: Vec::new(),
    },
    limits: Limits {
        hour: None,
        day: None,
        period: None,
        session: None,
        fleet_limit_mb: None,
        act: LimitAct::Alert,
    },
    strike: Strike::UNSAID,
    usage_spike: UsageSpike::UNSAID,
    attach_storm: AttachStorm::DEFAULT,
    slow_leak: SlowLeak::DEFAULT,
    cohort_surge: CohortSurge::DEFAULT,
    maintenance: Vec::new(),
    countries: Vec::new(),
    geofence: None,
    geofence_act: LimitAct::Alert,
    new_country: WatchAct::Watch,
    new_network: WatchAct::Watch,
    download_heavy: WatchAct::Watch,
    guards: Guards {
        protected: Vec::new(),
        max_kills: Cap { count: 5, percent: Some(1.0), window_mins: 60 },
        account_max_kills: Cap { count: 50, percent: None, window_mins: 60 },
        cooldown: SignedDuration::from_mins(1_440),
    },
    quarantine: None,
    notify: Vec::new(),
    proof_window: SignedDuration::from_mins(30),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a policy")]
struct File {
    #[serde(rename = "version")]
    _version: Version,
    mode: Option<Mode>,
    #[serde(default)]
    binding: BindingLayer,
    #[serde(default)]
    limits: LimitsLayer,
    #[serde(default)]
    strike: StrikeLayer,
    #[serde(default)]
    usage_spike: UsageSpikeLayer,
    #[serde(default)]
    attach_storm: AttachStormLayer,
    #[serde(default)]
    download_heavy: DownloadHeavyLayer,
    #[serde(default)]
    slow_leak: SlowLeakLayer,
    cohort_surge: Option<Spanned<CohortSurgeLayer>>,
    #[serde(default)]
    maintenance: Vec<MaintenanceLayer>,
    #[serde(default)]
    places: PlacesLayer,
    #[serde(default)]
    guards: GuardsLayer,
    #[serde(default)]
    quarantine: QuarantineLayer,
    #[serde(default)]
    notify: NotifyLayer,
    #[serde(default)]
    proof: ProofLayer,
    #[serde(default)]
    fleet: BTreeMap<FleetSid, Layer>,
    #[serde(default)]
    sim: BTreeMap<SimSid, Layer>,
}

impl File {
    fn base(&self) -> Layer {
        Layer {
            mode: self.mode,
            binding: self.binding.clone(),
            limits: self.limits.clone(),
            strike: self.strike.clone(),
            usage_spike: self.usage_spike.clone(),
            attach_storm: self.attach_storm.clone(),
            download_heavy: self.download_heavy,
            slow_leak: self.slow_leak,
            cohort_surge: self.cohort_surge.clone(),
            maintenance: self.maintenance.clone(),
            places: self.places.clone(),
            guards: self.guards.clone(),
            quarantine: self.quarantine,
            notify: self.notify.clone(),
            proof: self.proof.clone(),
        }
    }
}

/// What one layer of the file says; what it leaves out holds as in the layer below.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [fleet.HF…]")]
pub(super) struct Layer {
    mode: Option<Mode>,
    #[serde(default)]
    binding: BindingLayer,
    #[serde(default)]
    limits: LimitsLayer,
    #[serde(default)]
    strike: StrikeLayer,
    #[serde(default)]
    usage_spike: UsageSpikeLayer,
    #[serde(default)]
    attach_storm: AttachStormLayer,
    #[serde(default)]
    download_heavy: DownloadHeavyLayer,
    #[serde(default)]
    slow_leak: SlowLeakLayer,
    cohort_surge: Option<Spanned<CohortSurgeLayer>>,
    #[serde(default)]
    maintenance: Vec<MaintenanceLayer>,
    #[serde(default)]
    places: PlacesLayer,
    #[serde(default)]
    guards: GuardsLayer,
    #[serde(default)]
    quarantine: QuarantineLayer,
    #[serde(default)]
    notify: NotifyLayer,
    #[serde(default)]
    proof: ProofLayer,
}

impl Layer {
    /// This layer over the rules below it. Protection adds up: a lower layer's is never lost.
    pub(super) fn over(&self, below: &Rules) -> Rules {
        let (binding, limits, guards) = (&self.binding, &self.limits, &self.guards);
        let mut protected = below.guards.protected.clone();
        protected.extend(guards.protected.iter().flatten().cloned());
        let mut maintenance = below.maintenance.clone();
        maintenance.extend(self.maintenance.iter().filter_map(|work| work.0.clone()));
        let cap = |layer: &Option<Spanned<CapLayer>>, below: Cap| {
            layer.as_ref().map_or(below, |cap| cap.get_ref().over(below))
        };
        Rules {
            mode: self.mode.unwrap_or(below.mode),
            binding: Binding {
                mode: binding.mode.unwrap_or(below.binding.mode),
                enrol: binding.enrol.unwrap_or(below.binding.enrol),
                allowed_tacs: layered(&binding.allowed_tacs, &below.binding.allowed_tacs),
                handset_tacs: layered(&binding.handset_tacs, &below.binding.handset_tacs),
            },
            limits: Limits {
                hour: limits.hour_mb.map(|mb| mb.0).or(below.limits.hour),
                day: limits.day_mb.map(|mb| mb.0).or(below.limits.day),
                period: limits.period_mb.map(|mb| mb.0).or(below.limits.period),
                session: limits.session_mb.map(|mb| mb.0).or(below.limits.session),
                fleet_limit_mb: limits
                    .fleet_limit_mb
                    .as_ref()
                    .map(|mb| mb.get_ref().0)
                    .or(below.limits.fleet_limit_mb),
                act: limits.act.as_ref().map_or(below.limits.act, |act| *act.get_ref()),
            },
            strike: self.strike.over(below.strike),
            usage_spike: self.usage_spike.over(below.usage_spike),
            attach_storm: self.attach_storm.over(below.attach_storm),
            slow_leak: self.slow_leak.over(below.slow_leak),
            cohort_surge: self
                .cohort_surge
                .as_ref()
                .map_or(below.cohort_surge, |surge| surge.get_ref().over(below.cohort_surge)),
            maintenance,
            countries: layered(&self.places.countries, &below.countries),
            geofence: self.places.geofence.clone().map_or_else(|| below.geofence.clone(), |f| f.0),
            geofence_act: self
                .places
                .geofence_act
                .as_ref()
                .map_or(below.geofence_act, |act| *act.get_ref()),
            new_country: self.places.new_country.unwrap_or(below.new_country),
            new_network: self.places.new_network.unwrap_or(below.new_network),
            download_heavy: self.download_heavy.act.unwrap_or(below.download_heavy),
            guards: Guards {
                protected,
                max_kills: cap(&guards.max_kills, below.guards.max_kills),
                account_max_kills: cap(&guards.account_max_kills, below.guards.account_max_kills),
                cooldown: guards.cooldown_mins.map_or(below.guards.cooldown, Minutes::duration),
            },
            quarantine: self.quarantine.fleet.or(below.quarantine),
            notify: layered(&self.notify.events, &below.notify),
            proof_window: self.proof.window_mins.map_or(below.proof_window, Minutes::duration),
        }
    }
}

fn layered<T: Clone>(layer: &Option<Vec<T>>, below: &[T]) -> Vec<T> {
    layer.clone().unwrap_or_else(|| below.to_vec())
}

#[derive(Deserialize)]
#[serde(try_from = "i64")]
struct Version;

impl TryFrom<i64> for Version {
    type Error = &'static str;

    fn try_from(version: i64) -> Result<Self, Self::Error> {
        if version == 1 { Ok(Self) } else { Err("this SimFuse knows version 1 only") }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [binding]")]
struct BindingLayer {
    mode: Option<BindingMode>,
    enrol: Option<Enrol>,
    allowed_tacs: Option<Vec<Tac>>,
    handset_tacs: Option<Vec<Tac>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [limits]")]
struct LimitsLayer {
    hour_mb: Option<Megabytes>,
    day_mb: Option<Megabytes>,
    period_mb: Option<Megabytes>,
    session_mb: Option<Megabytes>,
    fleet_limit_mb: Option<Spanned<FleetLimit>>,
    act: Option<Spanned<LimitAct>>,
}

/// Whole megabytes, as the provider's Fleet takes them.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct FleetLimit(u32);

impl TryFrom<i64> for FleetLimit {
    type Error = &'static str;

    fn try_from(megabytes: i64) -> Result<Self, Self::Error> {
        let megabytes = u32::try_from(megabytes).ok().filter(|mb| FLEET_LIMIT_MB.contains(mb));
        megabytes.map(Self).ok_or("must be a whole number from 1 to 2,000,000 MB")
    }
}

/// Megabytes, with decimals.
#[derive(Debug, Clone, Copy)]
struct Megabytes(Bytes);

impl<'de> Deserialize<'de> for Megabytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Megabytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of megabytes")
            }

            fn visit_i64<E: de::Error>(self, megabytes: i64) -> Result<Megabytes, E> {
                #[expect(clippy::cast_precision_loss, reason = "the range check follows")]
                self.visit_f64(megabytes as f64)
            }

            fn visit_f64<E: de::Error>(self, megabytes: f64) -> Result<Megabytes, E> {
                // 2 TB is the most that a Fleet's own limit takes.
                let bytes = (megabytes * 1e6).round();
                if !(1.0..=2e12).contains(&bytes) {
                    return Err(E::custom(
                        "must be more than 0 and at most 2,000,000 MB; leave it out for no limit",
                    ));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number between 1 and 2e12"
                )]
                let bytes = bytes as u64;
                Ok(Megabytes(Bytes(bytes)))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// Planned work; a table that only a comment stands in plans none.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "MaintenanceText")]
struct MaintenanceLayer(Option<Maintenance>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [[maintenance]]")]
struct MaintenanceText {
    from: Option<Moment>,
    to: Option<Moment>,
    bytes_max_mb: Option<Megabytes>,
}

impl TryFrom<MaintenanceText> for MaintenanceLayer {
    type Error = &'static str;

    fn try_from(text: MaintenanceText) -> Result<Self, Self::Error> {
        let (from, to, bytes_max) = match (text.from, text.to, text.bytes_max_mb) {
            (None, None, None) => return Ok(Self(None)),
            (Some(from), Some(to), Some(bytes_max)) => (from.0, to.0, bytes_max.0),
            _ => return Err("`from`, `to` and `bytes_max_mb` belong together"),
        };
        if from >= to {
            return Err("`from` must lie before `to`");
        }
        Ok(Self(Some(Maintenance { from, to, bytes_max })))
    }
}

/// A time with an offset: TOML's own date-time, or a string of RFC 3339.
struct Moment(Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "must be a time with an offset, e.g. 2026-03-01T02:00:00Z")]
        enum Text {
            Toml(toml::value::Datetime),
            Text(String),
        }
        let text = match Text::deserialize(deserializer)? {
            Text::Toml(time) => time.to_string(),
            Text::Text(text) => text,
        };
        let time = text.parse().map_err(|_not_a_time| {
            de::Error::custom("must be a time with an offset, e.g. 2026-03-01T02:00:00Z")
        })?;
        Ok(Self(time))
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Minutes(u32);

impl TryFrom<i64> for Minutes {
    type Error = String;

    fn try_from(minutes: i64) -> Result<Self, Self::Error> {
        let minutes = u32::try_from(minutes).ok().filter(|mins| (1..=MINUTES_MAX).contains(mins));
        minutes.map(Self).ok_or_else(|| format!("must be from 1 to {MINUTES_MAX} minutes"))
    }
}

impl Minutes {
    fn duration(self) -> SignedDuration {
        SignedDuration::from_mins(i64::from(self.0))
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [quarantine]")]
struct QuarantineLayer {
    fleet: Option<FleetSid>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [notify]")]
struct NotifyLayer {
    events: Option<Vec<NewsKind>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [proof]")]
struct ProofLayer {
    window_mins: Option<Minutes>,
}

#[cfg(test)]
mod tests;
