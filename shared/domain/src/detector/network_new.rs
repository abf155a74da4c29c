//! A network serves the SIM that did not within 30 days, although it is known which one does.
//!
//! Catches, beside other findings, a SIM that was taken elsewhere: another town has other carriers,
//! another country always. Fooled by a carrier that steers: in a day a third of a fleet may be served
//! by another network, and no SIM was touched. So it is recorded, and alone it tells nothing. Misses a
//! theft within the reach of the same network, and one in a SIM's first three days.

use jiff::Timestamp;

use crate::detector::{Detector, Snapshot};
use crate::finding::{DetectorId, Evidence, Finding};
use crate::network::NamedPlmn;
use crate::policy::WatchAct;
use crate::state::Network;

pub(super) const DETECTOR: Detector = Detector { id: DetectorId::NetworkNew, assess };

/// A network is known to serve the SIM once it did on so many days of UTC.
const KNOWN_DAYS: u32 = 3;

fn assess(snapshot: &Snapshot<'_>) -> Vec<Finding> {
    found_since(snapshot, snapshot.state.horizon())
}

/// The networks that were new from the time on, which may lie before the horizon.
pub(super) fn found_since(snapshot: &Snapshot<'_>, since: Timestamp) -> Vec<Finding> {
    let state = snapshot.state;
    if snapshot.rules.new_network == WatchAct::Off {
        return Vec::new();
    }
    let networks = state.networks().unwrap_or_default();
    let is_new = |network: &&Network| {
        let is_known = |other: &Network| other.days_before(network.first()) >= KNOWN_DAYS;
        network.first() >= since && networks.iter().any(is_known)
    };
    let found = networks.iter().filter(is_new).map(|network| {
        let before = networks.iter().filter(|other| other.first() < network.first());
        let known = before.map(|other| NamedPlmn(other.plmn)).collect();
        Finding {
            detector: DetectorId::NetworkNew,
            about: network.plmn.to_string(),
            at: network.first(),
            evidence: Evidence::NewNetwork { seen: NamedPlmn(network.plmn), known },
        }
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::detector::Control;
    use crate::detector::fixture::{attached, claims, failed, rules, state_of, used};
    use crate::event::Event;

    const HOME: &str = "310-260";

    fn days(plmn: &str, days: std::ops::RangeInclusive<u8>) -> Vec<Event> {
        days.map(|day| attached(&format!("{day:02}T06:00")).on_network(plmn)).collect()
    }

    fn home_then(event: Event) -> Vec<Event> {
        [days(HOME, 1..=3), vec![event]].concat()
    }

    #[track_caller]
    fn check(events: &[Event], policy: &str, expected: &[&str]) {
        let found = claims(super::DETECTOR, events, &rules(policy), Control::default());
        assert_eq!(found, expected);
    }

    const FOUND: &str = "network_new#310-410 2026-03-04T00:30:00Z: on network 310-410 for the \
                         first time in 30 days, before on 310-260";

    #[test]
    fn a_network_that_never_served_the_sim_is_found() {
        let events = home_then(attached("04T00:30").on_network("310-410"));
        check(&events, "", &[FOUND]);
        check(&events, "[places]\nnew_network = 'alert'", &[FOUND]);
        check(&events, "[places]\nnew_network = 'off'", &[]);
        let mut of_session = home_then(used("04T00:20", "04T00:30", 1).on_network("310-410"));
        check(&of_session, "", &[FOUND]);
        // In any order within the horizon, however often.
        let last = of_session.split_off(2);
        let again = last.iter().rev().chain(&last).chain(&last).cloned();
        check(&of_session.into_iter().chain(again).collect::<Vec<_>>(), "", &[FOUND]);
    }

    #[test]
    fn its_own_an_unknown_one_and_one_that_only_refused_are_not() {
        check(&home_then(attached("04T00:30").on_network(HOME)), "", &[]);
        check(&home_then(attached("04T00:30")), "", &[]);
        check(&home_then(failed("04T00:30").on_network("310-410")), "", &[]);
        let mut steered = days("310-410", 1..=1);
        steered.extend(days(HOME, 2..=30));
        steered.push(attached("31T06:00").on_network("310-410"));
        check(&steered, "", &[]);
    }

    #[test]
    fn nothing_is_found_before_a_network_served_on_three_days() {
        check(&[], "", &[]);
        check(&days("310-410", 1..=1), "", &[]);
        let two = [days(HOME, 2..=3), vec![attached("04T00:30").on_network("310-410")]].concat();
        check(&two, "", &[]);
        // Days from the event on do not count, whether they came before it or after.
        let near = home_then(attached("03T23:59").on_network("310-410"));
        check(&near, "", &[]);
        let later = [near, days(HOME, 4..=4)].concat();
        check(&later, "", &[]);
    }

    #[test]
    fn it_is_found_for_as_long_as_a_day_is_known() {
        let events = home_then(attached("04T00:30").on_network("310-410"));
        let later = |at: &str| [events.clone(), vec![attached(at)]].concat();
        check(&later("05T02:30"), "", &[FOUND]);
        check(&later("05T02:30:00.001"), "", &[]);
    }

    #[test]
    fn a_network_code_of_two_digits_is_not_one_of_three() {
        let events = home_then(attached("04T00:30").on_network("310-26"));
        assert_eq!(claims(super::DETECTOR, &events, &rules(""), Control::default()).len(), 1);
    }

    #[test]
    fn after_more_networks_than_are_kept_none_is_new_for_thirty_days() {
        let mut events = days(HOME, 1..=4);
        events.extend((0..16).map(|number: u8| {
            attached(&format!("04T08:{number:02}")).on_network(&format!("208-{number:02}"))
        }));
        let forwards = state_of(&events);
        assert_eq!(forwards.networks(), None);
        assert_eq!(forwards, state_of(events[..3].iter().chain(events[3..].iter().rev())));
        check(&events, "", &[]);
        events.pop();
        assert_eq!(state_of(&events).networks().map(<[_]>::len), Some(16));
        let found = claims(super::DETECTOR, &events, &rules(""), Control::default());
        assert_eq!(found.len(), 15, "as many as are kept");
    }
}
