mod bodies;

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use simfuse_domain::event::EventKind;
use simfuse_domain::network::Plmn;
use simfuse_domain::place::{CellId, Location, Point};

use super::*;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");

fn decoded(body: &[u8]) -> Vec<Decoded<'_>> {
    let mut all = Vec::new();
    decode(body, |one| all.push(one));
    all
}

/// The same by the slow way, which `decode` takes only where there is a fault.
fn decoded_one_by_one(body: &str) -> Vec<Decoded<'_>> {
    let elements = elements(body).unwrap();
    let decoded = elements.into_iter().map(|element| {
        let raw = element.as_bytes();
        single(element).unwrap_or_else(|reason| Decoded::DeadLetter { raw, reason })
    });
    decoded.collect()
}

/// One line for each element: what it is, or why it is a dead letter.
fn summary(body: &[u8]) -> String {
    let mut text = String::new();
    decode(body, |one| {
        match one {
            Decoded::Event(event) => {
                let usage = event.session.as_ref();
                write!(
                    text,
                    "{:?} {} {} {} {} {} of {} error {}",
                    event.kind,
                    event.at,
                    shown(event.device),
                    shown(event.plmn),
                    shown(event.country),
                    shown(usage.and_then(|session| session.delta.total())),
                    shown(usage.and_then(|session| session.cumulative.total())),
                    shown(event.error_code),
                )
            }
            Decoded::Ignored(ignored) => write!(text, "{ignored:?}"),
            Decoded::DeadLetter { raw, reason } => write!(text, "dead {}: {reason}", raw.len()),
        }
        .unwrap();
        text.push('\n');
    });
    text
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn fixtures(folder: &str) -> String {
    let mut paths: Vec<_> = std::fs::read_dir(Path::new(FIXTURES).join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut text = String::new();
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap();
        writeln!(text, "{name}").unwrap();
        for line in summary(&std::fs::read(&path).unwrap()).lines() {
            writeln!(text, "  {line}").unwrap();
        }
    }
    text
}

/// A session's update with every field, in the envelope of KORE.
fn update() -> Value {
    let path = Path::new(FIXTURES).join("kore/data-session.updated.json");
    let Value::Array(events) = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    else {
        panic!("the fixture is a list");
    };
    events.into_iter().next().unwrap()
}

/// The update with one value of `data` replaced.
fn with(key: &str, value: Value) -> Value {
    let mut update = update();
    update["data"][key] = value;
    update
}

fn without(mut event: Value, path: &str) -> Value {
    let (object, key) = path.rsplit_once('/').unwrap();
    event.pointer_mut(object).unwrap().as_object_mut().unwrap().remove(key);
    event
}

fn event_of(value: &Value) -> Event {
    let body = value.to_string();
    match decoded(body.as_bytes()).pop() {
        Some(Decoded::Event(event)) => event,
        other => panic!("{other:?} from {body}"),
    }
}

fn reason_of(value: &Value) -> String {
    let body = value.to_string();
    match decoded(body.as_bytes()).pop() {
        Some(Decoded::DeadLetter { raw, reason }) => {
            assert_eq!(raw, body.as_bytes());
            reason.to_string()
        }
        other => panic!("{other:?} from {body}"),
    }
}

#[test]
fn decodes_every_fixture_of_twilio() {
    insta::assert_snapshot!(fixtures("twilio"), @r"
    attachment.accepted
      AttachmentAccepted 2026-03-01T12:00:00Z 35378572000001 310-260 US - of - error -
    attachment.failed
      AttachmentFailed 2026-03-01T12:02:00Z 35378572000001 310-260 US - of - error 83700
    attachment.rejected
      AttachmentRejected 2026-03-01T12:01:00Z - 310-260 US - of - error 83705
    data-session.ended
      SessionEnded 2026-03-01T12:13:00Z 35378572000001 310-260 US 1000 of 11000 error -
    data-session.failed
      SessionFailed 2026-03-01T12:14:00Z 35378572000001 310-260 US - of - error 83701
    data-session.started
      SessionStarted 2026-03-01T12:03:00Z 35378572000001 310-260 US - of - error -
    data-session.updated
      SessionUpdated 2026-03-01T12:09:00Z 35378572000001 310-260 US 10000 of 10000 error -
    test-event
      Test
    ");
}

#[test]
fn decodes_every_fixture_of_kore() {
    insta::assert_snapshot!(fixtures("kore"), @r"
    attachment.accepted
      AttachmentAccepted 2026-03-01T12:00:00Z 35378572000001 310-260 US - of - error -
    attachment.failed
      AttachmentFailed 2026-03-01T12:02:00Z 35378572000001 310-260 US - of - error 83700
    attachment.rejected
      AttachmentRejected 2026-03-01T12:01:00Z - 310-260 US - of - error 83705
    data-session.ended
      SessionEnded 2026-03-01T12:13:00Z 35378572000001 310-260 US 1000 of 11000 error -
    data-session.failed
      SessionFailed 2026-03-01T12:14:00Z 35378572000001 310-260 US - of - error 83701
    data-session.started
      SessionStarted 2026-03-01T12:03:00Z 35378572000001 310-260 US - of - error -
    data-session.updated
      SessionUpdated 2026-03-01T12:09:00Z 35378572000001 310-260 US 10000 of 10000 error -
    test-event
      Test
    ");
}

#[test]
fn decodes_every_hostile_fixture() {
    insta::assert_snapshot!(fixtures("hostile"), @r#"
    data-as-string
      SessionUpdated 2026-03-01T12:09:00Z 35378572000001 310-260 US 10000 of 10000 error -
    duplicate-event
      SessionUpdated 2026-03-01T12:09:00Z 35378572000001 310-260 US 10000 of 10000 error -
      SessionUpdated 2026-03-01T12:09:00Z 35378572000001 310-260 US 10000 of 10000 error -
    garbled-identity
      SessionUpdated 2026-03-01T12:09:00Z - - - 10000 of 10000 error -
    impossible-amount
      dead 1800: data_total: more than a radio link can carry in its window
    negative-bytes
      dead 1772: data_total: not a whole number of bytes
      dead 1769: data_session_data_download: not a whole number of bytes
    nulls
      SessionUpdated 2026-03-01T12:09:00Z - - - 10000 of 10000 error -
    one-bad-among-good
      SessionUpdated 2026-03-01T12:09:00Z 35378572000001 310-260 US 10000 of 10000 error -
      dead 1739: sim_sid: missing
      SessionUpdated 2026-03-01T12:09:00Z 35378572000001 310-260 US 10000 of 10000 error -
    trailing-bytes
      dead 1781: not JSON, at line 50, column 1
    truncated-array
      dead 3512: not JSON, at line 93, column 10
    unknown-type
      UnknownType("com.twilio.iot.supersim.connection.roaming.changed")
      UnknownType("com.twilio.messaging.message.sent")
    window-turned-round
      dead 1771: data_session_update_end_time: before data_session_update_start_time
      dead 1771: data_session_update_end_time: more than 15 minutes after timestamp
    wrong-types
      dead 1736: sim_sid: not HS and 32 hexadecimal digits
      dead 1759: timestamp: not a time by RFC 3339
      dead 1773: data_total: not a whole number of bytes
      dead 1770: data_upload: not a whole number of bytes
      dead 1769: imei: not a string
      dead 1610: network: not an object
      dead 1737: data_session_sid: not PI and 32 hexadecimal digits
      dead 411: data: not an object
      dead 1662: not an event
      dead 1760: timestamp: not a time by RFC 3339
      dead 1764: sim_unique_name: not a string
      dead 2: not an event
      dead 4: not an event
      dead 6: not an event
      dead 2: not an event
      dead 2: not an event
    year-9999
      dead 1771: timestamp: time out of range
    "#);
}

#[test]
fn every_line_of_the_theft_is_an_event() {
    let theft = std::fs::read_to_string(Path::new(FIXTURES).join("theft.ndjson")).unwrap();
    let events: Vec<_> =
        theft.lines().map(|line| event_of(&serde_json::from_str(line).unwrap())).collect();
    let thief = "35880123456789".parse().ok();
    let stolen = events.iter().filter(|event| event.device == thief);
    let bytes = |event: &Event| event.session.as_ref().and_then(|s| s.delta.total());
    assert_eq!(events.len(), 79);
    assert_eq!(stolen.filter_map(bytes).sum::<u64>(), 155_000_000);
}

#[test]
fn reads_every_field() {
    insta::assert_debug_snapshot!(event_of(&update()), @r#"
    Event {
        sid: EZ00000000000000000000000000000015,
        kind: SessionUpdated,
        sim: HS00000000000000000000000000000001,
        iccid: Some(
            Iccid(…0001),
        ),
        unique_name: Some(
            "sensor-01",
        ),
        fleet: Some(
            HF00000000000000000000000000000001,
        ),
        at: 2026-03-01T12:09:00Z,
        device: Some(
            35378572000001,
        ),
        plmn: Some(
            310-260,
        ),
        country: Some(
            US,
        ),
        location: Some(
            Location {
                cell: CellId {
                    plmn: Some(
                        310-260,
                    ),
                    area: 15170,
                    cell: 47322374,
                },
                point: Point {
                    lat: 450000,
                    lon: -1100000,
                },
            },
        ),
        session: Some(
            SessionReport {
                sid: PI00000000000000000000000000000001,
                start: Some(
                    2026-03-01T12:03:00Z,
                ),
                end: None,
                update_start: Some(
                    2026-03-01T12:03:00Z,
                ),
                update_end: Some(
                    2026-03-01T12:09:00Z,
                ),
                delta: Usage {
                    up: Some(
                        1200,
                    ),
                    down: Some(
                        8800,
                    ),
                    total: Some(
                        10000,
                    ),
                },
                cumulative: Usage {
                    up: Some(
                        1200,
                    ),
                    down: Some(
                        8800,
                    ),
                    total: Some(
                        10000,
                    ),
                },
            },
        ),
        error_code: None,
    }
    "#);
}

#[test]
fn what_is_garbled_in_the_identity_is_unknown() {
    for value in [json!(null), json!(""), json!("?"), json!("x".repeat(5_000))] {
        let event = event_of(&with("imei", value.clone()));
        assert_eq!(event.device, None, "{value}");
        assert_eq!(event_of(&with("sim_iccid", value.clone())).iccid, None);
        assert_eq!(event_of(&with("fleet_sid", value.clone())).fleet, None);
        let network = json!({"mcc": value, "mnc": "260", "iso_country": value});
        let event = event_of(&with("network", network));
        assert_eq!((event.plmn, event.country), (None, None));
    }
    assert_eq!(event_of(&with("sim_unique_name", json!("x".repeat(256)))).unique_name, None);
    assert_eq!(event_of(&with("network", json!({"mcc": "310"}))).plmn, None);
}

#[test]
fn reads_where_the_cell_is_and_gives_up_no_event_for_it() {
    let cell = |cell_id: Value, lac: Value, lat: Value, lon: Value| {
        let place = json!({"cell_id": cell_id, "lac": lac, "lat": lat, "lon": lon, "new": []});
        event_of(&with("location", place)).location
    };
    let expected = Location {
        cell: CellId { plmn: Plmn::new("310", "260").ok(), area: 15_170, cell: 47_322_374 },
        point: Point::new(34.17, -118.0).unwrap(),
    };
    let given = [
        cell(json!("47322374"), json!("15170"), json!(34.17), json!(-118)),
        cell(json!(47_322_374), json!(15_170), json!("34.17"), json!("-118.0")),
    ];
    assert_eq!(given, [Some(expected); 2]);
    let unknown = [json!(null), json!(""), json!("x"), json!([]), json!({"a": 1}), json!(true)];
    for value in unknown {
        assert_eq!(event_of(&with("location", value.clone())).location, None, "{value}");
        let (id, number) = (json!("47322374"), json!(34.17));
        for odd in [
            cell(value.clone(), id.clone(), number.clone(), number.clone()),
            cell(id.clone(), value.clone(), number.clone(), number.clone()),
            cell(id.clone(), id.clone(), value.clone(), number.clone()),
            cell(id.clone(), id.clone(), number.clone(), value.clone()),
        ] {
            assert_eq!(odd, None, "{value}");
        }
    }
    let off = [json!(91), json!(300), json!(1e300), json!(-91)];
    assert!(off.into_iter().all(|lat| cell(json!(1), json!(1), lat, json!(1)).is_none()));
    assert_eq!(cell(json!(1), json!(u64::MAX), json!(1), json!(1)), None);
}

#[test]
fn what_nobody_reads_may_hold_anything() {
    for value in [json!([]), json!({"a": {"b": []}}), json!(-1.5), json!("x"), json!(null)] {
        for key in ["imsi", "apn", "rat_type", "data_modifier", "new_field"] {
            assert_eq!(event_of(&with(key, value.clone())), event_of(&update()), "{key} {value}");
        }
    }
}

#[test]
fn reads_an_errors_code_where_there_is_one() {
    for (error, code) in [
        (json!({"code": 83705, "message": "inactive"}), Some(83_705)),
        (json!({"message": "inactive", "code": "83705"}), Some(83_705)),
        (json!("83705"), Some(83_705)),
        (json!(83705), Some(83_705)),
        (json!("inactive"), None),
        (json!({"code": null}), None),
        (json!({"code": {"code": 83705}}), None),
        (json!({"code": -1}), None),
        (json!([83705]), None),
        (json!(true), None),
        (json!(1.5), None),
        (json!(null), None),
    ] {
        assert_eq!(event_of(&with("error", error.clone())).error_code, code, "{error}");
    }
}

#[test]
fn the_envelope_stands_in_for_what_the_data_lacks() {
    let event = event_of(&update());
    for path in ["/data/event_sid", "/data/event_type", "/id", "/type", "/time", "/source"] {
        assert_eq!(event_of(&without(update(), path)), event, "{path}");
    }
    let timed = event_of(&without(update(), "/data/timestamp"));
    assert_eq!(timed.at.to_string(), "2026-03-01T12:09:00.584Z", "whole milliseconds");

    let neither = without(without(update(), "/data/event_sid"), "/id");
    assert_eq!(reason_of(&neither), "event_sid: missing");
    let neither = without(without(update(), "/data/timestamp"), "/time");
    assert_eq!(reason_of(&neither), "timestamp: missing");
    let neither = without(without(update(), "/data/event_type"), "/type");
    assert_eq!(reason_of(&neither), "not an event");
    assert_eq!(reason_of(&without(update(), "/data")), "data: missing");
}

#[test]
fn the_type_is_known_by_its_end() {
    for prefix in ["com.twilio.iot.", "com.kore.iot.", "x.", ""] {
        let name = format!("{prefix}supersim.connection.data-session.ended");
        let mut event = with("event_type", json!(name));
        event["type"] = json!(name);
        assert_eq!(event_of(&event).kind, EventKind::SessionEnded);
    }
}

#[test]
fn reads_times_of_any_precision_and_offset() {
    for (text, expected) in [
        ("2026-03-01T12:09:00Z", "2026-03-01T12:09:00Z"),
        ("2026-03-01T14:09:00.123+02:00", "2026-03-01T12:09:00.123Z"),
        ("2026-03-01T12:09:00.5842087+00:00", "2026-03-01T12:09:00.584Z"),
        ("2026-03-01T12:09:00.999999999Z", "2026-03-01T12:09:00.999Z"),
        ("2026-03-01T12:09:00.99999999999999Z", "2026-03-01T12:09:00.999Z"),
        ("2026-03-01T06:09:00.99999999999999-06:00", "2026-03-01T12:09:00.999Z"),
    ] {
        assert_eq!(event_of(&with("timestamp", json!(text))).at.to_string(), expected, "{text}");
    }
    for text in ["2026-03-01", "2026-03-01T12:09:00", "12:09:00Z", "2026-02-30T00:00:00Z", "1e9"] {
        let reason = reason_of(&with("timestamp", json!(text)));
        assert_eq!(reason, "timestamp: not a time by RFC 3339", "{text}");
    }
    for text in ["2014-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "1970-01-01T00:00:00Z"] {
        assert_eq!(reason_of(&with("timestamp", json!(text))), "timestamp: time out of range");
    }
    for text in ["2015-01-01T00:00:00Z", "2099-12-31T23:59:59.999Z"] {
        let event = without(with("timestamp", json!(text)), "/data/data_session_update_end_time");
        assert_eq!(event_of(&event).at.to_string(), text);
    }
}

#[test]
fn a_window_may_end_a_little_after_its_report_but_never_before_its_begin() {
    let end = |text: &str| with("data_session_update_end_time", json!(text));
    assert!(event_of(&end("2026-03-01T12:24:00Z")).session.is_some());
    let ahead = "data_session_update_end_time: more than 15 minutes after timestamp";
    assert_eq!(reason_of(&end("2026-03-01T12:24:00.001Z")), ahead);
    let turned = "data_session_update_end_time: before data_session_update_start_time";
    assert_eq!(reason_of(&end("2026-03-01T12:02:59Z")), turned);
    assert!(event_of(&end("2026-03-01T12:03:00Z")).session.is_some(), "an empty window");
}

#[test]
fn no_amount_is_believed_that_no_radio_link_carries() {
    let delta = "data_total: more than a radio link can carry in its window";
    let most = 360 * 1_250_000_000_u64;
    assert!(event_of(&with("data_total", json!(most))).session.is_some());
    assert_eq!(reason_of(&with("data_total", json!(most + 1))), delta);
    assert_eq!(reason_of(&with("data_upload", json!(most + 1))), delta);
    assert_eq!(reason_of(&with("data_download", json!(u64::MAX))), delta);
    let no_window =
        |bytes| without(with("data_total", bytes), "/data/data_session_update_end_time");
    assert!(event_of(&no_window(json!(most + 1))).session.is_some());
    assert_eq!(reason_of(&no_window(json!(u64::MAX))), delta);

    let session = "data_session_data_total: more than a radio link can carry in its window";
    assert_eq!(reason_of(&with("data_session_data_total", json!(most + 1))), session);
}

#[test]
fn a_wrong_value_is_named_and_not_repeated() {
    for (key, value, reason) in [
        ("sim_sid", json!("8988"), "sim_sid: not HS and 32 hexadecimal digits"),
        ("sim_sid", json!(null), "sim_sid: missing"),
        ("event_sid", json!("EZ1"), "event_sid: not EZ and 32 hexadecimal digits"),
        ("sim_iccid", json!(8988), "sim_iccid: not a string"),
        ("data_session_sid", json!({}), "data_session_sid: not PI and 32 hexadecimal digits"),
        ("data_total", json!(1e3), "data_total: not a whole number of bytes"),
        ("data_total", json!(1e300), "data_total: not a whole number of bytes"),
        ("data_total", json!(true), "data_total: not a whole number of bytes"),
        ("network", json!([]), "network: not an object"),
        ("network", json!({"mcc": 310}), "network.mcc: not a string"),
        ("network", json!({"mnc": 310}), "network.mnc: not a string"),
        ("network", json!({"iso_country": 1}), "network.iso_country: not a string"),
    ] {
        assert_eq!(reason_of(&with(key, value)), reason);
    }
}

/// An event that differs from its neighbours, sometimes with escapes and data in a string.
fn any_event() -> impl Strategy<Value = Value> {
    (any::<u32>(), "\\PC{0,9}", any::<bool>(), 0..3_u8).prop_map(|(n, name, in_string, kind)| {
        let mut event = with("event_sid", json!(format!("EZ{n:032x}")));
        event["data"]["sim_unique_name"] = json!(name);
        event["data"]["data_total"] = json!(n);
        if kind == 0 {
            event["type"] = json!("com.kore.eventstreams.test.event");
            event["data"]["event_type"] = json!(null);
        }
        if in_string {
            event["data"] = json!(event["data"].to_string());
        }
        event
    })
}

proptest! {
    #[test]
    fn one_pass_and_one_by_one_agree(events in proptest::collection::vec(any_event(), 0..5)) {
        let body = json!(events).to_string();
        prop_assert_eq!(decoded(body.as_bytes()), decoded_one_by_one(&body));
    }

    #[test]
    fn a_corrupt_element_leaves_the_others_as_they_are(
        events in proptest::collection::vec(any_event(), 1..6),
        at: prop::sample::Index,
        bad in prop::sample::select(vec!["7", "{}", "null", "[[]]", r#"{"type":"\ud800"}"#]),
    ) {
        let at = at.index(events.len());
        let mut texts: Vec<String> = events.iter().map(Value::to_string).collect();
        let whole = format!("[{}]", texts.join(","));
        texts[at] = bad.to_owned();
        let corrupt = format!("[ {} ]", texts.join(" , "));
        let mut expected = decoded(whole.as_bytes());
        let mut found = decoded(corrupt.as_bytes());
        expected.remove(at);
        let removed = found.remove(at);
        let is_dead = matches!(removed, Decoded::DeadLetter { raw, .. } if raw == bad.as_bytes());
        prop_assert!(is_dead);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_changed_byte_never_panics(at: prop::sample::Index, byte: u8) {
        let mut body = json!([update(), update()]).to_string().into_bytes();
        let index = at.index(body.len());
        body[index] = byte;
        prop_assert!((1..=2).contains(&decoded(&body).len()));
    }

    #[test]
    fn no_body_panics(body: Vec<u8>) {
        prop_assert!(decoded(&body).len() <= body.len().max(1));
    }
}
