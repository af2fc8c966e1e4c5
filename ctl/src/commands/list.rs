//! `list`: the keys of all records.

use std::time::Duration;

use serde_json::json;

use crate::cli::ListArgs;
use crate::config;
use crate::connection::Connection;
use crate::console::console;
use crate::failure::{Exit, Failure};
use crate::listing::Listing;
use crate::output::{shown, Output};

const PATIENCE: Duration = Duration::from_secs(60);

pub fn list(arguments: &ListArgs) -> Result<Exit, Failure> {
    let connection = Connection::open(&config::one(&arguments.connection)?)?;
    let limit = arguments.limit.unwrap_or(u64::MAX);
    let mut output = Output::new();
    let mut left = limit;
    let mut cursor = arguments.after.clone();
    loop {
        // A page holds no more than may be printed, so that its end is where the next listing begins.
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let mut listing =
            Listing::with_pages(connection.handle(), &arguments.prefix, cursor.take(), PATIENCE, most);
        // All pages but those near the limit come from one listing.
        while let Some(part) = listing.next()? {
            for (key, record) in &part.records {
                left -= 1;
                if console().json() {
                    output.json(&json!({"key": &**key, "version": record.version}))?;
                } else {
                    output.text(&shown(key))?;
                }
            }
            cursor = part.next;
            if left < 2000 {
                break;
            }
        }
        if left == 0 || cursor.is_none() {
            break;
        }
    }
    if let Some(cursor) = cursor {
        if console().json() {
            output.json(&json!({"next": cursor}))?;
        } else {
            console().remark(&format!("there may be more: --after '{}'", cursor.replace('\'', r"'\''")));
        }
    }
    output.finish()?;
    connection.close();
    Ok(Exit::Done)
}
