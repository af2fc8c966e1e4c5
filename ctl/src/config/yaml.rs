//! YAML as JSON values.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Number, Value};

use crate::failure::Failure;

/// More nesting than any configuration has.
const DEEPEST: usize = 100;

/// Reads one document. An error tells the line alone, since the text may hold passwords.
pub fn read(text: &str) -> Result<Value, Failure> {
    let documents = Yaml::load_from_str(text)
        .map_err(|error| Failure::wrong(format!("no YAML at line {}; correct it", error.marker().line())))?;
    match documents.as_slice() {
        [] => Ok(Value::Null),
        [document] => value(document, DEEPEST),
        _ => Err(Failure::wrong("there is more than one YAML document; leave one")),
    }
}

fn value(yaml: &Yaml<'_>, depth: usize) -> Result<Value, Failure> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Failure::wrong("the YAML is nested too deeply"));
    };
    Ok(match yaml {
        Yaml::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(flag) => Value::Bool(*flag),
            Scalar::Integer(number) => Value::from(*number),
            Scalar::FloatingPoint(number) => {
                Number::from_f64(number.into_inner()).map_or(Value::Null, Value::Number)
            }
            Scalar::String(text) => Value::from(text.as_ref()),
        },
        Yaml::Representation(text, ..) => Value::from(text.as_ref()),
        Yaml::Sequence(items) => {
            Value::Array(items.iter().map(|item| value(item, depth)).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(members) => {
            let mut object = Map::new();
            let mut merged = Map::new();
            for (name, member) in members {
                let member = value(member, depth)?;
                match (value(name, depth)?, member) {
                    // Members of another mapping, which the mapping's own replace.
                    (Value::String(name), Value::Object(others)) if name == "<<" => merged.extend(others),
                    (Value::String(name), member) => drop(object.insert(name, member)),
                    (Value::Null, _) => return Err(Failure::wrong("a name in the YAML is empty")),
                    (name, member) => drop(object.insert(name.to_string(), member)),
                }
            }
            merged.extend(object);
            Value::Object(merged)
        }
        Yaml::Tagged(_, inner) => value(inner, depth)?,
        Yaml::Alias(_) | Yaml::BadValue => {
            return Err(Failure::wrong("an alias or a tag in the YAML means nothing; write the value out"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_configurations_are_made_of_is_read() {
        let text = "base: &base\n  port: 1\n  host: a\nother:\n  <<: *base\n  host: b # a comment\nlist: [1, 'two', ~, true]\n";
        let read = read(text).unwrap();
        assert_eq!(read["other"], json!({"port": 1, "host": "b"}));
        assert_eq!(read["list"], json!([1, "two", null, true]));
    }

    #[test]
    fn an_error_tells_the_line_and_no_text() {
        let failure = read("a: 1\npassword: \"hunter2\n").unwrap_err();
        assert!(failure.message.contains("line") && !failure.message.contains("hunter2"), "{failure}");
    }
}
