use super::*;

fn time(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().unwrap()
}

fn fleet() -> FleetSid {
    FleetSid::from_bytes([9; 16])
}

fn pending(kind: AlertKind, at: &str) -> PendingAlert {
    PendingAlert { number: 1, kind, at: time(at), fleet: Some(fleet()) }
}

fn line(number: u8, at: &str) -> Line {
    let sim = SimSid::from_bytes([number; 16]);
    let mut incident = Incident::open(sim, format!("pump-{number}"), Some(fleet()), time(at));
    incident.id = format!("{number}");
    Line::of(&incident, &pending(AlertKind::Killed, at))
}

fn lines(count: u8) -> Vec<Line> {
    (1..=count).map(|number| line(number, "14:00:00")).collect()
}

#[test]
fn two_hours_of_one_fleet_and_kind_are_one_campaign() {
    let scope = |kind, at| CampaignScope::of(&pending(kind, at)).unwrap();
    let first = scope(AlertKind::Killed, "14:00:00");
    assert_eq!(first, scope(AlertKind::Killed, "15:59:59"));
    assert_ne!(first, scope(AlertKind::Killed, "16:00:00"));
    assert_ne!(first, scope(AlertKind::Proven, "14:00:00"));
    assert_eq!(first.to_string(), format!("{}-killed-{}", fleet(), time("14:00:00").as_second()));
    for kind in [AlertKind::Leaking, AlertKind::Unreachable, AlertKind::RestoredElsewhere] {
        assert_eq!(CampaignScope::of(&pending(kind, "14:00:00")), None, "{kind:?}");
    }
}

#[test]
fn so_many_are_told_alone_and_stay_so() {
    let mut campaign = Campaign::default();
    for id in ["a", "b", "a"] {
        if let Err(with) = campaign.is_alone(id, 2) {
            campaign = with;
        }
        assert_eq!(campaign.is_alone(id, 2), Ok(true));
    }
    assert_eq!(campaign.is_alone("c", 2), Ok(false));
    assert_eq!(campaign.alone.len(), 2);
}

#[test]
fn the_next_message_waits_for_as_many_or_for_a_pause_that_doubles() {
    let mut campaign = Campaign::default();
    let begin = |campaign: &Campaign, count, at| campaign.begin(lines(count), time(at)).is_some();
    assert!(!begin(&campaign, 0, "14:00:00") && begin(&campaign, 1, "14:00:00"));
    campaign = campaign.begin(lines(20), time("14:00:00")).unwrap();
    assert!(!begin(&campaign, 20, "15:00:00"), "one at a time");
    campaign = campaign.out().done();
    assert_eq!((campaign.told, campaign.messages), (20, 1));
    assert!(!begin(&campaign, 19, "14:01:59") && begin(&campaign, 20, "14:01:59"));
    assert!(begin(&campaign, 1, "14:02:00"));
    campaign = campaign.begin(lines(1), time("14:02:00")).unwrap().out().done();
    assert!(!begin(&campaign, 1, "14:05:59") && begin(&campaign, 1, "14:06:00"));
    let campaign = Campaign { messages: 40, ..campaign };
    assert!(!begin(&campaign, 1, "14:16:59") && begin(&campaign, 1, "14:17:00"), "at most 15 min");
}

#[test]
fn a_message_names_no_more_than_it_can_carry_the_oldest_first() {
    let mut many: Vec<Line> = Vec::new();
    for number in 0..=TOLD_TOGETHER_MAX {
        let name = "n".repeat(64);
        let why = "w".repeat(WHY_CHARS_MAX);
        let number = u32::try_from(number).unwrap();
        many.push(Line { name, why, number, ..line(1, "14:00:01") });
    }
    many.push(line(2, "14:00:00"));
    let begun = Campaign::default().begin(many, time("14:30:00")).unwrap();
    let scope = CampaignScope::of(&pending(AlertKind::Killed, "14:00:00")).unwrap();
    let alert = begun.alert(scope, None).unwrap();
    assert_eq!(alert.tells.len(), TOLD_TOGETHER_MAX);
    assert_eq!(alert.email.matches("\n- ").count(), TOLD_TOGETHER_MAX, "all by name");
    assert!(alert.email.contains("\n- pump-2 ("), "the oldest");
    assert!(alert.email.len() < 200_000, "SNS takes 256 kB: {}", alert.email.len());
}

#[test]
fn a_campaign_reads_well() {
    let scope = CampaignScope::of(&pending(AlertKind::Killed, "14:00:00")).unwrap();
    let known = Campaign { alone: BTreeSet::from(["x".to_owned()]), ..Campaign::default() };
    let begun = known.begin(vec![line(2, "14:07:00"), line(1, "14:05:00")], time("14:08:00"));
    let stack = "prod".parse().unwrap();
    let alert = begun.unwrap().alert(scope, Some(&stack)).unwrap();
    insta::assert_snapshot!(alert.subject, @"SimFuse: 2 SIMs are being deactivated, a campaign or a wrong rule");
    insta::assert_snapshot!(alert.sms.unwrap(), @"SimFuse prod: 2 SIMs are being deactivated. of fleet HF09090909090909090909090909090909. Look: simfuse status --stack prod");
    insta::assert_snapshot!(alert.email, @r#"
    2 SIMs are being deactivated: a campaign or a wrong rule

    Fleet      HF09090909090909090909090909090909
    Time       2026-03-01T14:05:00Z to 2026-03-01T14:07:00Z
    Before     1 told before, in these two hours

    Many SIMs of one fleet within two hours may have one cause: a theft of many, a carrier's or a firmware's change, or a wrong rule.
    To stop automatic kills:       simfuse stop --reason "..." --stack prod
    To see how things are:         simfuse status --stack prod
    To undo it for those in FILE:  simfuse restore --file FILE --reason "..." --stack prod

    - pump-1 (HS01010101010101010101010101010101)
    - pump-2 (HS02020202020202020202020202020202)

    Each of these SIMs is told of here and by no mail of its own.
    "#);
    assert_eq!(alert.tells, ["1-1", "2-1"]);
}

#[test]
fn every_gathered_kind_fits_a_phone() {
    let kinds = [
        AlertKind::Opened,
        AlertKind::Held,
        AlertKind::Killed,
        AlertKind::Proven,
        AlertKind::Quarantined,
        AlertKind::Restored,
    ];
    for kind in kinds {
        let scope = CampaignScope::of(&pending(kind, "14:00:00")).unwrap();
        let begun = Campaign::default().begin(lines(200), time("14:00:00")).unwrap();
        let alert = begun.alert(scope, None).unwrap();
        assert!(alert.subject.len() < 100 && alert.subject.is_ascii(), "{}", alert.subject);
        let is_urgent = matches!(kind, AlertKind::Held | AlertKind::Killed);
        assert_eq!(alert.sms.is_some(), is_urgent, "{kind:?}");
        assert!(alert.sms.is_none_or(|sms| sms.len() <= 160 && sms.ends_with("simfuse status")));
    }
}
