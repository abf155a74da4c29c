//! What else speaks against a SIM, where a claim counts it in.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DetectorId, Finding};
use crate::device::Imei14;

/// What another detector found, where a claim rests on that as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// Who found it.
    pub detector: DetectorId,
    /// What it is about.
    pub about: String,
    /// When it became true.
    pub at: Timestamp,
    /// The device that it holds against the SIM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Imei14>,
}

impl Sign {
    /// The finding as a sign.
    #[must_use]
    pub fn of(found: &Finding) -> Self {
        let Finding { detector, about, at, evidence: _ } = found;
        Self { detector: *detector, about: about.clone(), at: *at, device: found.device() }
    }

    /// The finding's key.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}#{}", self.detector, self.about)
    }

    /// Whether one of the keys is the finding's, or is about the same.
    #[must_use]
    pub fn is_among(&self, keys: &BTreeSet<String>) -> bool {
        let of_detector = format!("{}#", self.detector);
        let is_it = |key: &String| {
            key.strip_prefix(&of_detector)
                .is_some_and(|about| about == self.about || self.detector.is_of_any_day())
        };
        keys.iter().any(is_it)
    }

    /// What tells it from every other sign, as far as that stays the same while it lasts: a day and a
    /// square of the map do not.
    #[must_use]
    pub fn name(&self) -> String {
        let changes = [DetectorId::DownloadHeavy, DetectorId::ImpossibleTravel];
        if changes.contains(&self.detector) {
            self.detector.to_string()
        } else {
            format!("{}:{}", self.detector, self.about)
        }
    }
}
