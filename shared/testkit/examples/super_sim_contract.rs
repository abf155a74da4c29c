//! The simulated Super SIM service by itself, on a free port of this machine, for tools that hold it
//! against the OpenAPI descriptions: `super_sim_contract ACCOUNT_SID AUTH_TOKEN [PUBLIC_ORIGIN]`.
//!
//! The OAuth2 client is the same pair. The first line on standard output is its origin; it serves
//! until it is killed. Its clock stands still, so the same requests have the same answers.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;

use simfuse_domain::id::{FleetSid, NetworkSid, SimSid};
use simfuse_domain::network::Plmn;
use simfuse_domain::port::{Network, Sim, SimStatus};
use simfuse_domain::time::Hour;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::service::{ServiceConfig, SuperSimService, Usage};
use tokio::net::TcpListener;

/// More than fit on one page.
const SIMS: u32 = 1_100;

const NOW: &str = "2026-03-01T14:00:00Z";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (account, token) = (arguments.next(), arguments.next());
    let (account_sid, auth_token) = account.zip(token).ok_or("give ACCOUNT_SID and AUTH_TOKEN")?;
    let config = ServiceConfig {
        client_id: account_sid.clone(),
        client_secret: auth_token.clone(),
        account_sid,
        auth_token,
    };
    let service = SuperSimService::new(config, Arc::new(ManualClock::new(NOW.parse()?)));
    if let Some(origin) = arguments.next() {
        service.set_public_origin(&origin);
    }
    populate(&service)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    service.serve(listener).await?;
    Ok(())
}

/// Two fleets, two networks, and SIMs of which each used something in two hours.
fn populate(service: &SuperSimService) -> Result<(), Box<dyn Error>> {
    let (fleet, other) = (FleetSid::from_bytes([1; 16]), FleetSid::from_bytes([2; 16]));
    let networks = [("US", "310", "260"), ("DE", "262", "01")];
    let hours = ["2026-03-01T10:00:00Z", "2026-02-28T23:00:00Z"];
    service.add_fleet(fleet, "river");
    service.add_fleet(other, "quarantine");
    for (number, (country, mcc, mnc)) in (1..).zip(networks) {
        service.add_network(Network {
            sid: NetworkSid::from_bytes([number; 16]),
            friendly_name: Some(format!("network {number}")),
            country: Some(country.parse()?),
            plmns: vec![Plmn::new(mcc, mnc)?],
        });
    }
    for number in 1..=SIMS {
        let sid = SimSid::from_bytes(u128::from(number).to_be_bytes());
        service.add_sim(Sim {
            sid,
            iccid: Some(format!("8988307{number:012}").parse()?),
            unique_name: Some(format!("river-{number:04}")),
            status: SimStatus::Active,
            fleet: Some(fleet),
        });
        for ((place, hour), (country, _, _)) in (1..).zip(hours).zip(networks) {
            let usage = Usage {
                network: NetworkSid::from_bytes([place; 16]),
                country: country.parse()?,
                up: 1_000,
                down: u64::from(number),
                billed_micros: (place == 2).then_some(30_000),
            };
            service.record_usage(sid, fleet, Hour::of(hour.parse()?), usage);
        }
    }
    Ok(())
}
