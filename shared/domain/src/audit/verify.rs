//! Whether a chain holds, and if not, where it first does not.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AuditRecord, Before, ChainHead, ChainName, Digest, Head, Link};

/// Takes the entries of one chain, in any order, and says whether it holds. It keeps some 100 bytes
/// of each.
#[derive(Debug)]
pub struct Verifier {
    chain: ChainName,
    seen: Vec<Seen>,
    unlinked: u64,
    last_unlinked: Option<(Timestamp, String)>,
    erased: u64,
}

/// What is kept of an entry.
#[derive(Debug)]
struct Seen {
    segment: Timestamp,
    number: u64,
    hash: Digest,
    before: Before,
    at: Timestamp,
    id: String,
    is_as_linked: bool,
}

/// What was found about one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Which.
    pub chain: ChainName,
    /// Entries in it.
    pub entries: u64,
    /// Entries from before there were chains: nothing is known about them.
    pub unlinked: u64,
    /// Entries whose personal texts were erased.
    pub erased: u64,
    /// Heads recorded earlier that it was compared with.
    pub recorded: u64,
    /// Where it first does not hold; absent: it holds.
    pub broken: Option<Break>,
}

/// Where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// How.
    pub kind: BreakKind,
    /// The place in the chain; 0 where it has none.
    pub number: u64,
    /// The time of the entry that shows it; absent where none does.
    pub at: Option<Timestamp>,
    /// The id of that entry.
    pub id: Option<String>,
}

/// How a chain does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// The entry says something else than when it was written.
    Changed,
    /// There is no entry of this number.
    Missing,
    /// There are two entries of this number.
    Doubled,
    /// The entry does not follow the one before it: one of them was exchanged.
    OutOfOrder,
    /// The chain begins anew: its head was lost or not readable, or others kept changing it. What
    /// was removed before cannot be seen.
    Restarted,
    /// The entry lies among linked ones and has no link: put in, or written by an older version.
    Unlinked,
    /// There is no head, although there are entries.
    HeadLost,
    /// The entry is not the one that the chain's head or a day's record names.
    Rewritten,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        match self.kind {
            BreakKind::Changed => write!(f, "entry {number} was changed")?,
            BreakKind::Missing => write!(f, "entry {number} is missing")?,
            BreakKind::Doubled => write!(f, "entry {number} is there twice")?,
            BreakKind::OutOfOrder => write!(f, "entry {number} does not follow the one before it")?,
            BreakKind::Restarted => f.write_str("the chain begins anew")?,
            BreakKind::Unlinked => f.write_str("an entry has no place in the chain")?,
            BreakKind::HeadLost => f.write_str("the chain's head is lost")?,
            BreakKind::Rewritten => {
                write!(f, "entry {number} is not the one that was recorded as the head")?;
            }
        }
        match (&self.at, &self.id) {
            (Some(at), Some(id)) => write!(f, " ({at}, {id})"),
            (None | Some(_), None | Some(_)) => Ok(()),
        }
    }
}

impl Verifier {
    /// Of this chain nothing is seen yet.
    #[must_use]
    pub const fn new(chain: ChainName) -> Self {
        Self { chain, seen: Vec::new(), unlinked: 0, last_unlinked: None, erased: 0 }
    }

    /// Takes one entry. All entries of the chain have to be taken, not only those of a span.
    pub fn take(&mut self, record: &AuditRecord) {
        let entry = &record.entry;
        let Some(link) = &record.link else {
            self.unlinked = self.unlinked.saturating_add(1);
            let last = self.last_unlinked.get_or_insert_with(|| (entry.at, entry.id.clone()));
            if entry.at > last.0 {
                *last = (entry.at, entry.id.clone());
            }
            return;
        };
        self.erased = self.erased.saturating_add(u64::from(record.salt.is_none()));
        let Link { number, segment, before, hash, personal: _ } = *link;
        let is_as_linked = record.is_as_linked() && ChainName::of(entry) == self.chain;
        let (at, id) = (entry.at, entry.id.clone());
        self.seen.push(Seen { segment, number, hash, before, at, id, is_as_linked });
    }

