//! Which test runs when. A test that waits leaves the processors to others, so many of them run at
//! once; tests that work are one more than there are processors; those that measure time or memory
//! run by themselves, after all others. Where the processors have no time left, whatever the tests were said
//! to need of them, no more begin than there are processors: a server that starts works, too, and a machine may be slower
//! than the one on which a test got its class. Groups of tests open as memory allows for their
//! servers, the largest first, and end as soon as their last test has ended.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs;
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use super::caught::{caught, TEST_THREAD};
use super::job::{Class, Group, Job, Outcome};
use super::times::Taken;

/// How much runs at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tests of any class.
    pub all: usize,
    /// Tests that work.
    pub working: usize,
    /// Tests of any class, while the processors have no time left.
    pub hurried: usize,
    /// What the servers of all open groups take, in megabytes.
    pub memory: u64,
}

impl Limits {
    /// For a machine with so many processors; `chosen` is what the user says of threads.
    pub fn of_machine(processors: usize, chosen: Option<usize>) -> Limits {
        let all = chosen.unwrap_or(3 * processors).max(1);
        // What is left is for the tests themselves and their hosts.
        let memory = free_memory().unwrap_or(4_000) * 6 / 10;
        Limits { all, working: all.min(processors + 1), hurried: all.min(processors), memory }
    }

    fn one_by_one(self) -> Limits {
        Limits { all: 1, working: 1, hurried: 1, ..self }
    }
}

/// What the kernel says programs can have, in megabytes.
fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// A job, and who waits for its outcome.
pub type Awaited = (Job, Sender<Outcome>);

/// How often the processors are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What happens when a test of a group begins on a thread, and when a group's last test has ended; and what the machine does.
pub trait Watch: Sync {
    /// Whether the processors had no time left since it was last asked.
    fn is_busy(&self) -> bool;
    fn begins(&self, group: &'static Group);
    fn ended(&self, group: &'static Group);
}

/// Brings jobs into the order in which they begin, as far as they may.
pub fn sort(jobs: &mut [Job]) {
    // Those whose servers take long to start are first, and so are tests that wait for their turn to
    // have one. What measures is last.
    jobs.sort_by_key(|job| {
        (job.class == Class::Alone, Reverse(job.group.memory), job.group.name, !job.has_server)
    });
}

/// Runs all jobs and says what each took.
pub fn run(jobs: Vec<Awaited>, limits: Limits, watch: &dyn Watch) -> Vec<Taken> {
    let (alone, together): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|(job, _)| job.class == Class::Alone);
    let mut taken = run_all(together, limits, watch);
    taken.extend(run_all(alone, limits.one_by_one(), watch));
    taken
}

fn run_all(jobs: Vec<Awaited>, limits: Limits, watch: &dyn Watch) -> Vec<Taken> {
    let threads = limits.all.min(jobs.len());
    let hall = Hall { state: Mutex::new(State::new(jobs)), changed: Condvar::new(), limits, watch };
    thread::scope(|scope| {
        for _ in 0..threads {
            let worker = thread::Builder::new().name(TEST_THREAD.into());
            worker.spawn_scoped(scope, || hall.work()).expect("there is room for a thread");
        }
    });
    hall.state.into_inner().unwrap_or_else(PoisonError::into_inner).taken
}

struct Hall<'a> {
    state: Mutex<State>,
    changed: Condvar,
    limits: Limits,
    watch: &'a dyn Watch,
}

struct State {
    waiting: Vec<Awaited>,
    groups: HashMap<&'static str, Progress>,
    running: usize,
    working: usize,
    taken: Vec<Taken>,
    /// The processors have no time left, or a test has just begun that may take it.
    is_busy: bool,
    looked: Instant,
}

/// How far a group is.
#[derive(Default)]
struct Progress {
    memory: u64,
    left: usize,
    is_open: bool,
    /// Tests that run and have a server of their own.
    with_server: usize,
}

impl State {
    fn new(jobs: Vec<Awaited>) -> State {
        let mut groups: HashMap<&'static str, Progress> = HashMap::new();
        for (job, _) in &jobs {
            let progress = groups.entry(job.group.name).or_default();
            progress.left += 1;
            progress.memory = job.group.memory;
        }
        let (taken, looked) = (Vec::new(), Instant::now());
        State { waiting: jobs, groups, running: 0, working: 0, taken, is_busy: true, looked }
    }

    fn look(&mut self, watch: &dyn Watch) {
        if self.looked.elapsed() >= LOOK {
            self.is_busy = watch.is_busy();
            self.looked = Instant::now();
        }
    }

    /// The first job that may begin now.
    fn choose(&mut self, limits: Limits) -> Option<Awaited> {
        let is_extra = self.running >= limits.hurried;
        if is_extra && self.is_busy {
            return None;
        }
        let index = self.waiting.iter().position(|(job, _)| self.admits(job, limits))?;
        let (job, outcome) = self.waiting.remove(index);
        self.is_busy |= is_extra;
        self.running += 1;
        self.working += usize::from(job.class != Class::Waits);
        let group = self.groups.get_mut(job.group.name)?;
        group.is_open = true;
        group.with_server += usize::from(job.has_server);
        Some((job, outcome))
    }

    fn admits(&self, job: &Job, limits: Limits) -> bool {
        let group = &self.groups[job.group.name];
        let is_free =
            self.running < limits.all && (job.class == Class::Waits || self.working < limits.working);
        let has_turn = !job.has_server || group.with_server < job.group.servers;
        is_free && has_turn && (group.is_open || self.has_room_for(group, limits))
    }

    fn has_room_for(&self, group: &Progress, limits: Limits) -> bool {
        let open = || self.groups.values().filter(|other| other.is_open && other.left > 0);
        let used: u64 = open().map(|other| other.memory).sum();
        // A group that is larger than all there is has it to itself.
        used + group.memory <= limits.memory || open().next().is_none()
    }

    /// Whether the group has ended with it.
    fn finish(&mut self, job: &Finished, taken: Taken) -> bool {
        self.running -= 1;
        self.working -= usize::from(job.class != Class::Waits);
        self.taken.push(taken);
        let Some(group) = self.groups.get_mut(job.group.name) else { return false };
        group.with_server -= usize::from(job.has_server);
        group.left -= 1;
        group.left == 0
    }
}

/// What is known of a job that has run.
struct Finished {
    group: &'static Group,
    class: Class,
    has_server: bool,
}

fn fault_of(failed: &Failed) -> String {
    failed.message().unwrap_or("it does not say why").to_owned()
}

impl Hall<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some((job, outcome)) = self.next() {
            let Job { name, group, class, has_server, promise, run } = job;
            let finished = Finished { group, class, has_server };
            let began = Instant::now();
            self.watch.begins(group);
            let result = caught(run).unwrap_or_else(|panicked| Err(Failed::from(panicked)));
            let taken = Taken {
                name,
                group: group.name,
                promise,
                class,
                seconds: began.elapsed().as_secs_f64(),
                fault: result.as_ref().err().map(fault_of),
            };
            // Nobody receives it where the run is being given up.
            let _ = outcome.send(result);
            let is_last = self.lock().finish(&finished, taken);
            if is_last {
                self.watch.ended(group);
            }
            self.changed.notify_all();
        }
    }

    /// Waits for a job that may begin; none is left where there is none.
    fn next(&self) -> Option<Awaited> {
        let mut state = self.lock();
        loop {
            state.look(self.watch);
            if let Some(chosen) = state.choose(self.limits) {
                return Some(chosen);
            }
            if state.waiting.is_empty() {
                return None;
            }
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
