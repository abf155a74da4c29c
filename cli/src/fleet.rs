//! `simfuse fleet limit`: the Fleet's own data limit at the provider.

use simfuse_kill_switch::request::{Action, Answer, FleetAnswer, Outcome, Request};

use crate::args::LimitArgs;
use crate::error::CliError;
use crate::output::{DRY_RUN, Output, note};
use crate::said::outcome_text;
use crate::target::Target;

/// Shows the limit, or sets it.
pub(crate) async fn limit(args: &LimitArgs, output: Output) -> Result<u8, CliError> {
    let target = Target::of(&args.why.place).await?;
    let show = Request {
        fleet: Some(args.fleet.clone()),
        requested_by: args.why.by.clone(),
        reason: args.why.reason.clone(),
        ..Request::of(Action::FleetLimit)
    };
    let mut fleet = fleet_in(target.invoke(&show).await?)?;
    if let (Some(megabytes), Some(_)) = (args.set, fleet.fleet) {
        let was = mb(fleet.limit_mb);
        note(&format!("limit of {}: {was} → {megabytes} MB", name(&fleet)));
        if fleet.limit_mb.is_none_or(|was| megabytes < was) {
            note("SIMs that have used more in this billing period can use no more data in it.");
        }
        let limit_mb = Some(u64::from(megabytes));
        let set = Request { dry_run: args.dry_run, limit_mb, ..show };
        fleet = fleet_in(target.invoke(&set).await?)?;
    }
    let done = match args.set {
        Some(megabytes) if !args.dry_run => fleet.limit_mb == Some(megabytes),
        _ => matches!(fleet.outcome, Outcome::Done | Outcome::Already | Outcome::Pending),
    };
    output.print(&fleet, || text(&fleet, args.dry_run));
    Ok(u8::from(!done))
}

fn text(fleet: &FleetAnswer, dry_run: bool) -> String {
    // What would be changed says by itself that it would be.
    let outcome = match fleet.outcome {
        Outcome::Pending if dry_run => String::new(),
        outcome => format!("{}, ", outcome_text(outcome, dry_run)),
    };
    let mut lines: Vec<String> = dry_run.then(|| DRY_RUN.to_owned()).into_iter().collect();
    lines.extend([
        format!("{}: {outcome}{}", name(fleet), fleet.reason),
        format!("limit         {} for each SIM in a billing period", mb(fleet.limit_mb)),
    ]);
    if let Some(wanted) = fleet.policy_mb {
        let above = fleet.limit_mb.is_some_and(|limit| limit > wanted);
        let above = if above { ": the limit is above it" } else { "" };
        lines.push(format!("policy wants  at most {wanted} MB{above}"));
    }
    lines.join("\n")
}

fn name(fleet: &FleetAnswer) -> String {
    match (&fleet.fleet, &fleet.unique_name) {
        (Some(sid), Some(name)) if *name != sid.to_string() => format!("{name} ({sid})"),
        (Some(sid), _) => sid.to_string(),
        (None, _) => fleet.requested.clone(),
    }
}

fn mb(limit: Option<u32>) -> String {
    limit.map_or_else(|| "unknown".to_owned(), |mb| format!("{mb} MB"))
}

fn fleet_in(answer: Answer) -> Result<FleetAnswer, CliError> {
    match (answer.fleet, answer.error) {
        (_, Some(error)) => Err(CliError::Remote(error)),
        (Some(fleet), None) => Ok(fleet),
        (None, None) => Err(CliError::Remote("the kill-switch answered without a fleet".into())),
    }
}
