//! From the function URL's request to a page: what a link says, whether it was used, what became of
//! its act.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use aws_lambda_events::lambda_function_urls::{
    LambdaFunctionUrlRequest, LambdaFunctionUrlResponse,
};
use serde_json::Value;
use simfuse_domain::id::SimSid;
use simfuse_domain::port::{Claim, Clock, LinkClaims, LinkUse};
use simfuse_domain::signed_link::{
    HINT_PATH, LINK_PATH, LinkAct, LinkKey, LinkRefusal, SignedLink,
};
use simfuse_kill_switch::request::{Action, Answer, AsTold, Outcome, Request, SimAnswer};

use crate::error::{Chain, ConsoleError};
use crate::page::{Page, Pages};
use crate::previews::Previews;

/// What the kill-switch needs for one SIM (two calls to the provider of 5 s each, and the table), and
/// some to spare; with the table's own 3 s before and after it still within the function's 30 s.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A page that shows a link waits so long for what its act would do. Without that it says what the act
/// does in general.
pub const LOOK_WITHIN: Duration = Duration::from_secs(6);

/// A form without fields has no body; a browser may send a few bytes all the same.
const BODY_BYTES_MAX: usize = 1_024;

/// Where acts are asked for.
pub trait Switch: Send + Sync {
    /// Asks the kill-switch, and waits for its answer.
    ///
    /// # Errors
    /// When there is none: it may have done what was asked, or not.
    fn ask(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<Answer, Box<dyn Error + Send + Sync>>> + Send;

    /// Lets the kill-switch look at a SIM, and does not wait until it has.
    ///
    /// # Errors
    /// When it is not known that it will.
    fn hint(
        &self,
        sim: SimSid,
    ) -> impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send;
}

/// The handler: made once, lent to each call.
pub struct Handler<T, S, C> {
    claims: T,
    switch: S,
    clock: C,
    key: LinkKey,
    pages: Pages,
    previews: Previews,
}

impl<T, S, C> Handler<T, S, C>
where
    T: LinkClaims,
    S: Switch,
    C: Clock,
{
    /// A handler for links that are signed with this key.
    pub fn new(claims: T, switch: S, clock: C, key: LinkKey) -> Self {
        let (pages, previews) = (Pages::new(), Previews::default());
        Self { claims, switch, clock, key, pages, previews }
    }

    /// Answers one request as Lambda hands it over. One that cannot be read is answered, too: who
    /// pressed a button is told something.
    pub async fn invoke(&self, mut payload: Value, call: &str) -> LambdaFunctionUrlResponse {
        // Nothing here reads a header, and a single one that is not ASCII makes the whole unreadable.
        if let Some(request) = payload.as_object_mut() {
            request.remove("headers");
            request.remove("cookies");
        }
        match serde_json::from_value(payload) {
            Ok(request) => self.handle(&request, call).await,
            Err(error) => {
                tracing::debug!(%error, "request cannot be read");
                self.pages.response(&Page::Unreadable, "GET")
            }
        }
    }

    /// Answers one request; it never fails. `call` tells this call from all others: by it the link
    /// is taken.
    pub async fn handle(
        &self,
        request: &LambdaFunctionUrlRequest,
        call: &str,
    ) -> LambdaFunctionUrlResponse {
        let method = request.request_context.http.method.as_deref().unwrap_or_default();
        let path = request.raw_path.as_deref().unwrap_or_default();
        if let Some(token) = path.strip_prefix(HINT_PATH) {
            let mut response = LambdaFunctionUrlResponse::default();
            response.status_code = self.take_hint(token, method).await;
            return response;
        }
        let page = self.page(request, method, call).await;
        self.pages.response(&page, method)
    }

    async fn page(&self, request: &LambdaFunctionUrlRequest, method: &str, call: &str) -> Page {
        let path = request.raw_path.as_deref().unwrap_or_default();
        let Some(token) = path.strip_prefix(LINK_PATH) else {
            return Page::NotFound;
        };
        if !matches!(method, "GET" | "HEAD" | "POST") {
            return Page::WrongMethod;
        }
        if request.body.as_ref().is_some_and(|body| body.len() > BODY_BYTES_MAX) {
            return Page::TooLarge;
        }
        let link = match self.key.verify(token, self.clock.now()) {
            Ok(link) => link,
            Err(refusal) => {
                // Without the token: who reads the log is not to use it. And quietly: anyone may knock.
                tracing::debug!(%refusal, "link refused");
                return match refusal {
                    LinkRefusal::NotOurs => Page::NotOurs,
                    LinkRefusal::Expired { at } => Page::Expired(at),
                };
            }
        };
        // Scanners of mail follow links: to look is not to act.
        if method == "POST" { self.act(link, call).await } else { self.show(link, method).await }
    }

    /// What the link would do, or that it does nothing any more. Takes nothing and changes nothing.
    async fn show(&self, link: SignedLink, method: &str) -> Page {
        let link_use = self.claims.link_use(&link).await.unwrap_or_else(|error| {
            let error = ConsoleError::Table(error);
            tracing::warn!(alert.id = link.alert_id(), error = %Chain(&error), "use not read");
            None
        });
        let asked_at = match link_use {
            Some(LinkUse::Used(at)) => return Page::Used(link, at),
            Some(LinkUse::Asked(at))
                if !link_use.is_some_and(|of| of.is_over(self.clock.now())) =>
            {
                return Page::Asking(link, at);
            }
            Some(LinkUse::Asked(at)) => Some(at),
            None => None,
        };
        // The page itself does not go out to HEAD.
        let is_read = method == "GET";
        let preview = if is_read { self.preview(&link).await } else { None };
        Page::Ask { link, asked_at, preview: preview.map(Box::new) }
    }

    /// How the SIM is, and what the act would do now, or a moment ago.
    async fn preview(&self, link: &SignedLink) -> Option<SimAnswer> {
        if let Some(said) = self.previews.recent(link, self.clock.now()) {
            return said;
        }
        let said = self.look(link).await;
        self.previews.remember(link, self.clock.now(), said.clone());
        said
    }

    async fn look(&self, link: &SignedLink) -> Option<SimAnswer> {
        let request = Request { dry_run: true, ..request_of(link) };
        let answer = tokio::time::timeout(LOOK_WITHIN, self.ask(link, &request)).await;
        let seconds = LOOK_WITHIN.as_secs();
        let answer = answer.unwrap_or(Err(ConsoleError::TooSlow { seconds }));
        answer
            .inspect_err(|error| {
                tracing::warn!(alert.id = link.alert_id(), error = %Chain(error), "no preview");
            })
            .ok()
    }

    /// Passes on that the provider may have changed a SIM: the status of the answer. The body is not
    /// read, since nobody knows who wrote it; GET and POST are the same, since it only makes us look.
    async fn take_hint(&self, token: &str, method: &str) -> i64 {
        if !matches!(method, "GET" | "POST") {
            return 405;
        }
        let sim = match self.key.verify_hint(token, self.clock.now()) {
            Ok(sim) => sim,
            Err(refusal) => {
                tracing::debug!(%refusal, "hint refused");
                return if refusal == LinkRefusal::NotOurs { 403 } else { 410 };
            }
        };
        let hinted = tokio::time::timeout(ANSWER_WITHIN, self.switch.hint(sim)).await;
        let seconds = ANSWER_WITHIN.as_secs();
        let hinted = hinted.map_err(|_elapsed| ConsoleError::TooSlow { seconds });
        match hinted.and_then(|hinted| hinted.map_err(ConsoleError::Switch)) {
            Ok(()) => {
                tracing::info!(sim.sid = %sim, "hint taken");
                204
            }
            Err(error) => {
                // The sweep looks all the same.
                tracing::warn!(sim.sid = %sim, error = %Chain(&error), "hint lost");
                503
            }
        }
    }

    /// Takes the link, asks for its act, and uses the link up, or gives it back if nothing came of it.
    /// Should this call die in between, the link is taken by another: the kill-switch does nothing a
    /// second time, since it is told what the alert knew.
    async fn act(&self, link: SignedLink, call: &str) -> Page {
        match self.claims.claim(&link, call, self.clock.now()).await {
            Ok(Claim::Taken) => {}
            Ok(Claim::Others(LinkUse::Used(at))) => return Page::Used(link, at),
            Ok(Claim::Others(LinkUse::Asked(at))) => return Page::Asking(link, at),
            Err(error) => {
                let error = ConsoleError::Table(error);
                tracing::error!(alert.id = link.alert_id(), error = %Chain(&error), "not asked");
                return Page::NotAsked(link);
            }
        }
        let answered = self.ask(&link, &request_of(&link)).await;
        self.previews.forget(link.sim);
        if let Ok(answer) = &answered {
            tracing::info!(
                sim.sid = %link.sim, alert.id = link.alert_id(), link.act = ?link.act,
                outcome = ?answer.outcome, reason = answer.reason, "link used"
            );
            if is_done(answer.outcome) {
                let used = self.claims.use_up(&link, call, self.clock.now()).await;
                if let Err(error) = used.map_err(ConsoleError::Table) {
                    let alert = link.alert_id();
                    tracing::error!(alert.id = alert, error = %Chain(&error), "not used up");
                }
                return Page::Done(link, answer.outcome, answer.reason.clone());
            }
        }
        let is_given_back = self.give_back(&link, call).await;
        match answered {
            Ok(SimAnswer { outcome, reason, .. }) => {
                Page::NotDone { link, outcome, reason, is_given_back }
            }
            Err(error) => {
                tracing::error!(alert.id = link.alert_id(), error = %Chain(&error), "no answer");
                Page::NoAnswer { link, is_given_back }
            }
        }
    }

    /// What became of the SIM; a request that was refused as a whole is a refusal.
    async fn ask(&self, link: &SignedLink, request: &Request) -> Result<SimAnswer, ConsoleError> {
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.switch.ask(request)).await;
        let seconds = ANSWER_WITHIN.as_secs();
        let answer = answer.map_err(|_elapsed| ConsoleError::TooSlow { seconds })?;
        let answer = answer.map_err(ConsoleError::Switch)?;
        if let Some(reason) = answer.error {
            return Ok(SimAnswer {
                requested: link.sim.to_string(),
                sim: Some(link.sim),
                name: None,
                used_bytes: None,
                found: None,
                outcome: Outcome::Refused,
                reason,
                incident: None,
                details: None,
            });
        }
        answer.sims.into_iter().next().ok_or(ConsoleError::NoAnswer)
    }

