//! Writing: one statement for each table of a batch, as long as the server takes it; in parts where
//! some of its rows are refused, or locked by somebody.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::batch::{filled, note, size_of_id, Context, Results, OVERHEAD};
use super::failure::{self, code, Deed};
use super::rows::{self, NewRow};
use super::server::Server;
use super::statements::{self, Columns};
use super::tables;
use super::wire::{Failure, Session, Statement};
use crate::core::{BatchResult, Error, Key, Record};

/// How often a table is made again that somebody drops all the time.
const ATTEMPTS_TO_CREATE: usize = 3;

/// Where a server does not tell which rows are locked, so many refused parts of a statement are
/// looked into: each of them has been waited for.
const LOCKED_PARTS: usize = 4;

/// Writes batches on one session.
pub(super) struct Writer<'a> {
    context: &'a Context,
    server: &'a Server,
    session: &'a mut Session,
    results: Results<()>,
    /// The server has carried out something.
    wrote: bool,
}

/// What becomes of a row.
trait Change: Clone {
    /// Whether it needs a table.
    const MAKES_TABLES: bool;

    /// Its number in the batch.
    fn index(&self) -> usize;

    fn id(&self) -> &str;

    /// How many bytes of it go to the server, about.
    fn size(&self) -> usize;

    /// The statement for some rows of a table, whose name is quoted.
    fn statement<'s>(rows: &'s [Self], context: &Context, table: &str) -> Statement<'s>;

    /// Has the document kept from the server's JSON functions; says whether that is new.
    fn avoid_json(&mut self) -> bool {
        false
    }
}

impl Change for NewRow<'_> {
    const MAKES_TABLES: bool = true;

    fn index(&self) -> usize {
        self.index
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn size(&self) -> usize {
        NewRow::size(self)
    }

    fn statement<'s>(rows: &'s [Self], context: &Context, table: &str) -> Statement<'s> {
        let has_all = rows.iter().any(|row| row.columns() == Columns::All);
        let columns = if has_all { Columns::All } else { Columns::Usual };
        let class = statements::size_class(rows.len());
        let mut parameters = Vec::with_capacity(class * columns.count());
        for row in rows {
            row.push_onto(&mut parameters, columns);
        }
        let filler = rows.iter().min_by_key(|row| row.size());
        let total: usize = rows.iter().map(NewRow::size).sum();
        let surplus = class - rows.len();
        let mut count = rows.len();
        if let Some(filler) =
            filler.filter(|row| total + surplus * row.size() + OVERHEAD <= context.largest_packet)
        {
            for _ in 0..surplus {
                filler.push_onto(&mut parameters, columns);
            }
            count = class;
        }
        Statement { text: statements::set(context.dialect, table, columns, count), parameters }
    }

    fn avoid_json(&mut self) -> bool {
        !std::mem::replace(&mut self.is_raw, true)
    }
}

/// A row that is to be gone.
#[derive(Clone)]
struct OldRow<'a> {
    index: usize,
    id: Cow<'a, str>,
}

impl Change for OldRow<'_> {
    const MAKES_TABLES: bool = false;

    fn index(&self) -> usize {
        self.index
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn size(&self) -> usize {
        size_of_id(&self.id)
    }

    fn statement<'s>(rows: &'s [Self], _: &Context, table: &str) -> Statement<'s> {
        filled(rows, |row| row.id.as_bytes(), |count| statements::delete(table, count))
    }
}

