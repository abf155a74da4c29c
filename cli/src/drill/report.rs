//! What the drill showed.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use simfuse_domain::alert::Alert;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::SimSid;
use simfuse_domain::port::SimStatus;
use simfuse_testkit::fleet::Theft;

use crate::output;

use super::world::{HISTORY_DAYS, LAST_HOURS, Rogue, SEED, SIMS, World};

/// What a Fleet's own limit of 250 MB lets through: the limit, and the usage record of some 31 MB
/// in which it is noticed.
const LEAK_OF_FLEET_LIMIT: u64 = 281 * Bytes::MB;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) ok: bool,
    fleet_sims: u32,
    seed: u64,
    benign_deactivated: usize,
    events_folded: usize,
    events_posted: usize,
    real_secs: f64,
    rogues: Vec<RogueReport>,
    alerts: Vec<AlertReport>,
    mailbox: String,
}

#[derive(Debug, Serialize)]
struct RogueReport {
    sim: SimSid,
    name: String,
    scenario: &'static str,
    provider: &'static str,
    detector: Option<String>,
    why: Option<String>,
    receipt_to_request_ms: Option<f64>,
    stolen_at: Timestamp,
    requested_at: Option<Timestamp>,
    proven_at: Option<Timestamp>,
    bytes_leaked: u64,
    bytes_leaked_with_fleet_limit: u64,
    status: Option<SimStatus>,
    proven: bool,
    restored: bool,
}

#[derive(Debug, Serialize)]
struct AlertReport {
    subject: String,
    email: String,
    sms: Option<String>,
}

impl Report {
    /// The report of a world that was lived through.
    pub(super) fn of(world: &World, took: Duration) -> Self {
        let alerts = world.mailbox.alerts();
        let rogues: Vec<_> =
            world.rogues.iter().map(|rogue| rogue_report(rogue, &alerts)).collect();
        let benign_deactivated = world.benign_deactivated();
        let caught = |rogue: &RogueReport| {
            rogue.proven && rogue.restored && rogue.receipt_to_request_ms.is_some()
        };
        Self {
            ok: benign_deactivated == 0 && !rogues.is_empty() && rogues.iter().all(caught),
            fleet_sims: SIMS,
            seed: SEED,
            benign_deactivated,
            events_folded: world.events_folded,
            events_posted: world.events_posted,
            real_secs: took.as_secs_f64(),
            rogues,
            alerts: alerts.into_iter().map(AlertReport::of).collect(),
            mailbox: world.mailbox.path().display().to_string(),
        }
    }

    /// The report for a person.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.head(&mut text);
        let mut table = output::table([
            "SIM",
            "thief's device",
            "provider",
            "found by",
            "event to request",
            "leaked",
            "with a 250 MB limit",
            "dead after",
            "restored",
        ]);
        for rogue in &self.rogues {
            table.add_row(rogue.row());
        }
        // Writing to a string cannot fail.
        _ = writeln!(text, "{table}\n");
        for rogue in &self.rogues {
            let why = rogue.why.as_deref().unwrap_or("nothing was found");
            _ = writeln!(text, "{}: {why}", rogue.name);
        }
        self.foot(&mut text);
        text
    }

    fn head(&self, text: &mut String) {
        let verdict = if self.ok { "Every thief was cut off" } else { "THE DRILL FAILED" };
        _ = writeln!(
            text,
            "\n{verdict}: {} SIMs stolen of {}, {} benign SIMs touched, {:.0} s.\n\
             {} events of {HISTORY_DAYS} days were folded straight into the table, {} events of the \
             last {LAST_HOURS} hours and of the thefts went over HTTP.\n",
            self.rogues.len(),
            self.fleet_sims,
            self.benign_deactivated,
            self.real_secs,
            self.events_folded,
            self.events_posted,
        );
    }

    fn foot(&self, text: &mut String) {
        _ = writeln!(
            text,
            "\n`event to request` is real time: webhook, table, its stream, kill-switch, request. \
             All other times are virtual.\n\
             How the provider ends an open session is not documented, so three ways are shown.\n"
        );
        if let Some(alert) = self.alerts.first() {
            _ = writeln!(text, "The first of {} alerts, as e-mail:\n", self.alerts.len());
            for line in alert.email.lines() {
                _ = writeln!(text, "  | {line}");
            }
            if let Some(sms) = &alert.sms {
                _ = writeln!(text, "\nand as SMS:\n\n  | {sms}");
            }
        }
        _ = writeln!(text, "\nAll alerts: {}", self.mailbox);
    }
}

impl RogueReport {
    fn row(&self) -> Vec<String> {
        let dead_after = self.proven_at.map(|at| minutes(at.duration_since(self.stolen_at)));
        let request = self.receipt_to_request_ms.map(|ms| format!("{ms:.0} ms"));
        let none = || "never".to_owned();
        vec![
            self.name.clone(),
            self.scenario.replace('_', " "),
            self.provider.to_owned(),
            self.detector.clone().unwrap_or_else(none),
            request.unwrap_or_else(|| "only by the sweep".to_owned()),
            Bytes(self.bytes_leaked).to_string(),
            Bytes(self.bytes_leaked_with_fleet_limit).to_string(),
            dead_after.unwrap_or_else(|| "NOT PROVEN".to_owned()),
            if self.restored { "yes" } else { "NO" }.to_owned(),
        ]
    }
}

impl AlertReport {
    fn of(alert: Alert) -> Self {
        Self { subject: alert.subject, email: alert.email, sms: alert.sms }
    }
}

fn rogue_report(rogue: &Rogue, alerts: &[Alert]) -> RogueReport {
    let of_sim = |alert: &&Alert| alert.id.starts_with(&rogue.sim.to_string());
    let alert = alerts.iter().find(of_sim);
    let why = alert.and_then(|alert| alert.email.lines().find(|line| line.starts_with("Why")));
    RogueReport {
        sim: rogue.sim,
        name: rogue.name.clone(),
        scenario: match rogue.theft {
            Theft::Tablet => "tablet",
            Theft::SpoofedImei => "spoofed_imei",
        },
        provider: rogue.provider,
        detector: alert.and_then(|alert| alert.detector).map(|detector| detector.to_string()),
        why: why.map(|line| line.trim_start_matches("Why").trim().to_owned()),
        receipt_to_request_ms: rogue.receipt_to_request.map(|took| took.as_secs_f64() * 1e3),
        stolen_at: rogue.stolen_at,
        requested_at: rogue.requested_at,
        proven_at: rogue.proven_at,
        bytes_leaked: rogue.bytes_leaked,
        bytes_leaked_with_fleet_limit: LEAK_OF_FLEET_LIMIT,
        status: rogue.status_at_proof,
        proven: rogue.proven_at.is_some(),
        restored: rogue.restored,
    }
}

fn minutes(duration: SignedDuration) -> String {
    let secs = duration.as_secs();
    if secs < 120 { format!("{secs} s") } else { format!("{} min", secs / 60) }
}
