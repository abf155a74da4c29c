//! Many functions at once on the same SIMs.

use simfuse_aws::{Table, create_table};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    DeadLetters, Heartbeat, NewsFeed, Policies, PolicyVersions as _, States, Usages,
};
use simfuse_supersim::Provider;
use simfuse_testkit::contract::table::change;
use simfuse_testkit::memory::MemoryTable;

use crate::bench::{POLICY, SECRET, URL, body, handler_on, signed, sim, stored, update};
use crate::gate::Gate;

/// So many senders, each with a function of its own, post so many bodies about the same two SIMs,
/// each until it is acknowledged.
async fn post_at_once<T>(table: &T, senders: i64, bodies: i64)
where
    T: States + Usages + DeadLetters + Heartbeat + Policies + NewsFeed + Clone + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for sender in 0..senders {
        let handler = handler_on(table.clone(), Provider::Twilio);
        tasks.spawn(async move {
            for number in 0..bodies {
                let report = number * senders + sender;
                let of = |sim| update(Provider::Twilio, sim, report);
                let raw = body(&[of(1), of(2), of(2)]);
                let mut attempts = 0;
                loop {
                    let request = signed(Provider::Twilio, SECRET, URL, &raw);
                    match handler.handle(request).await.status_code {
                        200 => break,
                        status => assert_eq!(status, 503),
                    }
                    attempts += 1;
                    assert!(attempts < 500, "never acknowledged");
                    // As a sender does: later, and not all at once.
                    let pause = u64::try_from((sender * 7 + number * 3) % 19 + 1).unwrap();
                    tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

async fn is_as_if_one_had_posted<T: States>(table: &T, reports: i64) {
    let alone = MemoryTable::new();
    alone.apply_policy(&POLICY.parse::<Policy>().unwrap()).await.unwrap();
    let handler = handler_on(alone.clone(), Provider::Twilio);
    for report in 0..reports {
        let raw = body(&[update(Provider::Twilio, 1, report), update(Provider::Twilio, 2, report)]);
        let request = signed(Provider::Twilio, SECRET, URL, &raw);
        assert_eq!(handler.handle(request).await.status_code, 200);
    }
    for number in [1, 2] {
        let expected = stored(&alone, sim(number)).await.unwrap();
        let found = stored(table, sim(number)).await.unwrap();
        assert_eq!(found.state, expected.state, "SIM {number}");
        assert_eq!(found.found, expected.found, "SIM {number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_functions_lose_nothing_of_one_sim() {
    let memory = MemoryTable::new();
    memory.apply_policy(&POLICY.parse::<Policy>().unwrap()).await.unwrap();
    post_at_once(&Gate::new(memory.clone()), 24, 4).await;
    is_as_if_one_had_posted(&memory, 96).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_functions_lose_nothing_in_dynamo() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    let client = aws_sdk_dynamodb::Client::new(&simfuse_aws::client::local_config(&endpoint));
    create_table(&client, "simfuse").await.unwrap();
    let table = Table::new(client, "simfuse");
    table.replace_policy(&change(&POLICY.parse().unwrap(), 0)).await.unwrap();
    post_at_once(&table, 6, 3).await;
    is_as_if_one_had_posted(&table, 18).await;
}
