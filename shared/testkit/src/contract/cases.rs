//! Cases, decisions, and what the sweep finds.

use futures::future::join_all;
use simfuse_domain::audit::AuditEntry;
use simfuse_domain::guard::{CapScope, KillWindow};
use simfuse_domain::id::SimSid;
use simfuse_domain::incident::{Desired, Hold, Incident, Stage};
use simfuse_domain::policy::Cap;
use simfuse_domain::port::{
    Case, Cases, Commit, Committed, OpenIncident, Policies, PolicyVersions, States, Stop,
    TableError, TargetStatus,
};

use super::{at, audit, finding, incident, sim};

const ACCOUNT: CapScope = CapScope::Account;

/// Room for the 50 kills of the concurrent clause.
const CAP: Cap = Cap { count: 1_000, percent: None, window_mins: 60 };

fn off() -> Desired {
    Desired { status: Some(TargetStatus::Inactive), ..Desired::default() }
}

/// A kill on nothing that was there before: incident, what should be, cap and intent.
async fn kill(table: &impl Cases, of: SimSid) -> Commit {
    let (window, read) = table.read_kill_window(ACCOUNT).await.unwrap();
    Commit {
        incident: Some((incident(of, 60), 0)),
        desired: Some((off(), 0)),
        kill_windows: vec![(ACCOUNT, window.admit(at(0), CAP, None).unwrap(), read)],
        unless_stopped: true,
        audit: vec![audit(Some(of), "intent", "stolen")],
        ..Commit::of(of)
    }
}

async fn assert_untouched(table: &impl Cases, of: SimSid) {
    let case = table.read_case(of).await.unwrap();
    assert!(case.incident.is_none(), "{case:?}");
    assert_eq!(case.desired, (Desired::default(), 0));
    assert!(table.open_incidents(at(1_000_000), 10).await.unwrap().is_empty());
}

/// Nothing is known of a SIM of which nothing was written.
pub async fn a_case_of_nothing_is_empty(table: &impl Cases) {
    assert_untouched(table, sim(1)).await;
    let case = table.read_case(sim(1)).await.unwrap();
    assert_eq!(case.sim, sim(1));
    assert!(case.state.is_none() && case.findings.is_empty() && case.stop.is_none());
    let none = (KillWindow::default(), 0);
    assert_eq!(table.read_kill_window(ACCOUNT).await.unwrap(), none);
    assert_eq!(table.commit(&Commit::of(sim(1))).await.unwrap(), Committed::Done);
}

/// All of a decision is recorded, each item with its next version.
pub async fn a_commit_is_read_back(table: &impl Cases) {
    let kill = kill(table, sim(1)).await;
    assert_eq!(table.commit(&kill).await.unwrap(), Committed::Done);
    let case = table.read_case(sim(1)).await.unwrap();
    assert_eq!(case.incident, Some((incident(sim(1), 60), 1)));
    assert_eq!(case.desired, (off(), 1));
    let (window, version) = table.read_kill_window(ACCOUNT).await.unwrap();
    assert_eq!((window.kills(at(0), 60), version), (1, 1));
    assert_eq!(table.commit(&kill).await.unwrap(), Committed::Conflict, "the same once more");
    let mut sent = incident(sim(1), 120);
    sent.stage = Stage::Sent;
    let next = Commit {
        incident: Some((sent.clone(), 1)),
        desired_unchanged: Some(1),
        ..Commit::of(sim(1))
    };
    assert_eq!(table.commit(&next).await.unwrap(), Committed::Done);
    let case = table.read_case(sim(1)).await.unwrap();
    assert_eq!((case.incident, case.desired), (Some((sent, 2)), (off(), 1)));
    assert_eq!(table.commit(&next).await.unwrap(), Committed::Conflict, "an old version");
}

/// An incident that is no longer as it was read stops all of a decision.
pub async fn a_changed_incident_stops_a_commit(table: &impl Cases) {
    let kill = kill(table, sim(1)).await;
    let wrong = Commit { incident: Some((incident(sim(1), 60), 4)), ..kill.clone() };
    assert_eq!(table.commit(&wrong).await.unwrap(), Committed::Conflict);
    assert_untouched(table, sim(1)).await;
    let closes = Commit { closes: true, ..wrong };
    assert_eq!(table.commit(&closes).await.unwrap(), Committed::Conflict);
    assert_untouched(table, sim(1)).await;
    assert_eq!(table.read_kill_window(ACCOUNT).await.unwrap().1, 0);
    // The same time and id with other words: the entry of the refused decisions was not kept.
    let audit = vec![audit(Some(sim(1)), "intent", "other words")];
    let right = Commit { audit, ..kill };
    assert_eq!(table.commit(&right).await.unwrap(), Committed::Done);
}

