//! What deepstream's own connector can do besides storing records: schemas, notifications, and
//! statements of the host's own. All of it happens on one connection, in the order of the asking.

use std::error::Error as StdError;
use std::sync::Arc;

use serde_json::{json, Map, Value};
use tokio_postgres::types::{to_sql_checked, Format, IsNull, ToSql, Type};
use tokio_postgres::{Error as Failure, SimpleQueryMessage};

use super::failure;
use super::names::MAX_NAME_BYTES;
use super::pool::{alone, Guest, Pool};
use super::session::{make_schema, Session};
use super::statements;
use crate::core::{Error, ErrorCode};

/// The commands, for the message about another one.
const COMMANDS: &str = "createSchema, destroySchema, getSchemaOverview, subscribe, unsubscribe, query";

/// Carries a command out.
pub(super) async fn run(pool: &Arc<Pool>, name: &str, arguments: &Value) -> Result<Value, Error> {
    let known = COMMANDS.split(", ").any(|known| known == name);
    if !known {
        return Err(Error::new(
            ErrorCode::Unsupported,
            format!("this backend has no such command; it has: {COMMANDS}"),
        ));
    }
    if name == "query" {
        let (text, values) = query_arguments(arguments)?;
        let mut running = Running { pool, guest: Some(pool.guest().await?) };
        let answer = match &running.guest {
            Some(guest) => query(guest, &text, &values).await.map_err(|error| of_query(&error, pool)),
            None => return Err(Error::connection("the connection was closed")),
        };
        running.guest = None;
        return answer;
    }
    let failed = |error: Failure| of_query(&error, pool);
    let schema = schema(pool, name, arguments)?;
    let guest = pool.guest().await?;
    let client = &guest.client;
    match name {
        "createSchema" => {
            let made = match schema == pool.options.schema {
                // With what the triggers of new tables need.
                true => make_schema(client, &pool.options).await,
                false => client.batch_execute(&statements::create_schema(&schema)).await,
            };
            made.map_err(failed)?;
        }
        "destroySchema" => {
            client.batch_execute(&statements::destroy_schema(&schema)).await.map_err(failed)?;
            if schema == pool.options.schema {
                pool.shapes.forget_all();
            }
        }
        "getSchemaOverview" => return overview(&guest, &schema).await.map_err(failed),
        "subscribe" => {
            client.batch_execute(&statements::listen(&schema)).await.map_err(failed)?;
            pool.estate.news.add(&schema);
        }
        _ => {
            client.batch_execute(&statements::unlisten(&schema)).await.map_err(failed)?;
            pool.estate.news.remove(&schema);
        }
    }
    Ok(Value::Null)
}

/// A statement of the host's that nobody may wait for any more before it is answered: then it is
/// cancelled, so that it does not hold up those behind it.
struct Running<'a> {
    pool: &'a Arc<Pool>,
    guest: Option<Guest>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Behind a pooler nobody knows which session it is.
        if let Some(guest) = self.guest.take().filter(|guest| guest.is_ours) {
            self.pool.cancel(guest);
        }
    }
}

/// The argument `schema`; only those that make or destroy one need it.
fn schema(pool: &Pool, command: &str, arguments: &Value) -> Result<String, Error> {
    let refuse = |what: String| Err(Error::new(ErrorCode::InvalidArgument, what));
    let name = match arguments.get("schema") {
        None | Some(Value::Null) if matches!(command, "createSchema" | "destroySchema") => {
            return refuse(format!("{command} needs the name of a schema, as {{\"schema\": …}}"))
        }
        None | Some(Value::Null) => pool.options.schema.clone(),
        Some(Value::String(name)) => name.clone(),
        Some(_) => return refuse(format!("the schema for {command} is not text")),
    };
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
        return refuse(format!(
            "the schema for {command} has {} bytes; give a name of 1 to {MAX_NAME_BYTES} bytes without NUL",
            name.len()
        ));
    }
    Ok(name)
}

fn query_arguments(arguments: &Value) -> Result<(String, Vec<Argument>), Error> {
    let refuse = |what: &str| Error::new(ErrorCode::InvalidArgument, what.to_owned());
    let text = arguments.get("text").and_then(Value::as_str);
    let text = text.ok_or_else(|| refuse("query needs a statement, as {\"text\": …, \"values\": […]}"))?;
    if text.contains('\0') {
        return Err(refuse("the statement for query has a NUL character; leave it out"));
    }
    let values = match arguments.get("values") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => values.iter().map(Argument::of).collect(),
        Some(_) => return Err(refuse("the values for query are no list")),
    };
    Ok((text.to_owned(), values))
}

