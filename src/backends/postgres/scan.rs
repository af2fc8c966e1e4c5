//! All records, page by page: table after table, in each by its primary key. So a record that is
//! there all the while is on one page, whatever comes and goes beside it.

use tokio_postgres::types::Type;

use super::failure;
use super::groups::{self, Found};
use super::names::{Row, LONG_TABLE};
use super::pool::Pool;
use super::session::Session;
use super::shape::Shape;
use super::{statements, value};
use crate::core::{Error, Key, Listing, Page, Record};
use crate::records::paging::Cursor;

/// A table in the list.
struct Listed {
    table: String,
    comment: Option<String>,
}

pub(super) async fn page(pool: &Pool, listing: &Listing) -> Result<Page, Error> {
    let mut at =
        listing.cursor.as_deref().map(Cursor::read).transpose()?.unwrap_or_else(|| Cursor::at(String::new()));
    let lease = pool.lease().await?;
    let failed = |error| failure::of_operation(&error, &pool.options);
    let mut scan = Scan { pool, session: lease.session(), listing, passed: 0 };
    let mut page = Page::default();
    // The table that the page before ended in comes first, then those after it.
    let mut tables = scan.table(&at.table).await.map_err(failed)?;
    loop {
        for listed in &tables {
            if listed.table != at.table {
                at = Cursor::at(listed.table.clone());
            }
            if scan.table_rows(listed, &mut at, &mut page.records).await.map_err(failed)? {
                page.next = at.write();
                scan.end();
                lease.done();
                return Ok(page);
            }
        }
        tables = scan.tables_after(&at.table).await.map_err(failed)?;
        if tables.is_empty() {
            scan.end();
            lease.done();
            return Ok(page);
        }
    }
}

struct Scan<'a> {
    pool: &'a Pool,
    session: &'a Session,
    listing: &'a Listing,
    /// How many rows were passed over.
    passed: usize,
}

/// So many rows that are no records are named for each page.
const NAMED: usize = 8;

/// So much of a name is shown.
const SHOWN: usize = 100;

impl Scan<'_> {
    async fn table(&self, table: &str) -> Result<Vec<Listed>, tokio_postgres::Error> {
        if table.is_empty() {
            return Ok(Vec::new());
        }
        let row = self
            .session
            .client
            .query_typed_opt(
                statements::COMMENT,
                &[(&self.pool.options.schema, Type::NAME), (&table, Type::TEXT)],
            )
            .await?;
        let listed = row.map(|row| Ok(Listed { table: table.to_owned(), comment: row.try_get(0)? }));
        listed.into_iter().collect()
    }

    async fn tables_after(&self, table: &str) -> Result<Vec<Listed>, tokio_postgres::Error> {
        let rows = self
            .session
            .client
            .query_typed(statements::TABLES, &[(&self.pool.options.schema, Type::NAME), (&table, Type::TEXT)])
            .await?;
        rows.iter().map(|row| Ok(Listed { table: row.try_get(0)?, comment: row.try_get(1)? })).collect()
    }

    /// Adds a table's rows after the cursor, and moves it on. Returns whether the page is full.
    async fn table_rows(
        &mut self,
        listed: &Listed,
        at: &mut Cursor,
        records: &mut Vec<(Key, Record)>,
    ) -> Result<bool, tokio_postgres::Error> {
        let Listing { prefix, limit, .. } = self.listing;
        let names = &self.pool.options.names;
        let prefix = names.prefix_of_ids(&listed.table, listed.comment.as_deref(), prefix);
        let Some(prefix) = prefix else { return Ok(false) };
        let prefix = Some(&*prefix).filter(|prefix| !prefix.is_empty());
        let schema = &self.pool.options.schema;
        self.pool.shapes.forget(&listed.table);
        let found = groups::look_up(self.session, schema, &self.pool.shapes, &[&listed.table]).await?;
        let Some(Found::Table(shape)) = found.first().copied() else { return Ok(false) };
        let table = statements::qualified(schema, &listed.table);
        let sql = statements::scan(&table, shape, listed.table == LONG_TABLE);
        loop {
            let room = limit - records.len();
            if room == 0 {
                return Ok(true);
            }
            let count = i64::try_from(room).unwrap_or(i64::MAX);
            let rows = match self
                .session
                .client
                .query_typed(&sql, &[(&at.after, Type::TEXT), (&count, Type::INT8), (&prefix, Type::TEXT)])
                .await
            {
                Ok(rows) => rows,
                // Dropped a moment ago.
                Err(error) if failure::about(&error) == failure::About::MissingTable => return Ok(false),
                Err(error) => return Err(error),
            };
            for row in &rows {
                at.after = Some(row.try_get(0)?);
                records.extend(self.record(listed, shape, row)?);
            }
            if rows.len() < room {
                return Ok(false);
            }
        }
    }

    /// The record in a row. A row that is none is passed over, which the host's log tells.
    fn record(
        &mut self,
        listed: &Listed,
        shape: Shape,
        row: &tokio_postgres::Row,
    ) -> Result<Option<(Key, Record)>, tokio_postgres::Error> {
        let id: &str = row.try_get(0)?;
        let place = Row { id: id.into(), key: row.try_get::<_, Option<&str>>(3)?.map(Into::into) };
        let key = self.pool.options.names.key(&listed.table, listed.comment.as_deref(), &place);
        let text = row.try_get::<_, Option<&str>>(2)?;
        let version = row.try_get(1)?;
        let read = if self.pool.options.has_values { value::read_classic } else { value::read };
        let record = text.ok_or("its val is NULL").and_then(|text| read(shape, version, text));
        match (key, record) {
            (Some(key), Ok(record)) => return Ok(Some((Key::from(key), record))),
            (Some(key), Err(what)) => self.pass_over(&format!("record {}", shown(&key)), what),
            (None, _) => {
                let place = format!("row {} of the table {}", shown(id), shown(&listed.table));
                self.pass_over(&place, "its id is the name of no record");
            }
        }
        Ok(None)
    }

    /// Tells of the rows that were not named.
    fn end(self) {
        if let Some(more @ 1..) = self.passed.checked_sub(NAMED) {
            self.pool.estate.news.warn(format!("the same page of a listing passed {more} more rows over"));
        }
    }

    fn pass_over(&mut self, what: &str, why: &str) {
        self.passed += 1;
        if self.passed <= NAMED {
            self.pool.estate.news.warn(format!(
                "a listing passed over the {what}: {why}; correct it, or set the record again"
            ));
        }
    }
}

/// The beginning of a name, on one line.
fn shown(name: &str) -> String {
    format!("{:?}", name.chars().take(SHOWN).collect::<String>())
}
