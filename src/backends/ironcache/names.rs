//! The key under which IronCache has a record.
//!
//! It is the record's name, percent-encoded since it is part of a URL, and at most 250
//! characters long. A longer one is `~h` and the SHA-256 of the name in hexadecimal. A name
//! with control characters, the names `.` and `..`, which mean something else in a URL, and
//! names that begin with `~`, are `~e` and the name with each control character, `.` and `~`
//! as `~` and two hexadecimal digits. So no two names meet in one key.

use percent_encoding::{utf8_percent_encode, AsciiSet, NON_ALPHANUMERIC};

use crate::records::hash::{hexadecimal, sha256};

/// The longest key, as it stands in a URL.
const MAX_LENGTH: usize = 250;

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as a part of a URL's path.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A record's key as a part of a URL's path.
pub(super) fn stored(name: &str) -> String {
    let is_special = name.starts_with('~') || matches!(name, "." | "..") || name.bytes().any(is_control);
    let key = if is_special { encoded(&escaped(name)) } else { encoded(name) };
    if key.len() > MAX_LENGTH {
        return format!("~h{}", sha256(name.as_bytes()));
    }
    key
}

fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7F
}

fn escaped(name: &str) -> String {
    let mut key = String::from("~e");
    for character in name.chars() {
        match u8::try_from(character) {
            Ok(byte) if is_control(byte) || matches!(byte, b'.' | b'~') => {
                key.push('~');
                key.push_str(&hexadecimal(&[byte]));
            }
            _ => key.push(character),
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_names_where_they_can_be() {
        assert_eq!(stored("user-1_a.b"), "user-1_a.b");
        assert_eq!(stored("user/1 ü?#%"), "user%2F1%20%C3%BC%3F%23%25");
        assert_eq!(stored("a~b"), "a~b");
        assert_eq!(stored("."), "~e~2e");
        assert_eq!(stored("..."), "...");
        assert_eq!(stored("~a\n."), "~e~7ea~0a~2e");
        assert_eq!(stored(&"a".repeat(250)), "a".repeat(250));
        // By `printf … | sha256sum`.
        let long = "a".repeat(251);
        assert_eq!(stored(&long), "~h772f911dd9d6692897188d0b03f718fb5fbd02020d0fce1374f1354a31205024");
    }

    proptest! {
        #[test]
        fn two_names_never_meet(one in "[ae~./0-2\n]{1,6}", other in "[ae~./0-2\n]{1,6}") {
            prop_assume!(one != other);
            prop_assert_ne!(stored(&one), stored(&other));
        }

        #[test]
        fn keys_are_safe_in_a_url(name in any::<String>()) {
            let key = stored(&name);
            prop_assert!(key.len() <= MAX_LENGTH && key != "." && key != "..");
            prop_assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
            for control in (0..0x20u8).chain([0x7F]) {
                let in_hexadecimal = format!("%{control:02X}");
                prop_assert!(!key.contains(&in_hexadecimal));
            }
        }
    }
}
