//! Audit entries: chained as they are written, read in pages, and the heads of their days.

use std::collections::BTreeSet;

use futures::future::join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use simfuse_domain::audit::{
    AuditEntry, AuditRecord, ChainName, DayHeads, DayTally, HeadsRun, Verified, Verifier, heads_of,
};
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::{Desired, Stage};
use simfuse_domain::port::{
    AuditLog, AuditQuery, AuditTrail, Cases, Commit, Committed, HeadsLog, Stop,
};

use super::{at, audit, incident, sim};

/// More pages than any of these clauses reads.
const PAGES_MAX: usize = 2_000;

/// Entries of a span, in pages of so many.
async fn read(
    table: &impl AuditTrail,
    chain: Option<ChainName>,
    span: (Timestamp, Timestamp),
    entries_max: usize,
) -> Vec<AuditRecord> {
    let (since, until) = span;
    let mut query = AuditQuery { chain, since, until, after: None, entries_max };
    let mut records = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = table.audit_page(&query).await.unwrap();
        assert!(page.records.len() <= entries_max);
        assert_eq!(page.unreadable, 0);
        records.extend(page.records);
        let Some(next) = page.next else {
            return records;
        };
        // As it comes back from whoever asked.
        query.after = Some(next.to_string().parse().unwrap());
    }
    panic!("the pages of {query:?} have no end");
}

/// Whether a chain holds, by all that the table has of it.
///
/// # Panics
/// When the table fails.
pub async fn verify(table: &impl AuditTrail, chain: ChainName) -> Verified {
    let head = table.audit_head(chain).await.unwrap();
    let all = (Timestamp::UNIX_EPOCH, "9999-01-01T00:00:00Z".parse().unwrap());
    let mut verifier = Verifier::new(chain);
    for record in read(table, Some(chain), all, 100).await {
        verifier.take(&record);
    }
    verifier.finish(head, &[])
}

async fn assert_holds(table: &impl AuditTrail, chain: ChainName, entries: u64) {
    let verified = verify(table, chain).await;
    assert_eq!((verified.entries, verified.broken), (entries, None), "{chain}");
}

/// An entry of this time.
fn entry(of: Option<SimSid>, seconds: i64, id: &str) -> AuditEntry {
    AuditEntry { at: at(seconds), ..audit(of, id, "why") }
}

/// Adds entries to what is kept of a SIM, whatever else is.
async fn add(table: &impl Cases, of: SimSid, audit: Vec<AuditEntry>) {
    let commit = Commit { audit, ..Commit::of(of) };
    assert_eq!(table.commit(&commit).await.unwrap(), Committed::Done);
}

fn ids(records: &[AuditRecord]) -> Vec<&str> {
    records.iter().map(|record| record.entry.id.as_str()).collect()
}

/// A SIM's entries of a span come by time, whatever the pages' size, and no other's.
pub async fn a_sims_entries_come_by_time_in_pages(table: &(impl Cases + AuditTrail)) {
    for (seconds, id) in [(10, "b c"), (5, "a"), (7_200, "d#1"), (10, "a"), (20, "e")] {
        add(table, sim(1), vec![entry(Some(sim(1)), seconds, id)]).await;
        add(table, sim(2), vec![entry(Some(sim(2)), seconds, id)]).await;
    }
    let of = Some(ChainName::Sim(sim(1)));
    for size in [1, 2, 3, 100] {
        let records = read(table, of, (at(0), at(10_000)), size).await;
        assert_eq!(ids(&records), ["a", "a", "b c", "e", "d#1"], "pages of {size}");
        assert!(records.iter().all(|record| record.entry.sim == Some(sim(1))));
        let records = read(table, of, (at(10), at(20)), size).await;
        assert_eq!(ids(&records), ["a", "b c"], "from the first moment, before the last");
    }
    assert!(read(table, of, (at(21), at(7_200)), 2).await.is_empty());
    assert!(read(table, Some(ChainName::Account), (at(0), at(10_000)), 2).await.is_empty());
}

