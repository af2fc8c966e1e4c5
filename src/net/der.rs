//! DER, as certificates and public keys are written: X.690, chapter 8.

/// What is in the first element, which has this tag, and what follows it.
pub(crate) fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    const LONGEST_LENGTH: usize = 4;
    let (&first, rest) = der.split_first()?;
    if first != tag {
        return None;
    }
    let (&short, mut rest) = rest.split_first()?;
    let mut length = usize::from(short);
    if short >= 0x80 {
        let (digits, after) = rest.split_at_checked(usize::from(short & 0x7f))?;
        if digits.is_empty() || digits.len() > LONGEST_LENGTH {
            return None;
        }
        length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        rest = after;
    }
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_element_has_a_tag_a_length_and_what_follows() {
        let split = |inner: &'static [u8], rest: &'static [u8]| Some((inner, rest));
        assert_eq!(element(&[0x30, 2, 1, 2, 3], 0x30), split(&[1, 2], &[3]));
        assert_eq!(element(&[0x30, 0], 0x30), split(&[], &[]));
        assert_eq!(element(&[0x30, 0x81, 1, 7], 0x30), split(&[7], &[]));
        assert_eq!(element(&[0x30, 0x82, 0, 1, 7, 8], 0x30), split(&[7], &[8]));
        let long = [&[2, 0x83, 1, 0, 0][..], &[9; 65_536]].concat();
        assert_eq!(element(&long, 2).map(|(inner, _)| inner.len()), Some(65_536));
        for (bad, tag) in [
            (&[][..], 2),
            (&[2], 2),
            (&[2, 1], 2),
            (&[2, 1, 1], 3),
            (&[2, 0x80, 0, 0], 2),
            (&[2, 0x85, 0, 0, 0, 0, 1, 7], 2),
            (&[2, 0x82, 1], 2),
        ] {
            assert_eq!(element(bad, tag), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes: Vec<u8>) {
            let tag = bytes.first().copied().unwrap_or(0);
            if let Some((inner, rest)) = element(&bytes, tag) {
                prop_assert!(bytes.ends_with(rest) && inner.len() + rest.len() < bytes.len());
            }
        }
    }
}
