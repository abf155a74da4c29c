//! What events say about one SIM: the fold of its events.
//!
//! Every part is a minimum, a maximum or a union, so the same events give the same state in any
//! order, any number of times, as long as they lie within [`HORIZON`] of the latest. Hard caps keep
//! the state small whatever arrives; beyond a cap it knows less, and never something false.

mod added;
mod burst;
mod directions;
mod radio;

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::device::Imei14;
use crate::event::{Event, EventKind, SessionReport};
use crate::id::{FleetSid, Iccid, SessionSid, SimSid};
use crate::network::Country;
use crate::session::Session;
use crate::time::{HORIZON, HORIZON_MS, Hour};

use added::Added;
pub use added::{CELLS_MAX, Seen};
use burst::Bursts;
pub use burst::{BURST_KBPS_MIN, BURST_MIN, BURSTS_MAX, Burst};
use directions::Directions;
pub use directions::Habit;
use radio::Radio;
pub use radio::{NETWORKS_MAX, Network};

/// Version of the stored form. A state of a newer version is never overwritten.
pub const SCHEMA: u32 = 4;

/// Sessions kept: an hourly sensor opens 26 within the horizon; the latest are kept.
pub const SESSIONS_MAX: usize = 64;

/// Bytes that the sessions may take in the stored state, which holds 8 kB in all. An hourly sensor
/// needs a quarter of it; beyond, the usage of the earliest hours is dropped.
const SESSIONS_BYTES_MAX: usize = 5_300;

/// Devices kept: a SIM that sat in more within a day is being tried out in every phone of a shop.
pub const DEVICES_MAX: usize = 8;

/// Countries kept, for 30 days: the latest. When full, what is not in the list is unknown, not new.
pub const COUNTRIES_MAX: usize = 16;

/// How long a country is remembered.
const COUNTRY_DAYS: i64 = 30;

/// A device is learnt over this many hours in which it was active …
const ENROL_HOURS: usize = 24;

/// … and at least this long.
const ENROL_SPAN_MS: i64 = 72 * 3_600 * 1_000;

/// Error code of an attachment that was rejected because the SIM is inactive.
const SIM_INACTIVE: u32 = 83_705;

/// A unique name longer than this is cut: the API allows fewer, and a state must stay small.
const NAME_BYTES_MAX: usize = 128;

/// The state of one SIM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimState {
    /// The SIM.
    pub sim: SimSid,
    latest_ms: i64,
    iccid: Option<Stamped<Iccid>>,
    unique_name: Option<Stamped<String>>,
    fleet: Option<Stamped<FleetSid>>,
    devices: Vec<Device>,
    countries: Vec<Visited>,
    sessions: Vec<Session>,
    rejected_ms: Option<i64>,
    /// What the first schema did not have, behind what it had.
    added: Added,
    /// What the second schema did not have, behind that.
    bursts: Bursts,
    radio: Radio,
    /// What the third schema did not have, behind that.
    directions: Directions,
}

/// A value with the time at which it was last seen to hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Stamped<T> {
    at_ms: i64,
    value: T,
}

/// A device that the SIM was seen in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which device.
    pub imei: Imei14,
    first_ms: i64,
    last_ms: i64,
    /// Hours within the horizon in which an event named the device.
    hours: BTreeSet<Hour>,
    /// Such hours before the horizon.
    hours_before: u32,
}

/// A country that the SIM was seen in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visited {
    /// Which country.
    pub country: Country,
    first_ms: i64,
    last_ms: i64,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// It is part of the state, which it changed.
    Applied,
    /// It was part of the state before: a duplicate, or an event that says nothing new.
    Known,
    /// It lies before the horizon: it changed nothing, and usage records will say what it said.
    Late,
}

impl SimState {
    /// The state of a SIM of which nothing is known.
    #[must_use]
    pub const fn new(sim: SimSid) -> Self {
        Self {
            sim,
            latest_ms: i64::MIN,
            iccid: None,
            unique_name: None,
            fleet: None,
            devices: Vec::new(),
            countries: Vec::new(),
            sessions: Vec::new(),
            rejected_ms: None,
            added: Added::NOTHING,
            bursts: Bursts::NOTHING,
            radio: Radio::NOTHING,
            directions: Directions::NOTHING,
        }
    }

