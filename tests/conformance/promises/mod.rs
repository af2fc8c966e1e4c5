//! The promises, by theme. Each is one function over a [`Stage`], named for what it holds.

use crate::host::Features;
use crate::stage::Stage;

mod bulk;
mod configuration;
mod connection;
mod deadlines;
mod endings;
mod faults;
mod limits;
mod model;
mod order;
mod outages;
mod questions;
mod records;
mod reports;

/// A named promise.
pub struct Promise {
    pub name: &'static str,
    pub run: fn(&mut Stage),
    pub scope: Scope,
    pub needs: &'static [Need],
}

/// For which backends a promise can be tested: see `BackendKind::scopes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For all that are part of the library.
    Every,
    /// For those where records outlive connectors.
    Kept,
    /// For those whose server can be hurt; the promise has it alone.
    Server,
    /// The same, and what it acknowledged survives.
    Crash,
    /// For those that are reached through a network that can be spoiled.
    Network,
    /// For those that refuse wrong credentials; the promise has them.
    Credentials,
    /// For storages, which can list their records. The place holds the promise's alone.
    Listed,
    /// For caches, which cannot.
    Unlisted,
    /// For the misbehaving backend alone.
    Faulty,
}

/// What a promise needs of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    GetMany,
    SetMany,
    DeleteMany,
    HeadMany,
    Head,
    /// A deadline for a single operation.
    Timeout,
    Free,
    /// Keys and data that are no text.
    Bytes,
    /// Documents are handed over as text, with every digit of their numbers.
    Exact,
    AfterClose,
    /// More operations than a host under a microscope gets done.
    Speed,
    /// A host program of its own.
    Process,
}

impl Need {
    pub fn is_met_by(self, features: &Features) -> bool {
        match self {
            Need::GetMany => features.get_many,
            Need::SetMany => features.set_many,
            Need::DeleteMany => features.delete_many,
            Need::HeadMany => features.head_many,
            Need::Head => features.head,
            Need::Timeout => features.timeout,
            Need::Free => features.free,
            Need::Bytes => features.bytes,
            Need::Exact => features.exact,
            Need::AfterClose => features.after_close,
            // The suite sees to these.
            Need::Speed | Need::Process => true,
        }
    }
}

impl Promise {
    const fn needs(self, needs: &'static [Need]) -> Promise {
        Promise { needs, ..self }
    }

    const fn scope(self, scope: Scope) -> Promise {
        Promise { scope, ..self }
    }
}

/// A promise by the name of its function.
macro_rules! promise {
    ($name:ident) => {
        $crate::promises::Promise {
            name: stringify!($name),
            run: $name,
            scope: $crate::promises::Scope::Every,
            needs: &[],
        }
    };
}
use promise;

/// Every promise.
pub fn all() -> impl Iterator<Item = &'static Promise> {
    [
        records::PROMISES,
        bulk::PROMISES,
        order::PROMISES,
        configuration::PROMISES,
        reports::PROMISES,
        limits::PROMISES,
        deadlines::PROMISES,
        connection::PROMISES,
        endings::PROMISES,
        faults::PROMISES,
        model::PROMISES,
        outages::PROMISES,
        questions::PROMISES,
    ]
    .into_iter()
    .flatten()
}
