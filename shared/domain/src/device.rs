//! Which device a SIM sits in.

use std::fmt;
use std::str::FromStr;

use crate::id::{IdError, serde_as_text};

/// The first 14 digits of an IMEI: eight of type allocation code (TAC), six of serial number.
///
/// The 15th digit may be a Luhn digit, a 0, or the first of a software version (IMEISV has 16
/// digits), so nothing compares it (3GPP TS 23.003, section 6.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Imei14(u64);

impl Imei14 {
    /// The type allocation code: which model of device this is.
    #[must_use]
    pub const fn tac(self) -> Tac {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "eight digits of fourteen fit in 32 bits"
        )]
        Tac((self.0 / 1_000_000) as u32)
    }
}

impl FromStr for Imei14 {
    type Err = IdError;

    /// Accepts 14 to 16 digits. All zeroes, which some carriers report for every device, is no
    /// IMEI: it must neither match nor differ from another.
    fn from_str(text: &str) -> Result<Self, IdError> {
        const ERROR: IdError = IdError::new("an IMEI: 14 to 16 digits, not all of them zero");
        if !(14..=16).contains(&text.len()) || !text.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(ERROR);
        }
        let first = text.get(..14).and_then(|digits| digits.parse().ok()).ok_or(ERROR)?;
        if first == 0 { Err(ERROR) } else { Ok(Self(first)) }
    }
}

impl fmt::Display for Imei14 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014}", self.0)
    }
}

impl fmt::Debug for Imei14 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Imei14, "an IMEI: 14 to 16 digits, not all of them zero");

/// Type allocation code: the first eight digits of an IMEI, one per model of device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tac(u32);

impl FromStr for Tac {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const ERROR: IdError = IdError::new("a TAC: 8 digits");
        if text.len() != 8 || !text.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(ERROR);
        }
        text.parse().map(Self).map_err(|_not_a_number| ERROR)
    }
}

impl fmt::Display for Tac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

impl fmt::Debug for Tac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Tac, "a TAC: 8 digits");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_fourteen_digits_whatever_follows() {
        let sensor: Imei14 = "35378572000001".parse().unwrap();
        assert_eq!("353785720000017".parse(), Ok(sensor), "with a Luhn digit");
        assert_eq!("353785720000010".parse(), Ok(sensor), "with a 0");
        assert_eq!("3537857200000142".parse(), Ok(sensor), "IMEISV");
        assert_eq!(sensor.tac(), "35378572".parse().unwrap());
    }

    #[test]
    fn what_carriers_send_for_unknown_is_unknown() {
        for text in ["", "000000000000000", "0000000000000000", "3537857200000", "35378572000001x"]
        {
            assert!(text.parse::<Imei14>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn keeps_leading_zeroes() {
        let device: Imei14 = "01234567000089".parse().unwrap();
        assert_eq!(device.to_string(), "01234567000089");
        assert_eq!(device.tac().to_string(), "01234567");
    }
}
