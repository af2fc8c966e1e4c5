//! The functions that the JavaScript beside calls.

use std::iter;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use deepstream_connector::core::{Error, ErrorCode, Key, Listing, LogLevel, Operation, Question, Record};

use crate::cells::{deliveries, failures, submissions};
use crate::host::{Host, Ways};
use crate::raw::{Call, Failure, Fault, Function, Scope, Value};

/// Makes `exports`: `open`, and the constants that both sides have to agree on.
pub fn export(scope: &Scope, exports: Value<'_>) -> Result<(), Failure> {
    scope.set(exports, "open", scope.function("open", open, &Rc::new(()))?)?;
    scope.set(exports, "deliveries", numbers(scope, deliveries::ALL)?)?;
    scope.set(exports, "failures", numbers(scope, failures::ALL)?)?;
    scope.set(exports, "submissions", numbers(scope, submissions::ALL)?)?;
    // Codes begin with 1, and 0 is none.
    let codes: Vec<_> = iter::once("").chain(ErrorCode::ALL.map(ErrorCode::name)).collect();
    scope.set(exports, "errorCodes", words(scope, &codes)?)?;
    let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    scope.set(exports, "logLevels", words(scope, &levels.map(LogLevel::name))?)
}

fn numbers<'s>(scope: &'s Scope, numbers: &[(&str, f64)]) -> Result<Value<'s>, Failure> {
    let table = scope.object()?;
    for &(name, number) in numbers {
        scope.set(table, name, scope.number(number)?)?;
    }
    Ok(table)
}

fn words<'s>(scope: &'s Scope, words: &[&str]) -> Result<Value<'s>, Failure> {
    let words = words.iter().map(|word| scope.text(word.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    scope.array(&words)
}

/// `open(configuration, drain, deliveries, collect, submissions, isLibuv, later)`: makes a connector
/// and returns its functions. `deliveries` and `submissions` are the cells of both ways; `isLibuv`
/// is whether the environment's event loop is libuv; if not, `later()` has `resume` called.
fn open<'s>(call: &'s Call, _: &()) -> Result<Value<'s>, Fault> {
    let scope = call.scope();
    let mut configuration = Vec::new();
    scope.read_text(call.argument(0), &mut configuration)?;
    let is_libuv = scope.read_flag(call.argument(5))?;
    let ways = Ways {
        drain: call.argument(1),
        deliveries: call.argument(2),
        collect: call.argument(3),
        submissions: call.argument(4),
        later: (!is_libuv).then(|| call.argument(6)),
    };
    let host = Host::open(scope, &configuration, &ways)?;
    let functions = scope.object()?;
    for &(name, function) in FUNCTIONS {
        scope.set(functions, name, scope.function(name, function, &host)?)?;
    }
    scope.set(functions, "target", scope.text(host.description().as_bytes())?)?;
    Ok(functions)
}

/// The functions of a connector. Each that submits takes, behind its other arguments, a timeout in
/// milliseconds; without one, or with 0, it is the connector's own.
const FUNCTIONS: &[(&str, Function<Host>)] = &[
    // `get(id, name)`
    ("get", |call, host| submit(call, host, Operation::Get, 2)),
    // `head(id, name)`
    ("head", |call, host| submit(call, host, Operation::Head, 2)),
    // `delete(id, name)`
    ("delete", |call, host| submit(call, host, Operation::Delete, 2)),
    ("set", set),
    ("submit", submit_gathered),
    // `getMany(id, names)`
    ("getMany", |call, host| submit_many(call, host, &Operation::Get)),
    // `headMany(id, names)`
    ("headMany", |call, host| submit_many(call, host, &Operation::Head)),
    // `deleteMany(id, names)`
    ("deleteMany", |call, host| submit_many(call, host, &Operation::Delete)),
    ("setMany", set_many),
    ("scan", scan),
    ("command", command),
    ("close", close),
    ("hold", hold),
    ("statistics", statistics),
    ("resume", resume),
    // `next()`: of the batch that is being handed out, what is beside the cells
    ("next", |call, host| host.next_extra(call.scope())),
];

/// `set(id, name, version, document)`
fn set<'s>(call: &'s Call, host: &Host) -> Result<Value<'s>, Fault> {
    let scope = call.scope();
    let version = scope.read_integer(call.argument(2))?;
    let data = bytes(scope, call.argument(3), host)?;
    submit(call, host, Operation::Set(Record { version, data }), 4)
}

/// The timeout is at a position of its own.
fn submit<'s>(
    call: &'s Call,
    host: &Host,
    operation: Operation,
    position: usize,
) -> Result<Value<'s>, Fault> {
    let scope = call.scope();
    let id = scope.read_number(call.argument(0))?;
    let key = key(scope, call.argument(1), host)?;
    host.submit(id, key, operation, timeout(call, position)?);
    Ok(scope.undefined()?)
}

fn timeout(call: &Call, position: usize) -> Result<Option<Duration>, Failure> {
    let Some(timeout) = call.passed(position) else { return Ok(None) };
    let milliseconds = call.scope().read_number(timeout)?;
    Ok((milliseconds > 0).then(|| Duration::from_millis(milliseconds.into())))
}

