//! A host in another language: a program that is told what to do through its standard input
//! and reports on its standard output.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::conformance::host::{Command, Event, Features, Host};
use crate::conformance::protocol;

/// How much of what a program says on its standard error is kept.
const COMPLAINT_BYTES: usize = 16 * 1024;

pub struct ProgramHost {
    child: Child,
    input: Option<ChildStdin>,
    events: Receiver<Event>,
    features: Features,
    complaints: Arc<Mutex<VecDeque<u8>>>,
    complainer: Option<JoinHandle<()>>,
}

impl ProgramHost {
    /// Starts a program and reads its greeting.
    pub fn start(mut program: Process) -> ProgramHost {
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?} cannot be started: {error}"));
        let (Some(input), Some(output), Some(error)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three are piped")
        };
        let complaints = Arc::new(Mutex::new(VecDeque::new()));
        let complainer = collect(error, Arc::clone(&complaints));

        let (greeting_sender, greeting) = channel();
        let (sender, events) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::with_capacity(1 << 16, output);
            let greeted = protocol::read_greeting(&mut output);
            let failed = greeted.is_err();
            // Nobody receives only when the promise has failed already; so below.
            let _ = greeting_sender.send(greeted);
            if failed {
                return;
            }
            loop {
                let event = match protocol::read_event(&mut output) {
                    Ok(Some(event)) => event,
                    Ok(None) => Event::Ended("its output is at its end".into()),
                    Err(error) => Event::Ended(error.to_string()),
                };
                let ended = matches!(event, Event::Ended(_));
                if sender.send(event).is_err() || ended {
                    return;
                }
            }
        });

        let mut host = ProgramHost {
            child,
            input: Some(input),
            events,
            features: Features::default(),
            complaints,
            complainer: Some(complainer),
        };
        match greeting.recv_timeout(Duration::from_secs(60)) {
            Ok(Ok((_, words))) => host.features = Features::from_words(&words),
            Ok(Err(error)) => panic!("{program:?} is no host: {error}\n{}", host.said()),
            Err(_) => panic!("{program:?} does not greet\n{}", host.said()),
        }
        host
    }

    /// What it said on its standard error.
    fn said(&self) -> String {
        let complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&complaints.iter().copied().collect::<Vec<u8>>()).into_owned()
    }

    /// Waits for the program to end with this status.
    fn wait(&mut self, patience: Duration, expected: i32) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                Ok(None) => return Err(format!("it did not end within {patience:?}\n{}", self.said())),
                Err(error) => return Err(format!("its end cannot be awaited: {error}")),
            }
        };
        if let Some(complainer) = self.complainer.take() {
            complainer.join().expect("reading does not panic");
        }
        match status.code() {
            Some(code) if code == expected => Ok(()),
            _ => Err(format!("it ended with {status} instead of {expected}\n{}", self.said())),
        }
    }
}

impl Host for ProgramHost {
    fn features(&self) -> Features {
        self.features
    }

    fn send(&mut self, command: Command) {
        let mut bytes = Vec::new();
        protocol::encode(&command, &mut bytes);
        let input = self.input.as_mut().expect("its input is open until its end");
        if let Err(error) = input.write_all(&bytes) {
            panic!("the host takes no commands any more ({error})\n{}", self.said());
        }
    }

    fn receive(&mut self, deadline: Instant) -> Option<Event> {
        let event = self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        match event {
            Event::Ended(reason) => {
                // Only to have the last of what it said.
                let _ = self.wait(Duration::from_secs(1), 0);
                Some(Event::Ended(format!("{reason}\n{}", self.said())))
            }
            event => Some(event),
        }
    }

    fn exit(&mut self, status: i32, patience: Duration) -> Result<(), String> {
        self.send(Command::Exit { status });
        self.wait(patience, status)
    }

    fn end(&mut self, patience: Duration) -> Result<(), String> {
        self.input = None;
        self.wait(patience, 0)
    }
}

impl Drop for ProgramHost {
    fn drop(&mut self) {
        // Both fail only if it has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the last of what comes.
fn collect(mut from: impl Read + Send + 'static, into: Arc<Mutex<VecDeque<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(&piece[..read]);
            let excess = kept.len().saturating_sub(COMPLAINT_BYTES);
            kept.drain(..excess);
        }
    })
}
