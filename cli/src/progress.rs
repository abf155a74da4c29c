//! How far a command is, on standard error: a bar on a terminal, elsewhere a line now and then, since a
//! log that says nothing for minutes looks like one that hangs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use crate::output::note;

/// How often a line says it where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How far a command is; any thread may advance it.
pub(crate) struct Progress {
    bar: ProgressBar,
    of: &'static str,
    /// When a line said it last, or it began.
    said_at: Mutex<Instant>,
}

impl Progress {
    /// Of so many of these, such as batches.
    pub(crate) fn of(length: u64, of: &'static str) -> Self {
        let template = format!("{{bar:40}} {{human_pos}} of {{human_len}} {of}, {{eta}} left");
        let style = ProgressStyle::with_template(&template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(length).with_style(style);
        Self { bar, of, said_at: Mutex::new(Instant::now()) }
    }

    /// One more is done.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
        self.say();
    }

    /// So many are done.
    pub(crate) fn reach(&self, position: u64) {
        self.bar.set_position(position);
        self.say();
    }

    /// All is done, and nothing of it stays on the screen.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self) {
        if self.bar.is_hidden() && self.is_due(Instant::now()) {
            note(&self.line(self.bar.eta()));
        }
    }

    /// Whether a line is due; the next one is after as long again.
    fn is_due(&self, now: Instant) -> bool {
        let mut said_at = self.said_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = now.duration_since(*said_at) >= LINE_EVERY;
        if is_due {
            *said_at = now;
        }
        is_due
    }

    fn line(&self, left: Duration) -> String {
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let (done, all) = (HumanCount(done), HumanCount(all));
        format!("simfuse: {done} of {all} {}, about {} left", self.of, HumanDuration(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_every_ten_seconds_and_says_how_much_is_left() {
        let progress = Progress::of(1_200, "batches");
        let began = *progress.said_at.lock().unwrap();
        let due = |secs| progress.is_due(began + Duration::from_secs(secs));
        let at = [3, 9, 10, 11, 19, 25, 34, 35];
        assert_eq!(at.map(due), [false, false, true, false, false, true, false, true]);
        progress.bar.set_position(1_100);
        let line = progress.line(Duration::from_secs(95));
        assert_eq!(line, "simfuse: 1,100 of 1,200 batches, about 2 minutes left");
    }
}
