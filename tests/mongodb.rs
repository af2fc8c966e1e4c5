//! What is special to MongoDB: documents that a person can query, both layouts, duplicates,
//! logins, TLS, limits, and servers that fail.

use std::time::{Duration, Instant};

use crate::support::relay::Relay;
use crate::support::{certificates, wait_until, Client, Server, Told};
use deepstream_connector::core::{Error, ErrorCode, Operation, Page, Record, Reply};
use mongodb::bson::{doc, oid::ObjectId, Bson, Document};

use crate::harness::{test, Class, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(layout_v2_is_that_of_the_official_connector),
    test!(layout_v1_is_that_of_the_classic_connector),
    test!(either_layout_is_read_and_the_own_one_written),
    test!(a_document_is_replaced_and_not_merged),
    test!(a_person_can_query_records_by_their_data),
    test!(what_has_no_place_in_a_document_is_kept_as_text),
    test!(an_official_write_over_the_escape_form_is_what_it_is_to_them),
    test!(what_others_put_into_documents_is_read_as_javascript_shows_it),
    test!(keys_are_split_as_the_options_say),
    test!(a_scan_leaves_out_what_is_no_record_of_ours),
    test!(the_index_is_unique_and_beside_the_official_one),
    test!(first_writes_of_several_connectors_make_one_document),
    test!(of_several_documents_the_newest_counts_and_the_next_write_leaves_one),
    test!(what_is_too_large_says_both_sizes_and_harms_nobody_else),
    test!(a_wrong_password_is_a_clear_error_without_the_password),
    test!(tls_wants_the_right_authority_and_the_right_name),
    test!(bad_certificates_are_refused),
    test!(a_client_certificate_is_a_login),
    test!(the_connection_string_is_checked_before_there_is_a_connection),
    test!(the_database_is_that_of_the_options_or_of_the_connection_string),
    test!(a_server_without_a_replica_set_serves_too),
    test!(a_refused_document_is_told_without_its_data),
    test!(close_leaves_no_connection_behind),
    test!(an_absent_server_is_waited_for),
    test!(a_frozen_server_holds_nobody_beyond_the_deadline),
    test!(what_was_given_up_does_not_undo_what_came_later),
    test!(a_lost_server_is_told_to_those_who_ask_for_nothing),
    test!(crashes_under_load_lose_nothing).class(Class::Works),
];

/// A database on a server, seen past the connector.
struct Database {
    runtime: tokio::runtime::Runtime,
    database: mongodb::Database,
}

impl Database {
    fn at(server: &Server, options: &str) -> Database {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = format!("mongodb://127.0.0.1:{}/{options}", server.port);
        let client = runtime.block_on(mongodb::Client::with_uri_str(url)).unwrap();
        let database = client.database("test");
        Database { runtime, database }
    }

    fn of(server: &Server) -> Database {
        Database::at(server, "")
    }

    fn documents(&self, collection: &str, filter: Document) -> Vec<Document> {
        self.runtime.block_on(async {
            let mut cursor = self.database.collection(collection).find(filter).await.unwrap();
            let mut documents: Vec<Document> = Vec::new();
            while cursor.advance().await.unwrap() {
                documents.push(cursor.deserialize_current().unwrap());
            }
            documents
        })
    }

    /// The one document of a collection, without `_id`.
    fn document(&self, collection: &str) -> Document {
        let mut documents = self.documents(collection, doc! {});
        assert_eq!(documents.len(), 1, "{documents:?}");
        let mut document = documents.remove(0);
        assert!(matches!(document.remove("_id"), Some(Bson::ObjectId(_))));
        document
    }

    fn insert(&self, collection: &str, document: Document) {
        self.runtime
            .block_on(async { self.database.collection(collection).insert_one(document).await })
            .unwrap();
    }

    fn run(&self, command: Document) -> Document {
        self.runtime.block_on(async { self.database.run_command(command).await }).unwrap()
    }
}

fn open(server: &Server, options: &str) -> Client {
    at(&format!("mongodb://127.0.0.1:{}", server.port), options)
}

