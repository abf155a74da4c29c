//! What a policy would have done to each group of SIMs, in numbers.

use std::collections::BTreeMap;

use serde::Serialize;
use simfuse_backtest::Act;
use simfuse_domain::incident::Hold;
use simfuse_domain::verdict::Verdict;

use super::{Group, Tried};
use crate::output;

/// Fewer SIM-hours give no rate a human should see.
const RATE_HOURS_MIN: f64 = 100.0;

/// What was done to the SIMs of each group.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(transparent)]
pub(super) struct Totals(BTreeMap<&'static str, Sum>);

/// What was done to the SIMs of a group. A rogue before its time is a benign SIM.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Sum {
    sims: u64,
    sim_hours: f64,
    deactivated: u64,
    quarantined: u64,
    held: u64,
    /// Of those held, SIMs that a cap would have kept on: they are judged no further.
    held_by_cap: u64,
    /// SIMs of which a human judged false what they would have been deactivated or moved for.
    judged_false: u64,
    alerted: u64,
    alerts: u64,
    kills_per_million_sim_hours: f64,
    alerts_per_million_sim_hours: f64,
}

impl Totals {
    pub(super) fn of(tried: &[Tried]) -> Self {
        let mut totals = Self::default();
        for tried in tried {
            totals.add(tried);
        }
        for sum in totals.0.values_mut() {
            let hours = sum.sim_hours.max(1.0);
            #[expect(clippy::cast_precision_loss, reason = "a rate of far fewer than 2^52")]
            let rate = |count: u64| count as f64 * 1e6 / hours;
            sum.kills_per_million_sim_hours = rate(sum.deactivated.saturating_add(sum.quarantined));
            sum.alerts_per_million_sim_hours = rate(sum.alerts);
        }
        totals
    }

    /// Counts a SIM; what was done to a rogue before its time was done to a benign one.
    fn add(&mut self, tried: &Tried) {
        let (name, from) = match tried.group {
            Group::Rogue { from, .. } => ("rogue", Some(from)),
            Group::Benign => ("benign", None),
            Group::Unlabelled => ("unlabelled", None),
        };
        let hours = tried.course.judged().as_secs_f64() / 3_600.0;
        let first = tried.course.first();
        let before = first.zip(from).map_or(0.0, |(first, from)| {
            (from.duration_since(first).as_secs_f64() / 3_600.0).clamp(0.0, hours)
        });
        let is_early = |act: &&Act| from.is_some_and(|from| act.at < from);
        let of_group: Vec<&Act> = tried.acts.iter().filter(|act| !is_early(act)).collect();
        let early: Vec<&Act> = tried.acts.iter().filter(is_early).collect();
        let sum = self.0.entry(name).or_default();
        sum.sims = sum.sims.saturating_add(1);
        sum.sim_hours += hours - before;
        sum.count(&of_group);
        if from.is_some() {
            let sum = self.0.entry("benign").or_default();
            sum.sim_hours += before;
            sum.count(&early);
        }
    }

    pub(super) fn text(&self) -> String {
        let mut table = output::narrow_table([
            "group",
            "SIMs",
            "SIM-hours",
            "deactivated",
            "quarantined",
            "held (by a cap)",
            "alerted",
            "kills, alerts per million SIM-hours",
        ]);
        for (group, sum) in &self.0 {
            table.add_row([
                (*group).to_owned(),
                sum.sims.to_string(),
                format!("{:.0}", sum.sim_hours),
                sum.deactivated.to_string(),
                sum.quarantined.to_string(),
                format!("{} ({})", sum.held, sum.held_by_cap),
                sum.alerted.to_string(),
                sum.rates(),
            ]);
        }
        let mut text = format!("{table}\n");
        let held = self.0.values().map(|sum| sum.held_by_cap).fold(0, u64::saturating_add);
        if held > 0 {
            text.push_str(&format!(
                "A cap would have held the kill of {held} of these SIMs. They are judged no \
                 further, as if a human\nhad approved at once: what would come after that is not \
                 counted.\n"
            ));
        }
        let judged = self.0.values().map(|sum| sum.judged_false).fold(0, u64::saturating_add);
        if judged > 0 {
            text.push_str(&format!(
                "Of {judged} of the SIMs that would have been cut a human judged false what for: \
                 false kills.\n"
            ));
        }
        text
    }

    /// Whether there is no SIM.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Sum {
    /// Rates; of too few hours they say nothing.
    fn rates(&self) -> String {
        if self.sim_hours < RATE_HOURS_MIN {
            return "–".to_owned();
        }
        let (kills, alerts) = (self.kills_per_million_sim_hours, self.alerts_per_million_sim_hours);
        format!("{kills:.2}, {alerts:.2}")
    }

    fn count(&mut self, acts: &[&Act]) {
        let any = |is: &dyn Fn(&Act) -> bool| u64::from(acts.iter().any(|act| is(act)));
        let done = |act: &Act, what| act.what == what && act.hold.is_none();
        self.deactivated += any(&|act| done(act, Verdict::Deactivate));
        self.quarantined += any(&|act| done(act, Verdict::Quarantine));
        self.held += any(&|act| act.hold.is_some());
        self.held_by_cap +=
            any(&|act| act.what == Verdict::Deactivate && act.hold == Some(Hold::Cap));
        self.judged_false +=
            any(&|act| act.is_judged && act.hold.is_none() && act.what >= Verdict::Quarantine);
        self.alerted += any(&|act| act.what == Verdict::Alert);
        let alerts = acts.iter().filter(|act| act.what == Verdict::Alert).count();
        self.alerts = self.alerts.saturating_add(u64::try_from(alerts).unwrap_or(0));
    }
}
