//! What the aggregator tells a human: news of a fleet or of the account, not of one SIM.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use crate::alert::{Alert, SUBJECT_BYTES_MAX, Severity, StackName, plain, sms_of, typed};
use crate::evidence::Surge;
use crate::finding::DetectorId;
use crate::id::FleetSid;
use crate::port::Fleet;

/// SIMs named in one message; the count is of all.
pub const NAMED_MAX: usize = 20;

/// News of a fleet or of the account.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A Fleet's own data limit is not what it should be.
    LimitDrift {
        /// The fleet as it is.
        fleet: Fleet,
        /// What is wrong.
        drift: Drift,
    },
    /// No event came for longer than the account's rhythm allows.
    NoEvents {
        /// When the last one was received; `None`: there never was one.
        since: Option<Timestamp>,
        /// How long it may be silent.
        allowed: SignedDuration,
    },
    /// Sessions end without any update.
    UpdatesMissing {
        /// When the last update was received, if ever.
        since: Option<Timestamp>,
    },
    /// Usage records of many SIMs hold far more than events showed.
    BytesUnseen {
        /// How many SIMs.
        sims: u64,
        /// What was found of the first ones.
        named: Vec<String>,
    },
    /// More SIMs of a fleet than ever are unusual at once.
    CohortSurge {
        /// The fleet.
        fleet: FleetSid,
        /// What humans call it.
        name: Option<String>,
        /// Since when, and how many.
        surge: Surge,
    },
    /// SIMs fell silent since the day before.
    Silent {
        /// How many SIMs.
        sims: u64,
        /// What was found of the first ones.
        named: Vec<String>,
    },
}

/// What is wrong with a Fleet's own data limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// There is none.
    Missing,
    /// It was this many megabytes when it was last looked at.
    Changed {
        /// Megabytes before.
        was_mb: u32,
    },
    /// It is above what policy wants.
    AbovePolicy {
        /// Megabytes that policy wants at most.
        wanted_mb: u32,
    },
}

struct Words {
    detector: DetectorId,
    severity: Severity,
    happened: String,
    why: String,
    to_do: String,
}

impl Notice {
    /// What tells it from others: of the same id one is told, once a day, or once an episode.
    #[must_use]
    pub fn id(&self, now: Timestamp) -> String {
        let about = match self {
            Self::LimitDrift { fleet, drift } => {
                let drift = match drift {
                    Drift::Missing => "missing".to_owned(),
                    Drift::Changed { was_mb } => format!("was-{was_mb}"),
                    Drift::AbovePolicy { wanted_mb } => format!("above-{wanted_mb}"),
                };
                format!("{}-{drift}-{}", fleet.sid, fleet.data_limit_mb.unwrap_or(0))
            }
            Self::CohortSurge { fleet, surge, .. } => {
                return format!("{}-{fleet}-{}", self.words().detector, surge.since);
            }
            Self::NoEvents { .. }
            | Self::UpdatesMissing { .. }
            | Self::BytesUnseen { .. }
            | Self::Silent { .. } => "account".to_owned(),
        };
        format!("{}-{about}-{}", self.words().detector, now.strftime("%Y-%m-%d"))
    }

    /// The alert in which it is told. Its commands are for this stack, where it has a name.
    #[must_use]
    pub fn alert(&self, now: Timestamp, stack: Option<&StackName>) -> Alert {
        let words = self.words();
        let mut email = format!("{}\n\n{}\nTime       {now}\n", words.happened, words.why);
        if let Self::BytesUnseen { sims, named } | Self::Silent { sims, named } = self {
            for line in named {
                // Writing to a string cannot fail.
                _ = writeln!(email, "- {line}");
            }
            let named = u64::try_from(named.len()).unwrap_or(u64::MAX);
            if *sims > named {
                _ = writeln!(email, "… and {} more", sims.saturating_sub(named));
            }
        }
        _ = write!(email, "\nWhat to do: {}\n", typed(&words.to_do, stack));
        let subject = plain(&format!("SimFuse: {}", words.happened), SUBJECT_BYTES_MAX);
        let sms = || sms_of(&words.happened, &words.to_do, "", stack);
        Alert {
            escalated: false,
            stack: None,
            tells: Vec::new(),
            id: self.id(now),
            severity: words.severity,
            subject,
            email,
            sms: (words.severity >= Severity::Critical).then(sms),
            fleet: self.fleet(),
            detector: Some(words.detector),
            action: "alerted".to_owned(),
        }
    }

