//! The day in one e-mail: what happened, what is still open, and whether the pipeline lives.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Alert, Severity, StackName, leak, one_line, subject_of, typed};
use crate::audit::{Counts, DayHeads, DayTally};
use crate::bytes::Bytes;
use crate::money::Bill;

/// Fleets that stand in a line of their own: a phone's screen.
pub const FLEETS_SHOWN_MAX: usize = 10;

/// What the digest of a day says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest<'a> {
    /// The day, and the record of its audit.
    pub heads: DayHeads,
    /// What happened on it.
    pub tally: &'a DayTally,
    /// When it is told.
    pub now: Timestamp,
    /// Incidents that are open now.
    pub open: usize,
    /// Who set the stop switch, and why, where it is set.
    pub stopped: Option<String>,
    /// When events last came; `None` where none ever did.
    pub last_event: Option<Timestamp>,
    /// SIMs that somebody should look at.
    pub looks: Vec<ToLook>,
    /// How many more there are.
    pub looks_more: usize,
    /// The latest day whose usage is closed, which takes some hours.
    pub used_on: Date,
    /// What fleets used on that day, and what is billed of it.
    pub used: Vec<(String, Bytes, Bill)>,
}

/// A SIM that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToLook {
    /// What its operator calls it.
    pub name: String,
    /// How far its incident is.
    pub stage: String,
    /// Since when.
    pub since: Timestamp,
    /// The least that it used since then; `None` where no event tells.
    pub used: Option<Bytes>,
    /// The command to go on with.
    pub command: String,
}

impl Digest<'_> {
    /// The e-mail. A day on which nothing happened has one, too: it is the sign of life.
    #[must_use]
    pub fn alert(&self, stack: Option<&StackName>) -> Alert {
        let (all, day) = (self.tally.all(), self.heads.day);
        let happened = if all == Counts::default() { "nothing happened".into() } else { said(all) };
        let mut email = format!("{day}: {happened}\n");
        // Writing to a string cannot fail.
        if self.tally.fleets.len() > 1 {
            for (fleet, counts) in self.tally.fleets.iter().take(FLEETS_SHOWN_MAX) {
                _ = writeln!(email, "- fleet {fleet}: {}", said(*counts));
            }
            let more = self.tally.fleets.len().saturating_sub(FLEETS_SHOWN_MAX);
            if more > 0 {
                _ = writeln!(email, "… and {more} more fleets");
            }
        }
        if self.tally.is_cut {
            email.push_str("More happened than is counted here: simfuse audit has all of it.\n");
        }
        for (fleet, used, bill) in &self.used {
            let billed = match bill.known() {
                Some((money, of)) if of < *used => format!("billed {money} for {of} of it"),
                Some((money, _)) => format!("billed {money}"),
                None => "what it costs is not known".to_owned(),
            };
            _ = writeln!(email, "Used       {}: fleet {fleet} {used}, {billed}", self.used_on);
        }
        self.write_open(&mut email, stack);
        _ = writeln!(email, "\n{}", self.rate());
        let age = |at| leak::span(at, self.now);
        let events = self.last_event.map_or("none ever came: NOTHING IS GUARDED".into(), |at| {
            format!("{} ago ({at})", age(at))
        });
        _ = writeln!(email, "Last event {events}");
        if let Some(stopped) = &self.stopped {
            _ = writeln!(email, "STOPPED    {}", one_line(stopped));
        }
        _ = write!(email, "Record     {}\nDetails:    ", self.heads);
        let audit =
            format!("simfuse audit --since {day} --until {}", day.tomorrow().unwrap_or(day));
        email.push_str(&typed(&audit, stack));
        Alert {
            id: format!("digest-{day}"),
            severity: Severity::Info,
            subject: subject_of(&format!("SimFuse: {} open, {day}: {happened}", self.open)),
            email,
            sms: None,
            fleet: None,
            detector: None,
            action: "digest".to_owned(),
            escalated: false,
            stack: None,
            tells: Vec::new(),
        }
    }

    fn write_open(&self, email: &mut String, stack: Option<&StackName>) {
        let looks = self.looks.len().saturating_add(self.looks_more);
        _ = writeln!(email, "\nOpen       {} incidents, {looks} of them need a look", self.open);
        for look in &self.looks {
            let ToLook { name, stage, since, used, command } = look;
            let used = used.map(|used| format!(", used at least {used}")).unwrap_or_default();
            _ = writeln!(email, "- {} {stage} since {since}{used}", one_line(name));
            _ = writeln!(email, "  {}", typed(command, stack));
        }
        if self.looks_more > 0 {
            let status = typed("simfuse status", stack);
            _ = writeln!(email, "… and {} more: {status}", self.looks_more);
        }
    }

    fn rate(&self) -> String {
        let (false_alarms, opened) = self.tally.last_30_days();
        let percent = false_alarms.saturating_mul(100).checked_div(opened);
        let percent = percent.map(|percent| format!(", {percent} %")).unwrap_or_default();
        format!("30 days    {opened} incidents, {false_alarms} false alarms{percent}")
    }
}

