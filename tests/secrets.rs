//! Secrets: passwords that change while the connector runs.

pub mod rotation;
