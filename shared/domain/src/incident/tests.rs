mod edges;
mod false_alarms;
mod freezes;
mod joined;
mod judgements;
mod open_hours;
mod quarantines;
mod returns;
mod stories;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::detector::fixture::{
    MB, Opened, TABLET, attached, fleet, hours_in, policy, rejected, sim, state_of, time, used,
};
use crate::event::Event;
use crate::policy::Mode;
use crate::port::{Case, Change, ProviderError, Sim, SimStatus};

/// A policy that cuts a SIM for its bytes and for a strange device.
const CUTS: &str = "mode = 'enforce'\n[limits]\nhour_mb = 20\nact = 'deactivate'\n\
                    [binding]\nmode = 'strict'\nallowed_tacs = ['35378572']";

/// What the provider says of the SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    New,
    Ready,
    Active,
    Inactive,
    Scheduled,
    Unknown,
    NotFound,
    NotAllowed,
    Unauthorized,
    Refused,
    Throttled,
    Down,
}

const ALL_ANSWERS: [Says; 12] = [
    Says::New,
    Says::Ready,
    Says::Active,
    Says::Inactive,
    Says::Scheduled,
    Says::Unknown,
    Says::NotFound,
    Says::NotAllowed,
    Says::Unauthorized,
    Says::Refused,
    Says::Throttled,
    Says::Down,
];

fn provider_sim(status: SimStatus) -> Sim {
    Sim {
        sid: sim(),
        iccid: Some("8988307000000000001".parse().unwrap()),
        unique_name: Some("pump-17".to_owned()),
        status,
        fleet: Some(fleet()),
    }
}

fn answer(says: Says) -> Result<Sim, ProviderError> {
    let (message, reason) = (String::new(), "time-out".to_owned());
    match says {
        Says::New => Ok(provider_sim(SimStatus::New)),
        Says::Ready => Ok(provider_sim(SimStatus::Ready)),
        Says::Active => Ok(provider_sim(SimStatus::Active)),
        Says::Inactive => Ok(provider_sim(SimStatus::Inactive)),
        Says::Scheduled => Ok(provider_sim(SimStatus::Scheduled)),
        Says::Unknown => Ok(provider_sim(SimStatus::Unknown)),
        Says::NotFound => Err(ProviderError::NotFound),
        Says::NotAllowed => Err(ProviderError::TransitionNotAllowed),
        Says::Unauthorized => Err(ProviderError::Unauthorized { status: 401 }),
        Says::Refused => Err(ProviderError::Refused { status: 400, code: None, message }),
        Says::Throttled => Err(ProviderError::Throttled { retry_after: None }),
        Says::Down => Err(ProviderError::Unavailable { reason, source: None }),
    }
}

/// A SIM's case, and all else that a decision rests on.
#[derive(Clone)]
struct Scene {
    events: Vec<Event>,
    case: Case,
    policy: String,
    armed: Mode,
    now: Timestamp,
}

impl Scene {
    /// A SIM that used 31 MB in six minutes; policy and environment enforce; nothing was done yet.
    fn rogue() -> Self {
        Self::of(&[used("01T14:00", "01T14:06", 31 * MB)])
    }

    fn of(events: &[Event]) -> Self {
        let case = Case {
            usage: None,
            cohort: None,
            sim: sim(),
            state: (!events.is_empty()).then(|| state_of(events)),
            findings: BTreeMap::new(),
            desired: (Desired::default(), 0),
            incident: None,
            stop: None,
            unread: Vec::new(),
        };
        let (events, policy) = (events.to_vec(), CUTS.to_owned());
        Self { events, case, policy, armed: Mode::Enforce, now: time("01T14:06:05") }
    }

