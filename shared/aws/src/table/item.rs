//! Writing and reading the attributes of an item.

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use simfuse_domain::port::TableError;

use super::error::{fault, fault_from};
use super::keys::{Key, sortable};

/// An item as the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// An item that is being made.
pub(super) struct Draft {
    key: Key,
    item: Item,
}

impl Draft {
    pub(super) fn new(key: Key) -> Self {
        let item = key_of(&key);
        Self { key, item }
    }

    fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.item.insert(name.to_owned(), value);
        self
    }

    pub(super) fn text(self, name: &str, text: impl Into<String>) -> Self {
        self.with(name, AttributeValue::S(text.into()))
    }

    pub(super) fn time(self, name: &str, time: Timestamp) -> Self {
        self.text(name, sortable(time))
    }

    /// A text; one that is unknown is left out.
    pub(super) fn maybe_text(self, name: &str, text: Option<String>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// A number; one that is unknown is left out.
    pub(super) fn maybe_number(self, name: &str, number: Option<impl ToString>) -> Self {
        match number {
            Some(number) => self.number(name, number),
            None => self,
        }
    }

    pub(super) fn number(self, name: &str, number: impl ToString) -> Self {
        self.with(name, AttributeValue::N(number.to_string()))
    }

    pub(super) fn bytes(self, name: &str, bytes: Vec<u8>) -> Self {
        self.with(name, AttributeValue::B(Blob::new(bytes)))
    }

    /// A set; the table has no empty sets, so an empty one is left out.
    pub(super) fn texts(self, name: &str, texts: &BTreeSet<String>) -> Self {
        if texts.is_empty() {
            return self;
        }
        self.with(name, AttributeValue::Ss(texts.iter().cloned().collect()))
    }

    pub(super) fn json(self, name: &str, value: &impl Serialize) -> Result<Self, TableError> {
        let text = serde_json::to_string(value)
            .map_err(|error| fault_from(&format!("writing {}", self.key), name, error))?;
        Ok(self.text(name, text))
    }

    /// The item is found in the index under this partition, at this time.
    pub(super) fn indexed(self, partition: String, time: Timestamp) -> Self {
        self.text("ipk", partition).time("isk", time)
    }

    /// The table deletes the item some time after so many days.
    pub(super) fn expires(self, from: Timestamp, days: i64) -> Self {
        self.number("expires_at", from.as_second().saturating_add(days.saturating_mul(86_400)))
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn build(self) -> Item {
        self.item
    }
}

/// The attributes of a primary key.
pub(super) fn key_of(key: &Key) -> Item {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(key.pk.clone())),
        ("sk".to_owned(), AttributeValue::S(key.sk.clone())),
    ])
}

/// An item that is being read; every failure names it.
#[derive(Clone, Copy)]
pub(super) struct Row<'a>(pub(super) &'a Item);

impl<'a> Row<'a> {
    /// What is being done, for errors.
    fn doing(self) -> String {
        let part = |name| self.0.get(name).and_then(|value| value.as_s().ok());
        let (pk, sk) = (part("pk"), part("sk"));
        format!("reading {} {}", pk.map_or("?", String::as_str), sk.map_or("?", String::as_str))
    }

    pub(super) fn fault(self, reason: impl Into<String>) -> TableError {
        fault(&self.doing(), reason)
    }

    pub(super) fn fault_from(
        self,
        name: &str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> TableError {
        fault_from(&self.doing(), &format!("{name} cannot be read"), source)
    }

    pub(super) fn text(self, name: &str) -> Result<&'a str, TableError> {
        let text = self.0.get(name).and_then(|value| value.as_s().ok());
        text.map(String::as_str).ok_or_else(|| self.fault(format!("{name} is not a text")))
    }

    pub(super) fn parsed<T>(self, name: &str) -> Result<T, TableError>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        self.text(name)?.parse().map_err(|error| self.fault_from(name, error))
    }

    pub(super) fn number<T: FromStr>(self, name: &str) -> Result<T, TableError> {
        let number = self.0.get(name).and_then(|value| value.as_n().ok());
        let number = number.and_then(|digits| digits.parse().ok());
        number.ok_or_else(|| self.fault(format!("{name} is not a number in range")))
    }

    /// A text; absent is unknown.
    pub(super) fn maybe_text(self, name: &str) -> Result<Option<&'a str>, TableError> {
        self.0.contains_key(name).then(|| self.text(name)).transpose()
    }

    /// A text that is something; absent is unknown.
    pub(super) fn maybe_parsed<T>(self, name: &str) -> Result<Option<T>, TableError>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        self.0.contains_key(name).then(|| self.parsed(name)).transpose()
    }

    /// A number; absent is unknown.
    pub(super) fn maybe_number<T: FromStr>(self, name: &str) -> Result<Option<T>, TableError> {
        self.0.contains_key(name).then(|| self.number(name)).transpose()
    }

    pub(super) fn bytes(self, name: &str) -> Result<&'a [u8], TableError> {
        let bytes = self.0.get(name).and_then(|value| value.as_b().ok());
        bytes.map(AsRef::as_ref).ok_or_else(|| self.fault(format!("{name} is not bytes")))
    }

    /// Bytes; absent is unknown.
    pub(super) fn maybe_bytes(self, name: &str) -> Result<Option<&'a [u8]>, TableError> {
        self.0.contains_key(name).then(|| self.bytes(name)).transpose()
    }

    /// A set; absent is empty.
    pub(super) fn texts(self, name: &str) -> Result<BTreeSet<String>, TableError> {
        match self.0.get(name) {
            None => Ok(BTreeSet::new()),
            Some(AttributeValue::Ss(texts)) => Ok(texts.iter().cloned().collect()),
            Some(_) => Err(self.fault(format!("{name} is not a set of texts"))),
        }
    }

    pub(super) fn json<T: DeserializeOwned>(self, name: &str) -> Result<T, TableError> {
        serde_json::from_str(self.text(name)?).map_err(|error| self.fault_from(name, error))
    }
}
