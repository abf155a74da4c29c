//! The provider's Sims in memory, and the simulated service through the real client, keep the same
//! contract.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its account fails")]

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{Sim, SimStatus};
use simfuse_supersim::Provider;
use simfuse_supersim::client::{ClientConfig, SuperSimClient};
use simfuse_supersim::secret::ApiCredentials;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::contract::super_sim as contract;
use simfuse_testkit::contract::super_sim::Account;
use simfuse_testkit::service::{Behaviour, ServiceConfig, SuperSimService};
use simfuse_testkit::super_sim::MemorySuperSim;

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

/// An account and its time.
struct In<T>(T, ManualClock);

impl Account for In<MemorySuperSim> {
    fn add(&self, sim: Sim) {
        self.0.add(sim);
    }

    fn set_behaviour(&self, sim: SimSid, behaviour: Behaviour) {
        self.0.set_behaviour(sim, behaviour);
    }

    fn set_status_elsewhere(&self, sim: SimSid, status: SimStatus) {
        self.0.set_status_elsewhere(sim, status);
    }

    fn pass(&self, by: SignedDuration) {
        self.1.advance(by);
    }
}

impl Account for In<SuperSimService> {
    fn add(&self, sim: Sim) {
        self.0.add_sim(sim);
    }

    fn set_behaviour(&self, sim: SimSid, behaviour: Behaviour) {
        self.0.set_behaviour(sim, behaviour);
    }

    fn set_status_elsewhere(&self, sim: SimSid, status: SimStatus) {
        self.0.set_status(sim, status);
    }

    fn pass(&self, by: SignedDuration) {
        self.1.advance(by);
    }
}

fn clock() -> ManualClock {
    ManualClock::new("2026-03-01T14:00:00Z".parse().unwrap())
}

fn in_memory() -> In<MemorySuperSim> {
    let clock = clock();
    In(MemorySuperSim::new(Arc::new(clock.clone())), clock)
}

/// The service on a socket of its own, and a client of it.
async fn over_http() -> (SuperSimClient, In<SuperSimService>) {
    // Only the first of the tests installs it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let clock = clock();
    let config = ServiceConfig {
        account_sid: ACCOUNT.to_owned(),
        auth_token: "hush".to_owned(),
        client_id: "apiclient_1".to_owned(),
        client_secret: "hush too".to_owned(),
    };
    let service = SuperSimService::new(config, Arc::new(clock.clone()));
    service.add_fleet(FleetSid::from_bytes([9; 16]), "river");
    service.add_fleet(FleetSid::from_bytes([7; 16]), "quarantine");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let serving = service.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    let secret = json!({ "account_sid": ACCOUNT, "auth_token": "hush" }).to_string();
    let client = SuperSimClient::new(ClientConfig {
        origin: origin.parse().unwrap(),
        token_url: format!("{origin}/token").parse().unwrap(),
        credentials: ApiCredentials::from_json(Provider::Twilio, &secret).unwrap(),
    });
    (client.unwrap(), In(service, clock))
}

macro_rules! on_both {
    ($($clause:ident)*) => {$(
        mod $clause {
            #[tokio::test]
            async fn in_memory() {
                let account = super::in_memory();
                super::contract::$clause(&account.0, &account).await;
            }

            #[tokio::test]
            async fn over_http() {
                let (client, account) = super::over_http().await;
                super::contract::$clause(&client, &account).await;
            }
        }
    )*};
}

on_both! {
    a_sim_is_found_by_each_of_its_names
    a_change_is_done_at_once
    only_some_changes_are_allowed
    a_scheduled_change_is_done_later
    a_change_made_elsewhere_is_seen
    a_sim_moves_only_while_it_is_off
}
