//! The commands behind those of a batch: `WAIT`, which acknowledges its writes, and then `ROLE`,
//! which tells the primary's replication offset after them.

use super::acknowledgement::Acknowledgement;
use super::decode::Reply;
use super::role::ROLE;
use crate::core::Error;
use crate::net::pipeline::Replies;

/// Which of them a batch has.
pub(super) struct TrailingCommands<'a> {
    pub wait: Option<&'a Acknowledgement>,
    pub role: bool,
}

/// The replies to them.
pub(super) struct TrailingReplies {
    /// Whether enough replicas have the writes; always, where there is no `WAIT`.
    pub acknowledgement: Result<(), Error>,
    pub role: Option<Reply>,
}

impl TrailingCommands<'_> {
    /// Appends the commands, and returns how many replies they have.
    pub fn append(&self, commands: &mut Vec<u8>) -> usize {
        if let Some(wait) = self.wait {
            wait.append(commands);
        }
        if self.role {
            commands.extend_from_slice(ROLE);
        }
        usize::from(self.wait.is_some()) + usize::from(self.role)
    }

    /// Takes their replies off the end of a batch's.
    pub fn split_off(&self, replies: &mut Replies<Reply>) -> TrailingReplies {
        let role = if self.role { replies.pop() } else { None };
        let acknowledgement = self.wait.map_or(Ok(()), |wait| wait.check(replies.pop()));
        TrailingReplies { acknowledgement, role }
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;
    use crate::config::Settings;

    fn acknowledgement() -> Acknowledgement {
        let options = crate::config::parse(br#"{"waitReplicas": 2}"#).unwrap();
        let settings = Settings::check(options, "redis", super::super::OPTIONS).unwrap();
        Acknowledgement::from_settings(&settings).unwrap()
    }

    fn integers(numbers: &[i64]) -> Replies<Reply> {
        numbers.iter().map(|number| Reply::Value(Value::Int(*number))).collect()
    }

    #[test]
    fn replies_come_in_the_order_of_the_commands() {
        let acknowledgement = acknowledgement();
        let trailing = TrailingCommands { wait: Some(&acknowledgement), role: true };
        let mut commands = b"*1\r\n$4\r\nPING\r\n".to_vec();
        assert_eq!(trailing.append(&mut commands), 2);
        let expected =
            "*1\r\n$4\r\nPING\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$4\r\n1000\r\n*1\r\n$4\r\nROLE\r\n";
        assert_eq!(String::from_utf8(commands).unwrap(), expected);
        let mut replies = integers(&[7, 2, 9]);
        let last = trailing.split_off(&mut replies);
        assert!(last.acknowledgement.is_ok());
        assert_eq!(last.role, Some(Reply::Value(Value::Int(9))));
        assert_eq!(replies, integers(&[7]));
        assert!(trailing.split_off(&mut integers(&[7, 1, 9])).acknowledgement.is_err());
    }

    #[test]
    fn a_batch_without_them_keeps_its_replies() {
        let trailing = TrailingCommands { wait: None, role: false };
        let (mut commands, mut replies) = (Vec::new(), integers(&[7]));
        assert_eq!(trailing.append(&mut commands), 0);
        let none = trailing.split_off(&mut replies);
        assert!(commands.is_empty() && none.acknowledgement.is_ok() && none.role.is_none());
        assert_eq!(replies, integers(&[7]));
    }
}
