//! Fleets, networks, billing periods, keys, and an account of a million SIMs.

use simfuse_domain::network::Plmn;

use super::*;

impl Bench {
    async fn post_fleet(&self, name: &str, form: &[(&str, &str)]) -> (u16, Value) {
        self.send(self.client.post(format!("{}/v1/Fleets/{name}", self.origin)).form(form)).await
    }
}

#[tokio::test]
async fn a_fleet_is_fetched_listed_and_changed() {
    let bench = Bench::start().await;
    let (status, by_sid) = bench.get(&format!("/v1/Fleets/{}", fleet(1))).await;
    assert_eq!((status, &by_sid["data_limit"]), (200, &DATA_LIMIT_MB.into()));
    assert_eq!(bench.get("/v1/Fleets/river").await.1, by_sid);
    assert_eq!(by_sid["network_access_profile_sid"], "HA01010101010101010101010101010101");
    let (_, list) = bench.get("/v1/Fleets?PageSize=1").await;
    assert_eq!(list["fleets"], serde_json::json!([by_sid]));
    let next = list["meta"]["next_page_url"].as_str().unwrap();
    let (_, second) = bench.send(bench.client.get(next)).await;
    assert_eq!(second["fleets"][0]["unique_name"], "quarantine");
    assert_eq!(second["meta"]["next_page_url"], Value::Null);

    let later = bench.pass(60);
    let (status, body) =
        bench.post_fleet("river", &[("DataLimit", "5"), ("UniqueName", "r")]).await;
    assert_eq!((status, &body["data_limit"], &body["unique_name"]), (200, &5.into(), &"r".into()));
    assert_eq!(body["date_updated"], later.to_string());
    assert_eq!(bench.service.fleet(fleet(1)).unwrap().data_limit_mb, Some(5));
    for (field, value, code) in [
        ("DataLimit", "0", 20001),
        ("DataLimit", "2000001", 20001),
        ("DataLimit", "much", 20001),
        ("UniqueName", "quarantine", 83011),
    ] {
        let (status, body) = bench.post_fleet("r", &[(field, value)]).await;
        assert_eq!((status, &body["code"]), (400, &code.into()), "{field} {value}");
    }
    assert_eq!(
        bench.post_fleet("river", &[("DataLimit", "5")]).await.0,
        404,
        "it has another name"
    );

    let rule = FaultRule::once(Fault::Status(503)).on(Requests::FleetUpdates);
    bench.service.inject(rule);
    assert_eq!(bench.get("/v1/Fleets/r").await.0, 200);
    assert_eq!(bench.post_fleet("r", &[("DataLimit", "9")]).await.0, 503);
    assert_eq!(bench.service.fleet(fleet(1)).unwrap().data_limit_mb, Some(5));
}

