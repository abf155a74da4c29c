use super::*;
use crate::detector::fixture::{
    MB, Opened, SENSOR, TABLET, attached, rejected, sim, state_of, time,
};
use crate::state::Folded;

/// The news in the events, one step of the fold after another.
fn news_in(events: &[Event]) -> Vec<News> {
    let mut state = SimState::new(sim());
    let mut news = Vec::new();
    for event in events {
        let before = state.clone();
        if state.fold(event) == Folded::Applied {
            news.extend(of_event(&before, event, &state));
        }
    }
    news
}

fn told(events: &[Event]) -> String {
    let line = |news: &News| format!("{} {}: {}", news.at, news.kind, news.happened());
    news_in(events).iter().map(line).collect::<Vec<_>>().join("\n")
}

fn on_air(event: Event) -> Event {
    Event { plmn: Some("310-260".parse().unwrap()), ..event.in_country("US").in_device(SENSOR) }
}

#[test]
fn a_session_from_begin_to_end_is_told_once_each() {
    let open = Opened("01T14:00");
    let events = [
        on_air(attached("01T13:59")),
        on_air(open.started()),
        on_air(open.updated("01T14:00", "01T14:06", 2 * MB, 2 * MB)),
        on_air(open.updated("01T14:06", "01T14:12", 0, 2 * MB)),
        on_air(open.ended("01T14:15")),
    ];
    insta::assert_snapshot!(told(&events), @r#"
    2026-03-01T13:59:00Z network: attached to network 310-260 in US
    2026-03-01T14:00:00Z online: came online on network 310-260 in US
    2026-03-01T14:06:00Z usage: used 2.0 MB
    2026-03-01T14:15:00Z offline: went offline
    "#);
}

#[test]
fn a_duplicate_or_an_event_that_comes_late_is_no_news() {
    let open = Opened("01T14:00");
    let update = open.updated("01T14:00", "01T14:06", MB, MB);
    let once = news_in(&[open.started(), update.clone()]);
    assert_eq!(news_in(&[open.started(), update.clone(), update.clone(), open.started()]), once);
    let late = news_in(&[update, on_air(attached("01T13:59")), open.started()]);
    let kinds: Vec<NewsKind> = late.iter().map(|news| news.kind).collect();
    assert_eq!(kinds, [NewsKind::Usage, NewsKind::Online], "the update shows that it is online");
}

#[test]
fn a_session_beside_an_open_one_is_no_second_time_online() {
    let (first, second) = (Opened("01T14:00"), Opened("01T14:10"));
    let online = |events: &[Event]| {
        let news = news_in(events);
        news.iter().filter(|news| news.kind == NewsKind::Online).count()
    };
    assert_eq!(online(&[first.started(), second.started()]), 1);
    assert_eq!(online(&[first.started(), first.ended("01T14:05"), second.started()]), 2);
    let next_day = Opened("02T14:00");
    assert_eq!(online(&[first.started(), next_day.started()]), 2, "the end of the first was lost");
}

#[test]
fn another_device_is_told_when_it_changes_and_not_before_one_was_seen() {
    let device = |events: &[Event]| {
        let news = news_in(events);
        let news = news.iter().filter(|news| news.kind == NewsKind::Device);
        news.map(News::happened).collect::<Vec<_>>()
    };
    let at = |at, imei| attached(at).in_device(imei);
    assert_eq!(device(&[at("01T14:00", SENSOR)]), Vec::<String>::new());
    assert_eq!(device(&[at("01T14:00", SENSOR), attached("01T14:01")]), Vec::<String>::new());
    let there_and_back = [
        at("01T14:00", SENSOR),
        at("01T15:00", TABLET),
        at("01T15:30", TABLET),
        at("01T16:00", SENSOR),
    ];
    let expected = [TABLET, SENSOR].map(|imei| format!("is in another device, {imei}"));
    assert_eq!(device(&there_and_back), expected);
}

#[test]
fn what_was_refused_is_no_news() {
    assert_eq!(news_in(&[rejected("01T14:00")]), Vec::new());
}

#[test]
fn an_email_says_what_when_where_how_much_and_in_which_device() {
    let open = Opened("01T14:00");
    let update = on_air(open.updated("01T14:00", "01T14:06", 2 * MB, 3 * MB));
    let events = [on_air(open.started()), update];
    let news = news_in(&events).pop().unwrap();
    let alert = News { more: 1, ..news }.alert(4);
    insta::assert_snapshot!(alert.email, @r#"
    pump-17 used 2.0 MB
    
    SIM        HS01010101010101010101010101010101
    Fleet      HF02020202020202020202020202020202
    Time       2026-03-01T14:06:00Z
    Where      network 310-260 in US
    Device     35378572000001
    Used       2.0 MB since the last report
    Session    3.0 MB since it was opened
    More       5 of the kind, not told one by one
    
    This is news, not an alarm: the policy's [notify] asks for it.
    "#);
    assert_eq!((alert.severity, alert.sms), (Severity::Info, None));
    assert!(alert.subject.starts_with("SimFuse news: "), "{}", alert.subject);
    let nasty = News { name: Some("a\nTo: b\u{e9}".to_owned()), ..news_in(&events).remove(0) };
    let alert = nasty.alert(0);
    assert!(alert.subject.is_ascii() && !alert.subject.contains('\n'), "{}", alert.subject);
    assert!(alert.email.starts_with("a To: b\u{e9} came online"), "{}", alert.email);
}

#[test]
fn of_many_in_one_delivery_the_latest_counts_the_others() {
    let open = Opened("01T14:00");
    let events = [
        open.started(),
        open.updated("01T14:00", "01T14:06", MB, MB),
        open.updated("01T14:06", "01T14:12", MB, 2 * MB),
        open.updated("01T14:12", "01T14:18", MB, 3 * MB),
    ];
    let latest = latest_of_each(news_in(&events));
    let told: Vec<_> = latest.iter().map(|news| (news.kind, news.at, news.more)).collect();
    let expected =
        [(NewsKind::Online, time("01T14:00"), 0), (NewsKind::Usage, time("01T14:18"), 2)];
    assert_eq!(told, expected);
}

#[test]
fn one_sims_news_of_one_kind_come_every_ten_minutes_and_count_the_rest() {
    let mut told = Told::default();
    let mut heard = Vec::new();
    for minute in 0..25 {
        let now = time("01T14:00") + SignedDuration::from_mins(minute);
        match told.next(&minute.to_string(), 0, now).unwrap() {
            Ok((after, suppressed)) => {
                heard.push((minute, suppressed));
                told = after;
            }
            Err(after) => told = after,
        }
    }
    assert_eq!(heard, [(0, 0), (10, 9), (20, 9)]);
    assert_eq!(told.suppressed, 4);
    assert_eq!(told.next("20", 0, time("01T15:00")), None, "it was told before");
}

#[test]
fn an_hour_has_room_for_so_many() {
    let mut told = Told::default();
    for _ in 0..HOUR_MAX {
        told = told.next_of_all(time("01T14:00")).unwrap();
    }
    let full = told.next_of_all(time("01T14:59")).unwrap_err();
    assert_eq!((full.told, full.suppressed), (HOUR_MAX, 1));
    let alert = suppressed_alert(Hour::of(time("01T14:59")), 7);
    assert_eq!(alert.subject, "SimFuse news: 7 more news suppressed in 2026-03-01T14Z");
}

#[test]
fn news_need_a_state_that_changed() {
    let state = state_of(&[attached("01T14:00")]);
    assert_eq!(of_event(&state, &rejected("01T14:01"), &state), Vec::new());
}
