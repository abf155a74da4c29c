//! Healthy SIMs: each behaviour alone, at its rate, and absent when it is switched off.

use super::*;

#[test]
fn a_plain_sensor_wakes_every_hour_attaches_and_closes_its_session() {
    let emitted = all(&plain(20, 3, 1));
    let mut kinds: HashMap<EventKind, usize> = HashMap::new();
    events(&emitted).for_each(|event| *kinds.entry(event.kind).or_default() += 1);
    let (accepted, ended) =
        (kinds[&EventKind::AttachmentAccepted], kinds[&EventKind::SessionEnded]);
    assert!((1_420..=1_440).contains(&accepted), "{kinds:?}");
    assert!(accepted - ended <= 20);
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    let bytes: Vec<u64> = events(&emitted)
        .filter(|event| event.kind == EventKind::SessionEnded)
        .map(bytes_of)
        .collect();
    let mean = bytes.iter().sum::<u64>() / u64::try_from(bytes.len()).unwrap();
    assert!((20_000..200_000).contains(&mean), "{mean}");
    assert_eq!(labels(&emitted).count(), 0);
}

/// How often each behaviour befell a SIM.
fn counts(config: &PopulationConfig) -> BTreeMap<Behaviour, u64> {
    let mut population = whole(config);
    while population.next().is_some() {}
    let all = Behaviour::ALL.iter().map(|one| (*one, population.counted(*one)));
    all.filter(|(_, count)| *count > 0).collect()
}

/// The default mix, large and long enough that everything happens, and what is rare is not.
fn busy() -> PopulationConfig {
    let mut config = PopulationConfig::new(60, 40, 41, start());
    config.fleet_sims = 30;
    config.benign.firmware_days = 20;
    config.benign.outage_days = 20;
    config.benign.steering_days = 20;
    for rate in [
        &mut config.benign.modems_same_model,
        &mut config.benign.modems_new_model,
        &mut config.benign.depot_swaps,
        &mut config.benign.technicians,
        &mut config.benign.asleep,
    ] {
        *rate = 2.0;
    }
    config.benign.border_share = 0.1;
    config.benign.stays_open_share = 0.1;
    config.benign.installed_later_share = 0.3;
    config.delivery.ended_first = 1.0;
    config.delivery.clock_skew = 0.05;
    config
}

#[test]
fn every_behaviour_is_seen_and_none_that_is_switched_off() {
    // Neither is an occurrence: they are always so.
    let always = [Behaviour::WakeJitter, Behaviour::Season];
    let all = counts(&busy());
    for behaviour in Behaviour::ALL.iter().filter(|one| !always.contains(one)) {
        assert!(all.contains_key(behaviour), "{behaviour:?}");
        let mut config = busy();
        config.switch_off(*behaviour);
        let others = counts(&config);
        assert!(!others.contains_key(behaviour), "{behaviour:?}");
        assert!(others.len() > 15, "{others:?}");
    }
}

#[test]
fn what_has_a_yearly_rate_happens_at_it() {
    let mut config = plain(300, 60, 42);
    let benign = &mut config.benign;
    (benign.missed_hours, benign.new_levels, benign.technicians) = (8.0, 6.0, 4.0);
    (benign.modems_same_model, benign.modems_new_model, benign.depot_swaps) = (3.0, 2.0, 1.0);
    let counts = counts(&config);
    let sim_years: f64 = 300.0 * 60.0 / 365.25;
    for (behaviour, rate) in [
        (Behaviour::MissedHours, 8.0),
        (Behaviour::NewLevel, 6.0),
        (Behaviour::Technician, 4.0),
        (Behaviour::ModemSameModel, 3.0),
        (Behaviour::ModemNewModel, 2.0),
        (Behaviour::DepotSwap, 1.0),
    ] {
        let expected = rate * sim_years;
        let seen = super::draw::float(counts[&behaviour]);
        // Three standard deviations, and what is missed while a SIM is away.
        let within = 3.0 * expected.sqrt() + 0.08 * expected;
        assert!((seen - expected).abs() < within, "{behaviour:?}: {seen} of {expected}");
    }
}

