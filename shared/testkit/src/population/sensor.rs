//! A healthy sensor: it wakes every hour, sends some 50 kB, and sleeps again.

use super::behaviour::Behaviour;
use super::calendar::{DAY_MS, HOUR_MS, hour_of_day};
use super::config::PopulationConfig;
use super::delivery::{Seat, Told};
use super::draw::{float, hash, millis, whole};
use super::line::{Answer, Ended, Life, Line, NEVER, Step, Work, World, whole_second};
use super::place::Place;
use super::session::{After, Load, WINDOW_MS};
use super::thief::Thief;
use crate::fleet::Volume;

/// Bytes of a usual hour: of half of all SIMs fewer, of a fortieth more than five times as many.
const USUAL_BYTES: f64 = 50_000.0;
const USUAL_SPREAD: f64 = 0.8;

/// How far a SIM's hours are spread, as logarithms: of one SIM less, of another more.
const HOUR_SPREAD: (f64, f64) = (0.15, 0.6);

/// Share of what a sensor transfers that it sends.
const UP_SHARE: (f64, f64) = (0.7, 0.9);

/// A session that carries little lasts this long.
const SHORT_SECS: std::ops::Range<i64> = 30..240;

/// What a sensor's modem carries in a second: LTE-M at 300 kbit/s.
const BYTES_PER_SEC: f64 = 37_500.0;

/// Hours of a local day in which a day shift works.
const DAY_SHIFT: std::ops::Range<i64> = 6..22;

/// While it is tested, and while a technician works on it.
const BURN_IN_TIMES: f64 = 10.0;
pub(super) const TECHNICIAN_TIMES: f64 = 30.0;

/// How many missed hours are kept to be sent.
const BACKLOG_HOURS_MAX: i64 = 24;

/// What a sensor is like; drawn once.
#[derive(Debug)]
struct Nature {
    usual: f64,
    spread: f64,
    up_share: f64,
    /// Seconds of the hour at which it wakes.
    phase_secs: i64,
    is_day_shift: bool,
    is_at_border: bool,
    stays_open: bool,
    /// Local hours.
    daily_at: Option<i64>,
    weekly_at: Option<i64>,
}

/// A sensor and its modem.
#[derive(Debug)]
pub(super) struct Sensor {
    pub(super) line: Line,
    pub(super) seat: Seat,
    nature: Nature,
    /// The hour whose wake comes next, and when that is.
    mark: i64,
    wake_at: i64,
    /// What befalls it is drawn once a wake.
    pub(super) is_fresh_wake: bool,
    pub(super) backlog_hours: i64,
    pub(super) level: f64,
    /// What the next session carries, besides the usual.
    pub(super) times: f64,
    pub(super) technician_hours: i64,
    pub(super) attempts_left: i64,
    last_day: i64,
    last_week: i64,
    firmware: u32,
    steered: u32,
    is_across: bool,
    was_summer: bool,
    home: Place,
    /// Until when it is in its factory, and when it is installed.
    burn_in_until: i64,
    installed: i64,
}

impl Sensor {
    /// A sensor that is installed at a time; before that it may be tested.
    pub(super) fn new(
        life: &mut Life,
        world: &World<'_>,
        seat: Seat,
        installed: Option<i64>,
    ) -> Self {
        let config = world.config;
        let nature = Nature::draw(life, config);
        let start = config.start.as_millisecond();
        let mut sensor = Self {
            line: Line::idle(),
            seat,
            nature,
            mark: i64::MIN / 2,
            wake_at: start,
            is_fresh_wake: true,
            backlog_hours: 0,
            level: 1.0,
            times: 1.0,
            technician_hours: 0,
            attempts_left: 0,
            last_day: -1,
            last_week: -1,
            firmware: 0,
            steered: 0,
            is_across: false,
            was_summer: world.calendar.is_summer(seat.place.network.land(), start),
            home: seat.place,
            burn_in_until: 0,
            installed: installed.unwrap_or(start),
        };
        if installed.is_none() && life.draw.chance(config.benign.installed_later_share) {
            sensor.install_later(life, world, start);
        }
        let first = if sensor.burn_in_until > 0 { start } else { sensor.installed };
        sensor.sleep(life, world, first);
        sensor
    }

