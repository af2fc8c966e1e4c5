//! The C contract, held against the built shared library by programs in C, C++ and Python: a
//! table of scenarios, each in a process of its own, and where possible once more under valgrind.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use libtest_mimic::{Completion, Failed};

use crate::groups;
use crate::harness::{is_ci, Class, Group, Job};
use crate::support::workshop::{succeed, Source, Workshop, SONAME};
use crate::support::{is_here, ROOT};

/// What valgrind counts as a fault besides wrong accesses.
#[derive(Clone, Copy)]
enum Leaks {
    /// Anything but what is still in use.
    Any,
    /// Only what nothing points to any more: where the process exits with a connector alive, the
    /// memory of its threads is only reached by pointers into its middle, which valgrind calls
    /// possibly lost.
    Definite,
    /// Nothing: a forked child has the memory of threads that it does not have.
    None,
}

impl Leaks {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Leaks::Any => &["--leak-check=full", "--errors-for-leak-kinds=definite,possible"],
            Leaks::Definite => {
                &["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]
            }
            Leaks::None => &["--leak-check=no"],
        }
    }
}

/// The scenarios of lifecycle.c.
const LIFECYCLE: &[(&str, Leaks)] = &[
    ("exit_without_a_call", Leaks::Any),
    ("exit_after_create", Leaks::Definite),
    ("exit_with_work_pending", Leaks::Definite),
    ("exit_in_callback", Leaks::Definite),
    ("no_callback_starts_once_the_process_exits", Leaks::Definite),
    ("free_in_exit_handler", Leaks::Any),
    ("use_in_exit_handler", Leaks::Any),
    ("create_and_free", Leaks::Any),
    ("free_in_callback", Leaks::Any),
    ("free_inside_free", Leaks::Any),
    ("free_with_pending", Leaks::Any),
    ("free_while_a_callback_runs_elsewhere", Leaks::Any),
    ("close_finishes_accepted_work", Leaks::Any),
    ("free_interrupts_close", Leaks::Any),
    ("close_while_others_submit", Leaks::Any),
    ("fork_child_is_told", Leaks::None),
    ("fork_in_callback", Leaks::None),
    ("a_fork_is_noticed_however_it_was_made", Leaks::None),
    ("null_is_an_error", Leaks::Any),
    ("refused_requests_are_not_called_back", Leaks::Any),
    ("create_errors_name_the_option", Leaks::Any),
    ("last_error_belongs_to_its_thread", Leaks::Any),
    ("busy_is_refused", Leaks::Any),
    ("answers_are_what_was_stored", Leaks::Any),
    ("events_are_told", Leaks::Any),
    ("no_callback_inside_a_submission", Leaks::Any),
    ("dispatch_inside_a_callback_is_harmless", Leaks::Any),
    ("a_host_that_only_watches_the_descriptor_misses_nothing", Leaks::Any),
    ("one_dispatch_is_bounded", Leaks::Any),
    ("a_slow_callback_delays_no_work", Leaks::Any),
    ("modes_are_told_apart", Leaks::Any),
    ("versions_and_names", Leaks::Any),
    ("signals_stay_with_the_host", Leaks::Any),
];

/// The scenarios of queue.c. The thread of an SQLite database ends a little after its connector.
const QUEUE: &[(&str, Leaks)] = &[
    ("answers_are_what_was_stored", Leaks::Any),
    ("many_keys_have_one_completion", Leaks::Any),
    ("pages_and_commands_answer", Leaks::Definite),
    ("events_are_completions", Leaks::Any),
    ("a_deadline_is_the_operations_own", Leaks::Any),
    ("refused_operations_have_no_completion", Leaks::Any),
    ("an_operation_is_in_flight_until_its_completion_is_fetched", Leaks::Any),
    ("a_newer_host_is_served", Leaks::Any),
    ("each_operation_has_exactly_one_completion", Leaks::Any),
    ("a_fetch_waits_as_long_as_it_is_told", Leaks::Any),
    ("the_descriptor_is_readable_as_long_as_some_wait", Leaks::Any),
    ("what_completions_point_to_stays_until_the_next_fetch", Leaks::Any),
    ("one_thread_fetches_at_a_time", Leaks::Any),
    ("close_finishes_accepted_work", Leaks::Any),
    ("stop_answers_everything", Leaks::Any),
    ("stop_wakes_who_waits", Leaks::Any),
    ("free_releases_what_was_not_fetched", Leaks::Any),
    ("exit_with_work_pending", Leaks::Definite),
    ("exit_while_a_thread_waits", Leaks::Definite),
    ("modes_are_told_apart", Leaks::Any),
    ("null_is_an_error", Leaks::Any),
    ("fork_child_is_told", Leaks::None),
];

