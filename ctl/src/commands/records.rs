//! `get`, `head`, `set` and `delete`: one record, or a few.

use std::io::{self, Read};

use deepstream_connector::core::{Key, Operation, Record};
use serde_json::json;

use crate::cli::{DeleteArgs, KeyArgs, SetArgs};
use crate::config;
use crate::connection::{wait, Connection};
use crate::console::console;
use crate::failure::{Exit, Failure};
use crate::lines;
use crate::output::Output;

pub fn get(arguments: &KeyArgs) -> Result<Exit, Failure> {
    let connection = Connection::open(&config::one(&arguments.connection)?)?;
    let record = wait(connection.handle().get_async(&arguments.key))?;
    let Some(record) = record else { return missing() };
    let mut output = Output::new();
    if console().json() {
        output.line(&lines::write(&arguments.key, &record))?;
    } else {
        output.line(&record.data)?;
    }
    output.finish()?;
    connection.close();
    Ok(Exit::Done)
}

pub fn head(arguments: &KeyArgs) -> Result<Exit, Failure> {
    let connection = Connection::open(&config::one(&arguments.connection)?)?;
    let version = wait(connection.handle().head_async(&arguments.key))?;
    let Some(version) = version else { return missing() };
    let mut output = Output::new();
    if console().json() {
        output.json(&json!({"key": arguments.key, "version": version}))?;
    } else {
        output.text(&version.to_string())?;
    }
    output.finish()?;
    connection.close();
    Ok(Exit::Done)
}

fn missing() -> Result<Exit, Failure> {
    console().remark("there is no such record");
    Ok(Exit::No)
}

pub fn set(arguments: &SetArgs) -> Result<Exit, Failure> {
    let target = config::one(&arguments.connection)?;
    let mut data = arguments.data.clone().into_bytes();
    if data == b"-" {
        data.clear();
        io::stdin().read_to_end(&mut data).map_err(|error| Failure::file("standard input", &error))?;
    }
    let connection = Connection::open(&target)?;
    let record = Record { version: arguments.version, data: data.trim_ascii().to_vec().into() };
    wait(connection.handle().set_async(&arguments.key, record))?;
    connection.close();
    Ok(Exit::Done)
}

pub fn delete(arguments: &DeleteArgs) -> Result<Exit, Failure> {
    let connection = Connection::open(&config::one(&arguments.connection)?)?;
    let keys: Vec<(Key, Operation)> =
        arguments.keys.iter().map(|key| (key.as_str().into(), Operation::Delete)).collect();
    for result in wait(connection.handle().many_async(keys))? {
        result?;
    }
    connection.close();
    Ok(Exit::Done)
}
