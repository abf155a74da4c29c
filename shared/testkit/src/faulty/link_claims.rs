//! Which signed links were used.

use jiff::Timestamp;
use simfuse_domain::port::{Claim, LinkClaims, LinkUse, TableError};
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

    async fn use_up(
        &self,
        link: &SignedLink,
        call: &str,
        now: Timestamp,
    ) -> Result<(), TableError> {
        let fault = self.next(Method::UseUp);
        plain(Method::UseUp, fault, self.inner.use_up(link, call, now)).await
    }

    async fn give_back(&self, link: &SignedLink, call: &str) -> Result<(), TableError> {
        let fault = self.next(Method::GiveBack);
        plain(Method::GiveBack, fault, self.inner.give_back(link, call)).await
    }

    async fn link_use(&self, link: &SignedLink) -> Result<Option<LinkUse>, TableError> {
        let fault = self.next(Method::LinkUse);
        plain(Method::LinkUse, fault, self.inner.link_use(link)).await
    }
}
