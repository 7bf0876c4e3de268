//! What is wanted → a request, whichever API it is of, as the flow takes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tandem_issuer_core::{decide, signer::LocalKey};

use super::objects::{Objects, Wanted, What};
use crate::{
    api::{
        CertificateRequest, CertificateSigningRequest, IssuerId, Publication, SigningRequest,
        certificate_signing_request::near_miss as near_miss_of_signer, issuer::near_miss,
    },
    ca_secrets::SecretId,
    outcome::Outcome,
};

/// A request of either API.
pub(crate) enum Request {
    CertManager(Box<CertificateRequest>),
    Kubernetes(Box<CertificateSigningRequest>),
}

impl Request {
    pub(crate) fn issuer(&self) -> Option<IssuerId> {
        match self {
            Self::CertManager(request) => request.issuer(),
            Self::Kubernetes(request) => request.issuer(),
        }
    }

    /// What is wrong with its reference, where it is nearly one of ours.
    pub(crate) fn near_miss(&self) -> Option<String> {
        match self {
            Self::CertManager(request) => near_miss(&request.spec.issuer_ref),
            Self::Kubernetes(request) => near_miss_of_signer(request),
        }
    }

    /// The request in the core's terms; `labels` are those of its namespace, where they are known.
    pub(crate) fn to_core<'a>(&'a self, labels: Option<&'a BTreeMap<String, String>>) -> decide::Request<'a> {
        let mut request = match self {
            Self::CertManager(request) => request.to_core(),
            Self::Kubernetes(request) => request.to_core(),
        };
        if let Some(namespace) = &mut request.namespace {
            namespace.labels = labels;
        }
        request
    }

    pub(crate) fn publication(&self, outcome: &Outcome, now: Timestamp) -> Publication {
        match self {
            Self::CertManager(request) => request.publication(outcome, now),
            Self::Kubernetes(request) => request.publication(outcome, now),
        }
    }
}

impl Wanted {
    /// The issuer that it refers to, if that is one of ours.
    pub(crate) fn issuer(&self) -> Option<IssuerId> {
        let namespace = Some(self.namespace.clone());
        match &self.what {
            What::Certificate(certificate) => IssuerId::referred(&certificate.spec.issuer_ref, namespace),
            What::Request(request) => IssuerId::referred(&request.spec.issuer_ref, namespace),
            What::SigningRequest(request) => request.issuer(),
        }
    }

    /// What is wrong with its reference, where it is nearly one of ours.
    pub(crate) fn near_miss(&self) -> Option<String> {
        match &self.what {
            What::Certificate(certificate) => near_miss(&certificate.spec.issuer_ref),
            What::Request(request) => near_miss(&request.spec.issuer_ref),
            What::SigningRequest(request) => near_miss_of_signer(request),
        }
    }

    /// The request; for a Certificate the one that cert-manager would make, with its key.
    ///
    /// # Errors
    /// Where the key that is there is not what the Certificate asks for, or none can be made.
    pub(crate) fn request(&self, objects: &Objects) -> Result<(Request, Option<LocalKey>), String> {
        match &self.what {
            What::Certificate(certificate) => {
                let id = SecretId { namespace: self.namespace.clone(), name: certificate.spec.secret_name.clone() };
                let key = certificate.key(&id, objects.secret(&id))?;
                let request = certificate.request(&self.namespace, &key).map_err(|error| error.to_string())?;
                Ok((Request::CertManager(Box::new(request)), Some(key)))
            }
            What::Request(request) => {
                let mut request = request.clone();
                request.metadata.namespace = Some(self.namespace.clone());
                Ok((Request::CertManager(request), None))
            }
            What::SigningRequest(request) => Ok((Request::Kubernetes(request.clone()), None)),
        }
    }
}
