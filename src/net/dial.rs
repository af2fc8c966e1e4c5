//! Connects to a name with all its addresses: "Happy Eyeballs", RFC 8305.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{select, Either, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::{lookup_host, TcpStream};
use tokio::time::sleep;

/// How long one address is tried alone before the next one is tried as well: the "Connection
/// Attempt Delay" of RFC 8305, section 5, with the value recommended there.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connection to the first address of a host that takes one. A dead address costs a quarter of
/// a second, not the whole attempt.
///
/// # Errors
/// The name is not known, or no address takes a connection: each is named with its own error.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    connect_any(lookup_host((host, port)).await?.collect()).await
}

async fn connect_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut left = alternating(addresses);
    let mut attempts = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        match (left.pop_front(), attempts.is_empty()) {
            (Some(address), _) => attempts.push(TcpStream::connect(address).map(move |end| (address, end))),
            (None, true) => return Err(all_of(failures)),
            (None, false) => {}
        }
        // The last one may take all the time there is.
        let next = if left.is_empty() { None } else { Some(sleep(ATTEMPT_DELAY)) };
        let result = match next {
            None => attempts.next().await,
            Some(delay) => match select(attempts.next(), std::pin::pin!(delay)).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => continue,
            },
        };
        match result {
            Some((_, Ok(stream))) => return Ok(stream),
            Some((address, Err(error))) => failures.push((address, error)),
            None => {}
        }
    }
}

/// The errors of all addresses as one, of the kind of the last.
fn all_of(failures: Vec<(SocketAddr, io::Error)>) -> io::Error {
    let Some((_, last)) = failures.last() else {
        return io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    };
    let words: Vec<String> = failures.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    io::Error::new(last.kind(), words.join("; "))
}

/// The addresses as the system prefers them, by turns of either family: RFC 8305, section 4.
fn alternating(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (firsts, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut mixed = VecDeque::with_capacity(firsts.len() + others.len());
    let (mut firsts, mut others) = (firsts.into_iter(), others.into_iter());
    loop {
        let pair = [firsts.next(), others.next()];
        if pair.iter().all(Option::is_none) {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::TcpListener;
    use std::time::Instant;

    use socket2::{Domain, Socket, Type};
    use tokio::runtime::Builder;

    /// A listener whose queue is full: it swallows whatever else wants to connect.
    fn black_hole() -> (Socket, Vec<Socket>, SocketAddr) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = (0..3).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        });
        let waiting = waiting.collect();
        (listener, waiting, address.as_socket().unwrap())
    }

    fn connected(addresses: Vec<SocketAddr>) -> io::Result<SocketAddr> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(connect_any(addresses))?.peer_addr()
    }

    #[test]
    fn an_address_that_swallows_packets_does_not_keep_the_others_from_being_tried() {
        let (_listener, _waiting, hole) = black_hole();
        let living = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = living.local_addr().unwrap();
        let begin = Instant::now();
        assert_eq!(connected(vec![hole, address]).unwrap(), address);
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }

    #[test]
    fn an_address_that_refuses_is_followed_by_the_next_one() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let living = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = living.local_addr().unwrap();
        assert_eq!(connected(vec![closed, address]).unwrap(), address);
        let other = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = connected(vec![closed, other]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        for address in [closed, other] {
            assert!(error.to_string().contains(&format!("{address}: ")), "{error}");
        }
        assert_eq!(connected(Vec::new()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn families_take_turns() {
        let v4 = |last| SocketAddr::from(([192, 0, 2, last], 1));
        let v6 = |last| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 1));
        assert_eq!(alternating(vec![v6(1), v6(2), v6(3), v4(1), v4(2)]), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        assert_eq!(alternating(vec![v4(1), v4(2)]), [v4(1), v4(2)]);
    }
}
