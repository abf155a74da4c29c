//! The fleet's events, and what thieves feel of the service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::Value;
use simfuse_domain::port::Clock;

use super::*;
use crate::clock::ManualClock;
use crate::service::{Behaviour, Fault, FaultRule, ServiceConfig};

const SENSOR_TAC: &str = "35378572";
const TABLET_TAC: &str = "35925406";

fn start() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

struct Bench {
    clock: ManualClock,
    service: SuperSimService,
    fleet: Fleet,
}

impl Bench {
    fn new(sims: u32, seed: u64, envelope: Envelope) -> Self {
        let clock = ManualClock::new(start());
        let config = ServiceConfig {
            account_sid: "AC0123456789abcdef0123456789abcdef".to_owned(),
            auth_token: "hush".to_owned(),
            client_id: "client".to_owned(),
            client_secret: "hush".to_owned(),
        };
        let service = SuperSimService::new(config, Arc::new(clock.clone()));
        let config = FleetConfig {
            sims,
            seed,
            start: start(),
            fleet_sid: FleetSid::from_bytes([7; 16]),
            tac: SENSOR_TAC.parse().unwrap(),
            tablet_tac: TABLET_TAC.parse().unwrap(),
            envelope,
        };
        let fleet = Fleet::new(&config, service.clone());
        Self { clock, service, fleet }
    }

    fn sim(&self, index: usize) -> SimSid {
        self.fleet.sims().nth(index).unwrap().sid
    }

    /// Lets so many minutes pass, one by one, as a drill does.
    fn pass(&mut self, mins: i64) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..mins {
            let now = self.clock.advance(SignedDuration::from_mins(1));
            events.extend(self.fleet.advance(now).iter().map(Event::read));
        }
        events
    }

    /// The first SIM is stolen an hour after the start; half an hour of it.
    fn after_theft(theft: Theft) -> (Self, SimSid, Vec<Event>) {
        let mut bench = Self::new(3, 1, Envelope::Twilio);
        let sim = bench.sim(0);
        bench.fleet.steal(sim, start() + SignedDuration::from_mins(60), theft).unwrap();
        let mut events = bench.pass(90);
        events.retain(|event| event.sim == sim);
        (bench, sim, events)
    }
}

/// Asks the service over HTTP, as the kill-switch does, for the SIM's deactivation.
async fn deactivate(service: &SuperSimService, sim: SimSid) {
    // Only the first of the tests installs it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/Sims/{sid}", listener.local_addr().unwrap(), sid = sim);
    let server = service.clone();
    tokio::spawn(async move { server.serve(listener).await });
    let request = reqwest::Client::new().post(url).form(&[("Status", "inactive")]);
    let answer = request.basic_auth(service.account_sid(), Some("hush")).send().await.unwrap();
    assert!(answer.status().is_success());
}

struct Event {
    at: Timestamp,
    sim: SimSid,
    kind: String,
    data: Value,
}

impl Event {
    fn read(emitted: &EmittedEvent) -> Self {
        let mut json: Value = serde_json::from_str(&emitted.json).unwrap();
        let kind = json["type"].as_str().unwrap().split_once("connection.").unwrap().1.to_owned();
        Self { at: emitted.at, sim: emitted.sim, kind, data: json["data"].take() }
    }

    fn text(&self, field: &str) -> &str {
        self.data[field].as_str().unwrap_or_else(|| panic!("{field} of {}", self.data))
    }

    fn number(&self, field: &str) -> u64 {
        self.data[field].as_u64().unwrap_or_else(|| panic!("{field} of {}", self.data))
    }

