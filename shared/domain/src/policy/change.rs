//! What a change of policy changes in effect, in words.
//!
//! A line diff shows what was typed; this shows what it means for SIMs, layer by layer, with every
//! key that a layer inherits resolved.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::arming::acts_for;
use super::{Binding, BindingMode, Cap, Enrol, LimitAct, Limits, Mode, Policy, Rules};
use super::{CohortSurge, SlowLeak, SpikeAct, Strike, TellAct, UsageSpike, WatchAct};
use crate::bytes::Bytes;
use crate::id::FleetSid;
use crate::number::grouped;
use crate::place::Area;

impl Policy {
    /// What is different under this policy from what held under the one before: one sentence each,
    /// those of a fleet or SIM with its SID in front. What a layer inherits is said once.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let all = changes(&before.base, &self.base);
        let fleets: BTreeSet<_> = before.fleets.keys().chain(self.fleets.keys()).collect();
        let of = |policy: &Self, sid| policy.fleets.get(sid).unwrap_or(&policy.base).clone();
        let fleets = fleets
            .into_iter()
            .map(|sid| (sid.to_string(), changes(&of(before, sid), &of(self, sid))));
        let sims: BTreeSet<_> = before.sims.keys().chain(self.sims.keys()).collect();
        let sims = sims.into_iter().map(|sid| {
            let (old, new) = (before.rules_for(None, *sid), self.rules_for(None, *sid));
            (sid.to_string(), changes(&old, &new))
        });
        let own = fleets.chain(sims).flat_map(|(sid, changes)| {
            let own = changes.into_iter().filter(|change| !all.contains(change));
            own.map(move |change| format!("{sid}: {change}")).collect::<Vec<_>>()
        });
        let own: Vec<String> = own.collect();
        all.into_iter().chain(own).collect()
    }
}

fn changes(old: &Rules, new: &Rules) -> Vec<String> {
    let mut said = Vec::new();
    if old.mode != new.mode {
        said.push(match new.mode {
            Mode::Enforce => {
                "mode observe → enforce: SIMs are deactivated automatically, where the \
                              function is armed too"
                    .to_owned()
            }
            Mode::Observe => {
                "mode enforce → observe: nothing is deactivated automatically".to_owned()
            }
        });
        if new.mode == Mode::Enforce {
            said.push(format!("enforce {}", acts_for(new)));
        }
    }
    binding(&old.binding, &new.binding, &mut said);
    limits(&old.limits, &new.limits, &mut said);
    strike(old.strike, new.strike, &mut said);
    usage_spike(old.usage_spike, new.usage_spike, &mut said);
    slow_leak(old.slow_leak, new.slow_leak, &mut said);
    cohort_surge(old.cohort_surge, new.cohort_surge, &mut said);
    countries(old, new, &mut said);
    geofence(old, new, &mut said);
    watched(old, new, &mut said);
    guards(old, new, &mut said);
    maintenance(old, new, &mut said);
    let (gone, come) = differences(&old.notify, &new.notify);
    if !come.is_empty() {
        said.push(format!("news from now on: {}", come.join(", ")));
    }
    if !gone.is_empty() {
        said.push(format!("no more news: {}", gone.join(", ")));
    }
    if old.quarantine != new.quarantine {
        let text = |fleet: Option<FleetSid>| fleet.map_or("none".to_owned(), |sid| sid.to_string());
        let (old, new) = (text(old.quarantine), text(new.quarantine));
        said.push(format!("quarantine fleet {old} → {new}"));
    }
    if old.proof_window != new.proof_window {
        said.push(format!(
            "proof.window_mins {} → {}",
            minutes(old.proof_window),
            minutes(new.proof_window)
        ));
    }
    said
}

