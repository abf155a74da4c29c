//! SIMs and the devices that they sit in: what they do on the network, and the events of it.

use simfuse_domain::id::SessionSid;
use simfuse_domain::port::Sim;
use simfuse_testkit::service::Attach;
use simfuse_testkit::super_sim::MemorySuperSim;

use crate::shared::time_of;

/// The model that policy declares, and another.
pub(crate) const SENSOR_TAC: &str = "35378572";
const TABLET_TAC: &str = "35880123";

/// A sensor's report, and what breaks the hour's limit of 5 MB at the second report.
const BYTES_USUAL: u64 = 20_000;
const BYTES_ROGUE: u64 = 3_000_000;

/// What a SIM that goes rogue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rogue {
    /// It is put into a tablet.
    Stolen,
    /// It uses far too much, in its own device.
    Glutton,
}

/// How the device meets its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Tells that its session was closed, and tries again.
    Tries,
    /// Tries again, but the end of its session is never told.
    Quiet,
    /// Falls silent.
    Sleeps,
}

/// One SIM and its device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) sim: Sim,
    pub(crate) temper: Temper,
    /// Time between two reports.
    pub(crate) every_ms: i64,
    pub(crate) rogue: Option<Rogue>,
    is_rogue: bool,
    imei: String,
    session: Option<Session>,
    sessions: u64,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    sid: SessionSid,
    start_ms: i64,
    reported_ms: i64,
    bytes: u64,
}

/// An event as it goes to the webhook, and whether it shows a strange device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) json: String,
    pub(crate) stranger: Option<String>,
}

impl Device {
    pub(crate) fn new(number: usize, sim: Sim, temper: Temper, every_ms: i64) -> Self {
        let imei = format!("{SENSOR_TAC}{number:06}");
        let (rogue, session) = (None, None);
        Self { sim, temper, every_ms, rogue, is_rogue: false, imei, session, sessions: 0 }
    }

    /// From here on it is rogue; a tablet closes the sensor's session and opens its own.
    pub(crate) fn go_rogue(&mut self, now_ms: i64) -> Vec<Sent> {
        self.is_rogue = true;
        if self.rogue != Some(Rogue::Stolen) {
            return Vec::new();
        }
        let ended = self.session.take().map(|session| self.report("ended", now_ms, session, 0));
        self.imei = format!("{TABLET_TAC}{}", self.imei.get(8..).unwrap_or_default());
        ended.into_iter().collect()
    }

    /// A while later: opens a session, reports, or is cut off.
    pub(crate) fn act(&mut self, now_ms: i64, network: &MemorySuperSim) -> Vec<Sent> {
        let now = time_of(now_ms);
        let Some(session) = self.session else {
            return match network.attach(self.sim.sid, now) {
                Attach::Accepted => vec![self.open(now_ms)],
                Attach::Rejected { code } => self.rejected(now_ms, code),
            };
        };
        let line = network.line(self.sim.sid, time_of(session.start_ms), now);
        if let Some(cut_at) = line.cut_at {
            self.session = None;
            let cut_ms = cut_at.as_millisecond();
            return match self.temper {
                Temper::Tries => vec![self.report("ended", cut_ms, session, 0)],
                Temper::Quiet | Temper::Sleeps => Vec::new(),
            };
        }
        let used = if self.is_rogue { BYTES_ROGUE } else { BYTES_USUAL };
        let sent = self.report("updated", now_ms, session, used);
        let bytes = session.bytes + used;
        self.session = Some(Session { reported_ms: now_ms, bytes, ..session });
        vec![sent]
    }

    fn open(&mut self, now_ms: i64) -> Sent {
        self.sessions += 1;
        let mut sid = *self.sim.sid.as_bytes();
        for (place, byte) in sid.iter_mut().zip(self.sessions.to_be_bytes()) {
            *place = byte;
        }
        let sid = SessionSid::from_bytes(sid);
        let session = Session { sid, start_ms: now_ms, reported_ms: now_ms, bytes: 0 };
        self.session = Some(session);
        let start = time_of(now_ms);
        let data = format!(r#","data_session_sid":"{sid}","data_session_start_time":"{start}""#);
        self.event("data-session.started", now_ms, &data)
    }

    fn rejected(&self, now_ms: i64, code: u32) -> Vec<Sent> {
        if self.temper == Temper::Sleeps {
            return Vec::new();
        }
        let data = format!(r#","error":{{"code":{code},"message":"refused"}}"#);
        vec![self.event("attachment.rejected", now_ms, &data)]
    }

    fn report(&self, what: &str, now_ms: i64, session: Session, used: u64) -> Sent {
        let Session { sid, start_ms, reported_ms, bytes } = session;
        let (start, from, to) = (time_of(start_ms), time_of(reported_ms), time_of(now_ms));
        let all = bytes + used;
        let data = format!(
            r#","data_session_sid":"{sid}","data_session_start_time":"{start}","data_session_update_start_time":"{from}","data_session_update_end_time":"{to}","data_upload":{used},"data_download":0,"data_total":{used},"data_session_data_upload":{all},"data_session_data_download":0,"data_session_data_total":{all}"#
        );
        self.event(&format!("data-session.{what}"), now_ms, &data)
    }

    /// The event's SID follows from SIM, time and kind.
    fn event(&self, kind: &str, now_ms: i64, data: &str) -> Sent {
        let (sim, imei, at) = (self.sim.sid, &self.imei, time_of(now_ms));
        let [first, .., last] = *self.sim.sid.as_bytes();
        let id = format!("EZ{first:02x}{last:02x}{:02x}{now_ms:026x}", kind.len());
        let iccid = self.sim.iccid.map(|iccid| iccid.to_string()).unwrap_or_default();
        let name = self.sim.unique_name.as_deref().unwrap_or_default();
        let fleet = self.sim.fleet.map(|fleet| fleet.to_string()).unwrap_or_default();
        let json = format!(
            r#"{{"specversion":"1.0","type":"com.twilio.iot.supersim.connection.{kind}","source":"/v1/SuperSim/ConnectionEvents/{id}","id":"{id}","time":"{at:.3}","data":{{"event_sid":"{id}","event_type":"com.twilio.iot.supersim.connection.{kind}","timestamp":"{at}","sim_sid":"{sim}","sim_iccid":"{iccid}","sim_unique_name":"{name}","fleet_sid":"{fleet}","imei":"{imei}","network":{{"mcc":"310","mnc":"260","iso_country":"US"}}{data}}}}}"#
        );
        let stranger = imei.starts_with(TABLET_TAC).then(|| imei.clone());
        Sent { json, stranger }
    }
}
