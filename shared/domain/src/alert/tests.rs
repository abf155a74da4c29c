use super::*;
use crate::bytes::Bytes;
use crate::detector::fixture::{MB, Opened, SENSOR, TABLET, fleet, sim, state_of, time, used};
use crate::finding::{Evidence, Finding};
use crate::incident::{Hold, Human, Proof};
use crate::money::Money;
use crate::signed_link::LinkKey;
use crate::usage::SimUsage;
use crate::verdict::Verdict;

const KINDS: [AlertKind; 12] = [
    AlertKind::FreezeChanged,
    AlertKind::Quarantined,
    AlertKind::QuarantineFailed,
    AlertKind::KeptOff,
    AlertKind::Opened,
    AlertKind::Held,
    AlertKind::Killed,
    AlertKind::Proven,
    AlertKind::Leaking,
    AlertKind::Unreachable,
    AlertKind::Restored,
    AlertKind::RestoredElsewhere,
];

const HOLDS: [Hold; 5] = [Hold::Observe, Hold::Protected, Hold::Stopped, Hold::Cooldown, Hold::Cap];

fn strange_device(allowed: usize) -> Finding {
    Finding {
        detector: DetectorId::DeviceNotAllowed,
        about: TABLET.to_owned(),
        at: time("01T14:00"),
        evidence: Evidence::Device {
            seen: TABLET.parse().unwrap(),
            seen_tac: "86600905".parse().unwrap(),
            enrolled: (allowed == 0).then(|| SENSOR.parse().unwrap()),
            allowed_tacs: vec!["35378572".parse().unwrap(); allowed],
        },
    }
}

fn too_much() -> Finding {
    let (from, to) = (time("01T14:00"), time("01T15:00"));
    let (seen, limit) = (Bytes(31 * MB), Bytes(20 * MB));
    Finding {
        detector: DetectorId::HourLimit,
        about: "2026-03-01T14Z".to_owned(),
        at: time("01T14:06"),
        evidence: Evidence::Bytes { seen, limit, from, to, session: None },
    }
}

fn incident(name: &str, stage: Stage, findings: &[Finding]) -> Incident {
    let mut incident = Incident::open(sim(), name.to_owned(), Some(fleet()), time("01T14:06:05"));
    incident.stage = stage;
    incident.verdict = Verdict::Deactivate;
    incident.add_findings(findings);
    incident
}

fn alert(incident: &Incident, kind: AlertKind) -> Alert {
    alert_of(incident, kind, None)
}

fn pending_of(kind: AlertKind) -> PendingAlert {
    let at = time("01T14:06:07");
    PendingAlert { number: 1, kind, at, fleet: None, by_human: false, is_protected: false }
}

fn alert_of(incident: &Incident, kind: AlertKind, stack: Option<&StackName>) -> Alert {
    let pending = pending_of(kind);
    let state = state_of(&[used("01T14:00", "01T14:06", 31 * MB)]);
    Alert::of_incident(incident, &pending, Known { state: Some(&state), usage: None }, stack, None)
}

/// The default alphabet of GSM 03.38, as far as it is ASCII and takes one septet.
fn is_gsm_7(text: &str) -> bool {
    const ASCII: &str = "@$_ !\"#%&'()*+,-./0123456789:;<=>?\
                         ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    text.chars().all(|char| ASCII.contains(char))
}