    fn install_later(&mut self, life: &mut Life, world: &World<'_>, start: i64) {
        let days = i64::from(world.config.days);
        let installed = start + life.draw.within(0..(days * DAY_MS * 2 / 3).max(1));
        self.installed = whole_second(installed);
        if life.draw.chance(world.config.benign.burn_in_share) {
            self.burn_in_until = start + life.draw.within(DAY_MS..3 * DAY_MS);
            let rest = life.draw.within(3 * DAY_MS..10 * DAY_MS);
            self.installed = self.burn_in_until + rest;
            self.seat.place = Place::factory(world.config.seed, life.card.fleet);
        }
    }

    /// The median of its bytes in an hour.
    pub(super) const fn usual_bytes(&self) -> f64 {
        self.nature.usual
    }

    /// Takes the step that is due.
    pub(super) fn step(
        &mut self,
        life: &mut Life,
        world: &mut World<'_>,
        thief: Option<&mut Thief>,
    ) {
        let (at, step) = self.line.next;
        match step {
            Step::Attach => self.wake(life, world, at),
            Step::Start => {
                let work = self.work(life, world, thief, at);
                self.line.open(life, world, &self.seat, at, work);
            }
            Step::Window | Step::Cut => self.end_window(life, world, thief, (at, step)),
        }
    }

    fn wake(&mut self, life: &mut Life, world: &mut World<'_>, at: i64) {
        if at >= life.dark_from {
            self.line.attach(life, world, &self.seat, at);
            return self.sleep(life, world, at);
        }
        if std::mem::take(&mut self.is_fresh_wake) {
            self.travel(life, world, at);
            if self.is_kept_from(life, world, at) {
                return;
            }
        }
        if self.attempts_left > 0 {
            return self.fail(life, world, at);
        }
        if self.line.attach(life, world, &self.seat, at) == Answer::Rejected {
            self.sleep(life, world, at);
        }
    }

    /// What moves the SIM to another network: its installation, the carrier, a border.
    fn travel(&mut self, life: &mut Life, world: &mut World<'_>, at: i64) {
        if self.burn_in_until > 0 {
            life.mark(world, Behaviour::BurnIn, at);
            if at >= self.installed {
                self.burn_in_until = 0;
                self.seat.place = self.home;
            }
        }
        let (fleet, sim) = (life.card.fleet, life.card.index);
        if let Some(number) = world.calendar.steering(fleet, sim, at)
            && number > self.steered
        {
            self.steered = number;
            let drawn = hash(world.config.seed, 0x501, u64::from(fleet) << 32 | u64::from(number));
            self.home.network = self.home.network.other(drawn);
            if self.burn_in_until == 0 && !self.is_across {
                self.seat.place = self.home;
            }
            life.mark(world, Behaviour::CarrierSteering, at);
        }
        if self.nature.is_at_border && self.burn_in_until == 0 && life.draw.chance(0.3) {
            self.is_across = !self.is_across;
            let across = self.home.across_the_border();
            self.seat.place = if self.is_across { across } else { self.home };
            life.mark(world, Behaviour::BorderPingPong, at);
        }
    }

    /// Settles down at another place.
    pub(super) fn move_home(&mut self, place: Place) {
        (self.home, self.seat.place, self.is_across) = (place, place, false);
    }

    /// Whether an outage, or what befalls the SIM itself, keeps it from attaching now.
    fn is_kept_from(&mut self, life: &mut Life, world: &mut World<'_>, at: i64) -> bool {
        let land = self.seat.place.network.land();
        let region = world.calendar.region(land, life.card.index);
        if let Some(until) = world.calendar.outage_until(region, at) {
            life.mark(world, Behaviour::Outage, at);
            let back = whole_second(until) + 1_000 * life.draw.within(0..1_800);
            self.miss(at, back);
            return true;
        }
        super::episode::befall(self, life, world, at)
    }

    /// Sleeps over wakes, whose bytes are sent at the next.
    pub(super) fn miss(&mut self, at: i64, until: i64) {
        let missed = (until - at) / HOUR_MS + 1;
        self.backlog_hours = (self.backlog_hours + missed).min(BACKLOG_HOURS_MAX);
        self.stay_away(until);
    }

    /// Comes back at a time.
    pub(super) fn stay_away(&mut self, until: i64) {
        self.is_fresh_wake = true;
        self.line.wait_until(until);
    }

