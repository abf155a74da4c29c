//! `simfuse score`, over numbers that have nothing to do with SIMs.

use std::fmt::Write as _;

use crate::tool::{json, run, run_with_input, said};

/// Three weeks of hours around 100, and twelve hours of five times as much after two.
fn series() -> String {
    let mut text = "timestamp,value\n".to_owned();
    for hour in 0..504_u32 {
        let usual = 90 + hour * 7 % 20;
        let value = if (336..360).contains(&hour) { 5 * usual } else { usual };
        writeln!(text, "2026-03-{:02} {:02}:00:00,{value}", 1 + hour / 24, hour % 24).unwrap();
    }
    text
}

#[test]
fn scores_standard_input_a_score_a_row() {
    let output = run_with_input(&["score", "-"], series().as_bytes());
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.lines().next(), Some("timestamp,value,anomaly_score,label"));
    assert_eq!(text.lines().count(), 505);
    assert!(said(&output).contains("504 rows, 0 of them without a value; 1 detection"));
}

#[test]
fn with_json_the_scores_go_to_a_file_and_the_summary_is_one_document() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("in.csv"), series()).unwrap();
    let refused = run(&["score", &path("in.csv"), "--json"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    let output = run(&["score", &path("in.csv"), "--json", "--out", &path("out.csv")]);
    assert!(output.status.success(), "{}", said(&output));
    let report = json(&output);
    assert_eq!((&report["rows"], &report["unknown"]), (&504.into(), &0.into()));
    let detected = report["detections"].as_array().unwrap();
    assert!(detected.len() == 1 && detected[0].as_str().unwrap().starts_with("2026-03-15"));
    assert_eq!(std::fs::read_to_string(path("out.csv")).unwrap().lines().count(), 505);
}

#[test]
fn a_row_that_is_none_ends_it_with_its_line() {
    let wrong = series().replace("2026-03-02 00:00:00", "2026-03-32 00:00:00");
    let output = run_with_input(&["score", "-"], wrong.as_bytes());
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("standard input, line 26: no time: 2026-03-32 00:00:00"));
}

#[test]
fn what_is_odd_in_a_series_is_said() {
    let odd = "timestamp,value\n2026-03-01 02:00:00,5\n2026-03-01 01:00:00,-5\n";
    let output = run_with_input(&["score", "-"], odd.as_bytes());
    assert!(output.status.success(), "{}", said(&output));
    for says in ["1 rows are earlier than the row before", "1 values are below zero"] {
        assert!(said(&output).contains(says), "{}", said(&output));
    }
    let output = run_with_input(&["score", "-"], b"timestamp,value\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("no row after the header"), "{}", said(&output));
}
