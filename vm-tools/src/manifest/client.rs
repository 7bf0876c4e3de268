//! A client's Deployment. It meets the restricted Pod Security Standard:
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, KeyToPath, PodSecurityContext, PodSpec, PodTemplateSpec,
    ProjectedVolumeSource, SeccompProfile, SecretProjection, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
    VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::metadata;
use crate::names::{Names, client_selector, with_common};
use crate::spec::{Client, ClientCertificate, Database, Document};

/// Where a client finds the Secret. A whole folder, never a subPath: that would not follow a renewal.
const CERTIFICATES: &str = "/certificates";

/// Group of the files in a pod that must keep its key from others.
const KEY_GROUP: i64 = 10_001;

pub(super) fn deployment(document: &Document, names: &Names, client: &Client, port: u16) -> Deployment {
    let selector = client_selector(document, client);
    let labels = with_common(document, selector.clone());
    Deployment {
        metadata: metadata(document, &names.client(client), labels.clone()),
        spec: Some(DeploymentSpec {
            replicas: Some(client.replicas.into()),
            selector: LabelSelector { match_labels: Some(selector), ..LabelSelector::default() },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                spec: Some(pod(document, names, client, port)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn pod(document: &Document, names: &Names, client: &Client, port: u16) -> PodSpec {
    let has_key = client.certificate != ClientCertificate::None;
    // libpq takes no key that others may read: root's, and its group's, which is then the pod's.
    let group = (has_key && matches!(document.spec.database, Database::PostgreSql(_))).then_some(KEY_GROUP);
    let mode = group.map(|_| 0o440);
    let mut volumes = vec![match client.certificate {
        ClientCertificate::None => secret_volume(&document.spec.certificate.secret_name, false, mode),
        ClientCertificate::Shared => secret_volume(&document.spec.certificate.secret_name, true, mode),
        ClientCertificate::Own => own_volume(document, names.client_certificate(client), mode),
    }];
    let mut mounts = vec![mount("certificates", CERTIFICATES, true)];
    if client.certificate == ClientCertificate::Shared {
        // Many drivers want key and certificate in one file and write it to /tmp: keep the key off the node's disk.
        volumes.push(memory_volume());
        mounts.push(mount("tmp", "/tmp", false));
    }
    PodSpec {
        automount_service_account_token: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            fs_group: group,
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: client.name.clone(),
            image: Some(client.image.clone()),
            command: some(&client.command),
            args: some(&client.args),
            env: Some(environment(document, names, client.certificate, port)),
            volume_mounts: Some(mounts),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

fn some(words: &[String]) -> Option<Vec<String>> {
    (!words.is_empty()).then(|| words.to_vec())
}

/// Where and how to connect. libpq reads its variables by itself (<https://www.postgresql.org/docs/current/libpq-envars.html>);
/// the others are for the application to read.
fn environment(document: &Document, names: &Names, kind: ClientCertificate, port: u16) -> Vec<EnvVar> {
    let database = &document.spec.database;
    let [host, port_name, ca, certificate, key] = match database {
        Database::PostgreSql(_) => ["PGHOST", "PGPORT", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"].map(str::to_owned),
        _ => {
            let prefix = match database {
                Database::None(_) => "SERVICE".to_owned(),
                _ => database.name().to_uppercase(),
            };
            ["HOST", "PORT", "TLS_CA_FILE", "TLS_CERTIFICATE_FILE", "TLS_KEY_FILE"]
                .map(|name| format!("{prefix}_{name}"))
        }
    };
    let mut all =
        vec![(host, names.host().to_owned()), (port_name, port.to_string()), (ca, format!("{CERTIFICATES}/ca.crt"))];
    if let Database::PostgreSql(_) = database {
        // Its default would fall back to a connection that it has not verified, or not even encrypted.
        all.push(("PGSSLMODE".to_owned(), "verify-full".to_owned()));
    }
    if kind != ClientCertificate::None {
        all.push((certificate, format!("{CERTIFICATES}/tls.crt")));
        all.push((key, format!("{CERTIFICATES}/tls.key")));
    }
    match database {
        Database::MongoDb(_) => all.push(("MONGODB_URI".to_owned(), mongodb_uri(document, names, kind, port))),
        Database::Redis(_) => all.push(("REDIS_URL".to_owned(), format!("rediss://{}:{port}", names.host()))),
        Database::PostgreSql(_) | Database::None(_) => {}
    }
    all.into_iter().map(|(name, value)| EnvVar { name, value: Some(value), ..EnvVar::default() }).collect()
}

/// The connection string, with no user in it: <https://www.mongodb.com/docs/manual/reference/connection-string/>. Of a replica
/// set it names all members, so that it is enough if one of them answers.
fn mongodb_uri(document: &Document, names: &Names, kind: ClientCertificate, port: u16) -> String {
    let (hosts, set) = match document.replica_set() {
        Some(_) => (names.members(document).join(","), format!("replicaSet={}&", names.replica_set(document))),
        None => (format!("{}:{port}", names.host()), String::new()),
    };
    let own = match kind {
        ClientCertificate::Own => format!("&tlsCertificateKeyFile={CERTIFICATES}/tls-combined.pem"),
        ClientCertificate::None | ClientCertificate::Shared => String::new(),
    };
    format!("mongodb://{hosts}/?{set}tls=true&tlsCAFile={CERTIFICATES}/ca.crt{own}")
}

/// The client's own key and certificate, and the authorities by which the server is verified: those of the server's Secret,
/// and nothing else of that one.
fn own_volume(document: &Document, secret: String, mode: Option<i32>) -> Volume {
    let from = |name: String, keys: &[&str]| VolumeProjection {
        secret: Some(SecretProjection {
            name,
            items: Some(keys.iter().map(|key| item(key)).collect()),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let own: &[&str] = match document.spec.database {
        Database::MongoDb(_) => &["tls.crt", "tls.key", "tls-combined.pem"],
        _ => &["tls.crt", "tls.key"],
    };
    let server = from(document.spec.certificate.secret_name.clone(), &["ca.crt"]);
    Volume {
        name: "certificates".to_owned(),
        projected: Some(ProjectedVolumeSource { sources: Some(vec![from(secret, own), server]), default_mode: mode }),
        ..Volume::default()
    }
}

fn item(key: &str) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path: key.to_owned(), ..KeyToPath::default() }
}

fn secret_volume(secret: &str, whole: bool, mode: Option<i32>) -> Volume {
    let ca = || vec![item("ca.crt")];
    Volume {
        name: "certificates".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: (!whole).then(ca),
            default_mode: mode,
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn memory_volume() -> Volume {
    Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: Some(Quantity("16Mi".to_owned())),
        }),
        ..Volume::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
