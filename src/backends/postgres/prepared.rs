//! The statements of one session: prepared once each, or sent whole where the session is not ours
//! from one transaction to the next.

use std::collections::HashMap;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::Statement;

use super::shape::Shape;

/// Prepared statements that are kept, each for one table and kind of operation.
const KEPT: usize = 256;

/// A statement as it is sent.
pub(super) enum Query {
    Prepared(Statement),
    Whole(String),
}

/// A value for a statement, and its type.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// What a prepared statement is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Use {
    pub kind: Kind,
    pub table: String,
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Get,
    Head,
    Set,
    Delete,
}

/// Those that are prepared.
#[derive(Default)]
pub(super) struct Prepared {
    uses: u64,
    statements: HashMap<Use, (Statement, u64)>,
}

impl Prepared {
    pub fn find(&mut self, purpose: &Use) -> Option<Statement> {
        self.uses += 1;
        let (statement, used) = self.statements.get_mut(purpose)?;
        *used = self.uses;
        Some(statement.clone())
    }

    pub fn keep(&mut self, purpose: Use, statement: Statement) {
        if self.statements.len() >= KEPT {
            let oldest = self.statements.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(purpose, _)| purpose.clone()) {
                self.statements.remove(&oldest);
            }
        }
        self.statements.insert(purpose, (statement, self.uses));
    }

    /// They are not what they were.
    pub fn forget(&mut self) {
        self.statements.clear();
    }
}
