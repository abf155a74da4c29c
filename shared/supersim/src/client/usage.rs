//! Usage records.

use std::str::FromStr;

use jiff::Timestamp;
use reqwest::Url;
use rust_decimal::prelude::ToPrimitive as _;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Deserialize;
use serde_json::value::RawValue;
use simfuse_domain::bytes::Bytes;
use simfuse_domain::money::Money;
use simfuse_domain::port::{
    Granularity, Page, PageLink, ProviderError, UsageGroup, UsageQuery, UsageRecord, UsageRecords,
};

use super::SuperSimClient;
use super::pages::{USAGE_PAGE_SIZE, with_page_size};

/// Millionths in a currency's unit.
const MICROS: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

#[derive(Deserialize)]
struct RecordAnswer {
    sim_sid: Option<String>,
    fleet_sid: Option<String>,
    network_sid: Option<String>,
    iso_country: Option<String>,
    period: Option<PeriodAnswer>,
    data_upload: Option<u64>,
    data_download: Option<u64>,
    data_total: Option<u64>,
    /// A number in the description, a string in every example of it.
    data_total_billed: Option<Box<RawValue>>,
    #[serde(default)]
    billed_unit: serde_json::Value,
}

#[derive(Deserialize)]
struct PeriodAnswer {
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
}

impl UsageRecords for SuperSimClient {
    async fn usage_page(
        &self,
        query: &UsageQuery,
        page: Option<&PageLink>,
    ) -> Result<Page<UsageRecord>, ProviderError> {
        let first = with_query(self.origin.usage_records(), query);
        let first = with_page_size(first, USAGE_PAGE_SIZE);
        self.page(first, page, "usage_records", record).await
    }
}

fn with_query(mut url: Url, query: &UsageQuery) -> Url {
    let group = query.group.map(|group| match group {
        UsageGroup::Sim => "sim",
        UsageGroup::Fleet => "fleet",
        UsageGroup::Network => "network",
        UsageGroup::Country => "isoCountry",
    });
    let granularity = match query.granularity {
        Granularity::Hour => "hour",
        Granularity::Day => "day",
        Granularity::All => "all",
    };
    let fields = [
        ("Sim", query.sim.map(|sim| sim.to_string())),
        ("Fleet", query.fleet.map(|fleet| fleet.to_string())),
        ("Network", query.network.map(|network| network.to_string())),
        ("IsoCountry", query.country.map(|country| country.to_string())),
        ("Group", group.map(str::to_owned)),
        ("Granularity", Some(granularity.to_owned())),
        ("StartTime", Some(query.hours.start.start().to_string())),
        ("EndTime", Some(query.hours.end.start().to_string())),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    url.query_pairs_mut().extend_pairs(given);
    url
}

/// Reads one record as the API's list has it, such as one that was kept in a file; `None` for what is
/// none.
#[must_use]
pub fn usage_record(json: &[u8]) -> Option<UsageRecord> {
    record(serde_json::from_slice(json).ok()?)
}

/// A record whose times are missing, or that is about something unreadable, cannot be filed.
fn record(answer: RecordAnswer) -> Option<UsageRecord> {
    let period = answer.period?;
    let (from, to) = (period.start_time?, period.end_time?);
    let (up, down) = (answer.data_upload.map(Bytes), answer.data_download.map(Bytes));
    let sum = up.zip(down).map(|(up, down)| up.plus(down));
    let record = UsageRecord {
        sim: parsed(answer.sim_sid)?,
        fleet: parsed(answer.fleet_sid)?,
        network: parsed(answer.network_sid)?,
        country: parsed(answer.iso_country)?,
        from,
        to,
        up,
        down,
        total: answer.data_total.map(Bytes).or(sum),
        billed: billed(answer.data_total_billed.as_deref(), &answer.billed_unit),
    };
    (from < to).then_some(record)
}

/// `Some(None)` for what is absent, `None` for what is there and not what it should be.
fn parsed<T: FromStr>(text: Option<String>) -> Option<Option<T>> {
    text.map(|text| text.parse()).transpose().ok()
}

/// Unknown without a currency, too: that comes with the amount, when billing has caught up.
fn billed(amount: Option<&RawValue>, unit: &serde_json::Value) -> Option<Money> {
    let currency = unit.as_str()?.parse().ok()?;
    Some(Money { micros: micros(amount?.get())?, currency })
}

/// Reads a JSON number or string; from its text, so that no digit is lost.
fn micros(json: &str) -> Option<i64> {
    let text = json.trim_matches('"');
    let amount = Decimal::from_str(text).or_else(|_plain| Decimal::from_scientific(text)).ok()?;
    let micros = amount.checked_mul(MICROS)?;
    micros.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero).to_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_to_the_millionth() {
        for (json, expected) in [
            (r#""0.54""#, Some(540_000)),
            ("0.54", Some(540_000)),
            ("0", Some(0)),
            (r#""0""#, Some(0)),
            ("-1.5", Some(-1_500_000)),
            ("3e-2", Some(30_000)),
            ("1E2", Some(100_000_000)),
            ("0.0000005", Some(1)),
            ("0.00000049", Some(0)),
            ("0.1234567890123456789", Some(123_457)),
            ("1e30", None),
            ("9223372036854.775807", Some(i64::MAX)),
            ("9223372036855", None),
            (r#""""#, None),
            (r#""much""#, None),
            (r#""0,54""#, None),
            ("true", None),
            ("{}", None),
        ] {
            assert_eq!(micros(json), expected, "{json}");
        }
    }
}
