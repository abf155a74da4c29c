//! The record of acts that are about no SIM; reading the whole record; and the heads of its days.

use std::fmt;
use std::future::Future;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::audit::{AuditEntry, AuditRecord, ChainHead, ChainName, DayHeads, Head, HeadsRun};
use crate::id::IdError;
use crate::port::{Committed, TableError};
use crate::time::Hour;

/// Where an act that no case keeps is written down.
pub trait AuditLog: Send + Sync {
    /// Adds an entry to the chain of entries about no SIM; the same one may come again.
    ///
    /// # Errors
    /// [`TableError`]; `Fault` for an entry of a time and id that another one has.
    fn record_audit(
        &self,
        entry: &AuditEntry,
    ) -> impl Future<Output = Result<(), TableError>> + Send;
}

/// The record, for those who read it.
pub trait AuditTrail: Send + Sync {
    /// One page of entries. Those of one chain are read strongly consistent, by time and id; those
    /// of the whole account by time, from an index that may miss what was written a second ago.
    ///
    /// # Errors
    /// [`TableError`].
    fn audit_page(
        &self,
        query: &AuditQuery,
    ) -> impl Future<Output = Result<AuditPage, TableError>> + Send;

    /// The end of a chain; `None` where there is none.
    ///
    /// # Errors
    /// [`TableError`]; a head that cannot be read is a `Fault`.
    fn audit_head(
        &self,
        chain: ChainName,
    ) -> impl Future<Output = Result<Option<Head>, TableError>> + Send;

    /// One page of a day's recorded heads, counted from 1: none behind the last one.
    ///
    /// # Errors
    /// [`TableError`].
    fn heads_page(
        &self,
        day: Date,
        page: u32,
    ) -> impl Future<Output = Result<Option<Vec<ChainHead>>, TableError>> + Send;

    /// The record of a day; `None` while it is not whole.
    ///
    /// # Errors
    /// [`TableError`].
    fn day_heads(
        &self,
        day: Date,
    ) -> impl Future<Output = Result<Option<DayHeads>, TableError>> + Send;
}

/// The record of each day's heads, for the one who makes it.
pub trait HeadsLog: Send + Sync {
    /// How far it is, and the version of that; 0 while it was never begun.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_heads_run(
        &self,
    ) -> impl Future<Output = Result<(Option<HeadsRun>, u64), TableError>> + Send;

    /// Records how far it is, if that is still as it was read, and with it the page of heads, if
    /// there is one, and the day's record, if it is whole: all or nothing.
    ///
    /// # Errors
    /// [`TableError`].
    fn write_heads_run(
        &self,
        run: &HeadsRun,
        page: Option<&[ChainHead]>,
        read: u64,
    ) -> impl Future<Output = Result<Committed, TableError>> + Send;
}

/// Which entries are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// Those of one chain; `None`: all.
    pub chain: Option<ChainName>,
    /// From this time on, to the millisecond.
    pub since: Timestamp,
    /// Before this time, to the millisecond.
    pub until: Timestamp,
    /// Where the page before ended.
    pub after: Option<AuditCursor>,
    /// Entries of the page, at most.
    pub entries_max: usize,
}

/// One page of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries; there may be none although others follow.
    pub records: Vec<AuditRecord>,
    /// Items that are no entries, and are left out.
    pub unreadable: u64,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<AuditCursor>,
}

/// Where a page ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditCursor {
    /// Behind this entry.
    After {
        /// Its time, to the millisecond.
        at: Timestamp,
        /// Its chain.
        chain: ChainName,
        /// Its id.
        id: String,
    },
    /// Before this hour.
    From(Hour),
}

impl fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After { at, chain, id } => write!(f, "after {at} {chain} {id}"),
            Self::From(hour) => write!(f, "from {hour}"),
        }
    }
}

impl FromStr for AuditCursor {
    type Err = IdError;

    /// Reads what `Display` prints.
    fn from_str(text: &str) -> Result<Self, IdError> {
        const ERROR: IdError = IdError::new("a cursor that an answer gave");
        let parts: Vec<&str> = text.splitn(4, ' ').collect();
        match parts.as_slice() {
            ["after", at, chain, id] => {
                let at = at.parse().map_err(|_syntax| ERROR)?;
                let chain = chain.parse().map_err(|_syntax| ERROR)?;
                Ok(Self::After { at, chain, id: (*id).to_owned() })
            }
            ["from", hour] => hour.parse().map(Self::From).map_err(|_syntax| ERROR),
            _ => Err(ERROR),
        }
    }
}
