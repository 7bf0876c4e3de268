//! CAs made on the spot, and OpenSSL as a judge who shares no code with us.

use std::{path::Path, process::Command};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SignatureAlgorithm,
};

use crate::tools;

/// A CA with its key.
pub type Ca = CertifiedIssuer<'static, KeyPair>;

/// What a CA's certificate is made of.
fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A CA that signed itself, with a key for `algorithm`.
///
/// # Errors
/// Where the algorithm makes no key.
pub fn root_ca(name: &str, algorithm: &'static SignatureAlgorithm) -> Result<Ca> {
    Ok(CertifiedIssuer::self_signed(ca_params(name), KeyPair::generate_for(algorithm)?)?)
}

/// A CA signed by another.
///
/// # Errors
/// Where the algorithm makes no key.
pub fn intermediate_ca(name: &str, algorithm: &'static SignatureAlgorithm, above: &Ca) -> Result<Ca> {
    Ok(CertifiedIssuer::signed_by(ca_params(name), KeyPair::generate_for(algorithm)?, above)?)
}

/// Runs `openssl` with files in `folder`.
///
/// # Errors
/// What it said.
pub fn openssl(folder: &Path, arguments: &[&str]) -> Result<String> {
    tools::output(Command::new("openssl").args(arguments).current_dir(folder))
}
