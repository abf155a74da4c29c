//! A function that is killed in the middle of a page: the next one goes on, and nothing is counted
//! twice or lost.

use std::collections::BTreeMap;
use std::time::Duration;

use simfuse_domain::id::SimSid;
use simfuse_domain::port::{Recorded, UsageStore as _, UsageWindow};
use simfuse_domain::time::Hour;

use crate::Failure;
use crate::fleet;
use crate::stage::{self, Measured, Scene, Stage};
use crate::world::{Function, World};

/// The killed invocation's time: its lease lasts as long, and 30 s before its end a run stops by
/// itself.
const FIRST_TIME: Duration = Duration::from_secs(50);

/// SIMs read back together.
const SIMS_AT_ONCE: u64 = 1_000;

/// What closing an hour leaves.
#[derive(Debug, PartialEq)]
struct Left {
    recorded: BTreeMap<SimSid, Recorded>,
    sims: u64,
    bytes: u64,
}

/// How it went.
pub(crate) struct Resumed {
    /// SIMs whose hour was closed when the function was killed.
    pub(crate) closed_before: usize,
    /// The run that went on.
    pub(crate) rest: Measured,
    /// SIMs of the fleet's total in the end.
    pub(crate) sims: u64,
    /// Bytes of the fleet's total in the end.
    pub(crate) bytes: u64,
}

/// Closes an hour undisturbed, and once more with a kill in its middle; fails unless both leave the
/// same of every SIM and of the fleet.
pub(crate) async fn kill_and_resume(sims: u64) -> Result<Resumed, Failure> {
    let scene = Scene::of(Stage::Close, sims);
    let undisturbed = {
        let (world, provider) = Box::pin(scene.build()).await?;
        let function = Function::start(&world, &provider).await?;
        stage::run(&world, &function, Stage::Close, sims).await?;
        left(&world, sims, scene.hour).await?
    };
    let (world, provider) = Box::pin(scene.build()).await?;
    let mut function = Function::start(&world, &provider).await?;
    // Half of the SIMs and half a page: the page's other batches are on their way.
    let sprung = world.meter.trap(sims / 2 + 124);
    tokio::select! {
        answer = function.invoke(FIRST_TIME) => {
            return Err(format!("it ended before it was killed: {answer:?}").into());
        }
        sprung = sprung => sprung?,
    }
    function.kill()?;
    world.meter.release();
    let half = recorded(&world, sims, scene.hour).await?;
    let is_closed = |one: &&Recorded| {
        one.usage.as_ref().is_some_and(|usage| usage.closed_through() == Some(scene.hour))
    };
    let closed_before = half.values().filter(is_closed).count();
    if closed_before == 0 || u64::try_from(closed_before)? >= sims {
        return Err(format!("killed when {closed_before} of {sims} SIMs were closed").into());
    }
    let function = Function::start(&world, &provider).await?;
    let rest = stage::run(&world, &function, Stage::Close, sims).await?;
    let resumed = left(&world, sims, scene.hour).await?;
    if resumed != undisturbed {
        return Err("what is left after a kill differs from an undisturbed run".into());
    }
    Ok(Resumed { closed_before, rest, sims: resumed.sims, bytes: resumed.bytes })
}

async fn left(world: &World, sims: u64, hour: Hour) -> Result<Left, Failure> {
    let recorded = recorded(world, sims, hour).await?;
    let (sims, bytes) = world.fleet_total(hour).await?;
    let each = recorded.values().filter_map(|one| Some(one.usage.as_ref()?.bytes_in(hour).0));
    if each.sum::<u64>() != bytes {
        return Err(format!("the SIMs' hours do not add up to the fleet's {bytes} bytes").into());
    }
    Ok(Left { recorded, sims, bytes })
}

async fn recorded(
    world: &World,
    sims: u64,
    hour: Hour,
) -> Result<BTreeMap<SimSid, Recorded>, Failure> {
    let mut all = BTreeMap::new();
    let mut from = 0;
    while from < sims {
        let to = sims.min(from + SIMS_AT_ONCE);
        let some: Vec<SimSid> = (from..to).map(fleet::sim).collect();
        all.extend(world.table.read_recorded(&UsageWindow::Hour(hour), &some).await?);
        from = to;
    }
    Ok(all)
}
