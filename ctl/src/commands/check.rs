//! `check-config`: what the library would do with a configuration.

use deepstream_connector::backends;
use serde_json::{json, Value};

use crate::cli::CheckArgs;
use crate::config::{self, masked};
use crate::console::console;
use crate::failure::{Exit, Failure};
use crate::output::Output;

pub fn check_config(arguments: &CheckArgs) -> Result<Exit, Failure> {
    let target = config::one(&arguments.connection)?;
    let (backend, options) = backends::open(target.text().as_bytes())?;
    let backend = backend.describe();
    let remarks: Vec<&String> = target.remarks.iter().chain(&options.remarks).collect();
    let shown = masked(&target.options);
    let mut output = Output::new();
    if console().json() {
        output.json(&json!({
            "target": backend.target,
            "options": shown,
            "timeout": u64::try_from(options.timeout.as_millis()).unwrap_or(u64::MAX),
            "maxBatchRecords": backend.max_batch_records,
            "maxBatchBytes": backend.max_batch_bytes,
            "readBatches": backend.read_batches,
            "writeBatches": backend.write_batches,
            "remarks": remarks,
        }))?;
    } else {
        output.text(&format!("connects to {}", backend.target))?;
        for (name, value) in &shown {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            output.text(&format!("  {name}: {}", one_line(&value)))?;
        }
        output.text(&format!("an operation may take {} ms", options.timeout.as_millis()))?;
        output.text(&format!(
            "a batch has up to {} records and {} bytes; {} of reads and {} of writes at once",
            backend.max_batch_records, backend.max_batch_bytes, backend.read_batches, backend.write_batches
        ))?;
        for remark in remarks {
            output.text(&format!("remark: {}", one_line(remark)))?;
        }
    }
    output.finish()?;
    Ok(Exit::Done)
}

fn one_line(text: &str) -> String {
    if text.chars().any(char::is_control) {
        Value::from(text).to_string()
    } else {
        text.to_owned()
    }
}
