//! A connection that can be cut without a word: what is sent meanwhile arrives when it is mended, and nobody is told. As in
//! a network that drops packets, nothing fails: it hangs.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A cable to a server, which ends when it is dropped.
#[derive(Debug)]
pub struct Cable {
    /// The address of its near end.
    pub address: SocketAddr,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cable {
    /// Lays it to a server.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let (cut, is_cut) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let is_cut = is_cut.clone();
                // Either side may hang up.
                tokio::spawn(async move {
                    let (near, far) = (near.into_split(), TcpStream::connect(server).await?.into_split());
                    tokio::try_join!(carry(near.0, far.1, is_cut.clone()), carry(far.0, near.1, is_cut))
                });
            }
        });
        Ok(Self { address, cut, task })
    }

    /// Cuts it, or mends it.
    pub fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut is_cut: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        // Its sender ends with the cable.
        if is_cut.wait_for(|cut| !cut).await.is_err() || count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
