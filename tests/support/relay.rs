//! A way to a server on which what clients sent can be kept back, and handed over later, when
//! they have long gone.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Listens on `port` and passes everything on, except as it is told.
pub struct Relay {
    pub port: u16,
    held: Arc<Held>,
}

#[derive(Default)]
struct Held {
    /// The port of the server.
    server: AtomicU16,
    /// Connections that were made before this number are held.
    below: Mutex<usize>,
    released: Condvar,
    connections: AtomicUsize,
    /// Connections that the client has not ended.
    open: AtomicUsize,
    /// Answers of the server to connections that were held.
    late_answers: AtomicUsize,
}

impl Relay {
    pub fn start(server_port: u16) -> Relay {
        let port = crate::support::free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let held = Arc::<Held>::default();
        held.server.store(server_port, Ordering::SeqCst);
        let shared = Arc::clone(&held);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = ("127.0.0.1", shared.server.load(Ordering::SeqCst));
                let Ok(server) = TcpStream::connect(server) else { continue };
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                pass(client, server, number, &shared);
            }
        });
        Relay { port, held }
    }

    /// From now on nothing more reaches the server on the connections that there are.
    pub fn hold(&self) {
        *self.held.below.lock().unwrap() = self.held.connections.load(Ordering::SeqCst);
    }

    /// From now on new connections lead to another server.
    pub fn lead_to(&self, server_port: u16) {
        self.held.server.store(server_port, Ordering::SeqCst);
    }

    /// Hands over what was kept back.
    pub fn release(&self) {
        *self.held.below.lock().unwrap() = 0;
        self.held.released.notify_all();
    }

    /// How many connections there are that their clients have not ended.
    pub fn open(&self) -> usize {
        self.held.open.load(Ordering::SeqCst)
    }

    /// How often the server answered to what was kept back.
    pub fn late_answers(&self) -> usize {
        self.held.late_answers.load(Ordering::SeqCst)
    }
}

fn pass(client: TcpStream, server: TcpStream, number: usize, held: &Arc<Held>) {
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let is_late = Arc::new(Mutex::new(false));
    let (shared, late) = (Arc::clone(held), Arc::clone(&is_late));
    std::thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut bytes) {
            let below = shared.below.lock().unwrap();
            if number < *below {
                drop(shared.released.wait_while(below, |below| number < *below).unwrap());
                *late.lock().unwrap() = true;
            }
            if to_server.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        shared.open.fetch_sub(1, Ordering::SeqCst);
        // What a client sent before it went still has its answer.
        let is_late = *late.lock().unwrap();
        if !is_late {
            let _ = to_server.shutdown(Shutdown::Write);
        }
    });
    let (mut from_server, mut to_client) = (server, client);
    let shared = Arc::clone(held);
    std::thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_server.read(&mut bytes) {
            if *is_late.lock().unwrap() {
                shared.late_answers.fetch_add(1, Ordering::SeqCst);
            }
            // The client may have gone.
            let _ = to_client.write_all(&bytes[..count]);
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
}
