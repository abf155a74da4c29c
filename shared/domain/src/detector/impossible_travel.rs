//! The SIM was at two places in less time than any vehicle needs between them: a clone, or a card
//! whose copy travels.
//!
//! Each place must be told by two cells near one another, so that one mast with a wrong place in the
//! carrier's list does not make a journey. That misses a sensor that stands still and sees one cell
//! only. True of a carrier that moves cell numbers from one town to another: it alerts and never
//! cuts. A flight is slower.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::place::Point;
use crate::state::Seen;

/// How far a device may be from its mast, in kilometres: the reach of a cell in the open. Of both
/// ends it is taken off the distance.
const SLACK_KM: f64 = 35.0;

/// Less than this, in kilometres, is no journey, whatever its speed.
const KM_MIN: f64 = 150.0;

/// In kilometres an hour; airliners cruise at some 900.
const SPEED_KMH: f64 = 1_000.0;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::ImpossibleTravel, assess };

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let cells = snapshot.state.cells();
    let pairs = cells.iter().enumerate().flat_map(|(place, one)| {
        cells.iter().skip(place.saturating_add(1)).map(move |other| (one, other))
    });
    let journeys = pairs.filter(|(one, other)| is_confirmed(cells, one, other));
    let journeys = journeys.filter_map(|(one, other)| journey(one, other));
    // The one that ended first; of several the fastest.
    let first = journeys.min_by_key(|found| {
        (found.arrived, found.arrived.duration_since(found.left), found.from, found.to)
    });
    first.into_iter().map(Journey::finding).collect()
}

/// From where, until when, and where then.
#[derive(Debug, Clone, Copy)]
struct Journey {
    from: Point,
    left: Timestamp,
    to: Point,
    arrived: Timestamp,
}

impl Journey {
    fn finding(self) -> Finding {
        let Self { arrived, left, from, to } = self;
        Finding {
            detector: DetectorId::ImpossibleTravel,
            about: arrived.to_zoned(TimeZone::UTC).date().to_string(),
            at: arrived,
            evidence: Evidence::Travel { from, left, to, arrived },
        }
    }
}

/// The fastest journey between two cells' events, where no vehicle makes it.
fn journey(one: &Seen, other: &Seen) -> Option<Journey> {
    let km = one.point.km_to(other.point) - 2.0 * SLACK_KM;
    if km <= KM_MIN {
        return None;
    }
    let times = |seen: &Seen| [seen.first(), seen.last()];
    let ends = times(one).into_iter().flat_map(|at| times(other).map(|other_at| (at, other_at)));
    let (at, other_at) = ends.min_by_key(|(at, other_at)| at.duration_since(*other_at).abs())?;
    let hours = at.duration_since(other_at).abs().as_secs_f64() / 3_600.0;
    let (from, left, to, arrived) = if at <= other_at {
        (one.point, at, other.point, other_at)
    } else {
        (other.point, other_at, one.point, at)
    };
    (km > SPEED_KMH * hours).then_some(Journey { arrived, left, from, to })
}

/// Whether beside each of the two there is another cell that says the same.
fn is_confirmed(cells: &[Seen], one: &Seen, other: &Seen) -> bool {
    let beside = |end: &Seen, far: &Seen| {
        cells.iter().any(|cell| {
            cell.cell != end.cell
                && cell.point.km_to(end.point) <= KM_MIN
                && journey(cell, far).is_some()
        })
    };
    journey(one, other).is_some() && beside(one, other) && beside(other, one)
}

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{attached, claims, rules};
    use crate::event::Event;

    #[track_caller]
    fn check(events: &[Event], expected: &[&str]) {
        let found = claims(super::DETECTOR, events, &rules(""), Control::default());
        assert_eq!(found, expected);
    }

    /// Two cells of a town.
    fn town(at: [&str; 2], cell: u64, (lat, lon): (f64, f64)) -> Vec<Event> {
        let events = [(at[0], cell, lat), (at[1], cell.saturating_add(1), lat + 0.05)];
        events.map(|(at, cell, lat)| attached(at).at_cell(cell, lat, lon)).to_vec()
    }

    const MUNICH: (f64, f64) = (48.14, 11.58);
    const HAMBURG: (f64, f64) = (53.55, 10.0);

    #[test]
    fn two_towns_within_minutes_are_found() {
        let events =
            [town(["01T14:00", "01T14:05"], 1, MUNICH), town(["01T14:20", "01T14:25"], 8, HAMBURG)];
        let found = "impossible_travel#2026-03-01 2026-03-01T14:20:00Z: 606 km from 48.190, \
                     11.580 to 53.550, 10.000 within 15 min";
        check(&events.concat(), &[found]);
        let alternating = [town(["01T14:30", "01T15:00"], 1, MUNICH), events.concat()].concat();
        assert_eq!(
            claims(super::DETECTOR, &alternating, &rules(""), Control::default()).len(),
            1,
            "at once in both"
        );
    }

    #[test]
    fn a_flight_one_wrong_mast_and_a_neighbouring_town_are_not() {
        let flight =
            [town(["01T14:00", "01T14:05"], 1, MUNICH), town(["01T14:40", "01T14:45"], 8, HAMBURG)];
        check(&flight.concat(), &[]);
        let mut wrong = town(["01T14:00", "01T14:05"], 1, MUNICH);
        wrong.push(attached("01T14:06").at_cell(9, HAMBURG.0, HAMBURG.1));
        check(&wrong, &[]);
        let ingolstadt = (48.77, 11.42);
        let near = [
            town(["01T14:00", "01T14:05"], 1, MUNICH),
            town(["01T14:06", "01T14:07"], 8, ingolstadt),
        ];
        check(&near.concat(), &[]);
        check(&[attached("01T14:00")], &[]);
        check(&[], &[]);
    }
}
