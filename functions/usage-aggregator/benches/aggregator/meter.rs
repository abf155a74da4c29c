//! What requests to the table cost: a proxy in front of it that counts as DynamoDB bills.
//!
//! The rules are those of the developer guide ("Item sizes and formats", "Read and write operations",
//! "Transactions"). An item is as long as its attributes' names and values: text in UTF-8, binary
//! without base64, a number half a byte for each significant digit and one, a flag or null one, a
//! list or map three and one for each element. A put is billed for each begun 1,024 bytes, whether
//! its condition holds or not, and twice in a transaction; where it is in the index, once more. A
//! read of an item is billed for each begun 4,096 bytes, half of that where it need not be
//! consistent, and an item that is not there as one; a query, for all that it returns together.
//! A put over a longer item is billed for the longer one: here, for the new one.
//!
//! Beside it stands what the embedded table says that it consumed (`ReturnConsumedCapacity`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::Failure;

/// Bytes of one write request unit.
const WRITE_UNIT_BYTES: u64 = 1_024;

/// Bytes of one read request unit.
const READ_UNIT_BYTES: u64 = 4_096;

/// Items of one kind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Amount {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
    /// Write request units, or read request units.
    pub(crate) units: f64,
}

/// All that was asked of the table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) written: BTreeMap<String, Amount>,
    pub(crate) read: BTreeMap<String, Amount>,
    /// Write request units as the embedded table counts them.
    pub(crate) said_written: f64,
    /// Read request units as the embedded table counts them.
    pub(crate) said_read: f64,
}

impl Tally {
    pub(crate) fn write_units(&self) -> f64 {
        self.written.values().map(|amount| amount.units).sum()
    }

    pub(crate) fn read_units(&self) -> f64 {
        self.read.values().map(|amount| amount.units).sum()
    }

    pub(crate) fn items_written(&self) -> u64 {
        self.written.values().map(|amount| amount.items).sum()
    }
}

/// Holds the answer to the write that reaches a number of items, for ever: whoever asked is then in
/// the middle of a page.
struct Trap {
    items_left: u64,
    sprung: Option<oneshot::Sender<()>>,
}

/// The proxy; clones count together.
#[derive(Clone)]
pub(crate) struct Meter {
    shared: Arc<Shared>,
    /// Where it listens.
    pub(crate) endpoint: String,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    tally: Mutex<Tally>,
    trap: Mutex<Option<Trap>>,
}

