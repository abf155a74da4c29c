//! What all parts of one seed's world share: the time, the queue of what happens next, chance, and
//! the watch that sees every effect.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use simfuse_domain::id::SimSid;
use simfuse_domain::port::{Clock, Sleep};

use crate::chance::Chance;
use crate::watch::Watch;
use crate::weather::Weather;

/// An invocation of a function.
pub(crate) type TaskId = u64;

/// What happens next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Happening {
    /// A call, or a wait, goes on.
    Release(u64),
    /// A function has run for as long as it may.
    Overdue(TaskId),
    /// The schedule invokes the kill-switch.
    Sweep,
    /// The stream hands over findings of these SIMs, for the n-th time.
    Stream(Vec<SimSid>, u32),
    /// The provider sends these events, for the n-th time.
    Deliver(Vec<usize>, u32),
    /// A device reports, attaches, or is cut off.
    Device(usize),
    /// A SIM is stolen, or begins to use far too much.
    GoesRogue(usize),
    /// A human asks for something, for the n-th time.
    Ask(Box<Value>, u32),
    /// A human applies this policy.
    Apply(usize),
    /// Someone uses the provider's console.
    Console(usize),
    /// A SIM is moved to the other fleet.
    Moves(usize),
    /// A SIM is taken out of the account.
    Vanishes(usize),
    /// Someone calls back about a SIM: it may have changed or not, and need not be known.
    Hint(SimSid),
}

/// Locked for moments only: a seed has one thread.
pub(crate) struct Shared(Mutex<Inner>);

pub(crate) struct Inner {
    pub(crate) now_ms: i64,
    pub(crate) chance: Chance,
    pub(crate) weather: Weather,
    pub(crate) watch: Watch,
    /// Functions that died at a call.
    pub(crate) dying: Vec<TaskId>,
    /// Every step in words, where they are wanted.
    pub(crate) trace: Option<Vec<String>>,
    /// By time, then by chance.
    queue: BTreeMap<(i64, u32, u64), Happening>,
    /// Calls and waits that have not gone on yet, and who is to be woken.
    turns: BTreeMap<u64, Waker>,
    numbers: u64,
}

impl Shared {
    pub(crate) fn new(start_ms: i64, chance: Chance, weather: Weather, watch: Watch) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner {
            now_ms: start_ms,
            chance,
            weather,
            watch,
            dying: Vec::new(),
            trace: None,
            queue: BTreeMap::new(),
            turns: BTreeMap::new(),
            numbers: 0,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so many milliseconds of virtual time; others come in between even if it is none.
    pub(crate) fn turn(&self, delay_ms: i64) -> Turn<'_> {
        Turn { shared: self, state: TurnState::New(delay_ms) }
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Timestamp {
        time_of(self.now_ms)
    }

    /// The next number that nothing else has.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers = self.numbers.saturating_add(1);
        self.numbers
    }

    /// Puts something into the queue.
    pub(crate) fn after(&mut self, delay_ms: i64, happening: Happening) {
        let at = self.now_ms.saturating_add(delay_ms.max(0));
        let key = (at, self.chance.order(), self.number());
        self.queue.insert(key, happening);
    }

    /// Takes out what is next, and goes to its time.
    pub(crate) fn next(&mut self, until_ms: i64) -> Option<Happening> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= until_ms)?;
        let ((at, ..), happening) = entry.remove_entry();
        self.now_ms = self.now_ms.max(at);
        Some(happening)
    }

    /// Drops what is still to happen, of this kind.
    pub(crate) fn drop_all(&mut self, is_one: impl Fn(&Happening) -> bool) {
        self.queue.retain(|_, happening| !is_one(happening));
    }

    /// Lets a call go on; gives who waits for it, to be woken when nothing is locked.
    pub(crate) fn release(&mut self, turn: u64) -> Option<Waker> {
        self.turns.remove(&turn)
    }

    /// Notes a step, if anyone wants to read it.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        let now = time_of(self.now_ms);
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:.3} {}", text()));
        }
    }
}

/// The time of so many milliseconds since 1970.
pub(crate) fn time_of(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// A wait in virtual time.
pub(crate) struct Turn<'a> {
    shared: &'a Shared,
    state: TurnState,
}

enum TurnState {
    New(i64),
    Queued(u64),
}

impl Future for Turn<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = self.shared;
        let mut inner = shared.lock();
        match self.state {
            TurnState::New(delay_ms) => {
                let number = inner.number();
                inner.after(delay_ms, Happening::Release(number));
                inner.turns.insert(number, context.waker().clone());
                self.state = TurnState::Queued(number);
                Poll::Pending
            }
            TurnState::Queued(number) => match inner.turns.get_mut(&number) {
                Some(waker) => {
                    waker.clone_from(context.waker());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            },
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let TurnState::Queued(number) = self.state {
            drop(self.shared.lock().release(number));
        }
    }
}

/// One instance's clock, a little off the true time.
#[derive(Clone)]
pub(crate) struct InstanceClock {
    pub(crate) shared: Arc<Shared>,
    pub(crate) skew_ms: i64,
}

impl Clock for InstanceClock {
    fn now(&self) -> Timestamp {
        time_of(self.shared.lock().now_ms.saturating_add(self.skew_ms))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.shared.lock().now_ms).unwrap_or(0))
    }

    fn sleep(&self, by: Duration) -> Sleep<'_> {
        Box::pin(self.shared.turn(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}
