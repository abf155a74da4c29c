use jiff::SignedDuration;

use super::*;

fn at(secs: i64) -> Timestamp {
    let epoch: Timestamp = "2026-03-04T03:01:02Z".parse().unwrap();
    epoch.checked_add(SignedDuration::from_secs(secs)).unwrap()
}

fn sim() -> SimSid {
    SimSid::from_bytes([7; 16])
}

fn entry(number: u8) -> AuditEntry {
    AuditEntry {
        sim: Some(sim()),
        fleet: Some(FleetSid::from_bytes([9; 16])),
        at: at(i64::from(number)),
        id: format!("{number}-intent"),
        actor: "ops".to_owned(),
        action: "deactivate".to_owned(),
        phase: Phase::Intent,
        reason: format!("reason {number}"),
        incident: Some("HS…-1".to_owned()),
    }
}

/// So many entries, each after the one before, and the head.
fn chain(entries: u8) -> (Vec<AuditRecord>, Option<Head>) {
    let mut records: Vec<AuditRecord> = Vec::new();
    for number in 0..entries {
        let known = records.last().and_then(AuditRecord::head);
        let known = known.map_or(KnownHead::Nothing, KnownHead::Head);
        records.push(AuditRecord::after(known, entry(number), Salt::from_bytes([number; 16])));
    }
    let head = records.last().and_then(AuditRecord::head);
    (records, head)
}

fn verified(records: &[AuditRecord], head: Option<Head>, recorded: &[ChainHead]) -> Verified {
    let mut verifier = Verifier::new(ChainName::Sim(sim()));
    for record in records {
        verifier.take(record);
    }
    verifier.finish(head, recorded)
}

fn broken(records: &[AuditRecord], head: Option<Head>) -> Option<(BreakKind, u64)> {
    verified(records, head, &[]).broken.map(|broken| (broken.kind, broken.number))
}

#[test]
fn the_encoding_is_the_documented_one() {
    // Made by the words of `link.rs` in another language.
    let (records, head) = chain(2);
    assert_eq!(
        records.first().and_then(AuditRecord::head).unwrap().hash.to_string(),
        "35e82349b31b2daf0dff589f1c8999b2a35d657666e95bc36d2e5ed1e6e45c8c"
    );
    assert_eq!(
        head.unwrap().hash.to_string(),
        "0101850c74ff37e3f31559edb4802953d78e44c875bda30edd9165e6c754f7c7"
    );
}

#[test]
fn a_chain_holds_in_whatever_order_its_entries_come() {
    let (mut records, head) = chain(5);
    records.reverse();
    assert_eq!(broken(&records, head), None);
    assert_eq!(verified(&records, head, &[]).entries, 5);
    assert_eq!(broken(&[], None), None, "nothing was ever written");
}

#[test]
fn the_first_entry_that_does_not_hold_is_named() {
    let (records, head) = chain(5);
    let tampered = |tamper: &dyn Fn(&mut Vec<AuditRecord>)| {
        let mut records = records.clone();
        tamper(&mut records);
        broken(&records, head)
    };
    let changed = tampered(&|records| records[2].entry.action = "restore".to_owned());
    assert_eq!(changed, Some((BreakKind::Changed, 3)));
    let reason = tampered(&|records| records[2].entry.reason = "another".to_owned());
    assert_eq!(reason, Some((BreakKind::Changed, 3)));
    assert_eq!(tampered(&|records| drop(records.remove(0))), Some((BreakKind::Missing, 1)));
    assert_eq!(tampered(&|records| drop(records.remove(3))), Some((BreakKind::Missing, 4)));
    assert_eq!(tampered(&|records| drop(records.pop())), Some((BreakKind::Missing, 5)));
    assert_eq!(tampered(&Vec::clear), Some((BreakKind::Missing, 1)), "the head names one");
    let copy = |records: &mut Vec<AuditRecord>| records.push(records[1].clone());
    assert_eq!(tampered(&copy), Some((BreakKind::Doubled, 2)));
    let put_in = |records: &mut Vec<AuditRecord>| {
        records.push(AuditRecord { entry: entry(3), link: None, salt: None });
    };
    assert_eq!(tampered(&put_in), Some((BreakKind::Unlinked, 0)));
    // One who knows the encoding makes the entry anew, and cannot make the next one follow it.
    let remade = |records: &mut Vec<AuditRecord>| {
        let before = KnownHead::Head(records[1].head().unwrap());
        let other = AuditEntry { action: "restore".to_owned(), ..entry(2) };
        records[2] = AuditRecord::after(before, other, Salt::from_bytes([1; 16]));
    };
    assert_eq!(tampered(&remade), Some((BreakKind::OutOfOrder, 4)));
}

