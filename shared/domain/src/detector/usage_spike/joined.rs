//! Usage evidence of closed hours, and what events show beside it: hours that are not closed yet, and
//! what else speaks against the SIM at the same time.
//!
//! The evidence of closed hours is stored; the sum is looked at by whoever sees events beside it, the
//! webhook and the kill-switch, and is not kept. Open hours add what they will add when they are closed,
//! some four hours later, as far as the fleet's latest closed hour says what they are worth
//! ([`ahead`]). A strange device proves little, and so do some strange hours; both together are no
//! chance.
//!
//! Catches some four hours sooner whoever uses much hour after hour, and in half the time whoever
//! changed the device and uses little. Signs weigh no more than usage itself does: a technician's phone
//! is a strange device that loads, for an hour or two. Misses a SIM whose usage is as usual.
//!
//! Accused wrongly is a SIM that was given another device, or another place, *and* a use of its own at
//! the same time: a human who restores it or calls it a false alarm has judged both.
//!
//! A weight is the natural logarithm of how much likelier the sign is of a SIM that was stolen, in the
//! days around, than of a healthy one. One cause counts once: of devices only the one that weighs most,
//! and of places. What is missing weighs nothing: a thief may well keep device and network.

use std::cmp::Ordering;
use std::slice;

use jiff::{SignedDuration, Timestamp};

use super::{Claim, is_spike_judged, level_with};
use crate::detector::{
    Detector, Snapshot, country_new, device_changed, device_flip_flop, device_is_handset,
    device_not_allowed, download_heavy, impossible_travel, network_new,
};
use crate::evidence::{Ledger, Level, Shown, ahead};
use crate::finding::{DetectorId, Evidence, Finding, Sign};
use crate::time::Hour;
use crate::usage::SimUsage;

pub(in crate::detector) const DETECTOR: Detector = Detector { id: DetectorId::UsageSpike, assess };

/// Open hours and signs are added to more evidence of usage than this, in nats: as much as makes what is
/// usual stand still. Signs alone must not cut a SIM (a redeployed sensor is a new device in a new place),
/// nor hours of which the peers are not known yet; and few SIMs have their fleet asked.
const OWN_LOG_EVIDENCE_MIN: f64 = 5.0;

/// A model that the SIM was never in: one in two thieves puts it into a device of their own, of healthy
/// SIMs one in a thousand is repaired with another model around a strange hour.
const DEVICE_NOT_ALLOWED: f64 = 6.2;

/// Another device of the same model: mostly a repair.
const DEVICE_CHANGED: f64 = 3.9;

/// A phone or tablet: hardly ever a repair.
const DEVICE_IS_HANDSET: f64 = 9.2;

/// Two devices in turn or at once: a repair does not go back.
const DEVICE_FLIP_FLOP: f64 = 8.5;

/// A country that is new, in the same part of the world: near a border it happens.
const COUNTRY_NEW: f64 = 4.6;

/// One in another part of the world.
const COUNTRY_NEW_FAR: f64 = 6.9;

/// A network that is new: carriers steer.
const NETWORK_NEW: f64 = 2.3;

/// Two places at once.
const IMPOSSIBLE_TRAVEL: f64 = 8.5;

/// A SIM that sends loads: else only an update does, which peers have as well.
const DOWNLOAD_HEAVY: f64 = 4.6;

/// What began so long before the evidence did is part of the same episode …
const BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// … and what came so long after its latest hour: a SIM that wakes once a day is judged two days later,
/// and what it did before it slept for weeks is another matter.
const AFTER: SignedDuration = SignedDuration::from_hours(72);

/// Whether there is so much evidence of usage that what events show is added.
#[must_use]
pub fn is_accused(usage: &SimUsage) -> bool {
    usage.standing().wallet().log_evidence() > OWN_LOG_EVIDENCE_MIN
}

/// A sign, and what it weighs.
struct Weighed {
    nats: f64,
    sign: Sign,
}

