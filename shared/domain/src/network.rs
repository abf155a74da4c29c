//! Where a SIM is attached: country and mobile network.

use std::fmt;
use std::str::FromStr;

use crate::id::{IdError, letter_code, serde_as_text};

letter_code!(
    /// ISO 3166-1 alpha-2 country code, in upper case. Any two letters: a network may say where it is by a
    /// code that is assigned later, or by nobody, and what it says is an event all the same.
    Country,
    2,
    "a country: two letters of ISO 3166-1"
);

/// A public land mobile network: three digits of country code (MCC), two or three of network (MNC).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

serde_as_text!(Plmn, "a PLMN: MCC-MNC");

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
    fn reads_countries_of_either_case() {
        assert_eq!("us".parse::<Country>().unwrap().to_string(), "US");
        assert!("USA".parse::<Country>().is_err());
        assert!("1A".parse::<Country>().is_err());
    }
}
