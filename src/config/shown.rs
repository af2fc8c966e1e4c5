//! Which words of a configuration may stand in a message.

/// A word that was given where another one is meant, if it looks like a name. Anything else, an
/// address say, may hold a password.
pub fn shown(word: &str) -> Option<&str> {
    let is_name = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_' || letter == b'.';
    (word.len() <= 40 && word.bytes().all(is_name)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_name_is_shown() {
        for name in ["redis", "max_size", "tls.caFile", "", &"x".repeat(40)] {
            assert_eq!(shown(name), Some(name));
        }
        for other in ["redis://:secret@host", "a b", "a:b", "pört", "a-b", &"x".repeat(41)] {
            assert_eq!(shown(other), None);
        }
    }
}
