//! Auto Discovery: the nodes of a memcached cluster, as each of them tells by
//! `config get cluster`
//! (<https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/AutoDiscovery.AddingToYourClientLibrary.html>).

use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::future::{select_ok, BoxFuture, FutureExt};
use tokio::time::timeout;

use crate::backends::memcached::membership_refresh::Discover;
use crate::config::{wrong, Settings};
use crate::core::Error;
use crate::net::fleet::Node;
use crate::net::pipeline::{while_alive, Decode, Pipeline};
use crate::net::stream;
use crate::net::tls::Tls;
use crate::net::traffic::Traffic;

const CONFIG_GET_CLUSTER: &[u8] = b"config get cluster\r\n";

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// No first line of a reply is longer.
const MAX_LINE: usize = 1024;

/// No list of nodes is longer.
const MAX_LIST: usize = 1 << 20;

/// Discovers the nodes through the configuration endpoint.
pub(super) struct AutoDiscovery {
    endpoint: Node,
    tls: Option<Tls>,
    interval: Duration,
    /// For the reply of the endpoint, and then for those of the nodes.
    timeout: Duration,
}

impl AutoDiscovery {
    pub fn from_settings(settings: &Settings, endpoint: Node) -> Result<AutoDiscovery, Error> {
        Ok(AutoDiscovery {
            tls: Tls::from_settings(settings, &endpoint.host, false)?,
            endpoint,
            interval: settings.milliseconds("discoveryInterval").unwrap_or(DEFAULT_INTERVAL),
            timeout: settings.engine().connect_timeout / 4,
        })
    }
}

impl Discover for AutoDiscovery {
    /// Every node knows all of them, and the endpoint is the name of one that may be gone now.
    fn discover(&self, known: Vec<Node>) -> BoxFuture<'static, Result<Vec<Node>, Error>> {
        let (endpoint, tls, limit) = (self.endpoint.clone(), self.tls.clone(), self.timeout);
        async move {
            let reason = match get_cluster(&endpoint, tls.as_ref(), limit).await {
                Ok(nodes) => return Ok(nodes),
                Err(reason) => reason,
            };
            let others = known.iter().filter(|node| **node != endpoint);
            let requests: Vec<_> =
                others.map(|node| Box::pin(get_cluster(node, tls.as_ref(), limit))).collect();
            if requests.is_empty() {
                return Err(reason);
            }
            // All at once: most of them may be gone too.
            select_ok(requests).await.map(|(nodes, _)| nodes).map_err(|_| reason)
        }
        .boxed()
    }

    fn interval(&self) -> Duration {
        self.interval
    }
}

/// Sends `config get cluster` to a node.
async fn get_cluster(node: &Node, tls: Option<&Tls>, limit: Duration) -> Result<Vec<Node>, Error> {
    let tls = tls.map(|tls| tls.for_host(&node.host)).transpose()?;
    let reply = async {
        let stream = stream::dial(&node.host, node.port, tls.as_ref(), &Traffic::default()).await?;
        let (pipeline, lifeline) = Pipeline::new(stream, Decoder);
        let mut lifeline: BoxFuture<'static, Error> = Box::pin(lifeline);
        while_alive(&mut lifeline, pipeline.send(CONFIG_GET_CLUSTER.to_vec(), 1)).await
    };
    let late = || Error::connection(format!("{node} does not answer config get cluster"));
    timeout(limit, reply).await.unwrap_or_else(|_| Err(late()))?.pop().unwrap_or_else(|| Err(malformed()))
}

/// Decodes the reply.
struct Decoder;

impl Decode for Decoder {
    type Reply = Result<Vec<Node>, Error>;

    fn next(&mut self, input: &mut BytesMut) -> Result<Option<Self::Reply>, Error> {
        let Some(end) = input.windows(2).position(|two| two == b"\r\n") else {
            return if input.len() > MAX_LINE { Err(malformed()) } else { Ok(None) };
        };
        let line = std::str::from_utf8(&input[..end]).map_err(|_| malformed())?;
        let words: Vec<&str> = line.split(' ').collect();
        let length: usize = match words[..] {
            ["CONFIG", "cluster", _, length] => {
                length.parse().ok().filter(|length| *length <= MAX_LIST).ok_or_else(malformed)?
            }
            ["ERROR", ..] => {
                input.advance(end + 2);
                return Ok(Some(Err(wrong(
                    "the server does not know config get cluster; give \"configurationEndpoint\" that of an ElastiCache cluster with the engine memcached",
                ))));
            }
            _ => return Err(malformed()),
        };
        // The line, the list, and what ends both.
        const TAIL: &[u8] = b"\r\nEND\r\n";
        let whole = end + 2 + length + TAIL.len();
        if input.len() < whole {
            return Ok(None);
        }
        let reply = input.split_to(whole);
        if &reply[whole - TAIL.len()..] != TAIL {
            return Err(malformed());
        }
        let list = std::str::from_utf8(&reply[end + 2..end + 2 + length]).map_err(|_| malformed())?;
        Ok(Some(nodes(list).ok_or_else(malformed)))
    }
}

