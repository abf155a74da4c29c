//! Two cells agree that the SIM is outside the area that policy allows.
//!
//! Catches a sensor that is carried away, without any change of device or country. Fooled by wrong
//! places of masts, which is why one cell is not enough, and by an area drawn too tight: a mast that
//! serves a sensor may stand 35 km away. Silent without an area, and where the carrier does not say
//! the cell.

use jiff::tz::TimeZone;

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::state::Seen;

/// Different cells that must agree.
const CELLS_MIN: usize = 2;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::GeofenceLeft, assess };

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let Some(area) = &snapshot.rules.geofence else { return Vec::new() };
    let cells = snapshot.state.cells().iter();
    let mut outside: Vec<&Seen> = cells.filter(|seen| !area.contains(seen.point)).collect();
    outside.sort_by_key(|seen| (seen.first(), seen.cell));
    let agreeing = outside.get(CELLS_MIN.saturating_sub(1));
    let (Some(agreeing), Some(latest)) = (agreeing, outside.last()) else { return Vec::new() };
    let at = agreeing.first();
    vec![Finding {
        detector: DetectorId::GeofenceLeft,
        // A SIM on the move sees a new cell every few minutes: once a day is enough.
        about: at.to_zoned(TimeZone::UTC).date().to_string(),
        at,
        evidence: Evidence::Outside { seen: latest.point, cells: outside.len() },
    }]
}

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{attached, claims, rules};
    use crate::event::Event;

    const CIRCLE: &str = "[places]\ngeofence = { lat = 48.0, lon = 11.0, radius_km = 50 }";
    const POLYGON: &str = "[places]\ngeofence = { polygon = [[47.5, 10.5], [48.5, 10.5], [48.5, 11.5], [47.5, 11.5]] }";

    #[track_caller]
    fn check(events: &[Event], policy: &str, expected: &[&str]) {
        let found = claims(super::DETECTOR, events, &rules(policy), Control::default());
        assert_eq!(found, expected);
    }

    fn at(time: &str, cell: u64, lat: f64) -> Event {
        attached(time).at_cell(cell, lat, 11.0)
    }

    #[test]
    fn two_cells_outside_are_found_and_one_is_not() {
        let events = [at("01T14:00", 1, 48.1), at("01T15:00", 2, 48.6), at("01T16:00", 3, 48.7)];
        let found = "geofence_left#2026-03-01 2026-03-01T16:00:00Z: at 48.700, 11.000 by 2 cells, \
                     outside the area that policy allows";
        check(&events, CIRCLE, &[found]);
        check(&events, POLYGON, &[found]);
        check(&events[..2], CIRCLE, &[]);
        check(&[at("01T15:00", 2, 48.6), at("01T16:00", 2, 48.6)], CIRCLE, &[]);
    }

    #[test]
    fn inside_unknown_or_without_an_area_nothing_is_found() {
        check(&[at("01T14:00", 1, 48.1), at("01T15:00", 2, 48.4)], CIRCLE, &[]);
        check(&[attached("01T14:00")], CIRCLE, &[]);
        check(&[at("01T15:00", 2, 48.6), at("01T16:00", 3, 48.7)], "", &[]);
        check(&[], CIRCLE, &[]);
    }
}
