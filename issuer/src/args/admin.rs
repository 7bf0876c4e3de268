//! Where probes and metrics are served.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use clap::ValueHint;

#[derive(Debug, clap::Args)]
pub(crate) struct AdminArgs {
    /// Where to serve probes (/livez, /readyz) and metrics (/metrics), such as :9402 or 127.0.0.1:9402 [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_address: Option<ListenAddress>,

    /// Serve them by TLS with this certificate chain, in PEM. The file is read again when it has changed.
    #[arg(long, value_name = "FILE", requires_all = ["admin_address", "admin_tls_key"], value_hint = ValueHint::FilePath)]
    pub(crate) admin_tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "admin_tls_cert", value_hint = ValueHint::FilePath)]
    pub(crate) admin_tls_key: Option<PathBuf>,
}

/// An address and a port to listen on, or, as `:PORT`, all addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    One(SocketAddr),
    All(u16),
}

impl ListenAddress {
    /// What to try, in this order: IPv6's any is IPv4's as well, except on a machine without IPv6.
    pub(crate) fn sockets(self) -> Vec<SocketAddr> {
        match self {
            Self::One(address) => vec![address],
            Self::All(port) => vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()],
        }
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHAT: &str =
            "it has to be an IP address and a port, such as 127.0.0.1:9402 or [::1]:9402, or :9402 for all";
        match text.strip_prefix(':') {
            Some(port) => port.parse().map(Self::All).map_err(|_| WHAT),
            None => text.parse().map(Self::One).map_err(|_| WHAT),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(address) => address.fmt(f),
            Self::All(port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    #[test]
    fn an_address_has_a_port_and_no_name() {
        for (text, sockets) in [
            ("127.0.0.1:9402", vec!["127.0.0.1:9402"]),
            ("[::1]:0", vec!["[::1]:0"]),
            (":9402", vec!["[::]:9402", "0.0.0.0:9402"]),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.sockets(), sockets.iter().map(|socket| socket.parse().unwrap()).collect::<Vec<_>>());
        }
        for text in ["", ":", "9402", "127.0.0.1", "localhost:9402", "::1:9402x", ":70000"] {
            text.parse::<ListenAddress>().unwrap_err();
        }
    }

    #[test]
    fn tls_takes_both_files_and_an_address() {
        let run = |more: &[&str]| Args::try_parse_from(["tandem-issuer", "run"].iter().chain(more)).is_ok();
        assert!(run(&[]) && run(&["--admin-address=:0"]));
        assert!(run(&["--admin-address=:0", "--admin-tls-cert=a", "--admin-tls-key=b"]));
        assert!(!run(&["--admin-address=:0", "--admin-tls-cert=a"]));
        assert!(!run(&["--admin-address=:0", "--admin-tls-key=b"]));
        assert!(!run(&["--admin-tls-cert=a", "--admin-tls-key=b"]));
    }
}
