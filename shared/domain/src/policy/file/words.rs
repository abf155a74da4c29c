//! What is wrong in a policy file, in the words of whoever wrote it.
//!
//! The reader of TOML names types of Rust where it found another one, and lists every key where it does
//! not know one.

/// What it says, and what that means.
const WORDS: &[(&str, &str)] = &[
    ("expected i64", "expected a whole number"),
    ("expected f64", "expected a number"),
    ("expected a sequence", "expected a list"),
    ("expected a map", "expected a section"),
    ("expected a tuple of size 2", "expected two numbers, [lat, lon]"),
    ("wanted string or table", "expected a word in quotes"),
];

/// Keys that are looked for by the name of a detector, or in another section, and where they are.
const ELSEWHERE: &[(&str, &str)] = &[
    ("device_not_allowed", "binding.mode"),
    ("device_changed", "binding.mode"),
    ("device_is_handset", "binding.handset_tacs"),
    ("allowed_tacs", "binding.allowed_tacs"),
    ("handset_tacs", "binding.handset_tacs"),
    ("country_not_allowed", "places.countries"),
    ("countries", "places.countries"),
    ("country_new", "places.new_country"),
    ("new_country", "places.new_country"),
    ("network_new", "places.new_network"),
    ("new_network", "places.new_network"),
    ("geofence_left", "places.geofence"),
    ("geofence", "places.geofence"),
    ("geofence_act", "places.geofence_act"),
    ("attach_storm", "attach_storm.act"),
    ("session_limit", "limits.session_mb"),
    ("hour_limit", "limits.hour_mb"),
    ("day_limit", "limits.day_mb"),
    ("period_limit", "limits.period_mb"),
    ("session_mb", "limits.session_mb"),
    ("hour_mb", "limits.hour_mb"),
    ("day_mb", "limits.day_mb"),
    ("period_mb", "limits.period_mb"),
    ("download_heavy", "download_heavy.act"),
    ("strike", "strike.act"),
    ("usage_spike", "usage_spike.act"),
    ("slow_leak", "slow_leak.act"),
    ("cohort_surge", "cohort_surge.act"),
    ("max_kills", "guards.max_kills"),
    ("account_max_kills", "guards.account_max_kills"),
    ("cooldown_mins", "guards.cooldown_mins"),
    ("protected", "guards.protected"),
];

/// A key that is as near as this to what stands there is what was meant: two letters in turn, one more,
/// one less or another, twice.
const FAULTS_MAX: usize = 2;

/// The reader's message in words.
pub(super) fn in_words(message: &str) -> String {
    let mut message = message.replace('\n', " ");
    for (said, means) in WORDS {
        if let Some(before) = message.strip_suffix(said) {
            message = format!("{before}{means}");
        }
    }
    message = message.replace("invalid type: map", "invalid type: a section");
    match meant(&message) {
        Some(key) => format!("{message}; did you mean `{key}`?"),
        None => message,
    }
}

/// The key that was meant by one that is not known.
fn meant(message: &str) -> Option<&str> {
    // "unknown field `x`, expected one of `a`, `b`": what is quoted stands at the odd places.
    let mut quoted = message.strip_prefix("unknown field `")?.split('`').step_by(2);
    let unknown = quoted.next()?;
    let faults = |key: &&str| strsim::damerau_levenshtein(unknown, key);
    let near = quoted.filter(|key| !key.is_empty()).min_by_key(faults);
    // Of a short key two letters are most of it.
    let is_near =
        |key: &&str| faults(key) <= FAULTS_MAX && key.len() > FAULTS_MAX.saturating_mul(2);
    let elsewhere = || ELSEWHERE.iter().find(|(name, _)| *name == unknown).map(|(_, key)| *key);
    near.filter(is_near).or_else(elsewhere)
}

#[cfg(test)]
mod tests {
    use crate::policy::Policy;

    fn says(text: &str) -> String {
        let refused = format!("version = 1\n{text}").parse::<Policy>().unwrap_err();
        refused.reason
    }

    #[test]
    fn no_type_of_the_program_is_told_to_whoever_wrote_the_file() {
        for wrong in [
            "mode = 5",
            "binding = 5",
            "binding.allowed_tacs = 5",
            "limits = 5",
            "limits.act = 5",
            "limits.fleet_limit_mb = 'x'",
            "strike = 5",
            "strike.faster_than_kbps = 1.5",
            "usage_spike = 5",
            "usage_spike.alert_hours = 'x'",
            "download_heavy = 5",
            "attach_storm = 5",
            "attach_storm.minutes_max = 'x'",
            "slow_leak = 5",
            "slow_leak.excess_days = 'x'",
            "cohort_surge = 5",
            "maintenance = 5",
            "maintenance = [5]",
            "[[maintenance]]\nfrom = 5",
            "places = 5",
            "places.countries = 'US'",
            "places.geofence = 5",
            "places.geofence = { lat = 'x' }",
            "places.geofence = { polygon = [[1]] }",
            "guards = 5",
            "guards.protected = 'x'",
            "guards.max_kills = 5",
            "guards.max_kills = { count = 'a' }",
            "guards.max_kills = { count = 1, percent = 'x' }",
            "guards.cooldown_mins = 1.5",
            "quarantine = 'HF00000000000000000000000000000001'",
            "notify = 5",
            "proof = 5",
            "fleet = 5",
            "fleet.HF00000000000000000000000000000001 = 5",
        ] {
            let said = says(wrong);
            let words =
                ["struct", "Layer", "Text", "i64", "f64", "sequence", "map", "tuple", "enum"];
            assert!(!words.iter().any(|word| said.contains(word)), "{wrong}: {said}");
            assert!(said.contains("expected") || said.contains("must be"), "{wrong}: {said}");
        }
        insta::assert_snapshot!(says("limits = 5"), @"invalid type: integer `5`, expected a section, such as [limits]");
        insta::assert_snapshot!(says("guards.cooldown_mins = 1.5"), @"invalid type: floating point `1.5`, expected a whole number");
    }

    #[test]
    fn a_key_by_a_detectors_name_or_with_a_slip_is_answered_by_the_one_that_is_meant() {
        for (wrong, meant) in [
            ("country_new.act = 'alert'", "places.new_country"),
            ("places.country_new = 'alert'", "places.new_country"),
            ("network_new = 'alert'", "places.new_network"),
            ("places.attach_storm = 'alert'", "attach_storm.act"),
            ("attach_storms.act = 'off'", "attach_storm"),
            ("hour_limit = 5", "limits.hour_mb"),
            ("limits.huor_mb = 5", "hour_mb"),
            ("strike.cat = 'off'", ""),
        ] {
            let said = says(wrong);
            let asked = format!("; did you mean `{meant}`?");
            assert_eq!(said.contains("did you mean"), !meant.is_empty(), "{wrong}: {said}");
            assert!(meant.is_empty() || said.ends_with(&asked), "{wrong}: {said}");
        }
    }
}
