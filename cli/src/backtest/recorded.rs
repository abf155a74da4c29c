//! History that was recorded, in files or in the table of a stack: events, usage records, what is
//! stored of a SIM, and labels; each SIM's in the order of time.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use csv::{Reader, StringRecord};
use jiff::Timestamp;
use serde::Serialize;
use simfuse_backtest::stream::by_partition;
use simfuse_backtest::{Course, Peers, Trial, shown};
use simfuse_domain::event::Event;
use simfuse_domain::finding::Finding;
use simfuse_domain::id::{FleetSid, SessionSid, SimSid};
use simfuse_domain::incident::Stage;
use simfuse_domain::port::{Case, Sim, SimStatus, TargetStatus, UsageRecord};
use simfuse_domain::time::Hour;
use simfuse_supersim::client::usage_record;
use simfuse_supersim::envelope::{self, Decoded};
use simfuse_testkit::population::behaviour::Behaviour;
use simfuse_testkit::population::rogue::Rogue;

use super::{Group, Outcome, Tried};
use crate::error::CliError;
use crate::progress::Progress;
use crate::replay::input::{self, Element};

/// Bad lines that are named; the others are counted.
const BAD_NAMED_MAX: usize = 5;

/// SIMs of no fleet that a thread takes at a time.
const SIMS_AT_ONCE: usize = 64;

/// What was in the files.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) usage_records: u64,
    /// Tests of the sink, and events of types that SimFuse has no use for.
    pub(super) ignored: u64,
    pub(super) bad: u64,
    /// The first of them: where, and what is wrong.
    pub(super) bad_first: Vec<String>,
}

impl Counts {
    /// Whether nothing was read that can be judged.
    pub(super) const fn is_nothing(&self) -> bool {
        self.events == 0 && self.usage_records == 0
    }

    fn bad(&mut self, place: impl FnOnce() -> String) {
        self.bad = self.bad.saturating_add(1);
        if self.bad_first.len() < BAD_NAMED_MAX {
            self.bad_first.push(place());
        }
    }
}

/// What becomes known of a SIM.
#[derive(Debug)]
enum Item {
    Event(Box<Event>),
    Usage(UsageRecord),
}

impl Item {
    /// The fleet that it names.
    fn fleet(&self) -> Option<FleetSid> {
        match self {
            Self::Event(event) => event.fleet,
            Self::Usage(record) => record.fleet,
        }
    }

    /// When it is known: an event at its time, an hour's usage after the hour.
    fn at(&self) -> Timestamp {
        match self {
            Self::Event(event) => event.at,
            Self::Usage(record) => record.to,
        }
    }
}

/// What a SIM's history holds, in the order of time.
enum Known<'a> {
    Item(&'a Item),
    /// What is stored of the SIM shows this.
    Found(Box<Finding>),
}

