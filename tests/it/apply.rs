//! `simfuse policy show` and `apply`, on a running `up`.

use serde_json::{Value, json};

use crate::tool::{file, said};
use crate::up::Up;

const ENFORCE: &str = "version = 1\nmode = \"enforce\"\n[binding]\nmode = \"strict\"\n\
                       allowed_tacs = [\"35378572\"]\n";

#[test]
fn a_policy_is_compared_applied_and_shown() {
    let up = Up::start(|_| {});
    let (code, shown) = up.ask(&["policy", "show"]);
    assert_eq!((code, &shown["number"]), (Some(0), &json!(1)));
    assert_eq!(shown["applied"]["by"], "simfuse");
    let first = &shown["toml"];

    let new = file(ENFORCE);
    let path = new.path().to_str().unwrap();
    let (code, dry) = up.ask(&["policy", "apply", path, "--dry-run"]);
    assert_eq!((code, &dry["from"], &dry["to"]), (Some(0), &json!(1), &Value::Null));
    let diff = dry["diff"].as_str().unwrap();
    assert!(diff.contains("\n+mode = \"enforce\"\n"), "{diff}");
    assert!(dry["changes"].to_string().contains("an unknown device is deactivated"), "{dry}");
    assert_eq!(up.ask(&["policy", "show"]).1["number"], 1, "a dry run applies nothing");

    let (code, applied) =
        up.ask(&["policy", "apply", path, "--reason", "arm the river", "--by", "ops"]);
    assert_eq!((code, &applied["from"], &applied["to"]), (Some(0), &json!(1), &json!(2)));
    let (_, past) = up.ask(&["policy", "show", "--number", "1"]);
    assert_eq!((&past["number"], &past["toml"]), (&json!(1), first));
    let none = up.run(&["policy", "show", "--number", "7"]);
    assert_eq!(none.status.code(), Some(1), "{}", said(&none));
    assert!(said(&none).contains("no version 7: the current one is 2"), "{}", said(&none));
    let (_, shown) = up.ask(&["policy", "show"]);
    assert_eq!((&shown["number"], &shown["toml"]), (&json!(2), &json!(ENFORCE)));
    let applied = &shown["applied"];
    assert_eq!((&applied["by"], &applied["reason"]), (&json!("ops"), &json!("arm the river")));

    let (code, again) = up.ask(&["policy", "apply", path]);
    assert_eq!((code, &again["from"], &again["to"]), (Some(0), &json!(2), &Value::Null));
    assert_eq!(again["diff"], "");
}

#[test]
fn a_person_sees_the_difference_first_and_then_what_became_of_it() {
    let up = Up::start(|_| {});
    let new = file(ENFORCE);
    let path = new.path().to_str().unwrap();
    let output = up.run(&["policy", "apply", path]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let places = ["+mode = \"enforce\"", "mode observe → enforce", "Version 2 is current now."];
    let places = places.map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}")));
    assert!(places.is_sorted(), "{text}");
    let output = up.run(&["policy", "apply", path]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("It is version 2 already."), "{text}");
    let shown = up.run(&["policy", "show"]);
    let again = file(&String::from_utf8(shown.stdout).unwrap());
    let check = up.run(&["policy", "check", again.path().to_str().unwrap()]);
    assert!(check.status.success(), "what is shown is a policy file: {}", said(&check));
}

#[test]
fn a_bad_file_is_refused_with_line_key_and_reason() {
    let up = Up::start(|_| {});
    let bad = file("version = 1\n[limits]\nhour_mb = 0\n");
    let (code, answer) = up.ask(&["policy", "apply", bad.path().to_str().unwrap()]);
    assert_eq!(code, Some(2));
    let error = answer["error"].as_str().unwrap();
    for part in ["line 3", "limits.hour_mb", "more than 0"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(up.ask(&["policy", "show"]).1["number"], 1);
}