/// `submit(count, text)`: what has gathered; `text` is all names and documents in a row. Returns
/// whether they could be told apart; if not, none was submitted.
fn submit_gathered<'s>(call: &'s Call, host: &Host) -> Result<Value<'s>, Fault> {
    let scope = call.scope();
    let count = scope.read_number(call.argument(0))? as usize;
    let text = bytes(scope, call.argument(1), host)?;
    Ok(scope.flag(host.submit_gathered(count, &text))?)
}

fn submit_many<'s>(call: &'s Call, host: &Host, operation: &Operation) -> Result<Value<'s>, Fault> {
    let scope = call.scope();
    let id = scope.read_number(call.argument(0))?;
    let keys = keys(scope, call.argument(1), host)?;
    let operations = keys.map(|keys| keys.into_iter().map(|key| (key, operation.clone())).collect());
    host.submit_many(id, operations, timeout(call, 2)?);
    Ok(scope.undefined()?)
}

/// `setMany(id, names, versions, documents)`
fn set_many<'s>(call: &'s Call, host: &Host) -> Result<Value<'s>, Fault> {
    let scope = call.scope();
    let id = scope.read_number(call.argument(0))?;
    let keys = keys(scope, call.argument(1), host)?;
    let versions = scope.read_each(call.argument(2), |scope, version| scope.read_integer(version))?;
    let documents = scope.read_each(call.argument(3), |scope, document| bytes(scope, document, host))?;
    let records = versions.into_iter().zip(documents).map(|(version, data)| Record { version, data });
    let operations = keys.map(|keys| keys.into_iter().zip(records.map(Operation::Set)).collect());
    host.submit_many(id, operations, timeout(call, 4)?);
    Ok(scope.undefined()?)
}

/// `scan(id, cursor, limit, timeout, prefix)`: an empty cursor is none.
fn scan<'s>(call: &'s Call, host: &Host) -> Result<Value<'s>, Fault> {
    let scope = call.scope();
    let id = scope.read_number(call.argument(0))?;
    let cursor = Some(text(scope, call.argument(1), host)?).filter(|cursor| !cursor.is_empty());
    let limit = scope.read_number(call.argument(2))? as usize;
    let prefix = text(scope, call.argument(4), host)?;
    host.ask(id, Ok(Question::Scan(Listing { prefix, cursor, limit })), timeout(call, 3)?);
    Ok(scope.undefined()?)
}

/// `command(id, name, arguments)`: the arguments are JSON text.
fn command<'s>(call: &'s Call, host: &Host) -> Result<Value<'s>, Fault> {
    let scope = call.scope();
    let id = scope.read_number(call.argument(0))?;
    let name = text(scope, call.argument(1), host)?;
    // JavaScript wrote it, but it may be nested too deep to be read.
    let question = Question::command(name, text(scope, call.argument(2), host)?.as_bytes());
    host.ask(id, question, timeout(call, 3)?);
    Ok(scope.undefined()?)
}

/// `close()`
fn close<'s>(call: &'s Call, host: &Host) -> Result<Value<'s>, Fault> {
    host.close();
    Ok(call.scope().undefined()?)
}

/// `hold(flag)`: whether the process has to stay for the connector's own sake.
fn hold<'s>(call: &'s Call, host: &Host) -> Result<Value<'s>, Fault> {
    host.await_connector(call.scope().read_flag(call.argument(0))?);
    Ok(call.scope().undefined()?)
}

/// `resume()`: as `later` has asked.
fn resume<'s>(call: &'s Call, host: &Host) -> Result<Value<'s>, Fault> {
    host.resume();
    Ok(call.scope().undefined()?)
}

/// `statistics()`: JSON text.
fn statistics<'s>(call: &'s Call, host: &Host) -> Result<Value<'s>, Fault> {
    Ok(call.scope().text(host.statistics_json().as_bytes())?)
}

fn text(scope: &Scope, value: Value<'_>, host: &Host) -> Result<String, Failure> {
    host.with_scratch(|text| {
        scope.read_text(value, text)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    })
}

/// Reads a string as UTF-8, in no more memory than it takes.
fn bytes(scope: &Scope, value: Value<'_>, host: &Host) -> Result<Bytes, Failure> {
    host.with_scratch(|text| {
        scope.read_text(value, text)?;
        Ok(Bytes::copy_from_slice(text))
    })
}

/// Reads a record's name. The inner error is for the operation's callback.
fn key(scope: &Scope, name: Value<'_>, host: &Host) -> Result<Result<Key, Error>, Failure> {
    host.with_scratch(|text| {
        scope.read_text(name, text)?;
        // Two names must not become one key, and every lone surrogate is read as U+FFFD.
        let replaced = !text.is_ascii() && text.windows(3).any(|bytes| bytes == "\u{FFFD}".as_bytes());
        if replaced && scope.has_lone_surrogate(name)? {
            return Ok(Err(Error::new(
                ErrorCode::InvalidArgument,
                "the name has half of a surrogate pair, which no UTF-8 text can hold; give whole characters",
            )));
        }
        Ok(std::str::from_utf8(text)
            .map(Key::from)
            .map_err(|_| Error::new(ErrorCode::InvalidArgument, "the name is not Unicode text")))
    })
}

/// Reads a list of names.
fn keys(scope: &Scope, names: Value<'_>, host: &Host) -> Result<Result<Vec<Key>, Error>, Failure> {
    Ok(scope.read_each(names, |scope, name| key(scope, name, host))?.into_iter().collect())
}
