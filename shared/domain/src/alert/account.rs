//! What a human did that is about no SIM: the stop switch, and the policy.

use super::{Alert, Severity, StackName, one_line, subject_of, typed};
use crate::audit::AuditEntry;

/// Lines of what an act changed that stand in one e-mail: a phone's screen or two.
const DETAILS_MAX: usize = 40;

impl Alert {
    /// Tells of an act that is recorded like this; `None` for those that nobody is told of. The id
    /// follows from the entry, so that it is the same whoever tells it, and whenever.
    #[must_use]
    pub fn of_account_act(
        entry: &AuditEntry,
        details: &[String],
        stack: Option<&StackName>,
    ) -> Option<Self> {
        let Words { happened, action, means, to_do } = words_of(entry)?;
        let mut lines = vec![
            happened.to_owned(),
            String::new(),
            format!("By         {}: {}", one_line(&entry.actor), one_line(&entry.reason)),
            format!("Time       {}", entry.at),
            format!("Means      {means}"),
        ];
        lines.extend(details.iter().take(DETAILS_MAX).map(|line| format!("- {}", one_line(line))));
        match details.len().saturating_sub(DETAILS_MAX) {
            0 => {}
            more => lines.push(format!("… and {more} more")),
        }
        lines.push(String::new());
        lines.push("What to do: nothing, if you know of it. Otherwise:".to_owned());
        lines.extend(to_do.iter().map(|command| typed(command, stack)));
        Some(Self {
            id: format!("act-{}", entry.id),
            severity: Severity::Warning,
            subject: subject_of(&format!("SimFuse: {happened}, by {}", one_line(&entry.actor))),
            email: lines.join("\n"),
            sms: None,
            fleet: None,
            detector: None,
            action: action.to_owned(),
            escalated: false,
            stack: None,
            tells: Vec::new(),
        })
    }
}

struct Words {
    happened: &'static str,
    action: &'static str,
    means: &'static str,
    to_do: &'static [&'static str],
}

fn words_of(entry: &AuditEntry) -> Option<Words> {
    match entry.action.as_str() {
        "stop" => Some(Words {
            happened: "automatic kills are STOPPED",
            action: "stopped",
            means: "no automatic kill until someone resumes. What is found is still told, and what \
                    policy would cut is held. Kills, approvals and restores by hand still work",
            to_do: &[
                "To let them go on:          simfuse resume --reason \"...\"",
                "To see what waits:          simfuse status",
            ],
        }),
        "resume" => Some(Words {
            happened: "automatic kills go on, where policy enforces",
            action: "resumed",
            means: "policy deactivates SIMs again, where it enforces. What was held meanwhile stays \
                    held until someone approves it",
            to_do: &[
                "To stop them again:         simfuse stop --reason \"...\"",
                "To see what is still held:  simfuse status",
            ],
        }),
        "policy_apply" => Some(Words {
            happened: "another policy is in force",
            action: "policy_applied",
            means: "it rules from now on, within half a minute everywhere. Nothing that was held is \
                    released by it",
            to_do: &[
                "To read it:                 simfuse policy show",
                "To stop automatic kills:    simfuse stop --reason \"...\"",
            ],
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Phase;

    fn entry(action: &str, reason: &str) -> AuditEntry {
        AuditEntry {
            sim: None,
            fleet: None,
            at: "2026-03-01T14:00:00Z".parse().unwrap(),
            id: format!("{action}-1"),
            actor: "ops\n".to_owned(),
            action: action.to_owned(),
            phase: Phase::Outcome,
            reason: reason.to_owned(),
            incident: None,
        }
    }

    #[test]
    fn a_stop_says_who_why_when_what_it_means_and_how_to_end_it() {
        let stack = "prod".parse().unwrap();
        let alert = Alert::of_account_act(&entry("stop", "wrong\nrule"), &[], Some(&stack));
        let alert = alert.unwrap();
        insta::assert_snapshot!(alert.subject, @"SimFuse: automatic kills are STOPPED, by ops");
        insta::assert_snapshot!(alert.email, @r#"
        automatic kills are STOPPED

        By         ops : wrong rule
        Time       2026-03-01T14:00:00Z
        Means      no automatic kill until someone resumes. What is found is still told, and what policy would cut is held. Kills, approvals and restores by hand still work

        What to do: nothing, if you know of it. Otherwise:
        To let them go on:          simfuse resume --reason "..." --stack prod
        To see what waits:          simfuse status --stack prod
        "#);
        assert_eq!((alert.id.as_str(), alert.action.as_str()), ("act-stop-1", "stopped"));
    }

    #[test]
    fn a_policy_is_told_with_what_it_changes_and_not_endlessly() {
        let changes: Vec<String> = (0..50).map(|number| format!("hour_mb {number}\n")).collect();
        let alert =
            Alert::of_account_act(&entry("policy_apply", "version 6 → 7: more"), &changes, None);
        let alert = alert.unwrap();
        assert!(alert.email.contains(": version 6 → 7: more\n"), "{}", alert.email);
        assert!(alert.email.contains("\n- hour_mb 39 \n… and 10 more\n"), "{}", alert.email);
        assert!(alert.subject.is_ascii() && alert.subject.len() < 100);
    }

    #[test]
    fn only_these_acts_are_told() {
        for action in ["fleet_limit", "protect", "audit", ""] {
            assert_eq!(Alert::of_account_act(&entry(action, "why"), &[], None), None);
        }
        assert!(Alert::of_account_act(&entry("resume", "why"), &[], None).is_some());
    }
}
