//! Certificate Secrets, and how the kubelet lays them out in a folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use crate::support::{said, tool};

/// The three keys of a Secret.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) key: String,
    pub(crate) chain: String,
    pub(crate) ca: String,
}

pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn secret(authority: &CertifiedIssuer<'_, KeyPair>) -> Secret {
    secret_with(authority, |_| {})
}

/// A Secret whose certificate is made a little different.
pub(crate) fn secret_with(
    authority: &CertifiedIssuer<'_, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> Secret {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["mongodb".to_owned(), "localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2999, 12, 31);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    let certificate = params.signed_by(&key, authority).unwrap();
    Secret { key: key.serialize_pem(), chain: certificate.pem(), ca: authority.pem() }
}

/// Lays the Secret out as the kubelet does: real files in a dated folder, behind two links. The folder that was there is
/// removed once the new one is seen.
pub(crate) fn lay_out(volume: &Path, secret: &Secret, date: &str) {
    let old = fs::read_link(volume.join("..data")).ok();
    let dated = volume.join(date);
    fs::create_dir_all(&dated).unwrap();
    for (name, content) in [("tls.key", &secret.key), ("tls.crt", &secret.chain), ("ca.crt", &secret.ca)] {
        fs::write(dated.join(name), content).unwrap();
        if !volume.join(name).is_symlink() {
            symlink(format!("..data/{name}"), volume.join(name)).unwrap();
        }
    }
    symlink(date, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    if let Some(old) = old {
        fs::remove_dir_all(volume.join(old)).unwrap();
    }
}

/// No key material is in what was said.
pub(crate) fn tells_no_secret(output: &Output, secret: &Secret) {
    let said = said(output);
    assert!(!said.contains("PRIVATE"), "{said}");
    for line in secret.key.lines().filter(|line| !line.is_empty() && !line.starts_with('-')) {
        assert!(!said.contains(line), "the key in: {said}");
    }
}

/// A shell as guests have it, with what makes it one: dash, bash as `sh` of the RHEL family, busybox.
pub(crate) type Shell = &'static [&'static str];

/// Whatever `sh` is here.
pub(crate) const SH: Shell = &["sh"];

pub(crate) fn with_each_shell(test: impl Fn(Shell)) {
    let shells: [Shell; 4] = [SH, &["dash"], &["bash", "--posix"], &["busybox", "sh"]];
    for shell in shells {
        if tool(shell[0]).is_some() {
            test(shell);
        }
    }
}
