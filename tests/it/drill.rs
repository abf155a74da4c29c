//! `simfuse drill`.

use serde_json::Value;

use crate::tool::{json, said, simfuse};
use crate::trap::Trap;

/// From receipt of the event to the request at the provider; the debug build keeps it, too.
const RECEIPT_TO_REQUEST_MS_MAX: f64 = 250.0;

#[test]
fn every_thief_is_cut_off_whatever_the_environment_holds() {
    let trap = Trap::set();
    let mut command = simfuse();
    trap.surround(&mut command);
    for (name, value) in [
        ("PROVIDER", "kore"),
        ("ENFORCEMENT_MODE", "observe"),
        ("PUBLIC_WEBHOOK_URL", "https://example.com/events"),
        ("SUPERSIM_API_BASE", "https://example.com"),
        ("SIMFUSE_SECRET_JSON", "{}"),
    ] {
        command.env(name, value);
    }
    let output = command.args(["drill", "--json"]).output().unwrap();
    let report = json(&output);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(trap.calls(), 0, "something left the drill");

    assert_eq!(report["ok"], true);
    assert!(report["fleet_sims"].as_u64().unwrap() >= 200);
    assert_eq!(report["benign_deactivated"], 0);
    let rogues = report["rogues"].as_array().unwrap();
    assert_eq!(rogues.len(), 6, "two kinds of theft, three ways of the provider");
    for rogue in rogues {
        check_rogue(rogue);
    }
    let alerts = report["alerts"].as_array().unwrap();
    for rogue in rogues {
        let sim = rogue["sim"].as_str().unwrap();
        let of_sim = |alert: &&Value| alert["email"].as_str().unwrap().contains(sim);
        let alerts: Vec<_> = alerts.iter().filter(of_sim).collect();
        for word in [" deactivated", " proven dead", " restored"] {
            let told = |alert: &&&Value| alert["subject"].as_str().unwrap().contains(word);
            assert_eq!(alerts.iter().filter(told).count(), 1, "{sim} {word}");
        }
    }
}

fn check_rogue(rogue: &Value) {
    let expected = match rogue["scenario"].as_str().unwrap() {
        "tablet" => "device_not_allowed",
        "spoofed_imei" => "hour_limit",
        other => panic!("{other}"),
    };
    assert_eq!(rogue["detector"], expected, "{rogue}");
    assert_eq!(rogue["status"], "inactive", "{rogue}");
    assert_eq!(rogue["proven"], true, "{rogue}");
    assert_eq!(rogue["restored"], true, "{rogue}");
    let milliseconds = rogue["receipt_to_request_ms"].as_f64().unwrap();
    assert!(milliseconds < RECEIPT_TO_REQUEST_MS_MAX, "{rogue}");
    let leaked = rogue["bytes_leaked"].as_u64().unwrap();
    assert!(leaked < rogue["bytes_leaked_with_fleet_limit"].as_u64().unwrap(), "{rogue}");
    if rogue["scenario"] == "tablet" && rogue["provider"] != "scheduled for 10 minutes" {
        assert_eq!(leaked, 0, "strict binding cuts before the first byte: {rogue}");
    }
}
