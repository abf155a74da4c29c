//! One seed's world: the real functions on ports in memory, and all that happens to them.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt as _;
use serde_json::{Value, json};
use simfuse_domain::id::SimSid;
use simfuse_domain::policy::Mode;
use simfuse_domain::port::{Cases as _, SimStatus};
use simfuse_kill_switch::engine::KillSwitch;
use simfuse_testkit::gated::Gated;
use simfuse_testkit::memory::{MemoryAlerts, MemoryTable};
use simfuse_testkit::super_sim::MemorySuperSim;
use simfuse_webhook::intake::{Intake, Receipt, Tally};

use crate::device::{Device, Sent};
use crate::gate::{CallGate, WildProvider};
use crate::plan::fleet;
use crate::shared::{Happening, InstanceClock, Shared, TaskId};
use crate::watch::{Caller, Kind, Violation};

/// The kill-switch is stopped by Lambda after this long (`template.yaml`), the webhook sooner.
const OVERDUE_MS: i64 = 180_000;
const WEBHOOK_OVERDUE_MS: i64 = 30_000;

/// The stream hands a record over this often (`template.yaml`: two retries).
const STREAM_TIMES_MAX: u32 = 3;

/// Alerts of a campaign that are told one by one: few, so that a world of few SIMs has campaigns.
const ALONE_MAX: usize = 2;

/// The provider sends an event again this often.
const DELIVERIES_MAX: u32 = 40;

/// A human who hears nothing asks again this often.
const ASKS_MAX: u32 = 4;

/// No seed needs so many steps: something goes round in circles.
const STEPS_MAX: u64 = 3_000_000;

type TableOf = Gated<MemoryTable, CallGate>;

/// What an invocation answered.
enum Answer {
    KillSwitch(Result<Value, String>),
    Webhook(Result<Tally, String>),
}

/// What an invocation was for.
#[derive(Debug, Clone)]
enum Job {
    Sweep,
    Stream(Vec<SimSid>, u32),
    Deliver(Vec<usize>, u32),
    Ask(Box<Value>, u32),
    Hint,
}

struct Task {
    future: Pin<Box<dyn Future<Output = Answer> + Send>>,
    waker: Waker,
    job: Job,
}

/// Tasks that are to be polled, in the order in which they were woken.
type Woken = Arc<Mutex<VecDeque<TaskId>>>;

struct TaskWaker {
    task: TaskId,
    woken: Woken,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.task);
    }
}

pub(crate) struct World {
    pub(crate) shared: Arc<Shared>,
    pub(crate) table: MemoryTable,
    pub(crate) sims: MemorySuperSim,
    pub(crate) alerts: MemoryAlerts,
    pub(crate) armed: Mode,
    pub(crate) devices: Vec<Device>,
    pub(crate) policies: Vec<String>,
    /// Strange devices by SIM, and when the webhook first took an event of theirs.
    pub(crate) strangers: BTreeMap<SimSid, BTreeMap<String, i64>>,
    /// Events as they were sent.
    pub(crate) sent: Vec<Sent>,
    pub(crate) steps: u64,
    /// The longest pause between two sweeps, where nothing is due in between.
    pub(crate) skip_ms: i64,
    /// Instances of the webhook that wait for a request.
    idle: Vec<(TaskId, Arc<Intake<TableOf>>)>,
    tasks: BTreeMap<TaskId, Task>,
    busy: BTreeMap<TaskId, Arc<Intake<TableOf>>>,
    woken: Woken,
}

impl World {
    pub(crate) fn new(
        shared: Arc<Shared>,
        (table, sims): (MemoryTable, MemorySuperSim),
        armed: Mode,
        devices: Vec<Device>,
        policies: Vec<String>,
    ) -> Self {
        Self {
            shared,
            table,
            sims,
            alerts: MemoryAlerts::new(),
            armed,
            devices,
            policies,
            strangers: BTreeMap::new(),
            sent: Vec::new(),
            steps: 0,
            skip_ms: 60_000,
            idle: Vec::new(),
            tasks: BTreeMap::new(),
            busy: BTreeMap::new(),
            woken: Woken::default(),
        }
    }

