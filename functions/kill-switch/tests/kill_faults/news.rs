//! Plain news: told at a bearable rate, and never in the way of anything else.

use serde_json::{Value, json};
use simfuse_domain::alert::Severity;
use simfuse_domain::id::EventSid;
use simfuse_domain::news::{HOUR_MAX, News, NewsKind};
use simfuse_domain::port::NewsFeed as _;
use simfuse_testkit::faulty::{Fault, Method};

use crate::bench::{Bench, fleet, name, records, sim};

/// The n-th news of a SIM.
fn news(bench: &Bench, number: u8, kind: NewsKind, event: u8) -> News {
    News {
        sim: sim(number),
        kind,
        event: EventSid::from_bytes([event; 16]),
        at: bench.now(),
        name: Some(name(number)),
        fleet: Some(fleet()),
        plmn: Some("310-260".parse().unwrap()),
        country: Some("US".parse().unwrap()),
        device: None,
        device_before: None,
        used: None,
        used_in_session: None,
        more: 0,
    }
}

/// What the stream hands over for these news.
fn inserted(news: &[News]) -> Vec<Value> {
    let record = |(place, news): (usize, &News)| {
        json!({
            "eventName": "INSERT",
            "dynamodb": {
                "Keys": { "pk": { "S": format!("NEWS#{}", news.sim) }, "sk": { "S": news.key() } },
                "NewImage": { "news": { "S": serde_json::to_string(news).unwrap() } },
                "SequenceNumber": format!("9{place:020}"),
            },
        })
    };
    news.iter().enumerate().map(record).collect()
}

async fn deliver(bench: &Bench, news: &[News]) {
    for news in news {
        bench.memory.insert_news(news, bench.now()).await.unwrap();
    }
    let answer = bench.ask(json!({ "Records": inserted(&bench.memory.news_stream()) })).await;
    assert_eq!(answer["batchItemFailures"], json!([]));
}

fn subjects(bench: &Bench) -> Vec<String> {
    bench.alerts.published().into_iter().map(|alert| alert.subject).collect()
}

#[tokio::test]
async fn news_are_told_in_order_and_wake_nobody() {
    let bench = Bench::new(1).await;
    let kinds = [NewsKind::Network, NewsKind::Online, NewsKind::Offline];
    let all: Vec<News> = kinds.iter().map(|kind| news(&bench, 1, *kind, 1)).collect();
    deliver(&bench, &all).await;
    let expected = [
        "SimFuse news: pump-1 attached to network 310-260 in US",
        "SimFuse news: pump-1 came online on network 310-260 in US",
        "SimFuse news: pump-1 went offline",
    ];
    assert_eq!(subjects(&bench), expected);
    for alert in bench.alerts.published() {
        assert_eq!(
            (alert.severity, alert.sms, alert.action),
            (Severity::Info, None, "news".into())
        );
    }
    let status = bench.ask(json!({ "action": "status" })).await;
    assert_eq!(status["status"]["last_alert"], Value::Null, "news are no alert");
}

#[tokio::test]
async fn a_delivery_that_comes_again_is_told_once() {
    let bench = Bench::new(1).await;
    let one = [news(&bench, 1, NewsKind::Online, 1)];
    deliver(&bench, &one).await;
    bench.memory.insert_news(&one[0], bench.now()).await.unwrap();
    assert!(bench.memory.news_stream().is_empty(), "the same event makes no second item");
    bench.pass(3_600);
    bench.ask(json!({ "Records": inserted(&one) })).await;
    assert_eq!(subjects(&bench).len(), 1);
}

#[tokio::test]
async fn what_comes_too_soon_is_counted_in_the_next() {
    let bench = Bench::new(2).await;
    for event in 1..=11 {
        deliver(&bench, &[news(&bench, 1, NewsKind::Usage, event)]).await;
        bench.pass(60);
    }
    deliver(&bench, &[news(&bench, 2, NewsKind::Usage, 1)]).await;
    let alerts = bench.alerts.published();
    let of = |number: u8| {
        let id = format!("news-{}-", sim(number));
        alerts.iter().filter(|alert| alert.id.starts_with(&id)).collect::<Vec<_>>()
    };
    assert_eq!((of(1).len(), of(2).len()), (2, 1), "another SIM has its own room");
    assert!(!of(1)[0].email.contains("not told one by one"));
    assert!(of(1)[1].email.contains("9 of the kind, not told one by one"), "{}", of(1)[1].email);
}

#[tokio::test]
async fn an_hour_that_is_full_is_summed_up_in_one_line() {
    let bench = Bench::new(1).await;
    let all: Vec<News> = (0..70).map(|number| news(&bench, number, NewsKind::Online, 1)).collect();
    deliver(&bench, &all).await;
    assert_eq!(subjects(&bench).len(), usize::try_from(HOUR_MAX).unwrap());
    bench.sweep().await.unwrap();
    assert_eq!(subjects(&bench).len(), 60, "the hour is not over");
    bench.pass(3_600);
    bench.sweep().await.unwrap();
    bench.sweep().await.unwrap();
    let subjects = subjects(&bench);
    assert_eq!(subjects.len(), 61);
    assert_eq!(subjects[60], "SimFuse news: 10 more news suppressed in 2026-03-01T14Z");
    deliver(&bench, &[news(&bench, 1, NewsKind::Offline, 2)]).await;
    assert_eq!(bench.alerts.published().len(), 62, "the next hour has room again");
}

#[tokio::test]
async fn whatever_goes_wrong_with_news_a_kill_goes_on() {
    for (method, fault) in [
        (Method::ReadTold, Fault::Unreachable),
        (Method::WriteTold, Fault::Unreachable),
        (Method::WriteTold, Fault::LostAnswer),
        (Method::WriteTold, Fault::Conflict),
    ] {
        let bench = Bench::new(1).await;
        bench.table.fail(method, fault, 100);
        bench.steal(1).await;
        let mut batch = records(&bench.memory.findings_stream());
        let before = inserted(&[news(&bench, 1, NewsKind::Device, 1)]);
        batch["Records"].as_array_mut().unwrap().splice(0..0, before);
        let answer = bench.ask(batch).await;
        assert_eq!(answer["batchItemFailures"], json!([]), "{method:?} {fault:?}");
        assert_eq!(bench.stage(1).await, "inactive");
        assert!(bench.sweep().await.is_ok(), "the sweep neither");
    }
}

#[tokio::test]
async fn a_topic_that_fails_loses_news_and_nothing_else() {
    let bench = Bench::new(1).await;
    bench.alerts.fail_next(1);
    deliver(&bench, &[news(&bench, 1, NewsKind::Online, 1)]).await;
    assert!(subjects(&bench).is_empty());
    deliver(&bench, &[news(&bench, 1, NewsKind::Offline, 1)]).await;
    assert_eq!(subjects(&bench), ["SimFuse news: pump-1 went offline"]);
}

#[tokio::test]
async fn news_that_cannot_be_read_are_left_out() {
    let bench = Bench::new(1).await;
    let mut all =
        inserted(&[news(&bench, 1, NewsKind::Online, 1), news(&bench, 1, NewsKind::Offline, 1)]);
    all[0]["dynamodb"]["NewImage"]["news"]["S"] = json!("{}");
    let answer = bench.ask(json!({ "Records": all })).await;
    assert_eq!(answer["batchItemFailures"], json!([]));
    assert_eq!(subjects(&bench), ["SimFuse news: pump-1 went offline"]);
}