    const fn fleet(&self) -> Option<FleetSid> {
        match self {
            Self::LimitDrift { fleet, .. } => Some(fleet.sid),
            Self::CohortSurge { fleet, .. } => Some(*fleet),
            Self::NoEvents { .. }
            | Self::UpdatesMissing { .. }
            | Self::BytesUnseen { .. }
            | Self::Silent { .. } => None,
        }
    }

    fn words(&self) -> Words {
        match self {
            Self::LimitDrift { fleet, drift } => words_of_drift(fleet, *drift),
            Self::CohortSurge { fleet, name, surge } => {
                words_of_surge(*fleet, name.as_deref(), surge)
            }
            Self::NoEvents { since, allowed } => Words {
                detector: DetectorId::NoEvents,
                severity: Severity::Critical,
                happened: match since {
                    Some(since) => format!("no event since {since}"),
                    None => "no event ever came, and SIMs use data".to_owned(),
                },
                why: format!(
                    "A pause of {} hours would be usual. Without events nothing is found in time; \
                     usage records still are, an hour or more later.",
                    allowed.as_hours()
                ),
                to_do: "Check the sink and its subscription (docs/runbook.md)".to_owned(),
            },
            Self::UpdatesMissing { since } => Words {
                detector: DetectorId::UpdatesMissing,
                severity: Severity::Warning,
                happened: "sessions end without any update".to_owned(),
                why: match since {
                    Some(since) => format!("The last data-session.updated came at {since}."),
                    None => "No data-session.updated ever came.".to_owned(),
                },
                to_do: "Add data-session.updated to the subscription: without it a limit is seen \
                        when a session ends, hours too late"
                    .to_owned(),
            },
            Self::BytesUnseen { sims, .. } => Words {
                detector: DetectorId::BytesUnseen,
                severity: Severity::Warning,
                happened: format!("{sims} SIMs used far more than events showed"),
                why: "Usage records hold more than twice what events showed, and over 1 MB more."
                    .to_owned(),
                to_do: "Events are lost: check the sink, its subscription and the webhook's alarms"
                    .to_owned(),
            },
            Self::Silent { sims, .. } => Words {
                detector: DetectorId::Silent,
                severity: Severity::Info,
                happened: format!("{sims} SIMs fell silent"),
                why: "Each is silent for over three times as long as ever before, and over a day."
                    .to_owned(),
                to_do: "Look at their devices, or deactivate SIMs that are out of use".to_owned(),
            },
        }
    }
}

fn words_of_drift(fleet: &Fleet, drift: Drift) -> Words {
    let name = fleet.unique_name.clone().unwrap_or_else(|| fleet.sid.to_string());
    let name = name.replace(char::is_control, " ");
    let limit = fleet.data_limit_mb.map_or("none".to_owned(), |limit| format!("{limit} MB"));
    let (happened, wanted) = match drift {
        Drift::Missing => (format!("fleet {name} has no data limit of its own"), None),
        Drift::Changed { was_mb } => {
            (format!("fleet {name}: data limit changed from {was_mb} MB to {limit}"), Some(was_mb))
        }
        Drift::AbovePolicy { wanted_mb } => {
            let happened = format!("fleet {name}: data limit {limit} is above policy");
            (happened, Some(wanted_mb))
        }
    };
    let set = wanted.map_or("MB".to_owned(), |wanted| wanted.to_string());
    Words {
        detector: DetectorId::LimitDrift,
        severity: Severity::Warning,
        happened,
        why: "The Fleet's own limit holds when nothing else does: it bounds what one SIM may cost \
              in a billing period."
            .to_owned(),
        to_do: format!("if it is not meant: simfuse fleet limit {} --set {set}", fleet.sid),
    }
}