    /// Lets all happen that happens up to this time.
    pub(crate) fn run(&mut self, until_ms: i64) -> Result<(), Violation> {
        loop {
            self.poll_woken();
            let (violation, next) = {
                let mut inner = self.shared.lock();
                (inner.watch.violation.clone(), inner.next(until_ms))
            };
            if let Some(violation) = violation {
                return Err(violation);
            }
            let Some(happening) = next else { break };
            self.steps += 1;
            if self.steps > STEPS_MAX {
                let what = format!("{STEPS_MAX} steps");
                return Err(Violation { invariant: "comes_to_an_end", what });
            }
            self.happen(happening);
        }
        self.shared.lock().now_ms = until_ms;
        Ok(())
    }

    fn poll_woken(&mut self) {
        loop {
            let next = self.woken.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(id) = next else { return };
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let waker = task.waker.clone();
            let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
            self.hand_over();
            let dying = std::mem::take(&mut self.shared.lock().dying);
            for id in dying {
                self.die(id);
            }
            if let Poll::Ready(answer) = polled
                && let Some(task) = self.tasks.remove(&id)
            {
                let mut inner = self.shared.lock();
                inner.watch.ended(id);
                // The instance may be used again, and then has all its time.
                inner.drop_all(|happening| *happening == Happening::Overdue(id));
                drop(inner);
                if let Some(intake) = self.busy.remove(&id) {
                    self.idle.push((id, intake));
                }
                self.answered(task.job, answer);
            }
        }
    }

    /// The function is gone, and all that it held.
    fn die(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(&id) else { return };
        drop(task.future);
        self.busy.remove(&id);
        let mut inner = self.shared.lock();
        inner.watch.ended(id);
        drop(inner);
        self.failed(task.job);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Release(turn) => {
                let waker = self.shared.lock().release(turn);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Happening::Overdue(id) => {
                if self.tasks.contains_key(&id) {
                    self.note(|| format!("#{id} is stopped: it took too long"));
                }
                self.die(id);
            }
            Happening::Sweep => self.sweep(),
            Happening::Stream(sims, time) => {
                let payload = records(&sims);
                self.invoke(Kind::Stream, payload, Job::Stream(sims, time));
            }
            Happening::Deliver(events, time) => self.deliver(events, time),
            Happening::Device(index) => self.device_acts(index),
            Happening::GoesRogue(index) => {
                self.note(|| format!("SIM {} goes rogue", index + 1));
                let now_ms = self.shared.lock().now_ms;
                let sent = self.devices.get_mut(index).map(|device| device.go_rogue(now_ms));
                self.send(sent.unwrap_or_default());
                self.device_acts(index);
            }
            Happening::Ask(request, time) => {
                self.note(|| format!("a human asks: {request}"));
                self.invoke(Kind::Human, (*request).clone(), Job::Ask(request, time));
            }
            Happening::Apply(index) => self.apply(index),
            Happening::Console(index) => self.use_console(index),
            Happening::Moves(index) => self.move_sim(index),
            Happening::Vanishes(index) => {
                self.note(|| format!("SIM {} is taken out of the account", index + 1));
                if let Some(device) = self.devices.get(index) {
                    self.sims.remove(device.sim.sid);
                }
            }
            Happening::Hint(sim) => {
                self.note(|| format!("someone calls back about {sim}"));
                self.invoke(Kind::Hint, json!({ "hint": { "sim": sim } }), Job::Hint);
            }
        }
    }

    fn note(&self, text: impl FnOnce() -> String) {
        self.shared.lock().note(text);
    }

