//! Writing: a batch is one statement for each table, and one transaction.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::FutureExt;
use tokio_postgres::types::Type;
use tokio_postgres::Error as Failure;

use super::failure::{self, About};
use super::groups::{self, Found, Group};
use super::names::Row;
use super::pool::Pool;
use super::prepared::{Kind, Parameter, Query, Use};
use super::reader::no_table;
use super::session::Session;
use super::shape::{Shape, Version};
use super::{statements, tables, value};
use crate::core::{BatchResult, Error, ErrorCode, Key, Record, Remedy};

/// How often a table may turn out to be another one than it was.
const LOOKS: usize = 6;

/// PostgreSQL keeps 1 GB for a message, and for an array; one record shall fit with room.
const MAX_VALUE_BYTES: usize = 512 << 20;

/// How long a write waits for a lock where one was met a moment ago: the rows that nobody holds are
/// not to wait for the one that somebody does.
const SHORT_WAIT: Duration = Duration::from_millis(20);

/// So many refused parts of a group are looked into for the row that is locked; what is left then
/// rests as a whole.
const LOCKED_PARTS: usize = 16;

/// A batch of changes, all to different keys.
#[derive(Clone, Copy)]
pub(super) enum Changes<'a> {
    Set(&'a [(Key, Record)]),
    Delete(&'a [Key]),
}

impl Changes<'_> {
    fn kind(&self) -> Kind {
        match self {
            Changes::Set(_) => Kind::Set,
            Changes::Delete(_) => Kind::Delete,
        }
    }
}

/// Rows of one group that are written by one statement.
type Rows<'g, 'a> = &'g [(usize, Row<'a>)];

/// Carries a batch out.
pub(super) async fn write(pool: &Pool, changes: Changes<'_>) -> BatchResult<()> {
    let lease = pool.lease().await?;
    lease.session().writes();
    let mut batch = Batch { pool, session: lease.session(), changes, results: Vec::new(), is_hurried: false };
    let groups = match changes {
        Changes::Set(entries) => {
            batch.results = vec![Ok(()); entries.len()];
            groups::of(&pool.options.names, entries.iter().map(|(key, _)| key))
        }
        Changes::Delete(keys) => {
            batch.results = vec![Ok(()); keys.len()];
            groups::of(&pool.options.names, keys.iter())
        }
    };
    batch.is_hurried = groups.iter().any(|group| pool.locks.is_recent(&group.table));
    batch.write(groups).await?;
    let results = batch.results;
    lease.done();
    Ok(results)
}

struct Batch<'a> {
    pool: &'a Pool,
    session: &'a Session,
    changes: Changes<'a>,
    results: Vec<Result<(), Error>>,
    /// Whether locks are hardly waited for.
    is_hurried: bool,
}

/// What is asked of one table.
struct Part<'g, 'a> {
    rows: Rows<'g, 'a>,
    shape: Shape,
    has_keys: bool,
    query: Query,
}

impl<'a> Batch<'a> {
    /// Settles every key's result; the error is that of the whole batch.
    async fn write(&mut self, mut groups: Vec<Group<'a>>) -> Result<(), Error> {
        let mut looks = 0;
        let mut together = true;
        while !groups.is_empty() {
            looks += 1;
            let (ready, shapes) = self.prepare(groups).await?;
            groups = ready;
            let answers = if together && groups.len() > 1 {
                match self.transact(&groups, &shapes).await {
                    Ok(()) => (0..groups.len()).map(|_| Ok(())).collect(),
                    Err(error) => {
                        // One table's failure took all with it: each by itself from now on, or
                        // all again where it was only not there.
                        let about = failure::about(&error);
                        together = matches!(about, About::MissingTable | About::Statement);
                        self.is_hurried |= about == About::Lock;
                        self.give_up_at_once(&error)?;
                        if matches!(about, About::Shape | About::Function | About::Statement) {
                            self.session.forget();
                        }
                        if looks < LOOKS {
                            groups.iter().for_each(|group| self.pool.shapes.forget(&group.table));
                            continue;
                        }
                        together = false;
                        self.one_by_one(&groups, &shapes).await
                    }
                }
            } else {
                self.one_by_one(&groups, &shapes).await
            };
            let mut again = Vec::new();
            for ((group, shape), answer) in groups.into_iter().zip(shapes).zip(answers) {
                let Err(error) = answer else {
                    self.after(&group).await;
                    continue;
                };
                self.give_up_at_once(&error)?;
                match failure::about(&error) {
                    About::MissingTable if self.changes.kind() == Kind::Delete => {
                        self.pool.shapes.forget(&group.table);
                    }
                    About::MissingTable | About::Shape | About::Function | About::Statement
                        if looks < LOOKS =>
                    {
                        self.session.forget();
                        self.pool.shapes.forget(&group.table);
                        again.push(group);
                    }
                    About::Lock => {
                        self.is_hurried = true;
                        self.pool.locks.met(&group.table);
                        match group.rows.len() {
                            1 => self.fail(&group.rows, &failure::of_operation(&error, &self.pool.options)),
                            _ => self.split(&group, shape).await?,
                        }
                    }
                    About::Row if group.rows.len() > 1 => self.split(&group, shape).await?,
                    _ => self.fail(&group.rows, &failure::of_operation(&error, &self.pool.options)),
                }
            }
            groups = again;
        }
        Ok(())
    }

