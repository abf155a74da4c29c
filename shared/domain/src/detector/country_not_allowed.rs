//! The SIM was seen in a country outside the policy's list.
//!
//! Catches a SIM that left the country. Fooled near a border, where a foreign mast may be the
//! nearer one: declare both countries there. Silent without a list.

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::CountryNotAllowed, assess };

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let allowed = &snapshot.rules.countries;
    if allowed.is_empty() {
        return Vec::new();
    }
    let visited = snapshot.state.recent_countries();
    let foreign = visited.filter(|visited| !allowed.contains(&visited.country));
    foreign
        .map(|visited| Finding {
            detector: DetectorId::CountryNotAllowed,
            about: visited.country.to_string(),
            at: visited.first(),
            evidence: Evidence::Country { seen: visited.country, allowed: allowed.clone() },
        })
        .collect()
}