    fn sweep(&mut self) {
        let doubled = {
            let mut inner = self.shared.lock();
            let rate = inner.weather.doubled_sweeps;
            inner.chance.permille(rate)
        };
        for _ in 0..=u8::from(doubled) {
            self.invoke(Kind::Sweep, json!({ "sweep": true }), Job::Sweep);
        }
        let pause_ms = self.pause_ms();
        self.shared.lock().after(pause_ms, Happening::Sweep);
    }

    /// To the next minute in which a sweep finds anything.
    fn pause_ms(&self) -> i64 {
        const MINUTE_MS: i64 = 60_000;
        let unseen = self.table.unacknowledged(jiff::Timestamp::MAX, 1).now_or_never();
        let inner = self.shared.lock();
        let open = inner.watch.sims.values().filter_map(|seen| seen.incident.as_ref());
        let due = open.map(|(incident, _)| incident.due_at().as_millisecond()).min();
        let capped = inner.watch.sims.values().any(|seen| seen.capped_ms.is_some());
        let unseen = unseen.is_none_or(|unseen| unseen.is_ok_and(|sims| !sims.is_empty()));
        if unseen {
            return MINUTE_MS;
        }
        let skip_ms = if capped { self.skip_ms.min(5 * MINUTE_MS) } else { self.skip_ms };
        let pause_ms = due.map_or(skip_ms, |due| (due - inner.now_ms).min(skip_ms));
        pause_ms.max(1).div_euclid(MINUTE_MS).max(1) * MINUTE_MS
    }

    /// Invokes the kill-switch: an instance of its own, with a clock of its own.
    fn invoke(&mut self, kind: Kind, payload: Value, job: Job) {
        let (id, skew_ms) = {
            let mut inner = self.shared.lock();
            let id = inner.number();
            let skew_ms = inner.weather.skew_ms;
            let skew_ms = inner.chance.of(-skew_ms..=skew_ms);
            inner.note(|| format!("#{id} {kind:?} begins"));
            inner.after(OVERDUE_MS, Happening::Overdue(id));
            (id, skew_ms)
        };
        let gate = self.gate(id, kind);
        let table = Gated { inner: self.table.clone(), gate: gate.clone() };
        let wild = WildProvider { sims: self.sims.clone(), shared: Arc::clone(&self.shared) };
        let provider = Gated { inner: wild, gate: gate.clone() };
        let topic = Gated { inner: self.alerts.clone(), gate };
        let clock = InstanceClock { shared: Arc::clone(&self.shared), skew_ms };
        let switch = KillSwitch::new(table, provider, topic, clock, self.armed);
        let switch = switch.telling_alone(ALONE_MAX);
        let future = async move {
            let answer = switch.handle(payload).await;
            Answer::KillSwitch(answer.map_err(|error| error.to_string()))
        };
        self.spawn(id, Box::pin(future), job);
    }

    fn gate(&self, task: TaskId, kind: Kind) -> CallGate {
        let caller = Caller { task, kind, armed: self.armed };
        CallGate { shared: Arc::clone(&self.shared), caller }
    }

    fn spawn(
        &mut self,
        id: TaskId,
        future: Pin<Box<dyn Future<Output = Answer> + Send>>,
        job: Job,
    ) {
        let waker = Arc::new(TaskWaker { task: id, woken: Arc::clone(&self.woken) });
        let waker = Waker::from(waker);
        waker.wake_by_ref();
        self.tasks.insert(id, Task { future, waker, job });
    }

