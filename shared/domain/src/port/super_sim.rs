//! The provider's REST API, as far as the kill-switch needs it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{FleetSid, Iccid, SimSid};

/// The provider's Sims resource.
pub trait SuperSim: Send + Sync {
    /// Fetches a SIM by what a human calls it.
    ///
    /// # Errors
    /// [`ProviderError`]; `NotFound` when the account has no such SIM.
    fn fetch(&self, name: &SimName) -> impl Future<Output = Result<Sim, ProviderError>> + Send;

    /// Asks for a new status: one request, no retry. The answer may be `Scheduled`: the provider
    /// then changes it by itself, later.
    ///
    /// # Errors
    /// [`ProviderError`]; after `Unavailable` with an unknown outcome the request may still take
    /// effect.
    fn set_status(
        &self,
        sim: SimSid,
        status: TargetStatus,
    ) -> impl Future<Output = Result<Sim, ProviderError>> + Send;

    /// Asks for another fleet: one request, no retry. The SIM's limits, networks and price are those
    /// of its fleet. One that may connect cannot leave its fleet (error 83008), and none can while a
    /// change of its status is under way (83009).
    ///
    /// # Errors
    /// [`ProviderError`]; after `Unavailable` with an unknown outcome the request may still take
    /// effect.
    fn set_fleet(
        &self,
        sim: SimSid,
        fleet: FleetSid,
    ) -> impl Future<Output = Result<Sim, ProviderError>> + Send;
}

/// One request for a change of a SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Another status.
    Status(TargetStatus),
    /// Another fleet.
    Fleet(FleetSid),
}

impl Change {
    /// Whether the provider says that it is done.
    #[must_use]
    pub fn is_done(self, sim: &Sim) -> bool {
        match self {
            Self::Status(status) => sim.status == status.status(),
            Self::Fleet(fleet) => sim.fleet == Some(fleet) && sim.status != SimStatus::Scheduled,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {}", status.status()),
            Self::Fleet(fleet) => write!(f, "fleet {fleet}"),
        }
    }
}

/// What a human may call a SIM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimName {
    /// Its SID.
    Sid(SimSid),
    /// The number printed on the card.
    Iccid(Iccid),
    /// The operator's own name for it.
    UniqueName(String),
}

impl SimName {
    /// Reads a name: a SID or an ICCID where the text is one, else a unique name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if let Ok(sid) = text.parse() {
            Self::Sid(sid)
        } else if let Ok(iccid) = text.parse() {
            Self::Iccid(iccid)
        } else {
            Self::UniqueName(text.to_owned())
        }
    }
}

impl fmt::Display for SimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sid(sid) => sid.fmt(f),
            Self::Iccid(iccid) => iccid.fmt(f),
            Self::UniqueName(name) => name.fmt(f),
        }
    }
}

/// A SIM as the provider knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sim {
    /// Its SID.
    pub sid: SimSid,
    /// The number printed on the card.
    pub iccid: Option<Iccid>,
    /// The operator's own name for it.
    pub unique_name: Option<String>,
    /// Whether it may connect.
    pub status: SimStatus,
    /// The fleet that it belongs to.
    pub fleet: Option<FleetSid>,
}

/// Whether a SIM may connect to a network (OpenAPI description, `sim_enum_status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimStatus {
    /// Never enabled; a SIM that left this status cannot return to it.
    New,
    /// May connect, without a monthly fee; reachable from `new` only.
    Ready,
    /// May connect.
    Active,
    /// May not connect.
    Inactive,
    /// A change is under way at the provider, who completes it by itself.
    Scheduled,
    /// Absent from the answer, or a status that this version does not know.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for SimStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Ready => "ready",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Scheduled => "scheduled",
            Self::Unknown => "unknown",
        })
    }
}

/// A status that the kill-switch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetStatus {
    /// The SIM may connect: restored.
    Active,
    /// The SIM may not connect: deactivated.
    Inactive,
}

impl TargetStatus {
    /// The status that a SIM has once the request is done.
    #[must_use]
    pub const fn status(self) -> SimStatus {
        match self {
            Self::Active => SimStatus::Active,
            Self::Inactive => SimStatus::Inactive,
        }
    }
}

/// Why the provider did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The account has no such SIM or fleet (404; codes 20404, 83005).
    #[error("the provider knows no such SIM or fleet")]
    NotFound,
    /// Error 83010: the SIM's present status forbids this one. It may already be there, so re-read.
    #[error("the provider does not allow this change of status now (83010)")]
    TransitionNotAllowed,
    /// The credentials were refused (401, 403): a human has to mend them.
    #[error("the provider refused the credentials ({status})")]
    Unauthorized {
        /// HTTP status.
        status: u16,
    },
    /// Any other refusal (4xx): the same request will be refused again.
    #[error("the provider refused the request ({status}{}): {message}", in_words(*.code))]
    Refused {
        /// HTTP status.
        status: u16,
        /// The provider's error code.
        code: Option<u32>,
        /// The provider's own words, shortened.
        message: String,
    },
    /// 429: the request was not processed and may be repeated at any time.
    #[error("the provider is throttling requests (429)")]
    Throttled {
        /// How long the provider wants to be left alone, where it says so (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// A connection error, a time-out, 5xx, or an answer that cannot be read. Whether the request
    /// took effect is unknown.
    #[error("the provider could not be reached or did not answer properly: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// The underlying error, where there is one.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

fn in_words(code: Option<u32>) -> String {
    code.map(|code| format!(", code {code}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_providers_code_where_there_is_one() {
        let said = |code| {
            ProviderError::Refused { status: 400, code, message: "no".to_owned() }.to_string()
        };
        assert_eq!(said(Some(83_006)), "the provider refused the request (400, code 83006): no");
        assert_eq!(said(None), "the provider refused the request (400): no");
    }

    #[test]
    fn a_name_is_read_as_the_most_specific_thing_that_it_can_be() {
        let sid = "HS0123456789abcdef0123456789abcdef";
        assert_eq!(SimName::parse(sid), SimName::Sid(sid.parse().unwrap()));
        let iccid = "8988307000001234567";
        assert_eq!(SimName::parse(iccid), SimName::Iccid(iccid.parse().unwrap()));
        assert_eq!(SimName::parse("pump-17"), SimName::UniqueName("pump-17".to_owned()));
        assert_eq!(SimName::parse("HS01"), SimName::UniqueName("HS01".to_owned()));
    }
}
