//! A provider that throttles, fails, hangs, refuses, schedules, lies, and is late.

use jiff::SignedDuration;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::SimStatus;
use simfuse_testkit::faulty::{self, Method};
use simfuse_testkit::service::{Behaviour, Fault, FaultRule, LateAnswer, Requests};

use crate::bench::{Bench, STRICT, TABLET, name, rejection, request, session, sim};

/// The SIM ends inactive and, once the network refuses it, proven dead.
async fn ends_dead(bench: &Bench, minutes: usize) {
    let mut waited = 0;
    while bench.status(1) != SimStatus::Inactive {
        bench.minutes(1).await;
        waited += 1;
        assert!(waited <= minutes, "not off after {minutes} minutes: {}", bench.stage(1).await);
    }
    bench.pass(30);
    bench.happen(sim(1), &[rejection(1, bench.now())]).await;
    bench.minutes(6).await;
    assert_eq!(bench.stage(1).await, "none");
    let past = bench.memory.past_incidents(sim(1));
    assert_eq!(past.last().unwrap().stage.to_string(), "proven");
    bench.check_audit(1);
}

#[tokio::test]
async fn a_theft_ends_in_a_proven_death_with_one_request() {
    let bench = Bench::new(2).await;
    bench.steal_and_tell([1]).await;
    ends_dead(&bench, 0).await;
    assert_eq!(bench.asked(1), ["inactive"]);
    assert_eq!(bench.told(1), ["deactivated", "proven"]);
    assert_eq!((bench.asked(2).len(), bench.status(2)), (0, SimStatus::Active));
}

