//! The heads of a day: what its chains ended with, recorded once the day is over, under one digest
//! that can be kept where the table's writers do not reach.
//!
//! The day's entries are read in pages; of each page the last entry of every chain is kept, and
//! goes into the digest:
//!
//! ```text
//! digest 0 = SHA-256("simfuse audit day 1", day)
//! digest n = SHA-256("simfuse audit heads 1", digest n − 1, n, then of each head, by chain:
//!                    chain, segment, number, hash)
//! ```

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::hash::Fields;
use super::{AuditRecord, ChainName, DayTally, Digest, Head};

/// A day is recorded this long after its end: the index follows the table within seconds, clocks
/// differ by less, and an entry is written at most minutes after the time that it bears.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// What a chain ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Which chain.
    pub chain: ChainName,
    /// Its end.
    #[serde(flatten)]
    pub head: Head,
}

/// The record of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayHeads {
    /// The day of UTC.
    pub day: Date,
    /// Pages of heads.
    pub pages: u32,
    /// Entries that were read.
    pub entries: u64,
    /// Heads in all pages; a chain counts once for each page that holds entries of it.
    pub heads: u64,
    /// Of all heads.
    pub digest: Digest,
}

/// How far the record of a day is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsRun {
    /// What is recorded so far.
    pub so_far: DayHeads,
    /// Where the next page of entries begins; absent at the beginning.
    pub after: Option<String>,
    /// Whether all of the day is recorded; what is left is to tell it.
    pub is_whole: bool,
    /// What happened on the day, as far as it is read; absent where nobody is to be told: on the day
    /// before the first, and on one whose record an older version began.
    #[serde(default)]
    pub tally: Option<DayTally>,
}

impl DayHeads {
    /// Of this day nothing is recorded yet.
    #[must_use]
    pub fn of(day: Date) -> Self {
        let digest = Fields::of("simfuse audit day 1").shown(day).digest();
        Self { day, pages: 0, entries: 0, heads: 0, digest }
    }

    /// With one more page: so many entries, and the heads among them.
    #[must_use]
    pub fn with(self, entries: u64, heads: &[ChainHead]) -> Self {
        let pages = self.pages.saturating_add(1);
        let fields = Fields::of("simfuse audit heads 1").shown(self.digest).shown(pages);
        let fields = heads.iter().fold(fields, |fields, ChainHead { chain, head }| {
            fields.shown(chain).shown(head.segment).shown(head.number).shown(head.hash)
        });
        Self {
            day: self.day,
            pages,
            entries: self.entries.saturating_add(entries),
            heads: self.heads.saturating_add(u64::try_from(heads.len()).unwrap_or(u64::MAX)),
            digest: fields.digest(),
        }
    }
}

impl fmt::Display for DayHeads {
    /// The line for the log, and for whoever is to keep it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { day, entries, heads, digest, pages: _ } = self;
        write!(f, "audit of {day}: {entries} entries, {heads} heads, digest {digest}")
    }
}

impl HeadsRun {
    /// The record of this day is to begin.
    #[must_use]
    pub fn of(day: Date) -> Self {
        let tally = Some(DayTally::default());
        Self { so_far: DayHeads::of(day), after: None, is_whole: false, tally }
    }

    /// What there is to record where nothing was recorded yet: the day before.
    #[must_use]
    pub fn first(now: Timestamp) -> Self {
        let today = now.to_zoned(TimeZone::UTC).date();
        Self { tally: None, ..Self::of(today.yesterday().unwrap_or(today)) }
    }

    /// The day after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        let day = self.so_far.day;
        let tally = self.tally.as_ref().map(|tally| tally.next(day)).unwrap_or_default();
        Self { tally: Some(tally), ..Self::of(day.tomorrow().unwrap_or(Date::MAX)) }
    }

    /// The day's begin and end.
    #[must_use]
    pub fn span(&self) -> (Timestamp, Timestamp) {
        (midnight(self.so_far.day), midnight(self.next().so_far.day))
    }

    /// Whether the day's entries are all there.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let (_, end) = self.span();
        end.saturating_add(SETTLED_AFTER).is_ok_and(|settled| settled <= now)
    }
}

fn midnight(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
}

/// The last entry of each chain among these, by chain.
#[must_use]
pub fn heads_of(records: &[AuditRecord]) -> Vec<ChainHead> {
    let mut heads: BTreeMap<ChainName, Head> = BTreeMap::new();
    for record in records {
        if let Some(head) = record.head() {
            let last = heads.entry(ChainName::of(&record.entry)).or_insert(head);
            *last = head.max(*last);
        }
    }
    heads.into_iter().map(|(chain, head)| ChainHead { chain, head }).collect()
}