/// History as it was read.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    items: BTreeMap<SimSid, Vec<Item>>,
    /// What is stored of SIMs.
    cases: BTreeMap<SimSid, Case>,
    inventory: BTreeMap<SimSid, Sim>,
    labels: Option<BTreeMap<SimSid, Group>>,
    pub(super) counts: Counts,
    /// Files that could not be read to their end.
    pub(super) cut_off: Vec<String>,
    /// Nothing that is stored counts from before this time.
    since: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl Recorded {
    /// Nothing but what is known of SIMs.
    pub(super) fn labelled(labels: Option<&Path>) -> Result<Self, CliError> {
        let mut recorded = Self::default();
        if let Some(path) = labels {
            recorded.add_labels(&path.display().to_string(), &input::read(path)?)?;
        }
        Ok(recorded)
    }

    /// Reads files.
    pub(super) fn with_files(mut self, paths: &[PathBuf]) -> Result<Self, CliError> {
        for path in paths {
            self.add(&path.display().to_string(), &input::read(path)?);
        }
        self.end = self.items.values().flatten().map(Item::at).max();
        Ok(self.in_order())
    }

    /// Adds what the table of a stack keeps since a time, read at another.
    pub(super) fn with_stored(
        mut self,
        records: Vec<UsageRecord>,
        cases: Vec<Case>,
        inventory: BTreeMap<SimSid, Sim>,
        (since, now): (Timestamp, Timestamp),
    ) -> Self {
        (self.since, self.end, self.inventory) = (Some(since), Some(now), inventory);
        for record in records {
            let Some(sim) = record.sim else { continue };
            self.items.entry(sim).or_default().push(Item::Usage(record));
        }
        for case in cases {
            self.items.entry(case.sim).or_default();
            self.cases.insert(case.sim, case);
        }
        self.in_order()
    }

    fn in_order(mut self) -> Self {
        for items in self.items.values_mut() {
            items.sort_by_key(Item::at);
        }
        self
    }

    /// Labels of SIMs that are not in this history: of another one, or mistyped.
    pub(super) fn labels_unused(&self) -> usize {
        let labels = self.labels.iter().flat_map(BTreeMap::keys);
        labels.filter(|sim| !self.items.contains_key(sim)).count()
    }

    fn add(&mut self, name: &str, text: &[u8]) {
        let found = input::split(text);
        if let Some(error) = found.cut_off {
            self.cut_off.push(format!("{name}: not read to its end: {error}"));
        }
        for element in found.elements {
            let (part, known) = match element {
                Element::Value(value) => (value.as_bytes(), item(value.as_bytes())),
                Element::Text(text) => (text, Read::Bad("not JSON".to_owned())),
            };
            match known {
                Read::Item(sim, item) => {
                    let count = match &item {
                        Item::Event(_) => &mut self.counts.events,
                        Item::Usage(_) => &mut self.counts.usage_records,
                    };
                    *count = count.saturating_add(1);
                    self.items.entry(sim).or_default().push(item);
                }
                Read::Ignored => self.counts.ignored = self.counts.ignored.saturating_add(1),
                Read::Bad(why) => self.counts.bad(|| {
                    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
                    let before = text.iter().take(offset).filter(|byte| **byte == b'\n').count();
                    format!("{name}, line {}: {why}", before + 1)
                }),
            }
        }
    }

    fn add_labels(&mut self, name: &str, text: &[u8]) -> Result<(), CliError> {
        let unread = |error: csv::Error| CliError::Usage(format!("{name}: {error}"));
        let mut reader = Reader::from_reader(text);
        let header = reader.headers().map_err(unread)?.clone();
        let place = |column: &str| {
            header.iter().position(|name| name.trim() == column).ok_or_else(|| {
                CliError::Usage(format!("{name}: no column {column}; needed are sim, label, from"))
            })
        };
        let (sim, label, from) = (place("sim")?, place("label")?, place("from")?);
        // A thief whose label is not understood would count as a SIM that was cut for nothing.
        let bad = |line: u64, why: &dyn fmt::Display| {
            CliError::Usage(format!("{name}, line {line}: {why}"))
        };
        let mut labels = BTreeMap::new();
        let mut row = StringRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut row) {
                Ok(false) => break,
                Ok(true) => {
                    let column = |place: usize| row.get(place).unwrap_or_default().trim();
                    let row = labelled(column(sim), column(label), column(from));
                    let (sim, group) = row.map_err(|why| bad(line, &why))?;
                    note_label(&mut labels, sim, group);
                }
                Err(error) => return Err(bad(line, &error)),
            }
        }
        self.labels = Some(labels);
        Ok(())
    }

    /// Takes every SIM through its history, each fleet together.
    pub(super) fn tried(&self, trial: Trial<'_>, threads: NonZeroUsize) -> Outcome {
        let groups = self.groups();
        let length = u64::try_from(groups.len()).unwrap_or(u64::MAX);
        let progress = Progress::of(length, "fleets");
        let parts =
            by_partition(u32::try_from(groups.len()).unwrap_or(u32::MAX), threads, |index| {
                let group = usize::try_from(index).ok().and_then(|index| groups.get(index));
                let tried = self.try_together(trial, group.map_or(&[], Vec::as_slice));
                progress.advance();
                tried
            });
        progress.finish();
        let mut over = Outcome { sims: Vec::new(), pages: Vec::new() };
        for Outcome { sims, pages } in parts {
            over.sims.extend(sims);
            over.pages.extend(pages);
        }
        over.sims.sort_by_key(|tried| tried.course.sim());
        over
    }

    /// The SIMs that are judged beside one another: those of the fleet that is named first of each;
    /// those of no fleet are nobody's peers.
    fn groups(&self) -> Vec<Vec<(SimSid, &[Item])>> {
        let mut of_fleets: BTreeMap<FleetSid, Vec<(SimSid, &[Item])>> = BTreeMap::new();
        let mut of_none: Vec<(SimSid, &[Item])> = Vec::new();
        for (sim, items) in &self.items {
            let of_events = self.cases.get(sim).and_then(|case| case.state.as_ref()?.fleet());
            match items.iter().find_map(Item::fleet).or(of_events) {
                Some(fleet) => of_fleets.entry(fleet).or_default().push((*sim, items)),
                None => of_none.push((*sim, items)),
            }
        }
        let of_none = of_none.chunks(SIMS_AT_ONCE).map(<[_]>::to_vec);
        of_fleets.into_values().chain(of_none).collect()
    }

    fn try_together(&self, trial: Trial<'_>, sims: &[(SimSid, &[Item])]) -> Outcome {
        let mut trying: Vec<Trying> =
            sims.iter().map(|(sim, _)| Trying::new(*sim, self.group_of(*sim))).collect();
        let mut items: Vec<(Timestamp, usize, Known<'_>)> = Vec::new();
        for ((place, (sid, known)), sim) in sims.iter().enumerate().zip(&mut trying) {
            items.extend(known.iter().map(|item| (item.at(), place, Known::Item(item))));
            if let Some(case) = self.cases.get(sid) {
                sim.course.know(case, self.inventory.get(sid));
                let found = shown(trial.policy, case, self.end.unwrap_or_default()).into_iter();
                let kept = found.filter(|found| Some(found.at) >= self.since);
                items.extend(kept.map(|found| (found.at, place, Known::Found(Box::new(found)))));
            }
        }
        items.sort_by_key(|(at, place, _)| (*at, *place));
        let (mut peers, mut has_begun) = (Peers::default(), false);
        for (at, place, known) in items {
            // Hours are counted from the first record on, however old what is stored is.
            has_begun |= matches!(known, Known::Item(_));
            if has_begun {
                close_due(&mut trying, trial, at, &mut peers);
            }
            let Some(sim) = trying.get_mut(place) else { continue };
            match known {
                Known::Item(item) => sim.take(trial, item, &peers),
                Known::Found(finding) => {
                    sim.course.find(trial, *finding);
                    sim.note_bytes(at);
                }
            }
        }
        let end = self.end.unwrap_or(Timestamp::MIN);
        close_due(&mut trying, trial, end, &mut peers);
        let finish = |sim: Trying| {
            let sid = sim.course.sim();
            let now = self.cases.get(&sid).map(|case| now_of(case, self.inventory.get(&sid)));
            sim.finish(end, now)
        };
        let sims = trying.into_iter().map(finish).collect();
        Outcome { sims, pages: peers.pages().collect() }
    }

    fn group_of(&self, sim: SimSid) -> Group {
        let labels = self.labels.as_ref();
        labels.and_then(|labels| labels.get(&sim).copied()).unwrap_or(Group::Unlabelled)
    }
}

