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
        Self::to_one_of(&resolve(endpoint, timeout)?, deadline)
    }

    /// Each address gets its share of the time that is left: one that is silent must not keep those after it from being asked.
    fn to_one_of(addresses: &[SocketAddr], deadline: Instant) -> Result<Self, String> {
        let mut last = "the name has no address".to_owned();
        for (address, shares) in addresses.iter().zip((1..=u32::try_from(addresses.len()).unwrap_or(u32::MAX)).rev()) {
            let share = remaining(deadline).unwrap_or_default() / shares;
            match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::net::listen;

    use super::*;

    /// As a host that answers by IPv4, and whose IPv6 address leads nowhere.
    #[test]
    fn an_address_that_is_silent_leaves_time_for_the_next() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        // One connection fits into its queue; who comes after it gets no answer.
        listen(&silent, 0).unwrap();
        let address = silent.local_addr().unwrap();
        let _queued = TcpStream::connect(address).unwrap();
        let answers = TcpListener::bind("127.0.0.1:0").unwrap();
        let within = || Instant::now() + Duration::from_secs(10);
        let socket = Socket::to_one_of(&[address, answers.local_addr().unwrap()], within()).unwrap();
        assert_eq!(socket.stream.peer_addr().unwrap(), answers.local_addr().unwrap());
        assert!(socket.time_left().unwrap() > Duration::from_millis(500), "the silent one has had all of it");
        let why = Socket::to_one_of(&[address], Instant::now() + Duration::from_millis(200)).err();
        assert_eq!(why, Some(format!("{address}: connection timed out")));
        assert_eq!(Socket::to_one_of(&[], within()).err().as_deref(), Some("the name has no address"));
    }
}
