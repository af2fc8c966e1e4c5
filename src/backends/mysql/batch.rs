//! What batches of reads and of writes have in common.

use super::failure::{self, code};
use super::statements::{self, Dialect};
use super::tables::Tables;
use super::wire::{Failure, Parameter, Session, Statement};
use super::writability::Writability;
use crate::core::{Error, ErrorCode, Remedy};
use crate::records::locks::Locks;

/// Room in a packet for all but the values.
pub(super) const OVERHEAD: usize = 64;

/// The results of a batch, each in its key's place.
pub(super) type Results<T> = Vec<Result<T, Error>>;

/// What is known of the server and of its tables.
pub(super) struct Context {
    pub tables: Tables,
    pub dialect: Dialect,
    /// The server's `max_allowed_packet`.
    pub largest_packet: usize,
    pub locks: Locks,
    pub writability: Writability,
}

impl Context {
    /// What a failure means, after what it asks of the statements that are prepared.
    pub fn explain(&self, session: &mut Session, failure: Failure, text: &str) -> Error {
        if let Failure::Refused(refusal) = &failure {
            match refusal.code {
                code::UNKNOWN_STATEMENT | code::PREPARE_AGAIN => session.forget(text),
                code::TOO_MANY_STATEMENTS => session.forget_all(),
                _ => {}
            }
        }
        failure::of_operation(failure, self.dialect)
    }

    pub fn too_large(&self, size: usize) -> Error {
        Error::new(
            ErrorCode::TooLarge,
            format!(
                "the record takes about {size} bytes, and the server's max_allowed_packet is {}; raise that",
                self.largest_packet
            ),
        )
    }

    /// Parts of a list that each fit into a packet, as far as one item does.
    pub fn in_parts<'a, T>(
        &self,
        items: &'a [T],
        size: impl Fn(&T) -> usize,
    ) -> impl Iterator<Item = &'a [T]> {
        in_parts(items, self.largest_packet, size)
    }
}

/// Notes one result for some keys. An error that ends the connection ends the batch.
pub(super) fn note<T: Clone>(
    results: &mut Results<T>,
    places: impl IntoIterator<Item = usize>,
    result: Result<T, Error>,
) -> Result<(), Error> {
    if let Err(error) = &result {
        if error.remedy() == Remedy::Reconnect {
            return Err(error.clone());
        }
    }
    for place in places {
        results[place] = result.clone();
    }
    Ok(())
}

fn in_parts<T>(items: &[T], largest_packet: usize, size: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let room = largest_packet.saturating_sub(OVERHEAD);
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut total = 0;
        let fitting = rest.iter().take_while(|item| {
            total += size(item);
            total <= room
        });
        let count = fitting.count().max(1).min(rest.len());
        let (part, after) = rest.split_at(count);
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// How many bytes an id takes in a packet, about.
pub(super) fn size_of_id(id: &str) -> usize {
    id.len() + 16
}

/// A statement with a text parameter for each item, filled up with the last one to a size that
/// is often used.
pub(super) fn filled<'a, T>(
    items: &'a [T],
    value: impl Fn(&'a T) -> &'a [u8],
    text: impl Fn(usize) -> String,
) -> Statement<'a> {
    let mut parameters: Vec<Parameter<'a>> = items.iter().map(|item| Parameter::Text(value(item))).collect();
    let count = statements::size_class(parameters.len());
    if let Some(last) = parameters.last().copied() {
        parameters.resize(count, last);
    }
    Statement { text: text(count), parameters }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_fit_and_are_the_whole(sizes in prop::collection::vec(0usize..2_000, 0..50)) {
            let parts: Vec<&[usize]> = in_parts(&sizes, 1_000, |size| *size).collect();
            prop_assert_eq!(&parts.concat(), &sizes);
            for part in parts {
                prop_assert!(part.len() == 1 || part.iter().sum::<usize>() + OVERHEAD <= 1_000);
            }
        }
    }
}
