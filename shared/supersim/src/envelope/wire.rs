//! What SimFuse reads of an event, value by value. Any other field is skipped whatever it holds.
//!
//! Fields: Twilio's event type page for `SuperSim.ConnectionEvent` version 2, and recorded events.

use jiff::Timestamp;
use serde::de::MapAccess;
use simfuse_domain::device::Imei14;
use simfuse_domain::event::EventKind;
use simfuse_domain::id::{EventSid, FleetSid, Iccid, SessionSid, SimSid};
use simfuse_domain::network::{Country, Plmn};
use simfuse_domain::place::{CellId, Location, Point};

use super::lenient::{Flaw, Lenient, Soft, object};

/// A longer name, or type, is not the operator's or the provider's work, and a SIM's state has to
/// stay small (2 kB for an hourly sensor).
const TEXT_BYTES_MAX: usize = 255;

/// 2015-01-01T00:00:00Z: before any Super SIM was made.
const TIME_SECS_MIN: i64 = 1_420_070_400;

/// 2100-01-01T00:00:00Z: the first second that is out of range.
const TIME_SECS_END: i64 = 4_102_444_800;

object! {
    /// A CloudEvent.
    Envelope {
        kind "type": TypeName,
        id "id": EventSid,
        time "time": Time,
        data "data": Data,
    }
}

object! {
    /// What a CloudEvent of a connection says; alike on both providers' streams.
    Data {
        event_sid "event_sid": EventSid,
        event_type "event_type": TypeName,
        sim_sid "sim_sid": SimSid,
        sim_iccid "sim_iccid": Iccid,
        sim_unique_name "sim_unique_name": Name,
        fleet_sid "fleet_sid": FleetSid,
        timestamp "timestamp": Time,
        imei "imei": Imei14,
        network "network": Network,
        location "location": Place,
        error "error": ErrorCode,
        session_sid "data_session_sid": SessionSid,
        session_start "data_session_start_time": Time,
        session_end "data_session_end_time": Time,
        update_start "data_session_update_start_time": Time,
        update_end "data_session_update_end_time": Time,
        up "data_upload": u64,
        down "data_download": u64,
        total "data_total": u64,
        session_up "data_session_data_upload": u64,
        session_down "data_session_data_download": u64,
        session_total "data_session_data_total": u64,
    }
}

object! {
    /// The visited network.
    Network {
        mcc "mcc": Code,
        mnc "mnc": Code,
        iso_country "iso_country": Country,
    }
}

object! {
    /// The cell.
    Place {
        cell_id "cell_id": CellNumber,
        lac "lac": CellNumber,
        lat "lat": Degrees,
        lon "lon": Degrees,
    }
}

object! {
    /// An error as an object: its shape is documented nowhere but for its number.
    ErrorObject { code "code": ErrorNumber, }
}

/// What an event's type says.
#[derive(Debug, PartialEq)]
pub(super) enum TypeName {
    Connection(EventKind),
    Test,
    /// Shortened to [`TEXT_BYTES_MAX`].
    Other(String),
}

/// An instant in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Time(pub(super) Timestamp);

/// The operator's name for a SIM.
#[derive(Debug, PartialEq)]
pub(super) struct Name(pub(super) String);

/// An error, as far as it holds one of the 837xx numbers.
#[derive(Debug, PartialEq)]
pub(super) struct ErrorCode(pub(super) u32);

/// The number inside an error. Its own type, so that errors within errors are not followed.
#[derive(Debug, PartialEq)]
pub(super) struct ErrorNumber(u32);

/// The number of a cell or its area, given as text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CellNumber(u64);

/// A latitude or longitude.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Degrees(f64);

/// Two or three digits: half a PLMN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Code {
    digits: [u8; 3],
    length: usize,
}

impl Code {
    fn as_str(&self) -> &str {
        self.digits.get(..self.length).and_then(|text| str::from_utf8(text).ok()).unwrap_or("")
    }
}

