//! The UsageRecords resource: queries, their documented refusals, and pages of records.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan as _};
use serde_json::{Value, json};
use simfuse_domain::id::{FleetSid, NetworkSid, SimSid};
use simfuse_domain::network::Country;
use simfuse_domain::time::{Hour, Window};

use super::answer::{Answer, ApiError, instant};
use super::http::Call;
use super::page::{Asked, Slice};
use super::usage::{Cell, Subject, Usage, UsageBook};
use super::{ServiceConfig, State as ServiceState};

/// Records on a page at most: KORE's bound, which is the narrower one.
pub const USAGE_PAGE_SIZE_MAX: usize = 249;

/// Hours of SIMs that one page looks at before it is cut short, with a link to go on: a page of a
/// million SIMs of which few have usage stays fast.
const LOOKED_AT_MAX: usize = 500_000;

/// Usage by SIM, and by the hour, spans this many days at most.
const DAYS_MAX: i64 = 31;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Sim,
    Fleet,
    Network,
    Country,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Granularity {
    Hour,
    Day,
    All,
}

/// What is asked for.
struct Query {
    /// The inner `None` is a SIM or fleet that the account does not have.
    sim: Option<Option<SimSid>>,
    fleet: Option<Option<FleetSid>>,
    network: Option<NetworkSid>,
    country: Option<Country>,
    group: Option<Group>,
    granularity: Granularity,
    start: Timestamp,
    end: Timestamp,
}

/// One of the times that records are made for.
struct Bucket {
    hours: Range<Hour>,
    start: Timestamp,
    end: Timestamp,
}

/// What a record is about, in the order that records of one time stand in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct About {
    sim: Option<SimSid>,
    fleet: Option<FleetSid>,
    network: Option<NetworkSid>,
    country: Option<Country>,
}

/// Where a page begins: which time, and which SIM or record of it.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    bucket: usize,
    position: usize,
}

impl ServiceState {
    pub(super) fn list_usage(
        &self,
        config: &ServiceConfig,
        call: &Call,
        now: Timestamp,
    ) -> Result<Answer, ApiError> {
        let asked = Asked::read(call, USAGE_PAGE_SIZE_MAX)?;
        let query = self.query(call, now)?;
        let buckets = query.buckets();
        let list = List { book: &self.usage, query: &query, buckets: &buckets, config };
        let mut cursor = match &asked.token {
            None => Cursor::default(),
            Some(token) => Cursor::parse(token).ok_or(ApiError::bad_parameter("PageToken"))?,
        };
        let pages_before = if asked.token.is_some() { 0 } else { asked.number() };
        for _ in 0..pages_before {
            let (_, next) = list.page(cursor, asked.size);
            let Some(next) = next else {
                return Ok(asked.answer(call, "usage_records", Slice::empty()));
            };
            cursor = next;
        }
        let (items, next) = list.page(cursor, asked.size);
        let slice = Slice { items, next: next.map(Cursor::text) };
        Ok(asked.answer(call, "usage_records", slice))
    }

    fn query(&self, call: &Call, now: Timestamp) -> Result<Query, ApiError> {
        let wrong = || ApiError::usage(83600);
        let time = |name| call.field(name).map(str::parse::<Timestamp>).transpose();
        let group = match call.field("Group") {
            None => None,
            Some("sim") => Some(Group::Sim),
            Some("fleet") => Some(Group::Fleet),
            Some("network") => Some(Group::Network),
            Some("isoCountry") => Some(Group::Country),
            Some(_) => return Err(wrong()),
        };
        let granularity = match call.field("Granularity") {
            None | Some("all") => Granularity::All,
            Some("day") => Granularity::Day,
            Some("hour") => Granularity::Hour,
            Some(_) => return Err(wrong()),
        };
        let network = call.field("Network").map(str::parse).transpose();
        let country = call.field("IsoCountry").map(str::parse).transpose();
        let (start, end) = (time("StartTime"), time("EndTime"));
        let (start, end) = (start.map_err(|_| wrong())?, end.map_err(|_| wrong())?);
        for given in [start, end].into_iter().flatten() {
            granularity.check_alignment(given)?;
        }
        let end = end.unwrap_or(now);
        let start = start.or_else(|| before(end, 1.month())).ok_or_else(wrong)?;
        let query = Query {
            sim: call.field("Sim").map(|name| name.parse().ok().or_else(|| self.by_name(name))),
            fleet: call.field("Fleet").map(|name| {
                let parsed = name.parse().ok();
                parsed.or_else(|| self.fleet_named(name))
            }),
            network: network.map_err(|_| wrong())?,
            country: country.map_err(|_| wrong())?,
            group,
            granularity,
            start,
            end,
        };
        query.check_span(now)?;
        Ok(query)
    }
}

