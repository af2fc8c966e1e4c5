//! All records, page by page: table by table, and in each by id.

use super::failure::{self, code};
use super::rows;
use super::statements::{self, Dialect};
use super::tables::{Tables, HASHED};
use super::wire::{Failure, Parameter, Row, Session, Statement};
use crate::core::{Error, Listing, Page};
use crate::records::paging::Cursor;
use crate::records::prefix::Range;

/// A session to ask, and what is where.
pub(super) struct Scan<'a> {
    pub session: &'a mut Session,
    pub tables: &'a Tables,
    pub dialect: Dialect,
    pub listing: &'a Listing,
}

impl Scan<'_> {
    /// The page that is wanted.
    pub async fn page(&mut self) -> Result<Page, Error> {
        let mut page = Page::default();
        let limit = self.listing.limit;
        let mut place = match self.listing.cursor.as_deref() {
            Some(text) => Some(Cursor::read(text)?),
            None => self.first_after("").await?,
        };
        while let Some(Cursor { table, after }) = place {
            let wanted = limit.max(1) - page.records.len();
            // One more shows whether there are more.
            let mut found = self.rows_of(&table, after.as_deref(), wanted + 1).await?;
            let has_more = found.len() > wanted;
            found.truncate(wanted);
            for row in &found {
                // A row that no key leads to is not ours.
                if let Some(key) = rows::key(self.tables, &table, row) {
                    page.records.push((key.into(), rows::record(row)?));
                }
            }
            let last = found.last().and_then(|row| rows::text(row, 0)).map(str::to_owned);
            place = match last {
                Some(last) if has_more => Some(Cursor { table, after: Some(last) }),
                _ => self.first_after(&table).await?,
            };
            if page.records.len() >= limit.max(1) {
                break;
            }
        }
        page.next = place.and_then(|place| place.write());
        Ok(page)
    }

    /// The beginning of the next table of records.
    async fn first_after(&mut self, table: &str) -> Result<Option<Cursor>, Error> {
        let statement = Statement {
            text: statements::NEXT_TABLE.into(),
            parameters: vec![Parameter::Text(table.as_bytes())],
        };
        let found = self.session.execute(&statement).await;
        let found = found.map_err(|failure| failure::of_operation(failure, self.dialect))?;
        let name = found.first().and_then(|row| rows::text(row, 0));
        Ok(name.map(|name| Cursor::at(name.to_owned())))
    }

    async fn rows_of(&mut self, table: &str, after: Option<&str>, wanted: usize) -> Result<Vec<Row>, Error> {
        let prefix = &self.listing.prefix;
        let prefix = match self.tables.collection(table) {
            Some(collection) => self.tables.prefix_of_ids(prefix, collection.as_deref()),
            // Its name does not tell which it is.
            None => Some(""),
        };
        let Some(prefix) = prefix else { return Ok(Vec::new()) };
        let ranges = ranges(prefix, after);
        let bounds = ranges.iter().flat_map(Range::bounds);
        let mut parameters: Vec<Parameter<'_>> =
            bounds.map(|bound| Parameter::Text(bound.as_bytes())).collect();
        parameters.push(Parameter::Integer(wanted as i64));
        let text = statements::page(&self.tables.quoted(table), &ranges);
        match self.session.execute(&Statement { text, parameters }).await {
            Err(Failure::Refused(refusal)) if refusal.code == code::NO_SUCH_TABLE => Ok(Vec::new()),
            found => found.map_err(|failure| failure::of_operation(failure, self.dialect)),
        }
    }
}

/// Where rows are whose ids begin with a prefix: under those ids, or under their hashes.
fn ranges(prefix: &str, after: Option<&str>) -> Vec<Range> {
    let own = Range::new(prefix, after);
    if prefix.is_empty() {
        return vec![own];
    }
    vec![own, Range::new(HASHED, after)]
}
