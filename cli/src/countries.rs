//! Countries that there are. A SIM outside the policy's list is deactivated, so a code that no network
//! ever says cuts them all. What is in force is taken as it is: this is asked of a file, before.

use simfuse_domain::network::Country;
use simfuse_domain::policy::{Policy, PolicyError};
use toml::de::{DeTable, DeValue};

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
    let (key, at) = place_of(policy.text(), &code);
    let before = at.and_then(|at| policy.text().get(..at));
    let line = before.map(|before| before.matches('\n').count().saturating_add(1));
    let text = line.and_then(|line| policy.text().lines().nth(line.saturating_sub(1)));
    let text = text.unwrap_or_default().trim().to_owned();
    Err(PolicyError { line, key: Some(key), text, reason })
}

/// The key under which a country stands in a policy's text, and where: its own, a fleet's or a SIM's.
fn place_of(text: &str, code: &str) -> (String, Option<usize>) {
    const KEY: &str = "places.countries";
    let Ok(document) = DeTable::parse(text) else { return (KEY.to_owned(), None) };
    let root = document.get_ref();
    let layers = ["fleet", "sim"].into_iter().flat_map(|kind| {
        let layers = value(root, kind).and_then(DeValue::as_table).into_iter().flatten();
        layers.filter_map(move |(sid, layer)| {
            Some((format!("{kind}.{}.{KEY}", sid.get_ref()), layer.get_ref().as_table()?))
        })
    });
    let mut layers = std::iter::once((KEY.to_owned(), root)).chain(layers);
    let found = layers.find_map(|(key, layer)| {
        let places = value(layer, "places")?.as_table()?;
        let countries = value(places, "countries")?.as_array()?;
        let is_meant = |country: &&toml::Spanned<DeValue<'_>>| {
            country.get_ref().as_str().is_some_and(|found| found.eq_ignore_ascii_case(code))
        };
        Some((key, Some(countries.iter().find(is_meant)?.span().start)))
    });
    found.unwrap_or_else(|| (KEY.to_owned(), None))
}

fn value<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<&'t DeValue<'i>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value.get_ref())
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
        insta::assert_snapshot!(says("uk"), @"line 2: `places.countries = ['US', 'uk']`: places.countries: ISO 3166-1 has no country UK: did you mean GB?");
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
            let refused = checked(&format!(
                "places.countries = ['GB']\n[{layer}.places]\ncountries = [\n  'GB',\n  'UK',\n]"
            ));
            let said = refused.unwrap_err();
            let place = format!("line 6: `'UK',`: {layer}.places.countries: ");
            assert!(said.starts_with(&place), "{said}");
        }
        assert!(checked("").is_ok(), "any country");
    }
}
