//! Kills that the cap holds: what a human is told of each, and what an approval of all takes.

use serde_json::{Value, json};

use crate::bench::{Bench, PHONE, STRICT, name, request, sim};

/// The SIM's own device, as policy declares it.
const SENSOR: &str = "35378572000000";

fn dry_approval() -> Value {
    let mut dry = request("approve", &[]);
    dry["dry_run"] = json!(true);
    dry
}

#[tokio::test]
async fn each_is_told_with_what_policy_asks_most_for() {
    // Too much is only told of; the strange device that came after it is what is to be cut.
    let policy = STRICT.replace("act = \"deactivate\"", "act = \"alert\"");
    let bench = Bench::with(6, &policy, simfuse_domain::policy::Mode::Enforce).await;
    for number in 1..=6 {
        bench.appears(number, SENSOR, 9_000_000).await;
    }
    assert!(bench.deliver().await);
    bench.pass(120);
    bench.steal_and_tell(1..=6).await;
    let held = bench.ask(dry_approval()).await["sims"].take();
    let [held] = &held.as_array().unwrap()[..] else { panic!("{held}") };
    let reason = held["reason"].as_str().unwrap();
    assert!(reason.starts_with("would be deactivated, it is active: in device"), "{reason}");
    bench.minutes(1).await;
    let page = bench.held_pages()[0].email.clone();
    let line = page.lines().find(|line| line.starts_with("- pump-")).unwrap();
    assert!(line.contains("): in device"), "{line}");
}

#[tokio::test]
async fn what_policy_asks_for_no_more_is_neither_offered_nor_counted_nor_confirmed() {
    let bench = Bench::new(21).await;
    for number in 1..=21 {
        let device = if number % 3 == 0 { PHONE } else { crate::bench::TABLET };
        bench.appears(number, device, 1_000_000).await;
    }
    assert!(bench.deliver().await);
    assert_eq!(bench.posts(), 5);
    assert_eq!(bench.ask(dry_approval()).await["sims_all"], 16);
    // The tablets are theirs after all.
    bench.apply(&STRICT.replace("[\"35378572\"]", "[\"35378572\", \"35880123\"]")).await;
    let dry = bench.ask(dry_approval()).await;
    let offered = dry["sims"].as_array().unwrap();
    let cleared = dry["cleared"].as_array().unwrap();
    assert_eq!(offered.len() + cleared.len(), 16, "{dry}");
    assert!(offered.iter().all(|sim| sim["outcome"] == "pending"), "{dry}");
    assert!(offered.len() <= 7 && cleared.contains(&json!(sim(20))), "{dry}");
    assert_eq!(dry.get("sims_all"), None, "too few for a digest");
    let answer = bench.ask(request("approve", &[])).await;
    assert!(answer["sims"].as_array().unwrap().iter().all(|sim| sim["outcome"] == "done"));
    assert_eq!((&answer["error"], &answer["cleared"]), (&Value::Null, &dry["cleared"]));
    assert_eq!(bench.posts(), 5 + offered.len());
    // By its name it is refused with the reason, and let go of by a restore.
    let (outcome, reason) = bench.act("approve", &name(20)).await;
    assert!(outcome == "refused" && reason.contains("asks for it no more"), "{reason}");
    assert_eq!(bench.act("restore", &name(20)).await.0, "done");
    let left = bench.ask(dry_approval()).await;
    assert_eq!(left["cleared"].as_array().unwrap().len(), cleared.len() - 1);
    assert_eq!(left["sims"], json!([]));
}

#[tokio::test]
async fn status_offers_no_approval_of_what_has_lapsed() {
    let bench = Bench::new(7).await;
    for number in 1..=7 {
        bench.steal_and_tell([number]).await;
    }
    let offered = async || {
        let status = bench.ask(request("status", &[])).await["status"].take();
        let listed = status["attention"].as_array().unwrap().iter();
        let held = listed.filter(|sim| sim["stage"] == "held (cap on kills reached)");
        held.map(|sim| sim["command"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let command = |act: &str, number| format!("simfuse {act} {} --reason \"...\"", sim(number));
    assert_eq!(offered().await, [6, 7].map(|number| command("approve", number)));
    // The strange device was there more than a horizon ago, and the sensor's own is again.
    bench.pass(27 * 3_600);
    bench.appears(6, SENSOR, 1_000).await;
    assert_eq!(offered().await, [command("kill", 6), command("approve", 7)]);
    let details = bench.ask(request("status", &[&name(6)])).await["sims"][0]["details"].take();
    let next = details["next_step"].as_str().unwrap();
    assert!(next.starts_with("policy asks for it no more: kill it"), "{details}");
    let (outcome, reason) = bench.act("approve", &name(6)).await;
    assert!(outcome == "refused" && reason.contains("asks for it no more"), "{reason}");
}

#[tokio::test]
async fn what_cannot_be_ruled_again_is_offered() {
    use simfuse_testkit::faulty::{Fault, Method};
    let bench = Bench::new(6).await;
    bench.steal_and_tell(1..=6).await;
    bench.apply(&STRICT.replace("[\"35378572\"]", "[\"35378572\", \"35880123\"]")).await;
    bench.table.fail(Method::ReadCase, Fault::Throttled, 1);
    let dry = bench.ask(dry_approval()).await;
    assert_eq!(dry["sims"].as_array().unwrap().len(), 1, "{dry}");
    assert_eq!(dry.get("cleared"), None, "{dry}");
}
