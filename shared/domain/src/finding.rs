//! One detector's claim about one window or value of one SIM.

mod sign;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::detector::strike::FASTER_THAN_KBPS;
use crate::device::{Imei14, Tac};
use crate::evidence::Level;
use crate::id::SessionSid;
use crate::network::{Country, NamedPlmn};
use crate::number::grouped;
use crate::place::{Point, SAME_PLACE_KM, Square};
use crate::port::SimStatus;
use crate::time::Hour;

pub use sign::Sign;

/// Which detector made a claim. Ids are never renamed: findings, audit and runbook refer to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectorId {
    /// The device is neither enrolled for the SIM nor declared in policy.
    DeviceNotAllowed,
    /// Another device of the same model as the one enrolled.
    DeviceChanged,
    /// A model of phone or tablet, which policy names.
    DeviceIsHandset,
    /// Two devices in turn, or at once: a cloned SIM.
    DeviceFlipFlop,
    /// A country outside the policy's list.
    CountryNotAllowed,
    /// A country in which the SIM was not seen before.
    CountryNew,
    /// A network that did not serve the SIM before.
    NetworkNew,
    /// Attachments and sessions that fail over and over.
    AttachStorm,
    /// Far more is loaded than sent, by a SIM that sends.
    DownloadHeavy,
    /// Cells outside the policy's area.
    GeofenceLeft,
    /// Two places in less time than any vehicle needs between them.
    ImpossibleTravel,
    /// A session's bytes over the policy's limit.
    SessionLimit,
    /// An hour's bytes over the policy's limit.
    HourLimit,
    /// A day's bytes over the policy's limit.
    DayLimit,
    /// A period's bytes over the policy's limit.
    PeriodLimit,
    /// Usage that no sensor of its kind can have.
    Strike,
    /// Usage that is unusual for the SIM and for its peers.
    UsageSpike,
    /// Days that are unusual for the SIM and for its peers.
    SlowLeak,
    /// Traffic that began after the SIM was inactive.
    AliveAfterKill,
    /// SimFuse itself failed on this SIM: a human must look.
    Degraded,
    /// Usage records hold far more than events showed.
    BytesUnseen,
    /// A SIM that we deactivated is active.
    ActiveAfterKill,
    /// A SIM that is inactive has usage records.
    InactiveUsesData,
    /// A SIM that fell silent for longer than it ever did.
    Silent,
    /// A Fleet's own data limit is missing, changed, or above policy. Of a fleet, not of a SIM.
    LimitDrift,
    /// More SIMs of a fleet than ever are unusual at once. Of a fleet, not of a SIM.
    CohortSurge,
    /// Sessions end without any update: the subscription lacks them. Of the account.
    UpdatesMissing,
    /// No event came for longer than ever before. Of the account.
    NoEvents,
}

impl DetectorId {
    /// Whether a policy may act on what it finds; what it finds is else only told or watched.
    #[must_use]
    pub const fn may_act(self) -> bool {
        matches!(
            self,
            Self::DeviceNotAllowed
                | Self::DeviceIsHandset
                | Self::CountryNotAllowed
                | Self::GeofenceLeft
                | Self::SessionLimit
                | Self::HourLimit
                | Self::DayLimit
                | Self::PeriodLimit
                | Self::Strike
                | Self::UsageSpike
                | Self::AliveAfterKill
        )
    }

    /// Whether what it found is one matter whatever the day: that a SIM cannot attach, or loads.
    const fn is_of_any_day(self) -> bool {
        matches!(self, Self::AttachStorm | Self::DownloadHeavy)
    }

    /// Whether what it found rests on more than a case shows, so that it stands until a human
    /// judged it and is not found anew.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        matches!(
            self,
            Self::UsageSpike
                | Self::SlowLeak
                | Self::Degraded
                | Self::BytesUnseen
                | Self::ActiveAfterKill
                | Self::InactiveUsesData
                | Self::Silent
        )
    }
}

impl fmt::Display for DetectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeviceNotAllowed => "device_not_allowed",
            Self::DeviceChanged => "device_changed",
            Self::DeviceIsHandset => "device_is_handset",
            Self::DeviceFlipFlop => "device_flip_flop",
            Self::CountryNotAllowed => "country_not_allowed",
            Self::CountryNew => "country_new",
            Self::NetworkNew => "network_new",
            Self::AttachStorm => "attach_storm",
            Self::DownloadHeavy => "download_heavy",
            Self::GeofenceLeft => "geofence_left",
            Self::ImpossibleTravel => "impossible_travel",
            Self::SessionLimit => "session_limit",
            Self::HourLimit => "hour_limit",
            Self::DayLimit => "day_limit",
            Self::PeriodLimit => "period_limit",
            Self::Strike => "strike",
            Self::UsageSpike => "usage_spike",
            Self::SlowLeak => "slow_leak",
            Self::AliveAfterKill => "alive_after_kill",
            Self::Degraded => "degraded",
            Self::BytesUnseen => "bytes_unseen",
            Self::ActiveAfterKill => "active_after_kill",
            Self::InactiveUsesData => "inactive_uses_data",
            Self::Silent => "silent",
            Self::LimitDrift => "limit_drift",
            Self::CohortSurge => "cohort_surge",
            Self::UpdatesMissing => "updates_missing",
            Self::NoEvents => "no_events",
        })
    }
}

