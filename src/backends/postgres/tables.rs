//! Tables that come and go: made for the first record, widened for large versions, dropped when
//! they are empty where an option says so.

use tokio_postgres::Error as Failure;

use super::failure::{self, About};
use super::groups::{self, Found, Group};
use super::options::Layout;
use super::pool::Pool;
use super::reader::no_table;
use super::session::{make_schema, Session};
use super::shape::{Shape, Val, Version};
use super::statements;
use crate::core::{Error, ErrorCode};

/// How often somebody else may make, and drop, a table while we make it.
const ATTEMPTS: usize = 4;

/// Makes a table that is not there, unless somebody else does.
pub(super) async fn make(pool: &Pool, session: &Session, group: &Group<'_>) -> Result<Shape, Error> {
    let options = &pool.options;
    let failed = |error: Failure| failure::of_operation(&error, options);
    let comment = options.names.comment(group.home);
    // A comment has no NUL; what it stands for is escaped already.
    let sql = statements::create_table(options, &group.table, comment.as_deref(), group.has_keys());
    for _ in 0..ATTEMPTS {
        match session.client.batch_execute(&sql).await {
            Ok(()) => {
                let shape = Shape {
                    version: match (options.layout, options.bigint_versions) {
                        (Layout::V1, _) => Version::InVal,
                        (Layout::V2, false) => Version::Int,
                        (Layout::V2, true) => Version::Bigint,
                    },
                    val: if options.use_jsonb { Val::Jsonb } else { Val::Text },
                };
                pool.shapes.keep(&group.table, shape);
                return Ok(shape);
            }
            Err(error) if failure::is_there_already(&error) => {}
            // The schema was dropped under us, or what was in it besides tables.
            Err(error) if matches!(failure::about(&error), About::MissingTable | About::Function) => {
                make_schema(&session.client, options).await.map_err(failed)?;
                continue;
            }
            Err(error) => return Err(failed(error)),
        }
        match look_again(pool, session, group).await? {
            Found::Table(shape) => return Ok(shape),
            Found::Other => return Err(no_table(pool)),
            Found::Nothing => {}
        }
    }
    // An index or a type may have the name, which is no table to look at.
    Err(no_table(pool))
}

async fn look_again(pool: &Pool, session: &Session, group: &Group<'_>) -> Result<Found, Error> {
    pool.shapes.forget(&group.table);
    let found = groups::look_up(session, &pool.options.schema, &pool.shapes, &[&group.table]).await;
    let found = found.map_err(|error| failure::of_operation(&error, &pool.options))?;
    Ok(found.first().copied().unwrap_or(Found::Nothing))
}

/// Makes room for large versions, if it may and nobody else has. The shape is that of the table
/// then, whichever it is.
pub(super) async fn widen(pool: &Pool, session: &Session, group: &Group<'_>) -> Result<Shape, Error> {
    let shape = match look_again(pool, session, group).await? {
        Found::Table(shape) => shape,
        Found::Other => return Err(no_table(pool)),
        Found::Nothing => return Err(gone()),
    };
    if shape.version != Version::Int || !pool.options.bigint_versions {
        return Ok(shape);
    }
    let table = statements::qualified(&pool.options.schema, &group.table);
    session
        .client
        .batch_execute(&statements::widen(&table))
        .await
        .map_err(|error| failure::of_operation(&error, &pool.options))?;
    let shape = Shape { version: Version::Bigint, ..shape };
    pool.shapes.keep(&group.table, shape);
    Ok(shape)
}

fn gone() -> Error {
    Error::transient(ErrorCode::Unavailable, "the record's table was dropped a moment ago")
}

/// Drops a table if nothing is in it. That is tidying up: where it fails, the table stays.
pub(super) async fn drop_if_empty(pool: &Pool, session: &Session, name: &str) {
    if try_to_drop(pool, session, name).await.is_err() {
        // Outside of a transaction this is a warning, which is not told.
        let _ = session.client.batch_execute(statements::ROLLBACK).await;
    }
}

async fn try_to_drop(pool: &Pool, session: &Session, name: &str) -> Result<(), Failure> {
    let client = &session.client;
    let table = statements::qualified(&pool.options.schema, name);
    // Without a lock first: mostly there is something.
    if client.query_typed_one(&statements::has_rows(&table), &[]).await?.try_get(0)? {
        return Ok(());
    }
    client.batch_execute(statements::BEGIN).await?;
    client.batch_execute(&statements::lock(&table)).await?;
    if client.query_typed_one(&statements::has_rows(&table), &[]).await?.try_get(0)? {
        return client.batch_execute(statements::ROLLBACK).await;
    }
    client.batch_execute(&statements::drop_table(&pool.options, name)).await?;
    client.batch_execute(statements::COMMIT).await?;
    pool.shapes.forget(name);
    Ok(())
}
