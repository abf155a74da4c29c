//! The pages: HTML that works on a telephone without scripts, and the headers that go with it.

use std::collections::BTreeSet;

use aws_lambda_events::http::{HeaderMap, HeaderName, HeaderValue, header};
use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};
use simfuse_domain::device::Imei14;
use simfuse_domain::finding::Finding;
use simfuse_domain::signed_link::{LinkAct, SignedLink};
use simfuse_kill_switch::request::{Outcome, SimAnswer};

/// What a page says.
pub(crate) enum Page {
    /// What the link does, and a button that does it. `asked_at`: a call died that had begun with it.
    /// `preview`: what its act would do now, where that was to be had.
    Ask { link: SignedLink, asked_at: Option<Timestamp>, preview: Option<Box<SimAnswer>> },
    /// It was done, is under way, or was so before.
    Done(SignedLink, Outcome, String),
    /// The kill-switch did not do it, and says why.
    NotDone { link: SignedLink, outcome: Outcome, reason: String, is_given_back: bool },
    /// The kill-switch did not say what became of it.
    NoAnswer { link: SignedLink, is_given_back: bool },
    /// Whether the link was used before could not be learnt, so nothing was asked.
    NotAsked(SignedLink),
    /// It was used before.
    Used(SignedLink, Timestamp),
    /// Its button was pressed a moment ago, and the kill-switch is being asked.
    Asking(SignedLink, Timestamp),
    /// Its time is over.
    Expired(Timestamp),
    /// It is no link of ours.
    NotOurs,
    /// There is nothing at this address.
    NotFound,
    /// Neither shown nor acted on.
    WrongMethod,
    /// More than a form without fields sends.
    TooLarge,
    /// A request that cannot be read.
    Unreadable,
}

/// Makes responses of pages.
pub(crate) struct Pages {
    headers: HeaderMap,
}