#[tokio::test]
async fn what_fails_for_a_while_is_repeated_until_it_is_done() {
    for (status, requests) in [
        (429, Requests::StatusUpdates),
        (429, Requests::All),
        (500, Requests::StatusUpdates),
        (503, Requests::Reads),
    ] {
        for times in [1, 2, 5] {
            let bench = Bench::new(1).await;
            bench.service.inject(FaultRule::once(Fault::Status(status)).on(requests).times(times));
            bench.steal_and_tell([1]).await;
            assert_eq!(bench.status(1), SimStatus::Active);
            ends_dead(&bench, 20).await;
            let told = bench.told(1);
            let told: Vec<&str> =
                told.iter().map(String::as_str).filter(|told| *told != "unreachable").collect();
            assert_eq!(told, ["deactivated", "proven"], "{status} {requests:?} {times}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_stays_down_is_asked_on_and_a_human_is_paged_once() {
    for requests in [Requests::All, Requests::StatusUpdates] {
        let bench = Bench::new(1).await;
        let down = FaultRule::once(Fault::Status(503)).on(requests).times(u32::MAX);
        bench.service.inject(down);
        bench.steal_and_tell([1]).await;
        bench.minutes(9).await;
        assert_eq!(bench.told(1), Vec::<String>::new());
        bench.minutes(2).await;
        assert_eq!(bench.told(1), ["unreachable"], "after 10 minutes, whatever the pauses");
        bench.minutes(60).await;
        assert_eq!(bench.told(1), ["unreachable"]);
        bench.service.clear_faults();
        ends_dead(&bench, 7).await;
        assert_eq!(bench.told(1), ["unreachable", "deactivated", "proven"]);
    }
}

#[tokio::test]
async fn refused_credentials_are_paged_at_once_and_tried_on() {
    for requests in [Requests::All, Requests::StatusUpdates] {
        let bench = Bench::new(1).await;
        let down = FaultRule::once(Fault::Status(401)).on(requests).times(u32::MAX);
        bench.service.inject(down);
        bench.steal_and_tell([1]).await;
        assert_eq!(bench.told(1), ["unreachable"]);
        bench.minutes(30).await;
        assert_eq!(bench.told(1), ["unreachable"], "once");
        assert!(bench.service.requests().len() > 5, "never given up");
        bench.service.clear_faults();
        ends_dead(&bench, 7).await;
    }
}

#[tokio::test]
async fn a_provider_that_refuses_is_no_trouble_where_nothing_would_be_done() {
    let observes = STRICT.replace("mode = \"enforce\"", "mode = \"observe\"");
    let stops: [(&str, Mode, bool, &str); 3] = [
        (&observes, Mode::Enforce, false, "held (observe mode)"),
        (STRICT, Mode::Observe, false, "held (observe mode)"),
        (STRICT, Mode::Enforce, true, "held (stopped by an operator)"),
    ];
    for (policy, armed, is_stopped, stage) in stops {
        let bench = Bench::with(1, policy, armed).await;
        if is_stopped {
            bench.ask(request("stop", &[])).await;
        }
        bench.service.inject(FaultRule::once(Fault::Status(401)).times(u32::MAX));
        bench.steal_and_tell([1]).await;
        bench.minutes(30).await;
        assert_eq!(
            (bench.stage(1).await.as_str(), bench.told(1)),
            (stage, vec!["held".to_owned()])
        );
    }
}

#[tokio::test]
async fn many_that_a_provider_refuses_are_told_together() {
    let bench = Bench::new(40).await;
    bench.service.inject(FaultRule::once(Fault::Status(401)).times(u32::MAX));
    bench.steal_and_tell(1..=40).await;
    bench.minutes(8).await;
    let pages = bench.alerts.published();
    let pages = pages.iter().filter(|alert| alert.action == "unreachable");
    let (together, alone): (Vec<_>, Vec<_>) = pages.partition(|alert| !alert.tells.is_empty());
    assert_eq!(alone.len(), 10);
    assert!((1..=3).contains(&together.len()), "{}", together.len());
    assert_eq!(together.iter().map(|alert| alert.tells.len()).sum::<usize>(), 30);
    let mail = &together[0].email;
    assert!(mail.contains(" are NOT in the status they should have"), "{mail}");
    assert!(mail.contains("401"), "what the provider said stands beside each: {mail}");
}

#[tokio::test]
async fn a_transition_that_is_not_allowed_is_read_again() {
    for times in [1, 3] {
        let bench = Bench::new(1).await;
        bench.service.inject(FaultRule::once(Fault::Code83010).times(times));
        bench.steal_and_tell([1]).await;
        ends_dead(&bench, 15).await;
        assert_eq!(bench.told(1), ["deactivated", "proven"]);
    }
    // Someone else was faster: the request is refused because the SIM is off already.
    let bench = Bench::new(1).await;
    bench.provider.fail(Method::SetStatus, faulty::Fault::Conflict, 1);
    bench.steal_and_tell([1]).await;
    bench.service.set_status(sim(1), SimStatus::Inactive);
    ends_dead(&bench, 0).await;
    assert_eq!(bench.told(1), ["deactivated", "proven"]);
}

#[tokio::test]
async fn a_request_that_is_never_answered_does_not_block_the_stream() {
    let bench = Bench::new(2).await;
    let hangs = FaultRule::once(Fault::Hang).on(Requests::StatusUpdates).of(sim(1));
    bench.service.inject(hangs);
    bench.steal_and_tell([1, 2]).await;
    assert_eq!(bench.status(2), SimStatus::Inactive, "the others are not kept waiting");
    assert_eq!(bench.status(1), SimStatus::Active);
    ends_dead(&bench, 6).await;
    assert_eq!(bench.told(1), ["deactivated", "proven"]);
}

#[tokio::test]
async fn a_change_that_the_provider_schedules_is_waited_for() {
    let bench = Bench::new(1).await;
    let after = SignedDuration::from_mins(8);
    bench.service.set_behaviour(sim(1), Behaviour::Scheduled { after });
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.stage(1).await, "scheduled");
    bench.minutes(7).await;
    assert_eq!(bench.stage(1).await, "scheduled");
    ends_dead(&bench, 2).await;
    assert_eq!(bench.asked(1), ["inactive"], "asked once");
    assert_eq!(bench.told(1), ["deactivated", "proven"]);

    let bench = Bench::new(1).await;
    let after = SignedDuration::from_mins(25);
    bench.service.set_behaviour(sim(1), Behaviour::Scheduled { after });
    bench.steal_and_tell([1]).await;
    bench.minutes(12).await;
    assert_eq!(bench.told(1), ["deactivated", "unreachable"], "a human is paged after 10 minutes");
    ends_dead(&bench, 20).await;
    assert_eq!(bench.asked(1), ["inactive"]);
}

#[tokio::test]
async fn a_lie_is_told_to_a_human_and_never_taken_for_proof() {
    let bench = Bench::new(1).await;
    bench.service.inject(FaultRule::once(Fault::Lie));
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.status(1), SimStatus::Inactive, "it says so");
    for _minute in 0..5 {
        bench.pass(60);
        bench.happen(sim(1), &[session(1, TABLET, bench.now(), 1_000_000)]).await;
        assert!(bench.deliver().await);
        bench.sweep().await.unwrap();
    }
    assert_eq!(bench.stage(1).await, "leaking");
    assert_eq!(bench.told(1), ["deactivated", "leaking"], "once");
    bench.minutes(60).await;
    assert_eq!(bench.stage(1).await, "leaking", "silence proves nothing");
    bench.happen(sim(1), &[rejection(1, bench.now())]).await;
    bench.minutes(2).await;
    assert_eq!(bench.told(1), ["deactivated", "leaking", "proven"]);
}

#[tokio::test]
async fn a_late_effect_is_found_and_not_doubled() {
    for answer in [LateAnswer::Error, LateAnswer::Silence] {
        let bench = Bench::new(1).await;
        let after = SignedDuration::from_secs(20);
        bench.service.inject(FaultRule::once(Fault::LateEffect { after, answer }));
        bench.steal_and_tell([1]).await;
        bench.pass(30);
        assert_eq!(bench.status(1), SimStatus::Inactive);
        ends_dead(&bench, 1).await;
        assert_eq!(bench.asked(1), ["inactive"], "{answer:?}: it is read before it is asked again");
        assert_eq!(bench.told(1), ["deactivated", "proven"]);
    }
}

#[tokio::test]
async fn a_sim_that_stays_silent_is_quiet_and_never_proven() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    bench.minutes(32).await;
    assert_eq!(bench.stage(1).await, "quiet");
    for _hour in 0..80 {
        bench.pass(3_600);
        bench.sweep().await.unwrap();
    }
    assert_eq!(bench.stage(1).await, "none", "over after three days");
    let past = bench.memory.past_incidents(sim(1));
    assert_eq!(past[0].stage.to_string(), "expired");
    assert_eq!(bench.told(1), ["deactivated"]);
    assert_eq!(bench.asked(1), ["inactive"]);
}