    /// Adds an event.
    pub fn fold(&mut self, event: &Event) -> Folded {
        debug_assert_eq!(event.sim, self.sim, "an event of another SIM");
        let latest = self.now().max(event.at);
        let horizon = latest.saturating_sub(HORIZON).unwrap_or(Timestamp::MIN);
        if event.at.min(event.ended_at()) < horizon {
            return Folded::Late;
        }
        let (known_from, horizon) = (Hour::of(self.horizon()), Hour::of(horizon));
        let mut changed = self.latest_ms != latest.as_millisecond();
        self.latest_ms = latest.as_millisecond();
        if horizon > known_from {
            self.forget_before(horizon);
        }
        changed |= self.fold_identity(event);
        if let Some(imei) = event.device {
            changed |= self.fold_device(imei, event.at, horizon);
        }
        if let Some(country) = event.country {
            changed |= self.fold_country(country, event.at);
        }
        if let Some(location) = event.location {
            changed |= self.added.fold_cell(location, event.at);
        }
        changed |= self.radio.fold(event);
        if event.kind == EventKind::AttachmentRejected && event.error_code == Some(SIM_INACTIVE) {
            let rejected_ms = self.rejected_ms.max(Some(event.at.as_millisecond()));
            changed |= self.rejected_ms != rejected_ms;
            self.rejected_ms = rejected_ms;
        }
        if let Some(report) = &event.session
            && event.kind != EventKind::SessionFailed
        {
            changed |= self.fold_session(report, event, horizon);
            changed |= report.update_start >= Some(horizon.start()) && self.bursts.fold(report);
            if let Some(place) = self.place_of(report.sid) {
                changed |= self.directions.fold(place, report, event);
                if let Some(imei) = event.device {
                    changed |= self.fold_device_session(imei, place);
                }
            }
        }
        if changed { Folded::Applied } else { Folded::Known }
    }

    fn fold_identity(&mut self, event: &Event) -> bool {
        let mut changed = keep_latest(&mut self.iccid, event.at, event.iccid);
        changed |= keep_latest(&mut self.fleet, event.at, event.fleet);
        let at_ms = event.at.as_millisecond();
        let name = event.unique_name.as_deref();
        let name = name.and_then(|name| name.get(..name.floor_char_boundary(NAME_BYTES_MAX)));
        if let Some(name) = name
            && self
                .unique_name
                .as_ref()
                .is_none_or(|known| (known.at_ms, known.value.as_str()) < (at_ms, name))
        {
            match &mut self.unique_name {
                Some(known) if known.value == name => known.at_ms = at_ms,
                known => *known = Some(Stamped { at_ms, value: name.to_owned() }),
            }
            changed = true;
        }
        changed
    }

    fn fold_device(&mut self, imei: Imei14, at: Timestamp, horizon: Hour) -> bool {
        let at_ms = at.as_millisecond();
        let hour = Hour::of(at);
        if let Some(device) = self.devices.iter_mut().find(|device| device.imei == imei) {
            let known = device.first_ms <= at_ms && at_ms <= device.last_ms;
            device.first_ms = device.first_ms.min(at_ms);
            device.last_ms = device.last_ms.max(at_ms);
            let another_hour = hour >= horizon && device.hours.insert(hour);
            return another_hour || !known;
        }
        let hours = BTreeSet::from([hour]);
        let device = Device { imei, first_ms: at_ms, last_ms: at_ms, hours, hours_before: 0 };
        let place = self.devices.partition_point(|other| other.imei < imei);
        self.devices.insert(place, device);
        let dropped = (self.devices.len() > DEVICES_MAX).then(|| self.drop_oldest_device());
        dropped.flatten() != Some(imei)
    }

    fn drop_oldest_device(&mut self) -> Option<Imei14> {
        let enrolled = self.enrolled().map(|device| device.imei);
        let others = self.devices.iter().enumerate();
        let others = others.filter(|(_, device)| Some(device.imei) != enrolled);
        let (oldest, _) = others.min_by_key(|(_, device)| device.last_ms)?;
        let dropped = self.devices.remove(oldest).imei;
        self.added.device_went(dropped);
        Some(dropped)
    }

