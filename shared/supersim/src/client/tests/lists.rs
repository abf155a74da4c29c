//! What is read from lists, and which pages are followed.

use jiff::Timestamp;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::FleetSid;
use simfuse_domain::money::Money;
use simfuse_domain::network::Plmn;
use simfuse_domain::port::{
    BillingPeriod, Fleet, Fleets, Granularity, Inventory, Page, PageLink, UsageGroup, UsageQuery,
    UsageRecord, UsageRecords,
};
use simfuse_domain::time::Hour;

use super::*;

const FLEET: &str = "HF00000000000000000000000000000001";
const NETWORK: &str = "HW00000000000000000000000000000001";

pub(super) fn fleet_sid() -> FleetSid {
    FLEET.parse().unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn query() -> UsageQuery {
    UsageQuery {
        sim: None,
        fleet: Some(fleet_sid()),
        network: None,
        country: None,
        group: Some(UsageGroup::Sim),
        granularity: Granularity::Hour,
        hours: Hour::of(time("2026-03-01T00:00:00Z"))..Hour::of(time("2026-03-02T00:00:00Z")),
    }
}

pub(super) fn page_json(key: &str, items: &Value, next: &Value) -> Value {
    let meta = json!({"key": key, "page": 0, "page_size": 50, "next_page_url": next});
    json!({key: items, "meta": meta})
}

fn record_json(start: &str, end: &str) -> Value {
    json!({
        "account_sid": null, "sim_sid": SID, "fleet_sid": null, "network_sid": null,
        "iso_country": null, "period": {"start_time": start, "end_time": end},
        "data_upload": 10, "data_download": 90, "data_total": 100,
        "data_total_billed": "0.54", "billed_unit": "USD",
    })
}

async fn usage_page(items: Value) -> Result<Page<UsageRecord>, ProviderError> {
    let body = page_json("usage_records", &items, &json!(null));
    let template = ResponseTemplate::new(200).set_body_json(body);
    let (_server, client) = answering(Provider::Twilio, template).await;
    client.usage_page(&query(), None).await
}

/// The one record of a page with this change made to it.
async fn usage_with(field: &str, value: Value) -> Option<UsageRecord> {
    let mut record = record_json("2026-03-01T14:00:00Z", "2026-03-01T15:00:00Z");
    record[field] = value;
    let page = usage_page(json!([record])).await.unwrap();
    assert_eq!(page.items.len() + page.unreadable, 1);
    page.items.into_iter().next()
}

#[tokio::test]
async fn a_list_goes_on_over_an_empty_page_until_there_is_no_next() {
    for provider in [Provider::Twilio, Provider::Kore] {
        let server = MockServer::start().await;
        let authorization = match provider {
            Provider::Twilio => "Basic QUMxOnQ=",
            Provider::Kore => {
                token_endpoint(&server, json!(3600), 1).await;
                "Bearer token-1"
            }
        };
        let record = record_json("2026-03-01T14:00:00Z", "2026-03-01T15:00:00Z");
        let link = |page: u8| json!(format!("{}/v1/UsageRecords?Page={page}", server.uri()));
        for (page, items, next) in [
            (1_u8, json!([]), link(2)),
            (2, json!([record, record]), json!(null)),
            (0, json!([record]), link(1)),
        ] {
            let body = page_json("usage_records", &items, &next);
            let mock = Mock::given(method("GET")).and(path("/v1/UsageRecords"));
            let mock = mock.and(header("authorization", authorization));
            let mock = match page {
                0 => mock.and(query_param("PageSize", "249")).and(query_param("Group", "sim")),
                _ => mock.and(query_param("Page", page.to_string())),
            };
            mock.respond_with(ResponseTemplate::new(200).set_body_json(body))
                .expect(1)
                .mount(&server)
                .await;
        }
        let client = client(provider, &server);
        let (mut link, mut counts) = (None, Vec::new());
        loop {
            let page = client.usage_page(&query(), link.as_ref()).await.unwrap();
            counts.push(page.items.len());
            link = page.next;
            if link.is_none() {
                break;
            }
        }
        assert_eq!(counts, [1, 0, 2]);
    }
}

#[tokio::test]
async fn a_fleets_sims_are_asked_for_by_fleet_and_no_strangers_are_taken() {
    let sim = |fleet: Value| json!({"sid": SID, "status": "active", "fleet_sid": fleet});
    let nameless = json!({"sid": null, "status": "active", "fleet_sid": FLEET});
    for (items, expected) in [
        (json!([sim(json!(FLEET))]), Ok(1)),
        (json!([]), Ok(0)),
        (
            json!([sim(json!(FLEET)), sim(json!("HF00000000000000000000000000000002"))]),
            Err("fleet"),
        ),
        (json!([sim(json!(null))]), Err("fleet")),
        (json!([sim(json!(FLEET)), nameless]), Err("cannot be read")),
    ] {
        let server = MockServer::start().await;
        let body = page_json("sims", &items, &json!(null));
        Mock::given(method("GET"))
            .and(path("/v1/Sims"))
            .and(query_param("Fleet", FLEET))
            .and(query_param("PageSize", "1000"))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .expect(1)
            .mount(&server)
            .await;
        let page = client(Provider::Twilio, &server).list_sims(fleet_sid(), None).await;
        match (page, expected) {
            (Ok(page), expected) => assert_eq!(Ok(page.items.len()), expected),
            (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{error}"),
            (Err(error), Ok(_)) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_page_elsewhere_is_refused_and_no_request_is_sent() {
    let server = MockServer::start().await;
    let here = server.uri();
    let port = server.address().port();
    let foreign = [
        ("https://supersim.example/v1/Sims?Page=1".to_owned(), "scheme"),
        (format!("http://localhost:{port}/v1/Sims"), "host"),
        (format!("http://127.0.0.1:{}/v1/Sims", port ^ 1), "port"),
        (format!("{here}/token"), "path"),
        (format!("{here}/v1/../token"), "path"),
        (format!("http://u:p@127.0.0.1:{port}/v1/Sims"), "user"),
        ("/v1/Sims?Page=1".to_owned(), "URL"),
    ];
    let client = client(Provider::Twilio, &server);
    for (link, fault) in &foreign {
        let page = PageLink(link.clone());
        for error in [
            client.sims_page(Some(&page)).await.unwrap_err(),
            client.fleets_page(Some(&page)).await.unwrap_err(),
            client.networks_page(Some(&page)).await.unwrap_err(),
            client.usage_page(&query(), Some(&page)).await.unwrap_err(),
        ] {
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains(fault), "{link}: {source}");
        }
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0);

    for (link, fault) in foreign {
        let body = page_json("sims", &json!([sim_json("active")]), &json!(link));
        let template = ResponseTemplate::new(200).set_body_json(body);
        let (server, client) = answering(Provider::Twilio, template).await;
        // The port is another server's now, so some of the links are foreign in another way.
        let error = client.sims_page(None).await.unwrap_err();
        assert!(std::error::Error::source(&error).is_some(), "{link} {fault}");
        assert_eq!(server.received_requests().await.unwrap().len(), 1, "tried once");
    }
}

#[tokio::test]
async fn one_record_that_cannot_be_read_costs_nothing_but_itself() {
    let good = record_json("2026-03-01T14:00:00Z", "2026-03-01T15:00:00Z");
    let mut negative = good.clone();
    negative["data_total"] = json!(-1);
    let mut of_nobody = good.clone();
    of_nobody["sim_sid"] = json!("HS1");
    let turned_round = record_json("2026-03-01T15:00:00Z", "2026-03-01T14:00:00Z");
    let untimely = record_json("yesterday", "2026-03-01T14:00:00Z");
    let no_period = json!({"sim_sid": SID, "data_total": 100});
    let all = [good, negative, of_nobody, turned_round, untimely, no_period, json!(null), json!(7)];
    let page = usage_page(json!(all)).await.unwrap();
    assert_eq!((page.items.len(), page.unreadable), (1, 7));
    let sims = page_json("sims", &json!([{"sid": null}, sim_json("ready"), []]), &json!(null));
    let (_server, client) =
        answering(Provider::Twilio, ResponseTemplate::new(200).set_body_json(sims)).await;
    let page = client.sims_page(None).await.unwrap();
    assert_eq!((page.items[0].status, page.unreadable), (SimStatus::Ready, 2));
}

#[tokio::test]
async fn a_page_without_its_list_is_no_empty_page() {
    for body in [
        json!({"meta": {"next_page_url": null}}),
        json!({"usage_records": null, "meta": {"next_page_url": null}}),
        json!({"usage_records": {}, "meta": {"next_page_url": null}}),
        json!({"usage_records": []}),
        json!({"usage_records": [], "meta": null}),
        json!({"usage_records": [], "meta": {"next_page_url": 7}}),
        json!([]),
    ] {
        let template = ResponseTemplate::new(200).set_body_json(&body);
        let (server, client) = answering(Provider::Twilio, template).await;
        let error = client.usage_page(&query(), None).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unavailable { .. }), "{body}: {error:?}");
        assert_eq!(server.received_requests().await.unwrap().len(), 1, "tried once");
    }
}

#[tokio::test]
async fn what_is_null_is_unknown() {
    let period = json!({"start_time": "2024-09-25T19:00:00.5842087+00:00",
                        "end_time": "2024-09-25T20:00:00.000Z"});
    let nulls = json!({
        "account_sid": null, "sim_sid": null, "fleet_sid": null, "network_sid": null,
        "iso_country": null, "period": period, "data_upload": null, "data_download": null,
        "data_total": null, "data_total_billed": null, "billed_unit": null,
    });
    let expected = UsageRecord {
        sim: None,
        fleet: None,
        network: None,
        country: None,
        from: time("2024-09-25T19:00:00.5842087Z"),
        to: time("2024-09-25T20:00:00Z"),
        up: None,
        down: None,
        total: None,
        billed: None,
    };
    let page = usage_page(json!([nulls, {"period": period}])).await.unwrap();
    assert_eq!((page.items, page.unreadable), (vec![expected.clone(), expected], 0));
}

#[tokio::test]
async fn reads_all_of_a_usage_record() {
    let mut record = record_json("2026-03-01T14:00:00Z", "2026-03-01T15:00:00Z");
    record["fleet_sid"] = json!(FLEET);
    record["network_sid"] = json!(NETWORK);
    record["iso_country"] = json!("US");
    record["data_upload"] = json!(i64::MAX);
    let page = usage_page(json!([record])).await.unwrap();
    let expected = UsageRecord {
        sim: SID.parse().ok(),
        fleet: FLEET.parse().ok(),
        network: NETWORK.parse().ok(),
        country: "US".parse().ok(),
        from: time("2026-03-01T14:00:00Z"),
        to: time("2026-03-01T15:00:00Z"),
        up: Some(Bytes(i64::MAX.unsigned_abs())),
        down: Some(Bytes(90)),
        total: Some(Bytes(100)),
        billed: Some(Money { micros: 540_000, currency: "USD".parse().unwrap() }),
    };
    assert_eq!(page.items, [expected]);
}

#[tokio::test]
async fn a_total_that_is_absent_is_the_sum_where_there_is_one() {
    let record = usage_with("data_total", json!(null)).await.unwrap();
    assert_eq!(record.total, Some(Bytes(100)));
    let mut record = record_json("2026-03-01T14:00:00Z", "2026-03-01T15:00:00Z");
    record["data_total"] = json!(null);
    record["data_upload"] = json!(null);
    let page = usage_page(json!([record])).await.unwrap();
    assert_eq!((page.items[0].total, page.items[0].down), (None, Some(Bytes(90))));
}

#[tokio::test]
async fn an_amount_that_cannot_be_read_leaves_the_bytes_counted() {
    for (billed, expected) in [
        (json!("0.03"), Some(30_000)),
        (json!(0.03), Some(30_000)),
        (json!(2), Some(2_000_000)),
        (json!("0"), Some(0)),
        (json!(null), None),
        (json!("garbage"), None),
        (json!({"amount": 1}), None),
    ] {
        let record = usage_with("data_total_billed", billed.clone()).await.unwrap();
        assert_eq!(record.billed.map(|billed| billed.micros), expected, "{billed}");
        assert_eq!(record.total, Some(Bytes(100)));
    }
    for unit in [json!(null), json!(""), json!(1)] {
        assert_eq!(usage_with("billed_unit", unit).await.unwrap().billed, None);
    }
}

#[tokio::test]
async fn reads_fleets_and_networks_and_leaves_open_what_is_not_said() {
    let nulls =
        json!({"sid": FLEET, "unique_name": null, "data_enabled": null, "data_limit": null});
    let zero = json!({"sid": FLEET, "unique_name": "", "data_limit": 0});
    let full =
        json!({"sid": FLEET, "unique_name": "river", "data_enabled": false, "data_limit": 5000});
    let body = page_json("fleets", &json!([nulls, zero, full, {"sid": SID}]), &json!(null));
    let (_server, client) =
        answering(Provider::Twilio, ResponseTemplate::new(200).set_body_json(body)).await;
    let page = client.fleets_page(None).await.unwrap();
    let unknown =
        Fleet { sid: fleet_sid(), unique_name: None, data_enabled: None, data_limit_mb: None };
    let full = Fleet {
        sid: fleet_sid(),
        unique_name: Some("river".to_owned()),
        data_enabled: Some(false),
        data_limit_mb: Some(5000),
    };
    assert_eq!((page.items, page.unreadable), (vec![unknown.clone(), unknown, full], 1));

    let identifiers =
        json!([{"mcc": "310", "mnc": "26"}, {"mcc": "310"}, null, {"mcc": 310, "mnc": "1"}]);
    let full = json!({"sid": NETWORK, "friendly_name": "T", "iso_country": "US",
                      "identifiers": identifiers});
    let nulls = json!({"sid": NETWORK, "friendly_name": null, "identifiers": null});
    let body = page_json("networks", &json!([full, nulls]), &json!(null));
    let (_server, client) =
        answering(Provider::Twilio, ResponseTemplate::new(200).set_body_json(body)).await;
    let page = client.networks_page(None).await.unwrap();
    assert_eq!(page.items[0].plmns, [Plmn::new("310", "26").unwrap()]);
    assert_eq!(page.items[0].country, "US".parse().ok());
    assert_eq!((page.items[1].plmns.len(), page.items[1].country), (0, None));
}

#[tokio::test]
async fn the_billing_period_is_the_latest_one() {
    let period = |start: &str, end: &str| json!({"sid": null, "sim_sid": SID, "start_time": start, "end_time": end});
    let february = period("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
    let march = period("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z");
    let stranger = json!({"sim_sid": "HS00000000000000000000000000000002",
                          "start_time": "2026-05-01T00:00:00Z", "end_time": "2026-06-01T00:00:00Z"});
    let open = json!({"sim_sid": null, "start_time": "2026-05-01T00:00:00Z", "end_time": null});
    for (periods, expected) in [
        (json!([]), Ok(None)),
        (json!([february, march, february]), Ok(Some("2026-03-01T00:00:00Z"))),
        (json!([stranger, open, february]), Ok(Some("2026-02-01T00:00:00Z"))),
        (json!([stranger, open]), Err(())),
    ] {
        let body = page_json("billing_periods", &periods, &json!(null));
        let (server, client) =
            answering(Provider::Twilio, ResponseTemplate::new(200).set_body_json(body)).await;
        let found = client.billing_period(sim_sid()).await;
        let start = found.map(|period| period.map(|BillingPeriod { start, .. }| start.to_string()));
        let start = start.as_ref().map(Option::as_deref).map_err(|_error| ());
        assert_eq!(start, expected, "{periods}");
        let asked = server.received_requests().await.unwrap();
        assert_eq!(asked[0].url.path(), format!("/v1/Sims/{SID}/BillingPeriods"));
    }
}

#[tokio::test]
async fn a_fleet_is_fetched_by_sid_and_by_unique_name() {
    let server = MockServer::start().await;
    for segment in [FLEET, "river%2F1"] {
        Mock::given(method("GET"))
            .and(path(format!("/v1/Fleets/{segment}")))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"sid": FLEET})))
            .expect(1)
            .mount(&server)
            .await;
    }
    let client = client(Provider::Twilio, &server);
    assert_eq!(client.fetch_fleet(FLEET).await.unwrap().sid, fleet_sid());
    assert_eq!(client.fetch_fleet("river/1").await.unwrap().sid, fleet_sid());
    assert!(matches!(client.fetch_fleet("..").await, Err(ProviderError::NotFound)));

    let other = json!({"sid": "HF00000000000000000000000000000002"});
    for body in [other, json!({"sid": null})] {
        let template = ResponseTemplate::new(200).set_body_json(body);
        let (_server, client) = answering(Provider::Twilio, template).await;
        let error = client.fetch_fleet(FLEET).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
        let error = client.set_data_limit(fleet_sid(), 1).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unavailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_data_limit_is_within_bounds_or_not_sent() {
    let body = json!({"sid": FLEET, "data_limit": 2_000_000});
    let template = ResponseTemplate::new(200).set_body_json(body);
    let (server, client) = answering(Provider::Twilio, template).await;
    for megabytes in [0, DATA_LIMIT_MB_MAX + 1, u32::MAX] {
        let error = client.set_data_limit(fleet_sid(), megabytes).await.unwrap_err();
        assert!(matches!(error, ProviderError::Refused { code: None, .. }), "{error:?}");
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
    for megabytes in [DATA_LIMIT_MB_MIN, DATA_LIMIT_MB_MAX] {
        let fleet = client.set_data_limit(fleet_sid(), megabytes).await.unwrap();
        assert_eq!(fleet.data_limit_mb, Some(2_000_000));
    }
    let bodies = server.received_requests().await.unwrap().into_iter().map(|asked| asked.body);
    assert_eq!(bodies.collect::<Vec<_>>(), [&b"DataLimit=1"[..], b"DataLimit=2000000"]);
}

#[tokio::test]
async fn a_refused_query_says_with_which_code() {
    for code in 83600..=83605 {
        let body = json!({"code": code, "message": "no", "status": 400});
        let template = ResponseTemplate::new(400).set_body_json(body);
        let (server, client) = answering(Provider::Twilio, template).await;
        let error = client.usage_page(&query(), None).await.unwrap_err();
        let ProviderError::Refused { code: Some(found), .. } = error else { panic!("{error:?}") };
        assert_eq!(found, code);
        assert_eq!(server.received_requests().await.unwrap().len(), 1, "tried once");
    }
}

#[tokio::test]
async fn an_api_key_is_used_in_place_of_the_token() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Basic U0sxOnM="))
        .respond_with(ResponseTemplate::new(200).set_body_json(page_json(
            "sims",
            &json!([]),
            &json!(null),
        )))
        .expect(1)
        .mount(&server)
        .await;
    let json = r#"{"account_sid": "AC1", "api_key_sid": "SK1", "api_key_secret": "s"}"#;
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = SuperSimClient::new(ClientConfig {
        origin: server.uri().parse().unwrap(),
        token_url: format!("{}/token", server.uri()).parse().unwrap(),
        credentials: ApiCredentials::from_json(Provider::Twilio, json).unwrap(),
    })
    .unwrap();
    client.sims_page(None).await.unwrap();
}
