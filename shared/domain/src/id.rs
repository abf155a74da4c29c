//! Identifiers of the Super SIM API, each made by its parser and never by hand.
//!
//! A SID is two letters and 32 hexadecimal digits (OpenAPI description, `^HS[0-9a-fA-F]{32}$`). It
//! is kept as its 16 bytes: small in a SIM's state, and comparable without an allocation. It is
//! always printed in lower case, which is how the API prints it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}")]
pub struct IdError {
    expected: &'static str,
}

impl IdError {
    pub(crate) const fn new(expected: &'static str) -> Self {
        Self { expected }
    }
}

/// Reads 32 hexadecimal digits of either case.
fn hex_16(digits: &[u8]) -> Option<[u8; 16]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let pairs: &[[u8; 2]; 16] = pairs.try_into().ok()?;
    if !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (hex_digit(*high)? << 4) | hex_digit(*low)?;
    }
    Some(bytes)
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The 16 bytes behind the prefix, for sharding and compact storage.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The SID with these 16 bytes behind the prefix.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.as_bytes()
                    .strip_prefix($prefix.as_bytes())
                    .and_then(hex_16)
                    .map(Self)
                    .ok_or(IdError::new($expected))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{:032x}", $prefix, u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(TextVisitor::<Self>::new($expected))
                } else {
                    <[u8; 16]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

/// Parses an identifier from a borrowed or owned JSON string without an allocation.
pub(crate) struct TextVisitor<T> {
    expected: &'static str,
    parsed: std::marker::PhantomData<T>,
}

impl<T> TextVisitor<T> {
    pub(crate) const fn new(expected: &'static str) -> Self {
        Self { expected, parsed: std::marker::PhantomData }
    }
}

impl<T: FromStr<Err = IdError>> de::Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Serialises a parsed text as the text it prints, and reads it back through its parser.
macro_rules! serde_as_text {
    ($name:ident, $expected:literal) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::id::TextVisitor::<Self>::new($expected))
            }
        }
    };
}
pub(crate) use serde_as_text;

/// A code of so many letters, read in either case and kept in upper case.
macro_rules! letter_code {
    ($(#[$doc:meta])* $name:ident, $letters:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $letters]);

        impl std::str::FromStr for $name {
            type Err = $crate::id::IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let letters = text.as_bytes().try_into().ok();
                let letters = letters.filter(|l: &[u8; $letters]| l.iter().all(u8::is_ascii_alphabetic));
                let letters = letters.ok_or($crate::id::IdError::new($expected))?;
                Ok(Self(letters.map(|letter| letter.to_ascii_uppercase())))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|letter| std::fmt::Write::write_char(f, char::from(*letter)))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        $crate::id::serde_as_text!($name, $expected);
    };
}
pub(crate) use letter_code;

sid!(
    /// A SIM.
    SimSid, "HS", "a SIM SID: HS and 32 hexadecimal digits"
);
sid!(
    /// A fleet of SIMs that share limits and networks.
    FleetSid, "HF", "a Fleet SID: HF and 32 hexadecimal digits"
);
sid!(
    /// One connection event; the same on Twilio's and on KORE's stream, so it tells duplicates.
    EventSid, "EZ", "an event SID: EZ and 32 hexadecimal digits"
);
sid!(
    /// One data session of a SIM.
    SessionSid, "PI", "a data session SID: PI and 32 hexadecimal digits"
);
sid!(
    /// A mobile network that Super SIM can use.
    NetworkSid, "HW", "a Network SID: HW and 32 hexadecimal digits"
);

/// The number printed on a SIM card: 18 to 22 digits (ITU-T E.118 allows 19; cards carry up to 20,
/// and some lists add a check digit or two).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iccid {
    digits: u128,
    length: u8,
}

impl FromStr for Iccid {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const ERROR: IdError = IdError::new("an ICCID: 18 to 22 digits");
        let length = u8::try_from(text.len()).map_err(|_too_long| ERROR)?;
        let all_digits = text.bytes().all(|digit| digit.is_ascii_digit());
        if !all_digits || !(18..=22).contains(&length) {
            return Err(ERROR);
        }
        let digits = text.parse().map_err(|_not_a_number| ERROR)?;
        Ok(Self { digits, length })
    }
}

impl fmt::Display for Iccid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.digits, width = usize::from(self.length))
    }
}

/// An ICCID identifies a person's contract, so logs show its last four digits only.
impl fmt::Debug for Iccid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iccid(…{:04})", self.digits % 10_000)
    }
}

serde_as_text!(Iccid, "an ICCID: 18 to 22 digits");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_either_case_and_prints_lower_case() {
        let sim: SimSid = "HS0123456789ABCDEF0123456789abcdef".parse().unwrap();
        assert_eq!(sim.to_string(), "HS0123456789abcdef0123456789abcdef");
    }

    #[test]
    fn refuses_what_is_not_the_identifier() {
        let text = "HS0123456789abcdef0123456789abcdef";
        assert!(text.parse::<FleetSid>().is_err(), "another prefix");
        assert!("HS012".parse::<SimSid>().is_err(), "too short");
        assert!(format!("{text}0").parse::<SimSid>().is_err(), "too long");
        assert!(text.replace('f', "g").parse::<SimSid>().is_err(), "not hexadecimal");
        assert!("HSé123456789abcdef0123456789abcde".parse::<SimSid>().is_err(), "not ASCII");
        assert!("8988307000000123456x".parse::<Iccid>().is_err(), "a letter");
        assert!("+8988307000000123456".parse::<Iccid>().is_err(), "a sign");
        assert!("89883070".parse::<Iccid>().is_err(), "too short");
    }

    proptest::proptest! {
        #[test]
        fn every_sid_round_trips(bytes: [u8; 16]) {
            let session = SessionSid::from_bytes(bytes);
            assert_eq!(session.to_string().parse(), Ok(session));
            let json = serde_json::to_string(&session).unwrap();
            assert_eq!(serde_json::from_str::<SessionSid>(&json).unwrap(), session);
        }

        #[test]
        fn every_iccid_round_trips(text in "[0-9]{18,22}") {
            assert_eq!(text.parse::<Iccid>().unwrap().to_string(), text);
        }
    }
}
