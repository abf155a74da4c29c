//! Usage that no sensor of its kind can have: once may be a fault, twice is a thief.
//!
//! Catches whoever streams, tethers or downloads, in whichever device, two update windows after the
//! first byte: [`FASTER_THAN_KBPS`] is more than the modem of a sensor carries, and two windows of that
//! speed are no glitch of a counter. In a device that does not belong to the SIM one such window is
//! enough. Where events are lost, usage records show it later: two hours of much, far enough apart
//! that it is no firmware update and no technician.
//!
//! Fooled by whoever is as slow as the sensor: the limits and [`usage_spike`](super::usage_spike) are
//! there for that. Silent for a SIM of which less than 24 active hours are known, unless its device
//! changed. Accused wrongly is a fleet with fast modems that is updated outside of planned work: its
//! policy should name a higher speed. Not more than the caps allow are cut then.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::bytes::Bytes;
use crate::detector::{Detector, Snapshot, device_changed, device_is_handset, device_not_allowed};
use crate::evidence::Usual;
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::SpikeAct;
use crate::state::Burst;
use crate::time::Hour;
use crate::usage::SimUsage;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::Strike, assess };

/// In kilobits a second over a whole update window: LTE-M in half duplex carries 300 down (3GPP release
/// 13), NB-IoT less, and a stream of video hardly falls below it. Policy may name another for modems
/// that carry more.
pub const FASTER_THAN_KBPS: u32 = 340;

/// Bytes in an hour, of which two such hours are a strike.
pub const HOUR_BYTES: Bytes = Bytes(20 * Bytes::MB);

/// Hours between the begins of the two: an update, or the work of a technician, is over by then.
pub const HOURS_APART: u32 = 4;

/// Bytes in a device that does not belong to the SIM, if some of them came too fast.
pub const DEVICE_BYTES: Bytes = Bytes(25 * Bytes::MB);

/// A device is strange for so long; whoever let it be until then knows it.
const DEVICE_IS_NEW: SignedDuration = SignedDuration::from_hours(72);

/// In standard deviations above the usual of an active hour: a SIM that carries as much every day, as
/// a camera does, is none that was robbed.
const DEVIATION_MIN: f64 = 5.0;

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    if snapshot.rules.strike.act == SpikeAct::Off {
        return Vec::new();
    }
    let fast = fast_bursts(snapshot);
    let mut found = in_strange_device(snapshot, &fast);
    let past = snapshot.usage.map(SimUsage::baseline);
    if let Some(usual) = past.and_then(Usual::of_past) {
        found.extend(in_windows(&fast, &usual));
        found.extend(in_hours(snapshot, &usual));
    }
    // One hour may be a strike in more ways than one.
    let mut told = BTreeSet::new();
    found.retain(|finding| told.insert(finding.about.clone()));
    found
}

/// The windows that no sensor's modem carries, none of which overlap.
fn fast_bursts(snapshot: &Snapshot<'_>) -> Vec<Burst> {
    let (rules, restored_at) = (snapshot.rules, snapshot.control.restored_at);
    let is_fast = |burst: &&Burst| {
        Some(burst.from()) >= restored_at
            && burst.is_faster_than(rules.strike.faster_than_kbps)
            && !rules.is_planned(burst.from(), burst.to())
    };
    let mut fast: Vec<Burst> = Vec::new();
    for burst in snapshot.state.bursts().iter().filter(is_fast) {
        if fast.last().is_none_or(|before| before.to() <= burst.from()) {
            fast.push(*burst);
        }
    }
    fast
}

/// Two windows; of each hour that ends more of them, one finding.
fn in_windows(fast: &[Burst], usual: &Usual) -> Vec<Finding> {
    let is_strange = |burst: &&Burst| usual.deviation(burst.bytes()) > DEVIATION_MIN;
    let strange: Vec<&Burst> = fast.iter().filter(is_strange).collect();
    let mut found = Vec::new();
    let Some((first, later)) = strange.split_first() else { return found };
    let mut seen = first.bytes();
    for burst in later {
        seen = seen.plus(burst.bytes());
        found.push(Finding {
            detector: DetectorId::Strike,
            about: Hour::of(burst.from()).to_string(),
            at: burst.to(),
            evidence: Evidence::Strike {
                seen,
                usual: Some(usual.expected()),
                device: None,
                from: first.from(),
                to: burst.to(),
            },
        });
    }
    found
}

