//! A rightly signed body: decoded, grouped by SIM, folded, judged and stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use simfuse_domain::detector::{self, Detector};
use simfuse_domain::event::{Event, EventKind};
use simfuse_domain::evidence::Cohort;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::news::News;
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Beat, DeadLetter, DeadLetters, Heartbeat, NewsFeed, Policies, States, StoredState, Usages,
    Written,
};
use simfuse_domain::time::AHEAD_MAX;
use simfuse_domain::usage::SimUsage;
use simfuse_supersim::envelope::{self, Decoded, Ignored};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Chain, WebhookError};
use crate::sim::{self, Assessed, Look};

/// Events handled at a time, so that memory does not grow with the body.
const EVENTS_PER_CHUNK_MAX: usize = 1_000;

/// SIMs written at the same time: enough to hide the table's latency, few enough for one connection
/// pool.
const WRITES_AT_ONCE: usize = 16;

/// A state that others keep changing is tried this often, then the sender sends it again.
const WRITE_ATTEMPTS_MAX: u32 = 5;

/// Bad elements of one body that are set aside one by one; beyond, the body is set aside as a whole.
/// More than the longest body holds events of the usual length.
const DEAD_LETTERS_MAX: usize = 5_000;

/// A policy, and what a fleet's SIMs do, is read again after this long.
const READ_MAX_AGE: SignedDuration = SignedDuration::from_secs(30);

/// The heartbeat is sampled: one write for all events of this long.
const HEARTBEAT_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// What a fleet's SIMs do holds up the answer for at most this long a fleet …
const FLEET_WITHIN: Duration = Duration::from_millis(300);

/// … and where it could not be read, it is asked for again after this.
const FLEET_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// News of one body that are left for the kill-switch: more than it tells in an hour.
const NEWS_MAX: usize = 100;

/// News hold up the answer to the provider, who waits 5 s, for at most this long …
const NEWS_WITHIN: Duration = Duration::from_millis(500);

/// … and not at all when storing the events took so long that the answer is nearly due.
const NEWS_NOT_AFTER: Duration = Duration::from_secs(3);

/// Which time counts as the receipt of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// The time at which it is received.
    Live,
    /// The event's own time: history that is read again is not late, and not from the future.
    EventTime,
}

/// What became of a body's elements; each is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Events that are part of a SIM's state, duplicates included.
    pub applied: usize,
    /// Events from before the horizon.
    pub late: usize,
    /// Set aside for a human.
    pub dead_lettered: usize,
    /// Of an unknown type, or a test of the sink.
    pub ignored: usize,
}

/// The intake: made once, lent to each call.
pub struct Intake<T> {
    table: T,
    receipt: Receipt,
    detectors: &'static [Detector],
    policy: Mutex<Option<(Arc<Policy>, Timestamp)>>,
    fleets: Mutex<BTreeMap<FleetSid, Held>>,
    pulse: Mutex<Pulse>,
}

/// A body's elements, sorted out.
#[derive(Default)]
struct Sorted {
    events: Vec<(usize, Event)>,
    dead: Vec<DeadLetter>,
    /// Bad elements, of which each is in `dead` unless they are too many.
    dead_elements: usize,
    ignored: usize,
    kinds: Kinds,
}

/// What a fleet's SIMs do, where that is known, and how long it is not read again.
type Held = (Option<Arc<Cohort>>, Timestamp);

/// A body, and the texts of its elements, which are looked for when one is needed.
struct Body<'a> {
    bytes: &'a [u8],
    elements: OnceLock<Vec<&'a RawValue>>,
}

/// What all SIMs of a body share.
struct Batch<'a> {
    body: &'a Body<'a>,
    policy: &'a Policy,
    received_at: Timestamp,
    /// News of what is stored already.
    news: &'a Mutex<Vec<News>>,
}

impl<T: States + Usages + DeadLetters + Heartbeat + Policies + NewsFeed> Intake<T> {
    /// An intake into this table, with every detector.
    pub fn new(table: T, receipt: Receipt) -> Self {
        Self {
            table,
            receipt,
            detectors: detector::ALL,
            policy: Mutex::new(None),
            fleets: Mutex::default(),
            pulse: Mutex::default(),
        }
    }

    /// The same intake with other detectors.
    #[must_use]
    pub const fn with_detectors(mut self, detectors: &'static [Detector]) -> Self {
        self.detectors = detectors;
        self
    }

