//! What the driver and the server report, in words: what happened and what to do about it.
//!
//! The server's own texts are not repeated: some of them hold the whole command, and with it
//! records.

use mongodb::error::{CommandError, Error as DriverError, ErrorKind, RETRYABLE_WRITE_ERROR as RETRYABLE};
use tokio_rustls::rustls;

use crate::config::wrong;
use crate::core::{name_of_error, Error, ErrorCode, Remedy};

/// What befell a batch, or an attempt to connect.
pub(super) fn of_driver(error: &DriverError) -> Error {
    match &*error.kind {
        ErrorKind::Authentication { .. } => login_refused(),
        ErrorKind::Command(CommandError { code, code_name, .. }) => {
            let meaning = of_code(*code, code_name);
            // What a server says of an error that is not known here.
            match meaning.remedy() == Remedy::Report && error.contains_label(RETRYABLE) {
                true => {
                    let words = format!("MongoDB refuses for the moment (code {code})");
                    Error::transient(ErrorCode::Unavailable, words).of_server()
                }
                false => meaning,
            }
        }
        ErrorKind::Io(error) => of_io(error),
        ErrorKind::InvalidTlsConfig { .. } => wrong(
            "the options of TLS are of no use; look after the files that \"tls.ca\" and \"tls.cert\" name, or tlsCAFile and tlsCertificateKeyFile in \"url\", in PEM form",
        ),
        ErrorKind::ServerSelection { .. } => Error::connection("no server of MongoDB can be used at the moment"),
        ErrorKind::ConnectionPoolCleared { .. } => Error::connection("the connections to MongoDB were lost"),
        ErrorKind::DnsResolve { .. } => {
            Error::connection("the host in \"url\" is not known to the name service")
        }
        ErrorKind::IncompatibleServer { .. } => {
            wrong("this version of MongoDB is too old for the driver; use 4.2 or later")
        }
        ErrorKind::InvalidArgument { .. } => {
            Error::new(ErrorCode::Backend, "the driver refuses the operation as impossible")
        }
        ErrorKind::Shutdown => Error::connection("the driver was shut down"),
        _ => Error::connection("MongoDB answered what it must not"),
    }
}

fn of_io(error: &std::io::Error) -> Error {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return Error::connection(format!("the network failed: {}", error.kind()));
    };
    match cause {
        rustls::Error::InvalidCertificate(reason) => wrong(format!(
            "the server's certificate is not to be trusted ({reason}); see \"tls.ca\", or tlsCAFile, and the host in \"url\""
        )),
        rustls::Error::AlertReceived(
            rustls::AlertDescription::CertificateRequired
            | rustls::AlertDescription::BadCertificate
            | rustls::AlertDescription::CertificateUnknown
            | rustls::AlertDescription::UnknownCA,
        ) => wrong(
            "the server wants a client certificate that it trusts; see \"tls.cert\", or tlsCertificateKeyFile in \"url\"",
        ),
        rustls::Error::InvalidMessage(_) => {
            Error::connection("the server does not speak TLS on this port; see tls in \"url\"")
        }
        other => Error::connection(format!("TLS failed: {other}")),
    }
}

fn login_refused() -> Error {
    Error::new(
        ErrorCode::Authentication,
        "MongoDB refuses the login; see user, password, authSource and authMechanism in \"url\"",
    )
}

/// The server wants somebody else: for the attempt to connect.
pub(super) fn is_unauthorized(error: &DriverError) -> bool {
    matches!(&*error.kind, ErrorKind::Command(CommandError { code: 13, .. }))
}

/// May not even read.
pub(super) fn may_not_read() -> Error {
    Error::new(
        ErrorCode::Authentication,
        "MongoDB wants a login that may read and write the database; see user, password and authSource in \"url\", and the roles of the user",
    )
}

/// What a code of the server's means: for a command, one of its statements, or its write concern.
/// See MongoDB's `error_codes.yml`.
pub(super) fn of_code(code: i32, name: &str) -> Error {
    match code {
        18 => login_refused(),
        // A first write of somebody else, at the same time: the next attempt finds its document.
        11000 => Error::transient(ErrorCode::Backend, "somebody else wrote the record for the first time"),
        10334 | 17419 | 17420 => Error::new(
            ErrorCode::TooLarge,
            "the record is larger than a document of MongoDB can be (16777216 bytes)",
        ),
        13 => Error::new(
            ErrorCode::Backend,
            "MongoDB does not allow this user to do it; give it the role readWrite on the database",
        ),
        121 => Error::new(
            ErrorCode::Backend,
            "a validator that somebody added to the record's collection refuses the document",
        ),
        64 => Error::transient(
            ErrorCode::Unavailable,
            "too few members of the replica set have the write within wtimeoutMS; see w in \"url\"",
        ),
        // Its primary has the write.
        100 => Error::new(ErrorCode::Backend, "the replica set has fewer members than w in \"url\" demands")
            .maybe_applied(),
        // Conflicts, locks, time limits, and a service that is asked too much.
        24 | 46 | 50 | 112 | 202 | 262 | 16500 | 50915 => {
            Error::transient(ErrorCode::Unavailable, "MongoDB is busy with something that is in the way")
        }
        // A cursor that is gone, a plan or an operation that somebody ended: to be asked again.
        43 | 175 | 237 | 11601 => {
            Error::transient(ErrorCode::Unavailable, format!("MongoDB ended the operation (code {code})"))
        }
        // No member to read from, or none yet that knows what the majority has.
        133 | 134 => {
            let words = format!("no member of the replica set can be read from as \"url\" demands (code {code})");
            Error::transient(ErrorCode::Unavailable, words).of_server()
        }
        // Amazon DocumentDB.
        301 => Error::new(
            ErrorCode::Configuration,
            "the service has no retryable writes, as Amazon DocumentDB has not; add retryWrites=false to \"url\"",
        ),
        // No primary (any more), shutting down, network trouble among the servers; and a command
        // that a later one of its lane has overtaken, which only one that was given up can be.
        6 | 7 | 89 | 91 | 189 | 225 | 9001 | 10058 | 10107 | 11600 | 11602 | 13388 | 13435 | 13436 => {
            Error::connection(format!("the server does not take operations any more (code {code})"))
        }
        _ => {
            let name = name_of_error(name).map(|name| format!(" ({name})")).unwrap_or_default();
            Error::new(ErrorCode::Backend, format!("MongoDB refuses it with code {code}{name}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_asked_again_and_what_does_not_is_told() {
        for code in [43, 112, 175, 237, 11601] {
            let error = of_code(code, "");
            assert_eq!((error.remedy(), error.is_of_server()), (Remedy::TryAgain, false), "{code}");
        }
        for code in [133, 134] {
            let error = of_code(code, "");
            assert_eq!((error.remedy(), error.is_of_server()), (Remedy::TryAgain, true), "{code}");
        }
        assert_eq!(of_code(10107, "").remedy(), Remedy::Reconnect);
        assert_eq!(of_code(121, "").remedy(), Remedy::Report);
        assert!(of_code(301, "").message().contains("retryWrites=false"));
    }
}
