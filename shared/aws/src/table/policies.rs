//! The operator's policy and its versions.

use simfuse_domain::policy::{DEFAULT, Policy};
use simfuse_domain::port::{Policies, TableError};

use super::item::{Draft, Row};
use super::keys::Key;
use super::transaction::{Condition, Transaction};
use super::{Table, contention_pauses};

impl Policies for Table {
    async fn current_policy(&self) -> Result<Policy, TableError> {
        match self.get(&Key::current_policy()).await? {
            Some(item) => Row(&item).parsed("toml"),
            None => DEFAULT.parse().map_err(|error| {
                super::fault_from("reading the policy", "the default policy", error)
            }),
        }
    }

    async fn apply_policy(&self, policy: &Policy) -> Result<(), TableError> {
        let doing = "applying a policy";
        let mut pauses = contention_pauses();
        loop {
            let current = self.get(&Key::current_policy()).await?;
            let number = match &current {
                Some(item) if Row(item).text("toml")? == policy.text() => return Ok(()),
                Some(item) => Row(item).number("number")?,
                None => 0_u64,
            };
            let next = number.saturating_add(1);
            let draft = |key| Draft::new(key).text("toml", policy.text()).number("number", next);
            let mut transaction = Transaction::new(self, doing.to_owned());
            let unchanged = Condition::numbered("number", number);
            transaction.put((), draft(Key::current_policy()), unchanged)?;
            // Whoever may write this number as the current one may write it as a version.
            transaction.put((), draft(Key::policy_version(next)), Condition::Free)?;
            if Box::pin(transaction.run()).await?.is_empty() {
                return Ok(());
            }
            let Some(pause) = pauses.next() else {
                return Err(TableError::Unavailable { doing: doing.to_owned(), source: None });
            };
            tokio::time::sleep(pause).await;
        }
    }
}
