//! Where a connection's configuration comes from, and what becomes of it before the library gets it.

mod deepstream;
mod flags;
mod masked;
mod named;
mod secrets;
mod source;
mod yaml;

pub use flags::{one, refuse_secrets, spec};
pub use masked::masked;
pub use source::Target;
