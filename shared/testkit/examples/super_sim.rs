//! The simulated Super SIM service as a process of its own, for tests of a deployed stack.
//!
//! The first line of standard input says whose account it is and which SIMs it has; the first line
//! of standard output is its origin, on loopback. `GET /journal` lists the requests for another
//! status. It ends with its standard input, so that it cannot outlive whoever started it.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use simfuse_aws::SystemClock;
use simfuse_domain::id::{FleetSid, Iccid, SimSid};
use simfuse_domain::port::{Sim, SimStatus};
use simfuse_testkit::service::{ServiceConfig, SuperSimService};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;

#[derive(Deserialize)]
struct Account {
    account_sid: String,
    auth_token: String,
    fleet: FleetSid,
    sims: Vec<Card>,
}

#[derive(Deserialize)]
struct Card {
    sid: SimSid,
    iccid: Iccid,
    unique_name: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line).await?;
    let service = service_of(serde_json::from_str(&line)?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    let asked = service.clone();
    let router = service.router().route("/journal", get(async move || journal(&asked)));
    tokio::spawn(async { axum::serve(listener, router).await });
    input.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

fn service_of(account: Account) -> SuperSimService {
    let config = ServiceConfig {
        account_sid: account.account_sid,
        auth_token: account.auth_token,
        client_id: String::new(),
        client_secret: String::new(),
    };
    let service = SuperSimService::new(config, Arc::new(SystemClock));
    service.add_fleet(account.fleet, "deployed");
    for card in account.sims {
        service.add_sim(Sim {
            sid: card.sid,
            iccid: Some(card.iccid),
            unique_name: Some(card.unique_name),
            status: SimStatus::Active,
            fleet: Some(account.fleet),
        });
    }
    service
}

fn journal(service: &SuperSimService) -> Json<Vec<Value>> {
    let requests = service.requests();
    let for_status = requests.iter().filter_map(|request| {
        let (sim, status) = (request.sim?, request.status_wanted()?);
        Some(json!({ "sim": sim.to_string(), "status": status, "answer": request.answer }))
    });
    Json(for_status.collect())
}
