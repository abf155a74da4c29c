//! The policy file's `[places]`.

use serde::Deserialize;
use toml::Spanned;

use crate::network::Country;
use crate::place::{Area, Point};
use crate::policy::LimitAct;
use crate::policy::watched::WatchAct;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, such as [places]")]
pub(super) struct PlacesLayer {
    pub(super) countries: Option<Vec<Country>>,
    pub(super) geofence: Option<Geofence>,
    pub(super) geofence_act: Option<Spanned<LimitAct>>,
    pub(super) new_country: Option<WatchAct>,
    pub(super) new_network: Option<WatchAct>,
}

/// An area; `{}` is none, so that a fleet or SIM may be exempt.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "GeofenceText")]
pub(super) struct Geofence(pub(super) Option<Area>);

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an area, such as { lat = 48.1, lon = 11.6, radius_km = 80 }"
)]
struct GeofenceText {
    lat: Option<f64>,
    lon: Option<f64>,
    radius_km: Option<f64>,
    polygon: Option<Vec<(f64, f64)>>,
}

impl TryFrom<GeofenceText> for Geofence {
    type Error = &'static str;

    fn try_from(text: GeofenceText) -> Result<Self, Self::Error> {
        const POINT: &str = "latitudes are from -90 to 90, longitudes from -180 to 180";
        let area = match (text.lat, text.lon, text.radius_km, text.polygon) {
            (None, None, None, None) => return Ok(Self(None)),
            (Some(lat), Some(lon), Some(radius_km), None) => {
                // A cell reaches 35 km; the half of the equator is everywhere.
                if !(1.0..=20_000.0).contains(&radius_km) {
                    return Err("`radius_km` must be from 1 to 20,000");
                }
                Area::Circle { center: Point::new(lat, lon).ok_or(POINT)?, radius_km }
            }
            (None, None, None, Some(corners)) => {
                if !(3..=100).contains(&corners.len()) {
                    return Err("a `polygon` has 3 to 100 corners: [[lat, lon], …]");
                }
                let corners = corners.into_iter().map(|(lat, lon)| Point::new(lat, lon));
                Area::Polygon(corners.collect::<Option<_>>().ok_or(POINT)?)
            }
            _ => return Err("either `lat`, `lon` and `radius_km`, or a `polygon`"),
        };
        Ok(Self(Some(area)))
    }
}
