//! Connection events as JSON, in either provider's envelope.
//!
//! The object inside is the same for both (schema `SuperSim.ConnectionEvent`, version 2); the shapes
//! follow recorded payloads, with numbers of bytes per direction and per session.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use simfuse_domain::id::{EventSid, FleetSid, NetworkSid, SessionSid, SimSid};

/// Whose stream an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// Twilio Event Streams: CloudEvents 1.0, times with milliseconds.
    Twilio,
    /// KORE Event Streams: says `specversion` 2.0, which does not exist, and prints times with seven
    /// digits and an offset; the prefix of the type is KORE's.
    Kore,
}

/// Writes one CloudEvent; the suffix is the end of its type, after `supersim.connection.`.
pub(crate) fn json(envelope: Envelope, suffix: &str, mut data: Data<'_>) -> String {
    let id = data.event_sid.to_string();
    let at = data.timestamp;
    let (prefix, source, time, dataschema, specversion) = match envelope {
        Envelope::Twilio => (
            "com.twilio.iot",
            format!("/v1/SuperSim/ConnectionEvents/{id}"),
            format!("{at:.3}"),
            "https://events-schemas.twilio.com/SuperSim.ConnectionEvent/2",
            "1.0",
        ),
        Envelope::Kore => (
            "com.kore.iot",
            "kore-events".to_owned(),
            format!("{at:.7}").replace('Z', "+00:00"),
            "https://events-schemas.korewireless.com/SuperSim.ConnectionEvent/2",
            "2.0",
        ),
    };
    data.event_type = format!("{prefix}.supersim.connection.{suffix}");
    let event_type = data.event_type.clone();
    let event = CloudEvent {
        specversion,
        event_type: &event_type,
        source: &source,
        id: &id,
        dataschema,
        datacontenttype: "application/json",
        time: &time,
        data,
    };
    // Texts and numbers under fixed keys always serialise.
    serde_json::to_string(&event).unwrap_or_default()
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    source: &'a str,
    id: &'a str,
    dataschema: &'a str,
    datacontenttype: &'a str,
    time: &'a str,
    data: Data<'a>,
}

/// The connection event. What its type does not have is left out; what its network did not pass on
/// is null.
#[derive(Serialize)]
pub(crate) struct Data<'a> {
    pub(crate) event_sid: EventSid,
    /// [`json`] fills it in.
    pub(crate) event_type: String,
    pub(crate) timestamp: Timestamp,
    pub(crate) account_sid: &'a str,
    pub(crate) sim_sid: SimSid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sim_iccid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sim_unique_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fleet_sid: Option<FleetSid>,
    pub(crate) imei: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) imsi: Option<&'a str>,
    pub(crate) apn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip_address: Option<&'a str>,
    pub(crate) rat_type: &'a str,
    pub(crate) network: Option<Network<'a>>,
    pub(crate) location: Option<Location<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<ErrorObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_session_sid: Option<SessionSid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_session_start_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_session_end_time: Option<Timestamp>,
    #[serde(flatten)]
    pub(crate) usage: Option<Usage>,
}

#[derive(Serialize)]
pub(crate) struct Usage {
    pub(crate) data_session_update_start_time: Option<Timestamp>,
    pub(crate) data_session_update_end_time: Option<Timestamp>,
    pub(crate) data_upload: Option<u64>,
    pub(crate) data_download: Option<u64>,
    pub(crate) data_total: Option<u64>,
    pub(crate) data_session_data_upload: Option<u64>,
    pub(crate) data_session_data_download: Option<u64>,
    pub(crate) data_session_data_total: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct Network<'a> {
    pub(crate) sid: Option<NetworkSid>,
    pub(crate) friendly_name: &'a str,
    pub(crate) mcc: &'a str,
    pub(crate) mnc: &'a str,
    pub(crate) iso_country: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Location<'a> {
    pub(crate) cell_id: Cow<'a, str>,
    pub(crate) lac: Cow<'a, str>,
    pub(crate) lat: f64,
    pub(crate) lon: f64,
}

#[derive(Serialize)]
pub(crate) struct ErrorObject {
    code: u32,
    message: &'static str,
}

impl ErrorObject {
    /// One of the 837xx codes, with a text like the provider's.
    pub(crate) const fn of(code: u32) -> Self {
        let message = match code {
            83_700 => "The attachment failed",
            83_701 => "The data session failed",
            83_704 => "The Super SIM is new",
            _ => "The Super SIM is inactive",
        };
        Self { code, message }
    }
}
