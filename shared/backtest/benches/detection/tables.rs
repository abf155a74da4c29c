//! The tables of `docs/detection.md`.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use simfuse_backtest::{Act, hold_over_caps};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::incident::Hold;
use simfuse_domain::policy::{DEFAULT, Policy};
use simfuse_domain::verdict::Verdict;
use simfuse_testkit::population::config::PopulationConfig;
use simfuse_testkit::population::rogue::Rogue;

use crate::baseline;
use crate::benign::Benign;
use crate::tally::{Hit, Score, Tally, Theft, Wrong, at_percent, upper_bound};

const BEGIN: &str = "<!-- bench detection: begin -->";
const END: &str = "<!-- bench detection: end -->";

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

const POLICIES: [&str; 2] =
    ["shipped policy, as if in enforce", "the same, binding strict, sensors' models declared"];

/// Per million benign SIM-hours, and the same with large updates and many technicians.
const FALSE_KILLS_MAX: f64 = 0.05;
const FALSE_KILLS_STRESSED_MAX: f64 = 0.2;

/// Two update windows, and what an event needs to arrive.
const WINDOWS_SECS: i64 = 2 * 360 + 30;

/// Replaces what stands between the markers.
pub(crate) fn between_markers(document: &str, text: &str) -> Result<String, String> {
    let missing = || format!("docs/detection.md lacks {BEGIN} or {END}");
    let (before, rest) = document.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))
}

/// All tables, with what gave them.
pub(crate) fn all(
    command: &str,
    config: &PopulationConfig,
    (tally, small): (&mut Tally, &Tally),
    alone: &[Benign; 2],
) -> String {
    let mut text = format!(
        "`{command}`: {} SIMs in fleets of {} over {} days, {} events.\n\n",
        config.sims, config.fleet_sims, config.days, tally.events
    );
    text.push_str(&costs(tally));
    bars(&mut text, tally, (config, alone));
    wrongs(&mut text, tally);
    healthy(&mut text, &alone.each_ref());
    let [shipped, strict, baselines @ ..] = &tally.scores;
    for (score, name) in [shipped, strict].into_iter().zip(POLICIES) {
        thefts(&mut text, score, name);
    }
    let [in_small_fleets, ..] = &small.scores;
    thefts(&mut text, in_small_fleets, "shipped policy, in fleets of 200");
    others(&mut text, baselines);
    text
}

fn costs(tally: &mut Tally) -> String {
    tally.state_bytes.sort_unstable();
    tally.usage_bytes.sort_unstable();
    let p99 = |sorted: &[usize]| at_percent(sorted, 99).unwrap_or(0);
    let (median, ns_p99) = (tally.ns_at(50), tally.ns_at(99));
    // What is found does not depend on the build, and how fast does.
    let build =
        if cfg!(debug_assertions) { " (a build for tests, which is not optimised)" } else { "" };
    format!(
        "Fold and detect{build}: {median} ns an event of a SIM that no one noticed as a rogue, at the \
         median, and {ns_p99} ns at the 99th percentile, clock included. Stored state: {} bytes at \
         the 99th percentile, and {} of usage.\n\n",
        p99(&tally.state_bytes),
        p99(&tally.usage_bytes)
    )
}

/// A table's row.
fn row(text: &mut String, cells: &[String]) {
    text.push_str("| ");
    text.push_str(&cells.join(" | "));
    text.push_str(" |\n");
}

