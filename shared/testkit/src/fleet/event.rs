//! Connection events as JSON, in either provider's envelope.
//!
//! The object inside is the same for both (schema `SuperSim.ConnectionEvent`, version 2); the shapes
//! follow recorded payloads, with numbers of bytes per direction and per session.

use jiff::Timestamp;
use serde::Serialize;
use simfuse_domain::id::{EventSid, FleetSid, SessionSid, SimSid};

use super::identity::{Identity, Place};

/// Whose stream an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// Twilio Event Streams: CloudEvents 1.0, times with milliseconds.
    Twilio,
    /// KORE Event Streams: says `specversion` 2.0, which does not exist, and prints times with seven
    /// digits and an offset; the prefix of the type is KORE's.
    Kore,
}

/// Bytes of one direction each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Volume {
    pub(crate) up: u64,
    pub(crate) down: u64,
}

impl Volume {
    pub(crate) fn total(self) -> u64 {
        self.up.saturating_add(self.down)
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { up: self.up.saturating_add(other.up), down: self.down.saturating_add(other.down) }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self { up: self.up.saturating_sub(other.up), down: self.down.saturating_sub(other.down) }
    }

    /// `part` out of `whole` of it, rounded down; all of it at most.
    pub(crate) fn share(self, part: u64, whole: u64) -> Self {
        let part = part.min(whole);
        let share = |bytes: u64| bytes.saturating_mul(part).checked_div(whole).unwrap_or(bytes);
        Self { up: share(self.up), down: share(self.down) }
    }
}

/// What an event tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happening {
    Accepted,
    Rejected { code: u32 },
    Started { session: SessionSid },
    Updated(Report),
    Ended(Report),
}

/// Usage of a session in one window, and since its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) session: SessionSid,
    pub(super) start: Timestamp,
    pub(super) window_start: Timestamp,
    pub(super) delta: Volume,
    pub(super) cumulative: Volume,
}

/// What all events of a fleet share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) envelope: Envelope,
    pub(super) account_sid: String,
    pub(super) fleet: FleetSid,
}

/// The device that a SIM sits in, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Device<'a> {
    pub(super) imei: &'a str,
    pub(super) place: &'a Place,
}

/// Writes one CloudEvent.
pub(super) fn json(
    common: &Common,
    identity: &Identity,
    device: Device<'_>,
    event_sid: EventSid,
    at: Timestamp,
    happening: Happening,
) -> String {
    let id = event_sid.to_string();
    let (prefix, source, time, dataschema, specversion) = match common.envelope {
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
    let event_type = format!("{prefix}.supersim.connection.{}", happening.suffix());
    let mut data = data(common, identity, device, at, &event_type, &id);
    data.tell(at, happening);
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

impl Happening {
    fn suffix(self) -> &'static str {
        match self {
            Self::Accepted => "attachment.accepted",
            Self::Rejected { .. } => "attachment.rejected",
            Self::Started { .. } => "data-session.started",
            Self::Updated(_) => "data-session.updated",
            Self::Ended(_) => "data-session.ended",
        }
    }
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

/// The connection event; what its type does not have is left out.
#[derive(Serialize)]
struct Data<'a> {
    event_sid: &'a str,
    event_type: &'a str,
    timestamp: Timestamp,
    account_sid: &'a str,
    sim_sid: SimSid,
    sim_iccid: &'a str,
    sim_unique_name: &'a str,
    fleet_sid: FleetSid,
    imei: &'a str,
    imsi: &'a str,
    apn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<&'a str>,
    rat_type: &'a str,
    network: Network,
    location: Location<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_session_sid: Option<SessionSid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_session_start_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_session_end_time: Option<Timestamp>,
    #[serde(flatten)]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Usage {
    data_session_update_start_time: Timestamp,
    data_session_update_end_time: Timestamp,
    data_upload: u64,
    data_download: u64,
    data_total: u64,
    data_session_data_upload: u64,
    data_session_data_download: u64,
    data_session_data_total: u64,
}

#[derive(Serialize)]
struct Network {
    sid: &'static str,
    friendly_name: &'static str,
    mcc: &'static str,
    mnc: &'static str,
    iso_country: &'static str,
}

const NETWORK: Network = Network {
    sid: "HW02600000000000000000000000000310",
    friendly_name: "T-Mobile",
    mcc: "310",
    mnc: "260",
    iso_country: "US",
};

#[derive(Serialize)]
struct Location<'a> {
    cell_id: &'a str,
    lac: &'a str,
    lat: f64,
    lon: f64,
}

#[derive(Serialize)]
struct ErrorObject {
    code: u32,
    message: &'static str,
}

/// What every event says, whatever its type.
fn data<'a>(
    common: &'a Common,
    identity: &'a Identity,
    device: Device<'a>,
    at: Timestamp,
    event_type: &'a str,
    event_sid: &'a str,
) -> Data<'a> {
    let place = device.place;
    Data {
        event_sid,
        event_type,
        timestamp: at,
        account_sid: &common.account_sid,
        sim_sid: identity.sid,
        sim_iccid: &identity.iccid,
        sim_unique_name: &identity.unique_name,
        fleet_sid: common.fleet,
        imei: device.imei,
        imsi: &identity.imsi,
        apn: "super",
        ip_address: Some(&identity.ip_address),
        rat_type: "4G LTE",
        network: NETWORK,
        location: Location {
            cell_id: &place.cell_id,
            lac: &place.lac,
            lat: f64::from(place.lat_thousandths) / 1000.0,
            lon: f64::from(place.lon_thousandths) / 1000.0,
        },
        error: None,
        data_session_sid: None,
        data_session_start_time: None,
        data_session_end_time: None,
        usage: None,
    }
}

impl Data<'_> {
    /// Adds what only this type of event says.
    fn tell(&mut self, at: Timestamp, happening: Happening) {
        match happening {
            Happening::Accepted => self.ip_address = None,
            Happening::Rejected { code } => {
                self.ip_address = None;
                let message = match code {
                    83704 => "The Super SIM is new",
                    _ => "The Super SIM is inactive",
                };
                self.error = Some(ErrorObject { code, message });
            }
            Happening::Started { session } => {
                self.data_session_sid = Some(session);
                self.data_session_start_time = Some(at);
            }
            Happening::Updated(report) => self.report(at, report),
            Happening::Ended(report) => {
                self.report(at, report);
                self.data_session_end_time = Some(at);
            }
        }
    }

    fn report(&mut self, at: Timestamp, report: Report) {
        self.data_session_sid = Some(report.session);
        self.data_session_start_time = Some(report.start);
        self.usage = Some(Usage {
            data_session_update_start_time: report.window_start,
            data_session_update_end_time: at,
            data_upload: report.delta.up,
            data_download: report.delta.down,
            data_total: report.delta.total(),
            data_session_data_upload: report.cumulative.up,
            data_session_data_download: report.cumulative.down,
            data_session_data_total: report.cumulative.total(),
        });
    }
}
