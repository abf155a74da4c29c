//! Bodies that are not what they should be, too deep or too long.

use super::*;

#[test]
fn what_no_reader_can_take_costs_only_its_own_event() {
    let good = update().to_string();
    for bad in [r#"{"data":{"imei":"\ud800"}}"#, r#"{"data":{"data_total":1e999}}"#] {
        let body = format!("[{good},{bad},{good}]");
        let events = decoded(body.as_bytes());
        assert_eq!(events.len(), 3);
        let Decoded::DeadLetter { raw, reason } = &events[1] else { panic!("{events:?}") };
        assert_eq!(*raw, bad.as_bytes());
        assert!(reason.to_string().starts_with("unreadable value: "), "{reason}");
        assert_eq!(events[0], events[2]);
    }
}

#[test]
fn a_body_that_is_not_one_json_value_is_one_dead_letter() {
    let good = update().to_string();
    let trailing = format!("[{good}] x");
    let unended = format!("[{good}");
    let comma = format!("[{good},]");
    let invalid = [good.as_bytes(), b"\xff"].concat();
    let inside = good.replace("super", "su\u{1}per");
    for (body, reason) in [
        (&b""[..], "empty body"),
        (b" \r\n\t", "empty body"),
        (b"field=value", "not JSON, at line 1, column 2"),
        (b"\xef\xbb\xbf[]", "not JSON, at line 1, column 1"),
        (b"{} {}", "not JSON, at line 1, column 4"),
        (trailing.as_bytes(), "not JSON"),
        (unended.as_bytes(), "not JSON"),
        (comma.as_bytes(), "not JSON"),
        (inside.as_bytes(), "not JSON"),
        (&invalid, "not UTF-8"),
    ] {
        let events = decoded(body);
        let [Decoded::DeadLetter { raw, reason: found }] = &*events else { panic!("{events:?}") };
        assert_eq!(*raw, body);
        assert!(found.to_string().starts_with(reason), "{found}, not {reason}");
    }
    for body in ["5", "null", "\"text\"", "true", "{}", "[[]]", "[\"supersim.connection.x\"]"] {
        assert!(summary(body.as_bytes()).ends_with(": not an event\n"), "{body}");
    }
    assert_eq!(decoded(b"[]"), [], "a batch without events lacks nothing");
}

#[test]
fn an_array_is_not_taken_for_an_object() {
    let update = update();
    let values: Vec<_> = update.as_object().unwrap().values().cloned().collect();
    assert_eq!(reason_of(&json!(values)[0]).as_str(), "not an event");
    assert!(summary(json!([values]).to_string().as_bytes()).ends_with(": not an event\n"));
    let data: Vec<_> = update["data"].as_object().unwrap().values().cloned().collect();
    let mut event = update.clone();
    event["data"] = json!(data);
    assert_eq!(reason_of(&event), "data: not an object");
}

#[test]
fn depth_costs_neither_stack_nor_time() {
    const LEVELS: usize = 100_000;
    let lists = format!("{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS));
    let objects = format!("{}1{}", r#"{"code":"#.repeat(LEVELS), "}".repeat(LEVELS));
    for deep in [&lists, &objects] {
        let events = decoded(deep.as_bytes());
        assert!(matches!(*events, [Decoded::DeadLetter { .. }]), "a bare body");
        let inside = with("PLACE", json!(1)).to_string();
        for key in ["new_field", "location", "error"] {
            let body = inside.replace("\"PLACE\":1", &format!("\"{key}\":{deep}"));
            assert!(matches!(*decoded(body.as_bytes()), [Decoded::Event(_)]), "{key}");
        }
        let unended = "[".repeat(LEVELS) + "{\"a\":";
        assert!(matches!(*decoded(unended.as_bytes()), [Decoded::DeadLetter { .. }]));
        let body = format!("[{},{deep}]", update());
        let events = decoded(body.as_bytes());
        assert!(matches!(*events, [Decoded::Event(_), Decoded::DeadLetter { .. }]));
    }
}

#[test]
fn five_megabytes_are_no_trouble() {
    let event = update().to_string();
    let count = 5_000_000 / event.len();
    let body = format!("[{}]", vec![event; count].join(","));
    let mut events = 0;
    decode(body.as_bytes(), |one| events += usize::from(matches!(one, Decoded::Event(_))));
    assert_eq!(events, count);

    let body = format!("[{}1]", "1,".repeat(2_500_000));
    let mut dead = 0;
    decode(body.as_bytes(), |_| dead += 1);
    assert_eq!(dead, 2_500_001);
}
