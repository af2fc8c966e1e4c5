//! The greeting of the server, TLS, and the login.

use bytes::Bytes;

use super::answer::{self, Failure, OK};
use super::auth::{sealed, Method};
use super::bytes::{nonsense, put_text, Reader};
use super::packets::Packets;
use crate::config::{wrong, Secret};
use crate::core::{Error, ErrorCode};
use crate::net::stream::Stream;
use crate::net::tls::Tls;

/// Who we are at the server.
#[derive(Clone)]
pub(in crate::backends::mysql) struct Login {
    pub user: String,
    /// As it was told last.
    pub password: String,
    /// Who tells it.
    pub secret: Secret,
    pub database: String,
}

/// TLS for one address.
#[derive(Clone)]
pub(in crate::backends::mysql) struct Protection {
    pub tls: Tls,
    /// A server that offers none is talked to without.
    pub is_optional: bool,
}

impl Login {
    /// The same with the password as it is now.
    pub async fn current(&self) -> Result<Login, Error> {
        Ok(Login { password: self.secret.current().await?.to_string(), ..self.clone() })
    }
}

mod can {
    pub const LONG_PASSWORD: u32 = 1;
    pub const LONG_FLAG: u32 = 1 << 2;
    pub const CONNECT_WITH_DATABASE: u32 = 1 << 3;
    pub const PROTOCOL_41: u32 = 1 << 9;
    pub const TLS: u32 = 1 << 11;
    pub const TRANSACTIONS: u32 = 1 << 13;
    pub const SECURE_CONNECTION: u32 = 1 << 15;
    pub const MULTIPLE_RESULTS: u32 = 1 << 17;
    pub const CHOOSE_METHOD: u32 = 1 << 19;
    pub const ATTRIBUTES: u32 = 1 << 20;
    pub const LONG_PROOF: u32 = 1 << 21;
}

/// Without these no server of the last ten years is, nor any proxy.
const NEEDED: u32 = can::PROTOCOL_41 | can::SECURE_CONNECTION;

const WANTED: u32 = NEEDED
    | can::CHOOSE_METHOD
    | can::LONG_PROOF
    | can::LONG_PASSWORD
    | can::LONG_FLAG
    | can::CONNECT_WITH_DATABASE
    | can::TRANSACTIONS
    | can::MULTIPLE_RESULTS
    | can::ATTRIBUTES;

/// `utf8mb4_general_ci`: text goes to and fro in UTF-8.
const UTF8MB4: u8 = 45;

/// The largest answer that we would take.
const MOST: u32 = 1 << 30;

/// What the server says first.
struct Greeting {
    abilities: u32,
    lot: Vec<u8>,
    method: Bytes,
}

impl Greeting {
    fn read(packet: Bytes) -> Result<Greeting, Failure> {
        if let Some(refusal) = answer::refusal(&packet) {
            return Err(Failure::Refused(refusal));
        }
        let mut reader = Reader::new(packet);
        if reader.byte()? != 10 {
            return Err(nonsense().into());
        }
        // The version, which may be a proxy's.
        reader.until_nul();
        reader.u32()?;
        let mut lot = reader.take(8)?.to_vec();
        reader.byte()?;
        let mut abilities = u32::from(reader.u16()?);
        // Character set and status.
        reader.take(3)?;
        abilities |= u32::from(reader.u16()?) << 16;
        let lot_length = usize::from(reader.byte()?);
        reader.take(10)?;
        lot.extend_from_slice(&reader.take(lot_length.saturating_sub(8).max(13))?);
        if abilities & NEEDED != NEEDED {
            return Err(nonsense().into());
        }
        Ok(Greeting { abilities, lot: without_nul(lot), method: reader.until_nul() })
    }
}

fn without_nul(mut lot: Vec<u8>) -> Vec<u8> {
    if lot.last() == Some(&0) {
        lot.pop();
    }
    lot
}

/// Greets, shakes hands where TLS is wanted, and logs in.
pub(super) async fn log_in(
    stream: Stream,
    login: &Login,
    protection: Option<&Protection>,
) -> Result<Packets, Failure> {
    let mut packets = Packets::new(stream);
    let greeting = Greeting::read(packets.receive().await?)?;
    let mut abilities = WANTED & (greeting.abilities | can::CONNECT_WITH_DATABASE);
    let offers_tls = greeting.abilities & can::TLS != 0;
    match protection {
        Some(Protection { tls, .. }) if offers_tls => {
            abilities |= can::TLS;
            packets.send(&preamble(abilities)).await?;
            packets = packets.secure(tls).await?;
        }
        Some(Protection { is_optional: false, .. }) => {
            return Err(
                wrong("the server offers no TLS; set it up there, or leave the option \"tls\" out").into()
            );
        }
        _ => {}
    }
    let method = match abilities & can::CHOOSE_METHOD {
        // Who cannot choose has this one alone.
        0 => Method::Native,
        _ => Method::named(&greeting.method)
            .filter(|method| *method != Method::Clear)
            .unwrap_or(Method::CachingSha2),
    };
    packets.send(&response(abilities, login, method, &greeting.lot)).await?;
    authenticate(&mut packets, login, method, greeting.lot).await?;
    Ok(packets)
}