fn at(connection_string: &str, options: &str) -> Client {
    let text = serde_json::to_string(connection_string).unwrap();
    Client::open(&format!(r#"{{"type": "mongodb", "connectionString": {text}{options}}}"#)).unwrap()
}

fn refused(connection_string: &str, options: &str) -> Error {
    let text = serde_json::to_string(connection_string).unwrap();
    let configuration = format!(r#"{{"type": "mongodb", "connectionString": {text}{options}}}"#);
    let error = Client::open(&configuration).err().expect("the configuration is refused");
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    error
}

fn scan(client: &Client, cursor: Option<&str>, limit: usize) -> Page {
    let (sender, receiver) = std::sync::mpsc::channel();
    client.connector.scan(cursor, limit, move |page| sender.send(page).unwrap()).unwrap();
    receiver.recv_timeout(crate::support::PATIENCE).expect("a callback is missing").unwrap()
}

fn first_error(client: &Client) -> Error {
    client.get("anything").unwrap_err()
}

// ---------------------------------------------------------------------------------------------
// Documents

fn layout_v2_is_that_of_the_official_connector() {
    let server = Server::start("mongodb", &[]);
    let (client, database) = (open(&server, ""), Database::of(&server));
    client.set("user/1", 7, r#"{"name":"Ada","born":1815,"score":0.5,"tags":["a",{"b":null}]}"#).unwrap();
    assert_eq!(
        database.document("user"),
        doc! { "name": "Ada", "born": 1815, "score": 0.5, "tags": ["a", { "b": null }], "ds_key": "1", "ds_version": 7 }
    );
    client.set("lists/1", 1 << 40, "[1,[2]]").unwrap();
    let version: i64 = 1 << 40;
    assert_eq!(
        database.document("lists"),
        doc! { "ds_list": [1, [2]], "ds_key": "1", "ds_version": version }
    );
    client.set("plain", 0, "{}").unwrap();
    assert_eq!(database.document("deepstream_docs"), doc! { "ds_key": "plain", "ds_version": 0 });

    // Versions beyond 32 bits are floating point numbers there.
    database.insert("theirs", doc! { "ds_key": "1", "ds_version": 1099511627776.0, "a": { "b": 1.5 } });
    assert_eq!(client.get("theirs/1").unwrap(), Some((1 << 40, r#"{"a":{"b":1.5}}"#.into())));
    assert_eq!(client.head("theirs/1").unwrap(), Some(1 << 40));
    // What was a list and an object at the same time is what it is to them.
    database.insert("theirs", doc! { "ds_key": "2", "ds_version": 3, "old": true, "ds_list": ["x"] });
    assert_eq!(client.get("theirs/2").unwrap(), Some((3, r#"["x"]"#.into())));
    client.delete("theirs/1").unwrap();
    assert_eq!(database.documents("theirs", doc! {}).len(), 1);
}

fn layout_v1_is_that_of_the_classic_connector() {
    let server = Server::start("mongodb", &[]);
    let (client, database) = (open(&server, r#", "layout": "v1", "splitChar": "/""#), Database::of(&server));
    client.set("user/1", 7, r#"{"name":"Ada"}"#).unwrap();
    assert_eq!(database.document("user"), doc! { "name": "Ada", "__ds": { "_v": 7 }, "ds_key": "1" });
    client.set("lists/1", 2, "[1]").unwrap();
    assert_eq!(database.document("lists"), doc! { "__dsList": [1], "__ds": { "_v": 2 }, "ds_key": "1" });
    database.insert("theirs", doc! { "a": [1], "__ds": { "_v": 4 }, "ds_key": "1" });
    assert_eq!(client.get("theirs/1").unwrap(), Some((4, r#"{"a":[1]}"#.into())));
    assert_eq!(client.head("theirs/1").unwrap(), Some(4));
    // Without `splitChar` there is one collection, as there.
    let unsplit = open(&server, r#", "layout": "V1", "defaultCollection": "all""#);
    unsplit.set("user/1", 1, "{}").unwrap();
    assert_eq!(database.document("all"), doc! { "__ds": { "_v": 1 }, "ds_key": "user/1" });
}

fn either_layout_is_read_and_the_own_one_written() {
    let server = Server::start("mongodb", &[]);
    let database = Database::of(&server);
    let v1 = open(&server, r#", "layout": "V1", "splitChar": "/""#);
    let v2 = open(&server, "");
    v1.set("a/1", 3, r#"{"from":"V1"}"#).unwrap();
    assert_eq!(v2.get("a/1").unwrap(), Some((3, r#"{"from":"V1"}"#.into())));
    assert_eq!(v2.head("a/1").unwrap(), Some(3));
    v2.set("a/1", 4, r#"[1]"#).unwrap();
    assert_eq!(database.document("a"), doc! { "ds_list": [1], "ds_key": "1", "ds_version": 4 });
    assert_eq!(v1.get("a/1").unwrap(), Some((4, "[1]".into())));
    // Fields of the one layout are data in the other.
    v1.set("a/1", 5, r#""text""#).unwrap();
    assert_eq!(v2.get("a/1").unwrap(), Some((5, r#""text""#.into())));
}

fn a_document_is_replaced_and_not_merged() {
    let server = Server::start("mongodb", &[]);
    let (client, database) = (open(&server, ""), Database::of(&server));
    client.set("a/1", 1, r#"{"gone":1,"stays":{"gone":1}}"#).unwrap();
    client.set("a/1", 2, r#"{"stays":{}}"#).unwrap();
    assert_eq!(database.document("a"), doc! { "stays": {}, "ds_key": "1", "ds_version": 2 });
    client.set("a/1", 3, r#"[1]"#).unwrap();
    client.set("a/1", 4, r#"{"object":true}"#).unwrap();
    assert_eq!(client.get("a/1").unwrap(), Some((4, r#"{"object":true}"#.into())));
}

/// What docs/backends/mongodb.md says about queries.
fn a_person_can_query_records_by_their_data() {
    let server = Server::start("mongodb", &[]);
    let (client, database) = (open(&server, ""), Database::of(&server));
    for (id, name, age) in [("1", "Ada", 36), ("2", "Grace", 85), ("3", "Alan", 41)] {
        client.set(&format!("users/{id}"), 1, &format!(r#"{{"name":"{name}","age":{age}}}"#)).unwrap();
    }
    database.run(doc! { "createIndexes": "users", "indexes": [{ "key": { "age": 1 }, "name": "by_age" }] });
    let mut found: Vec<String> = database
        .documents("users", doc! { "age": { "$gt": 40 } })
        .iter()
        .map(|document| document.get_str("ds_key").unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, ["2", "3"]);
}

fn what_has_no_place_in_a_document_is_kept_as_text() {
    let server = Server::start("mongodb", &[]);
    let (client, database) = (open(&server, ""), Database::of(&server));
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let escaped = [
        r#""text""#.to_owned(),
        "7".into(),
        "null".into(),
        r#"{"_id":1}"#.into(),
        r#"{"ds_key":"x"}"#.into(),
        r#"{"ds_version":99}"#.into(),
        r#"{"ds_list":[1]}"#.into(),
        r#"{"ds_json":"1"}"#.into(),
        r#"{"__ds":{"_v":3}}"#.into(),
        r#"{"a.b":1}"#.into(),
        r#"{"a":{"$set":{}}}"#.into(),
        r#"{"a\u0000":1}"#.into(),
        r#"{"a":1,"\u0061":2}"#.into(),
        r#"{"n":18446744073709551616}"#.into(),
        r#"{"n":0.1000000000000000055511151231257827}"#.into(),
        r#"["\ud800"]"#.into(),
        deep(100),
        deep(1_000),
        deep(100_000),
    ];
    for data in &escaped {
        client.set("a/1", 1, data).unwrap();
        let expected = doc! { "ds_json": data, "ds_key": "1", "ds_version": 1 };
        assert_eq!(database.document("a"), expected);
        assert_eq!(client.get("a/1").unwrap(), Some((1, data.clone())));
    }
    // Ordinary documents have nothing of the kind.
    let plain = [
        r#"{"a":{"_id":1,"ds_key":2,"ds_list":[3]},"b":"$x","c":"a.b","":{"":0}}"#.to_owned(),
        r#"{"n":[1,-1,2147483648,9007199254740993,9223372036854775807,1.0,0.5,1e+300,5e-324]}"#.into(),
        r#"["a\u0000b","é😀"]"#.into(),
        deep(99),
    ];
    for data in &plain {
        client.set("a/1", 1, data).unwrap();
        assert!(!database.document("a").contains_key("ds_json"), "{data}");
        let (_, found) = client.get("a/1").unwrap().unwrap();
        let same = found.replace("1e300", "1e+300") == *data || found == *data;
        assert!(same, "{data} came back as {found}");
    }
    assert_eq!(client.get("a/1").unwrap().unwrap().1, deep(99));
}

fn an_official_write_over_the_escape_form_is_what_it_is_to_them() {
    let server = Server::start("mongodb", &[]);
    let (client, database) = (open(&server, ""), Database::of(&server));
    client.set("a/1", 1, r#"{"a.b":1}"#).unwrap();
    // It merges.
    database.run(doc! { "update": "a", "updates": [
        { "q": { "ds_key": "1" }, "u": { "$set": { "new": true, "ds_key": "1", "ds_version": 2 } } },
    ] });
    let (version, data) = client.get("a/1").unwrap().unwrap();
    assert_eq!(version, 2);
    assert!(data.contains(r#""new":true"#), "{data}");
}

fn what_others_put_into_documents_is_read_as_javascript_shows_it() {
    let server = Server::start("mongodb", &[]);
    let (client, database) = (open(&server, ""), Database::of(&server));
    let id = ObjectId::parse_str("65f0c0ffee65f0c0ffee65f0").unwrap();
    let time = mongodb::bson::DateTime::from_millis(1_700_000_000_123);
    let decimal: mongodb::bson::Decimal128 = "12.30".parse().unwrap();
    database.insert(
        "a",
        doc! { "ds_key": "1", "ds_version": 1, "id": id, "at": time, "price": decimal, "not": f64::NAN },
    );
    assert_eq!(
        client.get("a/1").unwrap().unwrap().1,
        r#"{"id":"65f0c0ffee65f0c0ffee65f0","at":"2023-11-14T22:13:20.123Z","price":12.30,"not":null}"#
    );
    let binary =
        mongodb::bson::Binary { subtype: mongodb::bson::spec::BinarySubtype::Generic, bytes: vec![1] };
    database.insert("a", doc! { "ds_key": "2", "ds_version": 1, "bytes": binary });
    database.insert("a", doc! { "ds_key": "3", "name": "no version" });
    for (key, word) in [("a/2", "Binary"), ("a/3", "ds_version")] {
        let error = client.get(key).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corrupt);
        assert!(error.message().contains(word), "{error}");
    }
    // And harms nobody else.
    let results = client.many(vec![("a/2".into(), Operation::Get), ("a/1".into(), Operation::Get)]);
    assert!(results[0].is_err() && results[1].is_ok(), "{results:?}");
}

// ---------------------------------------------------------------------------------------------
// Keys and collections

fn keys_are_split_as_the_options_say() {
    let server = Server::start("mongodb", &[]);
    let database = Database::of(&server);
    let client = open(&server, r#", "splitChar": "::", "defaultCollection": "rest""#);
    client.set("users::1", 1, "{}").unwrap();
    // As the npm packages cut it.
    assert_eq!(database.document("users").get_str("ds_key").unwrap(), ":1");
    assert_eq!(client.get("users::1").unwrap(), Some((1, "{}".into())));
    for key in ["users/1", "::1", "rest::1", "system.users::1", "a$b::1"] {
        client.set(key, 2, "{}").unwrap();
    }
    let mut ids: Vec<String> = database
        .documents("rest", doc! {})
        .iter()
        .map(|document| document.get_str("ds_key").unwrap().to_owned())
        .collect();
    ids.sort();
    assert_eq!(ids, ["::1", "a$b::1", "rest::1", "system.users::1", "users/1"]);
    let page = scan(&client, None, 100);
    let mut keys: Vec<&str> = page.records.iter().map(|(key, _)| &**key).collect();
    keys.sort();
    assert_eq!(keys, ["::1", "a$b::1", "rest::1", "system.users::1", "users/1", "users::1"]);
}

fn a_scan_leaves_out_what_is_no_record_of_ours() {
    let server = Server::start("mongodb", &[]);
    let (client, database) = (open(&server, ""), Database::of(&server));
    client.set("a/1", 1, "{}").unwrap();
    database.insert("a", doc! { "name": "no ds_key" });
    database.insert("a", doc! { "ds_key": "2", "name": "no version" });
    database.insert("deepstream_docs", doc! { "ds_key": "b/1", "ds_version": 1 });
    database.insert("other", doc! { "ds_key": 7, "ds_version": 1 });
    let page = scan(&client, None, 10);
    let keys: Vec<&str> = page.records.iter().map(|(key, _)| &**key).collect();
    assert_eq!((keys, page.next), (vec!["a/1"], None));
}

// ---------------------------------------------------------------------------------------------
// The index, and documents with one key

fn the_index_is_unique_and_beside_the_official_one() {
    let server = Server::start("mongodb", &[]);
    let (client, database) = (open(&server, ""), Database::of(&server));
    // That is how the npm packages make it.
    database.run(doc! { "createIndexes": "a", "indexes": [{ "key": { "ds_key": 1 }, "name": "ds_key_1" }] });
    client.set("a/1", 1, "{}").unwrap();
    client.set("b/1", 1, "{}").unwrap();
    for collection in ["a", "b"] {
        let duplicate = database.runtime.block_on(async {
            database.database.collection(collection).insert_one(doc! { "ds_key": "1", "ds_version": 2 }).await
        });
        assert!(duplicate.unwrap_err().to_string().contains("11000"), "a second document in {collection}");
        // And the npm packages can make theirs after ours.
        database.run(
            doc! { "createIndexes": collection, "indexes": [{ "key": { "ds_key": 1 }, "name": "ds_key_1" }] },
        );
    }
    assert_eq!(client.get("a/1").unwrap(), Some((1, "{}".into())));
}

fn first_writes_of_several_connectors_make_one_document() {
    let server = Server::start("mongodb", &[]);
    let database = Database::of(&server);
    let clients: Vec<Client> = (0..4).map(|_| open(&server, "")).collect();
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || {
                for round in 0..20 {
                    let sets = (0..20).map(|key| {
                        let record = Record { version: round, data: "{}".into() };
                        (format!("race/{round}-{key}").into(), Operation::Set(record))
                    });
                    for result in client.many(sets.collect()) {
                        result.unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(database.documents("race", doc! {}).len(), 400);
}

fn of_several_documents_the_newest_counts_and_the_next_write_leaves_one() {
    let server = Server::start("mongodb", &[]);
    let database = Database::of(&server);
    let made = |second: u8| ObjectId::from_bytes([0, 0, 0, second, 0, 0, 0, 0, 0, 0, 0, 0]);
    let copy = |key: &str, second, version: i32| {
        doc! { "_id": made(second), "ds_key": key, "ds_version": version, "copy": i32::from(second) }
    };
    for document in [
        copy("by version", 1, 5),
        copy("by version", 2, 9),
        copy("by version", 3, 1),
        copy("by age", 4, 0),
        copy("by age", 6, 0),
        copy("by age", 5, 0),
        copy("deleted", 7, 0),
        copy("deleted", 8, 0),
    ] {
        database.insert("a", document);
    }
    let client = open(&server, "");
    let expected = [("a/by version", 9, r#"{"copy":2}"#), ("a/by age", 0, r#"{"copy":6}"#)];
    for (key, version, data) in expected {
        assert_eq!(client.get(key).unwrap(), Some((version, data.into())));
        assert_eq!(client.head(key).unwrap(), Some(version));
    }
    for limit in 1..4 {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = scan(&client, cursor.as_deref(), limit);
            found.extend(page.records.iter().map(|(key, record)| (key.to_string(), record.version)));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(
            found,
            [("a/by age".into(), 0), ("a/by version".into(), 9), ("a/deleted".into(), 0)],
            "pages of {limit}"
        );
    }
    client.set("a/by version", 0, r#"{"new":true}"#).unwrap();
    client.delete("a/deleted").unwrap();
    assert_eq!(client.get("a/by version").unwrap(), Some((0, r#"{"new":true}"#.into())));
    assert_eq!(client.get("a/deleted").unwrap(), None);
    assert_eq!(database.documents("a", doc! { "ds_key": "by version" }).len(), 1);
    assert_eq!(database.documents("a", doc! { "ds_key": "by age" }).len(), 3);
    assert_eq!(database.documents("a", doc! { "ds_key": "deleted" }).len(), 0);
    let said = client.told.try_iter().any(|told| matches!(told, Told::Log(line) if line.contains("ds_key")));
    assert!(said, "nobody was told of the duplicates");
    // Without duplicates the index can be made.
    client.set("a/by age", 1, "{}").unwrap();
    open(&server, "").set("a/other", 1, "{}").unwrap();
    let indexes = database.run(doc! { "listIndexes": "a" });
    assert!(indexes.to_string().contains("ds_key_unique"), "{indexes}");
}

// ---------------------------------------------------------------------------------------------
// Limits

fn what_is_too_large_says_both_sizes_and_harms_nobody_else() {
    let server = Server::start("mongodb", &[]);
    let client = open(&server, r#", "timeout": 60000"#);
    let text = |bytes: usize| format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes));
    let set = |data: String| Operation::Set(Record { version: 1, data: data.into() });
    let results = client.many(vec![
        ("a/small".into(), set("{}".into())),
        ("a/large".into(), set(text(17_000_000))),
        ("a/small too".into(), set("{}".into())),
    ]);
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge);
    assert!(error.message().contains("17000") && error.message().contains("16777216"), "{error}");
    assert_eq!(client.get("a/large").unwrap(), None);

    // As fields it has 12 bytes for each element, as text two.
    let many = format!("[{}1]", "1,".repeat(2_000_000));
    client.set("a/many", 1, &many).unwrap();
    assert_eq!(client.get("a/many").unwrap(), Some((1, many)));
    // Just within the limit, and several that together are beyond it.
    let large: Vec<_> = (0..3).map(|index| (format!("a/l{index}").into(), set(text(16_700_000)))).collect();
    for result in client.many(large) {
        result.unwrap();
    }
    let keys = (0..3).map(|index| (format!("a/l{index}").into(), Operation::Get)).collect();
    for result in client.many(keys) {
        assert!(matches!(result, Ok(Reply::Record(Some(record))) if record.data.len() == 16_700_011));
    }
}

// ---------------------------------------------------------------------------------------------
// Logins and TLS

fn a_wrong_password_is_a_clear_error_without_the_password() {
    let server = Server::start("mongodb", &["password=right"]);
    let port = server.port;
    for login in ["connector:hunter2@", "nobody:hunter2@", ""] {
        let client = at(&format!("mongodb://{login}127.0.0.1:{port}/test?authSource=admin"), "");
        let error = first_error(&client);
        assert_eq!(error.code(), ErrorCode::Authentication, "{login}: {error}");
        assert!(error.message().contains("password") && !error.message().contains("hunter2"), "{error}");
        assert!(matches!(client.event(), Told::Error { fatal: true, .. }));
    }
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-1"] {
        let url = format!(
            "mongodb://connector:right@127.0.0.1:{port}/test?authSource=admin&authMechanism={mechanism}"
        );
        let client = at(&url, "");
        client.set("a/1", 1, "{}").unwrap();
        assert_eq!(client.head("a/1").unwrap(), Some(1));
    }
}

fn tls_wants_the_right_authority_and_the_right_name() {
    let server = Server::start("mongodb", &["tls"]);
    let folder = certificates();
    let path = |name: &str| folder.join(name).display().to_string();
    let url = |parameters: &str| format!("mongodb://127.0.0.1:{}/?tls=true{parameters}", server.port);
    let client = at(&url(&format!("&tlsCAFile={}", path("ca.crt"))), "");
    client.set("a/1", 1, "{}").unwrap();
    assert_eq!(client.get("a/1").unwrap(), Some((1, "{}".into())));
    let error = first_error(&at(&url(&format!("&tlsCAFile={}", path("other-ca.crt"))), ""));
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("tlsCAFile"), "{error}");
    let anyone = at(&url("&tlsAllowInvalidCertificates=true"), "");
    assert_eq!(anyone.head("a/1").unwrap(), Some(1));
    // The option of every backend, which wins.
    let bare = format!("mongodb://127.0.0.1:{}/", server.port);
    for options in [format!(r#"{{"ca": "{}"}}"#, path("ca.crt")), r#"{"rejectUnauthorized": false}"#.into()] {
        let client = at(&bare, &format!(r#", "tls": {options}, "maxPoolSize": 2"#));
        assert_eq!(client.head("a/1").unwrap(), Some(1), "{options}");
    }
    let other = at(&bare, &format!(r#", "ssl": {{"ca": "{}"}}"#, path("other-ca.crt")));
    assert_eq!(first_error(&other).code(), ErrorCode::Configuration);
    let absent = first_error(&at(&url("&tlsCAFile=/nowhere/ca.crt"), ""));
    assert_eq!(absent.code(), ErrorCode::Configuration, "{absent}");
    // Without TLS there is no fallback and no answer.
    let plain = at(&format!("mongodb://127.0.0.1:{}", server.port), r#", "timeout": 500"#);
    assert_eq!(first_error(&plain).code(), ErrorCode::Timeout);
}

fn bad_certificates_are_refused() {
    for certificate in ["expired", "wrong-host", "untrusted"] {
        let variant = format!("tls-certificate={certificate}");
        let server = Server::start("mongodb", &["tls", &variant]);
        let ca = certificates().join("ca.crt").display().to_string();
        let url = format!("mongodb://127.0.0.1:{}/?tls=true&tlsCAFile={ca}", server.port);
        let error = first_error(&at(&url, ""));
        assert_eq!(error.code(), ErrorCode::Configuration, "{certificate}: {error}");
    }
}

fn a_client_certificate_is_a_login() {
    let server = Server::start("mongodb", &["tls-client-auth", "x509"]);
    let folder = certificates();
    let work = tempfile::tempdir().unwrap();
    // MongoDB has the certificate and its key in one file.
    let both: Vec<u8> = ["client.key", "client.crt"]
        .iter()
        .flat_map(|name| std::fs::read(folder.join(name)).unwrap())
        .collect();
    let file = work.path().join("client.pem");
    std::fs::write(&file, both).unwrap();
    let ca = folder.join("ca.crt").display().to_string();
    let url = |parameters: &str| {
        format!("mongodb://127.0.0.1:{}/?tls=true&tlsCAFile={ca}{parameters}", server.port)
    };
    let key = format!("&tlsCertificateKeyFile={}", file.display());
    let client = at(&url(&format!("{key}&authMechanism=MONGODB-X509&authSource=$external")), "");
    client.set("a/1", 1, "{}").unwrap();
    assert_eq!(client.get("a/1").unwrap(), Some((1, "{}".into())));
    // With the certificate alone nobody is logged in.
    assert_eq!(first_error(&at(&url(&key), "")).code(), ErrorCode::Authentication);
    let without = first_error(&at(&url(""), r#", "timeout": 3000"#));
    assert!(matches!(without.code(), ErrorCode::Configuration | ErrorCode::Timeout), "{without}");
}

// ---------------------------------------------------------------------------------------------
// Options

fn the_connection_string_is_checked_before_there_is_a_connection() {
    for (text, words) in [
        // An empty environment variable: it is absent.
        ("", "is missing"),
        ("redis://127.0.0.1", "scheme"),
        ("mongodb://127.0.0.1/?w=0", "w=0"),
        ("mongodb://127.0.0.1/?retryWritez=true", "retrywrites"),
        ("mongodb://127.0.0.1/?readPreference=fastest", "connectionString"),
        ("mongodb://127.0.0.1:99999", "connectionString"),
    ] {
        let error = refused(text, "");
        assert!(error.message().contains(words), "{text}: {error}");
    }
    for secret in
        ["mongodb://ada:hun/ter2@127.0.0.1", "mongodb://ada:hun:ter2@127.0.0.1", "mongodb://a:hunter2@:1"]
    {
        let error = refused(secret, "");
        assert!(!error.message().contains("ter2"), "{error}");
    }
    let missing = Client::open(r#"{"type": "mongodb"}"#).err().unwrap();
    assert!(missing.message().contains("url"), "{missing}");
    let known = "mongodb://127.0.0.1:1/";
    for options in [
        r#", "db": "a", "database": "b""#,
        r#", "db": "a.b""#,
        r#", "splitChar": """#,
        r#", "defaultCollection": "system.x""#,
        r#", "defaultColection": "x""#,
        r#", "defaultTable": "x", "defaultCollection": "y""#,
        r#", "tls": {"ca": "-----BEGIN CERTIFICATE-----"}"#,
        r#", "tls": {"cert": "a", "key": "b"}"#,
    ] {
        refused(known, options);
    }
    at(
        known,
        r#", "defaultTable": "x", "poolSize": 5, "useNewUrlParser": true, "tls": {"cert": "a", "key": "a"}"#,
    );
    // Of other drivers, and of no use here.
    at("mongodb://127.0.0.1:1/?useUnifiedTopology=true&socketTimeoutMS=100&compressors=snappy,zlib", "");
}

fn the_database_is_that_of_the_options_or_of_the_connection_string() {
    let server = Server::start("mongodb", &[]);
    let database = Database::of(&server);
    let port = server.port;
    let all = "w=majority&journal=true&readConcernLevel=majority&retryWrites=false&readPreference=primaryPreferred&replicaSet=secantus&appName=x&maxPoolSize=3";
    for (url, options, name) in [
        (format!("mongodb://127.0.0.1:{port}/"), "", "test"),
        (format!("mongodb://127.0.0.1:{port}/one?{all}"), "", "one"),
        (format!("mongodb://127.0.0.1:{port}/one"), r#", "db": "two""#, "two"),
        (format!("mongodb://127.0.0.1:{port}/one"), r#", "database": "three""#, "three"),
        (
            format!("mongodb://127.0.0.1:{port}/?directConnection=true"),
            r#", "db": "f", "database": "f""#,
            "f",
        ),
    ] {
        let client = at(&url, options);
        client.set("a/1", 1, "{}").unwrap();
        assert_eq!(client.get("a/1").unwrap(), Some((1, "{}".into())));
        let found = database.runtime.block_on(async {
            let other = database.database.client().database(name);
            other.collection::<Document>("a").count_documents(doc! {}).await
        });
        assert_eq!(found.unwrap(), 1, "{url}{options}");
    }
    let wrong = at(&format!("mongodb://127.0.0.1:{port}/?replicaSet=other"), r#", "timeout": 1000"#);
    assert_eq!(first_error(&wrong).code(), ErrorCode::Timeout);
}

fn a_server_without_a_replica_set_serves_too() {
    let server = Server::start("mongodb", &["standalone"]);
    let client = open(&server, "");
    for version in 0..3 {
        client.set("a/1", version, "[1]").unwrap();
    }
    assert_eq!(client.get("a/1").unwrap(), Some((2, "[1]".into())));
    client.delete("a/1").unwrap();
    assert_eq!(client.get("a/1").unwrap(), None);
}

// ---------------------------------------------------------------------------------------------
// Failures

fn a_refused_document_is_told_without_its_data() {
    let server = Server::start("mongodb", &[]);
    let (client, database) = (open(&server, ""), Database::of(&server));
    client.set("a/0", 1, r#"{"age":1}"#).unwrap();
    database.run(doc! { "collMod": "a", "validator": { "age": { "$exists": true } } });
    let set = |data: &str| Operation::Set(Record { version: 1, data: data.to_owned().into() });
    let results = client.many(vec![
        ("a/1".into(), set(r#"{"age":1}"#)),
        ("a/2".into(), set(r#"{"secret":"hunter2"}"#)),
        ("a/3".into(), set(r#"{"age":2}"#)),
    ]);
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Backend);
    assert!(error.message().contains("validator") && !error.message().contains("hunter2"), "{error}");
}

fn close_leaves_no_connection_behind() {
    let server = Server::start("mongodb", &[]);
    // The server's own count has the test's connections in it, whose driver opens more when it likes.
    let relay = Relay::start(server.port);
    let client = at(&format!("mongodb://127.0.0.1:{}/?directConnection=true", relay.port), "");
    client.set("a/1", 1, "{}").unwrap();
    assert!(relay.open() > 0);
    client.connector.shut_down();
    wait_until("no connection of it is left", || relay.open() == 0);
}

fn an_absent_server_is_waited_for() {
    let server = Server::start("mongodb", &["durable"]);
    server.ctl(&["kill"]);
    let client = open(&server, r#", "timeout": 30000"#);
    let (sender, receiver) = std::sync::mpsc::channel();
    let record = Record { version: 1, data: "{}".into() };
    client.connector.set("a/1", record, move |result| sender.send(result).unwrap()).unwrap();
    wait_until("the log says what is waited for", || {
        client.told.try_iter().any(
            |told| matches!(told, Told::Log(line) if line.starts_with("waiting for MongoDB at 127.0.0.1")),
        )
    });
    assert!(receiver.try_recv().is_err());
    server.ctl(&["restart"]);
    receiver.recv_timeout(crate::support::PATIENCE).expect("a callback is missing").unwrap();
    assert_eq!(client.get("a/1").unwrap(), Some((1, "{}".into())));
}

fn a_frozen_server_holds_nobody_beyond_the_deadline() {
    let server = Server::start("mongodb", &[]);
    let client = open(&server, r#", "timeout": 700, "connectTimeout": 700"#);
    client.set("a/1", 1, "{}").unwrap();
    server.ctl(&["freeze"]);
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(client.get("a/1").unwrap_err().code(), ErrorCode::Timeout);
        assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    }
    server.ctl(&["thaw"]);
    wait_until("the server is found again", || {
        client.get("a/1").is_ok_and(|found| found == Some((1, "{}".into())))
    });
}

/// The server gets a command when its connection was given up long ago, and another one has
/// written since.
fn what_was_given_up_does_not_undo_what_came_later() {
    let server = Server::start("mongodb", &[]);
    let relay = Relay::start(server.port);
    // A server tells its own address to those who look for a whole replica set.
    let url = format!("mongodb://127.0.0.1:{}/?directConnection=true", relay.port);
    let client = at(&url, r#", "timeout": 1500, "connectTimeout": 1000"#);
    for kept_back in ["set", "delete"] {
        client.set("a/1", 1, "{}").unwrap();
        relay.hold();
        let given_up = match kept_back {
            "set" => client.set("a/1", 2, "{}"),
            _ => client.delete("a/1"),
        };
        let error = given_up.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Timeout);
        assert!(error.message().contains("may have been applied"), "{error}");
        wait_until("a new connection stands", || client.set("a/1", 3, "{}").is_ok());
        let before = relay.late_answers();
        relay.release();
        wait_until("the server has answered", || relay.late_answers() > before);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(client.get("a/1").unwrap(), Some((3, "{}".into())), "after a late {kept_back}");
    }
}

fn a_lost_server_is_told_to_those_who_ask_for_nothing() {
    let server = Server::start("mongodb", &[]);
    let client = open(&server, "");
    assert!(matches!(client.event(), Told::Ready));
    server.ctl(&["kill"]);
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }));
    server.ctl(&["restart"]);
    assert!(matches!(client.event(), Told::Ready));
}

fn crashes_under_load_lose_nothing() {
    let server = Server::start("mongodb", &["durable"]);
    let client = open(&server, r#", "timeout": 60000"#);
    crate::support::load::under_load(&client, || {
        for _ in 0..2 {
            server.ctl(&["kill"]);
            std::thread::sleep(Duration::from_millis(200));
            server.ctl(&["restart"]);
            std::thread::sleep(Duration::from_millis(500));
        }
    });
}
