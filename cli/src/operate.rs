//! `kill`, `restore`, `status` and the others: through the Invoke call of the kill-switch.

use simfuse_kill_switch::request::{Action, Answer, Details, Outcome, Request, SimAnswer, Status};

use crate::args::{
    ApproveArgs, KillArgs, ProtectArgs, QuarantineArgs, SimsArgs, StatusArgs, WhereArgs, WhyArgs,
};
use crate::error::CliError;
use crate::output::{self, Output};
use crate::target::Target;

fn request(action: Action, sims: Vec<String>, why: &WhyArgs) -> Request {
    Request {
        sims,
        reason: why.reason.clone(),
        requested_by: why.by.clone(),
        ..Request::of(action)
    }
}

fn request_for(action: Action, args: &SimsArgs) -> Request {
    Request { dry_run: args.dry_run, ..request(action, args.sims.clone(), &args.why) }
}

/// `simfuse kill`.
pub(crate) async fn kill(args: &KillArgs, output: Output) -> Result<u8, CliError> {
    let override_protection = args.override_protection;
    let freeze_hours = args.freeze_hours;
    let request = request_for(Action::Deactivate, &args.sims);
    let request = Request { override_protection, freeze_hours, ..request };
    run(&request, &args.sims.why.place, output).await
}

/// `simfuse quarantine`.
pub(crate) async fn quarantine(args: &QuarantineArgs, output: Output) -> Result<u8, CliError> {
    let override_protection = args.override_protection;
    let request = Request { override_protection, ..request_for(Action::Quarantine, &args.sims) };
    run(&request, &args.sims.why.place, output).await
}

/// `simfuse restore`.
pub(crate) async fn restore(args: &SimsArgs, output: Output) -> Result<u8, CliError> {
    run(&request_for(Action::Restore, args), &args.why.place, output).await
}

/// `simfuse protect`.
pub(crate) async fn protect(args: &ProtectArgs, output: Output) -> Result<u8, CliError> {
    let action = if args.undo { Action::Unprotect } else { Action::Protect };
    run(&request_for(action, &args.sims), &args.sims.why.place, output).await
}

/// `simfuse approve`.
pub(crate) async fn approve(args: &ApproveArgs, output: Output) -> Result<u8, CliError> {
    let request = Request {
        override_protection: args.override_protection,
        dry_run: args.dry_run,
        ..request(Action::Approve, args.sims.clone(), &args.why)
    };
    run(&request, &args.why.place, output).await
}

/// `simfuse stop` and `simfuse resume`.
pub(crate) async fn switch(action: Action, why: &WhyArgs, output: Output) -> Result<u8, CliError> {
    run(&request(action, Vec::new(), why), &why.place, output).await
}

/// `simfuse status`.
pub(crate) async fn status(args: &StatusArgs, output: Output) -> Result<u8, CliError> {
    let request = Request { sims: args.sims.clone(), ..Request::of(Action::Status) };
    run(&request, &args.place, output).await
}

async fn run(request: &Request, place: &WhereArgs, output: Output) -> Result<u8, CliError> {
    let answer = Target::of(place).await?.invoke(request).await?;
    if answer.error.is_none() && answer.sims.len() < request.sims.len() {
        let (asked, answered) = (request.sims.len(), answer.sims.len());
        let what = format!("{asked} SIMs were asked for, and the answer is about {answered}");
        return Err(CliError::Remote(what));
    }
    output.print(&answer, || text(&answer));
    let not_done = |sim: &SimAnswer| {
        !matches!(sim.outcome, Outcome::Done | Outcome::Pending | Outcome::Already)
    };
    Ok(u8::from(answer.error.is_some() || answer.sims.iter().any(not_done)))
}

fn text(answer: &Answer) -> String {
    let mut text = String::new();
    if let Some(error) = &answer.error {
        text.push_str(&format!("{} refused: {error}\n", answer.action));
    }
    if answer.dry_run {
        text.push_str("Dry run: nothing was done.\n");
    }
    if let Some(status) = &answer.status {
        text.push_str(&status_text(status));
    }
    if !answer.sims.is_empty() {
        let mut table = output::table(["SIM", "was", "outcome", "why"]);
        for sim in &answer.sims {
            let found = sim.found.as_ref().map(|found| found.status.to_string());
            let outcome = serde_json::to_value(sim.outcome).unwrap_or_default();
            let outcome = outcome.as_str().unwrap_or_default().replace('_', " ");
            table.add_row([
                sim.requested.clone(),
                found.unwrap_or_else(|| "-".to_owned()),
                outcome,
                sim.reason.clone(),
            ]);
        }
        text.push_str(&format!("{table}\n"));
    } else if answer.action == Action::Approve && answer.error.is_none() {
        text.push_str("No kill is held by the cap.\n");
    }
    for sim in &answer.sims {
        if let Some(details) = &sim.details {
            text.push_str(&details_text(&sim.requested, details));
        }
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
            "Incidents         {} open, {} held, {} not yet proven",
            status.open, status.held, status.unproven
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
    lines.join("\n") + "\n"
}

fn details_text(name: &str, details: &Details) -> String {
    let mut lines = vec![format!("\n{name}: policy rules {}", details.verdict)];
    if let Some(at) = details.last_event {
        lines.push(format!("  last event    {at}"));
    }
    if let Some(stage) = &details.stage {
        lines.push(format!("  incident      {stage}"));
    }
    if let Some(hold) = &details.held_by {
        lines.push(format!("  not killed    {hold}"));
    }
    if let Some(by) = &details.protected_by {
        lines.push(format!("  protected     by {by}"));
    }
    for finding in &details.findings {
        lines.push(format!("  found         {}: {finding} (at {})", finding.detector, finding.at));
    }
    lines.push(format!("  next          {}", details.next_step));
    lines.join("\n") + "\n"
}
