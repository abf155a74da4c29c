//! `simfuse score`: usage evidence over a series of numbers, such as a labelled one that others made.
//!
//! Rows are judged as they come, so memory does not grow with the file.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use csv::{Reader, StringRecord, Writer};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;
use simfuse_domain::evidence::{Judged, Level, Series};

use crate::error::CliError;
use crate::output::{Output, note};

/// The score of as much evidence as it takes to deactivate a SIM, or more.
const SCORE_MAX: f64 = 1.0;

#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// A file of comma-separated values with the columns timestamp and value, and perhaps label;
    /// `-` is standard input
    file: PathBuf,
    /// Write the scores to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What was read and found.
#[derive(Debug, Default, Serialize)]
struct Report {
    rows: u64,
    /// Rows without a value: they are not judged, and teach nothing.
    unknown: u64,
    /// Rows that are earlier than the one before: they are judged in the file's order all the same.
    backwards: u64,
    /// Rows with a value below zero: nothing was used in them.
    below_zero: u64,
    detections: Vec<String>,
}

/// Runs `simfuse score`.
pub(crate) fn run(args: &ScoreArgs, output: Output) -> Result<u8, CliError> {
    let (name, input) = open(&args.file)?;
    if output == Output::Json && args.out.is_none() {
        return Err(CliError::Usage(
            "--json prints a summary and needs --out FILE for the scores".to_owned(),
        ));
    }
    let report = match &args.out {
        Some(path) if is_same(path, &args.file) => {
            return Err(CliError::Usage("--out would overwrite what is read".to_owned()));
        }
        Some(path) => {
            let failed = CliError::local(&format!("writing {}", path.display()));
            let file = std::fs::File::create(path).map_err(|error| failed(error.into()))?;
            score(&name, input, file)?
        }
        None => score(&name, input, io::stdout().lock())?,
    };
    let said = format!(
        "{} rows, {} of them without a value; {} detections",
        report.rows,
        report.unknown,
        report.detections.len()
    );
    if report.backwards > 0 {
        let count = report.backwards;
        note(&format!(
            "warning: {count} rows are earlier than the row before; a series is judged in the order \
             of the file, so sort it by time"
        ));
    }
    if report.below_zero > 0 {
        let count = report.below_zero;
        note(&format!("warning: {count} values are below zero: they are judged as nothing used"));
    }
    match (output, &args.out) {
        (Output::Text, None) => note(&said),
        (Output::Json | Output::Text, _) => output.print(&report, || said),
    }
    Ok(0)
}

pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || one.canonicalize().ok().is_some_and(|one| other.canonicalize().ok() == Some(one))
}

fn open(path: &Path) -> Result<(String, Box<dyn Read>), CliError> {
    if path == Path::new("-") {
        return Ok(("standard input".to_owned(), Box::new(io::stdin())));
    }
    let name = path.display().to_string();
    match std::fs::File::open(path) {
        Ok(file) => Ok((name, Box::new(file))),
        Err(source) => Err(CliError::File { path: name, source }),
    }
}

/// Which columns hold what.
struct Columns {
    timestamp: usize,
    value: usize,
    label: Option<usize>,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, String> {
        let place = |name| header.iter().position(|column| column.trim() == name);
        let needed = |name| {
            let found: Vec<&str> = header.iter().collect();
            place(name).ok_or_else(|| {
                format!(
                    "no column {name}, found {}; needed are timestamp and value",
                    found.join(", ")
                )
            })
        };
        let (timestamp, value) = (needed("timestamp")?, needed("value")?);
        Ok(Self { timestamp, value, label: place("label") })
    }
}

/// Copies the rows with a score each.
fn score(name: &str, input: impl Read, out: impl Write) -> Result<Report, CliError> {
    let wrong = |line: u64, what: &str| CliError::Usage(format!("{name}, line {line}: {what}"));
    let unread = |error: csv::Error| CliError::Usage(format!("{name}: {error}"));
    let mut reader = Reader::from_reader(input);
    let header = reader.headers().map_err(unread)?;
    let columns = Columns::of(header).map_err(|what| wrong(1, &what))?;
    let unwritten = |error: csv::Error| CliError::local("writing the scores")(error.into());
    let mut writer = Writer::from_writer(out);
    writer.write_record(["timestamp", "value", "anomaly_score", "label"]).map_err(unwritten)?;
    let (mut series, mut report) = (Series::default(), Report::default());
    let (mut row, mut before) = (StringRecord::new(), None);
    while reader.read_record(&mut row).map_err(unread)? {
        let line = row.position().map_or(0, csv::Position::line);
        let column = |place: usize| row.get(place).unwrap_or_default().trim();
        let (timestamp, value) = (column(columns.timestamp), column(columns.value));
        let at = moment(timestamp).ok_or_else(|| wrong(line, &not_a_time(timestamp)))?;
        let known = number(value).map_err(|what| wrong(line, &what))?;
        let is_earlier = before.replace(at).is_some_and(|before| at < before);
        report.backwards = report.backwards.saturating_add(u64::from(is_earlier));
        report.rows = report.rows.saturating_add(1);
        let is_below = known.is_some_and(|value| value < 0.0);
        report.below_zero = report.below_zero.saturating_add(u64::from(is_below));
        let judged = known.map(|value| series.judge(at, value));
        if judged.is_none() {
            report.unknown = report.unknown.saturating_add(1);
        }
        if judged.is_some_and(|judged| judged.is_detection) {
            report.detections.push(timestamp.to_owned());
        }
        let score = format!("{:.6}", judged.map_or(0.0, score_of));
        let label = columns.label.map_or("0", column);
        writer.write_record([timestamp, value, &score, label]).map_err(unwritten)?;
    }
    if report.rows == 0 {
        return Err(wrong(1, "no row after the header"));
    }
    writer.flush().map_err(|error| CliError::local("writing the scores")(error.into()))?;
    Ok(report)
}

