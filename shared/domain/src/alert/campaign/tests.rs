use super::*;

fn time(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().unwrap()
}

fn fleet() -> FleetSid {
    FleetSid::from_bytes([9; 16])
}

fn pending(kind: AlertKind, at: &str) -> PendingAlert {
    PendingAlert {
        number: 1,
        kind,
        at: time(at),
        fleet: Some(fleet()),
        by_human: false,
        is_protected: false,
    }
}

fn scope_of(kind: AlertKind) -> CampaignScope {
    CampaignScope::of(&pending(kind, "14:00:00")).unwrap()
}

fn killed() -> CampaignScope {
    scope_of(AlertKind::Killed)
}

fn begun(campaign: &Campaign, scope: CampaignScope, lines: Vec<Line>, at: &str) -> Campaign {
    campaign.begin(scope, lines, time(at)).unwrap().0
}

fn line(number: u8, at: &str) -> Line {
    let sim = SimSid::from_bytes([number; 16]);
    let mut incident = Incident::open(sim, format!("pump-{number}"), Some(fleet()), time(at));
    incident.id = format!("{number}");
    incident.stage = Stage::Sent;
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
    let by_human = PendingAlert { by_human: true, ..pending(AlertKind::Killed, "14:00:00") };
    let by_human = CampaignScope::of(&by_human).unwrap();
    assert_ne!(first, by_human, "what humans ask for hides no theft");
    assert_ne!(first.to_string(), by_human.to_string());
    for kind in [AlertKind::Leaking, AlertKind::RestoredElsewhere] {
        assert_eq!(CampaignScope::of(&pending(kind, "14:00:00")), None, "{kind:?}");
    }
    let protected = PendingAlert { is_protected: true, ..pending(AlertKind::Held, "14:00:00") };
    assert_eq!(
        CampaignScope::of(&protected),
        None,
        "whether it is a thief's is for a human to say"
    );
}

#[test]
fn so_many_are_told_alone_and_stay_so() {
    let mut campaign = Campaign::default();
    for id in ["a", "b", "a"] {
        if let Place::Room(with) = campaign.place_of(id, 2) {
            campaign = *with;
        }
        assert_eq!(campaign.place_of(id, 2), Place::Alone);
    }
    assert_eq!(campaign.place_of("c", 2), Place::Together);
    assert_eq!(campaign.alone.len(), 2);
}

#[test]
fn what_can_wait_waits_for_as_many_or_for_a_pause_that_doubles() {
    let scope = scope_of(AlertKind::Proven);
    let mut campaign = Campaign::default();
    let begin =
        |campaign: &Campaign, count, at| campaign.begin(scope, lines(count), time(at)).is_some();
    assert!(!begin(&campaign, 0, "14:00:00") && begin(&campaign, 1, "14:00:00"));
    campaign = begun(&campaign, scope, lines(20), "14:00:00");
    assert!(!begin(&campaign, 20, "15:00:00"), "one at a time");
    campaign = campaign.out().done(BTreeSet::new());
    assert_eq!((campaign.told, campaign.messages), (20, 1));
    assert!(!begin(&campaign, 19, "14:01:59") && begin(&campaign, 20, "14:01:59"));
    assert!(begin(&campaign, 1, "14:02:00"));
    campaign = begun(&campaign, scope, lines(1), "14:02:00").out().done(BTreeSet::new());
    assert!(!begin(&campaign, 1, "14:05:59") && begin(&campaign, 1, "14:06:00"));
    let campaign = Campaign { messages: 40, ..campaign };
    assert!(!begin(&campaign, 1, "14:16:59") && begin(&campaign, 1, "14:17:00"), "at most 15 min");
}

#[test]
fn what_cannot_wait_goes_out_with_the_second_sweep() {
    for kind in [AlertKind::Killed, AlertKind::Held] {
        let scope = scope_of(kind);
        let mut campaign =
            begun(&Campaign::default(), scope, lines(20), "14:00:00").out().done(BTreeSet::new());
        campaign.messages = 40;
        let begin = |at| campaign.begin(scope, lines(1), time(at)).is_some();
        assert!(!begin("14:01:29") && begin("14:01:30"), "{kind:?}");
    }
}

