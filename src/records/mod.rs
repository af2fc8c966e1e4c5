//! How records are laid out, where several databases share it.
//!
//! | file | what is in it |
//! |---|---|
//! | `classic.rs` | values of the classic interface that are no version and data |
//! | `envelope.rs` | version and data in one JSON text |
//! | `naming.rs` | a key in two parts: collection and id |
//! | `tables.rs` | a table for each collection, in SQL |
//! | `paging.rs` | pages of all records, table by table |
//! | `prefix.rs` | keys that begin with something |
//! | `omissions.rs` | what listings leave out |
//! | `locks.rs` | in which tables somebody else's locks were met |
//! | `hash.rs` | names that a database cannot take as they are |
//! | `members.rs` | an object's members, and whether it has a name twice |
//! | `numbers.rs` | whether a number comes back with its value |

// What backends share is not all of use where some of them are left out.
#![cfg_attr(not(feature = "full"), allow(dead_code))]

#[cfg(any(feature = "envelope", feature = "documents"))]
pub(crate) mod classic;
#[cfg(feature = "envelope")]
pub(crate) mod envelope;
#[cfg(feature = "hash")]
pub(crate) mod hash;
#[cfg(feature = "pool")]
pub(crate) mod locks;
#[cfg(feature = "documents")]
pub(crate) mod members;
#[cfg(feature = "naming")]
pub(crate) mod naming;
#[cfg(feature = "documents")]
pub(crate) mod numbers;
#[cfg(feature = "paging")]
pub(crate) mod omissions;
#[cfg(feature = "paging")]
pub(crate) mod paging;
#[cfg(feature = "paging")]
pub(crate) mod prefix;
#[cfg(feature = "tables")]
pub(crate) mod tables;
