//! The operator's policy and its versions.

use simfuse_domain::policy::{DEFAULT, Policy};
use simfuse_domain::port::{
    Committed, Policies, PolicyChange, PolicyVersion, PolicyVersions, TableError,
};

use super::audit::AuditPart;
use super::item::{Draft, Item, Row};
use super::keys::Key;
use super::transaction::{Condition, Refusal, Transaction};
use super::{Table, contention_pauses};

impl Policies for Table {
    async fn current_policy(&self) -> Result<Policy, TableError> {
        match self.get(&Key::current_policy()).await? {
            Some(item) => {
                let policy: Policy = Row(&item).parsed("toml")?;
                // Who only judges by it needs no number; who acts on it does nothing without one.
                Ok(policy.numbered(Row(&item).number("number").ok()))
            }
            None => {
                let default = DEFAULT.parse::<Policy>().map_err(|error| {
                    super::fault_from("reading the policy", "the default policy", error)
                })?;
                Ok(default.numbered(Some(0)))
            }
        }
    }
}

fn read_version(item: &Item) -> Result<PolicyVersion, TableError> {
    let row = Row(item);
    let applied = item.contains_key("applied").then(|| row.json("applied")).transpose()?;
    let text = row.text("toml")?.to_owned();
    Ok(PolicyVersion { number: row.number("number")?, text, applied })
}

/// A part of a change's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Current,
    Version,
    Audit(AuditPart),
}

impl PolicyVersions for Table {
    async fn policy_version(&self) -> Result<PolicyVersion, TableError> {
        let Some(item) = self.get(&Key::current_policy()).await? else {
            return Ok(PolicyVersion { number: 0, text: DEFAULT.to_owned(), applied: None });
        };
        read_version(&item)
    }

    async fn past_policy(&self, number: u64) -> Result<Option<PolicyVersion>, TableError> {
        let item = self.get(&Key::policy_version(number)).await?;
        item.as_ref().map(read_version).transpose()
    }

    async fn replace_policy(&self, change: &PolicyChange) -> Result<Committed, TableError> {
        let doing = "applying a policy";
        let number = change.read_number.saturating_add(1);
        let draft = |key| {
            let draft = Draft::new(key).text("toml", change.policy.text()).number("number", number);
            draft.json("applied", &change.applied)
        };
        let mut pauses = contention_pauses();
        let mut ending = self.ending(std::slice::from_ref(&change.audit)).await?;
        loop {
            let mut transaction = Transaction::new(self, doing.to_owned());
            let unchanged = Condition::numbered("number", change.read_number);
            transaction.put(Part::Current, draft(Key::current_policy())?, unchanged)?;
            // Whoever may write this number as the current one may write it as a version.
            let version = draft(Key::policy_version(number))?;
            transaction.put(Part::Version, version, Condition::Free)?;
            ending.add_to(&mut transaction, Part::Audit)?;
            let refused = Box::pin(transaction.run()).await?;
            if refused.is_empty() {
                return Ok(Committed::Done);
            }
            if refused.contains(&(Part::Current, Refusal::Condition)) {
                return Ok(Committed::Conflict);
            }
            let only_the_audit = refused
                .iter()
                .all(|refused| matches!(refused, (Part::Audit(_), Refusal::Condition)));
            if only_the_audit && self.end_again(&mut ending, doing).await? {
                continue;
            }
            let Some(pause) = pauses.next() else {
                return Err(TableError::Unavailable { doing: doing.to_owned(), source: None });
            };
            tokio::time::sleep(pause).await;
        }
    }
}
