//! Which server has a key: the ring of the npm module `hashring` 3.2 with md5 and ketama's
//! points, as the npm client `memcached` 2.2 sets it up.

use md5::{Digest, Md5};

use super::options::DEFAULT_PORT;
use crate::net::fleet::Node;
use crate::net::stream;

/// A server on the ring.
#[derive(Clone, Debug)]
pub(in crate::backends) struct Place {
    pub node: Node,
    /// Its share against the others'.
    pub weight: u32,
}

/// Digests for a server of average weight; each makes four points.
const DIGESTS: f64 = 40.0;

/// The servers, and their points in order.
pub(in crate::backends) struct Ring {
    nodes: Vec<Node>,
    /// Point and the server's number.
    points: Vec<(u32, usize)>,
}

impl Ring {
    pub fn new(places: &[Place]) -> Ring {
        let total: f64 = places.iter().map(|place| f64::from(place.weight)).sum();
        let mut points = Vec::new();
        for (number, place) in places.iter().enumerate() {
            let share = f64::from(place.weight) / total * DIGESTS * places.len() as f64;
            let name = name(&place.node);
            for index in 0..share.floor() as u64 {
                let digest = Md5::digest(format!("{name}-{index}"));
                points.extend(digest.chunks_exact(4).map(|part| (point(part), number)));
            }
        }
        // Stable, as JavaScript's is: where two points meet, the server that was named first.
        points.sort_by_key(|(point, _)| *point);
        Ring { nodes: places.iter().map(|place| place.node.clone()).collect(), points }
    }

    /// All servers, by their numbers.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The number of the server that a key belongs to.
    pub fn home(&self, key: &[u8]) -> usize {
        self.route(key).next().unwrap_or(0)
    }

    /// The numbers of all servers in the order in which a key would come to them; some come
    /// more than once.
    pub fn route(&self, key: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let start = match self.nodes.len() {
            // Without the work of a digest.
            1 => 0,
            _ => {
                let hash = point(&Md5::digest(key)[..4]);
                let next = self.points.partition_point(|(point, _)| *point < hash);
                // 0 is the one hash that the module's search finds nothing for.
                if hash == 0 {
                    0
                } else {
                    next
                }
            }
        };
        let (before, after) = self.points.split_at(start.min(self.points.len()));
        after.iter().chain(before).map(|(_, number)| *number)
    }
}

fn point(bytes: &[u8]) -> u32 {
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

    fn ring(servers: &[(&str, u16, u32)]) -> Ring {
        let place = |(host, port, weight): &(&str, u16, u32)| Place {
            node: Node { host: (*host).into(), port: *port },
            weight: *weight,
        };
        Ring::new(&servers.iter().map(place).collect::<Vec<_>>())
    }

    /// By `new HashRing(servers, 'md5', { compatibility: 'ketama', 'default port': 11211 })`.
    #[test]
    fn places_are_those_of_the_npm_module() {
        let plain = ring(&[("10.0.0.1", 11211, 1), ("10.0.0.2", 11211, 1), ("10.0.0.3", 11212, 1)]);
        let weighted = ring(&[("10.0.0.1", 11211, 1), ("10.0.0.2", 11211, 2), ("10.0.0.3", 11212, 5)]);
        let homes = |ring: &Ring| -> String {
            (0..40).map(|number| ring.home(format!("user/{number}").as_bytes()).to_string()).collect()
        };
        assert_eq!(homes(&plain), PLAIN);
        assert_eq!(homes(&weighted), WEIGHTED);
    }

    const PLAIN: &str = "1120101021102002102111101010122110002010";
    const WEIGHTED: &str = "1120222021212222102011221010122110012222";

    #[test]
    fn a_route_comes_to_every_server() {
        let ring = ring(&[("a", 1, 1), ("b", 2, 1), ("c", 3, 1)]);
        for key in ["x", "y", "z"] {
            let mut seen: Vec<usize> = ring.route(key.as_bytes()).collect();
            assert_eq!(seen[0], ring.home(key.as_bytes()));
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, [0, 1, 2]);
        }
    }
}
