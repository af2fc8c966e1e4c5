//! How a password is shown to the server: never as it is, unless nobody else can see it.
//!
//! - `mysql_native_password`, MariaDB's: a hash of it and of what the server drew by lot.
//! - `caching_sha2_password`, MySQL's: such a hash too; where the server does not have the
//!   user's in its cache, the password itself, over TLS or a Unix socket, or else encrypted with
//!   the server's public key.
//! - `mysql_clear_password`, for PAM, LDAP and the tokens of clouds: the password as it is, over TLS
//!   or a Unix socket.

use num_bigint::BigUint;
use ring::digest::{self, Algorithm, Digest, SHA1_FOR_LEGACY_USE_ONLY as SHA1, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::SubjectPublicKeyInfoDer;

use crate::net::der::element;

/// A way to show a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Native,
    CachingSha2,
    Clear,
}

impl Method {
    /// The method of that name, if we know it.
    pub fn named(name: &[u8]) -> Option<Method> {
        match name {
            b"mysql_native_password" => Some(Method::Native),
            b"caching_sha2_password" => Some(Method::CachingSha2),
            b"mysql_clear_password" => Some(Method::Clear),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Method::Native => "mysql_native_password",
            Method::CachingSha2 => "caching_sha2_password",
            Method::Clear => "mysql_clear_password",
        }
    }

    /// What proves that the password is known, to a server that drew `lot`.
    pub fn proof(self, password: &str, lot: &[u8]) -> Vec<u8> {
        let password = password.as_bytes();
        if password.is_empty() && self != Method::Clear {
            return Vec::new();
        }
        match self {
            Method::Native => {
                let once = hash(&SHA1, &[password]);
                let twice = hash(&SHA1, &[once.as_ref()]);
                xor(once.as_ref(), hash(&SHA1, &[lot, twice.as_ref()]).as_ref())
            }
            Method::CachingSha2 => {
                let once = hash(&SHA256, &[password]);
                let twice = hash(&SHA256, &[once.as_ref()]);
                xor(once.as_ref(), hash(&SHA256, &[twice.as_ref(), lot]).as_ref())
            }
            Method::Clear => [password, &[0]].concat(),
        }
    }
}

