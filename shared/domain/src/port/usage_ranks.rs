//! Who used how much, by fleet, as the aggregator ranked it: what a selection by usage rests on.

use std::collections::BTreeMap;
use std::future::Future;

use crate::bytes::Bytes;
use crate::id::{FleetSid, SimSid};
use crate::port::{FleetUsed, Sim, TableError, UsageWindow};

/// SIMs with what they used in a window, largest first.
pub type RankPage = Vec<(SimSid, Bytes)>;

/// What the aggregator wrote of fleets and of the SIMs in them, for those who only read it.
pub trait UsageRanks: Send + Sync {
    /// Reads the totals of a fleet's hours and days. One that is absent from the answer was not
    /// read from the provider: what was used in it is unknown, not zero.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_fleet_used(
        &self,
        fleet: FleetSid,
        windows: &[UsageWindow],
    ) -> impl Future<Output = Result<BTreeMap<UsageWindow, FleetUsed>, TableError>> + Send;

    /// Reads pages of a fleet's ranks, in any order; one that is not there is left out.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_ranks(
        &self,
        fleet: FleetSid,
        pages: &[(UsageWindow, u32)],
    ) -> impl Future<Output = Result<Vec<RankPage>, TableError>> + Send;

    /// Reads SIMs as the inventory lists them; one that it does not have is absent.
    ///
    /// # Errors
    /// [`TableError`].
    fn read_listed(
        &self,
        sims: &[SimSid],
    ) -> impl Future<Output = Result<BTreeMap<SimSid, Sim>, TableError>> + Send;
}
