//! `simfuse drill`: a simulated fleet, six thefts, and what SimFuse does about them, through the
//! functions' own handlers, over HTTP, with a table of DynamoDB's semantics.

mod report;
mod world;

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use simfuse_testkit::fleet::Theft;
use simfuse_testkit::service::Behaviour;

use crate::error::CliError;
use crate::output::Output;
use report::Report;
use world::{Plan, SIMS, World};

/// Runs the drill; 0 only if every rogue SIM is proven dead, restored, and no other was touched.
pub(crate) async fn run(output: Output) -> Result<u8, CliError> {
    let began = Instant::now();
    let mut world = World::new(SIMS).await?;
    world.live_through_history().await?;
    world.live_through_last_hours().await?;
    world.live_through_thefts(&six_thefts()).await?;
    world.restore_all().await?;
    let report = Report::of(&world, began.elapsed());
    output.print(&report, || report.text());
    Ok(u8::from(!report.ok))
}

/// Two kinds of theft, each once for every way the provider may deactivate a SIM, a minute apart.
fn six_thefts() -> Vec<Plan> {
    let after = SignedDuration::from_mins(10);
    let behaviours = [
        ("cut at once", Behaviour::CutAtOnce),
        ("cut at the next attach", Behaviour::AtNextAttach),
        ("scheduled for 10 minutes", Behaviour::Scheduled { after }),
    ];
    let thefts = [Theft::Tablet, Theft::SpoofedImei].into_iter();
    let cases = thefts.flat_map(|theft| behaviours.map(|(name, how)| (theft, name, how)));
    let minutes = (1..).map(SignedDuration::from_mins);
    let plans = minutes.zip(cases);
    plans.map(|(after, (theft, provider, how))| Plan { after, theft, provider, how }).collect()
}

/// Steals so many SIMs, one every few seconds, and says how long each took from the receipt of the
/// deciding event to the request at the provider.
///
/// # Errors
/// [`CliError`] when something on this machine fails, or a theft is not answered.
pub async fn time_thefts(thefts: usize) -> Result<Vec<Duration>, CliError> {
    let apart = SignedDuration::from_secs(5);
    let plans = (1..).map(|number| Plan {
        after: apart.saturating_mul(number),
        theft: Theft::Tablet,
        provider: "cut at once",
        how: Behaviour::CutAtOnce,
    });
    let plans: Vec<Plan> = plans.take(thefts).collect();
    // Every other sensor goes on as before.
    let mut world = World::new(u32::try_from(thefts * 2).unwrap_or(u32::MAX)).await?;
    world.live_through_thefts(&plans).await?;
    let unanswered = CliError::Remote("a theft was not answered".to_owned());
    let times: Option<Vec<Duration>> =
        world.rogues.iter().map(|rogue| rogue.receipt_to_request).collect();
    times.ok_or(unanswered)
}
