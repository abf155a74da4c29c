//! The exact fields of every request, and that the OpenAPI descriptions know each.
//!
//! A proxy that checks requests lets unknown fields of a form pass, so they are named here. The
//! descriptions are not part of the project: `SIMFUSE_OPENAPI_DIR` says where they are.

use std::collections::BTreeSet;
use std::path::PathBuf;

use simfuse_domain::port::{Fleets, Granularity, Inventory, UsageGroup, UsageQuery, UsageRecords};

use super::lists::{fleet_sid, query};
use super::*;

/// One request as the description would name it.
struct Asked {
    operation: &'static str,
    path: &'static str,
    fields: &'static [&'static str],
}

const ALL: [Asked; 12] = [
    Asked { operation: "get", path: "/v1/Sims/{Sid}", fields: &[] },
    Asked { operation: "get", path: "/v1/Sims", fields: &["Iccid"] },
    Asked {
        operation: "post",
        path: "/v1/Sims/{Sid}",
        fields: &["CallbackMethod", "CallbackUrl", "Status"],
    },
    Asked {
        operation: "post",
        path: "/v1/Sims/{Sid}",
        fields: &["CallbackMethod", "CallbackUrl", "Fleet"],
    },
    Asked { operation: "get", path: "/v1/Sims", fields: &["PageSize"] },
    Asked { operation: "get", path: "/v1/Fleets", fields: &["PageSize"] },
    Asked { operation: "get", path: "/v1/Networks", fields: &["PageSize"] },
    Asked { operation: "get", path: "/v1/Sims/{SimSid}/BillingPeriods", fields: &["PageSize"] },
    Asked { operation: "get", path: "/v1/Fleets/{Sid}", fields: &[] },
    Asked { operation: "post", path: "/v1/Fleets/{Sid}", fields: &["DataLimit"] },
    Asked {
        operation: "get",
        path: "/v1/UsageRecords",
        fields: &["EndTime", "Granularity", "PageSize", "StartTime"],
    },
    Asked {
        operation: "get",
        path: "/v1/UsageRecords",
        fields: &[
            "EndTime",
            "Fleet",
            "Granularity",
            "Group",
            "IsoCountry",
            "Network",
            "PageSize",
            "Sim",
            "StartTime",
        ],
    },
];

/// Makes every request that the client can make, in the order of [`ALL`].
async fn ask_everything(client: &SuperSimClient) {
    client.fetch(&SimName::Sid(sim_sid())).await.unwrap_err();
    client.fetch(&SimName::parse(ICCID)).await.unwrap_err();
    client.set_status(sim_sid(), TargetStatus::Inactive).await.unwrap_err();
    client.set_fleet(sim_sid(), fleet_sid()).await.unwrap_err();
    client.sims_page(None).await.unwrap_err();
    client.fleets_page(None).await.unwrap_err();
    client.networks_page(None).await.unwrap_err();
    client.billing_period(sim_sid()).await.unwrap_err();
    client.fetch_fleet("river").await.unwrap_err();
    client.set_data_limit(fleet_sid(), 250).await.unwrap_err();
    let least = UsageQuery { fleet: None, group: None, granularity: Granularity::All, ..query() };
    let most = UsageQuery {
        sim: Some(sim_sid()),
        network: "HW00000000000000000000000000000001".parse().ok(),
        country: "US".parse().ok(),
        group: Some(UsageGroup::Country),
        ..query()
    };
    client.usage_page(&least, None).await.unwrap_err();
    client.usage_page(&most, None).await.unwrap_err();
}

/// Whether a path is one of those that a template stands for.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(part, found)| part.starts_with('{') || *part == found)
}

#[tokio::test]
async fn every_request_has_the_fields_that_it_should_and_no_other() {
    let (server, client) = answering(Provider::Twilio, ResponseTemplate::new(400)).await;
    let callbacks = Callbacks::new(|sim| format!("https://example.com/hint/{sim}"));
    let client = client.calling_back(Some(callbacks));
    ask_everything(&client).await;
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), ALL.len());
    for (request, asked) in requests.iter().zip(ALL) {
        let path = request.url.path();
        assert_eq!(request.method.as_str().to_lowercase(), asked.operation, "{path}");
        assert!(fits(asked.path, path), "{path} is not {}", asked.path);
        let mut form = request.url.clone();
        form.set_query(std::str::from_utf8(&request.body).ok().filter(|body| !body.is_empty()));
        let (query, form) = (names(&request.url), names(&form));
        let (fields, other) = if asked.operation == "get" { (query, form) } else { (form, query) };
        assert_eq!(fields, asked.fields.iter().map(|&name| name.to_owned()).collect(), "{path}");
        assert!(other.is_empty(), "{path}: {other:?}");
    }
}

