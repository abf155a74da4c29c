//! Rogues, and the truth about them.

use super::*;

/// Ten healthy plain sensors and ten that fall to one rogue, for three weeks.
fn stolen(rogue: Rogue) -> PopulationConfig {
    let mut config = plain(20, 35, 21);
    config.rogues = Rogues { scenarios: vec![rogue], sims_each: 10, ..Rogues::default() };
    config.rogues.after_days = 7;
    config
}

/// The rogues' events since their theft, one SIM each, and the truth at the end.
fn course(config: &PopulationConfig) -> Vec<(Truth, Vec<Event>)> {
    let mut population = whole(config);
    let mut events: HashMap<u32, Vec<Event>> = HashMap::new();
    while let Some(emitted) = population.next() {
        if let EmittedKind::Event(event) = emitted.kind {
            events.entry(emitted.sim_index).or_default().push(event);
        }
    }
    let truths: Vec<Truth> = population.truth().collect();
    let of = |truth: Truth| {
        let mut events = events.remove(&truth.sim_index).unwrap();
        events.retain(|event| event.at >= truth.from);
        (truth, events)
    };
    truths.into_iter().map(of).collect()
}

fn windows(events: &[Event]) -> Vec<u64> {
    let mut bytes: Vec<u64> = events
        .iter()
        .filter(|event| event.kind == EventKind::SessionUpdated)
        .map(bytes_of)
        .collect();
    bytes.sort_unstable();
    bytes
}

fn at_share(sorted: &[u64], percent: usize) -> u64 {
    sorted[sorted.len() * percent / 100]
}

#[test]
fn a_tablet_streams_31_mb_in_six_minutes_with_another_imei() {
    for (truth, events) in course(&stolen(Rogue::Tablet)) {
        let bytes = windows(&events);
        let (median, low) = (at_share(&bytes, 50), at_share(&bytes, 5));
        assert!((29_000_000..33_000_000).contains(&median), "{median}");
        assert!((14_500_000..17_500_000).contains(&low), "{low}");
        let thief = events.iter().find(|event| event.session.is_some()).unwrap().device;
        let tacs: Vec<String> =
            events.iter().filter_map(|event| Some(event.device?.tac().to_string())).collect();
        assert!(tacs.iter().all(|tac| tac.starts_with("35925406") || tac.starts_with("35880123")));
        assert!(thief.is_some() && truth.from >= start() + days(7));
        assert!(truth.first_byte.unwrap() < truth.from + SignedDuration::from_mins(2));
    }
}

#[test]
fn high_definition_is_230_mb_in_six_minutes_and_a_spoofed_imei_is_the_sensors() {
    let hd = course(&stolen(Rogue::HdVideo));
    let spoofed = course(&stolen(Rogue::SpoofedImei));
    for (_, events) in &hd {
        let median = at_share(&windows(events), 50);
        assert!((220_000_000..240_000_000).contains(&median), "{median}");
    }
    for (truth, events) in hd.iter().chain(&spoofed) {
        let serial = format!("{:06}", truth.sim_index);
        let shown = events.iter().filter_map(|event| event.device);
        assert!(shown.into_iter().all(|imei| imei.to_string().ends_with(&serial)));
    }
}

/// Bytes of the rogue in a day, over two weeks from the theft.
fn daily_mb(rogue: Rogue) -> f64 {
    let config = stolen(rogue);
    let truths = course(&config);
    let days_long = |truth: &Truth| (start() + days(35)).duration_since(truth.from).as_secs_f64();
    let mb: f64 = truths
        .iter()
        .map(|(truth, _)| super::draw::float(truth.bytes) / days_long(truth) * 86_400.0 / 1e6)
        .sum();
    mb / 10.0
}

#[test]
fn amounts_of_a_day_are_those_of_the_scenario() {
    let tether = daily_mb(Rogue::Tether);
    assert!((130.0..170.0).contains(&tether), "{tether}");
    let once = daily_mb(Rogue::OnceADay);
    assert!((4.7..5.3).contains(&once), "{once}");
    let clone = daily_mb(Rogue::Clone);
    assert!((22.0..40.0).contains(&clone), "{clone}");
    let modest = daily_mb(Rogue::SameModel);
    assert!((8.0..13.0).contains(&modest), "{modest}");
}