    fn time(&self, field: &str) -> Timestamp {
        self.text(field).parse().unwrap()
    }
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

/// Every session's windows touch, and its totals are the sums of its deltas.
fn check_sessions(events: &[Event]) {
    let mut sums: BTreeMap<String, (Timestamp, [u64; 3])> = BTreeMap::new();
    for event in events.iter().filter(|event| event.data.get("data_total").is_some()) {
        let opened = event.time("data_session_start_time");
        let sid = event.text("data_session_sid").to_owned();
        let (end, sum) = sums.entry(sid).or_insert((opened, [0; 3]));
        assert_eq!(event.time("data_session_update_start_time"), *end, "windows touch");
        *end = event.time("data_session_update_end_time");
        assert_eq!(event.at, *end);
        for (total, name) in sum.iter_mut().zip(["upload", "download", "total"]) {
            *total += event.number(&format!("data_{name}"));
            assert_eq!(event.number(&format!("data_session_data_{name}")), *total);
        }
        assert_eq!(sum[0] + sum[1], sum[2]);
    }
    assert!(!sums.is_empty());
}

#[test]
fn events_have_the_shape_of_each_provider() {
    let mut bench = Bench::new(1, 42, Envelope::Twilio);
    let now = start() + SignedDuration::from_hours(2);
    let twilio = bench.fleet.advance(now);
    let updated: Value = serde_json::from_str(&twilio[2].json).unwrap();
    insta::assert_json_snapshot!(updated, @r#"
    {
      "data": {
        "account_sid": "AC0123456789abcdef0123456789abcdef",
        "apn": "super",
        "data_download": 10380,
        "data_session_data_download": 10380,
        "data_session_data_total": 86499,
        "data_session_data_upload": 76119,
        "data_session_sid": "PI49c62618c89fffb088cc0d38d68f251c",
        "data_session_start_time": "2026-03-01T00:54:13Z",
        "data_session_update_end_time": "2026-03-01T01:00:13Z",
        "data_session_update_start_time": "2026-03-01T00:54:13Z",
        "data_total": 86499,
        "data_upload": 76119,
        "event_sid": "EZa51868a97d8f5fbc1b0b9a15c1926a27",
        "event_type": "com.twilio.iot.supersim.connection.data-session.updated",
        "fleet_sid": "HF07070707070707070707070707070707",
        "imei": "353785720000016",
        "imsi": "732120000000001",
        "ip_address": "100.64.190.184",
        "location": {
          "cell_id": "66348920",
          "lac": "55784",
          "lat": 46.553,
          "lon": -113.304
        },
        "network": {
          "friendly_name": "T-Mobile",
          "iso_country": "US",
          "mcc": "310",
          "mnc": "260",
          "sid": "HW02600000000000000000000000000310"
        },
        "rat_type": "4G LTE",
        "sim_iccid": "8988307632000000016",
        "sim_sid": "HS92c53e2a20804cbcc7d1d5e2b53d68c8",
        "sim_unique_name": "river-001",
        "timestamp": "2026-03-01T01:00:13Z"
      },
      "datacontenttype": "application/json",
      "dataschema": "https://events-schemas.twilio.com/SuperSim.ConnectionEvent/2",
      "id": "EZa51868a97d8f5fbc1b0b9a15c1926a27",
      "source": "/v1/SuperSim/ConnectionEvents/EZa51868a97d8f5fbc1b0b9a15c1926a27",
      "specversion": "1.0",
      "time": "2026-03-01T01:00:13.000Z",
      "type": "com.twilio.iot.supersim.connection.data-session.updated"
    }
    "#);
    let fields = |event: &EmittedEvent| -> BTreeSet<String> {
        let json: Value = serde_json::from_str(&event.json).unwrap();
        json["data"].as_object().unwrap().keys().cloned().collect()
    };
    let more =
        |event, than| -> Vec<String> { fields(event).difference(&fields(than)).cloned().collect() };
    assert_eq!(
        more(&twilio[1], &twilio[0]),
        ["data_session_sid", "data_session_start_time", "ip_address"],
        "started, beside accepted"
    );
    assert_eq!(more(&twilio[3], &twilio[2]), ["data_session_end_time"], "ended, beside updated");
    let mut bench = Bench::new(1, 42, Envelope::Kore);
    let kore = bench.fleet.advance(now);
    let strip = |event: &EmittedEvent| {
        let mut json: Value = serde_json::from_str(&event.json).unwrap();
        let mut data = json["data"].take();
        data["event_type"].take();
        (data, json)
    };
    for (twilio, kore) in twilio.iter().zip(&kore) {
        let ((data, _), (kore_data, kore_envelope)) = (strip(twilio), strip(kore));
        assert_eq!(data, kore_data, "the object inside is the same");
        assert_eq!(kore_envelope["source"], "kore-events");
        assert_eq!(kore_envelope["specversion"], "2.0");
        let time = kore_envelope["time"].as_str().unwrap();
        assert!(time.ends_with(".0000000+00:00"), "{time}");
        assert_eq!(time.parse::<Timestamp>().unwrap(), kore.at);
    }
    let batch: Value = serde_json::from_str(&batch_body(&kore)).unwrap();
    assert_eq!(batch.as_array().unwrap().len(), kore.len());
    assert_eq!(batch_body(&[]), "[]");
}

#[test]
fn a_sensor_wakes_every_hour_and_sends_little() {
    let mut bench = Bench::new(20, 3, Envelope::Kore);
    let events: Vec<Event> = bench
        .fleet
        .advance(start() + SignedDuration::from_hours(24))
        .iter()
        .map(Event::read)
        .collect();
    assert!(events.iter().zip(&events[1..]).all(|(one, next)| one.at <= next.at), "sorted");
    check_sessions(&events);
    for sim in (0..20).map(|index| bench.sim(index)) {
        let own: Vec<&Event> = events.iter().filter(|event| event.sim == sim).collect();
        let wakes = own.iter().filter(|event| event.kind == "attachment.accepted").count();
        assert!((23..=25).contains(&wakes), "{wakes}");
        let ended: Vec<_> = own.iter().filter(|event| event.kind == "data-session.ended").collect();
        for event in &ended {
            let total = event.number("data_session_data_total");
            assert!((20_000..=120_000).contains(&total), "{total}");
            assert!(event.number("data_session_data_upload") > total / 2, "upload-heavy");
        }
        let cycle = [
            "attachment.accepted",
            "data-session.started",
            "data-session.updated",
            "data-session.ended",
        ];
        for (event, kind) in own.iter().zip(cycle.iter().cycle()) {
            assert_eq!(event.kind, *kind);
        }
        assert_eq!(bench.fleet.bytes_used_by_thief(sim), 0);
    }
}

#[test]
fn identities_are_valid_and_differ() {
    let bench = Bench::new(300, 9, Envelope::Twilio);
    let mut seen = BTreeSet::new();
    for sim in bench.fleet.sims() {
        assert_eq!(sim.iccid.len(), 19);
        assert_eq!(sim.imei.len(), 15);
        assert!(sim.imei.starts_with(SENSOR_TAC));
        assert!(seen.insert(sim.imei.to_owned()) && seen.insert(sim.iccid.to_owned()));
        let known = bench.service.sim(sim.sid).unwrap();
        assert_eq!(known.unique_name.as_deref(), Some(sim.unique_name));
        assert_eq!(known.iccid.unwrap().to_string(), sim.iccid);
    }
    assert_eq!(bench.fleet.sims().next().unwrap().unique_name, "river-001");
    assert_eq!(bench.service.sims().len(), 300);
}

#[test]
fn the_seed_decides_and_the_steps_do_not() {
    let all = |seed, step_mins: i64| {
        let mut bench = Bench::new(10, seed, Envelope::Twilio);
        let stolen = bench.sim(4);
        bench.fleet.steal(stolen, start() + SignedDuration::from_mins(200), Theft::Tablet).unwrap();
        let mut events = Vec::new();
        for _ in 0..(600 / step_mins) {
            let now = bench.clock.advance(SignedDuration::from_mins(step_mins));
            events.extend(bench.fleet.advance(now));
        }
        events
    };
    assert_eq!(all(5, 600), all(5, 1));
    assert_ne!(all(5, 600), all(6, 600));
}

#[test]
fn a_theft_leaves_the_other_sensors_as_they_were() {
    let others = |theft: Option<Theft>| {
        let mut bench = Bench::new(5, 8, Envelope::Twilio);
        let stolen = bench.sim(2);
        if let Some(theft) = theft {
            bench.fleet.steal(stolen, start(), theft).unwrap();
        }
        let mut events = bench.fleet.advance(start() + SignedDuration::from_hours(5));
        events.retain(|event| event.sim != stolen);
        events
    };
    assert_eq!(others(None), others(Some(Theft::SpoofedImei)));
}

#[test]
fn a_thief_streams_from_another_device_till_someone_stops_it() {
    let (bench, sim, events) = Bench::after_theft(Theft::Tablet);
    let theft = start() + SignedDuration::from_mins(60);
    let (before, after): (Vec<Event>, Vec<Event>) =
        events.into_iter().partition(|event| event.at < theft);
    assert!(before.iter().all(|event| event.text("imei").starts_with(SENSOR_TAC)));
    assert!(after.iter().all(|event| event.text("imei").starts_with(TABLET_TAC)));
    let started = ["attachment.accepted", "data-session.started"];
    assert_eq!(kinds(&after[..2]), started);
    assert_eq!(after[0].at, theft);
    assert_eq!(kinds(&after[2..]), ["data-session.updated"; 4]);
    check_sessions(&after);
    for event in &after[2..] {
        let total = event.number("data_total");
        assert!((28_000_000..=34_000_000).contains(&total), "{total}");
        assert!(event.number("data_download") > total * 9 / 10, "download-heavy");
        let window = event.at.duration_since(event.time("data_session_update_start_time"));
        assert_eq!(window, SignedDuration::from_mins(6));
    }
    let reported = after.last().unwrap().number("data_session_data_total");
    let used = bench.fleet.bytes_used_by_thief(sim);
    assert!(used > reported && used < reported + 34_000_000, "{used} with an open window");
}

#[test]
fn a_spoofed_imei_is_the_sensors_own() {
    let (_, _, events) = Bench::after_theft(Theft::SpoofedImei);
    let imeis: BTreeSet<&str> = events.iter().map(|event| event.text("imei")).collect();
    assert_eq!(imeis.len(), 1);
    assert!(events.last().unwrap().number("data_total") > 20_000_000);
}

#[test]
fn a_cut_thief_reports_its_last_bytes_and_is_refused_from_then_on() {
    let (mut bench, sim, before) = Bench::after_theft(Theft::Tablet);
    let cut = bench.clock.advance(SignedDuration::from_secs(20));
    bench.service.set_status(sim, SimStatus::Inactive);
    let mut after = bench.pass(60);
    after.retain(|event| event.sim == sim);
    let events = &after[after.iter().position(|event| event.at >= cut).unwrap()..];
    assert_eq!((events[0].kind.as_str(), events[0].at), ("data-session.ended", cut));
    assert_eq!(events[0].time("data_session_end_time"), cut);
    assert!(events[1..].len() >= 10);
    for event in &events[1..] {
        assert_eq!(event.kind, "attachment.rejected");
        assert_eq!(event.data["error"]["code"], 83705);
    }
    let total = events[0].number("data_session_data_total");
    assert_eq!(bench.fleet.bytes_used_by_thief(sim), total, "all was reported");
    let mut session = before;
    session.retain(|event| event.text("imei").starts_with(TABLET_TAC));
    session.extend(after);
    check_sessions(&session);
}

#[test]
fn a_session_that_outlives_its_deactivation_ends_without_a_word() {
    let (mut bench, sim, _) = Bench::after_theft(Theft::Tablet);
    bench.service.set_behaviour(sim, Behaviour::AtNextAttach);
    let dead = bench.clock.now();
    let used_before = bench.fleet.bytes_used_by_thief(sim);
    bench.service.set_status(sim, SimStatus::Inactive);
    let mut events = bench.pass(60);
    events.retain(|event| event.sim == sim);
    let lived = events.iter().position(|event| event.kind != "data-session.updated").unwrap();
    assert!((3..=5).contains(&lived), "updates go on: {lived}");
    let refused = &events[lived..];
    assert!(
        refused.iter().all(|event| event.kind == "attachment.rejected"),
        "{:?}",
        kinds(refused)
    );
    let after = refused[0].at.duration_since(dead);
    assert!((1200..=1800).contains(&after.as_secs()), "{after}");
    let reported = events[lived - 1].number("data_session_data_total");
    let used = bench.fleet.bytes_used_by_thief(sim);
    assert!(used > reported && used > used_before, "the last window was carried, not reported");
}

#[tokio::test]
async fn a_scheduled_deactivation_bites_when_it_is_due() {
    let (mut bench, sim, _) = Bench::after_theft(Theft::Tablet);
    let after = SignedDuration::from_secs(615);
    bench.service.set_behaviour(sim, Behaviour::Scheduled { after });
    deactivate(&bench.service, sim).await;
    let due = bench.clock.now() + after;
    let mut events = bench.pass(20);
    events.retain(|event| event.sim == sim);
    let ended = events.iter().position(|event| event.kind == "data-session.ended").unwrap();
    assert_eq!(events[ended].at, due);
    assert!(
        ended > 0 && kinds(&events[..ended]).iter().all(|kind| *kind == "data-session.updated")
    );
    assert!(kinds(&events[ended + 1..]).iter().all(|kind| *kind == "attachment.rejected"));
}

#[tokio::test]
async fn a_lie_does_not_stop_a_thief() {
    let (mut bench, sim, _) = Bench::after_theft(Theft::Tablet);
    bench.service.inject(FaultRule::once(Fault::Lie));
    deactivate(&bench.service, sim).await;
    assert_eq!(bench.service.sim(sim).unwrap().status, SimStatus::Inactive);
    let mut events = bench.pass(60);
    events.retain(|event| event.sim == sim);
    assert_eq!(kinds(&events), ["data-session.updated"; 10]);
}

#[test]
fn a_thief_goes_on_after_a_restore_and_the_sensor_after_its_return() {
    let (mut bench, sim, _) = Bench::after_theft(Theft::Tablet);
    bench.service.set_status(sim, SimStatus::Inactive);
    bench.pass(10);
    bench.service.set_status(sim, SimStatus::Active);
    let mut events = bench.pass(30);
    events.retain(|event| event.sim == sim);
    assert_eq!(kinds(&events[..2]), ["attachment.accepted", "data-session.started"]);
    assert_eq!(events[2].kind, "data-session.updated");
    let used = bench.fleet.bytes_used_by_thief(sim);
    bench.fleet.return_sim(sim).unwrap();
    let mut events = bench.pass(180);
    events.retain(|event| event.sim == sim);
    assert_eq!(events.iter().filter(|event| event.kind == "attachment.accepted").count(), 3);
    assert!(events.iter().all(|event| event.text("imei").starts_with(SENSOR_TAC)));
    check_sessions(&events);
    assert_eq!(bench.fleet.bytes_used_by_thief(sim), used, "the open window's bytes still count");
}

#[test]
fn a_restore_in_time_saves_the_session_that_outlived_its_deactivation() {
    let (mut bench, sim, _) = Bench::after_theft(Theft::Tablet);
    bench.service.set_behaviour(sim, Behaviour::AtNextAttach);
    bench.service.set_status(sim, SimStatus::Inactive);
    let mut events = bench.pass(10);
    bench.service.set_status(sim, SimStatus::Active);
    events.extend(bench.pass(30));
    events.retain(|event| event.sim == sim);
    assert!(
        kinds(&events).iter().all(|kind| *kind == "data-session.updated"),
        "{:?}",
        kinds(&events)
    );
    let dead = bench.clock.now();
    bench.service.set_status(sim, SimStatus::Inactive);
    let mut events = bench.pass(40);
    events.retain(|event| event.sim == sim && event.kind != "data-session.updated");
    assert_eq!(events[0].kind, "attachment.rejected");
    let after = events[0].at.duration_since(dead);
    assert!((1200..=1800).contains(&after.as_secs()), "counted from the second time: {after}");
}

#[test]
fn a_sim_deactivated_between_attach_and_session_opens_none() {
    let mut bench = Bench::new(1, 2, Envelope::Twilio);
    let sim = bench.sim(0);
    bench.fleet.steal(sim, start(), Theft::Tablet).unwrap();
    let attached: Vec<Event> = bench.fleet.advance(start()).iter().map(Event::read).collect();
    assert_eq!(kinds(&attached), ["attachment.accepted"]);
    bench.service.set_status(sim, SimStatus::Inactive);
    let events = bench.pass(30);
    assert!(kinds(&events).iter().all(|kind| *kind == "attachment.rejected"));
    assert!(events.len() > 5);
    assert_eq!(bench.fleet.bytes_used_by_thief(sim), 0);
}

#[test]
fn a_theft_in_the_past_begins_now() {
    let mut bench = Bench::new(1, 2, Envelope::Twilio);
    let sim = bench.sim(0);
    bench.pass(120);
    bench.fleet.steal(sim, start(), Theft::Tablet).unwrap();
    assert_eq!(bench.pass(1)[0].at, start() + SignedDuration::from_mins(120));
}

#[test]
fn a_sensor_is_refused_at_its_hourly_wake_while_its_sim_is_inactive() {
    let mut bench = Bench::new(1, 2, Envelope::Twilio);
    let sim = bench.sim(0);
    bench.service.set_status(sim, SimStatus::Inactive);
    let events = bench.pass(180);
    assert_eq!(kinds(&events), ["attachment.rejected"; 3]);
    bench.service.set_status(sim, SimStatus::Active);
    assert_eq!(bench.pass(60)[0].kind, "attachment.accepted");
}

#[test]
fn a_sim_of_another_fleet_cannot_be_stolen() {
    let mut bench = Bench::new(1, 2, Envelope::Twilio);
    let sim = SimSid::from_bytes([0; 16]);
    assert_eq!(bench.fleet.steal(sim, start(), Theft::Tablet), Err(UnknownSim { sim }));
    assert_eq!(bench.fleet.return_sim(sim), Err(UnknownSim { sim }));
}
