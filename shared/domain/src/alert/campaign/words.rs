//! What a message about many SIMs says.

use super::{CampaignScope, GatheredKind};
use crate::alert::Severity;
use crate::id::FleetSid;

/// Words for one kind.
pub(super) struct Words {
    pub(super) severity: Severity,
    pub(super) action: &'static str,
    pub(super) happened: &'static str,
    pub(super) sort: &'static str,
    pub(super) means: &'static str,
    to_do: &'static [Command],
}

/// What it is for, and the command: FLEET stands for the fleet, FILE for a file of names.
type Command = (&'static str, &'static str);

const LOOK: Command = ("To see how things are:        ", "simfuse status");
const STOP: Command = ("To stop automatic kills:      ", "simfuse stop --reason \"...\"");
const KILL: Command =
    ("To see what would go off:     ", "simfuse kill --fleet FLEET --dry-run --reason \"...\"");
const APPROVE_DRY: Command =
    ("What approving them does:     ", "simfuse approve --file FILE --dry-run");
const APPROVE: Command =
    ("To switch off those in FILE:  ", "simfuse approve --file FILE --reason \"...\"");
const OVERRIDE: Command = (
    "Protected ones among them:    ",
    "simfuse approve --file FILE --override-protection --reason \"...\"",
);
const RESTORE: Command =
    ("To undo it for those in FILE: ", "simfuse restore --file FILE --reason \"...\"");
const KILL_AGAIN: Command =
    ("To switch off those in FILE:  ", "simfuse kill --file FILE --reason \"...\"");

/// Why many SIMs do the same thing at once.
const ONE_CAUSE: &str = "Many SIMs of one fleet within two hours may have one cause: a theft of many, a \
                         carrier's or a firmware's change, or a wrong rule.";

/// What humans asked for is told apart from what policy does.
const ASKED: &str = "Humans asked for it: who and why stands beside each.";

impl Words {
    /// What each command is for, and the command as it is typed. One that needs the fleet is left
    /// out where that is not known.
    pub(super) fn commands(
        &self,
        fleet: Option<FleetSid>,
        is_protected: bool,
    ) -> Vec<(&'static str, String)> {
        let overrides = is_protected.then_some(&OVERRIDE);
        let all = self.to_do.iter().chain(overrides);
        let filled = all.filter_map(|(label, command)| match fleet {
            Some(fleet) => Some((*label, command.replace("FLEET", &fleet.to_string()))),
            None => (!command.contains("FLEET")).then(|| (*label, (*command).to_owned())),
        });
        filled.collect()
    }

    /// Whether a command takes the SIMs as a file.
    pub(super) fn takes_file(&self) -> bool {
        self.to_do.iter().any(|(_, command)| command.contains("FILE"))
    }
}

pub(super) fn words_of(scope: CampaignScope) -> Words {
    let automatic = automatic(scope.kind);
    if scope.by_human && automatic.means == ONE_CAUSE {
        return Words { sort: "as was asked", means: ASKED, ..automatic };
    }
    automatic
}

fn automatic(kind: GatheredKind) -> Words {
    let words = |severity, action, happened, to_do| Words {
        severity,
        action,
        happened,
        sort: "a campaign or a wrong rule",
        means: ONE_CAUSE,
        to_do,
    };
    match kind {
        GatheredKind::Opened => {
            words(Severity::Warning, "alerted", "need a look", &[LOOK, KILL, STOP])
        }
        GatheredKind::Held => words(
            Severity::Critical,
            "held",
            "NOT deactivated: a guard holds each",
            &[LOOK, APPROVE_DRY, APPROVE, KILL],
        ),
        GatheredKind::Killed => words(
            Severity::Critical,
            "deactivated",
            "are being deactivated",
            &[STOP, LOOK, RESTORE],
        ),
        GatheredKind::Unreachable => Words {
            sort: "the provider does not do it",
            means: "What the provider said stands beside each; it is asked again and again. One cause \
                    in most cases: its credentials, its API, or the way to it. Until it does what is \
                    asked, its own console is the way.",
            ..words(
                Severity::Critical,
                "unreachable",
                "are NOT in the status they should have",
                &[LOOK, STOP],
            )
        },
        GatheredKind::Proven => Words {
            sort: "no traffic any more",
            means: "The provider says inactive, and the network carries none of them any more.",
            ..words(Severity::Info, "proven", "proven dead", &[LOOK, RESTORE])
        },
        GatheredKind::Quarantined => Words {
            sort: "they can do no harm",
            means: "They may connect, in a fleet without data.",
            ..words(Severity::Info, "quarantined", "are in quarantine", &[LOOK, RESTORE])
        },
        GatheredKind::Restored => Words {
            sort: "active again",
            means: "They are active again, as was asked.",
            ..words(Severity::Info, "restored", "restored", &[LOOK, KILL_AGAIN])
        },
    }
}
