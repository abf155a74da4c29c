//! What a run may have to do, each of it alone: set up, run to its end, measured.

use std::time::{Duration, Instant};

use simfuse_aws::SystemClock;
use simfuse_domain::port::Clock as _;
use simfuse_domain::time::{Hour, Window};
use simfuse_usage_aggregator::Reached;
use simfuse_usage_aggregator::handler::Answer;

use crate::Failure;
use crate::fleet::{self, Generated, Known};
use crate::meter::Tally;
use crate::world::{Function, Provider, TIMEOUT, Taken, World};

/// Invocations in a row that one stage may need.
const INVOCATIONS_MAX: u32 = 50;

/// Invocations that may find another run's lease, one every [`BUSY_PAUSE`].
const BUSY_MAX: u32 = 120;

const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Hours behind the present one at which the aggregator closes: three that have to pass, and its own.
const CLOSABLE_BACK: i32 = 4;

/// One thing that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing: what every invocation costs.
    Idle,
    /// The hour that has just ended.
    Fresh,
    /// An hour that ended three hours ago, seen before.
    Close,
    /// The same with a day's last hour: four days are compared.
    CloseDay,
    /// The inventory, of SIMs that it knows.
    Inventory,
}

impl Stage {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "nothing due",
            Self::Fresh => "see an hour",
            Self::Close => "close an hour",
            Self::CloseDay => "close a day's last hour",
            Self::Inventory => "take the inventory",
        }
    }
}

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) stage: Stage,
    pub(crate) sims: u64,
    pub(crate) invocations: u32,
    /// Invocations before them that found another run's lease.
    pub(crate) busy: u32,
    pub(crate) wall: Duration,
    pub(crate) taken: Taken,
    /// The answers' numbers, added up.
    pub(crate) answer: Answer,
    pub(crate) tally: Tally,
}

/// What a stage begins with.
pub(crate) struct Scene {
    pub(crate) usage: Generated,
    pub(crate) known: Known,
    pub(crate) reached: Reached,
    /// The hour whose records are read.
    pub(crate) hour: Hour,
}

impl Scene {
    pub(crate) fn of(stage: Stage, sims: u64) -> Self {
        let this_hour = Hour::of(SystemClock.now());
        let (latest, closable) = (this_hour.before(), this_hour.plus(-CLOSABLE_BACK));
        let today = Window::of_day(this_hour).hours.start;
        let hour = match stage {
            Stage::Idle | Stage::Fresh => latest,
            Stage::Close | Stage::Inventory => closable,
            Stage::CloseDay => Window::of_day(closable.after()).hours.start.before(),
        };
        let closes = matches!(stage, Stage::Close | Stage::CloseDay);
        let closed_through = if closes { hour.before() } else { closable };
        let compared_through = if stage == Stage::CloseDay { hour.before() } else { this_hour };
        let seen_through = if stage == Stage::Fresh { latest.before() } else { latest };
        let inventory_of = if stage == Stage::Inventory { today.plus(-24) } else { today };
        let days = if stage == Stage::CloseDay { 3 } else { 0 };
        // Hours of which nothing is asked have no usage, so that a turn of the hour costs nothing.
        let first = if stage == Stage::CloseDay { hour.plus(1 - 24 * 4) } else { hour };
        let hours = if stage == Stage::Idle { hour..hour } else { first..hour.after() };
        let listed = stage == Stage::Inventory;
        Self {
            usage: Generated { sims, hours },
            known: Known { sims, closed_through, next_seen: closes, days, listed },
            reached: Reached { closed_through, seen_through, compared_through, inventory_of },
            hour,
        }
    }

    /// A table and a provider for it.
    pub(crate) async fn build(&self) -> Result<(World, Provider), Failure> {
        let world = World::new().await?;
        let provider = Provider::start(self.usage.clone()).await?;
        if self.known.listed {
            provider.service.add_sims((0..self.known.sims).map(fleet::listed));
        }
        fleet::set_up(&world, self.known, self.reached).await?;
        Ok((world, provider))
    }
}

/// Sets up a stage, and runs the function until it says that it is done.
pub(crate) async fn measure(stage: Stage, sims: u64) -> Result<Measured, Failure> {
    let scene = Scene::of(stage, sims);
    let began = Instant::now();
    let (world, provider) = Box::pin(scene.build()).await?;
    let set_up = began.elapsed();
    let function = Function::start(&world, &provider).await?;
    let measured = run(&world, &function, stage, sims).await?;
    crate::say(&format!("   ({sims} SIMs set up in {:.0} s)", set_up.as_secs_f64()));
    let asked = u64::try_from(provider.service.requests().len()).unwrap_or(0);
    if asked != measured.answer.calls {
        let (said, name) = (measured.answer.calls, stage.name());
        return Err(format!("{name}: {said} calls said, {asked} received").into());
    }
    Ok(measured)
}

/// Invokes the function until it is done.
pub(crate) async fn run(
    world: &World,
    function: &Function,
    stage: Stage,
    sims: u64,
) -> Result<Measured, Failure> {
    let before = function.taken()?;
    world.meter.take();
    let began = Instant::now();
    let mut sum = Answer::default();
    let (mut invocations, mut busy) = (0, 0);
    while invocations < INVOCATIONS_MAX && busy < BUSY_MAX {
        let answer = match function.invoke(TIMEOUT).await {
            Ok(answer) => answer,
            Err(error) => return Err(format!("{error}\n{}", function.last_words()).into()),
        };
        if answer.busy {
            busy += 1;
            tokio::time::sleep(BUSY_PAUSE).await;
            continue;
        }
        invocations += 1;
        sum = Answer {
            pages: sum.pages + answer.pages,
            records: sum.records + answer.records,
            records_unknown: sum.records_unknown + answer.records_unknown,
            items_written: sum.items_written + answer.items_written,
            calls: sum.calls + answer.calls,
            ..answer
        };
        if sum.done {
            let (wall, after) = (began.elapsed(), function.taken()?);
            let taken = Taken {
                cpu: after.cpu.saturating_sub(before.cpu),
                logged: after.logged.saturating_sub(before.logged),
                ..after
            };
            let tally = world.meter.take();
            return Ok(Measured {
                stage,
                sims,
                invocations,
                busy,
                wall,
                taken,
                answer: sum,
                tally,
            });
        }
    }
    let at = sum.progress;
    Err(format!("not done after {invocations} invocations and {busy} busy ones: {at}").into())
}
