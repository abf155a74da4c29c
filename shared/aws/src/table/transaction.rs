//! A transaction, and what became of each of its parts.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem,
};
use simfuse_domain::port::TableError;

use super::Table;
use super::error::{fault, fault_from, table_error};
use super::item::{Draft, key_of};
use super::keys::Key;

/// Items of one transaction (DynamoDB's own limit).
pub(super) const ITEMS_MAX: usize = 100;

/// What must hold for an item to be written.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// Nothing.
    Free,
    /// There is no such item.
    Absent,
    /// The item's attribute has this number.
    Numbered(&'static str, u64),
    /// The item's attribute has this text.
    Same(&'static str, String),
    /// There is no such item, or its attribute's text is not greater.
    AbsentOrUpTo(&'static str, String),
}

type Parts =
    (Option<String>, Option<HashMap<String, String>>, Option<HashMap<String, AttributeValue>>);

impl Condition {
    /// The item is still as it was read; 0 stands for an item that was not there.
    pub(super) const fn as_read(version: u64) -> Self {
        Self::numbered("version", version)
    }

    /// The item's attribute still has the number that was read; 0 stands for an item that was not
    /// there.
    pub(super) const fn numbered(name: &'static str, number: u64) -> Self {
        if number == 0 { Self::Absent } else { Self::Numbered(name, number) }
    }

    /// The expression, and the names and values in it.
    pub(super) fn into_parts(self) -> Parts {
        let (expression, name, value) = match self {
            Self::Free => return (None, None, None),
            Self::Absent => return (Some("attribute_not_exists(pk)".to_owned()), None, None),
            Self::Numbered(name, number) => {
                ("#name = :value", name, AttributeValue::N(number.to_string()))
            }
            Self::Same(name, text) => ("#name = :value", name, AttributeValue::S(text)),
            Self::AbsentOrUpTo(name, text) => {
                ("attribute_not_exists(pk) OR #name <= :value", name, AttributeValue::S(text))
            }
        };
        let names = HashMap::from([("#name".to_owned(), name.to_owned())]);
        let values = HashMap::from([(":value".to_owned(), value)]);
        (Some(expression.to_owned()), Some(names), Some(values))
    }
}

/// Why a part of a transaction stood in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its condition does not hold.
    Condition,
    /// Another write of the item is under way.
    Busy,
}

/// A transaction in the making. Each part has a name by which it is recognised when it is refused.
pub(super) struct Transaction<'t, Part> {
    table: &'t Table,
    doing: String,
    parts: Vec<Part>,
    writes: Vec<TransactWriteItem>,
}

impl<'t, Part> Transaction<'t, Part> {
    pub(super) fn new(table: &'t Table, doing: String) -> Self {
        Self { table, doing, parts: Vec::new(), writes: Vec::new() }
    }

    /// Whether nothing is asked for.
    pub(super) const fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Writes an item.
    pub(super) fn put(
        &mut self,
        part: Part,
        draft: Draft,
        condition: Condition,
    ) -> Result<(), TableError> {
        let (expression, names, values) = condition.into_parts();
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(draft.build()))
            .set_condition_expression(expression)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .build();
        self.add(part, put, |write, put| write.put(put))
    }

    /// Deletes an item; one that is not there already is no failure, unless the condition says so.
    pub(super) fn delete(
        &mut self,
        part: Part,
        key: &Key,
        condition: Condition,
    ) -> Result<(), TableError> {
        let (expression, names, values) = condition.into_parts();
        let delete = Delete::builder()
            .table_name(&self.table.name)
            .set_key(Some(key_of(key)))
            .set_condition_expression(expression)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .build();
        self.add(part, delete, |write, delete| write.delete(delete))
    }

    /// Requires something of an item that is not written.
    pub(super) fn check(
        &mut self,
        part: Part,
        key: &Key,
        condition: Condition,
    ) -> Result<(), TableError> {
        let (expression, names, values) = condition.into_parts();
        let check = ConditionCheck::builder()
            .table_name(&self.table.name)
            .set_key(Some(key_of(key)))
            .set_condition_expression(expression)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .build();
        self.add(part, check, |write, check| write.condition_check(check))
    }

    fn add<W>(
        &mut self,
        part: Part,
        write: Result<W, BuildError>,
        wrap: impl FnOnce(
            aws_sdk_dynamodb::types::builders::TransactWriteItemBuilder,
            W,
        ) -> aws_sdk_dynamodb::types::builders::TransactWriteItemBuilder,
    ) -> Result<(), TableError> {
        let write = write.map_err(|error| fault_from(&self.doing, "incomplete request", error))?;
        self.parts.push(part);
        self.writes.push(wrap(TransactWriteItem::builder(), write).build());
        Ok(())
    }

    /// Writes all or nothing. Returns the parts that stood in the way; none when all is written.
    ///
    /// The SDK gives each call a token and repeats it with the same one, so that an answer that was
    /// lost does not turn into a refusal of what was in fact written.
    pub(super) async fn run(self) -> Result<Vec<(Part, Refusal)>, TableError> {
        let Self { table, doing, parts, writes } = self;
        if writes.is_empty() || writes.len() > ITEMS_MAX {
            let reason =
                format!("{} items in one transaction, 1 to {ITEMS_MAX} are allowed", writes.len());
            return Err(fault(&doing, reason));
        }
        let request = table.client.transact_write_items().set_transact_items(Some(writes));
        let Err(error) = request.send().await else {
            return Ok(Vec::new());
        };
        let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) =
            error.as_service_error()
        else {
            return Err(table_error(&doing, error));
        };
        let reasons = canceled.cancellation_reasons();
        let codes: Vec<&str> = reasons.iter().map(code).collect();
        if codes.len() != parts.len() {
            return Err(fault_from(&doing, "a cancellation without a reason for each item", error));
        }
        let refusals = codes.iter().map(|code| refusal(code));
        let refused: Vec<(Part, Refusal)> =
            parts.into_iter().zip(refusals).filter_map(|(part, why)| Some((part, why?))).collect();
        if !refused.is_empty() {
            return Ok(refused);
        }
        if codes.iter().any(|code| THROTTLED.contains(code)) {
            return Err(TableError::Unavailable { doing, source: Some(Box::new(error)) });
        }
        let reason = format!("the transaction was cancelled: {}", codes.join(", "));
        Err(TableError::Fault { doing, reason, source: Some(Box::new(error)) })
    }
}

/// Reasons of a cancellation that say nothing against the request.
const THROTTLED: [&str; 2] = ["ProvisionedThroughputExceeded", "ThrottlingError"];

fn code(reason: &CancellationReason) -> &str {
    reason.code().unwrap_or_default()
}

fn refusal(code: &str) -> Option<Refusal> {
    match code {
        "ConditionalCheckFailed" => Some(Refusal::Condition),
        "TransactionConflict" => Some(Refusal::Busy),
        _ => None,
    }
}