/// A restore that came between stops all of a decision, whether it writes what should be or not.
pub async fn a_changed_desire_stops_a_commit(table: &impl Cases) {
    let kill = kill(table, sim(1)).await;
    let writes = Commit { desired: Some((off(), 2)), ..kill.clone() };
    assert_eq!(table.commit(&writes).await.unwrap(), Committed::Conflict);
    let requires = Commit { desired: None, desired_unchanged: Some(2), ..kill.clone() };
    assert_eq!(table.commit(&requires).await.unwrap(), Committed::Conflict);
    assert_untouched(table, sim(1)).await;
    let never_written = Commit { desired: None, desired_unchanged: Some(0), ..kill.clone() };
    assert_eq!(table.commit(&never_written).await.unwrap(), Committed::Done);
    let restore = Commit { desired: Some((Desired::default(), 0)), ..Commit::of(sim(1)) };
    assert_eq!(table.commit(&restore).await.unwrap(), Committed::Done);
    let late = Commit {
        incident: Some((incident(sim(1), 99), 1)),
        desired_unchanged: Some(0),
        ..Commit::of(sim(1))
    };
    assert_eq!(table.commit(&late).await.unwrap(), Committed::Conflict);
}

/// The stop switch stops what asks for it, and nothing else.
pub async fn the_stop_switch_stops_a_commit(table: &impl Cases) {
    let stop = Stop { by: "ops".to_owned(), reason: "test".to_owned(), at: at(1) };
    table.write_stop(Some(&stop), &audit(None, "1", "stop")).await.unwrap();
    let kill = kill(table, sim(1)).await;
    assert_eq!(table.commit(&kill).await.unwrap(), Committed::Conflict);
    assert_untouched(table, sim(1)).await;
    let human = Commit { unless_stopped: false, ..kill };
    assert_eq!(table.commit(&human).await.unwrap(), Committed::Done);
    let case = table.read_case(sim(1)).await.unwrap();
    assert_eq!((case.stop, case.desired.1), (Some(stop), 1));
}

/// Another policy than the one that was read stops what asks for it, and nothing else.
pub async fn a_changed_policy_stops_a_commit(table: &(impl Cases + Policies + PolicyVersions)) {
    let read = table.current_policy().await.unwrap().number();
    assert_eq!(read, Some(0), "the default");
    let kill_by =
        |number| async move { Commit { policy_unchanged: number, ..kill(table, sim(1)).await } };
    let before = kill_by(read).await;
    let change = super::table::change(&"version = 1\n".parse().unwrap(), 0);
    assert_eq!(table.replace_policy(&change).await.unwrap(), Committed::Done);
    assert_eq!(table.commit(&before).await.unwrap(), Committed::Conflict);
    assert_untouched(table, sim(1)).await;
    let read = table.current_policy().await.unwrap().number();
    assert_eq!(read, Some(1));
    assert_eq!(table.commit(&kill_by(Some(2)).await).await.unwrap(), Committed::Conflict);
    assert_eq!(table.commit(&kill_by(read).await).await.unwrap(), Committed::Done);
    let human = Commit { policy_unchanged: None, ..before };
    let human = Commit {
        incident: Some((incident(sim(1), 70), 1)),
        desired: None,
        kill_windows: Vec::new(),
        ..human
    };
    assert_eq!(table.commit(&human).await.unwrap(), Committed::Done);
}

/// A kill that was counted in between stops all of a decision.
pub async fn a_changed_kill_window_stops_a_commit(table: &impl Cases) {
    let kill_2 = kill(table, sim(2)).await;
    let kill_1 = kill(table, sim(1)).await;
    let fleet = CapScope::Fleet("HF0123456789abcdef0123456789abcdef".parse().unwrap());
    let mut both = kill_1.clone();
    both.kill_windows.insert(0, (fleet, KillWindow::default(), 0));
    assert_eq!(table.commit(&kill_2).await.unwrap(), Committed::Done);
    assert_eq!(table.commit(&both).await.unwrap(), Committed::Conflict);
    let case = table.read_case(sim(1)).await.unwrap();
    assert!(case.incident.is_none() && case.desired.1 == 0);
    assert_eq!(table.read_kill_window(fleet).await.unwrap().1, 0);
    assert_eq!(table.read_kill_window(ACCOUNT).await.unwrap().1, 1);
}

