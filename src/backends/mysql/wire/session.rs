//! One connection that is logged in: statements are sent, one after the other.

use std::collections::HashMap;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::answer::{self, Failure, OK};
use super::bytes::{nonsense, put_text, Reader};
use super::handshake::{self, Login, Protection};
use super::packets::Packets;
use super::rows::{self, Column, Row};
use crate::core::Error;
use crate::net::stream::Stream;

mod command {
    pub const QUIT: u8 = 1;
    pub const QUERY: u8 = 3;
    pub const PING: u8 = 14;
    pub const PREPARE: u8 = 0x16;
    pub const EXECUTE: u8 = 0x17;
    pub const CLOSE_STATEMENT: u8 = 0x19;
}

/// What a server keeps for a statement is mostly its parameters: no connection of ours keeps
/// statements with more of them than this in sum, and each counts as at least so many.
const KEPT_PARAMETERS: usize = 16_384;
const LEAST_WEIGHT: usize = 64;

/// A value in a statement.
#[derive(Clone, Copy, Debug)]
pub(in crate::backends::mysql) enum Parameter<'a> {
    Null,
    Integer(i64),
    Text(&'a [u8]),
}

/// A statement with values for its question marks.
#[derive(Clone, Debug)]
pub(in crate::backends::mysql) struct Statement<'a> {
    pub text: String,
    pub parameters: Vec<Parameter<'a>>,
}

/// A statement that the server knows by number.
struct Prepared {
    number: u32,
    parameters: usize,
    last_used: u64,
}

/// A connection that is logged in.
pub(in crate::backends::mysql) struct Session {
    packets: Packets,
    prepared: HashMap<String, Prepared>,
    /// The weight of all that is prepared.
    weight: usize,
    used: u64,
    /// Packets that get no answer and go with the next command.
    ahead: Vec<u8>,
}

impl Session {
    /// Logs in over a connected stream.
    pub async fn log_in(
        stream: Stream,
        login: &Login,
        protection: Option<&Protection>,
    ) -> Result<Session, Failure> {
        let packets = handshake::log_in(stream, login, protection).await?;
        Ok(Session { packets, prepared: HashMap::new(), weight: 0, used: 0, ahead: Vec::new() })
    }

    /// Carries out a statement that has no parameters and no rows.
    pub async fn run(&mut self, text: &str) -> Result<(), Failure> {
        self.send(&[&[command::QUERY], text.as_bytes()].concat()).await?;
        let packet = self.receive().await?;
        match packet.first() {
            Some(&OK) => Ok(()),
            _ => Err(nonsense().into()),
        }
    }

