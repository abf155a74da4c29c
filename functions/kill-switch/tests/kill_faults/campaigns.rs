//! Many SIMs of one fleet within hours: a handful of messages that name all, each alert told once,
//! whichever call fails or is the last.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use simfuse_domain::alert::Alert;
use simfuse_domain::id::SimSid;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{Cases as _, Sim, SimStatus};
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{
    Bench, PHONE, STRICT, TABLET, TestSwitch, fleet, name, rejection, request, session, sim,
};
use crate::crashes::{TRAPS, invoke};
use crate::gate::{Gate, Trap};

const SIMS: u16 = 400;

/// As strict, and no cap is in the way.
fn uncapped() -> String {
    let cap = "max_kills = { count = 5, window_mins = 60 }";
    let more = "{ count = 1000, window_mins = 60 }";
    STRICT.replace(cap, &format!("max_kills = {more}\naccount_max_kills = {more}"))
}

fn one_of_many(number: u16) -> SimSid {
    let [high, low] = number.to_be_bytes();
    SimSid::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, high, low])
}

fn name_of(number: u16) -> String {
    format!("meter-{number}")
}

/// Each id of an alert, with the messages that told it and what they say was done.
fn tellings(alerts: &[Alert]) -> BTreeMap<String, Vec<(String, String)>> {
    let mut told: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for alert in alerts {
        let own = vec![alert.id.clone()];
        for id in if alert.tells.is_empty() { &own } else { &alert.tells } {
            let telling = (alert.id.clone(), alert.action.clone());
            told.entry(id.clone()).or_default().push(telling);
        }
    }
    told
}

async fn all_fall_silent(bench: &Bench) {
    for number in 1..=SIMS {
        let mut event = rejection(1, bench.now());
        (event.sim, event.unique_name) = (one_of_many(number), Some(name_of(number)));
        bench.happen(one_of_many(number), &[event]).await;
    }
}

#[tokio::test]
async fn of_four_hundred_stolen_sims_a_handful_of_messages_tells_and_names_each_once() {
    let bench = Bench::with(0, &uncapped(), Mode::Enforce).await;
    for number in 1..=SIMS {
        let (sid, unique_name) = (one_of_many(number), Some(name_of(number)));
        let (status, fleet) = (SimStatus::Active, Some(fleet()));
        bench.service.add_sim(Sim { sid, iccid: None, unique_name, status, fleet });
        let mut event = session(1, TABLET, bench.now(), 1_000_000);
        (event.sim, event.unique_name) = (sid, Some(name_of(number)));
        bench.happen(sid, &[event]).await;
    }
    assert!(bench.deliver().await);
    assert_eq!(bench.posts(), usize::from(SIMS), "each is switched off before anyone is told");
    bench.minutes(2).await;
    all_fall_silent(&bench).await;
    bench.minutes(30).await;

    let alerts = bench.alerts.published();
    for action in ["deactivated", "proven"] {
        let of: Vec<&Alert> = alerts.iter().filter(|alert| alert.action == action).collect();
        let together = of.iter().filter(|alert| !alert.tells.is_empty()).count();
        assert_eq!(of.len() - together, 10, "{action} alone");
        assert!((1..=6).contains(&together), "{action}: {together} messages");
        let emails: String = of.iter().map(|alert| alert.email.as_str()).collect();
        for number in 1..=SIMS {
            assert!(
                emails.contains(&format!("({})", one_of_many(number)))
                    || emails.contains(&format!("SIM        {}", one_of_many(number))),
                "{number}"
            );
        }
    }
    let tellings = tellings(&alerts);
    assert_eq!(tellings.len(), 2 * usize::from(SIMS), "killed and proven, of each");
    assert!(tellings.values().all(|by| by.len() == 1), "once each");
    for number in 1..=SIMS {
        let case = bench.memory.read_case(one_of_many(number)).await.unwrap();
        assert!(case.incident.is_none(), "{number} is filed");
    }
}

/// Six SIMs are stolen, of which two are told alone.
const FEW: u8 = 6;

