//! Plain news, told at a bearable rate. They never hold up a kill: whatever goes wrong here costs
//! the news and nothing else.

use std::time::Duration;

use jiff::Timestamp;
use simfuse_domain::news::{self, News, Scope, Told};
use simfuse_domain::port::{Alerts, Clock, Committed, NewsLimits, TableError};
use simfuse_domain::time::Hour;

use crate::engine::{KillSwitch, pause, within};
use crate::error::Chain;

/// News of one delivery hold up the shard for at most this long; what is left then is lost.
const WITHIN: Duration = Duration::from_secs(2);

/// How often a count that others change is tried.
const TRIES_MAX: u32 = 5;

/// What becomes of a piece of news.
enum Ruled {
    /// It is told, and counts so many that were not.
    Tell(u32),
    /// It was told before, or is only counted.
    Silent,
}

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: NewsLimits,
    P: Send + Sync,
    A: Alerts,
    C: Clock,
{
    /// Tells what there is room for, in the order of its delivery.
    pub(crate) async fn tell_news(&self, news: Vec<News>) {
        if news.is_empty() {
            return;
        }
        let mut left = news.len();
        let telling = async {
            for news in &news {
                self.tell_one_news(news).await;
                left = left.saturating_sub(1);
            }
        };
        if within(&self.clock, WITHIN, telling).await.is_none() {
            tracing::warn!(news.lost = left, "news lost: telling them took too long");
        }
    }

    /// Tells how many news the hour before had no room for, once.
    pub(crate) async fn tell_suppressed_news(&self) {
        let now = self.clock.now();
        let (hour, scope) = (Hour::of(now).before(), Scope::Account(Hour::of(now).before()));
        let counted = async {
            let (told, version) = self.table.read_told(scope).await?;
            if told.suppressed == 0 {
                return Ok(0);
            }
            let after = Told { suppressed: 0, ..told.clone() };
            // Whoever comes second finds it told.
            let done = self.table.write_told(scope, &after, version, now).await?;
            Ok::<u32, TableError>(if done == Committed::Done { told.suppressed } else { 0 })
        };
        match counted.await {
            Ok(0) => {}
            Ok(suppressed) => {
                let alert = news::suppressed_alert(hour, suppressed);
                if let Err(error) = self.alerts.publish(&alert).await {
                    tracing::warn!(error = %Chain(&error), "suppressed news not told");
                }
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "suppressed news not counted");
            }
        }
    }

    async fn tell_one_news(&self, news: &News) {
        let now = self.clock.now();
        let suppressed = match self.rule_news(news, now).await {
            Ok(Ruled::Tell(suppressed)) => suppressed,
            Ok(Ruled::Silent) => return,
            Err(error) => {
                tracing::warn!(sim.sid = %news.sim, error = %Chain(&error), "news lost");
                return;
            }
        };
        // The room is taken before, so that a failing topic is not asked again and again.
        if let Err(error) = self.alerts.publish(&news.alert(suppressed)).await {
            tracing::warn!(sim.sid = %news.sim, error = %Chain(&error), "news lost: not published");
        }
    }

    async fn rule_news(&self, news: &News, now: Timestamp) -> Result<Ruled, TableError> {
        let scope = Scope::Sim(news.sim, news.kind);
        let id = news.key();
        for attempt in 0..TRIES_MAX {
            let (told, version) = self.table.read_told(scope).await?;
            let (after, ruled) = match told.next(&id, news.more, now) {
                None => return Ok(Ruled::Silent),
                Some(Err(after)) => (after, Ruled::Silent),
                Some(Ok((after, suppressed))) => (after, Ruled::Tell(suppressed)),
            };
            if self.table.write_told(scope, &after, version, now).await? == Committed::Done {
                let has_room = matches!(ruled, Ruled::Silent) || self.room_for_news(now).await?;
                return Ok(if has_room { ruled } else { Ruled::Silent });
            }
            pause(&self.clock, (&id, attempt)).await;
        }
        Ok(Ruled::Silent)
    }

    /// Whether the account's hour has room for one more, which it then takes.
    async fn room_for_news(&self, now: Timestamp) -> Result<bool, TableError> {
        let scope = Scope::Account(Hour::of(now));
        for attempt in 0..TRIES_MAX {
            let (told, version) = self.table.read_told(scope).await?;
            let (after, has_room) = match told.next_of_all(now) {
                Ok(after) => (after, true),
                Err(after) => (after, false),
            };
            if self.table.write_told(scope, &after, version, now).await? == Committed::Done {
                return Ok(has_room);
            }
            pause(&self.clock, (scope, attempt)).await;
        }
        Ok(false)
    }
}
