//! Numbers of JSON documents, and whether a database gives one back with the same value.

/// So many digits come back from a 64-bit floating point number whatever they are, within
/// [`PLAIN`].
const CERTAIN_DIGITS: usize = 15;
const PLAIN: std::ops::Range<f64> = 1e-300..1e300;

/// A JSON number taken apart. Two are equal that have the same value, however they are written;
/// a negative zero is none but itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<'a> {
    text: &'a str,
    is_negative: bool,
    /// The digits before the point, and those after it.
    whole: &'a str,
    fraction: &'a str,
    /// The power of ten that is written.
    exponent: i64,
    /// How many zeros the digits begin with, and how many digits follow up to the last that is
    /// not zero.
    zeros: usize,
    significant: usize,
}

impl<'a> Decimal<'a> {
    /// Takes a number apart; `None` for an exponent beyond reason.
    pub fn read(text: &'a str) -> Option<Decimal<'a>> {
        let (is_negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        let zeros = digits().take_while(|digit| *digit == b'0').count();
        let significant = match digits().rev().position(|digit| digit != b'0') {
            Some(zeros_after) => whole.len() + fraction.len() - zeros - zeros_after,
            None => 0,
        };
        Some(Decimal { text, is_negative, whole, fraction, exponent, zeros, significant })
    }

    /// Whether it is below zero, or the negative zero.
    pub fn is_negative(&self) -> bool {
        self.is_negative
    }

    /// Whether it is zero, of whichever sign.
    pub fn is_zero(&self) -> bool {
        self.significant == 0
    }

    /// The power of ten that is written.
    pub fn exponent(&self) -> i64 {
        self.exponent
    }

    /// How many characters stand before the exponent.
    pub fn characters(&self) -> usize {
        let point = usize::from(!self.fraction.is_empty());
        usize::from(self.is_negative) + self.whole.len() + point + self.fraction.len()
    }

    /// How many digits there are without the zeros at either end.
    pub fn significant(&self) -> usize {
        self.significant
    }

    /// The power of ten of the first digit that is not zero; `None` beyond reason, and for zero.
    pub fn power(&self) -> Option<i64> {
        if self.is_zero() {
            return None;
        }
        let point = i64::try_from(self.whole.len()).ok()? - i64::try_from(self.zeros).ok()?;
        (point - 1).checked_add(self.exponent)
    }

    /// Whether it is written without a point and without an exponent.
    pub fn is_written_whole(&self) -> bool {
        !self.text.contains(['.', 'e', 'E'])
    }

    /// The integer that is written; the negative zero is none.
    pub fn integer(&self) -> Option<i64> {
        let has_sign_to_lose = self.is_negative && self.is_zero();
        (self.is_written_whole() && !has_sign_to_lose).then(|| self.text.parse().ok()).flatten()
    }

    /// The 64-bit floating point number of just this value, by the shortest text for it; `None`
    /// where there is none, so that another value would come back.
    pub fn double(&self) -> Option<f64> {
        let double: f64 = self.text.parse().ok()?;
        if !double.is_finite() {
            return None;
        }
        let is_certain = self.significant <= CERTAIN_DIGITS && PLAIN.contains(&double.abs());
        (is_certain || Decimal::read(&shown(double))? == *self).then_some(double)
    }

    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.bytes().chain(self.fraction.bytes()).skip(self.zeros).take(self.significant)
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Decimal<'_>) -> bool {
        self.is_negative == other.is_negative
            && self.power() == other.power()
            && self.digits().eq(other.digits())
            && self.is_zero() == other.is_zero()
    }
}

/// A 64-bit floating point number as JSON: the shortest text that is read as it.
pub(crate) fn shown(number: f64) -> String {
    format!("{number:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Decimal<'_> {
        Decimal::read(text).unwrap()
    }

    #[test]
    fn one_value_may_be_written_in_many_ways() {
        for (one, other) in [
            ("100", "1e2"),
            ("0.0120", "12E-3"),
            ("-1.0", "-1"),
            ("0", "0.00e77"),
            ("-0", "-0e5"),
            ("10e-1", "1"),
        ] {
            assert_eq!(read(one), read(other));
        }
        for (one, other) in [("1", "-1"), ("0", "-0"), ("1", "10"), ("1", "1.1"), ("0", "1"), ("0", "0.1")] {
            assert_ne!(read(one), read(other));
        }
        assert!(Decimal::read("1e99999999999999999999").is_none());
    }

    #[test]
    fn what_a_number_asks_of_a_database_is_known() {
        let number = read("-0012.3400e5");
        assert_eq!((number.is_negative(), number.is_zero(), number.exponent()), (true, false, 5));
        assert_eq!((number.significant(), number.power(), number.characters()), (4, Some(6), 10));
        assert_eq!((read("0.0e9").significant(), read("0").power()), (0, None));
        assert_eq!(read("0.001").power(), Some(-3));
        assert_eq!(read("1e9223372036854775807").power(), Some(i64::MAX));
        assert_eq!(read("10e9223372036854775807").power(), None);
    }

    #[test]
    fn integers_are_those_that_are_written() {
        for (text, integer) in [
            ("0", Some(0)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-0", None),
            ("1.0", None),
            ("1e0", None),
        ] {
            assert_eq!(read(text).integer(), integer, "{text}");
        }
    }

    #[test]
    fn a_double_is_one_of_the_same_value() {
        for (text, double) in [
            ("0.1", 0.1),
            ("1e21", 1e21),
            ("5e-324", 5e-324),
            ("10000000000000000000000", 1e22),
            ("1E-7", 1e-7),
        ] {
            assert_eq!(read(text).double(), Some(double), "{text}");
        }
        assert!(read("-0").double().is_some_and(|zero| zero.is_sign_negative()));
        for none in ["9007199254740993", "0.1000000000000000055511151231257827", "1e400", "1e-400", "4e-324"]
        {
            assert_eq!(read(none).double(), None, "{none}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn every_double_is_its_own(number in any::<f64>().prop_filter("finite", |number| number.is_finite())) {
            for text in [shown(number), format!("{number:e}")] {
                prop_assert_eq!(read(&text).double().map(f64::to_bits), Some(number.to_bits()));
            }
        }

        #[test]
        fn a_double_has_the_value_that_is_written(
            text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?",
        ) {
            if let Some(double) = read(&text).double() {
                let shown = shown(double);
                prop_assert_eq!(read(&shown), read(&text));
            }
        }

        #[test]
        fn no_text_is_too_odd(text: String, tail in "[-+.eE0-9]{0,12}") {
            for text in [text, tail] {
                if let Some(number) = Decimal::read(&text) {
                    let _ = (number.power(), number.integer(), number.double(), number == number);
                }
            }
        }
    }
}
