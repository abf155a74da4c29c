//! `kill`, `restore`, `status` and the others: through the Invoke call of the kill-switch.

use std::collections::BTreeMap;

use simfuse_kill_switch::request::{
    Action, Answer, Attention, Details, Outcome, Request, Selected, SimAnswer, Status,
};

use crate::args::{
    ApproveArgs, KillArgs, ManyArgs, ProtectArgs, QuarantineArgs, SimsArgs, StatusArgs, WhyArgs,
};
use crate::error::CliError;
use crate::many::{self, is_fine};
use crate::names;
use crate::output::{self, Output};

/// Rows of a table that a person reads; of more, those that went wrong come first.
const ROWS_MAX: usize = 50;

fn request(action: Action, sims: Vec<String>, why: &WhyArgs) -> Request {
    Request {
        sims,
        reason: why.reason.clone(),
        requested_by: why.by.clone(),
        ..Request::of(action)
    }
}

fn with(many: &ManyArgs, request: Request) -> Request {
    let ManyArgs { dry_run, confirm, next } = many;
    Request { dry_run: *dry_run, confirm: confirm.clone(), next: next.clone(), ..request }
}

fn request_for(action: Action, args: &SimsArgs) -> Result<Request, CliError> {
    let select = args.select.select();
    let sims = names::read(&args.names)?;
    if sims.is_empty() && select.is_none() {
        return Err(CliError::Usage(
            "name SIMs, or choose them by --file, --fleet or --used-more-than-mb (see --help)"
                .to_owned(),
        ));
    }
    Ok(Request { select, ..with(&args.many, request(action, sims, &args.why)) })
}

/// `simfuse kill`.
pub(crate) async fn kill(args: &KillArgs, output: Output) -> Result<u8, CliError> {
    let override_protection = args.override_protection;
    let freeze_hours = args.freeze_hours;
    let request = request_for(Action::Deactivate, &args.sims)?;
    let request = Request { override_protection, freeze_hours, ..request };
    many::run(request, &args.sims.why.place, output).await
}

/// `simfuse quarantine`.
pub(crate) async fn quarantine(args: &QuarantineArgs, output: Output) -> Result<u8, CliError> {
    let override_protection = args.override_protection;
    let request = Request { override_protection, ..request_for(Action::Quarantine, &args.sims)? };
    many::run(request, &args.sims.why.place, output).await
}

/// `simfuse restore`.
pub(crate) async fn restore(args: &SimsArgs, output: Output) -> Result<u8, CliError> {
    let request = request_for(Action::Restore, args)?;
    many::run(request, &args.why.place, output).await
}

/// `simfuse false-alarm`.
pub(crate) async fn false_alarm(args: &SimsArgs, output: Output) -> Result<u8, CliError> {
    let request = request_for(Action::FalseAlarm, args)?;
    many::run(request, &args.why.place, output).await
}

/// `simfuse protect`.
pub(crate) async fn protect(args: &ProtectArgs, output: Output) -> Result<u8, CliError> {
    let action = if args.undo { Action::Unprotect } else { Action::Protect };
    let request = request_for(action, &args.sims)?;
    many::run(request, &args.sims.why.place, output).await
}

/// `simfuse approve`.
pub(crate) async fn approve(args: &ApproveArgs, output: Output) -> Result<u8, CliError> {
    let sims = names::read(&args.names)?;
    if sims.is_empty() && !args.all {
        return Err(CliError::Usage("name SIMs, or approve --all that the cap holds".to_owned()));
    }
    let request = with(&args.many, request(Action::Approve, sims, &args.why));
    let request = Request { override_protection: args.override_protection, ..request };
    many::run(request, &args.why.place, output).await
}

/// `simfuse stop` and `simfuse resume`.
pub(crate) async fn switch(action: Action, why: &WhyArgs, output: Output) -> Result<u8, CliError> {
    many::run(request(action, Vec::new(), why), &why.place, output).await
}

/// `simfuse status`.
pub(crate) async fn status(args: &StatusArgs, output: Output) -> Result<u8, CliError> {
    let request = Request { sims: names::read(&args.names)?, ..Request::of(Action::Status) };
    many::run(request, &args.place, output).await
}

