//! `simfuse policy check`.

use crate::tool::{file, json, run, said};

#[test]
fn a_good_policy_is_taken_and_a_bad_one_named_by_its_line() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/policy.toml");
    assert!(run(&["policy", "check", shipped]).status.success());

    let bad = file("version = 1\n[limits]\nhour_mb = -3\n");
    let output = run(&["policy", "check", "--json", bad.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let checked = json(&output);
    assert_eq!(checked["ok"], false);
    assert!(checked["error"].as_str().unwrap().contains("line 3: `hour_mb = -3`"), "{checked}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = run(&["policy", "check", "/nonexistent/policy.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("/nonexistent/policy.toml"), "{}", said(&output));
}

#[test]
fn what_a_policy_will_not_do_is_said() {
    let idle = file("version = 1\nmode = \"enforce\"\n[binding]\nmode = \"strict\"\n");
    let output = run(&["policy", "check", "--json", idle.path().to_str().unwrap()]);
    assert!(output.status.success());
    let warning = json(&output)["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.contains("allowed_tacs"), "{warning}");
}

#[test]
fn a_failure_is_one_json_document_too() {
    let output = run(&["replay", "/nonexistent.json", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(json(&output)["error"].as_str().unwrap().contains("/nonexistent.json"));
}

#[test]
fn a_command_line_that_is_not_understood_says_so_on_standard_error() {
    let output = run(&["status", "--jsn", "--json"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(said(&output).contains("--jsn"), "{}", said(&output));
}

#[test]
fn a_policy_with_a_country_that_there_is_not_is_refused_with_a_hint() {
    let bad = file("version = 1\n[places]\ncountries = [\"DE\", \"UK\"]\n");
    let output = run(&["policy", "check", bad.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("no country UK: did you mean GB?"), "{said}");
}
