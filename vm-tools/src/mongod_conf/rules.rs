//! Settings that go together: without which others mongod does not start.

use tandem_cli::Problem;

use super::{Flat, scalar, shown};

/// What of `net.tls` only has a meaning while TLS is on; mongod refuses it otherwise.
const NEEDS_TLS: [&str; 8] = [
    "net.tls.certificateKeyFile",
    "net.tls.certificateKeyFilePassword",
    "net.tls.certificateSelector",
    "net.tls.clusterFile",
    "net.tls.clusterPassword",
    "net.tls.CAFile",
    "net.tls.CRLFile",
    "net.tls.disabledProtocols",
];

/// A setting, and one beside which it cannot be changed: mongod would take the other, or neither.
pub(super) const EXCLUSIVE: [(&str, &str); 4] = [
    ("net.bindIp", "net.bindIpAll"),
    ("net.tls.certificateKeyFile", "net.tls.certificateSelector"),
    ("net.tls.clusterFile", "net.tls.clusterCertificateSelector"),
    ("net.tls.allowConnectionsWithoutCertificates", "net.tls.weakCertificateValidation"),
];

/// The names of before MongoDB 4.2 below `net.ssl` that have changed, without their section.
const RENAMED: [(&str, &str); 3] = [
    ("PEMKeyFile", "certificateKeyFile"),
    ("PEMKeyPassword", "certificateKeyFilePassword"),
    ("weakCertificateValidation", "allowConnectionsWithoutCertificates"),
];

/// The settings below `net.ssl`, with their names of today.
fn old(settings: &Flat) -> impl Iterator<Item = (&str, String)> {
    settings.settings.keys().filter_map(|name| name.strip_prefix("net.ssl.")).map(|name| {
        let renamed = RENAMED.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new);
        (name, format!("net.tls.{renamed}"))
    })
}

/// Settings below `net.ssl`, beside which none of `net.tls` is written: one file would speak of two modes.
pub(super) fn old_names(settings: &Flat) -> Option<Problem> {
    let renames: Vec<_> = old(settings).map(|(old, new)| format!("net.ssl.{} to {new}", shown(old))).collect();
    let message = format!(
        "are the names of before MongoDB 4.2, and no others are written beside them; rename {}, and in the mode SSL to TLS",
        renames.join(", ")
    );
    (!renames.is_empty()).then(|| Problem::new("net.ssl", message))
}

/// What works, but not for ever.
pub(super) fn deprecated(settings: &Flat) -> Option<Problem> {
    let message = "are the names of before MongoDB 4.2, which are deprecated; rename them to those of net.tls";
    old(settings).next().map(|_| Problem::new("net.ssl", message))
}

/// Why mongod would not start. Source: the server's own checks of its options, `ssl_options_server.cpp`.
pub(super) fn broken(settings: &Flat) -> Vec<Problem> {
    let settings = &current_names(settings);
    let mode = settings.text("net.tls.mode").unwrap_or_default();
    let tls = !["", "disabled"].contains(&mode.as_str());
    let certificate =
        ["net.tls.certificateKeyFile", "net.tls.certificateSelector"].iter().any(|name| settings.has(name));
    // Without a CA file, since MongoDB 7.0, that of the system can be named by a parameter.
    let ca = settings.has("net.tls.CAFile")
        || settings.has("net.tls.certificateSelector")
        || settings.is_true("setParameter.tlsUseSystemCA");
    let auth = settings.text("security.clusterAuthMode").unwrap_or_default();
    let mut all = Vec::new();
    let mut broken = |field: &str, message: String| all.push(Problem::new(field, message));

    if !tls {
        let mut useless: Vec<_> = NEEDS_TLS.into_iter().filter(|name| settings.has(name)).collect();
        useless
            .extend(["net.tls.allowConnectionsWithoutCertificates"].into_iter().filter(|name| settings.is_true(name)));
        if !useless.is_empty() {
            broken(
                "net.tls.mode",
                format!(
                    "is {}, and mongod does not start with {} then; set it to requireTLS, or take the others out",
                    if mode.is_empty() { "missing" } else { "disabled" },
                    useless.join(", ")
                ),
            );
        }
    }
    if tls && !certificate {
        broken("net.tls.certificateKeyFile", format!("is missing, and net.tls.mode is {}; set it too", shown(&mode)));
    }
    if tls && settings.has("net.tls.CRLFile") && !settings.has("net.tls.CAFile") {
        broken("net.tls.CAFile", "is missing, and net.tls.CRLFile needs it; set it too".to_owned());
    }
    if ["sendKeyFile", "sendX509", "x509"].contains(&auth.as_str()) {
        if !tls {
            broken("security.clusterAuthMode", format!("{auth} needs TLS; set net.tls.mode too"));
        } else if !ca {
            broken("net.tls.CAFile", format!("is missing, and security.clusterAuthMode {auth} needs it; set it too"));
        }
    }
    if tls && !ca && all.iter().all(|problem| problem.field != "net.tls.CAFile") {
        let message = format!(
            "is missing, and net.tls.mode is {}: mongod of 4.4.29, 5.0.25, 6.0.14, 7.0.6 and later does not start without a \
             chain of trust; set it too",
            shown(&mode)
        );
        all.push(Problem::new("net.tls.CAFile", message));
    }
    let mut broken = |field: &str, message: String| all.push(Problem::new(field, message));
    if mode == "allowTLS" && (auth == "sendX509" || auth == "x509" && !settings.is_true("security.transitionToAuth")) {
        broken(
            "security.clusterAuthMode",
            format!(
                "{auth} needs TLS between members, which net.tls.mode allowTLS does not use; set preferTLS or requireTLS"
            ),
        );
    }
    let in_a_set = settings.has("replication.replSetName");
    let why = match auth.as_str() {
        _ if settings.has("security.keyFile") => None,
        "keyFile" | "sendKeyFile" => Some(format!("and security.clusterAuthMode is {auth}; set it too")),
        "x509" => None,
        _ if in_a_set && settings.text("security.authorization").as_deref() == Some("enabled") => Some(
            "and mongod does not start with security.authorization in a replica set without it; set it too, or \
             security.clusterAuthMode to x509"
                .to_owned(),
        ),
        _ if settings.is_true("security.transitionToAuth") => {
            Some("and security.transitionToAuth needs it; set it too, or security.clusterAuthMode to x509".to_owned())
        }
        _ => None,
    };
    if let Some(why) = why {
        broken("security.keyFile", format!("is missing, {why}"));
    }
    all
}

/// With `net.ssl` as mongod reads it.
fn current_names(settings: &Flat) -> Flat {
    let mut current = Flat { settings: settings.settings.clone(), ..Flat::default() };
    for (name, new) in old(settings) {
        let Some(value) = settings.settings.get(&format!("net.ssl.{name}")) else { continue };
        let text = scalar(value).map(|text| text.replace("SSL", "TLS").into());
        let value = if new == "net.tls.mode" { text.unwrap_or_else(|| value.clone()) } else { value.clone() };
        current.settings.insert(new, value);
    }
    current
}