/// Lets six SIMs be stolen and the sweep tell, with the trap in this sweep; then all goes well.
/// Says whether the trap was reached.
async fn told_with(trap: Option<Trap>, sweep: usize) -> (Bench, usize) {
    let bench = Bench::with(FEW, &uncapped(), Mode::Enforce).await;
    let calm = bench.gathering(Gate::new(None));
    for number in 1..=FEW {
        bench.steal(number).await;
    }
    invoke(&calm, &Gate::new(None), bench.stream()).await;
    let gate = Gate::new(trap);
    let trapped = bench.gathering(gate.clone());
    for minute in 0..20 {
        bench.pass(60);
        if minute == 1 {
            for number in 1..=FEW {
                bench.happen(sim(number), &[rejection(number, bench.now())]).await;
            }
        }
        if minute == sweep {
            invoke(&trapped, &gate, json!({ "sweep": true })).await;
        } else {
            invoke(&calm, &Gate::new(None), json!({ "sweep": true })).await;
        }
    }
    (bench, gate.calls())
}

fn check(bench: &Bench, what: &str) {
    let alerts = bench.alerts.published();
    let tellings = tellings(&alerts);
    for action in ["deactivated", "proven"] {
        let told = tellings.iter().filter(|(_, by)| by.iter().all(|(_, told)| told == action));
        let told: Vec<_> = told.collect();
        assert_eq!(told.len(), usize::from(FEW), "{what}: {action} {told:?}");
        for (id, by) in told {
            let messages: BTreeSet<&str> = by.iter().map(|(message, _)| message.as_str()).collect();
            assert_eq!(messages.len(), 1, "{what}: {id} went out in {by:?}");
        }
        let alone = alerts.iter().filter(|a| a.action == action && a.tells.is_empty());
        let alone: BTreeSet<&str> = alone.map(|alert| alert.id.as_str()).collect();
        assert_eq!(alone.len(), 2, "{what}: {action} alone {alone:?}");
    }
    let mut copies: BTreeMap<&str, Vec<&Alert>> = BTreeMap::new();
    for alert in &alerts {
        copies.entry(&alert.id).or_default().push(alert);
    }
    for (id, copies) in copies {
        // How far each SIM is by then is told anew, of which SIMs is not.
        let same =
            |copy: &&Alert| (&copy.tells, &copy.subject) == (&copies[0].tells, &copies[0].subject);
        assert!(copies.iter().all(same), "{what}: {id} changed");
        assert!(copies.len() <= 2, "{what}: {id} came {} times", copies.len());
    }
}

#[tokio::test]
async fn without_a_fault_nothing_comes_twice() {
    let (bench, _) = told_with(None, 0).await;
    check(&bench, "calm");
    assert!(tellings(&bench.alerts.published()).values().all(|by| by.len() == 1));
    for number in 1..=FEW {
        assert_eq!(bench.stage(number).await, "none");
    }
}

