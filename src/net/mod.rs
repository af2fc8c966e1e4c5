//! Sockets for every backend that dials its servers itself: what is true of all connections stands here once.
//!
//! | file | what is in it |
//! |---|---|
//! | `stream.rs` | one connection, with or without TLS |
//! | `socket.rs` | the TCP socket below it, which forgets what was given up |
//! | `traffic.rs` | how many bytes move, which tells slow from hanging |
//! | `renewal.rs` | connections that end while nothing is asked of them |
//! | `dial.rs` | connecting to a name with all its addresses |
//! | `tls.rs` | TLS by rustls with ring, and its options |
//! | `der.rs` | what certificates and public keys are written in |
//! | `pipeline.rs` | many batches on one connection, for protocols that we speak ourselves |
//! | `pool.rs` | sessions that batches take turns with |
//! | `fleet.rs` | several servers behind one connection |
//! | `notices.rs` | when the host hears that one of them is away or back |
//! | `http/` | what backends with an HTTP interface share |

// What backends share is not all of use where some of them are left out.
#![cfg_attr(not(feature = "full"), allow(dead_code))]

#[cfg(feature = "der")]
pub(crate) mod der;
#[cfg(feature = "tls")]
mod dial;
#[cfg(feature = "fleet")]
pub(crate) mod fleet;
#[cfg(feature = "http")]
pub(crate) mod http;
#[cfg(feature = "fleet")]
mod notices;
#[cfg(feature = "pipeline")]
pub(crate) mod pipeline;
#[cfg(feature = "pool")]
pub(crate) mod pool;
#[cfg(feature = "tls")]
pub(crate) mod renewal;
#[cfg(feature = "tls")]
mod socket;
#[cfg(feature = "tls")]
pub(crate) mod stream;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "tls")]
pub(crate) mod traffic;
