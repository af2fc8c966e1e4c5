//! From MongoDB's document to a record, whichever connector wrote it and in whichever layout.

use mongodb::bson::{RawArray, RawBsonRef, RawDocument};

use super::layout::{Layout, ESCAPED, KEY, V1_ENVELOPE, V1_VERSION, VERSION};
use crate::core::document::Writer;
use crate::core::{check_document, Error, ErrorCode, Record};
use crate::records::classic;
use crate::records::numbers::shown;

/// The fields of a document that may be a connector's own.
#[derive(Default)]
struct Fields<'a> {
    version: Option<RawBsonRef<'a>>,
    envelope: Option<RawBsonRef<'a>>,
    v1_list: Option<RawBsonRef<'a>>,
    v2_list: Option<RawBsonRef<'a>>,
    escaped: Option<RawBsonRef<'a>>,
    /// There are fields besides.
    others: bool,
}

impl<'a> Fields<'a> {
    fn of(document: &'a RawDocument) -> Result<Fields<'a>, Error> {
        let mut fields = Fields::default();
        for element in document {
            let (name, value) = element.map_err(|_| broken())?;
            match name.as_str() {
                "_id" | KEY => {}
                VERSION => fields.version = Some(value),
                V1_ENVELOPE => fields.envelope = Some(value),
                ESCAPED => fields.escaped = Some(value),
                name if name == Layout::V1.list() => fields.v1_list = Some(value),
                name if name == Layout::V2.list() => fields.v2_list = Some(value),
                _ => fields.others = true,
            }
        }
        Ok(fields)
    }

    fn version_in(&self, layout: Layout) -> Option<i64> {
        match layout {
            Layout::V2 => integer(self.version?),
            Layout::V1 => integer(self.envelope?.as_document()?.get(V1_VERSION).ok()??),
            // Of a value there may be none.
            Layout::Classic => {
                let version = self.envelope?.as_document()?.get(V1_VERSION).ok()?;
                Some(version.and_then(integer).unwrap_or(0))
            }
        }
    }

    /// The layout that the document has, and the version. One that fits both has the one that is
    /// written here.
    fn layout(&self, preferred: Layout) -> Result<(Layout, i64), Error> {
        [preferred, preferred.other()]
            .into_iter()
            .find_map(|layout| Some((layout, self.version_in(layout)?)))
            .ok_or_else(no_version)
    }

    /// The data as text, where the document has the escape form and nothing else.
    fn escaped(&self, layout: Layout) -> Option<&'a str> {
        let is_alone = !self.others
            && self.v1_list.is_none()
            && self.v2_list.is_none()
            && match layout {
                Layout::V1 | Layout::Classic => self.version.is_none(),
                Layout::V2 => self.envelope.is_none(),
            };
        let text = self.escaped?.as_str().filter(|_| is_alone)?;
        check_document(text.as_bytes()).is_ok().then_some(text)
    }

    /// What stands beside the data where that is more than a version, or none.
    fn rest(&self) -> Option<&'a RawDocument> {
        let rest = self.envelope?.as_document()?;
        let mut members = rest.iter().flatten();
        let is_version = matches!((members.next(), members.next()), (Some((name, value)), None)
            if name.as_str() == V1_VERSION && integer(value).is_some());
        (!is_version).then_some(rest)
    }

    fn list(&self, layout: Layout) -> Option<&'a RawArray> {
        match layout {
            Layout::V1 | Layout::Classic => self.v1_list?.as_array(),
            Layout::V2 => self.v2_list?.as_array(),
        }
    }
}

/// The version of a document, of which `__ds` and `ds_version` are enough.
pub(super) fn version(document: &RawDocument, preferred: Layout) -> Result<i64, Error> {
    Ok(Fields::of(document)?.layout(preferred)?.1)
}

/// The record in a document.
pub(super) fn record(document: &RawDocument, preferred: Layout) -> Result<Record, Error> {
    let fields = Fields::of(document)?;
    let (layout, version) = fields.layout(preferred)?;
    let data = if let Some(text) = fields.escaped(layout) {
        text.as_bytes().to_vec()
    } else if let Some(list) = fields.list(layout) {
        json(Level::Array(list.into_iter()), document.as_bytes().len(), |_| true)?
    } else {
        let own = match layout {
            Layout::V1 | Layout::Classic => V1_ENVELOPE,
            Layout::V2 => VERSION,
        };
        let is_data = |name: &str| name != "_id" && name != KEY && name != own;
        json(Level::Document(document.iter()), document.as_bytes().len(), is_data)?
    };
    if let (Layout::Classic, Some(rest)) = (layout, fields.rest()) {
        return value(rest, &data);
    }
    Ok(Record { version, data: data.into() })
}

