//! The kill-switch's items, and its view of what the deciders wrote.

use std::collections::{BTreeMap, HashSet};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt, TryStreamExt, future, stream};
use jiff::Timestamp;
use simfuse_domain::audit::AuditEntry;
use simfuse_domain::finding::Finding;
use simfuse_domain::guard::{CapScope, KillWindow};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::incident::Incident;
use simfuse_domain::port::{
    Case, Cases, Commit, Committed, OpenIncident, Stop, TableError, UsageStore,
};

use super::audit::AuditPart;
use super::error::{fault, table_error};
use super::item::{Draft, Item, Row, key_of};
use super::keys::{
    Key, due_incidents, findings_of, held_incidents, past_incidents_of, shard_of, sortable,
    telling_incidents,
};
use super::states::read_state;
use super::transaction::{Condition, Refusal, Transaction};
use super::usages::{read_cohort, read_usage};
use super::{Put, Table, by_sort_key, contention_pauses};

/// How long a past incident is kept, from its opening: a year, and a month to look back on it.
const INCIDENT_DAYS: i64 = 400;

/// How long it is kept when an alert was last published. No alert for so long is none.
const PAGED_DAYS: i64 = 90;

/// Pages of a megabyte read of one SIM's findings: thousands of them.
const FINDING_PAGES_MAX: usize = 4;

/// Findings acknowledged at the same time.
const ACKNOWLEDGED_AT_ONCE: usize = 8;

impl Cases for Table {
    async fn read_case(&self, sim: SimSid) -> Result<Case, TableError> {
        let keys = [
            Key::state(sim),
            Key::usage(sim),
            Key::control(sim),
            Key::open_incident(sim),
            Key::stop(),
        ];
        let doing = format!("reading the case of {sim}");
        let items = Box::pin(self.get_all(HashSet::from(keys), &doing));
        let (items, findings) =
            future::try_join(items, Box::pin(self.latest_findings(sim))).await?;
        let items = by_sort_key(items);
        let row = |sort_key: &str| items.get(sort_key).map(Row);
        let mut unread = Vec::new();
        let state = row("STATE").and_then(|row| readable(read_state(row), &mut unread));
        let usage = row("BASE").and_then(|row| readable(read_usage(row), &mut unread));
        let desired = row("CONTROL").map(|row| versioned(row, "desired")).transpose()?;
        let mut case = Case {
            sim,
            state: state.map(|stored| *stored.state),
            usage,
            cohort: None,
            findings,
            desired: desired.unwrap_or_default(),
            incident: row("INCIDENT#OPEN").map(|row| versioned(row, "incident")).transpose()?,
            stop: row("STOP").map(|row| row.json("stop")).transpose()?,
            unread,
        };
        if let Some(fleet) = case.asks_fleet() {
            let item = Box::pin(self.get(&Key::cohort(fleet))).await?;
            case.cohort = item.and_then(|item| readable(read_cohort(Row(&item)), &mut case.unread));
        }
        Ok(case)
    }

