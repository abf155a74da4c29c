//! What happened on a day, counted from the audit entries that its record of heads reads anyway: so
//! each is counted once, whatever crashes, since a page's count is written with the page's record.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{AuditEntry, Phase, SIMFUSE};

/// Incidents counted of one day, each under each thing that happened to it: some 200 kB, of the 400 kB
/// that an item may have. A day of more is said to have been cut.
const SEEN_MAX: usize = 4_000;

/// Fleets counted by themselves; the others are one.
const FLEETS_MAX: usize = 50;

/// Days over which the share of false alarms is taken.
const HISTORY_DAYS: i64 = 30;

/// How fleets are called that are not counted by themselves.
const OTHERS: &str = "others";

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Opened,
    Held,
    Deactivated,
    Proven,
    Leaking,
    Restored,
    FalseAlarm,
}

/// How many incidents of a fleet, or of all, came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Incidents that began on this day, those not that a human began by hand.
    pub opened: u32,
    /// Kills that waited for a human.
    pub held: u32,
    /// SIMs that the provider was asked to switch off, and took the request or had done it.
    pub deactivated: u32,
    /// SIMs proven dead.
    pub proven: u32,
    /// SIMs that carried traffic although inactive.
    pub leaking: u32,
    /// SIMs that are active again.
    pub restored: u32,
    /// Incidents that a human called a false alarm.
    pub false_alarms: u32,
}

impl Counts {
    fn add(&mut self, counted: Counted) {
        let count = match counted {
            Counted::Opened => &mut self.opened,
            Counted::Held => &mut self.held,
            Counted::Deactivated => &mut self.deactivated,
            Counted::Proven => &mut self.proven,
            Counted::Leaking => &mut self.leaking,
            Counted::Restored => &mut self.restored,
            Counted::FalseAlarm => &mut self.false_alarms,
        };
        *count = count.saturating_add(1);
    }

    /// All of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            opened: self.opened.saturating_add(other.opened),
            held: self.held.saturating_add(other.held),
            deactivated: self.deactivated.saturating_add(other.deactivated),
            proven: self.proven.saturating_add(other.proven),
            leaking: self.leaking.saturating_add(other.leaking),
            restored: self.restored.saturating_add(other.restored),
            false_alarms: self.false_alarms.saturating_add(other.false_alarms),
        }
    }
}

/// What happened on a day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DayTally {
    /// By fleet; one that is not known is called `not known`.
    pub fleets: BTreeMap<String, Counts>,
    /// What was counted already, since several entries say the same.
    seen: BTreeSet<String>,
    /// Whether more happened than is counted.
    pub is_cut: bool,
    /// Of earlier days on which anything happened: incidents that began, and false alarms.
    history: BTreeMap<Date, (u32, u32)>,
}

impl DayTally {
    /// The tally with an entry of this day.
    pub fn count(&mut self, day: Date, entry: &AuditEntry) {
        let Some(incident) = &entry.incident else { return };
        if entry.actor != SIMFUSE {
            // Entries come in order: what a human did first was begun by hand, and is no finding.
            self.note(Counted::Opened, incident);
        }
        if entry.phase != Phase::Outcome {
            return;
        }
        let is_new = opened_at(incident).is_some_and(|at| at.to_zoned(TimeZone::UTC).date() == day);
        if is_new {
            self.count_once(Counted::Opened, incident, entry);
        }
        if let Some(counted) = counted(entry) {
            self.count_once(counted, incident, entry);
        }
    }

    /// Remembers that this happened to the incident. `false`: it is known, or too much happened.
    fn note(&mut self, counted: Counted, incident: &str) -> bool {
        let key = format!("{}{incident}", counted as u8);
        if self.seen.contains(&key) {
            return false;
        }
        if self.seen.len() >= SEEN_MAX {
            self.is_cut = true;
            return false;
        }
        self.seen.insert(key)
    }

    fn count_once(&mut self, counted: Counted, incident: &str, entry: &AuditEntry) {
        if !self.note(counted, incident) {
            return;
        }
        let fleet = entry.fleet.map_or_else(|| "not known".to_owned(), |fleet| fleet.to_string());
        let is_known = self.fleets.contains_key(&fleet);
        let fleet =
            if is_known || self.fleets.len() < FLEETS_MAX { fleet } else { OTHERS.to_owned() };
        self.fleets.entry(fleet).or_default().add(counted);
    }

    /// All fleets together.
    #[must_use]
    pub fn all(&self) -> Counts {
        self.fleets.values().fold(Counts::default(), |all, counts| all.with(*counts))
    }

    /// The tally of the day after this one, which knows this day's numbers.
    #[must_use]
    pub fn next(&self, day: Date) -> Self {
        let Counts { opened, false_alarms, .. } = self.all();
        let mut history = self.history.clone();
        if (opened, false_alarms) != (0, 0) {
            history.insert(day, (opened, false_alarms));
        }
        let first = day.checked_sub(SignedDuration::from_hours(HISTORY_DAYS.saturating_mul(24)));
        let first = first.unwrap_or(day);
        history.retain(|of, _| *of > first);
        Self { history, ..Self::default() }
    }

    /// The tally of a day that is read from its beginning again.
    #[must_use]
    pub fn begun_anew(&self) -> Self {
        Self { history: self.history.clone(), ..Self::default() }
    }