#[test]
fn subjects_and_sms_fit_and_say_what_to_do_whatever_the_sim_is_called() {
    let names = [
        "pump-17".to_owned(),
        sim().to_string(),
        "\u{1f6b0} Wasserz\u{e4}hler {Nord} [7]~^\\|\u{20ac}`".to_owned(),
        "two\nlines\r\n\tand a bell\u{7}".to_owned(),
        "a name that goes on and on ".repeat(20),
        "x".repeat(128),
        String::new(),
        "-rf".to_owned(),
        "a b;$(c)".to_owned(),
    ];
    let findings = [vec![], vec![strange_device(0)], vec![strange_device(40)], vec![too_much()]];
    for name in &names {
        for findings in &findings {
            for kind in KINDS {
                for hold in HOLDS {
                    let alert = alert(&incident(name, Stage::Held(hold), findings), kind);
                    let subject = &alert.subject;
                    assert!(subject.len() < 100 && is_gsm_7(subject), "{subject:?}");
                    let Some(sms) = &alert.sms else { continue };
                    assert!(sms.len() <= 160 && is_gsm_7(sms), "{sms:?}");
                    let (happened, end) = match kind {
                        AlertKind::Held => (
                            format!("NOT deactivated: {hold}"),
                            "To switch it off: simfuse approve ",
                        ),
                        AlertKind::Killed => {
                            ("deactivated".to_owned(), "To undo: simfuse restore ")
                        }
                        AlertKind::KeptOff => (
                            "stays off after its freeze: policy asks for it".to_owned(),
                            "To switch it on: simfuse restore ",
                        ),
                        AlertKind::Leaking => (
                            "STILL CARRIES TRAFFIC although inactive".to_owned(),
                            "Call the provider: its network has not cut it",
                        ),
                        AlertKind::Unreachable => (
                            "is NOT in the status it should have".to_owned(),
                            "Retrying. Check the provider and its credentials, or use its console",
                        ),
                        AlertKind::Opened
                        | AlertKind::FreezeChanged
                        | AlertKind::Proven
                        | AlertKind::Quarantined
                        | AlertKind::QuarantineFailed
                        | AlertKind::Restored
                        | AlertKind::RestoredElsewhere => panic!("can wait: {sms:?}"),
                    };
                    let (_, rest) = sms.split_once(end).unwrap_or_else(|| panic!("{sms:?}"));
                    let rest = rest.strip_suffix(" --override-protection").unwrap_or(rest);
                    let called = [sim().to_string(), "pump-17".to_owned(), String::new()];
                    assert!(called.iter().any(|name| name == rest), "{sms:?}");
                    assert!(sms.contains(&happened), "{sms:?}");
                    assert!(subject.ends_with(&happened), "{subject:?}");
                }
            }
        }
    }
}

#[test]
fn of_a_named_stack_every_command_says_which() {
    let stacks = ["prod", "simfuse-production-eu", &"s".repeat(128)].map(|name| name.parse());
    for stack in stacks.map(Result::unwrap) {
        for kind in KINDS {
            let stage = Stage::Held(Hold::Protected);
            let alert = alert_of(&incident("pump-17", stage, &[too_much()]), kind, Some(&stack));
            for line in alert.email.lines().filter(|line| line.contains("simfuse ")) {
                assert!(line.ends_with(&format!(" --stack {stack}")), "{line}");
            }
            let Some(sms) = alert.sms.clone() else { continue };
            assert!(sms.len() <= 160 && is_gsm_7(&sms), "{sms}");
            let told = alert.of_stack(&stack);
            assert!(told.sms.as_deref().unwrap().len() <= 160 && told.subject.len() < 100);
            let is_short = stack.to_string().len() < 30;
            let has_command = sms.contains("simfuse ");
            assert_eq!(
                sms.contains(&format!(" --stack {stack}")),
                is_short && has_command,
                "{sms}"
            );
        }
    }
}

#[test]
fn an_sms_of_a_named_stack() {
    let stack = "prod".parse().unwrap();
    let stolen = incident("pump-17", Stage::Inactive, &[strange_device(0)]);
    let killed = alert_of(&stolen, AlertKind::Killed, Some(&stack)).of_stack(&stack);
    insta::assert_snapshot!(killed.sms.unwrap(), @"SimFuse prod: pump-17 deactivated. in device 86600905000001 (model 86600905) instead of 35378572000001. To undo: simfuse restore pump-17 --stack prod");
    insta::assert_snapshot!(killed.subject, @"SimFuse prod: pump-17 deactivated");
    let held = incident("pump-17", Stage::Held(Hold::Cap), &[too_much()]);
    let page = Alert::of_held(&[&held], None, time("01T14:15"), Some(&stack)).of_stack(&stack);
    assert!(page.email.contains("simfuse approve --all --reason \"...\" --stack prod\n"));
    insta::assert_snapshot!(page.sms.unwrap(), @"SimFuse prod: 1 kills held by the cap, approve or look. Mass theft or wrong rule? See them: simfuse approve --all --dry-run --stack prod");
}

