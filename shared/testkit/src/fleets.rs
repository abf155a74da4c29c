//! The provider's fleets in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simfuse_domain::id::FleetSid;
use simfuse_domain::port::{Fleet, Fleets, Page, PageLink, ProviderError, Sim};

/// Fleets and their data limits. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryFleets {
    fleets: Arc<Mutex<Vec<Fleet>>>,
}

impl MemoryFleets {
    /// No fleets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fleet.
    pub fn add(&self, fleet: Fleet) {
        self.lock().push(fleet);
    }

    /// The limit of a fleet, in megabytes; `None` also for a fleet that is not there.
    #[must_use]
    pub fn limit_mb(&self, fleet: FleetSid) -> Option<u32> {
        self.lock().iter().find(|one| one.sid == fleet)?.data_limit_mb
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fleet>> {
        self.fleets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleets for MemoryFleets {
    async fn fetch_fleet(&self, name: &str) -> Result<Fleet, ProviderError> {
        let called = |fleet: &&Fleet| {
            fleet.sid.to_string() == name || fleet.unique_name.as_deref() == Some(name)
        };
        self.lock().iter().find(called).cloned().ok_or(ProviderError::NotFound)
    }

    async fn set_data_limit(
        &self,
        fleet: FleetSid,
        megabytes: u32,
    ) -> Result<Fleet, ProviderError> {
        let mut fleets = self.lock();
        let fleet = fleets.iter_mut().find(|one| one.sid == fleet);
        let fleet = fleet.ok_or(ProviderError::NotFound)?;
        fleet.data_limit_mb = Some(megabytes);
        Ok(fleet.clone())
    }

    /// All of them on one page.
    async fn list_fleets(&self, _page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        Ok(Page { items: self.lock().clone(), unreadable: 0, next: None })
    }

    /// Its fleets have no SIMs.
    async fn list_sims(
        &self,
        _fleet: FleetSid,
        _page: Option<&PageLink>,
    ) -> Result<Page<Sim>, ProviderError> {
        Ok(Page { items: Vec::new(), unreadable: 0, next: None })
    }
}