    async fn read_kill_window(&self, scope: CapScope) -> Result<(KillWindow, u64), TableError> {
        let item = self.get(&Key::kill_window(scope)).await?;
        let window = item.map(|item| versioned(Row(&item), "window")).transpose()?;
        Ok(window.unwrap_or_default())
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, TableError> {
        let doing = format!("recording a decision about {}", commit.sim);
        let mut ending = self.ending(&commit.audit).await?;
        let mut pauses = contention_pauses();
        loop {
            let mut transaction = self.transaction_of(commit)?;
            ending.add_to(&mut transaction, Part::Audit)?;
            if transaction.is_empty() {
                return Ok(Committed::Done);
            }
            let refused = Box::pin(transaction.run()).await?;
            if refused.is_empty() {
                return Ok(Committed::Done);
            }
            if !refused.iter().all(|(part, _)| matches!(part, Part::Audit(_))) {
                return Ok(Committed::Conflict);
            }
            if only_the_audit(&refused) {
                if !self.end_again(&mut ending, &doing).await? {
                    return Ok(Committed::Conflict);
                }
                continue;
            }
            // Another entry of the chain is being written: the decision itself still stands.
            let Some(pause) = pauses.next() else {
                return Err(TableError::Unavailable { doing, source: None });
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn acknowledge(&self, sim: SimSid, keys: &[String]) -> Result<(), TableError> {
        let updates = keys.iter().map(|key| Box::pin(self.acknowledge_one(sim, key)));
        let updates: Vec<_> = updates.collect();
        stream::iter(updates).buffer_unordered(ACKNOWLEDGED_AT_ONCE).try_collect().await
    }

    async fn unacknowledged(
        &self,
        before: Timestamp,
        sims_max: usize,
    ) -> Result<Vec<SimSid>, TableError> {
        self.sims_with_open_findings(before, sims_max).await
    }

    async fn open_incidents(
        &self,
        due_before: Timestamp,
        incidents_max: usize,
    ) -> Result<Vec<OpenIncident>, TableError> {
        self.due_incidents(due_before, incidents_max).await
    }

    async fn held_incidents(&self, incidents_max: usize) -> Result<Vec<Incident>, TableError> {
        let held = self.incidents_held_by_cap(incidents_max).await?;
        Ok(held.into_iter().map(|open| open.incident).collect())
    }

    async fn filed_incidents(
        &self,
        sim: SimSid,
        incidents_max: usize,
    ) -> Result<Vec<Incident>, TableError> {
        self.latest_past_incidents(sim, incidents_max).await
    }

    async fn fleet_sims(&self, fleet: FleetSid) -> Result<Option<u32>, TableError> {
        let item = UsageStore::read_fleet(self, fleet).await?;
        Ok(item.and_then(|item| item.sims).map(|sims| sims.all()))
    }

    async fn read_stop(&self) -> Result<Option<Stop>, TableError> {
        let item = self.get(&Key::stop()).await?;
        item.map(|item| Row(&item).json("stop")).transpose()
    }

    async fn write_stop(&self, stop: Option<&Stop>, audit: &AuditEntry) -> Result<(), TableError> {
        let doing = "writing the stop switch";
        // Every automatic kill looks at the switch in its own transaction: in a mass theft a
        // human's stop has to try more than once.
        let mut pauses = contention_pauses();
        let mut ending = self.ending(std::slice::from_ref(audit)).await?;
        loop {
            let mut transaction = Transaction::new(self, doing.to_owned());
            match stop {
                Some(stop) => {
                    let draft = Draft::new(Key::stop()).json("stop", stop)?;
                    transaction.put(Part::Stop, draft, Condition::Free)?;
                }
                None => transaction.delete(Part::Stop, &Key::stop(), Condition::Free)?,
            }
            ending.add_to(&mut transaction, Part::Audit)?;
            let refused = Box::pin(transaction.run()).await?;
            if refused.is_empty() {
                return Ok(());
            }
            if only_the_audit(&refused) && self.end_again(&mut ending, doing).await? {
                continue;
            }
            let Some(pause) = pauses.next() else {
                return Err(TableError::Unavailable { doing: doing.to_owned(), source: None });
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn last_paged(&self, name: &str) -> Result<Option<Timestamp>, TableError> {
        let item = self.get(&Key::paged(name)).await?;
        item.map(|item| Row(&item).parsed("at")).transpose()
    }

    async fn record_paged(&self, name: &str, at: Timestamp) -> Result<(), TableError> {
        let draft = Draft::new(Key::paged(name)).time("at", at).expires(at, PAGED_DAYS);
        match self.put(draft, Condition::AbsentOrUpTo("at", sortable(at))).await? {
            // Refused: a later time is recorded already.
            Put::Done | Put::Refused => Ok(()),
            Put::Busy => {
                let doing = format!("recording the page {name}");
                Err(TableError::Unavailable { doing, source: None })
            }
        }
    }
}

/// What was read; else why it was not goes to what is unread.
fn readable<R>(read: Result<R, TableError>, unread: &mut Vec<String>) -> Option<R> {
    match read {
        Ok(read) => Some(read),
        Err(error) => {
            unread.push(error.to_string());
            None
        }
    }
}

/// A part of a decision's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Incident,
    Desired,
    KillWindow,
    Stop,
    Policy,
    Audit(AuditPart),
}

/// Whether nothing but conditions of the audit stood in the way.
fn only_the_audit(refused: &[(Part, Refusal)]) -> bool {
    refused.iter().all(|refused| matches!(refused, (Part::Audit(_), Refusal::Condition)))
}

impl Table {
    /// The transaction of a commit, without its audit entries.
    fn transaction_of<'t>(&'t self, commit: &Commit) -> Result<Transaction<'t, Part>, TableError> {
        let sim = commit.sim;
        let doing = format!("recording a decision about {sim}");
        let mut transaction = Transaction::new(self, doing.clone());
        if let Some((incident, read)) = &commit.incident {
            if incident.sim != sim {
                return Err(fault(&doing, format!("an incident of {}", incident.sim)));
            }
            put_incident(&mut transaction, incident, *read, commit.closes)?;
        } else if commit.closes {
            return Err(fault(&doing, "no incident to close"));
        }
        match (&commit.desired, commit.desired_unchanged) {
            (Some((_, read)), Some(unchanged)) if *read != unchanged => {
                return Err(fault(&doing, "two versions of what should be"));
            }
            (Some((desired, read)), _) => {
                let draft = Draft::new(Key::control(sim))
                    .json("desired", desired)?
                    .number("version", read.saturating_add(1));
                transaction.put(Part::Desired, draft, Condition::as_read(*read))?;
            }
            (None, Some(unchanged)) => {
                let unchanged = Condition::as_read(unchanged);
                transaction.check(Part::Desired, &Key::control(sim), unchanged)?;
            }
            (None, None) => {}
        }
        for (scope, window, read) in &commit.kill_windows {
            let draft = Draft::new(Key::kill_window(*scope))
                .json("window", window)?
                .number("version", read.saturating_add(1));
            transaction.put(Part::KillWindow, draft, Condition::as_read(*read))?;
        }
        if let Some(number) = commit.policy_unchanged {
            let unchanged = Condition::numbered("number", number);
            transaction.check(Part::Policy, &Key::current_policy(), unchanged)?;
        }
        if commit.unless_stopped {
            transaction.check(Part::Stop, &Key::stop(), Condition::Absent)?;
        }
        Ok(transaction)
    }

    /// The SIM's latest findings. One that cannot be read (of a detector that a newer version has)
    /// is logged and left out: a human must be able to act on the SIM all the same.
    async fn latest_findings(&self, sim: SimSid) -> Result<BTreeMap<String, Finding>, TableError> {
        let mut findings = Vec::new();
        let mut start = None;
        for _ in 0..FINDING_PAGES_MAX {
            let request = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(findings_of(sim)))
                .set_exclusive_start_key(start);
            let answer = request.send().await;
            let doing = || format!("reading the findings of {sim}");
            let answer = answer.map_err(|error| table_error(&doing(), error))?;
            findings.extend(answer.items.unwrap_or_default().iter().filter_map(read_finding));
            start = answer.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.at));
        findings.truncate(Case::FINDINGS_MAX);
        Ok(findings.into_iter().map(|finding| (finding.key(), finding)).collect())
    }

    /// One that cannot be read is logged and left out: a human must be able to act all the same.
    async fn latest_past_incidents(
        &self,
        sim: SimSid,
        incidents_max: usize,
    ) -> Result<Vec<Incident>, TableError> {
        let [pk, first, last] = past_incidents_of(sim).map(AttributeValue::S);
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", pk)
            .expression_attribute_values(":first", first)
            .expression_attribute_values(":last", last)
            .scan_index_forward(false)
            .limit(i32::try_from(incidents_max).unwrap_or(i32::MAX));
        let doing = || format!("reading the past incidents of {sim}");
        let answer = request.send().await.map_err(|error| table_error(&doing(), error))?;
        let items = answer.items.unwrap_or_default();
        Ok(items.iter().filter_map(read_past_incident).collect())
    }

    async fn acknowledge_one(&self, sim: SimSid, finding: &str) -> Result<(), TableError> {
        let key = Key::finding(sim, finding);
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_of(&key)))
            .update_expression("REMOVE ipk, isk")
            .condition_expression("attribute_exists(pk)");
        match request.send().await {
            Ok(_) => Ok(()),
            // There is no such finding, or no more: nothing will look for it.
            Err(SdkError::ServiceError(answer))
                if answer.err().is_conditional_check_failed_exception() =>
            {
                Ok(())
            }
            Err(error) => Err(table_error(&format!("acknowledging {key}"), error)),
        }
    }
}

