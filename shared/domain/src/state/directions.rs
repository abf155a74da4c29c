//! What came with the fourth schema: how much of what the SIM used went up and how much down, by
//! session, and of sessions that are over by week: its habit.
//!
//! A session's counters only grow, so the highest of each is the same in any order. It joins the
//! habit when it is forgotten: what is judged is never part of what it is judged by, and sums of
//! weeks do not care which session came first. One of which an event comes after that, from within the
//! horizon, counts again. What was loaded in heavy sessions teaches nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SimState;
use crate::bytes::Bytes;
use crate::detector::download_heavy::is_heavy;
use crate::event::{Event, SessionReport};
use crate::id::SessionSid;
use crate::session::{Session, is_carriable};

/// Weeks kept: that of the latest session that is over, and the four before.
const WEEKS: i64 = 5;

/// A state has to stay small: counters are kept in so many bytes, and up to 400 GB.
const UNIT: u64 = 100;

const WEEK_SECS: i64 = 7 * 24 * 3_600;

/// What the third schema did not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Directions {
    /// By session, in the order of the sessions; `None` where no event told both directions.
    sessions: Vec<Option<Counted>>,
    /// By week.
    weeks: Vec<Week>,
}

/// The highest counters of a session, in [`UNIT`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    up: u32,
    down: u32,
}

/// What sessions used that are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Week {
    /// Weeks since 1970.
    week: i64,
    sessions: u32,
    up: u64,
    down: u64,
}

/// What is usual for a SIM: of the sessions of the last weeks that are over and were not heavy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Habit {
    /// How many there were.
    pub sessions: u32,
    /// What went from the device.
    pub up: Bytes,
    /// What went to the device.
    pub down: Bytes,
}

impl Directions {
    pub(super) const NOTHING: Self = Self { sessions: Vec::new(), weeks: Vec::new() };

    /// A session was put in at this place.
    pub(super) fn session_came(&mut self, place: usize) {
        // A state of an earlier schema has sessions of which nothing is known.
        self.sessions.resize(self.sessions.len().max(place), None);
        self.sessions.insert(place, None);
    }

    /// The session at this place was dropped for want of room.
    pub(super) fn session_went(&mut self, place: usize) {
        if place < self.sessions.len() {
            self.sessions.remove(place);
        }
    }

    /// The session at this place is over, and is forgotten: it becomes part of the habit.
    pub(super) fn session_is_over(&mut self, place: usize, last: Timestamp) {
        let counted = self.sessions.get(place).copied().flatten();
        self.session_went(place);
        let Some(counted) = counted.filter(|counted| !is_heavy(counted.up(), counted.down()))
        else {
            return;
        };
        let week = week_of(last);
        let place = self.weeks.partition_point(|other| other.week < week);
        if self.weeks.get(place).is_none_or(|other| other.week != week) {
            self.weeks.insert(place, Week { week, sessions: 0, up: 0, down: 0 });
        }
        if let Some(sum) = self.weeks.get_mut(place) {
            sum.sessions = sum.sessions.saturating_add(1);
            sum.up = sum.up.saturating_add(counted.up.into());
            sum.down = sum.down.saturating_add(counted.down.into());
        }
    }

    pub(super) fn forget_before(&mut self, begin: Timestamp) {
        let week = week_of(begin);
        self.weeks.retain(|other| other.week > week.saturating_sub(WEEKS));
    }

    /// Takes the counters of a report of the session at this place. Says whether they are news.
    pub(super) fn fold(&mut self, place: usize, report: &SessionReport, event: &Event) -> bool {
        let Some(counted) = Counted::of(report, event) else { return false };
        if self.sessions.len() <= place {
            self.sessions.resize(place.saturating_add(1), None);
        }
        let Some(known) = self.sessions.get_mut(place) else { return false };
        let before = *known;
        let known = known.get_or_insert(counted);
        (known.up, known.down) = (known.up.max(counted.up), known.down.max(counted.down));
        before != Some(*known)
    }
}

impl Counted {
    /// The counters, as far as any link carries so much in the session's age.
    fn of(report: &SessionReport, event: &Event) -> Option<Self> {
        let (up, down) = (report.cumulative.up?, report.cumulative.down?);
        let to = report.update_end.unwrap_or(event.at);
        let secs = to.duration_since(report.start?).as_secs();
        let in_units = |bytes: u64| u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        is_carriable(up.saturating_add(down), secs)
            .then(|| Self { up: in_units(up), down: in_units(down) })
    }

    fn up(self) -> Bytes {
        Bytes(u64::from(self.up).saturating_mul(UNIT))
    }

    fn down(self) -> Bytes {
        Bytes(u64::from(self.down).saturating_mul(UNIT))
    }
}

/// Weeks since 1970, of Thursdays.
fn week_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(WEEK_SECS)
}

impl SimState {
    /// Where the session is kept.
    pub(super) fn place_of(&self, session: SessionSid) -> Option<usize> {
        self.sessions.binary_search_by_key(&session, |session| session.sid).ok()
    }

    /// The sessions within the horizon of which both directions are known: what went up, and down.
    pub fn directions(&self) -> impl Iterator<Item = (&Session, Bytes, Bytes)> {
        let known = self.sessions.iter().zip(&self.directions.sessions);
        known.filter_map(|(session, counted)| {
            counted.map(|counted| (session, counted.up(), counted.down()))
        })
    }

