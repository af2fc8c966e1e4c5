//! JSON's numbers as MongoDB's: each comes back with the same value, or is not stored as one.

use crate::records::numbers::Decimal;

/// A number that MongoDB has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int32(i32),
    Int64(i64),
    Double(f64),
}

impl Number {
    /// Reads a number of a JSON document; `None` where none of MongoDB's has just this value.
    pub fn exact(text: &str) -> Option<Number> {
        let number = Decimal::read(text)?;
        match number.integer() {
            Some(integer) => Some(i32::try_from(integer).map_or(Number::Int64(integer), Number::Int32)),
            None => number.double().map(Number::Double),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::numbers::shown;
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
                prop_assert_eq!(Decimal::read(&shown), Decimal::read(&text));
            }
        }
    }
}
