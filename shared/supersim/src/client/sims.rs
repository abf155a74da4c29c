//! One SIM: what the kill-switch reads and changes, one attempt a call.

use reqwest::StatusCode;
use simfuse_domain::id::{FleetSid, Iccid, SimSid};
use simfuse_domain::port::{ProviderError, Sim, SimName, SuperSim, TargetStatus};

use super::answer::{sim_of, sims_of, unavailable};
use super::{CALL_TIMEOUT, SuperSimClient, within};

impl SuperSim for SuperSimClient {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        within(CALL_TIMEOUT, async {
            match name {
                SimName::Sid(sid) => same_sim(*sid, self.fetch_by_path(&sid.to_string()).await?),
                SimName::Iccid(iccid) => self.fetch_by_iccid(*iccid).await,
                SimName::UniqueName(name) => self.fetch_by_path(name).await,
            }
        })
        .await
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        let form = ("Status", status.status().to_string());
        within(CALL_TIMEOUT, self.update(sim, form)).await
    }

    async fn set_fleet(&self, sim: SimSid, fleet: FleetSid) -> Result<Sim, ProviderError> {
        within(CALL_TIMEOUT, self.update(sim, ("Fleet", fleet.to_string()))).await
    }
}

/// Refuses an answer about another SIM: a kill is recorded under the SIM that was asked for.
fn same_sim(asked: SimSid, sim: Sim) -> Result<Sim, ProviderError> {
    if sim.sid == asked { Ok(sim) } else { Err(unavailable("the answer is about another SIM")) }
}

impl SuperSimClient {
    async fn fetch_by_path(&self, name: &str) -> Result<Sim, ProviderError> {
        let Some(url) = self.origin.sim(name) else { return Err(ProviderError::NotFound) };
        let answer = self.call(|| self.http.get(url.clone())).await?;
        sim_of(&answer.expect_ok()?)
    }

    async fn fetch_by_iccid(&self, iccid: Iccid) -> Result<Sim, ProviderError> {
        let url = self.origin.sims();
        let query = [("Iccid", iccid.to_string())];
        let answer = self.call(|| self.http.get(url.clone()).query(&query)).await?;
        let mut sims = sims_of(&answer.expect_ok()?)?;
        let sim = sims.pop().ok_or(ProviderError::NotFound)?;
        // A filter that was not applied would hand over a stranger's SIM.
        if !sims.is_empty() || sim.iccid.is_some_and(|other| other != iccid) {
            return Err(unavailable("the answer is not about the ICCID that was asked for"));
        }
        Ok(sim)
    }

    async fn update(&self, sim: SimSid, field: (&str, String)) -> Result<Sim, ProviderError> {
        let Some(url) = self.origin.sim(&sim.to_string()) else {
            return Err(ProviderError::NotFound);
        };
        let mut form = vec![field];
        if let Some(url) = self.callbacks.as_ref().and_then(|callbacks| callbacks.url(sim)) {
            form.extend([("CallbackUrl", url), ("CallbackMethod", "POST".to_owned())]);
        }
        let answer = self.call(|| self.http.post(url.clone()).form(&form)).await?;
        // Both mean that the request was taken; only the answer's status says how far it got.
        if answer.status != StatusCode::OK && answer.status != StatusCode::ACCEPTED {
            return Err(answer.refusal());
        }
        same_sim(sim, sim_of(&answer.body)?)
    }
}
