//! One SIM through time: the sensor that it was sold for, or whoever stole it.
//!
//! A unit always knows its next step. A step is one thing that the device or the network does at one
//! time, and tells at most one event.

use jiff::{SignedDuration, Timestamp};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use simfuse_domain::id::{EventSid, SessionSid};

use super::event::{Device, Happening, Report, Volume};
use super::identity::Identity;
use super::{FleetConfig, Theft};
use crate::service::{Attach, SuperSimService};
use crate::time;

/// Length of a session's window between two `updated` events, as in the one recorded payload.
const WINDOW_SECS: i64 = 360;

/// From one wake of a sensor to the next, and how far either side of it a wake may fall.
const WAKE_SECS: i64 = 3600;
const WAKE_JITTER_SECS: i64 = 90;

/// From the network's consent to the session.
const START_SECS: std::ops::RangeInclusive<i64> = 1..=4;

/// A sensor's session after its one full window.
const TAIL_SECS: std::ops::RangeInclusive<i64> = 30..=240;

/// A cut device notices and attaches again, first soon, then every few minutes.
const FIRST_RETRY_SECS: std::ops::RangeInclusive<i64> = 20..=60;
const RETRY_SECS: std::ops::RangeInclusive<i64> = 120..=300;

/// A device whose session outlives its deactivation attaches again this long after it.
const REATTACH_SECS: std::ops::RangeInclusive<i64> = 1200..=1800;

/// One SIM, its identity and what it does next.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) identity: Identity,
    rng: Xoshiro256PlusPlus,
    holder: Holder,
    phase: Phase,
    /// When the next step is due, and which it is.
    next: (Timestamp, Step),
    /// A theft that is still to come.
    theft: Option<(Timestamp, Theft)>,
    /// The hour's mark that the sensor's last wake fell near.
    wake_mark: Timestamp,
    /// Bytes that thieves have carried, up to the open window.
    stolen_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Sensor,
    Thief(Theft),
}

#[derive(Debug)]
enum Phase {
    /// No session: asleep, or refused.
    Away,
    /// Attached, about to open a session.
    Attached,
    Open(Session),
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Attach,
    Start,
    /// The session's window ends.
    Window,
    /// The network ends the session.
    Cut,
    /// The device attaches again though its session is open.
    Reattach,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    sid: SessionSid,
    start: Timestamp,
    window_start: Timestamp,
    window_end: Timestamp,
    /// What the window will have carried at its end, evenly.
    window: Volume,
    /// What the windows before it carried.
    carried: Volume,
    after_window: AfterWindow,
    reattach_at: Option<Timestamp>,
}

/// What comes after the window.
#[derive(Debug, Clone, Copy)]
enum AfterWindow {
    /// Another one, of whatever the device streams then.
    Stream,
    /// A last one.
    Tail { secs: i64, volume: Volume },
    /// Nothing: the device closes the session.
    End,
}

impl Unit {
    /// The unit with this number, from 0. Each draws from its own stream of random numbers, so that
    /// what happens to one leaves the others as they were.
    pub(super) fn new(index: u32, config: &FleetConfig) -> Self {
        let seed =
            config.seed ^ u64::from(index).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let identity = Identity::new(index, config.tac, config.tablet_tac, &mut rng);
        let phase_secs = rng.random_range(WAKE_JITTER_SECS..WAKE_SECS);
        let wake_mark = time::later_secs(config.start, phase_secs - WAKE_SECS);
        let mut unit = Self {
            identity,
            rng,
            holder: Holder::Sensor,
            phase: Phase::Away,
            next: (config.start, Step::Attach),
            theft: None,
            wake_mark,
            stolen_bytes: 0,
        };
        unit.sleep(config.start);
        unit
    }

    /// When something happens next.
    pub(super) fn next_at(&self) -> Timestamp {
        self.theft.map_or(self.next.0, |(at, _)| at.min(self.next.0))
    }

