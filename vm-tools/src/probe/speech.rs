//! What each protocol says before TLS and within it: one question that is answered to anybody, and how the answer reads.
//!
//! Sources: PostgreSQL's frontend/backend protocol, <https://www.postgresql.org/docs/current/protocol-flow.html> and
//! protocol-message-formats; MongoDB's wire protocol, <https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/>;
//! Redis' inline commands, <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::io::{self, Read, Write};

use tandem_cli::shown;

use super::{Answer, Protocol, Target};

/// `SSLRequest`: length, then the number that stands in place of a protocol version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Content type of a TLS alert, and the major version that follows it (RFC 8446 clauses 5.1 and 6).
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// Most bytes of one of PostgreSQL's messages that are read.
const MAX_MESSAGE: usize = 16 * 1024;

/// Does what comes before TLS.
///
/// # Errors
/// Why TLS does not follow.
pub(super) fn before_tls(protocol: Protocol, socket: &mut (impl Read + Write)) -> Result<(), Answer> {
    if protocol != Protocol::Postgresql {
        return Ok(());
    }
    let mut reply = [0];
    let asked = socket.write_all(&SSL_REQUEST).and_then(|()| socket.flush());
    asked.and_then(|()| socket.read_exact(&mut reply)).map_err(|error| broken(&error))?;
    match reply {
        [b'S'] => Ok(()),
        [b'N'] => Err(Answer::Unclear(
            "it does not offer TLS (it answers N to SSLRequest); set ssl = on in its postgresql.conf".to_owned(),
        )),
        [b'E'] => Err(Answer::Unclear("it answers SSLRequest with an error".to_owned())),
        _ => Err(strange("PostgreSQL")),
    }
}

fn strange(database: &str) -> Answer {
    Answer::Unclear(format!("it does not speak {database}'s protocol"))
}

/// The question. Of [`Protocol::Tls`] nothing is known: a line of text serves, which is no TLS.
pub(super) fn question(target: &Target) -> Vec<u8> {
    match target.protocol {
        Protocol::Tls | Protocol::Redis => b"PING\r\n".to_vec(),
        Protocol::Mongodb => mongodb_hello(),
        Protocol::Postgresql => startup(&target.login.0, &target.login.1),
    }
}

/// `StartupMessage` of protocol 3.0. The server says next how it would have the user authenticate, and no more follows.
fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 0];
    for text in ["user", user, "database", database, "application_name", "tandem-vm", ""] {
        body.extend(text.bytes().filter(|byte| *byte != 0));
        body.push(0);
    }
    framed(&body)
}

/// The length as four bytes, itself included, then the body.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), body].concat()
}

/// `OP_MSG` with the document `{hello: 1, $db: "admin"}`.
fn mongodb_hello() -> Vec<u8> {
    let document = b"\x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";
    // Request id 1, in answer to none, opCode 2013; then no flags, and a section of kind 0.
    let message = [&[1, 0, 0, 0, 0, 0, 0, 0, 0xdd, 0x07, 0, 0, 0, 0, 0, 0, 0][..], document].concat();
    let length = u32::try_from(message.len() + 4).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), message.as_slice()].concat()
}

