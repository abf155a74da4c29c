//! Keys of the table's items, and the times and shards in them.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use simfuse_domain::alert::CampaignScope;
use simfuse_domain::audit::{AuditEntry, ChainName};
use simfuse_domain::guard::CapScope;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::news::{News, Scope};
use simfuse_domain::port::{DeadLetter, Pass, UsageWindow};
use simfuse_domain::signed_link::SignedLink;
use simfuse_domain::time::Hour;

/// Partitions of each list in the index. One partition takes 1,000 writes a second, and a mass
/// theft inserts findings as fast as the webhook runs: eight leave it room, and the sweep still
/// reads them all in one round.
pub const SHARDS: u8 = 8;

/// Primary key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    pub(super) fn state(sim: SimSid) -> Self {
        Self::new(format!("EV#{sim}"), "STATE")
    }

    pub(super) fn heartbeat() -> Self {
        Self::new("EV#SINK", "HEARTBEAT")
    }

    pub(super) fn finding(sim: SimSid, finding: &str) -> Self {
        Self::new(findings_of(sim), finding)
    }

    pub(super) fn control(sim: SimSid) -> Self {
        Self::new(format!("KS#{sim}"), "CONTROL")
    }

    pub(super) fn open_incident(sim: SimSid) -> Self {
        Self::new(format!("KS#{sim}"), "INCIDENT#OPEN")
    }

    pub(super) fn past_incident(sim: SimSid, opened_at: Timestamp) -> Self {
        Self::new(format!("KS#{sim}"), format!("INCIDENT#{}", sortable(opened_at)))
    }

    pub(super) fn audit(entry: &AuditEntry) -> Self {
        Self::audit_of(ChainName::of(entry), entry.at, &entry.id)
    }

    pub(super) fn audit_of(chain: ChainName, at: Timestamp, id: &str) -> Self {
        Self::new(audit_chain(chain), format!("{}#{id}", audit_from(at)))
    }

    pub(super) fn chain(chain: ChainName) -> Self {
        Self::new(audit_chain(chain), "CHAIN")
    }

    pub(super) fn heads_run() -> Self {
        Self::new("KS#HEADS", "RUN")
    }

    pub(super) fn day_heads(day: Date) -> Self {
        Self::new(format!("KS#HEADS#{day}"), "DAY")
    }

    pub(super) fn heads_page(day: Date, page: u32) -> Self {
        Self::new(format!("KS#HEADS#{day}"), format!("PAGE#{page:010}"))
    }

    pub(super) fn kill_window(scope: CapScope) -> Self {
        Self::new(format!("KS#CAP#{scope}"), "WINDOW")
    }

    pub(super) fn campaign(scope: CampaignScope) -> Self {
        Self::new(format!("KS#CAMPAIGN#{scope}"), "TOLD")
    }

    pub(super) fn texts(hour: Hour) -> Self {
        Self::new("KS#TEXTS", hour.to_string())
    }

    pub(super) fn paged(name: &str) -> Self {
        Self::new(format!("KS#PAGED#{name}"), "AT")
    }

    pub(super) fn news(news: &News) -> Self {
        Self::new(format!("NEWS#{}", news.sim), news.key())
    }

    pub(super) fn told(scope: Scope) -> Self {
        match scope {
            Scope::Sim(sim, kind) => Self::new(format!("KS#{sim}"), format!("NEWS#{kind}")),
            Scope::Account(hour) => Self::new("KS#NEWS", hour.to_string()),
        }
    }

    pub(super) fn current_policy() -> Self {
        Self::new("POLICY", "CURRENT")
    }

    pub(super) fn policy_version(number: u64) -> Self {
        Self::new("POLICY", format!("v#{number:010}"))
    }

    pub(super) fn stop() -> Self {
        Self::new("POLICY", "STOP")
    }

    pub(super) fn usage(sim: SimSid) -> Self {
        Self::new(format!("US#{sim}"), "BASE")
    }

    pub(super) fn used(sim: SimSid, window: UsageWindow) -> Self {
        Self::new(format!("US#{sim}"), named(window))
    }

    pub(super) fn inventory(sim: SimSid) -> Self {
        Self::new(format!("US#{sim}"), "SIM")
    }

    pub(super) fn checkpoint(name: &str) -> Self {
        Self::new("US#RUN", name)
    }

    pub(super) fn fleet_used(fleet: FleetSid, window: UsageWindow) -> Self {
        Self::new(format!("FLEET#{fleet}"), named(window))
    }

    pub(super) fn fleet_inventory(fleet: FleetSid) -> Self {
        Self::new(format!("FLEET#{fleet}"), "INVENTORY")
    }

    pub(super) fn cohort(fleet: FleetSid) -> Self {
        Self::new(format!("FLEET#{fleet}"), "COHORT")
    }

    pub(super) fn rank(fleet: FleetSid, window: UsageWindow, page: u32) -> Self {
        let window = window.window().name();
        Self::new(format!("FLEET#{fleet}"), format!("RANK#{window}#{page:04}"))
    }

    pub(super) fn part(fleet: FleetSid, window: UsageWindow, pass: Pass, page: u32) -> Self {
        let parts = parts_of(window, pass);
        Self::new(format!("FLEET#{fleet}"), format!("{parts}#{page:010}"))
    }

    pub(super) fn link(link: &SignedLink) -> Self {
        Self::new(format!("LINK#{}", link.id()), "USED")
    }

    pub(super) fn dead_letter(letter: &DeadLetter) -> Self {
        let last = letter.sha256.chars().last().and_then(|digit| digit.to_digit(16));
        let shard = last.unwrap_or_default() % u32::from(SHARDS);
        let day = letter.received_at.strftime("%Y-%m-%d");
        Self::new(format!("DEADLETTER#{day}#{shard}"), letter.sha256.clone())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pk, self.sk)
    }
}