    /// The provider sends events to an instance of the webhook that has nothing else to do.
    fn deliver(&mut self, events: Vec<usize>, time: u32) {
        let idle = self.idle.pop();
        let (id, intake) = idle.unwrap_or_else(|| {
            let id = self.shared.lock().number();
            let table = Gated { inner: self.table.clone(), gate: self.gate(id, Kind::Webhook) };
            (id, Arc::new(Intake::new(table, Receipt::Live)))
        });
        let texts = events.iter().filter_map(|event| self.sent.get(*event));
        let texts: Vec<&str> = texts.map(|sent| sent.json.as_str()).collect();
        let body = format!("[{}]", texts.join(","));
        let now = {
            let mut inner = self.shared.lock();
            inner.note(|| format!("#{id} Webhook gets {} events", events.len()));
            inner.after(WEBHOOK_OVERDUE_MS, Happening::Overdue(id));
            inner.now()
        };
        self.busy.insert(id, Arc::clone(&intake));
        let future = async move {
            let tally = intake.take(body.as_bytes(), now).await;
            Answer::Webhook(tally.map_err(|error| error.to_string()))
        };
        self.spawn(id, Box::pin(future), Job::Deliver(events, time));
    }

    fn device_acts(&mut self, index: usize) {
        let now_ms = self.shared.lock().now_ms;
        let Some(device) = self.devices.get_mut(index) else { return };
        let sent = device.act(now_ms, &self.sims);
        let every_ms = device.every_ms;
        self.send(sent);
        let mut inner = self.shared.lock();
        // The device's own rhythm, whatever made it act now.
        inner.drop_all(|happening| *happening == Happening::Device(index));
        inner.after(every_ms, Happening::Device(index));
    }

    /// Events go their way: some come late, some twice, some never.
    fn send(&mut self, events: Vec<Sent>) {
        for event in events {
            self.sent.push(event);
            let number = self.sent.len() - 1;
            let mut inner = self.shared.lock();
            let rate = inner.weather.events;
            if inner.chance.permille(rate / 4) {
                continue;
            }
            let late = inner.chance.permille(rate);
            let delay_ms = inner.chance.of(if late { 60_000..=1_200_000 } else { 200..=20_000 });
            inner.after(delay_ms, Happening::Deliver(vec![number], 1));
            if inner.chance.permille(rate) {
                let delay_ms = inner.chance.of(200..=600_000);
                inner.after(delay_ms, Happening::Deliver(vec![number, number], 1));
            }
        }
    }

    /// What the table's stream has goes its way, too.
    fn hand_over(&mut self) {
        let sims = self.table.findings_stream();
        if sims.is_empty() {
            return;
        }
        let mut inner = self.shared.lock();
        let rate = inner.weather.stream;
        if inner.chance.permille(rate / 2) {
            inner.note(|| format!("the stream loses {} records", sims.len()));
            return;
        }
        let late = inner.chance.permille(rate);
        let delay_ms = inner.chance.of(if late { 10_000..=300_000 } else { 50..=2_000 });
        if inner.chance.permille(rate) {
            let again_ms = inner.chance.of(50..=120_000);
            inner.after(again_ms, Happening::Stream(sims.clone(), 1));
        }
        inner.after(delay_ms, Happening::Stream(sims, 1));
    }

    fn apply(&mut self, index: usize) {
        let Some(text) = self.policies.get(index) else { return };
        let number = self.shared.lock().watch.policies.len();
        let request = json!({
            "action": "policy_apply", "toml": text, "compared_with": number,
            "reason": "a test", "requested_by": "ops",
        });
        self.note(|| format!("a human applies policy {index}"));
        self.invoke(Kind::Human, request.clone(), Job::Ask(Box::new(request), ASKS_MAX));
    }

    /// Someone makes a SIM active at the provider's console.
    fn use_console(&mut self, index: usize) {
        let Some(device) = self.devices.get(index) else { return };
        let sid = device.sim.sid;
        if self.sims.sim(sid).is_some_and(|sim| sim.status == SimStatus::Inactive) {
            self.note(|| format!("someone makes {sid} active at the console"));
            self.sims.set_status_elsewhere(sid, SimStatus::Active);
            self.shared.lock().watch.activated_elsewhere(sid);
        }
    }