    /// An error that ends the connection is that of the batch.
    fn give_up_at_once(&self, error: &Failure) -> Result<(), Error> {
        let error = failure::of_operation(error, &self.pool.options);
        match error.remedy() {
            Remedy::Reconnect => Err(error),
            _ if error.code() == ErrorCode::Authentication => Err(error),
            _ => Ok(()),
        }
    }

    fn fail(&mut self, rows: Rows<'_, '_>, error: &Error) {
        for (place, _) in rows {
            self.results[*place] = Err(error.clone());
        }
    }

    /// Looks the tables up, makes what is missing, and leaves out what cannot be written.
    async fn prepare(&mut self, groups: Vec<Group<'a>>) -> Result<(Vec<Group<'a>>, Vec<Shape>), Error> {
        let options = &self.pool.options;
        let found =
            groups::look_up(self.session, &options.schema, &self.pool.shapes, &groups::tables(&groups))
                .await
                .map_err(|error| failure::of_operation(&error, options))?;
        let (mut ready, mut shapes) = (Vec::new(), Vec::new());
        for (mut group, found) in groups.into_iter().zip(found) {
            let shape = match (found, self.changes) {
                (Found::Table(shape), _) => Ok(shape),
                (Found::Other, _) => Err(no_table(self.pool)),
                (Found::Nothing, Changes::Delete(_)) => continue,
                (Found::Nothing, Changes::Set(_)) => tables::make(self.pool, self.session, &group).await,
            };
            let shape = match shape {
                Ok(shape) => self.fit(&mut group, shape).await,
                Err(error) => Err(error),
            };
            match shape {
                Ok(_) if group.rows.is_empty() => {}
                Ok(shape) => {
                    ready.push(group);
                    shapes.push(shape);
                }
                Err(error) if error.remedy() == Remedy::Reconnect => return Err(error),
                Err(error) => self.fail(&group.rows, &error),
            }
        }
        Ok((ready, shapes))
    }

    /// Takes out the rows that have no room in the table, or makes room.
    async fn fit(&mut self, group: &mut Group<'_>, mut shape: Shape) -> Result<Shape, Error> {
        let Changes::Set(entries) = self.changes else { return Ok(shape) };
        let is_wide = |place: usize| i32::try_from(entries[place].1.version).is_err();
        if shape.version == Version::Int && group.rows.iter().any(|(place, _)| is_wide(*place)) {
            shape = tables::widen(self.pool, self.session, group).await?;
        }
        let results = &mut self.results;
        group.rows.retain(|(place, _)| {
            let record = &entries[*place].1;
            if record.data.len() > MAX_VALUE_BYTES {
                results[*place] = Err(Error::new(
                    ErrorCode::TooLarge,
                    format!("the record has {} bytes; PostgreSQL takes {MAX_VALUE_BYTES} here", record.data.len()),
                ));
            } else if shape.version == Version::Int && is_wide(*place) {
                results[*place] = Err(Error::new(
                    ErrorCode::Backend,
                    format!(
                        "the version {} does not fit the int column of the record's table; set the option \"bigintVersions\" to have it widened",
                        record.version
                    ),
                ));
            } else {
                return true;
            }
            false
        });
        Ok(shape)
    }