    /// Reads the policy beforehand.
    ///
    /// # Errors
    /// [`WebhookError::Table`].
    pub async fn warm(&self, now: Timestamp) -> Result<(), WebhookError> {
        self.policy(now).await.map(drop)
    }

    /// Takes a body in: when this returns, every element is stored, set aside, or of no use.
    ///
    /// # Errors
    /// [`WebhookError`] when one is not: the sender has to send the body again, and what was stored
    /// already is then a duplicate.
    pub async fn take(&self, body: &[u8], received_at: Timestamp) -> Result<Tally, WebhookError> {
        let began = Instant::now();
        let body = &Body { bytes: body, elements: OnceLock::new() };
        let sorted = self.sort(body, received_at);
        let mut tally = Tally {
            dead_lettered: sorted.dead_elements,
            ignored: sorted.ignored,
            ..Tally::default()
        };
        self.set_aside(&sorted.dead).await?;
        let news = Mutex::new(Vec::new());
        if !sorted.events.is_empty() {
            let policy = &*self.policy(received_at).await?;
            let batch = Batch { body, policy, received_at, news: &news };
            for chunk in sorted.events.chunks(EVENTS_PER_CHUNK_MAX) {
                let stored = self.store(chunk, &batch).await?;
                tally.applied += stored.applied;
                tally.late += stored.late;
                tally.dead_lettered += stored.dead_lettered;
            }
        }
        self.beat(received_at, sorted.kinds).await?;
        self.leave_news(news.into_inner(), received_at, began).await;
        tracing::info!(
            events.applied = tally.applied,
            events.late = tally.late,
            events.dead_lettered = tally.dead_lettered,
            events.ignored = tally.ignored,
            "taken in"
        );
        Ok(tally)
    }

    fn sort(&self, body: &Body<'_>, received_at: Timestamp) -> Sorted {
        let mut sorted = Sorted::default();
        let mut place = 0;
        envelope::decode(body.bytes, |decoded| {
            match decoded {
                Decoded::Event(event) => {
                    if self.receipt == Receipt::Live && is_ahead(&event, received_at) {
                        let reason = "stamped more than 15 minutes after its receipt";
                        sorted.bury(body.element(place), reason, received_at);
                    } else {
                        sorted.kinds = sorted.kinds.with(Kinds::of(&event));
                        sorted.events.push((place, event));
                    }
                }
                Decoded::Ignored(ignored) => {
                    sorted.ignored += 1;
                    sorted.kinds.tested |= ignored == Ignored::Test;
                }
                Decoded::DeadLetter { raw, reason } => {
                    sorted.bury(raw, &reason.to_string(), received_at);
                }
            }
            place += 1;
        });
        if sorted.dead_elements > sorted.dead.len() {
            let reason = "more bad elements than are set aside one by one";
            sorted.dead.push(dead_letter(body.bytes, reason, received_at));
        }
        sorted
    }

    async fn store(
        &self,
        chunk: &[(usize, Event)],
        batch: &Batch<'_>,
    ) -> Result<Tally, WebhookError> {
        let mut by_sim: BTreeMap<SimSid, Vec<&(usize, Event)>> = BTreeMap::new();
        for element in chunk {
            by_sim.entry(element.1.sim).or_default().push(element);
        }
        let sims: Vec<SimSid> = by_sim.keys().copied().collect();
        let states = self.table.read_states(&sims);
        let read = tokio::try_join!(states, self.table.read_usages(&sims));
        let (mut stored, usages) = read.map_err(WebhookError::Table)?;
        let settled = by_sim.iter().map(|(sim, elements)| {
            let usage = usages.get(sim);
            self.settle(*sim, (stored.remove(sim), usage), elements, batch)
        });
        let settled: Vec<_> = settled.collect();
        let tallies = stream::iter(settled).buffer_unordered(WRITES_AT_ONCE);
        tallies
            .try_fold(Tally::default(), |sum, tally| async move {
                Ok(Tally {
                    applied: sum.applied + tally.applied,
                    late: sum.late + tally.late,
                    dead_lettered: sum.dead_lettered + tally.dead_lettered,
                    ignored: sum.ignored,
                })
            })
            .await
    }

