//! `simfuse drill`: a simulated fleet, six thefts, and what SimFuse does about them, through the
//! functions' own handlers, over HTTP, with a table of DynamoDB's semantics.

mod report;
mod world;

use std::time::Instant;

use crate::error::CliError;
use crate::output::Output;
use report::Report;
use world::World;

/// Runs the drill; 0 only if every rogue SIM is proven dead, restored, and no other was touched.
pub(crate) async fn run(output: Output) -> Result<u8, CliError> {
    let began = Instant::now();
    let mut world = World::new().await?;
    world.live_through_history().await?;
    world.live_through_last_hours().await?;
    world.live_through_thefts().await?;
    world.restore_all().await?;
    let report = Report::of(&world, began.elapsed());
    output.print(&report, || report.text());
    Ok(u8::from(!report.ok))
}
