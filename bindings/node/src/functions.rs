//! The functions that `index.js` calls.

use std::rc::Rc;

use bytes::Bytes;
use deepstream_connector::core::{Error, ErrorCode, Key, LogLevel, Operation, Question, Record};

use crate::host::{Host, Ways};
use crate::intake::MAX_SUBMISSIONS;
use crate::outlet::MAX_DELIVERIES;
use crate::raw::{Call, Env, Failure, Fault, Function, Scope, Value};

/// Makes `exports`: `open`, and the constants that both sides have to agree on.
pub fn export(env: Env, exports: Value<'_>) -> Result<(), Failure> {
    env.in_scope(|scope| {
        scope.set(exports, c"open", scope.function::<Open>(&Rc::new(()))?)?;
        scope.set(exports, c"maxDeliveries", scope.number(MAX_DELIVERIES as u32)?)?;
        scope.set(exports, c"maxSubmissions", scope.number(MAX_SUBMISSIONS as u32)?)?;
        let names = ErrorCode::ALL.map(ErrorCode::name);
        scope.set(exports, c"errorCodes", words(scope, &names)?)?;
        let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
        scope.set(exports, c"logLevels", words(scope, &levels.map(LogLevel::name))?)
    })
}

fn words<'s>(scope: &'s Scope, words: &[&str]) -> Result<Value<'s>, Failure> {
    let words = words.iter().map(|word| scope.text(word.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    scope.array(&words)
}

/// `open(configuration, drain, deliveries, collect, submissions)`: makes a connector and returns
/// its functions. `deliveries` and `submissions` are the cells of both ways.
struct Open;

impl Function for Open {
    type Host = ();
    const NAME: &'static str = "open";

    fn call<'s>(call: &'s Call, _: &Rc<()>) -> Result<Value<'s>, Fault> {
        let scope = call.scope();
        let mut configuration = Vec::new();
        scope.read_text(call.argument(0), &mut configuration)?;
        let ways = Ways {
            drain: call.argument(1),
            deliveries: call.argument(2),
            collect: call.argument(3),
            submissions: call.argument(4),
        };
        let host = Host::open(scope, &configuration, &ways)?;
        let functions = scope.object()?;
        scope.set(functions, c"get", scope.function::<Get>(&host)?)?;
        scope.set(functions, c"head", scope.function::<Head>(&host)?)?;
        scope.set(functions, c"set", scope.function::<Set>(&host)?)?;
        scope.set(functions, c"delete", scope.function::<Delete>(&host)?)?;
        scope.set(functions, c"submit", scope.function::<Submit>(&host)?)?;
        scope.set(functions, c"headMany", scope.function::<HeadMany>(&host)?)?;
        scope.set(functions, c"deleteMany", scope.function::<DeleteMany>(&host)?)?;
        scope.set(functions, c"scan", scope.function::<Scan>(&host)?)?;
        scope.set(functions, c"command", scope.function::<Command>(&host)?)?;
        scope.set(functions, c"close", scope.function::<Close>(&host)?)?;
        scope.set(functions, c"hold", scope.function::<Hold>(&host)?)?;
        scope.set(functions, c"statistics", scope.function::<Statistics>(&host)?)?;
        scope.set(functions, c"target", scope.text(host.description().as_bytes())?)?;
        Ok(functions)
    }
}

/// `get(id, name)`
struct Get;

impl Function for Get {
    type Host = Host;
    const NAME: &'static str = "get";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        submit(call, host, Operation::Get)
    }
}

/// `head(id, name)`
struct Head;

impl Function for Head {
    type Host = Host;
    const NAME: &'static str = "head";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        submit(call, host, Operation::Head)
    }
}

/// `delete(id, name)`
struct Delete;

impl Function for Delete {
    type Host = Host;
    const NAME: &'static str = "delete";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        submit(call, host, Operation::Delete)
    }
}

/// `set(id, name, version, document)`
struct Set;

