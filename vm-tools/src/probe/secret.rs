//! A TLS Secret from a folder, from a manifest, or as the API server has it → [`Material`].

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::rsa;
use pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SigningKey};
use serde::Serialize;
use serde_yaml::Value;
use tandem_cli::manifests;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::{Zeroize, Zeroizing};

use super::certificate::Described;
use crate::encoding;

/// Most bytes of one entry: Kubernetes' limit for a whole Secret.
const MAX_BYTES: u64 = 1024 * 1024;

/// What a TLS Secret holds, read. It has no `Debug`: one part is a private key.
pub struct Material {
    /// How messages name it.
    pub name: String,
    /// `tls.crt`, DER: the leaf first; never empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf in words.
    pub leaf: Described,
    /// `ca.crt`, DER; empty where there is none.
    pub authorities: Vec<CertificateDer<'static>>,
    key: Option<Arc<dyn SigningKey>>,
}

/// What an endpoint serves, beside a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Age {
    /// The Secret's certificate.
    Fresh,
    /// A newer one: the Secret that was given is not the present one.
    Newer,
    /// An older one, or another one of the same age and CA; for a name of the Secret's.
    Stale,
    /// One that is for none of the Secret's names, or no older and not of its CA: another endpoint, or another Secret.
    Foreign,
}

impl Age {
    /// Whether something else should be served.
    #[must_use]
    pub fn is_behind(self) -> bool {
        matches!(self, Self::Stale | Self::Foreign)
    }
}

/// The entries of a Secret as they are: PEM.
pub(crate) struct Entries {
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) key: Option<Zeroizing<Vec<u8>>>,
    pub(crate) authorities: Option<Vec<u8>>,
}

impl Material {
    /// From a folder with `tls.crt`, `tls.key` and `ca.crt`, such as a mounted Secret. The latter two may be missing.
    ///
    /// # Errors
    /// In words, which never quote what was read.
    pub fn from_folder(folder: &Path) -> Result<Self, String> {
        let advised = |path: &Path, error: &io::Error| {
            format!("{}: {error}; give a folder with tls.crt, tls.key and ca.crt", path.display())
        };
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(advised(folder, &io::ErrorKind::NotADirectory.into())),
            Err(error) => return Err(advised(folder, &error)),
        }
        let entry = |key: &str| {
            let path = folder.join(key);
            let mut bytes = Vec::new();
            let read = File::open(&path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
            match read {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(advised(&path, &error)),
                Ok(_) if bytes.len() as u64 > MAX_BYTES => {
                    Err(format!("{}: more than {MAX_BYTES} bytes", path.display()))
                }
                Ok(_) => Ok(Some(bytes)),
            }
        };
        let certificate = entry("tls.crt")?;
        let key = entry("tls.key")?.map(Zeroizing::new);
        Self::read(&folder.display().to_string(), Entries { certificate, key, authorities: entry("ca.crt")? })
    }

    /// From a manifest of a Secret among those that `file` names, `-` being `stdin`: the only one with a `tls.crt`. Of what is passed
    /// over nothing is said.
    ///
    /// # Errors
    /// In words, which never quote what was read.
    pub fn from_file(file: &Path, stdin: &mut dyn Read) -> Result<Self, Vec<String>> {
        let mut found = Vec::new();
        for document in manifests::read(&[PathBuf::from(file)], stdin)?.documents {
            let text = |key: &str| document.value.get(key).and_then(Value::as_str);
            if (text("apiVersion"), text("kind")) != (Some("v1"), Some("Secret")) {
                continue;
            }
            let name = document.value.get("metadata").and_then(|meta| meta.get("name")).and_then(Value::as_str);
            let name = format!("{}, Secret {}", document.place, tandem_cli::shown(name.unwrap_or("without a name")));
            let entry = |key: &str| entry(&document.value, key).map_err(|problem| vec![format!("{name}: {problem}")]);
            let certificate = entry("tls.crt")?;
            if certificate.is_some() {
                let key = entry("tls.key")?.map(Zeroizing::new);
                found.push((name.clone(), Entries { certificate, key, authorities: entry("ca.crt")? }));
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some((name, entries)), true) => Self::read(&name, entries).map_err(|problem| vec![problem]),
            (Some((name, _)), false) => {
                let others = found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("; ");
                Err(vec![format!("{others}; {name}: several Secrets hold a tls.crt; leave the one that is meant")])
            }
            (None, _) => {
                Err(vec![format!("{}: no Secret with a tls.crt is in it; give the Secret's manifest", file.display())])
            }
        }
    }