/// The password for the owner of an RSA key alone; `None` where the key, in PEM form, is of no
/// use, or the password too long for it.
pub(super) fn sealed(password: &str, lot: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let message: Vec<u8> =
        password.bytes().chain([0]).zip(lot.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    let key = SubjectPublicKeyInfoDer::from_pem_slice(key).ok()?;
    let (modulus, exponent) = public_key(&key)?;
    let width = usize::try_from(modulus.bits().div_ceil(8)).ok()?;
    let padded = padded(&message, width)?;
    let sealed = BigUint::from_bytes_be(&padded).modpow(&exponent, &modulus).to_bytes_be();
    Some([vec![0; width.saturating_sub(sealed.len())], sealed].concat())
}

/// OAEP with SHA-1 and no label: RFC 8017, section 7.1.1.
fn padded(message: &[u8], width: usize) -> Option<Vec<u8>> {
    const HASH: usize = digest::SHA1_OUTPUT_LEN;
    let filler = width.checked_sub(2 * HASH + 2)?.checked_sub(message.len())?;
    let label = hash(&SHA1, &[]);
    let block = [label.as_ref(), &vec![0; filler], &[1], message].concat();
    let mut seed = [0; HASH];
    SystemRandom::new().fill(&mut seed).ok()?;
    let block = xor(&block, &mask(&seed, block.len()));
    let seed = xor(&seed, &mask(&block, HASH));
    Some([&[0][..], &seed, &block].concat())
}

/// MGF1 with SHA-1: RFC 8017, appendix B.2.1.
fn mask(seed: &[u8], length: usize) -> Vec<u8> {
    let part = |counter: u32| hash(&SHA1, &[seed, &counter.to_be_bytes()]);
    (0..).flat_map(|counter| part(counter).as_ref().to_vec()).take(length).collect()
}

/// Modulus and exponent out of a SubjectPublicKeyInfo: RFC 5280 and RFC 8017, appendix A.1.1.
fn public_key(info: &[u8]) -> Option<(BigUint, BigUint)> {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 0x03;
    const INTEGER: u8 = 0x02;
    let (info, _) = element(info, SEQUENCE)?;
    let (_algorithm, rest) = element(info, SEQUENCE)?;
    let (bits, _) = element(rest, BIT_STRING)?;
    let (key, _) = element(bits.strip_prefix(&[0])?, SEQUENCE)?;
    let (modulus, rest) = element(key, INTEGER)?;
    let (exponent, _) = element(rest, INTEGER)?;
    let (modulus, exponent) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
    // Beyond this the server would only keep us busy.
    (modulus.bits() > 0 && modulus.bits() <= 16_384 && exponent.bits() <= 64).then_some((modulus, exponent))
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Digest {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish()
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn an_empty_password_has_an_empty_proof() {
        for method in [Method::Native, Method::CachingSha2] {
            assert!(method.proof("", b"12345678901234567890").is_empty());
            assert_eq!(Method::named(method.name().as_bytes()), Some(method));
        }
    }

    /// What the server does: it knows the hash of the hash, undoes the mask, and hashes again.
    #[test]
    fn a_proof_proves_the_password() {
        let lot = b"12345678901234567890";
        let once = hash(&SHA1, &[b"secret"]);
        let twice = hash(&SHA1, &[once.as_ref()]);
        let mask = hash(&SHA1, &[lot, twice.as_ref()]);
        assert_eq!(xor(&Method::Native.proof("secret", lot), mask.as_ref()), once.as_ref());
        let once = hash(&SHA256, &[b"secret"]);
        let twice = hash(&SHA256, &[once.as_ref()]);
        let mask = hash(&SHA256, &[twice.as_ref(), lot]);
        assert_eq!(xor(&Method::CachingSha2.proof("secret", lot), mask.as_ref()), once.as_ref());
    }

    #[test]
    fn a_sealed_password_can_be_opened_with_the_private_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let openssl = |arguments: &[&str]| Command::new("openssl").args(arguments).output().ok();
        let (private, public, sealed_path) = (path("private"), path("public"), path("sealed"));
        let made =
            openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &private]);
        if made.is_none() {
            assert!(std::env::var_os("CI").is_none(), "openssl is missing in CI");
            return eprintln!("SKIPPED: openssl is missing");
        }
        openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]).unwrap();
        let lot = b"abcdefghijklmnopqrst";
        let password = "ünïcode and more than twenty bytes";
        let sealed = sealed(password, lot, &std::fs::read(&public).unwrap()).unwrap();
        std::fs::write(&sealed_path, sealed).unwrap();
        let options = ["-pkeyopt", "rsa_padding_mode:oaep"];
        let opened = openssl(
            &[&["pkeyutl", "-decrypt", "-inkey", &private, "-in", &sealed_path], &options[..]].concat(),
        );
        let opened = opened.unwrap().stdout;
        let expected: Vec<u8> = password.bytes().chain([0]).collect();
        let unmasked: Vec<u8> =
            opened.iter().zip(lot.iter().cycle()).map(|(one, other)| one ^ other).collect();
        assert_eq!(unmasked, expected);
    }

    #[test]
    fn a_password_that_is_too_long_for_the_key_is_refused() {
        assert!(padded(&[0; 214], 256).is_some());
        assert!(padded(&[0; 215], 256).is_none());
        assert!(padded(&[], 41).is_none());
    }

    proptest! {
        #[test]
        fn no_key_is_a_panic(key in any::<Vec<u8>>()) {
            let _ = public_key(&key);
            let _ = sealed("secret", b"lot", &key);
        }
    }
}
