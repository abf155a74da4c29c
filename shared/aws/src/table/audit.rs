//! Audit entries, each with the head of its chain in the same transaction.
//!
//! An entry hangs on the one before it (`simfuse_domain::audit`). The chain's end lies in an item of
//! its own, `CHAIN`, which is read once before and written on condition of what was read. A kill
//! waits for that one read and for nothing else: if the end cannot be read, or others keep changing
//! it, the entry begins a new segment that says so.

use serde::{Deserialize, Serialize};
use simfuse_domain::audit::{
    AuditEntry, AuditRecord, ChainName, ERASED, Head, KnownHead, Phase, Salt,
};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{AuditLog, TableError};

use super::error::fault;
use super::item::{Draft, Item, Row};
use super::keys::{Key, audit_hour, chain_shard};
use super::transaction::{Condition, Refusal, Transaction};
use super::{Table, contention_pauses};

/// Why an entry is refused.
const ENTRY_DIFFERS: &str = "an audit entry of this time and id says something else";

/// How often entries are linked to the chain's end as it is then. Each time another writer's entry
/// came in between, although nothing else stood in the way: of writers about one SIM, which mostly
/// stand in one another's way by its incident, there are never so many.
const LINKED_TRIES: u32 = 8;

impl AuditLog for Table {
    async fn record_audit(&self, entry: &AuditEntry) -> Result<(), TableError> {
        let doing = format!("writing {}", Key::audit(entry));
        let mut pauses = contention_pauses();
        let mut ending = self.ending(std::slice::from_ref(entry)).await?;
        loop {
            let mut transaction = Transaction::new(self, doing.clone());
            ending.add_to(&mut transaction, |part| part)?;
            if transaction.is_empty() {
                return Ok(());
            }
            let refused = Box::pin(transaction.run()).await?;
            if refused.is_empty() {
                return Ok(());
            }
            if refused.iter().any(|(_, why)| *why == Refusal::Condition) {
                if self.end_again(&mut ending, &doing).await? {
                    continue;
                }
                return Err(TableError::Unavailable { doing, source: None });
            }
            let Some(pause) = pauses.next() else {
                return Err(TableError::Unavailable { doing, source: None });
            };
            tokio::time::sleep(pause).await;
        }
    }
}

/// A part of a transaction that belongs to the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuditPart {
    /// An entry.
    Entry,
    /// The end of its chain.
    Head,
}

/// Entries that are to be written, and the end of the chain that they go on from.
pub(super) struct Ending {
    chain: Option<ChainName>,
    entries: Vec<AuditEntry>,
    known: KnownHead,
    tries_left: u32,
}

impl Table {
    /// Prepares entries of one chain for a transaction. Without entries nothing is read.
    pub(super) async fn ending(&self, entries: &[AuditEntry]) -> Result<Ending, TableError> {
        let chain = entries.first().map(ChainName::of);
        if entries.iter().any(|entry| Some(ChainName::of(entry)) != chain) {
            return Err(fault("writing audit entries", "they are about several SIMs"));
        }
        let known = match chain {
            Some(chain) => self.known_head(chain).await,
            None => KnownHead::Nothing,
        };
        Ok(Ending { chain, entries: entries.to_vec(), known, tries_left: LINKED_TRIES })
    }

    /// After a refusal by a condition of the audit: leaves out what is written already, reads the
    /// chain's end again, or gives up linking to it. `false`: there is nothing more to try.
    ///
    /// The same entry may come again with a decision that is repeated after its answer was lost, or
    /// together with another after a conflict. It has its place in the chain then.
    pub(super) async fn end_again(
        &self,
        ending: &mut Ending,
        doing: &str,
    ) -> Result<bool, TableError> {
        let Some(chain) = ending.chain else {
            return Ok(false);
        };
        let mut missing = Vec::new();
        for entry in &ending.entries {
            match self.get(&Key::audit(entry)).await? {
                None => missing.push(entry.clone()),
                Some(item) if read_record(&item).is_ok_and(|kept| kept.entry == *entry) => {}
                Some(_) => return Err(fault(doing, ENTRY_DIFFERS)),
            }
        }
        ending.entries = missing;
        if ending.known == KnownHead::Contended {
            return Ok(false);
        }
        ending.tries_left = ending.tries_left.saturating_sub(1);
        ending.known = match ending.tries_left {
            0 => KnownHead::Contended,
            _ => self.known_head(chain).await,
        };
        Ok(true)
    }