    /// An attempt that fails, within a storm of them.
    fn fail(&mut self, life: &mut Life, world: &mut World<'_>, at: i64) {
        self.attempts_left -= 1;
        let is_attach = life.draw.chance(0.5);
        let told = if is_attach { Told::AttachFailed } else { Told::SessionFailed };
        life.tell(world, &self.seat, at, told, None);
        self.line.wait_until(life.after_secs(at, 20..90));
    }

    fn end_window(
        &mut self,
        life: &mut Life,
        world: &mut World<'_>,
        mut thief: Option<&mut Thief>,
        (at, step): (i64, Step),
    ) {
        let (ended, rogue) = self.line.end_window(life, world, &self.seat, (at, step));
        if let Some(thief) = thief.as_deref_mut() {
            thief.bytes += rogue;
        }
        if ended == Ended::Session {
            return self.sleep(life, world, at);
        }
        // A session that stays open carries an hour's bytes after the window that the wake fell in.
        if self.nature.stays_open && at >= self.wake_at {
            self.travel(life, world, at);
            let is_kept = self.is_kept_from(life, world, at);
            if is_kept || self.attempts_left > 0 {
                return self.drop_session(life, world, at, is_kept);
            }
            let work = self.work(life, world, thief, at);
            self.line.carry(work.load, work.until);
        }
    }

    /// Loses an open session; what comes next is known where something keeps the sensor away.
    fn drop_session(&mut self, life: &mut Life, world: &mut World<'_>, at: i64, is_kept: bool) {
        let next = self.line.next;
        self.line.end_window(life, world, &self.seat, (at, Step::Cut));
        self.line.next = next;
        if !is_kept {
            self.is_fresh_wake = false;
            self.line.wait_until(life.after_secs(at, 20..90));
        }
    }

    /// Ends whatever the sensor does, because the SIM is taken out of it.
    pub(super) fn leave(&mut self, life: &mut Life, world: &mut World<'_>, at: i64) {
        if self.line.session.is_some() {
            self.line.end_window(life, world, &self.seat, (at, Step::Cut));
        }
        self.line.next = (NEVER, Step::Attach);
    }

    /// Sleeps to the first wake after a time.
    pub(super) fn sleep(&mut self, life: &mut Life, world: &World<'_>, after: i64) {
        self.plan_wake(life, world, after);
        self.stay_away(self.wake_at);
    }

    fn plan_wake(&mut self, life: &mut Life, world: &World<'_>, after: i64) {
        let phase = self.nature.phase_secs * 1_000;
        let land = self.home.network.land();
        let rests = self.burn_in_until..self.installed;
        let after =
            if self.burn_in_until > 0 && rests.contains(&after) { rests.end } else { after };
        let jitter = i64::from(world.config.benign.wake_jitter_secs);
        let mut mark = (after - phase).div_euclid(HOUR_MS) * HOUR_MS;
        mark = mark.max(self.mark + HOUR_MS);
        loop {
            let hour = hour_of_day(world.calendar.local(land, mark + phase));
            let is_on_shift = !self.nature.is_day_shift || DAY_SHIFT.contains(&hour);
            let wake = life.after_secs(mark + phase, -jitter..jitter + 1);
            if wake > after && is_on_shift {
                (self.mark, self.wake_at) = (mark, wake);
                return;
            }
            mark += HOUR_MS;
        }
    }

    /// What the session that begins now is for.
    fn work(
        &mut self,
        life: &mut Life,
        world: &mut World<'_>,
        thief: Option<&mut Thief>,
        at: i64,
    ) -> Work {
        let usual = self.usual(life, world, at);
        let leaked = thief.map_or(Volume::default(), |thief| thief.leak(at, usual));
        let more = self.uploads(life, world, at).plus(self.firmware(life, world, at));
        let backlog = 1.0 + float(std::mem::take(&mut self.backlog_hours).unsigned_abs());
        let times = backlog * std::mem::replace(&mut self.times, 1.0);
        let own = scaled(usual, times).plus(more);
        let bytes = own.plus(leaked);
        let secs = float(life.draw.within(SHORT_SECS).unsigned_abs());
        let secs = secs.max(float(bytes.total()) / BYTES_PER_SEC);
        let mut until = whole_second(at + millis(secs * 1_000.0));
        until = until.max(at + HOUR_MS * std::mem::take(&mut self.technician_hours));
        let after = if self.nature.stays_open { After::StayOpen } else { After::Close };
        if after == After::StayOpen {
            life.mark(world, Behaviour::StaysOpen, at);
            self.plan_wake(life, world, until.max(at + WINDOW_MS));
        }
        let rogue_ppm = leaked.total() * 1_000_000 / bytes.total().max(1);
        let rogue_ppm = u32::try_from(rogue_ppm).unwrap_or(1_000_000);
        Work { load: Load { bytes, rogue_ppm }, until, after }
    }