fn binding(old: &Binding, new: &Binding, said: &mut Vec<String>) {
    if old.mode != new.mode {
        let name = |mode| match mode {
            BindingMode::Learnt => "learnt",
            BindingMode::Strict => "strict",
            BindingMode::Off => "off",
        };
        let means = match new.mode {
            BindingMode::Learnt => "an unknown device only alerts",
            BindingMode::Strict => "an unknown device is deactivated",
            BindingMode::Off => "devices are not judged",
        };
        said.push(format!("binding {} → {}: {means}", name(old.mode), name(new.mode)));
    }
    if old.enrol != new.enrol {
        said.push(
            match new.enrol {
                Enrol::First => "enrol learnt → first: the first device seen is trusted at once",
                Enrol::Learnt => {
                    "enrol first → learnt: a device is trusted after 24 active hours and 3 days"
                }
            }
            .to_owned(),
        );
    }
    let (gone, come) = differences(&old.handset_tacs, &new.handset_tacs);
    if !gone.is_empty() || !come.is_empty() {
        let (come, gone) = (come.len(), gone.len());
        said.push(format!("models of phones and tablets: {come} more, {gone} less"));
    }
    let (gone, come) = differences(&old.allowed_tacs, &new.allowed_tacs);
    if !come.is_empty() {
        said.push(format!("models known from now on: {}", come.join(", ")));
    }
    if !gone.is_empty() {
        said.push(format!("models known no more: {}", gone.join(", ")));
    }
}

fn limits(old: &Limits, new: &Limits, said: &mut Vec<String>) {
    if old.act != new.act {
        let means = match new.act {
            LimitAct::Alert => "a broken limit only alerts",
            LimitAct::Quarantine => "a broken limit moves the SIM to the quarantine fleet",
            LimitAct::Deactivate => "a broken limit deactivates",
        };
        said.push(format!("limits.act {} → {}: {means}", act(old.act), act(new.act)));
    }
    for (name, old, new) in [
        ("hour", old.hour, new.hour),
        ("day", old.day, new.day),
        ("period", old.period, new.period),
        ("session", old.session, new.session),
    ] {
        if old != new {
            let wider = old.is_some_and(|old| new.is_none_or(|new| new > old));
            let direction = if wider { "looser" } else { "tighter" };
            let (old, new) = (megabytes(old), megabytes(new));
            said.push(format!("{name} limit {old} → {new}: {direction}"));
        }
    }
    if old.fleet_limit_mb != new.fleet_limit_mb {
        let text = |mb: Option<u32>| mb.map_or("none".to_owned(), |mb| format!("{mb} MB"));
        said.push(format!(
            "limit wanted of the provider's fleet {} → {}",
            text(old.fleet_limit_mb),
            text(new.fleet_limit_mb)
        ));
    }
}

/// To the byte, unlike what humans are told of usage.
fn megabytes(limit: Option<Bytes>) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a limit is at most 2e12 bytes")]
    let number = |limit: Bytes| limit.0 as f64 / 1e6;
    limit.map_or("none".to_owned(), |limit| format!("{} MB", number(limit)))
}

