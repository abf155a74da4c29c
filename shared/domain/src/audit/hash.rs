//! Hashes, salts, and the one encoding that is hashed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::IdError;

macro_rules! hex_text {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// These bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $bytes];
                let decoded = hex::decode_to_slice(text, &mut bytes);
                decoded.map_err(|_syntax| IdError::new($expected))?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

hex_text! {
    /// A SHA-256, printed as 64 hexadecimal digits in lower case.
    Digest, 32, "a SHA-256: 64 hexadecimal digits"
}

hex_text! {
    /// What makes a commitment to a short text one that nobody can guess from: 128 random bits, made
    /// by whoever writes the entry.
    Salt, 16, "a salt: 32 hexadecimal digits"
}

/// Hashes a list of fields, so that no two lists are the same bytes: each is a netstring
/// (`length:text,`, the length in bytes and decimal), one that is absent is `-,`. The first says
/// what is hashed, and in which version.
pub(super) struct Fields(Sha256);

impl Fields {
    pub(super) fn of(what: &str) -> Self {
        Self(Sha256::new()).text(what)
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        self.0.update(format!("{}:{text},", text.len()));
        self
    }

    pub(super) fn shown(self, value: impl fmt::Display) -> Self {
        self.text(&value.to_string())
    }

    pub(super) fn maybe(mut self, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.shown(value),
            None => {
                self.0.update("-,");
                self
            }
        }
    }

    pub(super) fn digest(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}