#[test]
fn a_leak_is_so_many_times_the_usual() {
    let usual = |rogue: Rogue| {
        let mut sum = 0;
        let mut rogues = 0;
        for (truth, events) in course(&stolen(rogue)) {
            sum += events.iter().map(bytes_of).sum::<u64>();
            rogues += truth.bytes;
        }
        super::draw::float(rogues) / super::draw::float(sum - rogues)
    };
    for (rogue, low, high) in [
        (Rogue::LeakTwice, 0.99, 1.01),
        (Rogue::LeakFiveTimes, 3.95, 4.05),
        (Rogue::LeakTenTimes, 8.9, 9.1),
        (Rogue::InsideEnvelope, 0.09, 0.11),
        (Rogue::Botnet, 65.0, 95.0),
        // 3 % a day over 26 days is 2.2 times at the end.
        (Rogue::SlowBoil, 0.3, 0.7),
    ] {
        let times = usual(rogue);
        assert!((low..high).contains(&times), "{rogue:?} {times}");
    }
}

#[test]
fn one_that_is_stolen_asleep_is_silent_for_three_weeks_and_wakes_abroad() {
    let mut config = stolen(Rogue::StolenAsleep);
    config.rogues.after_days = 5;
    for (truth, events) in course(&config) {
        let after = truth.first_byte.unwrap().duration_since(truth.from);
        assert!((21 * 24..22 * 24).contains(&after.as_hours()));
        let country = events.last().unwrap().country.unwrap().to_string();
        assert!(["TH", "BR"].contains(&country.as_str()), "{country}");
    }
}

#[test]
fn one_that_is_moved_abroad_uses_no_more_than_before() {
    let config = stolen(Rogue::MovedAbroad);
    let population = whole(&config);
    let homes: HashMap<u32, f64> =
        population.units.iter().map(|unit| (unit.life.card.index, unit.usual_bytes())).collect();
    for (truth, events) in course(&config) {
        let sizes: Vec<u64> = events
            .iter()
            .filter(|event| event.kind == EventKind::SessionEnded)
            .map(bytes_of)
            .collect();
        let mean = super::draw::float(sizes.iter().sum::<u64>())
            / super::draw::float(u64::try_from(sizes.len()).unwrap());
        let times = mean / homes[&truth.sim_index];
        assert!((0.8..1.5).contains(&times), "{times}");
        assert!(sizes.len() > 24 * 14);
        let serial = format!("{:06}", truth.sim_index);
        let last = events.last().unwrap();
        assert!(last.device.unwrap().to_string().ends_with(&serial));
        assert!(!["US", "DE", "GB"].contains(&last.country.unwrap().to_string().as_str()));
    }
}

#[test]
fn a_clone_is_used_at_night_beside_the_sensor() {
    for (truth, events) in course(&stolen(Rogue::Clone)) {
        let serial = format!("{:06}", truth.sim_index);
        let is_sensor = |event: &&Event| event.device.unwrap().to_string().ends_with(&serial);
        let (sensor, clone): (Vec<&Event>, Vec<&Event>) = events.iter().partition(is_sensor);
        assert!(sensor.len() > 1_500, "the sensor goes on: {}", sensor.len());
        assert!(clone.len() > 100, "{}", clone.len());
    }
}

#[test]
fn one_is_stolen_in_its_first_hour() {
    let emitted = all(&stolen(Rogue::FirstHour));
    for (sim, label) in labels(&emitted) {
        let first = emitted.iter().find(|one| one.sim_index == sim && event(one).is_some());
        let age = label.from.duration_since(event(first.unwrap()).unwrap().at);
        assert!(age.abs() < SignedDuration::from_mins(60), "{age}");
    }
    assert_eq!(labels(&emitted).count(), 10);
}

#[test]
fn a_campaign_takes_thirty_percent_of_one_fleet_within_ten_minutes() {
    let mut config = plain(900, 12, 22);
    config.fleet_sims = 300;
    config.rogues = Rogues { scenarios: vec![Rogue::Campaign], ..Rogues::default() };
    config.rogues.after_days = 7;
    let truths: Vec<Truth> = whole(&config).truth().collect();
    assert!((70..110).contains(&truths.len()), "{}", truths.len());
    let fleet = truths[0].sim_index / 300;
    assert!(truths.iter().all(|truth| truth.sim_index / 300 == fleet));
    let times = truths.iter().map(|truth| truth.from);
    let apart = times.clone().max().unwrap().duration_since(times.min().unwrap());
    assert!(apart <= SignedDuration::from_mins(10), "{apart}");
}

#[test]
fn some_are_stolen_at_the_height_of_a_firmware_update() {
    let mut config = stolen(Rogue::DuringFirmware);
    config.benign.firmware_days = 14;
    let emitted = all(&config);
    let mut updated = 0;
    for truth in whole(&config).truth() {
        let near = labels(&emitted).filter(|(_, label)| {
            label.what == Labelled::Benign(Behaviour::Firmware)
                && label.from.duration_since(truth.from).abs() < SignedDuration::from_hours(7)
        });
        updated += near.count();
    }
    assert!(updated > 50, "the fleet is updated in the same hours: {updated}");
}

