//! The servers that an option names.

use std::fmt;

use serde_json::{Map, Value};

use super::spec::{OptionKind, OptionSpec};

/// One of the servers that an option names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// TCP port, where one is given.
    pub port: Option<u16>,
    /// Its share of the keys, where one is given.
    pub weight: Option<u32>,
    /// A login of its own, where one is given.
    pub login: Option<Login>,
}

/// A user, or none, and the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Login")
    }
}

/// The host of a server for which only a port is given.
const LOCAL: &str = "127.0.0.1";

impl Server {
    /// Reads an option of the kind [`OptionKind::Servers`]: text `host:port`, several of them
    /// separated by commas, a list of such texts or of objects with `host` and `port`, or an
    /// object that gives each `host:port` a weight. `None` where it is none of these.
    pub fn list(value: &Value) -> Option<Vec<Server>> {
        let servers: Vec<Server> = match value {
            Value::String(text) => text.split(',').map(Server::parse).collect::<Option<_>>()?,
            Value::Array(list) => list
                .iter()
                .map(|item| match item {
                    Value::String(text) => Server::parse(text),
                    Value::Object(parts) => Server::of_parts(parts),
                    _ => None,
                })
                .collect::<Option<_>>()?,
            Value::Object(weights) => weights
                .iter()
                .map(|(place, weight)| {
                    let weight = weight.as_u64().and_then(|weight| u32::try_from(weight).ok())?;
                    (weight > 0).then_some(Server { weight: Some(weight), ..Server::parse(place)? })
                })
                .collect::<Option<_>>()?,
            _ => return None,
        };
        (!servers.is_empty()).then_some(servers)
    }

    /// Reads `host`, `host:port`, `[address]:port`, or a bare IPv6 address.
    pub fn parse(text: &str) -> Option<Server> {
        let text = text.trim();
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']')?;
            match rest.strip_prefix(':') {
                Some(digits) => (host, Some(port(digits)?)),
                None => (host, rest.is_empty().then_some(None)?),
            }
        } else {
            match text.split_once(':') {
                Some((host, digits)) if !digits.contains(':') => (host, Some(port(digits)?)),
                _ => (text, None),
            }
        };
        is_host(host).then(|| Server { host: host.to_owned(), port, weight: None, login: None })
    }

    fn of_parts(parts: &Map<String, Value>) -> Option<Server> {
        const NAMES: &[&str] = &["host", "port", "user", "username", "password"];
        if parts.keys().any(|name| !NAMES.contains(&name.as_str())) {
            return None;
        }
        // What an environment variable that is not set or is empty gives.
        let given = |name: &str| parts.get(name).filter(|value| !value.is_null() && *value != "");
        let (host, given_port) = (given("host"), given("port"));
        if host.is_none() && given_port.is_none() {
            return None;
        }
        let host = host.map_or(Some(LOCAL), Value::as_str)?.trim();
        let port = match given_port {
            None => None,
            Some(Value::String(text)) => Some(port(text)?),
            Some(number) => Some(port(&number.to_string())?),
        };
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let user = match given("user").or_else(|| given("username")) {
            None => None,
            Some(user) => Some(text(user)?),
        };
        let login = match given("password") {
            None if user.is_some() => return None,
            None => None,
            Some(password) => Some(Login { user, password: text(password)? }),
        };
        is_host(host).then(|| Server { host: host.to_owned(), port, weight: None, login })
    }
}

fn port(digits: &str) -> Option<u16> {
    digits.trim().parse().ok().filter(|port| *port != 0)
}

/// Whether this may be the name or the address of a host, and nothing else: a URL where a host
/// belongs would bring a password into messages.
pub(super) fn is_host(text: &str) -> bool {
    let is_foreign = |c: char| matches!(c, '/' | '@') || c.is_whitespace() || c.is_control();
    !text.is_empty() && !text.contains(is_foreign)
}

/// Whether each part between commas is a host, or the folder of a Unix socket.
pub(super) fn are_hosts(text: &str) -> bool {
    text.split(',').map(str::trim).all(|part| part.is_empty() || part.starts_with('/') || is_host(part))
}