/// One column, large letters, a button for a thumb; light or dark as the telephone is.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:0 auto;padding:1rem;\
overflow-wrap:anywhere}\
h1{font-size:1.5rem;line-height:1.25}dt{font-weight:bold}dd{margin:0 0 .6rem}\
button{font:inherit;font-weight:bold;width:100%;padding:1rem;border:0;border-radius:.5rem;\
color:#fff;background:#b00020}\
code{display:block;padding:.6rem;border:1px solid;border-radius:.3rem}";

impl Pages {
    pub(crate) fn new() -> Self {
        let style = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        let fixed = HeaderValue::from_static;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, fixed("text/html; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, fixed("no-store"));
        headers.insert(header::REFERRER_POLICY, fixed("no-referrer"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        headers.insert(HeaderName::from_static("x-robots-tag"), fixed("noindex, nofollow"));
        // A policy that could not be written would let nothing at all through.
        let policy = HeaderValue::from_str(&policy).unwrap_or(fixed("default-src 'none'"));
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        Self { headers }
    }

    /// The page as the function URL hands it on; to HEAD without the page itself.
    pub(crate) fn response(&self, page: &Page, method: &str) -> LambdaFunctionUrlResponse {
        let mut response = LambdaFunctionUrlResponse::default();
        response.status_code = page.status();
        response.headers = self.headers.clone();
        if matches!(page, Page::WrongMethod) {
            let allowed = HeaderValue::from_static("GET, HEAD, POST");
            response.headers.insert(header::ALLOW, allowed);
        }
        response.body = (method != "HEAD").then(|| document(page).into_string());
        response
    }
}

impl Page {
    const fn status(&self) -> i64 {
        match self {
            Self::Ask { .. } | Self::Done(..) => 200,
            Self::Unreadable => 400,
            Self::NotOurs => 403,
            Self::NotFound => 404,
            Self::WrongMethod => 405,
            Self::Used(..) | Self::Asking(..) => 409,
            Self::Expired(_) => 410,
            Self::TooLarge => 413,
            Self::NotDone { outcome: Outcome::Unreachable, .. }
            | Self::NoAnswer { .. }
            | Self::NotAsked(_) => 503,
            Self::NotDone { .. } => 409,
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Ask { preview, .. } if is_vain(preview.as_deref()) => {
                "Nothing was done".to_owned()
            }
            Self::Ask { link, .. } => match link.act {
                LinkAct::Deactivate => format!("Switch {} off?", name(link)),
                LinkAct::Approve => format!("Carry out what is held for {}?", name(link)),
                LinkAct::Restore => format!("Switch {} on again?", name(link)),
                LinkAct::FalseAlarm => format!("Was it a false alarm about {}?", name(link)),
            },
            Self::Done(link, outcome, _) => match outcome {
                Outcome::Done => format!("Done: {}", name(link)),
                Outcome::Pending => format!("{} is being changed", name(link)),
                Outcome::Already
                | Outcome::Held
                | Outcome::Refused
                | Outcome::NotFound
                | Outcome::Ambiguous
                | Outcome::Unreachable => format!("{} was so before", name(link)),
            },
            Self::NoAnswer { .. } | Self::NotDone { outcome: Outcome::Unreachable, .. } => {
                "No answer".to_owned()
            }
            Self::Asking(..) => "It was pressed a moment ago".to_owned(),
            Self::Used(link, _) => format!("This link about {} was used", name(link)),
            Self::NotDone { .. }
            | Self::NotAsked(_)
            | Self::Expired(_)
            | Self::NotOurs
            | Self::TooLarge
            | Self::Unreadable
            | Self::WrongMethod => "Nothing was done".to_owned(),
            Self::NotFound => "There is nothing here".to_owned(),
        }
    }

    fn body(&self) -> Markup {
        match self {
            Self::Ask { link, asked_at, preview } => asked(link, *asked_at, preview.as_deref()),
            Self::Done(link, outcome, reason) => html! {
                p { (reason) "." }
                @if *outcome == Outcome::Pending {
                    p { "It goes on by itself, and an alert tells what comes of it." }
                }
                p { "This link is used up. How it stands:" }
                code { "simfuse status " (link.sim) }
            },
            // The provider may have done it, and the kill-switch may go on with it.
            Self::NotDone { link, outcome: Outcome::Unreachable, reason, is_given_back } => html! {
                p { "What became of it is not known. Why: " (reason) "." }
                (what_now(link, *is_given_back))
            },
            Self::NotDone { link, reason, is_given_back, .. } => html! {
                p { "Why: " (reason) "." }
                @if *is_given_back {
                    p { "Should that change, the link may be used again." }
                    (by_hand(link))
                } @else {
                    (what_now(link, *is_given_back))
                }
            },
            Self::NoAnswer { link, is_given_back } => html! {
                p { "The kill-switch did not say what became of it. It may have done it, and goes on \
                     with what it has begun." }
                (what_now(link, *is_given_back))
            },
            Self::NotAsked(link) => html! {
                p { "Why: the table, in which it is noted that a link was used, did not answer." }
                (what_now(link, true))
            },
            Self::Used(link, at) => html! {
                p { "Nothing was done now: this link works once, and was used at " (time(*at)) "." }
                (by_hand(link))
            },
            Self::Asking(link, at) => html! {
                p { "No answer yet: the button was pressed at " (time(*at)) ", and the kill-switch is \
                     being asked. Nothing more was asked now." }
                p { "Open the link again in half a minute: it says then what became of it, or may be \
                     pressed once more." }
                (by_hand(link))
            },
            Self::Expired(at) => html! {
                p { "Why: this link expired at " (time(*at)) ". It works for a day." }
                p { "The command beside it in the alert works still." }
            },
            Self::NotOurs => html! {
                p { "Why: this is no link of this console. It was cut off or changed on its way, or \
                     was made by someone else, or is older than the console's present key." }
                p { "Take it from the alert once more, as a whole, or type the command beside it." }
            },
            Self::Unreadable => html! { p { "Why: the request cannot be read." } },
            Self::TooLarge => html! { p { "Why: more was sent than the button sends." } },
            Self::WrongMethod => html! { p { "Why: a link is opened, and its button pressed." } },
            Self::NotFound => {
                html! { p { "Links in alerts lead to pages here, nothing else does." } }
            }
        }
    }
}

fn document(page: &Page) -> Markup {
    let title = page.title();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "SimFuse: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                (page.body())
            }
        }
    }
}

/// Whether nothing would come of the act: then there is nothing to press.
fn is_vain(preview: Option<&SimAnswer>) -> bool {
    preview.is_some_and(|preview| match preview.outcome {
        Outcome::Done | Outcome::Pending | Outcome::Unreachable => false,
        Outcome::Already
        | Outcome::Held
        | Outcome::Refused
        | Outcome::NotFound
        | Outcome::Ambiguous => true,
    })
}

fn asked(link: &SignedLink, asked_at: Option<Timestamp>, preview: Option<&SimAnswer>) -> Markup {
    let is_vain = is_vain(preview);
    html! {
        @if is_vain {
            p { "Why: " (preview.map(|preview| preview.reason.as_str()).unwrap_or_default()) "." }
        } @else {
            p { (what(link.act)) }
        }
        @if let Some(at) = asked_at {
            p { "It was pressed at " (time(at)) ", and nobody knows what became of it. Pressed again \
                 it is done if it was not, and not done twice." }
        }
        dl {
            dt { "SIM" }
            dd { (name(link)) @if name(link) != link.sim.to_string() { br; (link.sim) } }
            @if let Some(preview) = preview { (now(preview, is_vain)) }
            dt { "Alert" }
            dd { (link.alert_id()) }
            dt { "Incident since" }
            dd { (time(link.opened_at)) }
            dt { "This link works once, until" }
            dd { (time(link.expires_at)) }
        }
        @if is_vain {
            p { "So the button is not shown. Should that change, the link may be opened again." }
            (by_hand(link))
        } @else {
            form method="post" {
                button { (link.act.label()) }
            }
            p { "Nothing happens before that. Why the alert was sent, it says itself." }
        }
    }
}

/// How the SIM is now, what is found of it, and what the act would do.
fn now(preview: &SimAnswer, is_vain: bool) -> Markup {
    let details = preview.details.as_ref();
    let findings = details.map_or(&[][..], |details| &details.findings);
    let more = findings.len().saturating_sub(FINDINGS_SHOWN_MAX);
    let devices: BTreeSet<Imei14> = findings.iter().filter_map(Finding::device).collect();
    html! {
        @if let Some(found) = &preview.found {
            @if let Some(fleet) = found.fleet {
                dt { "Fleet" }
                dd { (fleet) }
            }
            dt { "Now" }
            dd {
                (found.status) " at the provider"
                @if let Some(stage) = details.and_then(|details| details.stage.as_ref()) {
                    "; incident: " (stage)
                }
            }
        }
        @if !findings.is_empty() {
            dt { "Found" }
            @for finding in findings.iter().take(FINDINGS_SHOWN_MAX) {
                dd { (finding.detector) ": " (finding) }
            }
            @if more > 0 { dd { "and " (more) " more" } }
        }
        @if !devices.is_empty() {
            dt { "Devices found" }
            dd { @for device in devices.iter().take(FINDINGS_SHOWN_MAX) { (device) " " } }
        }
        @if !is_vain {
            dt { "The button, as it stands" }
            dd { (preview.reason) }
        }
    }
}

/// A screen of a telephone.
const FINDINGS_SHOWN_MAX: usize = 8;

const fn what(act: LinkAct) -> &'static str {
    match act {
        LinkAct::Deactivate => {
            "The button deactivates the SIM at the provider, unless it is protected, or its incident \
             is over."
        }
        LinkAct::Approve => {
            "The button carries out what policy asks for and a guard holds, if policy still asks for \
             it, and unless the SIM is protected."
        }
        LinkAct::Restore => {
            "The button makes the SIM active again at the provider, which bills a month. What was \
             found of it so far is judged by that, and does not come again. If there was another \
             incident since, or a human did something about this one, nothing is done."
        }
        LinkAct::FalseAlarm => {
            "The button files what was found of the SIM as a false alarm, and allows the devices of \
             it for this SIM from then on; if another device was found since, nothing is done. If it was \
             switched off, it is made active again, which bills a month. If there was another \
             incident since, nothing is done."
        }
    }
}

fn what_now(link: &SignedLink, is_given_back: bool) -> Markup {
    html! {
        @if is_given_back {
            p { "The link still works: go back and try again. Nothing is done twice." }
        } @else {
            p { "The link works again in half a minute." }
        }
        (by_hand(link))
    }
}

fn by_hand(link: &SignedLink) -> Markup {
    let command = match link.act {
        LinkAct::Deactivate => "kill",
        LinkAct::Approve => "approve",
        LinkAct::Restore => "restore",
        LinkAct::FalseAlarm => "false-alarm",
    };
    html! {
        p { "How it stands, and how to do it by hand:" }
        code {
            "simfuse status " (link.sim) br;
            "simfuse " (command) " " (link.sim) " --reason \"...\""
        }
    }
}

/// What the SIM is called.
fn name(link: &SignedLink) -> String {
    if link.name.trim().is_empty() { link.sim.to_string() } else { link.name.clone() }
}

fn time(at: Timestamp) -> String {
    at.strftime("%F %H:%M:%S UTC").to_string()
}
