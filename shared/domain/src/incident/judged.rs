//! What a human knows who was told, and what one judges who makes a SIM active again.

use std::collections::BTreeSet;

use super::Incident;
use super::decide::{Look, assess};
use crate::device::Imei14;
use crate::finding::{DetectorId, Evidence, Finding, Sign};

/// Keys that earlier restores judged, and that are kept. A SIM with as many devices, countries and
/// places has none of its own.
const JUDGED_BEFORE_MAX: usize = 200;

/// Detectors whose claims do not pass by themselves: a device, country, network or place that was
/// judged once stays judged, and so does that a SIM cannot attach, or loads, or is none like its
/// fleet's. A window of time is soon over, and a session is soon closed.
const LASTING: [&str; 8] = [
    "device_",
    "country_",
    "network_",
    "geofence_left#",
    "impossible_travel#",
    "attach_storm#",
    "download_heavy#",
    "strike#",
];

/// Keys of all that is or was found of the SIM.
#[must_use]
pub fn judged_keys(look: &Look<'_>, incident: &Incident) -> BTreeSet<String> {
    let mut unjudged = look.case.clone();
    unjudged.desired.0.judged.clear();
    let (_, current) = assess(&Look { case: &unjudged, ..*look }, incident.fleet);
    // That it loads is judged by who was shown it: each update is one on record.
    let is_shown = |key: &String| !key.starts_with("download_heavy#");
    let stored = look.case.findings.keys().filter(|key| is_shown(key)).cloned();
    let current = current.into_keys().filter(is_shown);
    let known = incident.findings.iter().flat_map(keys_of);
    let is_lasting = |key: &&String| LASTING.iter().any(|detector| key.starts_with(detector));
    let before = look.case.desired.0.judged.iter().filter(is_lasting);
    let before = before.take(JUDGED_BEFORE_MAX).cloned();
    stored.chain(known).chain(current).chain(before).collect()
}

/// The finding's key, and those of what is counted in it.
fn keys_of(finding: &Finding) -> Vec<String> {
    let mut keys = vec![finding.key()];
    if let Evidence::Unusual { signs, .. } = &finding.evidence {
        keys.extend(signs.iter().map(Sign::key));
    }
    keys
}

/// What a human who was told of a finding knows: each device is another matter, and so is traffic of
/// two at once; one more window over the same limit is not.
#[must_use]
pub fn told_as(finding: &Finding) -> (DetectorId, Option<Imei14>, bool) {
    let at_once = matches!(finding.evidence, Evidence::Devices { at_once: true, .. });
    (finding.detector, finding.device(), at_once)
}
