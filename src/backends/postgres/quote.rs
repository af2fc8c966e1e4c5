//! Names and texts inside SQL. Nothing else in this backend puts quotes around anything.

/// A name as an SQL identifier. PostgreSQL knows no NUL in it, and 63 bytes at most; see
/// `names.rs`.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal, for the few statements that take no parameters. It means the same
/// whatever `standard_conforming_strings` says. PostgreSQL knows no NUL in it.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!(" E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
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
            let (escaped, rest) = scanned(sql.strip_prefix(" E").unwrap_or(&sql), '\'').unwrap();
            prop_assert_eq!(rest, &after);
            prop_assert_eq!(sql.starts_with(" E"), text.contains('\\'));
            // In the one form a backslash is an escape, in the other there is none.
            prop_assert_eq!(escaped.replace("\\\\", "\\"), text.clone());
            let is_doubled = escaped.matches('\\').count() == 2 * text.matches('\\').count();
            prop_assert!(is_doubled);
        }
    }
}
