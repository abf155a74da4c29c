//! Closing hours: once, in order, each for all fleets before the next.
//!
//! A fleet that cannot be read while others can is left behind: it waits at the hour that it was
//! closed through, so that it holds nobody up, and is closed hour by hour once it can be read.

use simfuse_domain::id::FleetSid;
use simfuse_domain::port::{
    Alerts, Clock, Heartbeat, Inventory, Pass, Policies, States, UsageRecords, UsageStore,
    UsageWindow, Usages,
};
use simfuse_domain::time::{Hour, Window};

use crate::checkpoint::{Checkpoint, Run};
use crate::error::AggregatorError;
use crate::handler::Aggregator;
use crate::run::{Context, DAYS_COMPARED, Progress};
use crate::window::Reads;

/// Hours remembered for the account's own rhythm: two weeks.
const RHYTHM_HOURS: i32 = 14 * 24;

impl<T, P, A, C> Aggregator<T, P, A, C>
where
    T: UsageStore + Usages + States + Policies + Heartbeat,
    P: UsageRecords + Inventory,
    A: Alerts,
    C: Clock,
{
    /// Closes what is due for all fleets, then what is left of those that were left behind.
    ///
    /// # Errors
    /// When no fleet can be read, and, once everything else is done, when one cannot.
    pub(crate) async fn close_due(
        &self,
        context: &Context<'_>,
        run: &mut Checkpoint<Run>,
        fleets: &[FleetSid],
        closable: Hour,
    ) -> Result<Progress, AggregatorError> {
        while let Some(next) = run.content.closed_through.map(Hour::after)
            && next <= closable
        {
            context.at(format!("closing {next}, the last to close is {closable}"));
            if self.close(context, run, fleets, next).await? == Progress::Paused {
                return Ok(Progress::Paused);
            }
        }
        self.catch_up(context, run, fleets, closable).await
    }

    /// Closes one hour for all fleets that are not behind; who fails is, from now on.
    async fn close(
        &self,
        context: &Context<'_>,
        run: &mut Checkpoint<Run>,
        fleets: &[FleetSid],
        hour: Hour,
    ) -> Result<Progress, AggregatorError> {
        let behind = &run.content.behind;
        let level = fleets.iter().filter(|fleet| !behind.contains_key(fleet)).copied();
        let level: Vec<FleetSid> = level.collect();
        let is_compared = run.content.compared_through >= Some(hour);
        let reads = self.close_fleets(context, &level, hour, is_compared).await;
        if reads.failed.len() == level.len() || !reads.failed.iter().all(is_of_provider) {
            reads.first_error()?;
        } else if reads.progress == Progress::Paused {
            return Ok(Progress::Paused);
        } else {
            let failed = reads.failed.into_iter();
            run.content.behind.extend(failed.map(|(fleet, _)| (fleet, hour.before())));
        }
        if ends_day(hour) {
            run.content.compared_through = Some(hour);
        }
        self.note_rhythm(run, fleets, hour).await?;
        run.content.active_hours = run.content.active_hours.split_off(&hour.plus(-RHYTHM_HOURS));
        run.content.closed_through = Some(hour);
        run.write(&self.table, self.clock.now()).await?;
        Ok(Progress::Done)
    }

    /// Closes the hours of fleets that are behind, one fleet after the other.
    async fn catch_up(
        &self,
        context: &Context<'_>,
        run: &mut Checkpoint<Run>,
        fleets: &[FleetSid],
        closable: Hour,
    ) -> Result<Progress, AggregatorError> {
        let mut first_error = Ok(Progress::Done);
        for (fleet, closed) in run.content.behind.clone() {
            if !fleets.contains(&fleet) {
                run.content.behind.remove(&fleet);
                continue;
            }
            let mut hour = closed;
            while hour < closable {
                hour = hour.after();
                context.at(format!("closing {hour} for {fleet}, which is behind"));
                let reads = self.close_fleets(context, &[fleet], hour, false).await;
                if reads.progress == Progress::Paused {
                    return Ok(Progress::Paused);
                }
                if let Err(error) = reads.first_error() {
                    first_error = first_error.and(Err(error));
                    break;
                }
                if hour == closable {
                    run.content.behind.remove(&fleet);
                } else {
                    run.content.behind.insert(fleet, hour);
                }
                self.note_rhythm(run, &[fleet], hour).await?;
                run.write(&self.table, self.clock.now()).await?;
            }
        }
        first_error
    }

    /// Closes one hour of these fleets; with the last one of a day, compares the day and those before.
    async fn close_fleets(
        &self,
        context: &Context<'_>,
        fleets: &[FleetSid],
        hour: Hour,
        is_compared: bool,
    ) -> Reads {
        let window = UsageWindow::Hour(hour);
        let mut reads = self.read_window(context, fleets, window, Pass::Close, hour).await;
        if !ends_day(hour) || is_compared {
            return reads;
        }
        for days in (0..DAYS_COMPARED).rev() {
            if reads.progress == Progress::Paused {
                break;
            }
            let has_failed = |fleet| reads.failed.iter().any(|(failed, _)| *failed == fleet);
            let left = fleets.iter().copied().filter(|fleet| !has_failed(*fleet));
            let left: Vec<FleetSid> = left.collect();
            let day = UsageWindow::day_of(hour.plus(days.saturating_mul(-24)));
            context.at(format!("comparing the day {}", day.window().name()));
            let day = self.read_window(context, &left, day, Pass::Close, hour).await;
            reads.progress = day.progress;
            reads.failed.extend(day.failed);
        }
        reads
    }

    /// Remembers an hour in which any SIM of these fleets used data.
    async fn note_rhythm(
        &self,
        run: &mut Checkpoint<Run>,
        fleets: &[FleetSid],
        hour: Hour,
    ) -> Result<(), AggregatorError> {
        let window = UsageWindow::Hour(hour);
        for fleet in fleets {
            let parts = self.table.read_parts(*fleet, &window, Pass::Close, 0).await;
            let parts = parts.map_err(AggregatorError::table("reading what a fleet used"))?;
            if parts.iter().any(|part| !part.sims.is_empty()) {
                run.content.active_hours.insert(hour);
                return Ok(());
            }
        }
        Ok(())
    }
}

fn ends_day(hour: Hour) -> bool {
    hour.after() == Window::of_day(hour).hours.end
}

/// Whether the provider failed, and not our own table.
const fn is_of_provider((_, error): &(FleetSid, AggregatorError)) -> bool {
    matches!(error, AggregatorError::Provider { .. } | AggregatorError::Endless { .. })
}
