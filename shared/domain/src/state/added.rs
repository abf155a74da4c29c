//! What came with the second schema: the cells that served the SIM, and which sessions each device
//! reported.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::seconds;
use crate::device::Imei14;
use crate::place::{CellId, Location, Point};

/// Cells kept, within the horizon: the latest. A sensor that stands still sees one to three.
pub const CELLS_MAX: usize = 16;

/// What the first schema did not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Added {
    /// By device, for each kept session a bit, by its place among them: a SID takes 16 bytes. There
    /// are fewer sessions than bits, also for the moment in which there is one too many.
    device_sessions: Vec<(Imei14, u128)>,
    /// By cell.
    cells: Vec<Seen>,
}

/// A cell that served the SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The cell.
    pub cell: CellId,
    /// Where that is: as the latest event says; of two at the same time, the greater.
    pub point: Point,
    /// In seconds: a place is not known to the millisecond, and a state has to stay small.
    first_secs: i64,
    last_secs: i64,
}

impl Added {
    pub(super) const NOTHING: Self = Self { device_sessions: Vec::new(), cells: Vec::new() };

    pub(super) fn cells(&self) -> &[Seen] {
        &self.cells
    }

    pub(super) fn fold_cell(&mut self, Location { cell, point }: Location, at: Timestamp) -> bool {
        let (at_secs, cells) = (at.as_second(), &mut self.cells);
        if let Some(seen) = cells.iter_mut().find(|seen| seen.cell == cell) {
            let before = *seen;
            if (seen.last_secs, seen.point) < (at_secs, point) {
                (seen.last_secs, seen.point) = (at_secs, point);
            }
            seen.first_secs = seen.first_secs.min(at_secs);
            return *seen != before;
        }
        let place = cells.partition_point(|other| other.cell < cell);
        cells.insert(place, Seen { cell, point, first_secs: at_secs, last_secs: at_secs });
        if cells.len() > CELLS_MAX {
            let oldest = cells.iter().enumerate();
            let oldest = oldest.min_by_key(|(_, seen)| (seen.last_secs, seen.cell));
            if let Some((oldest, _)) = oldest {
                return cells.remove(oldest).cell != cell;
            }
        }
        true
    }

    /// The device reported the session at this place. Says whether that is new.
    pub(super) fn reported(&mut self, device: Imei14, place: usize) -> bool {
        let bit = bit_of(place);
        let known = &mut self.device_sessions;
        let among = known.partition_point(|(other, _)| *other < device);
        match known.get_mut(among).filter(|(other, _)| *other == device) {
            Some((_, sessions)) => {
                let is_new = *sessions & bit == 0;
                *sessions |= bit;
                is_new
            }
            None => {
                known.insert(among, (device, bit));
                true
            }
        }
    }

    /// Whether the device reported the session at this place.
    pub(super) fn is_of(&self, device: Imei14, place: usize) -> bool {
        let mut known = self.device_sessions.iter();
        known.any(|(other, sessions)| *other == device && sessions & bit_of(place) != 0)
    }

    /// A session was put in at this place.
    pub(super) fn session_came(&mut self, place: usize) {
        let below = bit_of(place).wrapping_sub(1);
        for (_, sessions) in &mut self.device_sessions {
            *sessions = (*sessions & below) | ((*sessions & !below) << 1);
        }
    }

    /// The session at this place was dropped.
    pub(super) fn session_went(&mut self, place: usize) {
        let below = bit_of(place).wrapping_sub(1);
        for (_, sessions) in &mut self.device_sessions {
            *sessions = (*sessions & below) | ((*sessions >> 1) & !below);
        }
        self.device_sessions.retain(|(_, sessions)| *sessions != 0);
    }

    /// The device is not kept any more.
    pub(super) fn device_went(&mut self, device: Imei14) {
        self.device_sessions.retain(|(other, _)| *other != device);
    }

    pub(super) fn forget_before(&mut self, begin: Timestamp) {
        self.cells.retain(|seen| seen.last() >= begin);
    }
}

fn bit_of(place: usize) -> u128 {
    u32::try_from(place).ok().and_then(|place| 1_u128.checked_shl(place)).unwrap_or(0)
}

impl Seen {
    /// The first event within the horizon that named the cell.
    #[must_use]
    pub fn first(&self) -> Timestamp {
        seconds(self.first_secs)
    }

    /// The latest event that named the cell.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        seconds(self.last_secs)
    }

    /// The shortest time between an event of this cell and one of the other, as far as the first and
    /// the latest of each show it.
    #[must_use]
    pub fn pause_to(&self, other: &Self) -> SignedDuration {
        let secs = |seen: &Self| [seen.first_secs, seen.last_secs];
        let pauses = secs(self).into_iter().flat_map(|at| secs(other).map(|to| at.abs_diff(to)));
        let shortest = pauses.min().and_then(|secs| i64::try_from(secs).ok());
        shortest.map_or(SignedDuration::MAX, SignedDuration::from_secs)
    }
}
