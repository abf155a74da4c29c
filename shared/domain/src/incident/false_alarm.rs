//! A human judges that what was found of a SIM was no theft: a false alarm.
//!
//! It does what a restore does, where SimFuse switched the SIM off or moved it, and one thing more:
//! the devices that the incident was about are allowed for this SIM for good. A restore judges what
//! was found, by its keys; a device that is allowed is no evidence any more, whichever detector finds
//! it, in whatever window, beside whichever other device.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Desired, Incident, Stage, quarantine};
use crate::detector::usage_spike::is_begin_judged;
use crate::device::Imei14;
use crate::finding::{DetectorId, Evidence, Finding, Sign};
use crate::port::{Case, Sim, SimStatus, TargetStatus};

/// Devices allowed for one SIM, at most. A SIM that moves between more has no device of its own:
/// policy's `allowed_tacs`, or `binding = "off"`, is for such. None is dropped to make room, since
/// the SIM might be cut for it then.
pub const ALLOWED_DEVICES_MAX: usize = 32;

/// Past incidents looked at: restores that found nothing may lie between an alarm and its
/// judgement.
pub const PAST_LOOKED_AT_MAX: usize = 10;

/// What a false alarm means for a SIM as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FalseAlarm<'a> {
    /// There is no incident that could be judged.
    NoIncident,
    /// A human said so before, then.
    Already(Timestamp),
    /// SimFuse has nothing to undo: this incident is filed as judged, and the SIM stays as it is.
    File(&'a Incident),
    /// The SIM was restored and is being watched: its incident goes on, and is about what this one
    /// found.
    Mark(&'a Incident),
    /// The SIM is made active, and this is the incident that is judged by it.
    Restore(&'a Incident),
}

/// What it means that a human calls the SIM's latest incident a false alarm. `past` are its
/// incidents that are over, the latest first.
#[must_use]
pub fn false_alarm<'a>(case: &'a Case, past: &'a [Incident], sim: &Sim) -> FalseAlarm<'a> {
    let desired = &case.desired.0;
    let open = case.incident.as_ref().map(|(incident, _)| incident);
    let Some(judged) = open.into_iter().chain(past).find(|incident| !is_bare_restore(incident))
    else {
        return FalseAlarm::NoIncident;
    };
    let is_running = matches!(sim.status, SimStatus::Active | SimStatus::Ready)
        && quarantine::next_step_back(desired, sim).is_none();
    let watched = open.filter(|open| is_restore(open));
    match (watched, judged.false_alarm_at) {
        (Some(_), _) if !is_running => FalseAlarm::Restore(judged),
        (_, Some(at)) => FalseAlarm::Already(at),
        (Some(_), None) => FalseAlarm::Mark(judged),
        (None, None) if is_ours(judged, open, desired) => FalseAlarm::Restore(judged),
        (None, None) => FalseAlarm::File(judged),
    }
}

const fn is_restore(incident: &Incident) -> bool {
    matches!(incident.stage, Stage::Restoring | Stage::Restored)
}

/// A restore of a SIM whose incident was over before: what is judged is the one before.
fn is_bare_restore(incident: &Incident) -> bool {
    is_restore(incident) && incident.findings.is_empty() && incident.false_alarm_at.is_none()
}

/// Whether the SIM is off, or in quarantine, because of this incident, and should be; or is kept off
/// by it for a while, whoever switched it off.
fn is_ours(incident: &Incident, open: Option<&Incident>, desired: &Desired) -> bool {
    let should_be_off = desired.status == Some(TargetStatus::Inactive);
    let is_switched = incident.sent_at.is_some() && (should_be_off || desired.quarantine.is_some());
    is_switched || open.is_some_and(|open| open.frozen_until.is_some())
}

impl Incident {
    /// The devices that its findings are about.
    #[must_use]
    pub fn devices(&self) -> BTreeSet<Imei14> {
        self.findings.iter().filter_map(Finding::device).collect()
    }
}

impl Desired {
    /// Whether a finding says nothing against the SIM: a human judged it, or allowed its device.
    #[must_use]
    pub fn is_settled(&self, finding: &Finding) -> bool {
        // What two devices show, the detector has looked at with those that are allowed in mind.
        let is_of_two = matches!(finding.evidence, Evidence::Devices { .. });
        let device = finding.device().filter(|_| !is_of_two);
        self.judged.iter().any(|key| finding.is_about(key))
            || device.is_some_and(|device| self.allowed_devices.contains(&device))
            || self.is_settled_in_part(finding)
    }

    /// Whether usage evidence rests on a sign that says nothing against the SIM, or on hours before a
    /// restore. Whoever added the sign did not know of that; who does adds up anew.
    fn is_settled_in_part(&self, finding: &Finding) -> bool {
        let Evidence::Unusual { from, signs, .. } = &finding.evidence else { return false };
        let since = finding.about.split('/').next().unwrap_or_default();
        let is_judged = is_begin_judged(since, &self.judged);
        let is_settled = |sign: &Sign| {
            Some(sign.at) < self.restored_at
                || sign.is_among(&self.judged)
                || sign.device.is_some_and(|device| self.allowed_devices.contains(&device))
        };
        let is_before = Some(*from) < self.restored_at;
        !signs.is_empty() && (is_judged || is_before || signs.iter().any(is_settled))
    }

    /// Whether a human judged what the SIM uses, over time or at once in its own device: that is learnt
    /// anew then, and until it is known, its fleet's is no measure of it.
    #[must_use]
    pub fn has_usage_of_its_own(&self) -> bool {
        let of_usage = [DetectorId::UsageSpike, DetectorId::SlowLeak].map(|id| format!("{id}#"));
        let of_strikes = format!("{}#", DetectorId::Strike);
        self.judged.iter().any(|key| {
            let is_in_own_device = key.starts_with(&of_strikes) && !key.contains('/');
            is_in_own_device || of_usage.iter().any(|detector| key.starts_with(detector))
        })
    }

    /// The allowed devices and these; `None` when they are more than [`ALLOWED_DEVICES_MAX`]
    /// together.
    #[must_use]
    pub fn allowed_with(&self, devices: &BTreeSet<Imei14>) -> Option<BTreeSet<Imei14>> {
        let all: BTreeSet<Imei14> = self.allowed_devices.union(devices).copied().collect();
        (all.len() <= ALLOWED_DEVICES_MAX).then_some(all)
    }

    /// What should be with these devices allowed. What was judged about them is forgotten: should a
    /// human kill the SIM and allow them no more, they count again.
    #[must_use]
    pub fn allowing(mut self, devices: BTreeSet<Imei14>) -> Self {
        for device in &devices {
            for detector in [
                DetectorId::DeviceNotAllowed,
                DetectorId::DeviceChanged,
                DetectorId::DeviceIsHandset,
            ] {
                self.judged.remove(&format!("{detector}#{device}"));
            }
        }
        self.allowed_devices = devices;
        self
    }
}