    /// Carries out a statement; returns its rows, if it has any.
    pub async fn execute(&mut self, statement: &Statement<'_>) -> Result<Vec<Row>, Failure> {
        let number = self.prepare(&statement.text, statement.parameters.len()).await?;
        self.send(&execution(number, &statement.parameters)).await?;
        let first = self.receive().await?;
        if first.first() == Some(&OK) {
            return Ok(Vec::new());
        }
        let count = Reader::new(first).length()?;
        // As many as a table can have; what is not true shows as nonsense.
        if count > 4096 {
            return Err(nonsense().into());
        }
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(Column::read(self.receive().await?)?);
        }
        answer::expect_end(&self.receive().await?)?;
        let mut found = Vec::new();
        loop {
            let packet = self.receive().await?;
            if answer::is_end(&packet) {
                return Ok(found);
            }
            found.push(rows::read(packet, &columns)?);
        }
    }

    /// Forgets a statement, so that it is prepared again.
    pub fn forget(&mut self, text: &str) {
        if let Some(prepared) = self.prepared.remove(text) {
            self.weight -= weight(prepared.parameters);
            self.say_ahead(&[&[command::CLOSE_STATEMENT], &prepared.number.to_le_bytes()[..]].concat());
        }
    }

    /// Forgets all statements.
    pub fn forget_all(&mut self) {
        let texts: Vec<String> = self.prepared.keys().cloned().collect();
        texts.iter().for_each(|text| self.forget(text));
    }

    /// Asks whether the server is there.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.send(&[command::PING]).await?;
        match self.packets.receive().await?.first() {
            Some(&OK) => Ok(()),
            _ => Err(nonsense()),
        }
    }

    /// Says goodbye.
    pub async fn close(&mut self) {
        // Whoever does not hear it sees the connection end.
        if self.send(&[command::QUIT]).await.is_ok() {
            self.packets.shut_down().await;
        }
    }

    /// Whether the connection has ended, or the server says what nobody asked. No command is
    /// under way.
    pub fn poll_disturbed(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        self.packets.poll_disturbed(cx)
    }

    /// The number of a statement, which is prepared if it was not.
    async fn prepare(&mut self, text: &str, parameters: usize) -> Result<u32, Failure> {
        self.used += 1;
        if let Some(prepared) = self.prepared.get_mut(text) {
            prepared.last_used = self.used;
            return Ok(prepared.number);
        }
        self.make_room(weight(parameters));
        self.send(&[&[command::PREPARE], text.as_bytes()].concat()).await?;
        let mut reader = Reader::new(self.receive().await?);
        if reader.byte()? != OK {
            return Err(nonsense().into());
        }
        let number = reader.u32()?;
        let (columns, wanted) = (reader.u16()?, reader.u16()?);
        for count in [wanted, columns] {
            for _ in 0..count {
                self.receive().await?;
            }
            if count > 0 {
                answer::expect_end(&self.receive().await?)?;
            }
        }
        if usize::from(wanted) != parameters {
            return Err(nonsense().into());
        }
        self.weight += weight(parameters);
        self.prepared.insert(text.to_owned(), Prepared { number, parameters, last_used: self.used });
        Ok(number)
    }

    /// Forgets what was not used for the longest time.
    fn make_room(&mut self, weight: usize) {
        while self.weight + weight > KEPT_PARAMETERS {
            let oldest = self.prepared.iter().min_by_key(|(_, prepared)| prepared.last_used);
            let Some(text) = oldest.map(|(text, _)| text.clone()) else { break };
            self.forget(&text);
        }
    }

    fn say_ahead(&mut self, packet: &[u8]) {
        self.ahead.extend_from_slice(&(packet.len() as u32).to_le_bytes()[..3]);
        self.ahead.push(0);
        self.ahead.extend_from_slice(packet);
    }

    async fn send(&mut self, command: &[u8]) -> Result<(), Error> {
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            self.packets.write(&ahead).await?;
        }
        self.packets.begin();
        self.packets.send(command).await
    }

    /// The next packet of an answer, unless it is a refusal.
    async fn receive(&mut self) -> Result<Bytes, Failure> {
        let packet = self.packets.receive().await?;
        match answer::refusal(&packet) {
            Some(refusal) => Err(Failure::Refused(refusal)),
            None => Ok(packet),
        }
    }
}

fn weight(parameters: usize) -> usize {
    parameters.max(LEAST_WEIGHT)
}

/// The command that carries out a prepared statement.
fn execution(number: u32, parameters: &[Parameter<'_>]) -> Vec<u8> {
    const NULL: u8 = 6;
    const LONGLONG: u8 = 8;
    const VAR_STRING: u8 = 253;
    let mut packet = Vec::with_capacity(1024);
    packet.push(command::EXECUTE);
    packet.extend_from_slice(&number.to_le_bytes());
    // No cursor; once.
    packet.extend_from_slice(&[0, 1, 0, 0, 0]);
    if parameters.is_empty() {
        return packet;
    }
    let nulls = packet.len();
    packet.resize(nulls + parameters.len().div_ceil(8), 0);
    // The types follow.
    packet.push(1);
    for (index, parameter) in parameters.iter().enumerate() {
        let kind = match parameter {
            Parameter::Null => {
                packet[nulls + index / 8] |= 1 << (index % 8);
                NULL
            }
            Parameter::Integer(_) => LONGLONG,
            Parameter::Text(_) => VAR_STRING,
        };
        packet.extend_from_slice(&[kind, 0]);
    }
    for parameter in parameters {
        match parameter {
            Parameter::Null => {}
            Parameter::Integer(number) => packet.extend_from_slice(&number.to_le_bytes()),
            Parameter::Text(text) => put_text(&mut packet, text),
        }
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_has_nulls_types_and_values() {
        let parameters = [Parameter::Text(b"ab"), Parameter::Null, Parameter::Integer(-2)];
        let packet = execution(7, &parameters);
        let mut expected = vec![0x17, 7, 0, 0, 0, 0, 1, 0, 0, 0, 0b010, 1, 253, 0, 6, 0, 8, 0, 2, b'a', b'b'];
        expected.extend_from_slice(&(-2i64).to_le_bytes());
        assert_eq!(packet, expected);
    }
}
