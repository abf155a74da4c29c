//! Countries that there are. A SIM outside the policy's list is deactivated, so a code that no network
//! ever says cuts them all. What is in force is taken as it is: this is asked of a file, before.

use simfuse_domain::network::Country;
use simfuse_domain::policy::{Policy, PolicyError};

/// Codes that no country has and many people use, with those that are meant.
const MEANT: [(&str, &str); 2] = [("UK", "GB"), ("EL", "GR")];

/// The policy, unless it names a country that ISO 3166-1 does not have. `XK`, which it leaves free,
/// stands for Kosovo everywhere.
///
/// # Errors
/// [`PolicyError`] with a hint.
pub(crate) fn assigned(policy: Policy) -> Result<Policy, PolicyError> {
    let is_assigned = |country: &Country| celes::Country::from_alpha2(country.to_string()).is_ok();
    let Some(unknown) = policy.countries().into_iter().find(|country| !is_assigned(country)) else {
        return Ok(policy);
    };
    let code = unknown.to_string();
    let meant = MEANT.iter().find(|(used, _)| *used == code);
    let hint = meant
        .map_or("two letters, e.g. DE".to_owned(), |(_, meant)| format!("did you mean {meant}?"));
    let reason = format!("ISO 3166-1 has no country {code}: {hint}");
    let key = Some("places.countries".to_owned());
    Err(PolicyError { line: None, key, text: String::new(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(places: &str) -> Result<Policy, String> {
        let policy: Policy = format!("version = 1\n{places}").parse().unwrap();
        assigned(policy).map_err(|error| error.to_string())
    }

    #[test]
    fn a_country_that_there_is_not_is_refused_with_what_was_meant() {
        let of = |country: &str| checked(&format!("places.countries = ['US', '{country}']"));
        let says = |country: &str| of(country).unwrap_err();
        assert_eq!(says("uk"), "places.countries: ISO 3166-1 has no country UK: did you mean GB?");
        assert!(says("EL").ends_with("no country EL: did you mean GR?"), "{}", says("EL"));
        for none in ["XX", "ZZ", "AA", "EU", "AN"] {
            assert!(says(none).contains(&format!("no country {none}: two")), "{}", says(none));
        }
        for one in ["GB", "gr", "XK", "BQ", "SS", "TW", "AX"] {
            assert!(of(one).is_ok(), "{one}");
        }
    }

    #[test]
    fn a_layers_own_list_is_looked_at_too() {
        for layer in ["fleet.HF", "sim.HS"] {
            let layer = format!("{layer}00000000000000000000000000000001");
            let refused = checked(&format!("[{layer}.places]\ncountries = ['UK']"));
            assert!(refused.is_err(), "{layer}");
        }
        assert!(checked("").is_ok(), "any country");
    }
}