    /// The device that the SIM sits in.
    pub(super) fn device(&self) -> Device<'_> {
        let identity = &self.identity;
        let (imei, place) = match self.holder {
            Holder::Sensor => (&identity.sensor_imei, &identity.sensor_place),
            Holder::Thief(Theft::Tablet) => (&identity.tablet_imei, &identity.thief_place),
            Holder::Thief(Theft::SpoofedImei) => (&identity.sensor_imei, &identity.thief_place),
        };
        Device { imei, place }
    }

    /// The SID of this SIM's next event.
    pub(super) fn draw_event_sid(&mut self) -> EventSid {
        EventSid::from_bytes(self.rng.random())
    }

    /// Lets the SIM be stolen at a time; a theft that was still to come is forgotten.
    pub(super) fn steal(&mut self, at: Timestamp, theft: Theft) {
        self.theft = Some((at, theft));
    }

    /// Puts the SIM back into its sensor, which wakes at its next hour.
    pub(super) fn give_back(&mut self, at: Timestamp) {
        self.leave_session(at);
        self.theft = None;
        self.holder = Holder::Sensor;
        self.sleep(at);
    }

    /// Bytes that thieves have carried up to a time, the open window's included.
    pub(super) fn stolen_bytes(&self, at: Timestamp) -> u64 {
        let open = match (&self.phase, self.holder) {
            (Phase::Open(session), Holder::Thief(_)) => session.partial(at).total(),
            _ => 0,
        };
        self.stolen_bytes.saturating_add(open)
    }

    /// Looks again at what the network does to the open session up to `until`: cut it, or refuse the
    /// SIM the next time it attaches.
    pub(super) fn look_at_line(&mut self, service: &SuperSimService, until: Timestamp) {
        let Phase::Open(session) = &mut self.phase else { return };
        let line = service.line(self.identity.sid, session.start, until);
        let mut next = (session.window_end, Step::Window);
        if let Some(refused_since) = line.refused_since {
            let rng = &mut self.rng;
            let at = session.reattach_at.get_or_insert_with(|| {
                time::later_secs(refused_since, rng.random_range(REATTACH_SECS))
            });
            *at = session.window_start.max(*at);
            next = earlier((*at, Step::Reattach), next);
        } else {
            session.reattach_at = None;
        }
        if let Some(cut_at) = line.cut_at {
            next = earlier((session.window_start.max(cut_at), Step::Cut), next);
        }
        self.next = next;
    }

    /// Takes the step that is due, and gives its time and what it tells.
    pub(super) fn step(
        &mut self,
        service: &SuperSimService,
        until: Timestamp,
    ) -> (Timestamp, Option<Happening>) {
        if let Some((at, theft)) = self.theft
            && at <= self.next.0
        {
            self.change_hands(at, theft);
            return (at, None);
        }
        let (at, step) = self.next;
        let told = match step {
            Step::Attach => Some(self.attach(service, at)),
            Step::Start => Some(self.start(service, at)),
            Step::Window => self.end_window(at),
            Step::Cut => self.cut(at),
            Step::Reattach => {
                self.leave_session(at);
                Some(self.attach(service, at))
            }
        };
        self.look_at_line(service, until);
        (at, told)
    }

    /// The thief takes the SIM out of the sensor, whose session is never closed, and attaches.
    fn change_hands(&mut self, at: Timestamp, theft: Theft) {
        self.leave_session(at);
        self.theft = None;
        self.holder = Holder::Thief(theft);
        self.next = (at, Step::Attach);
    }

    fn attach(&mut self, service: &SuperSimService, at: Timestamp) -> Happening {
        match service.attach(self.identity.sid, at) {
            Attach::Accepted => {
                self.phase = Phase::Attached;
                let secs = self.rng.random_range(START_SECS);
                self.next = (time::later_secs(at, secs), Step::Start);
                Happening::Accepted
            }
            Attach::Rejected { code } => {
                self.wait(at, RETRY_SECS);
                Happening::Rejected { code }
            }
        }
    }

    /// Opens the session, unless the SIM was deactivated since it attached.
    fn start(&mut self, service: &SuperSimService, at: Timestamp) -> Happening {
        if let Attach::Rejected { code } = service.attach(self.identity.sid, at) {
            self.wait(at, RETRY_SECS);
            return Happening::Rejected { code };
        }
        let sid = SessionSid::from_bytes(self.rng.random());
        let (window, after_window) = match self.holder {
            Holder::Sensor => measurement(&mut self.rng),
            Holder::Thief(_) => (stream(&mut self.rng), AfterWindow::Stream),
        };
        self.phase = Phase::Open(Session {
            sid,
            start: at,
            window_start: at,
            window_end: time::later_secs(at, WINDOW_SECS),
            window,
            carried: Volume::default(),
            after_window,
            reattach_at: None,
        });
        Happening::Started { session: sid }
    }

    fn end_window(&mut self, at: Timestamp) -> Option<Happening> {
        let Phase::Open(session) = &mut self.phase else { return None };
        if let Holder::Thief(_) = self.holder {
            self.stolen_bytes = self.stolen_bytes.saturating_add(session.window.total());
        }
        let report = session.close_window(at);
        match session.after_window {
            AfterWindow::Stream => {
                session.window_end = time::later_secs(at, WINDOW_SECS);
                session.window = stream(&mut self.rng);
            }
            AfterWindow::Tail { secs, volume } => {
                session.window_end = time::later_secs(at, secs);
                session.window = volume;
                session.after_window = AfterWindow::End;
            }
            AfterWindow::End => {
                self.phase = Phase::Away;
                self.sleep(at);
                return Some(Happening::Ended(report));
            }
        }
        Some(Happening::Updated(report))
    }

    /// The network ends the session; what its last window carried so far is reported.
    fn cut(&mut self, at: Timestamp) -> Option<Happening> {
        let report = self.leave_session(at);
        self.wait(at, FIRST_RETRY_SECS);
        report.map(Happening::Ended)
    }

    /// Forgets the open session; what its last window carried so far counts all the same.
    fn leave_session(&mut self, at: Timestamp) -> Option<Report> {
        let stolen_bytes = self.stolen_bytes(at);
        let Phase::Open(mut session) = std::mem::replace(&mut self.phase, Phase::Away) else {
            return None;
        };
        self.stolen_bytes = stolen_bytes;
        session.window = session.partial(at);
        Some(session.close_window(at))
    }

    /// Stays away after a refusal or a cut: a thief for this long, a sensor till its next wake.
    fn wait(&mut self, at: Timestamp, secs: std::ops::RangeInclusive<i64>) {
        self.phase = Phase::Away;
        match self.holder {
            Holder::Sensor => self.sleep(at),
            Holder::Thief(_) => {
                let secs = self.rng.random_range(secs);
                self.next = (time::later_secs(at, secs), Step::Attach);
            }
        }
    }

    /// Sleeps to the first wake after a time.
    fn sleep(&mut self, at: Timestamp) {
        self.phase = Phase::Away;
        let hours_ms = time::millis_between(self.wake_mark, at);
        let hours = i64::try_from(hours_ms / 3_600_000).unwrap_or(0);
        self.wake_mark = time::later(self.wake_mark, SignedDuration::from_hours(hours));
        loop {
            self.wake_mark = time::later_secs(self.wake_mark, WAKE_SECS);
            let jitter = self.rng.random_range(-WAKE_JITTER_SECS..=WAKE_JITTER_SECS);
            let wake = time::later_secs(self.wake_mark, jitter);
            if wake > at || self.wake_mark == Timestamp::MAX {
                self.next = (wake, Step::Attach);
                return;
            }
        }
    }
}

