//! An object's members: in their order, and whether a name is there twice, which JSON allows and
//! few databases keep.

use std::borrow::Cow;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The names of all objects that are open while a document is taken apart.
#[derive(Default)]
pub(crate) struct MemberNames<'a> {
    names: Vec<Cow<'a, str>>,
    /// Where those of each open object begin.
    begins: Vec<usize>,
}

impl<'a> MemberNames<'a> {
    /// An object begins.
    pub fn open(&mut self) {
        self.begins.push(self.names.len());
    }

    /// The object that began last has this name, in plain characters.
    pub fn add(&mut self, name: Cow<'a, str>) {
        self.names.push(name);
    }

    /// The object that began last ends; says whether each of its names is there once.
    pub fn close(&mut self) -> bool {
        let begin = self.begins.pop().unwrap_or(0);
        let own = &mut self.names[begin..];
        own.sort_unstable();
        let once = own.windows(2).all(|pair| pair[0] != pair[1]);
        self.names.truncate(begin);
        once
    }
}

/// An object's members in their order.
pub(crate) struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_has_names_of_its_own() {
        let mut names = MemberNames::default();
        names.open();
        names.add("a".into());
        names.open();
        names.add("a".into());
        names.add("b".into());
        assert!(names.close());
        names.open();
        names.add("b".into());
        names.add("c".into());
        names.add("b".into());
        assert!(!names.close());
        names.add("b".into());
        assert!(names.close());
    }
}
