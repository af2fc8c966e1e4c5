//! Real servers, by `tests/servers/ctl`: one of each kind that promises share, and others that
//! one promise at a time has to itself.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backends::Server;
use crate::hosts::PROJECT;
use crate::support;

/// Why servers of a recipe cannot be had, if so.
pub fn missing(recipe: &str) -> Option<String> {
    let ctl = Path::new(PROJECT).join("tests/servers/ctl");
    let asked = Command::new(&ctl).args([recipe, "available"]).output();
    match asked {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(error) => Some(format!("{} cannot be started: {error}", ctl.display())),
    }
}

/// A running server.
pub struct Running {
    server: Option<Arc<support::Server>>,
    kind: Kind,
    alone: bool,
    is_frozen: AtomicBool,
    is_dead: AtomicBool,
    is_spent: AtomicBool,
}

type Kind = (&'static str, &'static [&'static str]);

/// The servers that are shared, and those that wait for the next promise that needs one alone.
#[derive(Default)]
struct Pool {
    /// The backend whose promises are held.
    backend: &'static str,
    shared: Vec<(Kind, Arc<support::Server>)>,
    spare: Vec<(Kind, Arc<support::Server>)>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { backend: "", shared: Vec::new(), spare: Vec::new() });

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends all that nobody uses any more.
pub fn end_all() {
    turn_to("");
}

/// To be called with the backend of each promise: servers of the one before end, so that they take
/// no memory and no time from those that follow.
pub fn turn_to(backend: &'static str) {
    let mut pool = pool();
    if pool.backend != backend {
        let before = std::mem::replace(&mut *pool, Pool { backend, ..Pool::default() });
        drop(pool);
        drop(before);
    }
}

impl Running {
    /// The one that all share.
    pub fn shared(recipe: &'static str, variants: &'static [&'static str]) -> Running {
        let kind = (recipe, variants);
        // Held while it starts, so that there is one.
        let mut pool = pool();
        let known =
            pool.shared.iter().find(|(other, _)| *other == kind).map(|(_, server)| Arc::clone(server));
        let server = known.unwrap_or_else(|| {
            let server = start(kind);
            pool.shared.push((kind, Arc::clone(&server)));
            server
        });
        Running::new(server, kind, false)
    }

    /// One that nobody else uses meanwhile.
    pub fn alone(recipe: &'static str, variants: &'static [&'static str]) -> Running {
        let kind = (recipe, variants);
        let mut pool = pool();
        let spare = pool.spare.iter().position(|(other, _)| *other == kind);
        let spare = spare.map(|index| pool.spare.swap_remove(index).1);
        drop(pool);
        Running::new(spare.unwrap_or_else(|| start(kind)), kind, true)
    }

    fn new(server: Arc<support::Server>, kind: Kind, alone: bool) -> Running {
        let no = || AtomicBool::new(false);
        Running { server: Some(server), kind, alone, is_frozen: no(), is_dead: no(), is_spent: no() }
    }

    fn server(&self) -> &support::Server {
        self.server.as_ref().expect("it is there until this is dropped")
    }

    pub fn port(&self) -> u16 {
        self.server().port
    }

    /// Has the server's own client carry out commands, one in each line.
    pub fn client_with_input(&self, commands: &str) -> String {
        self.server().client_with_input(commands)
    }

    /// Runs one of the recipe's own commands.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        self.server().ctl(arguments)
    }

    /// The way to hurt it, if nobody else suffers.
    pub fn hurtable(&self) -> Option<&dyn Server> {
        self.alone.then_some(self as &dyn Server)
    }

    /// It is not what it was any more, so nobody else shall get it.
    pub fn spend(&self) {
        self.is_spent.store(true, Ordering::Relaxed);
    }

    /// Has it end by one of the recipe's own commands; `restart` is the way back as after `kill`.
    pub fn end_by(&self, command: &str) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.is_frozen.store(false, Ordering::Relaxed);
        self.server().ctl(&[command]);
    }

    /// Ends whatever was done to it.
    pub fn heal(&self) {
        self.thaw();
        self.restart();
    }
}

fn start((recipe, variants): Kind) -> Arc<support::Server> {
    let server = support::Server::start(recipe, variants);
    Arc::new(server.unwrap_or_else(|| panic!("{recipe} was there a moment ago")))
}

/// The network to a server, to be spoiled.
pub struct Proxy {
    server: support::Server,
    is_frozen: AtomicBool,
}

impl Proxy {
    pub fn start(port: u16) -> Proxy {
        let target = format!("127.0.0.1:{port}");
        let server = support::Server::start("proxy", &["--", "--target", &target]);
        let server = server.expect("the proxy needs nothing but Node.js");
        Proxy { server, is_frozen: AtomicBool::new(false) }
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    pub fn tell(&self, words: &[&str]) {
        self.server.ctl(&[&["set"], words].concat());
    }
}

/// To those who come through it, the proxy is the server.
impl Server for Proxy {
    fn freeze(&self) {
        self.is_frozen.store(true, Ordering::Relaxed);
        self.server.ctl(&["freeze"]);
    }

    fn thaw(&self) {
        if self.is_frozen.swap(false, Ordering::Relaxed) {
            self.server.ctl(&["thaw"]);
        }
    }

    fn kill(&self) {
        self.thaw();
        self.tell(&["refuse"]);
        self.tell(&["reset"]);
    }

    fn restart(&self) {
        self.tell(&["pass"]);
    }
}

impl Server for Running {
    fn freeze(&self) {
        self.is_frozen.store(true, Ordering::Relaxed);
        self.server().ctl(&["freeze"]);
    }

    fn thaw(&self) {
        if self.is_frozen.swap(false, Ordering::Relaxed) {
            self.server().ctl(&["thaw"]);
        }
    }

    fn kill(&self) {
        self.end_by("kill");
    }

    fn restart(&self) {
        if self.is_dead.swap(false, Ordering::Relaxed) {
            self.server().ctl(&["restart"]);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let states = [&self.is_frozen, &self.is_dead, &self.is_spent];
        let hurt = states.iter().any(|state| state.load(Ordering::Relaxed));
        if let (Some(server), true, false) = (self.server.take(), self.alone, hurt) {
            pool().spare.push((self.kind, server));
        }
    }
}
