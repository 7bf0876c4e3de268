//! Pods, and what makes pods.

use super::{At, Meta, Node, PodLabels, Selector};

/// A Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob.
pub struct Workload {
    /// The object.
    pub meta: Meta,
    /// Labels of its pods.
    pub labels: PodLabels,
    /// `spec.selector` of what has one.
    pub selector: Option<Selector>,
    /// `spec.serviceName` of a StatefulSet.
    pub service_name: Option<At<String>>,
    /// When a CronJob runs.
    pub cron: Option<Cron>,
    /// Its containers, the initial ones first.
    pub containers: Vec<Container>,
    /// Its volumes.
    pub volumes: Vec<PodVolume>,
}

/// When a CronJob runs: <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/>.
pub struct Cron {
    /// `schedule`.
    pub schedule: String,
    /// `timeZone`.
    pub time_zone: Option<String>,
    /// `suspend`: it does not run.
    pub suspended: bool,
}

/// A container.
pub struct Container {
    /// Path of the entry.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Whether it ends before the others start.
    pub init: bool,
    /// Words of `command` and `args`.
    pub words: Vec<At<String>>,
    /// `env`.
    pub env: Vec<EnvVar>,
    /// Secrets in `envFrom`.
    pub env_from: Vec<SecretRef>,
    /// `volumeMounts`.
    pub mounts: Vec<Mount>,
}

/// An environment variable.
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its literal value.
    pub value: Option<At<String>>,
    /// Secret and key that it is taken from.
    pub secret: Option<(SecretRef, String)>,
}

/// A Secret from which variables are taken.
pub struct SecretRef {
    /// The Secret.
    pub name: At<String>,
    /// Whether the pod starts without it, or without the key.
    pub optional: bool,
}

/// A mount of a volume.
pub struct Mount {
    /// Path of the entry.
    pub path: String,
    /// Name of the volume.
    pub volume: String,
    /// Where it is mounted.
    pub mount_path: String,
    /// The one file or folder of the volume that is mounted.
    pub sub_path: Option<At<String>>,
}

/// A volume.
pub struct PodVolume {
    /// Path of the entry.
    pub path: String,
    /// Its name.
    pub name: String,
    /// The Secrets in it; several where it is projected.
    pub secrets: Vec<SecretUse>,
    /// Name of the ConfigMap in it.
    pub config_map: Option<At<String>>,
}

/// What of a Secret a volume holds.
pub struct SecretUse {
    /// The Secret.
    pub name: At<String>,
    /// Keys in `items`; `None` for all of them.
    pub keys: Option<Vec<At<String>>>,
    /// Mode of the files: 0644 where the field is not there.
    pub mode: u32,
    /// Whether the pod starts without it, or without one of the keys.
    pub optional: bool,
}

impl SecretUse {
    /// Whether this key of the Secret becomes a file.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.iter().any(|found| found.value == key))
    }
}

impl Workload {
    pub(super) fn read(meta: Meta, root: &Node<'_>) -> Option<Self> {
        let spec = root.get("spec");
        let template = match meta.kind.as_str() {
            "Pod" => root.clone(),
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => spec.get("template"),
            "CronJob" => spec.get("jobTemplate").get("spec").get("template"),
            _ => return None,
        };
        let pod = template.get("spec");
        let containers =
            |key: &str, init: bool| pod.get(key).items().map(move |node| container(&node, init)).collect::<Vec<_>>();
        let selector = spec.get("selector");
        let cron = (meta.kind == "CronJob").then(|| Cron {
            schedule: spec.get("schedule").text().unwrap_or_default().to_owned(),
            time_zone: spec.get("timeZone").text().map(str::to_owned),
            suspended: spec.get("suspend").flag().unwrap_or(false),
        });
        Some(Self {
            meta,
            cron,
            labels: template.get("metadata").get("labels").texts().into(),
            selector: selector.is_there().then(|| Selector::read(&selector)),
            service_name: spec.get("serviceName").at(),
            containers: containers("initContainers", true).into_iter().chain(containers("containers", false)).collect(),
            volumes: pod.get("volumes").items().map(|node| volume(&node)).collect(),
        })
    }

    /// The Secrets in its volumes, with the volume.
    pub fn secrets(&self) -> impl Iterator<Item = (&PodVolume, &SecretUse)> {
        self.volumes.iter().flat_map(|volume| volume.secrets.iter().map(move |secret| (volume, secret)))
    }
}

fn container(node: &Node<'_>, init: bool) -> Container {
    let variable = |item: Node<'_>| {
        let reference = item.get("valueFrom").get("secretKeyRef");
        let key = reference.get("key").text().unwrap_or_default().to_owned();
        EnvVar {
            name: item.get("name").text().unwrap_or_default().to_owned(),
            value: item.get("value").at(),
            secret: secret_ref(&reference).map(|secret| (secret, key)),
        }
    };
    let mount = |item: Node<'_>| {
        let text = |key: &str| item.get(key).text().unwrap_or_default().to_owned();
        let sub_path = item.get("subPath").at().or(item.get("subPathExpr").at());
        let sub_path = sub_path.filter(|path| !path.value.is_empty());
        Mount { path: item.path().to_owned(), volume: text("name"), mount_path: text("mountPath"), sub_path }
    };
    Container {
        path: node.path().to_owned(),
        name: node.get("name").text().unwrap_or_default().to_owned(),
        init,
        words: [node.get("command").list(), node.get("args").list()].concat(),
        env: node.get("env").items().map(variable).collect(),
        env_from: node.get("envFrom").items().filter_map(|item| secret_ref(&item.get("secretRef"))).collect(),
        mounts: node.get("volumeMounts").items().map(mount).collect(),
    }
}

fn secret_ref(node: &Node<'_>) -> Option<SecretRef> {
    Some(SecretRef { name: node.get("name").at()?, optional: node.get("optional").flag().unwrap_or(false) })
}

fn volume(node: &Node<'_>) -> PodVolume {
    let used = |source: &Node<'_>, name: &str, mode: Option<u32>| {
        let items = source.get("items");
        let keys = items.is_there().then(|| items.items().filter_map(|item| item.get("key").at()).collect());
        let optional = source.get("optional").flag().unwrap_or(false);
        source.get(name).at().map(|name| SecretUse { name, keys, mode: mode.unwrap_or(0o644), optional })
    };
    let (plain, projected) = (node.get("secret"), node.get("projected"));
    let mode = projected.get("defaultMode").mode();
    let mut secrets: Vec<_> = used(&plain, "secretName", plain.get("defaultMode").mode()).into_iter().collect();
    secrets.extend(projected.get("sources").items().filter_map(|source| used(&source.get("secret"), "name", mode)));
    PodVolume {
        path: node.path().to_owned(),
        name: node.get("name").text().unwrap_or_default().to_owned(),
        secrets,
        config_map: node.get("configMap").get("name").at(),
    }
}
