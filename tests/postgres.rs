//! What is special to PostgreSQL: tables, names, versions, notifications, rights, and what others
//! do to the tables meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use crate::support::{pool, Client, Server, Told, PATIENCE};
use deepstream_connector::core::{ErrorCode, Operation, Record, Reply};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(tables_are_those_of_the_official_connector),
    test!(records_of_older_connectors_are_read_in_every_form),
    test!(what_jsonb_cannot_hold_comes_back_equal_and_the_rest_can_be_queried),
    test!(a_record_name_is_a_name_and_nothing_else),
    test!(names_beyond_63_bytes_stay_apart),
    test!(options_say_where_records_are),
    test!(large_versions_need_an_option),
    test!(notifications_are_those_of_the_official_connector),
    test!(without_the_option_there_is_no_trigger_and_no_function),
    test!(what_is_dropped_under_us_is_made_again),
    test!(a_schema_that_is_made_again_has_its_notifications_again),
    test!(a_listing_names_the_rows_that_it_passes_over),
    test!(what_is_no_table_for_records_is_named),
    test!(one_refused_row_does_not_fail_its_neighbours),
    test!(a_spoiled_row_is_corrupt_and_harms_nobody_else),
    test!(a_role_that_may_only_read_is_told_so),
    test!(a_missing_database_is_named),
    test!(a_database_of_another_encoding_says_what_it_cannot_hold),
    test!(records_can_be_queried_with_an_index),
];

fn command(client: &Client, name: &str, schema: &str) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let done = move |answer| sender.send(answer).unwrap();
    client.connector.command(name, serde_json::json!({"schema": schema}), done).unwrap();
    receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap();
}

/// The function that triggers call is in the schema.
fn a_schema_that_is_made_again_has_its_notifications_again() {
    let place = place();
    let client = place.open(r#", "notifications": {"INSERT": true}"#);
    client.set("users/1", 1, "{}").unwrap();
    let triggers = format!(
        "SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND relnamespace = '{0}'::regnamespace",
        place.schema
    );
    command(&client, "destroySchema", &place.schema);
    command(&client, "createSchema", &place.schema);
    client.set("users/1", 2, "{}").unwrap();
    assert_eq!(place.sql(&triggers), "1");
    // Others may do it as well, and leave the function out.
    place.sql_as_connector("DROP SCHEMA $ CASCADE; CREATE SCHEMA $");
    client.set("users/1", 3, "{}").unwrap();
    assert_eq!(place.sql(&triggers), "1");
    place.sql_as_connector("DROP FUNCTION $.broadcast_update() CASCADE");
    client.set("users/1", 4, "{}").unwrap();
    client.set("bikes/1", 5, "{}").unwrap();
    assert_eq!((client.head("users/1").unwrap(), client.head("bikes/1").unwrap()), (Some(4), Some(5)));
}

fn a_listing_names_the_rows_that_it_passes_over() {
    let place = place();
    let client = place.open("");
    for name in ["users/1", "users/2", "users/3"] {
        client.set(name, 1, "{}").unwrap();
    }
    place.sql("UPDATE $.users SET val = 'hunter2' WHERE id = '2'");
    place.sql("INSERT INTO $.users (id, val) SELECT 'x' || n, '[' FROM generate_series(1, 20) AS n");
    let listed: Vec<_> = client.list(100).into_iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(listed, ["users/1", "users/3"]);
    let lines: Vec<String> = std::iter::from_fn(|| match client.told.recv_timeout(PATIENCE).unwrap() {
        Told::Log(line) if line.contains("13 more") => None,
        Told::Log(line) => Some(line),
        other => Some(format!("{other:?}")),
    })
    .collect();
    assert_eq!(lines.iter().filter(|line| line.contains("passed over the record")).count(), 8, "{lines:?}");
    let of_two = lines.iter().find(|line| line.contains("\"users/2\"")).expect("it is named");
    assert!(of_two.contains("its val is not JSON"), "{of_two}");
    assert!(!lines.iter().any(|line| line.contains("hunter2")), "{lines:?}");
}

/// A server that tests share, each with a schema of its own.
struct Place {
    server: Arc<Server>,
    schema: String,
}

fn place() -> Place {
    static PLACES: AtomicUsize = AtomicUsize::new(1);
    Place {
        server: pool::shared("postgres", &[]),
        schema: format!("place{}", PLACES.fetch_add(1, Ordering::Relaxed)),
    }
}

impl Place {
    fn open(&self, options: &str) -> Client {
        self.open_as("connector", options)
    }

    fn open_as(&self, user: &str, options: &str) -> Client {
        Client::open(&format!(
            r#"{{"type": "postgres", "host": "127.0.0.1", "port": {}, "user": "{user}", "password": "secret",
                "database": "records", "schema": "{}"{options}}}"#,
            self.server.port, self.schema
        ))
        .unwrap()
    }

    /// Has the superuser carry out SQL, with the schema in the place of `$`.
    fn sql(&self, sql: &str) -> String {
        self.server.client(&["-c", &sql.replace('$', &format!("\"{}\"", self.schema))])
    }

    /// The same as the role that the connector logs in with.
    fn sql_as_connector(&self, sql: &str) -> String {
        self.sql(&format!("SET ROLE connector; {sql}"))
    }

    /// The names of all tables, one a line.
    fn tables(&self) -> String {
        self.sql(&format!("SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = '{}' AND relkind = 'r' ORDER BY relname COLLATE \"C\"", self.schema))
    }

    fn columns(&self, table: &str) -> String {
        self.sql(&format!(
            "SELECT string_agg(column_name || ' ' || data_type || ' ' || is_nullable || coalesce(' ' || column_default, ''), ', ' ORDER BY ordinal_position)
             FROM information_schema.columns WHERE table_schema = '{}' AND table_name = '{table}'",
            self.schema
        ))
    }
}