impl Weighed {
    /// Which of two that weigh the same came first.
    fn earlier(&self, other: &Self) -> Ordering {
        (self.sign.at, &self.sign.about).cmp(&(other.sign.at, &other.sign.about))
    }
}

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    // As nearly always.
    let Some(usage) = snapshot.usage.filter(|usage| is_accused(usage)) else {
        return Vec::new();
    };
    joined(snapshot, usage).unwrap_or_default()
}

/// What closed hours show with signs, and open hours without and with them, each where that is more
/// than is shown otherwise.
fn joined(snapshot: &Snapshot<'_>, usage: &SimUsage) -> Option<Vec<Finding>> {
    let closed = usage.standing().ledger();
    let (since, last) = (closed.since()?, closed.judged()?.hour);
    let restored_at = snapshot.control.restored_at;
    // A human who restored the SIM knew of evidence that was there before, and so did who judged it.
    let is_judged = snapshot.control.judged.is_some_and(|judged| is_spike_judged(usage, judged));
    if is_judged || Some(since.start()) < restored_at {
        return None;
    }
    let level_of =
        |ledger: &Ledger, added: f64| level_with(ledger, usage.baseline(), snapshot.rules, added);
    // What closed hours alone show, the aggregator finds.
    let known = level_of(closed, 0.0);
    let open = open(snapshot, usage);
    let signs = signs(snapshot, since, last);
    let weight: f64 = signs.iter().map(|weighed| weighed.nats).sum();
    let signs: Vec<Sign> = signs.into_iter().map(|weighed| weighed.sign).collect();
    let with_signs = most(slice::from_ref(closed), weight, known, level_of);
    let alone = most(&open, 0.0, known, level_of);
    let above = [&with_signs, &alone].into_iter().flatten().map(|(_, level, _)| Some(*level));
    let both = most(&open, weight, above.fold(known, Option::max), level_of);
    let claim = |(ledger, level, added): (Ledger, Level, f64), signs: &[Sign], is_open| {
        Claim { ledger, level, added, signs: signs.to_vec(), is_open }.finding()
    };
    let found = [
        with_signs.and_then(|most| claim(most, &signs, false)),
        alone.and_then(|most| claim(most, &[], true)),
        both.and_then(|most| claim(most, &signs, true)),
    ];
    // An open hour may not be over.
    let until_now = |found: Finding| Finding { at: found.at.min(snapshot.now()), ..found };
    Some(found.into_iter().flatten().map(until_now).collect())
}

/// The first that shows most, where that is above this level, with at most so much added.
fn most(
    ledgers: &[Ledger],
    weight: f64,
    above: Option<Level>,
    level_of: impl Fn(&Ledger, f64) -> Option<Level>,
) -> Option<(Ledger, Level, f64)> {
    let (mut most, mut found) = (above, None);
    for ledger in ledgers {
        let added = weight.min(ledger.wallet().log_evidence());
        let level = level_of(ledger, added);
        if let Some(reached) = level.filter(|_| level > most) {
            (most, found) = (level, Some((*ledger, reached, added)));
        }
    }
    found
}

/// What is held against the SIM after each of its open hours, as far as its fleet says what they are
/// worth.
fn open(snapshot: &Snapshot<'_>, usage: &SimUsage) -> Vec<Ledger> {
    let (state, rules) = (snapshot.state, snapshot.rules);
    // What is closed elsewhere lets go of what the old peers say.
    let moved = matches!((state.fleet(), usage.fleet()), (Some(is), Some(was)) if is != was);
    let Some(cohort) = snapshot.fleet.filter(|_| !moved) else { return Vec::new() };
    let shown = |hour: Hour| {
        if rules.is_planned(hour.start(), hour.end()) {
            return Shown::Planned;
        }
        let hours = hour..hour.after();
        Shown::Used(state.bytes_in(&hours).max(usage.bytes_in(hour)))
    };
    ahead(usage, cohort, shown, Hour::of(snapshot.now()))
}

