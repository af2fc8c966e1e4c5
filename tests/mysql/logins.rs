//! Passwords and the ways to show them, TLS, addresses.

use deepstream_connector::core::{Error, ErrorCode};

use crate::mysql::databases::{products, Database};
use crate::support::{certificates, Client, Told};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(a_wrong_password_is_a_clear_error_without_the_password),
    test!(passwords_may_be_long_or_empty_or_of_any_characters),
    test!(the_methods_of_login_work),
    test!(caching_sha2_password_works_at_the_first_login_and_later),
    test!(a_method_that_we_have_not_is_named),
    test!(tls_wants_the_right_authority_and_the_right_name),
    test!(bad_certificates_are_refused),
    test!(a_user_of_whom_tls_is_demanded_needs_it),
    test!(a_server_without_tls_is_not_talked_to_in_the_open),
    test!(a_database_that_is_missing_or_forbidden_is_named),
    test!(a_database_that_is_created_later_is_found),
    test!(addresses_are_urls_or_sockets_too),
    test!(official_options_that_are_not_needed_are_accepted_and_named_in_the_log),
    test!(urls_of_other_clients_lead_to_tls_as_they_say),
];

/// What fails the first operation.
fn first_error(configuration: &str) -> Error {
    Client::open(configuration).unwrap().get("anything").unwrap_err()
}

fn works(configuration: &str) {
    let client = Client::open(configuration).unwrap();
    client.set("users/1", 1, "{}").unwrap();
    assert_eq!(client.get("users/1").unwrap(), Some((1, "{}".into())));
    client.connector.shut_down();
}