impl Meter {
    /// Listens on loopback, in front of the table that serves there.
    pub(crate) async fn start(upstream: &str) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let http = reqwest::Client::builder().no_proxy().build()?;
        let (tally, trap) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { upstream: upstream.to_owned(), http, tally, trap });
        let app = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { shared, endpoint })
    }

    /// What was counted since this was last asked.
    pub(crate) fn take(&self) -> Tally {
        std::mem::take(&mut *lock(&self.shared.tally))
    }

    /// From the write on that reaches so many items, nothing is answered any more. Says when.
    pub(crate) fn trap(&self, items: u64) -> oneshot::Receiver<()> {
        let (sprung, when) = oneshot::channel();
        *lock(&self.shared.trap) = Some(Trap { items_left: items, sprung: Some(sprung) });
        when
    }

    /// Answers again.
    pub(crate) fn release(&self) {
        *lock(&self.shared.trap) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    match shared.forward(&headers, &body).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

impl Shared {
    async fn forward(&self, headers: &HeaderMap, body: &[u8]) -> Result<Response, Failure> {
        let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        let target = target.unwrap_or_default().to_owned();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let mut asked: Value = serde_json::from_slice(body)?;
        if let Some(asked) = asked.as_object_mut()
            && BILLED.contains(&operation.as_str())
        {
            asked.insert("ReturnConsumedCapacity".to_owned(), json!("TOTAL"));
        }
        let request = self.http.post(&self.upstream).header("x-amz-target", target);
        let request = request
            .header("content-type", "application/x-amz-json-1.0")
            .header(
                "authorization",
                headers.get("authorization").map_or(&b""[..], |v| v.as_bytes()),
            )
            .header("x-amz-date", headers.get("x-amz-date").map_or(&b""[..], |v| v.as_bytes()))
            .body(serde_json::to_vec(&asked)?);
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.bytes().await?;
        let answered: Value = serde_json::from_slice(&text)?;
        let before = lock(&self.tally).items_written();
        lock(&self.tally).count(&operation, &asked, status.is_success(), &answered);
        let items = lock(&self.tally).items_written().saturating_sub(before);
        if self.springs(items) {
            std::future::pending::<()>().await;
        }
        let kind = [("content-type", "application/x-amz-json-1.0")];
        Ok((status, kind, text).into_response())
    }

    fn springs(&self, items: u64) -> bool {
        let mut trap = lock(&self.trap);
        let Some(trap) = trap.as_mut() else { return false };
        trap.items_left = trap.items_left.saturating_sub(items);
        if trap.items_left > 0 {
            return false;
        }
        if let Some(sprung) = trap.sprung.take() {
            // Whoever waited for it may have given up.
            _ = sprung.send(());
        }
        true
    }
}

/// Operations that are billed by units.
const BILLED: [&str; 7] = [
    "BatchGetItem",
    "BatchWriteItem",
    "GetItem",
    "PutItem",
    "Query",
    "TransactWriteItems",
    "UpdateItem",
];

impl Tally {
    fn count(&mut self, operation: &str, asked: &Value, succeeded: bool, answered: &Value) {
        self.requests = self.requests.saturating_add(1);
        let said = consumed(answered);
        match operation {
            "BatchWriteItem" if succeeded => {
                let rest = of_tables(answered, "UnprocessedItems");
                let puts = of_tables(asked, "RequestItems").into_iter();
                for put in puts.filter(|put| !rest.contains(put)) {
                    self.wrote(put.pointer("/PutRequest/Item"), 1);
                }
            }
            // One whose condition fails is billed, too.
            "PutItem" => self.wrote(asked.get("Item"), 1),
            "UpdateItem" => self.wrote(asked.get("Key"), 1),
            "TransactWriteItems" => {
                for write in
                    asked.get("TransactItems").and_then(Value::as_array).into_iter().flatten()
                {
                    let item = write.pointer("/Put/Item").or(write.pointer("/Update/Key"));
                    self.wrote(item.or(write.pointer("/ConditionCheck/Key")), 2);
                }
            }
            "GetItem" => {
                let units = Units::of(asked);
                let key = asked.get("Key");
                self.looked_up(key, answered.get("Item"), units);
            }
            "BatchGetItem" if succeeded => self.got_batch(asked, answered),
            "Query" if succeeded => {
                let items = answered.get("Items").and_then(Value::as_array);
                let items: Vec<&Value> = items.into_iter().flatten().collect();
                let bytes = items.iter().map(|item| item_bytes(item)).sum();
                let kind = items.first().map_or_else(|| "query".to_owned(), |item| kind_of(item));
                let count = u64::try_from(items.len()).unwrap_or(0);
                let units = Units::of(asked).read(bytes);
                self.read.entry(kind).or_default().add(count, bytes, units);
            }
            _ => return,
        }
        if ["BatchGetItem", "GetItem", "Query"].contains(&operation) {
            self.said_read += said;
        } else {
            self.said_written += said;
        }
    }

    fn wrote(&mut self, item: Option<&Value>, times: u32) {
        let Some(item) = item else { return };
        let bytes = item_bytes(item);
        let copies = if item.get("ipk").is_some() { 2 } else { 1 };
        let units = begun(bytes, WRITE_UNIT_BYTES) * f64::from(times) * f64::from(copies);
        self.written.entry(kind_of(item)).or_default().add(1, bytes, units);
    }

    fn looked_up(&mut self, key: Option<&Value>, item: Option<&Value>, units: Units) {
        let Some(key) = key else { return };
        let bytes = item.map_or(0, item_bytes);
        let found = u64::from(item.is_some());
        self.read.entry(kind_of(key)).or_default().add(found, bytes, units.read(bytes));
    }

    fn got_batch(&mut self, asked: &Value, answered: &Value) {
        let rest: Vec<&Value> = keys_of(answered.get("UnprocessedKeys")).collect();
        let found = of_tables(answered, "Responses");
        let by_key: BTreeMap<String, &Value> =
            found.into_iter().map(|item| (key_text(item), item)).collect();
        let tables = asked.get("RequestItems").and_then(Value::as_object);
        for wanted in tables.into_iter().flat_map(|tables| tables.values()) {
            let units = Units::of(wanted);
            let keys = wanted.get("Keys").and_then(Value::as_array).into_iter().flatten();
            for key in keys.filter(|key| !rest.contains(key)) {
                self.looked_up(Some(key), by_key.get(&key_text(key)).copied(), units);
            }
        }
    }
}

impl Amount {
    fn add(&mut self, items: u64, bytes: u64, units: f64) {
        self.items = self.items.saturating_add(items);
        self.bytes = self.bytes.saturating_add(bytes);
        self.bytes_max = self.bytes_max.max(bytes);
        self.units += units;
    }
}

/// How reads are billed.
#[derive(Clone, Copy)]
struct Units {
    each: f64,
}

impl Units {
    fn of(asked: &Value) -> Self {
        let consistent = asked.get("ConsistentRead").and_then(Value::as_bool).unwrap_or(false);
        Self { each: if consistent { 1.0 } else { 0.5 } }
    }

    fn read(self, bytes: u64) -> f64 {
        begun(bytes, READ_UNIT_BYTES) * self.each
    }
}

/// Units begun; of nothing, one.
fn begun(bytes: u64, unit: u64) -> f64 {
    f64::from(u32::try_from(bytes.div_ceil(unit).max(1)).unwrap_or(u32::MAX))
}

/// What the embedded table says that the request consumed.
fn consumed(answered: &Value) -> f64 {
    let units = |of: &Value| of.get("CapacityUnits").and_then(Value::as_f64).unwrap_or(0.0);
    match answered.get("ConsumedCapacity") {
        Some(Value::Array(tables)) => tables.iter().map(units).sum(),
        Some(table) => units(table),
        None => 0.0,
    }
}

/// The elements of all tables' lists under a name.
fn of_tables<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    let tables = value.get(name).and_then(Value::as_object).into_iter().flatten();
    tables.filter_map(|(_, list)| list.as_array()).flatten().collect()
}

