//! The statements, prepared; and a look at the table that they speak of.

use futures_util::future::try_join_all;
use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::frame::response::result::{ColumnType, NativeType};
use scylla::frame::types::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::unprepared::Statement;

use super::columns::Column;
use super::options::Options;
use super::statements;

/// The statements of a session.
pub(super) struct Prepared {
    pub get: PreparedStatement,
    pub head: PreparedStatement,
    pub set: PreparedStatement,
    pub set_long: PreparedStatement,
    pub delete: PreparedStatement,
    pub scan: PreparedStatement,
    /// Those of the option `columns`.
    pub columns: Vec<Column>,
}

impl Prepared {
    /// Has all of them prepared at once.
    pub async fn new(session: &Session, options: &Options) -> Result<Prepared, PrepareError> {
        let table = options.full_table();
        let (reads, writes) = (options.reads, options.writes);
        let wanted = [
            (statements::get(&table), reads),
            (statements::head(&table), reads),
            (statements::set(&table, &options.columns, options.ttl), writes),
            (statements::set_long(&table, &options.columns, options.ttl), writes),
            (statements::delete(&table), writes),
            (statements::scan(&table), reads),
        ];
        let prepare = |(text, consistency)| async move {
            let mut statement = session.prepare(statement(text, consistency)).await?;
            // What comes back has the columns that were asked for, and need not be described.
            statement.set_use_cached_result_metadata(true);
            Ok::<_, PrepareError>(statement)
        };
        let mut all = try_join_all(wanted.map(prepare)).await?.into_iter();
        let mut next = || all.next().ok_or(PrepareError::PreparedStatementIdsMismatch);
        let (get, head, set, set_long) = (next()?, next()?, next()?, next()?);
        let further = set.get_variable_col_specs();
        let further = further.iter().filter(|spec| options.columns.iter().any(|name| name == spec.name()));
        let columns = further.filter_map(Column::of).collect();
        Ok(Prepared { get, head, set, set_long, delete: next()?, scan: next()?, columns })
    }

    /// Whether the table's columns are those of records, and its partitions too.
    pub fn is_for_records(&self) -> bool {
        let columns = self.set_long.get_variable_col_specs();
        let fits = columns.iter().all(|column| {
            let wanted = match column.name() {
                "collection" | "id" | "key" | "data" => NativeType::Text,
                "version" => NativeType::BigInt,
                _ => return true,
            };
            *column.typ() == ColumnType::Native(wanted)
        });
        fits && self.set_long.get_variable_pk_indexes().len() == 2
    }
}

/// All of them may be sent twice without harm.
fn statement(text: String, consistency: Consistency) -> Statement {
    let mut statement = Statement::new(text);
    statement.set_consistency(consistency);
    statement.set_is_idempotent(true);
    statement
}
