//! How many bytes move on connections: what tells a server that is slow from one that hangs.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{pin, Pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// A count of bytes that grows while a server takes or sends something: on one connection, or on
/// several that serve the same. Clones share it.
///
/// What the system takes from us at once is not counted, since it may lie there for ever; what had
/// to wait until the server took something before it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic(Arc<AtomicU64>);

impl Traffic {
    /// The count.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Waits for work on these connections for as long as something moves on them; `None` once
    /// nothing did for `patience`, or for up to twice as long.
    pub async fn while_moving<R>(&self, patience: Duration, work: impl Future<Output = R>) -> Option<R> {
        let mut work = pin!(work);
        loop {
            let before = self.total();
            match timeout(patience, work.as_mut()).await {
                Ok(result) => return Some(result),
                Err(_) if self.total() == before => return None,
                Err(_) => {}
            }
        }
    }
}

/// A stream whose bytes are counted.
pub(crate) struct Counted<S> {
    inner: S,
    traffic: Traffic,
    /// The system took no more when it was last given something.
    was_full: bool,
}

impl<S> Counted<S> {
    pub fn new(inner: S, traffic: &Traffic) -> Counted<S> {
        Counted { inner, traffic: traffic.clone(), was_full: false }
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.was_full = true,
            Poll::Ready(Ok(written)) if std::mem::take(&mut self.was_full) => self.traffic.add(written),
            Poll::Ready(_) => {}
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, into);
        if result.is_ready() {
            self.traffic.add(into.filled().len() - before);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, data);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, data);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use futures_util::future::join;
    use tokio::io::{duplex, AsyncReadExt, AsyncWriteExt};
    use tokio::time::sleep;

    const PATIENCE: Duration = Duration::from_millis(100);

    fn block_on<R>(work: impl Future<Output = R>) -> R {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn a_slow_drip_is_progress_in_either_direction() {
        block_on(async {
            let (ours, mut theirs) = duplex(1);
            let traffic = Traffic::default();
            let mut ours = Counted::new(ours, &traffic);
            let drip = async {
                for _ in 0..12 {
                    sleep(PATIENCE / 4).await;
                    theirs.write_u8(1).await.unwrap();
                }
                for _ in 0..12 {
                    sleep(PATIENCE / 4).await;
                    theirs.read_u8().await.unwrap();
                }
            };
            let exchange = async {
                ours.read_exact(&mut [0; 12]).await?;
                ours.write_all(&[0; 12]).await
            };
            let (exchanged, ()) = join(traffic.while_moving(PATIENCE, exchange), drip).await;
            exchanged.expect("it was taken for silence").unwrap();
        });
    }

    #[test]
    fn silence_is_none_however_much_the_system_takes() {
        block_on(async {
            let (ours, theirs) = duplex(1024);
            let traffic = Traffic::default();
            let mut ours = Counted::new(ours, &traffic);
            let exchange = async {
                loop {
                    ours.write_u8(1).await.unwrap();
                    sleep(PATIENCE / 20).await;
                }
            };
            let silent = traffic.while_moving(PATIENCE, join(exchange, std::future::pending::<()>()));
            assert!(timeout(PATIENCE * 10, silent).await.expect("nobody noticed").is_none());
            assert_eq!(traffic.total(), 0);
            drop(theirs);
        });
    }

    #[test]
    fn several_connections_may_share_a_count() {
        block_on(async {
            let traffic = Traffic::default();
            for _ in 0..2 {
                let (ours, mut theirs) = duplex(8);
                theirs.write_all(&[0; 5]).await.unwrap();
                drop(theirs);
                Counted::new(ours, &traffic).read_to_end(&mut Vec::new()).await.unwrap();
            }
            assert_eq!(traffic.total(), 10);
        });
    }
}
