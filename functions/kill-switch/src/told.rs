//! Telling what humans did that is about no SIM. The act is done and recorded first; what does not
//! go out then, the sweep finds in the audit.

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::alert::Alert;
use simfuse_domain::audit::{AuditEntry, ChainName};
use simfuse_domain::port::{
    Alerts, AuditQuery, AuditTrail, Campaigns, Cases, Clock, Fleets, Heartbeat, Policies, SuperSim,
    TableError,
};

use crate::engine::KillSwitch;
use crate::error::Chain;

/// The sweep looks for acts that nobody told this far back: a topic that is broken for longer has
/// been noticed, and its news are old.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// Whoever acts tells it at once; after this long they did not.
const UNTOLD_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Acts looked at in one sweep: more in a day would be a program's.
const ACTS_MAX: usize = 200;

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Tells of an act. One that does not go out undoes nothing: the sweep tries again.
    pub(crate) async fn tell_act(&self, entry: &AuditEntry, details: &[String]) {
        let Some(alert) = Alert::of_account_act(entry, details, self.stack.as_ref()) else {
            return;
        };
        if let Err(error) = self.publish(&alert).await {
            tracing::error!(error = %Chain(&error), "an act is not told yet");
            return;
        }
        if let Err(error) = self.table.record_paged(&alert.id, self.clock.now()).await {
            tracing::warn!(error = %Chain(&error), "an act may be told again");
        }
    }
}

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat + AuditTrail,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Tells of acts that were recorded and not told: the topic failed, or the function died.
    pub(crate) async fn tell_untold_acts(&self) {
        match self.untold_acts().await {
            Ok(acts) => {
                for entry in acts {
                    self.tell_act(&entry, &[]).await;
                }
            }
            Err(error) => tracing::warn!(error = %Chain(&error), "acts not told are not known"),
        }
    }

    async fn untold_acts(&self) -> Result<Vec<AuditEntry>, TableError> {
        let now = self.clock.now();
        let ago = |span| now.saturating_sub(span).unwrap_or(Timestamp::MIN);
        let query = AuditQuery {
            chain: Some(ChainName::Account),
            since: ago(LOOK_BACK),
            until: ago(UNTOLD_AFTER),
            after: None,
            entries_max: ACTS_MAX,
        };
        let mut untold = Vec::new();
        for record in self.table.audit_page(&query).await?.records {
            let Some(alert) = Alert::of_account_act(&record.entry, &[], None) else { continue };
            if self.table.last_paged(&alert.id).await?.is_none() {
                untold.push(record.entry);
            }
        }
        Ok(untold)
    }
}
