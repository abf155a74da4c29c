//! Two cells agree that the SIM is outside the area that policy allows.
//!
//! Catches a sensor that is carried away, without any change of device or country. One cell is not
//! enough, since a mast's place may be wrong in the carrier's list: another must say the same, from
//! another place, and such that one device can have seen both. That it was home between or is home
//! again lifts nothing: what is found must not depend on how events are batched. Fooled by an area
//! drawn too tight: a mast that serves a sensor may stand 35 km away. Missed: a device that sees the
//! cells of one mast alone. Silent without an area, and where the carrier does not say the cell.
//!
//! There is a finding for each place, so that a SIM which a human restored where it is (see
//! [`Finding::is_about`]) is found when it is taken somewhere else.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::place::{MASTS_APART_KM, REACH_KM, Square};
use crate::state::Seen;

/// What moves faster on the ground, in kilometres an hour, sees two cells of a place when it stops.
const SPEED_KMH: f64 = 150.0;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::GeofenceLeft, assess };

/// A cell outside the area that another one confirms.
#[derive(Debug, Clone, Copy)]
struct Confirmed<'a> {
    cell: &'a Seen,
    /// When both were seen.
    at: Timestamp,
    /// Cells that say the same, this one included.
    cells: usize,
}

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let Some(area) = &snapshot.rules.geofence else { return Vec::new() };
    let restored = snapshot.control.restored_at;
    let is_away = |seen: &&Seen| {
        !area.contains(seen.point) && restored.is_none_or(|restored| seen.first() > restored)
    };
    let away: Vec<&Seen> = snapshot.state.cells().iter().filter(is_away).collect();
    let mut places: Vec<(Square, Confirmed<'_>)> = Vec::new();
    for cell in &away {
        let Some(confirmed) = confirmed(cell, &away) else { continue };
        let square = cell.point.square();
        match places.iter_mut().find(|(known, _)| *known == square) {
            Some((_, known)) => *known = together(*known, confirmed),
            None => places.push((square, confirmed)),
        }
    }
    places.into_iter().map(|(square, found)| finding(square, found)).collect()
}

/// A cell as another one confirms it.
fn confirmed<'a>(cell: &'a Seen, away: &[&Seen]) -> Option<Confirmed<'a>> {
    let others: Vec<&&Seen> = away.iter().filter(|other| agrees(cell, other)).collect();
    let at = others.iter().map(|other| other.first()).min()?.max(cell.first());
    Some(Confirmed { cell, at, cells: others.len().saturating_add(1) })
}

/// Of two of one square: the earlier time, the cell that was seen last.
fn together<'a>(one: Confirmed<'a>, other: Confirmed<'a>) -> Confirmed<'a> {
    let latest = |found: &Confirmed<'_>| (found.cell.last(), found.cell.cell);
    let later = if latest(&one) < latest(&other) { other } else { one };
    Confirmed { at: one.at.min(other.at), ..later }
}

/// Whether one device can have seen both, and neither is the other by another number.
fn agrees(one: &Seen, other: &Seen) -> bool {
    let km = one.point.km_to(other.point);
    let hours = one.pause_to(other).as_secs_f64() / 3_600.0;
    km >= MASTS_APART_KM && km <= SPEED_KMH.mul_add(hours, 2.0 * REACH_KM)
}

