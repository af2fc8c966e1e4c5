//! Every statement that PostgreSQL is sent. `table` is a quoted name with its schema everywhere.

use std::time::Duration;

use super::options::{Layout, Notifications, Options};
use super::quote::{identifier, literal};
use super::shape::{Shape, Val, Version};

/// What a session must be for all that follows, whatever a database or a role has set otherwise. One
/// that others have as well after us stays as it is.
pub(super) fn set_up(options: &Options) -> String {
    if !options.prepared_statements {
        return String::new();
    }
    let mut statement =
        String::from("SET standard_conforming_strings TO on; SET client_min_messages TO warning;");
    if let Some(timeout) = options.statement_timeout {
        statement.push_str(&format!(" SET statement_timeout TO {};", timeout.as_millis()));
    }
    if let Some(timeout) = options.lock_timeout {
        statement.push_str(&format!(" SET lock_timeout TO {};", timeout.as_millis()));
    }
    if let Some(timeout) = options.idle_in_transaction_timeout {
        statement.push_str(&format!(" SET idle_in_transaction_session_timeout TO {};", timeout.as_millis()));
    }
    statement
}

/// Who this session is in the server, and whether the server takes writes. `$1` is the schema.
pub(super) const INTRODUCTION: &str = "
    SELECT pg_backend_pid(), current_setting('application_name'), pg_is_in_recovery(),
           current_setting('server_version_num')::int, to_regnamespace(quote_ident($1)) IS NOT NULL";

/// Ends what still writes in a session of this name, and says whether it is still there. The name
/// alone makes it ours: behind a pooler the process `$1` may be anybody's by now. Where we have the
/// server's process to ourselves, it is ended in whatever state: there may be more to come that it
/// has not read. `$2` is the name.
pub(super) const FENCE: &str = "
    SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
    WHERE application_name = $2 AND pid <> pg_backend_pid() AND (pid = $1 OR state <> 'idle')";

/// Ends what a session is doing, but not the session: `$1` is its process, `$2` its name.
pub(super) const CANCEL: &str = "
    SELECT count(pg_cancel_backend(pid))
    FROM pg_stat_activity WHERE pid = $1 AND application_name = $2 AND state = 'active'";

pub(super) const BEGIN: &str = "BEGIN";

/// A transaction with the rights of the role that logged in, which are those over its sessions: a
/// role may be set to act as another one.
pub(super) const BEGIN_AS_LOGIN: &str = "BEGIN; SET LOCAL ROLE NONE";

/// A transaction that waits so long for a lock.
pub(super) fn begin_with_lock_timeout(timeout: Duration) -> String {
    format!("BEGIN; SET LOCAL lock_timeout TO {}", timeout.as_millis())
}

pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";

pub(super) fn create_schema(schema: &str) -> String {
    format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(schema))
}

pub(super) fn destroy_schema(schema: &str) -> String {
    format!("DROP SCHEMA {} CASCADE", identifier(schema))
}

/// The columns of tables: `$1` is the schema, `$2` the tables' names.
pub(super) const DESCRIBE: &str = "
    SELECT c.relname::text, a.attname::text, a.atttypid
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = $1 AND c.relname = ANY ($2::text[]::name[]) AND c.relkind IN ('r', 'p', 'v', 'f')";

/// The tables of a schema in an order of their own, with what their comments say, after one of
/// them. `$1` is the schema, `$2` the name of the table before.
pub(super) const TABLES: &str = "
    SELECT c.relname::text, obj_description(c.oid, 'pg_class')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname::text COLLATE \"C\" > $2
    ORDER BY c.relname::text COLLATE \"C\"
    LIMIT 100";

/// One table's comment: `$1` is the schema, `$2` the table's name.
pub(super) const COMMENT: &str = "
    SELECT obj_description(c.oid, 'pg_class')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2::text::name AND c.relkind IN ('r', 'p')";

/// The function of the triggers.
pub(super) const TRIGGER_FUNCTION_EXISTS: &str =
    "SELECT to_regprocedure(quote_ident($1) || '.broadcast_update()') IS NOT NULL";

/// It sends what deepstream's own connector sends, and lives in the schema.
pub(super) fn trigger_function(schema: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION {}.broadcast_update() RETURNS trigger LANGUAGE plpgsql AS $body$
         BEGIN
             PERFORM pg_catalog.pg_notify(TG_TABLE_SCHEMA, TG_OP || ':' || TG_TABLE_NAME || ':' ||
                 CASE TG_OP WHEN 'DELETE' THEN OLD.id ELSE NEW.id END);
             RETURN NULL;
         END $body$",
        identifier(schema)
    )
}

/// A table with all that belongs to it, in one transaction: `name` is the plain one, `has_key`
/// whether whole keys stand beside the rows.
pub(super) fn create_table(options: &Options, name: &str, comment: Option<&str>, has_key: bool) -> String {
    let schema = &options.schema;
    let table = qualified(schema, name);
    let version = match (options.layout, options.bigint_versions) {
        (Layout::V1, _) => "",
        (Layout::V2, false) => "version int DEFAULT 0, ",
        (Layout::V2, true) => "version bigint DEFAULT 0, ",
    };
    let val = if options.use_jsonb { "jsonb" } else { "text" };
    let key = if has_key { ", key text NOT NULL" } else { "" };
    let mut statement =
        format!("CREATE TABLE {table} (id text NOT NULL PRIMARY KEY, {version}val {val} NOT NULL{key});");
    if let Some(comment) = comment {
        statement.push_str(&format!("COMMENT ON TABLE {table} IS {};", literal(comment)));
    }
    if let Some(events) = trigger_events(options.notifications) {
        statement.push_str(&format!(
            "CREATE TRIGGER broadcast_update AFTER {events} ON {table}
             FOR EACH ROW EXECUTE PROCEDURE {}.broadcast_update();",
            identifier(schema)
        ));
    }
    if let Some(role) = &options.role {
        statement.push_str(&format!("ALTER TABLE {table} OWNER TO {};", identifier(role)));
    }
    if options.notifications.create_table {
        statement.push_str(&notify(schema, &format!("CREATE_TABLE:{name}")));
    }
    statement
}

