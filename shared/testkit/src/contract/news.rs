//! News, and how much of them was told.

use simfuse_domain::news::{News, NewsKind, Scope, Told};
use simfuse_domain::port::{Committed, NewsFeed, NewsLimits};
use simfuse_domain::time::Hour;

use super::{at, sim};

/// A piece of news; the event's SID is made from the number.
#[must_use]
pub fn news(number: u16, event: u8) -> News {
    News {
        sim: sim(number),
        kind: NewsKind::Online,
        event: simfuse_domain::id::EventSid::from_bytes([event; 16]),
        at: at(0),
        name: Some("pump-17".to_owned()),
        fleet: None,
        plmn: None,
        country: None,
        device: None,
        device_before: None,
        used: None,
        used_in_session: None,
        more: 0,
    }
}

/// The same news again are no second news. `stream` says what was handed on since it was last asked.
pub async fn the_same_news_are_handed_on_once<T: NewsFeed>(
    table: &T,
    stream: impl AsyncFn() -> Vec<News>,
) {
    let (first, second) = (news(1, 1), news(1, 2));
    table.insert_news(&first, at(0)).await.unwrap();
    table.insert_news(&News { more: 3, ..first.clone() }, at(60)).await.unwrap();
    table.insert_news(&second, at(60)).await.unwrap();
    assert_eq!(stream().await, [first, second]);
}

/// What was told is written by one at a time, and each scope has its own.
pub async fn what_was_told_is_kept_by_scope_and_version(table: &impl NewsLimits) {
    let told = |told: u32| Told { told, last_at: Some(at(5)), ..Told::default() };
    let scopes = [
        Scope::Sim(sim(1), NewsKind::Online),
        Scope::Sim(sim(1), NewsKind::Usage),
        Scope::Sim(sim(2), NewsKind::Online),
        Scope::Account(Hour::of(at(0))),
        Scope::Account(Hour::of(at(3_600))),
    ];
    for (scope, number) in scopes.into_iter().zip(1..) {
        assert_eq!(table.read_told(scope).await.unwrap(), (Told::default(), 0));
        let done = table.write_told(scope, &told(number), 0, at(5)).await.unwrap();
        assert_eq!(done, Committed::Done);
    }
    for (scope, number) in scopes.into_iter().zip(1..) {
        assert_eq!(table.read_told(scope).await.unwrap(), (told(number), 1));
        let late = table.write_told(scope, &told(9), 0, at(5)).await.unwrap();
        assert_eq!(late, Committed::Conflict);
        let next = table.write_told(scope, &told(9), 1, at(5)).await.unwrap();
        assert_eq!((next, table.read_told(scope).await.unwrap().1), (Committed::Done, 2));
    }
}