fn finding(square: Square, found: Confirmed<'_>) -> Finding {
    // Should it leave again in a month, that is another matter, although the place be the same: whether
    // a human judged it is asked by the place alone.
    let day = found.at.to_zoned(TimeZone::UTC).date();
    Finding {
        detector: DetectorId::GeofenceLeft,
        about: format!("{square}/{day}"),
        at: found.at,
        evidence: Evidence::Outside { seen: found.cell.point, cells: found.cells },
    }
}

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{attached, claims, rules, time};
    use crate::event::Event;

    const CIRCLE: &str = "[places]\ngeofence = { lat = 48.0, lon = 11.0, radius_km = 50 }";
    const POLYGON: &str = "[places]\ngeofence = { polygon = [[47.5, 10.5], [48.5, 10.5], [48.5, 11.5], [47.5, 11.5]] }";

    #[track_caller]
    fn check(events: &[Event], policy: &str, expected: &[&str]) {
        let found = claims(super::DETECTOR, events, &rules(policy), Control::default());
        assert_eq!(found, expected);
    }

    /// Keys of what is found.
    fn keys(events: &[Event], control: Control<'_>) -> Vec<String> {
        let found = claims(super::DETECTOR, events, &rules(CIRCLE), control);
        let key = |claim: &String| claim.split_once(' ').unwrap().0.to_owned();
        let mut keys: Vec<String> = found.iter().map(key).collect();
        keys.sort();
        keys
    }

    fn at(time: &str, cell: u64, lat: f64) -> Event {
        attached(time).at_cell(cell, lat, 11.0)
    }

    #[test]
    fn two_cells_outside_are_found_and_one_is_not() {
        let events = [at("01T14:00", 1, 48.1), at("01T15:00", 2, 48.6), at("01T16:00", 3, 48.7)];
        let found = "geofence_left#48.5,11.0/2026-03-01 2026-03-01T16:00:00Z: at 48.700, 11.000 \
                     by 2 cells, outside the area that policy allows";
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

    #[test]
    fn two_cells_with_one_place_are_one_and_so_are_two_of_one_mast() {
        check(&[at("01T15:00", 2, 48.6), at("01T16:00", 3, 48.6)], CIRCLE, &[]);
        check(&[at("01T15:00", 2, 48.6), at("01T16:00", 3, 48.604)], CIRCLE, &[]);
        let two_masts = [at("01T15:00", 2, 48.6), at("01T16:00", 3, 48.605)];
        assert_eq!(keys(&two_masts, Control::default()), ["geofence_left#48.5,11.0/2026-03-01"]);
    }

    #[test]
    fn cells_of_two_networks_with_the_same_numbers_are_two() {
        let events = [at("01T15:00", 2, 48.6), at("01T16:00", 2, 48.7).of_network("02")];
        assert_eq!(keys(&events, Control::default()), ["geofence_left#48.5,11.0/2026-03-01"]);
        let one = [at("01T15:00", 2, 48.6), at("01T16:00", 2, 48.7)];
        assert_eq!(keys(&one, Control::default()), [""; 0], "a mast that was placed anew");
    }

    #[test]
    fn what_came_home_was_away_all_the_same() {
        let mut events = vec![at("01T15:00", 2, 48.6), at("01T16:00", 3, 48.7)];
        let away = "geofence_left#48.5,11.0/2026-03-01";
        assert_eq!(keys(&events, Control::default()), [away]);
        events.push(at("01T17:00", 1, 48.1));
        assert_eq!(keys(&events, Control::default()), [away], "all at once or one by one");
    }

    #[test]
    fn a_mast_with_a_wrong_place_confirms_nothing_and_is_confirmed_by_nothing() {
        let wrong = |time| at(time, 9, 53.0);
        check(&[wrong("01T15:00"), at("01T15:10", 2, 48.6)], CIRCLE, &[]);
        let away = [at("01T15:00", 2, 48.6), at("01T16:00", 3, 48.7), wrong("01T16:10")];
        let more = [away.as_slice(), &[at("01T22:00", 2, 48.6), wrong("01T23:00")]].concat();
        for events in [away.as_slice(), &more] {
            assert_eq!(keys(events, Control::default()), ["geofence_left#48.5,11.0/2026-03-01"]);
        }
    }

    #[test]
    fn each_place_on_the_way_is_one_finding() {
        // A lorry with a sensor that wakes every hour.
        let stops = [(1, 48.1), (2, 48.9), (3, 49.8), (4, 50.7), (5, 51.2)];
        let ways = stops.map(|(hour, lat)| at(&format!("01T{hour:02}:00"), hour, lat));
        let expected = ["49.0", "50.0", "50.5", "51.0"];
        let expected = expected.map(|lat| format!("geofence_left#{lat},11.0/2026-03-01"));
        assert_eq!(keys(&ways, Control::default()), expected);
    }

    #[test]
    fn after_a_restore_only_cells_count_that_are_seen_for_the_first_time() {
        let restored = Control { restored_at: Some(time("01T17:00")), ..Control::default() };
        let mut events = vec![at("01T15:00", 2, 48.6), at("01T16:00", 3, 48.7)];
        events.extend([at("01T18:00", 2, 48.6), at("01T19:00", 3, 48.7)]);
        assert_eq!(keys(&events, Control::default()), ["geofence_left#48.5,11.0/2026-03-01"]);
        assert_eq!(keys(&events, restored), [""; 0]);
        events.extend([at("01T23:00", 5, 52.0), at("02T00:00", 6, 52.1)]);
        assert_eq!(keys(&events, restored), ["geofence_left#52.0,11.0/2026-03-02"]);
    }
}