/// A line as long as one can be: all of it quotes, which JSON doubles, or wide characters.
fn long_line(number: u32, char: char) -> Line {
    let sim = SimSid::from_bytes([1; 16]);
    let name = char.to_string().repeat(5_000);
    let mut incident = Incident::open(sim, name.clone(), Some(fleet()), time("14:00:01"));
    incident.stage = Stage::Held(Hold::Cooldown);
    incident.human =
        Some(crate::incident::Human { by: name.clone(), reason: name, alerts_before: 0 });
    let pending = PendingAlert { number, ..pending(AlertKind::Killed, "14:00:01") };
    Line::of(&incident, &pending)
}

#[test]
fn a_message_names_no_more_than_it_can_carry_the_oldest_first() {
    for char in ['n', '"', '\u{1f6b0}'] {
        let mut many: Vec<Line> =
            (0..=u32::try_from(TOLD_TOGETHER_MAX).unwrap()).map(|n| long_line(n, char)).collect();
        many.push(line(2, "14:00:00"));
        let begun = Campaign::default().begin(killed(), many, time("14:30:00"));
        let (begun, lines) = begun.unwrap();
        let alert = begun.alert(killed(), &lines, time("14:30:00"), None);
        assert!((100..TOLD_TOGETHER_MAX).contains(&alert.tells.len()), "{}", alert.tells.len());
        assert_eq!(alert.email.matches("\n- ").count(), alert.tells.len(), "all by name");
        assert!(alert.email.contains("\n- pump-2 ("), "the oldest");
        let message = serde_json::to_string(&alert.email).unwrap().len();
        assert!(message < 250_000, "SNS takes 256 KiB: {message}");
    }
}

#[test]
fn short_names_fill_a_message_by_their_number_and_the_item_stays_small() {
    let (count, sim) = (u32::try_from(TOLD_TOGETHER_MAX).unwrap() + 1, SimSid::from_bytes([1; 16]));
    let id = Incident::id_of(sim, "9999-12-30T00:00:00Z".parse().unwrap());
    let of = |number| AlertName { sim, incident: id.clone(), number: u32::MAX - number };
    let many = (0..count).map(|number| Line { of: of(number), ..line(1, "14:00:00") }).collect();
    let alone = (0..10).map(|number| of(number).alert_id()).collect();
    let left = (0..count * 3).map(|number| of(number * 2)).collect();
    let known = Campaign { alone, ..Campaign::default() }.done(left);
    let (begun, lines) = known.begin(killed(), many, time("14:30:00")).unwrap();
    assert_eq!(lines.len(), TOLD_TOGETHER_MAX);
    let item = serde_json::to_string(&begun).unwrap().len();
    assert!(item < 150_000, "an item is 400 kB at most: {item}");
}

#[test]
fn an_item_of_the_version_before_is_read() {
    let open = r#"{"alone":["x-1"],"messages":1,"told":3,"last_at":"2026-03-01T14:00:00Z","open":{
        "at":"2026-03-01T14:02:00Z","is_out":true,"lines":[{"sim":"HS01010101010101010101010101010101",
        "name":"pump-1","incident":"i","number":2,"at":"2026-03-01T14:01:00Z","why":"w",
        "detectors":["hour_limit"],"device":null}]}}"#;
    let campaign: Campaign = serde_json::from_str(open).unwrap();
    let [line] = campaign.open.unwrap().lines.try_into().unwrap();
    assert_eq!(line.alert_id(), "i-2");
}