/// Bytes of all SIMs by hours since the start.
fn by_hour(config: &PopulationConfig) -> BTreeMap<i64, u64> {
    let mut hours = BTreeMap::new();
    for event in events(&all(config)) {
        let hour = event.at.duration_since(start()).as_hours();
        *hours.entry(hour).or_default() += bytes_of(event);
    }
    hours
}

#[test]
fn a_wake_is_as_punctual_as_its_jitter() {
    let mut config = plain(10, 3, 43);
    let late_max = |config: &PopulationConfig| {
        let mut last: HashMap<u32, Timestamp> = HashMap::new();
        let mut max = 0;
        for emitted in all(config) {
            let Some(event) = event(&emitted) else { continue };
            if event.kind == EventKind::AttachmentAccepted
                && let Some(last) = last.insert(emitted.sim_index, event.at)
            {
                max = max.max((event.at.duration_since(last).as_secs() - 3_600).abs());
            }
        }
        max
    };
    assert_eq!(late_max(&config), 0);
    config.benign.wake_jitter_secs = 90;
    assert!((120..=180).contains(&late_max(&config)));
}

#[test]
fn summer_time_moves_the_day_shift_by_an_hour() {
    // European clocks change on 2026-03-29, American ones on 2026-03-08.
    let mut config = plain(180, 50, 44);
    config.fleet_sims = 20;
    config.benign.day_shift_share = 1.0;
    let shifts = |config: &PopulationConfig| {
        let mut wakes: BTreeMap<_, [BTreeSet<i64>; 2]> = BTreeMap::new();
        for event in events(&all(config)) {
            let hours = event.at.duration_since(start()).as_hours();
            let season = [3, 45].iter().position(|day| hours / 24 == *day);
            let land = event.country.unwrap().to_string();
            if let Some(season) = season.filter(|_| event.kind == EventKind::AttachmentAccepted) {
                wakes.entry(land).or_default()[season].insert(hours % 24);
            }
        }
        wakes
    };
    let never = shifts(&config);
    assert_eq!(never.len(), 3, "a fleet in each country");
    for (land, [winter, summer]) in never {
        assert_eq!(winter, summer, "without a summer time in {land}");
        assert!((16..=17).contains(&winter.len()), "{winter:?}");
    }
    config.benign.summer_time = config::SummerTime::ByLaw;
    for (land, [winter, summer]) in shifts(&config) {
        let earlier: BTreeSet<i64> = summer.iter().map(|hour| (hour + 1) % 24).collect();
        assert_eq!(earlier, winter, "{land}");
    }
}

#[test]
fn a_season_moves_usage_by_its_height_over_half_a_year() {
    let mut config = plain(60, 200, 45);
    config.fleet_sims = 60;
    config.benign.season = 0.3;
    let hours = by_hour(&config);
    let days = |days: std::ops::Range<i64>| -> f64 {
        let hours = hours.range(days.start * 24..days.end * 24);
        super::draw::float(hours.map(|(_, bytes)| *bytes).sum())
    };
    // 2026-06-20 to 2026-07-10 beside the equinox, where the season is neither high nor low.
    let times = days(111..131) / days(20..40);
    let (high, low) = ((1.25..1.38), (0.64..0.78));
    assert!(high.contains(&times) || low.contains(&times), "{times}");
}

#[test]
fn a_firmware_update_comes_in_stages_and_every_sim_takes_it_once() {
    let mut config = plain(400, 20, 46);
    config.benign.firmware_days = 20;
    config.benign.firmware_bytes = 5e6..5.1e6;
    let emitted = all(&config);
    let mut times: Vec<Timestamp> = labels(&emitted).map(|(_, label)| label.from).collect();
    times.sort_unstable();
    assert!((398..=400).contains(&times.len()), "{}", times.len());
    let within = |from: i64, to: i64| {
        let since = |time: &Timestamp| time.duration_since(times[0]).as_hours();
        times.iter().filter(|time| (from..to).contains(&since(time))).count()
    };
    let stages = [within(0, 24), within(24, 72), within(72, 999)];
    assert!((8..35).contains(&stages[0]) && (60..105).contains(&stages[1]), "{stages:?}");
    let plain_bytes: u64 = by_hour(&plain(400, 20, 46)).values().sum();
    let more = by_hour(&config).values().sum::<u64>().abs_diff(plain_bytes);
    assert!((1_900_000_000..2_200_000_000).contains(&more), "{more}");
}

