//! What a person is told of an answer.

use std::collections::BTreeMap;

use simfuse_domain::finding::{Evidence, Finding};
use simfuse_domain::id::SimSid;
use simfuse_kill_switch::request::{
    Action, Answer, Attention, Outcome, Selected, SimAnswer, Status,
};

use crate::many::is_fine;
use crate::output::{self, Aligned, DRY_RUN};

/// Rows of a table that a person reads; of more, those that went wrong come first.
const ROWS_MAX: usize = 50;

/// SIMs that are only named, in a line or two.
const NAMED_MAX: usize = 10;

/// A SIM's status, line by line.
const DETAILS: Aligned = Aligned { indent: 2, label_width: 16 };

/// What a person is told of an answer.
pub(crate) fn text(answer: &Answer) -> String {
    let mut text = String::new();
    if let Some(error) = &answer.error {
        text.push_str(&format!("{} refused: {error}\n", answer.action));
    }
    if answer.dry_run {
        text.push_str(&format!("{DRY_RUN}\n"));
    }
    if let Some(already) = &answer.already {
        text.push_str(&format!("Nothing was done: {already}\n"));
    }
    if let Some(status) = &answer.status {
        text.push_str(&status_text(status));
    }
    if let Some(selected) = &answer.selected {
        text.push_str(&selected_text(selected));
    }
    // How a SIM is, is said of each by itself.
    let (shown, rows): (Vec<&SimAnswer>, Vec<&SimAnswer>) =
        answer.sims.iter().partition(|sim| sim.details.is_some());
    if !answer.sims.is_empty() {
        text.push_str(&sims_text(answer, rows));
    } else if answer.selected.is_some() && !answer.needs_digest() {
        text.push_str("No SIM is selected.\n");
    } else if answer.action == Action::Approve && answer.error.is_none() {
        let still = if answer.cleared.is_empty() { "" } else { " that policy still asks for" };
        text.push_str(&format!("No kill is held by the cap{still}.\n"));
    }
    text.push_str(&cleared_text(&answer.cleared));
    for sim in shown {
        text.push_str(&details_text(sim));
    }
    if let Some(digest) = answer.digest.as_ref().filter(|_| answer.dry_run) {
        text.push_str(&format!("Digest {digest}\n"));
    }
    text
}

/// What became of SIMs, in a table and in numbers.
fn sims_text(answer: &Answer, mut rows: Vec<&SimAnswer>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let by_usage = rows.iter().any(|sim| sim.used_bytes.is_some());
    if rows.len() > ROWS_MAX {
        rows.sort_by_key(|sim| is_fine(sim.outcome));
    }
    let acts = !answer.dry_run && answer.action != Action::Status;
    let status = if acts { "status before" } else { "status" };
    let mut table = if by_usage {
        output::narrow_table(["SIM", "used", status, "outcome", "why"])
    } else {
        output::narrow_table(["SIM", status, "outcome", "why"])
    };
    for sim in rows.iter().take(ROWS_MAX) {
        let found = sim.found.as_ref().map(|found| found.status.to_string());
        let used = sim.used_bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let mut row = vec![called(sim).join("\n"), found.unwrap_or_else(|| "-".to_owned())];
        row.extend([outcome_text(sim.outcome, answer.dry_run), sim.reason.clone()]);
        if by_usage {
            row.insert(1, used);
        }
        table.add_row(row);
    }
    let mut text = format!("{table}\n");
    let more = rows.len().saturating_sub(ROWS_MAX);
    if more > 0 {
        text.push_str(&format!("… and {more} more (--json lists all)\n"));
    }
    if rows.len() > 1 {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for sim in &rows {
            let count = counts.entry(outcome_text(sim.outcome, answer.dry_run)).or_default();
            *count = count.saturating_add(1);
        }
        let counts = counts.iter().map(|(outcome, count)| format!("{count} {outcome}"));
        let counts: Vec<String> = counts.collect();
        text.push_str(&format!("{} SIMs: {}\n", rows.len(), counts.join(", ")));
    }
    let is_already = rows.iter().any(|sim| sim.outcome == Outcome::Already);
    if is_already && acts {
        text.push_str("`already`: where nothing was changed, no reason was recorded either.\n");
    }
    text
}

/// What the SIM was called, and in brackets what else it is called, where that is anything else.
fn called(sim: &SimAnswer) -> Vec<String> {
    let sid = sim.sim.map(|sid| sid.to_string());
    let other =
        sim.name.as_ref().filter(|name| **name != sim.requested && Some(*name) != sid.as_ref());
    std::iter::once(sim.requested.clone()).chain(other.map(|name| format!("({name})"))).collect()
}

