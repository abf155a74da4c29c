//! A request about SIMs, to its end: confirmed where that is needed, repeated where the kill-switch
//! had no time for all of it.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use simfuse_kill_switch::request::{Action, Answer, CONFIRM_ABOVE, Outcome, Request, SimAnswer};
use tokio::sync::oneshot;

use crate::args::WhereArgs;
use crate::error::{CliError, sentence};
use crate::output::{Output, note};
use crate::said;
use crate::target::Target;

/// Invocations in a row that fail, or get no further, before the command gives up: what holds them
/// up for longer does so for everyone.
const STUCK_MAX: u32 = 5;

/// Before an invocation that failed is repeated.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The exit code for a digest that is needed.
const NEEDS_DIGEST: u8 = 3;

/// How far a request came.
struct Course {
    answer: Answer,
    /// Why it did not come to its end.
    stopped: Option<Stopped>,
}

enum Stopped {
    Interrupted,
    Failed(CliError),
}

/// Asks for something about SIMs, prints what became of each, and gives the exit code.
pub(crate) async fn run(
    mut request: Request,
    place: &WhereArgs,
    output: Output,
) -> Result<u8, CliError> {
    let target = Target::of(place).await?;
    if may_need_digest(&request) && can_ask(output) {
        match confirmed_by_hand(&target, request, output).await? {
            Ok(confirmed) => request = confirmed,
            Err(code) => return Ok(code),
        }
    }
    let Course { answer, stopped } = to_the_end(&target, &request).await?;
    if let Some(stopped) = stopped {
        let why = not_to_its_end(&answer, stopped, request.confirm.as_deref());
        output.print(&answer, || said::text(&answer));
        note(&format!("simfuse: {why}"));
        return Ok(1);
    }
    let all = request.sims.len();
    if answer.error.is_none() && request.next.is_none() && answer.sims.len() < all {
        let answered = answer.sims.len();
        let what = format!("{all} SIMs were asked for, and the answer is about {answered}");
        return Err(CliError::Remote(what));
    }
    output.print(&answer, || said::text(&answer));
    if let Some(digest) = answer.digest.as_deref().filter(|_| answer.needs_digest()) {
        note(&format!("To see what would be done:  {}", command(&["--dry-run"])));
        note(&format!("To do it:                   {}", command(&["--confirm", digest])));
        return Ok(NEEDS_DIGEST);
    }
    // There is no point in doing what would come to nothing.
    let is_vain = !answer.sims.iter().any(|sim| sim.outcome == Outcome::Pending);
    if let Some(digest) = answer.digest.as_deref().filter(|_| request.dry_run && !is_vain) {
        let confirm = ["--confirm", digest];
        let options = if answer.sims_all.is_some() { &confirm[..] } else { &[] };
        note(&format!("To do it:  {}", command(options)));
    }
    let failed = answer.sims.iter().any(|sim| !is_fine(sim.outcome));
    Ok(u8::from(answer.error.is_some() || failed))
}

/// Whether the SIM is as was asked for, or will be by itself.
pub(crate) const fn is_fine(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Done | Outcome::Pending | Outcome::Already)
}

/// Whether the kill-switch may ask for a digest.
fn may_need_digest(request: &Request) -> bool {
    let unknown =
        request.select.is_some() || (request.action == Action::Approve && request.sims.is_empty());
    let acts = request.action != Action::Status && !request.dry_run && request.confirm.is_none();
    acts && (unknown || request.sims.len() > CONFIRM_ABOVE)
}

/// Whether somebody sits at the terminal who can be shown a list and asked.
fn can_ask(output: Output) -> bool {
    output == Output::Text && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Shows what would be done and asks for the digest of it. Gives the request for exactly that, or
/// the exit code where nothing is to be done.
async fn confirmed_by_hand(
    target: &Target,
    request: Request,
    output: Output,
) -> Result<Result<Request, u8>, CliError> {
    let dry = Request { dry_run: true, ..request.clone() };
    let Course { answer, stopped } = to_the_end(target, &dry).await?;
    if let Some(stopped) = stopped {
        return Err(match stopped {
            Stopped::Interrupted => CliError::Remote("interrupted: nothing was done".to_owned()),
            Stopped::Failed(error) => error,
        });
    }
    let sims: Vec<String> = answer.sims.iter().map(|sim| sim.requested.clone()).collect();
    let Some(digest) = answer.digest.clone().filter(|_| answer.error.is_none()) else {
        output.print(&answer, || said::text(&answer));
        return Ok(Err(u8::from(answer.error.is_some())));
    };
    // What was shown is what is asked for, also if a selection would be another by now.
    let of_fleet = answer.selected.as_ref().and_then(|selected| selected.fleet);
    let confirmed = Request { sims, select: None, of_fleet, ..request };
    if confirmed.sims.len() <= CONFIRM_ABOVE {
        return Ok(Ok(confirmed));
    }
    output.print(&answer, || said::text(&answer));
    let action = confirmed.action;
    let count = confirmed.sims.len();
    let prompt = format!("Type {digest} to {action} {count} SIMs, anything else for not: ");
    if typed(&prompt).await.as_deref().map(str::trim) == Some(digest.as_str()) {
        return Ok(Ok(Request { confirm: Some(digest), ..confirmed }));
    }
    note("Nothing was done.");
    Ok(Err(NEEDS_DIGEST))
}

/// A line that somebody types; `None` where nobody does, or interrupts.
async fn typed(prompt: &str) -> Option<String> {
    let mut err = std::io::stderr().lock();
    let shown = err.write_all(prompt.as_bytes()).and_then(|()| err.flush());
    drop(err);
    shown.ok()?;
    let (send, line) = oneshot::channel();
    // A thread of its own: at the end nobody waits for a line that is never typed.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).ok().filter(|length| *length > 0);
        send.send(read.map(|_| line))
    });
    tokio::select! {
        line = line => line.ok().flatten(),
        _ = tokio::signal::ctrl_c() => None,
    }
}

