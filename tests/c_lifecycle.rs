//! The C contract, held against the built shared library by programs in C, C++ and Python: a
//! table of scenarios, each in a process of its own, and where possible once more under valgrind.

#[path = "c/support.rs"]
mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use support::{has, succeed, Workshop, ROOT};

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

/// The scenarios of dlopen.c.
const DLOPEN: &[(&str, Leaks)] = &[
    ("load_and_exit", Leaks::Any),
    ("load_and_unload", Leaks::Any),
    ("exit_with_live_threads", Leaks::Definite),
    ("unload_with_live_threads", Leaks::Any),
];

const STRICT_C: &[&str] = &["-std=c99", "-pedantic"];
const STRICT_CPP: &[&str] = &["-std=c++11", "-pedantic"];

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    if has("cc") {
        let workshop = Arc::new(Workshop::open("c_lifecycle"));
        programs(&workshop, &mut trials);
        compilations(&workshop, &mut trials);
        hosts(&workshop, &mut trials);
        examples(&workshop, &mut trials);
        exports(&workshop, &mut trials);
    } else {
        trials.push(Trial::test("cc_is_missing", || Ok(())).with_ignored_flag(true));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn programs(workshop: &Arc<Workshop>, trials: &mut Vec<Trial>) {
    let lifecycle = workshop.compile("cc", "tests/c/lifecycle.c", &["-std=c11"]).expect("it compiles");
    let dlopen = workshop.compile("cc", "tests/c/dlopen.c", &["-std=c11"]).expect("it compiles");
    let listed = succeed(Command::new(&lifecycle).arg("list")).expect("it lists its scenarios");
    let listed = String::from_utf8(listed.stdout).expect("names are ASCII");
    assert!(listed.lines().eq(LIFECYCLE.iter().map(|(name, _)| *name)), "lifecycle.c has others: {listed}");
    for &(scenario, leaks) in LIFECYCLE {
        for mode in ["callback", "poll"] {
            let arguments = vec![scenario.into(), mode.into()];
            run_plain_and_checked(trials, &format!("{scenario}::{mode}"), &lifecycle, arguments, leaks);
        }
    }
    for &(scenario, leaks) in DLOPEN {
        let arguments = vec![scenario.into(), workshop.library()];
        run_plain_and_checked(trials, &format!("dlopen::{scenario}"), &dlopen, arguments, leaks);
    }
}

/// A program with these arguments has to succeed: once by itself, once under valgrind.
fn run_plain_and_checked(
    trials: &mut Vec<Trial>,
    name: &str,
    program: &Path,
    arguments: Vec<PathBuf>,
    leaks: Leaks,
) {
    let (plain, with) = (program.to_owned(), arguments.clone());
    trials.push(Trial::test(name.to_owned(), move || run(Command::new(plain).args(with))));
    let checked = program.to_owned();
    let trial = Trial::test(format!("{name}::valgrind"), move || {
        run(Command::new("valgrind")
            .args(["-q", "--error-exitcode=99"])
            .args(leaks.flags())
            .arg(checked)
            .args(arguments))
    });
    trials.push(trial.with_ignored_flag(!has("valgrind")));
}

fn run(command: &mut Command) -> Result<(), Failed> {
    succeed(command).map(drop).map_err(Failed::from)
}

/// The C host program of the conformance suite, at the ends that the suite itself cannot check.
fn hosts(workshop: &Arc<Workshop>, trials: &mut Vec<Trial>) {
    const CONFIG: &str = "{\"type\":\"memory\"}";
    const WORK: &str = "set 1 1 0 7 1 4\nk[12]get 1 2 0 1\nkget_many 1 3 0 1 5\n\u{1}\0\0\0k";
    let host = workshop.compile("cc", "tests/hosts/host.c", STRICT_C).expect("it compiles");
    for mode in ["default", "poll"] {
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
            for checked in [false, true] {
                let (host, input) = (host.clone(), input.clone());
                let suffix = if checked { "::valgrind" } else { "" };
                let trial = Trial::test(format!("host::{name}::{mode}{suffix}"), move || {
                    let mut command = if checked { Command::new("valgrind") } else { Command::new(&host) };
                    if checked {
                        command.args(["-q", "--error-exitcode=99"]).args(leaks.flags()).arg(&host);
                    }
                    talk(&mut command, &input, last)
                });
                trials.push(trial.with_ignored_flag(checked && !has("valgrind")));
            }
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

fn compilations(workshop: &Arc<Workshop>, trials: &mut Vec<Trial>) {
    for (name, compiler, source, flags) in [
        ("header_is_strict_c", "cc", "tests/c/header_alone.c", STRICT_C),
        ("header_is_strict_cpp", "c++", "tests/c/header_alone.cpp", STRICT_CPP),
    ] {
        let workshop = Arc::clone(workshop);
        let trial = Trial::test(name, move || {
            workshop.compile(compiler, source, flags).map(drop).map_err(Failed::from)
        });
        trials.push(trial.with_ignored_flag(!has(compiler)));
    }
}

fn examples(workshop: &Arc<Workshop>, trials: &mut Vec<Trial>) {
    const SAYS: &str = "user/ada: version 1, {\"name\": \"Ada\", \"born\": 1815}\n";
    for (name, compiler, source, flags) in [
        ("example_first_c", "cc", "examples/first.c", STRICT_C),
        ("example_first_cpp", "c++", "examples/first.cpp", STRICT_CPP),
    ] {
        let workshop = Arc::clone(workshop);
        let trial = Trial::test(name, move || {
            let program = workshop.compile(compiler, source, flags)?;
            says(&mut Command::new(&program), SAYS)?;
            let error = succeed(Command::new(&program).arg("{\"type\":\"memry\"}")).err();
            match error {
                Some(said) if said.contains("did you mean") => Ok(()),
                other => Err(format!("a wrong configuration gave {other:?}").into()),
            }
        });
        trials.push(trial.with_ignored_flag(!has(compiler)));
    }
    let library = workshop.library();
    let python = has("python3");
    // Python shows a document as one of its own values.
    const PYTHON_SAYS: &str = "user/ada: version 1, {'name': 'Ada', 'born': 1815}\n";
    let trial = Trial::test("example_first_py", move || {
        let source = Path::new(ROOT).join("examples/first.py");
        says(Command::new("python3").env("CONNECTOR_LIBRARY", library).arg(source), PYTHON_SAYS)
    });
    trials.push(trial.with_ignored_flag(!python));
    let library = workshop.library();
    let trial = Trial::test("python_module_frees_what_nobody_does", move || {
        let module = |how: &str| {
            let mut python = Command::new("python3");
            python.env("CONNECTOR_LIBRARY", &library);
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
    trials.push(trial.with_ignored_flag(!python));
    for (name, mode) in [("callback", &[][..]), ("poll", &["poll"][..])] {
        let library = workshop.library();
        let trial = Trial::test(format!("python_exits_with_work_pending::{name}"), move || {
            let source = Path::new(ROOT).join("tests/c/exit_with_work_pending.py");
            (0..5).try_for_each(|_| {
                says(Command::new("python3").arg(&source).arg(&library).args(mode), "ran\n")
            })
        });
        trials.push(trial.with_ignored_flag(!python));
    }
}

fn says(command: &mut Command, expected: &str) -> Result<(), Failed> {
    let said = String::from_utf8_lossy(&succeed(command)?.stdout).into_owned();
    if said == expected {
        return Ok(());
    }
    Err(format!("{command:?} said {said:?}, not {expected:?}").into())
}

fn exports(workshop: &Arc<Workshop>, trials: &mut Vec<Trial>) {
    let library = workshop.library();
    let trial = Trial::test("only_the_interface_is_exported", move || {
        let listed = succeed(Command::new("nm").args(["-D", "--defined-only"]).arg(library))?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let header = std::fs::read_to_string(Path::new(ROOT).join("include/deepstream_connector.h"))?;
        let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().last()).collect();
        let strangers: Vec<_> = names.iter().filter(|name| !header.contains(&format!("{name}("))).collect();
        if names.len() < 20 || !strangers.is_empty() {
            return Err(format!("{} exports, not in the header: {strangers:?}", names.len()).into());
        }
        Ok(())
    });
    trials.push(trial.with_ignored_flag(!has("nm")));
    let library = workshop.library();
    let trial = Trial::test("the_image_has_its_name_and_stays_loaded", move || {
        let shown = succeed(Command::new("readelf").arg("-d").arg(library))?;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        for wanted in [support::SONAME, "NODELETE"] {
            if !shown.contains(wanted) {
                return Err(format!("no {wanted} in {shown}").into());
            }
        }
        Ok(())
    });
    trials.push(trial.with_ignored_flag(!has("readelf")));
}