fn head(text: &mut String, title: &str, columns: &[&str]) {
    text.push_str(&format!("**{title}**\n\n| {} |\n|", columns.join(" | ")));
    columns.iter().for_each(|_| text.push_str("---|"));
    text.push('\n');
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn million(count: u64, hours: f64) -> String {
    let hours = hours.max(1.0);
    format!("{:.2} (at most {:.2})", count as f64 * 1e6 / hours, upper_bound(count) * 1e6 / hours)
}

fn wrongs(text: &mut String, tally: &Tally) {
    let columns = ["", "benign SIM-hours", "false kills", "per million (95 %)"];
    let columns: Vec<&str> = columns.into_iter().chain(["alerts", "per million (95 %)"]).collect();
    head(text, "Wrong kills and alerts", &columns);
    let names = POLICIES.into_iter().chain(baseline::NAMES);
    for (score, name) in tally.scores.iter().zip(names) {
        let Wrong { kills, alerts } = score.wrong;
        let is_policy = POLICIES.contains(&name);
        let alerts_cells = if is_policy {
            [alerts.to_string(), million(alerts, score.benign_hours)]
        } else {
            ["–".to_owned(), "–".to_owned()]
        };
        let cells = [
            name.to_owned(),
            format!("{:.0}", score.benign_hours),
            kills.to_string(),
            million(kills, score.benign_hours),
        ];
        row(text, &[&cells[..], &alerts_cells[..]].concat());
    }
    text.push('\n');
    let [shipped, strict, ..] = &tally.scores;
    split(
        text,
        "By detector",
        "detector",
        |score| score.by_detector.iter().map(|(name, wrong)| (name.clone(), *wrong)).collect(),
        [shipped, strict],
    );
    split(
        text,
        "By what had befallen the SIM within 48 hours (a SIM may count in several rows)",
        "behaviour",
        |score| {
            score.by_behaviour.iter().map(|(name, wrong)| ((*name).to_owned(), *wrong)).collect()
        },
        [shipped, strict],
    );
}

fn split(
    text: &mut String,
    title: &str,
    column: &str,
    of: impl Fn(&Score) -> Vec<(String, Wrong)>,
    scores: [&Score; 2],
) {
    let columns = [column, "shipped: kills", "alerts", "strict: kills", "alerts"];
    head(text, title, &columns);
    let [shipped, strict] = scores.map(&of);
    let mut names: Vec<&String> = shipped.iter().chain(&strict).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let cells = [&shipped, &strict].into_iter().flat_map(|all| {
            let found = all.iter().find(|(other, _)| other == name);
            let Wrong { kills, alerts } = found.map_or_else(Wrong::default, |(_, wrong)| *wrong);
            [kills.to_string(), alerts.to_string()]
        });
        let cells: Vec<String> = std::iter::once(name.clone()).chain(cells).collect();
        row(text, &cells);
    }
    text.push('\n');
}

/// Which part of the thefts that were shown so long was hit in that time, in percent.
fn recall(thefts: &[Theft], within: SignedDuration, hit: fn(&Theft) -> Option<Hit>) -> Option<f64> {
    let shown = thefts.iter().filter(|theft| theft.shown >= within);
    let (mut all, mut found) = (0.0_f64, 0.0);
    for theft in shown {
        all += 1.0;
        if hit(theft).is_some_and(|hit| hit.at.duration_since(theft.first) <= within) {
            found += 1.0;
        }
    }
    (all > 0.0).then_some(100.0 * found / all)
}

fn told(theft: &Theft) -> Option<Hit> {
    theft.told
}

fn killed(theft: &Theft) -> Option<Hit> {
    theft.killed
}

fn recalls(thefts: &[Theft], hit: fn(&Theft) -> Option<Hit>) -> String {
    let one = |within| {
        recall(thefts, within, hit).map_or("–".to_owned(), |percent| format!("{percent:.0}"))
    };
    format!("{}, {}, {}", one(HOUR), one(DAY), one(DAY * 14))
}

/// Time and bytes from the first rogue byte to a hit, median and 95th percentile.
fn until(thefts: &[Theft], hit: fn(&Theft) -> Option<Hit>) -> String {
    let times = times_of(thefts, hit);
    let bytes = bytes_of(thefts, hit);
    let both = |percent| Some((at_percent(&times, percent)?, at_percent(&bytes, percent)?));
    let Some(((median, used), (late, used_late))) = both(50).zip(both(95)) else {
        return "–".to_owned();
    };
    let (used, used_late) = (Bytes(used), Bytes(used_late));
    format!("{}, {}; {used}, {used_late}", span(median), span(late))
}

/// Rogues that were hit within the two weeks for which all are looked at.
fn hits(thefts: &[Theft], hit: fn(&Theft) -> Option<Hit>) -> impl Iterator<Item = (&Theft, Hit)> {
    let hits = thefts.iter().filter_map(move |theft| Some((theft, hit(theft)?)));
    hits.filter(|(theft, hit)| hit.at.duration_since(theft.first) <= DAY * 14)
}