/// The question for a web server.
pub(super) fn http_request(target: &Target) -> Vec<u8> {
    let host = target.server_name.to_str();
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Most bytes of an answer's first line that are read.
const MAX_LINE: usize = 64;

/// The first line of an answer without TLS, or as much of it as comes.
///
/// # Errors
/// Where there is none: what that says.
pub(super) fn line(stream: &mut impl Read) -> Result<Vec<u8>, Answer> {
    let (mut line, mut filled) = ([0; MAX_LINE], 1);
    line[0] = first_plain_byte(stream)?;
    while filled < MAX_LINE && !line[..filled].contains(&b'\n') {
        match stream.read(&mut line[filled..]) {
            Ok(0) | Err(_) => break,
            Ok(read) => filled += read,
        }
    }
    Ok(line[..filled].to_vec())
}

/// Whether a web server complains of the request (RFC 9110 clause 15.5.1).
pub(super) fn is_bad_request(line: &[u8]) -> bool {
    line.starts_with(b"HTTP/1.") && line.get(8..).is_some_and(|rest| rest.starts_with(b" 400"))
}

/// A web server complains of a request that is right where it expects TLS, and of nothing else.
pub(super) fn http_answer(line: &[u8]) -> Answer {
    if is_bad_request(line) {
        Answer::Refused("it answers HTTP 400 to a request without TLS".to_owned())
    } else {
        Answer::Accepted("it answers".to_owned())
    }
}

/// The first byte of an answer.
///
/// # Errors
/// Where there is none: what that says.
fn first_byte(stream: &mut impl Read) -> Result<u8, Answer> {
    let mut first = [0];
    stream.read_exact(&mut first).map_err(|error| broken(&error))?;
    Ok(first[0])
}

/// The first byte of an answer without TLS.
///
/// # Errors
/// Where there is none, or it is that of an alert: what that says.
fn first_plain_byte(stream: &mut impl Read) -> Result<u8, Answer> {
    let first = first_byte(stream)?;
    if first != TLS_ALERT[0] {
        return Ok(first);
    }
    Err(match first_byte(stream) {
        Ok(next) if next == TLS_ALERT[1] => Answer::Refused("it answers with a TLS alert".to_owned()),
        _ => Answer::Unclear("its answer is not understood".to_owned()),
    })
}

/// Reads the answer to the question, within TLS.
pub(super) fn answer(protocol: Protocol, stream: &mut impl Read) -> Answer {
    first_byte(stream).map_or_else(|answer| answer, |first| said(protocol, first, stream))
}

/// Reads the answer to the question, without TLS.
pub(super) fn plain_answer(protocol: Protocol, stream: &mut impl Read) -> Answer {
    first_plain_byte(stream).map_or_else(|answer| answer, |first| said(protocol, first, stream))
}

fn said(protocol: Protocol, first: u8, stream: &mut impl Read) -> Answer {
    match protocol {
        Protocol::Postgresql => postgresql(first, stream).unwrap_or_else(|error| cut_short(&error, "PostgreSQL")),
        Protocol::Mongodb => mongodb(first, stream).unwrap_or_else(|error| cut_short(&error, "MongoDB")),
        // A simple string, or an error, such as that of whoever has not said who it is.
        Protocol::Redis if !matches!(first, b'+' | b'-') => {
            Answer::Unclear("it does not speak Redis' protocol".to_owned())
        }
        Protocol::Tls | Protocol::Redis => Answer::Accepted("it answers".to_owned()),
    }
}

/// What an answer says that ends before a message of the database does: that is no silence.
fn cut_short(error: &io::Error, database: &str) -> Answer {
    match broken(error) {
        Answer::Closed(_) => strange(database),
        other => other,
    }
}

/// The header of a message: length, request id, the id that it answers, and the opCode, each of four bytes, the lowest first.
fn mongodb(first: u8, stream: &mut impl Read) -> io::Result<Answer> {
    let mut header = [first; 16];
    stream.read_exact(&mut header[1..])?;
    // OP_MSG, or OP_REPLY of an old one.
    Ok(match header[12..] {
        [0xdd, 0x07, 0, 0] | [1, 0, 0, 0] => Answer::Accepted("it answers".to_owned()),
        _ => strange("MongoDB"),
    })
}

/// The first message that says whether the server goes on with this connection.
fn postgresql(mut kind: u8, stream: &mut impl Read) -> io::Result<Answer> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX).checked_sub(4);
        let Some(length) = length.filter(|length| *length <= MAX_MESSAGE) else {
            return Ok(strange("PostgreSQL"));
        };
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let mut next = [0];
        match kind {
            b'R' => return Ok(Answer::Accepted("it goes on to authentication".to_owned())),
            b'E' => return Ok(error_response(&body)),
            // NoticeResponse and NegotiateProtocolVersion come before the answer.
            b'N' | b'v' => stream.read_exact(&mut next)?,
            _ => return Ok(strange("PostgreSQL")),
        }
        kind = next[0];
    }
}

/// `ErrorResponse`: fields that begin with a letter and end with a NUL. Class 28 is about who may connect, and how: by which
/// certificate, or else as which user of which database. Which of them is told by the name of a file or of a function, since messages
/// come in the server's own language (PostgreSQL's `auth.c`).
fn error_response(body: &[u8]) -> Answer {
    let field = |letter: u8| {
        let field = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&letter));
        field.map(|field| shown(&String::from_utf8_lossy(&field[1..]))).unwrap_or_default()
    };
    let (code, message) = (field(b'C'), field(b'M'));
    let text = format!("it says: {message} (SQLSTATE {code})");
    let for_want_of_a_certificate = message == "connection requires a valid client certificate"
        || field(b'R') == "ClientAuthentication" && !message.contains("pg_hba.conf");
    match code.starts_with("28") {
        true if for_want_of_a_certificate => Answer::Refused(text),
        true => Answer::Unlisted(text),
        false => Answer::Unclear(text),
    }
}

