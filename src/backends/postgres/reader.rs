//! Reading: a batch is one statement for each table, all of them under way at once.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio_postgres::types::Type;
use tokio_postgres::Error as Failure;

use super::failure::{self, About};
use super::groups::{self, Found, Group};
use super::pool::Pool;
use super::prepared::{Kind, Use};
use super::session::Session;
use super::shape::{Shape, Version};
use super::{statements, value};
use crate::core::{BatchResult, Error, ErrorCode, Key, Record, Remedy};

/// How often a table may turn out to be another one than it was.
const LOOKS: usize = 4;

/// Reads records.
pub(super) async fn get(pool: &Pool, keys: &[Key]) -> BatchResult<Option<Record>> {
    read(pool, keys, Kind::Get).await
}

/// Reads versions.
pub(super) async fn head(pool: &Pool, keys: &[Key]) -> BatchResult<Option<i64>> {
    let records = read(pool, keys, Kind::Head).await?;
    Ok(records.into_iter().map(|found| found.map(|record| record.map(|record| record.version))).collect())
}

type Results = Vec<Result<Option<Record>, Error>>;

async fn read(pool: &Pool, keys: &[Key], kind: Kind) -> BatchResult<Option<Record>> {
    let lease = pool.lease().await?;
    let session = lease.session();
    let mut results: Results = vec![Ok(None); keys.len()];
    let mut groups = groups::of(&pool.options.names, keys.iter());
    for look in 1.. {
        let found = groups::look_up(session, &pool.options.schema, &pool.shapes, &groups::tables(&groups))
            .await
            .map_err(|error| failure::of_operation(&error, &pool.options))?;
        let reads =
            groups.iter().zip(found).map(|(group, found)| read_group(pool, session, group, found, kind));
        let answers = join_all(reads).await;
        let mut again = Vec::new();
        for (group, answer) in groups.into_iter().zip(answers) {
            match answer {
                // The table may be another one by now, without an error of the server's.
                Ok(records) if look == 1 && records.iter().any(is_corrupt) => {
                    pool.shapes.forget(&group.table);
                    again.push(group);
                }
                Ok(records) => {
                    for ((place, _), record) in group.rows.iter().zip(records) {
                        results[*place] = record;
                    }
                }
                Err(error) if failure::about(&error) == About::MissingTable => {
                    pool.shapes.forget(&group.table)
                }
                Err(error)
                    if matches!(
                        failure::about(&error),
                        About::Shape | About::Function | About::Statement
                    ) && look < LOOKS =>
                {
                    session.forget();
                    pool.shapes.forget(&group.table);
                    again.push(group);
                }
                Err(error) => {
                    let error = failure::of_operation(&error, &pool.options);
                    if error.remedy() == Remedy::Reconnect {
                        return Err(error);
                    }
                    for (place, _) in &group.rows {
                        results[*place] = Err(error.clone());
                    }
                }
            }
        }
        if again.is_empty() {
            break;
        }
        groups = again;
    }
    lease.done();
    Ok(results)
}

/// The records of a group's rows, in their order.
async fn read_group(
    pool: &Pool,
    session: &Session,
    group: &Group<'_>,
    found: Found,
    kind: Kind,
) -> Result<Results, Failure> {
    let shape = match found {
        Found::Table(shape) => shape,
        Found::Other => return Ok(vec![Err(no_table(pool)); group.rows.len()]),
        Found::Nothing => return Ok(vec![Ok(None); group.rows.len()]),
    };
    let table = statements::qualified(&pool.options.schema, &group.table);
    let sql = || match kind {
        Kind::Head => statements::head(&table, shape),
        _ => statements::get(&table, shape),
    };
    let statement = session.prepare(Use { kind, table: group.table.clone(), shape }, sql).await?;
    let ids = group.ids();
    let rows = session.query(&statement, &[(&ids, Type::TEXT_ARRAY)]).await?;
    let mut results: Results = vec![Ok(None); ids.len()];
    let places: HashMap<&str, usize> = match ids.len() {
        1 => HashMap::new(),
        _ => ids.iter().enumerate().map(|(place, id)| (*id, place)).collect(),
    };
    for row in &rows {
        let id: &str = row.try_get(0)?;
        let place = if ids.len() == 1 { Some(0) } else { places.get(id).copied() };
        if let Some(place) = place {
            results[place] = record(row, shape, kind, pool.options.has_values).map(Some);
        }
    }
    Ok(results)
}

/// A row as somebody may have changed it by hand.
fn record(row: &tokio_postgres::Row, shape: Shape, kind: Kind, has_values: bool) -> Result<Record, Error> {
    let unreadable = |_| corrupt("a column is not of the type it was");
    let version: Option<i64> = row.try_get(1).map_err(unreadable)?;
    let read = if has_values { value::read_classic } else { value::read };
    let text = match row.columns().len() {
        2 => None,
        _ => row.try_get::<_, Option<&str>>(2).map_err(unreadable)?,
    };
    match (kind, text) {
        (Kind::Head, text) => {
            let version = match (shape.version, text) {
                (Version::InVal, Some(text)) => read(shape, None, text).map_err(corrupt)?.version,
                _ => version.unwrap_or(0),
            };
            Ok(Record { version, data: Bytes::new() })
        }
        (_, Some(text)) => read(shape, version, text).map_err(corrupt),
        (_, None) => Err(corrupt("its val is NULL")),
    }
}

fn is_corrupt(result: &Result<Option<Record>, Error>) -> bool {
    result.as_ref().is_err_and(|error| error.code() == ErrorCode::Corrupt)
}

pub(super) fn corrupt(what: &str) -> Error {
    Error::new(
        ErrorCode::Corrupt,
        format!("the row under this key is not a record: {what}; correct it, or set the record again"),
    )
}

pub(super) fn no_table(pool: &Pool) -> Error {
    Error::new(
        ErrorCode::Backend,
        format!(
            "what has the name of the record's table in the schema \"{}\" is not a table for records, with the columns id, version and val; rename it, or choose another schema",
            pool.options.schema
        ),
    )
}
