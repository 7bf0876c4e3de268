//! Beside a server that does with TLS and plaintext what mongod does in each of its modes. It stands in for mongod,
//! which no package registry has.

use std::{
    io::{Read, Write},
    path::Path,
    sync::Arc,
};

use rustls::{ServerConnection, StreamOwned};

use super::{
    servers::{Spoken, ca, client, leaf, secret, server_config},
    verify,
};

const HOW: [&str; 2] = ["--protocol", "mongodb"];

/// An OP_MSG with a document for an OP_MSG whose document asks for `hello` in `admin`; nothing for anything else.
fn hello(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    let mut header = [0; 16];
    stream.read_exact(&mut header)?;
    let [length, id, _, code] = [0, 4, 8, 12].map(|at| u32::from_le_bytes(header[at..at + 4].try_into().unwrap()));
    let mut body = vec![0; usize::try_from(length).unwrap() - 16];
    stream.read_exact(&mut body)?;
    let asked = b"\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";
    let document = &body[5..];
    let size = u32::from_le_bytes(document[..4].try_into().unwrap());
    if code != 2013 || body[..5] != [0; 5] || size as usize != document.len() || document[4..] != asked[..] {
        return Ok(());
    }
    let reply = b"\x11\0\0\0\x10ok\0\x01\0\0\0\0\0\0\0\0\0";
    let length = u32::try_from(16 + 5 + reply.len()).unwrap();
    let head = [length, 1, id, 2013].map(u32::to_le_bytes).concat();
    stream.write_all(&[&head, &[0; 5][..], reply].concat())?;
    stream.flush()
}

/// `mode` as in net.tls: requireTLS closes plaintext connections, preferTLS talks to them.
pub(crate) fn mongod(secret: &Path, mode: &'static str, without_certificates: bool) -> Spoken {
    let config = Arc::new(server_config(secret, !without_certificates, rustls::DEFAULT_VERSIONS));
    Spoken::start(move |mut stream| {
        let mut first = [0];
        if stream.peek(&mut first).is_ok_and(|read| read == 1) {
            // A peer that is refused or goes away is no error of the server's.
            let _ = match (first[0], mode) {
                (0x16, _) => hello(&mut StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)),
                (_, "preferTLS") => hello(&mut stream),
                _ => Ok(()),
            };
        }
    })
}

#[test]
fn mongodb_is_seen_as_it_is_configured() {
    let ca = ca("internal-ca");
    let (secret, app) = (secret(&ca, &leaf()), client(&ca, "app"));
    for (without, wanted, unwanted) in [(false, "required", "optional"), (true, "optional", "required")] {
        let server = mongod(secret.path(), "requireTLS", without);
        for more in [&[][..], &["--client", app.path().to_str().unwrap()]] {
            let done = verify(server.port, secret.path(), &[&HOW[..], &["--client-auth", wanted], more].concat());
            done.expect_failed(&[]);
            done.expect("answers", "good", "it answers");
            done.expect("plaintext", "good", "refused: it closes the connection");
            done.expect("stranger", "good", "refused with a certificate of an unknown CA");
        }
        let done = verify(server.port, secret.path(), &[&HOW[..], &["--client-auth", unwanted]].concat());
        done.expect_failed(&["anonymous"]);
    }
}

#[test]
fn mongodb_that_only_prefers_tls_is_told_of() {
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = mongod(secret.path(), "preferTLS", true);
    let done = verify(server.port, secret.path(), &HOW);
    done.expect("plaintext", "failed", "accepted: it answers; require TLS");
    done.expect_failed(&["plaintext"]);
}
