//! The schedule keeps its word.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use libtest_mimic::Completion;

use super::job::{test, Class, Group, Job, Test};
use super::processors::Processors;
use super::schedule::{self, Limits, Watch};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(tests_that_wait_run_many_at_a_time),
    test!(tests_that_work_are_bounded),
    test!(a_busy_machine_runs_no_more_tests_than_it_has_processors),
    test!(processors_are_busy_that_have_no_time_left_for_another_test),
    test!(what_measures_runs_last_and_by_itself),
    test!(a_group_waits_until_there_is_room_for_its_servers),
    test!(servers_of_ones_own_are_bounded_and_groups_end_once),
];

static SMALL: Group = Group::small("small");
static LARGE: [Group; 2] = [Group::small("large").memory(80), Group::small("large too").memory(80)];
static FEW_SERVERS: Group = Group::small("few servers").servers(2);

const LIMITS: Limits = Limits { all: 6, working: 2, hurried: 2, memory: 100 };

/// How many run, the most that ever did, and how many have run.
#[derive(Default)]
struct Count {
    now: AtomicUsize,
    most: AtomicUsize,
    done: AtomicUsize,
}

impl Count {
    fn during(&self, run: impl FnOnce()) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        run();
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.done.fetch_add(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// A machine, and how many groups have ended on it.
#[derive(Default)]
struct Machine {
    is_busy: bool,
    ends: AtomicUsize,
}

impl Watch for Machine {
    fn is_busy(&self) -> bool {
        self.is_busy
    }

    fn begins(&self, _: &'static Group) {}

    fn ended(&self, _: &'static Group) {
        self.ends.fetch_add(1, Ordering::SeqCst);
    }
}

fn job(group: &'static Group, class: Class, run: impl FnOnce() + Send + 'static) -> Job {
    let run = Box::new(move || {
        run();
        Ok(Completion::Completed)
    });
    Job { name: "a test".into(), group, class, has_server: true, promise: None, run }
}

/// Runs jobs, all of which must pass; says how many groups ended.
fn run(jobs: Vec<Job>) -> usize {
    run_on(Machine::default(), jobs)
}

fn run_on(machine: Machine, jobs: Vec<Job>) -> usize {
    let (jobs, outcomes): (Vec<_>, Vec<_>) = jobs
        .into_iter()
        .map(|job| {
            let (sender, outcome) = channel();
            ((job, sender), outcome)
        })
        .unzip();
    let count = jobs.len();
    assert_eq!(schedule::run(jobs, LIMITS, &machine).len(), count);
    for outcome in outcomes {
        let outcome = outcome.recv().expect("every test has an outcome");
        assert!(outcome.is_ok(), "{:?}", outcome.err());
    }
    machine.ends.into_inner()
}

fn a_moment() {
    thread::sleep(Duration::from_millis(5));
}

fn tests_that_wait_run_many_at_a_time() {
    // None ends before all are there.
    let all = Arc::new(Barrier::new(4));
    let wait = |_| {
        let all = Arc::clone(&all);
        job(&SMALL, Class::Waits, move || {
            all.wait();
        })
    };
    run((0..4).map(wait).collect());
}

fn tests_that_work_are_bounded() {
    let count = Arc::new(Count::default());
    let work = |_| {
        let count = Arc::clone(&count);
        job(&SMALL, Class::Works, move || count.during(a_moment))
    };
    run((0..12).map(work).collect());
    assert!(count.most() <= LIMITS.working, "{} worked at once", count.most());
}

fn a_busy_machine_runs_no_more_tests_than_it_has_processors() {
    for is_busy in [true, false] {
        let count = Arc::new(Count::default());
        let wait = |_| {
            let count = Arc::clone(&count);
            job(&SMALL, Class::Waits, move || count.during(|| thread::sleep(Duration::from_millis(500))))
        };
        run_on(Machine { is_busy, ..Machine::default() }, (0..6).map(wait).collect());
        assert_eq!(is_busy, count.most() == LIMITS.hurried, "busy {is_busy}: {} at once", count.most());
    }
}

/// Of `/proc/stat`: user, nice, system, idle, waiting for disks, interrupts of two kinds, stolen, guests of two kinds.
fn processors_are_busy_that_have_no_time_left_for_another_test() {
    let mut processors = Processors::default();
    let mut is_busy =
        |counts: &str| processors.were_busy_until(&format!("cpu  {counts}\ncpu0 1 2 3 4 5 6 7 8 9 10\n"));
    assert!(!is_busy("1000 100 500 9000 300 10 20 30 40 50"), "nothing is known at first");
    assert!(is_busy("1060 100 520 9001 300 15 35 40 90 50"), "1 tick of 91 was idle");
    assert!(!is_busy("1100 160 520 9001 300 15 35 40 90 50"), "60 ticks of 100 went to what is nice");
    assert!(!is_busy("1100 160 520 9081 320 15 35 40 90 50"), "nothing was done");
    assert!(is_busy("1100 160 520 9081 320 15 35 90 90 50"), "another machine took all of it");
    assert!(!is_busy("1100 160 520 9081 320 15 35 90 90 50"), "no time has passed");
    assert!(!is_busy("nonsense"));
}

fn what_measures_runs_last_and_by_itself() {
    let count = Arc::new(Count::default());
    let jobs = (0..12).map(|number| {
        let count = Arc::clone(&count);
        match number % 4 {
            0 => job(&SMALL, Class::Alone, move || {
                count.during(|| {
                    a_moment();
                    assert_eq!(count.now.load(Ordering::SeqCst), 1, "others run beside");
                    assert!(count.done.load(Ordering::SeqCst) >= 9, "others have not run yet");
                });
            }),
            _ => job(&SMALL, Class::Waits, move || count.during(a_moment)),
        }
    });
    run(jobs.collect());
}

fn a_group_waits_until_there_is_room_for_its_servers() {
    let counts: [Arc<Count>; 2] = Default::default();
    let jobs = (0..16).map(|number| {
        let (own, other) = (Arc::clone(&counts[number % 2]), Arc::clone(&counts[1 - number % 2]));
        job(&LARGE[number % 2], Class::Waits, move || {
            own.during(|| {
                a_moment();
                assert_eq!(other.now.load(Ordering::SeqCst), 0, "the other group is open, too");
            });
        })
    });
    assert_eq!(run(jobs.collect()), 2);
}

fn servers_of_ones_own_are_bounded_and_groups_end_once() {
    let count = Arc::new(Count::default());
    let wait = |_| {
        let count = Arc::clone(&count);
        job(&FEW_SERVERS, Class::Waits, move || count.during(a_moment))
    };
    assert_eq!(run((0..10).map(wait).collect()), 1);
    assert!(count.most() <= 2, "{} had a server at once", count.most());
}
