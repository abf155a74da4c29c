//! Every call of the client, once or until a list ends, against an API given on the command line:
//! `exercise PROVIDER ORIGIN TOKEN_URL ACCOUNT SECRET`.
//!
//! Between the two stands a proxy that holds requests and answers against the OpenAPI description;
//! what it objects to is an error here. The API is the simulated service's example `super_sim`.

use std::error::Error;
use std::io::Write as _;

use simfuse_domain::port::{
    Change, Fleets, Granularity, Inventory, Page, PageLink, ProviderError, SimName, SuperSim,
    TargetStatus, UsageGroup, UsageQuery, UsageRecords,
};
use simfuse_domain::time::Hour;
use simfuse_supersim::client::{ClientConfig, SuperSimClient};
use simfuse_supersim::secret::ApiCredentials;
use simfuse_supersim::{Provider, client};

/// Pages of one list: the service has far fewer.
const PAGES_MAX: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [provider, origin, token_url, account, secret] = arguments.as_slice() else {
        return Err("give PROVIDER ORIGIN TOKEN_URL ACCOUNT SECRET".into());
    };
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_installed| "a crypto provider is installed already")?;
    let client = SuperSimClient::new(ClientConfig {
        origin: origin.parse()?,
        token_url: token_url.parse()?,
        credentials: match provider.parse()? {
            Provider::Twilio => ApiCredentials::TwilioToken {
                account_sid: account.clone(),
                auth_token: secret.as_str().into(),
            },
            Provider::Kore => ApiCredentials::Kore {
                client_id: account.clone(),
                client_secret: secret.as_str().into(),
            },
        },
    })?;
    let sims = lists(&client).await?;
    one_sim(&client).await?;
    let records = usage(&client).await?;
    writeln!(std::io::stdout(), "every call was made: {sims} SIMs, {records} usage records")?;
    Ok(())
}

async fn lists(client: &SuperSimClient) -> Result<usize, Box<dyn Error>> {
    let sims = all(async |page| client.sims_page(page.as_ref()).await).await?;
    let fleets = all(async |page| client.fleets_page(page.as_ref()).await).await?;
    let networks = all(async |page| client.networks_page(page.as_ref()).await).await?;
    if sims.len() <= client::PAGE_SIZE || fleets.is_empty() || networks.is_empty() {
        return Err(format!("{} SIMs, {fleets:?}, {networks:?}", sims.len()).into());
    }
    let fleet = client.fetch_fleet("river").await?;
    if client.fetch_fleet(&fleet.sid.to_string()).await? != fleet || !fleets.contains(&fleet) {
        return Err("the fleet is not the same by SID, by name and in the list".into());
    }
    let changed = client.set_data_limit(fleet.sid, client::DATA_LIMIT_MB_MAX).await?;
    if changed.data_limit_mb != Some(client::DATA_LIMIT_MB_MAX) {
        return Err(format!("the limit was not set: {changed:?}").into());
    }
    Ok(sims.len())
}

async fn one_sim(client: &SuperSimClient) -> Result<(), Box<dyn Error>> {
    let sim = client.fetch(&SimName::parse("river-0007")).await?;
    let iccid = sim.iccid.ok_or("the SIM has no ICCID")?;
    for name in [SimName::Sid(sim.sid), SimName::Iccid(iccid)] {
        if client.fetch(&name).await? != sim {
            return Err("the SIM is not the same by each of its names".into());
        }
    }
    client.billing_period(sim.sid).await?.ok_or("the SIM has no billing period")?;
    let home = sim.fleet.ok_or("the SIM has no fleet")?;
    for change in [
        Change::Status(TargetStatus::Inactive),
        Change::Fleet(home),
        Change::Status(TargetStatus::Active),
    ] {
        let changed = match change {
            Change::Status(status) => client.set_status(sim.sid, status).await?,
            Change::Fleet(fleet) => client.set_fleet(sim.sid, fleet).await?,
        };
        if !change.is_done(&changed) {
            return Err(format!("{change} was not set: {changed:?}").into());
        }
    }
    Ok(())
}

/// Usage by everything that it can be asked for by; the records of the longest list.
async fn usage(client: &SuperSimClient) -> Result<usize, Box<dyn Error>> {
    let (start, end) = ("2026-02-28T00:00:00Z", "2026-03-02T00:00:00Z");
    let hours = Hour::of(start.parse()?)..Hour::of(end.parse()?);
    let sim = client.fetch(&SimName::parse("river-0007")).await?;
    let network = client.networks_page(None).await?.items.pop().ok_or("no network")?;
    let mut longest = 0;
    let groups = [UsageGroup::Sim, UsageGroup::Fleet, UsageGroup::Network, UsageGroup::Country];
    for group in groups.into_iter().map(Some).chain([None]) {
        for granularity in [Granularity::Hour, Granularity::Day, Granularity::All] {
            let every = UsageQuery {
                sim: None,
                fleet: sim.fleet,
                network: None,
                country: None,
                group,
                granularity,
                hours: hours.clone(),
            };
            let one = UsageQuery {
                sim: Some(sim.sid),
                network: Some(network.sid),
                country: network.country,
                ..every.clone()
            };
            for query in [every, one] {
                let ask =
                    async |page: Option<PageLink>| client.usage_page(&query, page.as_ref()).await;
                let records = all(ask).await?;
                if records.is_empty() || records.iter().any(|record| record.total.is_none()) {
                    return Err(format!("{query:?}: {} records", records.len()).into());
                }
                longest = longest.max(records.len());
            }
        }
    }
    if longest <= client::USAGE_PAGE_SIZE {
        return Err(format!("no list of usage went over a page: {longest} records").into());
    }
    Ok(longest)
}

/// All elements of a list, each of them readable.
async fn all<T>(
    page: impl AsyncFn(Option<PageLink>) -> Result<Page<T>, ProviderError>,
) -> Result<Vec<T>, Box<dyn Error>> {
    let (mut elements, mut link) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let page = page(link).await?;
        if page.unreadable > 0 {
            return Err(format!("{} elements cannot be read", page.unreadable).into());
        }
        elements.extend(page.items);
        link = page.next;
        if link.is_none() {
            return Ok(elements);
        }
    }
    Err(format!("a list does not end within {PAGES_MAX} pages").into())
}
