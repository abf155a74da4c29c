//! Countries, their networks, and cells.

use simfuse_domain::id::NetworkSid;
use simfuse_domain::network::{Country, Plmn};
use simfuse_domain::place::{CellId, Location, Point};

use super::draw::{hash, share};

/// A country with its networks. Codes are those that are publicly assigned (ITU E.212).
#[derive(Debug)]
pub(super) struct Land {
    pub(super) code: &'static str,
    mcc: &'static str,
    /// Network code and name.
    networks: [(&'static str, &'static str); 3],
    /// Thousandths of a degree: the middle, around which cells stand a degree and a half.
    lat: i32,
    lon: i32,
    /// Hours ahead of UTC in winter.
    pub(super) utc_hours: i64,
    pub(super) summer: Summer,
    /// Across the border, in [`LANDS`].
    neighbour: u8,
}

/// When clocks are an hour ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Summer {
    /// From the last Sunday of March to the last of October, at 01:00 UTC (Directive 2000/84/EC).
    Europe,
    /// From the second Sunday of March to the first of November (15 U.S.C. 260a), here taken to
    /// change at 07:00 UTC everywhere.
    America,
    Never,
}

/// Fleets live in the first [`HOMES`] of them.
static LANDS: [Land; 8] = [
    land(
        "US",
        "310",
        [("260", "T-Mobile"), ("410", "AT&T"), ("120", "Sprint")],
        (39_000, -98_000),
        (-6, Summer::America),
        5,
    ),
    land(
        "DE",
        "262",
        [("01", "Telekom"), ("02", "Vodafone"), ("03", "O2")],
        (51_000, 10_000),
        (1, Summer::Europe),
        3,
    ),
    land(
        "GB",
        "234",
        [("10", "O2"), ("15", "Vodafone"), ("30", "EE")],
        (52_500, -1_500),
        (0, Summer::Europe),
        4,
    ),
    land(
        "FR",
        "208",
        [("01", "Orange"), ("10", "SFR"), ("20", "Bouygues")],
        (47_000, 2_500),
        (1, Summer::Europe),
        1,
    ),
    land(
        "IE",
        "272",
        [("01", "Vodafone"), ("02", "Three"), ("03", "Eir")],
        (53_300, -7_800),
        (0, Summer::Europe),
        2,
    ),
    land(
        "CA",
        "302",
        [("220", "Telus"), ("610", "Bell"), ("720", "Rogers")],
        (50_000, -98_000),
        (-6, Summer::America),
        0,
    ),
    land(
        "TH",
        "520",
        [("03", "AIS"), ("04", "True"), ("05", "dtac")],
        (15_000, 101_000),
        (7, Summer::Never),
        7,
    ),
    land(
        "BR",
        "724",
        [("05", "Claro"), ("06", "Vivo"), ("02", "TIM")],
        (-15_000, -48_000),
        (-3, Summer::Never),
        6,
    ),
];

const HOMES: u64 = 3;

/// Where devices are made and tested.
const FACTORY: u8 = 6;

/// Where what is stolen may be taken.
const FAR: [u8; 2] = [6, 7];

/// Parts of a country that lose their network at once.
pub(super) const REGIONS: u64 = 4;

const fn land(
    code: &'static str,
    mcc: &'static str,
    networks: [(&'static str, &'static str); 3],
    (lat, lon): (i32, i32),
    (utc_hours, summer): (i64, Summer),
    neighbour: u8,
) -> Land {
    Land { code, mcc, networks, lat, lon, utc_hours, summer, neighbour }
}

/// A network of one of the countries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    land: u8,
    number: u8,
}

/// A cell and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Its number.
    pub cell_id: u32,
    /// Location area code.
    pub lac: u16,
    /// Latitude in thousandths of a degree.
    pub lat_thousandths: i32,
    /// Longitude in thousandths of a degree.
    pub lon_thousandths: i32,
}

impl Cell {
    pub(super) fn location(self, plmn: Option<Plmn>) -> Option<Location> {
        let degrees = |thousandths: i32| f64::from(thousandths) / 1_000.0;
        let point = Point::new(degrees(self.lat_thousandths), degrees(self.lon_thousandths))?;
        let cell = CellId { plmn, area: self.lac.into(), cell: self.cell_id.into() };
        Some(Location { cell, point })
    }
}

/// Where a SIM is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) network: Network,
    pub(super) cell: Cell,
}

