//! The body of a rightly signed request, taken in twice: it is stored, set aside or of no use, and the
//! second time nothing changes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simfuse_domain::policy::Policy;
use simfuse_fuzz::{now, run};
use simfuse_testkit::memory::MemoryTable;
use simfuse_webhook::intake::{Intake, Receipt};

const POLICY: &str = "version = 1\n[binding]\nmode = \"strict\"\nallowed_tacs = [\"35378572\"]\n\
                      [places]\ncountries = [\"US\"]\n[limits]\nhour_mb = 1\nday_mb = 2\n\
                      [notify]\nevents = [\"online\", \"network\", \"usage\", \"device\", \"offline\"]";

fuzz_target!(|body: &[u8]| {
    let policy: Policy = POLICY.parse().expect("a policy");
    for receipt in [Receipt::Live, Receipt::EventTime] {
        run(async {
            let table = MemoryTable::new();
            table.apply_policy(&policy).await.expect("applied");
            let intake = Intake::new(table.clone(), receipt);
            let first = intake.take(body, now()).await.expect("every element is dealt with");
            drop((table.findings_stream(), table.news_stream()));
            let second = intake.take(body, now()).await.expect("a duplicate is, too");
            assert_eq!(first.dead_lettered, second.dead_lettered);
            assert_eq!(first.applied + first.late, second.applied + second.late);
            assert!(table.findings_stream().is_empty() && table.news_stream().is_empty());
        });
    }
});
