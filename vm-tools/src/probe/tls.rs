//! The handshake. The chain is recorded, not judged: that the server has the key of what it shows is all that is
//! required here.

use std::{
    io::Write,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme,
    Stream,
    client::{
        ResolvesClientCert, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    sign::CertifiedKey,
};

use super::{Answer, Protocol, Target, socket::Socket, speech};

/// Whom a connection says that it is from.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// No certificate is sent.
    Nobody,
    /// This one is, where the server asks for any.
    Holder(Arc<CertifiedKey>),
}

/// What was agreed upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) version: &'static str,
    /// IANA's name of the cipher suite.
    pub(crate) cipher: String,
}

/// What one connection showed.
#[derive(Debug)]
pub(crate) struct Seen {
    /// As it was served, the server's own certificate first; empty where it did not come to that.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Where the handshake came to its end.
    pub(crate) negotiated: Option<Negotiated>,
    /// The server asked for a client certificate.
    pub(crate) asked: bool,
    /// What became of the question.
    pub(crate) answer: Answer,
}

/// Connects, and asks.
///
/// # Errors
/// Why there is no connection, in words.
pub(crate) fn connect(target: &Target, identity: Identity) -> Result<Seen, String> {
    let mut socket = Socket::connect(&target.endpoint, target.timeout)?;
    let observer = Arc::new(Observer::new(identity));
    let seen = |negotiated, answer| {
        let asked = observer.asked.load(Ordering::Relaxed);
        let chain = observer.chain.get().cloned().unwrap_or_default();
        Seen { chain, negotiated, asked, answer: if asked { answer } else { unasked(answer) } }
    };
    if let Err(answer) = speech::before_tls(target.protocol, &mut socket) {
        return Ok(seen(None, unjudged(answer)));
    }
    let mut tls = client(target, &observer).map_err(|error| format!("TLS cannot be set up here: {error}"))?;
    while tls.is_handshaking() {
        if let Err(error) = tls.complete_io(&mut socket) {
            let answer = speech::broken(&error);
            let judged = observer.chain.get().is_some();
            return Ok(seen(None, if judged { answer } else { unjudged(answer) }));
        }
    }
    let negotiated = negotiated(&tls);
    let answer = ask(target, &mut tls, &mut socket, &negotiated);
    Ok(seen(Some(negotiated), answer))
}

/// What a server that has not shown a certificate did: it has not come to looking at the client's, so nobody was refused.
fn unjudged(answer: Answer) -> Answer {
    match answer {
        Answer::Refused(what) | Answer::Closed(what) => {
            Answer::Unclear(format!("{what} before it shows a certificate; is --protocol right?"))
        }
        other => other,
    }
}

/// What a server that has asked for no certificate did: it refuses nobody for one, or for want of one.
fn unasked(answer: Answer) -> Answer {
    match answer {
        Answer::Refused(what) | Answer::Closed(what) => Answer::Unclear(what),
        other => other,
    }
}

/// Asks the same question without TLS.
///
/// # Errors
/// Why there is no connection, in words.
pub(crate) fn in_plaintext(target: &Target) -> Result<Answer, String> {
    let ask = |question: &[u8]| -> Result<_, String> {
        let mut socket = Socket::connect(&target.endpoint, target.timeout)?;
        Ok(socket.write_all(question).map(|()| socket).map_err(|error| speech::broken(&error)))
    };
    let mut socket = match ask(&speech::question(target))? {
        Ok(socket) => socket,
        Err(answer) => return Ok(answer),
    };
    if target.protocol != Protocol::Tls {
        return Ok(speech::plain_answer(target.protocol, &mut socket));
    }
    match speech::line(&mut socket) {
        // So a web server answers what is no HTTP, whether it wants TLS or not: it is asked once more, in its own words.
        Ok(line) if speech::is_bad_request(&line) => {
            let answer = ask(&speech::http_request(target))?.and_then(|mut socket| speech::line(&mut socket));
            Ok(answer.map_or_else(|answer| answer, |line| speech::http_answer(&line)))
        }
        Ok(_) => Ok(Answer::Accepted("it answers".to_owned())),
        Err(answer) => Ok(answer),
    }
}