    async fn give_back(&self, link: &SignedLink, call: &str) -> bool {
        let given_back = self.claims.give_back(link, call).await.map_err(ConsoleError::Table);
        if let Err(error) = &given_back {
            let alert = link.alert_id();
            tracing::error!(alert.id = alert, error = %Chain(error), "a link was not given back");
        }
        given_back.is_ok()
    }
}

/// The manual request that a link stands for. It overrides nothing.
fn request_of(link: &SignedLink) -> Request {
    let action = match link.act {
        LinkAct::Deactivate => Action::Deactivate,
        LinkAct::Approve => Action::Approve,
        LinkAct::Restore => Action::Restore,
        LinkAct::FalseAlarm => Action::FalseAlarm,
    };
    Request {
        sims: vec![link.sim.to_string()],
        only_incident: Some(link.incident()),
        as_told: Some(AsTold { alert: link.alert, findings: link.findings }),
        requested_by: format!("the link in alert {}", link.alert_id()),
        reason: "a link was followed, which asks for no reason".to_owned(),
        ..Request::of(action)
    }
}

/// Whether something came of it, or nothing had to: then the link is used up.
const fn is_done(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Done | Outcome::Pending | Outcome::Already => true,
        Outcome::Held
        | Outcome::Refused
        | Outcome::NotFound
        | Outcome::Ambiguous
        | Outcome::Unreachable => false,
    }
}