fn words_of_surge(fleet: FleetSid, name: Option<&str>, surge: &Surge) -> Words {
    let Surge { since, strange, active, .. } = surge;
    let name = name.map_or_else(|| fleet.to_string(), str::to_owned);
    let name = name.replace(char::is_control, " ");
    Words {
        detector: DetectorId::CohortSurge,
        severity: Severity::Critical,
        happened: format!(
            "fleet {name}: {strange} of {active} SIMs use far more than usual at once"
        ),
        why: format!(
            "First in the hour {since}. In four weeks there was not half that share but on three \
             days at most. It may be a theft campaign, a botnet, or a firmware update."
        ),
        to_do: format!(
            "if no work is planned: simfuse kill --fleet {fleet} --used-more-than-mb 10 \
             --in-last-hours 6 --dry-run"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(data_limit_mb: Option<u32>) -> Fleet {
        let sid = FleetSid::from_bytes([2; 16]);
        Fleet { sid, unique_name: Some("pumps".to_owned()), data_enabled: None, data_limit_mb }
    }

    fn now() -> Timestamp {
        "2026-03-01T14:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_drift_says_what_is_and_how_to_mend_it() {
        let drift = Drift::Changed { was_mb: 250 };
        let alert = Notice::LimitDrift { fleet: fleet(Some(2_000)), drift }.alert(now(), None);
        assert_eq!(
            alert.subject,
            "SimFuse: fleet pumps: data limit changed from 250 MB to 2000 MB"
        );
        assert!(alert.email.contains("simfuse fleet limit HF0202"), "{}", alert.email);
        assert!(alert.email.contains("--set 250"), "{}", alert.email);
        assert_eq!((alert.severity, alert.sms), (Severity::Warning, None));
    }

    #[test]
    fn silence_of_the_pipeline_wakes_someone() {
        let allowed = SignedDuration::from_hours(3);
        let alert = Notice::NoEvents { since: None, allowed }.alert(now(), None);
        assert_eq!(alert.severity, Severity::Critical);
        let sms = alert.sms.unwrap();
        assert!(sms.len() <= 160 && sms.contains("no event ever came"), "{sms}");
        let since = Some(now());
        let prod = "prod".parse().unwrap();
        let sms = Notice::NoEvents { since, allowed }.alert(now(), Some(&prod)).sms.unwrap();
        assert!(sms.len() <= 160 && sms.starts_with("SimFuse prod: no event since"), "{sms}");
        assert!(sms.ends_with("subscription (docs/runbook.md)"), "{sms}");
    }

    #[test]
    fn a_surge_pages_once_an_episode() {
        let since: crate::time::Hour = "2026-03-01T10Z".parse().unwrap();
        let of = |hours| {
            let surge = Surge { since, latest: since.plus(hours), strange: 60, active: 200 };
            let (fleet, name) = (FleetSid::from_bytes([2; 16]), Some("pumps".to_owned()));
            Notice::CohortSurge { fleet, name, surge }
        };
        let alert = of(0).alert(now(), None);
        let subject = "SimFuse: fleet pumps: 60 of 200 SIMs use far more than usual at once";
        assert_eq!((alert.subject.as_str(), alert.severity), (subject, Severity::Critical));
        assert!(alert.email.contains("--in-last-hours 6 --dry-run"), "{}", alert.email);
        let sms = alert.sms.unwrap();
        assert!(sms.len() <= 160 && sms.contains("60 of 200 SIMs"), "{sms}");
        let next_day = "2026-03-02T01:00:00Z".parse().unwrap();
        assert_eq!(of(0).id(now()), of(9).id(next_day));
    }

    #[test]
    fn the_same_news_has_the_same_id_all_day_and_another_the_day_after() {
        let silent = |sims| Notice::Silent { sims, named: Vec::new() };
        let (night, next) = ("2026-03-01T23:59:59Z", "2026-03-02T00:00:00Z");
        assert_eq!(silent(1).id(now()), silent(2).id(night.parse().unwrap()));
        assert_ne!(silent(1).id(now()), silent(1).id(next.parse().unwrap()));
        let drift =
            |limit| Notice::LimitDrift { fleet: fleet(limit), drift: Drift::Missing }.id(now());
        assert_ne!(drift(None), drift(Some(1)));
    }

    #[test]
    fn a_list_names_some_and_counts_all() {
        let named = vec!["pump-1: silent".to_owned()];
        let alert = Notice::Silent { sims: 41, named }.alert(now(), None);
        assert!(alert.email.contains("- pump-1: silent\n… and 40 more"), "{}", alert.email);
        assert_eq!(alert.subject, "SimFuse: 41 SIMs fell silent");
    }
}