/// The part of the response that comes before TLS.
fn preamble(abilities: u32) -> Vec<u8> {
    let mut packet = Vec::with_capacity(128);
    packet.extend_from_slice(&abilities.to_le_bytes());
    packet.extend_from_slice(&MOST.to_le_bytes());
    packet.push(UTF8MB4);
    packet.extend_from_slice(&[0; 23]);
    packet
}

fn response(abilities: u32, login: &Login, method: Method, lot: &[u8]) -> Vec<u8> {
    let mut packet = preamble(abilities);
    put_line(&mut packet, &login.user);
    let proof = method.proof(&login.password, lot);
    match u8::try_from(proof.len()) {
        Ok(length) if abilities & can::LONG_PROOF == 0 => {
            packet.push(length);
            packet.extend_from_slice(&proof);
        }
        _ => put_text(&mut packet, &proof),
    }
    put_line(&mut packet, &login.database);
    if abilities & can::CHOOSE_METHOD != 0 {
        put_line(&mut packet, method.name());
    }
    if abilities & can::ATTRIBUTES != 0 {
        let mut attributes = Vec::new();
        for (name, value) in
            [("program_name", "deepstream-connector"), ("_client_version", env!("CARGO_PKG_VERSION"))]
        {
            put_text(&mut attributes, name.as_bytes());
            put_text(&mut attributes, value.as_bytes());
        }
        put_text(&mut packet, &attributes);
    }
    packet
}

/// Text that ends with a NUL, and so has none: the options are checked for it.
fn put_line(packet: &mut Vec<u8>, text: &str) {
    packet.extend_from_slice(text.as_bytes());
    packet.push(0);
}

/// The server asks until it is content.
async fn authenticate(
    packets: &mut Packets,
    login: &Login,
    mut method: Method,
    mut lot: Vec<u8>,
) -> Result<(), Failure> {
    const CHOOSE: u8 = 0xfe;
    const MORE: u8 = 1;
    const WELCOME: u8 = 3;
    const SHOW_PASSWORD: u8 = 4;
    const GIVE_KEY: u8 = 2;
    loop {
        let packet = packets.receive().await?;
        if let Some(refusal) = answer::refusal(&packet) {
            return Err(Failure::Refused(refusal));
        }
        let mut reader = Reader::new(packet);
        match reader.byte()? {
            OK => return Ok(()),
            CHOOSE => {
                let name = reader.until_nul();
                method = Method::named(&name).ok_or_else(|| unknown_method(&name))?;
                if method == Method::Clear && !packets.is_private() {
                    return Err(Error::new(
                        ErrorCode::Authentication,
                        "the server wants the \"password\" itself, which is not shown to a network; turn \"tls\" on",
                    )
                    .into());
                }
                lot = without_nul(reader.rest().to_vec());
                packets.send(&method.proof(&login.password, &lot)).await?;
            }
            MORE if method == Method::CachingSha2 => match reader.byte()? {
                WELCOME => {}
                SHOW_PASSWORD if packets.is_private() => {
                    let mut password = Vec::with_capacity(login.password.len() + 1);
                    put_line(&mut password, &login.password);
                    packets.send(&password).await?;
                }
                SHOW_PASSWORD => {
                    packets.send(&[GIVE_KEY]).await?;
                    let packet = packets.receive().await?;
                    if let Some(refusal) = answer::refusal(&packet) {
                        return Err(Failure::Refused(refusal));
                    }
                    let key = packet.get(1..).unwrap_or_default();
                    let sealed = sealed(&login.password, &lot, key).ok_or_else(|| {
                        Error::new(
                            ErrorCode::Authentication,
                            "the server gives no public key that the option \"password\" could be encrypted with; use TLS with the option \"tls\"",
                        )
                    })?;
                    packets.send(&sealed).await?;
                }
                _ => return Err(nonsense().into()),
            },
            _ => return Err(nonsense().into()),
        }
    }
}

fn unknown_method(name: &[u8]) -> Error {
    let shown: String = String::from_utf8_lossy(name)
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
        .take(64)
        .collect();
    Error::new(
        ErrorCode::Authentication,
        format!(
            "the server wants the user to log in by the method \"{shown}\", which this library has not; give the user caching_sha2_password or mysql_native_password, or another \"user\" and \"password\""
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_greetings_of_servers_are_read() {
        let mut packet = b"\x0a5.5.5-10.11.6-MariaDB\0\x07\0\0\0abcdefgh\0".to_vec();
        packet.extend_from_slice(&0xf7fe_u16.to_le_bytes());
        packet.extend_from_slice(b"\x2d\x02\0");
        packet.extend_from_slice(&0x81ff_u16.to_le_bytes());
        packet.extend_from_slice(b"\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_password\0");
        let Ok(greeting) = Greeting::read(packet.into()) else { panic!("it is not read") };
        assert_eq!(greeting.lot, b"abcdefghijklmnopqrst");
        assert_eq!(Method::named(&greeting.method), Some(Method::Native));
    }

    proptest! {
        #[test]
        fn no_greeting_is_a_panic(mut packet in any::<Vec<u8>>(), begin in any::<bool>()) {
            if begin {
                packet.splice(0..0, *b"\x0a8.0\0");
            }
            let _ = Greeting::read(packet.into());
        }
    }
}
