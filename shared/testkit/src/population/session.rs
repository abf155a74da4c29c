//! A data session: windows of bytes, and the counter that events tell.

use simfuse_domain::id::SessionSid;

use crate::fleet::Volume;

/// Length of a session's window between two `updated` events, as in the one recorded payload.
pub(super) const WINDOW_MS: i64 = 360_000;

/// What a device does with its session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    sid: SessionSid,
    start: i64,
    pub(super) window_start: i64,
    pub(super) window_end: i64,
    /// Until when what is to be carried is carried, evenly.
    busy_until: i64,
    after: After,
    /// Bytes that the open window will have carried at its end, evenly.
    window: Volume,
    /// Bytes that are still to be carried after the window.
    left: Volume,
    /// What the counter says at the begin of the window.
    counted: Volume,
    /// How much of its bytes is a rogue's, in millionths.
    rogue_ppm: u32,
}

/// What the device does when everything is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Close,
    StayOpen,
}

/// Bytes to carry, and how much of them is a rogue's, in millionths.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    pub(super) bytes: Volume,
    pub(super) rogue_ppm: u32,
}

/// What events tell of one window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) sid: SessionSid,
    pub(super) start: i64,
    pub(super) window_start: i64,
    pub(super) delta: Volume,
    pub(super) cumulative: Volume,
}

impl Session {
    /// A session that carries the load evenly from `start` to `busy_until`.
    pub(super) fn new(
        sid: SessionSid,
        start: i64,
        busy_until: i64,
        load: Load,
        after: After,
    ) -> Self {
        let mut session = Self {
            sid,
            start,
            window_start: start,
            window_end: start,
            busy_until: busy_until.max(start + 1),
            after,
            window: Volume::default(),
            left: load.bytes,
            counted: Volume::default(),
            rogue_ppm: load.rogue_ppm,
        };
        session.open_window();
        session
    }

    /// Adds what the window that was just opened, and those after it, will carry up to a time.
    pub(super) fn carry(&mut self, load: Load, busy_until: i64) {
        let left = self.left.plus(self.window);
        let rogue = rogue_of(left, self.rogue_ppm) + rogue_of(load.bytes, load.rogue_ppm);
        self.left = left.plus(load.bytes);
        self.busy_until = self.busy_until.max(busy_until).max(self.window_start + 1);
        let ppm = u128::from(rogue) * 1_000_000 / u128::from(self.left.total().max(1));
        self.rogue_ppm = u32::try_from(ppm).unwrap_or(u32::MAX);
        self.open_window();
    }

    fn open_window(&mut self) {
        let whole_window = self.window_start + WINDOW_MS;
        let busy = self.busy_until.min(whole_window);
        self.window_end = match self.after {
            After::Close => busy.max(self.window_start + 1),
            After::StayOpen => whole_window,
        };
        let part = millis_between(self.window_start, busy);
        let whole = millis_between(self.window_start, self.busy_until);
        self.window = self.left.share(part, whole);
        self.left = self.left.minus(self.window);
    }

    /// When the session ends, if that is in the window after this one.
    pub(super) fn ends_in_next_window(&self) -> Option<i64> {
        let next = self.window_end + 1..=self.window_end + WINDOW_MS;
        (self.after == After::Close && next.contains(&self.busy_until)).then_some(self.busy_until)
    }

    /// Whether the session ends with the window.
    pub(super) fn is_last(&self) -> bool {
        self.after == After::Close && self.window_end >= self.busy_until
    }

    /// What the open window has carried up to a time.
    fn partial(&self, at: i64) -> Volume {
        let elapsed = millis_between(self.window_start, at);
        self.window.share(elapsed, millis_between(self.window_start, self.window_end))
    }

    /// A rogue's bytes in the open window, up to a time.
    pub(super) fn rogue_partial(&self, at: i64) -> u64 {
        rogue_of(self.partial(at), self.rogue_ppm)
    }

    /// Closes the window at a time that is not after its end, and opens the next. Gives what is told of
    /// it, and how much of it was a rogue's.
    pub(super) fn close_window(&mut self, at: i64, counter: Counter) -> (Report, u64) {
        let delta = self.partial(at);
        if counter == Counter::StartsAgain {
            self.counted = Volume::default();
        }
        let window_start = self.window_start;
        let rogue = rogue_of(delta, self.rogue_ppm);
        self.counted = self.counted.plus(delta);
        self.window_start = at;
        self.open_window();
        let report = Report {
            sid: self.sid,
            start: self.start,
            window_start,
            delta,
            cumulative: self.counted,
        };
        (report, rogue)
    }
}

fn rogue_of(bytes: Volume, rogue_ppm: u32) -> u64 {
    let share = u128::from(bytes.total()) * u128::from(rogue_ppm) / 1_000_000;
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// What becomes of a session's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    GoesOn,
    StartsAgain,
}

/// Milliseconds from one time to another; 0 when it is not later.
pub(super) fn millis_between(from: i64, to: i64) -> u64 {
    u64::try_from(to - from).unwrap_or(0)
}
