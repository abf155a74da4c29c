//! What befalls events and records on their way.

use std::collections::HashSet;

use simfuse_domain::id::EventSid;

use super::*;

/// 48,000 wakes with one kind of fault.
fn faulty(set: impl Fn(&mut config::Delivery)) -> (PopulationConfig, Vec<Emitted>) {
    let mut config = plain(200, 10, 11);
    set(&mut config.delivery);
    let emitted = all(&config);
    (config, emitted)
}

fn part(some: usize, of: usize) -> f64 {
    f64::from(u32::try_from(some).unwrap()) / f64::from(u32::try_from(of).unwrap())
}

fn late_by(emitted: &Emitted) -> SignedDuration {
    emitted.at.duration_since(event(emitted).unwrap().at)
}

fn only_events(emitted: Vec<Emitted>) -> Vec<Emitted> {
    emitted.into_iter().filter(|emitted| event(emitted).is_some()).collect()
}

#[test]
fn without_faults_every_event_arrives_once_in_order_two_seconds_after_it_happened() {
    let (_, emitted) = faulty(|_| ());
    let emitted = only_events(emitted);
    assert!(emitted.iter().all(|emitted| late_by(emitted) == SignedDuration::from_secs(2)));
    let sids: HashSet<EventSid> = events(&emitted).map(|event| event.sid).collect();
    assert_eq!(sids.len(), emitted.len());
    assert!(events(&emitted).all(|event| event.device.is_some()));
    assert!(events(&emitted).all(|event| event.location.is_some()));
}

#[test]
fn duplicates_are_exact_copies_at_their_rate() {
    let (_, emitted) = faulty(|delivery| delivery.duplicated = 0.01);
    let mut first: HashMap<EventSid, &Event> = HashMap::new();
    let mut twice = 0;
    for event in events(&emitted) {
        if let Some(first) = first.insert(event.sid, event) {
            assert_eq!(first, event);
            twice += 1;
        }
    }
    let share = part(twice, first.len());
    assert!((0.009..0.011).contains(&share), "{share}");
}

#[test]
fn events_are_late_at_their_rates() {
    let (_, emitted) = faulty(|delivery| {
        (delivery.delayed_over_hour, delivery.delayed_over_day) = (0.02, 0.001);
    });
    let emitted = only_events(emitted);
    let late = |hours| {
        let late = emitted.iter().filter(|one| late_by(one) > SignedDuration::from_hours(hours));
        part(late.count(), emitted.len())
    };
    assert!((0.018..0.022).contains(&late(1)), "{}", late(1));
    assert!((0.0007..0.0013).contains(&late(24)), "{}", late(24));
}

#[test]
fn events_are_reordered_at_their_rate() {
    let (_, emitted) = faulty(|delivery| delivery.reordered = 0.03);
    let emitted = only_events(emitted);
    let late: Vec<_> = emitted.iter().map(late_by).filter(|by| by.as_millis() > 2_000).collect();
    assert!(late.iter().all(|by| *by < SignedDuration::from_mins(6)));
    let share = part(late.len(), emitted.len());
    assert!((0.027..0.033).contains(&share), "{share}");
    let starts_first = emitted.windows(2).any(|two| {
        let [one, other] = [event(&two[0]).unwrap(), event(&two[1]).unwrap()];
        one.sim == other.sim && one.at > other.at
    });
    assert!(starts_first);
}

#[test]
fn events_are_lost_at_their_rate_and_usage_records_are_not() {
    let (_, emitted) = faulty(|delivery| delivery.lost = 0.01);
    let (_, faultless) = faulty(|_| ());
    let count = |emitted: &[Emitted]| events(emitted).count();
    let share = 1.0 - part(count(&emitted), count(&faultless));
    assert!((0.008..0.012).contains(&share), "{share}");
    let bytes: u64 = events(&emitted).map(bytes_of).sum();
    let used: u64 = latest_usage(&emitted, 10).values().sum();
    assert!(bytes < used, "{bytes} of {used}");
}

#[test]
fn device_and_location_are_unknown_together_at_their_rate() {
    let (_, emitted) = faulty(|delivery| delivery.identity_unknown = 0.1);
    let emitted = only_events(emitted);
    let unknown = |emitted: &&Emitted| event(emitted).unwrap().device.is_none();
    let count = emitted.iter().filter(unknown).count();
    assert!(events(&emitted).all(|one| one.device.is_none() == one.location.is_none()));
    let share = part(count, emitted.len());
    assert!((0.097..0.103).contains(&share), "{share}");
}

#[test]
fn counters_start_again_at_their_rate() {
    let mut config = plain(20, 10, 12);
    config.benign.stays_open_share = 1.0;
    let falls = |config: &PopulationConfig| {
        let mut counters = HashMap::new();
        let (mut falls, mut windows) = (0, 0);
        for event in all(config).iter().filter_map(event) {
            let Some(session) = event.session.as_ref() else { continue };
            let Some(counter) = session.cumulative.total() else { continue };
            let before = counters.insert(session.sid, counter).unwrap_or(0);
            windows += 1;
            falls += usize::from(counter < before);
        }
        part(falls, windows)
    };
    assert!(falls(&config) == 0.0);
    config.delivery.counter_reset = 0.02;
    let share = falls(&config);
    // The first window of a session cannot fall.
    assert!((0.017..0.023).contains(&share), "{share}");
}

