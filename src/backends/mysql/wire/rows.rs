//! Rows of an answer in the binary form, which prepared statements have.

use bytes::Bytes;

use super::bytes::{nonsense, Reader};
use crate::core::Error;

/// Of a column as much as it takes to read its values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    kind: u8,
    unsigned: bool,
}

/// Values of one row, in the order of the statement.
pub(in crate::backends::mysql) type Row = Vec<Value>;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::backends::mysql) enum Value {
    Null,
    Integer(i64),
    /// Text, or bytes.
    Bytes(Bytes),
    /// What no column of ours has, such as a date.
    Other,
}

mod kind {
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
}

const UNSIGNED: u16 = 32;

impl Column {
    /// Reads a column's definition.
    pub fn read(packet: Bytes) -> Result<Column, Error> {
        let mut reader = Reader::new(packet);
        // Catalog, schema, table and name, the latter two in two forms.
        for _ in 0..6 {
            reader.text()?;
        }
        // How long the rest is, the character set, the width.
        reader.length()?;
        reader.u16()?;
        reader.u32()?;
        let kind = reader.byte()?;
        Ok(Column { kind, unsigned: reader.u16()? & UNSIGNED != 0 })
    }
}

/// Reads a row.
pub(super) fn read(packet: Bytes, columns: &[Column]) -> Result<Row, Error> {
    let mut reader = Reader::new(packet);
    if reader.byte()? != 0 {
        return Err(nonsense());
    }
    // Two bits are reserved at the front of those that say what is NULL.
    let nulls = reader.take((columns.len() + 2).div_ceil(8))?;
    let is_null = |index: usize| nulls[(index + 2) / 8] & (1 << ((index + 2) % 8)) != 0;
    columns
        .iter()
        .enumerate()
        .map(|(index, column)| match is_null(index) {
            true => Ok(Value::Null),
            false => value(&mut reader, *column),
        })
        .collect()
}

fn value(reader: &mut Reader, column: Column) -> Result<Value, Error> {
    Ok(match column.kind {
        kind::TINY if column.unsigned => Value::Integer(reader.byte()?.into()),
        kind::TINY => Value::Integer(reader.byte()?.cast_signed().into()),
        kind::SHORT | kind::YEAR if column.unsigned => Value::Integer(reader.u16()?.into()),
        kind::SHORT | kind::YEAR => Value::Integer(reader.u16()?.cast_signed().into()),
        kind::LONG | kind::INT24 if column.unsigned => Value::Integer(reader.u32()?.into()),
        kind::LONG | kind::INT24 => Value::Integer(reader.u32()?.cast_signed().into()),
        kind::LONGLONG => {
            let number = reader.u64()?;
            match column.unsigned {
                true => i64::try_from(number).map_or(Value::Other, Value::Integer),
                false => Value::Integer(number.cast_signed()),
            }
        }
        kind::FLOAT => reader.take(4).map(|_| Value::Other)?,
        kind::DOUBLE => reader.take(8).map(|_| Value::Other)?,
        kind::DATE | kind::TIME | kind::DATETIME | kind::TIMESTAMP => {
            let length = reader.byte()?;
            reader.take(length.into()).map(|_| Value::Other)?
        }
        _ => Value::Bytes(reader.text()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn column(kind: u8, unsigned: bool) -> Column {
        Column { kind, unsigned }
    }

    #[test]
    fn values_follow_the_bits_of_those_that_are_null() {
        let columns =
            [column(253, false), column(kind::LONGLONG, false), column(252, false), column(252, false)];
        let mut packet = vec![0, 0b0010_0000];
        packet.extend_from_slice(b"\x02ab");
        packet.extend_from_slice(&(-7i64).to_le_bytes());
        packet.extend_from_slice(b"\x02{}");
        let row = read(packet.into(), &columns).unwrap();
        let bytes = |text: &'static str| Value::Bytes(text.into());
        assert_eq!(row, [bytes("ab"), Value::Integer(-7), bytes("{}"), Value::Null]);
    }

    #[test]
    fn integers_of_every_width_are_read() {
        for (kind, bytes, signed, unsigned) in [
            (kind::TINY, vec![0xff], -1, Some(255)),
            (kind::SHORT, vec![0xff; 2], -1, Some(65_535)),
            (kind::LONG, vec![0xff; 4], -1, Some(4_294_967_295)),
            (kind::LONGLONG, vec![0xff; 8], -1, None),
        ] {
            let row = |unsigned| {
                read([vec![0, 0], bytes.clone()].concat().into(), &[column(kind, unsigned)]).unwrap()
            };
            assert_eq!(row(false), [Value::Integer(signed)]);
            assert_eq!(row(true), [unsigned.map_or(Value::Other, Value::Integer)]);
        }
    }

    proptest! {
        #[test]
        fn nothing_a_server_sends_is_a_panic(packet in any::<Vec<u8>>(), kinds in any::<Vec<(u8, bool)>>()) {
            let _ = Column::read(packet.clone().into());
            let columns: Vec<Column> = kinds.into_iter().map(|(kind, unsigned)| column(kind, unsigned)).collect();
            let _ = read(packet.into(), &columns);
        }
    }
}