/// Closes the hours that are due by now, each for all SIMs before the next.
fn close_due(trying: &mut [Trying], trial: Trial<'_>, now: Timestamp, peers: &mut Peers) {
    while let Some(hour) = peers.due(now) {
        for sim in trying.iter_mut() {
            sim.course.close(trial, hour, peers);
            sim.note_bytes(now);
        }
        peers.merge(hour, trial.policy);
    }
}

/// A SIM on its way through history.
struct Trying {
    course: Course,
    group: Group,
    meter: Option<Meter>,
    fleet: Option<FleetSid>,
    rogue_bytes: Vec<Option<u64>>,
}

impl Trying {
    fn new(sim: SimSid, group: Group) -> Self {
        let meter = match group {
            Group::Rogue { from, .. } => {
                Some(Meter { from, sessions: BTreeMap::new(), hours: BTreeMap::new() })
            }
            Group::Benign | Group::Unlabelled => None,
        };
        Self { course: Course::new(sim), group, meter, fleet: None, rogue_bytes: Vec::new() }
    }

    fn take(&mut self, trial: Trial<'_>, item: &Item, peers: &Peers) {
        match item {
            Item::Event(event) => {
                self.fleet = event.fleet.or(self.fleet);
                if let Some(meter) = &mut self.meter {
                    meter.add(event);
                }
                self.course.event(trial, event, item.at(), peers);
            }
            Item::Usage(record) => {
                if let Some(meter) = &mut self.meter {
                    meter.add_record(record);
                }
                self.fleet = record.fleet.or(self.fleet);
                self.course.record(trial, record, item.at());
            }
        }
        self.note_bytes(item.at());
    }

    /// Notes the rogue's bytes up to now for each act that is new.
    fn note_bytes(&mut self, now: Timestamp) {
        let bytes = self.meter.as_ref().filter(|meter| meter.from <= now).map(Meter::bytes);
        self.rogue_bytes.resize(self.course.acts().len(), bytes);
    }