/// Held kills that an approval leaves out.
fn cleared_text(cleared: &[SimSid]) -> String {
    let count = cleared.len();
    if count == 0 {
        return String::new();
    }
    let mut text = format!(
        "{count} more are held and left out: policy asks for them no more. To switch one \
         off all\nthe same, or to let go of it:\n"
    );
    for sim in cleared.iter().take(NAMED_MAX) {
        for command in ["kill", "restore"] {
            text.push_str(&format!("  simfuse {command} {sim} --reason \"...\"\n"));
        }
    }
    match count.saturating_sub(NAMED_MAX) {
        0 => {}
        more => text.push_str(&format!("  … and {more} more (--json lists all)\n")),
    }
    text
}

/// An outcome in words. Nothing is pending of what was only asked.
pub(crate) fn outcome_text(outcome: Outcome, dry_run: bool) -> String {
    if dry_run && outcome == Outcome::Pending {
        return "would be done".to_owned();
    }
    let outcome = serde_json::to_value(outcome).unwrap_or_default();
    outcome.as_str().unwrap_or_default().replace('_', " ")
}

fn selected_text(selected: &Selected) -> String {
    let fleet = selected.fleet.map_or("all fleets".to_owned(), |fleet| format!("fleet {fleet}"));
    if selected.hours == 0 {
        return format!("Selected: all SIMs of {fleet}\n");
    }
    let known = match &selected.known_through {
        Some(hour) => {
            format!("through {hour}, of {} of {} hours", selected.hours_known, selected.hours)
        }
        None => "of no hour".to_owned(),
    };
    let mut text = format!("Selected by usage, of {fleet}. Usage records are known {known}; ");
    text.push_str("of other hours, what events prove is counted.\n");
    if selected.sims_unranked > 0 {
        let count = selected.sims_unranked;
        text.push_str(&format!(
            "{count} SIMs with less usage than 20,000 others are not ranked.\n"
        ));
    }
    if selected.sims_moved > 0 {
        let count = selected.sims_moved;
        text.push_str(&format!("{count} SIMs are left out: they are in another fleet now.\n"));
    }
    text
}

fn status_text(status: &Status) -> String {
    let enforce = simfuse_domain::policy::Mode::Enforce;
    let acts = status.enforces_anywhere && status.armed == enforce && status.stopped.is_none();
    let acts = match (acts, status.policy_mode == enforce) {
        (true, true) => "ON",
        (true, false) => "ON for some fleets or SIMs",
        (false, _) => "off",
    };
    let stopped = status.stopped.as_ref().map(|stop| format!("STOPPED by {}; ", stop.by));
    let mut lines = vec![
        format!(
            "Automatic kills   {} ({}policy: {}, function: {})",
            acts,
            stopped.unwrap_or_default(),
            status.policy_mode,
            status.armed
        ),
        match &status.stopped {
            Some(stop) => {
                format!("Stopped           by {} at {}: {}", stop.by, stop.at, stop.reason)
            }
            None => "Stopped           no".to_owned(),
        },
        format!(
            "Incidents         {} open, {} held, {} not yet proven{}",
            status.open,
            status.held,
            status.unproven,
            match status.restored {
                0 => String::new(),
                restored => format!(", {restored} restored and watched for a while"),
            }
        ),
    ];
    lines.push(match status.last_event_age_secs {
        Some(secs) => format!("Last events       {secs} s ago, or less (noted once a minute)"),
        None => "Last events       none received yet".to_owned(),
    });
    lines.push(match status.last_alert {
        Some(at) => format!("Last alert        {at}"),
        None => "Last alert        none yet".to_owned(),
    });
    lines.join("\n") + "\n" + &attention_text(status)
}

/// The SIMs to look at, each with its command in a line of its own, to be copied.
fn attention_text(status: &Status) -> String {
    if status.attention.is_empty() {
        return String::new();
    }
    let mut text = "\nLook at these:\n".to_owned();
    for sim in &status.attention {
        text.push_str(&look_text(sim));
    }
    if status.attention_more > 0 {
        text.push_str(&format!("… and {} more.", status.attention_more));
        if status.held > 0 {
            text.push_str(" All that a cap holds: simfuse approve --all --dry-run");
        }
        text.push('\n');
    }
    text
}

fn look_text(sim: &Attention) -> String {
    let paged = if sim.paged { ", paged" } else { "" };
    let since = sim.since.strftime("%Y-%m-%d %H:%MZ");
    let mut known = Vec::new();
    if let (Some(imei), Some(tac)) = (sim.imei, sim.tac) {
        known.push(format!("in {imei} (TAC {tac})"));
    }
    if let Some(bytes) = sim.used_bytes {
        known.push(format!("used {bytes} or more"));
    }
    let mut text = format!("  {}: {}{paged}, since {since}\n", sim.name, sim.stage);
    if !known.is_empty() {
        text.push_str(&format!("    {}\n", known.join(", ")));
    }
    text.push_str(&format!("    {}\n    {}\n", sim.next_step, sim.command));
    text
}

