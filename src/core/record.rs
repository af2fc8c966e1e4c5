//! What is stored: a record under a key.

use std::sync::Arc;

use bytes::Bytes;

use super::error::{Error, ErrorCode};

/// The name of a record: 1 to [`MAX_KEY_BYTES`] bytes of UTF-8.
pub type Key = Arc<str>;

/// The longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 64 * 1024;

/// A version and a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The host's version number. It is stored as it is; it decides nothing here.
    pub version: i64,
    /// One JSON document as UTF-8. It may be a part of something larger that stays in memory for
    /// its sake: who keeps a record for long keeps a copy.
    pub data: Bytes,
}

/// Checks a key's length; a type that holds UTF-8 is the caller's part.
pub fn check_key(key: &str) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            "the key is empty; give a name of 1 to 65536 bytes",
        ));
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            format!("the key has {} bytes; at most {MAX_KEY_BYTES} are possible", key.len()),
        ));
    }
    Ok(())
}

/// Checks that bytes are one JSON document in UTF-8. It does not recurse, so that no depth of
/// nesting can exhaust the stack.
pub fn check_document(data: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(data).map_err(|_| {
        Error::new(ErrorCode::InvalidArgument, "the data is not UTF-8; give JSON text in UTF-8")
    })?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|error| {
        Error::new(
            ErrorCode::InvalidArgument,
            format!("the data is not JSON: line {}, column {}", error.line(), error.column()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_checked_without_recursion() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert!(check_document(deep.as_bytes()).is_ok());
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in [&b"{"[..], b"", b"{} {}", b"nul", b"\"\xff\"", b"[1,]"] {
            let error = check_document(bad).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn keys_have_a_length() {
        assert!(check_key("").is_err());
        assert!(check_key(&"k".repeat(MAX_KEY_BYTES)).is_ok());
        assert!(check_key(&"k".repeat(MAX_KEY_BYTES + 1)).is_err());
    }
}
