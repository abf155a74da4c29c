//! Where a SIM is on the ground: the cell that serves it, and the place that the provider gives for
//! it.
//!
//! The place is the mast's or its estimate, off by up to some 35 km: the reach of a cell in the open.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::IdError;
use crate::network::Plmn;

/// How far a device may be from its mast, in kilometres: the reach of a cell in the open.
pub const REACH_KM: f64 = 35.0;

/// Places less than this apart, in kilometres, are one mast's or one entry's in a list of places: the
/// cells of a mast share its place, and so do all cells of a carrier that gives the middle of a
/// region for those that it does not know. Two that say the same by one entry do not agree.
pub const MASTS_APART_KM: f64 = 0.5;

/// A device that stands still is nowhere else than this, in kilometres: what two masts that both
/// serve it may be apart, and what the middle of a [`Square`] may be off its corners (40 km).
pub const SAME_PLACE_KM: f64 = 2.0 * REACH_KM + 40.0;

/// Mean radius of the earth (IUGG), in kilometres.
const EARTH_KM: f64 = 6_371.008_8;

/// Units of a stored coordinate in a degree: 11 metres, a thousandth of what a mast is off.
const PER_DEGREE: f64 = 1e4;

/// Units of a stored coordinate in half a degree.
const PER_HALF_DEGREE: i32 = 5_000;

/// A cell, by the numbers that events give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellId {
    /// The network: each numbers its cells by itself. `None` where the event does not say.
    pub plmn: Option<Plmn>,
    /// The location or tracking area.
    pub area: u32,
    /// The cell in it.
    pub cell: u64,
}

/// A point on the ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Point {
    lat: i32,
    lon: i32,
}

impl Point {
    /// The point at these degrees. `None` for what lies on no globe, and for 0, 0, which stands for
    /// *unknown*: no mast is in the Gulf of Guinea.
    #[must_use]
    pub fn new(lat: f64, lon: f64) -> Option<Self> {
        let on_globe = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        #[expect(clippy::cast_possible_truncation, reason = "at most 1.8 million")]
        let units = |degrees: f64| (degrees * PER_DEGREE).round() as i32;
        let point = Self { lat: units(lat), lon: units(lon) };
        (on_globe && point != Self { lat: 0, lon: 0 }).then_some(point)
    }

    /// Degrees north.
    #[must_use]
    pub fn lat(self) -> f64 {
        f64::from(self.lat) / PER_DEGREE
    }

    /// Degrees east.
    #[must_use]
    pub fn lon(self) -> f64 {
        f64::from(self.lon) / PER_DEGREE
    }

    /// Kilometres to the other point along a great circle (haversine formula).
    #[must_use]
    pub fn km_to(self, other: Self) -> f64 {
        let (lat, other_lat) = (self.lat().to_radians(), other.lat().to_radians());
        let north = ((other_lat - lat) / 2.0).sin();
        let east = ((other.lon() - self.lon()).to_radians() / 2.0).sin();
        let chord = north.mul_add(north, lat.cos() * other_lat.cos() * east * east);
        2.0 * EARTH_KM * chord.clamp(0.0, 1.0).sqrt().asin()
    }

    /// The square that the point lies in.
    #[must_use]
    pub fn square(self) -> Square {
        #[expect(clippy::cast_possible_truncation, reason = "at most 360")]
        let nearest = |units: i32| (f64::from(units) / f64::from(PER_HALF_DEGREE)).round() as i32;
        Square::new(nearest(self.lat), nearest(self.lon))
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}, {:.3}", self.lat(), self.lon())
    }
}

/// A square of half a degree: what a key says of a place, so that a SIM on the move is about a new
/// one now and then and not with each mast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Square {
    /// Of its middle, in half degrees.
    lat: i32,
    lon: i32,
}

impl Square {
    /// One on the meridian of 180 degrees has one name.
    const fn new(lat: i32, lon: i32) -> Self {
        Self { lat, lon: if lon == -360 { 360 } else { lon } }
    }

    /// Its middle.
    #[must_use]
    pub const fn middle(self) -> Point {
        let (lat, lon) = (self.lat, self.lon);
        Point { lat: lat.saturating_mul(PER_HALF_DEGREE), lon: lon.saturating_mul(PER_HALF_DEGREE) }
    }
}

impl FromStr for Square {
    type Err = IdError;

    /// Reads what `Display` prints: `48.5,11.0`.
    fn from_str(text: &str) -> Result<Self, IdError> {
        const ERROR: IdError = IdError::new("a square: degrees north and east, in halves");
        let (lat, lon) = text.split_once(',').ok_or(ERROR)?;
        let halves = |text: &str, most: f64| {
            let halves = 2.0 * text.parse::<f64>().ok()?;
            let is_one = halves.abs() <= most && halves.fract().abs() < f64::EPSILON;
            #[expect(clippy::cast_possible_truncation, reason = "at most 360")]
            is_one.then_some(halves as i32)
        };
        let (lat, lon) = halves(lat, 180.0).zip(halves(lon, 360.0)).ok_or(ERROR)?;
        Ok(Self::new(lat, lon))
    }
}

