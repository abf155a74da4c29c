//! The table in memory and the real one, on an embedded DynamoDB, keep the same contract.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its table fails")]

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use simfuse_aws::{Table, create_table};
use simfuse_domain::id::SimSid;
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
    cases::a_changed_kill_window_stops_a_commit
    cases::an_audit_entry_is_written_once_and_never_changed
    cases::a_commit_that_contradicts_itself_is_a_fault
    cases::a_closed_incident_makes_room_for_the_next
    cases::incidents_come_in_the_order_in_which_they_are_due
    cases::an_alert_in_the_outbox_makes_an_incident_due
    cases::findings_are_listed_until_they_are_acknowledged
    cases::a_case_holds_the_latest_findings
    cases::concurrent_kills_lose_no_count
    table::the_policy_applied_last_is_current
    table::policies_applied_at_the_same_time_do_not_mix
    table::the_stop_switch_is_set_and_lifted
    table::a_stop_with_another_entrys_id_is_not_set
    table::the_latest_page_of_each_name_is_remembered
    table::dead_letters_may_come_again
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
