//! A request SIM by SIM: as many as there is time for, and only those that a human confirmed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::SignedDuration;
use simfuse_domain::alert::Alert;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::policy::Policy;
use simfuse_domain::port::{
    Alerts, AuditLog, AuditTrail, Campaigns, Cases, Clock, Fleets, Heartbeat, Policies,
    PolicyVersions, States, SuperSim, UsageRanks,
};

use crate::choice::{CONFIRM_ABOVE, Choice, Select, digest_of};
use crate::engine::KillSwitch;
use crate::error::{Chain, KillSwitchError};
use crate::manual::{by, reason};
use crate::request::{Action, Answer, Request, SimAnswer};
use crate::sweep::SIMS_AT_ONCE;

/// No SIM is begun within this time before an invocation ends: a SIM takes at most two calls to the
/// provider of 5 s each, and the table's retries of a second or so.
const STOP_BEFORE: Duration = Duration::from_secs(20);

/// A request that is repeated after this long is another one, and is told again.
const TOLD_AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Bytes of answers in one invocation: Lambda carries 6 MB, and the list of all SIMs of a selection
/// takes 2 MB of them.
const ANSWERS_BYTES_MAX: usize = 3_500_000;

/// What is the same for all SIMs of a request.
pub(crate) struct Course<'a> {
    pub(crate) request: &'a Request,
    pub(crate) policy: &'a Policy,
    /// When to begin with no more SIMs: once the clock has gone so long.
    pub(crate) stop_at: Duration,
    /// Whether these are so many that they are told of together.
    pub(crate) is_bulk: bool,
    /// Whether that was told.
    pub(crate) is_told: bool,
    /// The fleet that was selected: a SIM that left it is not meant.
    pub(crate) fleet: Option<FleetSid>,
    /// SIMs begun, with what they were called.
    begun: Mutex<BTreeMap<SimSid, String>>,
    answers_bytes: AtomicUsize,
    /// What the provider said against a fleet for quarantine, where it was asked.
    pub(crate) quarantines: Mutex<BTreeMap<FleetSid, Option<String>>>,
}