/// One detector's claim about one window or value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Who claims it.
    pub detector: DetectorId,
    /// The window or value it is about. One detector claims one of them once.
    pub about: String,
    /// When it became true, by event time.
    pub at: Timestamp,
    /// What was seen beside what is usual or allowed.
    pub evidence: Evidence,
}

/// What was seen, beside what is usual or allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Evidence {
    /// A device.
    Device {
        /// The device that was seen.
        seen: Imei14,
        /// Its model.
        seen_tac: Tac,
        /// The device that belongs there, once it is learnt.
        enrolled: Option<Imei14>,
        /// The models that policy declares.
        allowed_tacs: Vec<Tac>,
    },
    /// Bytes in a window of time.
    Bytes {
        /// At least so many were used.
        seen: Bytes,
        /// So many are allowed.
        limit: Bytes,
        /// Begin of the window.
        from: Timestamp,
        /// End of the window.
        to: Timestamp,
        /// The session, where the window is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionSid>,
    },
    /// Windows or hours that no sensor has.
    Strike {
        /// What was used in them.
        seen: Bytes,
        /// What was to be expected of an active hour, where that is known and asked for.
        usual: Option<Bytes>,
        /// The device that does not belong to the SIM, where one such window is enough.
        device: Option<Imei14>,
        /// When the first of them began, or the SIM was in that device.
        from: Timestamp,
        /// When the latest was over.
        to: Timestamp,
    },
    /// Hours beside what is usual; of a slow leak, days.
    Unusual {
        /// How far the evidence has come.
        level: Level,
        /// Chance alone would show it once in so many active hours, or days, of a SIM.
        chance_hours: u64,
        /// What was used in the latest one.
        seen: Bytes,
        /// What was to be expected of it.
        usual: Bytes,
        /// What was used beyond the usual since the evidence began.
        excess: Bytes,
        /// When that was.
        from: Timestamp,
        /// End of the latest one.
        to: Timestamp,
        /// What else was counted against the SIM, beside its usage.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        signs: Vec<Sign>,
        /// Whether hours are counted in that are not judged yet, and may turn out to be worth less.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_open: bool,
    },
    /// A country.
    Country {
        /// The country that was seen.
        seen: Country,
        /// The countries that policy lists.
        allowed: Vec<Country>,
    },
    /// A country in which the SIM was not seen before.
    NewCountry {
        /// The country that was seen.
        seen: Country,
        /// Those where it was before, within 30 days.
        known: Vec<Country>,
    },
    /// A network that did not serve the SIM before.
    NewNetwork {
        /// The network.
        seen: NamedPlmn,
        /// Those that did before, within 30 days.
        known: Vec<NamedPlmn>,
    },
    /// Attachments or sessions that failed.
    Failures {
        /// In so many minutes one did, or more.
        minutes: u32,
        /// So many are allowed.
        limit: u32,
        /// Begin of the first of these minutes.
        from: Timestamp,
        /// End of the last one.
        to: Timestamp,
    },
    /// Sessions that load, of a SIM that sends.
    Downloads {
        /// What went to the device in them.
        down: Bytes,
        /// What went from it.
        up: Bytes,
        /// How much of what the SIM used in the last weeks went to it, in percent.
        usual_down_percent: u8,
        /// When the first of them was opened.
        from: Timestamp,
        /// The latest event of them.
        to: Timestamp,
    },
    /// Two devices of one SIM.
    Devices {
        /// The device that it was in before and after, or whose session was open first.
        first: Imei14,
        /// The other.
        second: Imei14,
        /// Which of the two does not belong to the SIM, or less.
        foreign: Imei14,
        /// Whether sessions of both carried traffic at the same time.
        at_once: bool,
    },
    /// A place outside an area.
    Outside {
        /// Where the SIM was.
        seen: Point,
        /// Cells that say so.
        cells: usize,
    },
    /// Two places.
    Travel {
        /// Where it was.
        from: Point,
        /// Until when.
        left: Timestamp,
        /// Where it was then.
        to: Point,
        /// Since when.
        arrived: Timestamp,
    },
    /// Traffic after the end.
    Alive {
        /// When the SIM was inactive.
        inactive_at: Timestamp,
        /// When the traffic began.
        began: Timestamp,
        /// The session that carried it.
        session: SessionSid,
    },
    /// Usage records beside events.
    Unseen {
        /// What usage records say was used.
        billed: Bytes,
        /// What events showed of it.
        shown: Bytes,
        /// Begin of the time.
        from: Timestamp,
        /// End of the time.
        to: Timestamp,
    },
    /// A status that contradicts what was done.
    Status {
        /// What the provider says.
        status: SimStatus,
        /// Since when the SIM should be inactive.
        inactive_since: Option<Timestamp>,
        /// What it used since then.
        used: Option<Bytes>,
    },
    /// Nothing came.
    Silence {
        /// The latest sign of life.
        since: Timestamp,
        /// The longest pause before, in hours.
        pause_hours_max: i64,
    },
    /// What failed.
    Fault {
        /// In one sentence.
        what: String,
    },
}