/// The scenarios of dlopen.c.
const DLOPEN: &[(&str, Leaks)] = &[
    ("load_and_exit", Leaks::Any),
    ("load_and_unload", Leaks::Any),
    ("exit_with_live_threads", Leaks::Definite),
    ("unload_with_live_threads", Leaks::Any),
];

/// The scenarios of wrapper.cpp. The thread of an SQLite database ends a little after its connector.
const WRAPPER: &[(&str, Leaks)] = &[
    ("documents_round_trip", Leaks::Definite),
    ("operations_on_a_key_keep_their_order", Leaks::Definite),
    ("every_operation_answers", Leaks::Definite),
    ("callbacks_are_called_once", Leaks::Any),
    ("a_refused_call_destroys_its_callable", Leaks::Any),
    ("wrong_configurations_are_refused", Leaks::Any),
    ("the_destructor_answers_what_is_pending", Leaks::Any),
    ("a_callback_may_destroy_the_connector", Leaks::Any),
    ("an_event_may_destroy_the_connector", Leaks::Any),
    ("a_callable_may_own_the_connector", Leaks::Any),
    ("futures_have_values_and_errors", Leaks::Any),
    ("exceptions_go_to_the_handler", Leaks::Any),
    ("exceptions_without_a_handler_terminate", Leaks::Definite),
    ("moving_keeps_what_is_pending", Leaks::Any),
    ("events_are_told", Leaks::Any),
    ("modes_are_told_apart", Leaks::Any),
];

/// The scenarios of coroutines.cpp.
const COROUTINES: &[(&str, Leaks)] = &[
    ("answers_are_awaited", Leaks::Any),
    ("errors_are_thrown_where_they_are_awaited", Leaks::Any),
    ("no_answer_is_missed", Leaks::Any),
    ("the_destructor_resumes_who_waits", Leaks::Any),
    ("a_coroutine_may_be_destroyed_while_it_waits", Leaks::Any),
    ("a_coroutine_may_destroy_the_connector", Leaks::Any),
    ("exceptions_of_coroutines_go_to_the_handler", Leaks::Any),
];

const STRICT_C: &[&str] = &["-std=c99", "-pedantic"];
const STRICT_CPP: &[&str] = &["-std=c++11", "-pedantic"];
const STRICT_CPP17: &[&str] = &["-std=c++17", "-Wpedantic", "-Wshadow", "-Wconversion"];
const STRICT_CPP20: &[&str] = &["-std=c++20", "-Wpedantic", "-Wshadow", "-Wconversion"];

const LIFECYCLE_C: Source = Source { compiler: "cc", path: "tests/c/lifecycle.c", flags: &["-std=c11"] };
const QUEUE_C: Source = Source { path: "tests/c/queue.c", ..LIFECYCLE_C };
const DLOPEN_C: Source = Source { path: "tests/c/dlopen.c", ..LIFECYCLE_C };
const HOST_C: Source = Source { compiler: "cc", path: "tests/hosts/host.c", flags: STRICT_C };
const WRAPPER_CPP: Source = Source { compiler: "c++", path: "tests/c/wrapper.cpp", flags: STRICT_CPP17 };
const COROUTINES_CPP: Source =
    Source { compiler: "c++", path: "tests/c/coroutines.cpp", flags: STRICT_CPP20 };

/// Every test, with the tools that it needs.
pub fn jobs() -> Vec<Job> {
    let workshop = Arc::new(Workshop::new("c_lifecycle"));
    let mut list = List { jobs: Vec::new() };
    programs(&workshop, &mut list);
    compilations(&workshop, &mut list);
    hosts(&workshop, &mut list);
    examples(&workshop, &mut list);
    exports(&workshop, &mut list);
    list.jobs
}

struct List {
    jobs: Vec<Job>,
}