#[tokio::test]
async fn a_change_asks_for_a_callback_about_its_sim_only_where_there_is_one() {
    let (server, client) = answering(Provider::Kore, ResponseTemplate::new(400)).await;
    client.set_status(sim_sid(), TargetStatus::Inactive).await.unwrap_err();
    let callbacks = Callbacks::new(|sim| format!("https://example.com/hint/{sim}"));
    let client = client.calling_back(Some(callbacks));
    client.set_status(sim_sid(), TargetStatus::Inactive).await.unwrap_err();
    let requests = server.received_requests().await.unwrap();
    let is_change = |asked: &&wiremock::Request| asked.url.path().starts_with("/v1/Sims/");
    let changes = requests.iter().filter(is_change);
    let forms: Vec<_> = changes.map(|asked| String::from_utf8_lossy(&asked.body)).collect();
    let back = format!("CallbackUrl=https%3A%2F%2Fexample.com%2Fhint%2F{}", sim_sid());
    let second = format!("Status=inactive&{back}&CallbackMethod=POST");
    assert_eq!(forms, ["Status=inactive".to_owned(), second]);
}

fn names(url: &reqwest::Url) -> BTreeSet<String> {
    url.query_pairs().map(|(name, _)| name.into_owned()).collect()
}

#[tokio::test]
async fn what_a_usage_query_asks_for_is_written_as_the_description_has_it() {
    let (server, client) = answering(Provider::Twilio, ResponseTemplate::new(400)).await;
    for (group, granularity) in [
        (Some(UsageGroup::Sim), Granularity::Hour),
        (Some(UsageGroup::Fleet), Granularity::Day),
        (Some(UsageGroup::Network), Granularity::All),
        (Some(UsageGroup::Country), Granularity::All),
    ] {
        let query = UsageQuery { group, granularity, ..query() };
        client.usage_page(&query, None).await.unwrap_err();
    }
    let requests = server.received_requests().await.unwrap();
    let queries: Vec<_> = requests.iter().map(|asked| asked.url.query().unwrap()).collect();
    insta::assert_snapshot!(queries.join("\n"), @"
    Fleet=HF00000000000000000000000000000001&Group=sim&Granularity=hour&StartTime=2026-03-01T00%3A00%3A00Z&EndTime=2026-03-02T00%3A00%3A00Z&PageSize=249
    Fleet=HF00000000000000000000000000000001&Group=fleet&Granularity=day&StartTime=2026-03-01T00%3A00%3A00Z&EndTime=2026-03-02T00%3A00%3A00Z&PageSize=249
    Fleet=HF00000000000000000000000000000001&Group=network&Granularity=all&StartTime=2026-03-01T00%3A00%3A00Z&EndTime=2026-03-02T00%3A00%3A00Z&PageSize=249
    Fleet=HF00000000000000000000000000000001&Group=isoCountry&Granularity=all&StartTime=2026-03-01T00%3A00%3A00Z&EndTime=2026-03-02T00%3A00%3A00Z&PageSize=249
    ");
}

#[test]
fn the_descriptions_know_every_field() {
    let Some(folder) = std::env::var_os("SIMFUSE_OPENAPI_DIR").map(PathBuf::from) else { return };
    for name in ["twilio_supersim_v1.json", "kore-supersim-v1.json"] {
        let text = std::fs::read(folder.join(name)).unwrap();
        let description: Value = serde_json::from_slice(&text).unwrap();
        for asked in &ALL {
            let operation = &description["paths"][asked.path][asked.operation];
            let parameters = operation["parameters"].as_array();
            let query = parameters.into_iter().flatten().filter_map(|one| one["name"].as_str());
            let form = "/requestBody/content/application~1x-www-form-urlencoded/schema/properties";
            let form = operation.pointer(form).and_then(Value::as_object);
            let known: BTreeSet<&str> = if asked.operation == "get" {
                query.collect()
            } else {
                form.unwrap().keys().map(String::as_str).collect()
            };
            for field in asked.fields {
                assert!(known.contains(field), "{name}: {} has no {field}", asked.path);
            }
        }
    }
}
