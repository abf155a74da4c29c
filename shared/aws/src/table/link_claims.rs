//! Which signed links were used.

use simfuse_domain::port::{Claim, LinkClaims, TableError};
use simfuse_domain::signed_link::SignedLink;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::error::table_error;
use super::item::{Draft, Row, key_of};
use super::keys::Key;
use super::transaction::Condition;
use super::{Put, Table};

/// Days that it is remembered beyond the link's own end, so that clocks may differ.
const DAYS: i64 = 1;

impl LinkClaims for Table {
    async fn claim(
        &self,
        link: &SignedLink,
        call: &str,
        now: Timestamp,
    ) -> Result<Claim, TableError> {
        let key = Key::link(link);
        let doing = format!("taking {key}");
        let draft = Draft::new(key.clone())
            .text("call", call)
            .text("alert", link.alert_id())
            .time("used_at", now)
            .expires(link.expires_at, DAYS);
        match self.put(draft, Condition::Absent).await? {
            Put::Done => return Ok(Claim::Taken),
            Put::Refused => {}
            Put::Busy => return Err(TableError::Unavailable { doing, source: None }),
        }
        // It may be one's own, of an attempt whose answer was lost.
        let Some(item) = self.get(&key).await? else {
            // It was given back meanwhile.
            return Err(TableError::Unavailable { doing, source: None });
        };
        let row = Row(&item);
        if row.text("call")? == call {
            return Ok(Claim::Taken);
        }
        Ok(Claim::Used(row.parsed("used_at")?))
    }

    async fn give_back(&self, link: &SignedLink, call: &str) -> Result<(), TableError> {
        let key = Key::link(link);
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key_of(&key)))
            .condition_expression("#call = :call")
            .expression_attribute_names("#call", "call")
            .expression_attribute_values(":call", AttributeValue::S(call.to_owned()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(answer))
                if answer.err().is_conditional_check_failed_exception() =>
            {
                Ok(())
            }
            Err(error) => Err(table_error(&format!("giving back {key}"), error)),
        }
    }
}
