//! Usage that no sensor of its kind can have: once may be a fault, twice is a thief.
//!
//! Catches whoever streams, tethers or downloads, in whichever device, two update windows after the
//! first byte: [`FASTER_THAN_KBPS`] is more than the modem of a sensor carries, and two windows of that
//! speed are no glitch of a counter. In a device that does not belong to the SIM one such window is
//! enough. Where events are lost, usage records show it later: two hours, each of more than its modem
//! carries in one.
//!
//! A SIM of which less than 24 active hours are known is judged by its fleet: by what nearly all of
//! its SIMs stay below, so that a thief is found who has it from its first hour on, and a new camera is
//! spared where some of the others are cameras. Of hours of usage records it is so when they are closed.
//!
//! Fooled by whoever is as slow as the sensor: the limits and [`usage_spike`](super::usage_spike) are
//! there for that. Silent, unless its device changed, for such a SIM in a fleet of less than 50 whose
//! past is known, or in one that cannot be asked. Accused wrongly is a fleet with fast modems that is
//! updated outside of planned work: its policy should name a higher speed. Not more than the caps allow
//! are cut then.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::bytes::Bytes;
use crate::detector::{Detector, Snapshot, device_changed, device_is_handset, device_not_allowed};
use crate::evidence::Usual;
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::{Rules, SpikeAct};
use crate::session::Session;
use crate::state::{BURST_MIN, Burst, SimState};
use crate::time::Hour;
use crate::usage::SimUsage;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::Strike, assess };

/// In kilobits a second over a whole update window: LTE-M in half duplex carries 300 down (3GPP release
/// 13), NB-IoT less, and a stream of video hardly falls below it. Policy may name another for modems
/// that carry more.
pub const FASTER_THAN_KBPS: u32 = 340;

/// Bytes in a device that does not belong to the SIM, if some of them came too fast.
pub const DEVICE_BYTES: Bytes = Bytes(25 * Bytes::MB);

/// A device is strange for so long; whoever let it be until then knows it.
const DEVICE_IS_NEW: SignedDuration = SignedDuration::from_hours(72);

/// In standard deviations above the usual of an active hour: a SIM that carries as much every hour, as
/// a camera does, is none that was robbed.
const DEVIATION_MIN: f64 = 3.0;

/// Usual days, where they are known, of which two windows or hours hold more together: nor is one that
/// carries as much every day.
const DAYS_MIN: u64 = 3;

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    if snapshot.rules.strike.act == SpikeAct::Off {
        return Vec::new();
    }
    let mut fast = fast_bursts(snapshot);
    let carried = carried_in_an_hour(snapshot.rules.strike.faster_than_kbps);
    // As of nearly every SIM.
    if fast.is_empty() && snapshot.at_most.hour <= carried {
        return Vec::new();
    }
    let own = own_usual(snapshot.usage);
    fast.retain(|burst| own.is_none_or(|usual| is_strange(burst.bytes(), &usual)));
    let mut found = in_strange_device(snapshot, &fast);
    if let Some(usual) = own.or_else(|| snapshot.fleet_usual()) {
        let strange = fast.iter().filter(|burst| is_strange(burst.bytes(), &usual));
        let windows = strange.map(|burst| (burst.from(), burst.to(), burst.bytes()));
        let both = twice(windows, &usual).into_iter().chain(in_hours(snapshot, &usual));
        found.extend(both.filter(|found| is_beyond_days(snapshot, found)));
    }
    // One hour may be a strike in more ways than one.
    let mut told = BTreeSet::new();
    found.retain(|finding| told.insert(finding.about.clone()));
    found
}

fn own_usual(usage: Option<&SimUsage>) -> Option<Usual> {
    usage.map(SimUsage::baseline).and_then(Usual::of_past)
}

/// Whether the SIM's fleet is to be asked for what is usual: too little is known of the SIM itself, and
/// it carried what might be a strike.
pub(super) fn asks_fleet(state: Option<&SimState>, usage: Option<&SimUsage>) -> bool {
    if own_usual(usage).is_some() {
        return false;
    }
    let mut hours = usage.into_iter().flat_map(SimUsage::hours);
    state.is_some_and(|state| !state.bursts().is_empty())
        || hours.any(|(_, bytes)| bytes >= BURST_MIN)
}

/// The windows that no sensor's modem carries, none of which tell the same twice.
fn fast_bursts(snapshot: &Snapshot<'_>) -> Vec<Burst> {
    let (rules, restored_at) = (snapshot.rules, snapshot.control.restored_at);
    let is_fast = |burst: &&Burst| {
        Some(burst.from()) >= restored_at
            && burst.is_faster_than(rules.strike.faster_than_kbps)
            && !rules.is_planned(burst.from(), burst.to())
    };
    let mut all: Vec<Burst> = snapshot.state.bursts().iter().filter(is_fast).copied().collect();
    // Whoever takes what is over first takes most that are apart.
    all.sort_by_key(Burst::to);
    let mut fast: Vec<Burst> = Vec::new();
    for burst in all {
        if !fast.iter().any(|other| other.overlaps(&burst)) {
            fast.push(burst);
        }
    }
    fast
}

