//! The SIM was at two places in less time than any vehicle needs between them: a clone, or a card
//! whose copy travels.
//!
//! Each place must be told by two cells near one another and of different masts, so that one mast
//! with a wrong place in the carrier's list, or one place for all that the carrier does not know,
//! does not make a journey. That misses a sensor that stands still and sees one mast only. True of a
//! carrier that moves cell numbers from one town to another: it alerts and never cuts. A flight is
//! slower.

use jiff::Timestamp;

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::place::{MASTS_APART_KM, Point, REACH_KM};
use crate::state::Seen;

/// Less than this, in kilometres, is no journey, whatever its speed. Of both ends the reach of a
/// mast is taken off the distance.
const KM_MIN: f64 = 150.0;

/// In kilometres an hour; airliners cruise at some 900.
const SPEED_KMH: f64 = 1_000.0;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::ImpossibleTravel, assess };

/// Two at either end.
const CELLS_MIN: usize = 4;

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    // As of nearly every SIM.
    if snapshot.state.cells().len() < CELLS_MIN {
        return Vec::new();
    }
    let cells: Vec<Sighted> =
        snapshot.state.cells().iter().filter_map(|seen| Sighted::of(seen, snapshot)).collect();
    let pairs = cells.iter().enumerate().flat_map(|(place, one)| {
        cells.iter().skip(place.saturating_add(1)).map(move |other| (one, other))
    });
    let journeys = pairs.filter(|(one, other)| is_confirmed(&cells, one, other));
    let mut journeys: Vec<Journey> =
        journeys.filter_map(|(one, other)| journey(one, other)).collect();
    // The one that ended first; of several the fastest.
    journeys.sort_by_key(|found| {
        (found.arrived, found.arrived.duration_since(found.left), found.from, found.to)
    });
    let mut findings: Vec<Finding> = Vec::new();
    for finding in journeys.into_iter().map(Journey::finding) {
        if !findings.iter().any(|known| finding.is_about(&known.key())) {
            findings.push(finding);
        }
    }
    findings
}

/// A cell, and when it was seen: after the latest restore, if there was one.
#[derive(Debug, Clone, Copy)]
struct Sighted {
    seen: Seen,
    first: Timestamp,
    last: Timestamp,
}

impl Sighted {
    fn of(seen: &Seen, snapshot: &Snapshot<'_>) -> Option<Self> {
        let restored_at = snapshot.control.restored_at.unwrap_or(Timestamp::MIN);
        let last = Some(seen.last()).filter(|last| *last > restored_at)?;
        let first = Some(seen.first()).filter(|first| *first > restored_at).unwrap_or(last);
        Some(Self { seen: *seen, first, last })
    }
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
    /// Named by its ends, whichever of them it began at: a clone is at both all the time.
    fn finding(self) -> Finding {
        let Self { arrived, left, from, to } = self;
        let (one, other) = (from.square().min(to.square()), from.square().max(to.square()));
        Finding {
            detector: DetectorId::ImpossibleTravel,
            about: format!("{one}/{other}"),
            at: arrived,
            evidence: Evidence::Travel { from, left, to, arrived },
        }
    }
}

/// The fastest journey between two cells' events, where no vehicle makes it.
fn journey(one: &Sighted, other: &Sighted) -> Option<Journey> {
    let (here, there) = (one.seen.point, other.seen.point);
    let km = here.km_to(there) - 2.0 * REACH_KM;
    if km <= KM_MIN {
        return None;
    }
    let times = |cell: &Sighted| [cell.first, cell.last];
    let ends = times(one).into_iter().flat_map(|at| times(other).map(|other_at| (at, other_at)));
    let (at, other_at) = ends.min_by_key(|(at, other_at)| at.duration_since(*other_at).abs())?;
    let hours = at.duration_since(other_at).abs().as_secs_f64() / 3_600.0;
    let (from, left, to, arrived) =
        if at <= other_at { (here, at, there, other_at) } else { (there, other_at, here, at) };
    (km > SPEED_KMH * hours).then_some(Journey { arrived, left, from, to })
}

