//! Tables, rows, and what a person and other programs see of them.

use deepstream_connector::core::{ErrorCode, Operation};

use crate::mysql::databases::{get_all, products, record, set_all, Database};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(a_record_is_a_row),
    test!(the_documented_query_and_index_work),
    test!(documents_come_back_byte_for_byte),
    test!(every_character_comes_back_whatever_the_servers_init_connect_says),
    test!(keys_that_a_server_would_confuse_stay_apart),
    test!(keys_stay_apart_where_names_of_tables_have_no_case),
    test!(the_exploits_of_the_official_connector_do_nothing),
    test!(a_table_that_is_dropped_under_us_is_made_again),
    test!(what_is_no_record_is_corrupt_and_harms_nobody_else),
    test!(columns_and_indexes_of_somebody_else_fail_their_records_alone),
    test!(a_document_that_the_servers_json_refuses_is_stored_all_the_same),
    test!(a_check_of_somebody_else_holds_for_every_record),
    test!(tables_and_rows_of_somebody_else_are_left_alone),
];

fn a_record_is_a_row() {
    for database in Database::each() {
        let client = database.open("");
        client.set("users/1", 7, r#"{"name":"Ada"}"#).unwrap();
        client.set("plain", -1, "[]").unwrap();
        assert_eq!(database.sql("SELECT id, version, data FROM users"), "1\t7\t{\"name\":\"Ada\"}");
        assert_eq!(database.sql("SELECT id, version, data FROM `default`"), "plain\t-1\t[]");
        database.sql(r#"INSERT INTO users (id, version, data) VALUES ('theirs', 3, '{ "n" : 1 }')"#);
        assert_eq!(client.get("users/theirs").unwrap(), Some((3, r#"{ "n" : 1 }"#.into())));
        client.delete("users/theirs").unwrap();
        assert_eq!(database.sql("SELECT COUNT(*) FROM users"), "1");
    }
}

const MARIADB_COLUMN: &str = "ALTER TABLE users
    ADD age DOUBLE AS (IF(JSON_TYPE(JSON_EXTRACT(data, '$.age')) IN ('INTEGER', 'DOUBLE'),
                          JSON_VALUE(data, '$.age'), NULL)) VIRTUAL,
    ADD INDEX users_by_age (age)";
const MARIADB_QUERY: &str =
    "SELECT id, version, JSON_VALUE(data, '$.name') AS name FROM users WHERE age > 30";
const MYSQL_INDEX: &str = "CREATE INDEX users_by_age ON users ((JSON_VALUE(json, '$.age' RETURNING SIGNED)))";
const MYSQL_QUERY: &str = "SELECT id, version, json->>'$.name' AS name FROM users
    WHERE JSON_VALUE(json, '$.age' RETURNING SIGNED) > 30";

fn the_documented_query_and_index_work() {
    let page = include_str!("../../docs/backends/mysql.md");
    let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for statement in [MARIADB_COLUMN, MARIADB_QUERY, MYSQL_INDEX, MYSQL_QUERY] {
        assert!(in_one_line(page).contains(&in_one_line(statement)), "the page lacks {statement}");
    }
    for database in Database::each() {
        let client = database.open("");
        client.set("users/1", 1, r#"{"name":"Ada","age":36}"#).unwrap();
        client.set("users/2", 1, r#"{"name":"Kim","age":12}"#).unwrap();
        let (index, query) = match database.is_mariadb() {
            true => (MARIADB_COLUMN, MARIADB_QUERY),
            false => (MYSQL_INDEX, MYSQL_QUERY),
        };
        database.sql(index);
        assert_eq!(database.sql(query), "1\t1\tAda");
        let form = if database.is_mariadb() { "" } else { "FORMAT=TRADITIONAL" };
        let plan = database.sql(&format!("EXPLAIN {form} {query}"));
        assert!(plan.contains("users_by_age"), "{plan}");
        // What has no such member, or another kind of it, is stored all the same.
        let others =
            [r#"["no object"]"#, r#"{"age":"old"}"#, r#"{"age":{}}"#, r#"{"age":null}"#, "7", r#""\ud800""#];
        for (number, data) in (3..).zip(others) {
            client.set(&format!("users/{number}"), 1, data).unwrap();
        }
        client.set("users/2", 2, r#"{"name":"Kim","age":31}"#).unwrap();
        assert_eq!(database.sql(&format!("{query} ORDER BY id")), "1\t1\tAda\n2\t2\tKim");
    }
}

fn documents_come_back_byte_for_byte() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let wide = format!("[{}]", vec!["[]"; 500].join(","));
    let documents = [
        r#"{"b":1,"a":2}"#,
        r#"{"a":1,"a":2}"#,
        r#"{ "a" : [ 1.0 , 1e999 , -0 , 12345678901234567890 , 0.10000000000000000000000001 ] }"#,
        r#"{"":{},"a":[],"\u0000":"\u0000"}"#,
        r#""\ud800""#,
        r#"{"\udfff":["\ud83d\ude00","😀"]}"#,
        r#""C:\\ud\\path""#,
        "null",
        "\"\"",
        "-1",
        " [ ] ",
        &deep(31),
        &deep(32),
        &deep(100),
        &deep(101),
        &deep(1000),
        &wide,
    ];
    for database in Database::each() {
        let client = database.open("");
        let keys: Vec<String> = (0..documents.len()).map(|number| format!("docs/{number}")).collect();
        set_all(&client, keys.iter().zip(documents).map(|(key, data)| (key.as_str(), record(1, data))));
        let found = get_all(&client, keys.iter().map(String::as_str));
        for (found, data) in found.into_iter().zip(documents) {
            assert_eq!(found, Some(record(1, data)));
        }
        // Each takes the place of each other: the column of the one is empty then.
        for data in documents {
            client.set("docs/same", 1, data).unwrap();
            assert_eq!(client.get("docs/same").unwrap(), Some((1, data.to_owned())));
        }
        let in_both = "SELECT COUNT(*) FROM docs WHERE (data IS NULL) = (raw IS NULL)";
        assert_eq!(database.sql(in_both), "0");
        let raw = database.sql("SELECT COUNT(*) FROM docs WHERE raw IS NOT NULL");
        assert_eq!(raw, if database.is_mariadb() { "6" } else { "2" });
    }
}

fn every_character_comes_back_whatever_the_servers_init_connect_says() {
    for product in products() {
        let database = Database::alone(product, &[]);
        for names in ["utf8mb3", "latin1", "utf8mb4"] {
            database.sql(&format!("SET GLOBAL init_connect = 'SET NAMES {names}'"));
            let client = database.open("");
            let (key, data) = ("é/é😀", r#"{"é":"😀é"}"#);
            client.set(key, 1, data).unwrap();
            assert_eq!(client.get(key).unwrap(), Some((1, data.to_owned())), "{names}");
            // As others see it, too.
            assert_eq!(database.sql("SELECT id, data FROM `~0e9.`"), format!("é😀\t{data}"), "{names}");
            client.delete(key).unwrap();
        }
    }
}

/// Keys that are not what they seem, or not different for some comparison.
fn confusing() -> Vec<String> {
    let long = |letter: &str, count: usize| format!("users/{}", letter.repeat(count));
    let mut keys: Vec<String> = [
        "x",
        "default/x",
        "Default/x",
        "users/x",
        "Users/x",
        "USERS/x",
        "~users/x",
        "/x",
        "~2/x",
        "~3default/x",
        "a\0/x",
        "a~0/x",
        "a~00./x",
        "a/x",
        "größe/x",
        "GRößE/x",
        "grösse/x",
        "groesse/x",
        "users /x",
        "users/x ",
        "users/x  ",
        "users/X",
        "users/x\0",
        "users/é",
        "users/e\u{301}",
        "users/É",
        "users/ß",
        "users/ss",
        "users/ẞ",
        "users/",
        "users/ ",
        "users/\n",
        "users/😀",
        "users/😁",
        "users/\u{ffff}",
        "`/x",
        "new/x",
        "New/x",
        "values/x",
        "new row/x",
        "``/x",
        "#mysql50#users/x",
        "users.x/x",
        "users@002e/x",
        "con/x",
        "информация/x",
        "😀/x",
        "😁/x",
    ]
    .map(String::from)
    .into();
    keys.extend([
        long("k", 255),
        long("k", 256),
        long("K", 256),
        long("é", 255),
        long("é", 256),
        long("k", 60_000),
        format!("{}/x", "t".repeat(64)),
        format!("{}/x", "t".repeat(65)),
        format!("{}/x", "T".repeat(65)),
        format!("{}/x", "t".repeat(60_000)),
        format!("{}/{}", "Ü".repeat(20_000), "ü".repeat(10_000)),
    ]);
    keys
}

fn stay_apart(database: &Database) {
    let client = database.open("");
    let keys = confusing();
    let data = |version: usize| format!("[{version}]");
    let records =
        || (0..).zip(&keys).map(|(version, key)| (key.as_str(), record(version as i64, &data(version))));
    set_all(&client, records());
    client.connector.shut_down();
    let client = database.open("");
    let found = get_all(&client, keys.iter().map(String::as_str));
    for ((key, expected), found) in records().zip(found) {
        assert_eq!(found, Some(expected), "{} on {}", key.escape_debug(), database.product);
    }
    // A hash is a key like any other.
    let hash = database.sql("SELECT id FROM users WHERE CHAR_LENGTH(long_key) = 262 ORDER BY id LIMIT 1");
    assert!(hash.starts_with('~') && hash.len() == 65, "{hash}");
    let key = format!("users/{hash}");
    assert_eq!(client.get(&key).unwrap(), None);
    client.set(&key, 1000, "{}").unwrap();
    assert_eq!(client.get(&key).unwrap(), Some((1000, "{}".into())));

    let mut listed: Vec<String> = client.list(7).into_iter().map(|(key, _)| key.to_string()).collect();
    listed.sort_unstable();
    let mut expected = [&keys[..], &[key]].concat();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    for key in &expected {
        client.delete(key).unwrap();
    }
    assert_eq!(client.list(7), []);
}

fn keys_that_a_server_would_confuse_stay_apart() {
    Database::each().for_each(|database| stay_apart(&database));
}

/// As on Windows and macOS, where files have names without case.
fn keys_stay_apart_where_names_of_tables_have_no_case() {
    let database = Database::alone("mariadb", &["--", "--lower-case-table-names=1"]);
    assert_eq!(database.sql("SELECT @@lower_case_table_names"), "1");
    stay_apart(&database);
}

/// What opened the official PostgreSQL connector to anybody who could name a record.
fn the_exploits_of_the_official_connector_do_nothing() {
    for database in Database::each() {
        let client = database.open("");
        client.set("users/1", 1, r#"{"name":"Ada"}"#).unwrap();
        let exploit = "users/x' OR 'a'='a";
        assert_eq!(client.get(exploit).unwrap(), None);
        assert_eq!(client.head(exploit).unwrap(), None);
        client.delete(exploit).unwrap();
        client.set(exploit, 2, "[]").unwrap();
        assert_eq!(client.get(exploit).unwrap(), Some((2, "[]".into())));
        assert_eq!(client.get("users/1").unwrap(), Some((1, r#"{"name":"Ada"}"#.into())));
        // A quote in one name fails no other one of its batch, and no name stops later writes.
        let names = [
            "users/it's",
            "users/__proto__",
            "__proto__/users",
            "users/\\' OR 1=1 -- ",
            "users/\\",
            "users/?",
            "a;b/1",
            "a\"b/1",
            "a`b/1",
            "a'b/1",
            "ab/1",
            "a` (x int); DROP TABLE users; -- /1",
            "users/%",
            "mysql.user/1",
        ];
        set_all(&client, names.map(|name| (name, record(7, "{}"))));
        for (version, name) in (100..).zip(names) {
            client.set(name, version, "{}").unwrap();
        }
        for (version, name) in (100..).zip(names) {
            assert_eq!(client.head(name).unwrap(), Some(version), "{name}");
        }
        assert_eq!(client.get("users/1").unwrap(), Some((1, r#"{"name":"Ada"}"#.into())));
        for version in [i64::MAX, i64::MIN, 1 << 31, 1 << 53] {
            client.set("users/large", version, r#"["'; DROP TABLE users; --"]"#).unwrap();
            assert_eq!(client.head("users/large").unwrap(), Some(version));
        }
    }
}

fn a_table_that_is_dropped_under_us_is_made_again() {
    for database in Database::each() {
        let client = database.open("");
        set_all(&client, ["users/1", "users/2", "lists/1"].map(|key| (key, record(1, "{}"))));
        assert_eq!(get_all(&client, ["users/1", "users/2"]).len(), 2);
        database.sql("DROP TABLE users");
        assert_eq!(client.get("users/1").unwrap(), None);
        assert_eq!(client.head("users/1").unwrap(), None);
        client.delete("users/1").unwrap();
        assert_eq!(database.sql("SHOW TABLES"), "lists");
        set_all(&client, ["users/1", "users/2", "lists/1"].map(|key| (key, record(2, "{}"))));
        assert_eq!(client.head("users/2").unwrap(), Some(2));
        assert_eq!(client.head("lists/1").unwrap(), Some(2));
        // Dropped and made again by somebody else, too.
        database.sql("CREATE TABLE copy LIKE users; DROP TABLE users; RENAME TABLE copy TO users");
        assert_eq!(client.get("users/1").unwrap(), None);
        client.set("users/1", 3, "[]").unwrap();
        assert_eq!(client.get("users/1").unwrap(), Some((3, "[]".into())));
    }
}

fn what_is_no_record_is_corrupt_and_harms_nobody_else() {
    for database in Database::each() {
        let client = database.open("");
        set_all(&client, ["users/1", "users/2", "users/3"].map(|key| (key, record(1, "{}"))));
        database.sql("UPDATE users SET data = NULL WHERE id = '1'");
        database.sql("UPDATE users SET data = NULL, raw = 'nonsense' WHERE id = '2'");
        let gets = ["users/1", "users/2", "users/3"].map(|key| (key.into(), Operation::Get)).into();
        let results = client.many(gets);
        for result in &results[..2] {
            assert_eq!(result.as_ref().unwrap_err().code(), ErrorCode::Corrupt, "{result:?}");
        }
        assert!(results[2].is_ok(), "{:?}", results[2]);
        assert_eq!(client.page(None, 10).unwrap_err().code(), ErrorCode::Corrupt);
        set_all(&client, ["users/1", "users/2"].map(|key| (key, record(2, "[1]"))));
        assert_eq!(client.get("users/2").unwrap(), Some((2, "[1]".into())));
        assert_eq!(client.list(2).len(), 3);
    }
}

fn columns_and_indexes_of_somebody_else_fail_their_records_alone() {
    for database in Database::each() {
        let client = database.open("");
        client.set("users/1", 1, r#"{"mail":"ada@example.com"}"#).unwrap();
        database.sql(
            "ALTER TABLE users ADD note VARCHAR(20) DEFAULT 'none',
             ADD mail VARCHAR(100) AS (JSON_VALUE(data, '$.mail')) VIRTUAL, ADD UNIQUE INDEX mails (mail)",
        );
        let operations = (2..=9)
            .map(|number| {
                let mail = if number == 5 { "ada".to_owned() } else { format!("m{number}") };
                let data = format!(r#"{{"mail":"{mail}@example.com"}}"#);
                (format!("users/{number}").into(), Operation::Set(record(1, &data)))
            })
            .collect();
        // A row is never put into another one's place.
        for (number, result) in (2..).zip(client.many(operations)) {
            match number {
                5 => {
                    let error = result.unwrap_err();
                    assert_eq!(error.code(), ErrorCode::Backend);
                    assert!(error.message().contains("unique index that somebody added"), "{error}");
                    assert!(!error.message().contains("example.com"), "{error}");
                }
                _ => drop(result.unwrap()),
            }
        }
        assert_eq!(client.get("users/1").unwrap(), Some((1, r#"{"mail":"ada@example.com"}"#.into())));
        assert_eq!(client.get("users/5").unwrap(), None);
        database.sql("UPDATE users SET note = 'kept' WHERE id = '2'");
        client.set("users/2", 2, "{}").unwrap();
        assert_eq!(database.sql("SELECT note FROM users WHERE id = '2'"), "kept");
    }
}

fn a_document_that_the_servers_json_refuses_is_stored_all_the_same() {
    for database in Database::each() {
        let client = database.open("");
        client.set("users/1", 1, "{}").unwrap();
        database.sql(match database.is_mariadb() {
            true => "ALTER TABLE users MODIFY data JSON CHECK (JSON_VALID(data) AND JSON_DEPTH(data) < 4)",
            false => "ALTER TABLE users ADD n JSON AS (JSON_EXTRACT(data, '$.n')) STORED",
        });
        // What could not be foreseen, between others that are as usual.
        let documents = [r#"{"n":1}"#, "[[[[[1]]]]]", "\"\\ud800\"", "[1e999]", r#"{"n":2}"#];
        let keys = ["users/1", "users/2", "users/3", "users/4", "users/5"];
        set_all(&client, keys.into_iter().zip(documents.map(|data| record(1, data))));
        for (key, data) in keys.into_iter().zip(documents) {
            assert_eq!(client.get(key).unwrap(), Some((1, data.to_owned())));
        }
        let raw = database.sql("SELECT id FROM users WHERE raw IS NOT NULL ORDER BY id");
        assert_eq!(raw, if database.is_mariadb() { "2\n3" } else { "3\n4" });
    }
}

fn a_check_of_somebody_else_holds_for_every_record() {
    for database in Database::each() {
        let client = database.open("");
        client.set("users/1", 1, "{}").unwrap();
        database.sql("ALTER TABLE users ADD CONSTRAINT small CHECK (LENGTH(data) < 10)");
        let error = client.set("users/2", 1, "[1,2,3,4,5,6]").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Backend);
        assert!(error.message().contains("constraint or trigger that somebody added"), "{error}");
        assert_eq!(client.get("users/2").unwrap(), None);
    }
}

fn tables_and_rows_of_somebody_else_are_left_alone() {
    for database in Database::each() {
        let client = database.open("");
        client.set("users/1", 1, "{}").unwrap();
        client.set("plain", 1, "{}").unwrap();
        database.sql("CREATE TABLE theirs (id INT PRIMARY KEY, text TEXT)");
        database.sql("INSERT INTO theirs VALUES (1, 'text'); INSERT INTO `default` (id, version, data) VALUES ('by/hand', 1, '{}')");
        database.sql(
            "CREATE TABLE Foreign_names LIKE users; INSERT INTO Foreign_names SELECT * FROM users"
                .replace("SELECT *", "(id, version, data) SELECT id, version, data")
                .as_str(),
        );
        let mut keys: Vec<String> = client.list(1).into_iter().map(|(key, _)| key.to_string()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["plain", "users/1"]);
        let error = client.get("theirs/1").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Backend);
        assert!(error.message().contains("is not one for records"), "{error}");
        assert_eq!(client.set("theirs/1", 1, "{}").unwrap_err().code(), ErrorCode::Backend);
        assert_eq!(database.sql("SELECT * FROM theirs"), "1\ttext");
    }
}
