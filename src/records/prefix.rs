//! Keys that begin with something, where databases have them: which collections may have any, and
//! which of their ids.

use std::ops::Bound;

/// What the ids in a collection begin with whose keys begin with a prefix; `None` where there is no
/// such key. `collection` is `None` for keys without the separator.
pub(crate) fn of_ids<'a>(prefix: &'a str, collection: Option<&str>, separator: &str) -> Option<&'a str> {
    let Some(collection) = collection else {
        return (!prefix.contains(separator)).then_some(prefix);
    };
    // What all keys of the collection begin with, which may be more than the prefix.
    let rest = after(prefix, collection).and_then(|rest| after(rest, separator));
    rest.or_else(|| collection_begins_with(collection, separator, prefix).then_some(""))
}

fn after<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    text.strip_prefix(beginning)
}

fn collection_begins_with(collection: &str, separator: &str, prefix: &str) -> bool {
    let rest = prefix.strip_prefix(collection);
    collection.starts_with(prefix) || rest.is_some_and(|rest| separator.starts_with(rest))
}

/// The least text that is greater than all that begin with a prefix, in the order of code points, which is that of
/// UTF-8's bytes; `None` if there is none.
pub(crate) fn end(prefix: &str) -> Option<String> {
    let mut letters = prefix.char_indices().rev();
    letters.find_map(|(place, letter)| {
        let next = match letter {
            '\u{d7ff}' => Some('\u{e000}'),
            letter => char::from_u32(u32::from(letter) + 1),
        };
        next.map(|next| format!("{}{next}", &prefix[..place]))
    })
}

/// Some of what is in order, of which pages are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub from: Bound<String>,
    /// It is not in it.
    pub until: Option<String>,
}

impl Range {
    /// What begins with a prefix and comes after `after`, in the order of code points.
    pub fn new(prefix: &str, after: Option<&str>) -> Range {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after.to_owned()),
            _ if prefix.is_empty() => Bound::Unbounded,
            _ => Bound::Included(prefix.to_owned()),
        };
        Range { from, until: end(prefix) }
    }

    /// Whether nothing can be in it.
    pub fn is_empty(&self) -> bool {
        let (from, until) = match (&self.from, &self.until) {
            (Bound::Included(from) | Bound::Excluded(from), Some(until)) => (from, until),
            _ => return false,
        };
        from >= until
    }

    /// The bounds that there are, in the order of [`condition`](Self::condition).
    pub fn bounds(&self) -> impl Iterator<Item = &String> {
        let from = match &self.from {
            Bound::Included(from) | Bound::Excluded(from) => Some(from),
            Bound::Unbounded => None,
        };
        from.into_iter().chain(&self.until)
    }

    /// That something is in it, in SQL, with a parameter for each bound.
    pub fn condition(&self, column: &str) -> String {
        let from = match &self.from {
            Bound::Included(_) => Some(format!("{column} >= ?")),
            Bound::Excluded(_) => Some(format!("{column} > ?")),
            Bound::Unbounded => None,
        };
        let until = self.until.is_some().then(|| format!("{column} < ?"));
        match (from, until) {
            (Some(from), Some(until)) => format!("({from} AND {until})"),
            (from, until) => from.or(until).unwrap_or_else(|| "1 = 1".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::naming::split;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_ids_begin_with_follows_from_the_collection() {
        for (prefix, collection, ids) in [
            ("", Some("users"), Some("")),
            ("us", Some("users"), Some("")),
            ("users", Some("users"), Some("")),
            ("users/", Some("users"), Some("")),
            ("users/1/", Some("users"), Some("1/")),
            ("users/1", Some("user"), None),
            ("users/1", None, None),
            ("/", Some(""), Some("")),
            ("us", None, Some("us")),
        ] {
            assert_eq!(of_ids(prefix, collection, "/"), ids, "{prefix:?} in {collection:?}");
        }
        assert_eq!(of_ids("a:", Some("a"), "::"), Some(""));
        assert_eq!(of_ids("a:", None, "::"), Some("a:"));
    }

    #[test]
    fn a_range_ends_before_the_next_prefix() {
        assert_eq!(end("ab").as_deref(), Some("ac"));
        assert_eq!(end("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!((end(""), end("\u{10ffff}\u{10ffff}")), (None, None));
        let from = |prefix, after| Range::new(prefix, after).from;
        assert_eq!(from("b", Some("a")), Bound::Included("b".into()));
        assert_eq!(from("b", Some("b1")), Bound::Excluded("b1".into()));
        assert_eq!(from("", None), Bound::Unbounded);
    }

    proptest! {
        #[test]
        fn all_keys_with_a_prefix_are_found_and_no_others(
            key in "[ab/:é]{1,6}", prefix in "[ab/:é]{0,4}", separator in "[/:é]{1,2}",
        ) {
            let place = split(&key, &separator);
            let found = of_ids(&prefix, place.collection, &separator)
                .is_some_and(|beginning| place.id.starts_with(beginning));
            prop_assert_eq!(found, key.starts_with(&prefix));
        }

        #[test]
        fn what_begins_with_a_prefix_is_in_its_range(text in "[a-c\u{d7ff}\u{10ffff}]{0,4}", prefix in "[a-c\u{d7ff}\u{10ffff}]{0,3}") {
            let Range { from, until } = Range::new(&prefix, None);
            let is_in = match &from {
                Bound::Included(from) => *from <= text,
                Bound::Excluded(from) => *from < text,
                Bound::Unbounded => true,
            } && until.is_none_or(|until| text < until);
            prop_assert_eq!(is_in, text.starts_with(&prefix));
        }
    }
}
