//! The key under which memcached has a record.
//!
//! It is the namespace and the record's name. memcached's keys are at most 250 bytes without
//! spaces and control characters, so:
//!
//! - A longer one is stored as its md5 in hexadecimal, as the npm client has it; so is one with
//!   more characters than that client's option `maxKeySize`. A name that is such a digest comes
//!   to the same key; `items.rs` keeps the two apart.
//! - One with spaces or control characters, which the npm client refuses, is stored as the byte
//!   `FF`, which is in no name since names are UTF-8, and then the key with each such
//!   character, and `%`, as `%` and two hexadecimal digits. So no two names meet in one key.

use std::borrow::Cow;
use std::ops::Deref;

use md5::{Digest, Md5};

const MAX_LENGTH: usize = 250;

const ESCAPED: u8 = 0xFF;

/// Makes keys from names.
#[derive(Clone)]
pub(super) struct Names {
    namespace: String,
    /// In the characters of JavaScript, which are UTF-16.
    max_key_size: Option<usize>,
}

impl Names {
    pub fn new(namespace: String, max_key_size: Option<usize>) -> Names {
        Names { namespace, max_key_size }
    }

    /// Namespace and name, by which the server is chosen.
    pub fn full<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.namespace.is_empty() {
            true => Cow::Borrowed(name),
            false => Cow::Owned([&self.namespace, name].concat()),
        }
    }

    /// What stands for a full key on the server.
    pub fn stored<'a>(&self, full: &'a str) -> Stored<'a> {
        let bytes = full.as_bytes();
        let key = match bytes.iter().any(is_forbidden) {
            true => Stored::Escaped(escaped(bytes)),
            false => Stored::Plain(bytes),
        };
        let has_more = |limit| full.encode_utf16().count() > limit;
        if key.len() > MAX_LENGTH || self.max_key_size.is_some_and(has_more) {
            return Stored::Digest(hexadecimal(&Md5::digest(bytes)));
        }
        key
    }
}

/// A key on the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored<'a> {
    /// As it is.
    Plain(&'a [u8]),
    /// In the escape form.
    Escaped(Vec<u8>),
    /// Its md5, which others may have.
    Digest(Vec<u8>),
}

impl Deref for Stored<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Stored::Plain(key) => key,
            Stored::Escaped(key) | Stored::Digest(key) => key,
        }
    }
}

/// Whether a key may be the md5 of another.
pub(super) fn looks_like_digest(key: &[u8]) -> bool {
    key.len() == 32 && key.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_forbidden(byte: &u8) -> bool {
    *byte <= b' ' || *byte == 0x7F
}

fn escaped(full: &[u8]) -> Vec<u8> {
    let mut key = vec![ESCAPED];
    for byte in full {
        if is_forbidden(byte) || *byte == b'%' {
            key.push(b'%');
            key.extend_from_slice(&hexadecimal(&[*byte]));
        } else {
            key.push(*byte);
        }
    }
    key
}

fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain() -> Names {
        Names::new(String::new(), None)
    }

    #[test]
    fn keys_are_those_of_the_npm_client() {
        let names = Names::new("app:".into(), None);
        let full = names.full("user/1%20ü");
        assert_eq!(full, "app:user/1%20ü");
        assert_eq!(&*names.stored(&full), "app:user/1%20ü".as_bytes());
        assert_eq!(&*names.stored(&"a".repeat(250)), &[b'a'; 250]);
        // By `echo -n aaa… | md5sum`.
        assert_eq!(&*names.stored(&"a".repeat(251)), b"21f5b107cda33036590a19419afd7fb6");
        assert_eq!(names.stored(&"ü".repeat(126)).len(), 32, "126 characters, 252 bytes");
    }

    #[test]
    fn the_npm_clients_limit_counts_characters() {
        let names = Names::new(String::new(), Some(5));
        assert_eq!(&*names.stored("üüüüü"), "üüüüü".as_bytes());
        // By `echo -n aaaaaa | md5sum`.
        assert_eq!(&*names.stored("aaaaaa"), b"0b4e7a0e5fe84ad35fb5f95b9ceeac79");
    }

    #[test]
    fn what_memcached_has_no_keys_for_is_escaped() {
        assert_eq!(&*plain().stored("a b%\n"), b"\xFFa%20b%25%0a");
        assert_eq!(&*plain().stored("\x7F"), b"\xFF%7f");
    }

    proptest! {
        #[test]
        fn two_names_never_meet(one in "[ab %0-2\n]{1,6}", other in "[ab %0-2\n]{1,6}") {
            prop_assume!(one != other);
            prop_assert_ne!(&*plain().stored(&one), &*plain().stored(&other));
        }

        #[test]
        fn keys_are_allowed(name in any::<String>(), limit in proptest::option::of(1_usize..250)) {
            let names = Names::new(String::new(), limit);
            let key = names.stored(&name);
            prop_assert!(key.len() <= MAX_LENGTH);
            prop_assert!(!key.iter().any(is_forbidden));
        }
    }
}
