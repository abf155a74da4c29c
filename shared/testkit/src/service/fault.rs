//! What can be made to go wrong with a request.

use jiff::SignedDuration;
use simfuse_domain::id::SimSid;

/// One way in which a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused with this HTTP status (429, 500, 503, 401 …), and nothing is done. A number that is
    /// no HTTP status is answered as 500.
    Status(u16),
    /// A change of status is refused with 400 and error 83010, whatever the SIM's status.
    Code83010,
    /// Never answered, and nothing is done: the client runs into its time-out.
    Hang,
    /// A change of status looks failed and takes effect later all the same: the POST that lands
    /// after a restore. A refusal that the provider gives at once (83010, a bad value) stays one.
    LateEffect {
        /// Virtual time from the request to its effect.
        after: SignedDuration,
        /// What the client sees meanwhile.
        answer: LateAnswer,
    },
    /// A change of status is answered, and later shown, as done, while the network knows nothing of
    /// it: an open session goes on and the SIM may attach.
    Lie,
}

/// What a client sees of a request that takes effect late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateAnswer {
    /// HTTP status 500.
    Error,
    /// No answer at all.
    Silence,
}

/// Which requests a fault applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    /// Every one, for tokens too.
    All,
    /// Fetching a SIM, or listing.
    Reads,
    /// Asking for another status of a SIM.
    StatusUpdates,
    /// Asking for an OAuth2 token.
    Tokens,
}

/// A fault with what it applies to and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultRule {
    fault: Fault,
    requests: Requests,
    sim: Option<SimSid>,
    times: u32,
}

impl FaultRule {
    /// The fault, once: for the next change of status where only that can go wrong so, else for the
    /// next request of any kind.
    #[must_use]
    pub const fn once(fault: Fault) -> Self {
        let requests = match fault {
            Fault::Status(_) | Fault::Hang => Requests::All,
            Fault::Code83010 | Fault::LateEffect { .. } | Fault::Lie => Requests::StatusUpdates,
        };
        Self { fault, requests, sim: None, times: 1 }
    }

    /// The same, for requests of this kind only. A fault of changes of status stays one.
    #[must_use]
    pub const fn on(self, requests: Requests) -> Self {
        match self.fault {
            Fault::Status(_) | Fault::Hang => Self { requests, ..self },
            Fault::Code83010 | Fault::LateEffect { .. } | Fault::Lie => self,
        }
    }

    /// The same, for requests that name this SIM only.
    #[must_use]
    pub const fn of(self, sim: SimSid) -> Self {
        Self { sim: Some(sim), ..self }
    }

    /// The same, so many times; `u32::MAX` is as good as for ever.
    #[must_use]
    pub const fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }
}

/// The faults that are still to happen.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FaultRule>);

impl Faults {
    pub(super) fn inject(&mut self, rule: FaultRule) {
        self.0.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault for a request, used up once: of several the one that was injected first.
    pub(super) fn take(&mut self, kind: Requests, sim: Option<SimSid>) -> Option<Fault> {
        let applies = |rule: &&mut FaultRule| {
            rule.times > 0
                && (rule.requests == Requests::All || rule.requests == kind)
                && (rule.sim.is_none() || rule.sim == sim)
        };
        let rule = self.0.iter_mut().find(applies)?;
        rule.times = rule.times.saturating_sub(1);
        let fault = rule.fault;
        self.0.retain(|rule| rule.times > 0);
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_used_up_by_the_requests_that_it_names() {
        let sim = SimSid::from_bytes([1; 16]);
        let other = SimSid::from_bytes([2; 16]);
        let mut faults = Faults::default();
        faults.inject(FaultRule::once(Fault::Lie).of(sim).on(Requests::Reads));
        faults.inject(FaultRule::once(Fault::Hang).on(Requests::Reads).times(2));
        assert_eq!(faults.take(Requests::StatusUpdates, Some(other)), None);
        assert_eq!(faults.take(Requests::Tokens, None), None);
        assert_eq!(faults.take(Requests::Reads, Some(sim)), Some(Fault::Hang));
        assert_eq!(faults.take(Requests::StatusUpdates, Some(sim)), Some(Fault::Lie));
        assert_eq!(faults.take(Requests::StatusUpdates, Some(sim)), None);
        assert_eq!(faults.take(Requests::Reads, None), Some(Fault::Hang));
        assert_eq!(faults.take(Requests::Reads, None), None);
    }
}
