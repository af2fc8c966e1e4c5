//! From a record to MongoDB's document.
//!
//! An object's members become fields, a list one field. What would not come back equal so has
//! the escape form, the data as text in the field `ds_json`: a document that is a string, number,
//! flag or null; a number that none of MongoDB's types holds exactly; half of a surrogate pair;
//! names with `.` or NUL, with `$` in front, twice in an object, or among the fields of our own;
//! more levels than MongoDB has; and a document that is small enough as text alone.

use std::borrow::Cow;

use super::bson::Writer;
use super::layout::{Layout, ESCAPED, KEY, RESERVED, V1_ENVELOPE, V1_VERSION, VERSION};
use super::number::Number;
use crate::core::document::{tokens, unescape, Token};
use crate::core::{Error, ErrorCode, Record};
use crate::records::classic;
use crate::records::members::MemberNames;

/// MongoDB's limit for a document.
pub(super) const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// MongoDB's limit for levels in a document, the document itself included.
const MAX_LEVELS: usize = 100;

/// The data do not fit into fields; they may as text.
struct Unfit;

/// Writes a record's document into the writer's open container, as the element `name`.
///
/// # Errors
/// It is larger than MongoDB can hold; nothing is written then that counts.
pub(super) fn document(
    writer: &mut Writer,
    name: &str,
    id: &str,
    record: &Record,
    layout: Layout,
) -> Result<(), Error> {
    writer.document(name);
    let (start, depth) = (writer.len(), writer.depth());
    if layout == Layout::Classic && value(writer, id, record).is_ok() {
        return fits(writer, start);
    }
    writer.rewind(start, depth);
    if fields(writer, &record.data, layout).is_err() {
        writer.rewind(start, depth);
        // Data are UTF-8 whenever they come here.
        writer.text(ESCAPED, std::str::from_utf8(&record.data).unwrap_or_default());
    }
    writer.text(KEY, id);
    match layout {
        Layout::V2 => writer.integer(VERSION, record.version),
        Layout::V1 | Layout::Classic => {
            writer.document(V1_ENVELOPE);
            writer.integer(V1_VERSION, record.version);
            writer.end();
        }
    }
    writer.end();
    fits(writer, start)
}

/// A value of the classic interface as its connector stored it.
fn value(writer: &mut Writer, id: &str, record: &Record) -> Result<(), Unfit> {
    let value = classic::value(&record.data).ok_or(Unfit)?;
    let (data, rest) = classic::parts(&value).ok_or(Unfit)?;
    fields(writer, &data, Layout::Classic)?;
    writer.text(KEY, id);
    writer.document(V1_ENVELOPE);
    fields(writer, &rest, Layout::Classic)?;
    writer.end();
    writer.end();
    Ok(())
}

fn fits(writer: &Writer, start: usize) -> Result<(), Error> {
    // The length itself was before `start`.
    let bytes = writer.len() - start + 4;
    if bytes > MAX_DOCUMENT_BYTES {
        return Err(too_large(bytes));
    }
    Ok(())
}

pub(super) fn too_large(bytes: usize) -> Error {
    Error::new(
        ErrorCode::TooLarge,
        format!(
            "the record takes {bytes} bytes as a document of MongoDB, its key included; at most {MAX_DOCUMENT_BYTES} are possible"
        ),
    )
}

/// A container of the data that is open.
enum Open<'a> {
    Array {
        next: usize,
    },
    /// With the name of the member whose value is next.
    Object {
        name: Cow<'a, str>,
    },
}

fn fields(writer: &mut Writer, data: &[u8], layout: Layout) -> Result<(), Unfit> {
    let start = writer.len();
    let base = writer.depth() - 1;
    let mut pieces = tokens(data);
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut names = MemberNames::default();
    match pieces.next() {
        Some(Token::ObjectStart) => {
            names.open();
            open.push(Open::Object { name: Cow::Borrowed("") });
        }
        Some(Token::ArrayStart) => {
            writer.array(layout.list());
            open.push(Open::Array { next: 0 });
        }
        _ => return Err(Unfit),
    }
    let mut digits = itoa::Buffer::new();
    for token in pieces {
        let is_top = open.len() == 1;
        let Some(container) = open.last_mut() else { break };
        let name = match token {
            Token::Name(raw) => {
                let Open::Object { name } = container else { return Err(Unfit) };
                *name = unescape(raw).map_err(|_| Unfit)?;
                if !is_field(name) || (is_top && RESERVED.contains(&&**name)) {
                    return Err(Unfit);
                }
                names.add(name.clone());
                continue;
            }
            Token::ObjectEnd | Token::ArrayEnd => {
                if matches!(container, Open::Object { .. }) && !names.close() {
                    return Err(Unfit);
                }
                // The outermost object is the document itself, and the caller's.
                if !is_top || matches!(container, Open::Array { .. }) {
                    writer.end();
                }
                open.pop();
                continue;
            }
            _ => match container {
                Open::Array { next } => {
                    *next += 1;
                    digits.format(*next - 1)
                }
                Open::Object { name } => &**name,
            },
        };
        match token {
            Token::ObjectStart => writer.document(name),
            Token::ArrayStart => writer.array(name),
            Token::Text(raw) => writer.text(name, &unescape(raw).map_err(|_| Unfit)?),
            Token::Number(number) => match Number::exact(number).ok_or(Unfit)? {
                Number::Int32(number) => writer.int32(name, number),
                Number::Int64(number) => writer.int64(name, number),
                Number::Double(number) => writer.double(name, number),
            },
            Token::Bool(value) => writer.bool(name, value),
            Token::Null => writer.null(name),
            Token::Name(_) | Token::ObjectEnd | Token::ArrayEnd => {}
        }
        match token {
            Token::ObjectStart => {
                names.open();
                open.push(Open::Object { name: Cow::Borrowed("") });
            }
            Token::ArrayStart => open.push(Open::Array { next: 0 }),
            _ => {}
        }
        if writer.depth() - base > MAX_LEVELS || writer.len() - start > MAX_DOCUMENT_BYTES {
            return Err(Unfit);
        }
    }
    Ok(())
}

/// Whether a query can reach a field of this name, and MongoDB takes it on all levels.
fn is_field(name: &str) -> bool {
    !name.starts_with('$') && !name.contains(['.', '\0'])
}