fn is_strange(bytes: Bytes, usual: &Usual) -> bool {
    usual.deviation(bytes) > DEVIATION_MIN
}

/// Whether it is more than the SIM uses in some days, where that is known.
fn is_beyond_days(snapshot: &Snapshot<'_>, found: &Finding) -> bool {
    let Evidence::Strike { seen, .. } = &found.evidence else { return false };
    let days = snapshot.usage.and_then(|usage| Usual::of_days(usage.days().past()));
    days.is_none_or(|day| seen.0 > day.expected().0.saturating_mul(DAYS_MIN))
}

/// Two hours of usage records, for where events are lost.
fn in_hours(snapshot: &Snapshot<'_>, usual: &Usual) -> Vec<Finding> {
    let (rules, restored_at) = (snapshot.rules, snapshot.control.restored_at);
    let carried = carried_in_an_hour(rules.strike.faster_than_kbps);
    let is_one = |(hour, bytes): &(Hour, Bytes)| {
        *bytes > carried
            && is_strange(*bytes, usual)
            && Some(hour.start()) >= restored_at
            && !rules.is_planned(hour.start(), hour.end())
    };
    let hours = snapshot.usage.iter().flat_map(|usage| usage.hours());
    let strange = hours.filter(is_one).map(|(hour, bytes)| (hour.start(), hour.end(), bytes));
    twice(strange, usual)
}

fn carried_in_an_hour(kbps: u32) -> Bytes {
    // A kilobit a second is 450 kB an hour.
    Bytes(u64::from(kbps).saturating_mul(450_000))
}

/// When a window or hour began, when it was over, and its bytes.
type Span = (Timestamp, Timestamp, Bytes);

/// Each of these after another one. It is about the hour of the later one, so that what comes late
/// changes nothing of what is found.
fn twice(strange: impl Iterator<Item = Span>, usual: &Usual) -> Vec<Finding> {
    let all: Vec<Span> = strange.collect();
    let usual = (all.len() > 1).then(|| usual.expected());
    let pairs = all.iter().zip(all.iter().skip(1));
    let finding = |(&(first, _, seen), &(from, to, bytes)): (&Span, &Span)| {
        let about = Hour::of(from).to_string();
        let seen = seen.plus(bytes);
        let evidence = Evidence::Strike { seen, usual, device: None, from: first, to };
        Finding { detector: DetectorId::Strike, about, at: to, evidence }
    };
    pairs.map(finding).collect()
}

/// Much, and some of it too fast, in a device that came since and does not belong to the SIM.
fn in_strange_device(snapshot: &Snapshot<'_>, fast: &[Burst]) -> Vec<Finding> {
    if fast.is_empty() {
        return Vec::new();
    }
    let (state, now) = (snapshot.state, snapshot.now());
    let restored_at = snapshot.control.restored_at;
    let detectors =
        [device_not_allowed::DETECTOR, device_is_handset::DETECTOR, device_changed::DETECTOR];
    let devices = detectors.iter().flat_map(|detector| (detector.assess)(snapshot));
    let new_from = now.saturating_sub(DEVICE_IS_NEW).unwrap_or(Timestamp::MIN);
    let mut found = Vec::new();
    for (device, at) in devices.filter_map(|found| found.device().map(|device| (device, found.at)))
    {
        // A human who restored the SIM knew of a device that was there before.
        if at < new_from || Some(at) < restored_at || snapshot.allows(device) {
            continue;
        }
        // A session that the SIM's own device reports as well is not the other's.
        let mut own: Vec<&Session> = state.sessions_of(device).collect();
        for session in snapshot.enrolled().into_iter().flat_map(|own| state.sessions_of(own)) {
            own.retain(|other| other.sid != session.sid);
        }
        let is_own = |burst: &&Burst| own.iter().any(|session| session.sid == burst.session());
        let Some(last) = fast.iter().rfind(is_own) else { continue };
        // Its first event may have lacked the device. Planned work is not its own doing.
        let opened = own.iter().map(|session| session.start()).min();
        let came = opened.map_or(at, |opened| opened.min(at));
        let since = restored_at.map_or(came, |restored_at| restored_at.max(came));
        let since = planned_until(snapshot.rules, since, now);
        let hours = Hour::of(since)..Hour::of(now).after();
        let seen = own.iter().map(|session| session.bytes_after(since, &hours)).sum();
        if seen > snapshot.rules.strike.device_bytes && last.from() >= since {
            found.push(Finding {
                detector: DetectorId::Strike,
                about: format!("{device}/{}", Hour::of(last.from())),
                at: last.to(),
                evidence: Evidence::Strike {
                    seen,
                    usual: None,
                    device: Some(device),
                    from: since,
                    to: last.to(),
                },
            });
        }
    }
    found
}

/// The time, or the end of the latest planned work after it.
fn planned_until(rules: &Rules, since: Timestamp, now: Timestamp) -> Timestamp {
    let touching = rules.maintenance.iter().filter(|work| since < work.to && work.from < now);
    touching.map(|work| work.to).max().unwrap_or(since)
}

#[cfg(test)]
mod tests;
