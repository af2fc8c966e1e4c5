//! The promises, by theme. Each is one function over a [`Stage`], named for what it holds.

use crate::conformance::host::Features;
use crate::conformance::stage::Stage;
use crate::harness::Class;

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
mod values;

/// A named promise.
pub struct Promise {
    pub name: &'static str,
    pub run: fn(&mut Stage),
    pub scope: Scope,
    pub needs: &'static [Need],
    /// Whether it is held by every language against every backend.
    pub handful: bool,
    /// Whether it is of the classic interface: held there, with every backend, and nowhere else.
    pub classic: bool,
    /// What it needs of the machine, if that does not follow from its scope.
    class: Option<Class>,
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

impl Scope {
    pub const ALL: &[Scope] = &[
        Scope::Every,
        Scope::Kept,
        Scope::Server,
        Scope::Crash,
        Scope::Network,
        Scope::Credentials,
        Scope::Listed,
        Scope::Unlisted,
        Scope::Faulty,
    ];

    /// What its promises are about, for people.
    pub fn label(self) -> &'static str {
        match self {
            Scope::Every => "every backend",
            Scope::Kept => "records that outlive connectors",
            Scope::Server => "a server that dies or hangs",
            Scope::Crash => "crashes that lose nothing",
            Scope::Network => "a network that is spoiled",
            Scope::Credentials => "logins",
            Scope::Listed => "listing all records",
            Scope::Unlisted => "caches, which cannot list",
            Scope::Faulty => "the engine, by a backend that misbehaves",
        }
    }
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

    const fn handful(self) -> Promise {
        Promise { handful: true, ..self }
    }

    const fn classic(self) -> Promise {
        Promise { classic: true, ..self }
    }

    const fn needing(self, class: Class) -> Promise {
        Promise { class: Some(class), ..self }
    }

    /// What it needs of the machine. Promises about outages and deadlines wait most of the time.
    pub fn class(&self) -> Class {
        self.class.unwrap_or(match self.scope {
            Scope::Server | Scope::Network | Scope::Credentials | Scope::Faulty => Class::Waits,
            Scope::Every | Scope::Kept | Scope::Crash | Scope::Listed | Scope::Unlisted => Class::Works,
        })
    }
}

/// A promise by the name of its function.
macro_rules! promise {
    ($name:ident) => {
        $crate::conformance::promises::Promise {
            name: stringify!($name),
            run: $name,
            scope: $crate::conformance::promises::Scope::Every,
            needs: &[],
            handful: false,
            classic: false,
            class: None,
        }
    };
}
use promise;

/// Every promise.
pub fn all() -> impl Iterator<Item = &'static Promise> {
    [
        records::PROMISES,
        values::PROMISES,
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
