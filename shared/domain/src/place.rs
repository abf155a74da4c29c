//! Where a SIM is on the ground: the cell that serves it, and the place that the provider gives for
//! it.
//!
//! The place is the mast's or its estimate, off by up to some 35 km: the reach of a cell in the open.

use serde::{Deserialize, Serialize};

/// Mean radius of the earth (IUGG), in kilometres.
const EARTH_KM: f64 = 6_371.008_8;

/// Units of a stored coordinate in a degree: 11 metres, a thousandth of what a mast is off.
const PER_DEGREE: f64 = 1e4;

/// A cell of a mobile network, by the two numbers that events give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellId {
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
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3}, {:.3}", self.lat(), self.lon())
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
