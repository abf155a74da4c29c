//! Any story of usage, growth, deaths and pauses ends where a naive model ends: the account's own
//! sums.

use jiff::SignedDuration;
use proptest::prelude::*;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::port::UsageWindow;

use crate::bench::{Bench, Life, day_of, sim};

/// What may happen in an hour.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// A SIM uses bytes so many hours back: late ones are growth.
    Used { number: u8, hours_back: i32, bytes: u64 },
    /// A run is done.
    Run,
    /// A run dies after so many calls.
    Died { calls: i64, last_counts: bool },
    /// An hour passes.
    Passed,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (1..6_u8, 0..20_i32, 1..9_000_000_u64).prop_map(|(number, hours_back, bytes)| {
            Happens::Used { number, hours_back, bytes }
        }),
        3 => Just(Happens::Run),
        2 => (0..200_i64, any::<bool>())
            .prop_map(|(calls, last_counts)| Happens::Died { calls, last_counts }),
        4 => Just(Happens::Passed),
    ]
}

async fn plays(story: Vec<Happens>) {
    let bench = Bench::new(5);
    bench.run().await.unwrap();
    for event in story {
        match event {
            Happens::Used { number, hours_back, bytes } => bench.used(number, hours_back, bytes),
            Happens::Run => drop(bench.run().await.unwrap()),
            Happens::Died { calls, last_counts } => {
                // It may not die at all: a run may have less to do.
                drop(bench.run_mortally(&Life::of_calls(calls, last_counts)).await);
                bench.clock.advance(SignedDuration::from_mins(16));
            }
            Happens::Passed => bench.pass_hours(1),
        }
    }
    // Three days later every day was compared.
    bench.run_hourly(76).await;
    bench.assert_closed_hours_are_true();
    let content = bench.table.usage_content();
    let truth = bench.truth(|_| true);
    for (of, hour) in truth.keys() {
        let day = day_of(*hour);
        let of_day = truth.iter().filter(|((other, hour), _)| other == of && day.contains(hour));
        let total: Bytes = of_day.map(|(_, bytes)| *bytes).sum();
        assert_eq!(content.used[&(*of, UsageWindow::Day(day.start))].total, total);
    }
    for number in 1..6 {
        let Some(usage) = content.bases.get(&sim(number)) else { continue };
        let month = usage.period_of(bench.hour());
        let of_month =
            truth.iter().filter(|((of, hour), _)| *of == sim(number) && month.hours.contains(hour));
        let total: Bytes = of_month.map(|(_, bytes)| *bytes).sum();
        assert_eq!(usage.closed_bytes_in(&month), total);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_story_ends_where_the_accounts_sums_do(
        story in prop::collection::vec(happens(), 0..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(plays(story));
    }
}