impl Session {
    /// What the open window has carried up to a time.
    fn partial(&self, at: Timestamp) -> Volume {
        let elapsed_ms = time::millis_between(self.window_start, at);
        let window_ms = time::millis_between(self.window_start, self.window_end);
        self.window.share(elapsed_ms, window_ms)
    }

    /// Reports the window and begins the next at its end.
    fn close_window(&mut self, at: Timestamp) -> Report {
        let window_start = std::mem::replace(&mut self.window_start, at);
        self.carried = self.carried.plus(self.window);
        Report {
            session: self.sid,
            start: self.start,
            window_start,
            delta: self.window,
            cumulative: self.carried,
        }
    }
}

/// The earlier of two steps; the first when they are due at once.
fn earlier(first: (Timestamp, Step), second: (Timestamp, Step)) -> (Timestamp, Step) {
    if first.0 <= second.0 { first } else { second }
}

/// A sensor's wake: 20 to 120 kB, mostly sent, most of it in the first window.
fn measurement(rng: &mut Xoshiro256PlusPlus) -> (Volume, AfterWindow) {
    let total = rng.random_range(20_000..=120_000_u64);
    let up = total.saturating_mul(rng.random_range(70..=90)) / 100;
    let all = Volume { up, down: total.saturating_sub(up) };
    let window = all.share(rng.random_range(60..=95), 100);
    let volume =
        Volume { up: all.up.saturating_sub(window.up), down: all.down.saturating_sub(window.down) };
    (window, AfterWindow::Tail { secs: rng.random_range(TAIL_SECS), volume })
}

/// A window of streamed video: some 31 MB, nearly all received, which is 0.7 Mbit/s.
fn stream(rng: &mut Xoshiro256PlusPlus) -> Volume {
    let total = rng.random_range(28_000_000..=34_000_000_u64);
    let up = total.saturating_mul(rng.random_range(30..=60)) / 1000;
    Volume { up, down: total.saturating_sub(up) }
}
