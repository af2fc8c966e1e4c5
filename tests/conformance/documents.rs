//! Documents and keys that somebody's backend has stumbled over, and strategies for more.

use proptest::collection::{btree_map, vec};
use proptest::prelude::{any, prop_oneof, Just, Strategy};

/// Documents with a reason each to be stored wrongly.
pub const DOCUMENTS: &[&str] = &[
    "{}",
    "[]",
    "null",
    "true",
    "false",
    "0",
    "-1",
    "\"\"",
    "\"text\"",
    r#"{"a":{},"b":[],"c":[{}],"d":[[]],"e":null}"#,
    "[null]",
    "[[],[[]],{}]",
    "[1,\"two\",{\"three\":3}]",
    r#"{"":"an empty name"}"#,
    // Text.
    "\"\\u0000\"",
    r#"{"\u0000":"\u0000"}"#,
    r#""a\u0000b""#,
    "\"\u{1f600} \u{10ffff} \u{e9} e\u{301} \u{feff} \u{200b} \u{2028}\u{2029}\"",
    r#""\ud83d\ude00""#,
    r#""\ud800""#,
    r#""\\ \" \/ \b \f \n \r \t \u001f \u007f""#,
    r#""'; DROP TABLE records; --""#,
    "\"a'b\\\"c`d%s{0}$1?\"",
    " { \"spaced\" :\n[ 1 ,\t2 ] } ",
    // Names that mean something to somebody.
    r#"{"$set":{"a":1},"$":1,"a.b":2,".":3,"a.$.b":4,"$where":"1"}"#,
    r#"{"_id":"x","_rev":"y","_deleted":true,"_v":1,"_d":2,"__ds":{"_v":3},"__dsList":[1],"_attachments":{}}"#,
    r#"{"ds_key":"k","ds_version":7,"ds_list":[1],"ds_id":"i","id":"j","key":"k","value":"v","data":"d","version":9}"#,
    r#"{"__proto__":{"polluted":true},"constructor":1,"prototype":2,"toString":3,"hasOwnProperty":4}"#,
    r#"{"__ds":1}"#,
    r#"{"ds_list":[1,2,3]}"#,
    r#"{"A":1,"a":2,"\u00e9":3,"e\u0301":4," a":5,"a ":6}"#,
    r#"{"z":1,"y":2,"x":3,"10":4,"9":5,"1":6}"#,
    // Numbers as JavaScript has them.
    "[0.1,0.2,1e21,1e-7,123456789.123,5e-324,2.2250738585072014e-308,1.7976931348623157e308]",
    "[9007199254740991,-9007199254740991,4294967296,2147483648,-2147483649,1.5]",
    r#"{"$numberLong":"5","$date":0,"$oid":"000000000000000000000000"}"#,
];

/// Numbers that only keep all their digits where nobody makes floating point numbers of them.
pub const EXACT_NUMBERS: &[&str] = &[
    "[9007199254740993,-9007199254740993,9223372036854775807,-9223372036854775808]",
    "[18446744073709551615,18446744073709551616,123456789012345678901234567890]",
    "[0.1000000000000000055511151231257827,3.14159265358979323846264338327950288]",
    "[1e400,-1e400,1e-400,-0.0,-0,1.0,100]",
];

/// Keys with a reason each to meet another one, or to be taken for something else.
pub const KEYS: &[&str] = &[
    "a",
    "A",
    "a ",
    " a",
    "a\n",
    "a\0",
    "a\0b",
    "a/",
    "/a",
    "a/b",
    "a/B",
    "a//b",
    "a/b/c",
    "b/a",
    "/",
    "//",
    ".",
    "..",
    "../../etc/passwd",
    "a_v",
    "a_d",
    "{a}",
    "{a}_v",
    "a:b",
    "a%2Fb",
    "a%",
    "%",
    "_",
    "a+b",
    "a b",
    "\t",
    " ",
    "'",
    "\"",
    "`",
    "\\",
    "\\\\",
    "'; DROP TABLE records; --",
    "x' OR 'a'='a",
    "$",
    "$where",
    "a.b",
    "a.$.b",
    "__proto__",
    "constructor",
    "toString",
    "users/__proto__",
    "_id",
    "_design/a",
    "_local/a",
    "ds_key",
    "null",
    "undefined",
    "0",
    "1",
    "01",
    "-1",
    "1e3",
    "\u{e9}",
    "e\u{301}",
    "ss",
    "\u{df}",
    "i",
    "\u{131}",
    "I",
    "\u{130}",
    "\u{1f600}",
    "\u{10ffff}",
    "\u{feff}a",
    "\u{200b}a",
    "\u{2028}",
    "\r\nget b",
    "get a\r\n",
    "*1\r\n$4\r\nPING\r\n",
];

/// A list of so many levels.
pub fn deep(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

/// Lists and objects in turn, of so many levels, with something beside each.
pub fn deep_and_mixed(levels: usize) -> String {
    let mut document = String::from("\"bottom\"");
    for level in 0..levels {
        document = match level % 2 {
            0 => format!("[{level},{document}]"),
            _ => format!("{{\"level\":{level},\"below\":{document}}}"),
        };
    }
    document
}

/// Any document of moderate size, as text. `exact` allows numbers of any number of digits.
pub fn any_document(exact: bool) -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i32>().prop_map(|number| number.to_string()),
        (-(1i64 << 53) + 1..(1i64 << 53)).prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("a JSON number", |number| number.is_finite()).prop_map(|number| {
            // A negative zero is a matter of `EXACT_NUMBERS`.
            format!("{:e}", number + 0.0)
        }),
    ];
    let number = if exact {
        prop_oneof![
            number,
            "-?[1-9][0-9]{0,40}(\\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?".prop_map(|number| number)
        ]
        .boxed()
    } else {
        number.boxed()
    };
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        number,
        any_text().prop_map(|text| quoted(&text)),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|elements| format!("[{}]", elements.join(","))),
            btree_map(any_name(), inner, 0..6).prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Any key, the short and troublesome ones more often.
pub fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c/_.]{1,4}",
        "[ -~]{1,20}",
        vec(any::<char>(), 1..20).prop_map(|letters| letters.into_iter().collect()),
        proptest::sample::select(KEYS).prop_map(str::to_owned),
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        any_text(),
        proptest::sample::select(
            &["_id", "$set", "a.b", "__ds", "ds_key", "ds_version", "__proto__", ""][..]
        )
        .prop_map(str::to_owned),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        vec(any::<char>(), 0..12).prop_map(|letters| letters.into_iter().collect::<String>()),
        vec(
            proptest::sample::select(&['\0', '\u{1f}', '"', '\\', '\u{7f}', '\u{2028}', '\u{10ffff}'][..]),
            0..6
        )
        .prop_map(|letters| letters.into_iter().collect::<String>()),
    ]
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
