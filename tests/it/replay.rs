//! `simfuse replay`.

use serde_json::Value;

use crate::tool::{file, fixture, json, run, run_with_input, said, simfuse};
use crate::trap::Trap;

const STRICT: &str = "version = 1\n[binding]\nmode = \"strict\"\nallowed_tacs = [\"35378572\"]\n\
                      [limits]\nhour_mb = 20\nact = \"deactivate\"\n";

fn theft() -> String {
    std::fs::read_to_string(fixture("theft.ndjson")).unwrap()
}

fn replay(arguments: &[&str], input: &str) -> Value {
    let mut all = vec!["replay", "-", "--json"];
    all.extend_from_slice(arguments);
    let output = run_with_input(&all, input.as_bytes());
    assert!(output.status.success(), "{}", said(&output));
    json(&output)
}

#[test]
fn a_theft_is_found_by_the_default_policy_which_alerts() {
    let report = replay(&[], &theft());
    assert_eq!(report["events"]["read"], 79);
    assert_eq!(report["events"]["applied"], 79);
    let sim = &report["sims"][0];
    assert_eq!(sim["verdict"], "alert");
    let found: Vec<_> =
        sim["findings"].as_array().unwrap().iter().map(|finding| &finding["detector"]).collect();
    assert!(found.contains(&&Value::from("hour_limit")), "{found:?}");
    let bytes = &sim["bytes"];
    let sum = bytes["up"].as_u64().unwrap() + bytes["down"].as_u64().unwrap();
    assert_eq!(bytes["total"], sum);
    assert!(sum > 150_000_000, "{bytes}");
}

#[test]
fn a_strict_policy_finds_the_strange_device_at_its_first_event() {
    let policy = file(STRICT);
    let report = replay(&["--policy", policy.path().to_str().unwrap()], &theft());
    let sim = &report["sims"][0];
    assert_eq!(sim["verdict"], "deactivate");
    let first = &sim["findings"][0];
    assert_eq!(first["detector"], "device_not_allowed");
    assert_eq!(first["evidence"]["allowed_tacs"][0], "35378572");
    let events: Vec<Value> =
        theft().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stranger = events.iter().find(|event| {
        event["data"]["imei"].as_str().is_some_and(|imei| !imei.starts_with("35378572"))
    });
    let seen: jiff::Timestamp =
        stranger.unwrap()["data"]["timestamp"].as_str().unwrap().parse().unwrap();
    assert_eq!(first["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap(), seen);
}

#[test]
fn order_and_repetition_change_nothing() {
    let policy = file(STRICT);
    let policy = policy.path().to_str().unwrap().to_owned();
    let straight = replay(&["--policy", &policy], &theft());
    let reversed: Vec<String> = theft().lines().rev().map(str::to_owned).collect();
    let reversed = replay(&["--policy", &policy, "--as-is"], &reversed.join("\n"));
    let facts = |report: &Value| {
        let sim = report["sims"][0].clone();
        let about = sim["findings"].as_array().unwrap().iter();
        let about: Vec<_> = about
            .map(|finding| (finding["detector"].to_string(), finding["about"].to_string()))
            .collect();
        let mut about = about;
        about.sort();
        (sim["verdict"].clone(), about, sim["bytes"].clone())
    };
    assert_eq!(facts(&straight), facts(&reversed));
    let twice = replay(&["--policy", &policy], &format!("{}{}", theft(), theft()));
    assert_eq!(twice["events"]["applied"], 2 * 79, "duplicates count as applied");
    assert_eq!(facts(&straight), facts(&twice));
}

#[test]
fn every_form_of_file_gives_the_same_report() {
    let lines = theft();
    let array = format!("[{}]", lines.lines().collect::<Vec<_>>().join(","));
    assert_eq!(replay(&[], &lines), replay(&[], &array));
    let path = fixture("theft.ndjson");
    let output = run(&["replay", "--json", path.to_str().unwrap()]);
    assert_eq!(json(&output), replay(&[], &lines));
}

#[test]
fn both_providers_and_every_type_are_read() {
    for provider in ["twilio", "kore"] {
        let folder = std::fs::read_dir(fixture(provider)).unwrap();
        for path in folder.map(|entry| entry.unwrap().path()) {
            let output = run(&["replay", "--json", path.to_str().unwrap()]);
            assert!(output.status.success(), "{}", path.display());
            let events = &json(&output)["events"];
            assert_eq!(events["dead_lettered"], 0, "{}: {events}", path.display());
            let test = path.file_name().unwrap().to_str().unwrap().contains("test");
            let counted = if test { "ignored" } else { "applied" };
            assert_eq!(events[counted], events["read"], "{}: {events}", path.display());
        }
    }
}

#[test]
fn a_bad_line_is_set_aside_and_costs_no_other() {
    let report = replay(&[], &format!("{{oops\n{}", theft()));
    assert_eq!(report["events"]["read"], 80);
    assert_eq!(report["events"]["dead_lettered"], 1);
    assert_eq!(report["events"]["applied"], 79);
}

#[test]
fn a_file_that_was_cut_off_is_reported_and_the_rest_read() {
    let text = theft();
    let array = format!("[{}", text.lines().take(10).collect::<Vec<_>>().join(","));
    let output = run_with_input(&["replay", "-", "--json"], array.as_bytes());
    assert_eq!(output.status.code(), Some(1), "not everything was read");
    assert_eq!(json(&output)["events"]["applied"], 10);
    assert!(said(&output).contains("not read to its end"), "{}", said(&output));
}

#[test]
fn a_file_without_a_single_event_is_an_error() {
    for garbage in ["{oops\n<html>\n", "{\"a\": 1}\n{\"b\": 2}", "[1, 2]"] {
        let output = run_with_input(&["replay", "-", "--json"], garbage.as_bytes());
        assert_eq!(output.status.code(), Some(1), "{garbage}");
        assert_eq!(json(&output)["events"]["read"], 2, "{garbage}");
        let said = said(&output);
        assert!(said.contains("none of the 2 records is an event"), "{said}");
    }
    assert!(run_with_input(&["replay", "-", "--json"], b"[]").status.success(), "no record at all");
}

#[test]
fn mistakes_are_named() {
    let output = run(&["replay", "/nonexistent.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("/nonexistent.json"));
    assert_eq!(run(&["replay"]).status.code(), Some(2));
    let policy = file("version = 1\nmood = \"enforce\"\n");
    let output = run(&["replay", "-", "--policy", policy.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("line 2: `mood = \"enforce\"`"), "{}", said(&output));
}

#[test]
fn nothing_leaves_a_replay() {
    let trap = Trap::set();
    let mut command = simfuse();
    trap.surround(&mut command);
    let output = command.arg("replay").arg(fixture("theft.ndjson")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(trap.calls(), 0);
}
