//! From what an envelope holds to an event, or to the reason why there is none.

use jiff::Timestamp;
use simfuse_domain::event::{Event, EventKind, SessionReport, Usage};

use super::lenient::{Flaw, Soft};
use super::wire::{Data, Envelope, Time, TypeName};
use super::{DecodeError, Decoded, Ignored};

/// More than any radio link carries: 10 Gbit/s (5G's best cells reach about 7, and no IoT module
/// comes near). A larger amount is a mistake at the provider, and must not cut off a SIM.
const BYTES_PER_SEC_MAX: u64 = 1_250_000_000;

/// Windows are given in whole seconds: a shorter one may have lasted this long.
const WINDOW_SECS_MIN: u64 = 1;

/// Taken where an event gives no window: sessions live for days, hardly for a month.
const WINDOW_SECS_UNKNOWN: u64 = 31 * 24 * 60 * 60;

/// How far an update may end after the event that reports it: the provider's clocks differ a
/// little, and a window in the future would blind the windows before it.
const UPDATE_AHEAD_SECS_MAX: i64 = 15 * 60;

/// # Errors
/// [`DecodeError`] when it claims to be an event and cannot be one.
pub(super) fn judge(envelope: Soft<Envelope>) -> Result<Decoded<'static>, DecodeError> {
    let Soft::Given(envelope) = envelope else { return Err(DecodeError::NotAnEvent) };
    // The data is what both providers send alike, so its own type comes first.
    let (inner, data) = match envelope.data {
        Soft::Given(mut data) => (std::mem::take(&mut data.event_type), Ok(data)),
        Soft::Absent => (Soft::Absent, Err(DecodeError::Missing { field: "data" })),
        Soft::Wrong(flaw) => (Soft::Absent, Err(wrong("data", flaw))),
    };
    let kind = match (inner.ok(), envelope.kind.ok()) {
        (Some(TypeName::Connection(kind)), _) | (_, Some(TypeName::Connection(kind))) => kind,
        (Some(TypeName::Test), _) | (_, Some(TypeName::Test)) => {
            return Ok(Decoded::Ignored(Ignored::Test));
        }
        (_, Some(TypeName::Other(name))) | (Some(TypeName::Other(name)), None) => {
            return Ok(Decoded::Ignored(Ignored::UnknownType(name)));
        }
        (None, None) => return Err(DecodeError::NotAnEvent),
    };
    event(kind, envelope.id, envelope.time, data?).map(Decoded::Event)
}

fn event(
    kind: EventKind,
    id: Soft<simfuse_domain::id::EventSid>,
    time: Soft<Time>,
    data: Data,
) -> Result<Event, DecodeError> {
    let sim = required("sim_sid", data.sim_sid)?;
    let sid = required("event_sid", if_absent(data.event_sid, id))?;
    let Time(at) = required("timestamp", if_absent(data.timestamp, time))?;
    let network = optional("network", data.network)?.unwrap_or_default();
    let plmn = network.plmn();
    optional("network.mcc", network.mcc)?;
    optional("network.mnc", network.mnc)?;
    let usage = UsageReport {
        start: moment("data_session_start_time", data.session_start)?,
        end: moment("data_session_end_time", data.session_end)?,
        update_start: moment("data_session_update_start_time", data.update_start)?,
        update_end: moment("data_session_update_end_time", data.update_end)?,
        delta: Usage {
            up: optional("data_upload", data.up)?,
            down: optional("data_download", data.down)?,
            total: optional("data_total", data.total)?,
        },
        cumulative: Usage {
            up: optional("data_session_data_upload", data.session_up)?,
            down: optional("data_session_data_download", data.session_down)?,
            total: optional("data_session_data_total", data.session_total)?,
        },
    };
    usage.check(at)?;
    let session = optional("data_session_sid", data.session_sid)?;
    Ok(Event {
        sid,
        kind,
        sim,
        iccid: optional("sim_iccid", data.sim_iccid)?,
        unique_name: optional("sim_unique_name", data.sim_unique_name)?.map(|name| name.0),
        fleet: optional("fleet_sid", data.fleet_sid)?,
        at,
        device: optional("imei", data.imei)?,
        plmn,
        country: optional("network.iso_country", network.iso_country)?,
        location: optional("location", data.location)?.and_then(|place| place.location(plmn)),
        session: session.map(|sid| SessionReport {
            sid,
            start: usage.start,
            end: usage.end,
            update_start: usage.update_start,
            update_end: usage.update_end,
            delta: usage.delta,
            cumulative: usage.cumulative,
        }),
        error_code: optional("error", data.error)?.map(|error| error.0),
    })
}

/// What an event says of its session's usage, before it is known to be possible.
struct UsageReport {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    update_start: Option<Timestamp>,
    update_end: Option<Timestamp>,
    delta: Usage,
    cumulative: Usage,
}

impl UsageReport {
    fn check(&self, at: Timestamp) -> Result<(), DecodeError> {
        if let (Some(start), Some(end)) = (self.update_start, self.update_end)
            && end < start
        {
            return Err(DecodeError::UpdateEndsBeforeStart);
        }
        if let Some(end) = self.update_end
            && end.as_millisecond() - at.as_millisecond() > UPDATE_AHEAD_SECS_MAX * 1000
        {
            return Err(DecodeError::UpdateEndsAhead);
        }
        if !carriable(self.delta, self.update_start, self.update_end) {
            return Err(DecodeError::Implausible { field: "data_total" });
        }
        let last = self.update_end.or(self.end).unwrap_or(at);
        if !carriable(self.cumulative, self.start, Some(last)) {
            return Err(DecodeError::Implausible { field: "data_session_data_total" });
        }
        Ok(())
    }
}

/// Whether a radio link can carry so much between the two times.
fn carriable(usage: Usage, start: Option<Timestamp>, end: Option<Timestamp>) -> bool {
    let both_ways = usage.up.unwrap_or(0).saturating_add(usage.down.unwrap_or(0));
    let bytes = usage.total.unwrap_or(0).max(both_ways);
    let secs = start
        .zip(end)
        .and_then(|(start, end)| u64::try_from(end.as_second() - start.as_second()).ok())
        .map_or(WINDOW_SECS_UNKNOWN, |secs| secs.max(WINDOW_SECS_MIN));
    bytes <= secs.saturating_mul(BYTES_PER_SEC_MAX)
}

fn if_absent<T>(value: Soft<T>, other: Soft<T>) -> Soft<T> {
    if matches!(value, Soft::Absent) { other } else { value }
}

fn required<T>(field: &'static str, value: Soft<T>) -> Result<T, DecodeError> {
    optional(field, value)?.ok_or(DecodeError::Missing { field })
}

fn optional<T>(field: &'static str, value: Soft<T>) -> Result<Option<T>, DecodeError> {
    match value {
        Soft::Given(value) => Ok(Some(value)),
        Soft::Absent => Ok(None),
        Soft::Wrong(flaw) => Err(wrong(field, flaw)),
    }
}

fn moment(field: &'static str, value: Soft<Time>) -> Result<Option<Timestamp>, DecodeError> {
    Ok(optional(field, value)?.map(|Time(time)| time))
}

const fn wrong(field: &'static str, flaw: Flaw) -> DecodeError {
    match flaw {
        Flaw::NotA(expected) => DecodeError::Wrong { field, expected },
        Flaw::OutOfRange => DecodeError::OutOfRange { field },
    }
}
