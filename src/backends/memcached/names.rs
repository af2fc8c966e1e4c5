//! The key under which memcached has a record.
//!
//! It is the namespace and the record's name. memcached's keys are at most 250 bytes without
//! spaces and control characters, so:
//!
//! - A longer one is stored as its md5 in hexadecimal, as the npm client has it.
//! - One with spaces or control characters, which the npm client refuses, is stored as the byte
//!   `FF`, which is in no name since names are UTF-8, and then the key with each such
//!   character, and `%`, as `%` and two hexadecimal digits. So no two names meet in one key.

use std::borrow::Cow;

use md5::{Digest, Md5};

const MAX_LENGTH: usize = 250;

const ESCAPED: u8 = 0xFF;

/// Makes keys from names.
#[derive(Clone)]
pub(super) struct Names {
    namespace: String,
}

impl Names {
    pub fn new(namespace: String) -> Names {
        Names { namespace }
    }

    /// Namespace and name, by which the server is chosen.
    pub fn full<'a>(&self, name: &'a str) -> Cow<'a, [u8]> {
        match self.namespace.is_empty() {
            true => Cow::Borrowed(name.as_bytes()),
            false => Cow::Owned([self.namespace.as_bytes(), name.as_bytes()].concat()),
        }
    }
}

/// What stands for a full key on the server.
pub(super) fn stored(full: &[u8]) -> Cow<'_, [u8]> {
    let key = if full.iter().any(is_forbidden) { Cow::Owned(escaped(full)) } else { Cow::Borrowed(full) };
    if key.len() > MAX_LENGTH {
        return Cow::Owned(hexadecimal(&Md5::digest(full)));
    }
    key
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

    #[test]
    fn keys_are_those_of_the_npm_client() {
        let names = Names::new("app:".into());
        assert_eq!(&*names.full("user/1%20ü"), "app:user/1%20ü".as_bytes());
        assert_eq!(&*stored("app:user/1%20ü".as_bytes()), "app:user/1%20ü".as_bytes());
        assert_eq!(&*stored(&[b'a'; 250]), &[b'a'; 250]);
        // By `echo -n aaa… | md5sum`.
        assert_eq!(&*stored(&[b'a'; 251]), b"21f5b107cda33036590a19419afd7fb6");
    }

    #[test]
    fn what_memcached_has_no_keys_for_is_escaped() {
        assert_eq!(&*stored(b"a b%\n"), b"\xFFa%20b%25%0a");
        assert_eq!(&*stored(b"\x7F"), b"\xFF%7f");
    }

    proptest! {
        #[test]
        fn two_names_never_meet(one in "[ab %0-2\n]{1,6}", other in "[ab %0-2\n]{1,6}") {
            prop_assume!(one != other);
            prop_assert_ne!(stored(one.as_bytes()), stored(other.as_bytes()));
        }

        #[test]
        fn keys_are_allowed(name in any::<String>()) {
            let key = stored(name.as_bytes());
            prop_assert!(key.len() <= MAX_LENGTH);
            prop_assert!(!key.iter().any(is_forbidden));
        }
    }
}
