//! The MySQL protocol, as far as it is needed here: a login, statements, and their answers.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>; MariaDB speaks the
//! same, <https://mariadb.com/docs/server/reference/clientserver-protocol>.

mod answer;
mod auth;
mod bytes;
mod handshake;
mod packets;
mod rows;
mod session;

pub(super) use self::answer::{Failure, Refusal};
pub(super) use self::handshake::{Login, Protection};
pub(super) use self::rows::{Row, Value};
pub(super) use self::session::{Parameter, Session, Statement};
