//! The operator's commands against a deployed stack: a loopback server plays the three AWS APIs.

use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use crate::tool::{file, json, said, simfuse};

const FUNCTION: &str = "prod-KillSwitch-1A2B3C";

pub(crate) const TABLE: &str = "prod-Table-1A2B3C";

/// What one call said.
#[derive(Debug, Clone)]
struct Call {
    path: String,
    authorization: String,
    body: String,
}

/// What the function answers: its payload, or the failure in it.
pub(crate) type Function = fn(&Value) -> Result<Value, Value>;

/// The three APIs, and what they were asked.
pub(crate) struct Aws {
    endpoint: String,
    calls: Arc<Mutex<Vec<Call>>>,
    home: tempfile::TempDir,
}

impl Aws {
    pub(crate) fn start(function: Function) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let kept = Arc::clone(&calls);
        let answer = async move |uri: Uri, headers: HeaderMap, body: String| {
            let authorization = headers["authorization"].to_str().unwrap().to_owned();
            let call = Call { path: uri.path().to_owned(), authorization, body };
            kept.lock().unwrap().push(call.clone());
            respond(&call, function)
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap();
            });
        });
        Self { endpoint, calls, home: tempfile::tempdir().unwrap() }
    }

    /// The command, in an environment of AWS.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = simfuse();
        command
            .args(arguments)
            .env("HOME", self.home.path())
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "made-up")
            .env("AWS_SECRET_ACCESS_KEY", "made-up")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// What the function was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Value> {
        let calls = self.calls();
        let invocations = calls.iter().filter(|call| call.path.ends_with("/invocations"));
        invocations.map(|call| serde_json::from_str(&call.body).unwrap()).collect()
    }
}

fn respond(call: &Call, function: Function) -> (StatusCode, HeaderMap, String) {
    let ok = |text: String| (StatusCode::OK, HeaderMap::new(), text);
    if call.path.starts_with("/2015-03-31/functions/") {
        return match function(&serde_json::from_str(&call.body).unwrap()) {
            Ok(answer) => ok(answer.to_string()),
            Err(failure) => {
                let error =
                    [("x-amz-function-error".parse().unwrap(), "Unhandled".parse().unwrap())];
                (StatusCode::OK, HeaderMap::from_iter(error), failure.to_string())
            }
        };
    }
    if call.body.contains("Action=GetCallerIdentity") {
        return ok("<GetCallerIdentityResponse><GetCallerIdentityResult>\
                   <Account>000000000042</Account></GetCallerIdentityResult>\
                   </GetCallerIdentityResponse>"
            .to_owned());
    }
    assert!(call.body.contains("Action=DescribeStackResource&"), "{call:?}");
    let of = |id: &str| call.body.split('&').any(|part| part == format!("LogicalResourceId={id}"));
    assert!(of("KillSwitch") || of("Table"), "{call:?}");
    if call.body.contains("StackName=nowhere") {
        let error = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>\
                     <Message>Stack 'nowhere' does not exist</Message></Error></ErrorResponse>";
        return (StatusCode::BAD_REQUEST, HeaderMap::new(), error.to_owned());
    }
    let physical = match (call.body.contains("StackName=unfinished"), of("Table")) {
        (true, _) => "",
        (false, true) => TABLE,
        (false, false) => FUNCTION,
    };
    ok(format!(
        "<DescribeStackResourceResponse><DescribeStackResourceResult><StackResourceDetail>\
         <LogicalResourceId>KillSwitch</LogicalResourceId>\
         <PhysicalResourceId>{physical}</PhysicalResourceId>\
         </StackResourceDetail></DescribeStackResourceResult></DescribeStackResourceResponse>"
    ))
}

pub(crate) fn answer(request: &Value) -> Value {
    json!({ "action": request["action"], "dry_run": request["dry_run"], "digest": null, "sims": [] })
}

pub(crate) fn status(request: &Value) -> Value {
    let mut answer = answer(request);
    answer["status"] = json!({
        "policy_mode": "enforce", "enforces_anywhere": true, "armed": "observe", "stopped": null,
        "open": 0, "held": 0, "unproven": 0, "last_event_age_secs": 5, "last_alert": null,
    });
    answer
}

/// A kill-switch that does what it is asked.
pub(crate) fn willing(request: &Value) -> Result<Value, Value> {
    if request["action"] == "status" {
        return Ok(status(request));
    }
    let mut answer = answer(request);
    answer["sims"] = json!([{
        "requested": request["sims"][0], "sim": null, "found": null, "outcome": "done",
        "reason": "inactive", "incident": null,
    }]);
    Ok(answer)
}

