//! Connection strings as libpq has them, and the environment variables of its name.
//!
//! Source: <https://www.postgresql.org/docs/current/libpq-connect.html>, sections 34.1.1 and
//! 34.1.2, and 34.15 for the variables.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use crate::config::{nearest, wrong};
use crate::core::Error;

/// Words of a connection string that mean something here, and the variables that stand for them. The
/// last ones are of node-postgres and other clients, and have none.
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
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("require_auth", "PGREQUIREAUTH"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("ssl", ""),
    ("uselibpqcompat", ""),
    ("pgbouncer", ""),
];

/// Words of libpq that are taken and have no effect: what they are for is done in another way here,
/// or not at all.
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
    "gsslib",
    "gssdelegation",
    "krbsrvname",
    "requirepeer",
    "sslcompression",
    "sslsni",
];

/// What `ssl` may say, and what it is as `sslmode`. Node-postgres checks everything where TLS is on.
const SSL_WORDS: &[(&[&str], &str)] = &[
    (&["true", "1", "on", "yes", "verify-full"], "verify-full"),
    (&["false", "0", "off", "no", "disable"], "disable"),
    (&["allow"], "allow"),
    (&["prefer"], "prefer"),
    (&["require"], "require"),
    (&["verify-ca"], "verify-ca"),
    (&["no-verify"], "no-verify"),
];

/// What a connection string or the environment says, by libpq's words.
#[derive(Default)]
pub(super) struct Parameters {
    said: HashMap<&'static str, String>,
    without_effect: Vec<&'static str>,
}

impl Parameters {
    /// What is said under a word of libpq's; empty text says nothing.
    pub fn get(&self, word: &str) -> Option<&str> {
        self.said.get(word).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Words that were given and have no effect.
    pub fn without_effect(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        self.without_effect.iter().copied()
    }

    /// What the environment says.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Parameters {
        let named = WORDS.iter().filter(|(_, name)| !name.is_empty());
        let mut given: HashMap<_, _> =
            named.filter_map(|(word, name)| Some((*word, variable(name)?))).collect();
        // The older spelling of `PGSSLMODE=require`, which libpq still knows.
        if variable("PGREQUIRESSL").is_some_and(|value| value.starts_with('1')) {
            given.entry("sslmode").or_insert_with(|| "require".to_owned());
        }
        Parameters { said: given, without_effect: Vec::new() }
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
        parameters.settle_tls()?;
        Ok(parameters)
    }

    /// Makes one `sslmode` of all that is said about TLS.
    fn settle_tls(&mut self) -> Result<(), Error> {
        if let Some(word) = self.said.remove("ssl") {
            let known = SSL_WORDS.iter().find(|(words, _)| words.contains(&word.to_lowercase().as_str()));
            let Some((_, mode)) = known else {
                return Err(wrong(
                    "the word \"ssl\" in the option \"url\" is none of true, false, require, verify-ca, verify-full, no-verify and disable; give \"sslmode\" instead",
                ));
            };
            let other = self.said.entry("sslmode").or_insert_with(|| (*mode).to_owned());
            if (other == "disable") != (*mode == "disable") {
                return Err(wrong(
                    "the words \"ssl\" and \"sslmode\" in the option \"url\" contradict each other; leave \"ssl\" out",
                ));
            }
        }
        match self.said.remove("uselibpqcompat").as_deref() {
            None | Some("true") => {}
            // All that node-postgres has beside it is a check of everything.
            Some("false") => {
                let mode = self.said.get_mut("sslmode");
                if let Some(mode) =
                    mode.filter(|mode| matches!(mode.as_str(), "prefer" | "require" | "verify-ca"))
                {
                    *mode = "verify-full".to_owned();
                }
            }
            Some(_) => {
                return Err(wrong("\"uselibpqcompat\" in the option \"url\" is neither true nor false"))
            }
        }
        Ok(())
    }

    fn take_uri(&mut self, rest: &str) -> Result<(), Error> {
        // Whatever a login has in it, an `@` ends it: one that is farther on may be that one.
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        if rest[end..].contains('@') {
            return Err(raw_character());
        }
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
            self.put(&word, value)?;
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
        if let Some(known) = PASSED_OVER.iter().find(|known| **known == word) {
            self.without_effect.push(*known);
            return Ok(());
        }
        let word = if word == "database" { "dbname" } else { word };
        match WORDS.iter().find(|(known, _)| *known == word) {
            Some(_) if value.is_empty() => Ok(()),
            Some((known, _)) => {
                self.said.insert(known, value);
                Ok(())
            }
            None => {
                // It may be a part of a password, and is not shown.
                let hint = nearest(word, WORDS.iter().map(|(known, _)| *known)).map_or_else(
                    || {
                        "; in a URL a character such as & in a value must be percent-encoded, elsewhere a value with spaces needs quotes".to_owned()
                    },
                    |known| format!("; did you mean \"{known}\"?"),
                );
                Err(wrong(format!("the option \"url\" has a word that is not known here{hint}")))
            }
        }
    }
}

