//! Which signed links were used.

use jiff::Timestamp;
use simfuse_domain::port::{Claim, LinkClaims, TableError};
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
        let (by, at) = content.links.entry(link.id()).or_insert_with(|| (call.to_owned(), now));
        Ok(if by == call { Claim::Taken } else { Claim::Used(*at) })
    }

    async fn give_back(&self, link: &SignedLink, call: &str) -> Result<(), TableError> {
        let mut content = self.content();
        if content.links.get(&link.id()).is_some_and(|(by, _)| by == call) {
            content.links.remove(&link.id());
        }
        Ok(())
    }
}