/// How one SIM is: a line for each thing that is known, no longer than a person reads.
fn details_text(sim: &SimAnswer) -> String {
    let Some(details) = &sim.details else { return String::new() };
    let mut lines: Vec<(&str, String)> = Vec::new();
    let mut line = |label: &'static str, text: Option<String>| {
        lines.extend(text.map(|text| (label, text)));
    };
    line("last event", details.last_event.map(|at| at.to_string()));
    line(
        "used",
        match (details.used_bytes, details.used_since) {
            (Some(bytes), Some(since)) => Some(format!("at least {bytes} since {since}")),
            _ => None,
        },
    );
    line(
        "incident",
        details.stage.clone().or_else(|| {
            details.last_incident.as_ref().map(|last| format!("none; the latest: {last}"))
        }),
    );
    line("acted", details.acted.clone());
    line("quarantine", details.quarantine.clone());
    line("trouble", details.trouble.clone());
    line("not killed", details.held_by.clone());
    line("protected", details.protected_by.as_ref().map(|by| format!("by {by}")));
    let comes_back = |until| format!("until {until}: then it is switched on by itself");
    line("frozen", details.frozen_until.map(comes_back));
    line("judged", details.false_alarm_at.map(|at| format!("a false alarm, at {at}")));
    for device in &details.allowed_devices {
        line("allowed", Some(format!("device {device} (model {})", device.tac())));
    }
    for found in collapsed(&details.findings) {
        line("found", Some(found));
    }
    line("next", Some(details.next_step.clone()));
    let status = sim.found.as_ref().map(|found| format!("{} at the provider; ", found.status));
    format!(
        "\n{}: {}policy rules {}\n{}",
        called(sim).join(" "),
        status.unwrap_or_default(),
        details.verdict,
        output::aligned(lines, DETAILS)
    )
}

/// A sentence for each finding; of a limit that was broken in several windows the worst speaks for all.
fn collapsed(findings: &[Finding]) -> Vec<String> {
    let mut said = Vec::new();
    let mut rest = findings;
    while let Some(first) = rest.first() {
        let is_alike = |finding: &Finding| {
            finding.detector == first.detector && matches!(finding.evidence, Evidence::Bytes { .. })
        };
        // They come by detector, and then by window.
        let alike = rest.iter().take_while(|finding| is_alike(finding)).count().max(1);
        let (of_one, others) = rest.split_at(alike.min(rest.len()));
        let worst = of_one.iter().max_by_key(|finding| match finding.evidence {
            Evidence::Bytes { seen, .. } => Some(seen),
            _ => None,
        });
        let worst = worst.unwrap_or(first);
        let mut sentence = format!("{}: {worst} (at {})", worst.detector, worst.at);
        if let (Some(earliest), Some(latest), true) = (
            of_one.iter().map(|finding| finding.at).min(),
            of_one.iter().map(|finding| finding.at).max(),
            alike > 1,
        ) {
            let more = alike.saturating_sub(1);
            sentence.push_str(&format!("; and {more} more of it, {earliest} to {latest}"));
        }
        said.push(sentence);
        rest = others;
    }
    said
}

#[cfg(test)]
mod tests {
    use simfuse_domain::bytes::Bytes;
    use simfuse_domain::finding::DetectorId;

    use super::*;

    /// A limit that was broken in this hour.
    fn too_much(detector: DetectorId, hour: u8, megabytes: u64) -> Finding {
        let at = |minute: u8| format!("2026-03-01T{hour:02}:{minute:02}:00Z").parse().unwrap();
        let (seen, limit) = (Bytes(megabytes * 1_000_000), Bytes(1_000_000));
        Finding {
            detector,
            about: format!("2026-03-01T{hour:02}Z"),
            at: at(30),
            evidence: Evidence::Bytes { seen, limit, from: at(0), to: at(59), session: None },
        }
    }

    #[test]
    fn of_a_limit_broken_hour_after_hour_the_worst_speaks_for_all() {
        let fault = |about: &str| Finding {
            detector: DetectorId::Degraded,
            about: about.to_owned(),
            at: "2026-03-01T09:00:00Z".parse().unwrap(),
            evidence: Evidence::Fault { what: about.to_owned() },
        };
        let mut found = vec![too_much(DetectorId::DayLimit, 0, 90), fault("a"), fault("b")];
        found
            .extend((3..9).map(|hour| too_much(DetectorId::HourLimit, hour, 10 - u64::from(hour))));
        insta::assert_snapshot!(collapsed(&found).join("\n"), @r"
        day_limit: used 90.0 MB in 2026-03-01T00Z, limit 1.0 MB (at 2026-03-01T00:30:00Z)
        degraded: a (at 2026-03-01T09:00:00Z)
        degraded: b (at 2026-03-01T09:00:00Z)
        hour_limit: used 7.0 MB in 2026-03-01T03Z, limit 1.0 MB (at 2026-03-01T03:30:00Z); and 5 more of it, 2026-03-01T03:30:00Z to 2026-03-01T08:30:00Z
        ");
    }
}