#[tokio::test(start_paused = true)]
async fn whichever_call_of_a_sweep_fails_or_is_the_last_each_alert_is_told_in_one_message() {
    for trap in TRAPS {
        for sweep in [0, 2] {
            let mut reached = 0;
            for call in 1.. {
                let (bench, calls) = told_with(Some(trap(call)), sweep).await;
                if calls < call {
                    break;
                }
                reached = call;
                check(&bench, &format!("{:?} in sweep {sweep}", trap(call)));
                for number in 1..=FEW {
                    assert_eq!(bench.stage(number).await, "none", "{:?}", trap(call));
                }
            }
            assert!(reached > 5, "a sweep has more calls than {reached}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_fails_makes_a_campaign_later_and_no_other() {
    for failures in [1, 3, 9, 30] {
        let bench = Bench::with(FEW, &uncapped(), Mode::Enforce).await;
        let calm = bench.gathering(Gate::new(None));
        for number in 1..=FEW {
            bench.steal(number).await;
        }
        bench.alerts.fail_next(failures);
        invoke(&calm, &Gate::new(None), bench.stream()).await;
        for _minute in 0..40 {
            bench.pass(60);
            invoke(&calm, &Gate::new(None), json!({ "sweep": true })).await;
        }
        let tellings = tellings(&bench.alerts.published());
        assert_eq!(tellings.len(), usize::from(FEW), "{failures} failures");
        assert!(tellings.values().all(|by| by.len() == 1), "{failures} failures: {tellings:?}");
    }
}

#[tokio::test]
async fn what_is_found_of_a_sim_that_waits_to_be_told_is_judged_after_it() {
    let bench = Bench::with(FEW, &uncapped(), Mode::Enforce).await;
    let calm = bench.gathering(Gate::new(None));
    for number in 1..=FEW {
        bench.steal(number).await;
    }
    invoke(&calm, &Gate::new(None), bench.stream()).await;
    bench.pass(60);
    invoke(&calm, &Gate::new(None), json!({ "sweep": true })).await;
    for number in 1..=FEW {
        bench.happen(sim(number), &[rejection(number, bench.now())]).await;
    }
    // Topics that fail keep all of them open, though they are proven.
    bench.alerts.fail_next(100);
    bench.pass(60);
    invoke(&calm, &Gate::new(None), json!({ "sweep": true })).await;
    assert_eq!(bench.stage(FEW).await, "proven");
    bench.pass(300);
    bench.appears(FEW, PHONE, 1_000_000).await;
    invoke(&calm, &Gate::new(None), bench.stream()).await;
    assert_eq!(bench.stage(FEW).await, "proven", "it is told first");
    bench.alerts.fail_next(0);
    for _minute in 0..20 {
        bench.pass(60);
        invoke(&calm, &Gate::new(None), json!({ "sweep": true })).await;
    }
    let told: Vec<String> = bench.told(FEW);
    assert!(told.contains(&"leaking".to_owned()), "{told:?}");
}

/// Six SIMs are stolen, of which four wait to be told together.
async fn many_wait() -> (Bench, TestSwitch) {
    let bench = Bench::with(FEW, &uncapped(), Mode::Enforce).await;
    let calm = bench.gathering(Gate::new(None));
    for number in 1..=FEW {
        bench.steal(number).await;
    }
    calm.handle(bench.stream()).await.unwrap();
    assert_eq!(bench.alerts.published().len(), 2);
    (bench, calm)
}

async fn sweep(bench: &Bench, switch: &TestSwitch) -> Result<(), String> {
    bench.pass(60);
    let swept = switch.handle(json!({ "sweep": true })).await;
    swept.map(drop).map_err(|error| error.to_string())
}

fn together(bench: &Bench) -> Vec<Alert> {
    bench.alerts.published().into_iter().filter(|alert| !alert.tells.is_empty()).collect()
}

fn is_told_once_each(bench: &Bench) {
    let tellings = tellings(&bench.alerts.published());
    assert_eq!(tellings.len(), usize::from(FEW), "{tellings:?}");
    assert!(tellings.values().all(|by| by.len() == 1), "{tellings:?}");
}

#[tokio::test]
async fn what_was_restored_meanwhile_is_told_as_restored() {
    let (bench, calm) = many_wait().await;
    let last = bench.alerts.published().iter().map(|alert| alert.id.clone()).collect::<String>();
    let waits: Vec<u8> =
        (1..=FEW).filter(|number| !last.contains(&sim(*number).to_string())).collect();
    calm.handle(request("restore", &[&name(waits[0])])).await.unwrap();
    sweep(&bench, &calm).await.unwrap();
    let [message] = together(&bench).try_into().unwrap();
    let restored = format!("- {} ({}), restored", name(waits[0]), sim(waits[0]));
    assert!(message.email.contains(&restored), "{}", message.email);
    let dead = format!("- {} ({}), inactive", name(waits[1]), sim(waits[1]));
    assert!(message.email.contains(&dead), "{}", message.email);
}

#[tokio::test]
async fn what_cannot_wait_is_told_within_two_minutes_however_many_messages_there_were() {
    let bench = Bench::with(40, &uncapped(), Mode::Enforce).await;
    let calm = bench.gathering(Gate::new(None));
    for number in 1..=40 {
        bench.steal(number).await;
        calm.handle(bench.stream()).await.unwrap();
        let killed_at = bench.now();
        let is_told = |bench: &Bench| {
            let told: Vec<String> = tellings(&bench.alerts.published()).into_keys().collect();
            told.iter().any(|id| id.starts_with(&sim(number).to_string()))
        };
        let mut sweeps = 0;
        while !is_told(&bench) {
            sweep(&bench, &calm).await.unwrap();
            sweeps += 1;
            let waited = bench.now().duration_since(killed_at).as_secs();
            assert!(waited <= 120, "{number}: {sweeps} sweeps");
        }
    }
    assert!(together(&bench).len() > 10, "{}", together(&bench).len());
}

/// A SIM that was held, of which a new finding makes policy deactivate it, while its first alert is
/// still to be told.
async fn to_be_killed_and_told() -> Bench {
    let bench = Bench::with(1, &uncapped().replace("enforce", "observe"), Mode::Enforce).await;
    bench.alerts.fail_next(1);
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.stage(1).await, "held (observe mode)");
    bench.apply(&uncapped()).await;
    bench.pass(60);
    bench.appears(1, PHONE, 1_000_000).await;
    bench
}

#[tokio::test(start_paused = true)]
async fn no_kill_waits_for_a_campaign_that_is_not_read() {
    for is_swept in [false, true] {
        let bench = to_be_killed_and_told().await;
        bench.table.fail(Method::ReadCampaign, Fault::Hangs, 1_000);
        bench.table.fail(Method::ReadTexts, Fault::Hangs, 1_000);
        let payload = if is_swept { json!({ "sweep": true }) } else { bench.stream() };
        bench.pass(61);
        let handled = bench.switch.handle(payload);
        drop(tokio::time::timeout(std::time::Duration::from_secs(60), handled).await);
        assert_eq!(bench.asked(1), ["inactive"], "swept: {is_swept}");
    }
}

#[tokio::test]
async fn where_a_campaign_cannot_be_read_each_is_told_alone_and_the_sweep_says_so() {
    let (bench, calm) = many_wait().await;
    bench.table.fail(Method::ReadCampaign, Fault::Refused, 100);
    let error = sweep(&bench, &calm).await.unwrap_err();
    assert!(error.contains("for good"), "{error}");
    assert_eq!(together(&bench), []);
    is_told_once_each(&bench);
}

#[tokio::test]
async fn where_it_is_not_known_whether_alerts_are_many_they_wait_for_two_minutes_only() {
    let (bench, calm) = many_wait().await;
    bench.table.fail(Method::ReadCampaign, Fault::Unreachable, 100);
    sweep(&bench, &calm).await.unwrap();
    assert_eq!(bench.alerts.published().len(), 2);
    sweep(&bench, &calm).await.unwrap();
    assert_eq!(together(&bench), []);
    is_told_once_each(&bench);
}

#[tokio::test]
async fn a_message_that_is_refused_for_good_is_told_in_short_and_the_sweep_says_so() {
    let (bench, calm) = many_wait().await;
    bench.topic.fail(Method::Publish, Fault::Refused, 1);
    let error = sweep(&bench, &calm).await.unwrap_err();
    assert!(error.contains("for good"), "{error}");
    let [message] = together(&bench).try_into().unwrap();
    assert!(message.email.starts_with("This alert was refused as it was"), "{}", message.email);
    for id in &message.tells {
        let sim = id.split('-').next().unwrap();
        assert!(message.email.contains(sim), "{}", message.email);
    }
    sweep(&bench, &calm).await.unwrap();
    is_told_once_each(&bench);
}

#[tokio::test]
async fn one_sim_that_cannot_be_read_keeps_back_no_other() {
    let mut reached = 0;
    for call in 0.. {
        let (bench, calm) = many_wait().await;
        let before = bench.table.calls(Method::ReadCase);
        bench.table.pass(Method::ReadCase, call);
        bench.table.fail(Method::ReadCase, Fault::Refused, 1);
        let swept = sweep(&bench, &calm).await;
        if bench.table.calls(Method::ReadCase) - before <= call {
            break;
        }
        reached += 1;
        swept.unwrap_err();
        let told = tellings(&bench.alerts.published()).len();
        assert!(told >= usize::from(FEW) - 1, "call {call}: {told} are told at once");
        for _minute in 0..10 {
            sweep(&bench, &calm).await.unwrap();
        }
        is_told_once_each(&bench);
    }
    assert!(reached >= 8, "{reached}");
}

#[tokio::test]
async fn one_alert_that_cannot_be_taken_off_holds_up_no_message_and_is_not_told_again() {
    let (bench, calm) = many_wait().await;
    bench.table.fail(Method::Commit, Fault::Refused, 1);
    sweep(&bench, &calm).await.unwrap_err();
    assert_eq!(together(&bench).len(), 1);
    for number in 1..=FEW {
        bench.happen(sim(number), &[rejection(number, bench.now())]).await;
    }
    for _minute in 0..20 {
        sweep(&bench, &calm).await.unwrap();
    }
    check(&bench, "not taken off");
    for number in 1..=FEW {
        assert_eq!(bench.stage(number).await, "none");
    }
}

#[tokio::test]
async fn what_a_human_does_to_many_hides_no_theft() {
    let bench = Bench::with(FEW, &uncapped(), Mode::Enforce).await;
    let calm = bench.gathering(Gate::new(None));
    let names = [1, 2, 3, 4].map(name);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    calm.handle(request("deactivate", &names)).await.unwrap();
    assert_eq!(bench.alerts.published().len(), 2, "the others wait");
    for number in [5, 6] {
        bench.steal(number).await;
    }
    calm.handle(bench.stream()).await.unwrap();
    assert_eq!((bench.told(5).len(), bench.told(6).len()), (1, 1), "alone, at once");
    sweep(&bench, &calm).await.unwrap();
    let [message] = together(&bench).try_into().unwrap();
    assert!(message.email.contains("as was asked"), "{}", message.email);
    is_told_once_each(&bench);
}

#[tokio::test]
async fn of_an_attack_on_many_thirty_at_most_go_out_by_sms_in_an_hour_and_all_by_mail() {
    let sims = 40;
    let bench = Bench::with(sims, &uncapped(), Mode::Enforce).await;
    let each_alone = bench.gathering(Gate::new(None)).telling_alone(1_000);
    for number in 1..=sims {
        bench.steal(number).await;
    }
    each_alone.handle(bench.stream()).await.unwrap();
    let alerts = bench.alerts.published();
    let texted = |alerts: &[Alert]| alerts.iter().filter(|alert| alert.sms.is_some()).count();
    let said = alerts.iter().filter(|alert| alert.id.starts_with("texts-")).count();
    assert_eq!(said, 1, "one SMS says that there are no more");
    assert_eq!(texted(&alerts), 20 + said, "the others of thirty are kept");
    assert_eq!(alerts.len(), usize::from(sims) + said, "all by mail");
    let later = bench.alerts.published().len();
    bench.pass(3_600);
    bench.appears(1, PHONE, 1_000_000).await;
    for _minute in 0..5 {
        sweep(&bench, &each_alone).await.unwrap();
    }
    let alerts = bench.alerts.published();
    assert!(texted(&alerts[later..]) > 0, "another hour");
}

#[tokio::test]
async fn whatever_is_not_known_of_sms_they_go_out() {
    let faults = [Fault::Throttled, Fault::Unreachable, Fault::LostAnswer, Fault::Refused];
    for fault in faults {
        for method in [Method::ReadTexts, Method::WriteTexts] {
            let bench = Bench::with(1, &uncapped(), Mode::Enforce).await;
            bench.table.fail(method, fault, 1);
            bench.steal_and_tell([1]).await;
            let [alert] = bench.alerts.published().try_into().unwrap();
            assert!(alert.sms.is_some(), "{method} {fault:?}");
        }
    }
}