impl Course<'_> {
    /// What this SIM was called before in the same request, if it was.
    pub(crate) fn named_before(&self, sim: SimSid, name: &str) -> Option<String> {
        if self.request.action == Action::Status {
            return None;
        }
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let first = begun.entry(sim).or_insert_with(|| name.to_owned());
        (first != name).then(|| first.clone())
    }

    fn is_full(&self) -> bool {
        self.answers_bytes.load(Ordering::Relaxed) >= ANSWERS_BYTES_MAX
    }

    fn count(&self, answer: &SimAnswer) {
        let bytes = serde_json::to_vec(answer).map_or(0, |json| json.len());
        self.answers_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns
        + Cases
        + Policies
        + PolicyVersions
        + AuditLog
        + AuditTrail
        + Heartbeat
        + States
        + UsageRanks,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Answers a request about the SIMs that it selects, largest first.
    pub(crate) async fn answer_selected(
        &self,
        request: &Request,
        select: &Select,
        time: Duration,
        answer: &mut Answer,
    ) -> Result<(), KillSwitchError> {
        let begun = self.clock.uptime();
        let (sims, selected) = match self.select(select).await? {
            Ok(selection) => selection,
            Err(why) => {
                answer.error = Some(why);
                return Ok(());
            }
        };
        answer.selected = Some(selected);
        let names = sims.iter().map(|(sim, _)| sim.to_string()).collect();
        let time = time.saturating_sub(self.clock.uptime().saturating_sub(begun));
        self.answer_all(request, names, time, answer).await?;
        let used: BTreeMap<SimSid, _> = sims.into_iter().collect();
        for sim in &mut answer.sims {
            sim.used_bytes = sim.sim.and_then(|sid| used.get(&sid).copied().flatten());
        }
        Ok(())
    }

    /// Answers a request about these SIMs: all of them, or from `next` on as far as there is time.
    pub(crate) async fn answer_all(
        &self,
        request: &Request,
        names: Vec<String>,
        time: Duration,
        answer: &mut Answer,
    ) -> Result<(), KillSwitchError> {
        let choice = Choice::of(&names);
        let is_bulk = choice.len() > CONFIRM_ABOVE;
        if choice.len() == 0 {
            return Ok(());
        }
        answer.sims_all = is_bulk.then(|| choice.len());
        let digest = digest_of(request, &choice.names);
        if request.action != Action::Status {
            if let Some(why) = unconfirmed(request, &choice, &digest) {
                (answer.digest, answer.error) = (Some(digest), Some(why));
                return Ok(());
            }
            answer.digest = request.dry_run.then(|| digest.clone());
        }
        let is_told =
            is_bulk && !request.dry_run && self.tell_of_many(request, &choice, &digest).await;
        let policy = self.policy().await?;
        let begun = self.clock.uptime();
        let usable = time.saturating_sub(STOP_BEFORE).max(time / 2);
        let stop_at = begun.saturating_add(usable);
        let course = Course {
            request,
            policy: &policy,
            stop_at,
            is_bulk,
            is_told,
            fleet: answer.selected.as_ref().map_or(request.of_fleet, |selected| selected.fleet),
            begun: Mutex::default(),
            answers_bytes: AtomicUsize::new(0),
            quarantines: Mutex::default(),
        };
        let next = self.work(&course, &choice, answer).await;
        if next.is_some() && request.sims.is_empty() {
            answer.all = Some(choice.names);
        }
        if next.is_some() {
            answer.wait_secs = self.provider.wait().map(|wait| wait.as_secs().saturating_add(1));
        }
        answer.next = next;
        tracing::info!(
            request.action = %request.action,
            request.dry_run,
            sims.all = answer.sims_all,
            sims.answered = answer.sims.len(),
            request.next = answer.next.is_some(),
            elapsed.secs = self.clock.uptime().saturating_sub(begun).as_secs_f64(),
            "a request was answered"
        );
        Ok(())
    }

    /// Works through the SIMs in canonical order. Gives the first that there was no time for.
    async fn work(
        &self,
        course: &Course<'_>,
        choice: &Choice,
        answer: &mut Answer,
    ) -> Option<String> {
        let mut rest = choice.from(course.request.next.as_deref()).into_iter();
        let mut begun = FuturesUnordered::new();
        let mut answers = BTreeMap::new();
        let mut next: Option<String> = None;
        loop {
            // What was begun is finished; whether there is time for more, each asks for itself.
            while begun.len() < SIMS_AT_ONCE && next.is_none() {
                let Some((canonical, place)) = rest.next() else { break };
                if course.is_bulk && course.is_full() {
                    next = Some(canonical);
                    break;
                }
                let name = choice.names.get(place).map(String::as_str).unwrap_or_default();
                begun.push(Box::pin(self.placed(course, name, canonical, place)));
            }
            match begun.next().await {
                None => break,
                Some((_, place, Some(one))) => _ = answers.insert(place, one),
                // Of those that there was no time for, the first; after it nothing is begun.
                Some((canonical, _, None)) => {
                    next = Some(next.map_or(canonical.clone(), |next| next.min(canonical)));
                }
            }
        }
        answer.sims = answers.into_values().collect();
        next
    }

    async fn placed(
        &self,
        course: &Course<'_>,
        name: &str,
        canonical: String,
        place: usize,
    ) -> (String, usize, Option<SimAnswer>) {
        let one = self.answer_one(course, name).await;
        if let Some(one) = &one {
            course.count(one);
        }
        (canonical, place, one)
    }

    /// One alert for all SIMs of a request, before the first is touched: a mail for each of ten
    /// thousand would bury what else happens. Says whether it is out: if not, each is told by itself.
    async fn tell_of_many(&self, request: &Request, choice: &Choice, digest: &str) -> bool {
        let sims = choice.len();
        let done = match request.action {
            Action::Deactivate | Action::Approve => "deactivated",
            Action::Quarantine => "moved to quarantine",
            Action::Restore => "restored",
            Action::FalseAlarm => "judged false alarms",
            _ => return false,
        };
        let (by, why) = (by(request), reason(request));
        let happened = format!("{sims} SIMs are to be {done}");
        let id = format!("many-{}-{digest}", request.action);
        // The same request goes on in other invocations, and may be repeated.
        let told = self.table.last_paged(&id).await.ok().flatten();
        let now = self.clock.now();
        if told.is_some_and(|told| now.duration_since(told) < TOLD_AGAIN_AFTER) {
            return true;
        }
        let alert = Alert::of_many(id.clone(), &happened, done, (&by, &why), self.stack.as_ref());
        if let Err(error) = self.publish(&alert).await {
            tracing::error!(error = %Chain(&error), "that many SIMs are acted on is not told");
            return false;
        }
        if let Err(error) = self.table.record_paged(&id, now).await {
            tracing::warn!(error = %Chain(&error), "that many SIMs are acted on may be told again");
        }
        true
    }
}

/// Why nothing is done yet; `None` where it was confirmed, or need not be.
fn unconfirmed(request: &Request, choice: &Choice, digest: &str) -> Option<String> {
    if request.dry_run {
        return None;
    }
    let confirmed = request.confirm.as_deref().map(|confirm| confirm.trim().to_ascii_lowercase());
    let sims = choice.len();
    match confirmed {
        Some(confirm) if confirm == digest => None,
        None if sims <= CONFIRM_ABOVE => None,
        None => Some(format!(
            "{sims} SIMs, and more than {CONFIRM_ABOVE} need a confirmation: nothing was done. \
             Look at a dry run, then ask with \"confirm\": \"{digest}\""
        )),
        Some(confirm) => Some(format!(
            "{confirm:?} confirms something else (other SIMs, another action or other options): \
             nothing was done. These are {sims} SIMs. Look at a dry run, then ask with \
             \"confirm\": \"{digest}\""
        )),
    }
}