impl fmt::Display for Square {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1},{:.1}", f64::from(self.lat) / 2.0, f64::from(self.lon) / 2.0)
    }
}

/// What an event says of where the SIM was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The cell.
    pub cell: CellId,
    /// Where that is.
    pub point: Point,
}

/// A part of the earth's surface.
#[derive(Debug, Clone, PartialEq)]
pub enum Area {
    /// All that is no farther from a point.
    Circle {
        /// The middle.
        center: Point,
        /// How far it reaches.
        radius_km: f64,
    },
    /// All within straight lines of latitude and longitude between these corners. It does not reach
    /// over the meridian of 180 degrees.
    Polygon(Vec<Point>),
}

impl Area {
    /// Whether the point lies in it.
    #[must_use]
    pub fn contains(&self, point: Point) -> bool {
        match self {
            Self::Circle { center, radius_km } => center.km_to(point) <= *radius_km,
            Self::Polygon(corners) => {
                // Odd crossings of a line to the east.
                let ends = corners.iter().cycle().skip(1);
                let edges = corners.iter().zip(ends);
                let crossed = edges.filter(|(from, to)| {
                    let spans = (from.lat > point.lat) != (to.lat > point.lat);
                    let share = (point.lat() - from.lat()) / (to.lat() - from.lat());
                    spans && point.lon() < (to.lon() - from.lon()).mul_add(share, from.lon())
                });
                crossed.count() % 2 == 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(lat: f64, lon: f64) -> Point {
        Point::new(lat, lon).unwrap()
    }

    #[test]
    fn distances_are_those_of_an_atlas() {
        let (london, paris) = (point(51.5074, -0.1278), point(48.8566, 2.3522));
        assert!((london.km_to(paris) - 343.6).abs() < 0.5, "{}", london.km_to(paris));
        assert!((paris.km_to(london) - london.km_to(paris)).abs() < 1e-9);
        let antipodes = point(10.0, 20.0).km_to(point(-10.0, -160.0));
        assert!((antipodes - 20_015.1).abs() < 0.5, "half round the globe: {antipodes}");
        let date_line = point(0.0, 179.9).km_to(point(0.0, -179.9));
        assert!((date_line - 22.2).abs() < 0.1, "{date_line}");
        assert!(london.km_to(london).abs() < 1e-9);
    }

    #[test]
    fn what_lies_on_no_globe_or_stands_for_unknown_is_no_point() {
        for (lat, lon) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            assert_eq!(Point::new(lat, lon), None, "{lat}, {lon}");
        }
        assert_eq!(Point::new(0.0, 0.0), None);
        assert_eq!(point(-33.8688, 151.2093).to_string(), "-33.869, 151.209");
    }

    #[test]
    fn a_square_is_read_as_it_is_written_and_is_not_far_from_its_points() {
        for (lat, lon, text) in [
            (48.1, 11.6, "48.0,11.5"),
            (-33.9, 151.26, "-34.0,151.5"),
            (0.1, -0.1, "0.0,0.0"),
            (89.9, -179.9, "90.0,180.0"),
            (10.0, 180.0, "10.0,180.0"),
        ] {
            let (point, square) = (point(lat, lon), point(lat, lon).square());
            assert_eq!((square.to_string().as_str(), text.parse()), (text, Ok(square)));
            assert!(point.km_to(square.middle()) < 40.0, "{text}");
        }
        let corner = point(0.25, 0.25);
        let off = corner.km_to(corner.square().middle());
        assert!((39.0..40.0).contains(&off), "as far off as can be: {off}");
        for text in ["", "48.0", "48.0,", "48.1,11.0", "91.0,0.0", "0.0,181.0", "NaN,0.0"] {
            assert!(text.parse::<Square>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_circle_and_a_polygon_know_what_is_in_them() {
        let circle = Area::Circle { center: point(48.0, 11.0), radius_km: 50.0 };
        assert!(circle.contains(point(48.4, 11.0)) && !circle.contains(point(48.5, 11.0)));
        // An L, so that it is not enough to look at the box around it.
        let corners = [(0.0, 1.0), (0.0, 4.0), (1.0, 4.0), (1.0, 2.0), (3.0, 2.0), (3.0, 1.0)];
        let polygon = Area::Polygon(corners.map(|(lat, lon)| point(lat, lon)).to_vec());
        for (lat, lon, expected) in
            [(0.5, 3.5, true), (2.5, 1.5, true), (2.5, 3.5, false), (-0.5, 1.5, false)]
        {
            assert_eq!(polygon.contains(point(lat, lon)), expected, "{lat}, {lon}");
        }
    }
}
