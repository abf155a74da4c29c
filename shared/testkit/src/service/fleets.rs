//! Fleets, networks and billing periods.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::network::Plmn;
use simfuse_domain::port::{Fleet, Network, SimStatus};

use super::answer::{Answer, ApiError, instant};
use super::http::Call;
use super::page::{Asked, PAGE_SIZE_MAX};
use super::sim::SimRecord;
use super::{ServiceConfig, State as ServiceState};

/// Megabytes a SIM and billing period that a fleet begins with.
pub const DATA_LIMIT_MB: u32 = 250;

/// The largest data limit that the API takes (OpenAPI description).
const DATA_LIMIT_MB_MAX: u32 = 2_000_000;

#[derive(Debug, Clone)]
pub(super) struct FleetRecord {
    pub(super) fleet: Fleet,
    created: Timestamp,
    updated: Timestamp,
}

impl FleetRecord {
    pub(super) fn new(sid: FleetSid, unique_name: &str, now: Timestamp) -> Self {
        let fleet = Fleet {
            sid,
            unique_name: Some(unique_name.to_owned()),
            data_enabled: Some(true),
            data_limit_mb: Some(DATA_LIMIT_MB),
        };
        Self { fleet, created: now, updated: now }
    }
}

impl ServiceState {
    pub(super) fn list_fleets(
        &self,
        config: &ServiceConfig,
        call: &Call,
    ) -> Result<Answer, ApiError> {
        let asked = Asked::read(call, PAGE_SIZE_MAX)?;
        // Each fleet has a network access profile of its own.
        let is_wanted = |record: &&FleetRecord| {
            let wanted = call.field("NetworkAccessProfile");
            wanted.is_none_or(|profile| profile == access_profile(record.fleet.sid))
        };
        let fleets = self.fleets.values().filter(is_wanted);
        let fleets = fleets.map(|record| fleet_json(record, config, call)).collect();
        Ok(asked.answer(call, "fleets", asked.of_all(fleets)?))
    }

    pub(super) fn fetch_fleet(&self, config: &ServiceConfig, call: &Call, name: &str) -> Answer {
        match self.fleet_named(name).and_then(|sid| self.fleets.get(&sid)) {
            Some(record) => Answer::ok(fleet_json(record, config, call)),
            None => ApiError::not_found(&call.path).into(),
        }
    }

    /// Changes name and data limit; what else a fleet has is taken and not kept.
    pub(super) fn update_fleet(
        &mut self,
        config: &ServiceConfig,
        call: &Call,
        name: &str,
        now: Timestamp,
    ) -> Result<Answer, ApiError> {
        let sid = self.fleet_named(name).ok_or_else(|| ApiError::not_found(&call.path))?;
        let limit = call.field("DataLimit").map(|text| match text.parse::<u32>() {
            Ok(limit) if (1..=DATA_LIMIT_MB_MAX).contains(&limit) => Ok(limit),
            Ok(_) | Err(_) => Err(ApiError::bad_parameter("DataLimit")),
        });
        let limit = limit.transpose()?;
        let unique_name = call.field("UniqueName").map(str::to_owned);
        let holder = unique_name.as_deref().and_then(|name| self.fleet_named(name));
        if holder.is_some_and(|holder| holder != sid) {
            return Err(ApiError::unique_name_taken());
        }
        let record = self.fleets.get_mut(&sid).ok_or_else(|| ApiError::not_found(&call.path))?;
        record.updated = now;
        record.fleet.data_limit_mb = limit.or(record.fleet.data_limit_mb);
        if unique_name.is_some() {
            record.fleet.unique_name = unique_name.filter(|name| !name.is_empty());
        }
        Ok(Answer::ok(fleet_json(record, config, call)))
    }

    pub(super) fn list_networks(&self, call: &Call) -> Result<Answer, ApiError> {
        let asked = Asked::read(call, PAGE_SIZE_MAX)?;
        let (country, mcc, mnc) = (call.field("IsoCountry"), call.field("Mcc"), call.field("Mnc"));
        let has_plmn = |network: &Network| {
            let mut plmns = network.plmns.iter().map(codes);
            plmns.any(|(own_mcc, own_mnc)| {
                mcc.is_none_or(|mcc| mcc == own_mcc) && mnc.is_none_or(|mnc| mnc == own_mnc)
            })
        };
        let is_in = |country: &str, network: &Network| {
            network.country.is_some_and(|own| own.to_string().eq_ignore_ascii_case(country))
        };
        let networks = self.networks.values();
        let networks = networks
            .filter(|network| country.is_none_or(|country| is_in(country, network)))
            .filter(|network| (mcc.is_none() && mnc.is_none()) || has_plmn(network))
            .map(|network| network_json(network, call))
            .collect();
        Ok(asked.answer(call, "networks", asked.of_all(networks)?))
    }

