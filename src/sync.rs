//! What threads share the engine by. `simulation/models` has another one in this place, with which
//! every order of what threads do is tried.

pub(crate) use std::sync::{atomic, Condvar, Mutex, MutexGuard};