/// How many rows each table of a schema has.
async fn overview(session: &Session, schema: &str) -> Result<Value, Failure> {
    let mut counts = Map::new();
    let mut last = String::new();
    loop {
        let tables = session
            .client
            .query_typed(statements::TABLES, &[(&schema, Type::NAME), (&last, Type::TEXT)])
            .await?;
        let Some(end) = tables.last() else { return Ok(Value::Object(counts)) };
        last = end.try_get(0)?;
        for row in &tables {
            let table: String = row.try_get(0)?;
            let sql = statements::count(&statements::qualified(schema, &table));
            match session.client.query_typed_one(&sql, &[]).await {
                Ok(row) => drop(counts.insert(table, json!(row.try_get::<_, i64>(0)?))),
                // Dropped a moment ago.
                Err(error) if failure::about(&error) == failure::About::MissingTable => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A value for a statement as PostgreSQL reads it in text, whatever its type is there.
#[derive(Debug)]
struct Argument(Option<String>);

impl Argument {
    fn of(value: &Value) -> Argument {
        Argument(match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            // As node-postgres does it: lists are arrays, objects are JSON.
            Value::Array(elements) => {
                let elements: Vec<String> = elements.iter().map(element).collect();
                Some(format!("{{{}}}", elements.join(",")))
            }
            other => Some(other.to_string()),
        })
    }
}

/// A value within an array's text. Lists are at most 128 levels deep, which is what was read.
fn element(value: &Value) -> String {
    match (value, Argument::of(value)) {
        (Value::Array(_), Argument(Some(text))) => text,
        (_, Argument(Some(text))) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        (_, Argument(None)) => "NULL".into(),
    }
}

impl ToSql for Argument {
    fn to_sql(&self, _: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match &self.0 {
            None => Ok(IsNull::Yes),
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// The host's own statement: its rows as objects, and how many rows it was about. Several
/// statements at once, and one that is no query, have text in their rows. Nothing is tried that
/// might fail, since a failure would end a transaction that the host has begun.
async fn query(session: &Session, text: &str, values: &[Argument]) -> Result<Value, Failure> {
    let client = &session.client;
    let text = text.trim().trim_end_matches(';');
    if values.is_empty() && text.contains(';') {
        return simple_query(session, text).await;
    }
    if session.is_ours {
        return extended_query(session, text, values).await;
    }
    // What is prepared must be in the session in which it is carried out.
    client.batch_execute(statements::BEGIN).await?;
    let answer = extended_query(session, text, values).await;
    let end = if answer.is_ok() { statements::COMMIT } else { statements::ROLLBACK };
    client.batch_execute(end).await.and(answer)
}

async fn extended_query(session: &Session, text: &str, values: &[Argument]) -> Result<Value, Failure> {
    let client = &session.client;
    let parameters: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
    let plain = client.prepare(text).await?;
    if plain.columns().is_empty() {
        let count = client.execute(&plain, &parameters).await?;
        return Ok(json!({"rowCount": count, "rows": []}));
    }
    let word: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
    if !QUERIES.contains(&word.to_ascii_uppercase().as_str()) {
        return simple_query(session, text).await;
    }
    // PostgreSQL itself makes JSON of its rows, of whatever type a column is.
    let rows = client.query(&statements::as_json(text), &parameters).await?;
    let rows = rows.iter().map(|row| row.try_get::<_, &str>(0).map(as_value));
    let rows: Vec<Value> = rows.collect::<Result<_, _>>()?;
    Ok(json!({"rowCount": rows.len(), "rows": rows}))
}

/// What may stand in the place of a table, if it has rows.
const QUERIES: &[&str] = &["SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE"];

async fn simple_query(session: &Session, text: &str) -> Result<Value, Failure> {
    let (mut rows, mut count) = (Vec::new(), 0);
    for message in session.client.simple_query(text).await? {
        match message {
            SimpleQueryMessage::Row(row) => {
                let names = row.columns().iter().enumerate();
                let members = names.map(|(index, column)| (column.name().to_owned(), json!(row.get(index))));
                rows.push(Value::Object(members.collect()));
            }
            SimpleQueryMessage::CommandComplete(rows) => count = rows,
            _ => {}
        }
    }
    Ok(json!({"rowCount": count, "rows": rows}))
}

/// A row; as its text where it is too deep to be a value.
fn as_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// The host wrote the statement itself, and needs the server's own words to mend it.
fn of_query(failure: &Failure, pool: &Pool) -> Error {
    let error = alone(failure::of_operation(failure, &pool.options));
    match failure.as_db_error() {
        Some(answer) if error.code() == ErrorCode::Backend => Error::new(
            ErrorCode::Backend,
            format!("PostgreSQL refused it ({}: {})", answer.code().code(), answer.message()),
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_as_postgresql_reads_it() {
        for (value, text) in [
            (json!(null), None),
            (json!("it's"), Some("it's")),
            (json!(1.5), Some("1.5")),
            (json!(true), Some("true")),
            (json!({"a": [1]}), Some(r#"{"a":[1]}"#)),
            (json!([1, null, "a\"b\\c", [true]]), Some(r#"{"1",NULL,"a\"b\\c",{"true"}}"#)),
            (json!([]), Some("{}")),
        ] {
            assert_eq!(Argument::of(&value).0.as_deref(), text, "{value}");
        }
    }
}