    /// Folds, judges and writes one SIM, again when another writer came first.
    async fn settle(
        &self,
        sim: SimSid,
        (mut stored, usage): (Option<StoredState>, Option<&SimUsage>),
        elements: &[&(usize, Event)],
        batch: &Batch<'_>,
    ) -> Result<Tally, WebhookError> {
        let events: Vec<&Event> = elements.iter().map(|(_, event)| event).collect();
        let mut known = BTreeSet::new();
        for _attempt in 0..WRITE_ATTEMPTS_MAX {
            let (policy, detectors) = (batch.policy, self.detectors);
            let folded = sim::fold(sim, stored.take(), &events, policy, batch.received_at);
            let Ok(folded) = folded else { return self.give_up_on(sim, elements, batch).await };
            let cohort = match folded.asks_fleet(usage) {
                Some(fleet) => self.cohort(fleet, batch.received_at).await,
                None => None,
            };
            let cohort = cohort.as_deref();
            let look = Look { policy, detectors, usage, cohort, known: &known };
            let Assessed { applied, late, write, news, kept: _ } = folded.look(look);
            let tally = Tally { applied, late, ..Tally::default() };
            let Some(write) = write else { return Ok(tally) };
            match self.table.write_state(&write).await.map_err(WebhookError::Table)? {
                Written::Done => {
                    batch.news.lock().await.extend(news);
                    return Ok(tally);
                }
                Written::AlreadyFound(keys) => known.extend(keys),
                Written::Conflict => {}
            }
            let read = self.table.read_states(&[sim]).await;
            stored = read.map_err(WebhookError::Table)?.remove(&sim);
        }
        Err(WebhookError::Contention { sim: sim.to_string(), attempts: WRITE_ATTEMPTS_MAX })
    }

    /// Leaves news for the kill-switch to tell. All is stored by now, so nothing that happens here
    /// may fail or delay the answer by more than a moment.
    async fn leave_news(&self, mut news: Vec<News>, received_at: Timestamp, began: Instant) {
        if news.is_empty() {
            return;
        }
        if began.elapsed() > NEWS_NOT_AFTER {
            tracing::warn!(news.lost = news.len(), "news lost: the answer is nearly due");
            return;
        }
        let all = news.len();
        news.truncate(NEWS_MAX);
        let left = AtomicUsize::new(0);
        let inserts = stream::iter(&news).for_each_concurrent(WRITES_AT_ONCE, |news| async {
            match self.table.insert_news(news, received_at).await {
                Ok(()) => drop(left.fetch_add(1, Ordering::Relaxed)),
                Err(error) => tracing::warn!(error = %Chain(&error), "news not left"),
            }
        });
        let in_time = tokio::time::timeout(NEWS_WITHIN, inserts).await.is_ok();
        let lost = all.saturating_sub(left.into_inner());
        if lost > 0 {
            tracing::warn!(news.lost = lost, news.in_time = in_time, "news lost");
        }
    }

    /// The SIM's fold panicked: its events are set aside, and a human is told.
    async fn give_up_on(
        &self,
        sim: SimSid,
        elements: &[&(usize, Event)],
        batch: &Batch<'_>,
    ) -> Result<Tally, WebhookError> {
        tracing::error!(sim.sid = %sim, "folding the events of a SIM panicked");
        let received_at = batch.received_at;
        let letters: Vec<DeadLetter> = elements
            .iter()
            .map(|(place, _)| batch.body.element(*place))
            .map(|raw| dead_letter(raw, "folding the SIM's events panicked", received_at))
            .collect();
        self.set_aside(&letters).await?;
        let what = "its events could not be folded and were set aside".to_owned();
        let finding = sim::degraded("fold", what, received_at);
        let inserted = self.table.insert_finding(sim, &finding, received_at).await;
        inserted.map_err(WebhookError::Table)?;
        Ok(Tally { dead_lettered: letters.len(), ..Tally::default() })
    }

    async fn set_aside(&self, letters: &[DeadLetter]) -> Result<(), WebhookError> {
        let puts = letters.iter().map(|letter| self.table.put_dead_letter(letter));
        let puts: Vec<_> = puts.collect();
        let puts = stream::iter(puts).buffer_unordered(WRITES_AT_ONCE);
        puts.try_collect::<()>().await.map_err(WebhookError::Table)
    }

    async fn policy(&self, now: Timestamp) -> Result<Arc<Policy>, WebhookError> {
        let mut held = self.policy.lock().await;
        if let Some((policy, read_at)) = held.as_ref()
            && is_fresh(*read_at, now)
        {
            return Ok(Arc::clone(policy));
        }
        let policy = self.table.current_policy().await.map_err(WebhookError::Table)?;
        let policy = Arc::new(policy);
        *held = Some((Arc::clone(&policy), now));
        Ok(policy)
    }

