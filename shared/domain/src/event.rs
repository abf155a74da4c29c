//! One connection event, as far as SimFuse reads it.
//!
//! The envelopes of the two providers differ, the object inside does not; `simfuse-supersim` turns
//! either into this type. A field that the event lacks, or that holds what a carrier sends for
//! *unknown*, is `None`: unknown is not zero.

use jiff::Timestamp;

use crate::device::Imei14;
use crate::id::{EventSid, FleetSid, Iccid, SessionSid, SimSid};
use crate::network::{Country, Plmn};
use crate::place::Location;

/// One connection event of one SIM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The same for every delivery of this event, on both providers' streams.
    pub sid: EventSid,
    /// What happened.
    pub kind: EventKind,
    /// The SIM it happened to.
    pub sim: SimSid,
    /// The number printed on the SIM.
    pub iccid: Option<Iccid>,
    /// The operator's own name for the SIM.
    pub unique_name: Option<String>,
    /// The fleet that the SIM belonged to.
    pub fleet: Option<FleetSid>,
    /// When it happened, by the provider's clock, in whole milliseconds.
    pub at: Timestamp,
    /// The device that the SIM sat in.
    pub device: Option<Imei14>,
    /// The network that the SIM was attached to, or tried.
    pub plmn: Option<Plmn>,
    /// The country of that network.
    pub country: Option<Country>,
    /// Where the SIM was, as far as the cell is known.
    pub location: Option<Location>,
    /// What a data session reported.
    pub session: Option<SessionReport>,
    /// Why an attachment or a session was refused: one of the 837xx codes.
    pub error_code: Option<u32>,
}

impl Event {
    /// When what the event reports came to its end: usage belongs to its update window, not to the
    /// moment of the report.
    #[must_use]
    pub fn ended_at(&self) -> Timestamp {
        self.session.as_ref().and_then(|session| session.update_end).unwrap_or(self.at)
    }
}

/// What happened, by the end of the event's type after `supersim.connection.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The network may serve the SIM.
    AttachmentAccepted,
    /// The network was told to refuse the SIM.
    AttachmentRejected,
    /// The attachment failed for another reason.
    AttachmentFailed,
    /// A data session was opened.
    SessionStarted,
    /// An open session's usage, since the last report and since its start.
    SessionUpdated,
    /// A data session was closed; its last usage.
    SessionEnded,
    /// A data session could not be opened.
    SessionFailed,
}

impl EventKind {
    /// The kind for the part of an event type after `supersim.connection.`; the prefix differs
    /// between providers and over time, so it is not looked at.
    #[must_use]
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "attachment.accepted" => Self::AttachmentAccepted,
            "attachment.rejected" => Self::AttachmentRejected,
            "attachment.failed" => Self::AttachmentFailed,
            "data-session.started" => Self::SessionStarted,
            "data-session.updated" => Self::SessionUpdated,
            "data-session.ended" => Self::SessionEnded,
            "data-session.failed" => Self::SessionFailed,
            _ => return None,
        })
    }
}

/// What an event says about its data session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionReport {
    /// The session.
    pub sid: SessionSid,
    /// When the session was opened.
    pub start: Option<Timestamp>,
    /// When the session was closed, where the event says so.
    pub end: Option<Timestamp>,
    /// Begin of the window that the delta covers.
    pub update_start: Option<Timestamp>,
    /// End of that window.
    pub update_end: Option<Timestamp>,
    /// Bytes in the window.
    pub delta: Usage,
    /// Bytes since the session was opened.
    pub cumulative: Usage,
}

/// Bytes up, down and in all, each only where the event gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// From the device.
    pub up: Option<u64>,
    /// To the device.
    pub down: Option<u64>,
    /// Both.
    pub total: Option<u64>,
}

impl Usage {
    /// The total: as given, or else the sum of both directions.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total.or_else(|| Some(self.up?.saturating_add(self.down?)))
    }
}
