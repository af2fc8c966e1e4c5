//! Durable `set`s through a connector against plain SQLite: its C API, one prepared statement,
//! one transaction for each window of rows. Both in WAL mode with `synchronous=FULL`, on the
//! same disk, in turns.
//!
//! `cargo run --release --example bench_sqlite -- [folder] [window] [operations] [rounds]`

use std::error::Error;
use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::time::Instant;

use deepstream_connector::core::Record;
use deepstream_connector::Connector;
use rusqlite::ffi;

type Anyhow<T> = Result<T, Box<dyn Error>>;

const SET: &CStr = c"INSERT INTO bench (id, version, data) VALUES (?1, ?2, ?3)
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, data = excluded.data";

struct Plan {
    window: usize,
    operations: usize,
    rounds: usize,
}

fn main() -> Anyhow<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |position: usize, default| arguments.get(position).map_or(Ok(default), |text| text.parse::<usize>());
    let folder = match arguments.first() {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir_in(".")?,
    };
    let plan = Plan { window: number(1, 1000)?, operations: number(2, 50_000)?, rounds: number(3, 7)? };
    println!(
        "{} sets of 130 bytes with {} in flight, {} rounds; SQLite {}; thousands a second",
        plan.operations,
        plan.window,
        plan.rounds,
        rusqlite::version()
    );
    let mut ratios = [Vec::new(), Vec::new()];
    for round in 0..plan.rounds {
        let [plain_path, ours_path] =
            ["plain", "ours"].map(|side| folder.path().join(format!("{side}{round}")));
        let (plain, ours) = if round % 2 == 0 {
            (plain(&plain_path, &plan)?, ours(&ours_path, &plan)?)
        } else {
            let ours = ours(&ours_path, &plan)?;
            (plain(&plain_path, &plan)?, ours)
        };
        check_records(&plain_path, &plan)?;
        check_records(&ours_path, &plan)?;
        for (step, name) in ["new", "replaced"].into_iter().enumerate() {
            let ratio = ours[step] / plain[step];
            println!("{name:>9}: plain {:7.1}, connector {:7.1}, ratio {ratio:.2}", plain[step], ours[step]);
            ratios[step].push(ratio);
        }
    }
    for (step, name) in ["new", "replaced"].into_iter().enumerate() {
        ratios[step].sort_by(f64::total_cmp);
        println!("{name:>9}: median ratio {:.2}", ratios[step][plan.rounds / 2]);
    }
    Ok(())
}

/// A record's data, which changes with each step.
fn data(number: usize, step: usize) -> String {
    let fill = "x".repeat(86);
    format!(r#"{{"name":"user {number:08}","step":{step},"fill":"{fill}"}}"#)
}

fn speed(plan: &Plan, began: Instant) -> f64 {
    plan.operations as f64 / began.elapsed().as_secs_f64() / 1000.0
}

/// Both sides must have left every record as it was written last.
fn check_records(path: &Path, plan: &Plan) -> Anyhow<()> {
    let database = rusqlite::Connection::open(path)?;
    let mut statement = database.prepare("SELECT version, data FROM bench WHERE id = ?1")?;
    for number in 0..plan.operations {
        let found: (i64, String) =
            statement.query_row([format!("user{number:08}")], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if found != (1, data(number, 1)) {
            return Err(format!("{}: the record {number} is {found:?}", path.display()).into());
        }
    }
    Ok(())
}

/// First all records new, then all replaced.
fn ours(path: &Path, plan: &Plan) -> Anyhow<[f64; 2]> {
    let configuration = serde_json::json!({ "type": "sqlite", "path": path }).to_string();
    let load = Arc::new(Load {
        connector: Connector::open(&configuration, ())?,
        operations: plan.operations,
        next: AtomicUsize::new(0),
    });
    let mut speeds = [0.0; 2];
    let (done, is_done) = channel();
    // Connects, and makes the table.
    load.submit(0, 0, done.clone());
    is_done.recv()?;
    for (step, speed) in speeds.iter_mut().enumerate() {
        load.next.store(0, Ordering::SeqCst);
        let began = Instant::now();
        for _ in 0..plan.window {
            load.go_on(step, &done);
        }
        for _ in 0..plan.operations {
            is_done.recv()?;
        }
        *speed = self::speed(plan, began);
    }
    Ok(speeds)
}

struct Load {
    connector: Connector,
    operations: usize,
    next: AtomicUsize,
}

impl Load {
    fn go_on(self: &Arc<Self>, step: usize, done: &Sender<()>) {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        if number < self.operations {
            self.submit(number, step, done.clone());
        }
    }

    fn submit(self: &Arc<Self>, number: usize, step: usize, done: Sender<()>) {
        let load = Arc::clone(self);
        let record = Record { version: step as i64, data: data(number, step).into() };
        let submitted = self.connector.set(&format!("bench/user{number:08}"), record, move |result| {
            result.expect("set failed");
            load.go_on(step, &done);
            let _ = done.send(());
        });
        submitted.expect("set was not accepted");
    }
}

fn plain(path: &Path, plan: &Plan) -> Anyhow<[f64; 2]> {
    let path = CString::new(path.to_str().ok_or("the folder is not UTF-8")?)?;
    let mut speeds = [0.0; 2];
    // SAFETY: the handles are used between their making and their end, by this thread; texts
    // that are bound stay as they are until the statement is reset.
    unsafe {
        let mut database = ptr::null_mut();
        check(ffi::sqlite3_open(path.as_ptr(), &mut database))?;
        let run = |sql: &CStr| {
            check(ffi::sqlite3_exec(database, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()))
        };
        run(c"PRAGMA journal_mode = WAL")?;
        run(c"PRAGMA synchronous = FULL")?;
        run(c"CREATE TABLE bench (id TEXT PRIMARY KEY, version INTEGER NOT NULL, data TEXT NOT NULL)")?;
        let mut statement = ptr::null_mut();
        check(ffi::sqlite3_prepare_v2(database, SET.as_ptr(), -1, &mut statement, ptr::null_mut()))?;
        for (step, speed) in speeds.iter_mut().enumerate() {
            let began = Instant::now();
            for first in (0..plan.operations).step_by(plan.window) {
                run(c"BEGIN IMMEDIATE")?;
                for number in first..(first + plan.window).min(plan.operations) {
                    let (id, data) = (format!("user{number:08}"), data(number, step));
                    bind(statement, 1, &id)?;
                    check(ffi::sqlite3_bind_int64(statement, 2, step as i64))?;
                    bind(statement, 3, &data)?;
                    ffi::sqlite3_step(statement);
                    check(ffi::sqlite3_reset(statement))?;
                }
                run(c"COMMIT")?;
            }
            *speed = self::speed(plan, began);
        }
        check(ffi::sqlite3_finalize(statement))?;
        check(ffi::sqlite3_close(database))?;
    }
    Ok(speeds)
}

/// # Safety
/// `text` stays as it is until the statement is reset.
unsafe fn bind(statement: *mut ffi::sqlite3_stmt, position: i32, text: &str) -> Anyhow<()> {
    // SAFETY: as promised by the caller.
    let code = unsafe {
        ffi::sqlite3_bind_text(
            statement,
            position,
            text.as_ptr().cast(),
            i32::try_from(text.len())?,
            ffi::SQLITE_STATIC(),
        )
    };
    check(code)
}

fn check(code: i32) -> Anyhow<()> {
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(format!("SQLite: {}", ffi::code_to_str(code)).into()),
    }
}