impl List {
    /// Adds a test that needs the system's tools of these names.
    fn add(
        &mut self,
        name: impl std::fmt::Display,
        tools: &[&'static str],
        run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) {
        let tools = tools.to_vec();
        self.jobs.push(Job {
            name: format!("c_lifecycle::{name}"),
            group: &GROUP,
            class: Class::Works,
            has_server: false,
            promise: None,
            run: Box::new(move || match tools.iter().find(|tool| !is_here(tool)) {
                Some(tool) if is_ci() => Err(format!("{tool} is missing, and CI is set: install it").into()),
                Some(tool) => Ok(Completion::ignored_with(format!("{tool} is missing"))),
                None => run().map(|()| Completion::Completed),
            }),
        });
    }
}

static GROUP: Group = groups::C;

fn programs(workshop: &Arc<Workshop>, list: &mut List) {
    const CALLED: &[&str] = &["callback", "poll"];
    for (prefix, source, scenarios, modes) in [
        ("", LIFECYCLE_C, LIFECYCLE, CALLED),
        ("queue::", QUEUE_C, QUEUE, &["queue"]),
        ("wrapper::", WRAPPER_CPP, WRAPPER, CALLED),
        ("coroutines::", COROUTINES_CPP, COROUTINES, CALLED),
    ] {
        let own = Arc::clone(workshop);
        list.add(format!("{prefix}every_scenario_is_in_the_list"), &[source.compiler], move || {
            let listed = succeed(Command::new(own.program(source)?).arg("list"))?;
            let listed = String::from_utf8(listed.stdout)?;
            match listed.lines().eq(scenarios.iter().map(|(name, _)| *name)) {
                true => Ok(()),
                false => Err(format!("{} has others: {listed}", source.path).into()),
            }
        });
        for &(scenario, leaks) in scenarios {
            for &mode in modes {
                let name = format!("{prefix}{scenario}::{mode}");
                plain_and_checked(workshop, list, &name, source, leaks, move |_| {
                    vec![scenario.into(), mode.into()]
                });
            }
        }
    }
    for &(scenario, leaks) in DLOPEN {
        let name = format!("dlopen::{scenario}");
        plain_and_checked(workshop, list, &name, DLOPEN_C, leaks, move |workshop| {
            vec![scenario.into(), workshop.library()]
        });
    }
}

/// A program with these arguments has to succeed: once by itself, once under valgrind.
fn plain_and_checked(
    workshop: &Arc<Workshop>,
    list: &mut List,
    name: &str,
    source: Source,
    leaks: Leaks,
    arguments: impl Fn(&Workshop) -> Vec<PathBuf> + Copy + Send + 'static,
) {
    let own = Arc::clone(workshop);
    list.add(name, &[source.compiler], move || {
        let program = own.program(source)?;
        Ok(succeed(Command::new(program).args(arguments(&own))).map(drop)?)
    });
    let own = Arc::clone(workshop);
    list.add(format!("{name}::valgrind"), &[source.compiler, "valgrind"], move || {
        let program = own.program(source)?;
        Ok(succeed(in_valgrind(leaks, &program).args(arguments(&own))).map(drop)?)
    });
}

fn in_valgrind(leaks: Leaks, program: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["-q", "--error-exitcode=99"]).args(leaks.flags()).arg(program);
    command
}

/// The C host program of the conformance suite, at the ends that the suite itself cannot check.
fn hosts(workshop: &Arc<Workshop>, list: &mut List) {
    const CONFIG: &str = "{\"type\":\"memory\"}";
    const WORK: &str = "set 1 1 0 7 1 4\nk[12]get 1 2 0 1\nkget_many 1 3 0 1 5\n\u{1}\0\0\0k";
    for mode in ["default", "poll", "queue"] {
        for (name, rest, last, leaks) in [
            ("end_of_input", "", "freed 1\n", Leaks::Any),
            ("free_with_pending", "free 1\n", "freed 1\n", Leaks::Any),
            ("free_in_callback", "free_in_callback 1 4 1\nk", "freed 1\n", Leaks::Any),
            ("exit_with_work_pending", "exit 0\n", "", Leaks::Definite),
        ] {
            // As a burst, so that all of it is pending when the last command comes.
            let commands = 3 + usize::from(!rest.is_empty());
            let length = CONFIG.len();
            let input = format!("create 1 {mode} {length}\n{CONFIG}burst {commands}\n{WORK}{rest}");
            let (own, its_input) = (Arc::clone(workshop), input.clone());
            list.add(format!("host::{name}::{mode}"), &["cc"], move || {
                talk(&mut Command::new(own.program(HOST_C)?), &its_input, last)
            });
            let own = Arc::clone(workshop);
            list.add(format!("host::{name}::{mode}::valgrind"), &["cc", "valgrind"], move || {
                talk(&mut in_valgrind(leaks, &own.program(HOST_C)?), &input, last)
            });
        }
    }
}

/// Gives a host its commands and their end; what it says must end so.
fn talk(command: &mut Command, input: &str, last: &str) -> Result<(), Failed> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && said.starts_with("hello c ") && said.ends_with(last) {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: it said {said:?}, not {last:?} at the end; {complaint}", output.status).into())
}

fn compilations(workshop: &Arc<Workshop>, list: &mut List) {
    let own = Arc::clone(workshop);
    list.add("header_is_strict_c", &["cc"], move || {
        Ok(own.compile("cc", "tests/c/header_alone.c", STRICT_C).map(drop)?)
    });
    let own = Arc::clone(workshop);
    list.add("header_is_strict_cpp", &["c++"], move || {
        Ok(own.compile("c++", "tests/c/header_alone.cpp", STRICT_CPP).map(drop)?)
    });
    let own = Arc::clone(workshop);
    list.add("wrapper_header_is_strict_cpp", &["c++"], move || {
        for standard in [STRICT_CPP17, STRICT_CPP20] {
            let flags = [standard, &["-fsyntax-only"]].concat();
            own.compile("c++", "tests/c/wrapper_alone.cpp", &flags)?;
            own.compile("c++", WRAPPER_CPP.path, &flags)?;
        }
        Ok(())
    });
}

