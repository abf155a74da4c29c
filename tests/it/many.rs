//! Requests about many SIMs: from files and selections, with a digest, over several invocations.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stack::{Aws, answer, status};
use crate::tool::{file, fixture, json, said};
use crate::up::Up;

const DIGEST: &str = "58045a87a9d6";

/// The fleet that is selected.
const FLEET: &str = "HF00000000000000000000000000000001";

fn sim(name: &Value, outcome: &str) -> Value {
    json!({
        "requested": name, "sim": null, "found": null, "outcome": outcome, "reason": "a reason",
        "incident": null,
    })
}

/// The SIMs of a request, or of its selection.
fn named(request: &Value) -> Vec<Value> {
    match request.get("select") {
        None => request["sims"].as_array().unwrap().clone(),
        Some(_) => (1..=12).map(|number| json!(format!("HS{number:032x}"))).collect(),
    }
}

/// A kill-switch that wants a digest above ten, and has time for five SIMs in an invocation.
fn careful(request: &Value) -> Result<Value, Value> {
    if request["action"] == "status" && request["sims"] == json!([]) {
        return Ok(status(request));
    }
    let mut answer = answer(request);
    let all = named(request);
    let dry_run = request["dry_run"] == true;
    if all.len() > 10 {
        answer["sims_all"] = json!(all.len());
    }
    if dry_run {
        answer["digest"] = json!(DIGEST);
    } else if all.len() > 10 && request.get("confirm") != Some(&json!(DIGEST)) {
        answer["digest"] = json!(DIGEST);
        answer["error"] = json!("12 SIMs need a confirmation: nothing was done");
        return Ok(answer);
    }
    let from =
        request.get("next").map_or(0, |next| all.iter().position(|name| name == next).unwrap());
    let outcome = if dry_run { "pending" } else { "done" };
    let part = all.iter().skip(from).take(5).map(|name| sim(name, outcome));
    answer["sims"] = part.collect();
    if request.get("select").is_some() {
        answer["selected"] = json!({
            "fleet": FLEET, "known_through": null, "hours_known": 0, "hours": 0,
            "sims_unranked": 0, "sims_moved": 0,
        });
    }
    if let Some(next) = all.get(from + 5) {
        answer["next"] = next.clone();
        if request.get("select").is_some() {
            answer["all"] = json!(all);
        }
    }
    Ok(answer)
}

/// Twelve names in a file, with what is none of them.
fn list() -> tempfile::NamedTempFile {
    let names: String = (1..=12).map(|number| format!("pump-{number}\n")).collect();
    file(&format!("# the depot\n\n{names}  pump-1  \n"))
}

fn names(answer: &Value) -> Vec<&str> {
    let sims = answer["sims"].as_array().unwrap();
    sims.iter().map(|sim| sim["requested"].as_str().unwrap()).collect()
}