/// An entry that is there already, word for word, is no obstacle; another in its place is, and it
/// is a fault: reading again would not help.
pub async fn an_audit_entry_is_written_once_and_never_changed(table: &impl Cases) {
    let with = |entry: AuditEntry, read| Commit {
        desired: Some((off(), read)),
        audit: vec![entry],
        ..Commit::of(sim(1))
    };
    let same = audit(Some(sim(1)), "1", "stolen");
    assert_eq!(table.commit(&with(same.clone(), 0)).await.unwrap(), Committed::Done);
    assert_eq!(table.commit(&with(same.clone(), 1)).await.unwrap(), Committed::Done);
    let other = audit(Some(sim(1)), "1", "other words");
    assert_eq!(table.commit(&with(other.clone(), 0)).await.unwrap(), Committed::Conflict);
    let refused = table.commit(&with(other, 2)).await;
    assert!(matches!(refused, Err(TableError::Fault { .. })), "{refused:?}");
    assert_eq!(table.read_case(sim(1)).await.unwrap().desired.1, 2);
}

/// What makes no sense is a fault, and changes nothing.
pub async fn a_commit_that_contradicts_itself_is_a_fault(table: &impl Cases) {
    let of = Commit::of;
    let contradictions = [
        Commit { closes: true, ..of(sim(1)) },
        Commit { incident: Some((incident(sim(2), 60), 0)), ..of(sim(1)) },
        Commit { desired: Some((off(), 0)), desired_unchanged: Some(1), ..of(sim(1)) },
    ];
    for commit in contradictions {
        let refused = table.commit(&commit).await;
        assert!(matches!(refused, Err(TableError::Fault { .. })), "{refused:?}");
    }
    assert_untouched(table, sim(1)).await;
}

/// An incident that is over is no longer open, and the next one begins anew.
pub async fn a_closed_incident_makes_room_for_the_next(table: &impl Cases) {
    let open = Commit { incident: Some((incident(sim(1), 60), 0)), ..Commit::of(sim(1)) };
    assert_eq!(table.commit(&open).await.unwrap(), Committed::Done);
    let mut over = incident(sim(1), 60);
    over.stage = Stage::Proven;
    let close = Commit { incident: Some((over, 1)), closes: true, ..Commit::of(sim(1)) };
    assert_eq!(table.commit(&close).await.unwrap(), Committed::Done);
    assert_untouched(table, sim(1)).await;
    assert_eq!(table.commit(&close).await.unwrap(), Committed::Conflict, "it is closed already");
    assert_eq!(table.commit(&open).await.unwrap(), Committed::Done);
    let mut brief = incident(sim(2), 60);
    brief.stage = Stage::RestoredElsewhere;
    let brief = Commit { incident: Some((brief, 0)), closes: true, ..Commit::of(sim(2)) };
    assert_eq!(table.commit(&brief).await.unwrap(), Committed::Done, "opened and closed at once");
    assert!(table.read_case(sim(2)).await.unwrap().incident.is_none());
}

