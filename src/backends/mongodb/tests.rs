//! Documents there and back, without a server.

use bytes::Bytes;
use mongodb::bson::{Document, RawDocument};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::bson::Writer;
use super::layout::{Layout, ESCAPED, RESERVED};
use super::number::Number;
use super::{decode, encode};
use crate::core::document::{tokens, unescape, Token};
use crate::core::Record;
use crate::records::classic;
use crate::records::numbers::shown;

/// The document of a record, and what is read from it.
fn there_and_back(version: i64, data: &str, layout: Layout) -> (Vec<u8>, Record) {
    let record = Record { version, data: data.to_owned().into() };
    let mut writer = Writer::default();
    writer.start();
    encode::document(&mut writer, "u", "the id", &record, layout).unwrap();
    writer.end();
    let whole = writer.finish();
    let document = RawDocument::from_bytes(&whole).unwrap().get_document("u").unwrap();
    (document.as_bytes().to_vec(), decode::record(document, layout).unwrap())
}

/// The pieces of a document, in a form that is the same for equal documents.
fn pieces(document: &[u8]) -> Vec<String> {
    tokens(document)
        .map(|token| match token {
            Token::Name(raw) => format!("name {:?}", unescape(raw)),
            Token::Text(raw) => format!("text {:?}", unescape(raw)),
            Token::Number(text) => match Number::exact(text) {
                Some(Number::Double(number)) => shown(number),
                Some(number) => format!("{number:?}"),
                None => text.to_owned(),
            },
            other => format!("{other:?}"),
        })
        .collect()
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,6}",
        1 => proptest::sample::select(RESERVED).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[$.a\0]{0,3}",
    ]
}

fn document() -> impl Strategy<Value = String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let leaf = prop_oneof![
        proptest::sample::select(&["null", "true", "false", "{}", "[]", "1.0", "-0", "1e400"][..])
            .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("a JSON number", |number| number.is_finite()).prop_map(shown),
        any::<String>().prop_map(move |text| quoted(&text)),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|elements| format!("[{}]", elements.join(","))),
            btree_map(name(), inner, 0..6).prop_map(move |members| {
                let members: Vec<String> =
                    members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_document_comes_back(
        data in document(),
        version in any::<i64>(),
        layout in proptest::sample::select(&[Layout::V1, Layout::V2][..]),
    ) {
        let (document, record) = there_and_back(version, &data, layout);
        prop_assert_eq!(record.version, version);
        prop_assert_eq!(pieces(&record.data), pieces(data.as_bytes()));
        // The driver reads what we write.
        let document: Document = RawDocument::from_bytes(&document).unwrap().try_into().unwrap();
        prop_assert_eq!(document.get_str("ds_key").unwrap(), "the id");
        // The escape form for nothing else.
        let must_be_text = tokens(data.as_bytes()).enumerate().any(|(index, token)| match token {
            Token::Name(raw) => {
                let name = unescape(raw).unwrap();
                name.starts_with('$') || name.contains(['.', '\0']) || RESERVED.contains(&&*name)
            }
            Token::Number(text) => Number::exact(text).is_none() || index == 0,
            Token::Text(_) | Token::Bool(_) | Token::Null => index == 0,
            _ => false,
        });
        prop_assert!(must_be_text || !document.contains_key(ESCAPED), "{} is text", data);
    }

    #[test]
    fn broken_documents_are_errors(bytes in vec(any::<u8>(), 0..60), at in 0..60usize, byte: u8) {
        let (mut document, _) = there_and_back(1, r#"{"a":[1,{"b":"text"},null],"c":0.5}"#, Layout::V2);
        let at = at.min(document.len() - 1);
        document[at] = byte;
        for bytes in [&document, &bytes] {
            if let Ok(document) = RawDocument::from_bytes(bytes) {
                let _ = decode::record(document, Layout::V2);
            }
        }
    }
}

#[test]
fn a_classic_value_is_stored_as_its_connector_does_and_comes_back_equal() {
    let there_and_back = |value: &str| {
        let record = classic::read(&Bytes::copy_from_slice(value.as_bytes())).unwrap();
        let data = std::str::from_utf8(&record.data).unwrap();
        let (document, back) = there_and_back(record.version, data, Layout::Classic);
        (document, classic::value(&back.data).map_or(back.data, |value| value), back.version)
    };
    for (value, version) in [
        (r#"{"firstname":"Wolfram","_d":{"v":10}}"#, 0),
        (r#"{"_v":3,"by":{"x":[1]},"_d":["a",{"b":1}]}"#, 3),
        (r#"{"_d":{}}"#, 0),
        (r#"{"_v":1.5,"_d":{}}"#, 0),
        (r#"{"firstname":"Wolfram"}"#, 0),
        (r#"{"a.b":1,"_d":{}}"#, 0),
        (r#"{"_v":3,"_d":5}"#, 3),
        ("[1,2]", 0),
        ("null", 0),
    ] {
        let (_, back, found) = there_and_back(value);
        let expected = classic::exact(&Bytes::from(value)).map_or(Bytes::from(value), |record| record.data);
        assert_eq!((back, found), (expected, version), "{value}");
    }
    let (document, ..) = there_and_back(r#"{"firstname":"Wolfram","_v":3,"_d":{"v":10}}"#);
    let document: Document = RawDocument::from_bytes(&document).unwrap().try_into().unwrap();
    let envelope = document.get_document("__ds").unwrap();
    assert_eq!(document.get_i32("v").unwrap(), 10);
    assert_eq!(envelope.get_str("firstname").unwrap(), "Wolfram");
    assert_eq!(envelope.get_i32("_v").unwrap(), 3);
}

#[test]
fn depth_exhausts_no_stack() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for levels in [1, 98, 99, 100, 101, 1_000_000] {
        let data = deep(levels);
        let (document, record) = there_and_back(1, &data, Layout::V2);
        assert_eq!(record.data, data.as_bytes());
        let is_text = RawDocument::from_bytes(&document).unwrap().get(ESCAPED).unwrap().is_some();
        assert_eq!(is_text, levels > 99, "{levels} levels");
    }
}

#[test]
fn many_names_are_compared_as_well() {
    let members: Vec<String> = (0..50).map(|index| format!("\"n{index}\":{index}")).collect();
    for (extra, is_text) in [("\"other\":1", false), ("\"n7\":1", true)] {
        let data = format!("{{\"deep\":[{{{},{extra}}}]}}", members.join(","));
        let (document, record) = there_and_back(1, &data, Layout::V1);
        assert_eq!(record.data, data.as_bytes());
        assert_eq!(RawDocument::from_bytes(&document).unwrap().get(ESCAPED).unwrap().is_some(), is_text);
    }
}
