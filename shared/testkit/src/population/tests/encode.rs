//! The stream as the provider would write it, read by the real readers.

use simfuse_domain::port::{Granularity, UsageGroup, UsageQuery, UsageRecords as _};
use simfuse_supersim::envelope::{Decoded, decode};

use super::*;
use crate::fleet::Envelope;
use crate::population::encode::{event_json, usage_json};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

#[test]
fn every_event_is_read_as_it_was_told_from_either_envelope() {
    let mut kinds: HashMap<EventKind, usize> = HashMap::new();
    let mut config = mixed(31);
    config.days = 6;
    let mut population = whole(&config);
    while let Some(emitted) = population.next() {
        if population.truth_of(emitted.sim_index, emitted.at).is_some_and(|one| one.bytes > 0) {
            population.deactivate(emitted.sim, emitted.at);
        }
        let Some(event) = event(&emitted) else { continue };
        for envelope in [Envelope::Twilio, Envelope::Kore] {
            let json = event_json(envelope, ACCOUNT, event, emitted.cell);
            decode(json.as_bytes(), |decoded| {
                assert_eq!(decoded, Decoded::Event(event.clone()), "{json}");
            });
        }
        *kinds.entry(event.kind).or_default() += 1;
    }
    assert_eq!(kinds.len(), 7, "every kind: {kinds:?}");
}

#[test]
fn an_unknown_identity_is_null_and_a_known_one_has_all_digits() {
    let mut config = plain(1, 1, 32);
    let json = |config: &PopulationConfig| -> serde_json::Value {
        let emitted = all(config);
        let json =
            event_json(Envelope::Kore, ACCOUNT, event(&emitted[0]).unwrap(), emitted[0].cell);
        serde_json::from_str(&json).unwrap()
    };
    let known = json(&config);
    assert_eq!(known["data"]["imei"].as_str().unwrap().len(), 15);
    assert!(known["data"]["location"]["lat"].is_f64());
    assert!(known["data"]["network"]["friendly_name"].as_str().is_some_and(|name| name.len() > 1));
    config.delivery.identity_unknown = 1.0;
    let unknown = json(&config);
    assert!(unknown["data"]["imei"].is_null() && unknown["data"]["location"].is_null());
}
