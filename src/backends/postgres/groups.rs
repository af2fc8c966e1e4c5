//! A batch by its tables: what is asked of one table is one statement.

use std::collections::HashMap;

use tokio_postgres::types::Type;

use super::names::{Home, Names, Row};
use super::session::Session;
use super::shape::{Shape, Shapes};
use super::statements;
use crate::core::Key;

/// Rows of one table.
pub(super) struct Group<'a> {
    pub home: Home<'a>,
    /// The table's plain name.
    pub table: String,
    /// The places of the keys in the batch, and their rows, in the order of the ids: all that
    /// write lock rows in the same order, so that they do not wait for each other in a circle.
    pub rows: Vec<(usize, Row<'a>)>,
}

impl Group<'_> {
    pub fn ids(&self) -> Vec<&str> {
        self.rows.iter().map(|(_, row)| row.id.as_ref()).collect()
    }

    /// Whether whole keys stand beside the rows.
    pub fn has_keys(&self) -> bool {
        self.home == Home::Long
    }
}

/// The groups of a batch, in the order of their tables.
pub(super) fn of<'a>(names: &Names, keys: impl Iterator<Item = &'a Key>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut known: HashMap<Home<'a>, usize> = HashMap::new();
    for (place, key) in keys.enumerate() {
        let (home, row) = names.place(key);
        let index = match groups.last() {
            Some(last) if last.home == home => groups.len() - 1,
            _ => *known.entry(home).or_insert_with(|| {
                groups.push(Group { home, table: names.table(home), rows: Vec::new() });
                groups.len() - 1
            }),
        };
        groups[index].rows.push((place, row));
    }
    for group in &mut groups {
        group.rows.sort_unstable_by(|(_, one), (_, other)| one.id.cmp(&other.id));
    }
    groups.sort_unstable_by(|one, other| one.table.cmp(&other.table));
    groups
}

/// The tables of groups.
pub(super) fn tables<'a>(groups: &'a [Group<'_>]) -> Vec<&'a str> {
    groups.iter().map(|group| group.table.as_str()).collect()
}

/// What there is under a table's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Table(Shape),
    /// Something that is no table for records.
    Other,
    Nothing,
}

/// Looks tables up, those that are not known in one statement.
pub(super) async fn look_up(
    session: &Session,
    schema: &str,
    shapes: &Shapes,
    tables: &[&str],
) -> Result<Vec<Found>, tokio_postgres::Error> {
    let mut found: Vec<Found> =
        tables.iter().map(|table| shapes.get(table).map_or(Found::Nothing, Found::Table)).collect();
    let unknown: Vec<&str> = tables
        .iter()
        .zip(&found)
        .filter(|(_, found)| **found == Found::Nothing)
        .map(|(table, _)| *table)
        .collect();
    if unknown.is_empty() {
        return Ok(found);
    }
    let mut columns: HashMap<String, Vec<(String, u32)>> = HashMap::new();
    for row in session
        .client
        .query_typed(statements::DESCRIBE, &[(&schema, Type::NAME), (&unknown, Type::TEXT_ARRAY)])
        .await?
    {
        columns.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, row.try_get(2)?));
    }
    for (table, found) in tables.iter().zip(&mut found) {
        let Some(columns) = columns.get(*table) else { continue };
        *found = match Shape::of(columns) {
            Some(shape) => {
                shapes.keep(table, shape);
                Found::Table(shape)
            }
            None => Found::Other,
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_one_group_for_each_table_in_one_order() {
        let names = Names { separator: "/".into(), default_table: "default".into(), prefix: String::new() };
        let keys: Vec<Key> = ["b/2", "a/1", "b/1", "x", "a/0"].into_iter().map(Key::from).collect();
        let groups = of(&names, keys.iter());
        let shown: Vec<(&str, Vec<&str>)> =
            groups.iter().map(|group| (group.table.as_str(), group.ids())).collect();
        assert_eq!(shown, [("a", vec!["0", "1"]), ("b", vec!["1", "2"]), ("default", vec!["x"])]);
        for group in &groups {
            for (place, row) in &group.rows {
                assert_eq!(names.place(&keys[*place]).1, *row);
            }
        }
    }
}
