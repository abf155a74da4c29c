//! A chain of audit entries holds as it was written, and no single change of it goes unseen.

use jiff::Timestamp;
use proptest::prelude::*;
use simfuse_domain::audit::{
    AuditEntry, AuditRecord, ChainName, ERASED, Head, KnownHead, Phase, Salt, Verified, Verifier,
};
use simfuse_domain::id::{FleetSid, SimSid};

fn sim() -> SimSid {
    SimSid::from_bytes([7; 16])
}

prop_compose! {
    fn entry()(
        secs in 0..40_i64,
        id in "[a-z0-9#-]{1,6}",
        actor in "\\PC{0,6}",
        action in "[a-z_]{1,6}",
        reason in "\\PC{0,12}",
        fleet in proptest::option::of(any::<[u8; 16]>()),
        outcome in any::<bool>(),
        incident in proptest::option::of("[a-z0-9-]{0,6}"),
    ) -> AuditEntry {
        AuditEntry {
            sim: Some(sim()),
            fleet: fleet.map(FleetSid::from_bytes),
            at: Timestamp::from_second(1_772_000_000 + secs).unwrap(),
            id,
            actor,
            action,
            phase: if outcome { Phase::Outcome } else { Phase::Intent },
            reason,
            incident,
        }
    }
}

/// A chain, of which some personal texts are erased.
fn chain() -> impl Strategy<Value = Vec<AuditRecord>> {
    let link = proptest::collection::vec((entry(), any::<[u8; 16]>(), any::<bool>()), 1..9);
    link.prop_map(|parts| {
        let mut records: Vec<AuditRecord> = Vec::new();
        for (entry, salt, erase) in parts {
            let known = records.last().and_then(AuditRecord::head);
            let known = known.map_or(KnownHead::Nothing, KnownHead::Head);
            let mut record = AuditRecord::after(known, entry, Salt::from_bytes(salt));
            if erase {
                let entry = &mut record.entry;
                (entry.actor, entry.reason) = (ERASED.to_owned(), ERASED.to_owned());
                record.salt = None;
            }
            records.push(record);
        }
        records
    })
}

/// The same in any order, and its head.
fn shuffled() -> impl Strategy<Value = (Vec<AuditRecord>, Option<Head>)> {
    chain().prop_flat_map(|records| {
        let head = records.last().and_then(AuditRecord::head);
        (Just(records).prop_shuffle(), Just(head))
    })
}

fn verify(records: &[AuditRecord], head: Option<Head>) -> Verified {
    let mut verifier = Verifier::new(ChainName::Sim(sim()));
    for record in records {
        verifier.take(record);
    }
    verifier.finish(head, &[])
}

/// One change of what is kept, of the n-th entry, and the m-th where it takes two. What changes
/// nothing, as an exchange of like with like does, is left as it is.
fn tamper(records: &mut Vec<AuditRecord>, how: u8, n: usize, m: usize) {
    let entry = &mut records[n].entry;
    match how {
        0 => drop(records.remove(n)),
        1 => {
            let (here, there) = (records[n].link.clone(), records[m].link.clone());
            (records[n].link, records[m].link) = (there, here);
        }
        2 => records.push(records[n].clone()),
        3 => entry.action.push('x'),
        4 => entry.id.push('x'),
        5 => entry.at = Timestamp::from_second(entry.at.as_second() + 1).unwrap(),
        6 => entry.fleet = entry.fleet.is_none().then(|| FleetSid::from_bytes([1; 16])),
        7 => entry.sim = None,
        8 => entry.incident = entry.incident.is_none().then(String::new),
        9 => {
            entry.phase = match entry.phase {
                Phase::Intent => Phase::Outcome,
                Phase::Outcome => Phase::Intent,
            }
        }
        10 if records[n].salt.is_some() => records[n].entry.actor.push('x'),
        11 if records[n].salt.is_some() => records[n].entry.reason.push('x'),
        12 => {
            let (here, there) = (records[n].entry.clone(), records[m].entry.clone());
            (records[n].entry, records[m].entry) = (there, here);
        }
        13 => records[n].link.as_mut().unwrap().number += 1,
        14 => records[n].link.as_mut().unwrap().segment = Timestamp::UNIX_EPOCH,
        15 => records[n].link.as_mut().unwrap().personal = records[m].head().unwrap().hash,
        16 => {
            // Made anew with the right predecessor, by one who knows the encoding.
            let before = n.checked_sub(1).map(|before| records[before].head().unwrap());
            let known = before.map_or(KnownHead::Nothing, KnownHead::Head);
            let entry = AuditEntry { action: "forged".to_owned(), ..records[n].entry.clone() };
            records[n] = AuditRecord::after(known, entry, Salt::from_bytes([3; 16]));
        }
        17 => {
            // Where a text moves from one field to the next, the whole stays the same text.
            let entry = &mut records[n].entry;
            if let Some(last) = entry.id.pop() {
                entry.action.insert(0, last);
            }
        }
        _ => {}
    }
}

