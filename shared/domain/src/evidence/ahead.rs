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
/// which it is, one for the aggregator to be late, and the one that is not over. Of peers of whom there
/// is no later word nothing is known now.
const OPEN_MAX: u32 = 6;

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
    let mut ledger = *usage.standing().ledger();
    let (Some(closed), Some(merged)) = (usage.closed_through(), cohort.merged_through()) else {
        return Vec::new();
    };
    let mut ledgers = Vec::new();
    if merged.hours_until(now) > OPEN_MAX {
        return ledgers;
    }
    let mut judge = |active: Active, deviation: Bin, excess: Bytes| {
        let known = cohort.worth_in(active.hour, deviation);
        let open = || cohort.worth_lately(deviation).filter(|_| active.hour > merged);
        if let Some(worth) = known.or_else(open) {
            ledger.judge(active, worth, excess);
            ledgers.push(ledger);
        }
        ledger.wallet().log_evidence() > 0.0
    };
    if let Some((active, deviation)) = usage.standing().ledger().pending()
        && !judge(active, deviation, excess_of_hour(active.bytes(), active.usual()))
    {
        return ledgers;
    }
    let mut hour = closed.max(merged).after();
    while hour <= now {
        if let Shown::Used(bytes) = shown(hour) {
            let Some(usual) = usage.usual_in(hour, cohort.spread()) else { break };
            let expected = usual.expected();
            let deviation = Bin::of_deviation(usual.deviation(bytes));
            let active = Active::new(hour, bytes, expected);
            // A silent hour is worth as much as the most usual.
            if !judge(active, deviation, excess_of_hour(bytes, expected)) {
                break;
            }
        }
        hour = hour.after();
    }
    ledgers
}
