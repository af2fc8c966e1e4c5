//! What is special to DynamoDB: items and tables, its limits, and on a stand-in what Amazon's local
//! version cannot do: signatures, throttling, unprocessed items, tables that take their time, TLS.

use std::time::Duration;

use crate::support::{certificates, wait_until, Client, Server, Told};
use deepstream_connector::core::{Error, ErrorCode, Key, Operation, Record, Reply};
use serde_json::{json, Value};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(a_record_is_an_item_that_partiql_reaches),
    test!(what_others_wrote_can_be_read),
    test!(a_table_that_is_not_there_is_named_and_one_of_another_kind_too),
    test!(a_record_that_is_too_large_is_refused_alone_and_with_both_sizes),
    test!(records_up_to_the_limit_are_taken),
    test!(answers_of_more_than_16_mb_come_in_parts),
    test!(a_listing_passes_over_what_is_no_record_and_names_it),
    test!(reads_are_consistent_unless_an_option_says_otherwise),
    test!(records_expire),
    test!(collections_have_tables_of_their_own),
    test!(what_is_signed_is_accepted_and_batches_keep_to_the_limits),
    test!(wrong_credentials_are_fatal_and_in_no_message),
    test!(credentials_that_expire_are_an_outage_that_ends),
    test!(throttling_backs_off_and_is_counted),
    test!(what_is_left_unprocessed_is_asked_for_again),
    test!(one_bad_item_does_not_fail_its_neighbours),
    test!(a_clock_that_is_off_is_made_up_for),
    test!(a_table_in_the_making_is_waited_for),
    test!(tls_needs_a_certificate_that_is_to_be_trusted),
];

/// A connector to the local version, with its table made.
fn open(server: &Server, options: Value) -> Client {
    open_at(format!("http://127.0.0.1:{}", server.port), "AKIDEXAMPLE", "right", options).unwrap()
}

fn open_at(endpoint: String, id: &str, secret: &str, options: Value) -> Result<Client, Error> {
    let mut all = json!({
        "type": "dynamodb",
        "endpoint": endpoint,
        "accessKeyId": id,
        "secretAccessKey": secret,
        "createTable": true,
    });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    Client::open(&all.to_string())
}

/// One call of DynamoDB's interface, past the connector.
fn call(server: &Server, action: &str, question: &Value) -> Value {
    let answer = server.client(&[action, &question.to_string()]);
    serde_json::from_str(&answer).unwrap_or(Value::Null)
}

/// Tells the stand-in what to do.
fn tell(server: &Server, path: &str) -> Value {
    serde_json::from_str(&server.ctl(&["set", path])).unwrap()
}

fn sets(count: usize) -> Vec<(Key, Operation)> {
    let record = |index: usize| Record { version: 1, data: format!("{{\"n\":{index}}}").into() };
    (0..count).map(|index| (Key::from(format!("many/{index}")), Operation::Set(record(index)))).collect()
}

fn gets(count: usize) -> Vec<(Key, Operation)> {
    (0..count).map(|index| (Key::from(format!("many/{index}")), Operation::Get)).collect()
}

fn all_found(replies: Vec<Result<Reply, Error>>) {
    for (index, reply) in replies.into_iter().enumerate() {
        let Ok(Reply::Record(Some(record))) = reply else { panic!("many/{index}: {reply:?}") };
        assert_eq!(record.data, format!("{{\"n\":{index}}}"));
    }
}

fn retries(client: &Client) -> u64 {
    let statistics: Value = serde_json::from_str(&client.connector.statistics_json()).unwrap();
    statistics["retries"].as_u64().unwrap()
}

