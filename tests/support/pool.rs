//! Servers that outlive one test: those that tests share, and those that wait for the next test
//! that needs one alone. Each belongs to the group of tests that asked for it, and ends with it.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::Server;

/// A recipe and its variants.
pub type Kind = (&'static str, &'static [&'static str]);

/// Not there yet while it starts, so that there is one, and the others wait for it.
type Starting = Arc<OnceLock<Arc<Server>>>;

#[derive(Default)]
struct Pool {
    shared: Vec<(Owner, Kind, Starting)>,
    spare: Vec<(Owner, Kind, Arc<Server>)>,
}

/// The name of a group.
type Owner = &'static str;

static POOL: Mutex<Pool> = Mutex::new(Pool { shared: Vec::new(), spare: Vec::new() });

thread_local! {
    /// The group whose test runs on this thread.
    static GROUP: Cell<Owner> = const { Cell::new("") };
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// To be called when a test of a group begins on this thread.
pub fn enter(group: Owner) {
    GROUP.set(group);
}

/// Ends all servers of a group, none of whose tests run any more.
pub fn end(group: Owner) {
    let mut pool = pool();
    let shared: Vec<_> = pool.shared.extract_if(.., |(owner, ..)| *owner == group).collect();
    let spare: Vec<_> = pool.spare.extract_if(.., |(owner, ..)| *owner == group).collect();
    // That takes its time.
    drop(pool);
    drop((shared, spare));
}

/// The one that all tests of the group share.
pub fn shared(recipe: &'static str, variants: &'static [&'static str]) -> Arc<Server> {
    let (owner, kind) = (GROUP.get(), (recipe, variants));
    let mut pool = pool();
    let known = pool.shared.iter().find(|(other, of, _)| *other == owner && *of == kind);
    let starting = match known {
        Some((.., starting)) => Arc::clone(starting),
        None => {
            let starting = Starting::default();
            pool.shared.push((owner, kind, Arc::clone(&starting)));
            starting
        }
    };
    drop(pool);
    Arc::clone(starting.get_or_init(|| Arc::new(Server::start(recipe, variants))))
}

/// One that no other test uses meanwhile.
pub fn alone(recipe: &'static str, variants: &'static [&'static str]) -> Arc<Server> {
    let (owner, kind) = (GROUP.get(), (recipe, variants));
    let mut pool = pool();
    let spare = pool.spare.iter().position(|(other, of, _)| *other == owner && *of == kind);
    let spare = spare.map(|index| pool.spare.swap_remove(index).2);
    drop(pool);
    spare.unwrap_or_else(|| Arc::new(Server::start(recipe, variants)))
}

/// Keeps one for the next test of this thread's group that needs it alone.
pub fn keep(kind: Kind, server: Arc<Server>) {
    pool().spare.push((GROUP.get(), kind, server));
}
