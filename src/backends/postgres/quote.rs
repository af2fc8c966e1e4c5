//! Names and texts inside SQL. Nothing else in this backend puts quotes around anything.

/// A name as an SQL identifier. PostgreSQL knows no NUL in it, and 63 bytes at most; see
/// `names.rs`.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal, for the few statements that take no parameters. Connections are set
/// up so that a backslash is a character like any other. PostgreSQL knows no NUL in it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads what is quoted at the beginning of SQL as PostgreSQL's scanner does: a doubled quote
    /// is one, a single one ends it. Returns it with what comes after.
    fn scanned(sql: &str, quote: char) -> Option<(String, &str)> {
        let mut text = String::new();
        let mut rest = sql.strip_prefix(quote)?;
        loop {
            let (before, after) = rest.split_once(quote)?;
            text.push_str(before);
            match after.strip_prefix(quote) {
                Some(more) => {
                    text.push(quote);
                    rest = more;
                }
                None => return Some((text, after)),
            }
        }
    }

    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof!["[\"'\\\\;a. \n-]{0,12}", any::<String>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn whatever_a_name_holds_it_is_one_identifier(name in hostile(), after in hostile()) {
            prop_assume!(!after.starts_with('"'));
            let sql = format!("{}{after}", identifier(&name));
            prop_assert_eq!(scanned(&sql, '"'), Some((name, after.as_str())));
        }

        #[test]
        fn whatever_a_text_holds_it_is_one_literal(text in hostile(), after in hostile()) {
            prop_assume!(!after.starts_with('\''));
            let sql = format!("{}{after}", literal(&text));
            prop_assert_eq!(scanned(&sql, '\''), Some((text, after.as_str())));
        }
    }
}
