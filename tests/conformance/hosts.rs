//! Every host that the promises are held in, and where its program is found.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::conformance::core_host::{CoreHost, Delivers};
use crate::conformance::host::Host;
use crate::conformance::program_host::ProgramHost;
use crate::conformance::rust_host::RustHost;
use crate::support::{is_here, ROOT};

/// A host, and the way in which it makes connectors.
pub struct HostKind {
    pub name: &'static str,
    /// The protocol's word for the way.
    pub mode: &'static str,
    pub program: Program,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// This one, through the public Rust interface.
    Rust,
    /// This one, on the engine.
    Core(Delivers),
    C,
    CInValgrind,
    Node,
    Python,
}

/// Every host.
pub const ALL: &[HostKind] = &[
    HostKind { name: "rust", mode: "default", program: Program::Rust },
    HostKind { name: "rust-thread", mode: "default", program: Program::Core(Delivers::ByThread) },
    HostKind { name: "rust-poll", mode: "default", program: Program::Core(Delivers::OnPoll) },
    HostKind { name: "rust-queue", mode: "default", program: Program::Core(Delivers::OnQueue) },
    HostKind { name: "c", mode: "default", program: Program::C },
    HostKind { name: "c-poll", mode: "poll", program: Program::C },
    HostKind { name: "c-queue", mode: "queue", program: Program::C },
    HostKind { name: "c-valgrind", mode: "default", program: Program::CInValgrind },
    HostKind { name: "c-poll-valgrind", mode: "poll", program: Program::CInValgrind },
    HostKind { name: "c-queue-valgrind", mode: "queue", program: Program::CInValgrind },
    HostKind { name: "node", mode: "modern", program: Program::Node },
    HostKind { name: "node-classic", mode: "classic", program: Program::Node },
    HostKind { name: "node-thread", mode: "thread", program: Program::Node },
    HostKind { name: "python", mode: "default", program: Program::Python },
];

impl HostKind {
    /// Whether it runs as a process of its own.
    pub fn is_program(&self) -> bool {
        !matches!(self.program, Program::Rust | Program::Core(_))
    }

    /// Whether it makes connectors as most users of its language do.
    pub fn is_usual_way(&self) -> bool {
        matches!(self.name, "rust" | "c" | "node" | "python")
    }

    pub fn is_slow(&self) -> bool {
        self.program == Program::CInValgrind
    }

    /// How long anything may take that is to happen.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(if self.is_slow() { 120 } else { 30 })
    }

    /// Why it cannot be tested here, if so.
    pub fn missing(&self) -> Option<String> {
        match self.program {
            Program::Rust | Program::Core(_) => None,
            Program::C => missing_c(),
            Program::CInValgrind => missing_c().or_else(|| missing_program("valgrind")),
            Program::Node => missing_node(),
            Program::Python => missing_c()
                .or_else(|| missing_file("bindings/python/deepstream_connector.py"))
                .or_else(|| missing_program("python3")),
        }
    }

    /// A host that no other promise uses meanwhile.
    pub fn take(&self) -> Box<dyn Host> {
        match spare().get_mut(&self.program_name()).and_then(Vec::pop) {
            Some(host) => host,
            None => self.start(),
        }
    }

    /// A host that no other promise ever used or will use.
    pub fn start(&self) -> Box<dyn Host> {
        match self.program {
            Program::Rust => Box::new(RustHost::new()),
            Program::Core(way) => Box::new(CoreHost::new(way)),
            Program::C => Box::new(ProgramHost::start(Process::new(c_program()))),
            Program::CInValgrind => {
                let mut valgrind = Process::new("valgrind");
                valgrind.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
                // Threads of ours end with the process, and the image stays by design; what no
                // pointer reaches any more is a leak.
                valgrind.args(["--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]);
                valgrind.arg("--fair-sched=yes").arg(c_program());
                Box::new(ProgramHost::start(valgrind))
            }
            Program::Node => {
                let mut node = Process::new("node");
                node.arg(Path::new(ROOT).join("tests/hosts/host.js"));
                Box::new(ProgramHost::start(node))
            }
            Program::Python => {
                let mut python = Process::new("python3");
                python.arg(Path::new(ROOT).join("tests/hosts/host.py"));
                python.env("CONNECTOR_LIBRARY", library().unwrap_or_else(|reason| panic!("{reason}")));
                Box::new(ProgramHost::start(python))
            }
        }
    }

    /// Gives a host back after a promise that was held.
    pub fn give_back(&self, host: Box<dyn Host>) {
        if self.is_program() {
            spare().entry(self.program_name()).or_default().push(host);
        }
    }

    fn program_name(&self) -> &'static str {
        match self.program {
            Program::Rust | Program::Core(_) => self.name,
            Program::C => "c",
            Program::CInValgrind => "c-valgrind",
            Program::Node => "node",
            Program::Python => "python",
        }
    }
}