fn a_record_is_an_item_that_partiql_reaches() {
    let server = Server::start("dynamodb", &[]);
    let client = open(&server, json!({"table": "people"}));
    client.set("users/ada", 7, r#"{"name":"Ada","born":1815,"likes":["engines"]}"#).unwrap();
    client.set("users/kay", 1, r#"{"name":"Kay","born":1940}"#).unwrap();
    client.set("odd", 1, r#"{"":1}"#).unwrap();
    let statement =
        r#"SELECT ds_key, ds_data.name FROM "people" WHERE ds_collection = 'users' AND ds_data.born < 1900"#;
    let found = call(&server, "ExecuteStatement", &json!({"Statement": statement}));
    assert_eq!(found["Items"], json!([{"ds_key": {"S": "users/ada"}, "name": {"S": "Ada"}}]));
    let item = |key: &str| {
        call(&server, "GetItem", &json!({"TableName": "people", "Key": {"ds_key": {"S": key}}}))["Item"]
            .take()
    };
    assert_eq!(
        item("users/ada"),
        json!({
            "ds_key": {"S": "users/ada"},
            "ds_collection": {"S": "users"},
            "ds_version": {"N": "7"},
            "ds_data": {"M": {
                "name": {"S": "Ada"}, "born": {"N": "1815"}, "likes": {"L": [{"S": "engines"}]},
            }},
        })
    );
    assert_eq!(item("odd")["ds_json"], json!({"S": r#"{"":1}"#}));
}

fn what_others_wrote_can_be_read() {
    let server = Server::start("dynamodb", &[]);
    let client = open(&server, json!({}));
    client.set("warm", 1, "{}").unwrap();
    let put = |key: &str, rest: Value| {
        let mut item = json!({"ds_key": {"S": key}});
        item.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        call(&server, "PutItem", &json!({"TableName": "deepstream", "Item": item}));
    };
    let data = json!({"M": {"words": {"SS": ["a"]}, "numbers": {"NS": ["1"]}, "bytes": {"B": "AAE="}}});
    put("theirs", json!({"ds_version": {"N": "3"}, "ds_data": data, "more": {"S": "x"}}));
    let (version, data) = client.get("theirs").unwrap().unwrap();
    assert_eq!(version, 3);
    assert_eq!(
        serde_json::from_str::<Value>(&data).unwrap(),
        json!({"words": ["a"], "numbers": [1], "bytes": "AAE="})
    );
    put("none", json!({"name": {"S": "Ada"}}));
    assert_eq!(client.get("none").unwrap_err().code(), ErrorCode::Corrupt);
    assert_eq!(client.head("theirs").unwrap(), Some(3));
}

fn a_table_that_is_not_there_is_named_and_one_of_another_kind_too() {
    let server = Server::start("dynamodb", &[]);
    let client = open(&server, json!({"table": "absent", "createTable": false}));
    let error = client.get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration);
    assert!(error.message().contains("\"absent\"") && error.message().contains("createTable"), "{error}");
    call(
        &server,
        "CreateTable",
        &json!({
            "TableName": "other",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        }),
    );
    let error = open(&server, json!({"table": "other"})).get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration);
    assert!(error.message().contains("the key id") && error.message().contains("ds_key"), "{error}");
}

fn a_record_that_is_too_large_is_refused_alone_and_with_both_sizes() {
    let server = Server::start("dynamodb", &[]);
    let client = open(&server, json!({}));
    let large = format!("\"{}\"", "x".repeat(410_000));
    let set = |key: &str, data: &str| {
        (Key::from(key), Operation::Set(Record { version: 1, data: data.to_owned().into() }))
    };
    let results = client.many(vec![set("a", "1"), set("b", &large), set("c", "3")]);
    assert!(results[0].is_ok() && results[2].is_ok());
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge);
    assert!(error.message().contains("4100") && error.message().contains("409600"), "{error}");
    assert_eq!(client.get("b").unwrap(), None);
    assert_eq!(client.get("c").unwrap(), Some((1, "3".into())));
}

/// Whatever we count as small enough, DynamoDB takes.
fn records_up_to_the_limit_are_taken() {
    let server = Server::start("dynamodb", &[]);
    let client = open(&server, json!({}));
    let list: fn(&str, usize) -> String = |element, count| format!("[{}]", vec![element; count].join(","));
    type Document = Box<dyn Fn(usize) -> String>;
    let shapes: [(&str, Document); 4] = [
        ("text", Box::new(|size| format!("\"{}\"", "é".repeat(size / 2)))),
        ("numbers", Box::new(move |size| list("-1234567890.5", size / 8))),
        ("objects", Box::new(move |size| list(r#"{"a":true,"b":null}"#, size / 10))),
        (
            "deep",
            Box::new(move |size| format!("{}{}{}", "[".repeat(31), list("{}", size / 4), "]".repeat(31))),
        ),
    ];
    for (shape, document) in shapes {
        // The largest that is not refused here, by halving.
        let (mut low, mut high) = (1_000, 1_000_000);
        while high - low > 50 {
            let middle = (low + high) / 2;
            match client.set(shape, 1, &document(middle)) {
                Ok(()) => low = middle,
                Err(error) => {
                    assert!(error.message().contains("with its key"), "{shape}, {middle}: {error}");
                    high = middle;
                }
            }
        }
        client.set(shape, 2, &document(low)).unwrap();
        assert_eq!(client.get(shape).unwrap(), Some((2, document(low))), "{shape}");
    }
}

fn answers_of_more_than_16_mb_come_in_parts() {
    let server = Server::start("dynamodb", &[]);
    let client = open(&server, json!({"timeout": 60_000}));
    let large = format!("\"{}\"", "x".repeat(390_000));
    let key = |index: usize| Key::from(format!("large/{index}"));
    let record = || Record { version: 1, data: large.clone().into() };
    let results = client.many((0..60).map(|index| (key(index), Operation::Set(record()))).collect());
    assert!(results.iter().all(Result::is_ok));
    for reply in client.many((0..60).map(|index| (key(index), Operation::Get)).collect()) {
        let Ok(Reply::Record(Some(record))) = reply else { panic!("{reply:?}") };
        assert_eq!(record.data.len(), large.len());
    }
}

fn a_listing_passes_over_what_is_no_record_and_names_it() {
    let server = Server::start("dynamodb", &[]);
    let client = open(&server, json!({}));
    assert!(client.many(sets(10)).iter().all(Result::is_ok));
    let item = json!({"ds_key": {"S": "theirs"}, "name": {"S": "Ada"}});
    call(&server, "PutItem", &json!({"TableName": "deepstream", "Item": item}));
    for limit in [1, 3, 100] {
        let mut keys: Vec<Key> = client.list(limit).into_iter().map(|(key, _)| key).collect();
        keys.sort();
        assert_eq!(keys, sets(10).into_iter().map(|(key, _)| key).collect::<Vec<_>>());
        client.line_with("\"theirs\"");
    }
}

fn reads_are_consistent_unless_an_option_says_otherwise() {
    let server = Server::start("dynamodb-stub", &[]);
    for (options, consistent) in [(json!({}), true), (json!({"consistentRead": false}), false)] {
        let client = open(&server, options);
        client.set("a", 1, "{}").unwrap();
        assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
        assert_eq!(tell(&server, "report")["consistent"], consistent);
    }
}

fn records_expire() {
    let server = Server::start("dynamodb", &[]);
    let client = open(&server, json!({"ttl": 2, "ttlAttribute": "gone_at"}));
    client.set("a", 1, "{}").unwrap();
    let described = call(&server, "DescribeTimeToLive", &json!({"TableName": "deepstream"}));
    assert_eq!(described["TimeToLiveDescription"]["AttributeName"], "gone_at");
    // DynamoDB itself removes it within days, its local version sooner, and now not at all; here it is gone when it is
    // due.
    let off = json!({"Enabled": false, "AttributeName": "gone_at"});
    let told = call(
        &server,
        "UpdateTimeToLive",
        &json!({"TableName": "deepstream", "TimeToLiveSpecification": off}),
    );
    assert_eq!(told["TimeToLiveSpecification"]["Enabled"], false, "{told}");
    wait_until("it has expired", || client.get("a").unwrap().is_none());
    assert_eq!(client.head("a").unwrap(), None);
    let forever = open(&server, json!({}));
    assert_eq!(forever.get("a").unwrap(), Some((1, "{}".into())), "the item is still there");
}

fn collections_have_tables_of_their_own() {
    let server = Server::start("dynamodb", &[]);
    let options = json!({"table": "app", "tablePerCollection": true, "ttl": 1000});
    let client = open(&server, options.clone());
    for key in ["users/1", "user profiles/1", "config", "users/"] {
        client.set(key, 1, "{}").unwrap();
    }
    let tables = call(&server, "ListTables", &json!({}));
    assert_eq!(tables["TableNames"], json!(["app", "app-user.20profiles", "app-users"]));
    let described = call(&server, "DescribeTimeToLive", &json!({"TableName": "app-users"}));
    assert_eq!(described["TimeToLiveDescription"]["AttributeName"], "ds_expires");
    // Reading and deleting makes none.
    assert_eq!(client.get("orders/1").unwrap(), None);
    client.delete("orders/1").unwrap();
    assert_eq!(call(&server, "ListTables", &json!({})), tables);
    // One that somebody takes away is made again.
    call(&server, "DeleteTable", &json!({"TableName": "app-users"}));
    assert_eq!(client.get("users/1").unwrap(), None);
    client.set("users/1", 2, "[]").unwrap();
    assert_eq!(client.get("users/1").unwrap(), Some((2, "[]".into())));
}

fn what_is_signed_is_accepted_and_batches_keep_to_the_limits() {
    let server = Server::start("dynamodb-stub", &[]);
    let client = open(&server, json!({}));
    assert!(client.many(sets(500)).iter().all(Result::is_ok));
    all_found(client.many(gets(500)));
    let report = tell(&server, "report");
    assert_eq!(
        (&report["largest"]["BatchWriteItem"], &report["largest"]["BatchGetItem"]),
        (&json!(25), &json!(100))
    );
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let temporary = json!({"credentials": {
        "accessKeyId": "ASIAEXAMPLE", "secretAccessKey": "right", "sessionToken": "token",
    }});
    let client = open_at(endpoint, "unused", "unused", temporary).unwrap();
    assert_eq!(client.head("many/7").unwrap(), Some(1));
}

fn wrong_credentials_are_fatal_and_in_no_message() {
    let server = Server::start("dynamodb-stub", &[]);
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    for (id, secret) in [("AKIDEXAMPLE", "hunter2"), ("hunter2", "right"), ("ASIAEXAMPLE", "right")] {
        let client = open_at(endpoint.clone(), id, secret, json!({"reconnectMaxDelay": 50})).unwrap();
        let error = client.set("a", 1, "{}").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
        assert!(error.message().contains("secretAccessKey"), "{error}");
        let Told::Error { error: told, fatal: true } = client.event() else { panic!("it must be fatal") };
        assert!(!format!("{error} {told}").contains("hunter2"), "{error} {told}");
    }
}

fn credentials_that_expire_are_an_outage_that_ends() {
    let server = Server::start("dynamodb-stub", &[]);
    let client = open(&server, json!({"reconnectMaxDelay": 50}));
    client.set("a", 1, "{}").unwrap();
    tell(&server, "expire");
    assert_eq!(client.set("a", 2, "{}").unwrap_err().code(), ErrorCode::Authentication);
    tell(&server, "accept");
    wait_until("it is ready again", || client.connector.is_ready());
    client.set("a", 3, "{}").unwrap();
    assert_eq!(client.head("a").unwrap(), Some(3));
}

fn throttling_backs_off_and_is_counted() {
    let server = Server::start("dynamodb-stub", &[]);
    let client = open(&server, json!({"timeout": 30_000}));
    client.set("a", 1, "{}").unwrap();
    assert_eq!(retries(&client), 0);
    tell(&server, "throttle/5");
    let begin = std::time::Instant::now();
    client.set("a", 2, "{}").unwrap();
    // 20, 40, 80, 160 and 320 ms, each at least half of that.
    assert!(begin.elapsed() >= Duration::from_millis(310), "it took {:?}", begin.elapsed());
    assert_eq!(retries(&client), 5);
    tell(&server, "status/503/2");
    assert_eq!(client.get("a").unwrap(), Some((2, "{}".into())));
    assert_eq!(retries(&client), 7);
    // One that never ends is told when time is up.
    tell(&server, "throttle/1000000");
    let (sender, receiver) = std::sync::mpsc::channel();
    let record = Record { version: 3, data: "{}".into() };
    let operation = Operation::Set(record);
    let client = open(&server, json!({"timeout": 500}));
    client
        .connector
        .many(vec![(Key::from("a"), operation)], move |results| sender.send(results).unwrap())
        .unwrap();
    let results = receiver.recv_timeout(crate::support::PATIENCE).unwrap();
    let error = results[0].as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Timeout);
    assert!(error.message().contains("ProvisionedThroughputExceededException"), "{error}");
}

fn what_is_left_unprocessed_is_asked_for_again() {
    let server = Server::start("dynamodb-stub", &[]);
    let client = open(&server, json!({"timeout": 60_000}));
    client.set("warm", 1, "{}").unwrap();
    tell(&server, "unprocessed/6");
    assert!(client.many(sets(100)).iter().all(Result::is_ok));
    assert!(retries(&client) > 0);
    tell(&server, "unprocessed/3");
    all_found(client.many(gets(100)));
    tell(&server, "unprocessed/3");
    let deletes = gets(100).into_iter().map(|(key, _)| (key, Operation::Delete)).collect();
    assert!(client.many(deletes).iter().all(Result::is_ok));
    assert!(client.many(gets(100)).iter().all(|reply| matches!(reply, Ok(Reply::Record(None)))));
}

fn one_bad_item_does_not_fail_its_neighbours() {
    let server = Server::start("dynamodb-stub", &[]);
    let client = open(&server, json!({}));
    client.set("warm", 1, "{}").unwrap();
    tell(&server, "invalid/many%2F7");
    let results = client.many(sets(10));
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result.is_ok(), index != 7, "many/{index}: {result:?}");
    }
    let error = results[7].as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Backend);
    // The stand-in's message has the item in it.
    assert!(
        error.message().contains("ValidationException") && !error.message().contains("many/7"),
        "{error}"
    );
}

fn a_clock_that_is_off_is_made_up_for() {
    let server = Server::start("dynamodb-stub", &[]);
    tell(&server, "ahead/-7200");
    let client = open(&server, json!({}));
    client.set("a", 1, "{}").unwrap();
    tell(&server, "ahead/3600");
    client.set("a", 2, "{}").unwrap();
    assert_eq!(client.head("a").unwrap(), Some(2));
}

fn a_table_in_the_making_is_waited_for() {
    let server = Server::start("dynamodb-stub", &[]);
    tell(&server, "slow-tables/4");
    let client = open(&server, json!({"timeout": 30_000, "tablePerCollection": true}));
    client.set("config", 1, "{}").unwrap();
    client.set("users/1", 1, "{}").unwrap();
    assert_eq!(client.head("users/1").unwrap(), Some(1));
    assert!(tell(&server, "report")["requests"]["DescribeTable"].as_u64().unwrap() >= 8);
}

fn tls_needs_a_certificate_that_is_to_be_trusted() {
    let server = Server::start("dynamodb-stub", &["tls"]);
    let ca = certificates().join("ca.crt");
    let connect = |server: &Server, tls: Value| {
        let endpoint = format!("https://localhost:{}", server.port);
        let client = open_at(endpoint, "AKIDEXAMPLE", "right", json!({"tls": tls})).unwrap();
        client.set("a", 1, "{}")
    };
    connect(&server, json!({"ca": ca})).unwrap();
    connect(&server, json!({"rejectUnauthorized": false})).unwrap();
    let other = certificates().join("other-ca.crt");
    let error = connect(&server, json!({"ca": other})).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    for certificate in ["wrong-host", "expired", "untrusted"] {
        let variant = format!("tls-certificate={certificate}");
        let server = Server::start("dynamodb-stub", &[&variant]);
        let error = connect(&server, json!({"ca": ca})).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Configuration, "{certificate}: {error}");
        assert!(error.message().contains("not to be trusted"), "{certificate}: {error}");
    }
}
