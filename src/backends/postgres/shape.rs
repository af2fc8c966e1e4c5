//! What columns a table has: those of either of deepstream's connectors, whichever made it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_postgres::types::Type;

/// Where a table has versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Version {
    /// Within `val`, in layout V1.
    InVal,
    /// In a column of at most 32 bits.
    Int,
    Bigint,
}

/// What kind of column `val` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Val {
    /// What is written is kept to the letter.
    Text,
    /// The same, and it must be JSON.
    Json,
    Jsonb,
}

/// The columns of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub version: Version,
    pub val: Val,
}

impl Shape {
    /// From names and types of columns; `None` where it is no table for records.
    pub fn of(columns: &[(String, u32)]) -> Option<Shape> {
        let of = |name: &str| columns.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
        of("id")?;
        let is = |kind: u32, types: &[Type]| types.iter().any(|known| known.oid() == kind);
        let val = match of("val")? {
            kind if is(kind, &[Type::TEXT, Type::VARCHAR]) => Val::Text,
            kind if is(kind, &[Type::JSON]) => Val::Json,
            kind if is(kind, &[Type::JSONB]) => Val::Jsonb,
            _ => return None,
        };
        let version = match of("version") {
            None => Version::InVal,
            Some(kind) if is(kind, &[Type::INT2, Type::INT4]) => Version::Int,
            Some(kind) if is(kind, &[Type::INT8, Type::NUMERIC]) => Version::Bigint,
            Some(_) => return None,
        };
        Some(Shape { version, val })
    }
}

/// The shapes of tables that were seen, by the tables' plain names.
#[derive(Default)]
pub(super) struct Shapes(Mutex<HashMap<String, Shape>>);

/// More than this many tables are looked up again.
const KEPT: usize = 20_000;

impl Shapes {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Shape>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, table: &str) -> Option<Shape> {
        self.lock().get(table).copied()
    }

    pub fn keep(&self, table: &str, shape: Shape) {
        let mut shapes = self.lock();
        if shapes.len() >= KEPT {
            shapes.clear();
        }
        shapes.insert(table.to_owned(), shape);
    }

    /// The table is not what it was.
    pub fn forget(&self, table: &str) {
        self.lock().remove(table);
    }

    /// No table is.
    pub fn forget_all(&self) {
        self.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(columns: &[(&str, Type)]) -> Option<Shape> {
        let columns: Vec<_> = columns.iter().map(|(name, kind)| ((*name).to_owned(), kind.oid())).collect();
        Shape::of(&columns)
    }

    #[test]
    fn tables_of_either_connector_are_known() {
        let id = ("id", Type::TEXT);
        assert_eq!(
            of(&[id.clone(), ("version", Type::INT4), ("val", Type::TEXT)]),
            Some(Shape { version: Version::Int, val: Val::Text })
        );
        assert_eq!(
            of(&[id.clone(), ("val", Type::JSONB), ("more", Type::BOOL)]),
            Some(Shape { version: Version::InVal, val: Val::Jsonb })
        );
        assert_eq!(
            of(&[id.clone(), ("val", Type::JSON), ("version", Type::INT8)]),
            Some(Shape { version: Version::Bigint, val: Val::Json })
        );
        assert_eq!(of(&[("val", Type::TEXT)]), None);
        assert_eq!(of(&[id.clone(), ("val", Type::BYTEA)]), None);
        assert_eq!(of(&[id, ("val", Type::TEXT), ("version", Type::TEXT)]), None);
    }
}