    fn fold_country(&mut self, country: Country, at: Timestamp) -> bool {
        let at_ms = at.as_millisecond();
        if let Some(visited) = self.countries.iter_mut().find(|other| other.country == country) {
            let known = visited.first_ms <= at_ms && at_ms <= visited.last_ms;
            visited.first_ms = visited.first_ms.min(at_ms);
            visited.last_ms = visited.last_ms.max(at_ms);
            return !known;
        }
        let place = self.countries.partition_point(|other| other.country < country);
        let visited = Visited { country, first_ms: at_ms, last_ms: at_ms };
        self.countries.insert(place, visited);
        if self.countries.len() > COUNTRIES_MAX {
            let oldest = self.countries.iter().enumerate();
            let oldest = oldest.min_by_key(|(_, visited)| (visited.last_ms, visited.country));
            if let Some((oldest, _)) = oldest {
                let gone = self.countries.remove(oldest);
                return self.radio.country_went(gone.last_ms) || gone.country != country;
            }
        }
        true
    }

    /// Keeps which devices reported a session, so that two that are used at once are seen, however
    /// many sessions either had since.
    fn fold_device_session(&mut self, imei: Imei14, place: usize) -> bool {
        let is_kept = self.devices.iter().any(|device| device.imei == imei);
        is_kept && self.added.reported(imei, place)
    }

    fn fold_session(&mut self, report: &SessionReport, event: &Event, horizon: Hour) -> bool {
        let place = self.sessions.partition_point(|other| other.sid < report.sid);
        let known = self.sessions.get_mut(place).filter(|session| session.sid == report.sid);
        if let Some(session) = known {
            // An event later than all before is news, whatever else it says.
            let is_latest = session.last_ms() < event.at.as_millisecond();
            let before = (!is_latest).then(|| session.clone());
            session.fold(report, event, horizon);
            // What does not fit in is dropped again, each time that it comes.
            let trimmed = self.trim_sessions(report.sid);
            return trimmed || is_latest || self.sessions.get(place) != before.as_ref();
        }
        let mut session = Session::new(report, event);
        session.fold(report, event, horizon);
        self.sessions.insert(place, session);
        self.added.session_came(place);
        self.directions.session_came(place);
        if self.sessions.len() > SESSIONS_MAX {
            let oldest = self.sessions.iter().enumerate();
            let oldest = oldest.min_by_key(|(_, session)| (session.start(), session.sid));
            if let Some((oldest, _)) = oldest {
                self.added.session_went(oldest);
                self.directions.session_went(oldest);
                if self.sessions.remove(oldest).sid == report.sid {
                    return false;
                }
            }
        }
        self.trim_sessions(report.sid);
        true
    }

    /// Drops the earliest hours of what takes too much room. Says whether others than this session
    /// lost any.
    fn trim_sessions(&mut self, own: SessionSid) -> bool {
        let mut others_lost = false;
        let at_most = self.sessions.iter().map(Session::stored_bytes_at_most).sum::<usize>();
        if at_most <= SESSIONS_BYTES_MAX {
            return others_lost;
        }
        while self.sessions.iter().map(Session::stored_bytes).sum::<usize>() > SESSIONS_BYTES_MAX {
            let Some(oldest) = self.sessions.iter().filter_map(Session::oldest_hour).min() else {
                break;
            };
            for session in &mut self.sessions {
                others_lost |= session.sid != own && session.oldest_hour() == Some(oldest);
                session.forget_before(oldest.after());
            }
        }
        others_lost
    }

    /// Drops what lies before the horizon. Everything is dropped by whole hours, so this is needed
    /// only when the horizon enters another one.
    fn forget_before(&mut self, horizon: Hour) {
        for device in &mut self.devices {
            while device.hours.first().is_some_and(|hour| *hour < horizon) {
                device.hours.pop_first();
                device.hours_before = device.hours_before.saturating_add(1);
            }
        }
        let days = SignedDuration::from_hours(COUNTRY_DAYS.saturating_mul(24));
        let begin = horizon.start();
        let oldest = begin.saturating_sub(days).unwrap_or(Timestamp::MIN).as_millisecond();
        self.countries.retain(|visited| visited.last_ms >= oldest);
        let is_over = |session: &Session| session.last_ms() < begin.as_millisecond();
        while let Some(place) = self.sessions.iter().position(is_over) {
            let over = self.sessions.remove(place);
            self.added.session_went(place);
            self.directions.session_is_over(place, over.last());
        }
        self.added.forget_before(begin);
        self.bursts.forget_before(begin);
        self.directions.forget_before(begin);
        self.radio.forget_before(horizon);
        for session in &mut self.sessions {
            session.forget_before(horizon);
        }
    }

