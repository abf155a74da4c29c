//! What came with the third schema: the networks that served the SIM, and how often it failed to
//! attach or to open a session.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{COUNTRY_DAYS, SIM_INACTIVE, SimState, Visited, seconds};
use crate::event::{Event, EventKind};
use crate::network::Plmn;
use crate::time::Hour;

/// Networks kept, for 30 days. A sensor sees one to four, one on a truck through a continent more:
/// of such the smallest numbers are kept, so that order does not matter, and what is not in the
/// list is unknown, not new.
pub const NETWORKS_MAX: usize = 16;

/// How long a network is remembered: as long as a country.
const NETWORK_DAYS: i64 = COUNTRY_DAYS;

const DAY_SECS: i64 = 24 * 3_600;

/// What the second schema did not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Radio {
    /// By number.
    networks: Vec<Network>,
    /// The latest event of a network that found no place among them.
    networks_lost_secs: Option<i64>,
    /// The latest event of a country that found no place among the countries.
    countries_lost_secs: Option<i64>,
    /// By hour within the horizon, for each of its minutes with a failure a bit. Two failures in one
    /// minute count as one: a bit is the same however often and whenever it comes.
    failed: BTreeMap<Hour, u64>,
}

/// A network that served the SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Which network.
    pub plmn: Plmn,
    first_secs: i64,
    last_secs: i64,
    /// The days of UTC on which it did: the lowest bit is that of the latest event, the next one the
    /// day before.
    days: u32,
}

impl Radio {
    pub(super) const NOTHING: Self = Self {
        networks: Vec::new(),
        networks_lost_secs: None,
        countries_lost_secs: None,
        failed: BTreeMap::new(),
    };

    pub(super) fn fold(&mut self, event: &Event) -> bool {
        if !is_failure(event.kind) {
            return event.plmn.is_some_and(|plmn| self.fold_network(plmn, event.at.as_second()));
        }
        // What is inactive is refused for good, and says nothing by that.
        event.error_code != Some(SIM_INACTIVE) && self.fold_failure(event.at)
    }

    fn fold_network(&mut self, plmn: Plmn, at_secs: i64) -> bool {
        let place = self.networks.partition_point(|other| other.plmn < plmn);
        if let Some(known) = self.networks.get_mut(place).filter(|known| known.plmn == plmn) {
            let before = *known;
            known.fold(at_secs);
            return *known != before;
        }
        let network = Network { plmn, first_secs: at_secs, last_secs: at_secs, days: 1 };
        self.networks.insert(place, network);
        if self.networks.len() <= NETWORKS_MAX {
            return true;
        }
        let lost = self.networks.pop();
        let is_other = lost.is_some_and(|lost| lost.plmn != plmn);
        let lost_secs = lost.map(|lost| lost.last_secs);
        raise(&mut self.networks_lost_secs, lost_secs) || is_other
    }

    fn fold_failure(&mut self, at: Timestamp) -> bool {
        let hour = Hour::of(at);
        let minute = at.as_second().saturating_sub(hour.start_secs()).div_euclid(60);
        let bit = u32::try_from(minute).ok().and_then(|minute| 1_u64.checked_shl(minute));
        let (minutes, bit) = (self.failed.entry(hour).or_default(), bit.unwrap_or(0));
        let is_new = *minutes & bit == 0;
        *minutes |= bit;
        is_new
    }

    /// A country found no place among the countries. Says whether that is new.
    pub(super) fn country_went(&mut self, last_ms: i64) -> bool {
        raise(&mut self.countries_lost_secs, Some(last_ms.div_euclid(1_000)))
    }

    pub(super) fn forget_before(&mut self, horizon: Hour) {
        let days = SignedDuration::from_hours(NETWORK_DAYS.saturating_mul(24));
        let oldest = horizon.start().saturating_sub(days).unwrap_or(Timestamp::MIN).as_second();
        self.networks.retain(|network| network.last_secs >= oldest);
        for lost in [&mut self.networks_lost_secs, &mut self.countries_lost_secs] {
            *lost = lost.filter(|secs| *secs >= oldest);
        }
        self.failed = self.failed.split_off(&horizon);
    }
}

/// Whether the event says that the SIM could not attach or open a session.
const fn is_failure(kind: EventKind) -> bool {
    match kind {
        EventKind::AttachmentRejected | EventKind::AttachmentFailed | EventKind::SessionFailed => {
            true
        }
        EventKind::AttachmentAccepted
        | EventKind::SessionStarted
        | EventKind::SessionUpdated
        | EventKind::SessionEnded => false,
    }
}

/// Keeps the later one. Says whether that is the new one.
fn raise(known: &mut Option<i64>, secs: Option<i64>) -> bool {
    let is_later = secs > *known;
    *known = secs.max(*known);
    is_later
}