fn raw_character() -> Error {
    wrong(
        "the option \"url\" has a character in a name or password that means something else in a URL; it must be percent-encoded, such as @ as %40, / as %2F, ? as %3F, # as %23, : as %3A and % as %25",
    )
}

fn decoded(text: &str) -> Result<String, Error> {
    let is_escape =
        |after: &str| after.len() >= 2 && after.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_escape) {
        return Err(raw_character());
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| wrong("the option \"url\" is not UTF-8 when decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Vec<(&'static str, String)> {
        let mut all: Vec<_> = Parameters::parse(text).unwrap().said.into_iter().collect();
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
            "postgres://h/?password=a&hunter2",
            "password=a hunter2 host=b",
            "ada:pass=hunter2@h",
            "hosst=a",
            "postgres://%ff:hunter2@h",
        ] {
            let error = Parameters::parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.message().contains("\"url\""), "{error}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }

    /// Whatever stands in a password: it is read as what it is, or the message says what to do, and
    /// shows nothing of it.
    #[test]
    fn a_raw_character_in_a_password_is_understood_or_explained() {
        for raw in
            ["@", "/", "#", "%", "?", ":", "%4", "@/", "/@", "?a=", "&", "%zz@?/", "4711/", "4711?user="]
        {
            for password in [format!("geheim{raw}hunter2"), format!("{raw}hunter2"), format!("hunter2{raw}")]
            {
                let url = format!("postgres://ada:{password}@db.example:5433/records?sslmode=require");
                match Parameters::parse(&url) {
                    Ok(parameters) => {
                        assert_eq!(parameters.get("password"), Some(password.as_str()), "{url}");
                        assert_eq!(parameters.get("host"), Some("db.example"), "{url}");
                        assert_eq!(parameters.get("port"), Some("5433"), "{url}");
                    }
                    Err(error) => {
                        assert!(error.message().contains("percent-encoded"), "{url}: {error}");
                        for part in ["geheim", "hunter2", "4711"] {
                            assert!(!error.message().contains(part), "{url}: {error}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_word_about_tls_is_understood_or_refused() {
        let mode =
            |words: &str| Parameters::parse(words).map(|given| given.get("sslmode").map(str::to_owned));
        for (query, expected) in [
            ("", None),
            ("ssl=true", Some("verify-full")),
            ("ssl=1", Some("verify-full")),
            ("ssl=on", Some("verify-full")),
            ("ssl=TRUE", Some("verify-full")),
            ("ssl=verify-full", Some("verify-full")),
            ("ssl=require", Some("require")),
            ("ssl=verify-ca", Some("verify-ca")),
            ("ssl=no-verify", Some("no-verify")),
            ("ssl=false", Some("disable")),
            ("ssl=0", Some("disable")),
            ("ssl=off", Some("disable")),
            ("ssl=disable", Some("disable")),
            ("sslmode=no-verify", Some("no-verify")),
            ("ssl=true&sslmode=require", Some("require")),
            ("sslmode=require&ssl=true", Some("require")),
            ("sslmode=require&uselibpqcompat=true", Some("require")),
            ("sslmode=require&uselibpqcompat=false", Some("verify-full")),
            ("sslmode=no-verify&uselibpqcompat=false", Some("no-verify")),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(mode(&format!("postgres://h/?{query}")).unwrap(), expected, "{query}");
            assert_eq!(mode(&query.replace('&', " ")).unwrap(), expected, "{query}");
        }
        for query in [
            "ssl=verify",
            "ssl={}",
            "sslmode=disable&ssl=true",
            "ssl=0&sslmode=require",
            "uselibpqcompat=maybe",
            "sslcrl=list.pem",
        ] {
            let error = mode(&format!("postgres://h/?{query}")).unwrap_err();
            assert!(error.message().contains("\"url\""), "{query}: {error}");
        }
        let variable = |name: &str| (name == "PGREQUIRESSL").then(|| "1".to_owned());
        assert_eq!(Parameters::of_environment(variable).get("sslmode"), Some("require"));
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