/// Reads an option of the kind [`OptionKind::AddressMap`]. `None` where it is something else.
pub(super) fn address_map(value: &Value) -> Option<Vec<(Server, Server)>> {
    let whole = |server: Server| (server.port.is_some() && server.login.is_none()).then_some(server);
    value
        .as_object()?
        .iter()
        .map(|(from, to)| {
            let to = match to {
                Value::String(text) => Server::parse(text)?,
                Value::Object(parts) => Server::of_parts(parts)?,
                _ => return None,
            };
            Some((whole(Server::parse(from)?)?, whole(to)?))
        })
        .collect()
}

/// The option that names the servers where no option is a single `host`, for who gave that.
pub(super) fn meant(name: &str, specs: &[OptionSpec]) -> Option<&'static str> {
    let is_place = ["host", "hosts", "hostname", "server", "servers"].contains(&name.to_lowercase().as_str());
    let is_host = |spec: &&OptionSpec| matches!(spec.kind, OptionKind::Host | OptionKind::Hosts);
    let is_servers = |spec: &&OptionSpec| matches!(spec.kind, OptionKind::Servers);
    if !is_place || specs.iter().any(|spec| is_host(&spec)) {
        return None;
    }
    specs.iter().find(is_servers).map(|spec| spec.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_text_lists_or_weights() {
        let list = |json: &str| {
            Server::list(&serde_json::from_str(json).unwrap())
                .map(|servers| servers.into_iter().map(|s| (s.host, s.port, s.weight)).collect::<Vec<_>>())
        };
        let server = |host: &str, port, weight| (host.to_owned(), port, weight);
        let two = Some(vec![server("a", Some(1), None), server("b", None, None)]);
        assert_eq!(list(r#""a:1, b""#), two);
        assert_eq!(list(r#"["a:1", "b"]"#), two);
        assert_eq!(list(r#"[{"host": "a", "port": "1"}, {"host": "b"}]"#), two);
        assert_eq!(list(r#"{"[::1]:2": 3}"#), Some(vec![server("::1", Some(2), Some(3))]));
        assert_eq!(list(r#""::1""#), Some(vec![server("::1", None, None)]));
        for bad in [
            r#""""#,
            "[]",
            "{}",
            "7",
            r#""a:0""#,
            r#""a:x""#,
            r#"{"a": 0}"#,
            r#"[{"hots": "a"}]"#,
            "[{}]",
            r#""[a""#,
        ] {
            assert_eq!(list(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_server_may_have_a_login_and_no_host() {
        let list = |json: &str| Server::list(&serde_json::from_str(json).unwrap());
        let server = |login| Server { host: "127.0.0.1".into(), port: Some(7), weight: None, login };
        let login = |user: Option<&str>| Login { user: user.map(str::to_owned), password: "x".into() };
        assert_eq!(list(r#"[{"port": 7, "password": "x"}]"#), Some(vec![server(Some(login(None)))]));
        assert_eq!(
            list(r#"[{"host": "", "port": "7", "username": "u", "password": "x"}]"#),
            Some(vec![server(Some(login(Some("u"))))])
        );
        assert_eq!(list(r#"[{"port": 7, "password": ""}]"#), Some(vec![server(None)]));
        assert_eq!(list(r#"[{"port": 7, "username": "u"}]"#), None, "a user without a password");
        assert!(!format!("{:?}", list(r#"[{"port": 7, "password": "hunter2"}]"#)).contains("hunter2"));
    }

    #[test]
    fn addresses_are_mapped_to_addresses() {
        let map = |json: &str| address_map(&serde_json::from_str(json).unwrap());
        let pairs = map(r#"{"10.0.0.1:6379": {"host": "a", "port": 1}, "10.0.0.2:6379": "b:2"}"#).unwrap();
        let ends: Vec<_> = pairs.iter().map(|(_, to)| (to.host.as_str(), to.port)).collect();
        assert_eq!(ends, [("a", Some(1)), ("b", Some(2))]);
        for bad in ["7", r#"{"a": "b:1"}"#, r#"{"a:1": "b"}"#, r#"{"a:1": 7}"#] {
            assert!(map(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn who_gives_a_host_means_the_servers() {
        const SERVERS: OptionSpec =
            OptionSpec { name: "contactPoints", kind: OptionKind::Servers, default: "", meaning: "" };
        const HOST: OptionSpec =
            OptionSpec { name: "host", kind: OptionKind::Host, default: "", meaning: "" };
        assert_eq!(meant("host", &[SERVERS]), Some("contactPoints"));
        assert_eq!(meant("hosts", &[HOST, SERVERS]), None);
        assert_eq!(meant("prot", &[SERVERS]), None);
    }
}
