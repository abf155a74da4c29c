//! The table in memory and the real one, on an embedded DynamoDB, keep the same contract.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its table fails")]

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use simfuse_aws::{ScanPage, Table, create_table};
use simfuse_domain::alert::HourTexts;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::finding::{DetectorId, Evidence, Finding};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::Incident;
use simfuse_domain::news::News;
use simfuse_domain::port::{
    Campaigns as _, Cases, Commit, Committed, DeadLetter, DeadLetters, LinkClaims, Sim, SimStatus,
    StateWrite, States, TableError, UsageItem, UsageStore, UsageWindow, Usages, Used, Written,
};
use simfuse_domain::signed_link::{LinkAct, SignedLink};
use simfuse_domain::state::SimState;
use simfuse_domain::time::Hour;
use simfuse_domain::usage::{SimUsage, Source};
use simfuse_testkit::cohorts::cohort_of;
use simfuse_testkit::contract;
use simfuse_testkit::memory::MemoryTable;

const NAME: &str = "simfuse";

/// A client of a DynamoDB of its own, with an empty table in it.
async fn dynamo() -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    let client = Client::new(&simfuse_aws::client::local_config(&endpoint));
    create_table(&client, NAME).await.unwrap();
    client
}

macro_rules! on_both {
    ($($of:ident::$clause:ident)*) => {$(
        mod $clause {
            #[tokio::test]
            async fn in_memory() {
                let table = super::MemoryTable::new();
                super::contract::$of::$clause(&table).await;
            }

            #[tokio::test]
            async fn in_dynamo() {
                let table = super::Table::new(super::dynamo().await, super::NAME);
                super::contract::$of::$clause(&table).await;
            }
        }
    )*};
}

on_both! {
    campaigns::a_campaign_is_kept_by_scope_and_version
    campaigns::what_went_out_by_sms_is_kept_by_hour_and_version
    states::what_was_never_written_is_absent
    states::a_write_is_read_back
    states::a_write_on_an_old_version_is_a_conflict
    states::of_concurrent_writers_one_comes_first
    states::findings_are_written_with_their_state
    states::a_finding_that_exists_leaves_the_state_as_it_was
    states::a_conflict_comes_before_findings_that_exist
    states::a_finding_is_inserted_once
    states::a_read_of_250_sims_misses_none
    states::the_latest_heartbeat_stands
    cases::a_case_of_nothing_is_empty
    cases::a_commit_is_read_back
    cases::a_changed_incident_stops_a_commit
    cases::a_changed_desire_stops_a_commit
    cases::the_stop_switch_stops_a_commit
    cases::a_changed_policy_stops_a_commit
    cases::a_changed_kill_window_stops_a_commit
    cases::an_audit_entry_is_written_once_and_never_changed
    cases::a_commit_that_contradicts_itself_is_a_fault
    cases::a_closed_incident_makes_room_for_the_next
    cases::past_incidents_come_the_latest_first
    links::a_link_is_taken_by_one_call
    links::a_link_is_given_back_by_the_call_that_took_it
    links::of_concurrent_calls_one_takes_a_link
    links::a_link_is_used_up_by_the_call_that_took_it
    links::a_link_whose_call_died_is_taken_by_another
    cases::incidents_come_in_the_order_in_which_they_are_due
    cases::what_only_tells_takes_no_place_from_what_acts
    cases::what_a_cap_holds_is_listed_by_itself
    cases::an_alert_in_the_outbox_makes_an_incident_due
    cases::findings_are_listed_until_they_are_acknowledged
    cases::a_case_holds_the_latest_findings
    cases::concurrent_kills_lose_no_count
    usages::what_was_used_is_read_back
    usages::items_are_written_over
    usages::ranks_are_read_back
    usages::parts_come_in_order
    usages::a_cohort_is_read_back
    usages::a_checkpoint_has_one_writer_at_a_time
    usages::the_inventory_is_read_back
    usages::a_case_shows_usage
    usages::a_case_shows_its_fleet_where_that_is_asked_for
    table::the_policy_applied_last_is_current
    table::a_policy_replaces_only_the_version_that_was_read
    news::what_was_told_is_kept_by_scope_and_version
    table::a_policy_with_another_entrys_id_is_not_applied
    table::an_entry_about_no_sim_is_never_changed
    audit::a_sims_entries_come_by_time_in_pages
    audit::the_accounts_entries_come_by_time_in_pages
    audit::entries_of_a_chain_follow_one_another
    audit::an_entry_that_comes_again_keeps_its_place
    audit::concurrent_writers_leave_one_chain
    audit::the_heads_of_a_day_are_recorded
    table::the_stop_switch_is_set_and_lifted
    table::a_stop_with_another_entrys_id_is_not_set
    table::the_latest_page_of_each_name_is_remembered
    table::dead_letters_may_come_again
}

