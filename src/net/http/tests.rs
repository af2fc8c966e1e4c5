//! The client against small servers that do one thing each.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use super::*;
use crate::core::{ErrorCode, Remedy};

const PATIENCE: Duration = Duration::from_secs(20);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A server of which `serve` gets each connection with its number.
async fn server<F>(serve: impl Fn(TcpStream, usize) -> F + Send + 'static) -> (Client, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port(), tls: None };
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, counter.fetch_add(1, Ordering::SeqCst)));
        }
    });
    (Client::new(origin, 2, 1_000).unwrap(), accepted)
}

/// Reads a request without a body; false at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => seen.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// Answers every request.
async fn answer_all(mut stream: TcpStream, _: usize) {
    while read_request(&mut stream).await {
        stream.write_all(OK.as_bytes()).await.unwrap();
    }
}

async fn get(client: &Client) -> Result<Answer, Error> {
    let request = Request::get("/x").body(Bytes::new()).unwrap();
    timeout(PATIENCE, client.send(request)).await.expect("no answer")
}

async fn is_connection_error(client: &Client, words: &str) {
    let error = get(client).await.err().expect("it cannot succeed");
    assert_eq!(error.remedy(), Remedy::Reconnect, "{error}");
    assert!(error.message().contains(words), "{error}");
}

#[test]
fn a_connection_serves_many_requests() {
    runtime().block_on(async {
        let (client, accepted) = server(answer_all).await;
        for _ in 0..5 {
            let answer = get(&client).await.unwrap();
            assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"hi"[..]));
        }
        assert_eq!(accepted.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    runtime().block_on(async {
        let (client, accepted) = server(answer_all).await;
        let answers = futures_util::future::join_all((0..20).map(|_| get(&client))).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(accepted.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_connection_that_was_closed_between_two_requests_is_replaced_unnoticed() {
    runtime().block_on(async {
        let (client, accepted) = server(|mut stream, _| async move {
            read_request(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        })
        .await;
        for _ in 0..3 {
            get(&client).await.unwrap();
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(accepted.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn a_connection_that_ends_under_a_request_is_an_outage() {
    runtime().block_on(async {
        let (client, _) = server(|mut stream, number| async move {
            read_request(&mut stream).await;
            if number == 1 {
                stream.write_all(&OK.as_bytes()[..OK.len() - 1]).await.unwrap();
            }
        })
        .await;
        is_connection_error(&client, "closed the connection").await;
        is_connection_error(&client, "closed the connection").await;
    });
}

#[test]
fn nonsense_is_an_outage() {
    runtime().block_on(async {
        let (client, _) = server(|mut stream, _| async move {
            read_request(&mut stream).await;
            stream.write_all(b"\x00\xff\x7fgarbage \r\n%!?\x01\n").await.unwrap();
        })
        .await;
        is_connection_error(&client, "not HTTP").await;
    });
}

#[test]
fn a_server_that_is_not_there_is_an_outage() {
    runtime().block_on(async {
        let origin = Origin { host: "127.0.0.1".into(), port: 1, tls: None };
        is_connection_error(&Client::new(origin, 1, 1_000).unwrap(), "cannot connect").await;
    });
}

#[test]
fn a_long_answer_is_reported() {
    runtime().block_on(async {
        let (client, _) = server(|mut stream, _| async move {
            while read_request(&mut stream).await {
                let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n{}", "x".repeat(2_000));
                let _ = stream.write_all(long.as_bytes()).await;
            }
        })
        .await;
        let error = get(&client).await.err().expect("it is too long");
        assert_eq!((error.code(), error.remedy()), (ErrorCode::Backend, Remedy::Report));
        assert!(error.message().contains("1000 bytes"), "{error}");
    });
}

#[test]
fn an_answer_that_nobody_waited_for_is_not_taken_for_another() {
    runtime().block_on(async {
        let (client, _) = server(|mut stream, number| async move {
            while read_request(&mut stream).await {
                sleep(Duration::from_millis(if number == 0 { 300 } else { 0 })).await;
                let text = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
                let _ = stream.write_all(text.as_bytes()).await;
            }
        })
        .await;
        let request = Request::get("/slow").body(Bytes::new()).unwrap();
        assert!(timeout(Duration::from_millis(50), client.send(request)).await.is_err());
        assert_eq!(&get(&client).await.unwrap().body[..], b"1");
    });
}

#[test]
fn the_watch_ends_when_the_server_is_gone() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = Client::new(Origin { host: "127.0.0.1".into(), port, tls: None }, 1, 1_000).unwrap();
        let (answer, stream) = futures_util::future::join(get(&client), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream
        })
        .await;
        answer.unwrap();
        let mut watch = pin!(client.watch());
        assert!(timeout(Duration::from_millis(100), &mut watch).await.is_err());
        drop((stream, listener));
        let error = timeout(PATIENCE, watch).await.expect("it is gone");
        assert_eq!(error.remedy(), Remedy::Reconnect);
    });
}

/// A server that is killed may take a connection between the end of the others and its own.
#[test]
fn the_watch_is_not_lulled_by_a_connection_that_a_dying_server_took() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = Client::new(Origin { host: "127.0.0.1".into(), port, tls: None }, 1, 1_000).unwrap();
        let (answer, first) = futures_util::future::join(get(&client), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream
        })
        .await;
        answer.unwrap();
        let dying = async {
            drop(first);
            let second = listener.accept().await.unwrap();
            drop((second, listener));
            std::future::pending::<()>().await
        };
        let (watch, dying) = (pin!(client.watch()), pin!(dying));
        let both = futures_util::future::select(watch, dying);
        let Ok(futures_util::future::Either::Left((error, _))) = timeout(PATIENCE, both).await else {
            panic!("nobody noticed");
        };
        assert_eq!(error.remedy(), Remedy::Reconnect);
    });
}

#[test]
fn the_watch_replaces_what_the_server_closed() {
    runtime().block_on(async {
        let (client, accepted) = server(|mut stream, number| async move {
            // The first is closed after its answer, the second stays.
            while read_request(&mut stream).await {
                stream.write_all(OK.as_bytes()).await.unwrap();
                if number == 0 {
                    sleep(Duration::from_millis(50)).await;
                    break;
                }
            }
        })
        .await;
        get(&client).await.unwrap();
        assert!(timeout(Duration::from_millis(500), client.clone().watch()).await.is_err());
        assert_eq!(accepted.load(Ordering::SeqCst), 2);
        get(&client).await.unwrap();
        assert_eq!(accepted.load(Ordering::SeqCst), 2);
    });
}
