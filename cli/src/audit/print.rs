//! Printing entries page by page: as tables, as comma-separated values, or as one JSON document.

use std::io::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use simfuse_domain::audit::{AuditRecord, Digest, Phase};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_kill_switch::audit::AuditAnswer;

use super::Format;
use crate::output::{narrow_table, note};

/// An entry, as it is printed.
#[derive(Serialize)]
struct Row<'a> {
    at: Timestamp,
    sim: Option<SimSid>,
    fleet: Option<FleetSid>,
    actor: &'a str,
    action: &'a str,
    phase: Phase,
    reason: &'a str,
    incident: Option<&'a str>,
    id: &'a str,
    /// Its place in the chain and its hash; absent for one of a version without chains.
    number: Option<u64>,
    hash: Option<Digest>,
    /// Whether its personal texts were erased.
    erased: bool,
}

impl<'a> Row<'a> {
    fn of(record: &'a AuditRecord) -> Self {
        let entry = &record.entry;
        let link = record.link.as_ref();
        Self {
            at: entry.at,
            sim: entry.sim,
            fleet: entry.fleet,
            actor: &entry.actor,
            action: &entry.action,
            phase: entry.phase,
            reason: &entry.reason,
            incident: entry.incident.as_deref(),
            id: &entry.id,
            number: link.map(|link| link.number),
            hash: link.map(|link| link.hash),
            erased: link.is_some() && record.salt.is_none(),
        }
    }
}

/// Prints the pages of one request.
pub(super) struct Printer {
    format: Format,
    entries: u64,
    unreadable: u64,
    fleet_unknown: u64,
}

impl Printer {
    /// Begins, with what the first page says about all of them.
    pub(super) fn new(format: Format, first: &AuditAnswer) -> Self {
        let (since, until) = (first.since, first.until);
        let begun = match format {
            Format::Table => true,
            Format::Csv => print(CSV_HEADER),
            Format::Json => print(&format!(
                r#"{{"since":"{since}","until":"{until}","sims":{},"fleet":{},"entries":["#,
                json!(first.sims),
                json!(first.fleet),
            )),
        };
        tracing::debug!(begun, "printing");
        Self { format, entries: 0, unreadable: 0, fleet_unknown: 0 }
    }

    /// Entries printed so far.
    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    /// Prints a page; `false` when nobody reads any more.
    pub(super) fn page(&mut self, page: &AuditAnswer) -> bool {
        let rows: Vec<Row<'_>> = page.entries.iter().map(Row::of).collect();
        let text = match self.format {
            Format::Table => tabular(&rows),
            Format::Csv => comma_separated(&rows),
            Format::Json => elements(&rows, self.entries == 0),
        };
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        self.entries = self.entries.saturating_add(count);
        self.unreadable = self.unreadable.saturating_add(page.unreadable);
        self.fleet_unknown = self.fleet_unknown.saturating_add(page.fleet_unknown);
        text.is_empty() || print(&text)
    }

    /// Ends what was begun.
    pub(super) fn end(&self, error: Option<String>) {
        let Self { format, entries, unreadable, fleet_unknown } = self;
        if *format == Format::Json {
            let rest = json!({
                "unreadable": unreadable, "fleet_unknown": fleet_unknown, "error": error,
            });
            // An object's own braces: the first is already there.
            print(&format!("],{}\n", rest.to_string().trim_start_matches('{')));
            return;
        }
        if *format == Format::Table && *entries == 0 && error.is_none() {
            print("Nothing was done in this time.\n");
        }
        if *unreadable > 0 {
            note(&format!("{unreadable} items could not be read and are left out"));
        }
        if *fleet_unknown > 0 {
            note(&format!(
                "{fleet_unknown} entries are left out, since they do not say of which fleet they are"
            ));
        }
    }
}

/// The columns, in the order of [`Row`].
const CSV_HEADER: &str = "at,sim,fleet,actor,action,phase,reason,incident,id,number,hash,erased\n";

fn comma_separated(rows: &[Row<'_>]) -> String {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    for row in rows {
        if let Err(error) = writer.serialize(row) {
            note(&format!("an entry cannot be printed: {error}"));
        }
    }
    let written = writer.into_inner().unwrap_or_default();
    String::from_utf8(written).unwrap_or_default()
}

fn elements(rows: &[Row<'_>], are_first: bool) -> String {
    let mut text = String::new();
    for row in rows {
        if !(are_first && text.is_empty()) {
            text.push(',');
        }
        text.push_str(&json!(row).to_string());
    }
    text
}

fn tabular(rows: &[Row<'_>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = narrow_table(["at, SIM", "what, who", "why, or what came of it"]);
    for row in rows {
        let sim = row.sim.map(|sim| format!("\n{sim}")).unwrap_or_default();
        table.add_row([
            format!("{}{sim}", row.at),
            format!("{} ({})\nby {}", row.action, row.phase, row.actor),
            row.reason.to_owned(),
        ]);
    }
    format!("{table}\n")
}

/// Prints on standard output; `false` when nobody reads any more.
fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
