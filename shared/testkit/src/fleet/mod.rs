//! A small fleet of river sensors, and thieves, in virtual time.
//!
//! A sensor wakes every hour, sends some 20 to 120 kB and sleeps again. A thief streams video with
//! one's SIM for as long as the network lets it. Both ask the simulated service, so a deactivation
//! is felt as that SIM's behaviour there says: events stop, sessions end, attachments are refused.
//! What happens is told in the provider's own JSON. Everything follows from the seed.

mod event;
mod identity;
#[cfg(test)]
mod tests;
mod unit;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use simfuse_domain::device::Tac;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{Sim, SimStatus};

use crate::service::SuperSimService;
use event::{Common, Happening};
use unit::Unit;

pub use crate::cloud_event::Envelope;
pub(crate) use event::Volume;
pub(crate) use identity::with_luhn_digit;

/// What a fleet is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetConfig {
    /// Number of SIMs; above a million the sensors' serial numbers repeat, having six digits.
    pub sims: u32,
    /// What all that is random follows from.
    pub seed: u64,
    /// When the fleet is switched on; each sensor's first wake falls in the hour after it.
    pub start: Timestamp,
    /// The fleet that the SIMs belong to.
    pub fleet_sid: FleetSid,
    /// The sensors' model.
    pub tac: Tac,
    /// The model of the tablets that thieves use.
    pub tablet_tac: Tac,
    /// Whose stream the events come from.
    pub envelope: Envelope,
}

/// How a thief uses a stolen SIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theft {
    /// In a tablet, which shows its own IMEI.
    Tablet,
    /// In a device that shows the sensor's IMEI.
    SpoofedImei,
}

/// One connection event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmittedEvent {
    /// When it happened.
    pub at: Timestamp,
    /// The SIM it happened to.
    pub sim: SimSid,
    /// The CloudEvent; [`batch_body`] makes a request body of several.
    pub json: String,
}

/// One SIM of the fleet, as printed on its card and known to its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSim<'a> {
    /// Its SID.
    pub sid: SimSid,
    /// 19 digits.
    pub iccid: &'a str,
    /// `river-001` and so on.
    pub unique_name: &'a str,
    /// The sensor's IMEI, 15 digits.
    pub imei: &'a str,
}

/// The fleet was asked about a SIM that is none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{sim} does not belong to the simulated fleet")]
pub struct UnknownSim {
    /// The SIM.
    pub sim: SimSid,
}

/// The fleet, up to some moment of virtual time.
#[derive(Debug)]
pub struct Fleet {
    service: SuperSimService,
    common: Common,
    now: Timestamp,
    /// In the order of their unique names.
    units: Vec<Unit>,
    by_sid: BTreeMap<SimSid, usize>,
    /// When something happens next to each unit.
    agenda: BTreeSet<(Timestamp, usize)>,
}

/// A body for the webhook: a JSON array of events, as both providers post them.
#[must_use]
pub fn batch_body(events: &[EmittedEvent]) -> String {
    let length: usize = events.iter().map(|event| event.json.len().saturating_add(1)).sum();
    let mut body = String::with_capacity(length.saturating_add(2));
    body.push('[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&event.json);
    }
    body.push(']');
    body
}

impl Fleet {
    /// Builds the fleet and adds it, with all its SIMs active, to the service.
    #[must_use]
    pub fn new(config: &FleetConfig, service: SuperSimService) -> Self {
        service.add_fleet(config.fleet_sid, "river");
        let units: Vec<Unit> = (0..config.sims).map(|index| Unit::new(index, config)).collect();
        for unit in &units {
            service.add_sim(Sim {
                sid: unit.identity.sid,
                iccid: unit.identity.iccid.parse().ok(),
                unique_name: Some(unit.identity.unique_name.clone()),
                status: SimStatus::Active,
                fleet: Some(config.fleet_sid),
            });
        }
        let account_sid = service.account_sid().to_owned();
        let common = Common { envelope: config.envelope, account_sid, fleet: config.fleet_sid };
        let numbered = || units.iter().enumerate();
        let by_sid = numbered().map(|(index, unit)| (unit.identity.sid, index)).collect();
        let agenda = numbered().map(|(index, unit)| (unit.next_at(), index)).collect();
        Self { service, common, now: config.start, units, by_sid, agenda }
    }