fn times_of(thefts: &[Theft], hit: fn(&Theft) -> Option<Hit>) -> Vec<i64> {
    let times = hits(thefts, hit);
    let times = times.map(|(theft, hit)| hit.at.duration_since(theft.first).as_secs().max(0));
    let mut times: Vec<i64> = times.collect();
    times.sort_unstable();
    times
}

fn bytes_of(thefts: &[Theft], hit: fn(&Theft) -> Option<Hit>) -> Vec<u64> {
    let mut bytes: Vec<u64> = hits(thefts, hit).map(|(_, hit)| hit.bytes).collect();
    bytes.sort_unstable();
    bytes
}

fn span(secs: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "printed with one digit after the point")]
    let of = |unit: i64| secs as f64 / unit as f64;
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => format!("{:.0} min", of(60)),
        7_200..172_800 => format!("{:.1} h", of(3_600)),
        _ => format!("{:.1} d", of(86_400)),
    }
}

fn thefts(text: &mut String, score: &Score, name: &str) {
    let columns = ["rogue", "SIMs", "told within 1 h, 24 h, 14 d (%)", "until told"];
    let columns: Vec<&str> =
        columns.into_iter().chain(["killed within 1 h, 24 h, 14 d (%)", "until killed"]).collect();
    let title = format!(
        "Rogues: {name}. *Until* is time, then bytes, from the first rogue byte, each median and 95th \
         percentile of those within 14 d"
    );
    head(text, &title, &columns);
    for rogue in Rogue::all() {
        let thefts = of(score, rogue);
        row(
            text,
            &[
                rogue.name().to_owned(),
                thefts.len().to_string(),
                recalls(thefts, told),
                until(thefts, told),
                recalls(thefts, killed),
                until(thefts, killed),
            ],
        );
    }
    text.push('\n');
}

fn of(score: &Score, rogue: Rogue) -> &[Theft] {
    score.thefts.get(&rogue).map_or(&[], Vec::as_slice)
}

fn others(text: &mut String, baselines: &[Score]) {
    let columns: Vec<&str> = std::iter::once("rogue").chain(baseline::NAMES).collect();
    let title = "Rogues: what people use today. Killed within 14 d (%), and the median of the bytes \
                 before";
    head(text, title, &columns);
    for rogue in Rogue::all() {
        let cells = baselines.iter().map(|score| {
            let thefts = of(score, rogue);
            let within = recall(thefts, DAY * 14, killed);
            let within = within.map_or("–".to_owned(), |percent| format!("{percent:.0}"));
            let used = at_percent(&bytes_of(thefts, killed), 50);
            let used = used.map_or("–".to_owned(), |used| Bytes(used).to_string());
            format!("{within}; {used}")
        });
        let cells: Vec<String> = std::iter::once(rogue.name().to_owned()).chain(cells).collect();
        row(text, &cells);
    }
}

