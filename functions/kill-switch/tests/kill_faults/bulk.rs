//! Ten thousand SIMs by one request, in virtual time: a provider that takes 80 ms for each call and
//! throttles, invocations that end, one that dies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::policy::{Mode, Policy};
use simfuse_domain::port::{
    Cases as _, Fleet, Fleets, Page, PageLink, ProviderError, Sim, SimName, SimStatus, SuperSim,
    TargetStatus,
};
use simfuse_kill_switch::engine::KillSwitch;
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::memory::{MemoryAlerts, MemoryTable};
use tokio::time::Instant;

use crate::bench::{at, fleet};

const SIMS: u32 = 10_000;

/// As the template has it.
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// For one call.
const LATENCY: Duration = Duration::from_millis(80);

/// One in so many calls is refused with 429.
const THROTTLED_EVERY: u32 = 900;

/// What one payload may hold.
const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The provider in memory.
#[derive(Clone, Default)]
struct Cloud(Arc<Mutex<Account>>);

#[derive(Default)]
struct Account {
    sims: BTreeMap<SimSid, Sim>,
    calls: u32,
    refused: u32,
    /// Requests for another status that were taken.
    taken: BTreeMap<SimSid, u32>,
    /// When it will be asked again at the earliest.
    closed_until: Option<Instant>,
    asked_while_closed: u32,
    /// One in so many calls is refused.
    throttled_every: u32,
    /// Seconds in `Retry-After`, where there is one.
    retry_after: u64,
}

impl Cloud {
    fn with(sims: u32) -> Self {
        let cloud = Self::default();
        let all = (0..sims).map(|number| Sim {
            sid: sid(number),
            iccid: None,
            unique_name: Some(format!("sensor-{number:05}")),
            status: SimStatus::Active,
            fleet: Some(fleet()),
        });
        let mut account = cloud.0.lock().unwrap();
        account.sims = all.map(|sim| (sim.sid, sim)).collect();
        (account.throttled_every, account.retry_after) = (THROTTLED_EVERY, 3);
        drop(account);
        cloud
    }

    /// One call arrives: it is refused, or it takes effect at once and is answered later.
    async fn call<R>(&self, effect: impl FnOnce(&mut Account) -> R) -> Result<R, ProviderError> {
        let answer = {
            let mut account = self.0.lock().unwrap();
            account.calls += 1;
            let now = Instant::now();
            if account.closed_until.is_some_and(|until| now < until) {
                account.asked_while_closed += 1;
            }
            if account.calls.is_multiple_of(account.throttled_every) {
                account.refused += 1;
                let says = account.refused.is_multiple_of(2);
                let retry_after = says.then_some(Duration::from_secs(account.retry_after));
                // Those under way and not answered yet cannot know.
                account.closed_until = retry_after.map(|wait| now + wait);
                Err(ProviderError::Throttled { retry_after })
            } else {
                Ok(effect(&mut account))
            }
        };
        tokio::time::sleep(LATENCY).await;
        answer
    }
}

impl SuperSim for Cloud {
    async fn fetch(&self, name: &SimName) -> Result<Sim, ProviderError> {
        let named = |account: &mut Account| match name {
            SimName::Sid(sid) => account.sims.get(sid).cloned(),
            _ => None,
        };
        self.call(named).await?.ok_or(ProviderError::NotFound)
    }

    async fn set_status(&self, sim: SimSid, status: TargetStatus) -> Result<Sim, ProviderError> {
        let set = |account: &mut Account| {
            *account.taken.entry(sim).or_default() += 1;
            let sim = account.sims.get_mut(&sim).unwrap();
            sim.status = status.status();
            sim.clone()
        };
        self.call(set).await
    }

    async fn set_fleet(&self, _sim: SimSid, _fleet: FleetSid) -> Result<Sim, ProviderError> {
        Err(ProviderError::NotFound)
    }
}

impl Fleets for Cloud {
    async fn fetch_fleet(&self, _name: &str) -> Result<Fleet, ProviderError> {
        let (sid, unique_name) = (fleet(), Some("river".to_owned()));
        Ok(Fleet { sid, unique_name, data_enabled: None, data_limit_mb: None })
    }

    async fn set_data_limit(&self, _: FleetSid, _: u32) -> Result<Fleet, ProviderError> {
        self.fetch_fleet("river").await
    }

    async fn list_fleets(&self, _page: Option<&PageLink>) -> Result<Page<Fleet>, ProviderError> {
        Ok(Page { items: vec![self.fetch_fleet("river").await?], unreadable: 0, next: None })
    }

    /// Pages of 1,000, linked by the number of those before.
    async fn list_sims(
        &self,
        _fleet: FleetSid,
        page: Option<&PageLink>,
    ) -> Result<Page<Sim>, ProviderError> {
        let from: usize = page.map_or(0, |PageLink(from)| from.parse().unwrap());
        let list = |account: &mut Account| account.sims.values().cloned().collect::<Vec<_>>();
        let sims = self.call(list).await?;
        let items: Vec<Sim> = sims.iter().skip(from).take(1_000).cloned().collect();
        let next = (from + 1_000 < sims.len()).then(|| PageLink((from + 1_000).to_string()));
        Ok(Page { items, unreadable: 0, next })
    }
}