#[tokio::test]
async fn the_same_news_are_handed_on_once_in_memory() {
    let table = MemoryTable::new();
    let stream = async || table.news_stream();
    contract::news::the_same_news_are_handed_on_once(&table, stream).await;
}

#[tokio::test]
async fn the_same_news_are_handed_on_once_in_dynamo() {
    let client = dynamo().await;
    let table = Table::new(client.clone(), NAME);
    // Only an insertion is handed on, so what lies there as it was inserted was handed on once.
    let stream = async || {
        let items = client.scan().table_name(NAME).send().await.unwrap().items.unwrap();
        let mut news: Vec<(&str, News)> = items
            .iter()
            .map(|item| {
                assert!(item["pk"].as_s().unwrap().starts_with("NEWS#"));
                let news = serde_json::from_str(item["news"].as_s().unwrap());
                (item["sk"].as_s().unwrap().as_str(), news.unwrap())
            })
            .collect();
        news.sort_by_key(|(key, _)| *key);
        news.into_iter().map(|(_, news)| news).collect()
    };
    contract::news::the_same_news_are_handed_on_once(&table, stream).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_in_memory() {
    let table = MemoryTable::new();
    let set_schema = async |sim: SimSid, schema: u32| table.set_schema(sim, schema);
    contract::states::a_newer_schema_is_refused(&table, set_schema).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_in_dynamo() {
    let client = dynamo().await;
    let table = Table::new(client.clone(), NAME);
    let set_schema = async |sim: SimSid, schema: u32| {
        let request = client
            .update_item()
            .table_name(NAME)
            .key("pk", AttributeValue::S(format!("EV#{sim}")))
            .key("sk", AttributeValue::S("STATE".to_owned()))
            .update_expression("SET #schema = :schema")
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":schema", AttributeValue::N(schema.to_string()));
        request.send().await.unwrap();
    };
    contract::states::a_newer_schema_is_refused(&table, set_schema).await;
}

/// Whoever judges goes on without it; whoever would write over it is refused.
#[tokio::test]
async fn usage_of_a_newer_schema_is_absent_for_readers_and_refused_for_its_writer() {
    let client = dynamo().await;
    let table = Table::new(client.clone(), NAME);
    let sim = SimSid::from_bytes([7; 16]);
    let now: Timestamp = "2026-03-01T14:00:00Z".parse().unwrap();
    table.put_usage(&[UsageItem::Base(SimUsage::new(sim))], now).await.unwrap();
    assert_eq!(table.read_usages(&[sim]).await.unwrap().len(), 1);
    let request = client
        .update_item()
        .table_name(NAME)
        .key("pk", AttributeValue::S(format!("US#{sim}")))
        .key("sk", AttributeValue::S("BASE".to_owned()))
        .update_expression("SET #schema = :schema")
        .expression_attribute_names("#schema", "schema")
        .expression_attribute_values(":schema", AttributeValue::N("99".to_owned()));
    request.send().await.unwrap();
    assert!(table.read_usages(&[sim]).await.unwrap().is_empty());
    let case = table.read_case(sim).await.unwrap();
    assert_eq!((case.usage, case.unread.len()), (None, 1));
    let window = UsageWindow::Hour(Hour::of(now));
    let refused = table.read_recorded(&window, &[sim]).await.unwrap_err();
    assert!(matches!(refused, TableError::NewerSchema { found: 99, .. }), "{refused}");
}

/// A SIM that has to be judged by it has to wait; no other SIM's case is read with it.
#[tokio::test]
async fn a_cohort_of_a_newer_schema_is_named_in_the_cases_that_need_it() {
    let client = dynamo().await;
    let table = Table::new(client.clone(), NAME);
    let now: Timestamp = "2026-03-01T14:00:00Z".parse().unwrap();
    let (fleet, hour) = (FleetSid::from_bytes([9; 16]), Hour::of(now));
    let sims = [7, 8].map(|number| SimSid::from_bytes([number; 16]));
    let usage = |(sim, bytes): (&SimSid, u64)| {
        let mut usage = SimUsage::new(*sim);
        usage.close(hour, Bytes(bytes), Source { fleet: Some(fleet), page: 0 });
        UsageItem::Base(usage)
    };
    let mut items: Vec<UsageItem> = sims.iter().zip([9_000_000, 50_000]).map(usage).collect();
    items.push(UsageItem::Cohort(fleet, Box::new(cohort_of(fleet, 60, 50_000, hour))));
    table.put_usage(&items, now).await.unwrap();
    let request = client
        .update_item()
        .table_name(NAME)
        .key("pk", AttributeValue::S(format!("FLEET#{fleet}")))
        .key("sk", AttributeValue::S("COHORT".to_owned()))
        .update_expression("SET #schema = :schema")
        .expression_attribute_names("#schema", "schema")
        .expression_attribute_values(":schema", AttributeValue::N("99".to_owned()));
    request.send().await.unwrap();
    let refused = table.read_cohort(fleet).await.unwrap_err();
    assert!(matches!(refused, TableError::NewerSchema { found: 99, .. }), "{refused}");
    let unread = async |sim| table.read_case(sim).await.unwrap().unread;
    assert_eq!(unread(sims[0]).await, [refused.to_string()]);
    assert!(unread(sims[1]).await.is_empty());
}

/// A page of a scan ends after 1 MB: what lies behind it is found, too, and what is not asked for costs
/// nothing but its reading.
#[tokio::test]
async fn a_scan_finds_each_hour_and_each_sim_with_events() {
    let client = dynamo().await;
    let table = Table::new(client.clone(), NAME);
    let now: Timestamp = "2026-03-01T14:00:00Z".parse().unwrap();
    let (fleet, last) = (FleetSid::from_bytes([9; 16]), Hour::of(now));
    let used = |total| Used { up: Some(Bytes(1)), total: Bytes(total), ..Used::default() };
    let hours =
        |number| (0..40).map(move |back| (SimSid::from_bytes([number; 16]), last.plus(-back)));
    let records: Vec<(SimSid, Hour)> = (1..=5).flat_map(hours).collect();
    let mut items: Vec<UsageItem> = records
        .iter()
        .map(|(sim, hour)| UsageItem::Sim(*sim, Some(fleet), UsageWindow::Hour(*hour), used(7)))
        .collect();
    let [alone, other] = [6, 7].map(|number| SimSid::from_bytes([number; 16]));
    items.push(UsageItem::Base(SimUsage::new(other)));
    let status = SimStatus::Inactive;
    let listed = Sim {
        sid: other,
        iccid: None,
        unique_name: Some("pump-17".to_owned()),
        status,
        fleet: Some(fleet),
    };
    items.push(UsageItem::Inventory(listed.clone()));
    items.push(UsageItem::Sim(other, None, UsageWindow::day_of(last), used(8)));
    // 1.4 MB of what is not looked for.
    let many = vec![(other, Bytes(9)); 4_000];
    items.extend(
        (0..15).map(|page| UsageItem::Rank(fleet, UsageWindow::Hour(last), page, many.clone())),
    );
    table.put_usage(&items, now).await.unwrap();
    let write = StateWrite {
        state: Box::new(SimState::new(alone)),
        read_version: None,
        found: BTreeSet::new(),
        findings: Vec::new(),
        received_at: now,
    };
    table.write_state(&write).await.unwrap();
    let damaged = table_put(&client, format!("US#{other}"), "HOUR#yesterday").await;
    let pages: Vec<ScanPage> = table.scan_sims().try_collect().await.unwrap();
    let found: BTreeSet<_> = pages
        .iter()
        .flat_map(|page| &page.records)
        .map(|record| {
            assert_eq!((record.fleet, record.total), (Some(fleet), Some(Bytes(7))));
            assert_eq!(record.hour().unwrap().end(), record.to);
            (record.sim.unwrap(), record.hour().unwrap())
        })
        .collect();
    assert_eq!(found, records.into_iter().collect());
    let sims: Vec<_> = pages.iter().flat_map(|page| &page.sims).copied().collect();
    assert_eq!(sims, [alone]);
    let inventory: Vec<&Sim> = pages.iter().flat_map(|page| &page.inventory).collect();
    assert_eq!(inventory, [&listed]);
    assert!(pages.len() > 4, "of four parts one goes on: {} pages", pages.len());
    let unread: Vec<_> = pages.iter().flat_map(|page| &page.unread).collect();
    assert!(unread.len() == 1 && unread[0].contains(&damaged), "{unread:?}");
    let (items, bytes) = table.size().await.unwrap();
    assert_eq!(items, 200 + 3 + 15 + 1 + 1);
    assert!(bytes > Bytes(1_400_000), "{bytes}");
    // The emulator looks at an item more where a page ends.
    let scanned: u64 = pages.iter().map(|page| page.scanned).sum();
    assert!((220..230).contains(&scanned), "{scanned} in {} pages", pages.len());
}

/// An item with nothing but its key; returns it as errors name it.
async fn table_put(client: &Client, pk: String, sk: &str) -> String {
    let named = format!("{pk} {sk}");
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let request = client.put_item().table_name(NAME).item("pk", text(&pk)).item("sk", text(sk));
    request.send().await.unwrap();
    named
}

/// The raw item, as the stream, the console and an operator see it.
async fn item(client: &Client, pk: String, sk: &str) -> HashMap<String, AttributeValue> {
    let request = client
        .get_item()
        .table_name(NAME)
        .key("pk", AttributeValue::S(pk))
        .key("sk", AttributeValue::S(sk.to_owned()));
    request.send().await.unwrap().item.unwrap()
}

fn names(item: &HashMap<String, AttributeValue>) -> BTreeSet<&str> {
    item.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn items_have_the_keys_and_the_expiry_that_the_design_says() {
    let client = dynamo().await;
    let table = Table::new(client.clone(), NAME);
    let sim: SimSid = "HS0123456789abcdef0123456789abcdef".parse().unwrap();
    let received_at: Timestamp = "2026-03-01T14:00:00.5Z".parse().unwrap();
    let finding = Finding {
        detector: DetectorId::Degraded,
        about: "test".to_owned(),
        at: received_at,
        evidence: Evidence::Fault { what: "test".to_owned() },
    };
    table.insert_finding(sim, &finding, received_at).await.unwrap();
    let found = item(&client, format!("FIND#{sim}"), "degraded#test").await;
    assert_eq!(found["ipk"].as_s().unwrap(), "OPEN#7");
    assert_eq!(found["isk"].as_s().unwrap(), "2026-03-01T14:00:00.500Z");
    let days = 90 * 86_400 + received_at.as_second();
    assert_eq!(found["expires_at"].as_n().unwrap(), &days.to_string());
    table.acknowledge(sim, &[finding.key()]).await.unwrap();
    let found = item(&client, format!("FIND#{sim}"), "degraded#test").await;
    let rest = ["expires_at", "finding", "pk", "received_at", "sk"];
    assert_eq!(names(&found), BTreeSet::from(rest));
    let write = StateWrite {
        state: Box::new(SimState::new(sim)),
        read_version: None,
        found: BTreeSet::new(),
        findings: Vec::new(),
        received_at,
    };
    assert_eq!(table.write_state(&write).await.unwrap(), Written::Done);
    let state = item(&client, format!("EV#{sim}"), "STATE").await;
    let all = ["latest", "pk", "schema", "sk", "state", "version"];
    assert_eq!(names(&state), BTreeSet::from(all));
    let letter = DeadLetter {
        bytes: b"?".to_vec(),
        length: 1,
        sha256: "0f".repeat(32),
        reason: "not JSON".to_owned(),
        received_at,
    };
    table.put_dead_letter(&letter).await.unwrap();
    let kept = item(&client, "DEADLETTER#2026-03-01#7".to_owned(), &letter.sha256).await;
    let days = 14 * 86_400 + received_at.as_second();
    assert_eq!(kept["expires_at"].as_n().unwrap(), &days.to_string());
    table.record_paged("act-stop-1", received_at).await.unwrap();
    let told = item(&client, "KS#PAGED#act-stop-1".to_owned(), "AT").await;
    let days = 90 * 86_400 + received_at.as_second();
    assert_eq!(told["expires_at"].as_n().unwrap(), &days.to_string());
    let hour = Hour::of(received_at);
    table.write_texts(hour, &HourTexts::default(), 0).await.unwrap();
    let texts = item(&client, "KS#TEXTS".to_owned(), "2026-03-01T14Z").await;
    let days = 2 * 86_400 + hour.start().as_second();
    assert_eq!(texts["expires_at"].as_n().unwrap(), &days.to_string());
    let link = SignedLink {
        act: LinkAct::Restore,
        sim,
        opened_at: received_at,
        alert: 1,
        findings: 1,
        expires_at: "2026-03-02T14:00:00Z".parse().unwrap(),
        name: "pump-17".to_owned(),
    };
    table.claim(&link, "call", received_at).await.unwrap();
    let asked = item(&client, format!("LINK#{}", link.id()), "USED").await;
    let all = ["alert", "asked_at", "asking", "call", "expires_at", "pk", "sk"];
    assert_eq!(names(&asked), BTreeSet::from(all), "and nothing that the link could be made of");
    table.use_up(&link, "call", received_at).await.unwrap();
    let used = item(&client, format!("LINK#{}", link.id()), "USED").await;
    let all = ["alert", "call", "expires_at", "pk", "sk", "used_at"];
    assert_eq!(names(&used), BTreeSet::from(all), "and nothing that the link could be made of");
    let day_after = link.expires_at.as_second() + 86_400;
    assert_eq!(used["expires_at"].as_n().unwrap(), &day_after.to_string());
}

#[tokio::test]
async fn a_closed_incident_is_filed_and_leaves_the_index() {
    let client = dynamo().await;
    let table = Table::new(client.clone(), NAME);
    let sim: SimSid = "HS0123456789abcdef0123456789abcdef".parse().unwrap();
    let opened_at: Timestamp = "2026-03-01T14:00:00Z".parse().unwrap();
    let incident = Incident::open(sim, "pump-17".to_owned(), None, opened_at);
    let open = Commit { incident: Some((incident.clone(), 0)), ..Commit::of(sim) };
    assert_eq!(table.commit(&open).await.unwrap(), Committed::Done);
    let found = item(&client, format!("KS#{sim}"), "INCIDENT#OPEN").await;
    assert_eq!(found["ipk"].as_s().unwrap(), "DUE#7");
    let close = Commit { incident: Some((incident, 1)), closes: true, ..Commit::of(sim) };
    assert_eq!(table.commit(&close).await.unwrap(), Committed::Done);
    let filed = item(&client, format!("KS#{sim}"), "INCIDENT#2026-03-01T14:00:00.000Z").await;
    assert_eq!(names(&filed), BTreeSet::from(["expires_at", "incident", "pk", "sk", "version"]));
}

mod audit_items {
    //! The audit's items as an operator, an intruder or an older version leaves them.

    use simfuse_domain::audit::{AuditEntry, Before, BreakKind, ChainName, ERASED, Phase};
    use simfuse_domain::id::FleetSid;
    use simfuse_domain::port::{AuditQuery, AuditTrail as _};

    use super::*;

    const SIM: &str = "HS0123456789abcdef0123456789abcdef";

    fn chain() -> ChainName {
        ChainName::Sim(SIM.parse().unwrap())
    }

    fn entry(number: i64) -> AuditEntry {
        let begin: Timestamp = "2026-03-01T14:00:00Z".parse().unwrap();
        AuditEntry {
            sim: Some(SIM.parse().unwrap()),
            fleet: Some(FleetSid::from_bytes([9; 16])),
            at: begin + jiff::SignedDuration::from_secs(number),
            id: format!("{number}-intent"),
            actor: "Kim Example".to_owned(),
            action: "deactivate".to_owned(),
            phase: Phase::Intent,
            reason: "reported by Kim's neighbour".to_owned(),
            incident: None,
        }
    }

    async fn record(table: &Table, numbers: std::ops::Range<i64>) {
        for number in numbers {
            let sim = SIM.parse().unwrap();
            let commit = Commit { audit: vec![entry(number)], ..Commit::of(sim) };
            assert_eq!(table.commit(&commit).await.unwrap(), Committed::Done);
        }
    }

    fn key(sk: &str) -> HashMap<String, AttributeValue> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        HashMap::from([("pk".to_owned(), text(&format!("KS#{SIM}"))), ("sk".to_owned(), text(sk))])
    }

    fn query() -> AuditQuery {
        AuditQuery {
            chain: Some(chain()),
            since: entry(0).at,
            until: entry(100).at,
            after: None,
            entries_max: 50,
        }
    }

    #[tokio::test]
    async fn entries_and_heads_lie_where_the_design_says() {
        let client = dynamo().await;
        record(&Table::new(client.clone(), NAME), 0..2).await;
        let kept =
            item(&client, format!("KS#{SIM}"), "AUDIT#2026-03-01T14:00:01.000Z#1-intent").await;
        let all = ["actor", "entry", "ipk", "isk", "link", "pk", "reason", "salt", "sk"];
        assert_eq!(names(&kept), BTreeSet::from(all));
        assert_eq!(kept["ipk"].as_s().unwrap(), "AUDIT#2026-03-01T14#7");
        let named = |part: &str| kept[part].as_s().unwrap().contains("Kim");
        assert!(named("actor") && named("reason") && !named("entry") && !named("link"));
        let head = item(&client, format!("KS#{SIM}"), "CHAIN").await;
        assert_eq!(names(&head), BTreeSet::from(["hash", "number", "pk", "segment", "sk"]));
        assert_eq!(head["number"].as_n().unwrap(), "2");
    }

    /// The runbook's procedure.
    #[tokio::test]
    async fn what_is_personal_is_erased_and_the_chain_still_holds() {
        let client = dynamo().await;
        let table = Table::new(client.clone(), NAME);
        record(&table, 0..3).await;
        let pk = AttributeValue::S(format!("KS#{SIM}"));
        let found = client
            .query()
            .table_name(NAME)
            .key_condition_expression("pk = :p and begins_with(sk, :a)")
            .expression_attribute_values(":p", pk)
            .expression_attribute_values(":a", AttributeValue::S("AUDIT#".to_owned()))
            .send()
            .await
            .unwrap();
        for kept in found.items.unwrap() {
            let key = ["pk", "sk"].map(|name| (name.to_owned(), kept[name].clone()));
            let request = client.update_item().table_name(NAME).set_key(Some(key.into()));
            let request = request.update_expression("REMOVE actor, reason, salt");
            request.condition_expression("attribute_exists(link)").send().await.unwrap();
        }
        let items = client.scan().table_name(NAME).send().await.unwrap().items.unwrap();
        assert!(!format!("{items:?}").contains("Kim"), "{items:?}");
        let page = table.audit_page(&query()).await.unwrap();
        assert!(page.records.iter().all(|record| record.entry.actor == ERASED));
        record(&table, 3..4).await;
        let verified = contract::audit::verify(&table, chain()).await;
        assert_eq!((verified.entries, verified.erased, verified.broken), (4, 3, None));
    }

    #[tokio::test]
    async fn a_head_that_cannot_be_read_or_is_lost_costs_a_new_beginning_and_no_decision() {
        for is_lost in [false, true] {
            let client = dynamo().await;
            let table = Table::new(client.clone(), NAME);
            record(&table, 0..2).await;
            if is_lost {
                let request = client.delete_item().table_name(NAME).set_key(Some(key("CHAIN")));
                request.send().await.unwrap();
            } else {
                let mut garbage = key("CHAIN");
                garbage.insert("hash".to_owned(), AttributeValue::S("?".to_owned()));
                let request = client.put_item().table_name(NAME).set_item(Some(garbage));
                request.send().await.unwrap();
            }
            record(&table, 2..4).await;
            let page = table.audit_page(&query()).await.unwrap();
            let before = page.records[2].link.as_ref().unwrap().before;
            assert_eq!(before, if is_lost { Before::Nothing } else { Before::Unreadable });
            let verified = contract::audit::verify(&table, chain()).await;
            assert_eq!(verified.entries, 4);
            let broken = verified.broken.unwrap();
            assert_eq!((broken.kind, broken.number), (BreakKind::Restarted, 1));
            assert_eq!(broken.id.as_deref(), Some("2-intent"));
        }
    }

    #[tokio::test]
    async fn an_entry_of_a_version_without_chains_is_read_and_the_chain_begins_after_it() {
        let client = dynamo().await;
        let table = Table::new(client.clone(), NAME);
        let mut old = key("AUDIT#2026-03-01T14:00:00.000Z#0-intent");
        let text = AttributeValue::S(serde_json::to_string(&entry(0)).unwrap());
        old.insert("entry".to_owned(), text);
        client.put_item().table_name(NAME).set_item(Some(old)).send().await.unwrap();
        record(&table, 0..2).await;
        let page = table.audit_page(&query()).await.unwrap();
        assert_eq!(page.records[0].entry, entry(0));
        let verified = contract::audit::verify(&table, chain()).await;
        assert_eq!((verified.entries, verified.unlinked, verified.broken), (1, 1, None));
    }

    #[tokio::test]
    async fn an_item_that_is_no_entry_is_left_out_and_missed() {
        let client = dynamo().await;
        let table = Table::new(client.clone(), NAME);
        record(&table, 0..3).await;
        // As someone might move an entry to another time, or spoil one.
        let old = "AUDIT#2026-03-01T14:00:01.000Z#1-intent";
        let mut moved = item(&client, format!("KS#{SIM}"), old).await;
        let request = client.delete_item().table_name(NAME).set_key(Some(key(old)));
        request.send().await.unwrap();
        let sk = AttributeValue::S("AUDIT#2026-03-01T14:00:09.000Z#1-intent".to_owned());
        moved.insert("sk".to_owned(), sk);
        client.put_item().table_name(NAME).set_item(Some(moved)).send().await.unwrap();
        let page = table.audit_page(&query()).await.unwrap();
        assert_eq!((page.records.len(), page.unreadable), (2, 1));
        let head = table.audit_head(chain()).await.unwrap();
        let mut verifier = simfuse_domain::audit::Verifier::new(chain());
        page.records.iter().for_each(|record| verifier.take(record));
        let broken = verifier.finish(head, &[]).broken.unwrap();
        assert_eq!((broken.kind, broken.number), (BreakKind::Missing, 2));
    }
}
