//! The embedded table, with an ear on what is found: a file may show more of a SIM than the
//! kill-switch ever reads at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use simfuse_aws::Table;
use simfuse_domain::evidence::Cohort;
use simfuse_domain::finding::Finding;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::news::News;
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Beat, DeadLetter, DeadLetters, Heartbeat, NewsFeed, Policies, StateWrite, States, StoredState,
    TableError, Usages, Written,
};
use simfuse_domain::usage::SimUsage;
use simfuse_domain::verdict::Verdict;

use super::Found;

/// A table that remembers what was found; clones are handles to the same one.
#[derive(Clone)]
pub(super) struct Recorder {
    table: Table,
    policy: Arc<Policy>,
    found: Arc<Mutex<Found>>,
}

impl Recorder {
    pub(super) fn new(table: Table, policy: Policy) -> Self {
        Self { table, policy: Arc::new(policy), found: Arc::default() }
    }

    pub(super) fn found(&self) -> Found {
        std::mem::take(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, sim: SimSid, verdict: Verdict, findings: &[Finding]) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (most, all) = found.entry(sim).or_insert((Verdict::Clear, Vec::new()));
        *most = (*most).max(verdict);
        all.extend_from_slice(findings);
    }
}

impl States for Recorder {
    async fn read_states(
        &self,
        sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, StoredState>, TableError> {
        self.table.read_states(sims).await
    }

    async fn write_state(&self, write: &StateWrite) -> Result<Written, TableError> {
        let written = self.table.write_state(write).await?;
        if written == Written::Done && !write.findings.is_empty() {
            let rules = self.policy.rules_for(write.state.fleet(), write.state.sim);
            self.record(write.state.sim, rules.rule(&write.findings), &write.findings);
        }
        Ok(written)
    }

    async fn insert_finding(
        &self,
        sim: SimSid,
        finding: &Finding,
        received_at: Timestamp,
    ) -> Result<(), TableError> {
        self.table.insert_finding(sim, finding, received_at).await?;
        let verdict = self.policy.base().verdict_of(finding);
        self.record(sim, verdict, std::slice::from_ref(finding));
        Ok(())
    }
}

/// A file of events holds no usage records.
impl Usages for Recorder {
    async fn read_usages(
        &self,
        _sims: &[SimSid],
    ) -> Result<BTreeMap<SimSid, SimUsage>, TableError> {
        Ok(BTreeMap::new())
    }

    async fn read_cohort(&self, _fleet: FleetSid) -> Result<Option<Cohort>, TableError> {
        Ok(None)
    }
}

impl DeadLetters for Recorder {
    async fn put_dead_letter(&self, letter: &DeadLetter) -> Result<(), TableError> {
        crate::output::note(&format!("set aside ({} bytes): {}", letter.length, letter.reason));
        self.table.put_dead_letter(letter).await
    }
}

impl Heartbeat for Recorder {
    async fn beat(&self, beat: Beat) -> Result<(), TableError> {
        self.table.beat(beat).await
    }

    async fn last_beat(&self) -> Result<Option<Beat>, TableError> {
        self.table.last_beat().await
    }
}

impl NewsFeed for Recorder {
    async fn insert_news(&self, _news: &News, _received_at: Timestamp) -> Result<(), TableError> {
        Ok(())
    }
}

impl Policies for Recorder {
    async fn current_policy(&self) -> Result<Policy, TableError> {
        self.table.current_policy().await
    }
}
