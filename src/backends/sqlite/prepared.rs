//! The statements of one batch, prepared once for each table that it touches.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::HashSet;

use rusqlite::CachedStatement;

use super::session::Session;
use super::{failure, statements};

/// Statements of one kind, by collection.
pub(super) struct Prepared<'a> {
    session: &'a Session,
    /// The statement for a quoted table.
    text: fn(&str) -> String,
    statements: HashMap<Option<&'a str>, CachedStatement<'a>>,
    missing: HashSet<Option<&'a str>>,
}

impl<'a> Prepared<'a> {
    pub fn new(session: &'a Session, text: fn(&str) -> String) -> Prepared<'a> {
        Prepared { session, text, statements: HashMap::new(), missing: HashSet::new() }
    }

    /// The statement for a collection's table; `None` if there is no such table.
    pub fn if_table_exists(
        &mut self,
        collection: Option<&'a str>,
    ) -> rusqlite::Result<Option<&mut CachedStatement<'a>>> {
        if self.missing.contains(&collection) {
            return Ok(None);
        }
        match self.statements.entry(collection) {
            Entry::Occupied(entry) => Ok(Some(entry.into_mut())),
            Entry::Vacant(entry) => match prepare_if_table_exists(self.session, self.text, collection)? {
                Some(statement) => Ok(Some(entry.insert(statement))),
                None => {
                    self.missing.insert(collection);
                    Ok(None)
                }
            },
        }
    }

    /// The statement for a collection's table, which is made if there is none. A transaction
    /// that writes has begun.
    pub fn with_table(&mut self, collection: Option<&'a str>) -> rusqlite::Result<&mut CachedStatement<'a>> {
        match self.statements.entry(collection) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                Ok(entry.insert(prepare_with_table(self.session, self.text, collection)?))
            }
        }
    }
}

fn prepare_if_table_exists<'a>(
    session: &'a Session,
    text: fn(&str) -> String,
    collection: Option<&str>,
) -> rusqlite::Result<Option<CachedStatement<'a>>> {
    let tables = &session.options.tables;
    match session.connection.prepare_cached(&text(&tables.table(collection))) {
        Ok(statement) => Ok(Some(statement)),
        Err(error) if failure::is_missing_table(&error) => Ok(None),
        Err(error) if failure::is_refused_statement(&error) => {
            let mut exists = session.connection.prepare_cached(statements::TABLE_EXISTS)?;
            if exists.exists([tables.name(collection)])? {
                return Err(error);
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn prepare_with_table<'a>(
    session: &'a Session,
    text: fn(&str) -> String,
    collection: Option<&str>,
) -> rusqlite::Result<CachedStatement<'a>> {
    let table = session.options.tables.table(collection);
    match session.connection.prepare_cached(&text(&table)) {
        Err(error) if failure::is_refused_statement(&error) => {
            session.connection.execute(&statements::create_table(&table), [])?;
            session.connection.prepare_cached(&text(&table))
        }
        other => other,
    }
}
