//! `simfuse simulate`, and `replay` over what it wrote.

use std::path::Path;

use crate::tool::{json, run, said};

fn simulate(folder: &Path, more: &[&str]) -> std::process::Output {
    let out = folder.display().to_string();
    let usual = ["simulate", "--sims", "20", "--days", "4", "--out", &out, "--json"];
    run(&[&usual[..], more].concat())
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn what_is_simulated_is_labelled_and_read_without_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = simulate(&out, &["--rogue", "R1", "--rogue-sims", "1"]);
    assert!(output.status.success(), "{}", said(&output));
    let report = json(&output);
    let lines = |name| u64::try_from(read(&out, name).lines().count()).unwrap();
    assert_eq!(report["events"], lines("events.ndjson"));
    assert_eq!(report["usage_records"], lines("usage.ndjson"));
    assert_eq!(report["labels"], lines("labels.csv") - 1);
    let rogue = report["rogues"][0]["sim"].as_str().unwrap();
    assert!(report["rogues"][0]["bytes"].as_u64().unwrap() > 1_000_000_000);
    assert!(read(&out, "labels.csv").lines().any(|row| row.starts_with(&format!("{rogue},R1,"))));

    let events = out.join("events.ndjson").display().to_string();
    let output = run(&["replay", &events, "--json"]);
    let replayed = json(&output);
    assert_eq!(replayed["events"]["dead_lettered"], 0, "{}", said(&output));
    let sims = replayed["sims"].as_array().unwrap();
    let found = sims.iter().find(|sim| sim["sim"] == rogue).unwrap();
    assert!(found["findings"].as_array().unwrap().len() > 1, "{found}");
}

#[test]
fn a_seed_gives_the_same_files_and_another_seed_others() {
    let folder = tempfile::tempdir().unwrap();
    let events = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        let output = simulate(&out, &["--seed", seed, "--provider", "kore"]);
        assert!(output.status.success(), "{}", said(&output));
        read(&out, "events.ndjson")
    };
    let first = events("first", "7");
    assert!(first.contains("kore-events") && first == events("again", "7"));
    assert_ne!(first, events("other", "8"));
}

#[test]
fn a_rogue_that_did_not_begin_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let size = ["--sims", "12", "--days", "4", "--rogue", "R1,R14", "--rogue-sims", "1"];
    let arguments = [&["simulate", "--json"], &size[..], &["--out", &out]].concat();
    let simulated = run(&arguments);
    let rogues = json(&simulated)["rogues"].take();
    let names: Vec<_> = rogues.as_array().unwrap().iter().map(|rogue| &rogue["rogue"]).collect();
    assert_eq!(names, ["R1"]);
    let tried = run(&[&["backtest", "--simulate", "--json"], &size[..]].concat());
    for output in [&simulated, &tried] {
        let said = said(output);
        assert!(
            said.contains("simfuse: no R14 within 4 days: it begins at the height of"),
            "{said}"
        );
        assert!(!said.contains("no R1 "), "{said}");
    }
}

#[test]
fn more_rogues_than_sims_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = simulate(&out, &["--rogue", "R1,R2,R3,R4,R6,R7,R8,R13"]);
    assert_eq!(output.status.code(), Some(2));
    let said = said(&output);
    assert!(said.contains("7 rogues with 3 SIMs each need 21 SIMs, and there are 20"), "{said}");
    assert!(!out.exists());
    assert!(simulate(&out, &["--rogue", "R1,R2,R3,R4,R6,R7"]).status.success());
    assert_eq!(simulate(&out, &["--rogue", "R1", "--rogue-sims", "0"]).status.code(), Some(2));
}

#[test]
fn a_campaign_without_a_sim_of_its_own_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = simulate(folder.path(), &["--rogue", "R1,R13", "--rogue-sims", "20"]);
    assert!(output.status.success());
    let said = said(&output);
    assert!(said.contains("no R13 within 4 days: the other rogues left it no SIM"), "{said}");
}

#[test]
fn a_rogue_that_does_not_exist_is_refused_with_those_that_do() {
    let folder = tempfile::tempdir().unwrap();
    let output = simulate(folder.path(), &["--rogue", "R1,R18"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("R5x10") && said(&output).contains("R17"), "{}", said(&output));
}