/// Two hours far apart, by usage records or by events.
fn in_hours(snapshot: &Snapshot<'_>, usual: &Usual) -> Vec<Finding> {
    let Some(usage) = snapshot.usage else { return Vec::new() };
    let (rules, now) = (snapshot.rules, snapshot.now());
    let least = rules.strike.hour_bytes;
    let recorded = usage.hours().filter(|(_, bytes)| *bytes > least).map(|(hour, _)| hour);
    let mut hours: BTreeSet<Hour> = recorded.collect();
    if snapshot.state.bytes_at_most() > least {
        hours.extend(snapshot.state.hours());
    }
    let strange = hours.into_iter().filter_map(|hour| {
        let seen = bytes_of(snapshot, usage, hour);
        let is_strange = seen > least && usual.deviation(seen) > DEVIATION_MIN;
        (is_strange && !rules.is_planned(hour.start(), hour.end())).then_some((hour, seen))
    });
    let strange: Vec<(Hour, Bytes)> = strange.collect();
    let Some((first, _)) = strange.first().copied() else { return Vec::new() };
    let later = strange.iter().filter(|(hour, _)| first.hours_until(*hour) >= HOURS_APART);
    let finding = |(hour, _): &(Hour, Bytes)| {
        let until = strange.iter().filter(|(other, _)| other <= hour);
        Finding {
            detector: DetectorId::Strike,
            about: hour.to_string(),
            at: hour.end().min(now),
            evidence: Evidence::Strike {
                seen: until.map(|(_, bytes)| *bytes).sum(),
                usual: Some(usual.expected()),
                device: None,
                from: first.start(),
                to: hour.end().min(now),
            },
        }
    };
    later.map(finding).collect()
}

/// What was used in an hour, after a human restored the SIM.
fn bytes_of(snapshot: &Snapshot<'_>, usage: &SimUsage, hour: Hour) -> Bytes {
    let hours = hour..hour.after();
    match snapshot.control.restored_at {
        None => snapshot.state.bytes_in(&hours).max(usage.bytes_in(hour)),
        Some(restored_at) => {
            let shown = snapshot.state.bytes_after(restored_at, &hours);
            if hour.start() >= restored_at { shown.max(usage.bytes_in(hour)) } else { shown }
        }
    }
}

/// Much, and some of it too fast, in a device that does not belong to the SIM.
fn in_strange_device(snapshot: &Snapshot<'_>, fast: &[Burst]) -> Vec<Finding> {
    let (Some(last), state) = (fast.last(), snapshot.state) else { return Vec::new() };
    let detectors =
        [device_not_allowed::DETECTOR, device_is_handset::DETECTOR, device_changed::DETECTOR];
    let devices = detectors.iter().flat_map(|detector| (detector.assess)(snapshot));
    let new_from = snapshot.now().saturating_sub(DEVICE_IS_NEW).unwrap_or(Timestamp::MIN);
    let mut found = Vec::new();
    for (device, at) in devices.filter_map(|found| found.device().map(|device| (device, found.at)))
    {
        if at < new_from || snapshot.control.allowed_devices.contains(&device) {
            continue;
        }
        // Its first event may have lacked the device.
        let opened = state.sessions_of(device).map(|session| session.start()).min();
        let came = opened.map_or(at, |opened| opened.min(at));
        let since = snapshot.control.restored_at.map_or(came, |restored_at| restored_at.max(came));
        let hours = Hour::of(since)..Hour::of(snapshot.now()).after();
        let seen = state.bytes_after(since, &hours);
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

#[cfg(test)]
mod tests;
