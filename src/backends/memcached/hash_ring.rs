//! Which server has a key: ketama's continuum, as the npm module `hashring` 3.2 computes it with
//! md5 for the npm client `memcached` 2.2.

use md5::{Digest, Md5};

use crate::net::fleet::Node;
use crate::net::stream;

/// memcached's own. A server with this port is hashed by its host alone.
pub(in crate::backends) const DEFAULT_PORT: u16 = 11_211;

/// A server, and its share of the continuum.
#[derive(Clone, Debug)]
pub(super) struct WeightedServer {
    pub node: Node,
    /// In proportion to the other servers'.
    pub weight: u32,
}

/// Digests of a server of average weight; each makes four points.
const DIGESTS_PER_SERVER: f64 = 40.0;

/// The servers, and their points on the continuum.
pub(super) struct HashRing {
    servers: Vec<Node>,
    /// In the order of their values.
    continuum: Vec<Point>,
}

/// A point on the continuum. The keys up to it belong to its server.
struct Point {
    value: u32,
    /// By its index.
    server: usize,
}

impl HashRing {
    pub fn new(servers: &[WeightedServer]) -> HashRing {
        let total: f64 = servers.iter().map(|server| f64::from(server.weight)).sum();
        let mut continuum = Vec::new();
        for (index, WeightedServer { node, weight }) in servers.iter().enumerate() {
            let digests = f64::from(*weight) / total * DIGESTS_PER_SERVER * servers.len() as f64;
            let name = name(node);
            for number in 0..digests.floor() as u64 {
                let digest = Md5::digest(format!("{name}-{number}"));
                let points = digest.chunks_exact(4).map(|part| Point { value: hash(part), server: index });
                continuum.extend(points);
            }
        }
        // Stable, as JavaScript's is: where two points meet, the server that was named first.
        continuum.sort_by_key(|point| point.value);
        HashRing { servers: servers.iter().map(|server| server.node.clone()).collect(), continuum }
    }

    /// The ring for servers of equal weight.
    pub fn unweighted(nodes: Vec<Node>) -> HashRing {
        HashRing::new(&nodes.into_iter().map(|node| WeightedServer { node, weight: 1 }).collect::<Vec<_>>())
    }

    /// All servers, by their indexes.
    pub fn servers(&self) -> &[Node] {
        &self.servers
    }

    /// The index of the server that a key belongs to.
    pub fn server_of(&self, key: &[u8]) -> usize {
        self.failover_order(key).next().unwrap_or(0)
    }

    /// The indexes of all servers in the order in which a key fails over to them; some come more
    /// than once.
    pub fn failover_order(&self, key: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let start = match self.servers.len() {
            // Without the work of a digest.
            1 => 0,
            _ => {
                let hash = hash(&Md5::digest(key)[..4]);
                let next = self.continuum.partition_point(|point| point.value < hash);
                // 0 is the one hash that the module's search finds nothing for.
                if hash == 0 {
                    0
                } else {
                    next
                }
            }
        };
        let (before, after) = self.continuum.split_at(start.min(self.continuum.len()));
        after.iter().chain(before).map(|point| point.server)
    }
}

fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// What is hashed for a server: the port only where it is not the usual one.
fn name(node: &Node) -> String {
    match node.port {
        DEFAULT_PORT => node.host.clone(),
        port => stream::in_words(&node.host, port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(servers: &[(&str, u16, u32)]) -> HashRing {
        let server = |(host, port, weight): &(&str, u16, u32)| WeightedServer {
            node: Node { host: (*host).into(), port: *port },
            weight: *weight,
        };
        HashRing::new(&servers.iter().map(server).collect::<Vec<_>>())
    }

    /// By `new HashRing(servers, 'md5', { compatibility: 'ketama', 'default port': 11211 })`.
    #[test]
    fn servers_are_those_of_the_npm_module() {
        let plain = ring(&[("10.0.0.1", 11211, 1), ("10.0.0.2", 11211, 1), ("10.0.0.3", 11212, 1)]);
        let weighted = ring(&[("10.0.0.1", 11211, 1), ("10.0.0.2", 11211, 2), ("10.0.0.3", 11212, 5)]);
        let servers = |ring: &HashRing| -> String {
            (0..40).map(|number| ring.server_of(format!("user/{number}").as_bytes()).to_string()).collect()
        };
        assert_eq!(servers(&plain), PLAIN);
        assert_eq!(servers(&weighted), WEIGHTED);
    }

    const PLAIN: &str = "1120101021102002102111101010122110002010";
    const WEIGHTED: &str = "1120222021212222102011221010122110012222";

    #[test]
    fn a_key_fails_over_to_every_server() {
        let ring = ring(&[("a", 1, 1), ("b", 2, 1), ("c", 3, 1)]);
        for key in ["x", "y", "z"] {
            let mut servers: Vec<usize> = ring.failover_order(key.as_bytes()).collect();
            assert_eq!(servers[0], ring.server_of(key.as_bytes()));
            servers.sort_unstable();
            servers.dedup();
            assert_eq!(servers, [0, 1, 2]);
        }
    }
}
