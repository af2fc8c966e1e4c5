//! Whether CouchDB gives a document back as it was.

use crate::core::document::{tokens, unescape, Token};
use crate::records::members::MemberNames;
use crate::records::numbers::Decimal;

/// How deep a document may be nested: CouchDB has no limit of its own, and views, filters and
/// clients that recurse over it have one somewhere.
const DEEPEST: usize = 100;

/// The largest whole number that every JavaScript program reads as it is.
const LARGEST: u64 = 1 << 53;

/// CouchDB's JSON library, up to that of 3.5, makes a product of two rounded factors of a number that
/// is subnormal, or that is written with so many characters, where it has no fraction.
const LONGEST_NUMBER: usize = 31;

/// Whether a document comes back equal from CouchDB and from whatever speaks its protocol in
/// JavaScript. All else is stored as JSON text.
pub(super) fn fits(document: &[u8]) -> bool {
    let mut names = MemberNames::default();
    let mut pieces = tokens(document);
    while let Some(token) = pieces.next() {
        if pieces.depth() > DEEPEST {
            return false;
        }
        let good = match token {
            Token::ObjectStart => {
                names.open();
                true
            }
            Token::ObjectEnd => names.close(),
            Token::Name(raw) => match unescape(raw) {
                // JavaScript loses it when it copies an object.
                Ok(name) if name == "__proto__" => false,
                Ok(name) => {
                    names.add(name);
                    true
                }
                Err(_) => false,
            },
            Token::Text(raw) => unescape(raw).is_ok(),
            Token::Number(number) => is_double(number),
            Token::ArrayStart | Token::ArrayEnd | Token::Bool(_) | Token::Null => true,
        };
        if !good {
            return false;
        }
    }
    true
}

/// Whether CouchDB and every JavaScript program read a number as it is, and write one of the same value.
fn is_double(text: &str) -> bool {
    if text.len() > LONGEST_NUMBER {
        return false;
    }
    let Some(number) = Decimal::read(text) else { return false };
    match number.integer() {
        Some(integer) => integer.unsigned_abs() <= LARGEST,
        // The sign of a zero is lost.
        None => {
            let is_negative_zero = number.is_negative() && number.is_zero();
            !number.is_written_whole()
                && !is_negative_zero
                && number.double().is_some_and(|double| !double.is_subnormal())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_that_are_doubles_fit() {
        for good in [
            "0",
            "-1",
            "1.0",
            "100",
            "0.1",
            "1e21",
            "1E-7",
            "2.2250738585072014e-308",
            "1.7976931348623157e308",
            "0.00000000000000000000000000001",
            "9007199254740992",
        ] {
            assert!(fits(good.as_bytes()), "{good}");
        }
        for bad in [
            "-0",
            "-0.0",
            "1e400",
            "1e-400",
            "9007199254740993",
            "18446744073709551616",
            "0.1000000000000000055511151231257827",
            "3.14159265358979323846264338327950288",
            "5e-324",
            "2e-309",
            "-2.5e-310",
            "100000000000000000000000000000000e-5",
            "0.000000000000000000000000000001",
        ] {
            assert!(!fits(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn what_would_not_come_back_does_not_fit() {
        for bad in [r#"{"__proto__":1}"#, r#"["\ud800"]"#, r#"{"a":1,"\u0061":2}"#, r#"{"\ud800":1}"#] {
            assert!(!fits(bad.as_bytes()), "{bad}");
        }
        for good in [r#"{"_id":1,"_rev":{"_x":2},"":3,"a.$":null}"#, r#"{"a":{"b":1},"b":{"b":"\u0000"}}"#] {
            assert!(fits(good.as_bytes()), "{good}");
        }
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(fits(nested(DEEPEST).as_bytes()) && !fits(nested(DEEPEST + 1).as_bytes()));
        assert!(!fits(nested(1_000_000).as_bytes()));
    }

    proptest! {
        #[test]
        fn every_normal_double_fits(double in any::<f64>().prop_filter("a number", |d| d.is_normal())) {
            let text = format!("{double:e}");
            prop_assert!(is_double(&text));
        }
    }
}
