//! Servers that say one thing, whatever they are asked.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;

use super::{ALL_SECRETS, SHORT};
use crate::support::free_port;

/// What a server says.
#[derive(Clone)]
pub struct Words {
    pub name: String,
    /// At once, before it is asked.
    greeting: Vec<u8>,
    /// To the first thing that it is asked.
    first: Vec<u8>,
    /// To everything else.
    answer: Answer,
}

#[derive(Clone)]
enum Answer {
    Bytes(Vec<u8>),
    /// As what was asked, so that the number of the request is in it.
    To(fn(&[u8], &str) -> Vec<u8>, String),
}

impl Words {
    fn new(name: impl Into<String>, answer: impl Into<Vec<u8>>) -> Words {
        let answer = answer.into();
        Words {
            name: name.into(),
            greeting: Vec::new(),
            first: answer.clone(),
            answer: Answer::Bytes(answer),
        }
    }
}

/// A server that is ended when dropped.
pub struct StandIn {
    pub port: u16,
    is_over: Arc<AtomicBool>,
}

impl StandIn {
    pub fn start(words: Words) -> StandIn {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let is_over = Arc::<AtomicBool>::default();
        let is_over_too = Arc::clone(&is_over);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_over_too.load(Ordering::SeqCst) {
                    return;
                }
                let words = words.clone();
                thread::spawn(move || drop(speak(client, &words)));
            }
        });
        StandIn { port, is_over }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn speak(mut client: TcpStream, words: &Words) -> std::io::Result<()> {
    client.set_read_timeout(Some(4 * SHORT))?;
    client.write_all(&words.greeting)?;
    let mut asked = vec![0; 64 << 10];
    let mut is_first = true;
    loop {
        let length = client.read(&mut asked)?;
        if length == 0 {
            return Ok(());
        }
        match &words.answer {
            _ if is_first && !words.first.is_empty() => client.write_all(&words.first)?,
            Answer::Bytes(answer) => client.write_all(answer)?,
            Answer::To(answer, text) => client.write_all(&answer(&asked[..length], text))?,
        }
        is_first = false;
    }
}

