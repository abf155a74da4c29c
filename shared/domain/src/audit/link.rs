//! How an entry hangs on the one before it.
//!
//! ```text
//! personal = SHA-256("simfuse audit personal 1", salt, actor, reason)
//! hash     = SHA-256("simfuse audit entry 1", number, segment, before, sim, fleet, at, id, action,
//!                    phase, incident, personal)
//! ```
//!
//! Each field is a netstring (`5:hello,`), one that is absent is `-,`; times as RFC 3339, as the
//! entry has them; `before` is the hash of the entry before, or the name of a beginning.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hash::Fields;
use super::{AuditEntry, Digest, Salt};

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// What it says; [`super::ERASED`] for texts that were erased.
    pub entry: AuditEntry,
    /// Its place in the chain; absent for one that a version without chains wrote.
    pub link: Option<Link>,
    /// What its personal texts are committed to with; absent once they are erased.
    pub salt: Option<Salt>,
}

/// An entry's place in its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Counted from 1 in its segment.
    pub number: u64,
    /// When the segment began: the time of its first entry.
    pub segment: Timestamp,
    /// What it follows.
    pub before: Before,
    /// The commitment to `actor` and `reason`.
    pub personal: Digest,
    /// The hash of all this.
    pub hash: Digest,
}

/// What an entry follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Before {
    /// The entry of this hash.
    Entry(Digest),
    /// None: no head was kept. The first entry of all; later, the head was lost.
    Nothing,
    /// Unknown: the head could not be read, and the act could not wait for it.
    Unreadable,
    /// Unknown: others kept changing the head, and the act could not wait for it.
    Contended,
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(hash) => hash.fmt(f),
            Self::Nothing => f.write_str("nothing"),
            Self::Unreadable => f.write_str("unreadable"),
            Self::Contended => f.write_str("contended"),
        }
    }
}

/// The end of a chain: what the next entry follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Head {
    /// When the segment began.
    pub segment: Timestamp,
    /// The last entry's number in it.
    pub number: u64,
    /// The last entry's hash.
    pub hash: Digest,
}

/// What is known of a chain's end when an entry is to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownHead {
    /// This one.
    Head(Head),
    /// There is none.
    Nothing,
    /// It cannot be read.
    Unreadable,
    /// Others kept changing it.
    Contended,
}

impl AuditRecord {
    /// The entry as the next one of its chain.
    #[must_use]
    pub fn after(known: KnownHead, entry: AuditEntry, salt: Salt) -> Self {
        let (number, segment, before) = match known {
            KnownHead::Head(head) => {
                (head.number.saturating_add(1), head.segment, Before::Entry(head.hash))
            }
            KnownHead::Nothing => (1, entry.at, Before::Nothing),
            KnownHead::Unreadable => (1, entry.at, Before::Unreadable),
            KnownHead::Contended => (1, entry.at, Before::Contended),
        };
        let personal = personal(&entry, salt);
        // The hash of the rest does not depend on what stands here.
        let mut link = Link { number, segment, before, personal, hash: personal };
        link.hash = hash(&entry, &link);
        Self { entry, link: Some(link), salt: Some(salt) }
    }

    /// The chain's end, if this is its last entry.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        let link = self.link.as_ref()?;
        Some(Head { segment: link.segment, number: link.number, hash: link.hash })
    }

    /// Whether it says what it said when it was linked. Of erased texts nothing is asked.
    #[must_use]
    pub fn is_as_linked(&self) -> bool {
        self.link.as_ref().is_none_or(|link| {
            let personal = self.salt.map(|salt| personal(&self.entry, salt));
            personal.is_none_or(|personal| personal == link.personal)
                && hash(&self.entry, link) == link.hash
        })
    }
}

fn personal(entry: &AuditEntry, salt: Salt) -> Digest {
    let fields = Fields::of("simfuse audit personal 1").shown(salt);
    fields.text(&entry.actor).text(&entry.reason).digest()
}

fn hash(entry: &AuditEntry, link: &Link) -> Digest {
    Fields::of("simfuse audit entry 1")
        .shown(link.number)
        .shown(link.segment)
        .shown(link.before)
        .maybe(entry.sim)
        .maybe(entry.fleet)
        .shown(entry.at)
        .text(&entry.id)
        .text(&entry.action)
        .shown(entry.phase)
        .maybe(entry.incident.as_deref())
        .shown(link.personal)
        .digest()
}
