//! What arrives from a population, as the provider would write it.

use jiff::Timestamp;
use serde::Serialize;
use simfuse_domain::event::{Event, EventKind};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::UsageRecord;

use super::place;
use crate::cloud_event::{self, Data, Envelope, ErrorObject, Location, Network, Usage};

/// An event as one CloudEvent. Read by the webhook's decoder, it is the event again.
#[must_use]
pub fn event_json(envelope: Envelope, account_sid: &str, event: &Event) -> String {
    let iccid = event.iccid.map(|iccid| iccid.to_string());
    let imei = event.device.map(|imei| with_check_digit(&imei.to_string()));
    let codes = event.plmn.map(|plmn| plmn.to_string());
    let country = event.country.map(|country| country.to_string());
    let codes = codes.as_deref().and_then(|codes| codes.split_once('-'));
    let named = event.plmn.and_then(place::name_of);
    let network = codes.map(|(mcc, mnc)| Network {
        sid: named.map(|(sid, _)| sid),
        friendly_name: named.map_or("", |(_, name)| name),
        mcc,
        mnc,
        iso_country: country.as_deref().unwrap_or_default(),
    });
    let session = event.session.as_ref();
    let usage = session.filter(|session| session.update_end.is_some()).map(|session| Usage {
        data_session_update_start_time: session.update_start,
        data_session_update_end_time: session.update_end,
        data_upload: session.delta.up,
        data_download: session.delta.down,
        data_total: session.delta.total,
        data_session_data_upload: session.cumulative.up,
        data_session_data_download: session.cumulative.down,
        data_session_data_total: session.cumulative.total,
    });
    let data = Data {
        event_sid: event.sid,
        event_type: String::new(),
        timestamp: event.at,
        account_sid,
        sim_sid: event.sim,
        sim_iccid: iccid.as_deref(),
        sim_unique_name: event.unique_name.as_deref(),
        fleet_sid: event.fleet,
        imei: imei.as_deref(),
        imsi: None,
        apn: "super",
        ip_address: None,
        rat_type: "4G LTE",
        network,
        location: event.location.map(location),
        error: event.error_code.map(ErrorObject::of),
        data_session_sid: session.map(|session| session.sid),
        data_session_start_time: session.and_then(|session| session.start),
        data_session_end_time: session.and_then(|session| session.end),
        usage,
    };
    cloud_event::json(envelope, suffix(event.kind), data)
}

fn location(at: simfuse_domain::place::Location) -> Location<'static> {
    Location {
        cell_id: at.cell.cell.to_string().into(),
        lac: at.cell.area.to_string().into(),
        lat: at.point.lat(),
        lon: at.point.lon(),
    }
}

const fn suffix(kind: EventKind) -> &'static str {
    match kind {
        EventKind::AttachmentAccepted => "attachment.accepted",
        EventKind::AttachmentRejected => "attachment.rejected",
        EventKind::AttachmentFailed => "attachment.failed",
        EventKind::SessionStarted => "data-session.started",
        EventKind::SessionUpdated => "data-session.updated",
        EventKind::SessionEnded => "data-session.ended",
        EventKind::SessionFailed => "data-session.failed",
    }
}

/// The 15 digits that networks report.
fn with_check_digit(imei: &str) -> String {
    crate::fleet::with_luhn_digit(imei.to_owned())
}

/// A usage record, as one of the list in the API's answer, grouped by SIM and hour.
#[must_use]
pub fn usage_json(account_sid: &str, record: &UsageRecord) -> String {
    let bytes = |bytes: Option<simfuse_domain::bytes::Bytes>| bytes.map(|bytes| bytes.0);
    let json = RecordJson {
        period: PeriodJson { start_time: record.from, end_time: record.to },
        account_sid,
        data_upload: bytes(record.up),
        data_download: bytes(record.down),
        data_total: bytes(record.total),
        // Billing lags behind.
        data_total_billed: "0",
        billed_unit: None,
        sim_sid: record.sim,
        fleet_sid: record.fleet,
        network_sid: None,
        iso_country: None,
    };
    // Texts and numbers under fixed keys always serialise.
    serde_json::to_string(&json).unwrap_or_default()
}

#[derive(Serialize)]
struct RecordJson<'a> {
    period: PeriodJson,
    account_sid: &'a str,
    data_upload: Option<u64>,
    data_download: Option<u64>,
    data_total: Option<u64>,
    data_total_billed: &'static str,
    billed_unit: Option<&'static str>,
    sim_sid: Option<SimSid>,
    fleet_sid: Option<FleetSid>,
    network_sid: Option<&'static str>,
    iso_country: Option<&'static str>,
}

#[derive(Serialize)]
struct PeriodJson {
    start_time: Timestamp,
    end_time: Timestamp,
}