/// What a person is told of an answer.
pub(crate) fn text(answer: &Answer) -> String {
    let mut text = String::new();
    if let Some(error) = &answer.error {
        text.push_str(&format!("{} refused: {error}\n", answer.action));
    }
    if answer.dry_run {
        text.push_str("Dry run: nothing was done.\n");
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
    if !answer.sims.is_empty() {
        text.push_str(&sims_text(answer));
    } else if answer.selected.is_some() && !answer.needs_digest() {
        text.push_str("No SIM is selected.\n");
    } else if answer.action == Action::Approve && answer.error.is_none() {
        text.push_str("No kill is held by the cap.\n");
    }
    for sim in &answer.sims {
        if let Some(details) = &sim.details {
            text.push_str(&details_text(&sim.requested, details));
        }
    }
    if let Some(digest) = answer.digest.as_ref().filter(|_| answer.dry_run) {
        text.push_str(&format!("Digest {digest}\n"));
    }
    text
}

/// What became of the SIMs, in a table and in numbers.
fn sims_text(answer: &Answer) -> String {
    let by_usage = answer.sims.iter().any(|sim| sim.used_bytes.is_some());
    let mut shown: Vec<&SimAnswer> = answer.sims.iter().collect();
    if shown.len() > ROWS_MAX {
        shown.sort_by_key(|sim| is_fine(sim.outcome));
    }
    let mut table = output::table(["SIM", "was", "outcome", "why"]);
    if by_usage {
        table.set_header(["SIM", "used", "was", "outcome", "why"]);
    }
    for sim in shown.iter().take(ROWS_MAX) {
        let found = sim.found.as_ref().map(|found| found.status.to_string());
        let name = match &sim.name {
            Some(name) => format!("{} ({name})", sim.requested),
            None => sim.requested.clone(),
        };
        let used = sim.used_bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let mut row = vec![name, found.unwrap_or_else(|| "-".to_owned())];
        row.extend([outcome_text(sim.outcome, answer.dry_run), sim.reason.clone()]);
        if by_usage {
            row.insert(1, used);
        }
        table.add_row(row);
    }
    let mut text = format!("{table}\n");
    let more = shown.len().saturating_sub(ROWS_MAX);
    if more > 0 {
        text.push_str(&format!("… and {more} more (--json lists all)\n"));
    }
    if shown.len() > 1 {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for sim in &shown {
            let count = counts.entry(outcome_text(sim.outcome, answer.dry_run)).or_default();
            *count = count.saturating_add(1);
        }
        let counts = counts.iter().map(|(outcome, count)| format!("{count} {outcome}"));
        let counts: Vec<String> = counts.collect();
        text.push_str(&format!("{} SIMs: {}\n", shown.len(), counts.join(", ")));
    }
    let is_already = shown.iter().any(|sim| sim.outcome == Outcome::Already);
    if is_already && !answer.dry_run {
        text.push_str("`already`: where nothing was changed, no reason was recorded either.\n");
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
    let mut lines = vec![
        format!(
            "Automatic kills   {} (policy: {}, function: {})",
            acts, status.policy_mode, status.armed
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
    lines.join("\n") + "\n" + &attention_text(&status.attention, status.attention_more)
}

fn attention_text(sims: &[Attention], more: usize) -> String {
    if sims.is_empty() {
        return String::new();
    }
    let mut table = output::table(["SIM", "stage", "since", "device", "used", "next"]);
    for sim in sims {
        let device = match (sim.imei, sim.tac) {
            (Some(imei), Some(tac)) => format!("{imei} (TAC {tac})"),
            _ => "-".to_owned(),
        };
        let used =
            sim.used_bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{bytes} or more"));
        table.add_row([
            sim.name.clone(),
            format!("{}{}", sim.stage, if sim.paged { ", paged" } else { "" }),
            sim.since.strftime("%Y-%m-%d %H:%MZ").to_string(),
            device,
            used,
            format!("{}\n{}", sim.next_step, sim.command),
        ]);
    }
    let mut text = format!("\nLook at these:\n{table}\n");
    if more > 0 {
        text.push_str(&format!(
            "… and {more} more. All that a cap holds: simfuse approve --all --dry-run\n"
        ));
    }
    text
}

fn details_text(name: &str, details: &Details) -> String {
    let mut lines = vec![format!("\n{name}: policy rules {}", details.verdict)];
    if let Some(at) = details.last_event {
        lines.push(format!("  last event    {at}"));
    }
    if let Some(stage) = &details.stage {
        lines.push(format!("  incident      {stage}"));
    }
    if let Some(trouble) = &details.trouble {
        lines.push(format!("  trouble       {trouble}"));
    }
    if let Some(hold) = &details.held_by {
        lines.push(format!("  not killed    {hold}"));
    }
    if let Some(by) = &details.protected_by {
        lines.push(format!("  protected     by {by}"));
    }
    if let Some(until) = &details.frozen_until {
        lines.push(format!("  frozen        until {until}: then it is switched on by itself"));
    }
    if let Some(at) = &details.false_alarm_at {
        lines.push(format!("  judged        a false alarm, at {at}"));
    }
    for device in &details.allowed_devices {
        lines.push(format!("  allowed       device {device} (model {})", device.tac()));
    }
    for finding in &details.findings {
        lines.push(format!("  found         {}: {finding} (at {})", finding.detector, finding.at));
    }
    lines.push(format!("  next          {}", details.next_step));
    lines.join("\n") + "\n"
}