#[test]
fn another_sims_entry_is_a_change() {
    let (mut records, _) = chain(1);
    let other = AuditEntry { sim: Some(SimSid::from_bytes([8; 16])), ..entry(1) };
    let before = KnownHead::Head(records[0].head().unwrap());
    records.push(AuditRecord::after(before, other, Salt::from_bytes([1; 16])));
    let head = records[1].head();
    assert_eq!(broken(&records, head), Some((BreakKind::Changed, 2)));
}

#[test]
fn a_chain_that_begins_anew_says_so() {
    for known in [KnownHead::Nothing, KnownHead::Unreadable, KnownHead::Contended] {
        let (mut records, _) = chain(2);
        records.push(AuditRecord::after(known, entry(2), Salt::from_bytes([2; 16])));
        let head = records[2].head();
        assert_eq!(broken(&records, head), Some((BreakKind::Restarted, 1)), "{known:?}");
    }
    let first = AuditRecord::after(KnownHead::Unreadable, entry(0), Salt::from_bytes([2; 16]));
    let head = first.head();
    assert_eq!(broken(&[first], head), Some((BreakKind::Restarted, 1)));
}

#[test]
fn a_lost_head_is_told_and_one_read_early_is_none() {
    let (records, _) = chain(3);
    assert_eq!(broken(&records, None), Some((BreakKind::HeadLost, 0)));
    assert_eq!(broken(&records, records[1].head()), None, "the last came after the head was read");
}

#[test]
fn whoever_writes_all_anew_does_not_match_what_was_recorded() {
    let (records, _) = chain(3);
    let recorded = heads_of(&records);
    let mut again: Vec<AuditRecord> = Vec::new();
    for number in 0..3 {
        let known = again.last().and_then(AuditRecord::head);
        let known = known.map_or(KnownHead::Nothing, KnownHead::Head);
        let entry = AuditEntry { action: "restore".to_owned(), ..entry(number) };
        again.push(AuditRecord::after(known, entry, Salt::from_bytes([number; 16])));
    }
    let head = again[2].head();
    assert_eq!(broken(&again, head), None, "the chain alone cannot tell");
    let verified = verified(&again, head, &recorded);
    assert_eq!(verified.recorded, 1);
    let broken = verified.broken.unwrap();
    assert_eq!((broken.kind, broken.number), (BreakKind::Rewritten, 3));
}

#[test]
fn erasing_what_is_personal_leaves_a_chain_that_holds() {
    let (mut records, head) = chain(3);
    let text = serde_json::to_string(&records[1].link).unwrap();
    assert!(!text.contains("ops") && !text.contains("reason 1"), "{text}");
    let erased = &mut records[1];
    (erased.entry.actor, erased.entry.reason) = (ERASED.to_owned(), ERASED.to_owned());
    assert_eq!(broken(&records, head), Some((BreakKind::Changed, 2)), "half an erasure is none");
    records[1].salt = None;
    assert_eq!(broken(&records, head), None);
    assert_eq!(verified(&records, head, &[]).erased, 1);
    records[1].entry.action = "restore".to_owned();
    assert_eq!(broken(&records, head), Some((BreakKind::Changed, 2)), "the rest still counts");
}

#[test]
fn entries_of_older_versions_are_read_and_lie_outside() {
    let old = r#"{"sim":"HS07070707070707070707070707070707","at":"2026-03-04T03:00:00Z","id":"1",
        "actor":"ops","action":"deactivate","phase":"intent","reason":"old","incident":null}"#;
    let entry: AuditEntry = serde_json::from_str(old).unwrap();
    assert_eq!((entry.fleet, entry.reason.as_str()), (None, "old"));
    let (mut records, head) = chain(2);
    records.insert(0, AuditRecord { entry, link: None, salt: None });
    let verified = verified(&records, head, &[]);
    assert_eq!((verified.entries, verified.unlinked, verified.broken), (2, 1, None));
}

#[test]
fn a_days_digest_depends_on_every_head_and_every_page() {
    let (records, _) = chain(3);
    let heads = heads_of(&records);
    assert_eq!(heads.len(), 1);
    assert_eq!(heads.first().unwrap().head.number, 3);
    let day = "2026-03-04".parse().unwrap();
    // The digest was made by the words of `heads.rs` in another language, too.
    let whole = DayHeads::of(day).with(3, &heads).with(0, &[]);
    insta::assert_snapshot!(whole.to_string(), @"audit of 2026-03-04: 3 entries, 1 heads, digest d5c16eab6ff9e749d364ef42e634ded206f9b1050f753d1055466f3086e9de3a");
    let earlier = heads_of(&records[..2]);
    let others = [
        DayHeads::of(day).with(3, &heads),
        DayHeads::of(day).with(3, &earlier).with(0, &[]),
        DayHeads::of(day).with(0, &[]).with(3, &heads),
        DayHeads::of("2026-03-05".parse().unwrap()).with(3, &heads).with(0, &[]),
    ];
    assert!(others.iter().all(|other| other.digest != whole.digest));
}
