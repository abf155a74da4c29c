//! `simfuse backtest`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::tool::{file, fixture, json, run, said};

/// Every model of sensor that is simulated.
const STRICT: &str = "version = 1\n[binding]\nmode = \"strict\"\nallowed_tacs = [\"35378572\", \
                      \"86412704\", \"35612310\"]\n[guards]\nmax_kills = { count = 50, window_mins \
                      = 60 }\n";

fn backtest(arguments: &[&str]) -> Value {
    let output = run(&[&["backtest", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", said(&output));
    json(&output)
}

/// Simulated files in this folder.
fn simulated(folder: &Path, rogues: &str) {
    let out = folder.display().to_string();
    let size = ["simulate", "--sims", "16", "--days", "6", "--rogue-sims", "2", "--seed", "5"];
    let output = run(&[&size[..], &["--rogue", rogues, "--out", &out]].concat());
    assert!(output.status.success(), "{}", said(&output));
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// SIM, verdict, detectors of all SIMs with findings.
fn verdicts(report: &Value) -> BTreeSet<(String, String, BTreeSet<String>)> {
    let sims = report["sims"].as_array().unwrap().iter();
    let with_findings = sims.filter(|sim| !sim["findings"].as_array().unwrap().is_empty());
    let one = |sim: &Value| {
        let found = sim["findings"].as_array().unwrap().iter();
        let detectors = found.map(|finding| finding["detector"].to_string()).collect();
        (sim["sim"].to_string(), sim["verdict"].to_string(), detectors)
    };
    with_findings.map(one).collect()
}

fn acts<'a>(report: &'a Value, what: &str) -> Vec<(&'a Value, &'a Value)> {
    let sims = report["sims"].as_array().unwrap().iter();
    let acts =
        sims.flat_map(|sim| sim["acts"].as_array().unwrap().iter().map(move |act| (sim, act)));
    acts.filter(|(_, act)| act["act"] == what && act.get("held_by").is_none()).collect()
}

#[test]
fn it_finds_what_a_replay_of_the_same_events_finds() {
    let folder = tempfile::tempdir().unwrap();
    simulated(folder.path(), "R1,R3,R11");
    let events = path(folder.path(), "events.ndjson");
    let alerting = file("version = 1\n[limits]\nhour_mb = 20\nday_mb = 50\nperiod_mb = 250\n");
    let policy = alerting.path().to_str().unwrap();
    let replayed = json(&run(&["replay", &events, "--json", "--policy", policy]));
    let tried = backtest(&[&events, "--policy", policy]);
    let found = verdicts(&tried);
    assert!(found.len() >= 4, "{found:?}");
    assert_eq!(found, verdicts(&replayed));
}

#[test]
fn a_tablet_is_cut_off_before_its_first_byte_where_models_are_declared() {
    let policy = file(STRICT);
    let policy = policy.path().to_str().unwrap();
    let size = ["--simulate", "--sims", "12", "--days", "6", "--rogue", "R1", "--rogue-sims", "4"];
    let report = backtest(&[&size[..], &["--policy", policy]].concat());
    let killed: Vec<_> = acts(&report, "deactivate");
    let rogues: Vec<_> = killed.iter().filter(|(sim, _)| sim["group"] == "rogue").collect();
    assert_eq!(rogues.len(), 4, "{report}");
    let used = |act: &Value| act["bytes_before"].as_u64().unwrap();
    for (sim, act) in &rogues {
        assert_eq!(sim["label"], "R1");
        assert_eq!(act["detector"], "device_not_allowed");
        // One event in ten does not say the device; the window after it does.
        assert!(used(act) < 60_000_000, "{act}");
    }
    assert!(rogues.iter().filter(|(_, act)| used(act) == 0).count() >= 2, "{report}");
    assert_eq!(report["groups"]["rogue"]["deactivated"], 4);
    assert!(report["groups"]["benign"]["sim_hours"].as_f64().unwrap() > 1_000.0);
}

#[test]
fn threads_order_and_repetition_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    simulated(folder.path(), "R1,R2");
    let (events, usage) =
        (path(folder.path(), "events.ndjson"), path(folder.path(), "usage.ndjson"));
    let policy = file(STRICT);
    let policy = ["--policy", policy.path().to_str().unwrap()];
    let one = backtest(&[&[&events, &usage, "--threads", "1"], &policy[..]].concat());
    let three = backtest(&[&[&events, &usage, "--threads", "3"], &policy[..]].concat());
    assert_eq!(one, three);
    let text = std::fs::read_to_string(&events).unwrap();
    let twice: Vec<&str> = text.lines().rev().chain(text.lines().step_by(3)).collect();
    let twice = file(&twice.join("\n"));
    let twice = twice.path().to_str().unwrap();
    let again = backtest(&[&[&usage, twice], &policy[..]].concat());
    assert_eq!(again["sims"], one["sims"]);
    let simulated = |threads: &str| {
        let size = ["--simulate", "--sims", "2100", "--days", "1", "--threads", threads];
        backtest(&size)
    };
    assert_eq!(simulated("1"), simulated("2"));
}

#[test]
fn usage_records_alone_break_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    simulated(folder.path(), "R3");
    let usage = path(folder.path(), "usage.ndjson");
    let policy = file("version = 1\n[limits]\nhour_mb = 100\nact = \"deactivate\"\n");
    let report = backtest(&[&usage, "--policy", policy.path().to_str().unwrap()]);
    let killed = acts(&report, "deactivate");
    assert_eq!(killed.len(), 2, "{report}");
    assert!(killed.iter().all(|(_, act)| act["detector"] == "hour_limit"));
    // Of a SIM without events, what records say is what it had used by then.
    let labels = path(folder.path(), "labels.csv");
    let known =
        backtest(&[&usage, "--labels", &labels, "--policy", policy.path().to_str().unwrap()]);
    for report in [&report, &known] {
        for (_, act) in acts(report, "deactivate") {
            let used = act["bytes_before"].as_u64().unwrap();
            assert!((100_000_000..5_000_000_000).contains(&used), "{act}");
        }
    }
    assert_eq!(report["input"]["read"]["events"], 0);
}

#[test]
fn labels_tell_thefts_from_false_alarms() {
    let folder = tempfile::tempdir().unwrap();
    simulated(folder.path(), "R1");
    let (events, labels) =
        (path(folder.path(), "events.ndjson"), path(folder.path(), "labels.csv"));
    let policy = file(STRICT);
    let policy = policy.path().to_str().unwrap();
    let report = backtest(&[&events, "--labels", &labels, "--policy", policy]);
    assert_eq!(report["groups"]["rogue"]["sims"], 2);
    assert_eq!(report["groups"]["rogue"]["deactivated"], 2);
    let rogue = acts(&report, "deactivate").into_iter().find(|(sim, _)| sim["group"] == "rogue");
    let (sim, act) = rogue.unwrap();
    assert_eq!(act["bytes_before"], 0);

    // The same kill of a SIM with which nothing is wrong, and of a rogue before its time.
    let sid = sim["sim"].as_str().unwrap();
    for (label, from) in [("benign", "2026-01-01T00:00:00Z"), ("R1", "2026-02-01T00:00:00Z")] {
        let labels = file(&format!("sim,label,from\n{sid},{label},{from}\n"));
        let labels = labels.path().to_str().unwrap();
        let report = backtest(&[&events, "--labels", labels, "--policy", policy]);
        let benign = &report["groups"]["benign"];
        assert_eq!(benign["deactivated"], 1, "{label}: {benign}");
        assert!(benign["kills_per_million_sim_hours"].as_f64().unwrap() > 1_000.0, "{benign}");
        assert_eq!(report["groups"]["unlabelled"]["deactivated"], 1);
    }
}

#[test]
fn two_policies_differ_in_the_sims_that_only_one_acts_on() {
    let folder = tempfile::tempdir().unwrap();
    simulated(folder.path(), "R1,R3");
    let (events, csv) = (path(folder.path(), "events.ndjson"), path(folder.path(), "acts.csv"));
    let devices = file(STRICT);
    let bytes = file(
        "version = 1\n[binding]\nmode = \"off\"\n[limits]\nhour_mb = 1500\nact = \
                      \"deactivate\"\n",
    );
    let (devices, bytes) = (devices.path().to_str().unwrap(), bytes.path().to_str().unwrap());
    let arguments =
        [events.as_str(), "--policy", devices, "--compare", bytes, "--csv", csv.as_str()];
    let report = backtest(&arguments);
    let only = |which: &str| report["compared"][which].as_array().unwrap().len();
    assert_eq!((only("only_this"), only("only_other")), (2, 2), "{}", report["compared"]);
    let same = backtest(&[&events, "--policy", devices, "--compare", devices]);
    assert_eq!(same["compared"]["only_this"].as_array().unwrap().len(), 0);
    let of_other = &report["compared"]["groups"]["unlabelled"];
    assert_eq!((&of_other["sims"], &of_other["deactivated"]), (&16.into(), &2.into()));
    let text = run(&["backtest", &events, "--policy", devices, "--compare", bytes]);
    let text = String::from_utf8(text.stdout).unwrap();
    let tables = [format!("This policy ({devices}):"), format!("The other ({bytes}):")];
    assert!(tables.iter().all(|table| text.contains(table.as_str())), "{text}");
    assert!(text.contains("    the other  nothing\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let rows = std::fs::read_to_string(&csv).unwrap();
    assert!(rows.lines().filter(|row| row.contains(",deactivate,,")).count() >= 2, "{rows}");
}

#[test]
fn guards_hold_and_are_named() {
    let theft = fixture("theft.ndjson").display().to_string();
    let strict = "version = 1\n[binding]\nmode = \"strict\"\nallowed_tacs = [\"35378572\"]\n";
    let killed = backtest(&[&theft, "--policy", file(strict).path().to_str().unwrap()]);
    assert_eq!(acts(&killed, "deactivate").len(), 1);
    let sid = killed["sims"][0]["sim"].as_str().unwrap().to_owned();
    let protected = file(&format!("{strict}[guards]\nprotected = [\"{sid}\"]\n"));
    let held = backtest(&[&theft, "--policy", protected.path().to_str().unwrap()]);
    assert_eq!(held["sims"][0]["acts"][0]["held_by"], "the SIM is protected");
    let observed = file(strict);
    let observed = observed.path().to_str().unwrap();
    let held = backtest(&[&theft, "--own-mode", "--policy", observed]);
    assert_eq!(held["sims"][0]["acts"][0]["held_by"], "observe mode");
    assert_eq!(held["groups"]["unlabelled"]["deactivated"], 0);

    let capped = file(&STRICT.replace("count = 50", "count = 1"));
    let size = ["--simulate", "--sims", "60", "--days", "6", "--rogue", "R13"];
    let report = backtest(&[&size[..], &["--policy", capped.path().to_str().unwrap()]].concat());
    assert_eq!(report["groups"]["rogue"]["deactivated"], 0, "spoofed devices are not strange");
    let limited = STRICT.replace("count = 50", "count = 1")
        + "[limits]\nhour_mb = 20\nact = \"deactivate\"\n";
    let limited = file(&limited);
    let report = backtest(&[&size[..], &["--policy", limited.path().to_str().unwrap()]].concat());
    let rogues = &report["groups"]["rogue"];
    let held = rogues["held"].as_u64().unwrap();
    assert!(held >= 5 && rogues["deactivated"].as_u64().unwrap() >= 1, "{rogues}");
    assert_eq!(rogues["held_by_cap"], held, "{rogues}");
    // Nothing else is said of them after that, so how many there are is.
    let text =
        run(&[&["backtest"], &size[..], &["--policy", limited.path().to_str().unwrap()]].concat());
    let text = String::from_utf8(text.stdout).unwrap();
    let all = report["groups"]["benign"]["held_by_cap"].as_u64().unwrap() + held;
    let said = format!("A cap would have held the kill of {all} of these SIMs.");
    assert!(text.contains(&said), "{text}");
}

#[test]
fn a_surge_of_a_fleet_is_paged_in_files_as_in_the_simulation() {
    let size = ["--sims", "70", "--days", "16", "--rogue", "R13", "--seed", "5"];
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let output = run(&[&["simulate"], &size[..], &["--out", &out]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let begins = json(&run(&[&["simulate", "--json"], &size[..], &["--out", &out]].concat()));
    let begins = begins["rogues"].as_array().unwrap().iter().map(|rogue| rogue["from"].to_string());
    let hour = begins.min().unwrap()[1..14].to_owned() + "Z";
    let usage = path(folder.path(), "usage.ndjson");
    let csv = path(folder.path(), "pages.csv");
    let watch = file("version = 1\n[strike]\nact = \"alert\"\n");
    let watch = watch.path().to_str().unwrap();
    let off = file("version = 1\n[strike]\nact = \"alert\"\n[cohort_surge]\nact = \"off\"\n");
    let off = off.path().to_str().unwrap();
    for input in [&[&["--simulate"], &size[..]].concat(), &[usage.as_str()][..]] {
        let report =
            backtest(&[input, &["--policy", watch, "--compare", off, "--csv", &csv]].concat());
        let surges = report["surges"].as_array().unwrap();
        let surge = surges.iter().find(|surge| surge["since"] == hour.as_str());
        let surge = surge.unwrap_or_else(|| panic!("{hour}: {surges:?}"));
        assert!(surge["strange"].as_u64().unwrap() >= 14, "{surge}");
        assert!(surge["at"].as_str().unwrap() > hour.as_str(), "closed hours after it: {surge}");
        assert!(report["compared"]["surges"].as_array().unwrap().is_empty());
        let rows = std::fs::read_to_string(&csv).unwrap();
        let fleet = surge["fleet"].as_str().unwrap();
        assert!(rows.contains(&format!("\n,fleet,{fleet},page,,")), "{rows}");
    }
    let text = run(&["backtest", &usage, "--policy", watch]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("SIMs use far more"), "{text}");
    let text = run(&["backtest", &usage, "--policy", off]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("No fleet would have been paged"), "{text}");
}

#[test]
fn bad_lines_are_counted_and_named_and_cost_no_other() {
    let theft = std::fs::read_to_string(fixture("theft.ndjson")).unwrap();
    let record =
        r#"{"period":{"start_time":"2026-03-03T00:10:00Z","end_time":"2026-03-03T01:00:00Z"}}"#;
    let mixed = file(&format!("{{oops\n{theft}\n{{\"a\":1}}\n{record}\n"));
    let output = run(&["backtest", "--json", mixed.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let read = &json(&output)["input"]["read"];
    assert_eq!((&read["events"], &read["bad"]), (&79.into(), &3.into()), "{read}");
    let first = read["bad_first"].as_array().unwrap();
    assert!(first[0].as_str().unwrap().ends_with("line 1: not JSON"), "{first:?}");
    assert!(first[1].as_str().unwrap().contains("line 82: "), "{first:?}");
}

#[test]
fn mistakes_are_named() {
    for (arguments, said_of_it) in [
        (vec!["backtest"], "FILE…"),
        (vec!["backtest", "a", "--days", "3"], "are of --simulate"),
        (vec!["backtest", "--stack", ""], "--stack"),
        (vec!["backtest", "/nonexistent.ndjson"], "/nonexistent.ndjson"),
        (vec!["backtest", "a", "--simulate"], "cannot be used with"),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains(said_of_it), "{}", said(&output));
    }
    let theft = fixture("theft.ndjson").display().to_string();
    let labels = file("sim,what\n");
    let output = run(&["backtest", &theft, "--labels", labels.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("no column label"), "{}", said(&output));
    for (row, what) in [
        ("HS1,R1,2026-01-01T00:00:00Z", "HS1"),
        ("HS00000000000000000000000000000001,R77,2026-01-01T00:00:00Z", "R77"),
        ("HS00000000000000000000000000000001,R1,1.1.26", "1.1.26"),
    ] {
        let labels = file(&format!("sim,label,from\n{row}\n"));
        let output = run(&["backtest", &theft, "--labels", labels.path().to_str().unwrap()]);
        let (code, said) = (output.status.code(), said(&output));
        assert!(code == Some(2) && said.contains("line 2: ") && said.contains(what), "{said}");
    }
}

#[test]
fn what_is_read_is_not_overwritten_and_no_result_is_lost() {
    let theft = fixture("theft.ndjson");
    let copy = file(&std::fs::read_to_string(&theft).unwrap());
    let (theft, read) = (theft.display().to_string(), copy.path().display().to_string());
    for (arguments, said_of_it) in [
        (vec!["backtest", &read, "--csv", &read], "overwrite"),
        (vec!["backtest", &theft, "--policy", &read, "--csv", &read], "overwrite"),
        (vec!["backtest", &theft, "--labels", &read, "--csv", &read], "overwrite"),
        (vec!["backtest", &theft, "--csv", "/nonexistent/a.csv"], "no folder"),
        (vec!["backtest", &theft, "--csv", "/"], "is a folder"),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains(said_of_it), "{arguments:?} {}", said(&output));
    }
    assert!(!std::fs::read(copy.path()).unwrap().is_empty());
    let output = run(&["backtest", &theft]);
    assert!(output.status.success() && said(&output).contains("no usage records"));
}

#[test]
fn what_is_unusual_among_peers_is_found_in_files_as_in_the_simulation() {
    let size =
        ["--sims", "100", "--days", "12", "--rogue", "R7", "--rogue-sims", "2", "--seed", "5"];
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let output = run(&[&["simulate"], &size[..], &["--out", &out]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let read = ["events.ndjson", "usage.ndjson"].map(|name| path(folder.path(), name));
    let labels = path(folder.path(), "labels.csv");
    let reports = [
        backtest(&[&["--simulate"], &size[..]].concat()),
        backtest(&[&read[0], &read[1], "--labels", &labels]),
    ];
    for report in reports {
        let sims = report["sims"].as_array().unwrap().iter();
        let is_spike = |finding: &Value| finding["detector"] == "usage_spike";
        let found = sims.filter(|sim| sim["findings"].as_array().unwrap().iter().any(is_spike));
        let labels: Vec<_> = found.map(|sim| sim["label"].clone()).collect();
        assert_eq!(labels, ["R7", "R7"], "both, and nobody else");
    }
}

#[test]
fn files_in_which_nothing_can_be_judged_end_with_1() {
    for text in ["{oops\n<html>\n", "sim,label,from\n", ""] {
        let garbage = file(text);
        let output = run(&["backtest", "--json", garbage.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(said(&output).contains("nothing was judged"), "{}", said(&output));
    }
}