    /// What the SIMs of a fleet do. Where that cannot be read it is unknown: the events are stored all
    /// the same, and what they show is looked at again with the SIM's next one.
    async fn cohort(&self, fleet: FleetSid, now: Timestamp) -> Option<Arc<Cohort>> {
        let mut held = self.fleets.lock().await;
        held.retain(|_, (_, read_until)| now < *read_until);
        if let Some((cohort, _)) = held.get(&fleet) {
            return cohort.clone();
        }
        let read = tokio::time::timeout(FLEET_WITHIN, self.table.read_cohort(fleet)).await;
        let unread = |error: String| {
            tracing::error!(fleet.sid = %fleet, error = %error, "what its SIMs do is not known");
            (None, FLEET_AGAIN_AFTER)
        };
        let (cohort, age) = match read {
            Ok(Ok(cohort)) => (cohort.map(Arc::new), READ_MAX_AGE),
            Ok(Err(error)) => unread(Chain(&error).to_string()),
            Err(_elapsed) => unread("no answer in time".to_owned()),
        };
        held.insert(fleet, (cohort.clone(), now.saturating_add(age).unwrap_or(now)));
        cohort
    }

    /// Records that events arrive: at most once a minute, and each test of the sink.
    async fn beat(&self, received_at: Timestamp, kinds: Kinds) -> Result<(), WebhookError> {
        let mut pulse = self.pulse.lock().await;
        // What came between two writes is told with the second.
        pulse.untold = pulse.untold.with(kinds);
        let fresh =
            pulse.last.is_some_and(|last| received_at.duration_since(last).abs() < HEARTBEAT_EVERY);
        if fresh && !kinds.tested {
            return Ok(());
        }
        let when = |seen: bool| seen.then_some(received_at);
        let Kinds { tested, updated, long_ended } = pulse.untold;
        let beat = Beat {
            received_at,
            tested_at: when(tested),
            updated_at: when(updated),
            long_ended_at: when(long_ended),
        };
        self.table.beat(beat).await.map_err(WebhookError::Table)?;
        *pulse = Pulse { last: Some(received_at), untold: Kinds::default() };
        Ok(())
    }
}

fn is_fresh(read_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(read_at).abs() < READ_MAX_AGE
}

/// The sign that events arrive, as it was last written.
#[derive(Debug, Default)]
struct Pulse {
    last: Option<Timestamp>,
    /// What came since.
    untold: Kinds,
}

/// Kinds of events that tell whether the subscription has them.
#[derive(Debug, Clone, Copy, Default)]
struct Kinds {
    tested: bool,
    updated: bool,
    long_ended: bool,
}

impl Kinds {
    fn of(event: &Event) -> Self {
        let session = event.session.as_ref();
        let opened = session.and_then(|session| session.start);
        let lasted = opened.map(|opened| event.at.duration_since(opened));
        Self {
            tested: false,
            updated: event.kind == EventKind::SessionUpdated,
            long_ended: event.kind == EventKind::SessionEnded
                && lasted.is_some_and(|lasted| lasted > Beat::LONG_SESSION),
        }
    }

    const fn with(self, other: Self) -> Self {
        Self {
            tested: self.tested || other.tested,
            updated: self.updated || other.updated,
            long_ended: self.long_ended || other.long_ended,
        }
    }
}

fn is_ahead(event: &Event, received_at: Timestamp) -> bool {
    let latest = received_at.saturating_add(AHEAD_MAX).unwrap_or(Timestamp::MAX);
    event.at > latest || event.ended_at() > latest
}

impl Sorted {
    fn bury(&mut self, raw: &[u8], reason: &str, received_at: Timestamp) {
        self.dead_elements += 1;
        if self.dead.len() < DEAD_LETTERS_MAX {
            self.dead.push(dead_letter(raw, reason, received_at));
        }
    }
}

impl<'a> Body<'a> {
    /// The text of one element of the body, which is an array of them or a single one.
    fn element(&self, place: usize) -> &'a [u8] {
        let elements = || serde_json::from_slice(self.bytes).unwrap_or_default();
        let element = self.elements.get_or_init(elements).get(place);
        element.map_or(self.bytes, |element| element.get().as_bytes())
    }
}

fn dead_letter(raw: &[u8], reason: &str, received_at: Timestamp) -> DeadLetter {
    DeadLetter {
        bytes: raw.get(..DeadLetter::BYTES_MAX).unwrap_or(raw).to_vec(),
        length: raw.len(),
        sha256: hex::encode(Sha256::digest(raw)),
        reason: reason.to_owned(),
        received_at,
    }
}
