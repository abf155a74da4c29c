//! What humans would have been paged about whole fleets.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use simfuse_backtest::Page;
use simfuse_domain::id::FleetSid;
use simfuse_domain::time::Hour;

use crate::output;

/// A page about many SIMs of one fleet that were unusual at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct SurgeReport {
    pub(super) fleet: FleetSid,
    pub(super) at: Timestamp,
    /// SIMs that used far more than usual, of those active.
    strange: u32,
    active: u32,
    /// The first such hour, and the latest.
    #[serde(serialize_with = "as_text")]
    since: Hour,
    #[serde(serialize_with = "as_text")]
    latest: Hour,
}

/// As humans write it, and findings do.
fn as_text<S: Serializer>(hour: &Hour, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hour)
}

impl SurgeReport {
    pub(super) fn of(page: &Page) -> Self {
        let Page { fleet, at, told, in_the_end } = page;
        Self {
            fleet: *fleet,
            at: *at,
            strange: told.strange,
            active: told.active,
            since: told.since,
            latest: in_the_end.latest,
        }
    }

    pub(super) fn sentence(&self) -> String {
        let Self { strange, active, since, latest, .. } = self;
        let until = if since == latest { String::new() } else { format!(" to {latest}") };
        format!("{strange} of {active} SIMs use far more than usual at once, in {since}{until}")
    }
}

/// In the order of time.
pub(super) fn reports(pages: &[Page]) -> Vec<SurgeReport> {
    let mut reports: Vec<SurgeReport> = pages.iter().map(SurgeReport::of).collect();
    reports.sort_by_key(|report| (report.at, report.fleet));
    reports
}

pub(super) fn text(reports: &[SurgeReport]) -> String {
    if reports.is_empty() {
        return "No fleet would have been paged for a surge; cohort_surge needs 50 active SIMs of a fleet, \
                and a\nweek. SIMs that are taken as switched off, those that a cap holds among \
                them, do not\ncount in one.\n"
            .to_owned();
    }
    let mut table = output::narrow_table(["fleet", "paged at", "cohort_surge"]);
    for report in reports {
        table.add_row([report.fleet.to_string(), report.at.to_string(), report.sentence()]);
    }
    format!("{table}\n")
}
