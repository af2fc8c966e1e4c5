//! `ping`: whether a database answers, and if not, why.

use std::time::{Duration, Instant};

use deepstream_connector::backends;
use serde_json::json;

use crate::cli::PingArgs;
use crate::config;
use crate::connection::{wait, Connection};
use crate::console::console;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// A record that is asked for and need not be there.
const KEY: &str = "connectorctl/ping";

pub fn ping(arguments: &PingArgs) -> Result<Exit, Failure> {
    let target = config::one(&arguments.connection)?;
    let patience = Duration::from_secs_f64(arguments.wait);
    let (backend, _) = backends::open(target.text().as_bytes())?;
    let place = backend.describe().target;
    let connection = Connection::open_silently(&target)?;
    let began = Instant::now();
    connection.wait_ready(patience)?;
    let connected = began.elapsed();
    let asked = Instant::now();
    let left = patience.saturating_sub(connected).max(Duration::from_millis(1));
    wait(connection.handle().within(left).head_async(KEY))?;
    let answered = asked.elapsed();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let mut output = Output::new();
    if console().json() {
        output.json(&json!({
            "ready": true, "target": place,
            "connectMilliseconds": milliseconds(connected), "answerMilliseconds": milliseconds(answered),
        }))?;
    } else {
        output.text(&format!(
            "{place} answers: connected in {:.1} ms, a round trip takes {:.1} ms",
            milliseconds(connected),
            milliseconds(answered)
        ))?;
    }
    output.finish()?;
    connection.close();
    Ok(Exit::Done)
}