impl Network {
    pub(super) fn land(self) -> &'static Land {
        let [first, ..] = &LANDS;
        LANDS.get(usize::from(self.land)).unwrap_or(first)
    }

    fn code_and_name(self) -> (&'static str, &'static str) {
        let networks = &self.land().networks;
        let [first, ..] = networks;
        *networks.get(usize::from(self.number)).unwrap_or(first)
    }

    /// Another network of the same country.
    pub(super) fn other(self, draw: u64) -> Self {
        let step = if draw.is_multiple_of(2) { 1 } else { 2 };
        Self { number: (self.number + step) % 3, ..self }
    }

    fn across_the_border(self) -> Self {
        Self { land: self.land().neighbour, number: self.number }
    }

    /// What the API calls the network; made from its place in the list.
    pub(super) fn sid(self) -> NetworkSid {
        let number = u128::from(self.land) * 16 + u128::from(self.number) + 1;
        NetworkSid::from_bytes(number.to_be_bytes())
    }
}

/// All networks, read once: an event takes its codes from here.
#[derive(Debug)]
pub(super) struct Networks(Vec<(Option<Plmn>, Option<Country>)>);

impl Networks {
    pub(super) fn new() -> Self {
        let lands = LANDS.iter().flat_map(|land| land.networks.iter().map(move |one| (land, one)));
        let codes =
            lands.map(|(land, (mnc, _))| (Plmn::new(land.mcc, mnc).ok(), land.code.parse().ok()));
        Self(codes.collect())
    }

    pub(super) fn codes(&self, network: Network) -> (Option<Plmn>, Option<Country>) {
        let place = usize::from(network.land) * 3 + usize::from(network.number);
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// The name of a network, by its codes as an event has them.
pub(super) fn name_of(plmn: Plmn) -> Option<(NetworkSid, &'static str)> {
    let numbers = (0..3).flat_map(|number| (0..8).map(move |land| Network { land, number }));
    let mut networks = numbers.filter(|network| {
        Plmn::new(network.land().mcc, network.code_and_name().0).is_ok_and(|its| its == plmn)
    });
    networks.next().map(|network| (network.sid(), network.code_and_name().1))
}

impl Place {
    /// Somewhere in a fleet's home country; every fleet has one, and the SIMs share it.
    pub(super) fn home(seed: u64, fleet: u32, index: u32) -> Self {
        let land = u8::try_from(hash(seed, 0x401, u64::from(fleet)) % HOMES).unwrap_or(0);
        Self::somewhere(land, seed, u64::from(index))
    }

    /// Where the device of this SIM was made.
    pub(super) fn factory(seed: u64, fleet: u32) -> Self {
        Self::somewhere(FACTORY, seed, u64::from(fleet) | (1 << 40))
    }

    /// A country far from all homes.
    pub(super) fn far(seed: u64, index: u32) -> Self {
        let [one, other] = FAR;
        let land = if hash(seed, 0x402, u64::from(index)).is_multiple_of(2) { one } else { other };
        Self::somewhere(land, seed, u64::from(index) | (2 << 40))
    }

    /// Another cell of the same country, and for two of three another network.
    pub(super) fn elsewhere(self, seed: u64, number: u64) -> Self {
        Self::somewhere(self.network.land, seed, number | (3 << 40))
    }

    /// The nearest cell of the neighbouring country.
    pub(super) fn across_the_border(self) -> Self {
        let cell = Cell { cell_id: self.cell.cell_id ^ 1, lac: self.cell.lac ^ 1, ..self.cell };
        Self { network: self.network.across_the_border(), cell }
    }

    fn somewhere(land: u8, seed: u64, number: u64) -> Self {
        let drawn = hash(seed, 0x403, number);
        // Three of four are on the first network, the others on either of the others.
        let which = match drawn % 8 {
            0 => 1,
            1 => 2,
            _ => 0,
        };
        let network = Network { land, number: which };
        let row = network.land();
        let offset = |subject| {
            #[expect(clippy::cast_possible_truncation, reason = "at most 1,500")]
            let thousandths = ((share(seed, subject, number) - 0.5) * 3_000.0) as i32;
            thousandths
        };
        let bits = hash(seed, 0x404, number);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the lower bits are all that is wanted"
        )]
        let (cell_id, lac) = ((bits as u32 >> 4) | (1 << 24), (bits >> 32) as u16 | 1);
        let (lat_thousandths, lon_thousandths) = (row.lat + offset(0x405), row.lon + offset(0x406));
        Self { network, cell: Cell { cell_id, lac, lat_thousandths, lon_thousandths } }
    }
}
