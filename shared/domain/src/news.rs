//! Plain news of a SIM: what its events changed, for those who asked for it. Never an alarm.
//!
//! News is derived from one step of the fold, so a duplicate, which changes nothing, makes none.
//! What it tells is only as good as the newest event: one that comes late is no news any more.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Severity, one_line, subject_of};
use crate::bytes::Bytes;
use crate::device::Imei14;
use crate::event::{Event, EventKind};
use crate::id::{EventSid, FleetSid, SimSid};
use crate::network::{Country, Plmn};
use crate::state::SimState;
use crate::time::Hour;

/// What is older than this at its receipt is history that is told again, not news.
pub const AGE_MAX: SignedDuration = SignedDuration::from_hours(1);

/// One SIM's news of one kind come at most this often: a recorded session reports every 6 minutes,
/// and nobody reads ten e-mails an hour about one sensor.
pub const EVERY: SignedDuration = SignedDuration::from_mins(10);

/// News of all SIMs together in an hour of UTC: one a minute is what a person can follow.
pub const HOUR_MAX: u32 = 60;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewsKind {
    /// A data session was opened while none was open.
    Online,
    /// A network accepted the SIM.
    Network,
    /// A data session reported usage.
    Usage,
    /// The SIM is in another device than before.
    Device,
    /// The last open data session was closed.
    Offline,
}

impl fmt::Display for NewsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Online => "online",
            Self::Network => "network",
            Self::Usage => "usage",
            Self::Device => "device",
            Self::Offline => "offline",
        })
    }
}

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The SIM.
    pub sim: SimSid,
    /// What happened.
    pub kind: NewsKind,
    /// The event that shows it.
    pub event: EventSid,
    /// When, by the provider's clock.
    pub at: Timestamp,
    /// The operator's own name for the SIM.
    pub name: Option<String>,
    /// The SIM's fleet.
    pub fleet: Option<FleetSid>,
    /// The network that the event names.
    pub plmn: Option<Plmn>,
    /// The country of that network.
    pub country: Option<Country>,
    /// The device that the event names.
    pub device: Option<Imei14>,
    /// The device before, where the news is that it is another one.
    pub device_before: Option<Imei14>,
    /// Bytes since the session's last report.
    pub used: Option<Bytes>,
    /// Bytes since the session was opened.
    pub used_in_session: Option<Bytes>,
    /// Other news of the kind in the same delivery, of which this is the latest.
    pub more: u32,
}

/// The news in one event that changed the state: what was before it, and what is after it.
#[must_use]
pub fn of_event(before: &SimState, event: &Event, after: &SimState) -> Vec<News> {
    if event.at < before.now() {
        return Vec::new();
    }
    // A session that should have reported again by now is not open any more.
    let is_online = |state: &SimState| {
        let mut sessions = state.sessions().iter();
        sessions.any(|one| state.is_open(one) && one.expires() >= event.at)
    };
    let device_before = before.devices().iter().max_by_key(|device| device.last());
    let device_before = device_before.map(|device| device.imei);
    let mut kinds = Vec::new();
    match event.kind {
        EventKind::AttachmentAccepted => kinds.push(NewsKind::Network),
        EventKind::SessionStarted => {}
        EventKind::SessionUpdated | EventKind::SessionEnded => {
            let used = event.session.as_ref().and_then(|report| report.delta.total());
            if used.is_some_and(|bytes| bytes > 0) {
                kinds.push(NewsKind::Usage);
            }
        }
        EventKind::AttachmentRejected | EventKind::AttachmentFailed | EventKind::SessionFailed => {}
    }
    match (is_online(before), is_online(after)) {
        (false, true) => kinds.push(NewsKind::Online),
        (true, false) if event.kind == EventKind::SessionEnded => kinds.push(NewsKind::Offline),
        _ => {}
    }
    let is_another = device_before.is_some() && event.device.is_some();
    if is_another && event.device != device_before {
        kinds.push(NewsKind::Device);
    }
    kinds.into_iter().map(|kind| news(kind, event, after, device_before)).collect()
}

fn news(kind: NewsKind, event: &Event, after: &SimState, device_before: Option<Imei14>) -> News {
    let usage = event.session.as_ref().map(|report| (report.delta, report.cumulative));
    News {
        sim: event.sim,
        kind,
        event: event.sid,
        at: event.at,
        name: after.unique_name().map(ToOwned::to_owned),
        fleet: after.fleet(),
        plmn: event.plmn,
        country: event.country,
        device: event.device,
        device_before: device_before.filter(|_| kind == NewsKind::Device),
        used: usage.and_then(|(delta, _)| delta.total()).map(Bytes),
        used_in_session: usage.and_then(|(_, cumulative)| cumulative.total()).map(Bytes),
        more: 0,
    }
}

