//! Fleets, their SIMs, and their data limit.

use serde::Deserialize;
use serde_json::Value;
use simfuse_domain::id::FleetSid;
use simfuse_domain::port::{Fleet, Fleets, Page, PageLink, ProviderError, Sim};

use super::answer::{self, unavailable, unreadable};
use super::pages::{PAGE_SIZE, with_page_size};
use super::{CALL_TIMEOUT, SuperSimClient, within};

/// The smallest data limit of a fleet that the API takes (OpenAPI description, `DataLimit`).
pub const DATA_LIMIT_MB_MIN: u32 = 1;

/// The largest: 2 TB.
pub const DATA_LIMIT_MB_MAX: u32 = 2_000_000;

#[derive(Deserialize)]
pub(super) struct FleetAnswer {
    sid: Option<String>,
    unique_name: Option<String>,
    #[serde(default)]
    data_enabled: Value,
    #[serde(default)]
    data_limit: Value,
}

impl Fleets for SuperSimClient {
    async fn fetch_fleet(&self, name: &str) -> Result<Fleet, ProviderError> {
        let Some(url) = self.origin.fleet(name) else { return Err(ProviderError::NotFound) };
        let fleet = fleet_of(&self.read(&url).await?)?;
        match name.parse() {
            Ok(sid) => same_fleet(sid, fleet),
            Err(_unique_name) => Ok(fleet),
        }
    }

    /// A limit that the API would not take is `Refused` without a request.
    async fn set_data_limit(
        &self,
        fleet: FleetSid,
        megabytes: u32,
    ) -> Result<Fleet, ProviderError> {
        if !(DATA_LIMIT_MB_MIN..=DATA_LIMIT_MB_MAX).contains(&megabytes) {
            let bounds = format!("{DATA_LIMIT_MB_MIN} to {DATA_LIMIT_MB_MAX} MB");
            let message = format!("a data limit is {bounds}, not {megabytes}: nothing was sent");
            return Err(ProviderError::Refused { status: 400, code: None, message });
        }
        within(CALL_TIMEOUT, self.update_limit(fleet, megabytes)).await
    }

    async fn list_fleets(&self, page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        let first = with_page_size(self.origin.fleets(), PAGE_SIZE);
        self.page(first, page, "fleets", self::fleet).await
    }

    async fn list_sims(
        &self,
        fleet: FleetSid,
        page: Option<&PageLink>,
    ) -> Result<Page<Sim>, ProviderError> {
        let mut first = with_page_size(self.origin.sims(), PAGE_SIZE);
        first.query_pairs_mut().append_pair("Fleet", &fleet.to_string());
        let page = self.page(first, page, "sims", |sim| answer::sim(sim).ok()).await?;
        if page.unreadable > 0 {
            return Err(unavailable("a SIM of the fleet cannot be read"));
        }
        // A filter that was not applied would hand over strangers' SIMs.
        if page.items.iter().any(|sim| sim.fleet != Some(fleet)) {
            return Err(unavailable("the page is not about the fleet that was asked for"));
        }
        Ok(page)
    }
}

impl SuperSimClient {
    async fn update_limit(&self, fleet: FleetSid, megabytes: u32) -> Result<Fleet, ProviderError> {
        let Some(url) = self.origin.fleet(&fleet.to_string()) else {
            return Err(ProviderError::NotFound);
        };
        let form = [("DataLimit", megabytes.to_string())];
        let answer = self.call(|| self.http.post(url.clone()).form(&form)).await?;
        same_fleet(fleet, fleet_of(&answer.expect_ok()?)?)
    }
}

fn fleet_of(body: &[u8]) -> Result<Fleet, ProviderError> {
    let answer = serde_json::from_slice(body).map_err(unreadable)?;
    fleet(answer).ok_or_else(|| unavailable("the answer has no Fleet SID"))
}

fn same_fleet(asked: FleetSid, fleet: Fleet) -> Result<Fleet, ProviderError> {
    if fleet.sid == asked {
        Ok(fleet)
    } else {
        Err(unavailable("the answer is about another fleet"))
    }
}

pub(super) fn fleet(answer: FleetAnswer) -> Option<Fleet> {
    let limit = answer.data_limit.as_u64().and_then(|limit| u32::try_from(limit).ok());
    Some(Fleet {
        sid: answer.sid?.parse().ok()?,
        unique_name: answer.unique_name.filter(|name| !name.is_empty()),
        data_enabled: answer.data_enabled.as_bool(),
        // 0 is what the description says of a property that is not there, and no limit that can be.
        data_limit_mb: limit.filter(|limit| *limit >= DATA_LIMIT_MB_MIN),
    })
}
