//! Many SIMs of one fleet within hours: one message, not four hundred. Whatever goes wrong here makes
//! alerts later, or more of them, and never fewer; and the act that a look decides on comes before its
//! telling.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use simfuse_domain::alert::{
    Alert, AlertName, Campaign, CampaignScope, Line, PendingAlert, Place, alert_id,
};
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::Incident;
use simfuse_domain::port::{
    Alerts, Campaigns, Cases, Clock, Commit, Committed, Fleets, Heartbeat, OpenIncident, Policies,
    SuperSim, TableError,
};

use crate::engine::{KillSwitch, pause};
use crate::error::{Chain, KillSwitchError};
use crate::sweep::SIMS_AT_ONCE;

/// How often a campaign or an incident that others change is tried. The next sweep goes on.
const TRIES_MAX: u32 = 5;

/// An alert of which nobody can say for so long how it is to be told is told by itself.
pub(crate) const UNKNOWN_MAX: SignedDuration = SignedDuration::from_mins(2);

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
    /// look, but not for long: it may be in a message already, and must not be told twice. Where the
    /// campaign cannot be read at all it is told, rather than never.
    pub(crate) async fn is_told_alone(&self, incident: &Incident, pending: &PendingAlert) -> bool {
        let Some(scope) = CampaignScope::of(pending) else { return true };
        let id = alert_id(&incident.id, pending.number);
        let is_old = self.clock.now().duration_since(pending.at) >= UNKNOWN_MAX;
        for attempt in 0..TRIES_MAX {
            match self.take_room(scope, &id).await {
                Ok(Some(is_alone)) => return is_alone,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "whether alerts are many is not known");
                    if !matches!(error, TableError::Unavailable { .. }) {
                        return true;
                    }
                    if !is_old {
                        return false;
                    }
                }
            }
            pause(&self.clock, (&id, attempt)).await;
        }
        is_old
    }

    /// Whether an alert is told by itself; `None` where others were in the way.
    async fn take_room(&self, scope: CampaignScope, id: &str) -> Result<Option<bool>, TableError> {
        let (campaign, version) = self.table.read_campaign(scope).await?;
        let with = match campaign.place_of(id, self.alone_max) {
            Place::Alone => return Ok(Some(true)),
            Place::Together => return Ok(Some(false)),
            Place::Room(with) => with,
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
                if let Some(scope) = CampaignScope::of(pending) {
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
                    // One that cannot be read, now or later, is none: its alerts are told alone.
                    tracing::error!(error = %Chain(&error), "alerts are not told together");
                    self.note_fault(is_lasting(&error));
                    continue;
                }
            };
            lines.retain(|line| {
                campaign.place_of(&line.of.alert_id(), self.alone_max) == Place::Together
            });
            together.extend(lines.iter().map(|line| line.of.alert_id()));
            waiting.campaigns.push((scope, campaign, version, lines));
        }
        // What cannot wait is told first.
        waiting.campaigns.sort_by_key(|(scope, ..)| (!scope.kind.is_urgent(), *scope));
        let now = self.clock.now();
        let only_waits = |open: &&OpenIncident| {
            let mut ids = open.incident.alerts.iter();
            waits_to_be_told(open, now)
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
        let (told, lines): (Vec<Line>, Vec<Line>) =
            lines.into_iter().partition(|line| campaign.left.contains(&line.of));
        let told: Vec<AlertName> = told.into_iter().map(|line| line.of).collect();
        self.take_off(&told).await;
        let mut read = None;
        if campaign.open.is_none() {
            if campaign.begin(scope, lines.clone(), now).is_none() {
                return Ok(());
            }
            // The list of what is due may be older than the campaign: what a message told that is
            // done by now is off its incident, and one that is done from now on changes the version.
            let names = lines.into_iter().map(|line| line.of).collect();
            let lines = self.lines_now(names).await;
            // One that cannot be read comes with a later message, and keeps back no other.
            let lines = lines.into_iter().filter_map(Result::ok).collect();
            let Some((begun, lines)) = campaign.begin(scope, lines, now) else { return Ok(()) };
            (campaign, read) = (begun, Some(lines));
            if !self.write_campaign(scope, &campaign, &mut version).await? {
                return Ok(());
            }
        }
        let Some(open) = campaign.open.clone() else { return Ok(()) };
        if !open.is_out {
            let alert = self.message(scope, &campaign, &open.lines, read).await;
            let alert = self.texted(alert).await;
            // Meanwhile another sweep may have told it, and would have said so.
            let read = self.table.read_campaign(scope).await;
            if read.map_err(KillSwitchError::table("reading a campaign again"))?.1 != version {
                return Ok(());
            }
            // One whose alerts are off their incidents by now was out.
            if !alert.tells.is_empty()
                && let Err(error) = self.send(&alert).await
            {
                // The next sweep tries again, with the same alerts as they are then.
                tracing::error!(error = %Chain(&error), "a campaign is not published");
                return Ok(());
            }
            campaign = campaign.out();
            if !self.write_campaign(scope, &campaign, &mut version).await? {
                return Ok(());
            }
        }
        let left = self.take_off(&open.lines).await;
        self.write_campaign(scope, &campaign.done(left), &mut version).await?;
        Ok(())
    }

    /// The message under way: what was read just now, else as its incidents are now.
    async fn message(
        &self,
        scope: CampaignScope,
        campaign: &Campaign,
        names: &[AlertName],
        read: Option<Vec<Line>>,
    ) -> Alert {
        let now = self.clock.now();
        let lines = match read {
            Some(lines) => lines,
            None => {
                let lines = self.lines_now(names.to_vec()).await.into_iter();
                lines.map(|line| line.unwrap_or_else(|name| Line::unread(name, now))).collect()
            }
        };
        campaign.alert(scope, &lines, now, self.stack.as_ref())
    }

    /// The alerts that incidents still hold, as those are now, in this order; and the names of those
    /// whose incidents cannot be read.
    async fn lines_now(&self, names: Vec<AlertName>) -> Vec<Result<Line, AlertName>> {
        let looks = names.into_iter().map(|name| async move {
            let case = match self.read_case(name.sim).await {
                Ok(case) => case,
                Err(error) => {
                    tracing::error!(sim.sid = %name.sim, error = %Chain(&error), "not told as it is");
                    self.note_fault(is_table_lasting(&error));
                    return Some(Err(name));
                }
            };
            let (incident, _) = case.incident.filter(|(open, _)| open.id == name.incident)?;
            let pending = incident.alerts.iter().find(|alert| alert.number == name.number)?;
            Some(Ok(Line::of(&incident, pending)))
        });
        let looks: Vec<_> = looks.collect();
        let looked = stream::iter(looks).buffered(SIMS_AT_ONCE);
        looked.filter_map(|line| async move { line }).collect().await
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

    /// Takes alerts that are out off their incidents, and gives those that it could not: they are not
    /// told again.
    async fn take_off(&self, names: &[AlertName]) -> BTreeSet<AlertName> {
        let mut numbers: BTreeMap<(SimSid, &str), BTreeSet<u32>> = BTreeMap::new();
        for name in names {
            numbers.entry((name.sim, &name.incident)).or_default().insert(name.number);
        }
        let taken = numbers.into_iter().map(|((sim, incident), numbers)| async move {
            match self.take_off_one(sim, incident, &numbers).await {
                Ok(()) => Vec::new(),
                Err(error) => {
                    tracing::error!(sim.sid = %sim, error = %Chain(&error), "told, and not recorded");
                    self.note_fault(is_table_lasting(&error));
                    let name = |number| AlertName { sim, incident: incident.to_owned(), number };
                    numbers.into_iter().map(name).collect()
                }
            }
        });
        let taken: Vec<_> = taken.collect();
        let taken = stream::iter(taken).buffer_unordered(SIMS_AT_ONCE);
        let left: Vec<Vec<AlertName>> = taken.collect().await;
        left.into_iter().flatten().collect()
    }

    /// Counts what is the same at the next try, so that the sweep fails and its alarm rings.
    pub(crate) fn note_fault(&self, is_lasting: bool) {
        self.faults.fetch_add(usize::from(is_lasting), Ordering::Relaxed);
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

/// Whether nothing is left to be done about an incident but to tell of it.
pub(crate) fn waits_to_be_told(open: &OpenIncident, now: Timestamp) -> bool {
    let incident = &open.incident;
    !incident.alerts.is_empty() && (incident.is_over() || incident.next_check > now)
}

/// Whether it will be the same at the next try: an item that cannot be read.
const fn is_lasting(error: &TableError) -> bool {
    matches!(error, TableError::NewerSchema { .. } | TableError::Fault { .. })
}

const fn is_table_lasting(error: &KillSwitchError) -> bool {
    match error {
        KillSwitchError::Table { source, .. } => is_lasting(source),
        KillSwitchError::Contention { .. }
        | KillSwitchError::Payload { .. }
        | KillSwitchError::PolicyWithoutNumber
        | KillSwitchError::Sweep { .. }
        | KillSwitchError::Faults { .. } => false,
    }
}
