//! Usage that no sensor of its kind can have: once may be a fault, twice is a thief.
//!
//! Catches whoever streams, tethers or downloads, in whichever device, two update windows after the
//! first byte: [`FASTER_THAN_KBPS`] is more than the modem of a sensor carries, and two windows of that
//! speed are no glitch of a counter. In a device that does not belong to the SIM one such window is
//! enough. Where events are lost, usage records show it later: two hours, each of more than its modem
//! carries in one.
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

/// Bytes in a device that does not belong to the SIM, if some of them came too fast.
pub const DEVICE_BYTES: Bytes = Bytes(25 * Bytes::MB);

/// A device is strange for so long; whoever let it be until then knows it.
const DEVICE_IS_NEW: SignedDuration = SignedDuration::from_hours(72);

/// In standard deviations above the usual of an active hour: a SIM that carries as much every day, as
/// a camera does, is none that was robbed.
const DEVIATION_MIN: f64 = 3.0;

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

/// Two update windows.
fn in_windows(fast: &[Burst], usual: &Usual) -> Vec<Finding> {
    let strange = fast.iter().filter(|burst| usual.deviation(burst.bytes()) > DEVIATION_MIN);
    twice(strange.map(|burst| (burst.from(), burst.to(), burst.bytes())), usual)
}

/// Two hours of usage records, for where events are lost.
fn in_hours(snapshot: &Snapshot<'_>, usual: &Usual) -> Vec<Finding> {
    let (rules, restored_at) = (snapshot.rules, snapshot.control.restored_at);
    let carried = carried_in_an_hour(rules.strike.faster_than_kbps);
    let is_strange = |(hour, bytes): &(Hour, Bytes)| {
        *bytes > carried
            && usual.deviation(*bytes) > DEVIATION_MIN
            && Some(hour.start()) >= restored_at
            && !rules.is_planned(hour.start(), hour.end())
    };
    let hours = snapshot.usage.iter().flat_map(|usage| usage.hours());
    let strange = hours.filter(is_strange).map(|(hour, bytes)| (hour.start(), hour.end(), bytes));
    twice(strange, usual)
}

fn carried_in_an_hour(kbps: u32) -> Bytes {
    // A kilobit a second is 450 kB an hour.
    Bytes(u64::from(kbps).saturating_mul(450_000))
}

/// From the second on, what each of these adds: when it began, when it was over, and its bytes.
fn twice(
    strange: impl Iterator<Item = (Timestamp, Timestamp, Bytes)>,
    usual: &Usual,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut before: Option<(Timestamp, Bytes)> = None;
    for (from, to, bytes) in strange {
        let (first, seen) = before.map_or((from, bytes), |(first, sum)| (first, sum.plus(bytes)));
        if before.is_some() {
            found.push(Finding {
                detector: DetectorId::Strike,
                about: Hour::of(from).to_string(),
                at: to,
                evidence: Evidence::Strike {
                    seen,
                    usual: Some(usual.expected()),
                    device: None,
                    from: first,
                    to,
                },
            });
        }
        before = Some((first, seen));
    }
    found
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
