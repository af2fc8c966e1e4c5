//! How PostgreSQL lets a connector in: passwords of every kind, certificates, and TLS as libpq
//! names its modes.

use crate::support::{certificates, Client, Server, Told};
use deepstream_connector::core::{Error, ErrorCode};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(every_kind_of_password_is_known),
    test!(tls_modes_are_those_of_libpq),
    test!(the_name_in_the_certificate_matters_to_verify_full_alone),
    test!(an_expired_certificate_is_refused_where_one_is_looked_at),
    test!(a_certificate_is_a_login),
    test!(scram_is_bound_to_the_channel),
];

struct Login<'a> {
    server: &'a Server,
    user: &'a str,
    password: &'a str,
    host: &'a str,
}

impl<'a> Login<'a> {
    fn new(server: &'a Server) -> Login<'a> {
        Login { server, user: "connector", password: "secret", host: "127.0.0.1" }
    }

    fn for_user(self, user: &'a str, password: &'a str) -> Login<'a> {
        Login { user, password, ..self }
    }

    fn open(&self, options: &str) -> Client {
        Client::open(&format!(
            r#"{{"type": "postgres", "host": "{}", "port": {}, "user": "{}", "password": "{}", "database": "records"{options}}}"#,
            self.host, self.server.port, self.user, self.password
        ))
        .unwrap()
    }