    /// False alarms and incidents that began, of the last 30 days with this one.
    #[must_use]
    pub fn last_30_days(&self) -> (u32, u32) {
        let Counts { opened, false_alarms, .. } = self.all();
        let past = self.history.values();
        past.fold((false_alarms, opened), |(false_alarms, opened), (o, f)| {
            (false_alarms.saturating_add(*f), opened.saturating_add(*o))
        })
    }
}

/// What an entry says about its incident. Actions are stages, or acts with what came of them.
fn counted(entry: &AuditEntry) -> Option<Counted> {
    match entry.action.as_str() {
        "false_alarm" => Some(Counted::FalseAlarm),
        "proven" => Some(Counted::Proven),
        "leaking" => Some(Counted::Leaking),
        "restored" => Some(Counted::Restored),
        "inactive" => Some(Counted::Deactivated),
        "deactivate" if entry.reason.starts_with("the provider says ") => {
            Some(Counted::Deactivated)
        }
        held if held.starts_with("held") => Some(Counted::Held),
        _ => None,
    }
}

/// When an incident was opened, which its id says.
fn opened_at(incident: &str) -> Option<Timestamp> {
    let (_, milliseconds) = incident.rsplit_once('-')?;
    Timestamp::from_millisecond(milliseconds.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FleetSid;

    const OPENED: &str = "HS01010101010101010101010101010101-1772373965000";

    fn day() -> Date {
        "2026-03-01".parse().unwrap()
    }

    fn entry(incident: &str, action: &str, reason: &str) -> AuditEntry {
        AuditEntry {
            sim: None,
            fleet: Some(FleetSid::from_bytes([9; 16])),
            at: "2026-03-01T14:06:05Z".parse().unwrap(),
            id: action.to_owned(),
            actor: "simfuse".to_owned(),
            action: action.to_owned(),
            phase: Phase::Outcome,
            reason: reason.to_owned(),
            incident: Some(incident.to_owned()),
        }
    }

    #[test]
    fn each_incident_counts_once_for_each_thing_that_happened() {
        let mut tally = DayTally::default();
        let entries = [
            ("held (cap on kills reached)", "used 31 MB"),
            ("deactivate", "the provider is throttling requests (429)"),
            ("deactivate", "the provider says active"),
            ("inactive", ""),
            ("proven", ""),
            ("proven", ""),
            ("false_alarm", "a test"),
            ("expired", ""),
        ];
        for (action, reason) in entries {
            tally.count(day(), &entry(OPENED, action, reason));
        }
        let intent = AuditEntry { phase: Phase::Intent, ..entry("x-1", "leaking", "") };
        tally.count(day(), &intent);
        let once = Counts {
            opened: 1,
            held: 1,
            deactivated: 1,
            proven: 1,
            false_alarms: 1,
            ..Counts::default()
        };
        assert_eq!(tally.all(), once);
        // One that began on another day.
        tally.count(day(), &entry("HS01-1772273965000", "restored", ""));
        assert_eq!(tally.all(), Counts { restored: 1, ..once });
    }

    #[test]
    fn what_a_human_began_is_no_finding_and_what_a_human_approved_is() {
        let by = |actor: &str, phase, incident: &str, action| AuditEntry {
            actor: actor.to_owned(),
            phase,
            ..entry(incident, action, "the provider says inactive")
        };
        let mut tally = DayTally::default();
        let by_hand = OPENED.replace("01", "02");
        tally.count(day(), &by("ops", Phase::Intent, &by_hand, "deactivate"));
        tally.count(day(), &by("ops", Phase::Outcome, &by_hand, "deactivate"));
        tally.count(day(), &by("simfuse", Phase::Outcome, &by_hand, "proven"));
        assert_eq!(tally.all(), Counts { deactivated: 1, proven: 1, ..Counts::default() });
        tally.count(day(), &by("simfuse", Phase::Outcome, OPENED, "held (approval)"));
        tally.count(day(), &by("ops", Phase::Intent, OPENED, "deactivate"));
        assert_eq!(tally.all().opened, 1);
    }

    #[test]
    fn a_request_that_was_not_taken_switched_nothing_off() {
        let mut tally = DayTally::default();
        tally.count(day(), &entry(OPENED, "deactivate", "the provider refuses (400)"));
        assert_eq!(tally.all(), Counts { opened: 1, ..Counts::default() });
    }

    #[test]
    fn a_day_of_too_much_says_so() {
        let mut tally = DayTally::default();
        for number in 0..=SEEN_MAX {
            let fleet = u8::try_from(number % 200).unwrap();
            let fleet = Some(FleetSid::from_bytes([fleet; 16]));
            tally.count(day(), &AuditEntry { fleet, ..entry(&number.to_string(), "proven", "") });
        }
        assert!(tally.is_cut);
        assert_eq!(usize::try_from(tally.all().proven).unwrap(), SEEN_MAX);
        assert_eq!(tally.fleets.len(), FLEETS_MAX + 1, "and the others");
        let size = serde_json::to_vec(&tally).unwrap().len();
        assert!(size < 300_000, "an item has 400 kB: {size}");
    }

    #[test]
    fn thirty_days_are_remembered_and_no_more() {
        let mut tally = DayTally::default();
        let mut day = day();
        for _ in 0..40 {
            tally.count(day, &entry(&format!("a-{day}"), "false_alarm", ""));
            tally = tally.next(day);
            day = day.tomorrow().unwrap();
        }
        assert_eq!(tally.last_30_days(), (30, 0));
        assert_eq!(tally.next(day).all(), Counts::default());
    }
}
