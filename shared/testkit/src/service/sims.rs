//! The Sims resource.

use std::ops::Bound;

use axum::http::StatusCode;
use jiff::Timestamp;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{Sim, SimStatus};

use super::answer::{Answer, ApiError, sim_json};
use super::http::Call;
use super::page::{Asked, PAGE_SIZE_MAX, Slice};
use super::sim::{Behaviour, Effect, SimRecord};
use super::{ServiceConfig, State as ServiceState};

/// What an update of a Sim asks for, checked against the Sim.
struct Update {
    status: Option<SimStatus>,
    /// The inner `None` takes the Sim out of its Fleet.
    fleet: Option<Option<FleetSid>>,
    unique_name: Option<String>,
}

impl ServiceState {
    pub(super) fn fetch_sim(
        &self,
        config: &ServiceConfig,
        call: &Call,
        sim: Option<SimSid>,
    ) -> Answer {
        match sim.and_then(|sim| self.sims.get(&sim)) {
            Some(record) => Answer::ok(sim_json(record, &config.account_sid, &call.origin)),
            None => ApiError::not_found(&call.path).into(),
        }
    }

    pub(super) fn list_sims(
        &self,
        config: &ServiceConfig,
        call: &Call,
    ) -> Result<Answer, ApiError> {
        let asked = Asked::read(call, PAGE_SIZE_MAX)?;
        let status = call.field("Status").map(|text| status_named(text).ok_or("Status"));
        let status = status.transpose().map_err(ApiError::bad_parameter)?;
        let fleet = call.field("Fleet").map(|name| self.fleet_named(name));
        let iccid = call.field("Iccid").map(|_| self.sim_named_by(call));
        let (after, skipped) = match &asked.token {
            None => (Bound::Unbounded, asked.skipped()),
            Some(token) => {
                let sim: SimSid =
                    token.parse().map_err(|_not_a_sid| ApiError::bad_parameter("PageToken"))?;
                (Bound::Excluded(sim), 0)
            }
        };
        let mut found = self
            .sims
            .range((after, Bound::Unbounded))
            .map(|(_, record)| record)
            .filter(|record| status.is_none_or(|status| record.sim.status == status))
            .filter(|record| fleet.is_none_or(|fleet| fleet.is_some() && record.sim.fleet == fleet))
            .filter(|record| iccid.is_none_or(|sim| sim == Some(record.sim.sid)))
            .skip(skipped);
        let page: Vec<&SimRecord> = found.by_ref().take(asked.size).collect();
        let last = page.last().map(|record| record.sim.sid.to_string());
        let next = last.filter(|_| found.next().is_some());
        let json = |record: &&SimRecord| sim_json(record, &config.account_sid, &call.origin);
        let slice = Slice { items: page.iter().map(json).collect(), next };
        Ok(asked.answer(call, "sims", slice))
    }

    pub(super) fn update_sim(
        &mut self,
        config: &ServiceConfig,
        call: &Call,
        sim: Option<SimSid>,
        now: Timestamp,
        effect: Effect,
    ) -> Answer {
        match self.checked_update(sim, call) {
            Err(refused) => refused.into(),
            Ok((sim, update)) => {
                self.owe(sim, update.status, call);
                self.apply(sim, update, now, effect).map_or_else(
                    || ApiError::not_found(&call.path).into(),
                    |status| {
                        let mut answer = self.fetch_sim(config, call, Some(sim));
                        answer.status = status;
                        answer
                    },
                )
            }
        }
    }

    /// Does what is asked; a change of status that is not settled at once is `Accepted` (202).
    fn apply(
        &mut self,
        sim: SimSid,
        update: Update,
        now: Timestamp,
        effect: Effect,
    ) -> Option<StatusCode> {
        let record = self.sims.get_mut(&sim)?;
        self.unsettled.insert(sim);
        record.updated = now;
        record.sim.fleet = update.fleet.unwrap_or(record.sim.fleet);
        if update.unique_name.is_some() {
            record.sim.unique_name = update.unique_name.filter(|name| !name.is_empty());
        }
        let Some(target) = update.status else { return Some(StatusCode::OK) };
        record.change_status(target, now, effect);
        Some(match record.behaviour {
            Behaviour::CutAtOnce => StatusCode::OK,
            Behaviour::AtNextAttach | Behaviour::Scheduled { .. } => StatusCode::ACCEPTED,
        })
    }

    pub(super) fn update_late(
        &mut self,
        sim: Option<SimSid>,
        call: &Call,
        due: Timestamp,
    ) -> Result<(), ApiError> {
        let (sim, update) = self.checked_update(sim, call)?;
        if let (Some(record), Some(target)) = (self.sims.get_mut(&sim), update.status) {
            record.change_status_late(target, due);
            self.unsettled.insert(sim);
        }
        Ok(())
    }

    /// Reads an update and checks all of it before any of it is done.
    fn checked_update(
        &self,
        sim: Option<SimSid>,
        call: &Call,
    ) -> Result<(SimSid, Update), ApiError> {
        let record = sim.and_then(|sim| self.sims.get(&sim));
        let record = record.ok_or_else(|| ApiError::not_found(&call.path))?;
        let status = call.field("Status").map(|text| status_named(text).ok_or("Status"));
        let status = status.transpose().map_err(ApiError::bad_parameter)?;
        if status == Some(SimStatus::Scheduled) {
            return Err(ApiError::bad_parameter("Status"));
        }
        if let Some(target) = status {
            record.check_transition(target)?;
        }
        let fleet = self.checked_fleet(&record.sim, status, call)?;
        let unique_name = call.field("UniqueName").map(str::to_owned);
        let holder = unique_name.as_deref().and_then(|name| self.by_name(name));
        if holder.is_some_and(|holder| holder != record.sim.sid) {
            return Err(ApiError::unique_name_taken());
        }
        Ok((record.sim.sid, Update { status, fleet, unique_name }))
    }

    /// The Fleet that an update asks for; an empty name takes the Sim out of its Fleet. One that may
    /// connect, before and after, has to keep its Fleet.
    fn checked_fleet(
        &self,
        sim: &Sim,
        status: Option<SimStatus>,
        call: &Call,
    ) -> Result<Option<Option<FleetSid>>, ApiError> {
        let wanted = match call.field("Fleet") {
            None => None,
            Some("") => Some(None),
            Some(name) => Some(Some(self.fleet_named(name).ok_or_else(ApiError::fleet_unknown)?)),
        };
        if wanted.is_some() && sim.status == SimStatus::Scheduled {
            return Err(ApiError::fleet_fixed_while_scheduled());
        }
        let connects = |status| matches!(status, SimStatus::Ready | SimStatus::Active);
        let may_connect = connects(status.unwrap_or(sim.status));
        if may_connect && connects(sim.status) && wanted.is_some_and(|fleet| fleet != sim.fleet) {
            return Err(ApiError::fleet_kept());
        }
        if may_connect && wanted.unwrap_or(sim.fleet).is_none() {
            let leaves = sim.fleet.is_some();
            return Err(if leaves { ApiError::fleet_kept() } else { ApiError::fleet_needed() });
        }
        Ok(wanted)
    }
}

/// A status by its name; `None` for what is none.
pub(super) fn status_named(text: &str) -> Option<SimStatus> {
    Some(match text {
        "new" => SimStatus::New,
        "ready" => SimStatus::Ready,
        "active" => SimStatus::Active,
        "inactive" => SimStatus::Inactive,
        "scheduled" => SimStatus::Scheduled,
        _ => return None,
    })
}
