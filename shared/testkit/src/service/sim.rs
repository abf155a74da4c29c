//! One SIM at the service: its status, the changes under way, and what the network makes of them.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::port::{Sim, SimStatus};

use super::answer::ApiError;
use crate::time;

/// Changes kept of what the network permits: far more than anyone makes while one session is open.
const CHANGES_MAX: usize = 64;

/// What a change of a SIM's status does, and when. The provider does not document whether a
/// deactivation cuts an open session, so each way that it may turn out can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answered 200; done at once, and an open session is cut.
    CutAtOnce,
    /// Answered 202; the status changes at once, but an open session lives on until the device
    /// attaches again.
    AtNextAttach,
    /// Answered 202 with status `scheduled`; done, and an open session cut, when this much virtual
    /// time has passed. A restore takes as long.
    Scheduled {
        /// Time from the request to its effect.
        after: SignedDuration,
    },
}

/// The network's answer to a SIM that wants to attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// It is served.
    Accepted,
    /// It is refused.
    Rejected {
        /// 83704 for a SIM that is `new`, 83705 for one that is `inactive`.
        code: u32,
    },
}

/// What the network does to one open session of a SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// When the session was cut.
    pub cut_at: Option<Timestamp>,
    /// Since when the SIM is refused when it attaches again.
    pub refused_since: Option<Timestamp>,
}

/// A change of what the network permits.
#[derive(Debug, Clone, Copy)]
struct Change {
    at: Timestamp,
    attach: Attach,
    sessions: Sessions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sessions {
    Kept,
    Cut,
}

/// A change of status that has not happened yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    due: Timestamp,
    target: SimStatus,
    step: PendingStep,
}

#[derive(Debug, Clone, Copy)]
enum PendingStep {
    /// The provider carries out what it has scheduled.
    Complete,
    /// A request that seemed lost is processed.
    Land,
}

/// Whether a change of status reaches the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Real,
    Pretended,
}

#[derive(Debug, Clone)]
pub(crate) struct SimRecord {
    pub(crate) sim: Sim,
    pub(crate) behaviour: Behaviour,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pending: Vec<Pending>,
    changes: VecDeque<Change>,
}

impl SimRecord {
    pub(crate) fn new(sim: Sim, behaviour: Behaviour, now: Timestamp) -> Self {
        let attach = permission(sim.status);
        let first = Change { at: Timestamp::MIN, attach, sessions: Sessions::Kept };
        let changes = VecDeque::from([first]);
        Self { sim, behaviour, created: now, updated: now, pending: Vec::new(), changes }
    }

