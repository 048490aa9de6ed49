//! A wire with a length: forwards TCP connections and holds back what goes through them, in both directions.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::process::Failure;

/// Forwards what comes to an address; ends with the value.
pub(super) struct Relay(JoinHandle<()>);

impl Relay {
    /// Listens at `from` for what is for `to`; a round trip takes `round_trip` longer.
    pub(super) async fn start(
        from: SocketAddr,
        to: SocketAddr,
        round_trip: Duration,
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind(from).await.map_err(Failure::io(from))?;
        Ok(Self(tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(forward(near, to, round_trip));
            }
        })))
    }
}

impl Relay {
    /// Stops listening, and returns when the address is free.
    pub(super) async fn end(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn forward(near: TcpStream, to: SocketAddr, round_trip: Duration) {
    // The near side is connected at once, as it would not be over a long wire: that round trip is made up for here.
    tokio::time::sleep(round_trip).await;
    let Ok(far) = TcpStream::connect(to).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let half = round_trip / 2;
    tokio::join!(
        pump(near_read, far_write, half),
        pump(far_read, near_write, half)
    );
}

/// Hands on each piece when its time has come; pieces overtake nothing and fill no gaps.
async fn pump(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) {
    let (pieces, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let reading = tokio::spawn(async move {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count) = from.read(&mut bytes).await {
            let piece = (Instant::now() + delay, bytes[..count].to_vec());
            if pieces.send(piece).await.is_err() || count == 0 {
                return;
            }
        }
    });
    while let Some((due, piece)) = waiting.recv().await {
        sleep_until(due.into()).await;
        if piece.is_empty() || to.write_all(&piece).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
    reading.abort();
}
