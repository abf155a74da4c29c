//! Where a SIM is attached: country and mobile network.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{IdError, letter_code};

letter_code!(
    /// ISO 3166-1 alpha-2 country code, in upper case. Any two letters: a network may say where it is by a
    /// code that is assigned later, or by nobody, and what it says is an event all the same.
    Country,
    2,
    "a country: two letters of ISO 3166-1"
);

/// A public land mobile network: three digits of country code (MCC), two or three of network (MNC).
/// Stored as a number: a state has to stay small.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub struct Plmn {
    mcc: u16,
    mnc: u16,
    mnc_digits: u8,
}

impl Plmn {
    /// The network with this country and network code, as the API's two strings give them.
    ///
    /// # Errors
    /// When either is not made of the right number of digits.
    pub fn new(mcc: &str, mnc: &str) -> Result<Self, IdError> {
        const ERROR: IdError = IdError::new("a PLMN: three digits of MCC and two or three of MNC");
        let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
        let mnc_digits = u8::try_from(mnc.len()).map_err(|_too_long| ERROR)?;
        if mcc.len() != 3 || !(2..=3).contains(&mnc_digits) || !digits(mcc) || !digits(mnc) {
            return Err(ERROR);
        }
        let mcc = mcc.parse().map_err(|_not_a_number| ERROR)?;
        let mnc = mnc.parse().map_err(|_not_a_number| ERROR)?;
        Ok(Self { mcc, mnc, mnc_digits })
    }

    /// The part of the world that the network is in, by the first digit of its country code: 2 is
    /// Europe, 3 North America, 4 Asia, 5 Oceania, 6 Africa, 7 South America (ITU-T E.212).
    #[must_use]
    pub const fn zone(self) -> u16 {
        self.mcc.wrapping_div(100)
    }
}

impl FromStr for Plmn {
    type Err = IdError;

    /// Reads what `Display` prints: `310-260`.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (mcc, mnc) = text.split_once('-').ok_or(IdError::new("a PLMN: MCC-MNC"))?;
        Self::new(mcc, mnc)
    }
}

impl fmt::Display for Plmn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}-{:0width$}", self.mcc, self.mnc, width = usize::from(self.mnc_digits))
    }
}

impl fmt::Debug for Plmn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Plmn> for u32 {
    /// The digits of both codes, twice, and one more where the network code has three digits.
    fn from(plmn: Plmn) -> Self {
        let digits = Self::from(plmn.mcc).saturating_mul(1_000).saturating_add(plmn.mnc.into());
        digits.saturating_mul(2).saturating_add(Self::from(plmn.mnc_digits == 3))
    }
}

impl TryFrom<u32> for Plmn {
    type Error = IdError;

    fn try_from(number: u32) -> Result<Self, IdError> {
        let (digits, is_long) = (number / 2, number % 2 == 1);
        let (mcc, mnc) = (format!("{:03}", digits / 1_000), digits % 1_000);
        let mnc = if is_long { format!("{mnc:03}") } else { format!("{mnc:02}") };
        let plmn = Self::new(&mcc, &mnc)?;
        (u32::from(plmn) == number).then_some(plmn).ok_or(IdError::new("a PLMN's number"))
    }
}

/// A network as people read it, `310-260`, where what is stored has no need to be small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct NamedPlmn(pub Plmn);

impl From<NamedPlmn> for String {
    fn from(named: NamedPlmn) -> Self {
        named.to_string()
    }
}

impl TryFrom<String> for NamedPlmn {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for NamedPlmn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_code_of_two_digits_is_not_one_of_three() {
        let two = Plmn::new("310", "26").unwrap();
        let three = Plmn::new("310", "026").unwrap();
        assert_ne!(two, three);
        assert_eq!(two.to_string(), "310-26");
        assert_eq!(three.to_string().parse(), Ok(three));
    }

    #[test]
    fn networks_of_neighbours_are_of_one_zone() {
        let zone = |plmn: &str| plmn.parse::<Plmn>().unwrap().zone();
        assert_eq!((zone("310-260"), zone("334-020"), zone("262-01")), (3, 3, 2));
        assert_eq!(zone("001-01"), 0);
    }

    #[test]
    fn a_number_stands_for_one_network_or_for_none() {
        for (mcc, mnc, number) in [
            ("310", "26", 620_052),
            ("310", "026", 620_053),
            ("001", "01", 2_002),
            ("999", "999", 1_999_999),
        ] {
            let plmn = Plmn::new(mcc, mnc).unwrap();
            assert_eq!((u32::from(plmn), Plmn::try_from(number)), (number, Ok(plmn)));
        }
        // Three digits where there are two, and a country code of four.
        assert!(Plmn::try_from(620_252).is_err());
        assert!(Plmn::try_from(2_000_000).is_err() && Plmn::try_from(u32::MAX).is_err());
    }

    #[test]
    fn a_named_network_is_stored_as_people_read_it() {
        let named = NamedPlmn(Plmn::new("310", "026").unwrap());
        let stored = serde_json::to_string(&named).unwrap();
        assert_eq!(stored, "\"310-026\"");
        assert_eq!(serde_json::from_str::<NamedPlmn>(&stored).unwrap(), named);
        assert!(serde_json::from_str::<NamedPlmn>("\"310\"").is_err());
    }

    #[test]
    fn reads_countries_of_either_case() {
        assert_eq!("us".parse::<Country>().unwrap().to_string(), "US");
        assert!("USA".parse::<Country>().is_err());
        assert!("1A".parse::<Country>().is_err());
    }
}
