//! TLS within PostgreSQL's protocol: the modes of libpq, and the channel binding of SCRAM.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use ring::digest::{digest, SHA256, SHA384, SHA512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::client;

use super::renamed::Renamed;
use super::require_auth::Allowed;
use crate::core::Error;
use crate::net::der::element;
use crate::net::stream::Stream;
use crate::net::tls::Tls;

/// Makes TLS connections for the client library.
#[derive(Clone)]
pub(super) struct Connector {
    pub tls: Tls,
    pub allowed: Option<Allowed>,
}

impl TlsConnect<Stream> for Connector {
    type Stream = Protected;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Protected, Error>> + Send>>;

    fn connect(self, stream: Stream) -> Self::Future {
        Box::pin(async move {
            let stream = Box::new(self.tls.connect(stream).await?);
            Renamed::new(stream, self.allowed.as_ref()).map(Protected)
        })
    }
}

/// A stream within TLS.
pub(super) struct Protected(Renamed<Box<client::TlsStream<Stream>>>);

impl TlsStream for Protected {
    /// `tls-server-end-point` of RFC 5929.
    fn channel_binding(&self) -> ChannelBinding {
        let certificates = self.0.inner().get_ref().1.peer_certificates();
        match certificates.and_then(<[_]>::first).and_then(|certificate| fingerprint(certificate)) {
            Some(hash) => ChannelBinding::tls_server_end_point(hash),
            None => ChannelBinding::none(),
        }
    }
}

impl AsyncRead for Protected {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Protected {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A certificate's hash, by the algorithm of its signature, or SHA-256 where that is weaker. `None`
/// where the algorithm names no hash, as Ed25519 does: there is no channel binding then.
fn fingerprint(certificate: &[u8]) -> Option<Vec<u8>> {
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER … } … }
    let (body, _) = element(certificate, 0x30)?;
    let (_, rest) = element(body, 0x30)?;
    let (algorithm, _) = element(rest, 0x30)?;
    let (identifier, _) = element(algorithm, 0x06)?;
    let algorithm = match identifier {
        // RSA: md5, sha1, sha256; ECDSA: sha1, sha256.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4 | 5 | 11]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => &SHA256,
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => &SHA384,
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4] => &SHA512,
        _ => return None,
    };
    Some(digest(algorithm, certificate).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A certificate as far as this file looks into it.
    fn certificate(algorithm: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, inner: &[u8]| {
            let mut whole = vec![tag, 0x82, (inner.len() >> 8) as u8, inner.len() as u8];
            whole.extend_from_slice(inner);
            whole
        };
        let body = wrap(0x30, &[0; 300]);
        wrap(0x30, &[body, wrap(0x30, &wrap(0x06, algorithm)), vec![3, 1, 0]].concat())
    }

    #[test]
    fn the_signature_says_which_hash_it_is() {
        let ecdsa = |hash: u8| certificate(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, hash]);
        for (hash, bytes) in [(2, 32), (3, 48), (4, 64)] {
            assert_eq!(fingerprint(&ecdsa(hash)).unwrap().len(), bytes);
        }
        let ed25519 = [0x2b, 0x65, 0x70];
        assert_eq!(fingerprint(&certificate(&ed25519)), None);
        assert_eq!(fingerprint(&ecdsa(2)).unwrap(), digest(&SHA256, &ecdsa(2)).as_ref());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes: Vec<u8>, at in 0usize..300) {
            drop(fingerprint(&bytes));
            drop(fingerprint(&certificate(&bytes)[..at]));
        }
    }
}