fn countries(old: &Rules, new: &Rules, said: &mut Vec<String>) {
    let (gone, come) = differences(&old.countries, &new.countries);
    if gone.is_empty() && come.is_empty() {
        return;
    }
    let text = |rules: &Rules| match rules.countries.as_slice() {
        [] => "any".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let means = if new.countries.is_empty() { "" } else { ": a SIM elsewhere is deactivated" };
    said.push(format!("countries {} → {}{means}", text(old), text(new)));
}

fn geofence(old: &Rules, new: &Rules, said: &mut Vec<String>) {
    if old.geofence != new.geofence {
        let text = |area: &Option<Area>| match area {
            None => "anywhere".to_owned(),
            Some(Area::Circle { center, radius_km }) => format!("{radius_km} km around {center}"),
            Some(Area::Polygon(corners)) => format!("a polygon of {} corners", corners.len()),
        };
        said.push(format!("geofence {} → {}", text(&old.geofence), text(&new.geofence)));
    }
    if old.geofence_act != new.geofence_act {
        let means = match new.geofence_act {
            LimitAct::Alert => "outside of it a SIM only alerts",
            LimitAct::Quarantine => "a SIM outside of it is moved to the quarantine fleet",
            LimitAct::Deactivate => "a SIM outside of it is deactivated",
        };
        let (old, new) = (act(old.geofence_act), act(new.geofence_act));
        said.push(format!("places.geofence_act {old} → {new}: {means}"));
    }
}

fn strike(old: Strike, new: Strike, said: &mut Vec<String>) {
    if old.act != new.act {
        let means = match new.act {
            SpikeAct::Off => "usage that no sensor can have is no finding",
            SpikeAct::Alert => "usage that no sensor can have only alerts",
            SpikeAct::Quarantine => "a SIM with such usage is moved to the quarantine fleet",
            SpikeAct::Deactivate => "a SIM with such usage is deactivated",
        };
        said.push(format!("strike.act {} → {}: {means}", old.act.name(), new.act.name()));
    }
    let (slower, faster) = (old.faster_than_kbps, new.faster_than_kbps);
    if slower != faster {
        let means = if slower < faster {
            "higher, so what is slower than that is no strike"
        } else {
            "lower, so an update that was none may be a strike"
        };
        said.push(format!("strike.faster_than_kbps {slower} → {faster}: {means}"));
    }
    if old.device_bytes != new.device_bytes {
        let (old, new) = (megabytes(Some(old.device_bytes)), megabytes(Some(new.device_bytes)));
        said.push(format!("strike.device_mb {old} → {new}"));
    }
}

fn watched(old: &Rules, new: &Rules, said: &mut Vec<String>) {
    let failing = "attachments that fail over and over";
    let loading = "a SIM that loads, and used to send";
    for (key, sign, old, new) in [
        ("places.new_country", "a country new for a SIM", old.new_country, new.new_country),
        ("places.new_network", "a network new for a SIM", old.new_network, new.new_network),
        ("attach_storm.act", failing, old.attach_storm.act, new.attach_storm.act),
        ("download_heavy.act", loading, old.download_heavy, new.download_heavy),
    ] {
        if old != new {
            let means = match new {
                WatchAct::Off => "no finding",
                WatchAct::Watch => "recorded, nobody is told",
                WatchAct::Alert => "a human is told",
            };
            said.push(format!("{key} {} → {}: {sign}: {means}", old.name(), new.name()));
        }
    }
    let (old, new) = (old.attach_storm.minutes_max, new.attach_storm.minutes_max);
    if old != new {
        said.push(format!("attach_storm.minutes_max {old} → {new}: so many of 26 hours may fail"));
    }
}

fn usage_spike(old: UsageSpike, new: UsageSpike, said: &mut Vec<String>) {
    if old.act != new.act {
        let means = match new.act {
            SpikeAct::Off => "usage that is unusual for a SIM and its peers is no finding",
            SpikeAct::Alert => "usage that is unusual for a SIM and its peers only alerts",
            SpikeAct::Quarantine => "a SIM of unusual usage is moved to the quarantine fleet",
            SpikeAct::Deactivate => "a SIM of unusual usage is deactivated",
        };
        said.push(format!("usage_spike.act {} → {}: {means}", old.act.name(), new.act.name()));
    }
    for (name, old, new) in [
        ("alert_hours", old.alert_hours, new.alert_hours),
        ("quarantine_hours", old.quarantine_hours, new.quarantine_hours),
        ("deactivate_hours", old.deactivate_hours, new.deactivate_hours),
    ] {
        if old != new {
            let (old, new) = (grouped(old), grouped(new));
            said.push(format!("usage_spike.{name} {old} → {new}: by chance once in so many"));
        }
    }
    if old.excess_min != new.excess_min {
        let (old, new) = (megabytes(Some(old.excess_min)), megabytes(Some(new.excess_min)));
        said.push(format!("usage_spike.excess_min_mb {old} → {new}"));
    }
}

fn slow_leak(old: SlowLeak, new: SlowLeak, said: &mut Vec<String>) {
    if old.act != new.act {
        let means = match new.act {
            TellAct::Off => "days that are unusual for a SIM and its peers are no finding",
            TellAct::Alert => "days that are unusual for a SIM and its peers alert",
        };
        said.push(format!("slow_leak.act {} → {}: {means}", old.act.name(), new.act.name()));
    }
    if old.alert_days != new.alert_days {
        let (before, after) = (grouped(old.alert_days), grouped(new.alert_days));
        said.push(format!("slow_leak.alert_days {before} → {after}: by chance once in so many"));
    }
    if old.excess_min != new.excess_min {
        let (old, new) = (megabytes(Some(old.excess_min)), megabytes(Some(new.excess_min)));
        said.push(format!("slow_leak.excess_min_mb {old} → {new}"));
    }
    if old.excess_days != new.excess_days {
        let (old, new) = (old.excess_days, new.excess_days);
        said.push(format!("slow_leak.excess_days {old} → {new}: told after so many usual days"));
    }
}

fn cohort_surge(old: CohortSurge, new: CohortSurge, said: &mut Vec<String>) {
    if old.act != new.act {
        let means = match new.act {
            TellAct::Off => "many SIMs of a fleet that are unusual at once are not told",
            TellAct::Alert => "many SIMs of a fleet that are unusual at once alert",
        };
        said.push(format!("cohort_surge.act {} → {}: {means}", old.act.name(), new.act.name()));
    }
    if old.share_min_percent != new.share_min_percent {
        let (old, new) = (old.share_min_percent, new.share_min_percent);
        said.push(format!("cohort_surge.share_min_percent {old} → {new}: of the active SIMs"));
    }
}

const fn act(act: LimitAct) -> &'static str {
    match act {
        LimitAct::Alert => "alert",
        LimitAct::Quarantine => "quarantine",
        LimitAct::Deactivate => "deactivate",
    }
}