/// Runs until a rogue has used so many bytes, deactivates it, and goes on to the end.
fn killed(rogue: Rogue, sims: u32) -> (Population, Vec<(Truth, Timestamp)>, Vec<Emitted>) {
    let mut config = stolen(rogue);
    config.rogues.sims_each = sims;
    config.rogues.cut_after_secs = 30..31;
    let mut population = whole(&config);
    let mut kills: Vec<(Truth, Timestamp)> = Vec::new();
    let mut after = Vec::new();
    while let Some(emitted) = population.next() {
        let truth = population.truth_of(emitted.sim_index, emitted.at);
        let is_killed = kills.iter().any(|(truth, _)| truth.sim_index == emitted.sim_index);
        if is_killed {
            after.push(emitted);
        } else if let Some(truth) = truth.filter(|truth| truth.bytes > 100_000_000) {
            population.deactivate(emitted.sim, emitted.at);
            kills.push((truth, emitted.at));
        }
    }
    (population, kills, after)
}

#[test]
fn a_rogue_feels_its_deactivation() {
    let (population, kills, after) = killed(Rogue::Tablet, 10);
    assert_eq!(kills.len(), 10);
    for (then, at) in &kills {
        let now = population.truth_of(then.sim_index, population.now()).unwrap();
        let more = now.bytes - then.bytes;
        assert!(more < 12_000_000, "what flows until the provider acts: {more}");
        let of_sim = || after.iter().filter(|one| one.sim_index == then.sim_index);
        let ends: Vec<&Event> = of_sim()
            .filter_map(event)
            .filter(|event| event.kind == EventKind::SessionEnded)
            .collect();
        assert_eq!(ends.len(), 1);
        let after = ends[0].at.duration_since(*at);
        assert!((29..=31).contains(&after.as_secs()), "{after}");
        let later = of_sim().filter_map(event).filter(|event| event.at > ends[0].at);
        let later: Vec<&Event> = later.collect();
        assert!(later.len() > 100);
        assert!(later.iter().all(|event| event.error_code == Some(83_705)));
    }
}

#[test]
fn a_healthy_sim_that_is_deactivated_is_dark_until_it_is_restored() {
    let config = plain(3, 9, 23);
    let mut population = whole(&config);
    let sim = unit::sid(23, 1);
    let mut bytes = [0; 3];
    let (mut is_off, mut is_on) = (false, false);
    while let Some(emitted) = population.next() {
        if emitted.at > start() + days(3) && !is_off {
            population.deactivate(sim, emitted.at);
            is_off = true;
        }
        if emitted.at > start() + days(6) && !is_on {
            population.restore(sim, emitted.at);
            is_on = true;
        }
        if let Some(event) = event(&emitted).filter(|event| event.sim == sim) {
            let day = event.at.duration_since(start()).as_hours() / 24;
            bytes[usize::try_from(day / 3).unwrap()] += bytes_of(event);
        }
    }
    assert!(bytes[0] > 1_000_000 && bytes[2] > 1_000_000, "{bytes:?}");
    assert!(bytes[1] < bytes[0] / 20, "what came before the provider acted: {bytes:?}");
}

#[test]
fn only_one_kind_comes_back_when_its_sim_is_switched_on_again() {
    for (rogue, comes_back) in [(Rogue::Again, true), (Rogue::SpoofedImei, false)] {
        let mut config = stolen(rogue);
        config.rogues.sims_each = 1;
        let mut population = whole(&config);
        let mut times: Vec<(Timestamp, u64)> = Vec::new();
        let (mut off, mut on) = (None, None);
        while let Some(emitted) = population.next() {
            let Some(truth) = population.truth_of(emitted.sim_index, emitted.at) else { continue };
            match (off, on) {
                (None, _) if truth.bytes > 50_000_000 => {
                    population.deactivate(emitted.sim, emitted.at);
                    off = Some(emitted.at);
                }
                (Some(off), None) if emitted.at > off + days(1) => {
                    population.restore(emitted.sim, emitted.at);
                    on = Some(emitted.at);
                    times.push((emitted.at, truth.bytes));
                }
                _ => {}
            }
        }
        let (at, then) = times[0];
        let now = population.truth().next().unwrap().bytes;
        assert_eq!(now > then + 1_000_000_000, comes_back, "{rogue:?} since {at}");
    }
}
