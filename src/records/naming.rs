//! Where SQL backends put a record: its key is split into a collection and an id.

/// A key in two parts. Different keys never have equal places: with a collection the key was
/// `collection`, the separator, `id`, and the separator does not occur in `collection`; without
/// one the key was `id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place<'a> {
    /// What is before the first separator, which may be nothing; `None` without a separator.
    pub collection: Option<&'a str>,
    /// What is after it, which may be nothing; without a separator the whole key.
    pub id: &'a str,
}

/// Splits a key at the first separator, which is not empty.
pub(crate) fn split<'a>(key: &'a str, separator: &str) -> Place<'a> {
    // The general search is slow to begin.
    let found = match separator.as_bytes() {
        &[byte] => key.bytes().position(|other| other == byte),
        _ => key.find(separator),
    };
    match found.map(|at| (&key[..at], &key[at + separator.len()..])) {
        Some((collection, id)) => Place { collection: Some(collection), id },
        None => Place { collection: None, id: key },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_separator_counts() {
        let place = |collection, id| Place { collection, id };
        assert_eq!(split("users/1", "/"), place(Some("users"), "1"));
        assert_eq!(split("users/1/2", "/"), place(Some("users"), "1/2"));
        assert_eq!(split("users", "/"), place(None, "users"));
        assert_eq!(split("/1", "/"), place(Some(""), "1"));
        assert_eq!(split("users/", "/"), place(Some("users"), ""));
        assert_eq!(split("/", "/"), place(Some(""), ""));
        assert_eq!(split("a:::b", "::"), place(Some("a"), ":b"));
        assert_eq!(split("a:b", "::"), place(None, "a:b"));
    }

    proptest! {
        #[test]
        fn the_key_can_be_had_back(key in "[ab/:é]{0,8}", separator in "[/:é]{1,3}") {
            let place = split(&key, &separator);
            let joined = match place.collection {
                Some(collection) => {
                    prop_assert!(!collection.contains(&separator));
                    format!("{collection}{separator}{}", place.id)
                }
                None => {
                    prop_assert!(!place.id.contains(&separator));
                    place.id.to_owned()
                }
            };
            prop_assert_eq!(joined, key);
        }
    }
}
