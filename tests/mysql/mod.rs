//! What is special to MySQL and MariaDB: tables that a person can query, logins, TLS, limits of
//! the server, and what other programs at the same database do. All of it on both, as far as
//! they have it.

pub mod answers;
mod databases;
pub mod faults;
pub mod layout;
pub mod limits;
pub mod logins;
mod stand_in;
