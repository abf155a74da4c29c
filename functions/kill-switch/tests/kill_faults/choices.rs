//! Which SIMs a request is about: selections, digests, names that mean two SIMs.

use serde_json::{Value, json};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::money::Bill;
use simfuse_domain::port::{FleetUsed, Sim, SimStatus, UsageItem, UsageStore as _, UsageWindow};
use simfuse_domain::time::Hour;
use simfuse_testkit::service::{Fault, FaultRule, Requests};

use crate::bench::{Bench, TABLET, at, fleet, iccid, name, request, sim};

/// The last hour that is over at the bench's start, and those before it.
fn hour_ago(hours: i32) -> Hour {
    Hour::of(at(0)).plus(-hours)
}

fn other_fleet() -> FleetSid {
    FleetSid::from_bytes([8; 16])
}

/// What the aggregator would write: these SIMs' megabytes in this hour or day.
async fn used(bench: &Bench, fleet: FleetSid, window: UsageWindow, megabytes: &[(u8, u64)]) {
    let sims: Vec<(SimSid, Bytes)> =
        megabytes.iter().map(|(number, mb)| (sim(*number), Bytes(mb * Bytes::MB))).collect();
    let total = sims.iter().map(|(_, bytes)| *bytes).sum();
    let pages = u32::from(!sims.is_empty());
    let used = FleetUsed {
        sims: u64::try_from(sims.len()).unwrap(),
        total,
        bill: Bill::default(),
        closed: true,
        rank_pages: pages,
    };
    let mut items = vec![UsageItem::Fleet(fleet, window, used)];
    if pages > 0 {
        items.push(UsageItem::Rank(fleet, window, 0, sims));
    }
    bench.memory.put_usage(&items, bench.now()).await.unwrap();
}

async fn used_in_hour(bench: &Bench, hours: i32, megabytes: &[(u8, u64)]) {
    used(bench, fleet(), UsageWindow::Hour(hour_ago(hours)), megabytes).await;
}

fn select(select: Value) -> Value {
    json!({ "action": "deactivate", "dry_run": true, "select": select })
}