/// What is promised, beside what was measured.
fn bars(text: &mut String, tally: &Tally, (config, alone): (&PopulationConfig, &[Benign; 2])) {
    head(text, "Bars, for the shipped policy unless said otherwise", &["bar", "measured", ""]);
    let [shipped, strict, ..] = &tally.scores;
    let [benign, stress] = alone;
    let mut bar = |bar: &str, measured: String, met: &str| {
        row(text, &[bar.to_owned(), measured, met.to_owned()]);
    };
    for (what, alone, most, of) in [
        ("false kills", benign, FALSE_KILLS_MAX, kills_of as fn(&Benign) -> u64),
        ("alerts of detectors", benign, 5.0, alerts_of_detectors),
        (
            "false kills with updates of 60 MB and ten times the technicians",
            stress,
            FALSE_KILLS_STRESSED_MAX,
            kills_of,
        ),
    ] {
        let text = format!("at most {most} {what} per million benign SIM-hours");
        let (count, hours) = (of(alone), alone.hours);
        bar(&text, million(count, hours), verdict_of_rate(count, hours, most));
    }
    let own =
        million(benign.wrong.alerts.saturating_sub(alerts_of_detectors(benign)), benign.hours);
    bar("alerts of the limits in policy, per million benign SIM-hours", own, "counted apart");
    let used = bytes_of(of(strict, Rogue::Tablet), killed);
    let none = used.iter().filter(|used| **used == 0).count();
    let most = used.last().copied();
    let measured = format!(
        "{none} of {} with 0 bytes, at most {}; an event may lack its device",
        of(strict, Rogue::Tablet).len(),
        Bytes(most.unwrap_or(0))
    );
    bar("R1, strict binding: 0 bytes before the request", measured, met(most == Some(0)));
    for rogue in [Rogue::Tablet, Rogue::SpoofedImei, Rogue::HdVideo] {
        let thefts = of(shipped, rogue);
        let found = recall(thefts, DAY * 14, killed).unwrap_or(0.0);
        let is_soon =
            at_percent(&times_of(thefts, killed), 50).is_some_and(|secs| secs <= WINDOWS_SECS);
        let binding = if rogue == Rogue::Tablet { ", learnt binding" } else { "" };
        let name = rogue.name();
        let wanted = format!("{name}{binding}: 99 % killed, within two windows at the median");
        let measured = format!("{found:.0} % killed; {}", until(thefts, killed));
        bar(&wanted, measured, met(found >= 99.0 && is_soon));
    }
    for rogue in [Rogue::Tether, Rogue::Botnet] {
        let thefts = of(shipped, rogue);
        let found = recall(thefts, DAY * 14, killed).unwrap_or(0.0);
        let bytes = bytes_of(thefts, killed);
        let is_below = |percent, most| at_percent(&bytes, percent).is_some_and(|used| used <= most);
        let is_met = found >= 99.0 && is_below(95, 100_000_000) && is_below(50, 30_000_000);
        let name = rogue.name();
        let wanted = format!("{name}: 99 % killed, at most 100 MB before, 30 MB at the median");
        bar(&wanted, format!("{found:.0} % killed; {}", until(thefts, killed)), met(is_met));
    }
    leaks(shipped, &mut bar);
    let campaign = recall(of(shipped, Rogue::Campaign), HOUR, told).unwrap_or(0.0);
    bar("R13: a page within 1 h", format!("{campaign:.0} % of its SIMs told"), met(campaign > 0.0));
    let inside = of(shipped, Rogue::InsideEnvelope).iter().filter_map(killed).count();
    bar("R16: 0 killed", format!("{inside} killed"), met(inside == 0));
    bar(
        "no false kill from duplicates or order",
        "`what_delivery_does_changes_nothing_of_who_is_switched_off`".into(),
        "tested",
    );
    let (measured, is_met) = within_caps(config, &tally.campaign);
    bar("R13: kills within the cap", measured, met(is_met));
    text.push('\n');
}

const fn kills_of(benign: &Benign) -> u64 {
    benign.wrong.kills
}

/// All but those of limits, which the operator sets and any large update breaks.
fn alerts_of_detectors(benign: &Benign) -> u64 {
    let others = benign.by_detector.iter().filter(|(name, _)| !name.ends_with("_limit"));
    others.map(|(_, wrong)| wrong.alerts).sum()
}

/// How many SIMs of the campaign are cut within an hour of the first, with the caps asked.
fn within_caps(config: &PopulationConfig, campaign: &[Act]) -> (String, bool) {
    let Ok(policy) = DEFAULT.parse::<Policy>() else { return (String::new(), false) };
    let mut acts = campaign.to_vec();
    let fleets = acts.iter().filter_map(|act| act.fleet);
    let sizes = fleets.map(|fleet| (fleet, config.fleet_sims)).collect();
    hold_over_caps(&mut acts, &policy, &sizes);
    let kills = |hold| {
        let of = acts.iter().filter(move |act| act.what == Verdict::Deactivate && act.hold == hold);
        of.map(|act| act.at)
    };
    let first = kills(None).min();
    let in_hour = |at: &Timestamp| first.is_some_and(|first| at.duration_since(first) < HOUR);
    let cut = kills(None).filter(in_hour).count();
    let held = kills(Some(Hold::Cap)).filter(in_hour).count();
    let most = policy.base().guards.max_kills.kills_max(Some(config.fleet_sims));
    let is_met = cut > 0 && u32::try_from(cut).is_ok_and(|cut| cut <= most);
    (format!("within an hour {cut} cut, {held} held for a human; the cap is {most}"), is_met)
}