fn guards(old: &Rules, new: &Rules, said: &mut Vec<String>) {
    let (old, new) = (&old.guards, &new.guards);
    let (gone, come) = differences(&old.protected, &new.protected);
    if !gone.is_empty() {
        said.push(format!("protection removed: {} may be deactivated", gone.join(", ")));
    }
    if !come.is_empty() {
        said.push(format!("protection added: {}", come.join(", ")));
    }
    for (name, old, new) in [
        ("cap of a fleet", old.max_kills, new.max_kills),
        ("cap of the account", old.account_max_kills, new.account_max_kills),
    ] {
        if old != new {
            let wider = if is_wider(old, new) {
                ": widened, more SIMs may be deactivated automatically"
            } else {
                ": narrowed"
            };
            said.push(format!("{name} {} → {}{wider}", cap(old), cap(new)));
        }
    }
    if old.cooldown != new.cooldown {
        let (before, after) = (minutes(old.cooldown), minutes(new.cooldown));
        let means = if new.cooldown < old.cooldown {
            ": a restored SIM may be deactivated again sooner"
        } else {
            ""
        };
        said.push(format!("guards.cooldown_mins {before} → {after}{means}"));
    }
}

/// Whether the new cap lets more kills through in any respect.
fn is_wider(old: Cap, new: Cap) -> bool {
    let share = |cap: Cap| cap.percent.unwrap_or(100.0);
    new.count > old.count || share(new) > share(old) || new.window_mins < old.window_mins
}

fn cap(cap: Cap) -> String {
    let share = cap.percent.map(|percent| format!(" or {percent} %")).unwrap_or_default();
    format!("{}{share} in {} min", cap.count, cap.window_mins)
}

fn maintenance(old: &Rules, new: &Rules, said: &mut Vec<String>) {
    for work in new.maintenance.iter().filter(|work| !old.maintenance.contains(work)) {
        let (from, to, raised) = (work.from, work.to, work.bytes_max);
        said.push(format!("planned work from {from} to {to}: limits are {raised} there"));
    }
    for work in old.maintenance.iter().filter(|work| !new.maintenance.contains(work)) {
        said.push(format!("planned work from {} to {} is off", work.from, work.to));
    }
}

fn minutes(duration: SignedDuration) -> i64 {
    duration.as_mins()
}

