//! `export`: all records as lines of JSON.

use std::time::Duration;

use serde_json::json;

use crate::cli::ExportArgs;
use crate::config;
use crate::connection::Connection;
use crate::console::console;
use crate::failure::{Exit, Failure};
use crate::files::Written;
use crate::lines;
use crate::listing::Listing;
use crate::output::Output;
use crate::progress::Progress;

const PATIENCE: Duration = Duration::from_secs(60);

/// Where lines go.
enum Sink {
    Standard(Output),
    File(Box<Written>),
}

pub fn export(arguments: &ExportArgs) -> Result<Exit, Failure> {
    let name = arguments.file.as_str();
    let target = config::one(&arguments.connection)?;
    let failed = |error| Failure::file(name, &error);
    let mut sink = match name {
        "-" => Sink::Standard(Output::new()),
        name => Sink::File(Box::new(Written::create(name).map_err(failed)?)),
    };
    let connection = Connection::open(&target)?;
    let mut listing = Listing::begin(connection.handle(), &arguments.prefix, None, PATIENCE);
    let mut progress = Progress::begin("exporting", 0, None);
    let mut count = 0;
    while let Some(part) = listing.next()? {
        for (key, record) in &part.records {
            let line = lines::write(key, record);
            match &mut sink {
                Sink::Standard(output) => output.line(&line)?,
                Sink::File(file) => file.line(&line).map_err(failed)?,
            }
            count += 1;
        }
        progress.at(count);
    }
    drop(progress);
    match sink {
        Sink::Standard(output) => output.finish()?,
        Sink::File(file) => file.finish().map_err(failed)?,
    }
    // What it left out was told when it was met; a page may come before its warnings.
    let omissions = connection.close().len();
    let words = if omissions == 0 { String::new() } else { ", not all there are: see the warnings".into() };
    if console().json() {
        console().summary(&json!({"exported": count, "omissions": omissions}));
    } else {
        console().remark(&format!("{count} records were exported{words}"));
    }
    Ok(if omissions == 0 { Exit::Done } else { Exit::No })
}
