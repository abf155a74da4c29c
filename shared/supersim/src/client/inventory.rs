//! Lists of what the account has.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use simfuse_domain::id::SimSid;
use simfuse_domain::network::Plmn;
use simfuse_domain::port::{
    BillingPeriod, Fleet, Inventory, Network, Page, PageLink, ProviderError, Sim,
};

use super::SuperSimClient;
use super::answer::{self, unavailable};
use super::fleets::fleet;
use super::pages::{PAGE_SIZE, with_page_size};

#[derive(Deserialize)]
struct NetworkAnswer {
    sid: Option<String>,
    friendly_name: Option<String>,
    iso_country: Option<String>,
    identifiers: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct PeriodAnswer {
    sim_sid: Option<String>,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
}

impl Inventory for SuperSimClient {
    async fn sims_page(&self, page: Option<&PageLink>) -> Result<Page<Sim>, ProviderError> {
        let first = with_page_size(self.origin.sims(), PAGE_SIZE);
        self.page(first, page, "sims", |sim| answer::sim(sim).ok()).await
    }

    async fn fleets_page(&self, page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        let first = with_page_size(self.origin.fleets(), PAGE_SIZE);
        self.page(first, page, "fleets", fleet).await
    }

    async fn networks_page(&self, page: Option<&PageLink>) -> Result<Page<Network>, ProviderError> {
        let first = with_page_size(self.origin.networks(), PAGE_SIZE);
        self.page(first, page, "networks", network).await
    }

    /// One page: the provider lists the current or latest period only, and this takes the latest
    /// of those that it lists.
    async fn billing_period(&self, sim: SimSid) -> Result<Option<BillingPeriod>, ProviderError> {
        let Some(url) = self.origin.billing_periods(&sim.to_string()) else {
            return Err(ProviderError::NotFound);
        };
        let first = with_page_size(url, PAGE_SIZE);
        let page = self.page(first, None, "billing_periods", |answer| period(sim, answer)).await?;
        let latest = page.items.into_iter().max_by_key(|period| period.start);
        if latest.is_none() && page.unreadable > 0 {
            return Err(unavailable("no billing period can be read"));
        }
        Ok(latest)
    }
}

fn network(answer: NetworkAnswer) -> Option<Network> {
    let plmn = |identifier: Value| {
        Plmn::new(identifier.get("mcc")?.as_str()?, identifier.get("mnc")?.as_str()?).ok()
    };
    Some(Network {
        sid: answer.sid?.parse().ok()?,
        friendly_name: answer.friendly_name.filter(|name| !name.is_empty()),
        country: answer.iso_country.and_then(|country| country.parse().ok()),
        plmns: answer.identifiers.unwrap_or_default().into_iter().filter_map(plmn).collect(),
    })
}

/// A period of another SIM, or without its times, is none.
fn period(sim: SimSid, answer: PeriodAnswer) -> Option<BillingPeriod> {
    if answer.sim_sid.is_some_and(|other| other.parse() != Ok(sim)) {
        return None;
    }
    let period = BillingPeriod { start: answer.start_time?, end: answer.end_time? };
    (period.start < period.end).then_some(period)
}
