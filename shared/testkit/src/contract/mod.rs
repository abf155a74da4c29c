//! What every table and every provider has to do, the real one and the one in memory: each function
//! is one clause, to be run on a table or an account of its own.
//!
//! A broken clause panics, like the test that runs it.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a broken contract fails the test that runs it"
)]

pub mod audit;
pub mod campaigns;
pub mod cases;
pub mod links;
pub mod news;
pub mod states;
pub mod super_sim;
pub mod table;
pub mod usages;

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::audit::{AuditEntry, Phase};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::event::{Event, EventKind};
use simfuse_domain::finding::{DetectorId, Evidence, Finding};
use simfuse_domain::id::{EventSid, SimSid};
use simfuse_domain::incident::Incident;
use simfuse_domain::port::StateWrite;
use simfuse_domain::state::SimState;

/// The n-th of many SIMs, which lie in different shards.
fn sim(number: u16) -> SimSid {
    let [high, low] = number.to_be_bytes();
    SimSid::from_bytes([0xa5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, high, low])
}

/// So many seconds after the contract's epoch.
fn at(seconds: i64) -> Timestamp {
    let epoch: Timestamp = "2026-03-01T14:00:00Z".parse().unwrap();
    epoch.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// A state that shows one event at this time.
fn state(sim: SimSid, seconds: i64) -> SimState {
    let mut state = SimState::new(sim);
    _ = state.fold(&Event {
        sid: EventSid::from_bytes([7; 16]),
        kind: EventKind::AttachmentAccepted,
        sim,
        iccid: None,
        unique_name: Some("pump-17".to_owned()),
        fleet: None,
        at: at(seconds),
        device: Some("35378572000001".parse().unwrap()),
        plmn: None,
        country: None,
        location: None,
        session: None,
        error_code: None,
    });
    state
}

/// A write of that state without findings.
fn write(sim: SimSid, seconds: i64, read_version: Option<u64>) -> StateWrite {
    StateWrite {
        state: Box::new(state(sim, seconds)),
        read_version,
        found: std::collections::BTreeSet::new(),
        findings: Vec::new(),
        received_at: at(seconds),
    }
}

/// A finding about an hour.
fn finding(about: &str, seconds: i64) -> Finding {
    Finding {
        detector: DetectorId::HourLimit,
        about: about.to_owned(),
        at: at(seconds),
        evidence: Evidence::Bytes {
            seen: Bytes(21_000_000),
            limit: Bytes(20_000_000),
            from: at(0),
            to: at(3_600),
            session: None,
        },
    }
}

/// An open incident that is due at this time.
fn incident(sim: SimSid, due: i64) -> Incident {
    let mut incident = Incident::open(sim, "pump-17".to_owned(), None, at(0));
    incident.next_check = at(due);
    incident
}

/// An audit entry.
fn audit(sim: Option<SimSid>, id: &str, reason: &str) -> AuditEntry {
    AuditEntry {
        sim,
        fleet: None,
        at: at(5),
        id: id.to_owned(),
        actor: "simfuse".to_owned(),
        action: "deactivate".to_owned(),
        phase: Phase::Intent,
        reason: reason.to_owned(),
        incident: None,
    }
}
