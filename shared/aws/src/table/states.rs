//! The webhook's items: what events say, findings, and the sign that events arrive.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use simfuse_domain::finding::Finding;
use simfuse_domain::id::SimSid;
use simfuse_domain::port::{Beat, Heartbeat, StateWrite, States, StoredState, TableError, Written};
use simfuse_domain::state::{SCHEMA, SimState};

use super::error::{fault, table_error};
use super::item::{Draft, Row, key_of};
use super::keys::{Key, open_findings, shard_of, sortable};
use super::transaction::{Condition, ITEMS_MAX, Refusal, Transaction};
use super::{Put, Table};

/// Findings of one write: what a transaction holds beside the state.
const FINDINGS_MAX: usize = ITEMS_MAX - 1;

/// How long a finding is kept, from its receipt.
const FINDING_DAYS: i64 = 90;

impl States for Table {
    async fn read_states(
        &self,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, StoredState>, TableError> {
        if sims.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys = sims.iter().map(|sim| Key::state(*sim)).collect();
        let items = self.get_all(keys, "reading the states of a batch of SIMs").await?;
        let stored = items.iter().map(|item| {
            let stored = read_state(Row(item))?;
            Ok((stored.state.sim, stored))
        });
        stored.collect()
    }

    async fn write_state(&self, write: &StateWrite) -> Result<Written, TableError> {
        let (draft, condition) = draft_state(write)?;
        if write.findings.is_empty() {
            return Ok(match self.put(draft, condition).await? {
                Put::Done => Written::Done,
                Put::Refused | Put::Busy => Written::Conflict,
            });
        }
        let sim = write.state.sim;
        let doing = format!("writing the state and findings of {sim}");
        if write.findings.len() > FINDINGS_MAX {
            let reason = format!("{} findings, {FINDINGS_MAX} allowed", write.findings.len());
            return Err(fault(&doing, reason));
        }
        let mut transaction = Transaction::new(self, doing);
        transaction.put(None, draft, condition)?;
        // One of each key: a transaction may name an item once.
        let findings: BTreeMap<String, &Finding> =
            write.findings.iter().map(|finding| (finding.key(), finding)).collect();
        for (key, finding) in findings {
            let draft = draft_finding(sim, finding, write.received_at)?;
            transaction.put(Some(key), draft, Condition::Absent)?;
        }
        Ok(written(Box::pin(transaction.run()).await?))
    }

    async fn insert_finding(
        &self,
        sim: SimSid,
        finding: &Finding,
        received_at: Timestamp,
    ) -> Result<(), TableError> {
        self.insert(draft_finding(sim, finding, received_at)?).await
    }
}

/// What a refused transaction means. A finding that is there already is only told when nothing else
/// stood in the way: after a conflict the caller folds again, and may find something else.
fn written(refused: Vec<(Option<String>, Refusal)>) -> Written {
    if refused.is_empty() {
        return Written::Done;
    }
    let found: Option<BTreeSet<String>> = refused
        .into_iter()
        .map(|(finding, why)| finding.filter(|_| why == Refusal::Condition))
        .collect();
    found.map_or(Written::Conflict, Written::AlreadyFound)
}

fn draft_state(write: &StateWrite) -> Result<(Draft, Condition), TableError> {
    let key = Key::state(write.state.sim);
    let doing = format!("writing {key}");
    let read = write.read_version.unwrap_or(0);
    let state = write.state.encode();
    let state = state.map_err(|error| super::fault_from(&doing, "the state", error))?;
    let draft = Draft::new(key)
        .bytes("state", state)
        .number("schema", SCHEMA)
        .number("version", read.saturating_add(1))
        .texts("found", &write.found)
        .time("latest", write.state.now());
    Ok((draft, Condition::as_read(read)))
}

fn draft_finding(
    sim: SimSid,
    finding: &Finding,
    received_at: Timestamp,
) -> Result<Draft, TableError> {
    let draft = Draft::new(Key::finding(sim, &finding.key()))
        .json("finding", finding)?
        .time("received_at", received_at)
        .indexed(open_findings(shard_of(sim)), received_at)
        .expires(received_at, FINDING_DAYS);
    Ok(draft)
}

/// Reads a state with what is stored beside it.
pub(super) fn read_state(row: Row<'_>) -> Result<StoredState, TableError> {
    let found: u32 = row.number("schema")?;
    if found > SCHEMA {
        let what = format!("the state at {}", row.text("pk")?);
        return Err(TableError::NewerSchema { what, found, known: SCHEMA });
    }
    let state = SimState::decode(found, row.bytes("state")?);
    let state = state.map_err(|error| row.fault_from("state", error))?;
    if row.text("pk")? != Key::state(state.sim).pk {
        return Err(row.fault(format!("it holds the state of {}", state.sim)));
    }
    let state = Box::new(state);
    Ok(StoredState { state, version: row.number("version")?, found: row.texts("found")? })
}

impl Heartbeat for Table {
    async fn beat(&self, beat: Beat) -> Result<(), TableError> {
        let times = [
            ("last_beat", Some(beat.received_at)),
            ("tested_at", beat.tested_at),
            ("updated_at", beat.updated_at),
            ("long_ended_at", beat.long_ended_at),
        ];
        let times = times.into_iter().filter_map(|(name, time)| Some((name, time?)));
        let mut request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_of(&Key::heartbeat())));
        let mut set = Vec::new();
        for (name, time) in times {
            set.push(format!("{name} = :{name}"));
            let time = AttributeValue::S(sortable(time));
            request = request.expression_attribute_values(format!(":{name}"), time);
        }
        let answer = request.update_expression(format!("SET {}", set.join(", "))).send().await;
        answer.map_err(|error| table_error("writing the heartbeat", error))?;
        Ok(())
    }

    async fn last_beat(&self) -> Result<Option<Beat>, TableError> {
        let Some(item) = self.get(&Key::heartbeat()).await? else { return Ok(None) };
        let row = Row(&item);
        Ok(Some(Beat {
            received_at: row.parsed("last_beat")?,
            tested_at: row.maybe_parsed("tested_at")?,
            updated_at: row.maybe_parsed("updated_at")?,
            long_ended_at: row.maybe_parsed("long_ended_at")?,
        }))
    }
}