/// The tables of healthy SIMs alone.
pub(crate) fn of_healthy(alone: &[&Benign; 2]) -> String {
    let mut text = String::new();
    healthy(&mut text, alone);
    text
}

/// What healthy SIMs were cut for, where that is more than the bars allow.
pub(crate) fn false_kills_over_bar(benign: &Benign, stress: &Benign) -> Option<String> {
    let is_over = |alone: &Benign, most: f64| {
        verdict_of_rate(alone.wrong.kills, alone.hours, most) == met(false)
    };
    let is_any = is_over(benign, FALSE_KILLS_MAX) || is_over(stress, FALSE_KILLS_STRESSED_MAX);
    let kills: Vec<String> = benign.kills.iter().chain(&stress.kills).cloned().collect();
    is_any.then(|| format!("healthy SIMs were cut:\n{}", kills.join("\n")))
}

/// Healthy SIMs alone, as many as it takes.
fn healthy(text: &mut String, alone: &[&Benign; 2]) {
    let columns = ["", "SIM-hours", "false kills", "per million (95 %)", "alerts"];
    let columns: Vec<&str> = columns.into_iter().chain(["per million (95 %)", "took"]).collect();
    head(text, "Healthy SIMs alone, shipped policy, as if in enforce", &columns);
    let names = ["as they are", "updates of 60 MB, ten times the technicians"];
    for (benign, name) in alone.iter().zip(names) {
        let Wrong { kills, alerts } = benign.wrong;
        let cells = [
            name.to_owned(),
            format!("{:.0}", benign.hours),
            kills.to_string(),
            million(kills, benign.hours),
            alerts.to_string(),
            million(alerts, benign.hours),
            format!("{:.0} s", benign.secs),
        ];
        row(text, &cells);
    }
    text.push('\n');
    let columns = ["detector", "false kills", "alerts", "under stress: false kills", "alerts"];
    head(text, "The same by detector", &columns);
    let mut names: Vec<&String> =
        alone.iter().flat_map(|benign| benign.by_detector.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of = |benign: &Benign| benign.by_detector.get(name).copied().unwrap_or_default();
        let wrongs = alone.iter().copied().map(of);
        let cells = wrongs.flat_map(|wrong| [wrong.kills.to_string(), wrong.alerts.to_string()]);
        row(text, &std::iter::once(name.clone()).chain(cells).collect::<Vec<_>>());
    }
    text.push('\n');
    let kills: Vec<&String> = alone.iter().flat_map(|benign| &benign.kills).collect();
    if !kills.is_empty() {
        text.push_str("The false kills, the first ten:\n\n");
        kills.iter().take(10).for_each(|kill| text.push_str(&format!("- {kill}\n")));
        text.push('\n');
    }
}

fn leaks(shipped: &Score, bar: &mut impl FnMut(&str, String, &str)) {
    for (rogue, days, killed_min, told_min) in [
        (Rogue::LeakTenTimes, 7, 75.0, 97.0),
        (Rogue::LeakFiveTimes, 10, 0.0, 90.0),
        (Rogue::LeakTwice, 14, 0.0, 70.0),
    ] {
        let thefts = of(shipped, rogue);
        let kills = recall(thefts, DAY * days, killed).unwrap_or(0.0);
        let alerts = recall(thefts, DAY * days, told).unwrap_or(0.0);
        let mut wanted = format!("{}: {told_min} % told", rogue.name());
        if killed_min > 0.0 {
            _ = write!(wanted, " and {killed_min} % killed");
        }
        _ = write!(wanted, " within {days} d");
        let is_met = kills >= killed_min && alerts >= told_min;
        bar(&wanted, format!("{alerts:.0} % told, {kills:.0} % killed"), met(is_met));
    }
}

const fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

/// A rate is shown to be within its bar only when its upper bound is.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn verdict_of_rate(count: u64, hours: f64, most: f64) -> &'static str {
    let per_million = 1e6 / hours.max(1.0);
    if count as f64 * per_million > most {
        "**missed**"
    } else if upper_bound(count) * per_million > most {
        "not shown: too few SIM-hours"
    } else {
        "met"
    }
}
