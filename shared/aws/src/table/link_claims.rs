//! Which signed links were used.

use simfuse_domain::port::{Claim, LinkClaims, LinkUse, TableError};
use simfuse_domain::signed_link::SignedLink;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::error::table_error;
use super::item::{Draft, Item, Row, key_of};
use super::keys::Key;
use super::transaction::Condition;
use super::{Put, Table};

/// Days that it is remembered beyond the link's own end, so that clocks may differ.
const DAYS: i64 = 1;

/// Who has the link: replaced by whoever takes it over, removed once it is used up, so that each write
/// rests on what was read.
const ASKING: &str = "asking";

impl LinkClaims for Table {
    async fn claim(
        &self,
        link: &SignedLink,
        call: &str,
        now: Timestamp,
    ) -> Result<Claim, TableError> {
        let key = Key::link(link);
        let unavailable =
            || TableError::Unavailable { doing: format!("taking {key}"), source: None };
        let asked = || item(link, call).text(ASKING, call).time("asked_at", now);
        match self.put(asked(), Condition::Absent).await? {
            Put::Done => return Ok(Claim::Taken),
            Put::Refused => {}
            Put::Busy => return Err(unavailable()),
        }
        // It was given back meanwhile, if it is gone.
        let found = self.get(&key).await?.ok_or_else(unavailable)?;
        let (row, link_use) = (Row(&found), use_of(&found)?);
        // It may be one's own, of an attempt whose answer was lost.
        if row.text("call")? == call {
            return Ok(Claim::Taken);
        }
        if !link_use.is_over(now) {
            return Ok(Claim::Others(link_use));
        }
        let unchanged = Condition::Same(ASKING, row.text(ASKING)?.to_owned());
        match self.put(asked(), unchanged).await? {
            Put::Done => Ok(Claim::Taken),
            // Another call was faster.
            Put::Refused => Ok(Claim::Others(LinkUse::Asked(now))),
            Put::Busy => Err(unavailable()),
        }
    }

    async fn use_up(
        &self,
        link: &SignedLink,
        call: &str,
        now: Timestamp,
    ) -> Result<(), TableError> {
        let used = item(link, call).time("used_at", now);
        match self.put(used, Condition::Same(ASKING, call.to_owned())).await? {
            Put::Done | Put::Refused => Ok(()),
            Put::Busy => {
                let doing = format!("using up {}", Key::link(link));
                Err(TableError::Unavailable { doing, source: None })
            }
        }
    }

    async fn give_back(&self, link: &SignedLink, call: &str) -> Result<(), TableError> {
        let key = Key::link(link);
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key_of(&key)))
            .condition_expression("#asking = :call")
            .expression_attribute_names("#asking", ASKING)
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

    async fn link_use(&self, link: &SignedLink) -> Result<Option<LinkUse>, TableError> {
        self.get(&Key::link(link)).await?.map(|found| use_of(&found)).transpose()
    }
}

fn item(link: &SignedLink, call: &str) -> Draft {
    Draft::new(Key::link(link))
        .text("call", call)
        .text("alert", link.alert_id())
        .expires(link.expires_at, DAYS)
}

fn use_of(found: &Item) -> Result<LinkUse, TableError> {
    let row = Row(found);
    if found.contains_key("used_at") {
        return Ok(LinkUse::Used(row.parsed("used_at")?));
    }
    Ok(LinkUse::Asked(row.parsed("asked_at")?))
}
