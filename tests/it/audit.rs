//! `simfuse audit`, on a running `up`.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use simfuse_aws::Table;
use simfuse_domain::audit::{ChainHead, DayHeads, HeadsRun, heads_of};
use simfuse_domain::port::{AuditQuery, AuditTrail as _, Committed, HeadsLog as _};

use crate::tool::said;
use crate::up::Up;

const SIM: &str = "HS00000000000000000000000000000007";

/// A SIM is killed and restored, another protected, and the switch set: by whom and why.
fn story() -> Up {
    let up = Up::start(|_| {});
    up.replay_theft();
    let done = |arguments: &[&str]| assert_eq!(up.ask(arguments).0, Some(0), "{arguments:?}");
    done(&["kill", SIM, "--reason", "reported, \"stolen\"", "--by", "kim"]);
    done(&["restore", SIM, "--reason", "found again\nin the shed", "--by", "kim"]);
    done(&["stop", "--reason", "lunch", "--by", "robin"]);
    up
}

fn reasons(entries: &Value) -> Vec<&str> {
    entries.as_array().unwrap().iter().map(|entry| entry["reason"].as_str().unwrap()).collect()
}

#[test]
fn what_was_done_is_shown_as_a_table_as_values_and_as_one_document() {
    let up = story();
    let (code, all) = up.ask(&["audit"]);
    assert_eq!((code, &all["error"]), (Some(0), &Value::Null));
    let why = reasons(&all["entries"]);
    for reason in ["reported, \"stolen\"", "found again\nin the shed", "lunch"] {
        assert!(why.contains(&reason), "{why:?}");
    }
    let (_, one) = up.ask(&["audit", "--sim", SIM, "--since", "1h"]);
    let entries = one["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry["sim"] == SIM && entry["hash"].is_string()), "{one}");
    assert_eq!(one["sims"], json!([SIM]));
    let (_, account) = up.ask(&["audit", "--account"]);
    let account = reasons(&account["entries"]);
    assert_eq!(account, ["what it was started with", "lunch"], "{account:?}");
    let fleet = one["entries"][0]["fleet"].as_str().unwrap();
    let (_, of_fleet) = up.ask(&["audit", "--fleet", fleet]);
    assert_eq!(of_fleet["entries"].as_array().unwrap().len(), entries.len());
    assert_eq!(of_fleet["fleet_unknown"], 2);
    let (_, before) = up.ask(&["audit", "--since", "2d", "--until", "1d"]);
    assert_eq!(before["entries"], json!([]));

    let output = up.run(&["audit", "--sim", SIM, "--csv"]);
    assert!(output.status.success(), "{}", said(&output));
    let mut values = csv::Reader::from_reader(output.stdout.as_slice());
    let header = values.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<csv::StringRecord> = values.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), entries.len());
    for (row, entry) in rows.iter().zip(entries) {
        for name in ["at", "sim", "fleet", "actor", "action", "phase", "reason", "id", "hash"] {
            assert_eq!(row.get(column(name)), entry[name].as_str(), "{name}");
        }
    }

    let output = up.run(&["audit", "--sim", SIM]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["deactivate (intent)", "restore (outcome)", "kim", "reported, \"stolen\""] {
        assert!(text.contains(part), "{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.contains(SIM), "a SID is not wrapped: {text}");
    let output = up.run(&["audit", "--since", "2d", "--until", "1d"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "Nothing was done in this time.\n");
    for (since, until) in [("1d", "2d"), ("2026-03-01", "2026-03-01")] {
        let output = up.run(&["audit", "--since", since, "--until", until]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("no time lies between --since"), "{}", said(&output));
    }
}

#[test]
fn a_chain_is_verified_and_what_was_done_to_it_is_found() {
    let up = story();
    let (code, report) = up.ask(&["audit", "--verify"]);
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report}");
    let chains: Vec<&str> = report["chains"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chain| chain["chain"].as_str().unwrap())
        .collect();
    assert!(chains.contains(&SIM) && chains.contains(&"ACCOUNT"), "{chains:?}");
    let (code, one) = up.ask(&["audit", "--verify", "--sim", SIM]);
    assert_eq!((code, one["chains"].as_array().unwrap().len()), (Some(0), 1));
    assert_eq!(one["chains"][0]["holds"], true);
    let entries = one["chains"][0]["entries"].as_u64().unwrap();
    assert!(entries >= 4, "{one}");
    let (_, now) = up.ask(&["audit", "--verify", "--sim", SIM, "--since", "0s"]);
    assert_eq!(now["chains"][0]["entries"], entries, "all of a chain, whatever the time: {now}");

    let removed = remove_an_entry(&up);
    let (code, report) = up.ask(&["audit", "--verify", "--sim", SIM]);
    assert_eq!((code, &report["ok"]), (Some(1), &json!(false)), "{report}");
    let broken = &report["chains"][0]["broken"];
    assert_eq!((&broken["kind"], &broken["number"]), (&json!("missing"), &json!(removed)));
    let output = up.run(&["audit", "--verify"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = format!("{SIM}: DOES NOT HOLD: entry {removed} is missing");
    assert!(text.contains(&line), "{text}");
    assert!(text.contains("ACCOUNT: holds, 2 entries"), "{text}");
}

/// Deletes the intent of the kill from the table. Returns its place.
fn remove_an_entry(up: &Up) -> u64 {
    let (_, listed) = up.ask(&["audit", "--sim", SIM]);
    let entries = listed["entries"].as_array().unwrap();
    let is_intent = |entry: &&Value| entry["action"] == "deactivate" && entry["phase"] == "intent";
    let intent = entries.iter().find(is_intent).unwrap();
    let (at, id) = (intent["at"].as_str().unwrap(), intent["id"].as_str().unwrap());
    let at: jiff::Timestamp = at.parse().unwrap();
    let sk = format!("AUDIT#{at:.3}#{id}");
    let request = client(up)
        .delete_item()
        .table_name("simfuse")
        .key("pk", AttributeValue::S(format!("KS#{SIM}")))
        .key("sk", AttributeValue::S(sk))
        .condition_expression("attribute_exists(pk)");
    wait(request.send()).unwrap();
    intent["number"].as_u64().unwrap()
}

fn client(up: &Up) -> Client {
    Client::new(&simfuse_aws::client::local_config(up.place("table")))
}

fn wait<T>(call: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(call)
}

/// Records the heads of the day so far, as the sweep will once it is over, and then these instead.
async fn record_heads(up: &Up, instead: impl FnOnce(&mut Vec<ChainHead>)) {
    let table = Table::new(client(up), "simfuse");
    let (since, until) = (jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::MAX);
    let sim = SIM.parse().unwrap();
    let chain = Some(simfuse_domain::audit::ChainName::Sim(sim));
    let query = AuditQuery { chain, since, until, after: None, entries_max: 100 };
    let records = table.audit_page(&query).await.unwrap().records;
    let mut heads = heads_of(&records);
    let day = records[0].entry.at.to_zoned(TimeZone::UTC).date();
    let so_far = DayHeads::of(day).with(1, &heads);
    instead(&mut heads);
    let run = HeadsRun { so_far, after: None, is_whole: true, tally: None };
    // Its own sweep may be about to write, too.
    loop {
        let (_, version) = table.read_heads_run().await.unwrap();
        match table.write_heads_run(&run, Some(&heads), version).await.unwrap() {
            Committed::Done => return,
            Committed::Conflict => {}
        }
    }
}

/// The last day of a report: its own sweep may have recorded the one before.
fn today(report: &Value) -> &Value {
    report["days"].as_array().unwrap().last().unwrap()
}

#[test]
fn a_chain_is_compared_with_what_was_recorded_of_its_head() {
    let up = story();
    wait(record_heads(&up, |_| {}));
    let (code, report) = up.ask(&["audit", "--verify", "--sim", SIM, "--since", "2d"]);
    assert_eq!((code, &report["chains"][0]["recorded"]), (Some(0), &json!(1)), "{report}");
    assert_eq!(today(&report)["holds"], true);

    // Another head, under the digest of the first: the chain contradicts the one, the day the other.
    wait(record_heads(&up, |heads| heads[0].head.number -= 1));
    let (code, report) = up.ask(&["audit", "--verify", "--sim", SIM, "--since", "2d"]);
    assert_eq!(code, Some(1));
    assert_eq!(report["chains"][0]["broken"]["kind"], "rewritten", "{report}");
    assert_eq!(today(&report)["holds"], false, "{report}");
}

#[test]
fn a_wrong_time_or_sim_is_named() {
    let up = Up::start(|_| {});
    let output = up.run(&["audit", "--since", "yesterday"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("no time: yesterday"), "{}", said(&output));
    let output = up.run(&["audit", "--csv", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let (code, answer) = up.ask(&["audit", "--sim", "no-such-sim"]);
    assert_eq!(code, Some(1));
    assert!(answer["error"].as_str().unwrap().contains("no-such-sim"), "{answer}");
}
