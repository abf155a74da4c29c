use super::*;
use crate::place::{Area, Point};
use crate::policy::{DEFAULT, TellAct};

fn refused(text: &str) -> String {
    text.parse::<Policy>().unwrap_err().to_string()
}

#[test]
fn the_default_observes_and_its_limits_alert() {
    let policy: Policy = DEFAULT.parse().unwrap();
    assert_eq!(policy.base().mode, Mode::Observe);
    assert_eq!(policy.base().limits.act, LimitAct::Alert);
    assert_eq!(policy.base().limits.hour, Some(Bytes(20_000_000)));
    assert_eq!(policy.base().limits.session, None);
    assert_eq!(policy.base().guards, EMPTY.guards, "one set of defaults");
}

/// The sample of the contract, with its placeholders filled in.
#[test]
fn the_documented_policy_is_read_to_the_letter() {
    let policy: Policy = r#"
        version = 1
        mode = "observe"            # observe | enforce

        [binding]
        mode = "learnt"
        enrol = "first"
        allowed_tacs = ["35378572"]

        [limits]
        hour_mb = 20
        day_mb = 50
        period_mb = 250
        session_mb = 100.5
        act = "alert"

        [[maintenance]]
        from = "2026-03-01T02:00:00+01:00"
        to = 2026-03-01T04:00:00Z
        bytes_max_mb = 60

        [places]
        countries = ["US", "ca"]

        [guards]
        protected = ["HS00000000000000000000000000000001", "8988307000000000001", "pump-17"]
        max_kills = { count = 5, percent = 1, window_mins = 60 }
        account_max_kills = { count = 50, window_mins = 60 }
        cooldown_mins = 1440

        [notify]
        events = ["online", "network", "usage", "device", "offline"]

        [proof]
        window_mins = 30

        [fleet."HF00000000000000000000000000000001"]
        mode = "enforce"
        binding = { mode = "strict" }
        limits = { act = "deactivate" }
        notify = { events = [] }
        proof = { window_mins = 5 }

        [sim."HS00000000000000000000000000000001"]
        places = { countries = [] }
        [[sim."HS00000000000000000000000000000001".maintenance]]
        from = 2026-03-02T02:00:00Z
        to = 2026-03-02T04:00:00Z
        bytes_max_mb = 6
    "#
    .parse()
    .unwrap();
    let base = policy.base();
    assert_eq!(base.binding.enrol, Enrol::First);
    assert_eq!(base.limits.session, Some(Bytes(100_500_000)));
    assert_eq!(base.maintenance[0].from, "2026-03-01T01:00:00Z".parse().unwrap());
    assert_eq!(base.countries, ["US".parse().unwrap(), "CA".parse().unwrap()]);
    assert_eq!(base.guards.max_kills, EMPTY.guards.max_kills);
    assert_eq!(base.guards.cooldown, SignedDuration::from_hours(24));
    assert_eq!(base.notify.len(), 5);
    let fleet = "HF00000000000000000000000000000001".parse().unwrap();
    let other = policy.rules_for(Some(fleet), SimSid::from_bytes([9; 16]));
    assert_eq!((other.mode, other.binding.mode), (Mode::Enforce, BindingMode::Strict));
    assert_eq!(other.binding.enrol, Enrol::First, "not named, so as below");
    assert_eq!(other.limits.act, LimitAct::Deactivate);
    assert_eq!(other.limits.hour, Some(Bytes(20_000_000)));
    assert_eq!(other.proof_window, SignedDuration::from_mins(5));
    assert!(other.notify.is_empty(), "this fleet is not under watch");
    let sim = "HS00000000000000000000000000000001".parse().unwrap();
    let sim = policy.rules_for(Some(fleet), sim);
    assert_eq!((sim.mode, sim.countries.len(), sim.maintenance.len()), (Mode::Enforce, 0, 2));
}

