//! Connections to the upstream for large request bodies.
//!
//! While pingora writes a piece of a request's body to an HTTP/1 upstream, it does not read the
//! answer. An upstream that answers while it still reads, such as an echo, then waits for us to read
//! as we wait for it to read, for ever. Here what arrives during a write that has to wait is taken in
//! ahead, so that the upstream goes on.
//!
//! pingora's pool can't tell such connections apart, so each serves one request. Only requests whose
//! body is large or of unknown length use them.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::connectors::l4::Connect;
use pingora::prelude::{Error, ErrorType};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};

/// How far ahead is read at most. pingora tosses a coin for what comes next, reading or writing 64 KiB,
/// so what is ahead of an echo wanders; over 200 MB it comes to a few MiB.
const AHEAD: usize = 16 << 20;

/// A write has to wait this long before more is read ahead. The system makes room for the other side
/// only when enough was read, and that side then needs a moment: without patience all that there is
/// would be read ahead, whether needed or not.
const PATIENCE: Duration = Duration::from_millis(1);

/// Ahead is read in pieces of this size, so that no buffer has to grow.
const PIECE: usize = 64 << 10;

/// Makes such connections, each within `timeout`.
pub fn connector(timeout: Option<Duration>) -> Arc<dyn Connect + Send + Sync> {
    Arc::new(Connector { timeout: timeout.unwrap_or(Duration::MAX) })
}

#[derive(Debug)]
struct Connector {
    timeout: Duration,
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, address: &SocketAddr) -> pingora::Result<Stream> {
        let connected = tokio::time::timeout(self.timeout, connect(address)).await;
        let stream = connected.map_err(|_| Error::new(ErrorType::ConnectTimedout).into_up())?;
        stream.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    ErrorType::ConnectNoRoute
                }
                _ => ErrorType::ConnectError,
            };
            Error::because(kind, "connecting to the upstream", error).into_up()
        })
    }
}

async fn connect(address: &SocketAddr) -> io::Result<Stream> {
    let socket: Box<dyn VirtualSocket> = match address {
        SocketAddr::Inet(address) => Box::new(Duplex::new(TcpStream::connect(address).await?)),
        SocketAddr::Unix(address) => {
            let path = address.as_pathname().ok_or(io::ErrorKind::AddrNotAvailable)?;
            Box::new(Duplex::new(UnixStream::connect(path).await?))
        }
    };
    Ok(VirtualSocketStream::new(socket).into())
}

/// A socket that tells whether there is something to read.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug + 'static {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn set_nodelay(&self) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn set_nodelay(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }
}

impl Socket for UnixStream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    /// What is written to a unix socket is never held back.
    fn set_nodelay(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Duplex<S> {
    socket: S,
    /// What was read while a write waited; no piece is empty.
    ahead: VecDeque<BytesMut>,
    /// Runs while a write waits and there is something to read.
    patience: Option<Pin<Box<Sleep>>>,
    /// The other side has sent all that it will, or reading failed: a later read tells which.
    ended: bool,
}

impl<S: Socket> Duplex<S> {
    fn new(socket: S) -> Self {
        Duplex { socket, ahead: VecDeque::new(), patience: None, ended: false }
    }

    /// A write waits: takes in a piece of what is there each time that patience is over.
    fn wait(&mut self, cx: &mut Context<'_>) {
        while !self.ended && self.ahead.len() < AHEAD / PIECE && self.socket.poll_read_ready(cx).is_ready() {
            let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
            if patience.as_mut().poll(cx).is_pending() {
                return;
            }
            self.patience = None;
            let mut piece = BytesMut::zeroed(PIECE);
            let mut buffer = ReadBuf::new(&mut piece);
            let read = Pin::new(&mut self.socket).poll_read(cx, &mut buffer);
            let length = buffer.filled().len();
            match read {
                Poll::Ready(Ok(())) if length > 0 => {
                    piece.truncate(length);
                    self.ahead.push_back(piece);
                }
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => return,
            }
        }
    }
}

impl<S: Socket> AsyncRead for Duplex<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let duplex = self.get_mut();
        let Some(piece) = duplex.ahead.front_mut() else {
            return Pin::new(&mut duplex.socket).poll_read(cx, buffer);
        };
        let length = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..length]);
        piece.advance(length);
        if piece.is_empty() {
            duplex.ahead.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for Duplex<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let duplex = self.get_mut();
        let written = Pin::new(&mut duplex.socket).poll_write(cx, bytes);
        match written {
            Poll::Pending => duplex.wait(cx),
            Poll::Ready(_) => duplex.patience = None,
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

impl<S: Socket> VirtualSocket for Duplex<S> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.socket.set_nodelay(),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Both sides write all before they read anything, more than the system's buffers hold.
    #[tokio::test]
    async fn a_write_that_waits_reads_ahead() {
        const SIZE: usize = 1 << 20;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&vec![1; SIZE]).await.unwrap();
            let mut got = vec![0; 16 * SIZE];
            stream.read_exact(&mut got).await.unwrap();
            got.iter().all(|byte| *byte == 2)
        });
        let socket = TcpStream::connect(address).await.unwrap();
        let mut duplex = Duplex::new(socket);
        duplex.write_all(&vec![2; 16 * SIZE]).await.unwrap();
        let mut got = vec![0; SIZE];
        duplex.read_exact(&mut got).await.unwrap();
        assert!(got.iter().all(|byte| *byte == 1));
        assert!(other.await.unwrap());
    }
}