/// The record that stands for a value of the classic interface.
fn value(rest: &RawDocument, data: &[u8]) -> Result<Record, Error> {
    let mut value = json(Level::Document(rest.iter()), rest.as_bytes().len(), |_| true)?;
    value.pop();
    if value.len() > 1 {
        value.push(b',');
    }
    value.extend_from_slice(b"\"_d\":");
    value.extend_from_slice(data);
    value.push(b'}');
    Ok(classic::record_of_value(&value))
}

/// A container that is being read.
enum Level<'a> {
    Document(<&'a RawDocument as IntoIterator>::IntoIter),
    Array(<&'a RawArray as IntoIterator>::IntoIter),
}

/// Writes a container as JSON; of the members of the outermost those that `is_wanted`.
fn json(outermost: Level<'_>, bytes: usize, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::with_capacity(bytes + bytes / 4);
    match &outermost {
        Level::Document(_) => writer.object_start(),
        Level::Array(_) => writer.array_start(),
    }
    let mut open = vec![outermost];
    while let Some(level) = open.last_mut() {
        let value = match level {
            Level::Array(elements) => match elements.next() {
                Some(value) => value.map_err(|_| broken())?,
                None => {
                    writer.array_end();
                    open.pop();
                    continue;
                }
            },
            Level::Document(elements) => match elements.next() {
                Some(element) => {
                    let (name, value) = element.map_err(|_| broken())?;
                    if open.len() == 1 && !is_wanted(name.as_str()) {
                        continue;
                    }
                    writer.name(name.as_str());
                    value
                }
                None => {
                    writer.object_end();
                    open.pop();
                    continue;
                }
            },
        };
        match value {
            RawBsonRef::Document(document) => {
                writer.object_start();
                open.push(Level::Document(document.iter()));
            }
            RawBsonRef::Array(array) => {
                writer.array_start();
                open.push(Level::Array(array.into_iter()));
            }
            other => scalar(&mut writer, other)?,
        }
    }
    Ok(writer.finish())
}

/// Values that no connector writes are what `JSON.stringify` makes of them in JavaScript, as far
/// as it makes sense.
fn scalar(writer: &mut Writer, value: RawBsonRef<'_>) -> Result<(), Error> {
    match value {
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) => writer.text(text),
        RawBsonRef::Int32(number) => writer.raw(itoa::Buffer::new().format(number)),
        RawBsonRef::Int64(number) => writer.raw(itoa::Buffer::new().format(number)),
        RawBsonRef::Double(number) if number.is_finite() => writer.raw(&shown(number)),
        RawBsonRef::Boolean(value) => writer.raw(if value { "true" } else { "false" }),
        RawBsonRef::Null | RawBsonRef::Undefined | RawBsonRef::Double(_) => writer.raw("null"),
        RawBsonRef::ObjectId(id) => writer.text(&id.to_hex()),
        RawBsonRef::DateTime(time) => match time.try_to_rfc3339_string() {
            Ok(text) => writer.text(&text),
            Err(_) => writer.raw("null"),
        },
        RawBsonRef::Decimal128(number) => {
            let text = number.to_string();
            match serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok() {
                true => writer.raw(&text),
                false => writer.text(&text),
            }
        }
        other => {
            return Err(Error::new(
                ErrorCode::Corrupt,
                format!(
                    "the document holds a value of the type {:?}, which JSON does not have; change it to text or a number",
                    other.element_type()
                ),
            ))
        }
    }
    Ok(())
}

fn integer(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(i64::from(number)),
        RawBsonRef::Int64(number) => Some(number),
        // The JavaScript driver writes integers beyond 32 bits so.
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < 9.3e18 => Some(number as i64),
        _ => None,
    }
}

fn broken() -> Error {
    Error::connection("MongoDB sent a document that is no BSON")
}

fn no_version() -> Error {
    Error::new(
        ErrorCode::Corrupt,
        "the document is no record: it has neither a number in ds_version nor one in __ds._v; set one, or remove the document",
    )
}