#[test]
fn a_kill_says_where_it_goes_before_it_goes_there() {
    let aws = Aws::start(willing);
    let output =
        aws.run(&["kill", "pump-17", "--stack", "prod", "--reason", "stolen", "--by", "ops"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let expected = format!(
        "account 000000000042, region eu-central-1, function {FUNCTION}, \
         mode: policy enforce, function observe"
    );
    assert!(said(&output).contains(&expected), "{}", said(&output));
    let asked = aws.asked();
    assert_eq!((asked.len(), &asked[0]["action"]), (2, &json!("status")));
    let fields = ["action", "sims", "reason", "requested_by", "dry_run", "override_protection"];
    let expected = [
        json!("deactivate"),
        json!(["pump-17"]),
        json!("stolen"),
        json!("ops"),
        json!(false),
        json!(false),
    ];
    assert_eq!(fields.map(|field| asked[1][field].clone()), expected);
    for (call, service) in aws.calls().iter().zip(["sts", "cloudformation", "lambda", "lambda"]) {
        let scope = format!("/eu-central-1/{service}/aws4_request");
        assert!(call.authorization.contains(&scope), "{call:?}");
    }
    let path = format!("/2015-03-31/functions/{FUNCTION}/invocations");
    assert_eq!(aws.calls()[3].path, path);
}

#[test]
fn every_command_of_an_operator_reaches_the_stack() {
    for (arguments, action) in [
        (vec!["restore", "pump-17"], "restore"),
        (vec!["false-alarm", "pump-17"], "false_alarm"),
        (vec!["status", "pump-17"], "status"),
        (vec!["stop"], "stop"),
        (vec!["resume"], "resume"),
        (vec!["approve", "--all"], "approve"),
        (vec!["protect", "pump-17"], "protect"),
        (vec!["policy", "show"], "policy_show"),
        (vec!["fleet", "limit", "river"], "fleet_limit"),
    ] {
        let aws = Aws::start(willing);
        let mut arguments = arguments;
        arguments.extend(["--stack", "prod"]);
        aws.run(&arguments);
        let last = aws.asked().pop().unwrap();
        assert_eq!(last["action"], action);
    }
}

#[test]
fn a_mode_that_cannot_be_learnt_stops_no_kill() {
    let aws = Aws::start(|request| match request["action"].as_str() {
        Some("status") => Err(json!({ "errorType": "Table", "errorMessage": "no answer" })),
        _ => willing(request),
    });
    let output = aws.run(&["kill", "pump-17", "--stack", "prod", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("mode: unknown"), "{}", said(&output));
    assert_eq!(json(&output)["sims"][0]["outcome"], "done");
}

#[test]
fn the_usual_stack_is_taken_where_none_is_named_and_no_up() {
    let aws = Aws::start(willing);
    let kill = |arguments: &[&str]| {
        let mut command = aws.command(&["kill", "pump-17"]);
        command.args(arguments).env("SIMFUSE_STACK", "prod").output().unwrap()
    };
    let output = kill(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(aws.asked().len(), 2);
    let output = kill(&["--up", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("simfuse up at http://127.0.0.1:9, on this machine"));
    assert_eq!(aws.asked().len(), 2, "the stack was not asked");
}

#[test]
fn an_answer_about_fewer_sims_than_asked_for_is_a_failure() {
    let aws = Aws::start(|request| match request["action"].as_str() {
        Some("status") => Ok(status(request)),
        _ => Ok(answer(request)),
    });
    let output = aws.run(&["kill", "pump-17", "--stack", "prod"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("1 SIMs were asked for, and the answer is about 0"));
}

#[test]
fn a_function_that_fails_is_told_with_its_reason() {
    let failing = |_: &Value| Err(json!({ "errorType": "Table", "errorMessage": "no answer" }));
    let output = Aws::start(failing).run(&["kill", "pump-17", "--stack", "prod", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let error = json(&output)["error"].as_str().unwrap().to_owned();
    assert_eq!(error, format!("{FUNCTION} failed (Unhandled): no answer (Table)"));
    let timed_out = |_: &Value| Err(json!({ "errorMessage": "Task timed out after 60 seconds" }));
    let output = Aws::start(timed_out).run(&["kill", "pump-17", "--stack", "prod"]);
    assert!(said(&output).contains("Task timed out after 60 seconds"), "{}", said(&output));
}

#[test]
fn a_stack_that_is_not_there_is_named() {
    for (stack, why) in [
        ("nowhere", "Stack 'nowhere' does not exist (ValidationError)"),
        ("unfinished", "it has no physical name"),
    ] {
        let aws = Aws::start(willing);
        let output = aws.run(&["kill", "pump-17", "--stack", stack]);
        assert_eq!(output.status.code(), Some(1));
        let said = said(&output);
        assert!(said.contains(why) && said.contains("account 000000000042"), "{said}");
        assert!(aws.asked().is_empty());
    }
}

#[test]
fn without_credentials_or_region_it_says_what_to_set() {
    for (missing, why) in
        [("AWS_ACCESS_KEY_ID", "no AWS credentials"), ("AWS_REGION", "no AWS region")]
    {
        let aws = Aws::start(willing);
        let mut command = aws.command(&["kill", "pump-17", "--stack", "prod"]);
        let output = command.env_remove(missing).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(why), "{}", said(&output));
        assert!(said(&output).contains("AWS_PROFILE"), "{}", said(&output));
        assert!(aws.calls().is_empty(), "{:?}", aws.calls());
    }
}

#[test]
fn a_stack_and_an_up_are_not_named_together() {
    let aws = Aws::start(willing);
    let output = aws.run(&["status", "--stack", "prod", "--up", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(aws.calls().is_empty());
}

/// Version 3 is current for the look, and no more for the write.
fn overtaken(request: &Value) -> Result<Value, Value> {
    let mut answer = answer(request);
    match (request["action"].as_str(), request["dry_run"].as_bool()) {
        (Some("status"), _) => return Ok(status(request)),
        (_, Some(true)) => {
            answer["policy"] = json!({
                "outcome": "pending", "number": 3, "applied": null, "toml": "version = 1\n",
                "changes": ["mode observe → enforce"], "warnings": [],
            });
        }
        _ => answer["error"] = json!("version 4 is current"),
    }
    Ok(answer)
}

#[test]
fn a_policy_that_was_overtaken_is_not_applied() {
    let aws = Aws::start(overtaken);
    let policy = file("version = 1\nmode = \"enforce\"\n");
    let path = policy.path().to_str().unwrap();
    let output = aws.run(&["policy", "apply", path, "--stack", "prod", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let applied = json(&output);
    assert_eq!((&applied["from"], &applied["to"]), (&json!(3), &Value::Null));
    assert_eq!(applied["error"], "version 4 is current");
    let asked = aws.asked();
    assert_eq!((asked.len(), &asked[2]["compared_with"]), (3, &json!(3)));
    assert_eq!(asked[2]["toml"], "version = 1\nmode = \"enforce\"\n");
}

fn fleet(request: &Value) -> Result<Value, Value> {
    if request["action"] == "status" {
        return Ok(status(request));
    }
    let mut answer = answer(request);
    let limit = request["limit_mb"].as_u64().unwrap_or(250);
    answer["fleet"] = json!({
        "requested": "river", "fleet": "HF00000000000000000000000000000001",
        "unique_name": "river", "outcome": "done", "reason": "250 MB", "was_mb": 250,
        "limit_mb": limit, "policy_mb": 100,
    });
    Ok(answer)
}

#[test]
fn a_fleets_limit_is_said_from_old_to_new_before_it_is_set() {
    let aws = Aws::start(fleet);
    let shown = aws.run(&["fleet", "limit", "river", "--stack", "prod"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("250 MB") && text.contains("the limit is above it"), "{text}");
    let arguments = ["fleet", "limit", "river", "--set", "50", "--reason", "leak", "--by", "ops"];
    let output = aws.run(&[&arguments[..], &["--stack", "prod", "--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let arrow = "limit of river (HF00000000000000000000000000000001): 250 MB → 50 MB";
    assert!(said(&output).contains(arrow), "{}", said(&output));
    assert_eq!(json(&output)["limit_mb"], 50);
    let asked = aws.asked();
    let set = asked.last().unwrap();
    let fields = ["fleet", "limit_mb", "reason", "requested_by"].map(|field| set[field].clone());
    assert_eq!(fields, [json!("river"), json!(50), json!("leak"), json!("ops")]);
    assert_eq!(asked[asked.len() - 2].get("limit_mb"), None, "it is looked at first");
}

#[test]
fn a_limit_that_no_fleet_can_have_is_a_mistake_in_the_command_line() {
    let aws = Aws::start(fleet);
    for wrong in ["0", "2000001", "-5"] {
        let set = format!("--set={wrong}");
        let output = aws.run(&["fleet", "limit", "river", &set, "--stack", "prod"]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    }
    assert!(aws.calls().is_empty());
}

#[test]
fn an_up_elsewhere_is_asked_for_nothing() {
    for place in ["http://example.com", "http://192.0.2.1:9100", "banana", "ftp://127.0.0.1"] {
        let output = simfuse().args(["status", "--up", place]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{place}: {}", said(&output));
        assert!(said(&output).contains("listens on this machine only"), "{}", said(&output));
    }
}
