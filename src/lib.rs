//! Connects any host to any cache or database through one small, error-first interface.
//!
//! Rust hosts use [`Connector`]; C, C++ and Python hosts the functions of
//! `include/deepstream_connector.h`; Node.js hosts the addon in `bindings/node`. A connector is
//! made from one JSON object, which is the same for all of them; see `docs/options.md` for its options.

#![deny(unsafe_code)]

pub mod backends;
#[cfg(feature = "capi")]
#[allow(unsafe_code)]
pub mod capi;
pub mod config;
mod connector;
pub mod core;
mod net;
mod records;
mod sync;

pub use connector::{Connector, Events, Handle};

/// The programs in Rust on these pages are tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../docs/languages.md")]
    struct Languages;
}
