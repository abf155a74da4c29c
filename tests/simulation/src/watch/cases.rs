//! One writer per item, one version after another, one incident at a time.

use simfuse_domain::port::Commit;
use simfuse_testkit::faulty::Method;
use simfuse_testkit::gated::Call;

use super::{Caller, Kind, Watch};

impl Watch {
    /// The webhook writes what events say, the kill-switch what is done about it.
    pub(super) fn check_writer(&mut self, caller: &Caller, call: &Call<'_>) {
        let is_webhook = caller.kind == Kind::Webhook;
        let wrong = match call.method() {
            Method::WriteState
            | Method::InsertFinding
            | Method::Beat
            | Method::PutDeadLetter
            | Method::InsertNews => !is_webhook,
            Method::Commit
            | Method::Acknowledge
            | Method::WriteStop
            | Method::RecordPaged
            | Method::ReplacePolicy
            | Method::RecordAudit
            | Method::WriteTold
            | Method::WriteCampaign
            | Method::WriteTexts
            | Method::Publish
            | Method::Fetch
            | Method::SetStatus => is_webhook,
            _ => false,
        };
        if wrong {
            self.broken("one_writer", || format!("{caller} called {:?}", call.method()));
        }
    }

    /// What is written rests on what is there.
    pub(super) fn check_versions(&mut self, commit: &Commit) {
        let Some(seen) = self.sims.get(&commit.sim) else { return };
        let incident = seen.incident.as_ref().map_or(0, |(_, version)| *version);
        let desired = seen.desired.1;
        let reads = [
            commit.incident.as_ref().map(|(_, read)| (*read, incident)),
            commit.desired.as_ref().map(|(_, read)| (*read, desired)),
            commit.desired_unchanged.map(|read| (read, desired)),
        ];
        if reads.iter().flatten().any(|(read, there)| read != there) {
            self.broken("versions", || format!("{} was written on an old version", commit.sim));
        }
        // An act and its outcome must not overtake what a human wants meanwhile.
        let acts = commit.audit.iter().any(|entry| entry.id.ends_with("-intent"));
        let outcome = commit.audit.iter().any(|entry| entry.id.ends_with("-outcome"));
        let guarded = commit.desired.is_some() || commit.desired_unchanged.is_some();
        if (acts || (outcome && commit.incident.is_some())) && !guarded {
            self.broken("versions", || {
                format!("{}: an act does not rest on what should be", commit.sim)
            });
        }
    }

    /// A second incident must not begin before the first is filed.
    pub(super) fn check_one_incident(&mut self, commit: &Commit) {
        let Some(seen) = self.sims.get(&commit.sim) else { return };
        let (Some((open, _)), Some((incident, _))) = (&seen.incident, &commit.incident) else {
            return;
        };
        if open.id != incident.id {
            let what = format!("{} beside {}", incident.id, open.id);
            self.broken("one_incident", || what);
        }
    }
}