/// Repeats the request until nothing is left of it.
async fn to_the_end(target: &Target, request: &Request) -> Result<Course, CliError> {
    let mut request = request.clone();
    let mut whole: Option<Answer> = None;
    let mut stuck = 0;
    let bar = bar();
    let stopped = loop {
        let is_known_to_be_many = whole.is_some() || request.sims.len() > CONFIRM_ABOVE;
        let answer = tokio::select! {
            answer = target.invoke(&request) => answer,
            _ = tokio::signal::ctrl_c() => break Some(Stopped::Interrupted),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if is_known_to_be_many && stuck < STUCK_MAX => {
                // What was done is answered as `already`: the same again does no harm.
                stuck = stuck.saturating_add(1);
                bar.suspend(|| note(&format!("{}; once more", sentence(&error))));
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
            Err(error) => break Some(Stopped::Failed(error)),
        };
        let (next, wait_secs) = (answer.next.clone(), answer.wait_secs);
        if let Some(all) = answer.all.clone() {
            // What the digest stands for, also if a selection would be another by now.
            (request.sims, request.select) = (all, None);
            // A SIM that leaves the fleet meanwhile is not meant.
            request.of_fleet = answer.selected.as_ref().and_then(|selected| selected.fleet);
        }
        whole = Some(match whole {
            None => answer,
            Some(whole) => merged(whole, answer),
        });
        show(&bar, whole.as_ref());
        let Some(next) = next else { break None };
        stuck = if request.next.as_ref() == Some(&next) { stuck.saturating_add(1) } else { 0 };
        if stuck >= STUCK_MAX {
            let what = format!("{STUCK_MAX} invocations in a row came no further than {next}");
            break Some(Stopped::Failed(CliError::Remote(what)));
        }
        request.next = Some(next);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(wait_secs.unwrap_or(0))) => {}
            _ = tokio::signal::ctrl_c() => break Some(Stopped::Interrupted),
        }
    };
    bar.finish_and_clear();
    match (whole, stopped) {
        (Some(answer), stopped) => Ok(Course { answer: in_order(answer, &request.sims), stopped }),
        (None, Some(Stopped::Failed(error))) => Err(error),
        (None, _) => {
            let answer = Answer { next: request.next.clone(), ..Answer::to(&request) };
            Ok(Course { answer, stopped: Some(Stopped::Interrupted) })
        }
    }
}

/// Both answers in one. What was done in an earlier invocation is `already` so in a later one.
fn merged(before: Answer, after: Answer) -> Answer {
    let key = |sim: &SimAnswer| sim.requested.clone();
    let mut sims: BTreeMap<String, SimAnswer> =
        before.sims.into_iter().map(|sim| (key(&sim), sim)).collect();
    for mut sim in after.sims {
        if let Some(earlier) = sims.get(&sim.requested) {
            if sim.outcome == Outcome::Already && is_fine(earlier.outcome) {
                continue;
            }
            sim.used_bytes = sim.used_bytes.or(earlier.used_bytes);
        }
        sims.insert(key(&sim), sim);
    }
    let selected = before.selected.or(after.selected);
    let cleared = before.cleared;
    let all = before.all.or(after.all);
    Answer { sims: sims.into_values().collect(), selected, all, cleared, ..after }
}

/// The SIMs in the order in which they were asked for.
fn in_order(mut answer: Answer, names: &[String]) -> Answer {
    let places: BTreeMap<&String, usize> =
        names.iter().enumerate().map(|(place, name)| (name, place)).collect();
    answer.sims.sort_by_key(|sim| places.get(&sim.requested).copied());
    if answer.next.is_none() {
        answer.all = None;
    }
    answer
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} SIMs, {eta} left");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, whole: Option<&Answer>) {
    let Some(Answer { sims, sims_all: Some(all), .. }) = whole else { return };
    bar.set_length(u64::try_from(*all).unwrap_or(u64::MAX));
    bar.set_position(u64::try_from(sims.len()).unwrap_or(u64::MAX));
}