    /// What is usual for the SIM, learnt of the last weeks before the horizon.
    #[must_use]
    pub fn habit(&self) -> Habit {
        self.directions.weeks.iter().fold(Habit::default(), |sum, week| Habit {
            sessions: sum.sessions.saturating_add(week.sessions),
            up: sum.up.plus(Bytes(week.up.saturating_mul(UNIT))),
            down: sum.down.plus(Bytes(week.down.saturating_mul(UNIT))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::fixture::{MB, Opened, attached, carries, hours_in, reports, state_of};
    use crate::state::{SCHEMA, SESSIONS_MAX};

    fn habit(sessions: u32, up: u64, down: u64) -> Habit {
        Habit { sessions, up: Bytes(up), down: Bytes(down) }
    }

    #[test]
    fn a_session_is_learnt_once_and_when_it_is_over() {
        let events = reports(2, 40_000, 10_000);
        let state = state_of(events.iter().chain(&events));
        assert_eq!((state.habit(), state.directions().count()), (habit(0, 0, 0), 2));
        let later = |at: &str| state_of(events.iter().chain([&attached(at)]));
        assert_eq!(later("02T02:59").habit(), habit(0, 0, 0));
        assert_eq!(later("02T03:00").habit(), habit(1, 40_000, 10_000));
        assert_eq!(later("02T04:00").habit(), habit(2, 80_000, 20_000));
        // All at once or one after the other.
        let mut slowly = state_of(&events);
        for at in ["02T02:10", "02T03:10", "02T05:00"] {
            slowly.fold(&attached(at));
        }
        assert_eq!(slowly.habit(), later("02T05:00").habit());
    }

    #[test]
    fn the_highest_counters_count_in_any_order() {
        let update = |to: &str, up: u64, down: u64| {
            Opened("01T10:00").updated("01T10:00", to, 1, up + down).with(|report| {
                (report.cumulative.up, report.cumulative.down) = (Some(up), Some(down));
            })
        };
        let events = [update("01T10:06", 5_000, 900), update("01T10:12", 7_000, 1_100)];
        let untold = update("01T10:18", 1, 1).with(|report| report.cumulative.down = None);
        for state in [state_of(&events), state_of(events.iter().rev().chain([&untold]))] {
            let told: Vec<_> = state.directions().map(|(_, up, down)| (up.0, down.0)).collect();
            assert_eq!(told, [(7_000, 1_100)]);
        }
        // More than any link carries is a fault of the counter.
        let wild = state_of(&[update("01T10:06", u64::MAX / 2, 1)]);
        assert_eq!(wild.directions().count(), 0);
    }

    #[test]
    fn what_is_dropped_for_want_of_room_teaches_nothing() {
        let opened = |place: u32| -> &'static str {
            format!("01T{:02}:{:02}", place / 60, place % 60).leak()
        };
        let many: Vec<Event> =
            (0..70).map(|place| carries(opened(place), "01T02:00", 1_000, 100)).collect();
        let later = attached("03T00:00");
        for state in
            [state_of(many.iter().chain([&later])), state_of(many.iter().rev().chain([&later]))]
        {
            let kept = u32::try_from(SESSIONS_MAX).unwrap();
            assert_eq!(state.habit(), habit(kept, u64::from(kept) * 1_000, u64::from(kept) * 100));
        }
    }

    #[test]
    fn a_habit_is_forgotten_after_some_weeks() {
        let events = reports(3, 40_000, 10_000);
        let mut state = state_of(&events);
        let on = |date: &str| Event {
            at: format!("{date}T12:00:00Z").parse().unwrap(),
            ..attached("01T12:00")
        };
        for (date, sessions) in [("2026-03-20", 3), ("2026-04-02", 3), ("2026-04-10", 0)] {
            state.fold(&on(date));
            assert_eq!(state.habit().sessions, sessions, "{date}");
        }
    }

    #[test]
    fn a_state_of_the_third_schema_is_read_and_its_sessions_are_unknown() {
        let mut events = hours_in("35378572000001", 3);
        events.push(carries("01T03:00", "01T03:06", 2 * MB, 1_000));
        let state = state_of(&events);
        let bare = SimState { directions: Directions::NOTHING, ..state.clone() };
        let nothing = postcard::to_stdvec(&Directions::NOTHING).unwrap();
        let stored = bare.encode().unwrap();
        let third = stored.strip_suffix(nothing.as_slice()).unwrap();
        let mut read = SimState::decode(3, third).unwrap();
        assert_eq!(read, bare);
        assert!(SimState::decode(SCHEMA, third).is_err());
        assert_ne!(state, bare);
        // What comes then is known, and what was there stays unknown.
        read.fold(&carries("01T04:00", "01T04:06", 3_000, 500));
        read.fold(&carries("01T02:30", "01T02:36", 4_000, 600));
        let told = |state: &SimState| -> Vec<(u64, u64)> {
            state.directions().map(|(_, up, down)| (up.0, down.0)).collect()
        };
        let mut told = told(&read);
        told.sort_unstable();
        assert_eq!(told, [(3_000, 500), (4_000, 600)]);
    }
}