/// Running programs by name.
type Programs = HashMap<&'static str, Vec<Box<dyn Host>>>;

/// Programs that nobody uses at the moment: to start one takes longer than most promises.
fn spare() -> MutexGuard<'static, Programs> {
    static SPARE: OnceLock<Mutex<Programs>> = OnceLock::new();
    SPARE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends all programs in an orderly way; says what was wrong with that.
pub fn end_all() -> Vec<String> {
    let hosts: Vec<_> = spare().drain().collect();
    let mut faults = Vec::new();
    for (name, hosts) in hosts {
        for mut host in hosts {
            if let Err(fault) = host.end(Duration::from_secs(60)) {
                faults.push(format!("the host program {name}: {fault}"));
            }
        }
    }
    faults
}

fn missing_c() -> Option<String> {
    if !cfg!(feature = "capi") {
        return Some("the library is built without the feature \"capi\"".into());
    }
    missing_file("tests/hosts/host.c")
        .or_else(|| missing_file("include/deepstream_connector.h"))
        .or_else(|| missing_program("cc"))
}

fn missing_node() -> Option<String> {
    missing_file("tests/hosts/host.js")
        .or_else(|| missing_program("node"))
        .or_else(|| missing_file("bindings/node/deepstream-connector.node"))
}

fn missing_file(path: &str) -> Option<String> {
    (!Path::new(ROOT).join(path).exists()).then(|| format!("{path} is not there; build it first"))
}

fn missing_program(name: &str) -> Option<String> {
    (!is_here(name)).then(|| format!("{name} is not installed"))
}

/// The C host, compiled once in each run against the library of this very build.
fn c_program() -> &'static Path {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PROGRAM.get_or_init(compile_c) {
        Ok(path) => path,
        Err(reason) => panic!("{reason}"),
    }
}

fn compile_c() -> Result<PathBuf, String> {
    let library = library()?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance-c");
    let name = soname(&library)?;
    let prepared = fs::create_dir_all(&folder).and_then(|()| {
        let link = folder.join(&name);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => symlink(&library, &link),
        }
    });
    prepared.map_err(|error| format!("{} cannot be prepared: {error}", folder.display()))?;
    let program = folder.join("host");
    let mut compiler = Process::new("cc");
    compiler
        .args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"])
        .arg(format!("-I{ROOT}/include"))
        .arg(format!("{ROOT}/tests/hosts/host.c"))
        .arg(folder.join(&name))
        .arg(format!("-Wl,-rpath,{}", folder.display()))
        .arg("-o")
        .arg(&program);
    let output = compiler.output().map_err(|error| format!("cc cannot be started: {error}"))?;
    match output.status.success() {
        true => Ok(program),
        false => Err(format!(
            "the C host does not compile: {compiler:?}\n{}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// The name under which programs look for a library: the one in it, or that of its file.
fn soname(library: &Path) -> Result<String, String> {
    let output = Process::new("readelf").arg("-d").arg(library).output();
    let output = output.map_err(|error| format!("readelf, of binutils, cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let inside = text.lines().find_map(|line| line.split_once("soname: [")?.1.strip_suffix(']'));
    Ok(inside.unwrap_or(LIBRARY).to_owned())
}

const LIBRARY: &str = "libdeepstream_connector.so";

/// The shared library that cargo built together with this program: beside it, while the one in
/// the folder above may be of an earlier build.
fn library() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("this program does not know its path: {error}"))?;
    let beside = own.with_file_name(LIBRARY);
    if beside.exists() {
        return Ok(beside);
    }
    let above = own.parent().and_then(Path::parent).map(|folder| folder.join(LIBRARY));
    above.filter(|path| path.exists()).ok_or_else(|| format!("{} is not there", beside.display()))
}
