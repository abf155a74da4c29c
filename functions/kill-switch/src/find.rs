//! Finding a SIM by what a human calls it.

use simfuse_domain::id::SimSid;
use simfuse_domain::port::{Clock, ProviderError, Sim, SimName, SuperSim};

use crate::bulk::Course;
use crate::engine::KillSwitch;
use crate::error::Chain;
use crate::manual::outcome_of;
use crate::request::Outcome;

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    P: SuperSim,
    C: Clock,
{
    /// Finds a SIM, as soon as the provider may be asked.
    pub(crate) async fn find_in_time(
        &self,
        course: &Course<'_>,
        name: &str,
    ) -> Result<Sim, NotFound> {
        while self.provider.ready(course.stop_at).await {
            match self.find(name).await {
                Err(NotFound::Throttled) => {}
                answer => return answer,
            }
        }
        Err(NotFound::NoTime)
    }

    /// Finds a SIM by what a human calls it. What looks like an ICCID may be another SIM's unique
    /// name: then nobody can know which of the two is meant.
    pub(crate) async fn find(&self, name: &str) -> Result<Sim, NotFound> {
        let parsed = SimName::parse(name);
        let by_name = SimName::UniqueName(name.to_owned());
        let sim = match self.provider.fetch(&parsed).await {
            Ok(sim) => sim,
            Err(ProviderError::NotFound) if matches!(parsed, SimName::Iccid(_)) => {
                return Ok(self.provider.fetch(&by_name).await?);
            }
            Err(error) => return Err(error.into()),
        };
        if !matches!(parsed, SimName::Iccid(_)) {
            return Ok(sim);
        }
        match self.provider.fetch(&by_name).await {
            Ok(other) if sim.sid != other.sid => {
                Err(NotFound::Ambiguous { iccid: sim.sid, unique_name: other.sid })
            }
            Ok(_) | Err(ProviderError::NotFound) => Ok(sim),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why a SIM was not found.
#[derive(Debug)]
pub(crate) enum NotFound {
    /// The provider refused to be asked now (429).
    Throttled,
    /// The provider does not want to be asked for longer than there is time, or there is none left.
    NoTime,
    /// Two SIMs are called so.
    Ambiguous { iccid: SimSid, unique_name: SimSid },
    /// Anything else.
    Provider(ProviderError),
}

impl From<ProviderError> for NotFound {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Throttled { .. } => Self::Throttled,
            error => Self::Provider(error),
        }
    }
}

impl NotFound {
    pub(crate) fn said(&self) -> (Outcome, String) {
        match self {
            Self::Throttled | Self::NoTime => {
                let why = "there was no time left, or the provider is throttling requests (429)";
                (Outcome::Unreachable, why.to_owned())
            }
            Self::Ambiguous { iccid, unique_name } => {
                let why = format!(
                    "it is the ICCID of {iccid} and the unique name of {unique_name}: name the SID"
                );
                (Outcome::Ambiguous, why)
            }
            Self::Provider(error) => (outcome_of(error), Chain(error).to_string()),
        }
    }
}