impl Network {
    fn fold(&mut self, at_secs: i64) {
        let (day, latest) = (day_of(at_secs), day_of(self.last_secs));
        if day > latest {
            self.days = shifted(day.abs_diff(latest), |by| self.days.checked_shl(by)) | 1;
        } else {
            self.days |= shifted(latest.abs_diff(day), |by| 1_u32.checked_shl(by));
        }
        self.first_secs = self.first_secs.min(at_secs);
        self.last_secs = self.last_secs.max(at_secs);
    }

    /// The first event that it served.
    #[must_use]
    pub fn first(&self) -> Timestamp {
        seconds(self.first_secs)
    }

    /// The latest event that it served.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        seconds(self.last_secs)
    }

    /// On how many days of UTC before that of the time it served the SIM; of those that lie at most
    /// 31 days before its latest.
    #[must_use]
    pub fn days_before(&self, time: Timestamp) -> u32 {
        let (day, latest) = (day_of(time.as_second()), day_of(self.last_secs));
        let later = latest.saturating_sub(day).saturating_add(1);
        let Ok(later) = u64::try_from(later) else { return self.days.count_ones() };
        shifted(later, |by| self.days.checked_shr(by)).count_ones()
    }
}

const fn day_of(secs: i64) -> i64 {
    secs.div_euclid(DAY_SECS)
}

/// What is shifted by more days than there are bits is gone.
fn shifted(days: u64, shift: impl Fn(u32) -> Option<u32>) -> u32 {
    u32::try_from(days).ok().and_then(shift).unwrap_or(0)
}

impl SimState {
    /// The networks that served the SIM, by number; `None` where there were more within 30 days than
    /// are kept, so that one that is not among them need not be new.
    #[must_use]
    pub fn networks(&self) -> Option<&[Network]> {
        self.radio.networks_lost_secs.is_none().then_some(&self.radio.networks)
    }

    /// All countries that the SIM was seen in within 30 days; `None` where there were more than are
    /// kept.
    #[must_use]
    pub fn all_countries(&self) -> Option<&[Visited]> {
        self.radio.countries_lost_secs.is_none().then_some(&self.countries)
    }

    /// The minutes, by their begin, within the horizon in which an attachment was rejected or failed,
    /// or a session could not be opened; those apart that a SIM meets because it is inactive.
    pub fn failed_minutes(&self) -> impl Iterator<Item = Timestamp> {
        let minutes = self.radio.failed.iter().flat_map(|(hour, minutes)| {
            let set = (0..60_i64).zip(bits_of(*minutes)).filter(|(_, is_set)| *is_set);
            let begin = hour.start_secs();
            set.map(move |(minute, _)| seconds(begin.saturating_add(minute.saturating_mul(60))))
        });
        // Hours are forgotten as a whole, and what is late by a part of one adds nothing.
        let horizon = self.horizon();
        minutes.filter(move |begin| *begin >= horizon)
    }
}

