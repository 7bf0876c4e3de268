//! CAs and requests made on the spot, and OpenSSL as a judge who shares no code with us.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SignatureAlgorithm,
};
use tempfile::TempDir;

use crate::tools;

/// A CA with its key.
pub type Ca = CertifiedIssuer<'static, KeyPair>;

/// What a CA's certificate is made of.
#[must_use]
pub fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// A CA that signed itself, with a key for `algorithm`.
///
/// # Errors
/// Where the algorithm makes no key.
pub fn root_ca(name: &str, algorithm: &'static SignatureAlgorithm) -> Result<Ca> {
    root_ca_of(ca_params(name), algorithm)
}

/// The same of other parameters than [`ca_params`].
///
/// # Errors
/// As [`root_ca`].
pub fn root_ca_of(params: CertificateParams, algorithm: &'static SignatureAlgorithm) -> Result<Ca> {
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate_for(algorithm)?)?)
}

/// A CA signed by another.
///
/// # Errors
/// Where the algorithm makes no key.
pub fn intermediate_ca(name: &str, algorithm: &'static SignatureAlgorithm, above: &Ca) -> Result<Ca> {
    Ok(CertifiedIssuer::signed_by(ca_params(name), KeyPair::generate_for(algorithm)?, above)?)
}

/// A certificate of a CA's for a server with this DNS name or IP address, and its key, both in PEM.
///
/// # Errors
/// Where the name is none.
pub fn server(name: &str, ca: &Ca) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, ca)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// A request (PEM) for DNS names, with a new key and an empty subject.
///
/// # Errors
/// Where a name is none.
pub fn csr(names: &[&str]) -> Result<String> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&KeyPair::generate()?)?.pem()?)
}

/// The blocks of a PEM text, each in PEM again.
///
/// # Errors
/// Where the text is not PEM.
pub fn blocks(pem: &str) -> Result<Vec<String>> {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    Ok(pem::parse_many(pem)?.iter().map(|block| pem::encode_config(block, config)).collect())
}

/// The first block of a PEM text in DER.
///
/// # Errors
/// Where there is none.
pub fn der(pem: &str) -> Result<Vec<u8>> {
    Ok(pem::parse(pem)?.into_contents())
}

/// The `openssl` command, with a folder for its files.
#[derive(Debug)]
pub struct OpenSsl {
    folder: TempDir,
}

impl OpenSsl {
    /// With an empty folder.
    ///
    /// # Errors
    /// Where none can be made.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs it in its folder and returns what it wrote to standard output.
    ///
    /// # Errors
    /// What it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        tools::output(Command::new("openssl").args(arguments).current_dir(self.folder.path()))
    }

    /// The same with files written before, each by name and content.
    ///
    /// # Errors
    /// What it said.
    pub fn run_with(&self, files: &[(&str, &str)], arguments: &[&str]) -> Result<String> {
        for (name, content) in files {
            std::fs::write(self.folder.path().join(name), content)?;
        }
        self.run(arguments)
    }

    /// Reads a file that it wrote.
    ///
    /// # Errors
    /// Where there is none.
    pub fn read(&self, file: &str) -> Result<String> {
        let path = self.folder.path().join(file);
        std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
    }

    /// Verifies the first certificate of `chain` strictly. Only `trusted` is trusted; the rest of the chain may be used
    /// on the way. `more` are further options of `openssl verify`.
    ///
    /// # Errors
    /// Why it does not verify.
    pub fn verify(&self, chain: &str, trusted: &str, more: &[&str]) -> Result<()> {
        let mut certificates = blocks(chain)?.into_iter();
        let leaf = certificates.next().context("no certificate")?;
        let between: String = certificates.collect();
        let files = [("leaf.pem", leaf.as_str()), ("between.pem", &between), ("trusted.pem", trusted)];
        let mut arguments = vec!["verify", "-x509_strict", "-CAfile", "trusted.pem", "-no-CApath", "-no-CAstore"];
        if !between.is_empty() {
            arguments.extend(["-untrusted", "between.pem"]);
        }
        arguments.extend(more);
        arguments.push("leaf.pem");
        self.run_with(&files, &arguments).map(|_| ())
    }

    /// The first certificate of a PEM text in words: what `openssl x509` prints for `options`, such as `-text`.
    ///
    /// # Errors
    /// Where it is no certificate.
    pub fn show(&self, certificate: &str, options: &[&str]) -> Result<String> {
        let arguments = [&["x509", "-noout", "-in", "shown.pem"], options].concat();
        Ok(self.run_with(&[("shown.pem", certificate)], &arguments)?.trim_end().to_owned())
    }

    /// One extension of a certificate in words, each line trimmed; nothing where there is none. `name` is OpenSSL's,
    /// such as `subjectAltName`.
    ///
    /// # Errors
    /// Where it is no certificate.
    pub fn extension(&self, certificate: &str, name: &str) -> Result<String> {
        let text = self.show(certificate, &["-ext", name])?;
        Ok(text.lines().map(str::trim).collect::<Vec<_>>().join("\n"))
    }

    /// A new P-256 key, and a request for it that is signed by it: `config` is OpenSSL's, with a section `req`. The
    /// key is in the file `key.pem`.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn csr(&self, config: &str, more: &[&str]) -> Result<String> {
        self.run_with(
            &[("csr.cnf", config)],
            &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem"],
        )?;
        let arguments = ["req", "-new", "-utf8", "-config", "csr.cnf", "-key", "key.pem", "-out", "csr.pem"];
        self.run(&[&arguments, more].concat())?;
        self.read("csr.pem")
    }
}