/// Incidents that are over come the latest first, no more than asked for, and without the open one.
/// One that is opened again is filed in its old place.
pub async fn past_incidents_come_the_latest_first(table: &impl Cases) {
    let opened = |second| Incident { opened_at: at(second), ..incident(sim(1), 60) };
    let files = |incident: Incident, read| Commit {
        incident: Some((incident, read)),
        closes: true,
        ..Commit::of(sim(1))
    };
    assert!(table.filed_incidents(sim(1), 10).await.unwrap().is_empty());
    for second in [20, 10, 30] {
        let filed = files(opened(second), 0);
        assert_eq!(table.commit(&filed).await.unwrap(), Committed::Done);
    }
    let other = Incident { opened_at: at(40), ..incident(sim(2), 60) };
    let other = Commit { incident: Some((other, 0)), closes: true, ..Commit::of(sim(2)) };
    assert_eq!(table.commit(&other).await.unwrap(), Committed::Done);
    let again = Commit { incident: Some((opened(20), 0)), ..Commit::of(sim(1)) };
    assert_eq!(table.commit(&again).await.unwrap(), Committed::Done);
    let times = |past: Vec<Incident>| -> Vec<_> {
        past.into_iter().map(|incident| incident.opened_at).collect()
    };
    let past = table.filed_incidents(sim(1), 10).await.unwrap();
    assert_eq!(times(past), [30, 20, 10].map(at), "not the open one");
    assert_eq!(times(table.filed_incidents(sim(1), 2).await.unwrap()), [30, 20].map(at));
    let judged = Incident { false_alarm_at: Some(at(50)), stage: Stage::Restored, ..opened(20) };
    assert_eq!(table.commit(&files(judged.clone(), 1)).await.unwrap(), Committed::Done);
    let past = table.filed_incidents(sim(1), 10).await.unwrap();
    assert_eq!((past.len(), &past[1]), (3, &judged), "there once, as it is now");
}

/// The sweep gets what is due, the longest due first, over all shards, and no more than it asks
/// for.
pub async fn incidents_come_in_the_order_in_which_they_are_due(table: &impl Cases) {
    // 7 is coprime to 20: every second from 0 to 19 once, in no order.
    for number in 0..20 {
        let incident = incident(sim(number), i64::from(number * 7 % 20));
        let commit = Commit { incident: Some((incident, 0)), ..Commit::of(sim(number)) };
        assert_eq!(table.commit(&commit).await.unwrap(), Committed::Done);
    }
    let times = |open: Vec<OpenIncident>| -> Vec<_> {
        open.into_iter().map(|open| open.next_check).collect()
    };
    let seconds = |to: i64| (0..=to).map(at).collect::<Vec<_>>();
    let due = |before, max| table.open_incidents(before, max);
    assert_eq!(times(due(at(19), 100).await.unwrap()), seconds(19));
    assert_eq!(times(due(at(12), 100).await.unwrap()), seconds(12), "due at the time itself");
    assert_eq!(times(due(at(19), 5).await.unwrap()), seconds(4));
    assert_eq!(times(due(at(-1), 5).await.unwrap()), []);
    let later = Commit { incident: Some((incident(sim(0), 50), 1)), ..Commit::of(sim(0)) };
    assert_eq!(table.commit(&later).await.unwrap(), Committed::Done);
    let open = due(at(99), 100).await.unwrap();
    assert_eq!((open.len(), open[19].incident.sim, open[19].next_check), (20, sim(0), at(50)));
}

/// Those in which nothing is left but to tell take no place from those in which something is to be
/// done, nor the other way.
pub async fn what_only_tells_takes_no_place_from_what_acts(table: &impl Cases) {
    for number in 0..12 {
        let mut incident: Incident = incident(sim(number), i64::from(40 + number));
        incident.alert(simfuse_domain::alert::AlertKind::Opened, at(i64::from(number) - 30));
        // Each third waits for a human.
        let waits = number % 3 == 0;
        incident.stage = if waits { Stage::Alerted } else { Stage::Unreachable };
        let commit = Commit { incident: Some((incident, 0)), ..Commit::of(sim(number)) };
        assert_eq!(table.commit(&commit).await.unwrap(), Committed::Done);
    }
    let listed = async |max| -> Vec<_> {
        let open = table.open_incidents(at(99), max).await.unwrap();
        open.into_iter().map(|open| open.incident.sim).collect()
    };
    assert_eq!(listed(2).await, [0, 3, 1, 2].map(sim), "an alert brings no act forward");
    assert_eq!(listed(100).await.len(), 12);
    let due = table.open_incidents(at(10), 100).await.unwrap();
    assert_eq!(due.iter().map(|open| open.incident.sim).collect::<Vec<_>>(), [0, 3, 6, 9].map(sim));
}