fn examples(workshop: &Arc<Workshop>, list: &mut List) {
    let own = Arc::clone(workshop);
    list.add("example_first_c", &["cc"], move || {
        first_example(&own.compile("cc", "examples/first.c", STRICT_C)?)
    });
    let own = Arc::clone(workshop);
    list.add("example_queue_c", &["cc"], move || {
        let program = own.compile("cc", "examples/queue.c", STRICT_C)?;
        let said = "user/ada: version 1, {\"name\": \"Ada\"}\nuser/bob: version 1, {\"name\": \"Bob\"}\n";
        says(&mut Command::new(&program), said)?;
        refuses_a_wrong_type(&program)
    });
    let own = Arc::clone(workshop);
    list.add("example_first_cpp", &["c++"], move || {
        first_example(&own.compile("c++", "examples/first.cpp", STRICT_CPP17)?)
    });
    // Python shows a document as one of its own values.
    const PYTHON_SAYS: &str = "user/ada: version 1, {'name': 'Ada', 'born': 1815}\n";
    let own = Arc::clone(workshop);
    list.add("example_first_py", &["python3"], move || {
        let source = Path::new(ROOT).join("examples/first.py");
        says(Command::new("python3").env("CONNECTOR_LIBRARY", own.library()).arg(source), PYTHON_SAYS)
    });
    let own = Arc::clone(workshop);
    list.add("python_module_frees_what_nobody_does", &["python3"], move || {
        let module = |how: &str| {
            let mut python = Command::new("python3");
            python.env("CONNECTOR_LIBRARY", own.library());
            python.arg(Path::new(ROOT).join("tests/c/python_module.py")).arg(how);
            python
        };
        says(&mut module("forgotten"), "forgotten\n")?;
        let folder = tempfile::tempdir()?;
        (0..40).try_for_each(|_| match module("exit").arg(folder.path()).status()? {
            status if status.code() == Some(7) => Ok(()),
            status => Err(format!("an exit with work under way ended with {status}").into()),
        })
    });
    for (name, mode) in [("callback", &[][..]), ("poll", &["poll"][..])] {
        let own = Arc::clone(workshop);
        list.add(format!("python_exits_with_work_pending::{name}"), &["python3"], move || {
            let source = Path::new(ROOT).join("tests/c/exit_with_work_pending.py");
            (0..5).try_for_each(|_| {
                says(Command::new("python3").arg(&source).arg(own.library()).args(mode), "ran\n")
            })
        });
    }
}

/// The first program of C and C++.
fn first_example(program: &Path) -> Result<(), Failed> {
    says(&mut Command::new(program), "user/ada: version 1, {\"name\": \"Ada\", \"born\": 1815}\n")?;
    refuses_a_wrong_type(program)
}

fn refuses_a_wrong_type(program: &Path) -> Result<(), Failed> {
    let error = succeed(Command::new(program).arg("{\"type\":\"memry\"}")).err();
    match error {
        Some(said) if said.contains("did you mean") => Ok(()),
        other => Err(format!("a wrong configuration gave {other:?}").into()),
    }
}

fn says(command: &mut Command, expected: &str) -> Result<(), Failed> {
    let said = String::from_utf8_lossy(&succeed(command)?.stdout).into_owned();
    if said == expected {
        return Ok(());
    }
    Err(format!("{command:?} said {said:?}, not {expected:?}").into())
}

fn exports(workshop: &Arc<Workshop>, list: &mut List) {
    let own = Arc::clone(workshop);
    list.add("only_the_interface_is_exported", &["nm"], move || {
        let listed = succeed(Command::new("nm").args(["-D", "--defined-only"]).arg(own.library()))?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let header = std::fs::read_to_string(Path::new(ROOT).join("include/deepstream_connector.h"))?;
        let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().last()).collect();
        let strangers: Vec<_> = names.iter().filter(|name| !header.contains(&format!("{name}("))).collect();
        if names.len() < 20 || !strangers.is_empty() {
            return Err(format!("{} exports, not in the header: {strangers:?}", names.len()).into());
        }
        Ok(())
    });
    let own = Arc::clone(workshop);
    list.add("the_image_has_its_name_and_stays_loaded", &["readelf"], move || {
        let shown = succeed(Command::new("readelf").arg("-d").arg(own.library()))?;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        for wanted in [SONAME, "NODELETE"] {
            if !shown.contains(wanted) {
                return Err(format!("no {wanted} in {shown}").into());
            }
        }
        Ok(())
    });
}
