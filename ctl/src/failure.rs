//! How the program ends: its exit codes, and what it says where it fails.

use std::fmt;
use std::io;

use deepstream_connector::core::{Error, ErrorCode};

/// An exit code; `docs/connectorctl.md` tells what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// It is done, and the answer is no: no such record, a difference, a record that was rejected.
    No = 1,
    /// It failed: the server, the network, a file.
    Failed = 2,
    /// The command line or the configuration is wrong; trying again will not help.
    Wrong = 3,
}

/// Why a command failed: one sentence for a person that holds no secret and no document.
#[derive(Clone, Debug)]
pub struct Failure {
    pub exit: Exit,
    /// The library's name for it, where it has one, such as `TIMEOUT`.
    pub code: &'static str,
    pub message: String,
}

impl Failure {
    /// Something that a person has to correct first.
    pub fn wrong(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Wrong, code: "CONFIGURATION", message: message.into() }
    }

    /// A failure that may pass.
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Failed, code: "FAILED", message: message.into() }
    }

    /// A file that cannot be read or written.
    pub fn file(name: &str, error: &io::Error) -> Failure {
        Failure::failed(format!("{name}: {error}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let exit = match error.code() {
            ErrorCode::Configuration | ErrorCode::Authentication | ErrorCode::InvalidArgument => Exit::Wrong,
            ErrorCode::Unsupported => Exit::Wrong,
            _ => Exit::Failed,
        };
        Failure { exit, code: error.code().name(), message: error.message().to_owned() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
