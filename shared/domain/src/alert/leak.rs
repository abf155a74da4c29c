//! What a stolen SIM cost until it was dead: bytes, and the time of each step.

use jiff::Timestamp;

use super::PendingAlert;
use crate::bytes::Bytes;
use crate::incident::Incident;
use crate::port::Case;
use crate::session::Session;
use crate::state::SimState;
use crate::usage::SimUsage;

/// What is known of a SIM beside its incident.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// What events say.
    pub state: Option<&'a SimState>,
    /// What usage records say, and what bytes cost.
    pub usage: Option<&'a SimUsage>,
}

impl<'a> From<&'a Case> for Known<'a> {
    fn from(case: &'a Case) -> Self {
        Self { state: case.state.as_ref(), usage: case.usage.as_ref() }
    }
}

impl Known<'_> {
    /// The bytes, and what they cost where a price is known: their own bill comes hours later.
    pub(super) fn priced(&self, bytes: Bytes) -> String {
        let money = self.usage.and_then(|usage| usage.price().price_of(bytes));
        let money = money.map(|money| format!(" (about {money}, as this SIM was billed lately)"));
        format!("{bytes}{}", money.unwrap_or_default())
    }
}

/// What happened, with what it cost where that is known.
pub(super) fn proven(incident: &Incident, state: Option<&SimState>) -> String {
    match state.filter(|_| !incident.findings.is_empty()) {
        Some(state) => {
            let (bytes, end) = (incident.bytes_since(state), end_of(incident));
            let time =
                end.map(|end| format!(" in {}", span(first_sign(incident, Some(state)), end)));
            format!("proven dead, at least {bytes} leaked{}", time.unwrap_or_default())
        }
        None => "proven dead".to_owned(),
    }
}

/// The lines of an e-mail that say how much went through and how long each step took. Bytes that no
/// kept event shows are unknown, not none.
pub(super) fn steps(incident: &Incident, pending: &PendingAlert, known: Known<'_>) -> Vec<String> {
    let state = known.state;
    let begin = (!incident.findings.is_empty()).then(|| first_sign(incident, state));
    let proof = incident.proof.map(|proof| proof.at());
    let mut lines = Vec::new();
    if let Some(begin) = begin {
        let leaked = match state {
            Some(state) => format!("at least {}", known.priced(incident.bytes_since(state))),
            None => "unknown, no event of it is kept".to_owned(),
        };
        lines.push(format!("Leaked     {leaked}, since the first sign"));
        lines.push(format!("First sign {begin}"));
    }
    let begin = begin.unwrap_or(incident.opened_at);
    let steps = [
        ("Found     ", Some(incident.opened_at)),
        ("Request   ", incident.sent_at),
        ("Inactive  ", incident.inactive_at),
        ("Proof     ", proof),
        ("Told      ", Some(pending.at)),
    ];
    for (label, at) in steps {
        if let Some(at) = at {
            lines.push(format!("{label} {at} (+{})", span(begin, at)));
        }
    }
    lines
}

/// When it began: a limit counts from the begin of its hour or day, and the session that broke it may
/// have begun long after.
fn first_sign(incident: &Incident, state: Option<&SimState>) -> Timestamp {
    let since = incident.rogue_since();
    let sessions = state.into_iter().flat_map(SimState::sessions);
    let begins = sessions.filter(|session| session.last() >= since).map(Session::start);
    begins.min().map_or(since, |begin| begin.max(since))
}

/// Until when bytes are counted: up to the sign that no more can come. What the network carried after
/// the provider said inactive leaked, too, so its time counts as well.
fn end_of(incident: &Incident) -> Option<Timestamp> {
    incident.proof.map(|proof| proof.at()).or(incident.inactive_at)
}

/// How long it was from one time to another, as one says it; clocks of the provider and ours may
/// differ by seconds, which is no time at all.
pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let secs = to.duration_since(from).as_secs().max(0);
    let (minutes, hours) = (secs.wrapping_div(60), secs.wrapping_div(3_600));
    match (hours, minutes, secs) {
        (_, 0..2, secs) => format!("{secs} s"),
        (0..2, minutes, _) => format!("{minutes} min"),
        (hours, minutes, _) => format!("{hours} h {} min", minutes.wrapping_rem(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Bytes;
    use crate::detector::fixture::{MB, sim, state_of, time, used};
    use crate::finding::{DetectorId, Evidence, Finding};
    use crate::incident::Proof;

    #[test]
    fn a_limits_first_sign_is_its_session_and_not_the_begin_of_its_hour() {
        let state = state_of(&[used("01T14:27", "01T14:33", 31 * MB)]);
        let mut incident = Incident::open(sim(), "pump-17".to_owned(), None, time("01T14:33:05"));
        let (from, to) = (time("01T14:00"), time("01T15:00"));
        let (seen, limit) = (Bytes(31 * MB), Bytes(20 * MB));
        incident.findings.push(Finding {
            detector: DetectorId::HourLimit,
            about: "2026-03-01T14Z".to_owned(),
            at: time("01T14:33"),
            evidence: Evidence::Bytes { seen, limit, from, to, session: None },
        });
        assert_eq!(first_sign(&incident, Some(&state)), time("01T14:27"));
        assert_eq!(first_sign(&incident, None), from, "nothing says more");
        let longer = state_of(&[used("01T13:50", "01T14:33", 31 * MB)]);
        assert_eq!(first_sign(&incident, Some(&longer)), from);
    }

    #[test]
    fn bytes_that_leaked_after_inactive_have_their_time_counted_too() {
        let mut incident = Incident::open(sim(), "pump-17".to_owned(), None, time("01T14:05"));
        incident.findings.push(Finding {
            detector: DetectorId::Degraded,
            about: "x".to_owned(),
            at: time("01T14:00"),
            evidence: Evidence::Fault { what: "x".to_owned() },
        });
        incident.inactive_at = Some(time("01T14:06"));
        incident.proof = Some(Proof::SessionsEnded(time("01T14:33")));
        let state = state_of(&[used("01T14:00", "01T14:30", 40 * MB)]);
        let said = proven(&incident, Some(&state));
        assert_eq!(said, "proven dead, at least 40.0 MB leaked in 33 min");
        // The network cut it before the provider said so: nothing came after that.
        incident.proof = Some(Proof::SessionsEnded(time("01T14:04")));
        let state = state_of(&[used("01T14:00", "01T14:03", 40 * MB)]);
        assert!(proven(&incident, Some(&state)).ends_with("leaked in 4 min"));
    }

    #[test]
    fn a_span_reads_well() {
        let begin: Timestamp = "2026-03-01T14:00:00Z".parse().unwrap();
        let after = |secs| span(begin, begin + jiff::SignedDuration::from_secs(secs));
        let read = [-5, 0, 119, 120, 7_199, 7_200, 100_000].map(after);
        assert_eq!(read, ["0 s", "0 s", "119 s", "2 min", "119 min", "2 h 0 min", "27 h 46 min"]);
    }
}
