//! TLS by a certificate and a key in files, which are read again when they have changed: a Secret that is mounted is
//! renewed under a running process.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{option} {}: {problem}", file.display())]
    File { option: &'static str, file: PathBuf, problem: String },
    #[error("--admin-tls-cert and --admin-tls-key: {0}")]
    Pair(#[source] rustls::Error),
}

/// When the files were written last, where they are there.
type Written = [Option<SystemTime>; 2];

pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<(Written, TlsAcceptor)>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads a certificate chain and its private key, in PEM.
    ///
    /// # Errors
    /// Where they cannot be read or do not belong together.
    pub(super) fn read(certificate: PathBuf, key: PathBuf) -> Result<Self, Error> {
        let current = (written(&certificate, &key), load(&certificate, &key)?);
        Ok(Self { certificate, key, current: Mutex::new(current) })
    }

    /// What the files say now. While they make no sense, what they said before.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Before they are read: what is written meanwhile is read the next time.
        let written = written(&self.certificate, &self.key);
        if written != current.0 {
            current.0 = written;
            match load(&self.certificate, &self.key) {
                Ok(acceptor) => {
                    current.1 = acceptor;
                    tracing::info!("probes and metrics are served with another certificate from now on");
                }
                Err(error) => tracing::warn!(%error, "the certificate that was read before stays in use"),
            }
        }
        current.1.clone()
    }
}

fn written(certificate: &Path, key: &Path) -> Written {
    [certificate, key].map(|file| fs::metadata(file).and_then(|file| file.modified()).ok())
}

fn load(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let chain = read("--admin-tls-cert", certificate, |pem| {
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
        if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
    })?;
    let key = read("--admin-tls-key", key, PrivateKeyDer::from_pem_slice)?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(Error::Pair)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read<T>(option: &'static str, file: &Path, parse: impl Fn(&[u8]) -> Result<T, pem::Error>) -> Result<T, Error> {
    let failed = |problem| Error::File { option, file: file.to_owned(), problem };
    let bytes = Zeroizing::new(fs::read(file).map_err(|error| failed(error.to_string()))?);
    // Without the library's words: they may quote what was read.
    parse(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => failed("no such thing in PEM is in it".to_owned()),
        _ => failed("it is no PEM that can be read".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn pair() -> (String, String) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    /// Writes with a time of its own, as fast as tests may be.
    fn write(file: &Path, text: &str, second: u64) {
        fs::write(file, text).unwrap();
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
        fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
    }

    fn same(one: &TlsAcceptor, other: &TlsAcceptor) -> bool {
        Arc::ptr_eq(one.config(), other.config())
    }

    #[test]
    fn renewed_files_are_read_again_and_half_renewed_ones_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let (old, new) = (pair(), pair());
        write(&certificate, &old.0, 1);
        write(&key, &old.1, 1);
        let tls = Tls::read(certificate.clone(), key.clone()).unwrap();
        let first = tls.acceptor();
        assert!(same(&first, &tls.acceptor()), "nothing has changed");
        write(&certificate, &new.0, 2);
        assert!(same(&first, &tls.acceptor()), "the key is that of another certificate");
        write(&key, &new.1[..new.1.len() / 2], 3);
        assert!(same(&first, &tls.acceptor()), "half of the key is there");
        fs::remove_file(&key).unwrap();
        assert!(same(&first, &tls.acceptor()), "the key is gone");
        write(&key, &new.1, 4);
        let second = tls.acceptor();
        assert!(!same(&first, &second), "both are renewed");
        assert!(same(&second, &tls.acceptor()));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_key_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let (old, other) = (pair(), pair());
        let problem = |in_certificate: &str, in_key: &str| {
            fs::write(&certificate, in_certificate).unwrap();
            fs::write(&key, in_key).unwrap();
            let error = Tls::read(certificate.clone(), key.clone()).unwrap_err();
            let told = format!("{error} {error:?}");
            for line in
                in_key.lines().chain(in_certificate.lines()).filter(|line| line.len() > 24 && !line.starts_with('-'))
            {
                assert!(!told.contains(&line[..24]), "{told}");
            }
            error.to_string()
        };
        assert!(problem("", &old.1).contains("tls.crt: no such thing"), "nothing");
        assert!(problem(&old.0, &old.0).contains("tls.key: no such thing"), "a certificate for a key");
        assert!(problem(&old.0, &other.1).contains("--admin-tls-cert and --admin-tls-key: "), "another key");
        let broken = old.1.replace("\n-----END", "!\n-----END");
        assert!(problem(&old.0, &broken).contains("tls.key: it is no PEM"), "not base64");
        fs::remove_file(&key).unwrap();
        let error = Tls::read(certificate.clone(), key.clone()).unwrap_err().to_string();
        assert!(error.starts_with("--admin-tls-key ") && error.contains("No such file"), "{error}");
    }
}
