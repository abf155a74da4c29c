//! Runs through the real client and the real table: the simulated Super SIM service over HTTP, and
//! an embedded DynamoDB.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use simfuse_aws::{Table, create_table};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::port::{
    Cases as _, Clock as _, ProviderError, SimStatus, States as _, UsageStore as _, UsageWindow,
    Usages as _,
};
use simfuse_domain::time::Hour;
use simfuse_supersim::Provider;
use simfuse_supersim::client::{ClientConfig, SuperSimClient, TokenUrl};
use simfuse_supersim::secret::ApiCredentials;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::memory::MemoryAlerts;
use simfuse_testkit::service::{
    Fault, FaultRule, PageFault, Requests, ServiceConfig, SuperSimService, Usage,
};
use simfuse_usage_aggregator::error::{AggregatorError, Chain};
use simfuse_usage_aggregator::handler::{Aggregator, Answer, Invocation};

use crate::bench::{START, fleet, sim, sim_of};

/// More than two pages of usage records.
const SIMS: u8 = 250;

struct Stack {
    service: SuperSimService,
    table: Table,
    alerts: MemoryAlerts,
    clock: ManualClock,
    origin: String,
}

impl Stack {
    async fn start() -> Self {
        // Only the first of the tests installs it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let clock = ManualClock::new(START.parse().unwrap());
        let config = ServiceConfig {
            account_sid: format!("AC{:032}", 0),
            auth_token: "token".to_owned(),
            client_id: "client".to_owned(),
            client_secret: "secret".to_owned(),
        };
        let service = SuperSimService::new(config, Arc::new(clock.clone()));
        for number in 1..=2 {
            service.add_fleet(fleet(number), &format!("fleet-{number}"));
        }
        for number in 1..=SIMS {
            service.add_sim(sim_of(number, SimStatus::Active));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn({
            let service = service.clone();
            async move { service.serve(listener).await }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let database = dynoxide::Database::memory().unwrap();
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        let client = aws_sdk_dynamodb::Client::new(&simfuse_aws::client::local_config(&endpoint));
        create_table(&client, "simfuse").await.unwrap();
        let table = Table::new(client, "simfuse");
        Self { service, table, alerts: MemoryAlerts::new(), clock, origin }
    }

    fn hour(&self) -> Hour {
        Hour::of(self.clock.now())
    }

    fn used(&self, number: u8, hours_back: i32, bytes: u64) {
        let usage = Usage {
            network: "HW00000000000000000000000000000001".parse().unwrap(),
            country: "DE".parse().unwrap(),
            up: bytes / 4,
            down: bytes - bytes / 4,
            billed_micros: None,
        };
        let hour = self.hour().plus(-hours_back);
        self.service.record_usage(sim(number), fleet(1 + number % 2), hour, usage);
    }

    async fn run(&self, provider: Provider) -> Result<Answer, AggregatorError> {
        let secret = json!({
            "account_sid": format!("AC{:032}", 0), "auth_token": "token",
            "client_id": "client", "client_secret": "secret",
        });
        let token_url: TokenUrl =
            format!("{}/api-services/v1/auth/token", self.origin).parse().unwrap();
        let config = ClientConfig {
            origin: self.origin.parse().unwrap(),
            token_url,
            credentials: ApiCredentials::from_json(provider, &secret.to_string()).unwrap(),
        };
        let client = SuperSimClient::new(config).unwrap();
        let (table, alerts) = (self.table.clone(), self.alerts.clone());
        let aggregator = Aggregator::new(table, client, alerts, self.clock.clone());
        let deadline = self.clock.now() + SignedDuration::from_mins(15);
        let invocation = Invocation { id: "run".to_owned(), deadline };
        aggregator.handle(json!({ "run": true }), &invocation).await
    }

    async fn run_hourly(&self, hours: u32) {
        for _ in 0..hours {
            self.clock.advance(SignedDuration::from_hours(1));
            assert!(self.run(Provider::Twilio).await.unwrap().done);
        }
    }

    async fn recorded(&self, number: u8, window: UsageWindow) -> Option<Bytes> {
        let recorded = self.table.read_recorded(&window, &[sim(number)]).await.unwrap();
        recorded.get(&sim(number))?.used.as_ref().map(|used| used.total)
    }
}

#[tokio::test]
async fn a_fleet_is_aggregated_over_http_into_dynamo_as_either_provider() {
    for provider in [Provider::Twilio, Provider::Kore] {
        let stack = Stack::start().await;
        for number in 1..=SIMS {
            for back in [1, 4, 5, 30] {
                stack.used(number, back, 1_000 + u64::from(number));
            }
        }
        let answer = stack.run(provider).await.unwrap();
        assert!(answer.done, "{answer:?}");
        stack.clock.advance(SignedDuration::from_hours(3));
        let answer = stack.run(provider).await.unwrap();
        assert!(answer.done && answer.records == u64::from(SIMS), "{answer:?}");
        let seen = UsageWindow::Hour(stack.hour().plus(-4));
        for number in [1, SIMS] {
            let bytes = Bytes(1_000 + u64::from(number));
            assert_eq!(stack.recorded(number, seen).await, Some(bytes));
        }
        let usages = stack.table.read_usages(&[sim(7)]).await.unwrap();
        assert_eq!(usages[&sim(7)].baseline().active_hours, 4);
        assert_eq!(stack.table.fleet_sims(fleet(1)).await.unwrap(), Some(u32::from(SIMS) / 2));
        assert!(stack.table.read_states(&[sim(7)]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn every_refusal_of_a_query_ends_the_run_with_its_code_and_costs_nothing() {
    let stack = Stack::start().await;
    stack.run(Provider::Twilio).await.unwrap();
    for code in 83_601..=83_605 {
        stack.clock.advance(SignedDuration::from_hours(1));
        stack.used(1, 1, 5_000);
        stack.service.inject(FaultRule::once(Fault::Refusal(code)).on(Requests::Usage));
        let error = stack.run(Provider::Twilio).await.unwrap_err();
        let AggregatorError::Provider {
            source: ProviderError::Refused { code: found, .. }, ..
        } = &error
        else {
            panic!("{}", Chain(&error));
        };
        assert_eq!(*found, Some(code));
        let message = Chain(&error).to_string();
        assert!(message.contains("reading the usage of HF"), "{message}");
        // The next invocation does what this one could not.
        assert!(stack.run(Provider::Twilio).await.unwrap().done);
        let seen = UsageWindow::Hour(stack.hour().before());
        assert_eq!(stack.recorded(1, seen).await, Some(Bytes(5_000)));
    }
}

#[tokio::test]
async fn a_fleet_that_fails_keeps_no_other_from_being_read() {
    let stack = Stack::start().await;
    stack.run(Provider::Twilio).await.unwrap();
    stack.clock.advance(SignedDuration::from_hours(1));
    stack.used(1, 1, 5_000);
    stack.used(2, 1, 6_000);
    // One of the two fleets' queries is refused, whichever comes first.
    stack.service.inject(FaultRule::once(Fault::Refusal(83_601)).on(Requests::Usage));
    stack.run(Provider::Twilio).await.unwrap_err();
    let seen = UsageWindow::Hour(stack.hour().before());
    let recorded = [stack.recorded(1, seen).await, stack.recorded(2, seen).await];
    assert_eq!(recorded.iter().flatten().count(), 1, "{recorded:?}");
}

#[tokio::test]
async fn odd_pages_of_the_service_lose_nothing_for_long() {
    let stack = Stack::start().await;
    stack.run(Provider::Twilio).await.unwrap();
    let began: Timestamp = stack.clock.now();
    stack.used(1, 0, 5_000);
    stack.used(3, 0, 6_000);
    stack.run_hourly(3).await;
    let faults = [PageFault::Nulls, PageFault::Empty, PageFault::Repeated, PageFault::BilledAsText];
    for fault in faults {
        stack.clock.advance(SignedDuration::from_hours(1));
        stack.used(1, 1, 5_000);
        stack.used(3, 1, 6_000);
        // Both fleets' pages, of the hour that is seen and of the one that is closed.
        let rule = FaultRule::once(Fault::Page(fault)).on(Requests::Usage).times(4);
        stack.service.inject(rule);
        let answer = stack.run(Provider::Twilio).await.unwrap();
        assert!(answer.done);
        let is_null = fault == PageFault::Nulls;
        assert_eq!(answer.records_unknown > 0, is_null, "{fault:?}");
        let usages = stack.table.read_usages(&[sim(1)]).await.unwrap();
        assert!(usages.is_empty() || !is_null, "nulls are nothing to close");
    }
    // The hour that was all nulls when it was closed is found when its day is compared.
    stack.run_hourly(14).await;
    let usage = stack.table.read_usages(&[sim(1)]).await.unwrap().remove(&sim(1)).unwrap();
    let month = usage.period_of(Hour::of(began));
    assert_eq!(usage.closed_bytes_in(&month), Bytes(5 * 5_000));
    for hour in [0, 3, 4, 5, 6].map(|later| Hour::of(began).plus(later)) {
        assert_eq!(stack.recorded(1, UsageWindow::Hour(hour)).await, Some(Bytes(5_000)), "{hour}");
        assert_eq!(stack.recorded(3, UsageWindow::Hour(hour)).await, Some(Bytes(6_000)), "{hour}");
    }
}

#[tokio::test]
async fn no_page_is_followed_to_another_host() {
    let stack = Stack::start().await;
    stack.run(Provider::Twilio).await.unwrap();
    stack.clock.advance(SignedDuration::from_hours(1));
    stack.used(1, 1, 5_000);
    stack.service.inject(FaultRule::once(Fault::Page(PageFault::ForeignNext)).on(Requests::Usage));
    let error = stack.run(Provider::Twilio).await.unwrap_err();
    let message = Chain(&error).to_string();
    assert!(message.contains("not the API's own"), "{message}");
    assert!(stack.run(Provider::Twilio).await.unwrap().done);
}