    /// The time of the SIM's latest event: what detectors take as now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        at(self.latest_ms)
    }

    /// The number printed on the SIM.
    #[must_use]
    pub fn iccid(&self) -> Option<Iccid> {
        self.iccid.as_ref().map(|iccid| iccid.value)
    }

    /// The operator's own name for the SIM.
    #[must_use]
    pub fn unique_name(&self) -> Option<&str> {
        self.unique_name.as_ref().map(|name| name.value.as_str())
    }

    /// The fleet that the SIM was last said to belong to.
    #[must_use]
    pub fn fleet(&self) -> Option<FleetSid> {
        self.fleet.as_ref().map(|fleet| fleet.value)
    }

    /// The devices that the SIM was seen in, by IMEI.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The devices that the SIM was seen in within the horizon: what a detector may judge, so that a
    /// change of policy does not judge what is long over.
    pub fn recent_devices(&self) -> impl Iterator<Item = &Device> {
        let horizon_ms = self.horizon_ms();
        self.devices.iter().filter(move |device| device.last_ms >= horizon_ms)
    }

    /// The countries that the SIM was seen in within the horizon.
    pub fn recent_countries(&self) -> impl Iterator<Item = &Visited> {
        let horizon_ms = self.horizon_ms();
        self.countries.iter().filter(move |visited| visited.last_ms >= horizon_ms)
    }

    /// Since when events are part of the state.
    pub(crate) fn horizon(&self) -> Timestamp {
        at(self.horizon_ms())
    }

    const fn horizon_ms(&self) -> i64 {
        self.latest_ms.saturating_sub(HORIZON_MS)
    }

    /// The device that the SIM was seen in first.
    #[must_use]
    pub fn first_device(&self) -> Option<&Device> {
        self.devices.iter().min_by_key(|device| (device.first_ms, device.imei))
    }

    /// The device that the SIM is known to belong in, learnt over its first active hours and days.
    #[must_use]
    pub fn enrolled(&self) -> Option<&Device> {
        let learnt = self.devices.iter().filter(|device| device.is_learnt());
        learnt.min_by_key(|device| (device.first_ms, device.imei))
    }

    /// The countries that the SIM was seen in.
    #[must_use]
    pub fn countries(&self) -> &[Visited] {
        &self.countries
    }

    /// The cells that served the SIM within the horizon, the latest of them.
    #[must_use]
    pub fn cells(&self) -> &[Seen] {
        self.added.cells()
    }

    /// The latest update windows within the horizon in which the SIM used much, in order.
    #[must_use]
    pub fn bursts(&self) -> &[Burst] {
        self.bursts.all()
    }

    /// The sessions within the horizon that the device reported.
    pub fn sessions_of(&self, device: Imei14) -> impl Iterator<Item = &Session> {
        let sessions = self.sessions.iter().enumerate();
        sessions.filter(move |(place, _)| self.added.is_of(device, *place)).map(|(_, one)| one)
    }

    /// The data sessions within the horizon.
    #[must_use]
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Whether a session is taken as open at the SIM's latest event: no end was reported, no later
    /// session was started, and it did not miss too many updates.
    #[must_use]
    pub fn is_open(&self, session: &Session) -> bool {
        session.ended().is_none()
            && session.expires() >= self.now()
            && !self.sessions.iter().any(|other| other.start() > session.start())
    }

    /// The latest attachment that was rejected because the SIM is inactive.
    #[must_use]
    pub fn rejected_as_inactive(&self) -> Option<Timestamp> {
        self.rejected_ms.map(at)
    }

    /// The least number of bytes that the SIM used within the hours.
    #[must_use]
    pub fn bytes_in(&self, hours: &Range<Hour>) -> Bytes {
        self.sessions.iter().map(|session| session.bytes_in(hours)).sum()
    }

    /// The least number of bytes that the SIM used after the time within the hours.
    #[must_use]
    pub fn bytes_after(&self, time: Timestamp, hours: &Range<Hour>) -> Bytes {
        self.sessions.iter().map(|session| session.bytes_after(time, hours)).sum()
    }

    /// No window holds more bytes of the SIM than this: a bound that is quick to compute, and that
    /// spares the detectors a closer look at nearly every SIM.
    #[must_use]
    pub fn bytes_at_most(&self) -> Bytes {
        self.sessions.iter().map(Session::bytes_at_most).sum()
    }

    /// The hours within the horizon in which the SIM used bytes.
    #[must_use]
    pub fn hours(&self) -> BTreeSet<Hour> {
        self.sessions.iter().flat_map(Session::hours).collect()
    }

    /// The same in order, each with a bound: no window holds more bytes of the SIM than the bounds of
    /// its hours come to.
    #[must_use]
    pub fn hours_at_most(&self) -> Vec<(Hour, Bytes)> {
        let mut hours = Vec::with_capacity(self.sessions.len().saturating_mul(2));
        for session in &self.sessions {
            session.for_each_hour(|hour, bytes| hours.push((hour, bytes)));
        }
        hours.sort_unstable_by_key(|(hour, _)| *hour);
        hours.dedup_by(|(hour, bytes), (kept, sum)| {
            let is_same = hour == kept;
            if is_same {
                *sum = sum.plus(*bytes);
            }
            is_same
        });
        hours
    }

    /// The compact form that is stored.
    ///
    /// # Errors
    /// Never for a state that was folded from events; the encoder's signature allows for one.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(self)
    }

    /// Reads the compact form of this schema.
    ///
    /// # Errors
    /// When the bytes are not a state of that schema.
    pub fn decode(schema: u32, bytes: &[u8]) -> Result<Self, postcard::Error> {
        let mut bytes = bytes.to_vec();
        if schema < 2 {
            bytes.extend(postcard::to_stdvec(&Added::NOTHING)?);
        }
        if schema < 3 {
            bytes.extend(postcard::to_stdvec(&(Bursts::NOTHING, Radio::NOTHING))?);
        }
        if schema < 4 {
            bytes.extend(postcard::to_stdvec(&Directions::NOTHING)?);
        }
        postcard::from_bytes(&bytes)
    }
}

