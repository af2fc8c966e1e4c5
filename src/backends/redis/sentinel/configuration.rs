//! The configuration of a primary, as a sentinel tells it by `SENTINEL MASTER`
//! (<https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#sentinel-api>).

use super::super::decode::Reply;
use crate::net::stream;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PrimaryConfiguration {
    /// The configuration epoch; each failover makes a higher one.
    pub config_epoch: i64,
    pub host: String,
    pub port: u16,
    /// This sentinel has begun to promote a replica. What is written meanwhile may be lost,
    /// whatever the other replicas have.
    pub failover_in_progress: bool,
}

impl PrimaryConfiguration {
    /// Reads the reply to `SENTINEL MASTER`, names and values in turn.
    pub fn from_reply(reply: &Reply) -> Option<PrimaryConfiguration> {
        let Reply::BulkStrings(parts) = reply else { return None };
        let find = |name: &str| {
            let mut pairs = parts.chunks_exact(2);
            let value = pairs.find_map(|pair| match pair {
                [Some(key), Some(value)] if key == name => Some(value),
                _ => None,
            })?;
            std::str::from_utf8(value).ok()
        };
        Some(PrimaryConfiguration {
            config_epoch: find("config-epoch")?.parse().ok()?,
            host: find("ip")?.to_owned(),
            port: find("port")?.parse().ok()?,
            failover_in_progress: find("flags")?.split(',').any(|flag| flag == "failover_in_progress"),
        })
    }

    /// Whether this is a later configuration, with another primary.
    pub fn replaces(&self, former: &PrimaryConfiguration) -> bool {
        self.config_epoch > former.config_epoch && (&self.host, self.port) != (&former.host, former.port)
    }

    /// The primary's address, for messages.
    pub fn address(&self) -> String {
        stream::in_words(&self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn reply(words: &[&str]) -> Reply {
        Reply::BulkStrings(words.iter().map(|word| Some(Bytes::copy_from_slice(word.as_bytes()))).collect())
    }

    #[test]
    fn a_primary_is_read() {
        let master =
            ["name", "m", "ip", "10.0.0.1", "port", "6379", "flags", "s_down,master", "config-epoch", "7"];
        let expected = PrimaryConfiguration {
            config_epoch: 7,
            host: "10.0.0.1".into(),
            port: 6379,
            failover_in_progress: false,
        };
        let read = |words: &[&str]| PrimaryConfiguration::from_reply(&reply(words));
        assert_eq!(read(&master), Some(expected.clone()));
        let failing_over =
            master.map(|word| if word == "s_down,master" { "master,failover_in_progress" } else { word });
        assert_eq!(
            read(&failing_over),
            Some(PrimaryConfiguration { failover_in_progress: true, ..expected })
        );
        assert_eq!(read(&master[..6]), None);
        assert_eq!(read(&["ip", "x", "port", "99999", "config-epoch", "1"]), None);
    }
}
