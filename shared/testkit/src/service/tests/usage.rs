//! UsageRecords: queries, pages, refusals, and what a test can make go wrong with them.

use simfuse_domain::time::Hour;

use super::*;

/// The first hour of the day that the bench's clock shows.
const MIDNIGHT: &str = "2026-03-01T00:00:00Z";

fn hour(text: &str) -> Hour {
    Hour::of(text.parse().unwrap())
}

fn network(number: u8) -> NetworkSid {
    NetworkSid::from_bytes([number; 16])
}

fn usage(place: u8, down: u64) -> Usage {
    let country = ["US", "DE"][usize::from(place) - 1].parse().unwrap();
    Usage { network: network(place), country, up: 1, down, billed_micros: Some(30_000) }
}

impl Bench {
    async fn usage(&self, query: &str) -> (u16, Value) {
        self.get(&format!("/v1/UsageRecords?{query}")).await
    }

    /// The records of a query as (begin, who, total), and how many pages they came on.
    async fn records(&self, query: &str, who: &str) -> (Vec<(String, String, u64)>, usize) {
        let mut url = format!("{}/v1/UsageRecords?{query}", self.origin);
        let (mut records, mut pages) = (Vec::new(), 0);
        loop {
            let (status, body) = self.send(self.client.get(&url)).await;
            assert_eq!(status, 200, "{body}");
            pages += 1;
            for record in body["usage_records"].as_array().unwrap() {
                let begin = record["period"]["start_time"].as_str().unwrap().to_owned();
                let who = record[who].as_str().unwrap_or("-").to_owned();
                records.push((begin, who, record["data_total"].as_u64().unwrap()));
            }
            match body["meta"]["next_page_url"].as_str() {
                None => return (records, pages),
                Some(next) => next.clone_into(&mut url),
            }
        }
    }
}

/// A million SIMs, each of which uses as many bytes as its number in the hours that it divides.
struct Million;

const MILLION: usize = 1_000_000;

fn numbered(index: usize) -> SimSid {
    SimSid::from_bytes(u128::try_from(index).unwrap().to_be_bytes())
}

impl UsageSource for Million {
    fn fleets(&self) -> Vec<FleetSid> {
        vec![fleet(1)]
    }

    fn sims(&self, _fleet: FleetSid) -> usize {
        MILLION
    }

    fn sim(&self, _fleet: FleetSid, index: usize) -> Option<SimSid> {
        (index < MILLION).then(|| numbered(index))
    }

    fn usage(&self, own: FleetSid, sim: SimSid, at: Hour) -> Option<Usage> {
        let index = u64::try_from(u128::from_be_bytes(*sim.as_bytes())).ok()?;
        let is_on = own == fleet(1) && (at == hour(MIDNIGHT) || index % 1000 == 0);
        is_on.then(|| usage(1, index))
    }
}

#[tokio::test]
async fn a_record_is_shaped_as_the_description_has_it() {
    let bench = Bench::start().await;
    bench.service.record_usage(sim(1), fleet(1), hour(MIDNIGHT), usage(1, 99));
    let day = "StartTime=2026-03-01T00:00:00Z&EndTime=2026-03-02T00:00:00Z";
    let (status, body) = bench.usage(&format!("Group=sim&Granularity=day&{day}")).await;
    assert_eq!(status, 200);
    let expected = serde_json::json!({
        "account_sid": ACCOUNT,
        "sim_sid": sim(1),
        "network_sid": null,
        "fleet_sid": null,
        "iso_country": null,
        "period": {"start_time": MIDNIGHT, "end_time": "2026-03-02T00:00:00Z"},
        "data_upload": 1,
        "data_download": 99,
        "data_total": 100,
        "data_total_billed": 0.03,
        "billed_unit": "USD",
    });
    assert_eq!(body["usage_records"], serde_json::json!([expected]));
    assert_eq!(body["meta"]["key"], "usage_records");
    assert_eq!(body["meta"]["next_page_url"], Value::Null);
}