    fn finish(mut self, end: Timestamp, now: Option<&'static str>) -> Tried {
        self.course.finish(end);
        let fleet = self.fleet.or(self.course.fleet());
        let Self { course, group, rogue_bytes, .. } = self;
        let acts = course.acts().to_vec();
        Tried { course, acts, fleet, group, now, rogue_bytes }
    }
}

/// How a SIM is now, whatever would have been done to it.
fn now_of(case: &Case, inventory: Option<&Sim>) -> &'static str {
    let desired = &case.desired.0;
    let is_inactive = inventory.is_some_and(|sim| sim.status == SimStatus::Inactive);
    let stage = case.incident.as_ref().map(|(incident, _)| incident.stage);
    match stage {
        _ if desired.status == Some(TargetStatus::Inactive) || is_inactive => "inactive",
        _ if desired.quarantine.is_some() => "in quarantine",
        Some(Stage::Held(_)) => "active, and held",
        Some(_) => "active, with an open incident",
        None => "active",
    }
}

enum Read {
    Item(SimSid, Item),
    Ignored,
    Bad(String),
}

/// An element: an event, or else a usage record.
fn item(json: &[u8]) -> Read {
    if let Some(record) = usage_record(json) {
        return match (record.sim, record.hour()) {
            (Some(sim), Some(hour)) if record.to == hour.end() => {
                Read::Item(sim, Item::Usage(record))
            }
            (None, _) => Read::Bad("a usage record without sim_sid".to_owned()),
            _ => Read::Bad("a usage record of another time than an hour".to_owned()),
        };
    }
    let mut read = Read::Bad("neither an event nor a usage record".to_owned());
    envelope::decode(json, |decoded| {
        read = match decoded {
            Decoded::Event(event) => Read::Item(event.sim, Item::Event(Box::new(event))),
            Decoded::Ignored(_) => Read::Ignored,
            Decoded::DeadLetter { reason, .. } => Read::Bad(reason.to_string()),
        }
    });
    read
}

fn labelled(sim: &str, label: &str, from: &str) -> Result<(SimSid, Group), String> {
    let sim = sim.parse().map_err(|error| format!("sim {sim}: {error}"))?;
    let from: Timestamp = from.parse().map_err(|error| {
        format!("from {from}: {error}; needed is a time such as 2026-01-13T10:10:14Z")
    })?;
    let harmless = Behaviour::ALL.iter().map(|behaviour| behaviour.name());
    let name = Rogue::all().map(Rogue::name).chain(["rogue"]).find(|name| *name == label);
    match name {
        Some(name) => Ok((sim, Group::Rogue { name, from })),
        None if harmless.chain(["benign"]).any(|name| name == label) => Ok((sim, Group::Benign)),
        None => Err(format!(
            "label {label}: neither a rogue (R1 to R17, rogue) nor harmless (benign, or a behaviour \
             of docs/detection.md)"
        )),
    }
}

/// A SIM is a rogue from its first such label on, whatever harmless befell it.
fn note_label(labels: &mut BTreeMap<SimSid, Group>, sim: SimSid, group: Group) {
    let known = labels.entry(sim).or_insert(group);
    match (*known, group) {
        (Group::Rogue { from: known_from, .. }, Group::Rogue { from, .. })
            if known_from <= from => {}
        (_, Group::Rogue { .. }) => *known = group,
        _ => {}
    }
}

/// Bytes of a SIM since a time, by its sessions' counters; one that starts again from 0 loses what it
/// had. Without any session, by records of the hours that end after it.
struct Meter {
    from: Timestamp,
    /// What each session's counter was at that time, and is.
    sessions: BTreeMap<SessionSid, (u64, u64)>,
    /// What records say of each hour, the latest of each.
    hours: BTreeMap<Hour, u64>,
}

impl Meter {
    fn add(&mut self, event: &Event) {
        let Some(session) = &event.session else { return };
        let total = session.cumulative.total().unwrap_or(0);
        let (before, now) = self.sessions.entry(session.sid).or_default();
        *now = total.max(*now);
        if event.ended_at() <= self.from {
            *before = total.max(*before);
        }
    }

    fn add_record(&mut self, record: &UsageRecord) {
        if let (Some(hour), Some(total)) = (record.hour(), record.total)
            && hour.end() > self.from
        {
            self.hours.insert(hour, total.0);
        }
    }

    fn bytes(&self) -> u64 {
        if self.sessions.is_empty() {
            return self.hours.values().copied().fold(0, u64::saturating_add);
        }
        let used = self.sessions.values().map(|(before, now)| now.saturating_sub(*before));
        used.fold(0, u64::saturating_add)
    }
}