/// The entries without regard to their order.
fn sorted(records: &[AuditRecord]) -> Vec<String> {
    let mut texts: Vec<String> = records.iter().map(|record| format!("{record:?}")).collect();
    texts.sort();
    texts
}

proptest! {
    #[test]
    fn a_chain_holds_in_any_order((records, head) in shuffled()) {
        let verified = verify(&records, head);
        prop_assert_eq!(verified.broken, None);
        prop_assert_eq!(verified.entries, records.len() as u64);
    }

    #[test]
    fn no_single_change_goes_unseen(
        records in chain(),
        how in 0..18_u8,
        n in any::<prop::sample::Index>(),
        m in any::<prop::sample::Index>(),
    ) {
        let head = records.last().and_then(AuditRecord::head);
        let mut tampered = records.clone();
        tamper(&mut tampered, how, n.index(records.len()), m.index(records.len()));
        prop_assume!(sorted(&tampered) != sorted(&records));
        let verified = verify(&tampered, head);
        prop_assert!(verified.broken.is_some(), "{:?}", tampered);
    }
}

/// What a writer does next, and which of the writers.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Reads the chain's end.
    Reads,
    /// Writes its entry, if the end is still as it read it; else it has to read again. An entry
    /// that is there already it leaves alone.
    Writes,
    /// Goes on to its next entry; without this the answer was lost, and it writes the same again.
    GoesOn,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![Just(Step::Reads), Just(Step::Writes), Just(Step::GoesOn)];
    proptest::collection::vec((0..4_usize, step), 0..80)
}

proptest! {
    #[test]
    fn writers_that_come_between_one_another_leave_one_chain(steps in steps()) {
        let mut kept: Vec<AuditRecord> = Vec::new();
        let mut head: Option<Head> = None;
        // Of each writer: the end that it read, and the number of its entry.
        let mut writers = [(None, 0_u32); 4];
        for (writer, step) in steps {
            let (read, number) = &mut writers[writer];
            let id = format!("{writer}-{number}");
            match step {
                Step::Reads => *read = head,
                Step::GoesOn => *number += 1,
                Step::Writes => {
                    let is_kept = kept.iter().any(|record| record.entry.id == id);
                    if is_kept || *read != head {
                        continue;
                    }
                    let entry = AuditEntry {
                        sim: Some(sim()),
                        fleet: None,
                        // Its clock is not the others'.
                        at: Timestamp::from_second(1_772_000_000 - writer as i64).unwrap(),
                        id,
                        actor: String::new(),
                        action: "deactivate".to_owned(),
                        phase: Phase::Intent,
                        reason: String::new(),
                        incident: None,
                    };
                    let known = read.map_or(KnownHead::Nothing, KnownHead::Head);
                    let record = AuditRecord::after(known, entry, Salt::from_bytes([0; 16]));
                    head = record.head();
                    kept.push(record);
                }
            }
        }
        let verified = verify(&kept, head);
        prop_assert_eq!(verified.broken, None);
        prop_assert_eq!(verified.entries, kept.len() as u64);
    }
}
