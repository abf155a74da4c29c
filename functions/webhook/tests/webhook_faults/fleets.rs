//! A SIM of which too little is known, or against which there is evidence, is judged by its fleet, which
//! is asked for nobody else.

use serde_json::{Value, json};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::FleetSid;
use simfuse_domain::port::{UsageItem, UsageStore as _};
use simfuse_domain::time::Hour;
use simfuse_domain::usage::{SimUsage, Source};
use simfuse_supersim::Provider;
use simfuse_testkit::cohorts::{cohort_of, stolen_in};
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{BOTH, Bench, at, body, sim, update};

const MB: u64 = 1_000_000;

/// The n-th window of 31 MB of the SIM's session.
fn window(provider: Provider, number: u8, report: i64) -> Value {
    let mut event = update(provider, number, report);
    let total = 31 * MB * u64::try_from(report + 1).unwrap();
    for (key, bytes) in [
        ("data_upload", MB),
        ("data_download", 30 * MB),
        ("data_total", 31 * MB),
        ("data_session_data_upload", total / 31),
        ("data_session_data_download", total / 31 * 30),
        ("data_session_data_total", total),
    ] {
        event["data"][key] = json!(bytes);
    }
    event
}

fn fleet(provider: Provider) -> FleetSid {
    update(provider, 0, 0)["data"]["fleet_sid"].as_str().unwrap().parse().unwrap()
}

/// A bench on whose table the fleet has so many SIMs that use so much every hour.
async fn beside(provider: Provider, sims: u32, bytes: u64) -> Bench {
    let bench = Bench::new(provider).await;
    let fleet = fleet(provider);
    let cohort = cohort_of(fleet, sims, bytes, Hour::of(at(-6 * 3_600)));
    bench.memory.put_usage(&[UsageItem::Cohort(fleet, Box::new(cohort))], at(0)).await.unwrap();
    bench
}

async fn post(bench: &Bench, events: &[Value]) {
    let answer = bench.post(&body(events)).await;
    assert_eq!(answer.counts(), (200, [events.len(), 0, 0, 0]), "no event is lost for it");
}

fn strikes(bench: &Bench, number: u8) -> usize {
    of_detector(bench, number, "strike#").len()
}

