//! `simfuse backtest --stack`: over what the table of a stack keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use simfuse_aws::{SystemClock, Table, create_table};
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::Desired;
use simfuse_domain::port::{
    Cases as _, Clock as _, Commit, Committed, StateWrite, States as _, TargetStatus, UsageItem,
    UsageRecord, UsageStore as _, UsageWindow, Used,
};
use simfuse_domain::state::SimState;
use simfuse_domain::time::Hour;
use simfuse_testkit::population::config::{PopulationConfig, Rogues};
use simfuse_testkit::population::rogue::Rogue;
use simfuse_testkit::population::{EmittedKind, Partition, Population, SENSOR_TACS, encode};
use tokio::runtime::Runtime;

use crate::stack::{Aws, TABLE, willing};
use crate::tool::{file, json, run, said};

/// A stack whose table is a DynamoDB on this machine.
struct Stack {
    aws: Aws,
    runtime: Runtime,
    endpoint: String,
    client: Client,
}

impl Stack {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let (endpoint, client) = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let database = dynoxide::Database::memory().unwrap();
            tokio::spawn(dynoxide::server::serve_on(listener, database));
            let client = Client::new(&simfuse_aws::client::local_config(&endpoint));
            create_table(&client, TABLE).await.unwrap();
            (endpoint, client)
        });
        Self { aws: Aws::start(willing), runtime, endpoint, client }
    }

    fn table(&self) -> Table {
        Table::new(self.client.clone(), TABLE)
    }

    /// What the functions store of a population in the end: of each hour the latest record, of each SIM
    /// what its events add up to.
    fn fill(&self, kept: &Kept) {
        let table = self.table();
        let used = kept.records.values().map(|record| {
            let used = Used {
                up: record.up,
                down: record.down,
                total: record.total.unwrap(),
                billed: None,
            };
            let window = UsageWindow::Hour(record.hour().unwrap());
            UsageItem::Sim(record.sim.unwrap(), record.fleet, window, used)
        });
        let items: Vec<UsageItem> = used.collect();
        self.runtime.block_on(async {
            table.put_usage(&items, kept.now).await.unwrap();
            for state in kept.states.values() {
                let write = StateWrite {
                    state: Box::new(state.clone()),
                    read_version: None,
                    found: BTreeSet::new(),
                    findings: Vec::new(),
                    received_at: kept.now,
                };
                table.write_state(&write).await.unwrap();
            }
        });
    }

    /// What should be of a SIM.
    fn desire(&self, sim: SimSid, desired: Desired) {
        let commit = Commit { desired: Some((desired, 0)), ..Commit::of(sim) };
        let committed = self.runtime.block_on(self.table().commit(&commit)).unwrap();
        assert_eq!(committed, Committed::Done);
    }

    fn put(&self, item: [(&str, AttributeValue); 4]) {
        let mut request = self.client.put_item().table_name(TABLE);
        for (name, value) in item {
            request = request.item(name, value);
        }
        self.runtime.block_on(request.send()).unwrap();
    }

    fn backtest(&self, arguments: &[&str]) -> Output {
        let all = [&["backtest", "--stack", "prod"], arguments].concat();
        let mut command = self.aws.command(&all);
        command.env("AWS_ENDPOINT_URL_DYNAMODB", &self.endpoint).output().unwrap()
    }

    fn report(&self, arguments: &[&str]) -> Value {
        let output = self.backtest(&[&["--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        json(&output)
    }
}

/// What is kept of a population that ends now.
struct Kept {
    now: Timestamp,
    records: BTreeMap<(SimSid, Hour), UsageRecord>,
    states: BTreeMap<SimSid, SimState>,
    rogues: BTreeMap<SimSid, Rogue>,
}

impl Kept {
    /// Eight days of twelve sensors, of which three are robbed by each of these.
    fn of(scenarios: Vec<Rogue>) -> Self {
        let now = SystemClock.now();
        let days = 8;
        let since = Hour::of(now).start() - SignedDuration::from_hours(24 * i64::from(days));
        let mut config = PopulationConfig::new(12, days, 11, since);
        config.switch_all_off();
        let (after_days, within_days) = (4, 1);
        config.rogues =
            Rogues { scenarios, sims_each: 3, after_days, within_days, ..config.rogues };
        let mut population = Population::new(&config, Partition::WHOLE);
        let (mut records, mut states) = (BTreeMap::new(), BTreeMap::new());
        while let Some(emitted) = population.next() {
            let sim = emitted.sim;
            match emitted.kind {
                EmittedKind::Event(event) => {
                    let state = states.entry(sim).or_insert_with(|| SimState::new(sim));
                    state.fold(&event);
                }
                EmittedKind::Usage(record) => {
                    records.insert((sim, record.hour().unwrap()), record);
                }
                EmittedKind::Label(_) => {}
            }
        }
        let rogues = population.truth().map(|truth| (truth.sim, truth.rogue)).collect();
        Self { now, records, states, rogues }
    }

    fn robbed_by(&self, by: Rogue) -> Vec<SimSid> {
        let of = self.rogues.iter().filter(|(_, rogue)| **rogue == by);
        of.map(|(sim, _)| *sim).collect()
    }
}

/// What is done to each SIM, and by which detector; what is held is not done.
fn cut(report: &Value) -> BTreeMap<String, String> {
    let sims = report["sims"].as_array().unwrap().iter();
    let done = sims.filter_map(|sim| {
        let mut acts = sim["acts"].as_array().unwrap().iter();
        let cut = acts.find(|act| act["act"] == "deactivate" && act.get("held_by").is_none())?;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Some((text(&sim["sim"]), text(&cut["detector"])))
    });
    done.collect()
}

fn names(sims: &[SimSid], detector: &str) -> BTreeMap<String, String> {
    sims.iter().map(|sim| (sim.to_string(), detector.to_owned())).collect()
}

/// Every model of sensor that is simulated is declared; a cap lets everything through.
fn declared() -> tempfile::NamedTempFile {
    let tacs = SENSOR_TACS.map(|tac| format!("\"{tac}\"")).join(", ");
    file(&format!(
        "version = 1\n[binding]\nmode = \"strict\"\nallowed_tacs = [{tacs}]\n\
         [guards]\nmax_kills = {{ count = 50, percent = 100, window_mins = 60 }}\n"
    ))
}

const LIMIT: &str = "version = 1\n[limits]\nhour_mb = 100\nact = \"deactivate\"\n\
                     [guards]\nmax_kills = { count = 50, percent = 100, window_mins = 60 }\n";

#[test]
fn hours_of_a_table_are_judged_as_those_of_files() {
    let (stack, kept) = (Stack::start(), Kept::of(vec![Rogue::HdVideo]));
    stack.fill(&kept);
    let lines: Vec<String> =
        kept.records.values().map(|record| encode::usage_json("AC0", record)).collect();
    let (usage, policy) = (file(&lines.join("\n")), file(LIMIT));
    let paths = [usage.path(), policy.path()].map(|path| path.to_str().unwrap());
    let by_files = json(&run(&["backtest", "--json", paths[0], "--policy", paths[1]]));
    let by_table = stack.report(&["--policy", paths[1]]);
    assert_eq!(cut(&by_files), names(&kept.robbed_by(Rogue::HdVideo), "hour_limit"));
    assert_eq!(cut(&by_table), cut(&by_files));
    let of_rogues = |report: &Value| {
        let sims = report["sims"].as_array().unwrap().iter();
        let cut: Vec<Value> = sims
            .filter(|sim| cut(report).contains_key(sim["sim"].as_str().unwrap()))
            .map(|sim| sim["acts"].clone())
            .collect();
        cut
    };
    assert_eq!(of_rogues(&by_table), of_rogues(&by_files), "when, why and how much");
    let input = &by_table["input"]["stored"];
    assert_eq!((&input["stack"], &input["sims"]), (&"prod".into(), &12.into()));
    assert_eq!(input["usage_records"], kept.records.len());
    let begins = kept.records.values().map(|record| record.from).min().unwrap();
    assert_eq!(input["since"], begins.to_string());
}

#[test]
fn what_events_added_up_to_is_judged_and_what_humans_said_counts() {
    let (stack, kept) = (Stack::start(), Kept::of(vec![Rogue::Tablet]));
    stack.fill(&kept);
    let policy = declared();
    let policy = ["--policy", policy.path().to_str().unwrap()];
    let robbed = kept.robbed_by(Rogue::Tablet);
    assert_eq!(cut(&stack.report(&policy)), names(&robbed, "device_not_allowed"));
    // That one is off changes nothing of what was; one is protected, of one a human allowed the tablet.
    let off = Desired { status: Some(TargetStatus::Inactive), ..Desired::default() };
    let protected = Desired { protected_by: Some("ops".to_owned()), ..Desired::default() };
    stack.desire(robbed[0], off);
    stack.desire(robbed[1], protected);
    let devices = kept.states[&robbed[2]].devices();
    let allowed_devices = devices.iter().map(|device| device.imei).collect();
    stack.desire(robbed[2], Desired { allowed_devices, ..Desired::default() });
    let report = stack.report(&policy);
    let expected = names(&[robbed[0], robbed[2]], "device_not_allowed");
    assert_eq!(cut(&report), expected);
    let by_device = |sim: SimSid| {
        let sims = report["sims"].as_array().unwrap();
        let sim = sims.iter().find(|other| other["sim"] == sim.to_string());
        let acts = sim.map(|sim| sim["acts"].as_array().unwrap().as_slice()).unwrap_or_default();
        acts.iter().find(|act| act["detector"] == "device_not_allowed")
    };
    let judged = robbed.iter().map(|sim| by_device(*sim).unwrap().get("judged_false").is_some());
    assert_eq!(judged.collect::<Vec<_>>(), [false, false, true], "it would have been a false kill");
    assert_eq!(report["groups"]["unlabelled"]["judged_false"], 1);
    let act = by_device(robbed[1]).unwrap();
    assert_eq!(
        (&act["act"], &act["held_by"]),
        (&"deactivate".into(), &"the SIM is protected".into())
    );
}

#[test]
fn without_a_policy_the_one_in_force_is_tried_and_an_empty_table_is_said() {
    let stack = Stack::start();
    let output = stack.backtest(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("nothing was judged"), "{}", said(&output));
    let kept = Kept::of(vec![Rogue::HdVideo]);
    stack.fill(&kept);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = AttributeValue::N("3".to_owned());
    stack.put([
        ("pk", text("POLICY")),
        ("sk", text("CURRENT")),
        ("toml", text(LIMIT)),
        ("number", number),
    ]);
    // What nobody can read costs nothing else: an hour, and what should be of a SIM.
    let wrong = [("pk", text("US#HS00000000000000000000000000000001")), ("sk", text("HOUR#noon"))];
    let nothing = [("total", text("many")), ("fleet", text("none"))];
    let [pk, sk] = wrong;
    let [total, fleet] = nothing;
    stack.put([pk, sk, total, fleet]);
    let healthy = kept.states.keys().find(|sim| !kept.rogues.contains_key(sim)).unwrap();
    stack.put([
        ("pk", text(&format!("KS#{healthy}"))),
        ("sk", text("CONTROL")),
        ("desired", text("{")),
        ("version", AttributeValue::N("1".to_owned())),
    ]);
    let output = stack.backtest(&["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report = json(&output);
    assert_eq!(report["policy"], "version 3, in force in stack prod");
    assert_eq!(cut(&report), names(&kept.robbed_by(Rogue::HdVideo), "hour_limit"));
    assert_eq!(report["input"]["stored"]["unread"], 2);
    let output = stack.backtest(&[]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("HOUR#noon") && printed.contains("12 SIMs"), "{printed}");
    assert!(said(&output).contains("which is only read"), "{}", said(&output));
}

/// Whoever may not read the table is told what they need.
#[test]
fn missing_rights_are_named() {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let denied = r#"{"__type": "com.amazon.coral.service#AccessDeniedException"}"#;
    let answer = move || async move { (axum::http::StatusCode::BAD_REQUEST, denied) };
    let refusing = axum::Router::new().fallback(answer);
    runtime.spawn(async move { axum::serve(listener, refusing).await });
    let mut command = Aws::start(willing).command(&["backtest", "--stack", "prod"]);
    let output = command.env("AWS_ENDPOINT_URL_DYNAMODB", endpoint).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let rights = "a role needs dynamodb:DescribeTable, Scan, Query, GetItem and BatchGetItem";
    assert!(said(&output).contains(rights), "{}", said(&output));
}

/// `SIMFUSE_STACK` is where history comes from when nothing else is named.
#[test]
fn the_usual_stack_is_tried_beside_another_policy_with_labels() {
    let (stack, kept) = (Stack::start(), Kept::of(vec![Rogue::HdVideo]));
    stack.fill(&kept);
    let robbed = kept.robbed_by(Rogue::HdVideo);
    let from = kept.records.values().map(|record| record.from).min().unwrap();
    let rows = format!(
        "sim,label,from\n{},R3,{from}\n{},R3,{from}\n",
        robbed[0],
        SimSid::from_bytes([0xee; 16])
    );
    let (labels, fast, slow) =
        (file(&rows), file(LIMIT), file(&LIMIT.replace("hour_mb = 100", "hour_mb = 1500")));
    let [labels, fast, slow] = [&labels, &fast, &slow].map(|file| file.path().to_str().unwrap());
    let tried = |policy, other| {
        let arguments = ["backtest", "--json", "--policy", policy, "--compare", other];
        let mut command = stack.aws.command(&arguments);
        command.args(["--labels", labels]).env("SIMFUSE_STACK", "prod");
        command.env("AWS_ENDPOINT_URL_DYNAMODB", &stack.endpoint).output().unwrap()
    };
    let output = tried(fast, slow);
    assert!(said(&output).contains("labels of SIMs that are not in this history: 1\n"));
    let report = json(&output);
    assert_eq!(report["groups"]["rogue"]["sims"], 1);
    let compared = &report["compared"];
    let earlier = compared["earlier"].as_array().unwrap();
    assert!(!earlier.is_empty() && compared["later"].as_array().unwrap().is_empty(), "{compared}");
    let used = |which: &str| compared[which]["bytes_most"].as_u64().unwrap();
    assert!(used("used") < used("other_used"), "{compared}");
    let swapped = &json(&tried(slow, fast))["compared"];
    assert_eq!(swapped["later"].as_array().unwrap().len(), earlier.len());
    assert!(swapped["earlier"].as_array().unwrap().is_empty());
}

#[test]
fn a_stack_and_files_are_not_tried_at_once_and_a_table_that_is_not_there_is_said() {
    let output = run(&["backtest", "--stack", "prod", "events.ndjson"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let stack = Stack::start();
    let request = stack.client.delete_table().table_name(TABLE);
    stack.runtime.block_on(request.send()).unwrap();
    let output = stack.backtest(&[]);
    assert_eq!(output.status.code(), Some(1));
    let expected = ["reading the table of stack prod: ", "ResourceNotFoundException"];
    assert!(expected.iter().all(|part| said(&output).contains(part)), "{}", said(&output));
}
