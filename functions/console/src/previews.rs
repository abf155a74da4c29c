//! What pages of links showed a moment ago: a page that is loaded over and over asks the kill-switch,
//! and through it the provider, no more often for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use simfuse_domain::id::SimSid;
use simfuse_domain::signed_link::{LinkAct, SignedLink};
use simfuse_kill_switch::request::SimAnswer;

/// A page may show what was so this long ago, by the wall clock: a container that is frozen between two
/// calls has no other that goes on. The button itself never rests on it.
const SHOWN_FOR: SignedDuration = SignedDuration::from_secs(20);

/// Links remembered at once; of more the oldest is asked for again. Some 10 kB each at most.
const LINKS_MAX: usize = 200;

/// A link, by what it is about: the SIM first, so that all links about it lie together.
type Key = (SimSid, String, LinkAct);

/// What the kill-switch said lately of links that are looked at, and when. That it said nothing is
/// remembered, too: a provider that does not answer is not to be asked more often.
#[derive(Default)]
pub(crate) struct Previews {
    shown: Mutex<BTreeMap<Key, (Timestamp, Option<SimAnswer>)>>,
}

impl Previews {
    /// What was said of the link, if that is recent.
    pub(crate) fn recent(&self, link: &SignedLink, now: Timestamp) -> Option<Option<SimAnswer>> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, said) = shown.get(&key(link))?;
        is_recent(*at, now).then(|| said.clone())
    }

    /// Remembers what was said, for a moment.
    pub(crate) fn remember(&self, link: &SignedLink, now: Timestamp, said: Option<SimAnswer>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|_, (at, _)| is_recent(*at, now));
        if shown.len() >= LINKS_MAX {
            let oldest = shown.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| shown.remove(&oldest));
        }
        shown.insert(key(link), (now, said));
    }

    /// Something was done about the SIM: what was said of it is over.
    pub(crate) fn forget(&self, sim: SimSid) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|(of, _, _), _| *of != sim);
    }
}

fn key(link: &SignedLink) -> Key {
    (link.sim, link.alert_id(), link.act)
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    at <= now && now.duration_since(at) < SHOWN_FOR
}

#[cfg(test)]
mod tests {
    use simfuse_domain::alert::{AlertKind, PendingAlert};
    use simfuse_domain::incident::Incident;

    use super::*;

    fn link(number: u32) -> SignedLink {
        let at = Timestamp::UNIX_EPOCH;
        let incident = Incident::open(SimSid::from_bytes([1; 16]), "x".to_owned(), None, at);
        let kind = AlertKind::Killed;
        let pending =
            PendingAlert { number, kind, at, fleet: None, by_human: false, is_protected: false };
        SignedLink::of(LinkAct::Restore, &incident, &pending)
    }

    #[test]
    fn no_more_links_are_remembered_than_there_is_room_for() {
        let previews = Previews::default();
        for number in 0..1_000 {
            let at = Timestamp::from_millisecond(i64::from(number)).unwrap();
            previews.remember(&link(number), at, None);
        }
        let now = Timestamp::from_second(1).unwrap();
        let known = |number: &u32| previews.recent(&link(*number), now).is_some();
        assert!((800..1_000).all(|number| known(&number)), "the latest");
        assert!(!(0..800).any(|number| known(&number)));
    }
}