/// What only the old list has, and what only the new one has.
fn differences<T: PartialEq + ToString>(old: &[T], new: &[T]) -> (Vec<String>, Vec<String>) {
    let only = |of: &[T], other: &[T]| {
        let only = of.iter().filter(|one| !other.contains(one));
        only.map(ToString::to_string).collect()
    };
    (only(old, new), only(new, old))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::DEFAULT;

    const FLEET: &str = "HF00000000000000000000000000000001";

    fn changes(old: &str, new: &str) -> String {
        let policy = |text: &str| format!("version = 1\n{text}").parse::<Policy>().unwrap();
        policy(new).changes_since(&policy(old)).join("\n")
    }

    #[test]
    fn what_arms_a_policy_is_said_in_words() {
        let armed = "mode = 'enforce'\n[binding]\nmode = 'strict'\n[limits]\nact = 'deactivate'\n\
                     [places]\ncountries = ['US']";
        insta::assert_snapshot!(changes("", armed), @r#"
    mode observe → enforce: SIMs are deactivated automatically, where the function is armed too
    enforce deactivates for device_not_allowed, country_not_allowed
    binding learnt → strict: an unknown device is deactivated
    limits.act alert → deactivate: a broken limit deactivates
    countries any → US: a SIM elsewhere is deactivated
    "#);
        insta::assert_snapshot!(changes(armed, ""), @r#"
    mode enforce → observe: nothing is deactivated automatically
    binding strict → learnt: an unknown device only alerts
    limits.act deactivate → alert: a broken limit only alerts
    countries US → any
    "#);
    }

    #[test]
    fn wider_caps_and_lost_protection_are_said_in_words() {
        let old = "[guards]\nprotected = ['pump-17', 'pump-18']\ncooldown_mins = 1440\n\
                   max_kills = { count = 5, percent = 1, window_mins = 60 }";
        let new = "[guards]\nprotected = ['pump-18', 'pump-19']\ncooldown_mins = 10\n\
                   max_kills = { count = 5, percent = 1, window_mins = 30 }\n\
                   account_max_kills = { count = 40 }";
        insta::assert_snapshot!(changes(old, new), @r#"
    protection removed: pump-17 may be deactivated
    protection added: pump-19
    cap of a fleet 5 or 1 % in 60 min → 5 or 1 % in 30 min: widened, more SIMs may be deactivated automatically
    cap of the account 50 in 60 min → 40 in 60 min: narrowed
    guards.cooldown_mins 1440 → 10: a restored SIM may be deactivated again sooner
    "#);
    }

    #[test]
    fn limits_models_and_planned_work_are_said_in_words() {
        let old = "[binding]\nallowed_tacs = ['35378572']\n[limits]\nhour_mb = 20\nday_mb = 50";
        let new = "[binding]\nallowed_tacs = ['35880123']\nenrol = 'first'\n[limits]\nhour_mb = 10\n\
                   session_mb = 7\nfleet_limit_mb = 250\n[notify]\nevents = ['online']\n\
                   [proof]\nwindow_mins = 5\n[[maintenance]]\n\
                   from = 2026-03-01T02:00:00Z\nto = 2026-03-01T04:00:00Z\nbytes_max_mb = 60";
        insta::assert_snapshot!(changes(old, new), @r#"
    enrol learnt → first: the first device seen is trusted at once
    models known from now on: 35880123
    models known no more: 35378572
    hour limit 20 MB → 10 MB: tighter
    day limit 50 MB → none: looser
    session limit none → 7 MB: tighter
    limit wanted of the provider's fleet none → 250 MB
    planned work from 2026-03-01T02:00:00Z to 2026-03-01T04:00:00Z: limits are 60.0 MB there
    news from now on: online
    proof.window_mins 30 → 5
    "#);
    }

    #[test]
    fn what_new_places_and_failures_mean_is_said_in_words() {
        let new = "[places]\nnew_country = 'alert'\nnew_network = 'off'\n[attach_storm]\n\
                   act = 'watch'\nminutes_max = 100\n[download_heavy]\nact = 'alert'";
        insta::assert_snapshot!(changes("", new), @r#"
    places.new_country watch → alert: a country new for a SIM: a human is told
    places.new_network watch → off: a network new for a SIM: no finding
    attach_storm.act alert → watch: attachments that fail over and over: recorded, nobody is told
    download_heavy.act watch → alert: a SIM that loads, and used to send: a human is told
    attach_storm.minutes_max 360 → 100: so many of 26 hours may fail
    "#);
    }

    #[test]
    fn a_layer_says_only_what_is_its_own() {
        let old = format!("[fleet.{FLEET}]\nmode = 'enforce'");
        let new = format!("mode = 'enforce'\n[fleet.{FLEET}.binding]\nmode = 'strict'");
        insta::assert_snapshot!(changes(&old, &new), @r#"
    mode observe → enforce: SIMs are deactivated automatically, where the function is armed too
    enforce deactivates for nothing
    HF00000000000000000000000000000001: binding learnt → strict: an unknown device is deactivated
    "#);
        let sim = "[sim.HS00000000000000000000000000000001.limits]\nday_mb = 5";
        insta::assert_snapshot!(changes(sim, ""), @"HS00000000000000000000000000000001: day limit 5 MB → none: looser");
    }

    #[test]
    fn comments_and_order_change_nothing() {
        let shuffled = format!("# mine\n{DEFAULT}");
        let (old, new) = (DEFAULT.parse::<Policy>().unwrap(), shuffled.parse::<Policy>().unwrap());
        assert_eq!(new.changes_since(&old), Vec::<String>::new());
    }
}
