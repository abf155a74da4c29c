//! The policy and its versions.

use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Committed, Policies, PolicyChange, PolicyVersion, PolicyVersions, TableError,
};

use super::{Fault, Faulty, Method, plain};

impl<P: Policies> Policies for Faulty<P> {
    async fn current_policy(&self) -> Result<Policy, TableError> {
        let fault = self.next(Method::CurrentPolicy);
        plain(Method::CurrentPolicy, fault, self.inner.current_policy()).await
    }
}

impl<P: PolicyVersions> PolicyVersions for Faulty<P> {
    async fn policy_version(&self) -> Result<PolicyVersion, TableError> {
        let fault = self.next(Method::PolicyVersion);
        plain(Method::PolicyVersion, fault, self.inner.policy_version()).await
    }

    async fn past_policy(&self, number: u64) -> Result<Option<PolicyVersion>, TableError> {
        let fault = self.next(Method::PastPolicy);
        plain(Method::PastPolicy, fault, self.inner.past_policy(number)).await
    }

    async fn replace_policy(&self, change: &PolicyChange) -> Result<Committed, TableError> {
        match self.next(Method::ReplacePolicy) {
            Some(Fault::Conflict) => Ok(Committed::Conflict),
            fault => plain(Method::ReplacePolicy, fault, self.inner.replace_policy(change)).await,
        }
    }
}