/// What the end of a connection says.
pub(super) fn broken(error: &io::Error) -> Answer {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (error.kind(), tls) {
        (_, Some(rustls::Error::AlertReceived(alert))) => Answer::Refused(format!("it sends the TLS alert {alert:?}")),
        (_, Some(rustls::Error::InvalidMessage(_))) => Answer::Unclear("what it sends is not TLS".to_owned()),
        (_, Some(error)) => Answer::Unclear(shown(&error.to_string())),
        (ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof, _) => {
            Answer::Closed("it closes the connection".to_owned())
        }
        (TimedOut, _) => Answer::Unclear("it does not answer in time".to_owned()),
        _ => Answer::Unclear(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hello_has_the_lengths_that_it_says() {
        let message = mongodb_hello();
        assert_eq!(usize::try_from(u32::from_le_bytes(message[..4].try_into().unwrap())).unwrap(), message.len());
        let document = &message[21..];
        assert_eq!(usize::try_from(u32::from_le_bytes(document[..4].try_into().unwrap())).unwrap(), document.len());
    }

    #[test]
    fn a_startup_message_has_no_way_out_of_a_field() {
        let message = startup("a\0password\0x", "b");
        let fields: Vec<_> = message[8..].split(|byte| *byte == 0).collect();
        let fields: Vec<_> = fields.iter().map(|field| str::from_utf8(field).unwrap()).collect();
        assert_eq!(fields, ["user", "apasswordx", "database", "b", "application_name", "tandem-vm", "", ""]);
    }

    #[test]
    fn a_web_server_complains_with_400_alone() {
        for (mut bytes, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n"[..], true),
            (b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", true),
            (b"HTTP/1.1 404 Not Found\r\n400", false),
            (b"+PONG\r\n", false),
            (b"HTTP/1.", false),
        ] {
            assert_eq!(line(&mut bytes).map(|line| is_bad_request(&line)), Ok(expected));
        }
    }

    #[test]
    fn postgresql_is_understood() {
        let message = |kind: u8, body: &[u8]| [&[kind][..], &framed(body)].concat();
        let refused = message(b'E', b"SFATAL\0C28000\0Mconnection requires a valid client certificate\0\0");
        let notice = message(b'N', b"SWARNING\0\0");
        let busy = message(b'E', b"C53300\0Mtoo many\x1bclients\0\0");
        let unlisted = "no pg_hba.conf entry for host \"10.0.0.1\", user \"a\", database \"b\", SSL encryption";
        let cases: [(&[u8], &str); 9] = [
            (&message(b'R', &[0, 0, 0, 10]), "Accepted(\"it goes on to authentication\")"),
            (&refused, "Refused(\"it says: connection requires a valid client certificate (SQLSTATE 28000)\")"),
            (
                &[notice.as_slice(), &refused].concat(),
                "Refused(\"it says: connection requires a valid client certificate (SQLSTATE 28000)\")",
            ),
            // In the server's language, and as it is said by others than PostgreSQL.
            (
                &message(
                    b'E',
                    "C28000\0MVerbindung erfordert ein Client-Zertifikat\0RClientAuthentication\0\0".as_bytes(),
                ),
                "Refused(\"it says: Verbindung erfordert ein Client-Zertifikat (SQLSTATE 28000)\")",
            ),
            (
                &message(b'E', format!("C28000\0M{unlisted}\0RClientAuthentication\0\0").as_bytes()),
                &format!("Unlisted({:?})", format!("it says: {unlisted} (SQLSTATE 28000)")),
            ),
            (
                &message(b'E', b"C28000\0Mcertificate authentication failed\0Rauth_failed\0\0"),
                "Unlisted(\"it says: certificate authentication failed (SQLSTATE 28000)\")",
            ),
            (b"E\0\0\0\xffSFATAL", "Unclear(\"it does not speak PostgreSQL's protocol\")"),
            (&busy, "Unclear(\"it says: too many\u{fffd}clients (SQLSTATE 53300)\")"),
            (b"R\xff\xff\xff\xff", "Unclear(\"it does not speak PostgreSQL's protocol\")"),
        ];
        for (mut bytes, expected) in cases {
            assert_eq!(format!("{:?}", answer(Protocol::Postgresql, &mut bytes)), expected);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for protocol in [Protocol::Tls, Protocol::Postgresql, Protocol::Mongodb, Protocol::Redis] {
                answer(protocol, &mut bytes.as_slice());
                plain_answer(protocol, &mut bytes.as_slice());
            }
            if let Ok(line) = line(&mut bytes.as_slice()) {
                http_answer(&line);
            }
            error_response(&bytes);
        }
    }
}
