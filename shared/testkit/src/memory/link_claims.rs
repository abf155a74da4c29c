//! Which signed links were used.

use jiff::Timestamp;
use simfuse_domain::port::{Claim, LinkClaims, LinkUse, TableError};
use simfuse_domain::signed_link::SignedLink;

use super::MemoryTable;

impl LinkClaims for MemoryTable {
    async fn claim(
        &self,
        link: &SignedLink,
        call: &str,
        now: Timestamp,
    ) -> Result<Claim, TableError> {
        let mut content = self.content();
        let own = || (call.to_owned(), LinkUse::Asked(now));
        let taken = content.links.entry(link.id()).or_insert_with(own);
        if taken.1.is_over(now) {
            *taken = own();
        }
        let (by, link_use) = taken;
        Ok(if by == call { Claim::Taken } else { Claim::Others(*link_use) })
    }

    async fn use_up(
        &self,
        link: &SignedLink,
        call: &str,
        now: Timestamp,
    ) -> Result<(), TableError> {
        let mut content = self.content();
        if let Some((by, link_use @ LinkUse::Asked(_))) = content.links.get_mut(&link.id())
            && by == call
        {
            *link_use = LinkUse::Used(now);
        }
        Ok(())
    }

    async fn give_back(&self, link: &SignedLink, call: &str) -> Result<(), TableError> {
        let mut content = self.content();
        let taken = content.links.get(&link.id());
        if taken.is_some_and(|(by, link_use)| by == call && matches!(link_use, LinkUse::Asked(_))) {
            content.links.remove(&link.id());
        }
        Ok(())
    }

    async fn link_use(&self, link: &SignedLink) -> Result<Option<LinkUse>, TableError> {
        Ok(self.content().links.get(&link.id()).map(|(_, link_use)| *link_use))
    }
}