    /// The current period, or the one that was set: a calendar month of UTC unless it was. A SIM
    /// that is new has none.
    pub(super) fn list_periods(
        &self,
        config: &ServiceConfig,
        call: &Call,
        sim: Option<SimSid>,
        now: Timestamp,
    ) -> Result<Answer, ApiError> {
        let record = sim.and_then(|sim| self.sims.get(&sim));
        let record = record.ok_or_else(|| ApiError::not_found(&call.path))?;
        let asked = Asked::read(call, PAGE_SIZE_MAX)?;
        let period = self.periods.get(&record.sim.sid).copied();
        let period = match (period, record.sim.status) {
            (None, SimStatus::New) => None,
            (period, _) => period.or_else(|| month_of(now)),
        };
        let periods = period.map(|period| period_json(record, config, period));
        let slice = asked.of_all(periods.into_iter().collect())?;
        Ok(asked.answer(call, "billing_periods", slice))
    }

    pub(super) fn fleet_named(&self, name: &str) -> Option<FleetSid> {
        match name.parse() {
            Ok(sid) => self.fleets.contains_key(&sid).then_some(sid),
            Err(_not_a_sid) => {
                let mut fleets = self.fleets.values();
                let named =
                    |record: &&FleetRecord| record.fleet.unique_name.as_deref() == Some(name);
                fleets.find(named).map(|record| record.fleet.sid)
            }
        }
    }
}

/// A SID of another kind with the same digits.
fn with_prefix(prefix: &str, sid: &impl ToString) -> String {
    sid.to_string().chars().skip(2).fold(prefix.to_owned(), |mut text, digit| {
        text.push(digit);
        text
    })
}

fn access_profile(fleet: FleetSid) -> String {
    with_prefix("HA", &fleet)
}

fn codes(plmn: &Plmn) -> (String, String) {
    let text = plmn.to_string();
    let (mcc, mnc) = text.split_once('-').unwrap_or_default();
    (mcc.to_owned(), mnc.to_owned())
}

fn month_of(now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let first = now.to_zoned(TimeZone::UTC).date().first_of_month();
    let next = first.checked_add(1.month()).ok()?;
    let midnight = |date: Date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp());
    Some((midnight(first)?, midnight(next)?))
}

fn fleet_json(record: &FleetRecord, config: &ServiceConfig, call: &Call) -> Value {
    let fleet = &record.fleet;
    json!({
        "account_sid": config.account_sid,
        "sid": fleet.sid,
        "unique_name": fleet.unique_name,
        "date_created": instant(record.created),
        "date_updated": instant(record.updated),
        "url": format!("{}/v1/Fleets/{}", call.origin, fleet.sid),
        "data_enabled": fleet.data_enabled,
        "data_limit": fleet.data_limit_mb,
        "data_metering": "payg",
        "sms_commands_enabled": false,
        "sms_commands_url": null,
        "sms_commands_method": null,
        "network_access_profile_sid": access_profile(fleet.sid),
        "ip_commands_url": null,
        "ip_commands_method": null,
    })
}

fn network_json(network: &Network, call: &Call) -> Value {
    let identifier = |plmn: &Plmn| {
        let (mcc, mnc) = codes(plmn);
        json!({ "mcc": mcc, "mnc": mnc })
    };
    json!({
        "sid": network.sid,
        "friendly_name": network.friendly_name,
        "url": format!("{}/v1/Networks/{}", call.origin, network.sid),
        "iso_country": network.country,
        "identifiers": network.plmns.iter().map(identifier).collect::<Vec<_>>(),
    })
}

fn period_json(
    record: &SimRecord,
    config: &ServiceConfig,
    (start, end): (Timestamp, Timestamp),
) -> Value {
    let kind = if record.sim.status == SimStatus::Ready { "ready" } else { "active" };
    json!({
        "sid": with_prefix("HB", &record.sim.sid),
        "account_sid": config.account_sid,
        "sim_sid": record.sim.sid,
        "start_time": instant(start),
        "end_time": instant(end),
        "period_type": kind,
        "date_created": instant(start),
        "date_updated": instant(start),
    })
}