/// The account's entries come by time over hours and days, whatever the pages' size: each once.
pub async fn the_accounts_entries_come_by_time_in_pages(
    table: &(impl Cases + AuditLog + AuditTrail),
) {
    // Many at one moment, in all shards, and others hours and days away.
    let times = [0, 0, 0, 1, 30, 3_000, 3_600, 3_601, 86_400, 200_000];
    let mut expected = BTreeSet::new();
    for number in 0..24_u16 {
        for (place, seconds) in times.iter().enumerate() {
            let entry = entry(Some(sim(number)), *seconds, &place.to_string());
            expected.insert((entry.at, entry.sim, entry.id.clone()));
            add(table, sim(number), vec![entry]).await;
        }
    }
    // One SIM of which there is more than of others, before what comes of them next.
    for seconds in 31..91 {
        let entry = entry(Some(sim(0)), seconds, "busy");
        expected.insert((entry.at, entry.sim, entry.id.clone()));
        add(table, sim(0), vec![entry]).await;
    }
    let stop = entry(None, 30, "stop");
    expected.insert((stop.at, None, stop.id.clone()));
    table.record_audit(&stop).await.unwrap();
    for size in [1, 7, 50, 1_000] {
        let records = read(table, None, (at(0), at(300_000)), size).await;
        let times: Vec<Timestamp> = records.iter().map(|record| record.entry.at).collect();
        assert!(times.is_sorted(), "pages of {size}: {times:?}");
        assert_eq!(records.len(), expected.len(), "pages of {size}: none twice");
        let key = |entry: &AuditEntry| (entry.at, entry.sim, entry.id.clone());
        let found: BTreeSet<_> = records.iter().map(|record| key(&record.entry)).collect();
        assert_eq!(found, expected, "pages of {size}: none is missing");
    }
    let within = read(table, None, (at(1), at(3_601)), 5).await;
    assert_eq!(within.len(), 24 * 4 + 60 + 1);
    assert!(read(table, None, (at(300_000), at(900_000)), 5).await.is_empty());
}

/// Entries follow one another, whatever they are written with; those about no SIM do, too.
pub async fn entries_of_a_chain_follow_one_another(table: &(impl Cases + AuditLog + AuditTrail)) {
    let mut open = incident(sim(1), 60);
    let of = Some(sim(1));
    let first = Commit {
        incident: Some((open.clone(), 0)),
        desired: Some((Desired::default(), 0)),
        audit: vec![entry(of, 1, "intent"), entry(of, 1, "another")],
        ..Commit::of(sim(1))
    };
    assert_eq!(table.commit(&first).await.unwrap(), Committed::Done);
    // A time before the last: clocks differ.
    add(table, sim(1), vec![entry(of, 0, "outcome")]).await;
    open.stage = Stage::Proven;
    let last = Commit {
        incident: Some((open, 1)),
        closes: true,
        audit: vec![entry(of, 9, "proven")],
        ..Commit::of(sim(1))
    };
    assert_eq!(table.commit(&last).await.unwrap(), Committed::Done);
    assert_holds(table, ChainName::Sim(sim(1)), 4).await;
    let stop = Stop { by: "ops".to_owned(), reason: "test".to_owned(), at: at(1) };
    table.write_stop(Some(&stop), &entry(None, 1, "stop")).await.unwrap();
    table.record_audit(&entry(None, 2, "limit")).await.unwrap();
    table.write_stop(None, &entry(None, 3, "resume")).await.unwrap();
    assert_holds(table, ChainName::Account, 3).await;
    assert_eq!(table.audit_head(ChainName::Sim(sim(2))).await.unwrap(), None);
}

