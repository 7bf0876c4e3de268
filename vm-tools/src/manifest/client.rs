//! A client's Deployment. It meets the restricted Pod Security Standard:
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, KeyToPath, PodSecurityContext, PodSpec, PodTemplateSpec,
    SeccompProfile, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::metadata;
use crate::names::{MONGODB_PORT, Names, client_selector, with_common};
use crate::spec::{Client, ClientCertificate, Document};

/// Where a client finds the Secret. A whole folder, never a subPath: that would not follow a renewal.
const CERTIFICATES: &str = "/certificates";

pub(super) fn deployment(document: &Document, names: &Names, client: &Client) -> Deployment {
    let selector = client_selector(document, client);
    let labels = with_common(document, selector.clone());
    Deployment {
        metadata: metadata(document, &names.client(client), labels.clone()),
        spec: Some(DeploymentSpec {
            replicas: Some(client.replicas.into()),
            selector: LabelSelector { match_labels: Some(selector), ..LabelSelector::default() },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                spec: Some(pod(document, names, client)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn pod(document: &Document, names: &Names, client: &Client) -> PodSpec {
    let shared = client.certificate == ClientCertificate::Shared;
    let mut volumes = vec![secret_volume(&document.spec.certificate.secret_name, shared)];
    let mut mounts = vec![mount("certificates", CERTIFICATES, true)];
    if shared {
        // Many drivers want key and certificate in one file and write it to /tmp: keep the key off the node's disk.
        volumes.push(memory_volume());
        mounts.push(mount("tmp", "/tmp", false));
    }
    PodSpec {
        automount_service_account_token: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: client.name.clone(),
            image: Some(client.image.clone()),
            command: some(&client.command),
            args: some(&client.args),
            env: Some(environment(names, shared)),
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

fn environment(names: &Names, shared: bool) -> Vec<EnvVar> {
    let variable = |name: &str, value| EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() };
    let mut all = vec![
        variable("MONGODB_HOST", names.host().to_owned()),
        variable("MONGODB_PORT", MONGODB_PORT.to_string()),
        variable("MONGODB_TLS_CA_FILE", format!("{CERTIFICATES}/ca.crt")),
    ];
    if shared {
        all.push(variable("MONGODB_TLS_CERTIFICATE_FILE", format!("{CERTIFICATES}/tls.crt")));
        all.push(variable("MONGODB_TLS_KEY_FILE", format!("{CERTIFICATES}/tls.key")));
    }
    all
}

fn secret_volume(secret: &str, whole: bool) -> Volume {
    let ca = || vec![KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), ..KeyToPath::default() }];
    Volume {
        name: "certificates".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: (!whole).then(ca),
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
