//! `simfuse up`, and the operator's commands against it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tool::{file, fixture, json, said, simfuse};
use crate::trap::Trap;

/// A running `up`, ended when dropped.
pub(crate) struct Up {
    child: Child,
    places: Value,
    home: tempfile::TempDir,
}

impl Up {
    pub(crate) fn start(change: impl FnOnce(&mut Command)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = simfuse();
        command.args(["up", "--listen", "127.0.0.1:0", "--json"]).stdout(Stdio::piped());
        command.env("HOME", home.path());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        let places = loop {
            assert_ne!(lines.read_line(&mut text).unwrap(), 0, "it ended early: {text}");
            if let Ok(places) = serde_json::from_str(&text) {
                break places;
            }
        };
        Self { child, places, home }
    }

    pub(crate) fn place(&self, name: &str) -> &str {
        self.places[name].as_str().unwrap()
    }

    /// Runs another command of the same user to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        simfuse().env("HOME", self.home.path()).args(arguments).output().unwrap()
    }

    pub(crate) fn ask(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = self.run(&[arguments, &["--json"]].concat());
        (output.status.code(), json(&output))
    }

    pub(crate) fn replay_theft(&self) -> Value {
        let path = fixture("theft.ndjson");
        let path = path.to_str().unwrap();
        let (url, secret) = (self.place("webhook"), self.place("secret"));
        let (code, report) = self.ask(&["replay", path, "--to", url, "--secret", secret]);
        assert_eq!(code, Some(0));
        report
    }

    /// Asks for a SIM's status until it is as wanted.
    pub(crate) fn wait_for(&self, sim: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let (_, answer) = self.ask(&["status", sim]);
            let answer = answer["sims"][0].clone();
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < until, "{answer}");
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

pub(crate) const SIM: &str = "HS00000000000000000000000000000007";

pub(crate) const ENFORCE: &str = "version = 1\nmode = \"enforce\"\n[binding]\nmode = \"strict\"\n\
                       allowed_tacs = [\"35378572\"]\n";

#[test]
fn a_stolen_sim_is_switched_off_and_a_human_switches_it_on_again() {
    let policy = file(ENFORCE);
    let up = Up::start(|command| {
        command.args(["--mode", "enforce", "--policy"]).arg(policy.path());
    });
    assert_eq!(up.replay_theft()["events"]["applied"], 79);
    let inactive = |answer: &Value| answer["found"]["status"] == "inactive";
    let answer = up.wait_for(SIM, inactive);
    assert_eq!(answer["details"]["findings"][0]["detector"], "device_not_allowed");

    let (code, status) = up.ask(&["status"]);
    assert_eq!((code, &status["status"]["armed"]), (Some(0), &Value::from("enforce")));

    let (code, answer) = up.ask(&["restore", SIM, "--reason", "the thief is caught"]);
    assert_eq!((code, &answer["sims"][0]["outcome"]), (Some(0), &Value::from("done")));
    up.replay_theft();
    let answer = up.wait_for(SIM, |answer| answer["found"]["status"] == "active");
    assert_eq!(answer["details"]["verdict"], "clear", "what a human judged is judged");
}

#[test]
fn a_false_alarm_is_judged_without_asking_the_provider() {
    let up = Up::start(|_| {});
    up.replay_theft();
    up.wait_for(SIM, |answer| answer["details"]["stage"] == "alerted");
    let text = |arguments: &[&str]| {
        let text = up.run(arguments).stdout;
        let text = String::from_utf8(text).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        text
    };
    let whole = text(&["status"]);
    assert!(whole.contains("  sensor-07: alerted, since "), "it is named: {whole}");
    assert!(whole.contains(&format!("\n    simfuse status {SIM}\n")), "{whole}");
    let one = text(&["status", SIM]);
    assert!(one.contains("active at the provider; policy rules alert"), "{one}");
    assert!(one.contains("\n  used          at least "), "{one}");
    assert!(one.matches("hour_limit: ").count() <= 1, "one for all hours: {one}");
    let (code, answer) = up.ask(&["restore", SIM, "--reason", "a firmware update"]);
    assert_eq!((code, &answer["sims"][0]["outcome"]), (Some(0), &Value::from("done")), "{answer}");
    let answer = up.wait_for(SIM, |answer| answer["details"]["stage"] == Value::Null);
    assert_eq!(answer["details"]["verdict"], "clear");
}