impl Function for Set {
    type Host = Host;
    const NAME: &'static str = "set";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        let scope = call.scope();
        let version = scope.read_integer(call.argument(2))?;
        let data = bytes(scope, call.argument(3), host)?;
        submit(call, host, Operation::Set(Record { version, data }))
    }
}

fn submit<'s>(call: &'s Call, host: &Host, operation: Operation) -> Result<Value<'s>, Fault> {
    let scope = call.scope();
    let id = scope.read_number(call.argument(0))?;
    let key = key(scope, call.argument(1), host)?;
    host.submit(id, key, operation);
    Ok(scope.undefined()?)
}

/// `submit(count, text)`: what has gathered; `text` is all names and documents in a row. Returns
/// whether they could be told apart; if not, none was submitted.
struct Submit;

impl Function for Submit {
    type Host = Host;
    const NAME: &'static str = "submit";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        let scope = call.scope();
        let count = scope.read_number(call.argument(0))? as usize;
        let text = bytes(scope, call.argument(1), host)?;
        Ok(scope.flag(host.submit_gathered(count, &text))?)
    }
}

/// `headMany(id, names)`
struct HeadMany;

impl Function for HeadMany {
    type Host = Host;
    const NAME: &'static str = "headMany";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        submit_many(call, host, &Operation::Head)
    }
}

/// `deleteMany(id, names)`
struct DeleteMany;

impl Function for DeleteMany {
    type Host = Host;
    const NAME: &'static str = "deleteMany";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        submit_many(call, host, &Operation::Delete)
    }
}

fn submit_many<'s>(call: &'s Call, host: &Host, operation: &Operation) -> Result<Value<'s>, Fault> {
    let scope = call.scope();
    let id = scope.read_number(call.argument(0))?;
    let mut operations = Ok(Vec::new());
    scope.for_each(call.argument(1), |scope, name| {
        let key = key(scope, name, host)?;
        match (&mut operations, key) {
            (Ok(list), Ok(key)) => list.push((key, operation.clone())),
            (Ok(_), Err(error)) => operations = Err(error),
            (Err(_), _) => {}
        }
        Ok(())
    })?;
    host.submit_many(id, operations);
    Ok(scope.undefined()?)
}

/// `scan(id, cursor, limit)`: an empty cursor is none.
struct Scan;

impl Function for Scan {
    type Host = Host;
    const NAME: &'static str = "scan";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        let scope = call.scope();
        let id = scope.read_number(call.argument(0))?;
        let cursor = Some(text(scope, call.argument(1), host)?).filter(|cursor| !cursor.is_empty());
        let limit = scope.read_number(call.argument(2))? as usize;
        host.ask(id, Ok(Question::Scan { cursor, limit }));
        Ok(scope.undefined()?)
    }
}

/// `command(id, name, arguments)`: the arguments are JSON text.
struct Command;

impl Function for Command {
    type Host = Host;
    const NAME: &'static str = "command";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        let scope = call.scope();
        let id = scope.read_number(call.argument(0))?;
        let name = text(scope, call.argument(1), host)?;
        // JavaScript wrote it, but it may be nested too deep to be read.
        let question = Question::command(name, text(scope, call.argument(2), host)?.as_bytes());
        host.ask(id, question);
        Ok(scope.undefined()?)
    }
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

/// `close()`
struct Close;

impl Function for Close {
    type Host = Host;
    const NAME: &'static str = "close";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        host.close();
        Ok(call.scope().undefined()?)
    }
}

/// `hold(flag)`: whether the process has to stay for the connector's own sake.
struct Hold;

impl Function for Hold {
    type Host = Host;
    const NAME: &'static str = "hold";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        host.await_connector(call.scope().read_flag(call.argument(0))?);
        Ok(call.scope().undefined()?)
    }
}

/// `statistics()`: JSON text.
struct Statistics;

impl Function for Statistics {
    type Host = Host;
    const NAME: &'static str = "statistics";

    fn call<'s>(call: &'s Call, host: &Rc<Host>) -> Result<Value<'s>, Fault> {
        Ok(call.scope().text(host.statistics_json().as_bytes())?)
    }
}