    /// What the sensor would send in an hour like this.
    fn usual(&self, life: &mut Life, world: &World<'_>, at: i64) -> Volume {
        let nature = &self.nature;
        let season = world.calendar.season(life.card.fleet, at);
        let tested = if at < self.burn_in_until { BURN_IN_TIMES } else { 1.0 };
        let median = nature.usual * self.level * season * tested;
        let bytes = life.draw.log_normal(median, nature.spread);
        let up = bytes * nature.up_share;
        Volume { up: whole(up), down: whole(bytes - up) }
    }

    /// Uploads that are due by the local clock.
    fn uploads(&mut self, life: &mut Life, world: &mut World<'_>, at: i64) -> Volume {
        let land = self.home.network.land();
        let (daily_at, weekly_at) = (self.nature.daily_at, self.nature.weekly_at);
        let is_summer = world.calendar.is_summer(land, at);
        let by_clock = self.nature.is_day_shift || daily_at.is_some() || weekly_at.is_some();
        if is_summer != std::mem::replace(&mut self.was_summer, is_summer) && by_clock {
            life.mark(world, Behaviour::DaylightSaving, at);
        }
        let local = world.calendar.local(land, at);
        let (day, week) = (local.div_euclid(DAY_MS), local.div_euclid(7 * DAY_MS));
        let mut up = 0.0;
        if daily_at == Some(hour_of_day(local)) && day > self.last_day {
            self.last_day = day;
            up += life.draw.log_between(0.3e6, 2e6);
            life.mark(world, Behaviour::DailyUpload, at);
        }
        let hour_of_week = local.rem_euclid(7 * DAY_MS) / HOUR_MS;
        if weekly_at == Some(hour_of_week) && week > self.last_week {
            self.last_week = week;
            up += life.draw.log_between(2e6, 10e6);
            life.mark(world, Behaviour::WeeklyUpload, at);
        }
        Volume { up: whole(up), down: 0 }
    }

    /// A firmware update that is due and was not taken.
    fn firmware(&mut self, life: &mut Life, world: &mut World<'_>, at: i64) -> Volume {
        let update = world.calendar.firmware(life.card.fleet, life.card.index, at);
        let Some(update) = update.filter(|update| update.number > self.firmware) else {
            return Volume::default();
        };
        self.firmware = update.number;
        life.mark(world, Behaviour::Firmware, at);
        Volume { up: whole(update.bytes / 100.0), down: whole(update.bytes) }
    }
}

/// So many times as much.
pub(super) fn scaled(bytes: Volume, times: f64) -> Volume {
    Volume { up: whole(float(bytes.up) * times), down: whole(float(bytes.down) * times) }
}

impl Nature {
    fn draw(life: &mut Life, config: &PopulationConfig) -> Self {
        let benign = &config.benign;
        let draw = &mut life.draw;
        let usual = draw.log_normal(USUAL_BYTES, USUAL_SPREAD);
        let spread = draw.between(HOUR_SPREAD.0, HOUR_SPREAD.1);
        let up_share = draw.between(UP_SHARE.0, UP_SHARE.1);
        let phase_secs = draw.within(0..3_600);
        let is_day_shift = draw.chance(benign.day_shift_share);
        let hours = if is_day_shift { DAY_SHIFT } else { 0..24 };
        let daily_at = draw.chance(benign.daily_upload_share).then(|| draw.within(hours.clone()));
        let weekly_at = draw.chance(benign.weekly_upload_share);
        let weekly_at = weekly_at.then(|| draw.within(0..7) * 24 + draw.within(hours));
        Self {
            usual,
            spread,
            up_share,
            phase_secs,
            is_day_shift,
            is_at_border: draw.chance(benign.border_share),
            stays_open: draw.chance(benign.stays_open_share),
            daily_at,
            weekly_at,
        }
    }
}