#[test]
fn numbers_that_cannot_be_meant_are_refused() {
    for wrong in [
        "limits.hour_mb = 0",
        "limits.hour_mb = nan",
        "limits.hour_mb = inf",
        "limits.hour_mb = 0.0000001",
        "limits.hour_mb = 3_000_000",
        "guards.max_kills = { count = 1, percent = 0 }",
        "guards.max_kills = { count = 1, percent = 100.1 }",
        "guards.max_kills = { count = 1, percent = nan }",
        "guards.max_kills = { count = 4294967297 }",
        "guards.cooldown_mins = 0",
        "guards.cooldown_mins = 44_641",
        "proof.window_mins = -1",
        "places.countries = ['USA']",
        "binding.allowed_tacs = ['353785720']",
        "sim.HS00000000000000000000000000000001.guards.max_kills = { count = 1 }",
    ] {
        let refused = refused(&format!("version = 1\n{wrong}"));
        assert!(refused.starts_with("line 2: "), "{wrong}: {refused}");
    }
    assert!(refused(&"#".repeat(300_000)).contains("longer than 256000 bytes"));
}

#[test]
fn layers_override_what_they_name_and_protection_adds_up() {
    let fleet: FleetSid = "HF00000000000000000000000000000001".parse().unwrap();
    let sim: SimSid = "HS00000000000000000000000000000001".parse().unwrap();
    let policy: Policy = r#"
        version = 1
        [limits]
        hour_mb = 1.5
        day_mb = 10
        [guards]
        protected = ["pump-17"]
        [fleet."HF00000000000000000000000000000001"]
        mode = "enforce"
        limits = { hour_mb = 3 }
        guards = { max_kills = { count = 2 } }
        [sim."HS00000000000000000000000000000001"]
        limits = { day_mb = 20, act = "deactivate" }
        guards = { protected = ["pump-18"] }
    "#
    .parse()
    .unwrap();
    let rules = policy.rules_for(Some(fleet), sim);
    assert_eq!(rules.mode, Mode::Enforce);
    assert_eq!(rules.limits.hour, Some(Bytes(3_000_000)));
    assert_eq!(rules.limits.day, Some(Bytes(20_000_000)));
    assert_eq!(rules.limits.act, LimitAct::Deactivate);
    assert_eq!(rules.guards.protected, ["pump-17", "pump-18"]);
    assert_eq!(rules.guards.max_kills.count, 2);
    assert_eq!(rules.guards.max_kills.percent, Some(1.0), "not named, so as below");
    assert_eq!(policy.base().limits.hour, Some(Bytes(1_500_000)));
}

