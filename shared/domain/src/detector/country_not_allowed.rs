//! The SIM was seen in a country outside the policy's list.
//!
//! Catches a SIM that left the country. Fooled near a border, where a foreign mast may be the
//! nearer one: declare both countries there. Silent without a list.

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::CountryNotAllowed, assess };

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    let allowed = &snapshot.rules.countries;
    if allowed.is_empty() {
        return Vec::new();
    }
    let visited = snapshot.state.recent_countries();
    let foreign = visited.filter(|visited| !allowed.contains(&visited.country));
    foreign
        .map(|visited| Finding {
            detector: DetectorId::CountryNotAllowed,
            about: visited.country.to_string(),
            at: visited.first(),
            evidence: Evidence::Country { seen: visited.country, allowed: allowed.clone() },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{attached, claims, rules};
    use crate::event::Event;

    const NORTH: &str = "[places]\ncountries = ['US', 'CA']";

    #[track_caller]
    fn check(events: &[Event], policy: &str, expected: &[&str]) {
        let found = claims(super::DETECTOR, events, &rules(policy), Control::default());
        assert_eq!(found, expected);
    }

    #[test]
    fn a_country_outside_the_list_is_found() {
        let events = [
            attached("01T14:00").in_country("US"),
            attached("01T15:00").in_country("MX"),
            attached("01T16:00").in_country("mx"),
        ];
        check(
            &events,
            NORTH,
            &["country_not_allowed#MX 2026-03-01T15:00:00Z: in country MX, allowed are US, CA"],
        );
        check(&events, "", &[]);
    }

    #[test]
    fn a_listed_or_an_unknown_country_is_not() {
        check(&[attached("01T14:00").in_country("CA"), attached("01T15:00")], NORTH, &[]);
        check(&[], NORTH, &[]);
    }

    #[test]
    fn a_visit_before_the_horizon_is_not_judged() {
        let visit = attached("01T14:00").in_country("MX");
        let home = |at| attached(at).in_country("US");
        check(&[visit.clone(), home("02T16:00:00.001")], NORTH, &[]);
        check(
            &[visit, home("02T16:00")],
            NORTH,
            &["country_not_allowed#MX 2026-03-01T14:00:00Z: in country MX, allowed are US, CA"],
        );
    }

    #[test]
    fn a_foreign_country_is_found_after_any_number_of_others() {
        let allowed = [
            "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW",
            "AX", "AZ",
        ];
        let visit = |(number, country): (usize, &&str)| {
            attached(&format!("01T14:{number:02}")).in_country(country)
        };
        let mut events: Vec<Event> = allowed.iter().enumerate().map(visit).collect();
        events.push(attached("01T15:00").in_country("MX"));
        let policy = format!("[places]\ncountries = {allowed:?}");
        let found = claims(super::DETECTOR, &events, &rules(&policy), Control::default());
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
