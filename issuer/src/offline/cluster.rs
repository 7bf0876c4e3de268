//! `explain --from-cluster`: request, issuer and Secret as they are in a cluster, read with the user's own rights.

use jiff::Timestamp;
use kube::{Api, Client};
use tandem_issuer_core::decide::Issuer as CoreIssuer;

use super::{End, explain::look, note, report::Report, request::Request};
use crate::{
    api::{CertificateRequest, CertificateSigningRequest, IssuerId, issuer::CaSource},
    args::Explain,
    ca_secrets::{CaSecret, SecretId, Seen},
    client,
    issuers::{Observed, missing},
    reconcile::{labels, may_refer},
    reconcile_issuer,
};

/// Where the shipped RBAC lets the controller read the Secrets of cluster issuers.
const CLUSTER_RESOURCE_NAMESPACE: &str = "tandem";

/// Explains `NAMESPACE/NAME`, a CertificateRequest, or `NAME`, a CertificateSigningRequest.
pub(super) fn explain(target: &str, args: &Explain, now: Timestamp) -> Result<Report, End> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(End::bad)?;
    runtime.block_on(async {
        let client = client::connect(args.kubeconfig.as_deref()).await.map_err(End::bad)?;
        let (name, request) = request(&client, target).await.map_err(End::bad)?;
        let id = request.issuer().ok_or_else(|| {
            let why = request.near_miss().unwrap_or_else(|| "see its issuerRef or signerName".to_owned());
            End::bad(format!(
                "{name} does not refer to a TandemIssuer or TandemClusterIssuer of pki.tandem.internal; {why}"
            ))
        })?;
        let place = args.input.cluster_resource_namespace.as_deref().unwrap_or(CLUSTER_RESOURCE_NAMESPACE);
        let mut issuer = observe(&client, &id, place, now).await.map_err(End::bad)?;
        if let Observed::Missing(other) = &mut issuer {
            let namespace = target.split_once('/').map(|(namespace, _)| namespace);
            *other = of_the_other_kind(&client, &id, namespace).await;
            if other.is_some() {
                note(&[missing(&id, other.as_ref())]);
            }
        }
        let core = request.to_core(None);
        let allowed = match &request {
            Request::CertManager(request) => may_refer(request.as_ref(), &core, &id, &issuer, &client).await,
            Request::Kubernetes(request) => may_refer(request.as_ref(), &core, &id, &issuer, &client).await,
        };
        let allowed = allowed.unwrap_or_else(|error| {
            note(&[format!(
                "whether the requester may refer to {id} could not be asked, and is taken for granted: {error}"
            )]);
            true
        });
        let seen = if allowed { issuer.to_core() } else { CoreIssuer::Forbidden };
        let labels = labels(&core, &issuer, &client).await;
        let labels = labels.map_err(|error| End::bad(format!("the labels of the request's namespace: {error}")))?;
        let request = request.to_core(labels.as_ref());
        Ok(look((name, id.to_string()), request, &seen, args.assume_approved, now))
    })
}

async fn request(client: &Client, target: &str) -> Result<(String, Request), String> {
    match target.split_once('/') {
        Some((namespace, name)) => {
            let title = format!("CertificateRequest {target}");
            let api: Api<CertificateRequest> = Api::namespaced(client.clone(), namespace);
            let request = api.get(name).await.map_err(|error| unread(&title, &error))?;
            Ok((title, Request::CertManager(Box::new(request))))
        }
        None => {
            let title = format!("CertificateSigningRequest {target}");
            let api: Api<CertificateSigningRequest> = Api::all(client.clone());
            let other = "a CertificateRequest is named by NAMESPACE/NAME";
            let request = api.get(target).await.map_err(|error| format!("{}; {other}", unread(&title, &error)))?;
            Ok((title, Request::Kubernetes(Box::new(request))))
        }
    }
}

/// An issuer of the same name and of the other kind, if there is one that may be seen.
async fn of_the_other_kind(client: &Client, id: &IssuerId, namespace: Option<&str>) -> Option<IssuerId> {
    let other = id.of_the_other_kind(namespace)?;
    let found = reconcile_issuer::api(client, &other).get_opt(&other.name).await;
    found.ok().flatten().map(|_| other)
}

/// The issuer with its CA, judged as the controller does.
async fn observe(
    client: &Client,
    id: &IssuerId,
    cluster_resource_namespace: &str,
    now: Timestamp,
) -> Result<Observed, String> {
    let found = reconcile_issuer::api(client, id).get_opt(&id.name).await;
    let Some(issuer) = found.map_err(|error| unread(&id.to_string(), &error))? else {
        return Ok(Observed::Missing(None));
    };
    let Some(CaSource { secret_name, .. }) = &issuer.spec.ca else { return Ok(Observed::Missing(None)) };
    let namespace = id.namespace.as_deref().unwrap_or(cluster_resource_namespace).to_owned();
    let secret = SecretId { namespace, name: secret_name.clone() };
    let api: Api<CaSecret> = Api::namespaced(client.clone(), &secret.namespace);
    let seen = match api.get_opt(&secret.name).await {
        Ok(found) => Seen::Nothing.read(found.map(|secret| secret.data)),
        Err(error) => {
            let advice = "the rules are about the CA itself: have the right to get it, or explain from files";
            return Err(format!("{}; {advice}", unread(&format!("the CA Secret {secret}"), &error)));
        }
    };
    Ok(reconcile_issuer::observe(&seen, &secret, &issuer.spec, now)
        .map_or(Observed::Missing(None), |(_, observed)| observed))
}

fn unread(what: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.is_not_found() => format!("{what} does not exist"),
        kube::Error::Api(status) => format!("{what} cannot be read: {}", status.message),
        error => format!("{what} cannot be read: {error}"),
    }
}