/// An identity that nobody vouches for: made on the spot by a CA that nobody knows.
///
/// # Errors
/// Where the cryptographic library makes no key.
pub(crate) fn stranger() -> Result<Identity, rcgen::Error> {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut ca = named("unknown-ca");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let mut params = named("stranger");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &ca)?;
    let signer = aws_lc_rs::sign::any_supported_type(&key.into()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    Ok(Identity::Holder(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signer))))
}

fn client(target: &Target, observer: &Arc<Observer>) -> Result<ClientConnection, Error> {
    let mut config = ClientConfig::builder_with_provider(observer.provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(observer.clone())
        .with_client_cert_resolver(observer.clone());
    config.resumption = Resumption::disabled();
    ClientConnection::new(Arc::new(config), target.server_name.clone())
}

fn negotiated(tls: &ClientConnection) -> Negotiated {
    let version = match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        // No other is offered.
        _ => "TLS 1.2",
    };
    let cipher = tls.negotiated_cipher_suite().map_or(CipherSuite::TLS_NULL_WITH_NULL_NULL, |suite| suite.suite());
    Negotiated { version, cipher: cipher.as_str().unwrap_or("unknown").to_owned() }
}

/// In TLS 1.3 a server says what it thinks of the client's certificate after the handshake (RFC 8446 clause 4.4.2.4):
/// only what it sends then tells whether it goes on.
fn ask(target: &Target, tls: &mut ClientConnection, socket: &mut Socket, negotiated: &Negotiated) -> Answer {
    if target.protocol != Protocol::Tls {
        let mut stream = Stream::new(tls, socket);
        let sent = stream.write_all(&speech::question(target)).and_then(|()| stream.flush());
        let Err(error) = sent else { return speech::answer(target.protocol, &mut stream) };
        // Whoever closes may have said why first.
        return match speech::answer(target.protocol, &mut stream) {
            said @ (Answer::Refused(_) | Answer::Unlisted(_)) => said,
            _ => speech::broken(&error),
        };
    }
    if negotiated.version == "TLS 1.2" {
        return Answer::Accepted("the handshake is done".to_owned());
    }
    loop {
        if tls.tls13_tickets_received() > 0 {
            return Answer::Accepted("it sends a session ticket".to_owned());
        }
        match tls.complete_io(socket) {
            Ok((0, 0)) => return closed(),
            Ok(_) => match tls.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => return Answer::Accepted("it talks".to_owned()),
                Ok(state) if state.peer_has_closed() => return closed(),
                _ => {}
            },
            Err(error) => {
                return match speech::broken(&error) {
                    // A server that waits for the client to speak has let it in.
                    Answer::Unclear(_) if error.kind() == std::io::ErrorKind::TimedOut => {
                        Answer::Accepted("it waits for the client to speak".to_owned())
                    }
                    Answer::Closed(_) => closed(),
                    other => other,
                };
            }
        }
    }
}

/// The end of a connection whose handshake is done, before the server has said anything: it may think nothing of the client's
/// certificate, or stop, or have no more room. Refusing takes an alert (RFC 8446 clause 6.2).
fn closed() -> Answer {
    Answer::Unclear("it closes the connection after the handshake, without an alert that says why".to_owned())
}

/// Sees what the server shows and asks for.
#[derive(Debug)]
struct Observer {
    provider: Arc<CryptoProvider>,
    identity: Identity,
    chain: OnceLock<Vec<CertificateDer<'static>>>,
    asked: AtomicBool,
}

impl Observer {
    fn new(identity: Identity) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Self { provider, identity, chain: OnceLock::new(), asked: AtomicBool::new(false) }
    }
}

impl ServerCertVerifier for Observer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(leaf).chain(above).map(|der| der.clone().into_owned()).collect();
        self.chain.get_or_init(|| chain);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Observer {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        match &self.identity {
            Identity::Nobody => None,
            Identity::Holder(key) => Some(key.clone()),
        }
    }

    fn has_certs(&self) -> bool {
        // Otherwise rustls would not call `resolve`, and whether the server asks would not be seen.
        true
    }
}