#[test]
fn quarantine_needs_a_fleet_to_move_sims_to() {
    let fleet = "quarantine = { fleet = \"HF00000000000000000000000000000009\" }";
    let act = "limits = { act = \"quarantine\" }";
    insta::assert_snapshot!(refused(&format!("version = 1\n{act}")), @r#"line 2: `limits = { act = "quarantine" }`: limits.act: no fleet to move SIMs to: name it with `quarantine = { fleet = "HF…" }`"#);
    let of_fleet = format!("[fleet.HF00000000000000000000000000000001]\n{act}");
    insta::assert_snapshot!(refused(&format!("version = 1\n{of_fleet}")), @r#"line 3: `limits = { act = "quarantine" }`: fleet.HF00000000000000000000000000000001.limits.act: no fleet to move SIMs to: name it with `quarantine = { fleet = "HF…" }`"#);
    let policy: Policy = format!("version = 1\n{fleet}\n{of_fleet}").parse().unwrap();
    let fleet: FleetSid = "HF00000000000000000000000000000001".parse().unwrap();
    assert_eq!(policy.rules_of_fleet(fleet).limits.act, LimitAct::Quarantine);
    let quarantine = "HF00000000000000000000000000000009".parse().ok();
    assert_eq!(policy.rules_of_fleet(fleet).quarantine, quarantine);
}

#[test]
fn a_geofence_is_a_circle_a_polygon_or_lifted_for_one_fleet() {
    let of = |area: &str| format!("version = 1\n[places]\ngeofence = {area}");
    let circle: Policy = of("{ lat = 48.1, lon = 11.6, radius_km = 80 }").parse().unwrap();
    let munich = Point::new(48.1, 11.6).unwrap();
    let area = Some(Area::Circle { center: munich, radius_km: 80.0 });
    assert_eq!(circle.base().geofence, area);
    assert_eq!(circle.base().geofence_act, LimitAct::Alert);
    let triangle: Policy = of("{ polygon = [[1, 1], [1, 2], [2.5, 1]] }").parse().unwrap();
    assert!(triangle.base().geofence.as_ref().unwrap().contains(Point::new(1.2, 1.2).unwrap()));
    let exempt = "[fleet.HF00000000000000000000000000000001.places]\ngeofence = {}";
    let text = format!("{}\n{exempt}", of("{ lat = 48.1, lon = 11.6, radius_km = 80 }"));
    let policy: Policy = text.parse().unwrap();
    let fleet: FleetSid = "HF00000000000000000000000000000001".parse().unwrap();
    assert_eq!((&policy.base().geofence, &policy.rules_of_fleet(fleet).geofence), (&area, &None));
    for (wrong, reason) in [
        ("{ lat = 48.1, lon = 11.6 }", "either `lat`, `lon` and `radius_km`, or a `polygon`"),
        ("{ lat = 91, lon = 11.6, radius_km = 80 }", "latitudes are from -90 to 90"),
        ("{ lat = 48.1, lon = 11.6, radius_km = 0.5 }", "`radius_km` must be from 1 to 20,000"),
        ("{ polygon = [[1, 1], [1, 2]] }", "3 to 100 corners"),
    ] {
        let refused = refused(&of(wrong));
        assert!(refused.starts_with("line 3: ") && refused.contains(reason), "{refused}");
    }
}

#[test]
fn leaving_an_area_for_quarantine_needs_a_fleet_too() {
    let area = "geofence = { lat = 48.1, lon = 11.6, radius_km = 80 }";
    let act = "geofence_act = \"quarantine\"";
    insta::assert_snapshot!(refused(&format!("version = 1\n[places]\n{area}\n{act}")), @r#"line 4: `geofence_act = "quarantine"`: places.geofence_act: no fleet to move SIMs to: name it with `quarantine = { fleet = "HF…" }`"#);
    let fleet = "[quarantine]\nfleet = \"HF00000000000000000000000000000009\"";
    let policy = format!("version = 1\n[places]\n{area}\n{act}\n{fleet}").parse::<Policy>();
    assert_eq!(policy.unwrap().base().geofence_act, LimitAct::Quarantine);
    assert!(format!("version = 1\n[places]\n{act}").parse::<Policy>().is_ok(), "no area");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    insta::assert_snapshot!(refused("version = 2"), @"line 1: `version = 2`: version: this SimFuse knows version 1 only");
    insta::assert_snapshot!(refused("mode = \"observe\""), @r#"line 1: `mode = "observe"`: missing field `version`"#);
    insta::assert_snapshot!(refused("version = 1\n\n[limits]\nhuor_mb = 20"), @"line 4: `huor_mb = 20`: limits.huor_mb: unknown field `huor_mb`, expected one of `hour_mb`, `day_mb`, `period_mb`, `session_mb`, `fleet_limit_mb`, `act`; did you mean `hour_mb`?");
    insta::assert_snapshot!(refused("version = 1\n[limits]\nhour_mb = -3"), @"line 3: `hour_mb = -3`: limits.hour_mb: must be more than 0 and at most 2,000,000 MB; leave it out for no limit");
    insta::assert_snapshot!(refused("version = 1\n[limits]\nhour_mb = \"20\""), @r#"line 3: `hour_mb = "20"`: limits.hour_mb: invalid type: string "20", expected a number of megabytes"#);
    insta::assert_snapshot!(refused("version = 1\n[binding]\nallowed_tacs = [\"353\"]"), @r#"line 3: `allowed_tacs = ["353"]`: binding.allowed_tacs[0]: not a TAC: 8 digits"#);
    insta::assert_snapshot!(refused("version = 1\nmode = \"enforced\""), @r#"line 2: `mode = "enforced"`: mode: unknown variant `enforced`, expected `observe` or `enforce`"#);
    insta::assert_snapshot!(refused("version = 1\n[guards]\nmax_kills = { count = 0 }"), @"line 3: `max_kills = { count = 0 }`: guards.max_kills.count: must be from 1 to 1,000,000; to switch nothing off use mode observe");
    insta::assert_snapshot!(refused("version = 1\n[notify]\nevents = [\"on-line\"]"), @r#"line 3: `events = ["on-line"]`: notify.events[0]: unknown variant `on-line`, expected one of `online`, `network`, `usage`, `device`, `offline`"#);
    insta::assert_snapshot!(refused("version = 1\n[fleet.HFx]\nmode = \"observe\""), @"line 2: `[fleet.HFx]`: fleet.HFx: not a Fleet SID: HF and 32 hexadecimal digits");
    insta::assert_snapshot!(
        refused("version = 1\n[[maintenance]]\nfrom = 2026-03-02T00:00:00Z\n\
                 to = 2026-03-01T00:00:00Z\nbytes_max_mb = 60"),
        @"line 2: `[[maintenance]]`: maintenance[0]: `from` must lie before `to`"
    );
    insta::assert_snapshot!(
        refused("version = 1\n[fleet.HF00000000000000000000000000000001.guards]\n\
                 account_max_kills = { count = 1 }"),
        @"line 3: `account_max_kills = { count = 1 }`: fleet.HF00000000000000000000000000000001.guards.account_max_kills: it is the whole account's: set it outside a fleet"
    );
    insta::assert_snapshot!(refused("version = 1\n[sim.HS00000000000000000000000000000001.limits]\nday_mb = 5\nfleet_limit_mb = 250"), @"line 4: `fleet_limit_mb = 250`: sim.HS00000000000000000000000000000001.limits.fleet_limit_mb: the provider has this limit for whole fleets: set it for the fleet");
    insta::assert_snapshot!(refused("version = 1\nlimits = [["), @"line 2: `limits = [[`: unclosed array, expected `]`");
}

#[test]
fn what_is_wrong_in_a_nested_key_is_named_with_all_that_it_lies_in() {
    insta::assert_snapshot!(refused("version = 1\n[binding]\nallowed_tacs = [\n  \"35378572\",\n  \"353\",\n]"), @r#"line 5: `"353",`: binding.allowed_tacs[1]: not a TAC: 8 digits"#);
    insta::assert_snapshot!(refused("version = 1\n[fleet.HF00000000000000000000000000000001.limits]\nday_mb = 5\nhour_mb = 0"), @"line 4: `hour_mb = 0`: fleet.HF00000000000000000000000000000001.limits.hour_mb: must be more than 0 and at most 2,000,000 MB; leave it out for no limit");
    insta::assert_snapshot!(refused("version = 1\n[fleet.HF00000000000000000000000000000001]\nguards = { max_kills = { count = 1, windows_mins = 5 } }"), @"line 3: `guards = { max_kills = { count = 1, windows_mins = 5 } }`: fleet.HF00000000000000000000000000000001.guards.max_kills.windows_mins: unknown field `windows_mins`, expected one of `count`, `percent`, `window_mins`; did you mean `window_mins`?");
    insta::assert_snapshot!(refused("version = 1\n[sim.HS00000000000000000000000000000001]\nmode = \"observe\"\n[sim.HS00000000000000000000000000000001.places]\ncountries = [\"US\", \"USA\"]"), @r#"line 5: `countries = ["US", "USA"]`: sim.HS00000000000000000000000000000001.places.countries[1]: not a country: two letters of ISO 3166-1"#);
    insta::assert_snapshot!(refused("version = 1\n[[fleet.HF00000000000000000000000000000001.maintenance]]\nfrom = 2026-03-02T00:00:00Z\n\n[[fleet.HF00000000000000000000000000000001.maintenance]]\nfrom = \"tomorrow\""), @"line 2: `[[fleet.HF00000000000000000000000000000001.maintenance]]`: fleet.HF00000000000000000000000000000001.maintenance[0]: `from`, `to` and `bytes_max_mb` belong together");
    insta::assert_snapshot!(refused("version = 1\n[sim.HS00000000000000000000000000000001.maintenance]\nfrom = 2026-03-02T00:00:00Z"), @"line 2: `[sim.HS00000000000000000000000000000001.maintenance]`: sim.HS00000000000000000000000000000001.maintenance: invalid type: a section, expected a list");
    insta::assert_snapshot!(refused("version = 1\n[limits]\nfleet_limit_mb = 0"), @"line 3: `fleet_limit_mb = 0`: limits.fleet_limit_mb: must be a whole number from 1 to 2,000,000 MB");
}

const FLEET: &str = "HF00000000000000000000000000000001";
const SIM: &str = "HS00000000000000000000000000000001";

/// What each layer may say, and that it is heard there.
#[test]
fn every_key_can_be_set_for_the_account_a_fleet_or_a_sim() {
    const KEYS: &str = r#"
        mode = "enforce"
        binding = { mode = "off", enrol = "first", allowed_tacs = ["35378572"] }
        limits = { hour_mb = 1, day_mb = 2, period_mb = 3, session_mb = 4, act = "deactivate" }
        maintenance = [{ from = 2026-03-01T02:00:00Z, to = 2026-03-01T03:00:00Z, bytes_max_mb = 9 }]
        places = { countries = ["US"], new_country = "alert", new_network = "off" }
        attach_storm = { act = "watch", minutes_max = 100 }
        download_heavy = { act = "alert" }
        guards = { protected = ["pump-17"], cooldown_mins = 7 }
        proof = { window_mins = 8 }
        notify = { events = ["device"] }
    "#;
    let rules = |text: String| {
        let policy: Policy = text.parse().unwrap();
        policy.rules_for(Some(FLEET.parse().unwrap()), SIM.parse().unwrap()).into_owned()
    };
    let account = rules(format!("version = 1\n{KEYS}"));
    assert_eq!(account.mode, Mode::Enforce);
    let limits = &account.limits;
    let all = [limits.hour, limits.day, limits.period, limits.session];
    assert_eq!(all, [1, 2, 3, 4].map(|mb| Some(Bytes(mb * 1_000_000))));
    assert_eq!((account.binding.mode, account.binding.enrol), (BindingMode::Off, Enrol::First));
    assert_eq!((account.binding.allowed_tacs.len(), account.countries.len()), (1, 1));
    assert_eq!((account.new_country, account.new_network), (WatchAct::Alert, WatchAct::Off));
    let storm = AttachStorm { act: WatchAct::Watch, minutes_max: 100 };
    assert_eq!((account.attach_storm, account.download_heavy), (storm, WatchAct::Alert));
    assert_eq!(account.maintenance[0].bytes_max, Bytes(9_000_000));
    assert_eq!(account.guards.cooldown, SignedDuration::from_mins(7));
    assert_eq!(account.proof_window, SignedDuration::from_mins(8));
    assert_eq!(account.notify, [NewsKind::Device]);
    for layer in [format!("[fleet.{FLEET}]"), format!("[sim.{SIM}]")] {
        let there = rules(format!("version = 1\n{layer}\n{KEYS}"));
        assert_eq!(there, account, "{layer}");
    }
}

#[test]
fn planned_work_of_a_fleet_or_a_sim_raises_the_limits_of_no_other() {
    let policy: Policy = format!(
        "version = 1\n[[fleet.{FLEET}.maintenance]]\nfrom = 2026-03-01T02:00:00Z\n\
         to = 2026-03-01T03:00:00Z\nbytes_max_mb = 60\n[[sim.{SIM}.maintenance]]\n\
         from = 2026-03-01T05:00:00Z\nto = 2026-03-01T06:00:00Z\nbytes_max_mb = 70"
    )
    .parse()
    .unwrap();
    let limit = |fleet: Option<&str>, sim: &str, hour: &str| {
        let rules = policy.rules_for(fleet.map(|sid| sid.parse().unwrap()), sim.parse().unwrap());
        let from: Timestamp = format!("2026-03-01T{hour}:00:00Z").parse().unwrap();
        rules.limit_during(Bytes(20), from, from + SignedDuration::from_hours(1)).0
    };
    let other = "HS00000000000000000000000000000002";
    assert_eq!(limit(Some(FLEET), SIM, "02"), 60_000_000, "its fleet's");
    assert_eq!(limit(Some(FLEET), other, "02"), 60_000_000);
    assert_eq!(limit(None, SIM, "02"), 20, "another fleet's");
    assert_eq!(limit(None, SIM, "05"), 70_000_000, "its own");
    assert_eq!(limit(Some(FLEET), other, "05"), 20, "another SIM's");
}

#[test]
fn the_limit_wanted_of_the_providers_fleet_is_the_accounts_or_the_fleets_own() {
    let policy: Policy = format!(
        "version = 1\n[limits]\nfleet_limit_mb = 250\n[fleet.{FLEET}.limits]\nfleet_limit_mb = 50"
    )
    .parse()
    .unwrap();
    assert_eq!(policy.base().limits.fleet_limit_mb, Some(250));
    let rules = policy.rules_for(Some(FLEET.parse().unwrap()), SIM.parse().unwrap());
    assert_eq!(rules.limits.fleet_limit_mb, Some(50));
    let unsaid: Policy = DEFAULT.parse().unwrap();
    assert_eq!(unsaid.base().limits.fleet_limit_mb, None);
}

#[test]
fn what_a_layer_will_not_do_is_said_of_that_layer() {
    let policy: Policy = format!(
        "version = 1\n[strike]\nact = \"alert\"\n[fleet.{FLEET}]\nmode = \"enforce\"\n[sim.{SIM}.binding]\nmode = \"strict\""
    )
    .parse()
    .unwrap();
    insta::assert_snapshot!(policy.warnings().join("\n"), @r#"
    HF00000000000000000000000000000001: mode is enforce, and no rule here deactivates: every verdict is an alert
    HS00000000000000000000000000000001: binding is strict and no allowed_tacs are declared: no device is strange to a SIM until its own is learnt, over 24 active hours and 3 days
    "#);
    let policy: Policy = format!(
        "version = 1\nmode = \"enforce\"\nstrike.act = \"off\"\n[fleet.{FLEET}]\nmode = \"enforce\""
    )
    .parse()
    .unwrap();
    assert_eq!(policy.warnings().len(), 1, "what holds for all is said once");
}

#[test]
fn a_cap_is_the_smaller_of_count_and_share_but_never_under_one() {
    let cap = Cap { count: 5, percent: Some(1.0), window_mins: 60 };
    assert_eq!(cap.kills_max(None), 5);
    assert_eq!(cap.kills_max(Some(10_000)), 5);
    assert_eq!(cap.kills_max(Some(300)), 3);
    assert_eq!(cap.kills_max(Some(10)), 1);
}

#[test]
fn planned_work_raises_a_limit_in_the_windows_that_it_touches() {
    let policy: Policy = "version = 1\n[[maintenance]]\nfrom = 2026-03-01T02:00:00Z\n\
                          to = \"2026-03-01T04:30:00Z\"\nbytes_max_mb = 60"
        .parse()
        .unwrap();
    let limit = |from: &str, to: &str| {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        policy.base().limit_during(Bytes(20), from, to)
    };
    assert_eq!(limit("2026-03-01T01:00:00Z", "2026-03-01T02:00:00Z"), Bytes(20));
    assert_eq!(limit("2026-03-01T04:00:00Z", "2026-03-01T05:00:00Z"), Bytes(60_000_000));
}

#[test]
fn slow_leaks_are_told_by_default() {
    let default: Policy = super::super::DEFAULT.parse().unwrap();
    assert_eq!(default.base().slow_leak, SlowLeak::DEFAULT);
    let of = |text: &str| format!("version = 1\n[slow_leak]\n{text}");
    insta::assert_snapshot!(refused(&of("act = \"deactivate\"")), @r#"line 3: `act = "deactivate"`: slow_leak.act: unknown variant `deactivate`, expected `off` or `alert`"#);
    insta::assert_snapshot!(refused(&of("alert_days = 999")), @"line 3: `alert_days = 999`: slow_leak.alert_days: must be from 1,000 to 1,000,000,000,000");
    insta::assert_snapshot!(refused(&of("excess_days = 0")), @"line 3: `excess_days = 0`: slow_leak.excess_days: must be from 1 to 365 days");
    let layered = of("alert_days = 1000\nexcess_min_mb = 5\nexcess_days = 7\n\
         [fleet.HF00000000000000000000000000000001]\nslow_leak = { act = \"off\" }");
    let policy: Policy = layered.parse().unwrap();
    let fleet: FleetSid = "HF00000000000000000000000000000001".parse().unwrap();
    let leak = policy.rules_of_fleet(fleet).slow_leak;
    assert_eq!((leak.act, leak.excess_days), (TellAct::Off, 7));
    let before = "version = 1".parse().unwrap();
    insta::assert_snapshot!(policy.changes_since(&before).join("\n"), @r"
    slow_leak.alert_days 1,000,000 → 1,000: by chance once in so many
    slow_leak.excess_min_mb 20 MB → 5 MB
    slow_leak.excess_days 14 → 7: told after so many usual days
    HF00000000000000000000000000000001: slow_leak.act alert → off: days that are unusual for a SIM and its peers are no finding
    ");
}

#[test]
fn surges_of_a_fleet_are_told_by_default_and_are_no_matter_of_a_sim() {
    let default: Policy = super::super::DEFAULT.parse().unwrap();
    assert_eq!(default.base().cohort_surge, CohortSurge::DEFAULT);
    let of = |text: &str| format!("version = 1\n{text}");
    insta::assert_snapshot!(refused(&of("[cohort_surge]\nact = \"watch\"")), @r#"line 3: `act = "watch"`: cohort_surge.act: unknown variant `watch`, expected `off` or `alert`"#);
    let sim = "[sim.HS00000000000000000000000000000001]\ncohort_surge = { act = \"off\" }";
    insta::assert_snapshot!(refused(&of(sim)), @r#"line 3: `cohort_surge = { act = "off" }`: sim.HS00000000000000000000000000000001.cohort_surge: it is of a fleet's SIMs together: set it for the fleet"#);
    insta::assert_snapshot!(refused(&of("[cohort_surge]\nshare_min_percent = 0")), @"line 3: `share_min_percent = 0`: cohort_surge.share_min_percent: must be from 1 to 100 percent");
    let fleet = "[cohort_surge]\nshare_min_percent = 10\n\
                 [fleet.HF00000000000000000000000000000001]\ncohort_surge = { act = \"off\" }";
    let (before, policy) = (of("").parse().unwrap(), of(fleet).parse::<Policy>().unwrap());
    insta::assert_snapshot!(policy.changes_since(&before).join("\n"), @r"
    cohort_surge.share_min_percent 20 → 10: of the active SIMs
    HF00000000000000000000000000000001: cohort_surge.act alert → off: many SIMs of a fleet that are unusual at once are not told
    ");
}

#[test]
fn usage_evidence_is_told_by_default_and_its_chances_do_not_fall() {
    let default: Policy = super::super::DEFAULT.parse().unwrap();
    let shipped = UsageSpike { act: SpikeAct::Deactivate, ..UsageSpike::UNSAID };
    assert_eq!(default.base().usage_spike, shipped);
    let of = |text: &str| format!("version = 1\n[usage_spike]\n{text}");
    insta::assert_snapshot!(refused(&of("alert_hours = 20000000")), @"line 3: `alert_hours = 20000000`: usage_spike.alert_hours: quarantine_hours is 10,000,000, and alert_hours 20,000,000: it must not fall");
    insta::assert_snapshot!(refused(&of("deactivate_hours = 1000")), @"line 3: `deactivate_hours = 1000`: usage_spike.deactivate_hours: deactivate_hours is 1,000, and quarantine_hours 10,000,000: it must not fall");
    insta::assert_snapshot!(refused(&of("alert_hours = 999")), @"line 3: `alert_hours = 999`: usage_spike.alert_hours: must be from 1,000 to 1,000,000,000,000");
    insta::assert_snapshot!(refused(&of("act = \"quarantine\"")), @r#"line 3: `act = "quarantine"`: usage_spike.act: no fleet to move SIMs to: name it with `quarantine = { fleet = "HF…" }`"#);
    let layered = of(
        "act = \"deactivate\"\nexcess_min_mb = 5\n[fleet.HF00000000000000000000000000000001]\nusage_spike = { act = \"off\" }",
    );
    let policy: Policy = layered.parse().unwrap();
    let fleet: FleetSid = "HF00000000000000000000000000000001".parse().unwrap();
    let spike = policy.rules_of_fleet(fleet).usage_spike;
    assert_eq!((spike.act, spike.excess_min), (SpikeAct::Off, Bytes(5_000_000)));
    let before = "version = 1".parse().unwrap();
    insta::assert_snapshot!(policy.changes_since(&before).join("\n"), @r"
    usage_spike.act alert → deactivate: a SIM of unusual usage is deactivated
    usage_spike.excess_min_mb 2 MB → 5 MB
    HF00000000000000000000000000000001: usage_spike.act alert → off: usage that is unusual for a SIM and its peers is no finding
    ");
}

#[test]
fn what_a_strike_is_may_be_said_of_each_fleet() {
    let default: Policy = DEFAULT.parse().unwrap();
    assert_eq!(default.base().strike, Strike { act: SpikeAct::Deactivate, ..Strike::UNSAID });
    let of = |text: &str| format!("version = 1\n[strike]\n{text}");
    insta::assert_snapshot!(refused(&of("faster_than_kbps = 179")), @"line 3: `faster_than_kbps = 179`: strike.faster_than_kbps: must be from 180 to 1,000,000 kbit/s");
    insta::assert_snapshot!(refused(&of("act = \"quarantine\"")), @r#"line 3: `act = "quarantine"`: strike.act: no fleet to move SIMs to: name it with `quarantine = { fleet = "HF…" }`"#);
    let policy: Policy = of(&format!(
        "faster_than_kbps = 1200\ndevice_mb = 50\n[fleet.{FLEET}]\nstrike = {{ act = \"deactivate\" }}"
    ))
    .parse()
    .unwrap();
    let base = "version = 1".parse().unwrap();
    let strike = policy.rules_of_fleet(FLEET.parse().unwrap()).strike;
    assert_eq!((strike.act, strike.faster_than_kbps), (SpikeAct::Deactivate, 1_200));
    insta::assert_snapshot!(policy.changes_since(&base).join("\n"), @r"
    strike.faster_than_kbps 340 → 1200: higher, so what is slower than that is no strike
    strike.device_mb 25 MB → 50 MB
    HF00000000000000000000000000000001: strike.act alert → deactivate: a SIM with such usage is deactivated
    ");
}

#[test]
fn signs_that_alone_cut_nothing_are_watched_or_told_and_never_more() {
    let default: Policy = super::super::DEFAULT.parse().unwrap();
    let rules = default.base();
    assert_eq!((rules.new_country, rules.new_network), (WatchAct::Watch, WatchAct::Watch));
    assert_eq!(rules.attach_storm, AttachStorm::DEFAULT);
    assert_eq!(rules.download_heavy, WatchAct::Watch);
    let of = |text: &str| refused(&format!("version = 1\n{text}"));
    insta::assert_snapshot!(of("[places]\nnew_country = 'deactivate'"), @"line 3: `new_country = 'deactivate'`: places.new_country: unknown variant `deactivate`, expected one of `off`, `watch`, `alert`");
    insta::assert_snapshot!(of("[download_heavy]\nact = 'deactivate'"), @"line 3: `act = 'deactivate'`: download_heavy.act: unknown variant `deactivate`, expected one of `off`, `watch`, `alert`");
    insta::assert_snapshot!(of("[attach_storm]\nminutes_max = 59"), @"line 3: `minutes_max = 59`: attach_storm.minutes_max: must be from 60 to 1,560 minutes, of 26 hours");
    insta::assert_snapshot!(of("[attach_storm]\nminutes_max = 1561"), @"line 3: `minutes_max = 1561`: attach_storm.minutes_max: must be from 60 to 1,560 minutes, of 26 hours");
    let bounds = "version = 1\n[attach_storm]\nminutes_max = 60\n[fleet.HF00000000000000000000000000000001]\nattach_storm = { minutes_max = 1560 }";
    assert!(bounds.parse::<Policy>().is_ok());
}