/// What an hour or a day is called in keys.
fn named(window: UsageWindow) -> String {
    let kind = match window {
        UsageWindow::Hour(_) => "HOUR",
        UsageWindow::Day(_) => "DAY",
    };
    format!("{kind}#{}", window.window().name())
}

/// How the keys of a window's parts begin.
pub(super) fn parts_of(window: UsageWindow, pass: Pass) -> String {
    let pass = match pass {
        Pass::Fresh => "FRESH",
        Pass::Close => "CLOSE",
    };
    format!("PART#{}#{pass}", window.window().name())
}

/// Partition of a SIM's findings.
pub(super) fn findings_of(sim: SimSid) -> String {
    format!("FIND#{sim}")
}

/// Partition of a SIM's past incidents, and between which sort keys they lie: the open one, whose
/// key begins alike, is not among them.
pub(super) fn past_incidents_of(sim: SimSid) -> [String; 3] {
    // A colon follows the digits, with which every year begins.
    [format!("KS#{sim}"), "INCIDENT#0".to_owned(), "INCIDENT#:".to_owned()]
}

/// Index partition of open findings.
pub(super) fn open_findings(shard: u8) -> String {
    format!("OPEN#{shard}")
}

/// Index partition of open incidents.
pub(super) fn due_incidents(shard: u8) -> String {
    format!("DUE#{shard}")
}

/// Index partition of open incidents in which nothing is left to be done but to tell.
pub(super) fn telling_incidents(shard: u8) -> String {
    format!("TELL#{shard}")
}

/// Index partition of open incidents that a cap holds: they are asked for by themselves.
pub(super) fn held_incidents(shard: u8) -> String {
    format!("HELD#{shard}")
}

/// Partition of a chain's audit entries and of its head.
pub(super) fn audit_chain(chain: ChainName) -> String {
    format!("KS#{chain}")
}

/// How the sort keys of a moment's audit entries begin.
pub(super) fn audit_from(at: Timestamp) -> String {
    format!("AUDIT#{}", sortable(at))
}

/// The shard of a chain in the index's lists.
pub(super) const fn chain_shard(chain: ChainName) -> u8 {
    match chain {
        ChainName::Account => 0,
        ChainName::Sim(sim) => shard_of(sim),
    }
}

/// Index partition of a shard's audit entries of the hour of a time.
pub(super) fn audit_hour(at: Timestamp, shard: u8) -> String {
    format!("AUDIT#{}#{shard}", at.strftime("%Y-%m-%dT%H"))
}

/// The shard of a SIM in the index's lists.
pub(super) const fn shard_of(sim: SimSid) -> u8 {
    let [.., last] = *sim.as_bytes();
    last % SHARDS
}

/// A time as text of fixed width, in UTC with milliseconds, which sorts by time. For years 0 to
/// 9999.
pub(super) fn sortable(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_keys_sort_as_times() {
        let texts = [
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999Z",
            "2026-03-01T14:00:00Z",
            "2026-03-01T14:00:00.001Z",
            "2026-03-01T14:00:00.0999999Z",
            "2026-03-01T14:00:00.1Z",
            "2026-03-01T14:00:09Z",
            "2026-03-01T14:00:10Z",
            "9999-12-30T22:00:00Z",
        ];
        let keys = texts.map(|text| sortable(text.parse().unwrap()));
        assert!(keys.is_sorted(), "{keys:?}");
        assert!(keys.iter().all(|key| key.len() == "2026-03-01T14:00:00.000Z".len()), "{keys:?}");
        assert_eq!(keys[2], "2026-03-01T14:00:00.000Z");
        assert_eq!(keys[4], "2026-03-01T14:00:00.099Z", "a time is never rounded into the future");
    }

    #[test]
    fn every_shard_is_reached_by_some_sim_and_none_lies_outside() {
        let shards: std::collections::BTreeSet<u8> =
            (0..=u8::MAX).map(|last| shard_of(SimSid::from_bytes([last; 16]))).collect();
        assert_eq!(shards, (0..SHARDS).collect());
    }
}