/// An entry that comes again, as after an answer that was lost, keeps its place; what comes with it
/// is done. What is refused leaves no entry.
pub async fn an_entry_that_comes_again_keeps_its_place(
    table: &(impl Cases + AuditLog + AuditTrail),
) {
    let of = Some(sim(1));
    let (one, two) = (entry(of, 1, "1"), entry(of, 2, "2"));
    add(table, sim(1), vec![one.clone()]).await;
    add(table, sim(1), vec![two.clone()]).await;
    let head = table.audit_head(ChainName::Sim(sim(1))).await.unwrap();
    add(table, sim(1), vec![one.clone()]).await;
    add(table, sim(1), vec![two, one.clone()]).await;
    assert_eq!(table.audit_head(ChainName::Sim(sim(1))).await.unwrap(), head);
    add(table, sim(1), vec![one.clone(), entry(of, 3, "3")]).await;
    let desired = Some((Desired::default(), 0));
    let with = Commit { desired: desired.clone(), audit: vec![one], ..Commit::of(sim(1)) };
    assert_eq!(table.commit(&with).await.unwrap(), Committed::Done);
    assert_eq!(table.read_case(sim(1)).await.unwrap().desired.1, 1);
    let late = Commit { desired, audit: vec![entry(of, 4, "4")], ..Commit::of(sim(1)) };
    assert_eq!(table.commit(&late).await.unwrap(), Committed::Conflict);
    assert_holds(table, ChainName::Sim(sim(1)), 3).await;
    let stop = entry(None, 1, "stop");
    table.write_stop(None, &stop).await.unwrap();
    table.record_audit(&entry(None, 2, "limit")).await.unwrap();
    table.write_stop(None, &stop).await.unwrap();
    table.record_audit(&stop).await.unwrap();
    assert_holds(table, ChainName::Account, 2).await;
}

/// Whoever writes at the same time, about one SIM or none, leaves one chain.
pub async fn concurrent_writers_leave_one_chain(table: &(impl Cases + AuditLog + AuditTrail)) {
    const WRITERS: u8 = 6;
    let writers = (0..WRITERS).map(|writer| async move {
        let audit = vec![entry(Some(sim(1)), 1, &writer.to_string())];
        let commit = Commit { audit, ..Commit::of(sim(1)) };
        while table.commit(&commit).await.unwrap() == Committed::Conflict {}
        let account = entry(None, 1, &writer.to_string());
        match writer % 2 {
            0 => table.write_stop(None, &account).await.unwrap(),
            _ => table.record_audit(&account).await.unwrap(),
        }
    });
    join_all(writers).await;
    assert_holds(table, ChainName::Sim(sim(1)), u64::from(WRITERS)).await;
    assert_holds(table, ChainName::Account, u64::from(WRITERS)).await;
}

/// The record of a day goes on page by page, for one writer at a time.
pub async fn the_heads_of_a_day_are_recorded(table: &(impl Cases + AuditTrail + HeadsLog)) {
    let day: Date = "2026-03-01".parse().unwrap();
    assert_eq!(table.read_heads_run().await.unwrap(), (None, 0));
    assert_eq!(table.day_heads(day).await.unwrap(), None);
    add(table, sim(1), vec![entry(Some(sim(1)), 1, "1")]).await;
    add(table, sim(2), vec![entry(Some(sim(2)), 2, "2")]).await;
    let heads = heads_of(&read(table, None, (at(0), at(60)), 100).await);
    assert_eq!(heads.len(), 2);
    let so_far = DayHeads::of(day).with(2, &heads);
    let after = Some("somewhere".to_owned());
    let run = HeadsRun { so_far, after, is_whole: false, tally: Some(DayTally::default()) };
    let written = table.write_heads_run(&run, Some(&heads), 0).await.unwrap();
    assert_eq!(written, Committed::Done);
    let again = table.write_heads_run(&run, Some(&heads), 0).await.unwrap();
    assert_eq!(again, Committed::Conflict);
    assert_eq!(table.read_heads_run().await.unwrap(), (Some(run), 1));
    assert_eq!(table.heads_page(day, 1).await.unwrap(), Some(heads));
    assert_eq!(table.day_heads(day).await.unwrap(), None, "not whole yet");
    let whole = HeadsRun { so_far, after: None, is_whole: true, tally: None };
    assert_eq!(table.write_heads_run(&whole, None, 1).await.unwrap(), Committed::Done);
    assert_eq!(table.day_heads(day).await.unwrap(), Some(so_far));
    assert_eq!(table.heads_page(day, 2).await.unwrap(), None);
    let next = HeadsRun::of("2026-03-02".parse().unwrap());
    assert_eq!(table.write_heads_run(&next, None, 2).await.unwrap(), Committed::Done);
    assert_eq!(table.day_heads(day).await.unwrap(), Some(so_far), "it stays");
}