#[test]
fn only_what_cannot_wait_is_sent_by_sms() {
    let by_sms =
        |kind: &AlertKind| alert(&incident("pump-17", Stage::Sent, &[]), *kind).sms.is_some();
    let kinds: Vec<AlertKind> = KINDS.into_iter().filter(by_sms).collect();
    let urgent = [
        AlertKind::KeptOff,
        AlertKind::Held,
        AlertKind::Killed,
        AlertKind::Leaking,
        AlertKind::Unreachable,
    ];
    assert_eq!(kinds, urgent);
}

#[test]
fn a_kill_is_told() {
    let killed = alert(
        &incident("pump-17", Stage::Inactive, &[strange_device(0), too_much()]),
        AlertKind::Killed,
    );
    insta::assert_snapshot!(killed.subject, @"SimFuse: pump-17 deactivated");
    insta::assert_snapshot!(killed.sms.unwrap(), @"SimFuse: pump-17 deactivated. in device 86600905000001 (model 86600905) instead of 35378572000001. To undo: simfuse restore pump-17");
    insta::assert_snapshot!(killed.email, @r#"
        pump-17 deactivated

        SIM        HS01010101010101010101010101010101
        Fleet      HF02020202020202020202020202020202
        Time       2026-03-01T14:06:07Z
        Why        device_not_allowed: in device 86600905000001 (model 86600905) instead of 35378572000001 (at 2026-03-01T14:00:00Z)
        Why        hour_limit: used 31.0 MB in 2026-03-01T14Z, limit 20.0 MB (at 2026-03-01T14:06:00Z)
        Used       at least 31.0 MB since 2026-03-01T14:00:00Z
        Stage      inactive

        What to do: To undo: simfuse restore HS01010101010101010101010101010101 --reason "..."
        Making it active again bills a month; a `ready` SIM comes back as `active`.
        Details:    simfuse status HS01010101010101010101010101010101
        "#);
    assert_eq!(killed.severity.as_str(), "critical");
    assert_eq!(
        (killed.action.as_str(), killed.detector),
        ("deactivated", Some(DetectorId::DeviceNotAllowed))
    );
    assert_eq!(killed.id, format!("{}-1772373965000-1", sim()));
}

#[test]
fn a_long_reason_is_cut_and_what_to_do_is_not() {
    let killed =
        alert(&incident("pump-17", Stage::Inactive, &[strange_device(40)]), AlertKind::Killed);
    insta::assert_snapshot!(killed.sms.unwrap(), @"SimFuse: pump-17 deactivated. in device 86600905000001, model 86600905 is not among 35378572, 35378572, 35378572, 35378572, ... To undo: simfuse restore pump-17");
}

#[test]
fn a_hold_is_told() {
    let held =
        alert(&incident("pump-17", Stage::Held(Hold::Protected), &[too_much()]), AlertKind::Held);
    insta::assert_snapshot!(held.sms.unwrap(), @"SimFuse: pump-17 NOT deactivated: the SIM is protected. used 31.0 MB in 2026-03-01T14Z, limit... To switch it off: simfuse approve pump-17 --override-protection");
    insta::assert_snapshot!(held.email, @r#"
        pump-17 NOT deactivated: the SIM is protected

        SIM        HS01010101010101010101010101010101
        Fleet      HF02020202020202020202020202020202
        Time       2026-03-01T14:06:07Z
        Why        hour_limit: used 31.0 MB in 2026-03-01T14Z, limit 20.0 MB (at 2026-03-01T14:06:00Z)
        Used       at least 31.0 MB since 2026-03-01T14:00:00Z
        Stage      held (the SIM is protected)

        What to do: To switch it off: simfuse approve HS01010101010101010101010101010101 --override-protection --reason "..."
        Details:    simfuse status HS01010101010101010101010101010101
        "#);
}

#[test]
fn a_proof_is_told() {
    let mut incident = incident("pump-17", Stage::Proven, &[too_much()]);
    incident.proof = Some(Proof::AttachRejected(time("01T14:09")));
    (incident.sent_at, incident.inactive_at) =
        (Some(time("01T14:06:06")), Some(time("01T14:06:56")));
    let proven = alert(&incident, AlertKind::Proven);
    insta::assert_snapshot!(proven.subject, @"SimFuse: pump-17 proven dead, at least 31.0 MB leaked in 9 min");
    insta::assert_snapshot!(proven.email, @r#"
        pump-17 proven dead, at least 31.0 MB leaked in 9 min

        SIM        HS01010101010101010101010101010101
        Fleet      HF02020202020202020202020202020202
        Time       2026-03-01T14:06:07Z
        Why        hour_limit: used 31.0 MB in 2026-03-01T14Z, limit 20.0 MB (at 2026-03-01T14:06:00Z)
        Leaked     at least 31.0 MB, since the first sign
        First sign 2026-03-01T14:00:00Z
        Found      2026-03-01T14:06:05Z (+6 min)
        Request    2026-03-01T14:06:06Z (+6 min)
        Inactive   2026-03-01T14:06:56Z (+6 min)
        Proof      2026-03-01T14:09:00Z (+9 min)
        Told       2026-03-01T14:06:07Z (+6 min)
        Stage      proven
        Proven by  the provider, which says inactive, and the network refused it at 2026-03-01T14:09:00Z (83705)

        What to do: To undo: simfuse restore HS01010101010101010101010101010101 --reason "..."
        Details:    simfuse status HS01010101010101010101010101010101
        "#);
}

#[test]
fn bytes_that_nobody_saw_leak_are_unknown_and_not_none() {
    let proven = incident("pump-17", Stage::Proven, &[too_much()]);
    let pending = pending_of(AlertKind::Proven);
    let alert = Alert::of_incident(&proven, &pending, Known::default(), None, None);
    assert_eq!(alert.subject, "SimFuse: pump-17 proven dead");
    assert!(
        alert.email.contains("\nLeaked     unknown, no event of it is kept"),
        "{}",
        alert.email
    );
    let by_hand = Alert::of_incident(
        &incident("pump-17", Stage::Proven, &[]),
        &pending,
        Known::default(),
        None,
        None,
    );
    assert!(!by_hand.email.contains("Leaked"), "nothing was found: {}", by_hand.email);
}

#[test]
fn bytes_have_a_price_where_the_sim_was_billed_lately() {
    let state = state_of(&[used("01T14:00", "01T14:06", 31 * MB)]);
    let mut usage = SimUsage::new(sim());
    usage.learn_price(Bytes(MB), Some(Money { micros: 100_000, currency: "USD".parse().unwrap() }));
    let known = Known { state: Some(&state), usage: Some(&usage) };
    let email = |kind, stage| {
        let incident = incident("pump-17", stage, &[too_much()]);
        let pending = pending_of(kind);
        Alert::of_incident(&incident, &pending, known, None, None).email
    };
    let proven = email(AlertKind::Proven, Stage::Proven);
    let money = "(about 3.10 USD, as this SIM was billed lately)";
    assert!(proven.contains(&format!("Leaked     at least 31.0 MB {money}, since")), "{proven}");
    let killed = email(AlertKind::Killed, Stage::Inactive);
    assert!(killed.contains(&format!("Used       at least 31.0 MB {money} since")), "{killed}");
}

#[test]
fn a_leak_is_told() {
    let (inactive_at, began) = (time("01T14:07"), time("01T14:12"));
    let leak = Finding {
        detector: DetectorId::AliveAfterKill,
        about: Opened("01T14:12").sid().to_string(),
        at: began,
        evidence: Evidence::Alive { inactive_at, began, session: Opened("01T14:12").sid() },
    };
    let leaking = incident("pump-17", Stage::Leaking, &[too_much(), leak]);
    let leaking = alert(&leaking, AlertKind::Leaking);
    insta::assert_snapshot!(leaking.sms.unwrap(), @"SimFuse: pump-17 STILL CARRIES TRAFFIC although inactive. traffic that began at 2026-03-01T14:12:00Z although i... Call the provider: its network has not cut it");
    insta::assert_snapshot!(leaking.email, @r"
        pump-17 STILL CARRIES TRAFFIC although inactive

        SIM        HS01010101010101010101010101010101
        Fleet      HF02020202020202020202020202020202
        Time       2026-03-01T14:06:07Z
        Why        hour_limit: used 31.0 MB in 2026-03-01T14Z, limit 20.0 MB (at 2026-03-01T14:06:00Z)
        Why        alive_after_kill: traffic that began at 2026-03-01T14:12:00Z although inactive since 2026-03-01T14:07:00Z (at 2026-03-01T14:12:00Z)
        Used       at least 31.0 MB since 2026-03-01T14:00:00Z
        Stage      leaking

        What to do: Call the provider: its network has not cut it
        Details:    simfuse status HS01010101010101010101010101010101
        ");
}

#[test]
fn what_a_human_did_bears_their_name_and_reason_in_one_line() {
    let mut incident = incident("pump\n17", Stage::Unreachable, &[]);
    incident.trouble = Some("the provider is throttling requests (429)".to_owned());
    let (by, reason) = ("ops@example.com\nWhy".to_owned(), "reported\r\nstolen".to_owned());
    incident.human = Some(Human { by, reason, alerts_before: 0 });
    let alert = alert(&incident, AlertKind::Unreachable);
    insta::assert_snapshot!(alert.sms.unwrap(), @"SimFuse: pump 17 is NOT in the status it should have. By ops@example.com Why: reported  ... Retrying. Check the provider and its credentials, or use its console");
    insta::assert_snapshot!(alert.email, @r"
        pump 17 is NOT in the status it should have

        SIM        HS01010101010101010101010101010101
        Fleet      HF02020202020202020202020202020202
        Time       2026-03-01T14:06:07Z
        By         ops@example.com Why: reported  stolen
        Stage      unreachable
        Trouble    the provider is throttling requests (429)

        What to do: Retrying. Check the provider and its credentials, or use its console
        Details:    simfuse status HS01010101010101010101010101010101
        ");
}

#[test]
fn one_page_lists_what_a_cap_holds() {
    let held: Vec<Incident> = (0..500)
        .map(|number| incident(&format!("pump-{number}"), Stage::Held(Hold::Cap), &[too_much()]))
        .collect();
    let page = |count: usize| {
        let held: Vec<&Incident> = held.iter().take(count).collect();
        Alert::of_held(&held, None, time("01T14:15"), None)
    };
    insta::assert_snapshot!(page(2).email, @r#"
        2 SIMs should be deactivated and wait, because the cap on automatic kills is reached.
        Either this is a mass theft, or a rule is wrong.

        - pump-0 (HS01010101010101010101010101010101): used 31.0 MB in 2026-03-01T14Z, limit 20.0 MB
        - pump-1 (HS01010101010101010101010101010101): used 31.0 MB in 2026-03-01T14Z, limit 20.0 MB

        All, and their digest:       simfuse approve --all --dry-run
        To deactivate all of them:   simfuse approve --all --reason "..."
        To deactivate one of them:   simfuse approve SIM --reason "..."
        To see why one waits:        simfuse status SIM
        If a rule is wrong:          simfuse stop --reason "..."
        Above 10 SIMs, all are deactivated only with --confirm and that digest; those that policy asks for no more by then are left out.
        This page is repeated every 15 minutes until none waits, or until simfuse stop.
        "#);
    for (count, listed) in [(45, 45), (500, 100)] {
        let page = page(count);
        assert_eq!(page.email.matches("\n- pump-").count(), listed);
        assert_eq!(page.email.contains("and 400 more"), count == 500);
        assert!(page.email.len() < 100_000, "SNS takes 256 kB, of all texts");
        assert!(page.email.contains("simfuse approve --all"));
        assert!(page.subject.len() < 100 && page.subject.contains(&count.to_string()));
        let sms = page.sms.unwrap();
        assert!(sms.len() <= 160 && is_gsm_7(&sms) && sms.contains(&count.to_string()), "{sms}");
        assert!(sms.ends_with("See them: simfuse approve --all --dry-run"), "{sms}");
    }
}

#[test]
fn a_page_gives_what_policy_asks_most_for_and_no_name_twice() {
    let policy: Policy =
        "version = 1\n[binding]\nmode = \"learnt\"\n[limits]\nact = \"deactivate\""
            .parse()
            .unwrap();
    let sid = sim().to_string();
    let held = incident(&sid, Stage::Held(Hold::Cap), &[strange_device(0), too_much()]);
    let page = |policy| Alert::of_held(&[&held], policy, time("01T14:15"), None).email;
    let line = |policy| page(policy).lines().find(|line| line.starts_with("- ")).map(str::to_owned);
    let used = format!("- {sid}: used 31.0 MB in 2026-03-01T14Z, limit 20.0 MB");
    assert_eq!(line(Some(&policy)), Some(used), "the device alone would only be told of");
    assert!(line(None).unwrap().contains(": in device"), "unread, the first");
}

#[test]
fn a_changed_freeze_says_what_holds_now() {
    let mut frozen = incident("pump-17", Stage::Inactive, &[]);
    frozen.frozen_until = Some(time("02T08:00"));
    let subject = |incident: &Incident| alert(incident, AlertKind::FreezeChanged).subject;
    assert_eq!(subject(&frozen), "SimFuse: pump-17 stays off until 2026-03-02 08:00Z now");
    frozen.frozen_until = None;
    assert_eq!(subject(&frozen), "SimFuse: pump-17 stays off: its freeze is lifted");
}

#[test]
fn a_kill_that_the_provider_carries_out_later_is_not_told_as_done() {
    let subject = |stage| alert(&incident("pump-17", stage, &[]), AlertKind::Killed).subject;
    assert_eq!(subject(Stage::Scheduled), "SimFuse: pump-17 is being deactivated");
    assert_eq!(subject(Stage::Inactive), "SimFuse: pump-17 deactivated");
}

/// The links of an alert: labels and what each token says.
fn links(incident: &Incident, kind: AlertKind) -> Vec<(String, SignedLink)> {
    let key = LinkKey::new(&[7; 32]).unwrap();
    let links = Links::new("https://console.example.com/".parse().unwrap(), key.clone());
    let pending = pending_of(kind);
    let alert = Alert::of_incident(incident, &pending, Known::default(), None, Some(&links));
    assert_eq!(
        alert,
        Alert::of_incident(incident, &pending, Known::default(), None, Some(&links)),
        "always the same"
    );
    let plain = Alert::of_incident(incident, &pending, Known::default(), None, None);
    assert!(alert.email.starts_with(&plain.email), "links come below all else");
    assert_eq!((alert.sms, alert.subject), (plain.sms, plain.subject), "links are for e-mail");
    let lines: Vec<&str> = alert.email.lines().collect();
    let url = |pair: &[&str]| {
        let token = pair[1].strip_prefix("https://console.example.com/link/")?;
        Some((pair[0].to_owned(), key.verify(token, pending.at).unwrap()))
    };
    lines.windows(2).filter_map(url).collect()
}

#[test]
fn an_alert_links_to_what_may_be_done_about_it() {
    let acts = |kind, stage| -> Vec<LinkAct> {
        let incident = incident("pump-17", stage, &[too_much()]);
        let links = links(&incident, kind);
        for (label, link) in &links {
            assert_eq!(*label, format!("{}:", link.act.label()));
            assert_eq!((link.incident(), link.sim), (incident.id.clone(), incident.sim));
            assert_eq!((link.alert, link.expires_at), (1, time("02T14:06:07")));
            assert_eq!(link.name, "pump-17");
        }
        links.into_iter().map(|(_, link)| link.act).collect()
    };
    for kind in KINDS {
        let expected: &[LinkAct] = match kind {
            AlertKind::Opened => &[LinkAct::Deactivate, LinkAct::FalseAlarm],
            AlertKind::Held => &[LinkAct::Approve, LinkAct::FalseAlarm],
            AlertKind::Killed
            | AlertKind::Proven
            | AlertKind::Quarantined
            | AlertKind::QuarantineFailed
            | AlertKind::KeptOff
            | AlertKind::FreezeChanged => &[LinkAct::Restore, LinkAct::FalseAlarm],
            AlertKind::Leaking
            | AlertKind::Unreachable
            | AlertKind::Restored
            | AlertKind::RestoredElsewhere => &[],
        };
        assert_eq!(acts(kind, Stage::Held(Hold::Observe)), expected, "{kind:?}");
    }
    let protected = acts(AlertKind::Held, Stage::Held(Hold::Protected));
    assert_eq!(protected, [LinkAct::FalseAlarm], "no link overrides protection");
    let by_hand = links(&incident("pump-17", Stage::Inactive, &[]), AlertKind::Killed);
    let by_hand: Vec<LinkAct> = by_hand.into_iter().map(|(_, link)| link.act).collect();
    assert_eq!(by_hand, [LinkAct::Restore], "what a human asked for is no alarm");
}

#[test]
fn an_alert_that_is_published_again_in_another_stage_has_the_same_links() {
    for kind in [AlertKind::Opened, AlertKind::Killed, AlertKind::Proven, AlertKind::Quarantined] {
        let of = |stage| links(&incident("pump-17", stage, &[too_much()]), kind);
        let first = of(Stage::Sent);
        assert!(!first.is_empty(), "{kind:?}");
        for stage in [Stage::Inactive, Stage::Quiet, Stage::Leaking, Stage::Restored] {
            assert_eq!(of(stage), first, "{kind:?} {stage}");
        }
    }
    let held =
        |hold| links(&incident("pump-17", Stage::Held(hold), &[too_much()]), AlertKind::Held);
    assert_eq!(held(Hold::Stopped), held(Hold::Observe));
    assert_eq!(
        held(Hold::Observe)[1..],
        held(Hold::Protected)[..],
        "but that one would be refused"
    );
}

#[test]
fn links_are_told_below_the_commands() {
    let links =
        Links::new("http://127.0.0.1:8787".parse().unwrap(), LinkKey::new(&[7; 32]).unwrap());
    let pending = pending_of(AlertKind::Killed);
    let incident = incident("pump-17", Stage::Inactive, &[]);
    let email = Alert::of_incident(&incident, &pending, Known::default(), None, Some(&links)).email;
    let (_, below) = email.split_once("Details:").unwrap();
    insta::assert_snapshot!(below.trim_start(), @r"
        simfuse status HS01010101010101010101010101010101

        Or by a link: it shows what it does, works once, and until 2026-03-02 14:06Z.

        Switch it on again:
        http://127.0.0.1:8787/link/AQMBAQEBAQEBAQEBAQEBAQEBAAABnKm4eMgAAAABAAAAAAAAAABppZlPcHVtcC0xNxzCHGFOTc6UkyjJhT_BD5QO-qP9LUOqkV6F81xgdCCo
        ");
}

#[test]
fn what_is_only_watched_explains_no_act() {
    let finding = |detector, what: &str| Finding {
        detector,
        about: what.to_owned(),
        at: time("01T14:00"),
        evidence: Evidence::Fault { what: what.to_owned() },
    };
    let mut incident = Incident::open(sim(), "pump-17".to_owned(), None, time("01T14:00"));
    incident.add_findings(&[finding(DetectorId::NetworkNew, "a network")]);
    assert_eq!(alert(&incident, AlertKind::Killed).detector, Some(DetectorId::NetworkNew));
    incident.add_findings(&[finding(DetectorId::Strike, "too fast")]);
    let told = alert(&incident, AlertKind::Killed);
    assert_eq!(told.detector, Some(DetectorId::Strike));
    let sms = told.sms.unwrap();
    assert!(sms.contains("too fast") && !sms.contains("a network"), "{sms}");
    let why: Vec<&str> = told.email.lines().filter(|line| line.starts_with("Why")).collect();
    assert!(why[0].contains("too fast") && why[1].contains("a network"), "{why:?}");
}
