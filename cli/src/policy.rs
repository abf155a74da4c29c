//! `simfuse policy`: checks a file, shows the current policy, and replaces it.

use std::path::Path;

use serde::Serialize;
use simfuse_domain::policy::Policy;
use simfuse_domain::port::Applied;
use simfuse_kill_switch::request::{Action, Answer, PolicyAnswer, PolicyOutcome, Request};
use similar::TextDiff;

use crate::args::{ApplyArgs, ShowArgs};
use crate::error::{CliError, sentence};
use crate::output::{DRY_RUN, Output, note};
use crate::replay::policy_of;
use crate::target::Target;

/// Lines around a change that a difference shows.
const CONTEXT_LINES: usize = 3;

#[derive(Serialize)]
struct Checked {
    ok: bool,
    error: Option<String>,
    /// What it does of itself, where it enforces.
    acts: Vec<String>,
    warnings: Vec<String>,
}

/// `simfuse policy check`.
pub(crate) fn check(file: &Path, output: Output) -> Result<u8, CliError> {
    let (error, acts, warnings) = match policy_of(Some(file)) {
        Ok(policy) => (None, policy.acts_for(), policy.warnings()),
        Err(error @ CliError::Policy { .. }) => (Some(sentence(&error)), Vec::new(), Vec::new()),
        Err(error) => return Err(error),
    };
    let checked = Checked { ok: error.is_none(), error, acts, warnings };
    output.print(&checked, || {
        let taken = || format!("{}: would be taken", file.display());
        let mut lines = vec![checked.error.clone().unwrap_or_else(taken)];
        lines.extend(checked.acts.iter().cloned());
        lines.extend(checked.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.join("\n")
    });
    Ok(u8::from(!checked.ok))
}

#[derive(Serialize)]
struct Shown {
    number: u64,
    applied: Option<Applied>,
    toml: String,
}

/// `simfuse policy show`.
pub(crate) async fn show(args: &ShowArgs, output: Output) -> Result<u8, CliError> {
    let target = Target::of(&args.place).await?;
    let request = Request { version: args.number, ..Request::of(Action::PolicyShow) };
    let policy = policy_in(target.invoke(&request).await?)?;
    let shown = Shown { number: policy.number, applied: policy.applied, toml: policy.toml };
    output.print(&shown, || {
        // A comment, so that the whole is a policy file again.
        let who = match &shown.applied {
            Some(Applied { by, at, reason }) => format!("applied by {by} at {at}: {reason}"),
            None if shown.number == 0 => "the default, nobody applied one".to_owned(),
            None => "who applied it is not recorded".to_owned(),
        };
        format!("# version {}: {}\n{}", shown.number, who.replace('\n', " "), shown.toml)
    });
    Ok(0)
}

/// What an `apply` did; `to` is absent where nothing was applied.
#[derive(Serialize)]
struct Applying {
    ok: bool,
    dry_run: bool,
    from: u64,
    to: Option<u64>,
    diff: String,
    changes: Vec<String>,
    warnings: Vec<String>,
    error: Option<String>,
}

/// `simfuse policy apply`.
pub(crate) async fn apply(args: &ApplyArgs, output: Output) -> Result<u8, CliError> {
    let policy = policy_of(Some(&args.file))?;
    let target = Target::of(&args.why.place).await?;
    let request = Request {
        reason: args.why.reason.clone(),
        requested_by: args.why.by.clone(),
        toml: Some(policy.text().to_owned()),
        dry_run: true,
        ..Request::of(Action::PolicyApply)
    };
    let compared = policy_in(target.invoke(&request).await?)?;
    let mut applying = Applying {
        ok: true,
        dry_run: args.dry_run,
        from: compared.number,
        to: None,
        diff: difference(&compared, &policy, &args.file),
        changes: compared.changes,
        warnings: compared.warnings,
        error: None,
    };
    if compared.outcome == PolicyOutcome::Already {
        output.print(&applying, || format!("It is version {} already.", applying.from));
        return Ok(0);
    }
    // The difference comes before the act, whatever becomes of it.
    match output {
        Output::Text => output.print(&(), || difference_text(&applying)),
        Output::Json => note(&difference_text(&applying)),
    }
    if !args.dry_run {
        let compared_with = Some(compared.number);
        let request = Request { dry_run: false, compared_with, ..request };
        match target.invoke(&request).await.and_then(policy_in) {
            Ok(applied) => applying.to = Some(applied.number),
            Err(error) => {
                (applying.ok, applying.error) = (false, Some(sentence(&error)));
            }
        }
    }
    output.print(&applying, || match (&applying.error, applying.to) {
        (Some(error), _) => format!("Not applied: {error}"),
        (None, Some(to)) => format!("Version {to} is current now."),
        (None, None) => DRY_RUN.to_owned(),
    });
    Ok(u8::from(!applying.ok))
}

fn difference(current: &PolicyAnswer, new: &Policy, file: &Path) -> String {
    let diff = TextDiff::from_lines(current.toml.as_str(), new.text());
    let (old, new) = (format!("version {}", current.number), file.display().to_string());
    diff.unified_diff().context_radius(CONTEXT_LINES).header(&old, &new).to_string()
}

fn difference_text(applying: &Applying) -> String {
    let mut text = applying.diff.clone();
    if applying.changes.is_empty() {
        text.push_str("\nIn effect nothing changes.\n");
    } else {
        text.push_str("\nWhat changes in effect:\n");
    }
    for change in &applying.changes {
        text.push_str(&format!("  {change}\n"));
    }
    for warning in &applying.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}

fn policy_in(answer: Answer) -> Result<PolicyAnswer, CliError> {
    match (answer.policy, answer.error) {
        (_, Some(error)) => Err(CliError::Remote(error)),
        (Some(policy), None) => Ok(policy),
        (None, None) => Err(CliError::Remote("the kill-switch answered without a policy".into())),
    }
}