    /// The end of a chain, as far as it can be known without waiting.
    async fn known_head(&self, chain: ChainName) -> KnownHead {
        match self.read_head(chain).await {
            Ok(Some(head)) => KnownHead::Head(head),
            Ok(None) => KnownHead::Nothing,
            Err(error) => {
                tracing::error!(
                    audit.chain = %chain,
                    error = %simfuse_domain::chain::Chain(&error),
                    "the end of an audit chain cannot be read; the chain begins anew"
                );
                KnownHead::Unreadable
            }
        }
    }

    pub(super) async fn read_head(&self, chain: ChainName) -> Result<Option<Head>, TableError> {
        let item = self.get(&Key::chain(chain)).await?;
        item.map(|item| read_head(Row(&item))).transpose()
    }
}

impl Ending {
    /// Adds the entries, and the chain's new end, to a transaction.
    pub(super) fn add_to<Part>(
        &self,
        transaction: &mut Transaction<'_, Part>,
        part: impl Fn(AuditPart) -> Part,
    ) -> Result<(), TableError> {
        let mut known = self.known;
        for entry in &self.entries {
            let salt = Salt::from_bytes(rand::random());
            let record = AuditRecord::after(known, entry.clone(), salt);
            known = record.head().map_or(known, KnownHead::Head);
            transaction.put(part(AuditPart::Entry), draft_of(&record)?, Condition::Absent)?;
        }
        let (Some(chain), KnownHead::Head(head), false) =
            (self.chain, known, self.entries.is_empty())
        else {
            return Ok(());
        };
        let condition = match self.known {
            KnownHead::Head(read) => Condition::Same("hash", read.hash.to_string()),
            KnownHead::Nothing => Condition::Absent,
            KnownHead::Unreadable | KnownHead::Contended => Condition::Free,
        };
        let draft = Draft::new(Key::chain(chain))
            .text("hash", head.hash.to_string())
            .number("number", head.number)
            .text("segment", head.segment.to_string());
        transaction.put(part(AuditPart::Head), draft, condition)
    }
}

fn read_head(row: Row<'_>) -> Result<Head, TableError> {
    Ok(Head {
        segment: row.parsed("segment")?,
        number: row.number("number")?,
        hash: row.parsed("hash")?,
    })
}

/// What of an entry names nobody. The texts that may name people are attributes of their own, so
/// that they can be removed without a change of the rest; older versions have them in here.
#[derive(Serialize, Deserialize)]
struct Body {
    sim: Option<SimSid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fleet: Option<FleetSid>,
    at: jiff::Timestamp,
    id: String,
    #[serde(default, skip_serializing)]
    actor: Option<String>,
    action: String,
    phase: Phase,
    #[serde(default, skip_serializing)]
    reason: Option<String>,
    incident: Option<String>,
}

fn draft_of(record: &AuditRecord) -> Result<Draft, TableError> {
    let AuditEntry { sim, fleet, at, id, actor, action, phase, reason, incident } = &record.entry;
    let body = Body {
        sim: *sim,
        fleet: *fleet,
        at: *at,
        id: id.clone(),
        actor: None,
        action: action.clone(),
        phase: *phase,
        reason: None,
        incident: incident.clone(),
    };
    let shard = chain_shard(ChainName::of(&record.entry));
    let draft = Draft::new(Key::audit(&record.entry))
        .json("entry", &body)?
        .json("link", &record.link)?
        .text("actor", actor)
        .text("reason", reason)
        .maybe_text("salt", record.salt.map(|salt| salt.to_string()))
        .indexed(audit_hour(*at, shard), *at);
    Ok(draft)
}

/// An entry; an item whose key is not its entry's is none.
pub(super) fn read_record(item: &Item) -> Result<AuditRecord, TableError> {
    let row = Row(item);
    let body: Body = row.json("entry")?;
    let link = item.contains_key("link").then(|| row.json("link")).transpose()?;
    let kept = |name, old: Option<String>| -> Result<String, TableError> {
        let text = row.maybe_text(name)?.map(str::to_owned).or(old);
        Ok(text.unwrap_or_else(|| ERASED.to_owned()))
    };
    let entry = AuditEntry {
        sim: body.sim,
        fleet: body.fleet,
        at: body.at,
        id: body.id,
        actor: kept("actor", body.actor)?,
        action: body.action,
        phase: body.phase,
        reason: kept("reason", body.reason)?,
        incident: body.incident,
    };
    let Key { pk, sk } = Key::audit(&entry);
    if row.text("pk")? != pk || row.text("sk")? != sk {
        return Err(row.fault("its key is not that of its entry"));
    }
    Ok(AuditRecord { entry, link, salt: row.maybe_parsed("salt")? })
}
