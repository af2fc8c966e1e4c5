//! A stand-in for what no server here is: one that speaks the protocol, knows no SQL, and refuses what
//! it is told to. It takes every login.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Which number of an error a statement is refused with, if it is.
pub type Refuse = Arc<dyn Fn(&str) -> Option<u16> + Send + Sync>;

/// How it greets.
#[derive(Clone)]
pub struct Manner {
    pub version: &'static str,
    /// Capability flags that it has not.
    pub without: u32,
    /// The method of login that it asks for.
    pub method: &'static str,
    /// How many connections it takes in all.
    pub most: usize,
    /// The number of the error for a statement, if it is to be refused.
    pub refuse: Refuse,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            version: "8.0.36",
            without: 0,
            method: "mysql_native_password",
            most: usize::MAX,
            refuse: Arc::new(|_| None),
        }
    }
}

/// The flag that says that a proof's length has as many bytes as it needs.
pub const LONG_PROOF: u32 = 1 << 21;

/// PROTOCOL_41, CONNECT_WITH_DB, SECURE_CONNECTION, PLUGIN_AUTH, PLUGIN_AUTH_LENENC.
const CAPABILITIES: u32 = 1 << 9 | 1 << 3 | 1 << 15 | 1 << 19 | LONG_PROOF;

#[derive(Default)]
struct Seen {
    statements: Mutex<Vec<String>>,
    answers: Mutex<Vec<Vec<u8>>>,
    connections: AtomicUsize,
}

/// See the module.
pub struct StandIn {
    pub port: u16,
    seen: Arc<Seen>,
}

impl StandIn {
    /// Listens on a port.
    pub fn start(manner: Manner) -> StandIn {
        let port = crate::support::free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let seen = Arc::<Seen>::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &manner, &shared);
            }
        });
        StandIn { port, seen }
    }

    /// Listens on a Unix socket.
    pub fn start_at(path: &Path, manner: Manner) -> StandIn {
        let listener = UnixListener::bind(path).unwrap();
        let seen = Arc::<Seen>::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &manner, &shared);
            }
        });
        StandIn { port: 0, seen }
    }

    /// All statements that were carried out, or refused.
    pub fn statements(&self) -> Vec<String> {
        self.seen.statements.lock().unwrap().clone()
    }

    /// What clients answered to the question for a method of login.
    pub fn answers(&self) -> Vec<Vec<u8>> {
        self.seen.answers.lock().unwrap().clone()
    }
}

fn serve(stream: impl Read + Write + Send + 'static, manner: &Manner, seen: &Arc<Seen>) {
    let (manner, seen) = (manner.clone(), Arc::clone(seen));
    let is_too_much = seen.connections.fetch_add(1, Ordering::SeqCst) >= manner.most;
    std::thread::spawn(move || {
        // The client may end it at any time.
        let mut conversation = Conversation { stream, number: 0, statements: Vec::new() };
        let _ = match is_too_much {
            true => conversation.send(b"\xff\x10\x04Too many connections"),
            false => conversation.hold(&manner, &seen),
        };
    });
}

struct Conversation<S> {
    stream: S,
    number: u8,
    /// Those that are prepared.
    statements: Vec<String>,
}

const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
const END: &[u8] = &[0xfe, 0, 0, 2, 0];

impl<S: Read + Write> Conversation<S> {
    fn hold(&mut self, manner: &Manner, seen: &Seen) -> io::Result<()> {
        let capabilities = (CAPABILITIES & !manner.without).to_le_bytes();
        let mut greeting = vec![10];
        greeting.extend_from_slice(manner.version.as_bytes());
        greeting.extend_from_slice(b"\0\x01\0\0\0abcdefgh\0");
        greeting.extend_from_slice(&capabilities[..2]);
        greeting.extend_from_slice(b"\x2d\x02\0");
        greeting.extend_from_slice(&capabilities[2..]);
        greeting.extend_from_slice(b"\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_password\0");
        self.send(&greeting)?;
        self.receive()?;
        if manner.method != "mysql_native_password" {
            self.send(&[&[0xfe], manner.method.as_bytes(), b"\0abcdefghijklmnopqrst\0"].concat())?;
            let answer = self.receive()?;
            seen.answers.lock().unwrap().push(answer);
        }
        self.send(OK)?;
        loop {
            self.number = 0;
            let command = self.receive()?;
            let text = || String::from_utf8_lossy(&command[1..]).into_owned();
            match command[0] {
                1 => return Ok(()),
                3 => self.carry_out(&text(), manner, seen)?,
                0x16 => self.prepare(text())?,
                0x17 => {
                    let number = u32::from_le_bytes(command[1..5].try_into().unwrap());
                    let statement = self.statements[number as usize].clone();
                    self.carry_out(&statement, manner, seen)?;
                }
                // A statement is forgotten, which has no answer.
                _ => {}
            }
        }
    }

    fn prepare(&mut self, statement: String) -> io::Result<()> {
        let parameters = statement.matches('?').count() as u16;
        let number = self.statements.len() as u32;
        self.statements.push(statement);
        let [low, high] = parameters.to_le_bytes();
        self.send(&[&[0], &number.to_le_bytes()[..], &[0, 0, low, high, 0, 0, 0]].concat())?;
        for _ in 0..parameters {
            self.send(b"\x03def")?;
        }
        if parameters > 0 {
            self.send(END)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, statement: &str, manner: &Manner, seen: &Seen) -> io::Result<()> {
        seen.statements.lock().unwrap().push(statement.to_owned());
        if let Some(code) = (manner.refuse)(statement) {
            let [low, high] = code.to_le_bytes();
            return self.send(&[&[0xff, low, high], &b"#HY000the secret words"[..]].concat());
        }
        if !statement.starts_with("SELECT") {
            return self.send(OK);
        }
        // The largest packet, the version, that the lock is ours, and nobody else's. Nothing else is found.
        let is_introduction = statement.contains("max_allowed_packet");
        let columns: &[u8] = if is_introduction { &[8, 253, 8, 8] } else { &[253] };
        self.send(&[columns.len() as u8])?;
        for kind in columns {
            self.send(&[b"\x03def\0\0\0\0\0\x0c\x2d\0\0\x04\0\0", &[*kind][..], &[0; 5]].concat())?;
        }
        self.send(END)?;
        if is_introduction {
            let mut row = vec![0, 0b10_0000];
            row.extend_from_slice(&(1u64 << 24).to_le_bytes());
            row.push(manner.version.len() as u8);
            row.extend_from_slice(manner.version.as_bytes());
            row.extend_from_slice(&1u64.to_le_bytes());
            self.send(&row)?;
        }
        self.send(END)
    }

    fn send(&mut self, content: &[u8]) -> io::Result<()> {
        let mut packet = (content.len() as u32).to_le_bytes();
        packet[3] = self.number;
        self.number = self.number.wrapping_add(1);
        self.stream.write_all(&[&packet, content].concat())
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head)?;
        self.number = head[3].wrapping_add(1);
        let mut content = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
        self.stream.read_exact(&mut content)?;
        Ok(content)
    }
}
