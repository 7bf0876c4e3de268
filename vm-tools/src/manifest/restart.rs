//! A CronJob that restarts the VMs whose disk has an older Secret, one at a time, with no more rights than that takes.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, SecurityContext,
    ServiceAccount,
};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Manifest, metadata};
use crate::names::{Labels, Names, clients_selector, with_common};
use crate::spec::{Database, Document, RestartStale};

/// The user of the pod: nobody in particular, and not root.
const USER: i64 = 65_532;

/// How long a VM may take to come back, beyond what it may take to stop, in seconds.
const BOOT: u32 = 900;

/// ServiceAccount, Role, RoleBinding and CronJob, where the document asks for them.
pub(super) fn objects(document: &Document, names: &Names, port: u16) -> Vec<Manifest> {
    let Some(restart) = &document.spec.restart_stale else { return Vec::new() };
    let labels = || with_common(document, Labels::new());
    let account =
        ServiceAccount { metadata: metadata(document, &names.restart, labels()), ..ServiceAccount::default() };
    let role = Role { metadata: metadata(document, &names.restart, labels()), rules: Some(rules(document, names)) };
    let binding = RoleBinding {
        metadata: metadata(document, &names.restart, labels()),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: names.restart.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: names.restart.clone(),
            namespace: Some(document.metadata.namespace.clone()),
            ..Subject::default()
        }]),
    };
    vec![
        Manifest::ServiceAccount(Box::new(account)),
        Manifest::Role(Box::new(role)),
        Manifest::RoleBinding(Box::new(binding)),
        Manifest::CronJob(Box::new(cron_job(document, names, restart, port))),
    ]
}

/// The one Secret and the VMs' instances, by their names.
fn rules(document: &Document, names: &Names) -> Vec<PolicyRule> {
    let rule = |group: &str, resource: &str, verbs: &[&str], named: Vec<String>| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: Some(named),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    };
    let vms = names.machines.iter().map(|machine| machine.vm.clone()).collect();
    vec![
        rule("", "secrets", &["get"], vec![document.spec.certificate.secret_name.clone()]),
        rule("kubevirt.io", "virtualmachineinstances", &["get", "delete"], vms),
    ]
}

fn cron_job(document: &Document, names: &Names, restart: &RestartStale, port: u16) -> CronJob {
    // The NetworkPolicy lets clients in, and this is one.
    let labels = with_common(document, clients_selector(document));
    CronJob {
        metadata: metadata(document, &names.restart, with_common(document, Labels::new())),
        spec: CronJobSpec {
            schedule: restart.schedule.clone(),
            // Two at once would be two VMs at once.
            concurrency_policy: Some("Forbid".to_owned()),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(3),
            job_template: JobTemplateSpec {
                spec: Some(JobSpec {
                    // What stopped at a VM that did not come back must not go on with the next.
                    backoff_limit: Some(0),
                    template: PodTemplateSpec {
                        metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                        spec: Some(pod(document, names, restart, port)),
                    },
                    ..JobSpec::default()
                }),
                ..JobTemplateSpec::default()
            },
            ..CronJobSpec::default()
        },
        ..CronJob::default()
    }
}

fn pod(document: &Document, names: &Names, restart: &RestartStale, port: u16) -> PodSpec {
    PodSpec {
        service_account_name: Some(names.restart.clone()),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: "restart".to_owned(),
            image: Some(restart.image.clone()),
            command: Some(vec!["tandem-vm".to_owned()]),
            args: Some(arguments(document, names, port)),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }],
        ..PodSpec::default()
    }
}

fn arguments(document: &Document, names: &Names, port: u16) -> Vec<String> {
    let spec = &document.spec;
    let protocol = match &spec.database {
        Database::None(_) => "tls",
        database => database.name(),
    };
    let wait = spec.machine.termination_grace_period_seconds.saturating_add(BOOT);
    let secret = format!("{}/{}", document.metadata.namespace, spec.certificate.secret_name);
    let (port, wait) = (port.to_string(), format!("{wait}s"));
    let words = ["stale", "--restart", "--secret", &secret, "--protocol", protocol, "--port", &port, "--wait", &wait];
    let vms = names.machines.iter().flat_map(|machine| ["--vm", &machine.vm]);
    words.into_iter().chain(vms).map(str::to_owned).collect()
}