#[test]
fn a_campaign_reads_well_and_says_how_each_sim_is_by_then() {
    let known = Campaign { alone: BTreeSet::from(["x".to_owned()]), ..Campaign::default() };
    let restored = Line { stage: Some(Stage::Restored), ..line(2, "14:07:00") };
    let told = vec![restored, line(1, "14:05:00")];
    let (begun, lines) = known.begin(killed(), told, time("14:08:00")).unwrap();
    let stack = "prod".parse().unwrap();
    let alert = begun.alert(killed(), &lines, time("14:08:00"), Some(&stack));
    insta::assert_snapshot!(alert.subject, @"SimFuse: 2 SIMs are being deactivated, a campaign or a wrong rule");
    insta::assert_snapshot!(alert.sms.unwrap(), @"SimFuse prod: 2 SIMs are being deactivated. of fleet HF09090909090909090909090909090909. Look: simfuse status --stack prod");
    insta::assert_snapshot!(alert.email, @r#"
    2 SIMs are being deactivated: a campaign or a wrong rule

    Fleet      HF09090909090909090909090909090909
    Time       2026-03-01T14:05:00Z to 2026-03-01T14:07:00Z
    Stage      1 restored, 1 sent (at 2026-03-01T14:08:00Z)
    Before     1 told before, in these two hours

    Many SIMs of one fleet within two hours may have one cause: a theft of many, a carrier's or a firmware's change, or a wrong rule.
    To stop automatic kills:       simfuse stop --reason "..." --stack prod
    To see how things are:         simfuse status --stack prod
    To undo it for those in FILE:  simfuse restore --file FILE --reason "..." --stack prod

    - pump-1 (HS01010101010101010101010101010101), sent
    - pump-2 (HS02020202020202020202020202020202), restored

    Each of these SIMs is told of here and by no mail of its own.
    Their SIDs, to be saved as FILE:
    HS01010101010101010101010101010101
    HS02020202020202020202020202020202
    "#);
    assert_eq!(alert.tells, ["1-1", "2-1"]);
}

fn email_of(scope: CampaignScope, lines: Vec<Line>) -> String {
    let (begun, lines) = Campaign::default().begin(scope, lines, time("14:00:00")).unwrap();
    begun.alert(scope, &lines, time("14:00:00"), None).email
}

#[test]
fn a_held_campaign_is_answered_as_a_whole() {
    let held = scope_of(AlertKind::Held);
    let email = email_of(held, lines(2));
    for command in [
        "simfuse approve --file FILE --dry-run",
        "simfuse approve --file FILE --reason \"...\"",
        "simfuse kill --fleet HF09090909090909090909090909090909 --dry-run --reason \"...\"",
    ] {
        assert!(email.contains(&format!("  {command}\n")), "{email}");
    }
    assert!(!email.contains("--override-protection"), "{email}");
    let protected = Line { stage: Some(Stage::Held(Hold::Protected)), ..line(1, "14:00:00") };
    let email = email_of(held, vec![protected]);
    let command = "simfuse approve --file FILE --override-protection --reason \"...\"\n";
    assert!(email.contains(command), "{email}");
}

#[test]
fn no_command_names_a_fleet_that_is_not_known() {
    for kind in KINDS {
        let email = email_of(CampaignScope { fleet: None, ..scope_of(kind) }, lines(1));
        assert!(!email.contains("FLEET") && !email.contains("--fleet"), "{email}");
    }
}

#[test]
fn what_humans_asked_for_is_no_theft() {
    let email = email_of(CampaignScope { by_human: true, ..killed() }, lines(1));
    assert!(email.starts_with("1 SIMs are being deactivated: as was asked\n"), "{email}");
    assert!(!email.contains("theft"), "{email}");
}

const KINDS: [AlertKind; 6] = [
    AlertKind::Opened,
    AlertKind::Held,
    AlertKind::Killed,
    AlertKind::Proven,
    AlertKind::Quarantined,
    AlertKind::Restored,
];

#[test]
fn every_gathered_kind_fits_a_phone() {
    for kind in KINDS {
        let scope = scope_of(kind);
        let (begun, lines) =
            Campaign::default().begin(scope, lines(200), time("14:00:00")).unwrap();
        let alert = begun.alert(scope, &lines, time("14:00:00"), None);
        assert!(alert.subject.len() < 100 && alert.subject.is_ascii(), "{}", alert.subject);
        let is_urgent = matches!(kind, AlertKind::Held | AlertKind::Killed);
        assert_eq!(alert.sms.is_some(), is_urgent, "{kind:?}");
        assert!(alert.sms.is_none_or(|sms| sms.len() <= 160 && sms.ends_with("simfuse status")));
    }
}
