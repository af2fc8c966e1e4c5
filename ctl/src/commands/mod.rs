//! What each command does.

mod bench;
mod check;
mod copy;
mod diff;
mod export;
mod generate;
mod import;
mod list;
mod ping;
mod records;
mod stats;

pub use bench::bench;
pub use check::check_config;
pub use copy::copy;
pub use diff::diff;
pub use export::export;
pub use generate::{completions, man};
pub use import::import;
pub use list::list;
pub use ping::ping;
pub use records::{delete, get, head, set};
pub use stats::stats;