impl Network {
    pub(super) fn plmn(&self) -> Option<Plmn> {
        match (&self.mcc, &self.mnc) {
            (Soft::Given(mcc), Soft::Given(mnc)) => Plmn::new(mcc.as_str(), mnc.as_str()).ok(),
            _ => None,
        }
    }
}

impl Place {
    /// The cell of this network and where it is, where both are known.
    pub(super) fn location(self, plmn: Option<Plmn>) -> Option<Location> {
        let (CellNumber(cell), CellNumber(area)) = (self.cell_id.ok()?, self.lac.ok()?);
        let (Degrees(lat), Degrees(lon)) = (self.lat.ok()?, self.lon.ok()?);
        let cell = CellId { plmn, area: u32::try_from(area).ok()?, cell };
        Some(Location { cell, point: Point::new(lat, lon)? })
    }
}

/// An identifier without which there is no event: a text that is none is wrong.
macro_rules! required_sid {
    ($($type:ty: $expected:literal),* $(,)?) => {$(
        impl Lenient for $type {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Soft<Self> {
                match text.parse() {
                    Ok(sid) => Soft::Given(sid),
                    Err(_) if text.is_empty() => Soft::Absent,
                    Err(_) => Self::from_other(),
                }
            }
        }
    )*};
}

required_sid! {
    SimSid: "HS and 32 hexadecimal digits",
    EventSid: "EZ and 32 hexadecimal digits",
    SessionSid: "PI and 32 hexadecimal digits",
}

/// A mark that carriers may garble: a text that is none means *unknown*.
macro_rules! optional_mark {
    ($($type:ty),* $(,)?) => {$(
        impl Lenient for $type {
            const EXPECTED: &'static str = "a string";

            fn from_text(text: &str) -> Soft<Self> {
                text.parse().map_or(Soft::Absent, Soft::Given)
            }
        }
    )*};
}

optional_mark!(Iccid, FleetSid, Imei14, Country);

impl Lenient for Code {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Soft<Self> {
        let mut digits = [0; 3];
        let Some(kept) = digits.get_mut(..text.len()) else { return Soft::Absent };
        kept.copy_from_slice(text.as_bytes());
        Soft::Given(Self { digits, length: text.len() })
    }
}

impl Lenient for Name {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Soft<Self> {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return Soft::Absent;
        }
        Soft::Given(Self(text.to_owned()))
    }
}

impl Lenient for TypeName {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Soft<Self> {
        let connection = text.split_once("supersim.connection.");
        let kind = connection.and_then(|(_prefix, suffix)| EventKind::from_suffix(suffix));
        Soft::Given(if let Some(kind) = kind {
            Self::Connection(kind)
        } else if text.ends_with("eventstreams.test-event")
            || text.ends_with("eventstreams.test.event")
        {
            Self::Test
        } else {
            let end = text.floor_char_boundary(TEXT_BYTES_MAX);
            Self::Other(text.get(..end).unwrap_or("").to_owned())
        })
    }
}

impl Lenient for u64 {
    const EXPECTED: &'static str = "a whole number of bytes";

    fn from_number(number: u64) -> Soft<Self> {
        Soft::Given(number)
    }
}

impl Lenient for Time {
    const EXPECTED: &'static str = "a time by RFC 3339";

    fn from_text(text: &str) -> Soft<Self> {
        if text.is_empty() {
            return Soft::Absent;
        }
        let Some(time) = parse_time(text) else { return Self::from_other() };
        if !(TIME_SECS_MIN..TIME_SECS_END).contains(&time.as_second()) {
            return Soft::Wrong(Flaw::OutOfRange);
        }
        // Equal moments have to be equal, with seven digits of fraction or with three.
        let whole = Timestamp::from_millisecond(time.as_millisecond());
        whole.map_or_else(|_range| Self::from_other(), |time| Soft::Given(Self(time)))
    }
}

/// RFC 3339 allows any number of digits in a fraction, jiff nine: the rest is less than it keeps.
fn parse_time(text: &str) -> Option<Timestamp> {
    const FRACTION_DIGITS_MAX: usize = 9;
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let (seconds, rest) = text.split_once('.')?;
    let offset = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let kept = rest.get(..FRACTION_DIGITS_MAX)?;
    let all_digits = kept.bytes().all(|digit| digit.is_ascii_digit());
    if all_digits { format!("{seconds}.{kept}{offset}").parse().ok() } else { None }
}

