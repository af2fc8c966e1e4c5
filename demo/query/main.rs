//! Runs one SQL statement on an SQLite file and prints the rows in columns:
//! `query-sqlite records.sqlite "SELECT * FROM users"`. It only reads, also while a server has
//! the file open.

use std::env;
use std::process::ExitCode;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [file, sql] = arguments.as_slice() else {
        eprintln!("usage: query-sqlite FILE SQL");
        return ExitCode::from(2);
    };
    match rows(file, sql) {
        Ok(rows) => {
            print(&rows);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{file}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The rows as text, the columns' names first.
fn rows(file: &str, sql: &str) -> rusqlite::Result<Vec<Vec<String>>> {
    // A connection opened as read-only cannot clear away the files beside the database.
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    database.execute_batch("PRAGMA query_only = ON")?;
    let mut statement = database.prepare(sql)?;
    let names: Vec<String> = statement.column_names().iter().map(|name| (*name).to_owned()).collect();
    let columns = names.len();
    let mut table = vec![names];
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        table.push((0..columns).map(|column| row.get_ref(column).map(text)).collect::<Result<_, _>>()?);
    }
    Ok(table)
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}

fn print(rows: &[Vec<String>]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("   ").trim_end());
    }
}
