//! A TCP connection that ends by itself: one time limit for all of it, and a budget of bytes.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs},
    sync::mpsc,
    time::{Duration, Instant},
};

use super::Endpoint;

/// Most bytes that are read from one connection. A chain of certificates has some thousands.
const MAX_BYTES: usize = 512 * 1024;

pub(super) struct Socket {
    stream: TcpStream,
    deadline: Instant,
    left: usize,
}

impl Socket {
    /// Resolves the name and connects to the first of its addresses that answers.
    ///
    /// # Errors
    /// Why none does, in words.
    pub(super) fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Self, String> {
        let deadline = Instant::now() + timeout;
        let mut last = "the name has no address".to_owned();
        for address in resolve(endpoint, timeout)? {
            let Some(left) = remaining(deadline) else { return Err(format!("no connection within {timeout:?}")) };
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => return Ok(Self { stream, deadline, left: MAX_BYTES }),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        Err(last)
    }

    fn time_left(&self) -> io::Result<Duration> {
        remaining(self.deadline).ok_or_else(|| io::ErrorKind::TimedOut.into())
    }
}

fn remaining(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

/// The system's resolver has time limits of its own, which are longer: it is left behind when ours has passed.
fn resolve(endpoint: &Endpoint, timeout: Duration) -> Result<Vec<SocketAddr>, String> {
    let Endpoint { host, port } = endpoint.clone();
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // Nobody listens any more where it took too long.
        let _ = sender.send(found);
    });
    match receiver.recv_timeout(timeout) {
        Ok(found) => found.map_err(|error| format!("the name is not known: {error}")),
        Err(_) => Err(format!("the name was not resolved within {timeout:?}")),
    }
}

/// The systems report a socket's time limit in two ways.
fn timed(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = buffer.len().min(self.left);
        if limit == 0 && !buffer.is_empty() {
            return Err(io::Error::other(format!("it sent more than {MAX_BYTES} bytes")));
        }
        self.stream.set_read_timeout(Some(self.time_left()?))?;
        let read = self.stream.read(&mut buffer[..limit]).map_err(timed)?;
        self.left -= read;
        Ok(read)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.time_left()?))?;
        self.stream.write(bytes).map_err(timed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