impl Granularity {
    fn check_alignment(self, time: Timestamp) -> Result<(), ApiError> {
        let hour = Hour::of(time);
        match self {
            Self::Hour if hour.start() != time => Err(ApiError::usage(83602)),
            Self::Day if Window::of_day(hour).start() != time => Err(ApiError::usage(83601)),
            Self::Hour | Self::Day | Self::All => Ok(()),
        }
    }
}

impl Query {
    fn check_span(&self, now: Timestamp) -> Result<(), ApiError> {
        if self.start >= self.end {
            return Err(ApiError::usage(83600));
        }
        let today = Window::of_day(Hour::of(now)).start();
        if before(today, 18.months()).is_none_or(|earliest| self.start < earliest) {
            return Err(ApiError::usage(83605));
        }
        let days_31 = SignedDuration::from_hours(DAYS_MAX.saturating_mul(24));
        let is_long = self.end.duration_since(self.start) > days_31;
        if self.group == Some(Group::Sim) && is_long {
            return Err(ApiError::usage(83603));
        }
        let is_too_long = match self.granularity {
            Granularity::Hour => is_long,
            Granularity::Day => before(self.end, 3.months()).is_none_or(|at| self.start < at),
            Granularity::All => before(self.end, 18.months()).is_none_or(|at| self.start < at),
        };
        if is_too_long { Err(ApiError::usage(83604)) } else { Ok(()) }
    }

    /// The times that records are made for, newest first, as in the description's examples. Only
    /// times that the service chose itself may begin or end within an hour or day.
    fn buckets(&self) -> Vec<Bucket> {
        let all = Hour::of(self.start)..Hour::ending_at(self.end).after();
        if self.granularity == Granularity::All {
            return vec![Bucket { hours: all, start: self.start, end: self.end }];
        }
        let mut buckets = Vec::new();
        let mut next = all.start;
        while next < all.end {
            let window = match self.granularity {
                Granularity::Day => Window::of_day(next),
                Granularity::Hour | Granularity::All => Window::of_hour(next),
            };
            next = window.hours.end;
            let (start, end) = (window.start(), window.end());
            buckets.push(Bucket { hours: window.hours, start, end });
        }
        buckets.reverse();
        buckets
    }

    fn takes(&self, cell: &Cell) -> bool {
        self.fleet.is_none_or(|fleet| fleet == Some(cell.fleet))
            && self.network.is_none_or(|network| network == cell.usage.network)
            && self.country.is_none_or(|country| country == cell.usage.country)
    }

    /// What a record says that it is about: what was filtered by, and what it is grouped by.
    fn about(&self, sim: Option<SimSid>, cell: &Cell) -> About {
        let by = |group| self.group == Some(group);
        About {
            sim: sim.filter(|_| self.sim.is_some() || by(Group::Sim)),
            fleet: Some(cell.fleet).filter(|_| self.fleet.is_some() || by(Group::Fleet)),
            network: Some(cell.usage.network)
                .filter(|_| self.network.is_some() || by(Group::Network)),
            country: Some(cell.usage.country)
                .filter(|_| self.country.is_some() || by(Group::Country)),
        }
    }
}

impl Cursor {
    fn text(self) -> String {
        format!("{}.{}", self.bucket, self.position)
    }

    fn parse(text: &str) -> Option<Self> {
        let (bucket, position) = text.split_once('.')?;
        Some(Self { bucket: bucket.parse().ok()?, position: position.parse().ok()? })
    }
}

/// The list that a query asks for, of which only pages are ever made.
struct List<'a> {
    book: &'a UsageBook,
    query: &'a Query,
    buckets: &'a [Bucket],
    config: &'a ServiceConfig,
}