#[test]
fn more_than_ten_end_with_the_digest_and_the_command_to_go_on() {
    let aws = Aws::start(careful);
    let list = list();
    let path = list.path().to_str().unwrap();
    let kill = ["kill", "--file", path, "--reason", "it's stolen", "--stack", "prod", "--json"];
    let output = aws.run(&kill);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert_eq!(json(&output)["digest"], DIGEST);
    let go_on = format!(
        "simfuse kill --file {path} --reason 'it'\\''s stolen' --stack prod --json --confirm {DIGEST}"
    );
    assert!(said(&output).contains(&go_on), "{}", said(&output));
    assert_eq!(aws.asked().len(), 2, "one look at the mode and one request");

    let output = aws.run(&[&kill[..], &["--confirm", DIGEST]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let done = json(&output);
    let expected: Vec<String> = (1..=12).map(|number| format!("pump-{number}")).collect();
    assert_eq!(names(&done), expected, "each once, in the order of the file");
    let asked = aws.asked();
    let parts: Vec<&Value> = asked.iter().filter(|asked| asked["confirm"] == DIGEST).collect();
    assert_eq!(parts.len(), 3);
    assert_eq!((&parts[1]["next"], &parts[2]["next"]), (&json!("pump-6"), &json!("pump-11")));
    assert!(parts.iter().all(|part| part["sims"] == json!(expected)));
}

#[test]
fn a_selection_is_gone_on_with_as_the_list_that_it_was() {
    let aws = Aws::start(careful);
    let select = ["--fleet", "river", "--used-more-than-mb", "0.5", "--in-last-hours", "6"];
    let kill = [&["kill"][..], &select, &["--stack", "prod", "--json"]].concat();
    let output = aws.run(&kill);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let output = aws.run(&[&kill[..], &["--confirm", DIGEST]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(names(&json(&output)).len(), 12);
    let asked = aws.asked();
    let parts: Vec<&Value> = asked.iter().filter(|asked| asked["confirm"] == DIGEST).collect();
    let expected = json!({ "fleet": "river", "used_more_than_mb": 0.5, "in_last_hours": 6 });
    assert_eq!((&parts[0]["select"], &parts[0]["sims"]), (&expected, &json!([])));
    for part in &parts[1..] {
        assert_eq!(part.get("select"), None);
        assert_eq!(part["of_fleet"], FLEET);
        assert_eq!(part["sims"].as_array().unwrap().len(), 12);
    }
}

#[test]
fn a_dry_run_says_would_be_done_and_how_to_do_it() {
    let aws = Aws::start(careful);
    let kill = ["kill", "--fleet", "river", "--stack", "prod", "--dry-run"];
    let output = aws.run(&kill);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("would be done") && !text.contains("pending"), "{text}");
    assert!(text.contains("12 SIMs: 12 would be done\n"), "{text}");
    assert!(text.contains(&format!("Digest {DIGEST}\n")), "{text}");
    let go_on = format!(
        "To do it:  simfuse kill --fleet river --stack prod --confirm {DIGEST} --reason \"...\"\n"
    );
    assert!(said(&output).contains(&go_on), "{}", said(&output));
    let output = aws.run(&["kill", "pump-1", "--stack", "prod", "--dry-run", "--json"]);
    assert_eq!(json(&output)["sims"][0]["outcome"], "pending", "for programs it keeps its name");
    let go_on = "To do it:  simfuse kill pump-1 --stack prod --json --reason \"...\"\n";
    assert!(said(&output).contains(go_on), "{}", said(&output));
}

#[test]
fn where_nothing_would_be_done_no_command_does_it() {
    let aws = Aws::start(|request| {
        let mut answer = careful(request)?;
        for sim in answer["sims"].as_array_mut().into_iter().flatten() {
            sim["outcome"] = json!("refused");
        }
        Ok(answer)
    });
    let output = aws.run(&["kill", "pump-1", "--stack", "prod", "--dry-run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!said(&output).contains("To do it"), "{}", said(&output));
}

#[test]
fn held_kills_that_policy_asks_for_no_more_are_said_to_be_left_out() {
    let aws = Aws::start(|request| {
        let mut answer = answer(request);
        if request["action"] == "status" {
            return Ok(status(request));
        }
        let cleared = (1..=13).map(|number| json!(format!("HS{number:032x}")));
        answer["cleared"] = cleared.collect();
        answer["sims"] = json!([]);
        Ok(answer)
    });
    let output = aws.run(&["approve", "--all", "--stack", "prod", "--dry-run"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for says in [
        "No kill is held by the cap that policy still asks for.\n",
        "13 more are held and left out: policy asks for them no more.",
        "  simfuse kill HS0000000000000000000000000000000a --reason \"...\"\n  simfuse restore \
         HS0000000000000000000000000000000a --reason \"...\"\n",
        "… and 3 more (--json lists all)",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    assert!(!said(&output).contains("To do it"), "{}", said(&output));
}

/// Whether nobody has to scroll sideways.
fn is_narrow(text: &str) -> bool {
    text.lines().all(|line| line.chars().count() <= 100)
}

#[test]
fn a_long_answer_stays_within_a_hundred_columns_and_names_no_sim_twice() {
    let aws = Aws::start(|request| {
        if request["action"] == "status" {
            return Ok(status(request));
        }
        let mut answer = answer(request);
        let sid = "HS00000000000000000000000000000007";
        let row = |name: &str| {
            json!({
                "requested": sid, "sim": sid, "name": name, "outcome": "refused", "incident": null,
                "found": { "status": "active", "fleet": FLEET },
                "reason": "a reason that goes on and on ".repeat(8),
            })
        };
        answer["sims"] = json!([row(sid), row("pump-7")]);
        Ok(answer)
    });
    let output = aws.run(&["kill", "a", "b", "--stack", "prod"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(is_narrow(&text), "{text}");
    assert_eq!(text.matches("HS00000000000000000000000000000007").count(), 2, "{text}");
    assert!(text.contains("(pump-7)") && text.contains("status before"), "{text}");
}

#[test]
fn names_come_from_standard_input_beside_others() {
    let aws = Aws::start(careful);
    let mut command = aws.command(&["restore", "pump-9", "-", "--stack", "prod", "--json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"pump-1\r\n# no\npump-9\n\npump-2").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(names(&json(&output)), ["pump-9", "pump-1", "pump-2"]);
    let (empty, none) = (file("# none\n"), ["kill", "--stack", "prod"]);
    let from_empty = ["kill", "--file", empty.path().to_str().unwrap(), "--stack", "prod"];
    let asked = aws.asked().len();
    for arguments in [&none[..], &from_empty, &["kill", "-", "--stack", "prod"]] {
        let output = aws.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {}", said(&output));
    }
    assert_eq!(aws.asked().len(), asked, "nobody was asked for nothing");
}

/// Fails whenever a part begins with the sixth SIM.
fn dying(request: &Value) -> Result<Value, Value> {
    match request.get("next") {
        Some(_) => Err(json!({ "errorMessage": "Task timed out after 180 seconds" })),
        None => careful(request),
    }
}

#[test]
fn an_invocation_that_keeps_failing_ends_with_how_to_go_on() {
    let aws = Aws::start(dying);
    let list = list();
    let path = list.path().to_str().unwrap();
    let kill = ["kill", "--file", path, "--confirm", DIGEST, "--stack", "prod", "--json"];
    let output = aws.run(&kill);
    assert_eq!(output.status.code(), Some(1));
    let known = json(&output);
    assert_eq!((names(&known).len(), &known["next"]), (5, &json!("pump-6")), "one document");
    let said = said(&output);
    assert!(said.contains("Task timed out"), "{said}");
    let go_on = format!("--stack prod --json --next pump-6 --confirm {DIGEST}");
    assert!(said.contains("5 of 12 SIMs are answered") && said.contains(&go_on), "{said}");
    let parts = aws.asked().iter().filter(|asked| asked["next"] == "pump-6").count();
    assert_eq!(parts, 6, "repeated, and given up");
}

/// Has no time for the second part, ever.
fn slow(request: &Value) -> Result<Value, Value> {
    while request.get("next").is_some() {
        std::thread::park();
    }
    careful(request)
}

#[test]
fn an_interrupt_says_how_to_go_on() {
    let aws = Aws::start(slow);
    let list = list();
    let path = list.path().to_str().unwrap();
    let kill = ["kill", "--file", path, "--confirm", DIGEST, "--stack", "prod"];
    let mut command = aws.command(&kill);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while aws.asked().last().is_none_or(|asked| asked.get("next").is_none()) {
        assert!(Instant::now() < until, "it never went on");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("interrupted; the invocation under way goes on"), "{said}");
    assert!(said.contains(&format!("--next pump-6 --confirm {DIGEST}")), "{said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("5 SIMs: 5 done"), "what is known is said: {text}");
}

/// An `up` whose fleet has so many SIMs, each seen once.
fn up_with(sims: u32) -> Up {
    let recorded = std::fs::read_to_string(fixture("theft.ndjson")).unwrap();
    let first = recorded.lines().next().unwrap();
    let seen: String = (1..=sims)
        .map(|number| {
            let event =
                first.replace("HS00000000000000000000000000000007", &format!("HS{number:032}"));
            let event =
                event.replace("EZ00000000000000000000000000001001", &format!("EZ{number:032}"));
            let event = event.replace("sensor-07", &format!("unit-{number}"));
            event.replace("8988307000000000007", &format!("8988307{number:012}")) + "\n"
        })
        .collect();
    let up = Up::start(|_| {});
    let events = file(&seen);
    let (path, url, secret) =
        (events.path().to_str().unwrap(), up.place("webhook"), up.place("secret"));
    let (code, report) = up.ask(&["replay", path, "--to", url, "--secret", secret]);
    assert_eq!((code, &report["events"]["applied"]), (Some(0), &json!(sims)), "{report}");
    up
}

#[test]
fn a_fleet_is_switched_off_with_the_digest_of_its_dry_run() {
    let up = up_with(12);
    assert_eq!(up.ask(&["protect", "unit-3", "--reason", "a pacemaker"]).0, Some(0));
    let (code, dry) = up.ask(&["kill", "--fleet", FLEET, "--dry-run"]);
    assert_eq!(code, Some(1), "one of them would be refused: {dry}");
    let digest = dry["digest"].as_str().unwrap();
    let (code, refused) = up.ask(&["kill", "--fleet", FLEET]);
    assert_eq!((code, &refused["digest"], &refused["sims"]), (Some(3), &json!(digest), &json!([])));
    let (code, other) = up.ask(&["restore", "--fleet", FLEET, "--confirm", digest]);
    assert_eq!(code, Some(3), "the digest is of a kill: {other}");
    for outcome in ["done", "already"] {
        let (code, killed) = up.ask(&["kill", "--fleet", FLEET, "--confirm", digest]);
        assert_eq!(code, Some(1), "one is protected: {killed}");
        let sims = killed["sims"].as_array().unwrap();
        let of = |wanted: &str| sims.iter().filter(|sim| sim["outcome"] == wanted).count();
        assert_eq!((of(outcome), of("refused")), (11, 1), "{killed}");
        assert_eq!(sims[2]["name"], "unit-3");
        assert!(sims[2]["reason"].as_str().unwrap().starts_with("protected by"));
    }
    let (_, kept) = up.ask(&["status", "unit-3", "unit-4"]);
    assert_eq!(kept["sims"][0]["found"]["status"], "active");
    assert_eq!(kept["sims"][1]["found"]["status"], "inactive");
    let (_, status) = up.ask(&["status"]);
    assert_eq!(status["status"]["attention"].as_array().unwrap().len(), 11, "not yet proven");
    let output = up.run(&["kill", "--used-more-than-mb", "1"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("Usage records are known of no hour"), "{text}");
    assert!(text.ends_with("No SIM is selected.\n"), "{text}");
    let (_, none) = up.ask(&["kill", "--used-more-than-mb", "1", "--dry-run"]);
    assert_eq!((&none["sims"], &none["selected"]["known_through"]), (&json!([]), &Value::Null));
}

/// Runs a command at a terminal where somebody types this.
fn at_a_terminal(aws: &Aws, arguments: &[&str], typed: &str) -> (Option<i32>, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let side = || std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let mut command = aws.command(arguments);
    command.stdin(side()).stdout(Stdio::piped()).stderr(side());
    let child = command.spawn().unwrap();
    drop(command);
    let mut terminal = std::fs::File::from(terminal);
    terminal.write_all(typed.as_bytes()).unwrap();
    // It ends with an error once nobody else holds the terminal.
    let shown = std::thread::spawn(move || {
        let mut shown = Vec::new();
        _ = terminal.read_to_end(&mut shown);
        String::from_utf8_lossy(&shown).into_owned()
    });
    let output = child.wait_with_output().unwrap();
    (output.status.code(), shown.join().unwrap())
}

#[test]
fn at_a_terminal_the_digest_is_asked_for_and_typed() {
    let aws = Aws::start(careful);
    let kill = ["kill", "--fleet", "river", "--stack", "prod"];
    let acts = || aws.asked().iter().filter(|asked| asked["dry_run"] == false).count();
    let before = acts();
    for wrong in ["yes\n", "\n", "\u{4}"] {
        let (code, shown) = at_a_terminal(&aws, &kill, wrong);
        assert_eq!(code, Some(3), "{shown}");
        assert!(shown.contains(&format!("Type {DIGEST} to deactivate 12 SIMs")), "{shown}");
        assert!(shown.contains("Nothing was done."), "{shown}");
    }
    let looks = acts() - before;
    assert_eq!(looks, 3, "only the mode was asked for");
    let (code, shown) = at_a_terminal(&aws, &kill, &format!("{DIGEST}\n"));
    assert_eq!(code, Some(0), "{shown}");
    let asked = aws.asked();
    let parts: Vec<&Value> = asked.iter().filter(|asked| asked["confirm"] == DIGEST).collect();
    assert_eq!((parts.len(), parts[0]["sims"].as_array().unwrap().len()), (3, 12));
    let in_fleet = |asked: &&Value| asked["of_fleet"] == FLEET && asked.get("select").is_none();
    assert!(parts.iter().all(in_fleet), "a SIM that moved is not meant: {parts:?}");
    let (code, _) = at_a_terminal(&aws, &["kill", "pump-1", "--stack", "prod"], "");
    assert_eq!(code, Some(0), "one SIM is not asked about");
}

#[test]
fn status_lists_who_needs_a_look() {
    let aws = Aws::start(|request| {
        let mut answer = status(request);
        answer["status"]["attention"] = json!([{
            "sim": "HS00000000000000000000000000000007", "name": "pump-7", "stage": "leaking",
            "paged": true, "since": "2026-03-01T14:00:00Z", "imei": "35880123000000",
            "tac": "35880123", "used_bytes": 31_200_000, "next_step": "call the provider",
            "command": "simfuse status HS00000000000000000000000000000007",
        }]);
        answer["status"]["attention_more"] = json!(3);
        answer["status"]["stopped"] =
            json!({ "by": "ops", "reason": "wrong rule", "at": "2026-03-01T14:00:00Z" });
        Ok(answer)
    });
    let output = aws.run(&["status", "--stack", "prod"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "pump-7",
        "leaking, paged",
        "2026-03-01 14:00Z",
        "35880123000000 (TAC 35880123)",
        "31.2 MB or more",
        "simfuse status HS00000000000000000000000000000007",
        "… and 3 more",
        "Automatic kills   off (STOPPED by ops; policy: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(is_narrow(&text), "{text}");
}