/// Reads the version's line and the list behind it, `name|address|port` with spaces between.
fn nodes(text: &str) -> Option<Vec<Node>> {
    let (version, list) = text.split_once('\n')?;
    version.trim().parse::<u64>().ok()?;
    let nodes: Vec<Node> = list.split_whitespace().map(node).collect::<Option<_>>()?;
    (!nodes.is_empty()).then_some(nodes)
}

fn node(text: &str) -> Option<Node> {
    let mut parts = text.split('|');
    let (name, address, port) = (parts.next()?, parts.next()?, parts.next()?);
    let host = if name.is_empty() { address } else { name };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty() && parts.next().is_none()).then(|| Node { host: host.to_owned(), port })
}

fn malformed() -> Error {
    Error::connection("the answer to config get cluster is no list of nodes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(list: &str) -> String {
        format!("CONFIG cluster 0 {}\r\n{list}\r\nEND\r\n", list.len())
    }

    fn read(text: &str) -> Result<Vec<Node>, Error> {
        Decoder.next(&mut BytesMut::from(text))?.expect("it is whole")
    }

    fn node(host: &str, port: u16) -> Node {
        Node { host: host.into(), port }
    }

    #[test]
    fn nodes_are_read_by_name_or_else_by_address() {
        let list = "12\na.0001.use1.cache.amazonaws.com|10.0.0.1|11211 |10.0.0.2|11212\n";
        let nodes = read(&answer(list)).unwrap();
        assert_eq!(nodes, [node("a.0001.use1.cache.amazonaws.com", 11211), node("10.0.0.2", 11212)]);
    }

    #[test]
    fn a_server_without_discovery_is_named() {
        let error = read("ERROR\r\n").unwrap_err();
        assert!(error.message().contains("\"configurationEndpoint\""), "{error}");
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for bad in ["HTTP/1.1 200 OK\r\n", "CONFIG cluster 0 x\r\n", "CONFIG cluster 0 9999999\r\n"] {
            assert!(Decoder.next(&mut BytesMut::from(bad)).is_err(), "{bad}");
        }
        for bad in
            ["", "12", "12\n\n", "x\na|b|1\n", "12\na|b\n", "12\na|b|0\n", "12\n||1\n", "12\na|b|1|c\n"]
        {
            assert!(read(&answer(bad)).is_err(), "{bad}");
        }
        assert!(Decoder.next(&mut BytesMut::from("CONFIG cluster 0 1\r\n1\r\nENDE\r\n")).is_err());
        assert!(Decoder.next(&mut BytesMut::from(&[b'x'; MAX_LINE + 1][..])).is_err());
    }

    proptest! {
        #[test]
        fn an_answer_may_come_in_pieces(cut in 0_usize..200, hosts in proptest::collection::vec("[a-z]{1,9}", 1..9)) {
            let list: Vec<String> = hosts.iter().map(|host| format!("{host}|10.0.0.1|11211")).collect();
            let text = answer(&format!("1\n{}\n", list.join(" ")));
            let cut = cut.min(text.len() - 1);
            let mut input = BytesMut::from(&text[..cut]);
            prop_assert!(Decoder.next(&mut input).unwrap().is_none());
            input.extend_from_slice(&text.as_bytes()[cut..]);
            let nodes = Decoder.next(&mut input).unwrap().unwrap().unwrap();
            prop_assert_eq!(nodes.iter().map(|node| &node.host).collect::<Vec<_>>(), hosts.iter().collect::<Vec<_>>());
            prop_assert!(input.is_empty());
        }

        #[test]
        fn no_bytes_break_the_reader(text in "(CONFIG cluster 0 [0-9]{1,3}\r\n)?\\PC{0,60}(\r\nEND\r\n)?") {
            let _ = Decoder.next(&mut BytesMut::from(text.as_str()));
        }
    }
}
