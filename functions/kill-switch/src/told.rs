//! Telling what humans did that is about no SIM. The act is done and recorded first; what does not
//! go out then, the sweep finds in the audit.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::alert::Alert;
use simfuse_domain::audit::{AuditEntry, ChainName};
use simfuse_domain::port::{
    Alerts, AuditQuery, AuditTrail, Campaigns, Cases, Clock, Fleets, Heartbeat, Policies, SuperSim,
    TableError,
};

use crate::engine::{KillSwitch, within};
use crate::error::Chain;

/// The sweep looks for acts that nobody told this far back: a topic that is broken for longer has
/// been noticed, and its news are old.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// Whoever acts tells it at once; after this long they did not, and the sweep does.
const UNTOLD_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Whoever acts waits for the telling no longer than this: the act is done, and a topic that does not
/// answer must not make it look as if it were not.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// After this long whoever acted is not telling it any more: [`TOLD_WITHIN`], and a moment.
const TELLING_FOR: SignedDuration = SignedDuration::from_secs(5);

/// Acts told in one sweep, the newest: more in a day would be a program's.
const ACTS_MAX: usize = 200;

/// Entries of one page, and pages, of a day's audit.
const PAGE_ENTRIES: usize = 200;
const PAGES_MAX: usize = 50;

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat + AuditTrail,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Tells of an act that is recorded, after those before it that nobody told. What does not go out
    /// in time undoes nothing: the sweep tells it.
    pub(crate) async fn tell_act(&self, entry: &AuditEntry, details: &[String]) {
        let telling = async {
            if self.tell_acts_before(Some(entry)).await {
                self.tell_one_act(entry, details).await;
            }
        };
        if within(&self.clock, TOLD_WITHIN, telling).await.is_none() {
            tracing::error!(audit.id = entry.id, "an act is not told yet: that takes too long");
        }
    }

    /// Tells of acts that were recorded and not told: the topic failed, or the function died.
    pub(crate) async fn tell_untold_acts(&self) {
        self.tell_acts_before(None).await;
    }

    /// Tells of acts in their order, up to this one: once one does not go out, none after it does.
    async fn tell_acts_before(&self, last: Option<&AuditEntry>) -> bool {
        let now = self.clock.now();
        let ago = |time: Timestamp, span| time.saturating_sub(span).unwrap_or(Timestamp::MIN);
        let until = match last {
            Some(last) => ago(last.at, TELLING_FOR),
            None => ago(now, UNTOLD_AFTER),
        };
        let acts = match self.untold_acts(until).await {
            Ok(acts) => acts,
            Err(error) => {
                // Better in disorder than not at all.
                tracing::warn!(error = %Chain(&error), "acts not told are not known");
                return true;
            }
        };
        for entry in &acts {
            if !self.tell_one_act(entry, &[]).await {
                return false;
            }
        }
        true
    }

    /// Tells of one act; `false` where that is not out.
    async fn tell_one_act(&self, entry: &AuditEntry, details: &[String]) -> bool {
        let Some(alert) = Alert::of_account_act(entry, details, self.stack.as_ref()) else {
            return true;
        };
        if let Err(error) = self.publish(&alert).await {
            tracing::error!(error = %Chain(&error), "an act is not told yet");
            return false;
        }
        if let Err(error) = self.table.record_paged(&alert.id, self.clock.now()).await {
            tracing::warn!(error = %Chain(&error), "an act may be told again");
        }
        true
    }

    /// The newest acts of the last day, up to a time, that are not told, the oldest first.
    async fn untold_acts(&self, until: Timestamp) -> Result<Vec<AuditEntry>, TableError> {
        let mut untold = Vec::new();
        for entry in self.acts_of_the_day(until).await? {
            let Some(alert) = Alert::of_account_act(&entry, &[], None) else { continue };
            if self.table.last_paged(&alert.id).await?.is_none() {
                untold.push(entry);
            }
        }
        Ok(untold)
    }

    async fn acts_of_the_day(&self, until: Timestamp) -> Result<VecDeque<AuditEntry>, TableError> {
        let mut query = AuditQuery {
            chain: Some(ChainName::Account),
            since: until.saturating_sub(LOOK_BACK).unwrap_or(Timestamp::MIN),
            until,
            after: None,
            entries_max: PAGE_ENTRIES,
        };
        let mut acts = VecDeque::new();
        for _page in 0..PAGES_MAX {
            let page = self.table.audit_page(&query).await?;
            let entries = page.records.into_iter().map(|record| record.entry);
            acts.extend(entries.filter(|entry| Alert::of_account_act(entry, &[], None).is_some()));
            acts.drain(..acts.len().saturating_sub(ACTS_MAX));
            if page.next.is_none() {
                break;
            }
            query.after = page.next;
        }
        Ok(acts)
    }
}
