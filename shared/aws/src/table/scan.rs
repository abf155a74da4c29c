//! All SIMs of the table at once, for an operator's machine. No function may scan.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{Stream, stream};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::id::SimSid;
use simfuse_domain::port::{Sim, TableError, UsageRecord};
use simfuse_domain::time::Hour;

use super::Table;
use super::error::table_error;
use super::item::{Item, Row};
use super::usages::{read_sim, sim_of};

/// Parts of the table that are read at the same time.
const SEGMENTS: i32 = 4;

/// How the sort keys of what SIMs used in an hour begin.
const HOUR: &str = "HOUR#";

/// The sort key of a SIM in the inventory.
const INVENTORY: &str = "SIM";

/// How the partitions of what events say of a SIM begin.
const EVENTS: &str = "EV#";

/// What one page of a scan held of SIMs.
#[derive(Debug, Default)]
pub struct ScanPage {
    /// What SIMs used in all, by the hour, as the usage records said it last.
    pub records: Vec<UsageRecord>,
    /// SIMs of which there are events.
    pub sims: Vec<SimSid>,
    /// SIMs as the inventory has them.
    pub inventory: Vec<Sim>,
    /// Items that cannot be read, each with the reason.
    pub unread: Vec<String>,
    /// Items that were looked at for it.
    pub scanned: u64,
}

impl Table {
    /// How many items the table holds and how many bytes, by a count that is some hours old.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn size(&self) -> Result<(u64, Bytes), TableError> {
        let answer = self.client.describe_table().table_name(&self.name).send().await;
        let answer = answer.map_err(|error| table_error("describing the table", error))?;
        let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let (items, bytes) =
            answer.table.map_or((None, None), |table| (table.item_count, table.table_size_bytes));
        Ok((number(items).unwrap_or(0), Bytes(number(bytes).unwrap_or(0))))
    }

    /// Reads what SIMs used in each hour that is kept, and which SIMs had events, in any order: the
    /// whole table goes by for it.
    pub fn scan_sims(&self) -> impl Stream<Item = Result<ScanPage, TableError>> + '_ {
        stream::select_all((0..SEGMENTS).map(|segment| Box::pin(self.scan_segment(segment))))
    }

    fn scan_segment(&self, segment: i32) -> impl Stream<Item = Result<ScanPage, TableError>> + '_ {
        stream::try_unfold(Some(None), move |from| async move {
            let Some(from) = from else { return Ok(None) };
            let (page, next) = Box::pin(self.scan_page(segment, from)).await?;
            Ok(Some((page, next.map(Some))))
        })
    }

    async fn scan_page(
        &self,
        segment: i32,
        from: Option<Item>,
    ) -> Result<(ScanPage, Option<Item>), TableError> {
        let wanted =
            "begins_with(pk, :usage) AND (begins_with(sk, :hour) OR sk = :sim) OR sk = :state";
        let read = "pk, sk, #fleet, #total, #status, iccid, unique_name";
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let request = self
            .client
            .scan()
            .table_name(&self.name)
            .segment(segment)
            .total_segments(SEGMENTS)
            .set_exclusive_start_key(from)
            .filter_expression(wanted)
            .projection_expression(read)
            .expression_attribute_names("#fleet", "fleet")
            .expression_attribute_names("#total", "total")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":sim", text(INVENTORY))
            .expression_attribute_values(":hour", text(HOUR))
            .expression_attribute_values(":usage", text("US#"))
            .expression_attribute_values(":state", text("STATE"));
        let answer = request.send().await;
        let answer = answer.map_err(|error| table_error("reading the whole table", error))?;
        let scanned = u64::try_from(answer.scanned_count).unwrap_or(0);
        let mut page = ScanPage { scanned, ..ScanPage::default() };
        for item in answer.items.unwrap_or_default() {
            if let Err(error) = page.add(Row(&item)) {
                page.unread.push(error.to_string());
            }
        }
        Ok((page, answer.last_evaluated_key))
    }
}

impl ScanPage {
    fn add(&mut self, row: Row<'_>) -> Result<(), TableError> {
        if let Some(sim) = row.text("pk")?.strip_prefix(EVENTS) {
            self.sims.push(sim.parse().map_err(|error| row.fault_from("pk", error))?);
            return Ok(());
        }
        if row.text("sk")? == INVENTORY {
            self.inventory.push(read_sim(row)?);
            return Ok(());
        }
        let name = row.text("sk")?.trim_start_matches(HOUR);
        let hour: Hour = name.parse().map_err(|error| row.fault_from("sk", error))?;
        self.records.push(UsageRecord {
            sim: Some(sim_of(row)?),
            fleet: row.maybe_parsed("fleet")?,
            network: None,
            country: None,
            from: hour.start(),
            to: hour.end(),
            up: None,
            down: None,
            total: Some(Bytes(row.number("total")?)),
            billed: None,
        });
        Ok(())
    }
}
