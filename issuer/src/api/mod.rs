//! The Kubernetes objects that the issuer reads and writes.

pub(crate) mod certificate_request;
pub(crate) mod certificate_signing_request;
pub(crate) mod issuer;
mod lean;
pub(crate) mod names;
mod policy;
#[cfg(test)]
mod reference;
mod request;
mod settings;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub(crate) use certificate_request::CertificateRequest;
pub(crate) use certificate_signing_request::CertificateSigningRequest;
pub(crate) use issuer::{Issuer, IssuerId, IssuerKind};
pub(crate) use lean::{Lean, essential};
pub(crate) use request::{Publication, SigningRequest};

/// The CustomResourceDefinition of one kind. Both are made from the same types: only names and scope differ.
pub(crate) fn crd(kind: IssuerKind) -> CustomResourceDefinition {
    let mut crd = issuer::TandemIssuer::crd();
    if kind == IssuerKind::Cluster {
        crd.metadata.name = Some(format!("{}.{}", kind.plural(), issuer::GROUP));
        crd.spec.scope = "Cluster".to_owned();
        let names = &mut crd.spec.names;
        names.kind = kind.kind().to_owned();
        names.plural = kind.plural().to_owned();
        names.singular = Some(kind.kind().to_lowercase());
        names.short_names = Some(vec!["tci".to_owned()]);
    }
    crd
}

/// Both CustomResourceDefinitions as YAML, as they are committed in the chart.
pub(crate) fn crds_yaml() -> Result<String, serde_yaml::Error> {
    let mut text = String::new();
    for kind in IssuerKind::ALL {
        text.push_str("---\n");
        text.push_str(&serde_yaml::to_string(&crd(kind))?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_crds_are_those_of_the_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/tandem-issuer/files/crds.yaml");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == crds_yaml().unwrap(), "the CRDs differ from the types: run `make crds` and commit");
    }

    #[test]
    fn the_kinds_differ_in_names_and_scope_alone() {
        let (namespaced, mut cluster) = (crd(IssuerKind::Namespaced), crd(IssuerKind::Cluster));
        assert_eq!((namespaced.spec.scope.as_str(), cluster.spec.scope.as_str()), ("Namespaced", "Cluster"));
        assert_eq!(cluster.metadata.name.as_deref(), Some("tandemclusterissuers.pki.tandem.internal"));
        cluster.metadata = namespaced.metadata.clone();
        cluster.spec.scope = namespaced.spec.scope.clone();
        cluster.spec.names = namespaced.spec.names.clone();
        assert_eq!(cluster, namespaced);
    }
}