    /// Whether the connection has TLS, as the server sees it.
    fn is_protected(&self, options: &str) -> bool {
        let name = format!("login of {} {}", self.user, options.len());
        let client = self.open(&format!(r#"{options}, "application_name": "{name}""#));
        client.get("anything").unwrap_or_else(|error| panic!("{} {options}: {error}", self.user));
        let sql = format!("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE '{name} %' LIMIT 1");
        match self.server.client(&["-c", &sql]).as_str() {
            "t" => true,
            "f" => false,
            other => panic!("the server says {other:?}"),
        }
    }

    fn refusal(&self, options: &str) -> Error {
        self.open(options).get("anything").unwrap_err()
    }
}

fn make_role(server: &Server, role: &str, more: &str) {
    server.client(&[
        "-c",
        &format!(
            "{more} CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT ALL ON DATABASE records TO {role}"
        ),
    ]);
}

fn every_kind_of_password_is_known() {
    let server = Server::start("postgres", &[]);
    make_role(&server, "md5user", "SET password_encryption TO md5;");
    make_role(&server, "plain", "");
    for user in ["connector", "md5user", "plain"] {
        Login::new(&server).for_user(user, "secret").open("").get("anything").unwrap();
        let client = Login::new(&server).for_user(user, "hunter2").open("");
        let error = client.get("anything").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Authentication, "{user}: {error}");
        assert!(error.message().contains("\"password\"") && !error.message().contains("hunter2"), "{error}");
        assert!(matches!(client.event(), Told::Error { fatal: true, .. }));
    }
    let none = Client::open(&format!(
        r#"{{"type": "postgres", "host": "127.0.0.1", "port": {}, "user": "connector", "database": "records"}}"#,
        server.port
    ));
    let error = none.unwrap().get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
    assert!(error.message().contains("\"password\""), "{error}");
    // Over a server without TLS.
    let error = Login::new(&server).refusal(r#", "sslmode": "require""#);
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("\"sslmode\""), "{error}");
    for mode in ["disable", "allow", "prefer"] {
        let wrong = Login::new(&server).for_user("connector", "hunter2");
        let error = wrong.refusal(&format!(r#", "sslmode": "{mode}""#));
        assert_eq!(error.code(), ErrorCode::Authentication, "{mode}: {error}");
        assert!(!Login::new(&server).is_protected(&format!(r#", "sslmode": "{mode}""#)), "{mode}");
    }
}

fn tls_modes_are_those_of_libpq() {
    let server = Server::start("postgres", &["tls"]);
    make_role(&server, "sslonly", "");
    let path = |name: &str| certificates().join(name).display().to_string();
    let (ca, other) = (path("ca.crt"), path("other-ca.crt"));
    let login = || Login::new(&server);
    for (options, protected) in [
        (String::new(), false),
        (r#", "sslmode": "disable""#.into(), false),
        (r#", "sslmode": "allow""#.into(), false),
        (r#", "sslmode": "prefer""#.into(), true),
        (r#", "sslmode": "require""#.into(), true),
        (format!(r#", "sslmode": "verify-ca", "ssl": {{"ca": "{ca}"}}"#), true),
        (format!(r#", "sslmode": "verify-full", "ssl": {{"ca": "{ca}"}}"#), true),
        (format!(r#", "ssl": {{"ca": "{ca}"}}"#), true),
        (format!(r#", "tls": {{"ca": "{ca}", "serverName": "localhost"}}"#), true),
        (r#", "ssl": {"rejectUnauthorized": false}"#.into(), true),
    ] {
        assert_eq!(login().is_protected(&options), protected, "{options}");
    }
    for (options, word) in [
        (format!(r#", "sslmode": "verify-ca", "ssl": {{"ca": "{other}"}}"#), "tls.ca"),
        (format!(r#", "sslmode": "require", "ssl": {{"ca": "{other}"}}"#), "tls.ca"),
        (format!(r#", "ssl": {{"ca": "{ca}", "servername": "example.org"}}"#), "tls.serverName"),
    ] {
        let error = login().refusal(&options);
        assert_eq!(error.code(), ErrorCode::Configuration, "{options}: {error}");
        assert!(error.message().contains(word), "{options}: {error}");
    }
    let by_string = |mode: &str, ca: &str| {
        Client::open(&format!(
            r#"{{"type": "postgres", "connectionString": "postgres://connector:secret@localhost:{}/records?sslmode={mode}&sslrootcert={ca}"}}"#,
            server.port
        ))
        .unwrap()
    };
    by_string("verify-full", &ca).get("a").unwrap();
    assert_eq!(by_string("verify-full", &other).get("a").unwrap_err().code(), ErrorCode::Configuration);

    // A role that is let in with TLS alone.
    let only = || Login::new(&server).for_user("sslonly", "secret");
    for mode in ["allow", "prefer", "require"] {
        assert!(only().is_protected(&format!(r#", "sslmode": "{mode}""#)), "{mode}");
    }
    let error = only().refusal("");
    assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
    assert!(error.message().contains("\"sslmode\""), "{error}");
}

fn the_name_in_the_certificate_matters_to_verify_full_alone() {
    let server = Server::start("postgres", &["tls", "tls-certificate=wrong-host"]);
    let ca = certificates().join("ca.crt").display().to_string();
    let login = Login::new(&server);
    assert!(login.is_protected(&format!(r#", "sslmode": "verify-ca", "ssl": {{"ca": "{ca}"}}"#)));
    let error = login.refusal(&format!(r#", "sslmode": "verify-full", "ssl": {{"ca": "{ca}"}}"#));
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("tls.serverName"), "{error}");
}

fn an_expired_certificate_is_refused_where_one_is_looked_at() {
    let server = Server::start("postgres", &["tls", "tls-certificate=expired"]);
    let ca = certificates().join("ca.crt").display().to_string();
    let login = Login::new(&server);
    for mode in ["verify-ca", "verify-full"] {
        let error = login.refusal(&format!(r#", "sslmode": "{mode}", "ssl": {{"ca": "{ca}"}}"#));
        assert_eq!(error.code(), ErrorCode::Configuration, "{mode}: {error}");
    }
    assert!(login.is_protected(r#", "sslmode": "require""#));
}

fn a_certificate_is_a_login() {
    let server = Server::start("postgres", &["tls"]);
    make_role(&server, "certuser", "");
    let path = |name: &str| certificates().join(name).display().to_string();
    let (ca, cert, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
    let login = Login::new(&server).for_user("certuser", "");
    let with = format!(r#", "ssl": {{"ca": "{ca}", "cert": "{cert}", "key": "{key}"}}"#);
    assert!(login.is_protected(&with));
    let error = login.refusal(&format!(r#", "ssl": {{"ca": "{ca}"}}"#));
    assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
    let half = format!(r#"{{"type": "postgres", "user": "u", "ssl": {{"cert": "{cert}"}}}}"#);
    assert!(Client::open(&half).err().unwrap().message().contains("\"tls.key\""));
}

/// SCRAM tells whether the server holds the certificate that we saw: somebody in between has
/// another one, with whatever name.
fn scram_is_bound_to_the_channel() {
    let server = Server::start("postgres", &["tls"]);
    let open = |more: &str| {
        Client::open(&format!(
            r#"{{"type": "postgres", "connectionString": "host=127.0.0.1 port={} user=connector password=secret dbname=records channel_binding=require {more}"}}"#,
            server.port
        ))
        .unwrap()
    };
    open("sslmode=require").get("a").unwrap();
    assert_eq!(open("sslmode=disable").get("a").unwrap_err().code(), ErrorCode::Authentication);
}
