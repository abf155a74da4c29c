//! After a restore nothing that is alike cuts the SIM for a while.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Desired;
use super::decide::later;
use crate::finding::{DetectorId, Finding};
use crate::policy::Rules;

/// Whether a SIM was restored so lately that what is found now waits for a human.
#[must_use]
pub fn is_cooling(desired: &Desired, rules: &Rules, now: Timestamp, news: &[&Finding]) -> bool {
    desired.restored_at.is_some_and(|restored_at| {
        later(restored_at, rules.guards.cooldown) > now
            && !news.iter().any(|finding| is_new_kind(finding, &desired.judged))
    })
}

/// Whether a human who restored the SIM has not yet seen such a finding: a device or country that
/// was not judged, a limit or unusual usage of which none was, or that it left its area, of which
/// nothing was.
fn is_new_kind(finding: &Finding, judged: &BTreeSet<String>) -> bool {
    match finding.detector {
        DetectorId::Strike => {
            // In another device than the one that was judged it is news.
            let device = finding.device().map_or_else(String::new, |device| device.to_string());
            let alike = format!("{}#{device}", finding.detector);
            !judged.iter().any(|key| key.starts_with(&alike))
        }
        DetectorId::SessionLimit
        | DetectorId::HourLimit
        | DetectorId::DayLimit
        | DetectorId::PeriodLimit
        | DetectorId::UsageSpike
        | DetectorId::SlowLeak
        | DetectorId::GeofenceLeft => {
            let detector = format!("{}#", finding.detector);
            !judged.iter().any(|key| key.starts_with(&detector))
        }
        // What never asks for an act must not set free what a human judged.
        DetectorId::CountryNew
        | DetectorId::NetworkNew
        | DetectorId::AttachStorm
        | DetectorId::DownloadHeavy => false,
        DetectorId::DeviceNotAllowed
        | DetectorId::DeviceChanged
        | DetectorId::DeviceIsHandset
        | DetectorId::DeviceFlipFlop
        | DetectorId::CountryNotAllowed
        | DetectorId::ImpossibleTravel
        | DetectorId::AliveAfterKill
        | DetectorId::Degraded
        | DetectorId::BytesUnseen
        | DetectorId::ActiveAfterKill
        | DetectorId::InactiveUsesData
        | DetectorId::Silent
        | DetectorId::LimitDrift
        | DetectorId::CohortSurge
        | DetectorId::UpdatesMissing
        | DetectorId::NoEvents => !judged.contains(&finding.key()),
    }
}