impl Device {
    /// The first event that named the device.
    #[must_use]
    pub fn first(&self) -> Timestamp {
        at(self.first_ms)
    }

    /// The latest event that named the device.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        at(self.last_ms)
    }

    /// Hours within the horizon in which an event named the device, in order.
    pub(crate) fn recent_hours(&self) -> impl Iterator<Item = Hour> + '_ {
        self.hours.iter().copied()
    }

    /// Whether the SIM was in the device for long enough to learn that it belongs there.
    fn is_learnt(&self) -> bool {
        let before = usize::try_from(self.hours_before).unwrap_or(usize::MAX);
        before.saturating_add(self.hours.len()) >= ENROL_HOURS
            && self.last_ms.saturating_sub(self.first_ms) >= ENROL_SPAN_MS
    }
}

impl Visited {
    /// The first event that named the country.
    #[must_use]
    pub fn first(&self) -> Timestamp {
        at(self.first_ms)
    }

    /// The latest event that named the country.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        at(self.last_ms)
    }
}

/// Keeps the value of the latest event; of two at the same time, the greater, so that order does
/// not matter. An event without the value changes nothing. Says whether the value changed, or the
/// time at which it was last seen.
fn keep_latest<T: Ord + Copy>(
    known: &mut Option<Stamped<T>>,
    at: Timestamp,
    value: Option<T>,
) -> bool {
    let Some(value) = value else { return false };
    let stamped = Stamped { at_ms: at.as_millisecond(), value };
    let newer = known.as_ref().is_none_or(|known| *known < stamped);
    if newer {
        *known = Some(stamped);
    }
    newer
}

/// Every stored time came from a `Timestamp`; only the initial `latest_ms` lies before them all.
fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MIN)
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
