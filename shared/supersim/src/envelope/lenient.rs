//! JSON values read as what they should be, or else as *absent* or *wrong*, never as an error.
//!
//! A wrong value must not end the reading: the others of its event, and the events beside it, are
//! still wanted, and the reason has to name the field. So only broken JSON is an error here.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One value of an event.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Soft<T> {
    /// Not there, `null`, or a text that says *unknown*.
    #[default]
    Absent,
    /// There, but not what it should be.
    Wrong(Flaw),
    /// There.
    Given(T),
}

/// What a value is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Of another type, or unparsable; what it should be.
    NotA(&'static str),
    /// A time outside the years that can be meant.
    OutOfRange,
}

impl<T> Soft<T> {
    /// What is given, where anything rightly is.
    pub(super) fn ok(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Wrong(_) => None,
        }
    }
}

/// How a type is read from each kind of JSON value. Each kind that it does not override is wrong.
pub(super) trait Lenient: Sized {
    /// What the value should be, for the reason of a dead letter.
    const EXPECTED: &'static str;

    fn from_text(_text: &str) -> Soft<Self> {
        Self::from_other()
    }

    fn from_number(_number: u64) -> Soft<Self> {
        Self::from_other()
    }

    /// A number that is negative or fractional.
    fn from_fraction(_number: f64) -> Soft<Self> {
        Self::from_other()
    }

    /// A boolean, an array, and the kinds above.
    fn from_other() -> Soft<Self> {
        Soft::Wrong(Flaw::NotA(Self::EXPECTED))
    }

    /// # Errors
    /// When the JSON is broken.
    fn from_object<'de, A: MapAccess<'de>>(map: A) -> Result<Soft<Self>, A::Error> {
        skip_object(map)?;
        Ok(Self::from_other())
    }
}

fn skip_object<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

impl<'de, T: Lenient> Deserialize<'de> for Soft<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SoftVisitor(PhantomData))
    }
}

struct SoftVisitor<T>(PhantomData<T>);

impl<'de, T: Lenient> Visitor<'de> for SoftVisitor<T> {
    type Value = Soft<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_unit<E>(self) -> Result<Soft<T>, E> {
        Ok(Soft::Absent)
    }

    fn visit_str<E>(self, text: &str) -> Result<Soft<T>, E> {
        Ok(T::from_text(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Soft<T>, E> {
        Ok(T::from_number(number))
    }

    fn visit_i64<E>(self, negative: i64) -> Result<Soft<T>, E> {
        #[expect(clippy::cast_precision_loss, reason = "only degrees may be negative")]
        Ok(T::from_fraction(negative as f64))
    }

    fn visit_f64<E>(self, fraction: f64) -> Result<Soft<T>, E> {
        Ok(T::from_fraction(fraction))
    }

    fn visit_bool<E>(self, _flag: bool) -> Result<Soft<T>, E> {
        Ok(T::from_other())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Soft<T>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::from_other())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Soft<T>, A::Error> {
        T::from_object(map)
    }
}

/// Reads the value of `key`.
///
/// # Errors
/// When the JSON is broken, or holds what cannot be read at all (`1e999`, half a surrogate pair).
/// The error says the key and the place, and nothing of the value.
pub(super) fn value<'de, A, T>(map: &mut A, key: &'static str) -> Result<Soft<T>, A::Error>
where
    A: MapAccess<'de>,
    T: Lenient,
{
    map.next_value().map_err(|_says_the_value| A::Error::custom(key))
}

/// Declares an object whose keys are all optional, whose other keys are ignored, and of whose
/// repeated keys the last one counts. (A derived reader would also take an array for it.)
macro_rules! object {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* $field:ident $key:literal: $type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Default, PartialEq)]
        pub(super) struct $name {
            $($(#[$field_doc])* pub(super) $field: $crate::envelope::lenient::Soft<$type>,)*
        }

        impl $name {
            fn read<'de, A: serde::de::MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
                #[expect(non_camel_case_types, reason = "one variant a field, named after it")]
                enum Key { $($field,)* Other }

                impl<'de> serde::Deserialize<'de> for Key {
                    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
                    where
                        D: serde::Deserializer<'de>,
                    {
                        struct KeyVisitor;
                        impl serde::de::Visitor<'_> for KeyVisitor {
                            type Value = Key;
                            fn expecting(
                                &self,
                                f: &mut std::fmt::Formatter<'_>,
                            ) -> std::fmt::Result {
                                f.write_str("a key")
                            }
                            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                                Ok(match key { $($key => Key::$field,)* _ => Key::Other })
                            }
                        }
                        deserializer.deserialize_identifier(KeyVisitor)
                    }
                }

                let mut object = Self::default();
                while let Some(key) = map.next_key()? {
                    match key {
                        $(Key::$field => {
                            object.$field = $crate::envelope::lenient::value(&mut map, $key)?;
                        })*
                        Key::Other => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(object)
            }
        }
    };
}
pub(super) use object;
