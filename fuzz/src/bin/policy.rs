//! The policy file: refused with a reason that fits on a screen, or read; and what was read says the
//! same when it is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simfuse_domain::policy::{DEFAULT, Policy};

fuzz_target!(|text: &str| {
    match text.parse::<Policy>() {
        Ok(policy) => {
            let default: Policy = DEFAULT.parse().expect("the default");
            let again: Policy = policy.text().parse().expect("it was read before");
            assert!(again.changes_since(&policy).is_empty());
            assert_eq!(again.warnings(), policy.warnings());
            _ = policy.changes_since(&default);
        }
        Err(refusal) => assert!(!refusal.reason.is_empty()),
    }
});
