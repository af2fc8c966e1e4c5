//! The promises, each a function with the promise's name. None knows the engine: they see what the
//! host was told and what the servers were asked.

pub mod deadlines;
pub mod endings;
pub mod fairness;
pub mod hangs;
pub mod isolation;
pub mod limits;
pub mod order;
pub mod outages;
