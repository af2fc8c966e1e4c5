//! Tries every order in which the threads that meet in the engine may do what they do: the way in,
//! the waker and the way out. The engine's files are this program's own here, with loom's mutexes
//! and atomics in the place of the standard library's.

// Not all of the engine is of use here, and it knows features of the library.
#![allow(dead_code, unexpected_cfgs, unused_imports)]

#[path = "../../../src/core/mod.rs"]
mod core;

/// In the place of `src/sync.rs`.
mod sync {
    pub(crate) use loom::sync::{atomic, Condvar, Mutex, MutexGuard};
}

fn main() {
    for (name, model) in core::models::ALL {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(model);
        println!("{name}: every order holds");
    }
}
