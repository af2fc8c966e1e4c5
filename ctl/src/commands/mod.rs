//! What each command does.

mod check;
mod export;
mod import;
mod list;
mod ping;
mod records;
mod stats;

pub use check::check_config;
pub use export::export;
pub use import::import;
pub use list::list;
pub use ping::ping;
pub use records::{delete, get, head, set};
pub use stats::stats;
