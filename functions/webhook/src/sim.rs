//! What a batch's events mean for one SIM: fold, detect, and what is to be written.
//!
//! In two steps, between which the caller reads what the SIM's fleet does, where that is needed.
//!
//! Pure, and guarded against itself: a panic in the fold or in one detector costs that SIM's events
//! or that detector's findings, and nothing else.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use simfuse_domain::detector::{Control, Detector, Snapshot, asks_fleet, assess_all};
use simfuse_domain::event::Event;
use simfuse_domain::evidence::Cohort;
use simfuse_domain::finding::{DetectorId, Evidence, Finding};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::news::{self, News, NewsKind};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{StateWrite, StoredState};
use simfuse_domain::state::{Folded, SimState};
use simfuse_domain::usage::SimUsage;

/// Findings of one SIM that are looked at: a transaction holds 100 items. The detectors come in the
/// order of what their findings may lead to, and a SIM with this many has long been judged.
const FINDINGS_MAX: usize = 90;

/// A SIM with its events folded in, before anyone looked at it.
#[derive(Debug)]
pub struct Unjudged {
    state: Box<SimState>,
    read_version: Option<u64>,
    known: BTreeSet<String>,
    applied: usize,
    folds: Folds,
    received_at: Timestamp,
}

/// What came of a SIM's events.
#[derive(Debug)]
pub struct Assessed {
    /// Events that are part of the state.
    pub applied: usize,
    /// Events from before the horizon.
    pub late: usize,
    /// What to write; `None` when the events brought nothing new.
    pub write: Option<StateWrite>,
    /// What was stored and stays, when nothing is to be written; with the keys that are known.
    pub kept: Option<StoredState>,
    /// What humans asked to be told of, at most one of each kind.
    pub news: Vec<News>,
}

/// With what a SIM is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The detectors.
    pub detectors: &'a [Detector],
    /// What usage records say of the SIM.
    pub usage: Option<&'a SimUsage>,
    /// Its fleet, where it [asks](Unjudged::asks_fleet) for it.
    pub cohort: Option<&'a Cohort>,
    /// Keys of findings that the table turned out to have already.
    pub known: &'a BTreeSet<String>,
}

/// Folding a SIM's events panicked: they have to be set aside.
#[derive(Debug)]
pub struct FoldPanicked;

/// Folds a SIM's events into its state.
///
/// # Errors
/// [`FoldPanicked`]; nothing is changed then.
pub fn fold(
    sim: SimSid,
    stored: Option<StoredState>,
    events: &[&Event],
    policy: &Policy,
    received_at: Timestamp,
) -> Result<Unjudged, FoldPanicked> {
    let (read_version, before, known) = match stored {
        Some(StoredState { state, version, found }) => (Some(version), Some(state), found),
        None => (None, None, BTreeSet::new()),
    };
    let wanted = wanted_news(sim, before.as_deref(), events, policy);
    let mut state = before.unwrap_or_else(|| Box::new(SimState::new(sim)));
    let folding = AssertUnwindSafe(|| fold_all(&mut state, events, &wanted, received_at));
    let folds = catch_unwind(folding).map_err(|_panic| FoldPanicked)?;
    let applied = events.len().saturating_sub(folds.late);
    Ok(Unjudged { state, read_version, known, applied, folds, received_at })
}

impl Unjudged {
    /// The fleet that is to be asked before the SIM is looked at: of nearly every SIM none.
    #[must_use]
    pub fn asks_fleet(&self, usage: Option<&SimUsage>) -> Option<FleetSid> {
        asks_fleet(Some(&self.state), usage)
    }

    /// Looks at the SIM.
    #[must_use]
    pub fn look(self, look: Look<'_>) -> Assessed {
        let Self { state, read_version, mut known, applied, folds, received_at } = self;
        let Folds { changed, late, news } = folds;
        known.extend(look.known.iter().cloned());
        let (mut keys, mut findings) = (BTreeSet::new(), Vec::new());
        for finding in detect(&state, look).into_iter().take(FINDINGS_MAX) {
            let key = finding.key();
            if !known.contains(&key) {
                findings.push(finding);
            }
            // What is no longer found needs no remembering: should it come back, the table knows it.
            keys.insert(key);
        }
        if findings.is_empty() && !changed {
            let stored = |version| StoredState { state, version, found: known };
            let kept = read_version.map(stored);
            return Assessed { applied, late, write: None, kept, news: Vec::new() };
        }
        let write = StateWrite { state, read_version, found: keys, findings, received_at };
        let (write, news) = (Some(write), news::latest_of_each(news));
        Assessed { applied, late, write, kept: None, news }
    }
}

/// What came of folding a SIM's events.
#[derive(Debug)]
struct Folds {
    changed: bool,
    late: usize,
    news: Vec<News>,
}

fn fold_all(
    state: &mut SimState,
    events: &[&Event],
    wanted: &[NewsKind],
    received_at: Timestamp,
) -> Folds {
    let mut folds = Folds { changed: false, late: 0, news: Vec::new() };
    for event in events {
        let before = (!wanted.is_empty()).then(|| state.clone());
        match state.fold(event) {
            Folded::Applied => {
                folds.changed = true;
                if let Some(before) = before {
                    folds.news.extend(news_of(&before, event, state, wanted, received_at));
                }
            }
            Folded::Known => {}
            Folded::Late => folds.late += 1,
        }
    }
    folds
}

/// Which news policy asks for of this SIM: nearly always none.
fn wanted_news(
    sim: SimSid,
    before: Option<&SimState>,
    events: &[&Event],
    policy: &Policy,
) -> Vec<NewsKind> {
    let fleet = before.and_then(SimState::fleet);
    let fleet = events.iter().rev().find_map(|event| event.fleet).or(fleet);
    policy.rules_for(fleet, sim).notify.clone()
}

/// The wanted news in one event. A panic costs the news and nothing else.
fn news_of(
    before: &SimState,
    event: &Event,
    after: &SimState,
    wanted: &[NewsKind],
    received_at: Timestamp,
) -> Vec<News> {
    if received_at.duration_since(event.at) > news::AGE_MAX {
        return Vec::new();
    }
    let news = catch_unwind(AssertUnwindSafe(|| news::of_event(before, event, after)));
    let Ok(mut news) = news else {
        tracing::error!(sim.sid = %event.sim, "deriving the news of a SIM panicked");
        return Vec::new();
    };
    news.retain(|news| wanted.contains(&news.kind));
    news
}

fn detect(state: &SimState, look: Look<'_>) -> Vec<Finding> {
    let Look { policy, detectors, usage, cohort, known: _ } = look;
    let rules = policy.rules_for(state.fleet(), state.sim);
    let control = Control::default();
    let snapshot = Snapshot::of(state, usage, cohort, &rules, control);
    let (found, failed) = assess_all(detectors, &snapshot);
    let failed = failed.into_iter().map(|detector| {
        let what = format!("the detector {detector} failed on this SIM");
        degraded(&detector.to_string(), what, state.now())
    });
    // First, so that they are among those that are looked at.
    failed.chain(found).collect()
}

/// The finding that SimFuse itself failed on a SIM.
#[must_use]
pub fn degraded(about: &str, what: String, at: Timestamp) -> Finding {
    Finding {
        detector: DetectorId::Degraded,
        about: about.to_owned(),
        at,
        evidence: Evidence::Fault { what },
    }
}