fn sid(number: u32) -> SimSid {
    let mut bytes = [7; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    SimSid::from_bytes(bytes)
}

struct Big {
    cloud: Cloud,
    table: MemoryTable,
    alerts: MemoryAlerts,
    switch: KillSwitch<MemoryTable, Cloud, MemoryAlerts, ManualClock>,
}

impl Big {
    async fn new(policy: &str) -> Self {
        let (cloud, table, alerts) = (Cloud::with(SIMS), MemoryTable::new(), MemoryAlerts::new());
        table.apply_policy(&policy.parse::<Policy>().unwrap()).await.unwrap();
        let clock = ManualClock::new(at(0));
        let ports = (table.clone(), cloud.clone(), alerts.clone());
        let switch = KillSwitch::new(ports.0, ports.1, ports.2, clock, Mode::Observe);
        Self { cloud, table, alerts, switch }
    }

    fn throttle(&self, every: u32, retry_after: u64) {
        let mut account = self.cloud.0.lock().unwrap();
        (account.throttled_every, account.retry_after) = (every, retry_after);
    }

    /// One invocation; it ends in time and its answer can be carried.
    async fn invoke(&self, request: &Value) -> Value {
        let begun = Instant::now();
        let answer = self.switch.handle_within(request.clone(), TIME_LIMIT).await.unwrap();
        assert!(begun.elapsed() < TIME_LIMIT, "{:?}", begun.elapsed());
        assert!(answer.to_string().len() < PAYLOAD_BYTES_MAX);
        answer
    }

    /// Goes on until nothing is left; says how many invocations that took, and all outcomes.
    async fn to_the_end(&self, mut request: Value) -> (u32, BTreeMap<String, u32>) {
        let mut outcomes = BTreeMap::new();
        for invocation in 1..20 {
            let answer = self.invoke(&request).await;
            assert_eq!(answer["error"], Value::Null);
            for sim in answer["sims"].as_array().unwrap() {
                *outcomes.entry(sim["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            match answer.get("next") {
                None => return (invocation, outcomes),
                Some(next) => request["next"] = next.clone(),
            }
            if let Some(secs) = answer["wait_secs"].as_u64() {
                tokio::time::sleep(Duration::from_secs(secs)).await;
            }
        }
        panic!("no end");
    }

    /// Each SIM was switched off by one request that was taken, but for these.
    fn check(&self, but_for: &[SimSid]) {
        let account = self.cloud.0.lock().unwrap();
        for sim in account.sims.values() {
            let expected = u32::from(!but_for.contains(&sim.sid));
            assert_eq!(account.taken.get(&sim.sid).copied().unwrap_or(0), expected, "{}", sim.sid);
            assert_eq!(sim.status == SimStatus::Inactive, expected == 1);
        }
        assert!(account.refused > 20, "{}", account.refused);
        // Of eight that ask at the same time, seven may be under way when the eighth is refused.
        let allowed = account.refused * 8;
        assert!(account.asked_while_closed <= allowed, "{}", account.asked_while_closed);
    }
}

fn request(confirm: &str) -> Value {
    let sims: Vec<String> = (0..SIMS).map(|number| sid(number).to_string()).collect();
    json!({ "action": "deactivate", "sims": sims, "confirm": confirm, "requested_by": "ops" })
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_sims_are_switched_off_over_several_invocations_and_a_death() {
    let (kept, other) = (sid(17), sid(9_000));
    let guards = format!("[guards]\nprotected = [\"{kept}\", \"{other}\"]\n");
    let big = Big::new(&format!("version = 1\n{guards}")).await;
    let begun = Instant::now();

    let answer = big.invoke(&request("")).await;
    assert_eq!((&answer["sims"], &answer["sims_all"]), (&json!([]), &json!(SIMS)));
    assert_eq!(big.cloud.0.lock().unwrap().calls, 0);
    let confirmed = request(answer["digest"].as_str().unwrap());

    let first = big.invoke(&confirmed).await;
    assert!(first["next"].is_string() && first["all"].is_null());
    let mut second = confirmed.clone();
    second["next"] = first["next"].clone();
    let life = Duration::from_secs(40);
    let dead = tokio::time::timeout(life, big.switch.handle_within(second, TIME_LIMIT)).await;
    assert!(dead.is_err(), "it died in the middle");
    let known_done = first["sims"].as_array().unwrap().len();
    let really_done = big.cloud.0.lock().unwrap().taken.len();
    assert!(known_done > 2_000 && really_done > known_done + 500, "{known_done} {really_done}");

    // Nobody knows how far it came, so the whole is asked for again.
    let (invocations, outcomes) = big.to_the_end(confirmed.clone()).await;
    big.check(&[kept, other]);
    let already = u32::try_from(really_done).unwrap();
    let expected = [("already", already), ("done", SIMS - already - 2), ("refused", 2)];
    assert_eq!(outcomes, expected.map(|(outcome, sims)| (outcome.to_owned(), sims)).into());
    let alerts = big.alerts.published();
    assert!(alerts.iter().all(|alert| alert.id == alerts[0].id), "one alert for all");
    assert_eq!(alerts[0].subject, "SimFuse: 10000 SIMs are to be deactivated");
    let incident = big.table.read_case(sid(5)).await.unwrap().incident.unwrap().0;
    assert!(incident.told && incident.human.is_some());
    println!("{} invocations, {:?} of virtual time", invocations + 2, begun.elapsed());

    let (_, outcomes) = big.to_the_end(confirmed).await;
    assert_eq!(outcomes["already"], SIMS - 2, "repeating the whole is harmless: {outcomes:?}");
    big.check(&[kept, other]);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_is_switched_off_by_the_list_that_its_selection_gives() {
    let big = Big::new("version = 1\n").await;
    let selection = json!({ "action": "deactivate", "select": { "fleet": "river" } });
    let refused = big.invoke(&selection).await;
    let mut confirmed = selection;
    confirmed["confirm"] = refused["digest"].clone();
    let answer = big.invoke(&confirmed).await;
    let all = answer["all"].as_array().unwrap();
    assert_eq!(all.len(), 10_000);
    // Another SIM came into the fleet meanwhile: it is not what was confirmed.
    let old = big.cloud.0.lock().unwrap().sims[&sid(0)].clone();
    let new = Sim { sid: sid(SIMS), status: SimStatus::Active, ..old };
    big.cloud.0.lock().unwrap().sims.insert(new.sid, new.clone());
    confirmed["next"] = answer["next"].clone();
    let changed = big.invoke(&confirmed).await;
    assert!(changed["error"].as_str().unwrap().contains("confirms something else"), "{changed}");
    assert_eq!(changed["sims"], json!([]));
    // The list is.
    let mut by_list = request(refused["digest"].as_str().unwrap());
    by_list["sims"] = answer["all"].clone();
    by_list["next"] = answer["next"].clone();
    big.to_the_end(by_list).await;
    big.check(&[new.sid]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_wants_to_be_left_alone_for_longer_is_left_alone() {
    // Whether the request that is refused looks for a SIM or switches it off.
    for throttled_every in [900, 904, 908, 911] {
        left_alone(throttled_every).await;
    }
}

async fn left_alone(throttled_every: u32) {
    let big = Big::new("version = 1\n").await;
    big.throttle(throttled_every, 400);
    let confirmed = request(big.invoke(&request("")).await["digest"].as_str().unwrap());
    let begun = Instant::now();
    let answer = big.invoke(&confirmed).await;
    assert!(begun.elapsed() < Duration::from_secs(60), "it does not wait for what it cannot await");
    let told = answer["sims"].as_array().unwrap();
    assert!(told.len() > 500 && told.iter().all(|sim| sim["outcome"] == "done"));
    assert!(answer["next"].is_string());
    let wait_secs = answer["wait_secs"].as_u64().unwrap();
    assert!((390..=401).contains(&wait_secs), "{wait_secs}");
    // Whoever asks before gets no further, and disturbs nobody.
    let calls = big.cloud.0.lock().unwrap().calls;
    let mut go_on = confirmed;
    go_on["next"] = answer["next"].clone();
    let again = big.invoke(&go_on).await;
    assert_eq!((&again["sims"], &again["next"]), (&json!([]), &answer["next"]));
    assert_eq!(big.cloud.0.lock().unwrap().calls, calls);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_ends_in_time_although_nothing_disturbs_it() {
    let big = Big::new("version = 1\n").await;
    big.throttle(u32::MAX, 0);
    let confirmed = request(big.invoke(&request("")).await["digest"].as_str().unwrap());
    let begun = Instant::now();
    let answer = big.invoke(&confirmed).await;
    assert!((155..165).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let told = answer["sims"].as_array().unwrap().len();
    assert!((7_900..8_100).contains(&told), "8 at a time, 160 ms each: {told}");
    assert_eq!((&answer["wait_secs"], answer["next"].is_string()), (&Value::Null, true));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_grows_too_long_goes_on_in_the_next() {
    let big = Big::new("version = 1\n").await;
    let mut request = request("");
    request["action"] = json!("status");
    let answer = big.invoke(&request).await;
    let told = answer["sims"].as_array().unwrap().len();
    assert!((1_000..10_000).contains(&told) && answer["next"].is_string(), "{told}");
    let (invocations, outcomes) = big.to_the_end(request).await;
    assert_eq!((invocations, outcomes["done"]), (2, SIMS));
}