#[test]
fn some_sessions_end_before_their_last_update_arrives() {
    let mut config = plain(20, 10, 13);
    config.benign.firmware_days = 7;
    config.benign.firmware_bytes = 20e6..60e6;
    let ends_first = |config: &PopulationConfig| {
        let mut ended = HashSet::new();
        let mut first = 0;
        for event in all(config).iter().filter_map(event) {
            let Some(session) = event.session.as_ref() else { continue };
            if event.kind == EventKind::SessionEnded {
                ended.insert(session.sid);
            } else if event.kind == EventKind::SessionUpdated {
                first += usize::from(ended.contains(&session.sid));
            }
        }
        first
    };
    assert_eq!(ends_first(&config), 0);
    config.delivery.ended_first = 1.0;
    assert!(ends_first(&config) > 5, "each that took the update");
}

#[test]
fn some_clocks_are_minutes_off() {
    let (_, emitted) = faulty(|delivery| delivery.clock_skew = 0.1);
    let mut skews = HashMap::new();
    for emitted in only_events(emitted) {
        let skew = late_by(&emitted).as_secs() - 2;
        assert_eq!(*skews.entry(emitted.sim_index).or_insert(skew), skew, "one clock a SIM");
    }
    let off: Vec<i64> = skews.into_values().filter(|skew| *skew != 0).collect();
    assert!((8..40).contains(&off.len()) && off.iter().all(|skew| skew.abs() <= 300), "{off:?}");
}

/// The latest record of each SIM's hour that was complete so many days after the start.
fn latest_usage(emitted: &[Emitted], days_long: i64) -> BTreeMap<(u32, Hour), u64> {
    let until = Hour::of(start() + days(days_long));
    let mut usage = BTreeMap::new();
    for emitted in emitted {
        if let EmittedKind::Usage(record) = &emitted.kind {
            let hour = Hour::of(record.from);
            assert!(record.to <= emitted.at, "after the hour");
            if hour < until {
                usage.insert((emitted.sim_index, hour), record.total.unwrap().0);
            }
        }
    }
    usage
}

#[test]
fn usage_records_sum_to_the_bytes_of_the_events() {
    let mut config = PopulationConfig::new(100, 12, 14, start());
    config.fleet_sims = 50;
    config.benign.firmware_days = 7;
    config.delivery.lost = 0.0;
    config.delivery.clock_skew = 0.0;
    config.rogues.after_days = 2;
    config.rogues.sims_each = 2;
    config.rogues.scenarios = Rogue::all().collect();
    let emitted = all(&config);
    let until = start() + days(6);
    let mut known = HashSet::new();
    let mut by_sim: BTreeMap<u32, u64> = BTreeMap::new();
    for emitted in emitted.iter().filter(|emitted| event(emitted).is_some()) {
        let event = event(emitted).unwrap();
        // Whole windows up to a midnight, and what of the one across it lies before.
        let Some(session) = event.session.as_ref().filter(|_| known.insert(event.sid)) else {
            continue;
        };
        let (Some(from), Some(to)) = (session.update_start, session.update_end) else { continue };
        let bytes = |direction: Option<u64>| {
            let bytes = direction.unwrap();
            if to <= until {
                return bytes;
            }
            let part = until.duration_since(from).as_millis().max(0);
            let whole = to.duration_since(from).as_millis().max(1);
            u64::try_from(i128::from(bytes) * part / whole).unwrap()
        };
        *by_sim.entry(emitted.sim_index).or_default() +=
            bytes(session.delta.up) + bytes(session.delta.down);
    }
    let mut used: BTreeMap<u32, u64> = BTreeMap::new();
    for ((sim, _), bytes) in latest_usage(&emitted, 6) {
        *used.entry(sim).or_default() += bytes;
    }
    assert_eq!(used, by_sim);
    assert!(used.values().sum::<u64>() > 10_000_000_000);
}

#[test]
fn some_records_lack_bytes_and_are_corrected_later() {
    let (_, emitted) = faulty(|delivery| delivery.corrected = 0.05);
    let mut known = HashMap::new();
    let mut corrected = 0;
    for emitted in &emitted {
        let EmittedKind::Usage(record) = &emitted.kind else { continue };
        let bytes = record.total.unwrap();
        if let Some(before) = known.insert((record.sim, record.from), bytes) {
            assert!(before < bytes && emitted.at.duration_since(record.to).as_hours() >= 4);
            corrected += 1;
        }
    }
    let share = part(corrected, known.len());
    assert!((0.035..0.06).contains(&share), "{share}");
}