#[test]
fn a_false_alarm_is_filed_and_its_device_allowed_until_the_sim_is_killed() {
    let policy = file(ENFORCE);
    let up = Up::start(|command| {
        command.args(["--mode", "enforce", "--policy"]).arg(policy.path());
    });
    let (code, answer) = up.ask(&["false-alarm", SIM, "--reason", "a new modem"]);
    assert_eq!((code, &answer["sims"][0]["outcome"]), (Some(1), &Value::from("not_found")));
    up.replay_theft();
    let answer = up.wait_for(SIM, |answer| answer["found"]["status"] == "inactive");
    let device = answer["details"]["findings"][0]["about"].clone();
    let judge = ["false-alarm", SIM, "--reason", "a new modem", "--by", "kim"];
    let (code, answer) = up.ask(&judge);
    assert_eq!((code, &answer["sims"][0]["outcome"]), (Some(0), &Value::from("done")), "{answer}");
    let (code, answer) = up.ask(&judge);
    assert_eq!((code, &answer["sims"][0]["outcome"]), (Some(0), &Value::from("already")));
    up.replay_theft();
    let answer = up.wait_for(SIM, |answer| answer["found"]["status"] == "active");
    let details = &answer["details"];
    assert_eq!((&details["verdict"], &details["allowed_devices"][0]), (&"clear".into(), &device));
    let text = up.run(&["status", SIM]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains(&format!("allowed       device {}", device.as_str().unwrap())), "{text}");
    assert!(text.contains("judged        a false alarm, at "), "{text}");
    assert!(text.contains("acted         kim: a new modem"), "{text}");
    let text = up.run(&["audit", "--sim", SIM]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for part in ["false_alarm (intent)", "false_alarm (outcome)", "kim", "a new modem"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, _) = up.ask(&["kill", SIM, "--reason", "it was a thief after all"]);
    assert_eq!(code, Some(0));
    let (_, answer) = up.ask(&["status", SIM]);
    assert_eq!(answer["sims"][0]["details"]["allowed_devices"], Value::Null);
    let (code, _) = up.ask(&["audit", "--verify", "--sim", SIM]);
    assert_eq!(code, Some(0));
}

#[test]
fn a_human_kills_in_observe_mode_by_any_name() {
    let up = Up::start(|_| {});
    up.replay_theft();
    let (code, answer) = up.ask(&["kill", SIM, "--dry-run"]);
    assert_eq!((code, &answer["sims"][0]["found"]["status"]), (Some(0), &Value::from("active")));
    let name = answer["sims"][0]["sim"].as_str().unwrap().to_owned();
    assert_eq!(name, SIM);

    let (code, _) = up.ask(&["protect", SIM]);
    assert_eq!(code, Some(0));
    let (code, answer) = up.ask(&["kill", SIM]);
    assert_eq!((code, &answer["sims"][0]["outcome"]), (Some(1), &Value::from("refused")));
    let (code, answer) = up.ask(&["kill", SIM, "--override-protection"]);
    assert_eq!((code, &answer["sims"][0]["outcome"]), (Some(0), &Value::from("done")));
    let (code, answer) = up.ask(&["kill", "no-such-sim"]);
    assert_eq!((code, &answer["sims"][0]["outcome"]), (Some(1), &Value::from("not_found")));

    let (_, answer) = up.ask(&["stop", "--reason", "testing"]);
    assert_eq!(answer["status"]["stopped"]["reason"], "testing");
    let (_, answer) = up.ask(&["resume"]);
    assert_eq!(answer["status"]["stopped"], Value::Null);
}

#[test]
fn a_fleets_own_limit_is_shown_set_and_recorded() {
    const FLEET: &str = "HF00000000000000000000000000000001";
    let up = Up::start(|_| {});
    let (code, answer) = up.ask(&["fleet", "limit", FLEET]);
    assert_eq!((code, &answer["outcome"]), (Some(1), &Value::from("not_found")));
    up.replay_theft();
    let (code, answer) = up.ask(&["fleet", "limit", FLEET]);
    assert_eq!((code, &answer["limit_mb"]), (Some(0), &Value::from(250)));
    let (code, answer) = up.ask(&["fleet", "limit", FLEET, "--set", "50", "--dry-run"]);
    assert_eq!((code, &answer["outcome"]), (Some(0), &Value::from("pending")));
    let dry = up.run(&["fleet", "limit", FLEET, "--set", "50", "--dry-run"]);
    let dry = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(dry.starts_with("Dry run: nothing was done.\n"), "{dry}");
    assert_eq!(up.ask(&["fleet", "limit", FLEET]).1["limit_mb"], 250);
    let (code, answer) = up.ask(&["fleet", "limit", FLEET, "--set", "50", "--reason", "a leak"]);
    assert_eq!((code, &answer["outcome"]), (Some(0), &Value::from("done")));
    assert_eq!((&answer["was_mb"], &answer["limit_mb"]), (&Value::from(250), &Value::from(50)));
    assert_eq!(up.ask(&["fleet", "limit", FLEET]).1["limit_mb"], 50);
}

#[test]
fn the_first_line_says_where_the_webhook_is_and_an_interrupt_ends_it() {
    let trap = Trap::set();
    let mut command = simfuse();
    trap.surround(&mut command);
    command.args(["up", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    command.env("PUBLIC_WEBHOOK_URL", "https://example.com/elsewhere");
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    let url = first.strip_prefix("webhook http://127.0.0.1:").unwrap_or_else(|| panic!("{first}"));
    assert!(url.trim_end().ends_with("/events"), "{first}");

    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let interrupted = Instant::now();
    assert!(child.wait().unwrap().success());
    assert!(interrupted.elapsed() < Duration::from_secs(10));
    out.read_to_string(&mut first).unwrap();
    assert!(first.contains("\nsecret "), "a secret was made up and printed: {first}");
    assert_eq!(trap.calls(), 0);
}

#[test]
fn a_forged_request_is_refused() {
    let up = Up::start(|_| {});
    let path = fixture("theft.ndjson");
    let url = up.place("webhook");
    let arguments = ["replay", path.to_str().unwrap(), "--to", url, "--secret", "wrong"];
    let output = simfuse().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("403"), "{}", said(&output));
}

#[test]
fn the_secret_of_the_environment_is_used_for_either_provider() {
    for (provider, secrets) in
        [("twilio", r#"{"auth_token":["new","old"]}"#), ("kore", r#"{"webhook_secret":"old"}"#)]
    {
        let up = Up::start(|command| {
            command.env("PROVIDER", provider).env("SIMFUSE_SECRET_JSON", secrets);
        });
        assert_eq!(up.places["secret"], Value::Null, "no secret was made up");
        let path = fixture("theft.ndjson");
        let (path, url) = (path.to_str().unwrap(), up.place("webhook"));
        let to = ["replay", path, "--to", url, "--secret", "old", "--provider", provider];
        let (code, report) = up.ask(&to);
        assert_eq!((code, &report["events"]["applied"]), (Some(0), &Value::from(79)));
    }
}

#[test]
fn only_loopback_is_served() {
    let output = simfuse().args(["up", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("only loopback"), "{}", said(&output));
}

#[test]
fn without_a_running_up_the_commands_say_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let output = simfuse().env("HOME", home.path()).args(["status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("simfuse up"), "{}", said(&output));
}

#[test]
fn a_second_up_of_the_same_user_says_that_one_runs_and_where() {
    let up = Up::start(|_| {});
    let second = up.run(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1), "{}", said(&second));
    assert!(said(&second).contains(up.place("invoke")), "{}", said(&second));
    assert_eq!(up.ask(&["status"]).0, Some(0), "the first is still found");
    // What one that died leaves behind stops nobody.
    let mut dead = up;
    dead.child.kill().unwrap();
    dead.child.wait().unwrap();
    let home = dead.home.path().to_owned();
    let next = Up::start(|command| {
        command.env("HOME", home);
    });
    assert_eq!(
        dead.ask(&["status"]).0,
        Some(0),
        "the new one is found at {}",
        next.place("invoke")
    );
}
