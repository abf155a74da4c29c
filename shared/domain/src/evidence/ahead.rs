//! Evidence as it will stand once the hours are closed that are open: looked at and not kept.
//!
//! An hour is judged some four hours after its end, when the whole fleet's is known. Until then events
//! show what was used, at least, and the peers' latest hours say what that was worth. What came in more
//! of an hour never makes it less strange, and one of which nothing is known yet is taken for the most
//! usual: so in whichever order events come, in the end the same was found.

use super::{Active, Bin, Cohort, Ledger, excess_of_hour};
use crate::bytes::Bytes;
use crate::time::Hour;
use crate::usage::SimUsage;

/// So many hours after the latest that is merged are looked at: three until an hour is closed, one in
/// which it is, one for the aggregator to be late, and the one that is not over. What peers did longer
/// ago says nothing of later hours.
const OPEN_MAX: i32 = 6;

/// An open hour is worth so much at most, in nats: as much as the strangest in a fleet of 2,000, in which
/// it was measured. In a larger one an hour can be worth more, and so could the first of an update, of
/// which the peers are not known to have had theirs.
const OPEN_WORTH_MAX: f64 = 3.5;

/// What is known of an open hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// At least so much was used.
    Used(Bytes),
    /// It is planned work's: no evidence either way.
    Planned,
}

/// The evidence as it stands after each hour from the latest that is judged up to now, in order, for
/// as long as there is any.
#[must_use]
pub fn ahead(
    usage: &SimUsage,
    cohort: &Cohort,
    shown: impl Fn(Hour) -> Shown,
    now: Hour,
) -> Vec<Ledger> {
    let (Some(closed), Some(merged)) = (usage.closed_through(), cohort.merged_through()) else {
        return Vec::new();
    };
    let (mut ledger, mut ledgers) = (*usage.standing().ledger(), Vec::new());
    // Says whether anything is held against the SIM still.
    let mut judge = |active: Active, deviation: Bin| {
        let known = cohort.worth_in(active.hour, deviation);
        let lately = || cohort.worth_lately(deviation).filter(|_| active.hour > merged);
        let open = || lately().map(|worth| worth.min(OPEN_WORTH_MAX));
        if let Some(worth) = known.or_else(open) {
            ledger.judge(active, worth, excess_of_hour(active.bytes(), active.usual()));
            ledgers.push(ledger);
        }
        ledger.wallet().log_evidence() > 0.0
    };
    if let Some((active, deviation)) = usage.standing().ledger().pending()
        && !judge(active, deviation)
    {
        return ledgers;
    }
    let last = now.min(merged.plus(OPEN_MAX));
    let mut hour = closed.max(merged).after();
    while hour <= last {
        if let Shown::Used(bytes) = shown(hour) {
            let Some(usual) = usage.usual_in(hour, cohort.spread()) else { break };
            let deviation = Bin::of_deviation(usual.deviation(bytes));
            if !judge(Active::new(hour, bytes, usual.expected()), deviation) {
                break;
            }
        }
        hour = hour.after();
    }
    ledgers
}
