//! Which signed links were used.

use jiff::Timestamp;
use simfuse_domain::port::{Claim, LinkClaims, TableError};
use simfuse_domain::signed_link::SignedLink;

use super::{Faulty, Method, plain};

impl<P: LinkClaims> LinkClaims for Faulty<P> {
    async fn claim(
        &self,
        link: &SignedLink,
        call: &str,
        now: Timestamp,
    ) -> Result<Claim, TableError> {
        let fault = self.next(Method::Claim);
        plain(Method::Claim, fault, self.inner.claim(link, call, now)).await
    }

    async fn give_back(&self, link: &SignedLink, call: &str) -> Result<(), TableError> {
        let fault = self.next(Method::GiveBack);
        plain(Method::GiveBack, fault, self.inner.give_back(link, call)).await
    }
}
