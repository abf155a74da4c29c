//! `simfuse audit --verify`: recomputes chains from all their entries, here and not in the function
//! that wrote them, and compares them with what was recorded of their heads.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use simfuse_domain::audit::{ChainHead, ChainName, DayHeads, Verified, Verifier};
use simfuse_kill_switch::request::{Action, Request};

use super::Pages;
use crate::error::CliError;
use crate::output::Output;

/// What `--verify` prints.
#[derive(Serialize)]
struct Report {
    /// Whether everything holds.
    ok: bool,
    chains: Vec<Checked>,
    days: Vec<Day>,
}

#[derive(Serialize)]
struct Checked {
    holds: bool,
    #[serde(flatten)]
    verified: Verified,
    /// The same as `broken`, in words.
    why: Option<String>,
}

/// A day's record of heads.
#[derive(Serialize)]
struct Day {
    #[serde(flatten)]
    record: DayHeads,
    /// Whether the digest is that of the heads that are recorded with it.
    holds: bool,
}

/// Verifies the chains that were asked for, or all that have entries or recorded heads in the span.
pub(super) async fn run(mut pages: Pages, output: Output) -> Result<u8, CliError> {
    let asked = pages.request.clone();
    let is_all = asked.sims.is_empty() && asked.fleet.is_none() && !asked.account_only;
    let mut chains = chains_in(&mut pages).await?;
    let (days, recorded) = recorded(&mut pages, &asked).await?;
    if is_all {
        chains.extend(recorded.keys());
    }
    let mut checked = Vec::new();
    for chain in chains {
        pages.progress.set_message(format!("{} chains verified", checked.len()));
        let heads = recorded.get(&chain).map_or(&[][..], Vec::as_slice);
        let verified = verify(&mut pages, chain, heads).await?;
        let why = verified.broken.as_ref().map(ToString::to_string);
        checked.push(Checked { holds: verified.broken.is_none(), verified, why });
    }
    pages.end();
    let ok = checked.iter().all(|chain| chain.holds) && days.iter().all(|day| day.holds);
    let report = Report { ok, chains: checked, days };
    output.print(&report, || text(&report));
    Ok(u8::from(!report.ok))
}

/// The chains that were asked for.
async fn chains_in(pages: &mut Pages) -> Result<BTreeSet<ChainName>, CliError> {
    let mut chains = BTreeSet::new();
    if pages.request.account_only {
        chains.insert(ChainName::Account);
        return Ok(chains);
    }
    let by_name = !pages.request.sims.is_empty() && pages.request.fleet.is_none();
    while let Some(page) = pages.next().await? {
        chains.extend(page.entries.iter().map(|record| ChainName::of(&record.entry)));
        if by_name {
            // What they are called is all that is wanted; they may have no entries in the span.
            chains.extend(page.sims.iter().copied().map(ChainName::Sim));
            break;
        }
    }
    Ok(chains)
}

/// What was recorded of the days of the span: whether each record holds, and the heads by chain.
async fn recorded(
    pages: &mut Pages,
    asked: &Request,
) -> Result<(Vec<Day>, BTreeMap<ChainName, Vec<ChainHead>>), CliError> {
    let mut days = Vec::new();
    let mut recorded: BTreeMap<ChainName, Vec<ChainHead>> = BTreeMap::new();
    let date = |at: Option<Timestamp>| at.map(|at| at.to_zoned(TimeZone::UTC).date());
    let (since, until) = (date(asked.since), date(asked.until));
    let mut next = since;
    while let Some(day) = next.filter(|day| Some(*day) <= until) {
        pages.begin(Request { heads_of: Some(day), ..Request::of(Action::Audit) });
        let mut so_far = DayHeads::of(day);
        let mut whole = None;
        while let Some(page) = pages.next().await? {
            let Some(heads) = page.heads else {
                break;
            };
            whole = heads.day;
            if !heads.heads.is_empty() {
                so_far = so_far.with(0, &heads.heads);
            }
            for head in heads.heads {
                recorded.entry(head.chain).or_default().push(head);
            }
        }
        if let Some(record) = whole {
            let holds = (record.digest, record.pages) == (so_far.digest, so_far.pages);
            days.push(Day { record, holds });
        }
        next = day.tomorrow().ok().filter(|day| *day < Date::MAX);
    }
    Ok((days, recorded))
}

async fn verify(
    pages: &mut Pages,
    chain: ChainName,
    recorded: &[ChainHead],
) -> Result<Verified, CliError> {
    let sims = match chain {
        ChainName::Account => Vec::new(),
        ChainName::Sim(sim) => vec![sim.to_string()],
    };
    let page_size = pages.request.page_size.or(Some(super::PAGE_SIZE_MAX));
    pages.begin(Request {
        sims,
        account_only: chain == ChainName::Account,
        // All of the chain, whatever span was asked for: a part of it proves nothing.
        since: Some(Timestamp::UNIX_EPOCH),
        until: Some(Timestamp::MAX),
        page_size,
        ..Request::of(Action::Audit)
    });
    let mut verifier = Verifier::new(chain);
    let mut head = None;
    while let Some(page) = pages.next().await? {
        head = head.or(page.head);
        page.entries.iter().for_each(|record| verifier.take(record));
    }
    Ok(verifier.finish(head, recorded))
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    for Checked { verified, why, .. } in &report.chains {
        let mut line = match why {
            None => format!("{}: holds, {} entries", verified.chain, verified.entries),
            Some(why) => format!("{}: DOES NOT HOLD: {why}", verified.chain),
        };
        if verified.recorded > 0 {
            line.push_str(&format!(", compared with {} recorded heads", verified.recorded));
        }
        if verified.erased > 0 {
            line.push_str(&format!(", {} erased", verified.erased));
        }
        if verified.unlinked > 0 {
            line.push_str(&format!(", {} of a version without chains", verified.unlinked));
        }
        lines.push(line);
    }
    for Day { record, holds } in &report.days {
        let holds = if *holds { "" } else { ": DOES NOT HOLD" };
        lines.push(format!("{record}{holds}"));
    }
    if report.chains.is_empty() {
        lines.push("No entries in this time.".to_owned());
    }
    lines.join("\n")
}