    /// Says whether the chain holds. The head has to be read *before* the entries, so that one that
    /// is added meanwhile is no contradiction; `recorded` are heads that earlier days recorded.
    #[must_use]
    pub fn finish(mut self, head: Option<Head>, recorded: &[ChainHead]) -> Verified {
        self.seen.sort_by_key(|seen| (seen.segment, seen.number));
        let recorded: Vec<Head> =
            recorded.iter().filter(|head| head.chain == self.chain).map(|head| head.head).collect();
        let broken = self.first_break().or_else(|| self.unlinked_within());
        let broken = broken.or_else(|| match head {
            None if self.seen.is_empty() => None,
            None => Some(Break { kind: BreakKind::HeadLost, number: 0, at: None, id: None }),
            Some(head) => self.contradiction(&head),
        });
        let broken = broken.or_else(|| recorded.iter().find_map(|head| self.contradiction(head)));
        Verified {
            chain: self.chain,
            entries: count(self.seen.len()),
            unlinked: self.unlinked,
            erased: self.erased,
            recorded: count(recorded.len()),
            broken,
        }
    }

    /// The first entry that is missing, changed, out of order or doubled.
    fn first_break(&self) -> Option<Break> {
        let mut before: Option<&Seen> = None;
        for seen in &self.seen {
            let last = before.filter(|before| before.segment == seen.segment);
            let expected = last.map_or(1, |last| last.number.saturating_add(1));
            if seen.number > expected {
                let kind = BreakKind::Missing;
                return Some(Break { kind, number: expected, at: None, id: None });
            }
            if seen.number < expected {
                // Two beginnings of one moment are two segments.
                let begins = seen.number == 1 && !matches!(seen.before, Before::Entry(_));
                let is_other = last.is_some_and(|last| last.hash != seen.hash);
                let begins_anew = begins && is_other;
                return Some(seen.is(if begins_anew {
                    BreakKind::Restarted
                } else {
                    BreakKind::Doubled
                }));
            }
            if !seen.is_as_linked {
                return Some(seen.is(BreakKind::Changed));
            }
            match (seen.before, last) {
                (Before::Entry(hash), Some(last)) if hash == last.hash => {}
                (Before::Nothing, None) if before.is_none() => {}
                (Before::Nothing | Before::Unreadable | Before::Contended, None) => {
                    return Some(seen.is(BreakKind::Restarted));
                }
                (
                    Before::Entry(_) | Before::Nothing | Before::Unreadable | Before::Contended,
                    Some(_) | None,
                ) => return Some(seen.is(BreakKind::OutOfOrder)),
            }
            before = Some(seen);
        }
        None
    }

    /// An entry without a link that is later than the first one with one.
    fn unlinked_within(&self) -> Option<Break> {
        let (at, id) = self.last_unlinked.as_ref()?;
        let first = self.seen.first()?;
        (*at > first.at).then(|| Break {
            kind: BreakKind::Unlinked,
            number: 0,
            at: Some(*at),
            id: Some(id.clone()),
        })
    }

    /// What speaks against this having been the chain's end once.
    fn contradiction(&self, head: &Head) -> Option<Break> {
        let key = (head.segment, head.number);
        match self.seen.binary_search_by_key(&key, |seen| (seen.segment, seen.number)) {
            Ok(place) => {
                let seen = self.seen.get(place)?;
                (seen.hash != head.hash).then(|| seen.is(BreakKind::Rewritten))
            }
            Err(_) => {
                let in_segment = self.seen.iter().filter(|seen| seen.segment == head.segment);
                let number = count(in_segment.count()).saturating_add(1);
                Some(Break { kind: BreakKind::Missing, number, at: None, id: None })
            }
        }
    }
}

impl Seen {
    fn is(&self, kind: BreakKind) -> Break {
        Break { kind, number: self.number, at: Some(self.at), id: Some(self.id.clone()) }
    }
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}