#[tokio::test]
async fn a_late_finding_about_a_dead_sim_is_laid_to_rest_even_while_the_provider_is_down() {
    let bench = Bench::new(1).await;
    bench.steal_and_tell([1]).await;
    bench.pass(30);
    let rejected = rejection(1, bench.now());
    bench.happen(sim(1), &[rejected]).await;
    bench.minutes(2).await;
    assert_eq!(bench.stage(1).await, "none");
    // An event from before the kill comes late, while the provider does not answer.
    let down = FaultRule::once(Fault::Status(500)).on(Requests::Reads).times(2);
    bench.service.inject(down);
    let late = session(1, crate::bench::PHONE, crate::bench::at(-600), 9_000_000);
    bench.happen(sim(1), &[late]).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.stage(1).await, "requested");
    bench.minutes(10).await;
    let before = bench.service.requests().len();
    bench.minutes(30).await;
    assert_eq!(bench.service.requests().len(), before, "not asked about for ever");
    assert_eq!(bench.asked(1), ["inactive"]);
    assert_eq!(bench.told(1), ["deactivated", "proven"]);
}

#[tokio::test]
async fn a_sim_that_someone_else_switched_off_is_watched_like_any_other() {
    let bench = Bench::new(1).await;
    bench.service.set_status(sim(1), SimStatus::Inactive);
    bench.steal_and_tell([1]).await;
    assert_eq!(bench.posts(), 0);
    ends_dead(&bench, 0).await;
    assert_eq!(bench.posts(), 0);
}

#[tokio::test]
async fn a_sim_that_the_provider_does_not_know_is_paged() {
    let bench = Bench::new(1).await;
    bench.steal(2).await;
    assert!(bench.deliver().await);
    assert_eq!(bench.told(2), ["unreachable"]);
    assert_eq!(bench.posts(), 0);
    assert_eq!(bench.act("deactivate", &name(2)).await.0, "not_found");
}

#[tokio::test]
async fn what_is_known_is_said_while_the_provider_does_not_answer() {
    let bench = Bench::new(1).await;
    let down = FaultRule::once(Fault::Status(503)).on(Requests::All).times(u32::MAX);
    bench.service.inject(down);
    bench.steal_and_tell([1]).await;
    let sid = sim(1).to_string();
    let answer = bench.ask(request("status", &[&sid])).await;
    let said = &answer["sims"][0];
    assert_eq!((&said["outcome"], &said["name"]), (&"unreachable".into(), &name(1).into()));
    assert_eq!(said["details"]["stage"], "requested");
    assert_eq!(said["details"]["findings"][0]["detector"], "device_not_allowed");
    let unknown = bench.ask(request("status", &[&sim(2).to_string()])).await;
    assert!(unknown["sims"][0]["details"].is_null(), "{unknown}");
    let (outcome, reason) = bench.act("deactivate", &sid).await;
    assert_eq!(outcome, "unreachable");
    assert!(reason.ends_with("nothing was done, and it is not tried again; ask again"), "{reason}");
}
