//! What healthy SIMs and their network do, by name.

use jiff::Timestamp;

use super::rogue::Rogue;

macro_rules! behaviours {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// One way in which a healthy SIM, or what is told of it, differs from a clock.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Behaviour {
            $($(#[$doc])* $name,)*
        }

        impl Behaviour {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in labels and reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

behaviours! {
    /// A wake up to so many seconds before or after its time.
    WakeJitter "wake_jitter",
    /// A larger upload once a day, at a local hour.
    DailyUpload "daily_upload",
    /// A larger upload once a week.
    WeeklyUpload "weekly_upload",
    /// Attempts to attach or to open a session that fail within minutes, then more bytes.
    RetryStorm "retry_storm",
    /// Wakes that are missed, and all that was to be sent with the next.
    MissedHours "missed_hours",
    /// A region without a network, whose SIMs all send their backlog when it is back.
    Outage "outage",
    /// A firmware update of a fleet: 5 % of it, then 25 %, then all.
    Firmware "firmware",
    /// Another usual amount, for good.
    NewLevel "new_level",
    /// More in one half of the year than in the other.
    Season "season",
    /// Work by local hours, which summer time moves.
    DaylightSaving "daylight_saving",
    /// A place between two countries, each of whose networks takes it by turns.
    BorderPingPong "border_ping_pong",
    /// Another network for a third of a fleet within a day.
    CarrierSteering "carrier_steering",
    /// Another modem of the same model.
    ModemSameModel "modem_same_model",
    /// Another modem of another model.
    ModemNewModel "modem_new_model",
    /// A technician who works on the device for hours.
    Technician "technician",
    /// A SIM that goes through the depot into another device elsewhere.
    DepotSwap "depot_swap",
    /// A device that is tested in its factory before it is installed.
    BurnIn "burn_in",
    /// Silence for 30 days.
    Asleep "asleep",
    /// A session that is never closed, and reports every window, used or not.
    StaysOpen "stays_open",
    /// An event that says neither device nor location.
    IdentityUnknown "identity_unknown",
    /// An event that is delivered twice.
    Duplicated "duplicated",
    /// An event that arrives more than an hour, or more than a day, late.
    Delayed "delayed",
    /// An event that arrives up to five minutes late, after later ones.
    Reordered "reordered",
    /// An event that never arrives.
    Lost "lost",
    /// A session's counter that starts again from 0.
    CounterReset "counter_reset",
    /// A session's end that arrives before its last update.
    EndedFirst "ended_first",
    /// A network whose clock is minutes off.
    ClockSkew "clock_skew",
    /// An hour's usage record that grows later.
    Corrected "corrected",
}

impl Behaviour {
    pub(super) const COUNT: usize = Self::ALL.len();

    pub(super) const fn place(self) -> usize {
        self as usize
    }

    /// Whether its beginning is told as a [`Label`]: not of what is always so, nor of what befalls
    /// single events and records.
    #[must_use]
    pub const fn is_labelled(self) -> bool {
        !matches!(
            self,
            Self::WakeJitter
                | Self::Season
                | Self::IdentityUnknown
                | Self::Duplicated
                | Self::Delayed
                | Self::Reordered
                | Self::Lost
                | Self::CounterReset
                | Self::EndedFirst
                | Self::Corrected
        )
    }
}

/// The truth about a SIM: what begins there, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// What.
    pub what: Labelled,
    /// When.
    pub from: Timestamp,
}

/// What a label is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labelled {
    /// Something harmless. It is told again when it was absent for two days.
    Benign(Behaviour),
    /// A theft, or whatever else makes a SIM a rogue.
    Rogue(Rogue),
}

impl Labelled {
    /// Its name in labels and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Benign(behaviour) => behaviour.name(),
            Self::Rogue(rogue) => rogue.name(),
        }
    }
}

/// When something befell a SIM last, by hours since 1970, and how often it befell any.
#[derive(Debug, Clone)]
pub(super) struct Seen([i32; Behaviour::COUNT]);

impl Seen {
    pub(super) const fn never() -> Self {
        Self([i32::MIN; Behaviour::COUNT])
    }

    /// Records that something befell the SIM, and says when it did before.
    pub(super) fn set(&mut self, behaviour: Behaviour, hour: i32) -> i32 {
        let seen = self.0.get_mut(behaviour.place());
        seen.map_or(i32::MIN, |seen| std::mem::replace(seen, hour.max(*seen)))
    }

    pub(super) fn since(&self, hour: i32) -> impl Iterator<Item = Behaviour> + '_ {
        let all = Behaviour::ALL.iter().zip(&self.0);
        all.filter(move |(_, seen)| **seen >= hour).map(|(behaviour, _)| *behaviour)
    }
}
