//! What was told of many SIMs together, and by SMS.

use simfuse_domain::alert::{
    AlertKind, Campaign, CampaignScope, HourTexts, Line, PendingAlert, Together,
};
use simfuse_domain::id::FleetSid;
use simfuse_domain::port::{Campaigns, Committed};
use simfuse_domain::time::Hour;

use super::{at, incident, sim};

/// A campaign is written by one at a time, and each fleet, kind and time has its own.
pub async fn a_campaign_is_kept_by_scope_and_version(table: &impl Campaigns) {
    let pending = |kind, fleet, secs| {
        let fleet = Some(FleetSid::from_bytes([fleet; 16]));
        PendingAlert { number: 1, kind, at: at(secs), fleet, by_human: false, is_protected: false }
    };
    let alerts = [
        pending(AlertKind::Killed, 1, 0),
        pending(AlertKind::Proven, 1, 0),
        pending(AlertKind::Killed, 2, 0),
        pending(AlertKind::Killed, 1, 7_200),
        PendingAlert { fleet: None, ..pending(AlertKind::Killed, 1, 0) },
        PendingAlert { by_human: true, ..pending(AlertKind::Killed, 1, 0) },
    ];
    let told = |told: u32| {
        let line = Line::of(&incident(sim(1), 0), &alerts[0]);
        let open = Some(Together { at: at(3), is_out: false, lines: vec![line.of.clone()] });
        let alone = std::collections::BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        Campaign { alone, messages: 1, told, last_at: Some(at(2)), open, left: [line.of].into() }
    };
    let scopes: Vec<CampaignScope> =
        alerts.iter().map(|alert| CampaignScope::of(alert).unwrap()).collect();
    for (scope, number) in scopes.iter().zip(1..) {
        assert_eq!(table.read_campaign(*scope).await.unwrap(), (Campaign::default(), 0));
        let done = table.write_campaign(*scope, &told(number), 0, at(5)).await.unwrap();
        assert_eq!(done, Committed::Done);
    }
    for (scope, number) in scopes.iter().zip(1..) {
        assert_eq!(table.read_campaign(*scope).await.unwrap(), (told(number), 1));
        let late = table.write_campaign(*scope, &told(9), 0, at(5)).await.unwrap();
        assert_eq!(late, Committed::Conflict);
        let next = table.write_campaign(*scope, &told(9), 1, at(5)).await.unwrap();
        assert_eq!((next, table.read_campaign(*scope).await.unwrap().1), (Committed::Done, 2));
    }
}

/// What went out by SMS is written by one at a time, and each hour has its own.
pub async fn what_went_out_by_sms_is_kept_by_hour_and_version(table: &impl Campaigns) {
    let hours = [0, 3_600].map(|secs| Hour::of(at(secs)));
    let texts = |id: &str| HourTexts { ids: [id.to_owned()].into(), is_said: true };
    for hour in hours {
        assert_eq!(table.read_texts(hour).await.unwrap(), (HourTexts::default(), 0));
        let id = hour.to_string();
        let done = table.write_texts(hour, &texts(&id), 0).await.unwrap();
        assert_eq!(done, Committed::Done);
    }
    for hour in hours {
        let id = hour.to_string();
        assert_eq!(table.read_texts(hour).await.unwrap(), (texts(&id), 1));
        let late = table.write_texts(hour, &texts("late"), 0).await.unwrap();
        assert_eq!(
            (late, table.read_texts(hour).await.unwrap()),
            (Committed::Conflict, (texts(&id), 1),)
        );
        let next = table.write_texts(hour, &HourTexts::default(), 1).await.unwrap();
        assert_eq!((next, table.read_texts(hour).await.unwrap().1), (Committed::Done, 2));
    }
}
