//! What can be made to go wrong with a request.

use jiff::SignedDuration;
use serde_json::Value;
use simfuse_domain::id::SimSid;

use super::answer::Answer;

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
    /// Refused with 400 and this error code (83603 …), and nothing is done.
    Refusal(u32),
    /// A page of a list is answered, but not as it should be.
    Page(PageFault),
}

/// What is wrong with a page of a list. Answers that are no page are left as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFault {
    /// Nothing stands on it; what should follows on the next page.
    Empty,
    /// The next page shows the same once more.
    Repeated,
    /// Every property of what stands on it is null.
    Nulls,
    /// Amounts of money are strings, as in the description's examples, not numbers as in its schema.
    BilledAsText,
    /// It goes on at another server.
    ForeignNext,
}

impl PageFault {
    pub(super) fn spoil(self, mut answer: Answer) -> Answer {
        let Some(key) = answer.list.clone() else { return answer };
        let items = answer.body.get_mut(&key).and_then(Value::as_array_mut);
        let records = items.map(|items| match self {
            Self::Empty => items.clear(),
            Self::Nulls => each_property(items, |_, value| *value = Value::Null),
            Self::BilledAsText => each_property(items, |name, value| {
                if name == "data_total_billed" && value.is_number() {
                    *value = value.to_string().into();
                }
            }),
            Self::Repeated | Self::ForeignNext => {}
        });
        let meta = records.and_then(|()| answer.body.get_mut("meta")?.as_object_mut());
        let Some(meta) = meta else { return answer };
        match self {
            Self::Empty | Self::Repeated => {
                // The service ignores the addition; it makes the link differ from its own page's.
                let own = meta.get("url").and_then(Value::as_str).unwrap_or_default();
                let again = format!("{own}&Again=1");
                meta.insert("next_page_url".to_owned(), again.into());
            }
            Self::ForeignNext => {
                let foreign = "https://elsewhere.example/v1/Sims?Page=1";
                meta.insert("next_page_url".to_owned(), foreign.into());
            }
            Self::Nulls | Self::BilledAsText => {}
        }
        answer
    }
}

fn each_property(items: &mut [Value], change: impl Fn(&str, &mut Value)) {
    for (name, value) in items.iter_mut().filter_map(Value::as_object_mut).flatten() {
        change(name, value);
    }
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
    /// Fetching and listing, of whatever kind.
    Reads,
    /// Listing usage records.
    Usage,
    /// Changing a fleet.
    FleetUpdates,
    /// Asking for another status of a SIM.
    StatusUpdates,
    /// Asking for another fleet of a SIM, and no other status.
    Moves,
    /// Asking for an OAuth2 token.
    Tokens,
}

impl Requests {
    fn cover(self, kind: Self) -> bool {
        self == Self::All || self == kind || (self == Self::Reads && kind == Self::Usage)
    }
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
            Fault::Status(_) | Fault::Hang | Fault::Refusal(_) => Requests::All,
            Fault::Page(_) => Requests::Reads,
            Fault::Code83010 | Fault::LateEffect { .. } | Fault::Lie => Requests::StatusUpdates,
        };
        Self { fault, requests, sim: None, times: 1 }
    }

    /// The same, for requests of this kind only. A fault of changes of status stays one.
    #[must_use]
    pub const fn on(self, requests: Requests) -> Self {
        match self.fault {
            Fault::Status(_) | Fault::Hang | Fault::Refusal(_) | Fault::Page(_) => {
                Self { requests, ..self }
            }
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
            rule.times > 0 && rule.requests.cover(kind) && (rule.sim.is_none() || rule.sim == sim)
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