    /// Carries out what is due, in order.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        while let Some(pending) = self.take_due(now) {
            match pending.step {
                PendingStep::Complete => self.complete(pending.target, pending.due, Effect::Real),
                PendingStep::Land => self.land(pending.target, pending.due),
            }
        }
    }

    /// Whether something is still to happen by itself.
    pub(crate) fn is_unsettled(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes out the earliest change that is due.
    fn take_due(&mut self, now: Timestamp) -> Option<Pending> {
        let due = self.pending.iter().enumerate().filter(|(_, pending)| pending.due <= now);
        let (index, _) = due.min_by_key(|(_, pending)| pending.due)?;
        Some(self.pending.remove(index))
    }

    /// A request that seemed lost: it does what it would have done at this time.
    fn land(&mut self, target: SimStatus, at: Timestamp) {
        if self.allows(target) {
            self.change_status(target, at, Effect::Real);
        }
    }

    /// Whether the provider takes this change of status now. `new` to `inactive` is not documented
    /// and permitted here; so is no change while one is `scheduled`, and refused.
    pub(super) fn check_transition(&self, target: SimStatus) -> Result<(), ApiError> {
        use SimStatus::{Active, Inactive, New, Ready};
        match (self.sim.status, target) {
            (New, Ready | Active | Inactive)
            | (Ready, Active | Inactive)
            | (Active, Inactive)
            | (Inactive, Active) => Ok(()),
            (from, to) => Err(ApiError::transition_not_allowed(from, to)),
        }
    }

    /// The same as yes or no.
    pub(crate) fn allows(&self, target: SimStatus) -> bool {
        self.check_transition(target).is_ok()
    }

    /// Changes the status in the way that this SIM's behaviour says.
    pub(crate) fn change_status(&mut self, target: SimStatus, at: Timestamp, effect: Effect) {
        match (self.behaviour, effect) {
            (Behaviour::Scheduled { after }, Effect::Real) => {
                self.sim.status = SimStatus::Scheduled;
                self.updated = at;
                let due = time::later(at, after);
                self.pending.push(Pending { due, target, step: PendingStep::Complete });
            }
            (Behaviour::CutAtOnce | Behaviour::AtNextAttach, _) | (_, Effect::Pretended) => {
                self.complete(target, at, effect);
            }
        }
    }

    /// Lets a change of status happen later, as if the request had been held up on its way.
    pub(crate) fn change_status_late(&mut self, target: SimStatus, due: Timestamp) {
        self.pending.push(Pending { due, target, step: PendingStep::Land });
    }

    /// Sets a status as if someone had done so elsewhere: at once, and nothing else stays under way.
    pub(crate) fn set_status(&mut self, status: SimStatus, at: Timestamp) {
        self.pending.retain(|pending| matches!(pending.step, PendingStep::Land));
        self.complete(status, at, Effect::Real);
    }

    fn complete(&mut self, target: SimStatus, at: Timestamp, effect: Effect) {
        self.sim.status = target;
        self.updated = at;
        if effect == Effect::Pretended {
            return;
        }
        let attach = permission(target);
        let sessions = match (attach, self.behaviour) {
            (Attach::Accepted, _) | (_, Behaviour::AtNextAttach) => Sessions::Kept,
            (Attach::Rejected { .. }, _) => Sessions::Cut,
        };
        self.changes.push_back(Change { at, attach, sessions });
        if self.changes.len() > CHANGES_MAX {
            self.changes.pop_front();
        }
    }

    /// The network's answer to an attach at this time.
    pub(crate) fn attach(&self, at: Timestamp) -> Attach {
        let projected = self.projected(at);
        let before = projected.as_ref().unwrap_or(self).changes.iter().rev();
        let last = before.map(|change| (change.at, change.attach)).find(|(when, _)| *when <= at);
        last.map_or(Attach::Accepted, |(_, attach)| attach)
    }

    /// What happened up to `until` to a session that was opened at `since`.
    pub(crate) fn line(&self, since: Timestamp, until: Timestamp) -> Line {
        let projected = self.projected(until);
        let changes = &projected.as_ref().unwrap_or(self).changes;
        let cut = changes
            .iter()
            .find(|change| change.sessions == Sessions::Cut && change.at > since)
            .filter(|change| change.at <= until);
        let refused = changes
            .iter()
            .rev()
            .skip_while(|change| change.at > until)
            .take_while(|change| matches!(change.attach, Attach::Rejected { .. }))
            .last();
        Line { cut_at: cut.map(|change| change.at), refused_since: refused.map(|change| change.at) }
    }

    /// This SIM as it will be, when something is due until then.
    fn projected(&self, until: Timestamp) -> Option<Self> {
        let due = self.pending.iter().any(|pending| pending.due <= until);
        due.then(|| {
            let mut later = self.clone();
            later.settle(until);
            later
        })
    }
}

/// What the network makes of a status, once it is settled.
fn permission(status: SimStatus) -> Attach {
    match status {
        SimStatus::New => Attach::Rejected { code: 83704 },
        SimStatus::Inactive => Attach::Rejected { code: 83705 },
        SimStatus::Ready | SimStatus::Active | SimStatus::Scheduled | SimStatus::Unknown => {
            Attach::Accepted
        }
    }
}