    /// As it is once the SIM was found and the incident is at this stage.
    fn at(mut self, stage: Stage) -> Self {
        let mut incident =
            Incident::open(sim(), "pump-17".to_owned(), Some(fleet()), time("01T14:06:05"));
        incident.stage = stage;
        let (verdict, findings) = assess(&self.look(&policy(&self.policy), None), Some(fleet()));
        incident.verdict = verdict;
        incident.add_findings(findings.values());
        let begun = !matches!(stage, Stage::Alerted | Stage::Requested | Stage::Held(_));
        if begun {
            incident.sent_at = Some(time("01T14:06:05"));
            incident.attempts = 1;
            self.case.desired.0.status = Some(TargetStatus::Inactive);
        }
        if matches!(stage, Stage::Inactive | Stage::Quiet | Stage::Leaking) {
            incident.inactive_at = Some(time("01T14:07"));
            incident.told = true;
        }
        if matches!(stage, Stage::Restoring | Stage::Restored) {
            let judged = incident.findings.iter().map(Finding::key).collect();
            let restored_at = Some(time("01T14:06:05"));
            let status = Some(TargetStatus::Active);
            self.case.desired.0 = Desired { status, restored_at, judged, ..Desired::default() };
        }
        incident.next_check = time("01T14:07:05");
        if matches!(stage, Stage::Alerted | Stage::Held(_)) {
            incident.next_check = time("04T14:06:05");
        }
        self.case.incident = Some((incident, 1));
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn also(self, event: Event) -> Self {
        self.with(|scene| {
            scene.events.push(event);
            scene.case.state = Some(state_of(&scene.events));
        })
    }

    fn when(self, now: &str) -> Self {
        self.with(|scene| scene.now = time(now))
    }

    fn incident(&mut self) -> &mut Incident {
        &mut self.case.incident.as_mut().unwrap().0
    }

    fn look<'a>(
        &'a self,
        policy: &'a crate::policy::Policy,
        sim: Option<&'a Result<Sim, ProviderError>>,
    ) -> Look<'a> {
        Look { now: self.now, case: &self.case, policy, armed: self.armed, sim }
    }

    /// Decides, asking the provider only when that is what comes first.
    fn decide(&self, says: Says) -> Decision {
        self.decide_on(&answer(says))
    }

    fn decide_on(&self, found: &Result<Sim, ProviderError>) -> Decision {
        let policy = policy(&self.policy);
        let first = decide(&self.look(&policy, None));
        if first == Decision::AskProvider {
            decide(&self.look(&policy, Some(found)))
        } else {
            first
        }
    }

    #[track_caller]
    fn check(&self, says: Says, expected: &str) {
        assert_eq!(self.told(&self.decide(says)), expected, "{says:?}");
    }

    /// The decision as text: what, the stage, the alerts that it adds, and when the next look is due.
    fn told(&self, decision: &Decision) -> String {
        let of = |what: &str, incident: &Incident| {
            let before = self.case.incident.as_ref().map_or(0, |(known, _)| known.alerts_made);
            let alerts = incident.alerts.iter().filter(|alert| alert.number > before);
            let alerts: String = alerts.map(|alert| format!(" +{:?}", alert.kind)).collect();
            format!("{what} {}{alerts}", incident.stage)
        };
        match decision {
            Decision::Rest => "rest".to_owned(),
            Decision::AskProvider => "ask".to_owned(),
            Decision::Record(incident) => of("record", incident),
            Decision::Close(incident) => of("close", incident),
            Decision::Deactivate(incident, authority) => {
                of(&format!("deactivate by {authority:?}, was"), incident)
            }
            Decision::Restore(incident) => of("restore, was", incident),
            Decision::Thaw(incident) => of("thaw, was", incident),
            Decision::Relocate(incident, change) => of(&format!("ask for {change}, was"), incident),
        }
    }

    /// The scene after the decision was recorded.
    fn then(self, says: Says) -> Self {
        let decision = self.decide(says);
        self.with(|scene| match decision {
            Decision::Record(incident) => scene.case.incident = Some((*incident, 2)),
            Decision::Close(_) => scene.case.incident = None,
            Decision::Deactivate(mut incident, _) => {
                incident.stage = Stage::Admitted;
                incident.sent_at.get_or_insert(scene.now);
                incident.attempts = incident.attempts.saturating_add(1);
                scene.case.desired.0.status = Some(TargetStatus::Inactive);
                scene.case.incident = Some((*incident, 2));
            }
            Decision::Rest
            | Decision::AskProvider
            | Decision::Restore(_)
            | Decision::Thaw(_)
            | Decision::Relocate(_, _) => {}
        })
    }
}

/// Answers that lead to the same are told together.
fn grouped(of: impl Fn(Says) -> String) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for says in ALL_ANSWERS {
        let (told, name) = (of(says), format!("{says:?}"));
        match groups.iter_mut().find(|(known, _)| *known == told) {
            Some((_, names)) => names.push(name),
            None => groups.push((told, vec![name])),
        }
    }
    if let [(told, _)] = groups.as_slice() {
        return format!("  any: {told}\n");
    }
    groups.iter().map(|(told, names)| format!("  {}: {told}\n", names.join(" "))).collect()
}

const HOLDS: [Hold; 5] = [Hold::Observe, Hold::Protected, Hold::Stopped, Hold::Cooldown, Hold::Cap];

