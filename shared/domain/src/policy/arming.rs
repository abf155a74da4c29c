//! What a policy deactivates or moves for, once its mode is enforce.

use super::{BindingMode, DEFAULT, Mode, Policy, Rules};
use crate::finding::DetectorId;
use crate::verdict::Verdict;

impl Policy {
    /// What is done of itself where this policy enforces: a sentence for the account, and one for each
    /// fleet and SIM where it is another, with its SID in front.
    #[must_use]
    pub fn acts_for(&self) -> Vec<String> {
        let base = said_of(&self.base);
        let mut said = Vec::from_iter(base.clone());
        let fleets = self.fleets.iter().map(|(sid, rules)| (sid.to_string(), said_of(rules)));
        let sims = self.sims.iter();
        let sims = sims.map(|(sid, layer)| (sid.to_string(), said_of(&layer.over(&self.base))));
        for (sid, own) in fleets.chain(sims) {
            let own = own.filter(|own| Some(own) != base.as_ref());
            said.extend(own.map(|own| format!("{sid}: {own}")));
        }
        said
    }
}

fn said_of(rules: &Rules) -> Option<String> {
    (rules.mode == Mode::Enforce).then(|| format!("enforce {}", acts_for(rules)))
}

/// The detectors whose findings lead to an act under these rules. Those that the shipped policy has act
/// as well are marked: nobody may have chosen that.
pub(super) fn acts_for(rules: &Rules) -> String {
    let shipped = DEFAULT.parse::<Policy>().map(|policy| acting(&policy.base)).unwrap_or_default();
    let acting = acting(rules);
    let of = |verdict: Verdict| {
        let named = acting.iter().filter(|(_, act)| *act == verdict).map(|act| {
            let mark = if shipped.contains(act) { " (also in the shipped policy)" } else { "" };
            format!("{}{mark}", act.0)
        });
        named.collect::<Vec<_>>().join(", ")
    };
    let said = [("deactivates", Verdict::Deactivate), ("moves to quarantine", Verdict::Quarantine)]
        .map(|(does, verdict)| (does, of(verdict)));
    let said = said.iter().filter(|(_, named)| !named.is_empty());
    let said: Vec<String> = said.map(|(does, named)| format!("{does} for {named}")).collect();
    if said.is_empty() { "deactivates for nothing".to_owned() } else { said.join("; ") }
}

fn acting(rules: &Rules) -> Vec<(DetectorId, Verdict)> {
    let of = |is_set: bool, verdict| if is_set { verdict } else { Verdict::Clear };
    let is_strict = rules.binding.mode == BindingMode::Strict;
    let (limits, limit) = (&rules.limits, rules.limits.act.verdict());
    let has_handsets = !rules.binding.handset_tacs.is_empty();
    let all = [
        (DetectorId::DeviceNotAllowed, of(is_strict, Verdict::Deactivate)),
        (DetectorId::DeviceIsHandset, of(is_strict && has_handsets, Verdict::Deactivate)),
        (DetectorId::CountryNotAllowed, of(!rules.countries.is_empty(), Verdict::Deactivate)),
        (DetectorId::GeofenceLeft, of(rules.geofence.is_some(), rules.geofence_act.verdict())),
        (DetectorId::SessionLimit, of(limits.session.is_some(), limit)),
        (DetectorId::HourLimit, of(limits.hour.is_some(), limit)),
        (DetectorId::DayLimit, of(limits.day.is_some(), limit)),
        (DetectorId::PeriodLimit, of(limits.period.is_some(), limit)),
        (DetectorId::Strike, rules.strike.act.verdict()),
        (DetectorId::UsageSpike, rules.usage_spike.act.verdict()),
    ];
    all.into_iter().filter(|(_, verdict)| *verdict >= Verdict::Quarantine).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_enforce_acts_for_is_listed_and_what_nobody_chose_is_marked() {
        let armed = DEFAULT.replace("mode = \"observe\"", "mode = \"enforce\"");
        let policy: Policy = armed.parse().unwrap();
        insta::assert_snapshot!(policy.acts_for().join("\n"), @"enforce deactivates for strike (also in the shipped policy), usage_spike (also in the shipped policy)");
        let default: Policy = DEFAULT.parse().unwrap();
        assert!(default.acts_for().is_empty(), "it observes");
        let changes = policy.changes_since(&default).join("\n");
        assert!(changes.contains("deactivates for strike (also"), "{changes}");
        let text = "version = 1\nstrike.act = 'off'\n\
                    quarantine.fleet = 'HF00000000000000000000000000000009'\n\
                    [fleet.HF00000000000000000000000000000001]\nmode = 'enforce'\n\
                    binding.mode = 'strict'\nplaces.countries = ['US']\n\
                    limits = { day_mb = 5, act = 'quarantine' }\n\
                    [sim.HS00000000000000000000000000000001]\nmode = 'enforce'";
        let policy: Policy = text.parse().unwrap();
        insta::assert_snapshot!(policy.acts_for().join("\n"), @r"
        HF00000000000000000000000000000001: enforce deactivates for device_not_allowed, country_not_allowed; moves to quarantine for day_limit
        HS00000000000000000000000000000001: enforce deactivates for nothing
        ");
    }
}