/// Numbers in words, those that are none left out.
fn said(counts: Counts) -> String {
    let Counts { opened, held, deactivated, proven, leaking, restored, false_alarms } = counts;
    let words = [
        (opened, "opened"),
        (held, "held"),
        (deactivated, "deactivated"),
        (proven, "proven dead"),
        (leaking, "LEAKING"),
        (restored, "restored"),
        (false_alarms, "false alarms"),
    ];
    let words = words.into_iter().filter(|(count, _)| *count > 0);
    words.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditEntry, Phase};
    use crate::id::FleetSid;
    use crate::money::Money;

    fn time(text: &str) -> Timestamp {
        format!("2026-03-{text}Z").parse().unwrap()
    }

    fn tally(actions: &[(&str, u8)]) -> DayTally {
        let mut tally = DayTally::default();
        for (number, (action, fleet)) in actions.iter().enumerate() {
            let entry = AuditEntry {
                sim: None,
                fleet: Some(FleetSid::from_bytes([*fleet; 16])),
                at: time("01T14:06:05"),
                id: "1".to_owned(),
                actor: "simfuse".to_owned(),
                action: (*action).to_owned(),
                phase: Phase::Outcome,
                reason: String::new(),
                incident: Some(format!("{number}-1772373965000")),
            };
            tally.count("2026-03-01".parse().unwrap(), &entry);
        }
        tally
    }

    fn digest(tally: &DayTally) -> Digest<'_> {
        Digest {
            heads: DayHeads::of("2026-03-01".parse().unwrap()),
            tally,
            now: time("02T00:15:30"),
            open: 0,
            stopped: None,
            last_event: Some(time("02T00:15:00")),
            looks: Vec::new(),
            looks_more: 0,
            used_on: "2026-02-28".parse().unwrap(),
            used: Vec::new(),
        }
    }

    #[test]
    fn a_day_on_which_nothing_happened_is_short() {
        let tally = DayTally::default();
        let alert = digest(&tally).alert(None);
        insta::assert_snapshot!(alert.subject, @"SimFuse: 0 open, 2026-03-01: nothing happened");
        insta::assert_snapshot!(alert.email, @r"
        2026-03-01: nothing happened

        Open       0 incidents, 0 of them need a look

        30 days    0 incidents, 0 false alarms
        Last event 30 s ago (2026-03-02T00:15:00Z)
        Record     audit of 2026-03-01: 0 entries, 0 heads, digest 161b103cde24a0c2069c75d5a54e80a24ae32d0e755ae7a1dd145d71b3ada5b0
        Details:    simfuse audit --since 2026-03-01 --until 2026-03-02
        ");
        assert_eq!(
            (alert.severity, alert.sms, alert.id.as_str()),
            (Severity::Info, None, "digest-2026-03-01")
        );
    }

    #[test]
    fn a_bad_day_says_what_where_and_what_to_do() {
        let tally = tally(&[("proven", 1), ("leaking", 2), ("false_alarm", 1), ("proven", 1)]);
        let looks = vec![ToLook {
            name: "pump\n17".to_owned(),
            stage: "leaking".to_owned(),
            since: time("01T14:06:00"),
            used: Some(Bytes(31_000_000)),
            command: "simfuse status HS01".to_owned(),
        }];
        let usd = Money { micros: 1_234_567, currency: "USD".parse().unwrap() };
        let digest = Digest {
            open: 3,
            stopped: Some("by ops: lunch".to_owned()),
            last_event: None,
            looks,
            looks_more: 1,
            used: vec![
                ("river".to_owned(), Bytes(5_000_000), Bill::of(Bytes(5_000_000), Some(usd))),
                ("lake".to_owned(), Bytes(5_000_000), Bill::of(Bytes(4_900_000), Some(usd))),
                ("dike".into(), Bytes(1), Bill::default()),
            ],
            ..digest(&tally)
        };
        let stack = "prod".parse().unwrap();
        let email = digest.alert(Some(&stack)).email;
        let head = email.split("Record").next().unwrap();
        insta::assert_snapshot!(head, @r"
        2026-03-01: 4 opened, 2 proven dead, 1 LEAKING, 1 false alarms
        - fleet HF01010101010101010101010101010101: 3 opened, 2 proven dead, 1 false alarms
        - fleet HF02020202020202020202020202020202: 1 opened, 1 LEAKING
        Used       2026-02-28: fleet river 5.0 MB, billed 1.23 USD
        Used       2026-02-28: fleet lake 5.0 MB, billed 1.23 USD for 4.9 MB of it
        Used       2026-02-28: fleet dike 1 B, what it costs is not known

        Open       3 incidents, 2 of them need a look
        - pump 17 leaking since 2026-03-01T14:06:00Z, used at least 31.0 MB
          simfuse status HS01 --stack prod
        … and 1 more: simfuse status --stack prod

        30 days    4 incidents, 1 false alarms, 25 %
        Last event none ever came: NOTHING IS GUARDED
        STOPPED    by ops: lunch
        ");
    }
}
