//! When a SIM counts as dead: the provider says inactive, and there is a positive sign.
//!
//! Silence is no sign: a sensor that sleeps is silent, too.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::session::Session;
use crate::state::SimState;

/// A positive sign that the network carries the SIM no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Every session that was open at the kill was reported as ended, the last one then.
    SessionsEnded(Timestamp),
    /// An attachment was rejected because the SIM is inactive (83705).
    AttachRejected(Timestamp),
}

impl Proof {
    /// When the sign was given, by event time.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        match self {
            Self::SessionsEnded(at) | Self::AttachRejected(at) => at,
        }
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SessionsEnded(at) => write!(f, "its session was closed at {at}"),
            Self::AttachRejected(at) => write!(f, "the network refused it at {at} (83705)"),
        }
    }
}

/// Looks for a sign after the request was sent, that no later traffic contradicts.
#[must_use]
pub fn positive_sign(state: &SimState, sent_at: Timestamp) -> Option<Proof> {
    let rejected = state.rejected_as_inactive().filter(|at| *at >= sent_at);
    let signs = [
        sessions_ended(state, sent_at).map(Proof::SessionsEnded),
        rejected.map(Proof::AttachRejected),
    ];
    let began = state.sessions().iter().filter_map(|session| session.moved().max(session.opened()));
    let began = began.max();
    signs.into_iter().flatten().find(|proof| began.is_none_or(|began| began <= proof.at()))
}

/// When the last of the sessions that were open at the time ended; `None` when one has not, or when
/// none was open.
fn sessions_ended(state: &SimState, time: Timestamp) -> Option<Timestamp> {
    let sessions = state.sessions();
    let was_open = |session: &&Session| {
        let superseded = |other: &Session| other.start() > session.start() && other.start() <= time;
        session.start() <= time
            && session.ended().is_none_or(|ended| ended >= time)
            && session.expires() >= time
            && !sessions.iter().any(superseded)
    };
    let ends: Option<Vec<Timestamp>> =
        sessions.iter().filter(was_open).map(Session::ended).collect();
    ends?.into_iter().max()
}
