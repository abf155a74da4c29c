//! What an event costs: the webhook's own intake on the counted table, an hour of simulated sensors,
//! each event in a request of its own.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use simfuse_testkit::clock::ManualClock;
use simfuse_testkit::fleet::{Envelope, Fleet, FleetConfig, batch_body};
use simfuse_testkit::service::{ServiceConfig, SuperSimService};
use simfuse_webhook::intake::{Intake, Receipt};

use crate::Failure;
use crate::fleet;
use crate::meter::Tally;
use crate::world::World;

/// Sensors.
const SIMS: u32 = 240;

/// Hours before the one that is measured: past the horizon of 26, states are as long as they get.
const HOURS_BEFORE: i64 = 30;

/// Events of a request while the hours before pass.
const EVENTS_PER_REQUEST: usize = 200;

/// What was measured.
pub(crate) struct Events {
    pub(crate) events: u64,
    pub(crate) sims: u32,
    pub(crate) tally: Tally,
}

/// Takes the events of one hour.
pub(crate) async fn measure() -> Result<Events, Failure> {
    let world = World::new().await?;
    let intake = Intake::new(world.counted_table(), Receipt::Live);
    let start: Timestamp = "2026-03-01T00:00:00Z".parse()?;
    let service = ServiceConfig {
        account_sid: fleet::ACCOUNT.to_owned(),
        auth_token: "bench".to_owned(),
        client_id: "bench".to_owned(),
        client_secret: "bench".to_owned(),
    };
    let service = SuperSimService::new(service, Arc::new(ManualClock::new(start)));
    let config = FleetConfig {
        sims: SIMS,
        seed: 7,
        start,
        fleet_sid: fleet::fleet(),
        tac: "35378572".parse()?,
        tablet_tac: "35925406".parse()?,
        envelope: Envelope::Twilio,
    };
    let mut sensors = Fleet::new(&config, service);
    let hour = SignedDuration::from_hours(1);
    for _ in 0..HOURS_BEFORE {
        let until = sensors.now().checked_add(hour)?;
        for events in sensors.advance(until).chunks(EVENTS_PER_REQUEST) {
            Box::pin(intake.take(batch_body(events).as_bytes(), until)).await?;
        }
    }
    world.meter.take();
    let emitted = sensors.advance(sensors.now().checked_add(hour)?);
    let mut events = 0;
    for event in &emitted {
        let received_at = event.at.checked_add(SignedDuration::from_secs(2))?;
        let body = batch_body(std::slice::from_ref(event));
        let taken = Box::pin(intake.take(body.as_bytes(), received_at)).await?;
        events += u64::from(taken.applied > 0);
    }
    if events == 0 {
        return Err("the sensors sent nothing".into());
    }
    Ok(Events { events, sims: SIMS, tally: world.meter.take() })
}