fn with_password(database: &Database, user: &str, password: &str, options: &str) -> String {
    let password = serde_json::to_string(password).unwrap();
    database.configuration_of(user, options).replace(r#""secret""#, &password)
}

/// Makes a user who may do all in this database; `how` is what comes after CREATE USER and the name.
fn make_user(database: &Database, user: &str, how: &str) {
    database.sql(&format!(
        "DROP USER IF EXISTS '{user}'@'%'; CREATE USER '{user}'@'%' {how}; GRANT ALL ON `records%`.* TO '{user}'@'%'"
    ));
}

fn a_wrong_password_is_a_clear_error_without_the_password() {
    for database in Database::each() {
        let wrong = [
            with_password(&database, "connector", "hunter2", ""),
            with_password(&database, "connector", "", ""),
            with_password(&database, "nobody", "hunter2", ""),
        ];
        for configuration in wrong {
            let client = Client::open(&configuration).unwrap();
            let error = client.get("a").unwrap_err();
            assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
            assert!(
                error.message().contains("\"password\"") && !error.message().contains("hunter2"),
                "{error}"
            );
            assert!(matches!(client.event(), Told::Error { fatal: true, .. }));
        }
    }
}

fn passwords_may_be_long_or_empty_or_of_any_characters() {
    for database in Database::each() {
        let long = "pässwörd ".repeat(10);
        for (user, password) in [("long", long.as_str()), ("empty", ""), ("quotes", r#"it's "a" \ secret"#)] {
            let quoted = password.replace('\\', "\\\\").replace('\'', "''");
            make_user(&database, user, &format!("IDENTIFIED BY '{quoted}'"));
            works(&with_password(&database, user, password, ""));
        }
    }
}

fn the_methods_of_login_work() {
    for database in Database::each() {
        let method = database.sql("SELECT plugin FROM mysql.user WHERE user = 'connector'");
        let expected = if database.is_mariadb() { "mysql_native_password" } else { "caching_sha2_password" };
        assert_eq!(method, expected);
        works(&database.configuration(""));
    }
}

/// At the first login, and after each FLUSH PRIVILEGES, the server wants the password itself: it
/// is encrypted for the server alone. Then a hash of it is enough.
fn caching_sha2_password_works_at_the_first_login_and_later() {
    let database = Database::alone("mysql", &["tls-offered"]);
    let ca = certificates().join("ca.crt").display().to_string();
    let secured = format!(r#", "ssl": {{"ca": "{ca}"}}"#);
    for password in ["secret", "a secret that is longer than what was drawn by lot"] {
        make_user(&database, "cached", &format!("IDENTIFIED WITH caching_sha2_password BY '{password}'"));
        for (first, later) in [("", secured.as_str()), (&secured, ""), ("", ""), (&secured, &secured)] {
            database.sql("FLUSH PRIVILEGES");
            for options in [first, later, first] {
                works(&with_password(&database, "cached", password, options));
            }
            let wrong = first_error(&with_password(&database, "cached", "hunter2", first));
            assert_eq!(wrong.code(), ErrorCode::Authentication, "{wrong}");
        }
    }
}

fn a_method_that_we_have_not_is_named() {
    let database = Database::shared("mysql");
    make_user(&database, "other", "IDENTIFIED WITH sha256_password BY 'secret'");
    let error = first_error(&database.configuration_of("other", ""));
    assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
    assert!(error.message().contains("\"sha256_password\""), "{error}");
}

fn tls_wants_the_right_authority_and_the_right_name() {
    for product in products() {
        let database = Database::alone(product, &["tls"]);
        let path = |name: &str| certificates().join(name).display().to_string();
        let ca = path("ca.crt");
        works(&database.configuration(&format!(r#", "ssl": {{"ca": "{ca}"}}"#)));
        works(&database.configuration(&format!(r#", "host": "localhost", "tls": {{"ca": "{ca}"}}"#)));
        works(&database.configuration(r#", "ssl": {"rejectUnauthorized": false}"#));
        for (options, word) in [
            (format!(r#", "ssl": {{"ca": "{}"}}"#, path("other-ca.crt")), "tls.ca"),
            (format!(r#", "ssl": {{"ca": "{ca}", "serverName": "example.org"}}"#), "tls.serverName"),
            // Without TLS nobody gets in, whatever the password.
            (String::new(), "\"tls\""),
        ] {
            let error = first_error(&database.configuration(&options));
            assert!(!error.is_retryable(), "{error}");
            assert!(error.message().contains(word), "{error}");
        }
    }
}

fn bad_certificates_are_refused() {
    let ca = certificates().join("ca.crt").display().to_string();
    for name in ["expired", "wrong-host", "untrusted"] {
        let variant = format!("tls-certificate={name}");
        let database = Database::alone("mariadb", &["tls", &variant]);
        let error = first_error(&database.configuration(&format!(r#", "ssl": {{"ca": "{ca}"}}"#)));
        assert_eq!(error.code(), ErrorCode::Configuration, "{name}: {error}");
        assert!(error.message().contains("is not to be trusted"), "{name}: {error}");
    }
}

fn a_user_of_whom_tls_is_demanded_needs_it() {
    for product in products() {
        let database = Database::alone(product, &["tls-offered"]);
        let path = |name: &str| certificates().join(name).display().to_string();
        let (ca, cert, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
        let plain = format!(r#", "ssl": {{"ca": "{ca}"}}"#);
        let shown = format!(r#", "ssl": {{"ca": "{ca}", "cert": "{cert}", "key": "{key}"}}"#);
        make_user(&database, "secured", "IDENTIFIED BY 'secret' REQUIRE SSL");
        make_user(&database, "certified", "IDENTIFIED BY 'secret' REQUIRE X509");
        works(&database.configuration_of("secured", &plain));
        works(&database.configuration_of("certified", &shown));
        works(&database.configuration(""));
        for (user, options) in [("secured", ""), ("certified", ""), ("certified", &plain)] {
            let error = first_error(&database.configuration_of(user, options));
            assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
            assert!(error.message().contains("turn \"tls\" on if the server demands TLS"), "{error}");
        }
    }
}

fn a_server_without_tls_is_not_talked_to_in_the_open() {
    let database = Database::shared("mariadb");
    let error = first_error(&database.configuration(r#", "ssl": true"#));
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("offers no TLS"), "{error}");
}

fn a_database_that_is_missing_or_forbidden_is_named() {
    for database in Database::each() {
        for (name, words) in [
            ("records_missing", "has no database \"records_missing\"; create it"),
            ("mysql", "no right to the database \"mysql\""),
        ] {
            let configuration = database.configuration("").replace(&database.name, name);
            let error = first_error(&configuration);
            assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
            assert!(error.message().contains(words), "{error}");
        }
    }
}

fn a_database_that_is_created_later_is_found() {
    for database in Database::each() {
        database.sql(&format!("DROP DATABASE {}", database.name));
        let client = database.open(r#", "reconnectMaxDelay": 100"#);
        assert!(matches!(client.event(), Told::Error { fatal: true, .. }));
        database.server.client_with_input(&format!("CREATE DATABASE {};", database.name));
        assert!(matches!(client.event(), Told::Ready));
        client.set("users/1", 1, "{}").unwrap();
    }
}

fn addresses_are_urls_or_sockets_too() {
    for database in Database::each() {
        let Database { product, server, name, .. } = &database;
        for option in ["url", "uri", "connectionString"] {
            works(&format!(
                r#"{{"type": "{product}", "{option}": "mysql://connector:secret@127.0.0.1:{}/{name}"}}"#,
                server.port
            ));
        }
        let socket = database.sql("SELECT @@socket");
        works(&database.configuration(&format!(r#", "socketPath": "{socket}""#)));
        works(&database.configuration(r#", "connectionLimit": 1"#));
    }
}

fn official_options_that_are_not_needed_are_accepted_and_named_in_the_log() {
    let database = Database::shared("mariadb");
    let client = database.open(r#", "waitForConnections": true, "queueLimit": 0, "charset": "utf8mb4""#);
    client.set("users/1", 1, "{}").unwrap();
    let lines: Vec<String> = client
        .told
        .try_iter()
        .filter_map(|told| if let Told::Log(line) = told { Some(line) } else { None })
        .collect();
    for option in ["waitForConnections", "queueLimit", "charset"] {
        let words = format!("the option \"{option}\" has no effect here");
        assert!(lines.iter().any(|line| line.contains(&words)), "{lines:?}");
    }
}

/// As in the URLs of Prisma, MySQL's own programs, and npm's clients.
fn urls_of_other_clients_lead_to_tls_as_they_say() {
    let database = Database::alone("mariadb", &["tls-offered"]);
    let ca = certificates().join("ca.crt").display().to_string();
    make_user(&database, "secured", "IDENTIFIED BY 'secret' REQUIRE SSL");
    let url = |user: &str, words: &str| {
        let text =
            format!("mysql://{user}:secret@127.0.0.1:{}/{}?{words}", database.server.port, database.name);
        format!(r#"{{"type": "mariadb", "url": {}}}"#, serde_json::to_string(&text).unwrap())
    };
    for words in [
        "ssl-mode=REQUIRED",
        "sslaccept=accept_invalid_certs",
        r#"ssl={"rejectUnauthorized":false}&charset=utf8mb4"#,
        "ssl-mode=PREFERRED",
        &format!("sslaccept=strict&sslcert={ca}"),
        &format!("ssl-mode=VERIFY_CA&ssl-ca={ca}"),
    ] {
        works(&url("secured", words));
    }
    for words in ["ssl=true", "sslaccept=strict", "ssl=Amazon RDS"] {
        let error = first_error(&url("secured", words));
        assert!(error.message().contains("is not to be trusted"), "{words}: {error}");
    }
    assert_eq!(first_error(&url("secured", "ssl-mode=DISABLED")).code(), ErrorCode::Authentication);
    // Without TLS on the other side nothing is talked about, unless it was only preferred.
    let open = Database::shared("mariadb");
    let url = |words: &str| {
        format!(
            r#"{{"type": "mariadb", "url": "mysql://connector:secret@127.0.0.1:{}/{}?{words}"}}"#,
            open.server.port, open.name
        )
    };
    works(&url("ssl-mode=PREFERRED"));
    assert_eq!(first_error(&url("ssl-mode=REQUIRED")).code(), ErrorCode::Configuration);
}