fn bits_of(minutes: u64) -> impl Iterator<Item = bool> {
    (0..u64::BITS).map(move |bit| minutes.checked_shr(bit).is_some_and(|rest| rest & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::fixture::{
        attached, failed, hours_in, rejected, sim, state_of, time, used,
    };
    use crate::state::{Bursts, Directions, Folded, SCHEMA};

    /// Bytes that a state takes in which all is full that came with the third schema.
    const BYTES_MAX: usize = 750;

    fn on(plmn: &str, at: &str) -> Event {
        attached(at).on_network(plmn)
    }

    #[track_caller]
    fn check_days(days: &[&str], before: &str, expected: u32) {
        let events: Vec<Event> =
            days.iter().map(|day| on("310-260", &format!("{day}T06:00"))).collect();
        for state in [state_of(&events), state_of(events.iter().chain(&events))] {
            let networks = state.networks().unwrap();
            assert_eq!(networks.len(), 1);
            assert_eq!(networks[0].days_before(time(before)), expected, "{days:?}");
        }
    }

    #[test]
    fn days_are_counted_once_each_and_only_those_before() {
        check_days(&["01", "01", "02", "05"], "06T00:00", 3);
        check_days(&["01", "01", "02", "05"], "05T23:59", 2);
        check_days(&["01", "01", "02", "05"], "01T00:00", 0);
        check_days(&["01", "02", "05"], "31T00:00", 3);
        check_days(&["01"], "20T00:00", 1);
    }

    #[test]
    fn a_day_before_the_latest_is_the_same_day_in_any_order() {
        let events =
            [on("310-260", "01T23:59"), on("310-260", "02T00:01"), on("310-260", "03T01:00")];
        let state = state_of(&events);
        assert_eq!(state, state_of(events.iter().rev()));
        let [network] = state.networks().unwrap() else { panic!("one network") };
        assert_eq!((network.first(), network.last()), (time("01T23:59"), time("03T01:00")));
        assert_eq!(network.days_before(time("04T00:00")), 3);
    }

    #[test]
    fn days_more_than_a_month_ago_are_forgotten() {
        let mut network =
            Network { plmn: "310-260".parse().unwrap(), first_secs: 0, last_secs: 0, days: 1 };
        for (day, expected) in [(1, 2), (31, 3), (32, 3), (33, 3), (63, 3), (500, 1)] {
            network.fold(day * DAY_SECS);
            assert_eq!(network.days.count_ones(), expected, "day {day}");
        }
        network.fold(0);
        assert_eq!((network.first_secs, network.days), (0, 1), "long before its latest");
    }

    #[test]
    fn a_network_is_forgotten_thirty_days_after_the_horizon() {
        let mut state = state_of(&[on("310-410", "01T06:00"), on("310-260", "02T06:00")]);
        let april = |text: &str| Event {
            at: format!("2026-04-{text}:00Z").parse().unwrap(),
            ..attached("01T06:00")
        };
        state.fold(&april("01T08:59"));
        assert_eq!(state.networks().map(<[_]>::len), Some(2));
        state.fold(&april("01T09:00"));
        assert_eq!(state.networks().map(<[_]>::len), Some(1));
    }

    #[test]
    fn beyond_the_cap_nothing_depends_on_order_and_all_is_unknown() {
        let mut events: Vec<Event> = (0..40_u8)
            .map(|number| {
                let plmn = format!("{}-{number:02}", 310 - u16::from(number) * 7 % 40);
                on(&plmn, &format!("01T{:02}:{number:02}", 5 + number % 9))
            })
            .collect();
        events.extend(events.clone().into_iter().step_by(3).map(|event| Event {
            at: event.at.checked_add(SignedDuration::from_hours(11)).unwrap(),
            ..event
        }));
        let state = state_of(&events);
        assert_eq!(state, state_of(events.iter().rev()));
        let mut order: Vec<&Event> = events.iter().collect();
        order.sort_by_key(|event| (event.at.as_millisecond() * 7_919) % 1_000_003);
        assert_eq!(state, state_of(order));
        assert_eq!((state.networks(), state.radio.networks.len()), (None, NETWORKS_MAX));
        for event in &events {
            let mut again = state.clone();
            assert_eq!((again.fold(event), &again), (Folded::Known, &state), "{event:?}");
        }
        // What is lost is forgotten, too, after thirty days.
        let mut later = state;
        later.fold(&Event { at: "2026-05-01T00:00:00Z".parse().unwrap(), ..attached("01T06:00") });
        assert_eq!(later.networks(), Some(&[][..]));
    }

    #[test]
    fn failures_are_minutes_and_those_of_the_inactive_are_none() {
        let events = [
            failed("01T14:00"),
            failed("01T14:00:59.999"),
            failed("01T14:59:59"),
            failed("01T15:00"),
            rejected("01T15:01"),
            attached("01T15:02"),
        ];
        let state = state_of(&events);
        assert_eq!(state, state_of(events.iter().rev().chain(&events)));
        let minutes: Vec<Timestamp> = state.failed_minutes().collect();
        assert_eq!(minutes, ["01T14:00", "01T14:59", "01T15:00"].map(time));
        let mut again = state.clone();
        assert_eq!(again.fold(&failed("01T14:00:30")), Folded::Known);
        assert_eq!(again.fold(&failed("01T14:01:30")), Folded::Applied);
    }

    #[test]
    fn what_fails_all_day_on_every_network_takes_less_than_a_kilobyte() {
        let mut state = state_of(&[attached("01T00:00")]);
        let before = state.encode().unwrap().len();
        for minute in 0..26 * 60_i64 {
            let at = time("01T00:00").checked_add(SignedDuration::from_mins(minute)).unwrap();
            state.fold(&Event { at, ..failed("01T00:00") });
            let plmn = format!("{}-{:03}", 999 - minute % 20, minute % 20).parse().ok();
            state.fold(&Event { at, plmn, ..attached("01T00:00") });
        }
        let taken = state.encode().unwrap().len() - before;
        assert!((500..BYTES_MAX).contains(&taken), "{taken} bytes");
        assert_eq!(SimState::decode(SCHEMA, &state.encode().unwrap()).unwrap(), state);
    }

    #[test]
    fn a_state_of_an_earlier_schema_is_read_without_it() {
        let mut events = hours_in("35378572000001", 3);
        events.push(used("01T03:00", "01T03:06", 1).on_network("310-260"));
        events.push(failed("01T03:10"));
        let state = state_of(&events);
        let (radio, directions) = (Radio::NOTHING, Directions::NOTHING);
        let nothing = postcard::to_stdvec(&(Bursts::NOTHING, &radio, &directions)).unwrap();
        let bare = SimState { radio, directions, ..state.clone() };
        let stored = bare.encode().unwrap();
        let second = stored.strip_suffix(nothing.as_slice()).unwrap();
        assert_eq!(SimState::decode(2, second).unwrap(), bare);
        assert!(SimState::decode(SCHEMA, second).is_err());
        assert_ne!(state, bare);
        assert_eq!(state.sim, sim());
    }
}
