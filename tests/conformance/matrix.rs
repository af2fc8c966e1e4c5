//! Which promise is held against which backend in which host.
//!
//! Every promise is held against every backend in Rust. What a language can do wrong, it does wrong
//! with one backend as with another, so every promise is held in each language, and in each way
//! that a language has of making connectors, with the memory backend and with one behind a
//! network, Redis; the misbehaving backend is a part of this program, so that only hosts inside it
//! reach it. What is left to go wrong between a language and each backend is found by a handful of
//! promises. What the classic interface alone takes is held there, with every backend. `CONFORMANCE_EVERY_WAY=1` holds all of them everywhere, `CONFORMANCE_QUICK=1` all of them in
//! Rust alone.

use std::env;

use super::backends::{BackendKind, FAULTY};
use super::core_host::Delivers;
use super::hosts::{HostKind, Program};
use super::promises::{Promise, Scope};
use crate::harness::is_ci;

/// How much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Quick,
    Usual,
    Everything,
}

impl Extent {
    pub fn of_this_run() -> Extent {
        let is_set = |name| env::var_os(name).is_some();
        match (is_set("CONFORMANCE_EVERY_WAY"), is_set("CONFORMANCE_QUICK")) {
            (true, _) => Extent::Everything,
            (false, true) => Extent::Quick,
            (false, false) => Extent::Usual,
        }
    }
}

/// Whether a promise is held there in a run of that extent.
pub fn holds(backend: &BackendKind, host: &HostKind, promise: &Promise, extent: Extent) -> bool {
    let part = match part(backend, host) {
        _ if promise.classic => part_of_classic(backend, host),
        Part::All if extent == Extent::Quick && host.is_program() => Part::Handful,
        Part::Handful | Part::IfEverything if extent == Extent::Everything => Part::All,
        part => part,
    };
    let is_in_part = match part {
        Part::All => true,
        Part::Handful => promise.handful,
        Part::IfEverything | Part::Nothing => false,
    };
    is_in_part && backend.scopes.contains(&promise.scope) && !is_left_out(backend, host, promise.scope)
}

/// Which promises a backend and a host have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    /// Those that are marked.
    Handful,
    /// None, except in a run of everything.
    IfEverything,
    /// None ever: the two cannot meet, or are the same as two others.
    Nothing,
}

fn part(backend: &BackendKind, host: &HostKind) -> Part {
    let is_model = matches!(backend.name, "memory" | "redis");
    match host.program {
        // The misbehaving backend is for the engine, which is the same in all hosts.
        Program::Core(_) if backend.name == FAULTY => Part::All,
        _ if backend.name == FAULTY => Part::Nothing,
        // The public Rust interface is the dispatch thread's way already.
        Program::Core(Delivers::ByThread) => Part::Nothing,
        Program::CInValgrind if env::var_os("CONFORMANCE_VALGRIND").is_some() => Part::All,
        Program::CInValgrind if is_ci() && backend.name == "memory" => Part::All,
        Program::CInValgrind => Part::Nothing,
        Program::Rust => Part::All,
        Program::C | Program::Node | Program::Python | Program::Core(_) if is_model => Part::All,
        Program::C | Program::Node | Program::Python if host.is_usual_way() => Part::Handful,
        // The thread that turns the engine is another with each way, and matters to backends with
        // threads of their own: of ours, of a storage behind a network, of a client library's.
        _ if matches!(backend.name, "sqlite" | "postgres" | "mongodb") => Part::Handful,
        _ => Part::IfEverything,
    }
}

/// Which of the promises that are of the classic interface. They are about what is stored, which is each backend's own.
fn part_of_classic(backend: &BackendKind, host: &HostKind) -> Part {
    match host.mode {
        "classic" if backend.name != FAULTY => Part::All,
        _ => Part::Nothing,
    }
}

/// What survives a crash does not depend on the host, and Cassandra takes its time to start again.
fn is_left_out(backend: &BackendKind, host: &HostKind, scope: Scope) -> bool {
    backend.name == "cassandra" && scope == Scope::Crash && !matches!(host.name, "rust" | "node")
}
