//! What was told of many SIMs together.

use simfuse_domain::alert::{AlertKind, Campaign, CampaignScope, Line, PendingAlert, Together};
use simfuse_domain::id::FleetSid;
use simfuse_domain::port::{Campaigns, Committed};

use super::{at, incident, sim};

/// A campaign is written by one at a time, and each fleet, kind and time has its own.
pub async fn a_campaign_is_kept_by_scope_and_version(table: &impl Campaigns) {
    let pending = |kind, fleet, secs| {
        let fleet = Some(FleetSid::from_bytes([fleet; 16]));
        PendingAlert { number: 1, kind, at: at(secs), fleet }
    };
    let alerts = [
        pending(AlertKind::Killed, 1, 0),
        pending(AlertKind::Proven, 1, 0),
        pending(AlertKind::Killed, 2, 0),
        pending(AlertKind::Killed, 1, 7_200),
        PendingAlert { fleet: None, ..pending(AlertKind::Killed, 1, 0) },
    ];
    let told = |told: u32| {
        let line = Line::of(&incident(sim(1), 0), &alerts[0]);
        let open = Some(Together { at: at(3), is_out: false, lines: vec![line] });
        let alone = std::collections::BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        Campaign { alone, messages: 1, told, last_at: Some(at(2)), open }
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