/// All that is worth saying to a backend.
pub fn words_for(backend: &str) -> Vec<Words> {
    let quoted = format!("refused: {ALL_SECRETS}");
    let mut all = vec![
        Words::new("nonsense", format!("{quoted}\r\n")),
        Words { greeting: format!("{quoted}\r\n\0").into(), ..Words::new("nonsense at once", "\0\0\0\0") },
    ];
    match backend {
        "redis" | "elasticache" => {
            let codes = [
                "ERR",
                "ERR invalid password",
                "WRONGPASS",
                "NOAUTH",
                "NOPERM",
                "LOADING",
                "READONLY",
                "OOM",
                "MISCONF",
                "BUSY",
                "UNKNOWNCODE",
                "MOVED 1",
                "WRONGTYPE",
            ];
            all.extend(codes.map(|code| Words::new(code, format!("-{code} {quoted}\r\n").repeat(8))));
            all.extend(codes.map(|code| Words {
                first: b"+OK\r\n+OK\r\n+OK\r\n+PONG\r\n".to_vec(),
                ..Words::new(format!("{code} later"), format!("-{code} {quoted}\r\n").repeat(8))
            }));
            all.push(Words::new("bulk", format!("${}\r\n{quoted}\r\n", quoted.len()).repeat(8)));
        }
        "memcached" => {
            for code in ["SERVER_ERROR", "CLIENT_ERROR", "ERROR", "VA 3 hunter2", "MN", "HD"] {
                all.push(Words::new(code, format!("{code} {quoted}\r\n")));
                let first = b"MN\r\nSTORED\r\nMN\r\n".to_vec();
                all.push(Words {
                    first,
                    ..Words::new(format!("{code} later"), format!("{code} {quoted}\r\n"))
                });
            }
        }
        "couchdb" | "dynamodb" | "ironcache" => {
            for status in [200, 201, 400, 401, 403, 404, 409, 412, 413, 417, 429, 500, 503] {
                let body = format!(
                    r#"{{"error": "{quoted}", "reason": "{quoted}", "__type": "x#{quoted}", "message": "{quoted}", "Message": "{quoted}", "msg": "{quoted}", "db_name": "d", "value": "{quoted}"}}"#
                );
                let head = format!("HTTP/1.1 {status} {quoted}\r\nContent-Type: application/json\r\nX-Amzn-ErrorType: {quoted}\r\nServer: {quoted}\r\nContent-Length: {}\r\n\r\n", body.len());
                all.push(Words::new(format!("HTTP {status}"), format!("{head}{body}")));
            }
        }
        "postgres" => {
            let let_in = [message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
            for code in [
                "28P01", "28000", "3D000", "42501", "53300", "57P01", "57P03", "0A000", "08P01", "XX000",
                "22P02", "99999",
            ] {
                let error = postgres_error(code, &quoted);
                all.push(Words::new(code, error.clone()));
                let error = [error, message(b'Z', b"I")].concat().repeat(4);
                all.push(Words { first: let_in.clone(), ..Words::new(format!("{code} later"), error) });
            }
        }
        "mysql" | "mariadb" => {
            for code in [1040_u16, 1044, 1045, 1049, 1129, 1064, 1205, 3159, 1820, 9999] {
                let error = |number: u8| {
                    let body = [&[0xff][..], &code.to_le_bytes(), b"#28000", quoted.as_bytes()].concat();
                    [&(body.len() as u32).to_le_bytes()[..3], &[number], &body].concat()
                };
                all.push(Words { greeting: error(0), ..Words::new(format!("{code} at once"), "") });
                all.push(Words { greeting: mysql_greeting(), ..Words::new(code.to_string(), error(2)) });
            }
        }
        "mongodb" => {
            for code in [0, 18, 13, 26, 11000, 91, 9999] {
                let answer = Answer::To(mongodb_error, format!("{code} {quoted}"));
                all.push(Words { answer, ..Words::new(format!("code {code}"), "") });
            }
        }
        "cassandra" => {
            for code in ["0000", "000a", "0100", "1000", "1001", "2000", "2100", "2200", "9999"] {
                let answer = Answer::To(cassandra_error, format!("{code} {quoted}"));
                all.push(Words { answer, ..Words::new(format!("code {code}"), "") });
            }
        }
        _ => {}
    }
    all
}

/// A message of PostgreSQL's protocol.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

fn postgres_error(code: &str, text: &str) -> Vec<u8> {
    let body = format!("SFATAL\0VFATAL\0C{code}\0M{text}\0D{text}\0H{text}\0q{text}\0t{text}\0\0");
    message(b'E', body.as_bytes())
}

fn mysql_greeting() -> Vec<u8> {
    let abilities = !(1_u32 << 11);
    let body = [
        &b"\x0a8.0.36\0"[..],
        &[1, 0, 0, 0],
        b"12345678\0",
        &abilities.to_le_bytes()[..2],
        &[45, 2, 0],
        &abilities.to_le_bytes()[2..],
        &[21],
        &[0; 10],
        b"123456789012\0",
        b"mysql_native_password\0",
    ]
    .concat();
    [&(body.len() as u32).to_le_bytes()[..3], &[0], &body].concat()
}

/// An answer of MongoDB's to a request, `code text`.
fn mongodb_error(asked: &[u8], words: &str) -> Vec<u8> {
    let (code, text) = words.split_once(' ').unwrap_or((words, ""));
    let number: i32 = code.parse().unwrap_or_default();
    let string = |name: &str, text: &str| {
        [&b"\x02"[..], name.as_bytes(), b"\0", &(text.len() as u32 + 1).to_le_bytes(), text.as_bytes(), b"\0"]
            .concat()
    };
    let fields = [
        [&b"\x01ok\0"[..], &0f64.to_le_bytes()].concat(),
        string("errmsg", text),
        [&b"\x10code\0"[..], &number.to_le_bytes()].concat(),
        string("codeName", text),
        b"\0".to_vec(),
    ]
    .concat();
    let document = [&(fields.len() as u32 + 4).to_le_bytes()[..], &fields].concat();
    let asked_by = asked.get(4..8).unwrap_or(&[0; 4]);
    let is_old = asked.get(12..16) == Some(&2004u32.to_le_bytes());
    let (operation, flags) = match is_old {
        // OP_REPLY: flags, a cursor, where it begins, how many documents.
        true => (1u32, [&[0; 16][..], &1u32.to_le_bytes()].concat()),
        // OP_MSG: flags, and that one document follows.
        false => (2013, vec![0; 5]),
    };
    let body = [&1u32.to_le_bytes()[..], asked_by, &operation.to_le_bytes(), &flags, &document].concat();
    [&(body.len() as u32 + 4).to_le_bytes()[..], &body].concat()
}

/// An answer of Cassandra's to a request, `code text`.
fn cassandra_error(asked: &[u8], words: &str) -> Vec<u8> {
    let (code, text) = words.split_once(' ').unwrap_or((words, ""));
    let number = u32::from_str_radix(code, 16).unwrap_or_default();
    let body =
        [&number.to_be_bytes()[..], &(text.len() as u16).to_be_bytes(), text.as_bytes(), &[0; 16]].concat();
    let stream = asked.get(2..4).unwrap_or(&[0; 2]);
    [&[0x84, 0][..], stream, &[0], &(body.len() as u32).to_be_bytes(), &body].concat()
}