impl<'a> Writer<'a> {
    pub fn new(
        context: &'a Context,
        server: &'a Server,
        session: &'a mut Session,
        count: usize,
    ) -> Writer<'a> {
        Writer { context, server, session, results: vec![Ok(()); count], wrote: false }
    }

    /// Stores records.
    pub async fn set(mut self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let context = self.context;
        let tables = &context.tables;
        let mut by_table: HashMap<Option<&str>, Vec<usize>> = HashMap::new();
        for (index, (key, _)) in entries.iter().enumerate() {
            by_table.entry(tables.place(key).collection).or_default().push(index);
        }
        for (collection, indices) in by_table {
            let name = tables.name(collection);
            let is_plain = tables.collection(&name).is_some();
            let rows = indices.into_iter().map(|index| {
                let (key, record) = &entries[index];
                NewRow::new(index, key, tables.place(key), is_plain, record, context.dialect)
            });
            let (usual, others): (Vec<_>, Vec<_>) = rows.partition(|row| row.columns() == Columns::Usual);
            let table = tables.quoted(&name);
            self.change(&table, usual).await?;
            self.change(&table, others).await?;
        }
        Ok(self.finish())
    }

    /// Removes records.
    pub async fn delete(mut self, keys: &[Key]) -> BatchResult<()> {
        let context = self.context;
        let tables = &context.tables;
        let mut by_table: HashMap<Option<&str>, Vec<OldRow<'_>>> = HashMap::new();
        for (index, key) in keys.iter().enumerate() {
            let place = tables.place(key);
            let row = OldRow { index, id: tables::row_of(place.id) };
            by_table.entry(place.collection).or_default().push(row);
        }
        for (collection, rows) in by_table {
            self.change(&tables.table(collection), rows).await?;
        }
        Ok(self.finish())
    }

    fn finish(self) -> Results<()> {
        if self.wrote {
            self.context.writability.wrote();
        }
        self.results
    }

    /// Changes rows of one table; settles the result of each. The error is that of the whole batch.
    async fn change<C: Change>(&mut self, table: &str, mut rows: Vec<C>) -> Result<(), Error> {
        // Everybody who takes locks in one order waits, and does not meet in a deadlock.
        rows.sort_unstable_by(|one, other| one.id().cmp(other.id()));
        if self.context.locks.is_recent(table) {
            rows = self.without_locked(table, rows).await?;
        }
        let mut parts: Vec<Vec<C>> = self.context.in_parts(&rows, C::size).map(<[C]>::to_vec).collect();
        let (mut created, mut locked) = (0, 0);
        while let Some(mut rows) = parts.pop() {
            if let [row] = &rows[..] {
                let size = row.size() + OVERHEAD;
                if size > self.context.largest_packet {
                    self.results[row.index()] = Err(self.context.too_large(size));
                    continue;
                }
            }
            let statement = C::statement(&rows, self.context, table);
            let answer = self.session.execute(&statement).await;
            let text = statement.text;
            let refusal = match answer {
                Ok(_) => {
                    self.wrote = true;
                    continue;
                }
                Err(Failure::Lost(error)) => return Err(error),
                Err(Failure::Refused(refusal)) => refusal,
            };
            match failure::deed(&refusal) {
                _ if refusal.code == code::NO_SUCH_TABLE && !C::MAKES_TABLES => self.wrote = true,
                _ if refusal.code == code::NO_SUCH_TABLE && created < ATTEMPTS_TO_CREATE => {
                    created += 1;
                    let create = statements::create_table(self.context.dialect, table);
                    match self.session.run(&create).await {
                        Ok(()) => parts.push(rows),
                        Err(Failure::Refused(refusal)) if failure::deed(&refusal) == Deed::ReadOnly => {
                            return Err(self.read_only().await);
                        }
                        Err(failure) => self.fail(&rows, failure, &create)?,
                    }
                }
                _ if failure::is_about_json(&refusal) && rows.len() == 1 && rows[0].avoid_json() => {
                    parts.push(rows);
                }
                Deed::ReadOnly => return Err(self.read_only().await),
                Deed::Lock => {
                    self.context.locks.met(table);
                    let before = rows.len();
                    if before > 1 {
                        rows = self.without_locked(table, rows).await?;
                    }
                    match rows.len() {
                        0 => {}
                        less if less < before => parts.push(rows),
                        2.. if locked < LOCKED_PARTS => {
                            locked += 1;
                            halve(rows, &mut parts);
                        }
                        _ => self.fail(&rows, Failure::Refused(refusal), &text)?,
                    }
                }
                // Without the row that the server refuses the others are stored.
                Deed::RefuseRow if rows.len() > 1 => halve(rows, &mut parts),
                _ => self.fail(&rows, Failure::Refused(refusal), &text)?,
            }
        }
        Ok(())
    }

    fn fail<C: Change>(&mut self, rows: &[C], failure: Failure, text: &str) -> Result<(), Error> {
        let error = self.context.explain(self.session, failure, text);
        note(&mut self.results, rows.iter().map(C::index), Err(error))
    }

    /// The error of a batch that a read-only server was given.
    async fn read_only(&mut self) -> Error {
        self.context.writability.refused();
        match self.server.has_moved(self.session).await {
            true => Error::connection("the server is read-only, and another one takes the writes by now"),
            false => failure::read_only(),
        }
    }

    /// Takes out the rows that somebody has locked, as far as the server can tell.
    async fn without_locked<C: Change>(&mut self, table: &str, rows: Vec<C>) -> Result<Vec<C>, Error> {
        let context = self.context;
        let mut free = Vec::with_capacity(rows.len());
        for part in context.in_parts(&rows, |row| size_of_id(row.id())) {
            match self.locked(table, part).await {
                Ok(locked) => {
                    for row in part {
                        match locked.contains(row.id()) {
                            true => self.results[row.index()] = Err(failure::locked()),
                            false => free.push(row.clone()),
                        }
                    }
                }
                Err(Failure::Lost(error)) => return Err(error),
                // The table as a whole.
                Err(Failure::Refused(refusal)) if failure::deed(&refusal) == Deed::Lock => {
                    let indices = part.iter().map(C::index);
                    note(&mut self.results, indices, Err(failure::locked()))?;
                }
                // The server has no such question.
                Err(Failure::Refused(_)) => free.extend_from_slice(part),
            }
        }
        Ok(free)
    }

    /// Which of some rows somebody has locked: they are there, and not among those that are free.
    async fn locked<C: Change>(&mut self, table: &str, rows: &[C]) -> Result<HashSet<String>, Failure> {
        let ask = |text: fn(&str, usize) -> String| {
            filled(rows, |row| row.id().as_bytes(), |count| text(table, count))
        };
        let mut locked = HashSet::new();
        for sees_uncommitted in [false, true] {
            if sees_uncommitted {
                self.session.run(statements::SEE_UNCOMMITTED).await?;
            }
            let found = self.session.execute(&ask(statements::present)).await?;
            locked.extend(found.iter().filter_map(|row| rows::text(row, 0).map(str::to_owned)));
        }
        for row in self.session.execute(&ask(statements::free)).await? {
            if let Some(id) = rows::text(&row, 0) {
                locked.remove(id);
            }
        }
        Ok(locked)
    }
}

fn halve<C>(mut rows: Vec<C>, parts: &mut Vec<Vec<C>>) {
    let second = rows.split_off(rows.len() / 2);
    parts.extend([rows, second]);
}
