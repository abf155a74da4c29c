//! Publishing: by SMS only as many as a phone and a purse can take, in short what a topic refuses.

use std::sync::atomic::Ordering;

use simfuse_domain::alert::{Alert, TextRoom};
use simfuse_domain::port::{
    AlertError, Alerts, Campaigns, Cases, Clock, Committed, Heartbeat, Policies, TableError,
};
use simfuse_domain::time::Hour;

use crate::engine::{KillSwitch, pause};
use crate::error::Chain;

/// How often room for an SMS is tried to be taken while others take theirs: each time one of them
/// has, and there is not much.
const TRIES_MAX: u32 = 20;

/// Under this name the time of the latest alert is kept.
pub(crate) const LAST_ALERT: &str = "any";

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat,
    P: Send + Sync,
    A: Alerts,
    C: Clock,
{
    /// Publishes one alert, and remembers that alerts do go out. One that is refused as it is goes out
    /// in short, and is counted.
    pub(crate) async fn publish(&self, alert: &Alert) -> Result<(), AlertError> {
        self.send(&self.texted(alert.clone()).await).await
    }

    /// The alert as it goes out: by SMS only where there is room.
    pub(crate) async fn texted(&self, alert: Alert) -> Alert {
        let is_texted = alert.sms.is_none() || self.has_text_room(&alert).await;
        if is_texted { alert } else { Alert { sms: None, ..alert } }
    }

    /// Publishes one alert with its SMS, if it has one.
    pub(crate) async fn send(&self, alert: &Alert) -> Result<(), AlertError> {
        if let Err(error) = self.alerts.publish(alert).await {
            if !error.is_refused {
                return Err(error);
            }
            tracing::error!(error = %Chain(&error), "an alert is refused, and told in short");
            self.faults.fetch_add(1, Ordering::Relaxed);
            self.alerts.publish(&alert.in_short()).await?;
        }
        tracing::info!(alert.id, alert.action, "alert published");
        if let Err(error) = self.table.record_paged(LAST_ALERT, self.clock.now()).await {
            tracing::warn!(error = %Chain(&error), "the time of the last alert was not recorded");
        }
        Ok(())
    }

    /// Whether an alert may go out by SMS. Where that is not known it does.
    async fn has_text_room(&self, alert: &Alert) -> bool {
        for attempt in 0..TRIES_MAX {
            match self.take_text_room(alert).await {
                Ok(Some(has_room)) => return has_room,
                Ok(None) => pause(&self.clock, (&alert.id, attempt)).await,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "how many SMS went out is not known");
                    return true;
                }
            }
        }
        true
    }

    /// As [`has_text_room`](Self::has_text_room); `None` where others were in the way.
    async fn take_text_room(&self, alert: &Alert) -> Result<Option<bool>, TableError> {
        let hour = Hour::of(self.clock.now());
        let (texts, version) = self.table.read_texts(hour).await?;
        let (with, has_room) = match texts.room_for(alert) {
            TextRoom::Taken => return Ok(Some(true)),
            TextRoom::None => return Ok(Some(false)),
            TextRoom::Take(with) => (with, true),
            TextRoom::Say(with) => (with, false),
        };
        if self.table.write_texts(hour, &with, version).await? == Committed::Conflict {
            return Ok(None);
        }
        if !has_room {
            let said = Alert::of_no_more_texts(hour, self.stack.as_ref());
            if let Err(error) = self.alerts.publish(&said).await {
                tracing::warn!(error = %Chain(&error), "that there are no more SMS is not said yet");
                self.table.write_texts(hour, &texts, version.saturating_add(1)).await?;
            }
        }
        Ok(Some(has_room))
    }
}