/// The events that a trigger is for, if any.
pub(super) fn trigger_events(notifications: Notifications) -> Option<String> {
    let all = [
        (notifications.insert, "INSERT"),
        (notifications.update, "UPDATE"),
        (notifications.delete, "DELETE"),
    ];
    let events: Vec<&str> = all.iter().filter(|(told, _)| *told).map(|(_, event)| *event).collect();
    (!events.is_empty()).then(|| events.join(" OR "))
}

fn notify(schema: &str, payload: &str) -> String {
    format!("SELECT pg_notify({}, {});", literal(schema), literal(payload))
}

pub(super) fn widen(table: &str) -> String {
    format!("ALTER TABLE {table} ALTER COLUMN version TYPE bigint")
}

/// So that nobody writes into a table between the look into it and its end. Not waited for: behind
/// who waits everybody else would.
pub(super) fn lock(table: &str) -> String {
    format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE NOWAIT")
}

pub(super) fn has_rows(table: &str) -> String {
    format!("SELECT EXISTS (SELECT 1 FROM {table})")
}

pub(super) fn drop_table(options: &Options, name: &str) -> String {
    let mut statement = format!("DROP TABLE {};", qualified(&options.schema, name));
    if options.notifications.destroy_table {
        statement.push_str(&notify(&options.schema, &format!("DESTROY_TABLE:{name}")));
    }
    statement
}

/// `$1` are ids, `$2` versions, `$3` values, `$4` whole keys, as far as the table has these.
pub(super) fn set(table: &str, shape: Shape, has_key: bool) -> String {
    let mut columns = vec![("id", "$1::text[]", "n.id")];
    if shape.version != Version::InVal {
        columns.push(("version", "$2::int8[]", "n.version"));
    }
    let val = match shape.val {
        Val::Text => "n.val",
        Val::Json => "n.val::json",
        Val::Jsonb => "n.val::jsonb",
    };
    // Parameters are numbered without a gap.
    let versioned = shape.version != Version::InVal;
    columns.push(("val", if versioned { "$3::text[]" } else { "$2::text[]" }, val));
    if has_key {
        columns.push(("key", if versioned { "$4::text[]" } else { "$3::text[]" }, "n.key"));
    }
    let list = |part: fn(&(&'static str, &'static str, &'static str)) -> &'static str| {
        columns.iter().map(part).collect::<Vec<_>>().join(", ")
    };
    let names = list(|column| column.0);
    let updates: Vec<String> =
        columns.iter().skip(1).map(|(name, ..)| format!("{name} = excluded.{name}")).collect();
    format!(
        "INSERT INTO {table} ({names}) SELECT {} FROM unnest({}) AS n ({names})
         ON CONFLICT (id) DO UPDATE SET {}",
        list(|column| column.2),
        list(|column| column.1),
        updates.join(", ")
    )
}

/// `$1` are ids.
pub(super) fn delete(table: &str) -> String {
    format!("DELETE FROM {table} WHERE id = ANY ($1::text[])")
}

/// Id, version and value; `$1` are ids.
pub(super) fn get(table: &str, shape: Shape) -> String {
    format!("SELECT id, {}, val::text FROM {table} WHERE id = ANY ($1::text[])", version(shape))
}

/// Id and version, and in layout V1 the value that has it; `$1` are ids.
pub(super) fn head(table: &str, shape: Shape) -> String {
    match shape.version {
        Version::InVal => get(table, shape),
        _ => format!("SELECT id, {} FROM {table} WHERE id = ANY ($1::text[])", version(shape)),
    }
}

/// Rows after one of them, in the order of the ids: `$1` is the id before, `$2` how many.
pub(super) fn scan(table: &str, shape: Shape, has_key: bool) -> String {
    // What begins with something need not be together: the order is that of the database's locale.
    let (key, name) = if has_key { ("key", "key") } else { ("NULL::text", "id") };
    format!(
        "SELECT id, {}, val::text, {key} FROM {table}
         WHERE ($1::text IS NULL OR id > $1) AND ($3::text IS NULL OR left({name}, length($3)) = $3)
         ORDER BY id LIMIT $2",
        version(shape)
    )
}

pub(super) fn count(table: &str) -> String {
    format!("SELECT count(*) FROM {table}")
}

fn version(shape: Shape) -> &'static str {
    match shape.version {
        Version::InVal => "NULL::int8",
        Version::Int | Version::Bigint => "version::int8",
    }
}

/// A session that listens is idle by its nature; the setting is as old as PostgreSQL 14.
pub(super) const MAY_BE_IDLE: &str = "
    SELECT set_config('idle_session_timeout', '0', false)
    WHERE current_setting('idle_session_timeout', true) IS NOT NULL";

pub(super) fn listen(channel: &str) -> String {
    format!("LISTEN {}", identifier(channel))
}

pub(super) fn unlisten(channel: &str) -> String {
    format!("UNLISTEN {}", identifier(channel))
}

/// The rows of the host's own statement as JSON.
pub(super) fn as_json(statement: &str) -> String {
    format!("WITH q AS (\n{statement}\n) SELECT to_jsonb(q)::text FROM q")
}

pub(super) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}