fn keys_of(unprocessed: Option<&Value>) -> impl Iterator<Item = &Value> {
    let tables = unprocessed.and_then(Value::as_object).into_iter().flatten();
    tables.filter_map(|(_, table)| table.get("Keys")?.as_array()).flatten()
}

fn text_of<'a>(item: &'a Value, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.get("S")).and_then(Value::as_str).unwrap_or_default()
}

fn key_text(item: &Value) -> String {
    format!("{} {}", text_of(item, "pk"), text_of(item, "sk"))
}

/// What kind of item it is: the begin of its keys, `US BASE`.
fn kind_of(item: &Value) -> String {
    let pk = text_of(item, "pk");
    let first = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
    if pk == "US#RUN" {
        return "checkpoint".to_owned();
    }
    format!("{} {}", first(pk), first(text_of(item, "sk")))
}

/// How long an item is as DynamoDB counts.
fn item_bytes(item: &Value) -> u64 {
    let attributes = item.as_object().into_iter().flatten();
    attributes.map(|(name, value)| length(name).saturating_add(value_bytes(value))).sum()
}

fn value_bytes(value: &Value) -> u64 {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else {
        return 0;
    };
    let text = value.as_str().unwrap_or_default();
    let list = || value.as_array().into_iter().flatten();
    match kind.as_str() {
        "S" => length(text),
        "B" => binary_bytes(text),
        "N" => number_bytes(text),
        "SS" => list().map(|one| length(one.as_str().unwrap_or_default())).sum(),
        "NS" => list().map(|one| number_bytes(one.as_str().unwrap_or_default())).sum(),
        "BS" => list().map(|one| binary_bytes(one.as_str().unwrap_or_default())).sum(),
        "L" => list().map(|one| value_bytes(one).saturating_add(1)).sum::<u64>().saturating_add(3),
        "M" => {
            let elements = value.as_object().map_or(0, serde_json::Map::len);
            let elements = u64::try_from(elements).unwrap_or(0);
            item_bytes(value).saturating_add(elements).saturating_add(3)
        }
        _ => 1,
    }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn binary_bytes(base64: &str) -> u64 {
    length(base64.trim_end_matches('=')).saturating_mul(3) / 4
}

fn number_bytes(digits: &str) -> u64 {
    let significant = digits.trim_start_matches(['-', '0', '.']);
    let significant =
        if significant.contains('.') { significant } else { significant.trim_end_matches('0') };
    let count = length(significant).saturating_sub(u64::from(significant.contains('.')));
    let sign = u64::from(digits.starts_with('-'));
    count.div_ceil(2).saturating_add(1).saturating_add(sign)
}