#[test]
fn every_stage_knows_what_to_do_with_every_answer() {
    let mut table = format!(
        "none\n{}",
        grouped(|says| {
            let scene = Scene::rogue();
            scene.told(&scene.decide(says))
        })
    );
    let stages = [
        Stage::Alerted,
        Stage::Requested,
        Stage::Held(Hold::Cap),
        Stage::Admitted,
        Stage::Sent,
        Stage::Scheduled,
        Stage::Unreachable,
        Stage::Refused,
        Stage::Inactive,
        Stage::Quiet,
        Stage::Leaking,
        Stage::Proven,
        Stage::Quarantined,
        Stage::Restoring,
        Stage::Restored,
        Stage::RestoredElsewhere,
        Stage::Expired,
    ];
    for stage in stages {
        let scene = || Scene::rogue().at(stage).when("01T14:07:05");
        let told = grouped(|says| scene().told(&scene().decide(says)));
        table += &format!("{stage}\n{told}");
    }
    insta::assert_snapshot!(table, @r"
        none
          New Ready Active Unknown: deactivate by Policy, was requested
          Inactive: record inactive +Killed
          Scheduled NotAllowed Throttled Down: record requested
          NotFound Unauthorized Refused: record requested +Unreachable
        alerted
          any: rest
        requested
          New Ready Active Unknown: deactivate by Policy, was requested
          Inactive: record inactive +Killed
          Scheduled NotAllowed Throttled Down: record requested
          NotFound Unauthorized Refused: record requested +Unreachable
        held (cap on kills reached)
          any: rest
        admitted
          New Ready Active Unknown: deactivate by PolicyAgain, was admitted
          Inactive: record inactive +Killed
          Scheduled: record scheduled
          NotFound Unauthorized Refused: record unreachable +Unreachable
          NotAllowed Throttled Down: record unreachable
        sent
          New Ready Active Unknown: deactivate by PolicyAgain, was sent
          Inactive: record inactive +Killed
          Scheduled: record scheduled
          NotFound Unauthorized Refused: record unreachable +Unreachable
          NotAllowed Throttled Down: record unreachable
        scheduled
          New Ready Active Unknown: deactivate by PolicyAgain, was scheduled
          Inactive: record inactive +Killed
          Scheduled: record scheduled
          NotFound Unauthorized Refused: record unreachable +Unreachable
          NotAllowed Throttled Down: record unreachable
        unreachable
          New Ready Active Unknown: deactivate by PolicyAgain, was unreachable
          Inactive: record inactive +Killed
          Scheduled: record scheduled
          NotFound Unauthorized Refused: record unreachable +Unreachable
          NotAllowed Throttled Down: record unreachable
        refused
          New Ready Active Unknown: deactivate by PolicyAgain, was refused
          Inactive: record inactive +Killed
          Scheduled: record scheduled
          NotFound Unauthorized Refused: record unreachable +Unreachable
          NotAllowed Throttled Down: record unreachable
        inactive
          New Ready Active: close restored elsewhere +RestoredElsewhere
          Inactive Scheduled Unknown NotFound NotAllowed Unauthorized Refused Throttled Down: record inactive
        quiet
          New Ready Active: close restored elsewhere +RestoredElsewhere
          Inactive Scheduled Unknown NotFound NotAllowed Unauthorized Refused Throttled Down: record quiet
        leaking
          New Ready Active: close restored elsewhere +RestoredElsewhere
          Inactive Scheduled Unknown NotFound NotAllowed Unauthorized Refused Throttled Down: record leaking
        proven
          any: close proven
        quarantined
          New Inactive Scheduled Unknown NotFound NotAllowed Unauthorized Refused Throttled Down: record quarantined
          Ready Active: close restored elsewhere +RestoredElsewhere
        restoring
          New Ready Active: record restored +Restored
          Inactive: restore, was restoring
          Scheduled Unknown NotAllowed Throttled Down: record restoring
          NotFound Unauthorized Refused: record restoring +Unreachable
        restored
          New Ready Active Scheduled Unknown NotAllowed Throttled Down: record restored
          Inactive: restore, was restored
          NotFound Unauthorized Refused: record restored +Unreachable
        restored elsewhere
          any: close restored elsewhere
        expired
          any: close expired
        ");
}

#[test]
fn every_answer_to_a_request_has_its_outcome() {
    let outcome = |wanted, says| {
        let scene = Scene::rogue().at(match wanted {
            TargetStatus::Inactive => Stage::Admitted,
            TargetStatus::Active => Stage::Restoring,
        });
        let (incident, _) = scene.case.incident.clone().unwrap();
        let after = outcome_of(scene.now, incident, Change::Status(wanted), &answer(says));
        let secs = after.next_check.duration_since(scene.now).as_secs();
        let told = scene.told(&Decision::Record(Box::new(after)));
        format!("{told}, again after {secs} s")
    };
    let off = grouped(|says| outcome(TargetStatus::Inactive, says));
    let on = grouped(|says| outcome(TargetStatus::Active, says));
    insta::assert_snapshot!(format!("to inactive\n{off}to active\n{on}"), @r"
        to inactive
          New Ready Active Unknown: record sent +Killed, again after 60 s
          Inactive: record inactive +Killed, again after 60 s
          Scheduled: record scheduled +Killed, again after 60 s
          NotFound Unauthorized Refused: record refused +Unreachable, again after 30 s
          NotAllowed: record sent, again after 30 s
          Throttled Down: record unreachable, again after 30 s
        to active
          New Ready Inactive Scheduled Unknown: record restoring, again after 60 s
          Active: record restored +Restored, again after 60 s
          NotFound Unauthorized Refused: record restoring +Unreachable, again after 30 s
          NotAllowed Throttled Down: record restoring, again after 30 s
        ");
}
