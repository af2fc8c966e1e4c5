//! JSON's numbers as MongoDB's: each comes back with the same value, or is not stored as one.

use smallvec::SmallVec;

/// A number that MongoDB has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int32(i32),
    Int64(i64),
    Double(f64),
}

/// So many digits come back from a `f64` whatever they are, within [`PLAIN`].
const CERTAIN_DIGITS: usize = 15;
const PLAIN: std::ops::Range<f64> = 1e-300..1e300;

impl Number {
    /// Reads a number of a JSON document; `None` where none of MongoDB's has just this value.
    pub fn exact(text: &str) -> Option<Number> {
        let is_whole = !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
        // Integers have no negative zero.
        if is_whole && text != "-0" {
            if let Ok(number) = text.parse::<i64>() {
                return Some(i32::try_from(number).map_or(Number::Int64(number), Number::Int32));
            }
        }
        let number: f64 = text.parse().ok()?;
        if !number.is_finite() {
            return None;
        }
        let wanted = Decimal::read(text)?;
        let is_certain = wanted.digits.len() <= CERTAIN_DIGITS && PLAIN.contains(&number.abs());
        (is_certain || Decimal::read(&shown(number))? == wanted).then_some(Number::Double(number))
    }
}

/// A number as JSON: the shortest text that is read as it.
pub(super) fn shown(number: f64) -> String {
    format!("{number:?}")
}

/// A decimal number in the one form that each value has.
#[derive(PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    /// Without zeros at either end.
    digits: SmallVec<[u8; 32]>,
    /// The power of ten of the last digit.
    exponent: i64,
}

impl Decimal {
    /// `None` for an exponent beyond reason.
    fn read(text: &str) -> Option<Decimal> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: SmallVec<[u8; 32]> =
            whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0').collect();
        let mut exponent = i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent += 1;
        }
        if digits.is_empty() {
            exponent = 0;
        }
        Some(Decimal { is_negative, digits, exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_value_has_its_number_or_none() {
        let number = |text| Number::exact(text);
        assert_eq!(number("7"), Some(Number::Int32(7)));
        assert_eq!(number("-2147483649"), Some(Number::Int64(-2147483649)));
        assert_eq!(number("9007199254740993"), Some(Number::Int64(9007199254740993)));
        assert_eq!(number("1.0"), Some(Number::Double(1.0)));
        assert_eq!(number("-0").map(shown_of), Some("-0.0".into()));
        assert_eq!(number("1e21"), Some(Number::Double(1e21)));
        assert_eq!(number("5e-324"), Some(Number::Double(5e-324)));
        assert_eq!(number("10000000000000000000000"), Some(Number::Double(1e22)));
        for none in [
            "18446744073709551616",
            "123456789012345678901234567890",
            "0.1000000000000000055511151231257827",
            "1e400",
            "1e-400",
            "4e-324",
            "1e99999999999999999999",
        ] {
            assert_eq!(number(none), None, "{none}");
        }
    }

    fn shown_of(number: Number) -> String {
        match number {
            Number::Int32(number) => number.to_string(),
            Number::Int64(number) => number.to_string(),
            Number::Double(number) => shown(number),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn every_double_has_its_number(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
            let read = Number::exact(&shown(number));
            prop_assert!(matches!(read, Some(Number::Double(same)) if same.to_bits() == number.to_bits()));
        }

        #[test]
        fn what_has_a_number_has_its_value(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?") {
            if let Some(number) = Number::exact(&text) {
                let shown = shown_of(number);
                prop_assert!(Decimal::read(&shown) == Decimal::read(&text), "{} became {}", text, shown);
            }
        }
    }
}