fn of_detector(bench: &Bench, number: u8, detector: &str) -> Vec<String> {
    let keys = bench.memory.findings(sim(number)).into_iter().map(|finding| finding.key());
    keys.filter(|key| key.starts_with(detector)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sim_that_was_never_used_is_struck_by_its_second_window() {
    for provider in BOTH {
        let bench = beside(provider, 60, 50_000).await;
        post(&bench, &[window(provider, 1, 0)]).await;
        assert_eq!(strikes(&bench, 1), 0, "one may be a fault");
        post(&bench, &[window(provider, 1, 1)]).await;
        assert_eq!(strikes(&bench, 1), 1);
        // Both in one body, and in any order.
        post(&bench, &[window(provider, 2, 1), window(provider, 2, 0)]).await;
        assert_eq!(strikes(&bench, 2), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_camera_and_a_sim_of_a_small_or_new_fleet_are_left_alone() {
    for (sims, bytes) in [(60, 20 * MB), (49, 50_000), (0, 0)] {
        let bench = beside(Provider::Twilio, sims, bytes).await;
        for report in 0..3 {
            post(&bench, &[window(Provider::Twilio, 1, report)]).await;
        }
        assert_eq!((strikes(&bench, 1), bench.table.calls(Method::ReadCohort)), (0, 1));
    }
    let bench = Bench::new(Provider::Twilio).await;
    post(&bench, &[window(Provider::Twilio, 1, 0), window(Provider::Twilio, 1, 1)]).await;
    assert_eq!(strikes(&bench, 1), 0, "no hour of the fleet was closed");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_is_asked_for_few_sims_and_twice_a_minute() {
    let provider = Provider::Twilio;
    let bench = beside(provider, 60, 50_000).await;
    let mut known = SimUsage::new(sim(3));
    for hours in 0..30 {
        let source = Source { fleet: None, page: 0 };
        known.close(Hour::of(at(0)).plus(hours - 40), Bytes(50_000), source);
    }
    bench.memory.put_usage(&[UsageItem::Base(known)], at(0)).await.unwrap();
    let asked = |bench: &Bench| bench.table.calls(Method::ReadCohort);
    let quiet: Vec<Value> = (0..4).map(|number| update(provider, number, 0)).collect();
    post(&bench, &quiet).await;
    post(&bench, &[window(provider, 3, 1), window(provider, 3, 2)]).await;
    assert_eq!((asked(&bench), strikes(&bench, 3)), (0, 1), "its own past is known");
    let many: Vec<Value> = (4..40).map(|number| window(provider, number, 1)).collect();
    post(&bench, &many).await;
    bench.pass(29);
    post(&bench, &[window(provider, 4, 2)]).await;
    assert_eq!(asked(&bench), 1);
    bench.pass(1);
    post(&bench, &[window(provider, 5, 2)]).await;
    assert_eq!(asked(&bench), 2);
    // What it carried is remembered.
    bench.pass(31);
    post(&bench, &[update(provider, 6, 3)]).await;
    assert_eq!((asked(&bench), strikes(&bench, 6)), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn while_the_fleet_cannot_be_read_events_are_stored_and_judged_with_the_next() {
    for fault in [Fault::Throttled, Fault::Unreachable, Fault::LostAnswer, Fault::Refused] {
        let bench = beside(Provider::Twilio, 60, 50_000).await;
        bench.table.fail(Method::ReadCohort, fault, 1);
        for report in 0..2 {
            post(&bench, &[window(Provider::Twilio, 1, report)]).await;
        }
        assert_eq!(strikes(&bench, 1), 0, "{fault:?}");
        assert_eq!(bench.stored(1).await.unwrap().state.bursts().len(), 2);
        assert_eq!(bench.table.calls(Method::ReadCohort), 1, "{fault:?}: the second did not wait");
        bench.pass(5);
        post(&bench, &[update(Provider::Twilio, 1, 2)]).await;
        assert_eq!(strikes(&bench, 1), 1, "{fault:?}");
    }
}

/// A bench whose SIM 1 used so much in as many hours, up to the one before the last.
async fn stolen(bytes: u64, hours: i32) -> Bench {
    let bench = Bench::new(Provider::Twilio).await;
    let fleet = fleet(Provider::Twilio);
    let through = Hour::of(at(0)).plus(-2);
    let (cohort, usage) = stolen_in((fleet, 400, 50_000), sim(1), (bytes, hours), through);
    let items = [UsageItem::Cohort(fleet, Box::new(cohort)), UsageItem::Base(usage)];
    bench.memory.put_usage(&items, at(0)).await.unwrap();
    bench
}

#[tokio::test(start_paused = true)]
async fn strange_hours_add_up_before_they_are_closed() {
    let bench = stolen(30 * MB, 6).await;
    let asked = |bench: &Bench| bench.table.calls(Method::ReadCohort);
    let found = |bench: &Bench| of_detector(bench, 1, "usage_spike#");
    let alert_since = |hours: i32| {
        let since = Hour::of(at(0)).plus(-hours);
        vec![format!("usage_spike#{since}/alert/open")]
    };
    post(&bench, &[update(Provider::Twilio, 2, 0)]).await;
    assert_eq!(asked(&bench), 0, "nothing is held against it");
    post(&bench, &[update(Provider::Twilio, 1, 0)]).await;
    assert_eq!((asked(&bench), found(&bench)), (1, alert_since(7)));
    // Evidence that is not enough is enough with the hour that is not over.
    let bench = stolen(30 * MB, 5).await;
    post(&bench, &[update(Provider::Twilio, 1, 0)]).await;
    assert_eq!(found(&bench), Vec::<String>::new());
    post(&bench, &[window(Provider::Twilio, 1, 1)]).await;
    assert_eq!((asked(&bench), found(&bench)), (1, alert_since(6)));
    // A SIM that was strange for an hour is not asked for.
    let bench = stolen(30 * MB, 2).await;
    post(&bench, &[window(Provider::Twilio, 1, 1)]).await;
    assert_eq!((asked(&bench), found(&bench)), (0, Vec::new()));
}
