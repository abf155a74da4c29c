//! `kill`, `restore`, `status` and the others: through the Invoke call of the kill-switch.

use simfuse_kill_switch::request::{Action, Request};

use crate::args::{
    ApproveArgs, KillArgs, ManyArgs, ProtectArgs, QuarantineArgs, SimsArgs, StatusArgs, WhyArgs,
};
use crate::error::CliError;
use crate::many;
use crate::names;
use crate::output::Output;

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
