//! One device's use of a SIM: it attaches, opens a session, and closes it. The sensor has one, and a
//! thief may have another.

use super::behaviour::{Behaviour, Labelled};
use super::calendar::{Calendar, HOUR_MS};
use super::config::PopulationConfig;
use super::delivery::{Card, Outbox, Seat, Told};
use super::draw::Draw;
use super::records::Records;
use super::session::{After, Counter, Load, Session};
use simfuse_domain::id::SessionSid;

use super::behaviour::Seen;

/// Never.
pub(super) const NEVER: i64 = i64::MAX;

/// A behaviour that was absent for so many hours begins anew.
const BEGINS_ANEW_HOURS: i32 = 48;

/// What the units live in.
pub(super) struct World<'a> {
    pub(super) config: &'a PopulationConfig,
    pub(super) calendar: &'a Calendar,
    pub(super) out: &'a mut Outbox,
}

/// What belongs to a SIM whoever uses it.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) card: Card,
    pub(super) draw: Draw,
    pub(super) records: Records,
    pub(super) seen: Seen,
    /// From when on the provider lets the SIM do nothing.
    pub(super) dark_from: i64,
}

impl Life {
    /// Records that something befell the SIM, and tells a label when it begins.
    pub(super) fn mark(&mut self, world: &mut World<'_>, behaviour: Behaviour, at: i64) {
        world.out.count(behaviour);
        let hour = hour_number(at);
        let before = self.seen.set(behaviour, hour);
        if behaviour.is_labelled() && hour.saturating_sub(before) > BEGINS_ANEW_HOURS {
            world.out.label(&self.card, Labelled::Benign(behaviour), at);
        }
    }

    pub(super) fn tell(
        &mut self,
        world: &mut World<'_>,
        seat: &Seat,
        at: i64,
        told: Told,
        held_until: Option<i64>,
    ) {
        let befell = world.out.tell(&self.card, &mut self.draw, seat, at, told, held_until);
        for behaviour in befell.into_iter().flatten() {
            self.seen.set(behaviour, hour_number(at));
        }
        if self.card.skew_ms != 0 {
            self.mark(world, Behaviour::ClockSkew, at);
        }
    }

    pub(super) fn after_secs(&mut self, at: i64, secs: std::ops::Range<i64>) -> i64 {
        at + 1_000 * self.draw.within(secs)
    }
}

/// The number of the hour since 1970.
pub(super) fn hour_number(at: i64) -> i32 {
    i32::try_from(at.div_euclid(HOUR_MS)).unwrap_or(i32::MAX)
}

/// The whole second at or before a time: events are stamped in these.
pub(super) const fn whole_second(at: i64) -> i64 {
    at.div_euclid(1_000) * 1_000
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Attach,
    Start,
    /// The session's window ends.
    Window,
    /// The provider ends the session.
    Cut,
}

/// What the provider answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    Rejected,
}

/// How a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The next one is open.
    Window,
    /// The session is closed.
    Session,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) next: (i64, Step),
    pub(super) session: Option<Session>,
}

impl Line {
    pub(super) const fn idle() -> Self {
        Self { next: (NEVER, Step::Attach), session: None }
    }

    pub(super) fn wait_until(&mut self, at: i64) {
        self.next = (at, Step::Attach);
    }

    /// Attaches; if accepted, a session is to be started.
    pub(super) fn attach(
        &mut self,
        life: &mut Life,
        world: &mut World<'_>,
        seat: &Seat,
        at: i64,
    ) -> Answer {
        if at >= life.dark_from {
            life.tell(world, seat, at, Told::Rejected, None);
            return Answer::Rejected;
        }
        life.tell(world, seat, at, Told::Accepted, None);
        self.next = (life.after_secs(at, 1..5), Step::Start);
        Answer::Accepted
    }

    /// Opens a session that carries the load up to a time.
    pub(super) fn open(
        &mut self,
        life: &mut Life,
        world: &mut World<'_>,
        seat: &Seat,
        at: i64,
        work: Work,
    ) {
        let sid = SessionSid::from_bytes(life.draw.bytes());
        life.tell(world, seat, at, Told::Started(sid), None);
        let session = Session::new(sid, at, work.until, work.load, work.after);
        self.next = (session.window_end, Step::Window);
        self.session = Some(session);
    }

    /// Gives an open session more to carry.
    pub(super) fn carry(&mut self, load: Load, until: i64) {
        if let Some(session) = &mut self.session {
            session.carry(load, until);
            self.next = (session.window_end, Step::Window);
        }
    }

    /// Ends the window, and the session if it was the last or is cut. Gives a rogue's bytes in it.
    pub(super) fn end_window(
        &mut self,
        life: &mut Life,
        world: &mut World<'_>,
        seat: &Seat,
        (at, step): (i64, Step),
    ) -> (Ended, u64) {
        let Some(session) = &mut self.session else { return (Ended::Session, 0) };
        let is_last = session.is_last() || step == Step::Cut;
        let ends_next = session.ends_in_next_window();
        let delivery = &world.config.delivery;
        let starts_again = life.draw.chance(delivery.counter_reset);
        let counter = if starts_again { Counter::StartsAgain } else { Counter::GoesOn };
        let ended_first = ends_next.filter(|_| !is_last && life.draw.chance(delivery.ended_first));
        let (report, rogue) = session.close_window(at, counter);
        self.next = (session.window_end, Step::Window);
        if starts_again {
            life.mark(world, Behaviour::CounterReset, at);
        }
        life.records.add(&mut life.draw, report.window_start, at, report.delta);
        let told = if is_last { Told::Ended(report) } else { Told::Updated(report) };
        life.tell(world, seat, at, told, ended_first);
        if is_last {
            self.session = None;
            self.next = (NEVER, Step::Attach);
            return (Ended::Session, rogue);
        }
        (Ended::Window, rogue)
    }

    /// Lets the provider end the open session when the SIM goes dark.
    pub(super) fn settle(&mut self, dark_from: i64) {
        if let Some(session) = &self.session {
            let cut = dark_from.max(session.window_start);
            if cut < session.window_end {
                self.next = (cut, Step::Cut);
            }
        }
    }
}

/// What a session is opened for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) load: Load,
    pub(super) until: i64,
    pub(super) after: After,
}