/// The open incident as it is now, or the past one that it becomes.
fn put_incident(
    transaction: &mut Transaction<'_, Part>,
    incident: &Incident,
    read: u64,
    closes: bool,
) -> Result<(), TableError> {
    let version = read.saturating_add(1);
    let open = Key::open_incident(incident.sim);
    if closes {
        transaction.delete(Part::Incident, &open, Condition::as_read(read))?;
        let draft = Draft::new(Key::past_incident(incident.sim, incident.opened_at))
            .json("incident", incident)?
            .number("version", version)
            .expires(incident.opened_at, INCIDENT_DAYS);
        transaction.put(Part::Incident, draft, Condition::Free)
    } else {
        let shard = shard_of(incident.sim);
        let list = match incident {
            held if held.is_held_by_cap() => held_incidents,
            telling if telling.only_tells() => telling_incidents,
            _ => due_incidents,
        };
        let draft = Draft::new(open)
            .json("incident", incident)?
            .number("version", version)
            .indexed(list(shard), incident.due_at());
        transaction.put(Part::Incident, draft, Condition::as_read(read))
    }
}

fn versioned<T: serde::de::DeserializeOwned>(
    row: Row<'_>,
    name: &str,
) -> Result<(T, u64), TableError> {
    Ok((row.json(name)?, row.number("version")?))
}

fn read_past_incident(item: &Item) -> Option<Incident> {
    match Row(item).json("incident") {
        Ok(incident) => Some(incident),
        Err(error) => {
            tracing::error!(
                error.message = %error,
                "a past incident cannot be read; the SIM is looked at without it"
            );
            None
        }
    }
}

fn read_finding(item: &Item) -> Option<Finding> {
    match Row(item).json("finding") {
        Ok(finding) => Some(finding),
        Err(error) => {
            tracing::error!(
                error.message = %error,
                "a finding cannot be read; the case is looked at without it"
            );
            None
        }
    }
}