impl List<'_> {
    /// So many records from there on, and where the next page begins.
    fn page(&self, from: Cursor, size: usize) -> (Vec<Value>, Option<Cursor>) {
        if self.query.sim == Some(None) || self.query.fleet == Some(None) {
            return (Vec::new(), None);
        }
        let mut page = PageUnderWay { records: Vec::new(), size, looked_at: 0 };
        let mut position = from.position;
        for (index, bucket) in self.buckets.iter().enumerate().skip(from.bucket) {
            let stopped = if self.query.group == Some(Group::Sim) && self.query.sim.is_none() {
                self.by_sim(bucket, position, &mut page)
            } else {
                self.summed(bucket, position, &mut page)
            };
            if let Some(position) = stopped {
                return (page.records, Some(Cursor { bucket: index, position }));
            }
            position = 0;
        }
        (page.records, None)
    }

    /// Records of each SIM in its turn; where it stopped when the page was full.
    fn by_sim(&self, bucket: &Bucket, from: usize, page: &mut PageUnderWay) -> Option<usize> {
        let mut position = from;
        while let Some(subject) = self.book.subject(position) {
            if page.looked_at >= LOOKED_AT_MAX {
                return Some(position);
            }
            let subject = subject.filter(|subject| self.may_have_usage(subject));
            if let Some(subject) = subject {
                let cells = self.book.cells(subject, &bucket.hours);
                page.looked_at = page.looked_at.saturating_add(bucket.hour_count());
                for (about, usage) in self.sums(Some(subject.sim), cells) {
                    if page.is_full() {
                        return Some(position);
                    }
                    page.records.push(self.record(bucket, &about, &usage));
                }
            } else {
                page.looked_at = page.looked_at.saturating_add(1);
            }
            position = position.saturating_add(1);
        }
        None
    }

    fn may_have_usage(&self, subject: &Subject) -> bool {
        let own = subject.source_fleet();
        own.is_none_or(|own| self.query.fleet.is_none_or(|fleet| fleet == Some(own)))
    }

    /// Records of all SIMs together, or of the one that was asked for.
    fn summed(&self, bucket: &Bucket, from: usize, page: &mut PageUnderWay) -> Option<usize> {
        let sums = match self.query.sim.flatten() {
            Some(sim) => self.sums(Some(sim), self.book.cells(Subject::of(sim), &bucket.hours)),
            None => {
                let fleet = self.query.fleet.flatten();
                self.sums(None, self.book.all_cells(fleet, &bucket.hours))
            }
        };
        for (position, (about, usage)) in sums.iter().enumerate().skip(from) {
            if page.is_full() {
                return Some(position);
            }
            page.records.push(self.record(bucket, about, usage));
        }
        None
    }

    fn sums(
        &self,
        sim: Option<SimSid>,
        cells: impl Iterator<Item = Cell>,
    ) -> BTreeMap<About, Usage> {
        let mut sums: BTreeMap<About, Usage> = BTreeMap::new();
        for cell in cells.filter(|cell| self.query.takes(cell)) {
            let about = self.query.about(sim, &cell);
            sums.entry(about).and_modify(|sum| sum.add(&cell.usage)).or_insert(cell.usage);
        }
        sums
    }

    fn record(&self, bucket: &Bucket, about: &About, usage: &Usage) -> Value {
        json!({
            "account_sid": self.config.account_sid,
            "sim_sid": about.sim,
            "network_sid": about.network,
            "fleet_sid": about.fleet,
            "iso_country": about.country,
            "period": { "start_time": instant(bucket.start), "end_time": instant(bucket.end) },
            "data_upload": usage.up,
            "data_download": usage.down,
            "data_total": usage.up.saturating_add(usage.down),
            "data_total_billed": usage.billed_micros.map(amount),
            "billed_unit": usage.billed_micros.map(|_| "USD"),
        })
    }
}

/// A page's records so far.
struct PageUnderWay {
    records: Vec<Value>,
    size: usize,
    looked_at: usize,
}

impl PageUnderWay {
    fn is_full(&self) -> bool {
        self.records.len() >= self.size
    }
}

impl Bucket {
    fn hour_count(&self) -> usize {
        let hours = self.hours.end.start().duration_since(self.hours.start.start()).as_hours();
        usize::try_from(hours).unwrap_or(usize::MAX)
    }
}

/// Millionths as a JSON number.
fn amount(micros: i64) -> Value {
    let sign = if micros < 0 { "-" } else { "" };
    let (units, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    serde_json::from_str(&format!("{sign}{units}.{rest:06}")).unwrap_or_default()
}

/// So much earlier by the calendar of UTC.
fn before(time: Timestamp, span: Span) -> Option<Timestamp> {
    Some(time.to_zoned(TimeZone::UTC).checked_sub(span).ok()?.timestamp())
}