#[test]
fn an_outage_silences_a_region_and_its_backlog_comes_at_once() {
    let mut config = plain(400, 20, 47);
    config.benign.outage_days = 20;
    let emitted = all(&config);
    let mut struck: Vec<(Timestamp, u32)> =
        labels(&emitted).map(|(sim, label)| (label.from, sim)).collect();
    struck.sort_unstable();
    assert!(struck.len() > 300, "four regions, one outage each: {}", struck.len());
    let (begin, sim) = struck[0];
    let next = emitted
        .iter()
        .find(|one| one.sim_index == sim && event(one).is_some_and(|event| event.at > begin));
    let pause = event(next.unwrap()).unwrap().at.duration_since(begin);
    assert!(pause.as_hours() < 7, "{pause}");
}

#[test]
fn a_third_of_a_fleet_is_steered_to_one_other_network_within_a_day() {
    let mut config = plain(300, 45, 48);
    config.benign.steering_days = 45;
    let emitted = all(&config);
    let times: Vec<Timestamp> = labels(&emitted).map(|(_, label)| label.from).collect();
    assert!((70..130).contains(&times.len()), "{}", times.len());
    let apart = times.iter().max().unwrap().duration_since(*times.iter().min().unwrap());
    assert!(apart.as_hours() <= 26, "{apart}");
    let mut networks: HashMap<u32, Vec<_>> = HashMap::new();
    for emitted in emitted.iter().filter(|one| event(one).is_some()) {
        let seen = networks.entry(emitted.sim_index).or_default();
        let plmn = event(emitted).unwrap().plmn;
        if !seen.contains(&plmn) {
            seen.push(plmn);
        }
    }
    assert_eq!(networks.values().filter(|seen| seen.len() == 2).count(), times.len());
}

#[test]
fn a_sim_at_a_border_goes_to_and_fro_between_two_countries() {
    let mut config = plain(20, 5, 49);
    config.benign.border_share = 1.0;
    let mut turns: HashMap<u32, (Option<simfuse_domain::network::Country>, u32)> = HashMap::new();
    for emitted in all(&config) {
        let Some(event) = event(&emitted) else { continue };
        let (last, count) = turns.entry(emitted.sim_index).or_insert((event.country, 0));
        *count += u32::from(*last != event.country);
        *last = event.country;
    }
    assert!(turns.values().all(|(_, count)| (20..55).contains(count)), "{turns:?}");
}

#[test]
fn a_session_that_stays_open_reports_every_six_minutes_used_or_not() {
    let mut config = plain(1, 4, 50);
    config.benign.stays_open_share = 1.0;
    let emitted = all(&config);
    let updates: Vec<&Event> =
        events(&emitted).filter(|event| event.kind == EventKind::SessionUpdated).collect();
    assert!((940..=960).contains(&updates.len()), "{}", updates.len());
    let used = updates.iter().filter(|event| bytes_of(event) > 0).count();
    assert!((90..110).contains(&used), "an hour's bytes in one window: {used}");
    let sids: std::collections::HashSet<_> =
        updates.iter().map(|event| event.session.as_ref().unwrap().sid).collect();
    assert_eq!(sids.len(), 1);
}

#[test]
fn what_befell_a_sim_lately_is_known() {
    let mut config = plain(50, 10, 51);
    config.benign.technicians = 12.0;
    let mut population = whole(&config);
    let mut last = HashMap::new();
    while let Some(emitted) = population.next() {
        if let EmittedKind::Label(label) = emitted.kind {
            last.insert(emitted.sim_index, label.from);
        }
    }
    let since = start() + days(7);
    for sim in 0..50 {
        let befell: Vec<_> = population.befell(sim, since).collect();
        let is_recent = last.get(&sim).is_some_and(|from| *from >= since);
        assert!(!is_recent || befell == [Behaviour::Technician], "{sim}: {befell:?}");
    }
    assert!(last.len() > 5);
}
