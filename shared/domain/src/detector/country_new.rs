//! The SIM was seen in a country in which it was not within 30 days, although it is known where it
//! belongs.
//!
//! Catches a SIM that was taken abroad, in its own device or another, and needs no list. Fooled near
//! a border by the first foreign mast that is the nearer one, by a carrier whose network is of another
//! country, and by every honest move: it is recorded, and told only where policy says so. Misses a
//! theft within the country, one in a SIM's first three days, and one to where the SIM has been
//! lately. Where policy lists countries, those outside are `country_not_allowed`'s to find.

use jiff::{SignedDuration, Timestamp};

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::policy::WatchAct;
use crate::state::Visited;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::CountryNew, assess };

/// A country is known to be where the SIM belongs once it was seen there over so long, as a device is
/// learnt over three days: what was tried in a factory for a day or two is not.
const LEARNT_OVER: SignedDuration = SignedDuration::from_hours(72);

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    found_since(snapshot, snapshot.state.horizon())
}

/// The countries that were new from the time on, which may lie before the horizon.
pub(super) fn found_since(snapshot: &Snapshot<'_>, since: Timestamp) -> Vec<Finding> {
    let (state, rules) = (snapshot.state, snapshot.rules);
    if rules.new_country == WatchAct::Off {
        return Vec::new();
    }
    let countries = state.all_countries().unwrap_or_default();
    let is_listed = |visited: &Visited| {
        rules.countries.is_empty() || rules.countries.contains(&visited.country)
    };
    let is_new = |visited: &&Visited| {
        let is_home = |home: &Visited| {
            home.last().duration_since(home.first()) >= LEARNT_OVER
                && visited.first().duration_since(home.first()) >= LEARNT_OVER
        };
        visited.first() >= since && is_listed(visited) && countries.iter().any(is_home)
    };
    let found = countries.iter().filter(is_new).map(|visited| {
        let before = countries.iter().filter(|other| other.first() < visited.first());
        let known = before.map(|other| other.country).collect();
        Finding {
            detector: DetectorId::CountryNew,
            about: visited.country.to_string(),
            at: visited.first(),
            evidence: Evidence::NewCountry { seen: visited.country, known },
        }
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{attached, check_in_any_order, claims, rejected, rules};
    use crate::event::Event;

    /// Seen in the country at 06:00 on these days of March.
    fn daily(country: &str, days: std::ops::RangeInclusive<u8>) -> Vec<Event> {
        days.map(|day| attached(&format!("{day:02}T06:00")).in_country(country)).collect()
    }

    fn home_then(events: &[Event]) -> Vec<Event> {
        [daily("US", 1..=4), events.to_vec()].concat()
    }

    #[track_caller]
    fn check(events: &[Event], policy: &str, expected: &[&str]) {
        check_in_any_order(super::DETECTOR, events, policy, expected);
    }

    const FOUND: &str = "country_new#MX 2026-03-04T09:00:00Z: in country MX for the first time in \
                         30 days, before in US";

    #[test]
    fn a_country_where_the_sim_was_never_seen_is_found() {
        let events = home_then(&[
            attached("04T09:00").in_country("MX"),
            attached("04T10:00").in_country("MX"),
        ]);
        check(&events, "", &[FOUND]);
        check(&events, "[places]\nnew_country = 'alert'", &[FOUND]);
        check(&events, "[places]\nnew_country = 'off'", &[]);
        let inactive = home_then(&[rejected("04T09:00").in_country("MX")]);
        check(&inactive, "", &[FOUND]);
    }

    #[test]
    fn home_an_unknown_country_or_one_of_lately_is_not() {
        check(&home_then(&[attached("04T09:00").in_country("US")]), "", &[]);
        check(&home_then(&[attached("04T09:00")]), "", &[]);
        let mut border = daily("CA", 1..=1);
        border.extend(home_then(&daily("US", 5..=30)));
        border.push(attached("31T06:00").in_country("CA"));
        check(&border, "", &[]);
    }

    #[test]
    fn a_country_of_more_than_thirty_days_ago_is_new_again() {
        let mut events = vec![attached("01T06:00").in_country("CA")];
        // Forgotten by whole hours, 30 days and 26 hours after.
        let december = |event: Event, day: u8| Event {
            at: format!("2025-12-{day:02}T06:00:00Z").parse().unwrap(),
            ..event
        };
        events.insert(0, december(attached("01T07:00").in_country("CA"), 20));
        events.insert(1, december(attached("01T07:00").in_country("US"), 31));
        events.insert(2, attached("01T05:00").in_country("US"));
        let found = claims(super::DETECTOR, &events, &rules(""), Control::default());
        assert_eq!(found, [] as [&str; 0], "nothing is known after so long a silence");
        let mut events = daily("CA", 1..=1);
        events.extend(daily("US", 1..=31));
        let april = |day: u8| Event {
            at: format!("2026-04-{day:02}T07:00:00Z").parse().unwrap(),
            ..attached("01T07:00")
        };
        events.push(april(1).in_country("US"));
        let near = [events.clone(), vec![april(1).in_country("CA")]].concat();
        check(&near, "", &[]);
        events.push(april(2).in_country("US"));
        events.push(april(2).in_country("CA"));
        let again = "country_new#CA 2026-04-02T07:00:00Z: in country CA for the first time in 30 \
                     days, before in US";
        check(&events, "", &[again]);
    }

    #[test]
    fn nothing_is_found_before_it_is_known_where_the_sim_belongs() {
        check(&[], "", &[]);
        check(&[attached("04T09:00").in_country("MX")], "", &[]);
        let mut burnt_in = daily("CN", 1..=3);
        burnt_in.push(attached("04T05:59:59.999").in_country("US"));
        check(&burnt_in, "", &[]);
        burnt_in.extend(daily("CN", 4..=4));
        burnt_in.push(attached("04T06:00").in_country("DE"));
        check(
            &burnt_in,
            "",
            &["country_new#DE 2026-03-04T06:00:00Z: in country DE for the first time in 30 days, \
               before in CN, US"],
        );
        let once = [attached("01T06:00"), attached("20T06:00")];
        let [once, abroad] = once.map(|event| event.in_country("US"));
        check(&[once, abroad.in_country("MX")], "", &[]);
    }

    #[test]
    fn it_is_found_for_as_long_as_a_day_is_known() {
        let events = home_then(&[attached("04T09:00").in_country("MX")]);
        let later = |at: &str| [events.clone(), vec![attached(at).in_country("MX")]].concat();
        check(&later("05T11:00"), "", &[FOUND]);
        check(&later("05T11:00:00.001"), "", &[]);
    }

    #[test]
    fn of_a_list_only_what_it_allows_is_new() {
        let events = home_then(&[
            attached("04T09:00").in_country("MX"),
            attached("04T09:30").in_country("CA"),
        ]);
        check(&events, "[places]\ncountries = ['US', 'MX']", &[FOUND]);
        check(&events, "[places]\ncountries = ['US']", &[]);
    }

    #[test]
    fn a_sim_that_was_in_more_countries_than_are_kept_finds_none_new() {
        let mut events = daily("US", 1..=4);
        events.extend((0..16).map(|number: u8| {
            let at = format!("04T08:{number:02}");
            attached(&at).in_country(&format!("A{}", char::from(b'A' + number)))
        }));
        events.push(attached("05T08:00").in_country("US"));
        let found = claims(super::DETECTOR, &events, &rules(""), Control::default());
        assert_eq!(found, [] as [&str; 0]);
        events.pop();
        events.pop();
        let found = claims(super::DETECTOR, &events, &rules(""), Control::default());
        assert_eq!(found.len(), 15, "as many as are kept");
    }
}