/// The numbers of the SIMs in an answer, and their megabytes.
fn chosen(answer: &Value) -> Vec<(u64, Option<u64>)> {
    let of = |answer: &Value| {
        let sid: SimSid = answer["sim"].as_str().unwrap().parse().unwrap();
        let megabytes = answer["used_bytes"].as_u64().map(|bytes| bytes / Bytes::MB);
        (u64::from(sid.as_bytes()[0]), megabytes)
    };
    answer["sims"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn a_fleet_alone_means_all_its_sims_whatever_they_used() {
    let bench = Bench::new(12).await;
    bench.service.add_fleet(other_fleet(), "lake");
    bench.service.add_sim(Sim {
        sid: sim(50),
        iccid: None,
        unique_name: None,
        status: SimStatus::Active,
        fleet: Some(other_fleet()),
    });
    for called in ["river".to_owned(), fleet().to_string()] {
        let answer = bench.ask(select(json!({ "fleet": called }))).await;
        let expected: Vec<_> = (1..=12).map(|number| (number, None)).collect();
        assert_eq!(chosen(&answer), expected, "{called}");
        assert_eq!(answer["selected"]["fleet"], json!(fleet()));
        assert_eq!(answer["sims"][0]["name"], name(1));
    }
    let answer = bench.ask(select(json!({ "fleet": "sea" }))).await;
    assert!(answer["error"].as_str().unwrap().contains("no fleet \"sea\""), "{answer}");
    assert_eq!(bench.posts(), 0);
}

#[tokio::test]
async fn usage_of_known_hours_adds_up_and_the_largest_comes_first() {
    let bench = Bench::new(5).await;
    used_in_hour(&bench, 1, &[(1, 30), (2, 60)]).await;
    used_in_hour(&bench, 2, &[(1, 25), (3, 50)]).await;
    used_in_hour(&bench, 3, &[(3, 1), (4, 40), (5, 50)]).await;
    used_in_hour(&bench, 25, &[(4, 500), (5, 500)]).await;
    let asked = json!({ "fleet": "river", "used_more_than_mb": 50, "in_last_hours": 24 });
    let answer = bench.ask(select(asked)).await;
    let more_than_50 = [(2, Some(60)), (1, Some(55)), (3, Some(51))];
    assert_eq!(chosen(&answer), more_than_50, "more than 50, so that 50 are not enough");
    assert_eq!(
        answer["selected"],
        json!({
            "fleet": fleet(), "known_through": "2026-03-01T13Z", "hours_known": 3, "hours": 24,
            "sims_unranked": 0, "sims_moved": 0,
        })
    );
    let asked = json!({ "used_more_than_mb": 30, "in_last_hours": 1 });
    let answer = bench.ask(select(asked)).await;
    assert_eq!(chosen(&answer), [(2, Some(60))], "all fleets are meant where none is named");
    let answer = bench.ask(select(json!({ "used_more_than_mb": 999 }))).await;
    assert_eq!((&answer["sims"], &answer["error"]), (&json!([]), &Value::Null));
    assert_eq!(answer["digest"], Value::Null, "nobody is to be confirmed");
}

#[tokio::test]
async fn whole_days_stand_for_their_hours_in_a_long_look_back() {
    let bench = Bench::new(3).await;
    // From 14:00 on the first of March 60 hours back: of the days, only the one before is whole.
    let day = |days: i32| UsageWindow::day_of(hour_ago(24 * days));
    used(&bench, fleet(), day(1), &[(1, 40), (2, 5)]).await;
    used(&bench, fleet(), day(2), &[(2, 1_000)]).await;
    used_in_hour(&bench, 20, &[(1, 40)]).await;
    used_in_hour(&bench, 2, &[(1, 7)]).await;
    used_in_hour(&bench, 55, &[(1, 3)]).await;
    let asked = json!({ "fleet": "river", "used_more_than_mb": 4, "in_last_hours": 60 });
    let answer = bench.ask(select(asked)).await;
    let expected = [(1, Some(40 + 7 + 3)), (2, Some(5))];
    assert_eq!(chosen(&answer), expected, "no hour is counted twice, no day before its begin");
    assert_eq!(answer["selected"]["hours_known"], 24 + 2);
}

#[tokio::test]
async fn of_hours_without_records_events_tell_and_what_nobody_tells_selects_nobody() {
    let bench = Bench::new(4).await;
    used_in_hour(&bench, 3, &[(1, 30), (2, 30)]).await;
    bench.pass(-3_600);
    bench.appears(1, TABLET, 25_000_000).await;
    bench.pass(3_600);
    // Records say nothing of it yet, but it has an open incident.
    bench.steal_and_tell([3]).await;
    bench.pass(120);
    bench.appears(3, TABLET, 90_000_000).await;
    let answer = bench.ask(select(json!({ "fleet": "river", "used_more_than_mb": 50 }))).await;
    assert_eq!(chosen(&answer), [(3, Some(91)), (1, Some(55))]);
    assert_eq!(answer["selected"]["known_through"], "2026-03-01T11Z");
    assert_eq!(answer["selected"]["hours_known"], 1);
    // The records of that hour come, and stand for what events proved of it.
    used_in_hour(&bench, 2, &[(1, 26)]).await;
    used_in_hour(&bench, 1, &[(1, 1)]).await;
    let answer = bench.ask(select(json!({ "fleet": "river", "used_more_than_mb": 50 }))).await;
    let expected = [(3, Some(90)), (1, Some(57))];
    assert_eq!(chosen(&answer), expected, "also where they say less: it is the provider's count");
}

#[tokio::test]
async fn a_sim_that_left_the_fleet_is_not_meant() {
    let bench = Bench::new(3).await;
    bench.service.add_fleet(other_fleet(), "lake");
    used_in_hour(&bench, 1, &[(1, 60), (2, 60), (3, 60)]).await;
    let listed = |number: u8, fleet| Sim {
        sid: sim(number),
        iccid: None,
        unique_name: None,
        status: SimStatus::Active,
        fleet,
    };
    // The inventory knows of one, of the other only the provider does.
    let moved = UsageItem::Inventory(listed(2, Some(other_fleet())));
    bench.memory.put_usage(&[moved], bench.now()).await.unwrap();
    bench.service.add_sim(listed(3, Some(other_fleet())));
    let mut asked = select(json!({ "fleet": "river", "used_more_than_mb": 50 }));
    let answer = bench.ask(asked.clone()).await;
    assert_eq!(chosen(&answer), [(1, Some(60)), (3, Some(60))]);
    assert_eq!(answer["selected"]["sims_moved"], 1);
    asked["dry_run"] = json!(false);
    let answer = bench.ask(asked).await;
    assert_eq!(answer["sims"][0]["outcome"], "done");
    assert_eq!(answer["sims"][1]["outcome"], "refused");
    let reason = answer["sims"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("does not belong to the selected fleet"), "{reason}");
    assert_eq!((bench.posts(), bench.status(3)), (1, SimStatus::Active));
    // The same as a list, as somebody confirmed it who was shown the selection.
    let mut listed = request("deactivate", &[&sim(2).to_string(), &sim(3).to_string()]);
    listed["of_fleet"] = json!(fleet());
    let answer = bench.ask(listed).await;
    assert_eq!(answer["sims"][0]["outcome"], "done", "it is where it was: {answer}");
    assert_eq!(answer["sims"][1]["outcome"], "refused");
    assert_eq!((bench.posts(), bench.status(3)), (2, SimStatus::Active));
}

#[tokio::test]
async fn more_than_ten_are_done_with_the_digest_of_the_same_set_and_act_only() {
    let bench = Bench::new(12).await;
    let names: Vec<String> = (1..=11).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let kill = request("deactivate", &names);
    let refused = bench.ask(kill.clone()).await;
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("11 SIMs") && error.contains("nothing was done"), "{error}");
    assert_eq!((&refused["sims"], &refused["sims_all"]), (&json!([]), &json!(11)));
    let mut dry = kill.clone();
    dry["dry_run"] = json!(true);
    let dry = bench.ask(dry).await;
    assert_eq!(dry["digest"], refused["digest"]);
    assert_eq!(dry["sims"].as_array().unwrap().len(), 11);
    assert!(dry["sims"].as_array().unwrap().iter().all(|sim| sim["outcome"] == "pending"));
    let digest = dry["digest"].as_str().unwrap();
    let confirmed = |mut request: Value, change: &dyn Fn(&mut Value)| {
        request["confirm"] = json!(digest);
        change(&mut request);
        request
    };
    for (what, other) in [
        (
            "one less",
            confirmed(kill.clone(), &|asked| _ = asked["sims"].as_array_mut().unwrap().pop()),
        ),
        (
            "one more",
            confirmed(kill.clone(), &|asked| {
                asked["sims"].as_array_mut().unwrap().push(json!(name(12)));
            }),
        ),
        ("another", confirmed(kill.clone(), &|asked| asked["sims"][0] = json!(name(12)))),
        ("another act", confirmed(kill.clone(), &|asked| asked["action"] = json!("restore"))),
        (
            "overriding",
            confirmed(kill.clone(), &|asked| asked["override_protection"] = json!(true)),
        ),
        (
            "a wrong digest",
            confirmed(kill.clone(), &|asked| asked["confirm"] = json!("0123456789ab")),
        ),
    ] {
        let answer = bench.ask(other).await;
        assert!(answer["error"].as_str().unwrap().contains("confirms something else"), "{what}");
        assert_eq!((&answer["sims"], bench.posts()), (&json!([]), 0), "{what}");
    }
    let reordered = confirmed(kill, &|asked| {
        asked["sims"].as_array_mut().unwrap().reverse();
        asked["sims"].as_array_mut().unwrap().push(json!(name(1)));
    });
    let answer = bench.ask(reordered).await;
    let called: Vec<&str> = answer["sims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sim| sim["requested"].as_str().unwrap())
        .collect();
    assert_eq!(called, names.iter().rev().copied().collect::<Vec<_>>(), "in the order asked for");
    assert!(answer["sims"].as_array().unwrap().iter().all(|sim| sim["outcome"] == "done"));
    assert_eq!((bench.posts(), &answer["digest"]), (11, &Value::Null));
    let alerts = bench.alerts.published();
    assert_eq!(alerts.len(), 1, "one alert for all");
    assert_eq!(alerts[0].subject, "SimFuse: 11 SIMs are to be deactivated");
    bench.minutes(5).await;
    assert_eq!(bench.alerts.published().len(), 1);
    bench.check_audit(1);
}

#[tokio::test]
async fn a_selection_that_changed_is_not_what_was_confirmed() {
    let bench = Bench::new(13).await;
    let all: Vec<(u8, u64)> = (1..=11).map(|number| (number, 60)).collect();
    used_in_hour(&bench, 1, &all).await;
    let mut asked = select(json!({ "fleet": "river", "used_more_than_mb": 50 }));
    let dry = bench.ask(asked.clone()).await;
    assert_eq!(dry["sims"].as_array().unwrap().len(), 11);
    used_in_hour(&bench, 2, &[(12, 51)]).await;
    asked["dry_run"] = json!(false);
    asked["confirm"] = dry["digest"].clone();
    let changed = bench.ask(asked.clone()).await;
    assert!(changed["error"].as_str().unwrap().contains("These are 12 SIMs"), "{changed}");
    assert_eq!(bench.posts(), 0);
    asked["confirm"] = changed["digest"].clone();
    let answer = bench.ask(asked).await;
    assert_eq!((answer["sims"].as_array().unwrap().len(), bench.posts()), (12, 12));
}

#[tokio::test]
async fn all_that_the_cap_holds_is_approved_with_a_digest_above_ten() {
    let bench = Bench::new(17).await;
    bench.steal_and_tell(1..=17).await;
    assert_eq!(bench.posts(), 5);
    let refused = bench.ask(request("approve", &[])).await;
    assert!(refused["error"].as_str().unwrap().contains("12 SIMs"), "{refused}");
    assert_eq!(bench.posts(), 5);
    let mut dry = request("approve", &[]);
    dry["dry_run"] = json!(true);
    let dry = bench.ask(dry).await;
    let why = dry["sims"][0]["reason"].as_str().unwrap();
    assert!(why.starts_with("would be deactivated, it is active: "), "{why}");
    let mut confirmed = request("approve", &[]);
    confirmed["confirm"] = dry["digest"].clone();
    let answer = bench.ask(confirmed.clone()).await;
    assert!(answer["sims"].as_array().unwrap().iter().all(|sim| sim["outcome"] == "done"));
    assert_eq!(bench.posts(), 17);
    let answer = bench.ask(confirmed).await;
    assert_eq!((&answer["sims"], &answer["error"]), (&json!([]), &Value::Null), "none is held");
}

#[tokio::test]
async fn a_name_that_means_two_sims_is_ambiguous_and_nothing_is_done() {
    let bench = Bench::new(2).await;
    // One SIM is called what is printed on another.
    let called = |number: u8, name: String| Sim {
        sid: sim(number),
        iccid: iccid(number).parse().ok(),
        unique_name: Some(name),
        status: SimStatus::Active,
        fleet: Some(fleet()),
    };
    bench.service.add_sim(called(3, iccid(1)));
    let (outcome, reason) = bench.act("deactivate", &iccid(1)).await;
    assert_eq!(outcome, "ambiguous");
    let expected =
        format!("it is the ICCID of {} and the unique name of {}: name the SID", sim(1), sim(3));
    assert_eq!((reason, bench.posts()), (expected, 0));
    // One that is called by its own ICCID, or as nobody's ICCID, is not.
    bench.service.add_sim(called(4, iccid(4)));
    assert_eq!(bench.act("deactivate", &iccid(4)).await.0, "done");
    bench.service.add_sim(called(5, iccid(200)));
    assert_eq!(bench.act("deactivate", &iccid(200)).await.0, "done");
    assert_eq!((bench.status(4), bench.status(5)), (SimStatus::Inactive, SimStatus::Inactive));
    // As long as nobody can say whether a name is one SIM's only, it is not taken for one.
    let name = FaultRule::once(Fault::Status(503)).of(sim(3)).on(Requests::Reads);
    bench.service.inject(name);
    assert_eq!(bench.act("deactivate", &iccid(1)).await.0, "unreachable");
    assert_eq!(bench.status(1), SimStatus::Active);
}

#[tokio::test]
async fn a_sim_that_is_named_twice_is_asked_for_once() {
    let bench = Bench::new(2).await;
    let (sid, iccid) = (sim(1).to_string(), iccid(1));
    let shouted = format!("HS{}", sid.trim_start_matches("HS").to_uppercase());
    let names = [name(1), sid.clone(), name(1), shouted, name(2), iccid.clone()];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let answer = bench.ask(request("deactivate", &names)).await;
    let outcomes: Vec<(&str, &str)> = answer["sims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sim| (sim["requested"].as_str().unwrap(), sim["outcome"].as_str().unwrap()))
        .collect();
    let of = |name: &str| outcomes.iter().find(|(other, _)| *other == name).unwrap().1;
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
    let same = [of(&name(1)), of(&sid), of(&iccid)];
    assert_eq!(same.iter().filter(|outcome| **outcome == "done").count(), 1, "{same:?}");
    assert_eq!(same.iter().filter(|outcome| **outcome == "already").count(), 2, "{same:?}");
    assert_eq!(
        (bench.asked(1), bench.asked(2)),
        (vec!["inactive".into()], vec!["inactive".into()])
    );
}

#[tokio::test]
async fn what_is_scheduled_already_is_not_asked_for_again() {
    use jiff::SignedDuration;
    use simfuse_testkit::service::Behaviour;
    let bench = Bench::new(1).await;
    let after = SignedDuration::from_mins(2);
    bench.service.set_behaviour(sim(1), Behaviour::Scheduled { after });
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "pending");
    let (outcome, reason) = bench.act("deactivate", &name(1)).await;
    assert_eq!(outcome, "pending");
    assert!(reason.contains("took the request before"), "{reason}");
    assert_eq!(bench.posts(), 1);
    bench.minutes(4).await;
    assert_eq!((bench.posts(), bench.status(1)), (1, SimStatus::Inactive));
}

#[tokio::test]
async fn status_lists_who_needs_a_look_and_says_how_many_more() {
    let bench = Bench::new(40).await;
    bench
        .service
        .inject(FaultRule::once(Fault::Status(401)).on(Requests::StatusUpdates).of(sim(2)));
    for number in 1..=40 {
        bench.steal_and_tell([number]).await;
        bench.pass(1);
    }
    bench.pass(120);
    bench.appears(6, TABLET, 3_000_000).await;
    let status = bench.ask(request("status", &[])).await["status"].take();
    let listed = status["attention"].as_array().unwrap();
    assert_eq!((listed.len(), &status["attention_more"]), (20, &json!(20)));
    assert_eq!((&listed[0]["name"], &listed[0]["paged"]), (&json!(name(2)), &json!(true)));
    assert_eq!(listed[0]["stage"], "refused");
    assert!(listed[1..].iter().all(|sim| sim["paged"] == false));
    let held = &listed[1];
    let expected = json!({
        "sim": sim(6), "name": name(6), "stage": "held (cap on kills reached)", "paged": false,
        "since": held["since"], "imei": TABLET, "tac": &TABLET[..8], "used_bytes": 3_000_000,
        "next_step": "approve it, or let it be: it is not deactivated by itself",
        "command": format!("simfuse approve {} --reason \"...\"", sim(6)),
    });
    assert_eq!(*held, expected, "held ones come next, the oldest first");
}

#[tokio::test]
async fn status_names_what_is_only_told_and_says_who_acted_and_what_was_used() {
    let policy = crate::bench::STRICT.replace("act = \"deactivate\"", "act = \"alert\"");
    let policy = policy.replace("strict", "learnt");
    let bench = Bench::with(2, &policy, simfuse_domain::policy::Mode::Observe).await;
    bench.appears(1, TABLET, 9_000_000).await;
    assert!(bench.deliver().await);
    let status = bench.ask(request("status", &[])).await["status"].take();
    assert_eq!((&status["open"], &status["held"]), (&json!(1), &json!(0)));
    let listed = &status["attention"][0];
    assert_eq!((&listed["name"], &listed["stage"]), (&json!(name(1)), &json!("alerted")));
    assert_eq!(listed["used_bytes"], 9_000_000);
    let details = async || {
        let answer = bench.ask(request("status", &[&name(1)])).await;
        answer["sims"][0]["details"].clone()
    };
    let found = details().await;
    assert_eq!(found["used_bytes"], 9_000_000);
    assert_eq!(found["used_since"], "2026-03-01T13:00:00Z", "the begin of the limit's hour");
    assert_eq!(found.get("acted"), None, "nobody did anything");
    assert_eq!(bench.act("deactivate", &name(1)).await.0, "done");
    assert_eq!(details().await["acted"], "ops: a test");
    bench.happen_proof(1).await;
    let over = details().await;
    assert_eq!((&over["stage"], &over["last_incident"]), (&Value::Null, &json!("proven, filed")));
    assert_eq!(over["acted"], "ops: a test", "also once it is over");
    assert_eq!(bench.act("restore", &name(1)).await.0, "done");
    assert_eq!(details().await.get("used_bytes"), None, "what was judged is not counted");
    let status = bench.ask(request("status", &[])).await["status"].take();
    assert_eq!((&status["restored"], status.get("attention")), (&json!(1), None));
}