/// Whether beside each of the two there is another mast that says the same.
fn is_confirmed(cells: &[Sighted], one: &Sighted, other: &Sighted) -> bool {
    let beside = |end: &Sighted, far: &Sighted| {
        cells.iter().any(|cell| {
            let km = cell.seen.point.km_to(end.seen.point);
            (MASTS_APART_KM..=KM_MIN).contains(&km) && journey(cell, far).is_some()
        })
    };
    journey(one, other).is_some() && beside(one, other) && beside(other, one)
}

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{attached, claims, rules, time};
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
        let found = "impossible_travel#48.0,11.5/53.5,10.0 2026-03-01T14:20:00Z: 606 km from \
                     48.190, 11.580 to 53.550, 10.000 within 15 min";
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

    fn keys(events: &[Event], control: Control<'_>) -> Vec<String> {
        let found = claims(super::DETECTOR, events, &rules(""), control);
        found.iter().map(|claim| claim.split_once(' ').unwrap().0.to_owned()).collect()
    }

    #[test]
    fn cells_that_share_one_place_confirm_nothing() {
        // What a carrier gives for all that it does not know: the middle of its country.
        let middle = |at, cell| attached(at).at_cell(cell, 51.1, 10.4);
        let mut events = town(["01T14:00", "01T14:05"], 1, MUNICH);
        events.extend([middle("01T14:06", 8), middle("01T14:07", 9)]);
        assert_eq!(keys(&events, Control::default()), [""; 0]);
        events.push(attached("01T14:08").at_cell(10, 51.2, 10.4));
        assert_eq!(keys(&events, Control::default()), ["impossible_travel#48.0,11.5/51.0,10.5"]);
    }

    #[test]
    fn cells_of_two_networks_with_the_same_numbers_are_two_places() {
        let munich = town(["01T14:00", "01T14:05"], 1, MUNICH);
        let hamburg = town(["01T14:20", "01T14:25"], 1, HAMBURG);
        let hamburg = hamburg.into_iter().map(|event| event.of_network("02"));
        let events: Vec<Event> = munich.into_iter().chain(hamburg).collect();
        assert_eq!(keys(&events, Control::default()), ["impossible_travel#48.0,11.5/53.5,10.0"]);
    }

    #[test]
    fn a_clone_at_two_places_is_one_matter_and_a_third_place_is_another() {
        let mut events = Vec::new();
        for (munich, hamburg) in [("01T14", "01T15"), ("02T10", "02T11")] {
            let times = |hour: &str| [format!("{hour}:00"), format!("{hour}:05")];
            let (here, there) = (times(munich), times(hamburg));
            events.extend(town([&here[0], &here[1]], 1, MUNICH));
            events.extend(town([&there[0], &there[1]], 8, HAMBURG));
            let again = [format!("{hamburg}:10"), format!("{hamburg}:15")];
            events.extend(town([&again[0], &again[1]], 1, MUNICH));
        }
        let known = "impossible_travel#48.0,11.5/53.5,10.0";
        assert_eq!(
            keys(&events, Control::default()),
            [known],
            "on either day, in either direction"
        );
        let rome = (41.9, 12.5);
        events.extend(town(["02T11:20", "02T11:25"], 20, rome));
        let found = keys(&events, Control::default());
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.contains(&known.to_owned()), "{found:?}");
    }

    #[test]
    fn after_a_restore_only_where_it_was_seen_since_counts() {
        let mut events = town(["01T14:00", "01T14:05"], 1, MUNICH);
        events.extend(town(["01T14:20", "01T14:25"], 8, HAMBURG));
        let control = Control { restored_at: Some(time("01T14:10")), ..Control::default() };
        assert_eq!(keys(&events, control), [""; 0]);
        // The masts are those of before, the journey is not.
        events.extend(town(["01T14:30", "01T14:35"], 1, MUNICH));
        assert_eq!(keys(&events, control).len(), 1);
    }
}