impl News {
    /// What tells it from all other news; the same whenever its event comes again.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}#{}", self.kind, self.event)
    }

    fn happened(&self) -> String {
        let place = self.place().map(|place| format!(" on {place}")).unwrap_or_default();
        match self.kind {
            NewsKind::Online => format!("came online{place}"),
            NewsKind::Network => match self.place() {
                Some(place) => format!("attached to {place}"),
                None => "attached to a network".to_owned(),
            },
            NewsKind::Usage => {
                format!("used {}", self.used.unwrap_or(Bytes(0)))
            }
            NewsKind::Device => match self.device {
                Some(device) => format!("is in another device, {device}"),
                None => "is in another device".to_owned(),
            },
            NewsKind::Offline => "went offline".to_owned(),
        }
    }

    fn place(&self) -> Option<String> {
        let plmn = self.plmn.map(|plmn| format!("network {plmn}"));
        let country = self.country.map(|country| country.to_string());
        match (plmn, country) {
            (Some(plmn), Some(country)) => Some(format!("{plmn} in {country}")),
            (plmn, country) => plmn.or(country),
        }
    }

    /// The e-mail: what, when, where, how much, in which device, and how many like it were not
    /// told. `suppressed` are those that came too soon after the last one.
    #[must_use]
    pub fn alert(&self, suppressed: u32) -> Alert {
        let name = self.name.clone().unwrap_or_else(|| self.sim.to_string());
        let happened = self.happened();
        let mut lines = vec![
            format!("{} {happened}", one_line(&name)),
            String::new(),
            format!("SIM        {}", self.sim),
        ];
        if let Some(fleet) = self.fleet {
            lines.push(format!("Fleet      {fleet}"));
        }
        lines.push(format!("Time       {}", self.at));
        if let Some(place) = self.place() {
            lines.push(format!("Where      {place}"));
        }
        if let Some(device) = self.device {
            lines.push(format!("Device     {device}"));
        }
        if let Some(before) = self.device_before {
            lines.push(format!("Before     {before}"));
        }
        if let Some(used) = self.used {
            lines.push(format!("Used       {used} since the last report"));
        }
        if let Some(used) = self.used_in_session {
            lines.push(format!("Session    {used} since it was opened"));
        }
        match suppressed.saturating_add(self.more) {
            0 => {}
            more => lines.push(format!("More       {more} of the kind, not told one by one")),
        }
        lines.push(String::new());
        lines.push("This is news, not an alarm: the policy's [notify] asks for it.".to_owned());
        Alert {
            escalated: false,
            stack: None,
            tells: Vec::new(),
            id: format!("news-{}-{}-{}", self.sim, self.kind, self.event),
            severity: Severity::Info,
            subject: subject_of(&format!("SimFuse news: {name} {happened}")),
            email: lines.join("\n"),
            sms: None,
            fleet: self.fleet,
            detector: None,
            action: "news".to_owned(),
        }
    }
}

/// Of many news of one SIM and kind the latest, which counts the others.
#[must_use]
pub fn latest_of_each(news: Vec<News>) -> Vec<News> {
    let mut latest: Vec<News> = Vec::new();
    for next in news {
        let same = |one: &&mut News| one.sim == next.sim && one.kind == next.kind;
        match latest.iter_mut().find(same) {
            Some(known) => {
                let more = known.more.saturating_add(next.more).saturating_add(1);
                if known.at <= next.at {
                    *known = next;
                }
                known.more = more;
            }
            None => latest.push(next),
        }
    }
    latest
}

/// Whose news are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One SIM's, of one kind.
    Sim(SimSid, NewsKind),
    /// All, in an hour of UTC.
    Account(Hour),
}

/// What was told within a scope.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Told {
    /// When something was last told.
    pub last_at: Option<Timestamp>,
    /// The alert's id of that, since it may be delivered again.
    pub last_id: Option<String>,
    /// How many were told in this scope.
    pub told: u32,
    /// How many came too soon, or were too many, and are not counted in any news yet.
    pub suppressed: u32,
}

impl Told {
    /// One SIM's next news: the scope after it, and how many the news has to count; `Err` when it
    /// comes too soon and is only counted; `None` when it was told before.
    #[must_use]
    pub fn next(&self, id: &str, more: u32, now: Timestamp) -> Option<Result<(Self, u32), Self>> {
        if self.last_id.as_deref() == Some(id) {
            return None;
        }
        if self.last_at.is_some_and(|last| now.duration_since(last) < EVERY) {
            let suppressed = self.suppressed.saturating_add(more).saturating_add(1);
            return Some(Err(Self { suppressed, ..self.clone() }));
        }
        let after = Self {
            last_at: Some(now),
            last_id: Some(id.to_owned()),
            told: self.told.saturating_add(1),
            suppressed: 0,
        };
        Some(Ok((after, self.suppressed)))
    }

    /// The account's next news: the scope after it; `Err` when the hour is full.
    ///
    /// # Errors
    /// The scope with one more that was suppressed.
    pub fn next_of_all(&self, now: Timestamp) -> Result<Self, Self> {
        if self.told >= HOUR_MAX {
            return Err(Self { suppressed: self.suppressed.saturating_add(1), ..self.clone() });
        }
        Ok(Self { last_at: Some(now), told: self.told.saturating_add(1), ..self.clone() })
    }
}

/// The one line about news that an hour had no room for.
#[must_use]
pub fn suppressed_alert(hour: Hour, suppressed: u32) -> Alert {
    let text = format!("{suppressed} more news suppressed in {hour}");
    Alert {
        escalated: false,
        stack: None,
        tells: Vec::new(),
        id: format!("news-suppressed-{hour}"),
        severity: Severity::Info,
        subject: subject_of(&format!("SimFuse news: {text}")),
        email: format!(
            "{text}: an hour has room for {HOUR_MAX}.\n\
             If this happens often, let [notify] watch fewer SIMs or fewer kinds of events."
        ),
        sms: None,
        fleet: None,
        detector: None,
        action: "news".to_owned(),
    }
}

#[cfg(test)]
mod tests;