/// Says how to go on with what was not finished.
fn not_to_its_end(answer: &Answer, stopped: Stopped, confirm: Option<&str>) -> String {
    let mut options = Vec::new();
    if let Some(next) = &answer.next {
        options.extend(["--next", next]);
    }
    if let Some(confirm) = confirm {
        options.extend(["--confirm", confirm]);
    }
    // A dry run goes on as one.
    if answer.dry_run {
        options.push("--dry-run");
    }
    let why = match stopped {
        Stopped::Interrupted if answer.dry_run => "interrupted".to_owned(),
        Stopped::Interrupted => {
            "interrupted; the invocation under way goes on at the kill-switch".to_owned()
        }
        Stopped::Failed(error) => sentence(&error),
    };
    let answered = answer.sims.len();
    let of = answer.sims_all.map(|all| format!(" of {all}")).unwrap_or_default();
    format!("{why}\n{answered}{of} SIMs are answered. To go on:  {}", command(&options))
}

/// This command with other options for how it is confirmed and gone on with.
fn command(options: &[&str]) -> String {
    command_of(std::env::args().skip(1), options)
}

fn command_of(arguments: impl Iterator<Item = String>, options: &[&str]) -> String {
    const REPLACED: [&str; 2] = ["--confirm", "--next"];
    let mut words = vec!["simfuse".to_owned()];
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let (name, value) = argument
            .split_once('=')
            .map_or((&*argument, None), |(name, value)| (name, Some(value)));
        if REPLACED.contains(&name) {
            if value.is_none() {
                arguments.next();
            }
        } else if argument != "--dry-run" {
            words.push(quoted(&argument));
        }
    }
    let is_reasoned = |word: &String| word == "--reason" || word.starts_with("--reason=");
    let acts = !options.contains(&"--dry-run") && words.get(1).is_some_and(|verb| verb != "status");
    let wants_reason = acts && !words.iter().any(is_reasoned);
    words.extend(options.iter().map(|option| quoted(option)));
    if wants_reason {
        words.push("--reason \"...\"".to_owned());
    }
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=@,+%".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_goes_on_as_one() {
        let answer = |dry_run| {
            let answer = serde_json::json!({ "action": "protect", "dry_run": dry_run, "digest": null, "sims": [] });
            not_to_its_end(&serde_json::from_value(answer).unwrap(), Stopped::Interrupted, None)
        };
        assert!(answer(true).ends_with(" --dry-run"), "{}", answer(true));
        assert!(!answer(false).contains("--dry-run"), "{}", answer(false));
    }

    #[test]
    fn the_command_to_go_on_is_the_one_that_was_given_with_other_options() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (given, options, expected) in [
            (
                "kill --file a.txt --dry-run",
                &["--confirm", "0a"][..],
                "simfuse kill --file a.txt --confirm 0a --reason \"...\"",
            ),
            (
                "kill - --confirm 1b --next HS1 --reason=x",
                &["--confirm", "0a"],
                "simfuse kill - --reason=x --confirm 0a",
            ),
            (
                "kill x --reason why --confirm=1b --next=y --json",
                &["--next", "z"],
                "simfuse kill x --reason why --json --next z",
            ),
            ("kill x", &["--dry-run"], "simfuse kill x --dry-run"),
            ("status x", &["--next", "pump 1"], "simfuse status x --next 'pump 1'"),
        ] {
            assert_eq!(command_of(words(given).into_iter(), options), expected);
        }
        let reason = ["kill", "x", "--reason", "it's stolen; rm -rf"].map(str::to_owned);
        let expected = r"simfuse kill x --reason 'it'\''s stolen; rm -rf'";
        assert_eq!(command_of(reason.into_iter(), &[]), expected);
    }

    #[test]
    fn what_an_earlier_invocation_did_is_not_lost_in_a_later_one() {
        let sim = |name: &str, outcome| {
            let json = serde_json::json!({
                "requested": name, "sim": null, "found": null, "outcome": outcome, "reason": "",
                "incident": null,
            });
            serde_json::from_value::<SimAnswer>(json).unwrap()
        };
        let answer = |sims| Answer { sims, ..Answer::to(&Request::of(Action::Deactivate)) };
        let before = answer(vec![
            sim("a", "done"),
            sim("b", "unreachable"),
            sim("c", "pending"),
            sim("d", "done"),
        ]);
        let after = answer(vec![
            sim("a", "already"),
            sim("b", "already"),
            sim("c", "refused"),
            sim("e", "done"),
        ]);
        let names = ["e", "d", "c", "b", "a"].map(str::to_owned);
        let both = in_order(merged(before, after), &names);
        let outcomes: Vec<(&str, Outcome)> =
            both.sims.iter().map(|sim| (sim.requested.as_str(), sim.outcome)).collect();
        let expected = [
            ("e", Outcome::Done),
            ("d", Outcome::Done),
            ("c", Outcome::Refused),
            ("b", Outcome::Already),
            ("a", Outcome::Done),
        ];
        assert_eq!(outcomes, expected);
    }
}