/// The evidence as a part of what it takes to deactivate. A detection, and what comes after it until
/// the evidence has all gone, is one thing and is told once.
fn score_of(judged: Judged) -> f64 {
    let share = judged.log_evidence / Level::Deactivate.log_evidence();
    if judged.is_told_before { 0.0 } else { share.min(SCORE_MAX) }
}

/// A date and time of UTC, or one with an offset.
fn moment(text: &str) -> Option<Timestamp> {
    let with_offset = text.parse().ok();
    with_offset.or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

fn not_a_time(text: &str) -> String {
    format!("no time: {text}; allowed are 2026-03-01 14:00:00 (UTC) and 2026-03-01T14:00:00Z")
}

/// A number; `None` where nothing, or nothing finite, is said.
fn number(text: &str) -> Result<Option<f64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let number: Option<f64> = text.parse().ok();
    number
        .map(|number| Some(number).filter(|number| number.is_finite()))
        .ok_or_else(|| format!("no number: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(input: &str) -> Result<(String, Report), String> {
        let mut out = Vec::new();
        let report = score("series.csv", input.as_bytes(), &mut out);
        let report = report.map_err(|error| error.to_string())?;
        Ok((String::from_utf8(out).unwrap(), report))
    }

    /// Rows an hour apart.
    fn rows(values: impl IntoIterator<Item = f64>) -> String {
        let hour = |hour: i64| Timestamp::from_second(1_767_225_600 + hour * 3_600).unwrap();
        let values = values.into_iter().zip(0..);
        let rows = values.map(|(value, at)| format!("{},{value}\n", hour(at)));
        format!("timestamp,value\n{}", rows.collect::<String>())
    }

    /// So many rows around 100, each other than the one before.
    fn usual(rows: u32) -> impl Iterator<Item = f64> {
        (0..rows).map(|row| 90.0 + f64::from(row * 7 % 20))
    }

    #[test]
    fn a_long_anomaly_is_one_detection_and_the_next_one_another() {
        let high = |value: f64| std::iter::repeat_n(value, 12);
        let values = usual(2_000).chain(high(400.0)).chain(usual(200)).chain(high(1_000.0));
        let (text, report) = scored(&rows(values)).unwrap();
        assert_eq!(report.rows, 2_224);
        assert_eq!(report.detections.len(), 2, "{:?}", report.detections);
        let scores: Vec<f64> = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(2).unwrap().parse().unwrap())
            .collect();
        let detected: Vec<usize> = (0..scores.len()).filter(|row| scores[*row] >= 0.75).collect();
        assert_eq!(detected.len(), 2, "{detected:?}");
        assert!((2_000..2_012).contains(&detected[0]) && (2_212..).contains(&detected[1]));
        assert!(scores[..2_000].iter().all(|score| *score < 0.5), "nothing before");
        assert!(scores[detected[0] + 1..2_020].iter().all(|score| *score < 1e-9), "told once");
    }

    #[test]
    fn the_unit_of_a_series_does_not_matter() {
        let series = |unit: f64| {
            let values = usual(300).chain([300.0, 350.0, 500.0]).map(move |value| value * unit);
            let (text, report) = scored(&rows(values)).unwrap();
            let scores =
                text.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().to_owned());
            (scores.collect::<Vec<_>>(), report.detections)
        };
        assert_eq!(series(1.0), series(1e6));
    }

    #[test]
    fn rows_are_copied_with_their_label_and_one_without_a_value_is_not_judged() {
        let input = "value,label,timestamp\n1.50,1,2026-03-01 14:00:00\n,0,2026-03-01 15:00:00\n";
        let (text, report) = scored(input).unwrap();
        assert_eq!(
            text,
            "timestamp,value,anomaly_score,label\n\
             2026-03-01 14:00:00,1.50,0.000000,1\n\
             2026-03-01 15:00:00,,0.000000,0\n"
        );
        assert_eq!((report.rows, report.unknown), (2, 1));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        let error = |input: &str| scored(input).unwrap_err();
        assert_eq!(
            error("time,value\n"),
            "series.csv, line 1: no column timestamp, found time, value; needed are timestamp and value"
        );
        assert_eq!(
            error("timestamp,value\n2026-03-01T14:00:00Z,1\nyesterday,1\n"),
            "series.csv, line 3: no time: yesterday; allowed are 2026-03-01 14:00:00 (UTC) and \
             2026-03-01T14:00:00Z"
        );
        let line = "timestamp,value\n2026-03-01 14:00:00,many\n";
        assert_eq!(error(line), "series.csv, line 2: no number: many");
        assert!(error("timestamp,value\n2026-03-01 14:00:00,1,2\n").contains("series.csv"));
        assert_eq!(error("timestamp,value\n"), "series.csv, line 1: no row after the header");
    }

    #[test]
    fn rows_that_go_back_in_time_are_counted() {
        let at = |hour: u32| format!("2026-03-01 {hour:02}:00:00,5\n");
        let text = |hours: [u32; 4]| format!("timestamp,value\n{}", hours.map(at).concat());
        for (hours, backwards) in [([1, 2, 2, 3], 0), ([3, 2, 4, 1], 2)] {
            assert_eq!(scored(&text(hours)).unwrap().1.backwards, backwards, "{hours:?}");
        }
        let below = "timestamp,value\n2026-03-01 14:00:00,0\n2026-03-01 15:00:00,-0.5\n";
        assert_eq!(scored(below).unwrap().1.below_zero, 1);
    }
}