#[tokio::test]
async fn usage_is_filtered_and_grouped_newest_first() {
    let bench = Bench::start().await;
    let noon = "2026-03-01T12:00:00Z";
    bench.service.record_usage(sim(1), fleet(1), hour(MIDNIGHT), usage(1, 9));
    bench.service.record_usage(sim(1), fleet(1), hour(noon), usage(2, 19));
    bench.service.record_usage(sim(2), fleet(2), hour(noon), usage(1, 29));
    let day = "StartTime=2026-03-01T00:00:00Z&EndTime=2026-03-02T00:00:00Z";
    let hours = format!("Granularity=hour&{day}");
    let record =
        |begin: &str, who: &dyn ToString, total| (begin.to_owned(), who.to_string(), total);
    for (query, who, expected) in [
        (day.to_owned(), "sim_sid", vec![record(MIDNIGHT, &"-", 60)]),
        (hours.clone(), "sim_sid", vec![record(noon, &"-", 50), record(MIDNIGHT, &"-", 10)]),
        (
            format!("Group=sim&{hours}"),
            "sim_sid",
            vec![
                record(noon, &sim(1), 20),
                record(noon, &sim(2), 30),
                record(MIDNIGHT, &sim(1), 10),
            ],
        ),
        (
            format!("Group=fleet&{day}"),
            "fleet_sid",
            vec![record(MIDNIGHT, &fleet(1), 30), record(MIDNIGHT, &fleet(2), 30)],
        ),
        (
            format!("Group=network&{day}"),
            "network_sid",
            vec![record(MIDNIGHT, &network(1), 40), record(MIDNIGHT, &network(2), 20)],
        ),
        (
            format!("Group=isoCountry&{day}"),
            "iso_country",
            vec![record(MIDNIGHT, &"DE", 20), record(MIDNIGHT, &"US", 40)],
        ),
        (format!("Sim=river%20001&{day}"), "sim_sid", vec![record(MIDNIGHT, &sim(1), 30)]),
        (format!("Fleet=quarantine&{day}"), "fleet_sid", vec![record(MIDNIGHT, &fleet(2), 30)]),
        (format!("IsoCountry=DE&{day}"), "iso_country", vec![record(MIDNIGHT, &"DE", 20)]),
        (
            format!("Network={}&Group=sim&{day}", network(1)),
            "network_sid",
            vec![record(MIDNIGHT, &network(1), 10), record(MIDNIGHT, &network(1), 30)],
        ),
        (format!("Fleet=nowhere&{day}"), "sim_sid", vec![]),
        (format!("Sim=nobody&{day}"), "sim_sid", vec![]),
        ("StartTime=2026-03-01T01:00:00Z&EndTime=2026-03-01T12:00:00Z".to_owned(), "-", vec![]),
        (String::new(), "-", vec![record("2026-02-01T14:00:00Z", &"-", 60)]),
    ] {
        assert_eq!(bench.records(&query, who).await, (expected, 1), "{query}");
    }
}

#[tokio::test]
async fn past_hours_grow_when_more_is_recorded() {
    let bench = Bench::start().await;
    let unbilled = Usage { billed_micros: None, ..usage(1, 9) };
    for (usage, total, billed) in [
        (usage(1, 99), 100, serde_json::json!(0.03)),
        (usage(1, 99), 200, serde_json::json!(0.06)),
        (unbilled, 210, Value::Null),
    ] {
        bench.service.record_usage(sim(1), fleet(1), hour(MIDNIGHT), usage);
        let (_, body) = bench.usage("Group=sim").await;
        let record = &body["usage_records"][0];
        assert_eq!((&record["data_total"], &record["data_total_billed"]), (&total.into(), &billed));
        assert_eq!(record["billed_unit"].is_null(), billed.is_null());
    }
}

