//! What the fleet's events tell.

use jiff::Timestamp;
use simfuse_domain::id::{EventSid, FleetSid, NetworkSid, SessionSid};

use super::identity::{Identity, Place};
use crate::cloud_event::{self, Data, Envelope, ErrorObject, Location, Network, Usage};

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
    let mut data = data(common, identity, device, at, event_sid);
    data.tell(at, happening);
    cloud_event::json(common.envelope, happening.suffix(), data)
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

/// What the API calls that network.
const NETWORK_SID: [u8; 16] = 0x0260_0000_0000_0000_0000_0000_0000_0310_u128.to_be_bytes();

const NETWORK: Network<'static> = Network {
    sid: Some(NetworkSid::from_bytes(NETWORK_SID)),
    friendly_name: "T-Mobile",
    mcc: "310",
    mnc: "260",
    iso_country: "US",
};

/// What every event says, whatever its type.
fn data<'a>(
    common: &'a Common,
    identity: &'a Identity,
    device: Device<'a>,
    at: Timestamp,
    event_sid: EventSid,
) -> Data<'a> {
    let place = device.place;
    Data {
        event_sid,
        event_type: String::new(),
        timestamp: at,
        account_sid: &common.account_sid,
        sim_sid: identity.sid,
        sim_iccid: Some(&identity.iccid),
        sim_unique_name: Some(&identity.unique_name),
        fleet_sid: Some(common.fleet),
        imei: Some(device.imei),
        imsi: Some(&identity.imsi),
        apn: "super",
        ip_address: Some(&identity.ip_address),
        rat_type: "4G LTE",
        network: Some(NETWORK),
        location: Some(Location {
            cell_id: place.cell_id.as_str().into(),
            lac: place.lac.as_str().into(),
            lat: f64::from(place.lat_thousandths) / 1000.0,
            lon: f64::from(place.lon_thousandths) / 1000.0,
        }),
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
                self.error = Some(ErrorObject::of(code));
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
            data_session_update_start_time: Some(report.window_start),
            data_session_update_end_time: Some(at),
            data_upload: Some(report.delta.up),
            data_download: Some(report.delta.down),
            data_total: Some(report.delta.total()),
            data_session_data_upload: Some(report.cumulative.up),
            data_session_data_download: Some(report.cumulative.down),
            data_session_data_total: Some(report.cumulative.total()),
        });
    }
}
