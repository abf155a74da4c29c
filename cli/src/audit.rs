//! `simfuse audit`: what was done, by whom and why; and whether the record of it holds.
//!
//! Pages are printed as they come, so memory does not grow with the span.

mod print;
mod verify;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use simfuse_aws::SystemClock;
use simfuse_domain::port::Clock as _;
use simfuse_kill_switch::audit::{AuditAnswer, PAGE_SIZE_MAX};
use simfuse_kill_switch::request::{Action, Answer, Request};

use crate::args::WhereArgs;
use crate::error::{CliError, sentence};
use crate::output::Output;
use crate::target::Target;
use print::Printer;

/// How often the progress on standard error moves.
const TICK: std::time::Duration = std::time::Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// From when: a time (RFC 3339), a day of UTC, or a span back from now, such as 24h or 7d
    #[arg(long, value_name = "T", default_value = "24h")]
    since: String,
    /// Until when, likewise; by default now
    #[arg(long, value_name = "T")]
    until: Option<String>,
    /// Only this SIM: its SID, ICCID or unique name; may be given up to 10 times
    #[arg(long = "sim", value_name = "SIM")]
    sims: Vec<String>,
    /// Only SIMs of this fleet, by its SID or unique name
    #[arg(long, value_name = "FLEET")]
    fleet: Option<String>,
    /// Only what is about no SIM: stop switch, policy, fleets' limits
    #[arg(long, conflicts_with_all = ["sims", "fleet"])]
    account: bool,
    /// Print comma-separated values
    #[arg(long, conflicts_with_all = ["json", "verify"])]
    csv: bool,
    /// Say of each chain of entries whether it holds: nothing changed, removed, doubled or put in
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    place: WhereArgs,
}

/// How entries are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Table,
    Csv,
    Json,
}

/// Runs `simfuse audit`.
pub(crate) async fn run(args: &AuditArgs, output: Output) -> Result<u8, CliError> {
    let now = SystemClock.now();
    // What was written within this millisecond is to be shown, too.
    let after_now = Timestamp::from_millisecond(now.as_millisecond().saturating_add(1));
    let until = args.until.as_deref().map(|text| moment(text, now)).transpose()?;
    let since = moment(&args.since, now)?;
    let until = until.unwrap_or_else(|| after_now.unwrap_or(now));
    if since >= until {
        return Err(CliError::Usage(format!(
            "no time lies between --since ({since}) and --until ({until})"
        )));
    }
    let request = Request {
        since: Some(since),
        until: Some(until),
        sims: args.sims.clone(),
        fleet: args.fleet.clone(),
        account_only: args.account,
        page_size: Some(PAGE_SIZE_MAX),
        ..Request::of(Action::Audit)
    };
    let mut pages = Pages::new(Target::of(&args.place).await?, request);
    if args.verify {
        return verify::run(pages, output).await;
    }
    let format = match (args.csv, output) {
        (_, Output::Json) => Format::Json,
        (true, Output::Text) => Format::Csv,
        (false, Output::Text) => Format::Table,
    };
    list(&mut pages, format).await
}

async fn list(pages: &mut Pages, format: Format) -> Result<u8, CliError> {
    // One that fails at once has printed nothing yet.
    let Some(first) = pages.next().await? else {
        return Ok(0);
    };
    let mut printer = Printer::new(format, &first);
    let mut page = Some(first);
    let mut failure = None;
    while let Some(answer) = page.take() {
        pages.say(printer.entries());
        if !printer.page(&answer) {
            // Nobody reads any more.
            return Ok(0);
        }
        match pages.next().await {
            Ok(next) => page = next,
            Err(error) => failure = Some(error),
        }
    }
    pages.end();
    printer.end(failure.as_ref().map(sentence));
    match failure {
        // The document says so, and there may be one only.
        Some(error) if format == Format::Json => {
            crate::output::note(&format!("simfuse: {}", sentence(&error)));
            Ok(error.exit_code())
        }
        Some(error) => Err(error),
        None => Ok(0),
    }
}

/// The pages of a request, one after the other.
struct Pages {
    target: Target,
    request: Request,
    is_over: bool,
    progress: ProgressBar,
}

impl Pages {
    fn new(target: Target, request: Request) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        let progress = ProgressBar::new_spinner().with_style(style);
        progress.enable_steady_tick(TICK);
        Self { target, request, is_over: false, progress }
    }

    /// Begins another request in the place of this one.
    fn begin(&mut self, request: Request) {
        (self.request, self.is_over) = (request, false);
    }

    /// The next page; `None` behind the last one.
    async fn next(&mut self) -> Result<Option<AuditAnswer>, CliError> {
        if self.is_over {
            return Ok(None);
        }
        let page = answer_in(self.target.invoke(&self.request).await?)?;
        self.request.cursor.clone_from(&page.next);
        self.is_over = page.next.is_none();
        // From now on by what was found: a name need not be looked up for every page.
        if !page.sims.is_empty() {
            self.request.sims = page.sims.iter().map(ToString::to_string).collect();
        }
        if let Some(fleet) = page.fleet {
            self.request.fleet = Some(fleet.to_string());
        }
        Ok(Some(page))
    }

    fn say(&self, entries: u64) {
        self.progress.set_message(format!("{entries} entries"));
    }

    fn end(&self) {
        self.progress.finish_and_clear();
    }
}

fn answer_in(answer: Answer) -> Result<AuditAnswer, CliError> {
    match (answer.audit, answer.error) {
        (_, Some(error)) => Err(CliError::Remote(error)),
        (Some(audit), None) => Ok(audit),
        (None, None) => {
            Err(CliError::Remote("the kill-switch answered without the audit".to_owned()))
        }
    }
}

/// A time as the command line gives it.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, CliError> {
    let wrong = || {
        CliError::Usage(format!(
            "no time: {text}; allowed are 2026-03-01T14:00:00Z, 2026-03-01, or a span back from \
             now such as 90m, 24h, 7d"
        ))
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(day) = text.parse::<Date>() {
        let midnight = day.to_zoned(TimeZone::UTC).map_err(|_too_far| wrong())?;
        return Ok(midnight.timestamp());
    }
    let span: Span = text.parse().map_err(|_syntax| wrong())?;
    let back = now.to_zoned(TimeZone::UTC).checked_sub(span.abs());
    Ok(back.map_err(|_too_far| wrong())?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_days_and_spans_are_moments() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-03-04T12:00:00Z");
        let moments = [
            ("2026-03-01T14:00:00Z", "2026-03-01T14:00:00Z"),
            ("2026-03-01T14:00:00+02:00", "2026-03-01T12:00:00Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("24h", "2026-03-03T12:00:00Z"),
            ("7d", "2026-02-25T12:00:00Z"),
            ("90m", "2026-03-04T10:30:00Z"),
            ("1mo", "2026-02-04T12:00:00Z"),
        ];
        for (text, expected) in moments {
            assert_eq!(moment(text, now).unwrap(), at(expected), "{text}");
        }
        for text in ["", "yesterday", "24", "2026-13-01", "99999999d"] {
            assert!(matches!(moment(text, now), Err(CliError::Usage(_))), "{text}");
        }
    }
}