impl Finding {
    /// What tells this finding from every other of its SIM.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}#{}", self.detector, self.about)
    }

    /// The device that it holds against the SIM; `None` for what is about something else.
    #[must_use]
    pub const fn device(&self) -> Option<Imei14> {
        match &self.evidence {
            Evidence::Device { seen, .. } | Evidence::Devices { foreign: seen, .. } => Some(*seen),
            Evidence::Strike { device, .. } => *device,
            Evidence::Bytes { .. }
            | Evidence::Unusual { .. }
            | Evidence::Country { .. }
            | Evidence::NewCountry { .. }
            | Evidence::NewNetwork { .. }
            | Evidence::Failures { .. }
            | Evidence::Downloads { .. }
            | Evidence::Outside { .. }
            | Evidence::Travel { .. }
            | Evidence::Alive { .. }
            | Evidence::Unseen { .. }
            | Evidence::Status { .. }
            | Evidence::Silence { .. }
            | Evidence::Fault { .. } => None,
        }
    }

    /// Whether it stands until a human judged it: [its detector's do](DetectorId::is_kept), but for what
    /// is shown by hours that are not judged yet. Whoever acts on that looks again.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.detector.is_kept() && !matches!(self.evidence, Evidence::Unusual { is_open: true, .. })
    }

    /// Whether this is what the key is about: its own, or that of another claim about the same
    /// place, or about failures or loading on another day. What a human judged, or a guard holds, does
    /// not come to be new by a mast that is a little farther on, or by going on.
    #[must_use]
    pub fn is_about(&self, key: &str) -> bool {
        if key == self.key() {
            return true;
        }
        let Some((detector, about)) = key.split_once('#') else { return false };
        let is_its = detector == self.detector.to_string();
        is_its && (self.detector.is_of_any_day() || self.is_same_place(about))
    }

    fn is_same_place(&self, about: &str) -> bool {
        let is_at = |text: &str, point: &Point| {
            let square: Option<Square> = text.parse().ok();
            square.is_some_and(|square| square.middle().km_to(*point) <= SAME_PLACE_KM)
        };
        let place = about.split('/').next().unwrap_or(about);
        if let Evidence::Outside { seen, .. } = &self.evidence {
            return is_at(place, seen);
        }
        if let (Evidence::Travel { from, to, .. }, Some((one, other))) =
            (&self.evidence, about.split_once('/'))
        {
            return (is_at(one, from) && is_at(other, to))
                || (is_at(one, to) && is_at(other, from));
        }
        false
    }
}