#[tokio::test]
async fn pages_of_usage_go_on_where_the_one_before_ended() {
    let bench = Bench::start().await;
    for number in 1..=7 {
        for begin in [MIDNIGHT, "2026-03-01T01:00:00Z"] {
            bench.service.record_usage(sim(number), fleet(1), hour(begin), usage(1, 99));
        }
    }
    let day = "StartTime=2026-03-01T00:00:00Z&EndTime=2026-03-02T00:00:00Z";
    let query = format!("Group=sim&Granularity=hour&{day}");
    let (all, pages) = bench.records(&query, "sim_sid").await;
    assert_eq!((all.len(), pages), (14, 1));
    for (size, expected) in [(1, 14), (3, 5), (7, 2), (14, 1), (249, 1)] {
        let paged = bench.records(&format!("{query}&PageSize={size}"), "sim_sid").await;
        assert_eq!(paged, (all.clone(), expected), "{size} on a page");
    }
    let (_, third) = bench.usage(&format!("{query}&PageSize=3&Page=2")).await;
    assert_eq!(third["usage_records"][0]["sim_sid"], all[6].1);
    let (_, none) = bench.usage(&format!("{query}&PageSize=3&Page=9")).await;
    assert_eq!(none["usage_records"], serde_json::json!([]));
    for wrong in ["PageSize=250", "PageSize=0", "PageToken=x", "PageToken=PA1"] {
        assert_eq!(bench.usage(&format!("{query}&{wrong}")).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_page_of_a_million_sims_looks_at_as_many_as_it_shows() {
    let bench = Bench::start().await;
    bench.service.set_usage_source(Arc::new(Million));
    bench.service.record_usage(numbered(7), fleet(1), hour(MIDNIGHT), usage(1, 1000));
    let day = "StartTime=2026-03-01T00:00:00Z&EndTime=2026-03-02T00:00:00Z";
    let query = format!("Fleet=river&Group=sim&Granularity=hour&PageSize=249&{day}");
    let far = format!("{query}&PageToken=PA23.600000");
    for (page, expected) in [(far, 600_000 - 1), (format!("{query}&PageToken=PA23.0"), 7)] {
        let (_, body) = bench.usage(&page).await;
        let records = body["usage_records"].as_array().unwrap();
        assert_eq!(records.len(), 249);
        assert_eq!(records[0]["sim_sid"], numbered(expected).to_string());
        // The recorded one comes first and has both, then all others, each once.
        let sids: std::collections::BTreeSet<_> =
            records.iter().map(|record| record["sim_sid"].as_str().unwrap()).collect();
        assert_eq!(sids.len(), 249);
        if expected == 7 {
            assert_eq!(records[0]["data_total"], 1 + 1000 + 1 + 7);
        }
    }
    // In other hours one of a thousand has usage: the page is cut short, and the list goes on.
    let (_, body) = bench.usage(&format!("{query}&PageToken=PA5.0")).await;
    assert_eq!(body["usage_records"].as_array().unwrap().len(), 249);
    let next = body["meta"]["next_page_url"].as_str().unwrap();
    assert!(next.ends_with("&Page=1&PageToken=PA5.249001"), "{next}");
    let (_, one) = bench.usage(&format!("Sim={}&Granularity=day&{day}", numbered(1000))).await;
    assert_eq!(one["usage_records"][0]["data_total"], 24 * 1001);
}

#[tokio::test]
async fn queries_are_refused_as_documented() {
    let bench = Bench::start().await;
    let span = |start: &str, end: &str| format!("StartTime={start}&EndTime={end}");
    let hour_31 = span("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    let hour_more = span("2026-01-01T00:00:00Z", "2026-02-01T01:00:00Z");
    let day_3_months = span("2025-12-01T00:00:00Z", "2026-03-01T00:00:00Z");
    let day_more = span("2025-11-30T00:00:00Z", "2026-03-01T00:00:00Z");
    let all_18_months = span("2024-09-01T00:00:00Z", "2026-03-01T00:00:00Z");
    let all_more = span("2024-09-01T00:00:00Z", "2026-03-01T00:00:01Z");
    let long_ago = span("2024-08-31T23:00:00Z", "2025-01-01T00:00:00Z");
    let half_past = span("2026-02-01T00:30:00Z", "2026-02-02T00:00:00Z");
    let one_oclock = span("2026-02-01T01:00:00Z", "2026-02-02T00:00:00Z");
    let nothing = span("2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z");
    for (query, code) in [
        (format!("Granularity=hour&{hour_31}"), None),
        (format!("Granularity=hour&{hour_more}"), Some(83604)),
        (format!("Granularity=day&{day_3_months}"), None),
        (format!("Granularity=day&{day_more}"), Some(83604)),
        (format!("Granularity=all&{all_18_months}"), None),
        (format!("Granularity=all&{all_more}"), Some(83604)),
        (format!("Granularity=all&{long_ago}"), Some(83605)),
        (format!("Group=sim&{hour_31}"), None),
        (format!("Group=sim&{hour_more}"), Some(83603)),
        (format!("Group=sim&Granularity=day&{day_3_months}"), Some(83603)),
        (format!("Granularity=hour&{half_past}"), Some(83602)),
        (format!("Granularity=day&{one_oclock}"), Some(83601)),
        (half_past, None),
        (nothing, Some(83600)),
        ("Granularity=week".to_owned(), Some(83600)),
        ("Group=device".to_owned(), Some(83600)),
        ("StartTime=yesterday".to_owned(), Some(83600)),
        ("Network=HW1".to_owned(), Some(83600)),
        ("IsoCountry=USA".to_owned(), Some(83600)),
        ("Granularity=hour".to_owned(), None),
        ("Granularity=day&Group=sim".to_owned(), None),
    ] {
        let (status, body) = bench.usage(&query).await;
        let expected = if code.is_some() { 400 } else { 200 };
        assert_eq!((status, body["code"].as_u64()), (expected, code), "{query}: {body}");
    }
}

#[tokio::test]
async fn a_page_is_spoilt_as_often_as_a_rule_says() {
    let bench = Bench::start().await;
    for number in 1..=3 {
        bench.service.record_usage(sim(number), fleet(1), hour(MIDNIGHT), usage(1, 99));
    }
    let query = "Group=sim&PageSize=2";
    let (all, _) = bench.records(query, "sim_sid").await;
    let spoil =
        |fault| bench.service.inject(FaultRule::once(Fault::Page(fault)).on(Requests::Usage));

    spoil(PageFault::Empty);
    assert_eq!(bench.get("/v1/Fleets").await.1["fleets"].as_array().unwrap().len(), 2, "spared");
    assert_eq!(bench.records(query, "sim_sid").await, (all.clone(), 3), "one page was empty");

    spoil(PageFault::Repeated);
    let (repeated, pages) = bench.records(query, "sim_sid").await;
    assert_eq!((repeated.len(), pages), (5, 3));
    assert_eq!(repeated[..2], repeated[2..4]);

    spoil(PageFault::Nulls);
    let (_, body) = bench.usage(query).await;
    let properties = body["usage_records"][0].as_object().unwrap();
    assert!(properties.len() == 11 && properties.values().all(Value::is_null), "{body}");

    spoil(PageFault::BilledAsText);
    assert_eq!(bench.usage(query).await.1["usage_records"][0]["data_total_billed"], "0.03");

    spoil(PageFault::ForeignNext);
    let (_, body) = bench.usage(query).await;
    assert!(!body["meta"]["next_page_url"].as_str().unwrap().starts_with(&bench.origin));

    bench.service.inject(FaultRule::once(Fault::Refusal(83603)).on(Requests::Usage));
    let (status, body) = bench.usage(query).await;
    assert_eq!((status, &body["code"]), (400, &83603.into()));
    assert_eq!(bench.records(query, "sim_sid").await, (all, 2), "all used up");
}
