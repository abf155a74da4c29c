//! Every row of the contract's table for what is rightly signed.

use serde_json::{Value, json};
use simfuse_domain::finding::DetectorId;
use simfuse_domain::port::{Beat, DeadLetter, Heartbeat as _};
use simfuse_supersim::Provider;
use simfuse_testkit::faulty::Method;
use simfuse_webhook::intake::Receipt;

use crate::bench::{
    BOTH, Bench, SECRET, START, URL, at, body, fixture, fixture_bytes, held, moved, signed, sim,
    update,
};

fn reasons(bench: &Bench) -> Vec<String> {
    bench.memory.dead_letters().into_iter().map(|letter| letter.reason).collect()
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_has_no_effect() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        let first = body(&[update(provider, 1, 0), update(provider, 1, 1)]);
        let request = signed(provider, SECRET, URL, &first);
        assert_eq!(bench.send(request.clone()).await.counts(), (200, [2, 0, 0, 0]));
        let stored = bench.stored(1).await;
        let findings = bench.memory.findings(sim(1));
        assert!(findings.iter().any(|finding| finding.detector == DetectorId::HourLimit));
        assert_eq!(bench.memory.findings_stream(), [sim(1); 2]);
        for _replay in 0..3 {
            bench.pass(40);
            let again = bench.send(request.clone()).await;
            assert_eq!(again.counts(), (200, [2, 0, 0, 0]), "a duplicate counts as applied");
        }
        let twice = body(&[update(provider, 1, 1), update(provider, 1, 1), update(provider, 1, 0)]);
        assert_eq!(bench.post(&twice).await.counts(), (200, [3, 0, 0, 0]));
        assert_eq!(bench.stored(1).await, stored, "not even written again");
        assert_eq!(bench.memory.findings(sim(1)), findings);
        assert_eq!(bench.memory.findings_stream(), [], "nothing new for the kill-switch");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_from_before_the_horizon_is_late_and_changes_nothing() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        assert_eq!(bench.post(&body(&[update(provider, 1, 10)])).await.status, 200);
        let stored = bench.stored(1).await;
        let old = moved(update(provider, 1, 0), "2026-02-28T10:00:00Z");
        assert_eq!(bench.post(&body(&[old])).await.counts(), (200, [0, 1, 0, 0]));
        assert_eq!(bench.stored(1).await, stored);
        assert_eq!(reasons(&bench), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_is_kept_for_a_human_and_acknowledged() {
    for provider in BOTH {
        let good = body(&[update(provider, 1, 0)]);
        let truncated = &good[..good.len() - 9];
        let trailing = [&good[..], b" x"].concat();
        for (raw, reason) in [
            (&b""[..], "empty body"),
            (b"   ", "empty body"),
            (b"not json", "not JSON, at line 1, column 2"),
            (b"\xff\xfe", "not UTF-8"),
            (b"{}", "not an event"),
            (b"[null]", "not an event"),
            (b"[\"text\"]", "not an event"),
            (truncated, "not JSON"),
            (&trailing, "not JSON"),
        ] {
            let bench = Bench::new(provider).await;
            assert_eq!(bench.post(raw).await.counts(), (200, [0, 0, 1, 0]), "{reason}");
            let letters = bench.memory.dead_letters();
            assert!(letters[0].reason.starts_with(reason), "{} for {reason}", letters[0].reason);
            assert_eq!(letters.len(), 1);
            assert_eq!(letters[0].received_at, at(0));
            assert_eq!(held(&bench.memory, 2).await.0, [None, None]);
        }
        let bench = Bench::new(provider).await;
        assert_eq!(bench.post(b"[]").await.counts(), (200, [0, 0, 0, 0]), "it lacks nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn every_hostile_fixture_is_acknowledged() {
    for (fixture, counts) in [
        ("garbled-identity", [1, 0, 0, 0]),
        ("negative-bytes", [0, 0, 2, 0]),
        ("impossible-amount", [0, 0, 1, 0]),
        ("nulls", [1, 0, 0, 0]),
        ("duplicate-event", [2, 0, 0, 0]),
        ("window-turned-round", [0, 0, 2, 0]),
        ("one-bad-among-good", [0, 0, 0, 0]),
        ("wrong-types", [0, 0, 16, 0]),
        ("year-9999", [0, 0, 1, 0]),
        ("unknown-type", [0, 0, 0, 2]),
        ("trailing-bytes", [0, 0, 1, 0]),
        ("truncated-array", [0, 0, 1, 0]),
    ] {
        for provider in BOTH {
            let bench = Bench::with(provider, Receipt::EventTime, None).await;
            let raw = fixture_bytes(&format!("hostile/{fixture}.json"));
            let (status, [applied, late, dead, ignored]) = bench.post(&raw).await.counts();
            assert_eq!((status, late), (200, 0), "{fixture}");
            if fixture == "one-bad-among-good" {
                assert!(applied >= 2 && dead == 1, "{applied} applied, {dead} dead");
            } else {
                assert_eq!([applied, late, dead, ignored], counts, "{fixture}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_bad_event_costs_no_good_one() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        let mut bad = update(provider, 2, 0);
        bad["data"]["sim_sid"] = json!(7);
        let mixed = [update(provider, 1, 0), bad.clone(), json!({}), update(provider, 3, 0)];
        let raw = body(&mixed);
        assert_eq!(bench.post(&raw).await.counts(), (200, [2, 0, 2, 0]));
        assert!(bench.stored(1).await.is_some() && bench.stored(3).await.is_some());
        let letters = bench.memory.dead_letters();
        let texts: Vec<&[u8]> = letters.iter().map(|letter| &*letter.bytes).collect();
        let bad = serde_json::to_vec(&bad).unwrap();
        assert!(texts.contains(&&*bad), "its own text, and only its own");
        assert!(texts.contains(&&b"{}"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_holds_the_beginning_and_says_the_length() {
    let bench = Bench::new(Provider::Twilio).await;
    let long = vec![b'x'; 3_000_000];
    assert_eq!(bench.post(&long).await.counts(), (200, [0, 0, 1, 0]));
    let [letter] = &bench.memory.dead_letters()[..] else { panic!("one letter") };
    assert_eq!((letter.bytes.len(), letter.length), (DeadLetter::BYTES_MAX, 3_000_000));
    assert_eq!(letter.bytes[..], long[..DeadLetter::BYTES_MAX]);
    assert_eq!(letter.sha256.len(), 64);
}

#[tokio::test(start_paused = true)]
async fn unknown_types_are_counted_and_a_test_marks_the_sink() {
    for (provider, test) in [(Provider::Twilio, "twilio"), (Provider::Kore, "kore")] {
        let bench = Bench::new(provider).await;
        let mut unknown = update(provider, 1, 0);
        let name = "com.twilio.iot.supersim.connection.something.new";
        unknown["type"] = json!(name);
        unknown["data"]["event_type"] = json!(name);
        let raw = body(&[unknown, update(provider, 2, 0)]);
        assert_eq!(bench.post(&raw).await.counts(), (200, [1, 0, 0, 1]));
        assert_eq!(bench.memory.tested_at(), None);
        let now = bench.pass(10);
        let raw = fixture_bytes(&format!("{test}/test-event.json"));
        assert_eq!(bench.post(&raw).await.counts(), (200, [0, 0, 0, 1]));
        assert_eq!(bench.memory.tested_at(), Some(now), "even within the heartbeat's minute");
        assert_eq!(bench.stored(1).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_from_the_future_is_set_aside_live_and_taken_from_a_file() {
    for provider in BOTH {
        for (time, ahead) in [
            ("2026-03-01T14:15:00Z", false),
            ("2026-03-01T14:15:00.001Z", true),
            ("2026-03-01T15:00:00Z", true),
            ("2099-12-31T23:00:00Z", true),
        ] {
            let raw = body(&[moved(update(provider, 1, 0), time), update(provider, 2, 0)]);
            let live = Bench::new(provider).await;
            let counts = if ahead { [1, 0, 1, 0] } else { [2, 0, 0, 0] };
            assert_eq!(live.post(&raw).await.counts(), (200, counts), "{time}");
            let file = Bench::with(provider, Receipt::EventTime, None).await;
            assert_eq!(file.post(&raw).await.counts(), (200, [2, 0, 0, 0]), "{time}");
            if ahead {
                let letters = live.memory.dead_letters();
                let event = serde_json::to_vec(&moved(update(provider, 1, 0), time)).unwrap();
                assert_eq!(letters[0].bytes, event, "its own text");
                assert_eq!(reasons(&live), ["stamped more than 15 minutes after its receipt"]);
            }
        }
        // The year 9999 is no time at all, in a file as well.
        let raw = body(&[moved(update(provider, 1, 0), "9999-03-01T12:09:00Z")]);
        for receipt in [Receipt::Live, Receipt::EventTime] {
            let bench = Bench::with(provider, receipt, None).await;
            assert_eq!(bench.post(&raw).await.counts(), (200, [0, 0, 1, 0]));
            assert_eq!(reasons(&bench), ["timestamp: time out of range"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_event_without_a_list_is_taken_and_set_aside_alike() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        let raw = serde_json::to_vec(&update(provider, 1, 0)).unwrap();
        assert_eq!(bench.post(&raw).await.counts(), (200, [1, 0, 0, 0]));
        let raw = serde_json::to_vec(&moved(update(provider, 1, 1), "2030-01-01T00:00:00Z"));
        let raw = raw.unwrap();
        assert_eq!(bench.post(&raw).await.counts(), (200, [0, 0, 1, 0]));
        assert_eq!(bench.memory.dead_letters()[0].bytes, raw);
    }
}

#[tokio::test(start_paused = true)]
async fn two_thousand_events_are_taken_in_chunks() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        let events: Vec<Value> =
            (0..2_000).map(|n| update(provider, u8::try_from(n % 200).unwrap(), n / 200)).collect();
        assert_eq!(bench.post(&body(&events)).await.counts(), (200, [2_000, 0, 0, 0]));
        assert_eq!(bench.table.calls(Method::ReadStates), 2, "a thousand at a time");
        let same = Bench::new(provider).await;
        for events in events.chunks(100).rev() {
            assert_eq!(same.post(&body(events)).await.status, 200);
        }
        let (chunked, others) = (held(&bench.memory, 200).await, held(&same.memory, 200).await);
        let states = |held: crate::bench::Held| -> Vec<_> {
            held.0.into_iter().map(|stored| stored.map(|(stored, _)| stored.state)).collect()
        };
        assert_eq!(states(chunked), states(others));
    }
}

#[tokio::test(start_paused = true)]
async fn five_megabytes_and_any_depth_are_taken() {
    let provider = Provider::Twilio;
    let bench = Bench::new(provider).await;
    let event = update(provider, 1, 0);
    let count = 5_000_000 / event.to_string().len();
    let raw = body(&vec![event.clone(); count]);
    assert_eq!(bench.post(&raw).await.counts(), (200, [count, 0, 0, 0]));

    let levels = 100_000;
    let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(bench.post(deep.as_bytes()).await.counts(), (200, [0, 0, 1, 0]));
    let beside = format!("[{event},{deep}]");
    assert_eq!(bench.post(beside.as_bytes()).await.counts(), (200, [1, 0, 1, 0]));
    let future = moved(event, "2030-01-01T00:00:00Z");
    let beside = format!("[{deep},{future}]");
    assert_eq!(bench.post(beside.as_bytes()).await.counts(), (200, [0, 0, 2, 0]));
}

/// The provider's clock is wrong by an hour: every event of a full body has to be set aside before
/// the sender gives up. The limit is the handler's own, in real time, and lenient for slow machines.
#[tokio::test]
async fn a_full_body_from_the_future_is_set_aside_in_time() {
    let provider = Provider::Twilio;
    let event = |n| moved(update(provider, 1, n), "2026-03-01T15:00:00Z");
    let count = 4_000;
    let raw = body(&(0..count).map(event).collect::<Vec<_>>());
    let mut bench = Bench::new(provider).await;
    bench.handler = bench.handler.answering_within(std::time::Duration::from_secs(30));
    let counts = [0, 0, usize::try_from(count).unwrap(), 0];
    assert_eq!(bench.post(&raw).await.counts(), (200, counts));
    assert_eq!(bench.memory.dead_letters().len(), counts[2]);
}

#[tokio::test(start_paused = true)]
async fn more_bad_elements_than_there_can_be_events_are_set_aside_as_one() {
    let bench = Bench::new(Provider::Twilio).await;
    let event = update(Provider::Twilio, 1, 0);
    let bad = "1,".repeat(100_000);
    let raw = format!("[{bad}{event}]");
    assert_eq!(bench.post(raw.as_bytes()).await.counts(), (200, [1, 0, 100_000, 0]));
    assert!(bench.table.calls(Method::PutDeadLetter) <= 5_001);
    let letters = bench.memory.dead_letters();
    assert!(letters.iter().any(|letter| letter.length == raw.len()), "the body as a whole");
    assert!(bench.stored(1).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_is_sampled() {
    let bench = Bench::new(Provider::Kore).await;
    for report in 0..10 {
        assert_eq!(bench.post(&body(&[update(Provider::Kore, 1, report)])).await.status, 200);
        bench.pass(20);
    }
    assert_eq!(bench.table.calls(Method::Beat), 4, "200 seconds");
    assert_eq!(bench.table.calls(Method::CurrentPolicy), 5, "every 30 seconds, as often as asked");
}

#[tokio::test]
async fn the_heartbeat_tells_which_kinds_of_events_came() {
    let bench = Bench::new(Provider::Kore).await;
    let ended = |opened: &str| {
        let mut event = moved(fixture("kore/data-session.ended.json")[0].take(), START);
        event["data"]["data_session_start_time"] = json!(opened);
        event
    };
    let beat = async || bench.memory.last_beat().await.unwrap().unwrap();
    bench.post(&body(&[ended("2026-03-01T13:50:00Z")])).await;
    assert_eq!(beat().await, Beat::at(at(0)), "too short for an update");
    bench.pass(20);
    bench.post(&body(&[update(Provider::Kore, 1, 0)])).await;
    assert_eq!(beat().await, Beat::at(at(0)), "not written again so soon");
    bench.pass(50);
    bench.post(&body(&[ended("2026-03-01T13:40:00Z")])).await;
    let told = Some(at(70));
    let expected = Beat { updated_at: told, long_ended_at: told, ..Beat::at(at(70)) };
    assert_eq!(beat().await, expected, "with what came in between");
}
