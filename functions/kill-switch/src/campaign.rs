//! Many SIMs of one fleet within hours: one message, not four hundred. Whatever goes wrong here makes
//! alerts later, or more of them, and never fewer. An alert that is still to be told is looked up before
//! the next decision about its SIM, all else comes after the acts.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use simfuse_domain::alert::{AlertKind, Campaign, CampaignScope, Line, PendingAlert, alert_id};
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::{Hold, Incident, Stage};
use simfuse_domain::port::{
    Alerts, Campaigns, Cases, Clock, Commit, Committed, Fleets, Heartbeat, OpenIncident, Policies,
    SuperSim, TableError,
};

use crate::engine::{KillSwitch, pause};
use crate::error::{Chain, KillSwitchError};
use crate::sweep::SIMS_AT_ONCE;

/// How often a campaign or an incident that others change is tried. The next sweep goes on.
const TRIES_MAX: u32 = 5;

/// Alerts that wait to be told together.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    campaigns: Vec<(CampaignScope, Campaign, u64, Vec<Line>)>,
    /// SIMs that are due for nothing but such an alert.
    pub(crate) sims: BTreeSet<SimSid>,
}

impl<T, P, A, C> KillSwitch<T, P, A, C> {
    /// The same, with so many alerts of a campaign told one by one instead of the usual number: for
    /// those who want to see a campaign of few SIMs.
    #[must_use]
    pub fn telling_alone(self, alone_max: usize) -> Self {
        Self { alone_max, ..self }
    }
}

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Whether an alert is told by itself, now. Where the table does not answer it waits for the next
    /// look: it may be in a message already, and must not be told twice. Where the campaign cannot be
    /// read at all it is told, rather than never.
    pub(crate) async fn is_told_alone(&self, incident: &Incident, pending: &PendingAlert) -> bool {
        let Some(scope) = scope_of(incident, pending) else { return true };
        let id = alert_id(&incident.id, pending.number);
        for attempt in 0..TRIES_MAX {
            match self.take_room(scope, &id).await {
                Ok(Some(is_alone)) => return is_alone,
                Ok(None) => pause(&self.clock, (&id, attempt)).await,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "whether alerts are many is not known");
                    // What is not known by the next look either must not keep a human from being told.
                    return !matches!(error, TableError::Unavailable { .. });
                }
            }
        }
        false
    }

    /// Whether an alert is told by itself; `None` where others were in the way.
    async fn take_room(&self, scope: CampaignScope, id: &str) -> Result<Option<bool>, TableError> {
        let (campaign, version) = self.table.read_campaign(scope).await?;
        let with = match campaign.is_alone(id, self.alone_max) {
            Ok(is_alone) => return Ok(Some(is_alone)),
            Err(with) => with,
        };
        let now = self.clock.now();
        let written = self.table.write_campaign(scope, &with, version, now).await?;
        Ok((written == Committed::Done).then_some(true))
    }

    /// Of the incidents that are due, the alerts that wait to be told together.
    pub(crate) async fn waiting(&self, due: &[OpenIncident]) -> Waiting {
        let mut lines: BTreeMap<CampaignScope, Vec<Line>> = BTreeMap::new();
        for OpenIncident { incident, .. } in due {
            for pending in &incident.alerts {
                if let Some(scope) = scope_of(incident, pending) {
                    lines.entry(scope).or_default().push(Line::of(incident, pending));
                }
            }
        }
        let mut waiting = Waiting::default();
        let mut together = BTreeSet::new();
        for (scope, mut lines) in lines {
            let (campaign, version) = match self.table.read_campaign(scope).await {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "alerts are not told together yet");
                    continue;
                }
            };
            lines.retain(|line| campaign.is_alone(&line.alert_id(), self.alone_max) == Ok(false));
            together.extend(lines.iter().map(Line::alert_id));
            waiting.campaigns.push((scope, campaign, version, lines));
        }
        let now = self.clock.now();
        let only_waits = |open: &&OpenIncident| {
            let mut ids = open.incident.alerts.iter();
            let is_over = open.incident.is_over() && !open.incident.alerts.is_empty();
            (is_over || open.incident.next_check > now)
                && ids.all(|alert| together.contains(&alert_id(&open.incident.id, alert.number)))
        };
        waiting.sims = due.iter().filter(only_waits).map(|open| open.incident.sim).collect();
        waiting
    }

    /// Tells what waits, where it is time: one message for each campaign.
    pub(crate) async fn tell_together(&self, waiting: Waiting) {
        for (scope, campaign, version, lines) in waiting.campaigns {
            if let Err(error) = self.tell_campaign(scope, campaign, version, lines).await {
                tracing::error!(error = %Chain(&error), "a campaign is not told to its end");
            }
        }
    }

    async fn tell_campaign(
        &self,
        scope: CampaignScope,
        mut campaign: Campaign,
        mut version: u64,
        lines: Vec<Line>,
    ) -> Result<(), KillSwitchError> {
        let now = self.clock.now();
        if campaign.open.is_none() {
            if campaign.begin(lines.clone(), now).is_none() {
                return Ok(());
            }
            // The list of what is due may be older than the campaign: what a message told that is
            // done by now is off its incident, and one that is done from now on changes the version.
            let lines = self.still_pending(lines).await?;
            let Some(begun) = campaign.begin(lines, now) else { return Ok(()) };
            campaign = begun;
            if !self.write_campaign(scope, &campaign, &mut version).await? {
                return Ok(());
            }
        }
        let Some(open) = campaign.open.clone() else { return Ok(()) };
        if !open.is_out {
            let Some(alert) = campaign.alert(scope, self.stack.as_ref()) else { return Ok(()) };
            if let Err(error) = self.publish(&alert).await {
                // The next sweep tries again, with the same message.
                tracing::error!(error = %Chain(&error), "a campaign is not published");
                return Ok(());
            }
            campaign = campaign.out();
            if !self.write_campaign(scope, &campaign, &mut version).await? {
                return Ok(());
            }
        }
        self.take_off(&open.lines).await?;
        self.write_campaign(scope, &campaign.done(), &mut version).await?;
        Ok(())
    }

    /// Those whose incidents still hold them.
    async fn still_pending(&self, lines: Vec<Line>) -> Result<Vec<Line>, KillSwitchError> {
        let looks = lines.into_iter().map(|line| async move {
            let case = match self.read_case(line.sim).await {
                Ok(case) => case,
                Err(error) if is_lasting(&error) => {
                    // One SIM that cannot be read keeps nobody from hearing of the others.
                    tracing::error!(sim.sid = %line.sim, error = %Chain(&error), "not told of");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            let is_held = case.incident.is_some_and(|(incident, _)| {
                let mut pending = incident.alerts.iter();
                incident.id == line.incident && pending.any(|alert| alert.number == line.number)
            });
            Ok(is_held.then_some(line))
        });
        let looks: Vec<_> = looks.collect();
        let looks = stream::iter(looks).buffer_unordered(SIMS_AT_ONCE);
        let looked: Vec<Result<Option<Line>, KillSwitchError>> = looks.collect().await;
        looked.into_iter().filter_map(Result::transpose).collect()
    }

    /// Writes a campaign; `false` where another sweep came first, which goes on with it.
    async fn write_campaign(
        &self,
        scope: CampaignScope,
        campaign: &Campaign,
        version: &mut u64,
    ) -> Result<bool, KillSwitchError> {
        let written = self.table.write_campaign(scope, campaign, *version, self.clock.now()).await;
        let written = written.map_err(KillSwitchError::table("writing down a campaign"))?;
        *version = version.saturating_add(1);
        Ok(written == Committed::Done)
    }

    /// Takes alerts that are out off their incidents.
    async fn take_off(&self, lines: &[Line]) -> Result<(), KillSwitchError> {
        let mut numbers: BTreeMap<(SimSid, &str), BTreeSet<u32>> = BTreeMap::new();
        for line in lines {
            numbers.entry((line.sim, &line.incident)).or_default().insert(line.number);
        }
        let taken = numbers.into_iter().map(|((sim, incident), numbers)| async move {
            match self.take_off_one(sim, incident, &numbers).await {
                Err(error) if is_lasting(&error) => {
                    tracing::error!(sim.sid = %sim, error = %Chain(&error), "told, and not recorded");
                    Ok(())
                }
                taken => taken,
            }
        });
        let taken: Vec<_> = taken.collect();
        let taken = stream::iter(taken).buffer_unordered(SIMS_AT_ONCE);
        let taken: Vec<Result<(), KillSwitchError>> = taken.collect().await;
        taken.into_iter().collect()
    }

    async fn take_off_one(
        &self,
        sim: SimSid,
        id: &str,
        numbers: &BTreeSet<u32>,
    ) -> Result<(), KillSwitchError> {
        for attempt in 0..TRIES_MAX {
            let case = self.read_case(sim).await?;
            let Some((mut incident, version)) = case.incident.filter(|(open, _)| open.id == id)
            else {
                return Ok(());
            };
            let before = incident.alerts.len();
            incident.alerts.retain(|alert| !numbers.contains(&alert.number));
            if incident.alerts.len() == before {
                return Ok(());
            }
            let commit = Commit { incident: Some((incident, version)), ..Commit::of(sim) };
            if self.commit(&commit, "recording that alerts are out").await? == Committed::Done {
                return Ok(());
            }
            pause(&self.clock, (sim, attempt)).await;
        }
        Err(KillSwitchError::Contention { sim: sim.to_string(), passes: TRIES_MAX })
    }
}

/// Which campaign an alert belongs to. Whether a SIM that is protected is a thief's is for a human to
/// say, who is told of each by itself.
fn scope_of(incident: &Incident, pending: &PendingAlert) -> Option<CampaignScope> {
    let is_protected = incident.stage == Stage::Held(Hold::Protected);
    CampaignScope::of(pending).filter(|scope| !(is_protected && scope.kind == AlertKind::Held))
}

/// Whether it will be the same at the next try: an item that cannot be read.
const fn is_lasting(error: &KillSwitchError) -> bool {
    matches!(
        error,
        KillSwitchError::Table {
            source: TableError::NewerSchema { .. } | TableError::Fault { .. },
            ..
        }
    )
}