    /// From entries in PEM; `name` is how messages name them.
    ///
    /// # Errors
    /// In words, which never quote what was read.
    pub(crate) fn read(name: &str, entries: Entries) -> Result<Self, String> {
        let wrong = |problem: String| format!("{name}: {problem}");
        let missing = "has no tls.crt; cert-manager has not issued it yet, or it is another Secret";
        let pem = entries.certificate.filter(|pem| !pem.is_empty()).ok_or_else(|| wrong(missing.to_owned()))?;
        let chain = certificates("tls.crt", &pem).map_err(wrong)?;
        let leaf = chain.first().ok_or_else(|| wrong(missing.to_owned()))?;
        let leaf = Described::of(leaf).map_err(|problem| wrong(format!("tls.crt: {problem}")))?;
        let authorities = match entries.authorities.filter(|pem| !pem.is_empty()) {
            Some(pem) => certificates("ca.crt", &pem).map_err(wrong)?,
            None => Vec::new(),
        };
        let key = entries.key.filter(|pem| !pem.is_empty()).map(|pem| private_key(&pem)).transpose().map_err(wrong)?;
        Ok(Self { name: name.to_owned(), chain, leaf, authorities, key })
    }

    /// How old a certificate (DER, and the same in words) is beside the Secret's.
    #[must_use]
    pub fn age_of(&self, leaf: &CertificateDer<'_>, served: &Described) -> Age {
        match &self.chain[..] {
            [own, ..] if own == leaf => Age::Fresh,
            _ if !self.leaf.shares_a_name(served) => Age::Foreign,
            _ if served.not_before > self.leaf.not_before => Age::Newer,
            // What is older may be of a CA that was replaced since.
            _ if served.not_before == self.leaf.not_before && self.is_of_another_ca(leaf) => Age::Foreign,
            _ => Age::Stale,
        }
    }

    /// Whether the Secret names CAs, and none of them has signed this.
    fn is_of_another_ca(&self, leaf: &CertificateDer<'_>) -> bool {
        let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return false };
        let mut issuers = self.chain.iter().skip(1).chain(&self.authorities).peekable();
        let signed = |issuer: &CertificateDer<'_>| {
            X509Certificate::from_der(issuer)
                .is_ok_and(|(_, issuer)| leaf.verify_signature(Some(issuer.public_key())).is_ok())
        };
        issuers.peek().is_some() && !issuers.any(signed)
    }

    /// Whether there is a key, and if so whether it is the certificate's.
    pub(crate) fn key_matches(&self) -> Option<bool> {
        let key = self.key.clone()?;
        Some(CertifiedKey::new(self.chain.clone(), key).keys_match().is_ok())
    }

    /// Certificate and key for a client that shows them; `None` where there is no key.
    pub(crate) fn holder(&self) -> Option<Arc<CertifiedKey>> {
        Some(Arc::new(CertifiedKey::new(self.chain.clone(), self.key.clone()?)))
    }
}

/// One entry of a Secret's manifest. As in the API server, `stringData` wins.
fn entry(secret: &Value, key: &str) -> Result<Option<Vec<u8>>, String> {
    let text = |field: &str| match secret.get(field).and_then(|entries| entries.get(key)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{field}: its {key} is not a string; write it in quotes")),
    };
    if let Some(text) = text("stringData")? {
        return Ok(Some(text.clone().into_bytes()));
    }
    let Some(text) = text("data")? else { return Ok(None) };
    let decoded = encoding::from_base64(text);
    decoded.map(Some).ok_or_else(|| format!("data: its {key} is not base64; put plain text under stringData"))
}

fn certificates(key: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    // The library's errors quote lines of what was read, which might be a key in the wrong place.
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|_| format!("{key}: is not PEM; write BEGIN CERTIFICATE, base64 and END CERTIFICATE"))?;
    if read.is_empty() { Err(format!("{key}: holds no certificate in PEM")) } else { Ok(read) }
}

fn private_key(pem: &[u8]) -> Result<Arc<dyn SigningKey>, String> {
    let mut der =
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| match pem.windows(9).any(|word| word == b"ENCRYPTED") {
            true => "tls.key: is encrypted, and a Secret brings no password; `openssl pkey` takes it out".to_owned(),
            false => "tls.key: holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, unencrypted)".to_owned(),
        })?;
    let key = any_supported_type(&der).map_err(|_| match is_short(&der) {
        true => "tls.key: is an RSA key of less than 2048 bits; issue a certificate with a longer one".to_owned(),
        false => "tls.key: is not an RSA, ECDSA or Ed25519 private key that can be used".to_owned(),
    });
    der.zeroize();
    key
}

/// Whether it is an RSA key that is refused for its length alone.
fn is_short(der: &PrivateKeyDer<'_>) -> bool {
    let read = match der {
        PrivateKeyDer::Pkcs1(key) => rsa::KeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => rsa::KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return false,
    };
    read.is_err_and(|why| why.to_string() == "TooSmall")
}
