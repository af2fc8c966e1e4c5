//! Hash slots (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model>),
//! and names for a record's keys that are in one slot.
//!
//! The slot of a key is that of its hash tag: what stands between its first `{` and the first
//! `}` after it, if anything does; else the whole key's. A record's name is put in braces,
//! `{name}_v` and `{name}_d`, so both have one tag: the name, or its part before the first `}`.
//! A name that begins with `}` would make an empty tag, and stands behind `_{_}` instead. Since
//! one form begins with `{` and the other with `_`, two names never meet in one key.

use crc16::{State, XMODEM};

/// How many slots a cluster has.
pub(in super::super) const COUNT: u16 = 16_384;

/// How much longer a name can get by [`put_tagged`].
pub(in super::super) const TAG_OVERHEAD: usize = 4;

/// The slot of a key, as by `CLUSTER KEYSLOT`.
pub(in super::super) fn key_slot(key: &[u8]) -> u16 {
    State::<XMODEM>::calculate(hash_tag(key).unwrap_or(key)) % COUNT
}

fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let rest = &key[open + 1..];
    let length = rest.iter().position(|byte| *byte == b'}')?;
    (length > 0).then(|| &rest[..length])
}

/// Appends a name in a form that decides the slot whatever follows.
pub(in super::super) fn put_tagged(buffer: &mut Vec<u8>, name: &str) {
    if name.starts_with('}') {
        buffer.extend_from_slice(b"_{_}");
        buffer.extend_from_slice(name.as_bytes());
    } else {
        buffer.push(b'{');
        buffer.extend_from_slice(name.as_bytes());
        buffer.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tagged(name: &str, suffix: &str) -> Vec<u8> {
        let mut buffer = Vec::new();
        put_tagged(&mut buffer, name);
        buffer.extend_from_slice(suffix.as_bytes());
        buffer
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        // CRC16 of "123456789" is 31C3 there; the others by `CLUSTER KEYSLOT` of Redis 7.0.
        assert_eq!(key_slot(b"123456789"), 0x31C3);
        assert_eq!(key_slot(b"foo"), 12182);
        assert_eq!(key_slot(b"{foo}bar"), key_slot(b"foo"));
        assert_ne!(key_slot(b"foo{}{bar}"), key_slot(b"bar"));
        assert_eq!(key_slot(b"foo{{bar}}zap"), key_slot(b"{bar"));
        assert_eq!(key_slot(b"foo{bar}{zap}"), key_slot(b"bar"));
    }

    proptest! {
        #[test]
        fn the_keys_of_a_record_are_in_one_slot(name in "[a{}_]{1,8}") {
            prop_assert_eq!(key_slot(&tagged(&name, "_v")), key_slot(&tagged(&name, "_d")));
        }

        #[test]
        fn two_names_never_meet(one in "[a{}_vd]{1,6}", other in "[a{}_vd]{1,6}") {
            prop_assume!(one != other);
            for (suffix, another) in [("_v", "_v"), ("_v", "_d")] {
                prop_assert_ne!(tagged(&one, suffix), tagged(&other, another));
            }
        }
    }
}
