//! Connection strings as libpq has them, and the environment variables of its name.
//!
//! Source: <https://www.postgresql.org/docs/current/libpq-connect.html>, sections 34.1.1 and
//! 34.1.2, and 34.15 for the variables.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use crate::config::{nearest, wrong};
use crate::core::Error;

/// Words of a connection string that mean something here, and the variables that stand for them.
const WORDS: &[(&str, &str)] = &[
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("application_name", "PGAPPNAME"),
    ("options", "PGOPTIONS"),
];

/// Words of libpq that are passed over: what they are for is done in another way here, or not
/// at all.
const PASSED_OVER: &[&str] = &[
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "target_session_attrs",
];

/// What a connection string or the environment says, by libpq's words.
#[derive(Default)]
pub(super) struct Parameters(HashMap<&'static str, String>);

impl Parameters {
    /// What is said under a word of libpq's; empty text says nothing.
    pub fn get(&self, word: &str) -> Option<&str> {
        self.0.get(word).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// What the environment says.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Parameters {
        let given = WORDS.iter().filter_map(|(word, name)| Some((*word, variable(name)?)));
        Parameters(given.collect())
    }

    /// Reads the option `url`: a URI, or words and values.
    pub fn parse(text: &str) -> Result<Parameters, Error> {
        let text = text.trim();
        let mut parameters = Parameters::default();
        match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
            Some(rest) => parameters.take_uri(rest)?,
            None if text.contains("://") => {
                return Err(wrong(
                    "the option \"url\" begins like no address of PostgreSQL; give postgresql://user:password@host:port/database",
                ))
            }
            None => parameters.take_words(text)?,
        }
        Ok(parameters)
    }

    fn take_uri(&mut self, rest: &str) -> Result<(), Error> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, places) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        self.put("user", decoded(user)?)?;
        self.put("password", decoded(password)?)?;
        self.put("dbname", decoded(database)?)?;
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        for place in places.split(',') {
            // An IPv6 address has brackets.
            let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
                None => place.split_once(':').unwrap_or((place, "")),
            };
            hosts.push(decoded(host)?);
            ports.push(port.to_owned());
        }
        self.put("host", hosts.join(","))?;
        if ports.iter().any(|port| !port.is_empty()) {
            self.put("port", ports.join(","))?;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (word, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (word, value) = (decoded(word)?, decoded(value)?);
            match word.as_str() {
                // As node-postgres has it.
                "ssl" if matches!(value.as_str(), "true" | "1") => {
                    self.put("sslmode", "verify-full".into())?
                }
                "ssl" => {}
                word => self.put(word, value)?,
            }
        }
        Ok(())
    }

    /// `host=localhost password='it\'s'`
    fn take_words(&mut self, text: &str) -> Result<(), Error> {
        let unreadable = || {
            wrong("the option \"url\" cannot be read; give postgresql://user:password@host:port/database, or words such as host=localhost dbname=test")
        };
        let mut letters = text.chars().peekable();
        loop {
            while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
            if letters.peek().is_none() {
                return Ok(());
            }
            let mut word = String::new();
            while let Some(letter) = letters.next_if(|letter| *letter != '=') {
                word.push(letter);
            }
            letters.next().ok_or_else(unreadable)?;
            while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
            let quoted = letters.next_if_eq(&'\'').is_some();
            let mut value = String::new();
            loop {
                match letters.next() {
                    None if quoted => return Err(unreadable()),
                    None => break,
                    Some('\'') if quoted => break,
                    Some(letter) if letter.is_whitespace() && !quoted => break,
                    Some('\\') => value.push(letters.next().ok_or_else(unreadable)?),
                    Some(letter) => value.push(letter),
                }
            }
            self.put(word.trim(), value)?;
        }
    }

    fn put(&mut self, word: &str, value: String) -> Result<(), Error> {
        if value.is_empty() || PASSED_OVER.contains(&word) {
            return Ok(());
        }
        let word = if word == "database" { "dbname" } else { word };
        match WORDS.iter().find(|(known, _)| *known == word) {
            Some((known, _)) => {
                self.0.insert(known, value);
                Ok(())
            }
            None => {
                let shown: String = word.chars().take(40).collect();
                let hint = nearest(word, WORDS.iter().map(|(known, _)| *known))
                    .map(|known| format!("; did you mean \"{known}\"?"))
                    .unwrap_or_default();
                Err(wrong(format!("the option \"url\" has the unknown word \"{shown}\"{hint}")))
            }
        }
    }
}

fn decoded(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| wrong("the option \"url\" is not UTF-8 when decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Vec<(&'static str, String)> {
        let mut all: Vec<_> = Parameters::parse(text).unwrap().0.into_iter().collect();
        all.sort();
        all
    }

    fn pairs(of: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        of.iter().map(|(word, value)| (*word, (*value).to_owned())).collect()
    }

    #[test]
    fn uris_are_read() {
        assert_eq!(
            parsed(
                "postgresql://ada:se%40cret@db.example:5433/records?sslmode=verify-full&connect_timeout=3"
            ),
            pairs(&[
                ("dbname", "records"),
                ("host", "db.example"),
                ("password", "se@cret"),
                ("port", "5433"),
                ("sslmode", "verify-full"),
                ("user", "ada"),
            ])
        );
        assert_eq!(parsed("postgres://localhost"), pairs(&[("host", "localhost")]));
        assert_eq!(parsed("postgresql://"), []);
        assert_eq!(parsed("postgres://[::1]:5433"), pairs(&[("host", "::1"), ("port", "5433")]));
        assert_eq!(parsed("postgres://a:1,b/"), pairs(&[("host", "a,b"), ("port", "1,")]));
        assert_eq!(
            parsed("postgresql://%2Fvar%2Frun/db?user=x"),
            pairs(&[("dbname", "db"), ("host", "/var/run"), ("user", "x")])
        );
        assert_eq!(parsed("postgres://h/?ssl=true"), pairs(&[("host", "h"), ("sslmode", "verify-full")]));
    }

    #[test]
    fn words_are_read() {
        assert_eq!(
            parsed(r"host=localhost  dbname = test password='it\'s a \\' user=''"),
            pairs(&[("dbname", "test"), ("host", "localhost"), ("password", r"it's a \")])
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_the_password() {
        for text in [
            "mysql://ada:hunter2@h",
            "host",
            "password='hunter2",
            "postgres://h/?hunter2hunter2=1&hosst=a",
            "hosst=a",
            "postgres://%ff:hunter2@h",
        ] {
            let error = Parameters::parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.message().contains("\"url\""), "{error}");
            assert!(
                !error.message().contains("password='") && !error.message().contains(":hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_environment_is_read() {
        let variable = |name: &str| (name == "PGUSER").then(|| "ada".to_owned());
        assert_eq!(Parameters::of_environment(variable).get("user"), Some("ada"));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "(postgres://)?[a-z=' \\\\@:/?&%,\\[\\]]{0,30}") {
            drop(Parameters::parse(&text));
        }
    }
}
