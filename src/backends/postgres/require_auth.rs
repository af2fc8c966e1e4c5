//! Which ways to log in a server may ask for: the word `require_auth` of libpq. A server that asks
//! for another one is told nothing.
//!
//! Source: <https://www.postgresql.org/docs/current/libpq-connect.html> for the words, and
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html> for the messages.

use std::io;

use crate::config::wrong;
use crate::core::{Error, ErrorCode};

/// The ways, and the numbers with which a server asks for them; the last one is not to ask.
const WAYS: &[(&str, &[u32])] = &[
    ("password", &[3]),
    ("md5", &[5]),
    ("gss", &[7]),
    ("sspi", &[9]),
    ("scram-sha-256", &[10, 11, 12]),
    ("none", &[0]),
];

/// Those that are allowed, by their places in [`WAYS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowed([bool; WAYS.len()]);

impl Allowed {
    /// Reads a list of ways with commas between: the allowed ones, or with `!` before each those
    /// that are not.
    pub fn read(list: &str) -> Result<Allowed, Error> {
        let words: Vec<&str> = list.split(',').map(str::trim).collect();
        let is_negative = words.iter().all(|word| word.starts_with('!'));
        let mut allowed = [is_negative; WAYS.len()];
        for word in &words {
            let name = if is_negative { &word[1..] } else { *word };
            let Some(place) = WAYS.iter().position(|(way, _)| *way == name) else {
                let ways: Vec<&str> = WAYS.iter().map(|(way, _)| *way).collect();
                return Err(wrong(format!(
                    "\"require_auth\" is no list of {}, all with \"!\" before them or none",
                    ways.join(", ")
                )));
            };
            allowed[place] = !is_negative;
        }
        Ok(Allowed(allowed))
    }
}

/// Looks at what a server says until it has let us in.
pub(super) struct Guard {
    allowed: Allowed,
    /// The beginning of a message.
    head: Vec<u8>,
    /// How much of a message is left after that.
    body: usize,
    has_asked: bool,
    is_over: bool,
}

impl Guard {
    pub fn new(allowed: Allowed) -> Guard {
        Guard { allowed, head: Vec::new(), body: 0, has_asked: false, is_over: false }
    }

    /// Takes what came.
    ///
    /// # Errors
    /// The server asks for what is not allowed.
    pub fn take(&mut self, mut data: &[u8]) -> io::Result<()> {
        while let ([first, rest @ ..], false) = (data, self.is_over) {
            if self.body > 0 {
                let now = self.body.min(data.len());
                self.body -= now;
                data = &data[now..];
                continue;
            }
            self.head.push(*first);
            data = rest;
            let [kind, a, b, c, d, number @ ..] = &self.head[..] else { continue };
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize + 1;
            if *kind == b'R' {
                let Ok(number) = number.try_into() else { continue };
                self.judge(u32::from_be_bytes(number))?;
            }
            self.body = length.saturating_sub(self.head.len());
            self.head.clear();
        }
        Ok(())
    }

    fn judge(&mut self, number: u32) -> io::Result<()> {
        let is_allowed = match number {
            0 if self.has_asked => true,
            _ => WAYS
                .iter()
                .zip(self.allowed.0)
                .any(|((_, numbers), is_allowed)| is_allowed && numbers.contains(&number)),
        };
        self.has_asked = true;
        self.is_over = number == 0;
        if is_allowed {
            return Ok(());
        }
        let way =
            WAYS.iter().find(|(_, numbers)| numbers.contains(&number)).map_or("another way", |(way, _)| *way);
        Err(io::Error::other(Error::new(
            ErrorCode::Authentication,
            format!("the server asks for the login \"{way}\", which \"require_auth\" does not allow; see its pg_hba.conf"),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(number: u32, more: &[u8]) -> Vec<u8> {
        [&b"R"[..], &(8 + more.len() as u32).to_be_bytes(), &number.to_be_bytes(), more].concat()
    }

    fn is_let_in(list: &str, said: &[u8]) -> bool {
        let taken = [1, 3, 1000].map(|piece| {
            let mut guard = Guard::new(Allowed::read(list).unwrap());
            said.chunks(piece).all(|piece| guard.take(piece).is_ok())
        });
        assert!(taken.iter().all(|one| *one == taken[0]), "{list}");
        taken[0]
    }

    #[test]
    fn a_server_may_ask_for_what_is_allowed_alone() {
        let plain = [message(3, b""), message(0, b"")].concat();
        let md5 = [message(5, b"salt"), message(0, b"")].concat();
        let scram =
            [message(10, b"SCRAM-SHA-256\0\0"), message(11, b"r=x"), message(12, b"v=x"), message(0, b"")]
                .concat();
        let trust = message(0, b"");
        for (list, allowed) in [
            ("password", [true, false, false, false]),
            ("scram-sha-256", [false, false, true, false]),
            ("md5, scram-sha-256", [false, true, true, false]),
            ("none", [false, false, false, true]),
            ("!password,!none", [false, true, true, false]),
        ] {
            assert_eq!([&plain, &md5, &scram, &trust].map(|said| is_let_in(list, said)), allowed, "{list}");
        }
        for list in ["", "scram", "md5,!none", "!", "md5,,none"] {
            assert!(Allowed::read(list).unwrap_err().message().contains("require_auth"), "{list}");
        }
    }

    #[test]
    fn what_comes_after_the_login_is_not_looked_at() {
        assert!(is_let_in("md5", &[message(5, b"salt"), message(0, b""), message(3, b"")].concat()));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes: Vec<u8>, piece in 1usize..9) {
            let mut guard = Guard::new(Allowed::read("md5").unwrap());
            for piece in bytes.chunks(piece) {
                let _ = guard.take(piece);
            }
        }
    }
}