fn set(version: i64, data: &str) -> Operation {
    Operation::Set(Record { version, data: data.to_owned().into() })
}

fn tables_are_those_of_the_official_connector() {
    let place = place();
    let client = place.open("");
    client.set("users/1", 7, r#"{"name":"Ada's \"x\""}"#).unwrap();
    client.set("lonely", 1, "[1, 2]").unwrap();
    assert_eq!(place.tables(), "default\nusers");
    assert_eq!(place.columns("users"), "id text NO, version integer YES 0, val text NO");
    assert_eq!(place.sql("SELECT * FROM $.users"), r#"1|7|{"name":"Ada's \"x\""}"#);
    assert_eq!(place.sql("SELECT * FROM $.\"default\""), "lonely|1|[1, 2]");
    place.sql("INSERT INTO $.users (id, val) VALUES ('by hand', '{}')");
    assert_eq!(client.get("users/by hand").unwrap(), Some((0, "{}".into())));

    let older = place.open(r#", "layout": "V1", "useJsonb": true"#);
    older.set("bikes/1", 3, r#"{"a":[null]}"#).unwrap();
    assert_eq!(place.columns("bikes"), "id text NO, val jsonb NO");
    assert_eq!(place.sql("SELECT * FROM $.bikes"), r#"1|{"_d": {"a": [null]}, "_v": 3}"#);
    // Tables are taken as they are, whatever new ones would be.
    client.set("bikes/2", 4, "[]").unwrap();
    assert_eq!(place.sql("SELECT val FROM $.bikes WHERE id = '2'"), r#"{"_d": [], "_v": 4}"#);
    assert_eq!(client.head("bikes/2").unwrap(), Some(4));
    older.set("users/1", 8, "{}").unwrap();
    assert_eq!(client.get("users/1").unwrap(), Some((8, "{}".into())));
}

fn records_of_older_connectors_are_read_in_every_form() {
    let place = place();
    let client = place.open("");
    client.set("made/1", 1, "{}").unwrap();
    place.sql_as_connector(
        r#"CREATE TABLE $.old (id varchar(100) PRIMARY KEY, val json NOT NULL);
           INSERT INTO $.old VALUES ('object', '{"a": 1, "__ds": {"_v": 5}}'),
               ('list', '{"__dsList": ["x"], "__ds": {"_v": 6}}'), ('plain', '{"_v": 7, "_d": {"b": 2}}'), ('none', '{"c": 3}')"#,
    );
    assert_eq!(client.get("old/object").unwrap(), Some((5, r#"{"a":1}"#.into())));
    assert_eq!(client.get("old/list").unwrap(), Some((6, r#"["x"]"#.into())));
    assert_eq!(client.get("old/plain").unwrap(), Some((7, r#"{"b": 2}"#.into())));
    assert_eq!(client.get("old/none").unwrap_err().code(), ErrorCode::Corrupt);
    client.set("old/new", 8, r#"{"d":"\u0000"}"#).unwrap();
    assert_eq!(client.get("old/new").unwrap(), Some((8, r#"{"d":"\u0000"}"#.into())));
    assert_eq!(client.head("old/new").unwrap(), Some(8));
}

fn what_jsonb_cannot_hold_comes_back_equal_and_the_rest_can_be_queried() {
    let place = place();
    let client = place.open(r#", "useJsonb": true"#);
    for (index, data) in
        [r#"{"a":"\u0000","b":-0}"#, r#"["\ud800"]"#, r#"{"a":1,"a":2}"#, r#"{"ds_json":"x"}"#, "1e2000"]
            .iter()
            .enumerate()
    {
        client.set(&format!("odd/{index}"), 1, data).unwrap();
        assert_eq!(client.get(&format!("odd/{index}")).unwrap(), Some((1, (*data).into())));
    }
    client.set("even/1", 1, r#"{"age":36}"#).unwrap();
    assert_eq!(place.sql("SELECT id FROM $.even WHERE (val->>'age')::int > 30"), "1");
}

/// The exploits of deepstream's own connector: reading, writing and deleting what one may not, a
/// quote that fails a whole batch, a name that stops all later writes, names that become equal.
fn a_record_name_is_a_name_and_nothing_else() {
    let place = place();
    let client = place.open("");
    client.set("users/secret", 1, r#"{"mine":true}"#).unwrap();
    let hostile = [
        "users/x' OR 'a'='a",
        "users/x'; DROP TABLE users; --",
        "users/x', 1, '{}'), ('secret",
        "users'/x",
        "users\"/x",
        "users\"; DROP SCHEMA ds CASCADE; --/x",
        "us;ers/x",
        "us\"ers/x",
        "users/__proto__",
        "users/constructor",
        "__proto__/x",
        "users/secret;",
        "users/\"secret",
        "users;/secret",
        "users\\/x",
        "users/\\'",
        "users/$1",
        "$1/x",
        "public.users/x",
        "pg_class/x",
        "users_pkey/x",
        "_users/x",
        "Users/secret",
        "default/x",
        "x",
        "/x",
        "//x",
        "users/",
        "a\0b/c\0d",
    ];
    for name in hostile {
        assert_eq!(client.get(name).unwrap(), None, "{name:?} was read");
        client.delete(name).unwrap();
    }
    let sets = hostile.iter().zip(1..).map(|(name, version)| ((*name).into(), set(version, "[]")));
    for (result, name) in client.many(sets.collect()).iter().zip(hostile) {
        assert!(result.is_ok(), "{name:?}: {result:?}");
    }
    assert_eq!(client.get("users/secret").unwrap(), Some((1, r#"{"mine":true}"#.into())));
    for (name, version) in hostile.iter().zip(1..) {
        assert_eq!(client.head(name).unwrap(), Some(version), "{name:?}");
    }
    for name in hostile {
        client.delete(name).unwrap();
        assert_eq!(client.get(name).unwrap(), None);
    }
    assert_eq!(client.head("users/secret").unwrap(), Some(1));
}

fn names_beyond_63_bytes_stay_apart() {
    let place = place();
    let client = place.open("");
    let long = |end: &str| format!("{}{end}/1", "n".repeat(80));
    let names = [long("a"), long("b"), format!("{}/1", "n".repeat(63)), format!("{}/1", "é".repeat(40))];
    for (name, version) in names.iter().zip(1..) {
        client.set(name, version, "{}").unwrap();
    }
    for (name, version) in names.iter().zip(1..) {
        assert_eq!(client.head(name).unwrap(), Some(version), "{name}");
    }
    assert_eq!(place.tables().lines().count(), names.len());
    let comments = place.sql(&format!("SELECT obj_description(c.oid, 'pg_class') FROM pg_class c WHERE relnamespace = '{}'::regnamespace AND relname LIKE 'nnn%;h%' ORDER BY 1", place.schema));
    assert_eq!(comments, format!("{}a\n{}b", "n".repeat(80), "n".repeat(80)));
    // An index cannot hold such an id, unless it is all the same letter.
    let long_id: String = (0..20_000).map(|n| char::from(b'!' + (n * n % 89) as u8)).collect();
    client.set(&format!("users/{long_id}"), 9, "{}").unwrap();
    assert_eq!(client.head(&format!("users/{long_id}")).unwrap(), Some(9));
    assert_eq!(
        place.sql("SELECT length(key) FROM $.\";long\""),
        (long_id.len() + 6 + long_id.matches(';').count()).to_string()
    );
}

fn options_say_where_records_are() {
    let place = place();
    let client =
        place.open(r#", "splitChar": "::", "defaultTable": "Misc'ellaneous\"", "table": {"prefix": "ds_"}"#);
    client.set("users::1/2", 1, "{}").unwrap();
    client.set("users/1", 2, "{}").unwrap();
    assert_eq!(place.tables(), "Misc'ellaneous\"\nds_users");
    assert_eq!(place.sql("SELECT id FROM $.ds_users"), "1/2");

    place.sql("CREATE ROLE keeper; GRANT keeper TO connector; CREATE SCHEMA $x AUTHORIZATION keeper; DROP SCHEMA $x; GRANT ALL ON SCHEMA $ TO keeper".replace("$x", "keepers").as_str());
    let owned = place.open(r#", "role": "keeper""#);
    owned.set("owned/1", 1, "{}").unwrap();
    assert_eq!(
        place.sql(&format!(
            "SELECT tableowner FROM pg_tables WHERE schemaname = '{}' AND tablename = 'owned'",
            place.schema
        )),
        "keeper"
    );
    assert_eq!(owned.get("owned/1").unwrap(), Some((1, "{}".into())));

    let by_string = Client::open(&format!(
        r#"{{"type": "postgres", "connectionString": "postgresql://connector:secret@127.0.0.1:{}/records?application_name=by%20string", "schema": "Odd \"schema\"; --"}}"#,
        place.server.port
    ))
    .unwrap();
    by_string.set("a/1", 1, "{}").unwrap();
    assert_eq!(place.sql(r#"SELECT id FROM "Odd ""schema""; --".a"#), "1");
    assert_eq!(
        place.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'by string ________________'"
        ),
        "1"
    );
    let spelled =
        format!("host=127.0.0.1 port={} user=connector password=secret dbname=records", place.server.port);
    let by_words =
        Client::open(&format!(r#"{{"type": "postgres", "connectionString": "{spelled}"}}"#)).unwrap();
    assert_eq!(by_words.get("a/1").unwrap(), None);
}

fn large_versions_need_an_option() {
    let place = place();
    let client = place.open("");
    let largest = i64::from(i32::MAX);
    let results = client.many(vec![
        ("users/1".into(), set(largest, "{}")),
        ("users/2".into(), set(largest + 1, "{}")),
        ("users/3".into(), set(i64::MIN, "{}")),
        ("users/4".into(), set(4, "{}")),
    ]);
    assert!(results[0].is_ok() && results[3].is_ok(), "{results:?}");
    for result in &results[1..3] {
        let error = result.as_ref().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Backend);
        assert!(error.message().contains("\"bigintVersions\""), "{error}");
    }
    assert_eq!(client.head("users/2").unwrap(), None);
    let wide = place.open(r#", "bigintVersions": true"#);
    wide.set("users/1", 5, "{}").unwrap();
    assert!(place.columns("users").contains("version integer"), "it is widened when it must be");
    wide.set("users/2", i64::MAX, "{}").unwrap();
    assert_eq!(wide.head("users/2").unwrap(), Some(i64::MAX));
    assert!(place.columns("users").contains("version bigint"));
    // The other one, which knew the column as int, sees that it is not any more.
    client.set("users/2", largest + 1, "{}").unwrap();
    assert_eq!(client.head("users/2").unwrap(), Some(largest + 1));
    wide.set("new/1", 1, "{}").unwrap();
    assert_eq!(place.columns("new"), "id text NO, version bigint YES 0, val text NO");
}

fn notifications_are_those_of_the_official_connector() {
    let place = place();
    let all = r#", "dropEmptyTables": true, "notifications": {"CREATE_TABLE": true, "DESTROY_TABLE": true, "INSERT": true, "UPDATE": true, "DELETE": true}"#;
    let client = place.open(all);
    client.set("ready/1", 1, "{}").unwrap();
    let schema = &place.schema;
    // What is told comes with the answer to the statement after it. A table of our own says that all is acknowledged:
    // that of the last record is there before its row is.
    let end = format!("end_of_{schema}");
    let listener = format!(
        "LISTEN {schema}; SELECT pg_advisory_lock(7);
         {} SELECT 1;",
        crate::support::wait_for_table_sql("public", &end)
    );
    let heard = std::thread::scope(|scope| {
        let listener = scope.spawn(|| place.server.client_with_input(&listener));
        crate::support::wait_until("psql listens", || {
            place.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND granted")
                == "1"
        });
        client.set("us'ers/i:d'1", 1, "{}").unwrap();
        client.set("us'ers/i:d'1", 2, "{}").unwrap();
        client.set("us'ers/2", 1, "{}").unwrap();
        client.delete("us'ers/2").unwrap();
        client.delete("us'ers/i:d'1").unwrap();
        client.set("done/1", 1, "{}").unwrap();
        place.sql(&format!("CREATE TABLE public.{end} ()"));
        listener.join().unwrap()
    });
    let told: Vec<&str> = heard
        .lines()
        .filter_map(|line| {
            line.strip_prefix(&format!("Asynchronous notification \"{schema}\" with payload \""))
        })
        .filter_map(|rest| rest.rsplit_once("\" received from"))
        .map(|(payload, _)| payload)
        .collect();
    assert_eq!(
        told,
        [
            "CREATE_TABLE:us'ers",
            "INSERT:us'ers:i:d'1",
            "UPDATE:us'ers:i:d'1",
            "INSERT:us'ers:2",
            "DELETE:us'ers:2",
            "DELETE:us'ers:i:d'1",
            "DESTROY_TABLE:us'ers",
            "CREATE_TABLE:done",
            "INSERT:done:1",
        ],
        "{heard}"
    );
    assert_eq!(place.tables(), "done\nready");
    client.set("us'ers/3", 1, "{}").unwrap();
    assert_eq!(client.head("us'ers/3").unwrap(), Some(1));
}

fn without_the_option_there_is_no_trigger_and_no_function() {
    let place = place();
    let client = place.open("");
    client.set("users/1", 1, "{}").unwrap();
    client.delete("users/1").unwrap();
    assert_eq!(place.tables(), "users", "an emptied table stays");
    let functions =
        format!("SELECT count(*) FROM pg_proc WHERE pronamespace = '{}'::regnamespace", place.schema);
    assert_eq!(place.sql(&functions), "0");
    let told = place.open(r#", "notifications": {"INSERT": true}"#);
    told.set("bikes/1", 1, "{}").unwrap();
    assert_eq!(place.sql(&functions), "1");
    assert_eq!(place.sql("SELECT count(*) FROM pg_proc WHERE proname = 'broadcast_update' AND pronamespace = 'public'::regnamespace"), "0");
}

fn what_is_dropped_under_us_is_made_again() {
    let place = place();
    let client = place.open("");
    for round in 1..=3 {
        client.set("users/1", round, "{}").unwrap();
        client.set("bikes/1", round, "{}").unwrap();
        assert_eq!(client.head("users/1").unwrap(), Some(round));
        place.sql(
            ["DROP TABLE $.users", "DROP TABLE $.users, $.bikes", "DROP SCHEMA $ CASCADE"]
                [round as usize - 1],
        );
        assert_eq!(client.get("users/1").unwrap(), None);
        client.delete("users/1").unwrap();
        let results = client.many(vec![
            ("users/2".into(), set(round, "{}")),
            ("bikes/2".into(), set(round, "{}")),
            ("users/2".into(), Operation::Head),
        ]);
        assert!(matches!(results[2], Ok(Reply::Version(Some(version))) if version == round), "{results:?}");
    }
    // One of another kind comes in the place of a table.
    place.sql_as_connector(
        "DROP TABLE $.users; CREATE TABLE $.users (id text PRIMARY KEY, version int, val jsonb NOT NULL)",
    );
    client.set("users/1", 9, r#"{"a":  1}"#).unwrap();
    assert_eq!(client.get("users/1").unwrap(), Some((9, r#"{"a": 1}"#.into())));
    place.sql_as_connector(
        "DROP TABLE $.users; CREATE TABLE $.users (id text PRIMARY KEY, val text NOT NULL)",
    );
    client.set("users/1", 10, "[]").unwrap();
    assert_eq!(place.sql("SELECT val FROM $.users"), r#"{"_v":10,"_d":[]}"#);
    place.sql("ALTER TABLE $.users ADD version bigint, ALTER val TYPE json USING val::json->'_d'");
    assert_eq!(client.get("users/1").unwrap(), Some((0, "[]".into())));
}

fn what_is_no_table_for_records_is_named() {
    let place = place();
    let client = place.open("");
    client.set("users/1", 1, "{}").unwrap();
    place.sql_as_connector("CREATE TABLE $.numbers (id int, val text); CREATE TABLE $.other (a text); CREATE TABLE $.keyless (id text, version int, val text); CREATE INDEX taken ON $.other (a)");
    for name in ["other/1", "keyless/1", "taken/1"] {
        let results = client.many(vec![(name.into(), set(1, "{}")), ("users/1".into(), set(2, "{}"))]);
        let error = results[0].as_ref().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Backend, "{name}: {error}");
        assert!(error.message().contains("table"), "{name}: {error}");
        assert!(results[1].is_ok(), "{name}: its neighbour failed: {results:?}");
    }
    assert_eq!(client.get("other/1").unwrap_err().code(), ErrorCode::Backend);
}

fn one_refused_row_does_not_fail_its_neighbours() {
    let place = place();
    let client = place.open("");
    client.set("users/1", 1, "{}").unwrap();
    place.sql("ALTER TABLE $.users ADD CHECK (val NOT LIKE '%hunter2%')");
    let mut operations: Vec<_> =
        (0..1000).map(|index| (format!("users/{index}").into(), set(index, "{}"))).collect();
    for bad in [0, 333, 999] {
        operations[bad].1 = set(7, r#"{"is":"hunter2"}"#);
    }
    operations.push(("bikes/1".into(), set(5, "{}")));
    let results = client.many(operations);
    for (index, result) in results.iter().enumerate() {
        match index {
            0 | 333 | 999 => {
                let error = result.as_ref().unwrap_err();
                assert_eq!(error.code(), ErrorCode::Backend);
                assert!(
                    error.message().contains("constraint") && !error.message().contains("hunter2"),
                    "{error}"
                );
            }
            _ => assert!(result.is_ok(), "{index}: {result:?}"),
        }
    }
    assert_eq!(place.sql("SELECT count(*), min(version) FROM $.users WHERE id <> '1'"), "996|2");
    assert_eq!(client.head("bikes/1").unwrap(), Some(5));
}

fn a_spoiled_row_is_corrupt_and_harms_nobody_else() {
    let place = place();
    let client = place.open("");
    client.set("users/good", 1, "{}").unwrap();
    place.sql("INSERT INTO $.users VALUES ('bad', 1, 'hunter2 {')");
    let results =
        client.many(vec![("users/bad".into(), Operation::Get), ("users/good".into(), Operation::Get)]);
    let error = results[0].as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt);
    assert!(!error.message().contains("hunter2"), "{error}");
    assert!(matches!(&results[1], Ok(Reply::Record(Some(record))) if record.version == 1));
    client.set("users/bad", 2, "[]").unwrap();
    assert_eq!(client.get("users/bad").unwrap(), Some((2, "[]".into())));
}

fn a_role_that_may_only_read_is_told_so() {
    let place = place();
    place.open("").set("users/1", 1, "{}").unwrap();
    place.sql("CREATE ROLE reader LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA $ TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA $ TO reader");
    let reader = place.open_as("reader", "");
    assert_eq!(reader.get("users/1").unwrap(), Some((1, "{}".into())));
    for key in ["users/1", "new/1"] {
        let error = reader.set(key, 2, "{}").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Backend, "{error}");
        assert!(error.message().contains("\"reader\"") && error.message().contains("GRANT"), "{error}");
    }
    assert_eq!(reader.delete("users/1").unwrap_err().code(), ErrorCode::Backend);
    let nowhere = Place { server: Arc::clone(&place.server), schema: "not there".into() };
    let error = nowhere.open_as("reader", "").get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("\"schema\""), "{error}");
}

fn a_missing_database_is_named() {
    let place = place();
    let client = Client::open(&format!(
        r#"{{"type": "postgres", "host": "127.0.0.1", "port": {}, "user": "connector", "password": "secret", "database": "nowhere"}}"#,
        place.server.port
    ));
    let error = client.unwrap().get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration);
    assert!(error.message().contains("\"nowhere\"") && error.message().contains("\"database\""), "{error}");
}

fn a_database_of_another_encoding_says_what_it_cannot_hold() {
    let place = place();
    place.sql("CREATE DATABASE latin OWNER connector ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let client = Client::open(&format!(
        r#"{{"type": "postgres", "host": "127.0.0.1", "port": {}, "user": "connector", "password": "secret", "database": "latin"}}"#,
        place.server.port
    ))
    .unwrap();
    let results = client.many(vec![
        ("a/é".into(), set(1, "\"é\"")),
        ("a/2".into(), set(1, "\"🚲\"")),
        ("a/3".into(), set(3, "{}")),
    ]);
    let error = results[1].as_ref().unwrap_err();
    assert!(error.message().contains("ENCODING 'UTF8'"), "{error}");
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    assert_eq!(client.get("a/é").unwrap(), Some((1, "\"é\"".into())));
}

/// As docs/backends/postgres.md has it.
fn records_can_be_queried_with_an_index() {
    let place = place();
    let client = place.open("");
    let users =
        (0..2000).map(|n| (format!("users/{n}").into(), set(1, &format!(r#"{{"name":"n{n}","age":{n}}}"#))));
    assert!(client.many(users.collect()).iter().all(Result::is_ok));
    place.sql("CREATE INDEX users_by_name ON $.users ((val::jsonb->>'name')); ANALYZE $.users");
    let query =
        "SELECT id, version, val::jsonb->>'age' AS age FROM $.users WHERE val::jsonb->>'name' = 'n42'";
    assert_eq!(place.sql(query), "42|1|42");
    assert!(place.sql(&format!("EXPLAIN {query}")).contains("users_by_name"));
    let binary = place.open(r#", "useJsonb": true"#);
    let bikes = (0..2000).map(|n| (format!("bikes/{n}").into(), set(1, &format!(r#"{{"colour":"c{n}"}}"#))));
    assert!(binary.many(bikes.collect()).iter().all(Result::is_ok));
    place.sql("CREATE INDEX bikes_by_all ON $.bikes USING gin (val jsonb_path_ops); ANALYZE $.bikes");
    let query = r#"SELECT id FROM $.bikes WHERE val @> '{"colour": "c7"}'"#;
    assert_eq!(place.sql(query), "7");
    assert!(place.sql(&format!("EXPLAIN {query}")).contains("bikes_by_all"));
}