    /// The moment up to which everything has been told.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The SIMs, in the order of their unique names.
    pub fn sims(&self) -> impl ExactSizeIterator<Item = FleetSim<'_>> {
        self.units.iter().map(|unit| FleetSim {
            sid: unit.identity.sid,
            iccid: &unit.identity.iccid,
            unique_name: &unit.identity.unique_name,
            imei: &unit.identity.sensor_imei,
        })
    }

    /// Lets time pass up to and including `to`, and tells what happened, in order. The service's
    /// clock should show `to` as well: what is done there afterwards is felt from then on.
    pub fn advance(&mut self, to: Timestamp) -> Vec<EmittedEvent> {
        self.look_at_lines(to);
        let mut events = Vec::new();
        while let Some((at, index)) = self.agenda.first().copied().filter(|(at, _)| *at <= to) {
            self.agenda.remove(&(at, index));
            let Some(unit) = self.units.get_mut(index) else { continue };
            let (at, told) = unit.step(&self.service, to);
            if let Some(happening) = told {
                events.push(emit(&self.common, unit, at, happening));
            }
            self.agenda.insert((unit.next_at(), index));
        }
        self.now = self.now.max(to);
        events
    }

    /// Lets a SIM be stolen: from `at`, or from now when that is past, its sensor is silent.
    ///
    /// # Errors
    /// When the SIM is none of the fleet's.
    pub fn steal(&mut self, sim: SimSid, at: Timestamp, theft: Theft) -> Result<(), UnknownSim> {
        let at = at.max(self.now);
        self.change(sim, |unit| unit.steal(at, theft))
    }

    /// Puts a SIM back into its sensor now; no theft of it is to come any more.
    ///
    /// # Errors
    /// When the SIM is none of the fleet's.
    pub fn return_sim(&mut self, sim: SimSid) -> Result<(), UnknownSim> {
        let now = self.now;
        self.change(sim, |unit| unit.give_back(now))
    }

    /// Bytes that thieves have carried over a SIM until now, reported or not: the truth that a
    /// detector's count is held against.
    #[must_use]
    pub fn bytes_used_by_thief(&self, sim: SimSid) -> u64 {
        let unit = self.by_sid.get(&sim).and_then(|index| self.units.get(*index));
        unit.map_or(0, |unit| unit.stolen_bytes(self.now))
    }

    fn change(&mut self, sim: SimSid, change: impl FnOnce(&mut Unit)) -> Result<(), UnknownSim> {
        let index = *self.by_sid.get(&sim).ok_or(UnknownSim { sim })?;
        let unit = self.units.get_mut(index).ok_or(UnknownSim { sim })?;
        self.agenda.remove(&(unit.next_at(), index));
        change(unit);
        self.agenda.insert((unit.next_at(), index));
        Ok(())
    }

    /// Takes what was done at the service since the last time into every unit's next step.
    fn look_at_lines(&mut self, to: Timestamp) {
        for (index, unit) in self.units.iter_mut().enumerate() {
            let before = unit.next_at();
            unit.look_at_line(&self.service, to);
            let after = unit.next_at();
            if after != before {
                self.agenda.remove(&(before, index));
                self.agenda.insert((after, index));
            }
        }
    }
}

fn emit(common: &Common, unit: &mut Unit, at: Timestamp, happening: Happening) -> EmittedEvent {
    let event_sid = unit.draw_event_sid();
    let json = event::json(common, &unit.identity, unit.device(), event_sid, at, happening);
    EmittedEvent { at, sim: unit.identity.sid, json }
}