#[tokio::test]
async fn networks_are_filtered_by_country_and_code() {
    let bench = Bench::start().await;
    for (number, country, plmns) in
        [(1, "US", vec![("310", "260"), ("310", "26")]), (2, "DE", vec![("262", "01")])]
    {
        bench.service.add_network(Network {
            sid: NetworkSid::from_bytes([number; 16]),
            friendly_name: Some(format!("network {number}")),
            country: country.parse().ok(),
            plmns: plmns.iter().map(|(mcc, mnc)| Plmn::new(mcc, mnc).unwrap()).collect(),
        });
    }
    let (_, body) = bench.get("/v1/Networks?Mcc=262&Mnc=01").await;
    let expected = serde_json::json!([{
        "sid": "HW02020202020202020202020202020202",
        "friendly_name": "network 2",
        "url": format!("{}/v1/Networks/HW02020202020202020202020202020202", bench.origin),
        "iso_country": "DE",
        "identifiers": [{"mcc": "262", "mnc": "01"}],
    }]);
    assert_eq!(body["networks"], expected);
    for (query, count) in
        [("", 2), ("IsoCountry=us", 1), ("Mcc=310", 1), ("Mcc=310&Mnc=01", 0), ("Mnc=26", 1)]
    {
        let (_, body) = bench.get(&format!("/v1/Networks?{query}")).await;
        assert_eq!(body["networks"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_sim_has_one_billing_period_unless_it_is_new() {
    let bench = Bench::start().await;
    bench.service.set_status(sim(2), SimStatus::New);
    let (start, end) = ("2026-02-10T00:00:00Z", "2026-03-10T00:00:00Z");
    bench.service.set_billing_period(sim(3), start.parse().unwrap(), end.parse().unwrap());
    let month = ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z");
    for (name, expected) in
        [("river%20001", vec![month]), ("river%20002", vec![]), ("river%20003", vec![(start, end)])]
    {
        let (status, body) = bench.get(&format!("/v1/Sims/{name}/BillingPeriods")).await;
        assert_eq!((status, &body["meta"]["key"]), (200, &"billing_periods".into()));
        let periods = body["billing_periods"].as_array().unwrap();
        let times = |period: &'_ Value| {
            let time = |name: &str| period[name].as_str().unwrap().to_owned();
            (time("start_time"), time("end_time"))
        };
        let found: Vec<_> = periods.iter().map(times).collect();
        let expected: Vec<_> =
            expected.into_iter().map(|(start, end)| (start.to_owned(), end.to_owned())).collect();
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(bench.get("/v1/Sims/nobody/BillingPeriods").await.0, 404);
    let (_, body) = bench.get(&format!("/v1/Sims/{}/BillingPeriods", sim(1))).await;
    assert_eq!(body["billing_periods"][0]["sid"], "HB01010101010101010101010101010101");
}

#[tokio::test]
async fn an_api_key_opens_what_the_account_s_token_does() {
    let bench = Bench::start().await;
    let key = "SK0123456789abcdef0123456789abcdef";
    let url = format!("{}/v1/UsageRecords", bench.origin);
    let ask = async |secret: &str| {
        let request = bench.client.get(&url).basic_auth(key, Some(secret));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("key's own").await, 401);
    bench.service.accept_api_key(key, "key's own");
    assert_eq!(ask("key's own").await, 200);
    assert_eq!(ask("hush").await, 401, "the account's token is another's");
}

#[tokio::test]
async fn links_name_the_proxy_where_there_is_one() {
    let bench = Bench::start().await;
    bench.service.set_public_origin("http://proxy.example:81");
    let (_, body) = bench.get("/v1/Sims?PageSize=1").await;
    let next = body["meta"]["next_page_url"].as_str().unwrap();
    assert!(next.starts_with("http://proxy.example:81/v1/Sims?"), "{next}");
}

#[tokio::test]
async fn a_path_or_a_method_that_the_service_lacks_is_refused() {
    let bench = Bench::start().await;
    let url = |path: &str| format!("{}{path}", bench.origin);
    for path in ["/v1/Sims", "/v1/Fleets", "/v1/Networks", "/v1/UsageRecords"] {
        assert_eq!(bench.send(bench.client.post(url(path))).await.0, 405, "{path}");
        assert_eq!(bench.get(&format!("{path}/")).await.0, 404, "{path}/");
    }
    for path in ["/v1/Networks/HW1", "/v1/Sims/x/IpAddresses", "/v1/Fleets/x/y", "/v1"] {
        assert_eq!(bench.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn an_account_of_many_sims_is_listed_page_by_page() {
    let bench = Bench::start().await;
    let numbered = |number: u128| SimSid::from_bytes((u128::MAX - number).to_be_bytes());
    bench.service.add_sims((0..10_000).map(|number| Sim {
        sid: numbered(number),
        iccid: None,
        unique_name: None,
        status: SimStatus::Ready,
        fleet: Some(fleet(1)),
    }));
    let mut url = format!("{}/v1/Sims?PageSize=1000&Status=ready", bench.origin);
    let (mut seen, mut pages) = (std::collections::BTreeSet::new(), 0);
    loop {
        let (_, body) = bench.send(bench.client.get(&url)).await;
        pages += 1;
        let sims = body["sims"].as_array().unwrap().iter();
        seen.extend(sims.map(|sim| sim["sid"].as_str().unwrap().to_owned()));
        match body["meta"]["next_page_url"].as_str() {
            None => break,
            Some(next) => next.clone_into(&mut url),
        }
    }
    assert_eq!((seen.len(), pages), (10_000, 10));
}