impl fmt::Display for Finding {
    /// One sentence for a human.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.evidence {
            Evidence::Device { seen, seen_tac, enrolled: Some(enrolled), .. } => {
                write!(f, "in device {seen} (model {seen_tac}) instead of {enrolled}")
            }
            Evidence::Device { seen, seen_tac, allowed_tacs, .. } => {
                write!(f, "in device {seen}, model {seen_tac} is not among ")?;
                list(f, allowed_tacs)
            }
            Evidence::Bytes { seen, limit, .. } => {
                write!(f, "used {seen} in {}, limit {limit}", self.about)
            }
            Evidence::Strike { seen, device: Some(device), from, to, .. } => {
                write!(f, "used {seen} in device {device} since {from}")?;
                at_speed(f, *seen, *from, *to)?;
                f.write_str(", faster than a sensor can")
            }
            Evidence::Strike { seen, usual, from, to, .. } => {
                write!(f, "used {seen} from {from} to {to}")?;
                at_speed(f, *seen, *from, *to)?;
                f.write_str(", more and faster than a sensor can")?;
                usual.map_or(Ok(()), |usual| write!(f, "; usual are {usual} an hour"))
            }
            Evidence::Unusual {
                chance_hours,
                seen,
                usual,
                excess,
                from,
                to,
                signs,
                is_open,
                ..
            } => {
                let chance = grouped(*chance_hours);
                if self.detector == DetectorId::SlowLeak {
                    return write!(
                        f,
                        "used {seen} in a day, usual are {usual}; at least {excess} beyond the \
                         usual since {from} (what counts of one day is bounded), by chance once in \
                         {chance} days"
                    );
                }
                let (hour, so_far) = (Hour::ending_at(*to), if *is_open { " so far" } else { "" });
                write!(
                    f,
                    "used {seen} in {hour}{so_far}, usual are {usual}; {excess} beyond three times \
                     the usual since {from}, by chance once in {chance} hours"
                )?;
                if signs.is_empty() {
                    return Ok(());
                }
                f.write_str("; counted in: ")?;
                list(f, &signs.iter().map(Sign::name).collect::<Vec<_>>())
            }
            Evidence::Country { seen, allowed } => {
                write!(f, "in country {seen}, allowed are ")?;
                list(f, allowed)
            }
            Evidence::NewCountry { seen, known } => {
                write!(f, "in country {seen} for the first time in 30 days, before in ")?;
                list(f, known)
            }
            Evidence::NewNetwork { seen, known } => {
                write!(f, "on network {seen} for the first time in 30 days, before on ")?;
                list(f, known)
            }
            Evidence::Failures { minutes, limit, from, .. } => write!(
                f,
                "attachments or sessions failed in {minutes} minutes since {from}, limit {limit}"
            ),
            Evidence::Downloads { down, up, usual_down_percent, from, .. } => {
                write!(
                    f,
                    "{down} down and {up} up since {from}; usual is {usual_down_percent} % down"
                )
            }
            Evidence::Devices { first, second, at_once: true, .. } => {
                write!(f, "devices {first} and {second} carry traffic at once")
            }
            Evidence::Devices { first, second, at_once: false, .. } => {
                write!(f, "in device {first}, then in {second}, then in {first} again")
            }
            Evidence::Outside { seen, cells } => {
                write!(f, "at {seen} by {cells} cells, outside the area that policy allows")
            }
            Evidence::Travel { from, left, to, arrived } => {
                let (km, secs) = (from.km_to(*to), arrived.duration_since(*left).as_secs());
                write!(f, "{km:.0} km from {from} to {to} within {} min", secs.wrapping_div(60))
            }
            Evidence::Alive { inactive_at, began, .. } => {
                write!(f, "traffic that began at {began} although inactive since {inactive_at}")
            }
            Evidence::Unseen { billed, shown, .. } => {
                write!(f, "used {billed} in {}, events showed {shown}", self.about)
            }
            Evidence::Status { status, inactive_since, used } => {
                write!(f, "the provider says {status}")?;
                if let Some(since) = inactive_since {
                    write!(f, ", should be inactive since {since}")?;
                }
                used.map_or(Ok(()), |used| write!(f, ", used {used} since then"))
            }
            Evidence::Silence { since, pause_hours_max } => {
                write!(f, "silent since {since}, never before for over {pause_hours_max} hours")
            }
            Evidence::Fault { what } => f.write_str(what),
        }
    }
}

/// How fast that was over the whole time, where that alone is more than the modem of a sensor carries;
/// with pauses between, it says nothing of the speed at which anything came.
fn at_speed(
    f: &mut fmt::Formatter<'_>,
    seen: Bytes,
    from: Timestamp,
    to: Timestamp,
) -> fmt::Result {
    let millis = u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0);
    // One kilobit a second is one bit a millisecond.
    let kbps = seen.0.saturating_mul(8).checked_div(millis);
    let Some(kbps) = kbps.filter(|kbps| *kbps > u64::from(FASTER_THAN_KBPS)) else {
        return Ok(());
    };
    write!(f, ", {} kbit/s over all of it", grouped(kbps))
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (place, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if place == 0 { "" } else { ", " })?;
    }
    if items.is_empty() { f.write_str("none") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_or_fails_is_stored_in_words_and_reads_back() {
        let at: Timestamp = "2026-03-04T09:00:00Z".parse().unwrap();
        let network = |text: &str| NamedPlmn(text.parse().unwrap());
        for (evidence, stored) in [
            (
                Evidence::NewCountry {
                    seen: "MX".parse().unwrap(),
                    known: vec!["US".parse().unwrap()],
                },
                r#"{"kind":"new_country","seen":"MX","known":["US"]}"#,
            ),
            (
                Evidence::NewNetwork { seen: network("334-020"), known: vec![network("310-26")] },
                r#"{"kind":"new_network","seen":"334-020","known":["310-26"]}"#,
            ),
            (
                Evidence::Failures { minutes: 361, limit: 360, from: at, to: at },
                r#"{"kind":"failures","minutes":361,"limit":360,"from":"2026-03-04T09:00:00Z","to":"2026-03-04T09:00:00Z"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&evidence).unwrap(), stored);
            assert_eq!(serde_json::from_str::<Evidence>(stored).unwrap(), evidence);
        }
    }
}