/// What else speaks against the SIM in the days around its evidence: of each cause what weighs most.
fn signs(snapshot: &Snapshot<'_>, since: Hour, last: Hour) -> Vec<Weighed> {
    let from = since.start().saturating_sub(BEFORE).unwrap_or(Timestamp::MIN);
    let restored_at = snapshot.control.restored_at;
    let from = restored_at.map_or(from, |restored_at| restored_at.max(from));
    let to = last.end().saturating_add(AFTER).unwrap_or(Timestamp::MAX);
    let kinds = [devices(snapshot), places(snapshot, from), downloads(snapshot)];
    let judged = snapshot.control.judged;
    let is_of_it = |Weighed { sign, .. }: &Weighed| {
        from <= sign.at
            && sign.at <= to
            && !snapshot.rules.is_planned(sign.at, sign.at)
            && !judged.is_some_and(|judged| sign.is_among(judged))
    };
    let signs = kinds.into_iter().filter_map(|kind| {
        let of_it = kind.into_iter().filter(is_of_it);
        of_it.max_by(|one, other| one.nats.total_cmp(&other.nats).then(other.earlier(one)))
    });
    signs.collect()
}

/// What is found of devices, without those that a human allowed.
fn devices(snapshot: &Snapshot<'_>) -> Vec<Weighed> {
    let changed = (device_changed::DETECTOR.assess)(snapshot);
    let mut strange = (device_not_allowed::DETECTOR.assess)(snapshot);
    // Of a model that the SIM is known in it is a change, and no more.
    strange.retain(|found| !changed.iter().any(|changed| changed.device() == found.device()));
    let handsets = (device_is_handset::DETECTOR.assess)(snapshot);
    let in_turn = (device_flip_flop::DETECTOR.assess)(snapshot);
    let mut all = weighed(DEVICE_CHANGED, changed);
    all.extend(weighed(DEVICE_NOT_ALLOWED, strange));
    all.extend(weighed(DEVICE_IS_HANDSET, handsets));
    all.extend(weighed(DEVICE_FLIP_FLOP, in_turn));
    let allowed = snapshot.control.allowed_devices;
    all.retain(|other| !other.sign.device.is_some_and(|device| allowed.contains(&device)));
    all
}

/// What is found of places; countries and networks also where they were new before the horizon.
fn places(snapshot: &Snapshot<'_>, from: Timestamp) -> Vec<Weighed> {
    let networks = network_new::found_since(snapshot, from);
    let country = if is_far(&networks) { COUNTRY_NEW_FAR } else { COUNTRY_NEW };
    let mut all = weighed(NETWORK_NEW, networks);
    all.extend(weighed(country, country_new::found_since(snapshot, from)));
    let mut travels = (impossible_travel::DETECTOR.assess)(snapshot);
    // A place that was judged stays judged, whichever of its masts it was.
    let judged = snapshot.control.judged;
    travels.retain(|found| !judged.is_some_and(|keys| keys.iter().any(|key| found.is_about(key))));
    all.extend(weighed(IMPOSSIBLE_TRAVEL, travels));
    all
}

fn downloads(snapshot: &Snapshot<'_>) -> Vec<Weighed> {
    weighed(DOWNLOAD_HEAVY, (download_heavy::DETECTOR.assess)(snapshot))
}

fn weighed(nats: f64, found: Vec<Finding>) -> Vec<Weighed> {
    found.iter().map(|found| Weighed { nats, sign: Sign::of(found) }).collect()
}

/// Whether a network is new that is in another part of the world than all before.
fn is_far(networks: &[Finding]) -> bool {
    networks.iter().any(|found| {
        let Evidence::NewNetwork { seen, known } = &found.evidence else { return false };
        known.iter().all(|known| known.0.zone() != seen.0.zone())
    })
}

#[cfg(test)]
mod tests;