    /// All groups in one transaction.
    async fn transact(&self, groups: &[Group<'_>], shapes: &[Shape]) -> Result<(), Failure> {
        // Preparing takes an answer each, so it comes first: a transaction is not to wait for it.
        let parts = groups.iter().zip(shapes).map(|(group, shape)| self.part(group, &group.rows, *shape));
        let parts: Vec<Part<'_, '_>> = join_all(parts).await.into_iter().collect::<Result<_, _>>()?;
        self.send_all(&parts).await
    }

    async fn one_by_one(&self, groups: &[Group<'_>], shapes: &[Shape]) -> Vec<Result<(), Failure>> {
        let mut answers = Vec::with_capacity(groups.len());
        for (group, shape) in groups.iter().zip(shapes) {
            answers.push(self.change(group, &group.rows, *shape).await);
        }
        answers
    }

    /// Finds the rows that fail, by halves, so that they fail alone.
    async fn split(&mut self, group: &Group<'_>, shape: Shape) -> Result<(), Error> {
        let (left, right) = group.rows.split_at(group.rows.len() / 2);
        let mut parts = vec![right, left];
        let mut locked = 0;
        while let Some(rows) = parts.pop() {
            let Err(error) = self.change(group, rows, shape).await else { continue };
            self.give_up_at_once(&error)?;
            let about = failure::about(&error);
            locked += usize::from(about == About::Lock);
            let is_looked_into = about == About::Row || about == About::Lock && locked <= LOCKED_PARTS;
            if is_looked_into && rows.len() > 1 {
                let (left, right) = rows.split_at(rows.len() / 2);
                parts.extend([right, left]);
            } else {
                self.fail(rows, &failure::of_operation(&error, &self.pool.options));
            }
        }
        Ok(())
    }

    async fn change(&self, group: &Group<'_>, rows: Rows<'_, '_>, shape: Shape) -> Result<(), Failure> {
        let part = self.part(group, rows, shape).await?;
        self.send_all(&[part]).await
    }

    async fn part<'g, 'r>(
        &self,
        group: &Group<'_>,
        rows: Rows<'g, 'r>,
        shape: Shape,
    ) -> Result<Part<'g, 'r>, Failure> {
        let query = self.statement(group, shape).await?;
        Ok(Part { rows, shape, has_keys: group.has_keys(), query })
    }

    /// How long locks are waited for, where the session does not know it.
    fn lock_timeout(&self) -> Option<Duration> {
        match self.is_hurried {
            true => Some(SHORT_WAIT),
            false if self.session.is_ours => None,
            false => self.pool.options.lock_timeout,
        }
    }

    /// Sends everything in one go, as one transaction.
    async fn send_all(&self, parts: &[Part<'_, '_>]) -> Result<(), Failure> {
        let client = &self.session.client;
        let begin = match (self.lock_timeout(), parts) {
            (Some(timeout), _) => statements::begin_with_lock_timeout(timeout),
            (None, [part]) => return self.send(part).await,
            (None, _) => statements::BEGIN.to_owned(),
        };
        let mut steps = vec![client.batch_execute(&begin).boxed()];
        steps.extend(parts.iter().map(|part| self.send(part).boxed()));
        steps.push(client.batch_execute(statements::COMMIT).boxed());
        // Polled in this order for the first time, which is when they are sent. After a failure
        // the server refuses the rest, and makes a rollback of the commit.
        join_all(steps).await.into_iter().collect()
    }

    async fn statement(&self, group: &Group<'_>, shape: Shape) -> Result<Query, Failure> {
        let kind = self.changes.kind();
        let purpose = Use { kind, table: group.table.clone(), shape };
        let sql = || {
            let table = statements::qualified(&self.pool.options.schema, &group.table);
            match kind {
                Kind::Set => statements::set(&table, shape, group.has_keys()),
                _ => statements::delete(&table),
            }
        };
        self.session.prepare(purpose, sql).await
    }

    async fn send(&self, part: &Part<'_, '_>) -> Result<(), Failure> {
        let Part { rows, shape, has_keys, query } = part;
        let ids: Vec<&str> = rows.iter().map(|(_, row)| row.id.as_ref()).collect();
        let Changes::Set(entries) = self.changes else {
            return self.session.execute(query, &[(&ids, Type::TEXT_ARRAY)]).await;
        };
        let versions: Vec<i64> = rows.iter().map(|(place, _)| entries[*place].1.version).collect();
        let write = if self.pool.options.has_values { value::write_classic } else { value::write };
        let values: Vec<Cow<'_, str>> =
            rows.iter().map(|(place, _)| write(*shape, &entries[*place].1)).collect();
        let keys: Vec<Option<&str>> = rows.iter().map(|(_, row)| row.key.as_deref()).collect();
        let mut parameters: Vec<Parameter<'_>> = vec![(&ids, Type::TEXT_ARRAY)];
        if shape.version != Version::InVal {
            parameters.push((&versions, Type::INT8_ARRAY));
        }
        parameters.push((&values, Type::TEXT_ARRAY));
        if *has_keys {
            parameters.push((&keys, Type::TEXT_ARRAY));
        }
        self.session.execute(query, &parameters).await
    }

    /// What a delete that succeeded leads to.
    async fn after(&self, group: &Group<'_>) {
        if self.changes.kind() == Kind::Delete && self.pool.options.drop_empty_tables {
            tables::drop_if_empty(self.pool, self.session, &group.table).await;
        }
    }
}
