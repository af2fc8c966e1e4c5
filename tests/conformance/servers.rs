//! Real servers, by `tests/servers/ctl`: one of each kind that promises share, and others that
//! one promise at a time has to itself.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use crate::conformance::backends::Server;
use crate::support;
use crate::support::pool::{self, Kind};

/// A running server.
pub struct Running {
    server: Option<Arc<support::Server>>,
    kind: Kind,
    alone: bool,
    is_frozen: AtomicBool,
    is_dead: AtomicBool,
    is_spent: AtomicBool,
}

impl Running {
    /// The one that all promises of the group share.
    pub fn shared(recipe: &'static str, variants: &'static [&'static str]) -> Running {
        Running::new(pool::shared(recipe, variants), (recipe, variants), false)
    }

    /// One that nobody else uses meanwhile.
    pub fn alone(recipe: &'static str, variants: &'static [&'static str]) -> Running {
        Running::new(pool::alone(recipe, variants), (recipe, variants), true)
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

/// The network to a server, to be spoiled.
pub struct Proxy {
    server: support::Server,
    is_frozen: AtomicBool,
}

impl Proxy {
    pub fn start(port: u16) -> Proxy {
        let target = format!("127.0.0.1:{port}");
        let server = support::Server::start("proxy", &["--", "--target", &target]);
        Proxy { server, is_frozen: AtomicBool::new(false) }
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    pub fn tell(&self, words: &[&str]) {
        // Promises do this often, and `ctl` starts two programs for it.
        let path = self.server.folder().join("control.sock");
        let mut control =
            UnixStream::connect(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut answer = String::new();
        let told = writeln!(control, "{}", words.join(" "))
            .and_then(|()| BufReader::new(control).read_line(&mut answer));
        assert!(told.is_ok() && answer.starts_with("ok"), "the proxy was told {words:?}: {told:?}, {answer}");
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
            pool::keep(self.kind, server);
        }
    }
}