    fn move_sim(&mut self, index: usize) {
        let Some(device) = self.devices.get_mut(index) else { return };
        let to = if device.sim.fleet == Some(fleet(0)) { fleet(1) } else { fleet(0) };
        let sid = device.sim.sid;
        device.sim.fleet = Some(to);
        self.sims.move_to(sid, to);
        self.note(|| format!("{sid} moves to {to}"));
        let mut inner = self.shared.lock();
        let now_ms = inner.now_ms;
        if let Some(seen) = inner.watch.sims.get_mut(&sid) {
            seen.fleets.push((now_ms, to));
        }
    }

    fn answered(&mut self, job: Job, answer: Answer) {
        match answer {
            Answer::KillSwitch(Ok(answer)) => self.kill_switch_answered(job, &answer),
            Answer::Webhook(Ok(tally)) => {
                let Job::Deliver(events, _) = job else { return };
                self.taken(&events, tally);
            }
            Answer::KillSwitch(Err(error)) | Answer::Webhook(Err(error)) => {
                self.note(|| format!("  failed: {error}"));
                self.failed(job);
            }
        }
    }

    fn kill_switch_answered(&mut self, job: Job, answer: &Value) {
        match job {
            Job::Stream(sims, time) => {
                let failures = answer.get("batchItemFailures").and_then(Value::as_array);
                if failures.is_some_and(|failures| !failures.is_empty()) {
                    self.failed(Job::Stream(sims, time));
                }
            }
            Job::Ask(request, time) => {
                let outcome = answer.pointer("/sims/0/outcome");
                self.note(|| format!("  answered {outcome:?}"));
                if outcome.is_some_and(|outcome| outcome == "unreachable") {
                    self.failed(Job::Ask(request, time));
                }
            }
            Job::Sweep | Job::Hint | Job::Deliver(..) => {}
        }
    }

    fn taken(&mut self, events: &[usize], tally: Tally) {
        let now_ms = self.shared.lock().now_ms;
        if tally.dead_lettered > 0 || tally.ignored > 0 {
            let what = format!("{tally:?} of {} events", events.len());
            self.shared.lock().watch.violation =
                Some(Violation { invariant: "events_are_taken", what });
        }
        for event in events {
            let Some(Sent { json, stranger: Some(imei) }) = self.sent.get(*event) else { continue };
            let sim = self.devices.iter().map(|device| device.sim.sid);
            let sim = sim.into_iter().find(|sim| json.contains(&sim.to_string()));
            if let Some(sim) = sim {
                self.strangers.entry(sim).or_default().entry(imei.clone()).or_insert(now_ms);
            }
        }
    }

    /// Whoever invoked the function tries again, or gives up.
    fn failed(&mut self, job: Job) {
        let mut inner = self.shared.lock();
        match job {
            Job::Sweep | Job::Hint => {}
            Job::Stream(sims, time) if time < STREAM_TIMES_MAX => {
                inner.after(1_000, Happening::Stream(sims, time + 1));
            }
            Job::Deliver(events, time) if time < DELIVERIES_MAX => {
                inner.after(10_000 * i64::from(time), Happening::Deliver(events, time + 1));
            }
            Job::Ask(request, time) if time < ASKS_MAX => {
                inner.after(10_000, Happening::Ask(request, time + 1));
            }
            Job::Stream(..) | Job::Deliver(..) | Job::Ask(..) => {}
        }
    }
}

/// Insertions of findings about these SIMs, with the least that they must say.
fn records(sims: &[SimSid]) -> Value {
    let record = |(place, sim): (usize, &SimSid)| {
        json!({
            "eventName": "INSERT",
            "dynamodb": {
                "Keys": { "pk": { "S": format!("FIND#{sim}") }, "sk": { "S": "x" } },
                "SequenceNumber": format!("{place:021}"),
            },
        })
    };
    json!({ "Records": sims.iter().enumerate().map(record).collect::<Vec<_>>() })
}
