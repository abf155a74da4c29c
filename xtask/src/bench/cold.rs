//! `cargo xtask bench cold`: how fast the functions start, and how large they are.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::Value;

use crate::run::{cargo, say, step, target};

/// From the start of a process to its first request for work, the median: so little that a request
/// to a sleeping webhook, or a finding for a sleeping kill-switch, waits for AWS and not for us.
const START_MS_MAX: f64 = 15.0;

/// What Lambda has to fetch before it starts a function.
const ZIP_BYTES_MAX: u32 = 4_000_000;

/// What an archive holds beside the deflated content of its one file, `bootstrap`: its name twice,
/// in 30 and 46 bytes of headers, and 22 bytes of an end.
const ZIP_HEADERS_BYTES: usize = 30 + 46 + 22 + 2 * "bootstrap".len();

/// The functions, each with whether someone waits for its start.
const FUNCTIONS: [(&str, bool); 4] =
    [("webhook", true), ("kill-switch", true), ("usage-aggregator", false), ("console", false)];

/// Builds the functions as they are shipped, starts each 30 times, packs each, and says what that
/// gave; fails when a bar is missed.
pub(crate) fn run() -> Result<(), String> {
    for (function, _) in FUNCTIONS {
        let package = format!("simfuse-{function}");
        // One by one, as SAM builds them: together they would share their dependencies' features.
        let arguments = ["build", "--release", "--package", &package, "--bin", function];
        step(&format!("building {function}"), cargo(&arguments))?;
    }
    let binaries = target().join("release");
    let starts = measure(&binaries)?;
    say("function            median    min       p95       CPU      resident  zip");
    let mut missed = Vec::new();
    for (function, waited_for) in FUNCTIONS {
        let number = |key| number(&starts, function, key);
        let (median, zip_bytes) = (number("median_ms")?, zip_bytes(&binaries.join(function))?);
        say(&format!(
            "{function:18} {median:5.1} ms  {:5.1} ms  {:5.1} ms  {:4.1} ms  {:5.1} MB  {:4.2} MB",
            number("min_ms")?,
            number("p95_ms")?,
            number("cpu_ms")?,
            number("resident_kb")? / 1e3,
            f64::from(zip_bytes) / 1e6,
        ));
        if waited_for && median > START_MS_MAX {
            missed.push(format!("{function} starts in {median:.1} ms, allowed are {START_MS_MAX}"));
        }
        if zip_bytes > ZIP_BYTES_MAX {
            let allowed = f64::from(ZIP_BYTES_MAX) / 1e6;
            missed.push(format!("{function} is larger than {allowed} MB as a zip"));
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(missed.join("; ")) }
}

/// What the bench prints: an object a function.
fn measure(binaries: &Path) -> Result<Vec<Value>, String> {
    let mut bench = cargo(&["bench", "--package", "simfuse-testkit", "--bench", "cold", "--"]);
    let output = bench.arg(binaries).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("starts: {error}"))?;
    if !output.status.success() {
        return Err(format!("starts ({})", output.status));
    }
    let starts = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    starts.collect::<Result<_, _>>().map_err(|error| format!("starts: {error}"))
}

fn number(starts: &[Value], function: &str, key: &str) -> Result<f64, String> {
    let start = starts.iter().find(|start| start.get("function").is_some_and(|is| is == function));
    let number = start.and_then(|start| start.get(key)?.as_f64());
    number.ok_or_else(|| format!("{function}: {key} was not measured"))
}

/// The size of the archive that Lambda gets.
fn zip_bytes(binary: &Path) -> Result<u32, String> {
    let fault = |error: &dyn Error| format!("{}: {error}", binary.display());
    let content = fs::read(binary).map_err(|error| fault(&error))?;
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
    let written = deflated.write_all(&content).and_then(|()| deflated.finish());
    let bytes = written.map_err(|error| fault(&error))?.len();
    u32::try_from(bytes.saturating_add(ZIP_HEADERS_BYTES)).map_err(|error| fault(&error))
}