impl Lenient for Envelope {
    const EXPECTED: &'static str = "an object";

    fn from_object<'de, A: MapAccess<'de>>(map: A) -> Result<Soft<Self>, A::Error> {
        Self::read(map).map(Soft::Given)
    }
}

impl Lenient for Data {
    const EXPECTED: &'static str = "an object";

    /// Twilio's first Kinesis sinks sent the object as a string.
    fn from_text(text: &str) -> Soft<Self> {
        serde_json::from_str(text).unwrap_or_else(|_not_json| Self::from_other())
    }

    fn from_object<'de, A: MapAccess<'de>>(map: A) -> Result<Soft<Self>, A::Error> {
        Self::read(map).map(Soft::Given)
    }
}

impl Lenient for Network {
    const EXPECTED: &'static str = "an object";

    fn from_object<'de, A: MapAccess<'de>>(map: A) -> Result<Soft<Self>, A::Error> {
        Self::read(map).map(Soft::Given)
    }
}

/// Nothing that a place holds is wrong: no event is given up for it.
impl Lenient for Place {
    const EXPECTED: &'static str = "anything";

    fn from_object<'de, A: MapAccess<'de>>(map: A) -> Result<Soft<Self>, A::Error> {
        Self::read(map).map(Soft::Given)
    }

    fn from_other() -> Soft<Self> {
        Soft::Absent
    }
}

impl Lenient for CellNumber {
    const EXPECTED: &'static str = "anything";

    fn from_text(text: &str) -> Soft<Self> {
        text.parse().map_or(Soft::Absent, |number| Soft::Given(Self(number)))
    }

    fn from_number(number: u64) -> Soft<Self> {
        Soft::Given(Self(number))
    }

    fn from_other() -> Soft<Self> {
        Soft::Absent
    }
}

impl Lenient for Degrees {
    const EXPECTED: &'static str = "anything";

    fn from_text(text: &str) -> Soft<Self> {
        text.parse().map_or(Soft::Absent, |degrees| Soft::Given(Self(degrees)))
    }

    fn from_number(number: u64) -> Soft<Self> {
        u8::try_from(number).map_or(Soft::Absent, |degrees| Soft::Given(Self(f64::from(degrees))))
    }

    fn from_fraction(number: f64) -> Soft<Self> {
        Soft::Given(Self(number))
    }

    fn from_other() -> Soft<Self> {
        Soft::Absent
    }
}

/// Nothing that an error holds is wrong: the number is read where there is one.
impl Lenient for ErrorNumber {
    const EXPECTED: &'static str = "anything";

    fn from_text(text: &str) -> Soft<Self> {
        text.parse().map_or(Soft::Absent, |code| Soft::Given(Self(code)))
    }

    fn from_number(number: u64) -> Soft<Self> {
        number.try_into().map_or(Soft::Absent, |code| Soft::Given(Self(code)))
    }

    fn from_other() -> Soft<Self> {
        Soft::Absent
    }
}

impl Lenient for ErrorCode {
    const EXPECTED: &'static str = "anything";

    fn from_text(text: &str) -> Soft<Self> {
        ErrorNumber::from_text(text).into()
    }

    fn from_number(number: u64) -> Soft<Self> {
        ErrorNumber::from_number(number).into()
    }

    fn from_other() -> Soft<Self> {
        Soft::Absent
    }

    fn from_object<'de, A: MapAccess<'de>>(map: A) -> Result<Soft<Self>, A::Error> {
        ErrorObject::read(map).map(|error| error.code.into())
    }
}

impl From<Soft<ErrorNumber>> for Soft<ErrorCode> {
    fn from(number: Soft<ErrorNumber>) -> Self {
        number.ok().map_or(Self::Absent, |ErrorNumber(code)| Self::Given(ErrorCode(code)))
    }
}