/// What a cap holds is listed by itself, and is due like any other.
pub async fn what_a_cap_holds_is_listed_by_itself(table: &impl Cases) {
    let stages = [Stage::Requested, Stage::Held(Hold::Cap), Stage::Held(Hold::Stopped)];
    for (read, stage) in (0..).zip(stages) {
        let held: Incident = Incident { stage, ..incident(sim(1), 10) };
        let commit = Commit { incident: Some((held.clone(), read)), ..Commit::of(sim(1)) };
        assert_eq!(table.commit(&commit).await.unwrap(), Committed::Done);
        let listed = table.held_incidents(10).await.unwrap();
        let expected = if held.is_held_by_cap() { vec![held.clone()] } else { Vec::new() };
        assert_eq!(listed, expected, "{stage}");
        let due = table.open_incidents(at(10), 10).await.unwrap();
        assert_eq!(due.len(), 1, "{stage}");
        assert_eq!(due[0].incident, held);
    }
    assert!(table.held_incidents(0).await.unwrap().is_empty());
}

/// An incident with an alert that is not known to be published is due before its next check.
pub async fn an_alert_in_the_outbox_makes_an_incident_due(table: &impl Cases) {
    let mut waiting = Incident { stage: Stage::Alerted, ..incident(sim(1), 10_000) };
    waiting.alert(simfuse_domain::alert::AlertKind::Opened, at(0));
    let commit = Commit { incident: Some((waiting.clone(), 0)), ..Commit::of(sim(1)) };
    assert_eq!(table.commit(&commit).await.unwrap(), Committed::Done);
    let open = table.open_incidents(at(60), 10).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].next_check, &open[0].incident), (waiting.due_at(), &waiting));
}

/// A finding is listed until it is acknowledged; the SIM once, those with the oldest first.
pub async fn findings_are_listed_until_they_are_acknowledged(table: &(impl States + Cases)) {
    for (number, about, received) in [(3, "a", 30), (1, "a", 10), (1, "b", 40), (2, "a", 20)] {
        let finding = finding(about, 0);
        table.insert_finding(sim(number), &finding, at(received)).await.unwrap();
    }
    let open = |before, max| table.unacknowledged(before, max);
    assert_eq!(open(at(99), 10).await.unwrap(), [sim(1), sim(2), sim(3)]);
    assert_eq!(open(at(99), 2).await.unwrap(), [sim(1), sim(2)]);
    assert_eq!(open(at(20), 10).await.unwrap(), [sim(1)], "not those received at the time itself");
    let key = |about| finding(about, 0).key();
    table.acknowledge(sim(1), &[key("a"), key("never inserted")]).await.unwrap();
    assert_eq!(open(at(99), 10).await.unwrap(), [sim(2), sim(3), sim(1)]);
    table.acknowledge(sim(1), &[key("a"), key("b")]).await.unwrap();
    table.acknowledge(sim(9), &[key("a")]).await.unwrap();
    table.acknowledge(sim(2), &[]).await.unwrap();
    assert_eq!(open(at(99), 10).await.unwrap(), [sim(2), sim(3)]);
    assert_eq!(table.read_case(sim(1)).await.unwrap().findings.len(), 2, "they are kept");
    table.insert_finding(sim(1), &finding("a", 0), at(50)).await.unwrap();
    assert_eq!(open(at(99), 10).await.unwrap(), [sim(2), sim(3)], "and not listed again");
}

/// A case holds the latest findings, whatever their keys.
pub async fn a_case_holds_the_latest_findings(table: &(impl States + Cases)) {
    let count = i64::try_from(Case::FINDINGS_MAX).unwrap() + 10;
    for number in 0..count {
        // The latest have the smallest keys.
        let finding = finding(&format!("{:03}", count - number), number);
        table.insert_finding(sim(1), &finding, at(0)).await.unwrap();
    }
    let case = table.read_case(sim(1)).await.unwrap();
    assert_eq!(case.findings.len(), Case::FINDINGS_MAX);
    assert!(case.findings.values().all(|finding| finding.at >= at(10)));
}

/// Fifty kills at once on one cap: each is counted, however often it has to try.
pub async fn concurrent_kills_lose_no_count(table: &impl Cases) {
    const KILLS: u16 = 50;
    let kills = (0..KILLS).map(|number| async move {
        loop {
            match table.commit(&kill(table, sim(number)).await).await.unwrap() {
                Committed::Done => return,
                Committed::Conflict => {}
            }
        }
    });
    join_all(kills).await;
    let (window, version) = table.read_kill_window(ACCOUNT).await.unwrap();
    assert_eq!((window.kills(at(0), 60), version), (u32::from(KILLS), u64::from(KILLS)));
    let open = table.open_incidents(at(60), 100).await.unwrap();
    assert_eq!(open.len(), usize::from(KILLS));
}
