//! Documents → the objects that are needed: issuers, Secrets, and what is to be signed.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::core::v1::{Namespace, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::Deserialize;
use serde_yaml::Value;
use tandem_cli::{
    Problem,
    manifests::{self, Document, Found, Place},
    shown, strict,
};

use super::{End, certificate::Certificate};
use crate::{
    api::{
        CertificateRequest, CertificateSigningRequest, IssuerId, IssuerKind, Lean,
        issuer::{GROUP, IssuerSpec, VERSION},
        names::{is_label, is_subdomain},
    },
    args::Input,
    ca_secrets::{SecretId, Seen},
    issuers::Observed,
    reconcile_issuer,
};

/// What a document is called in messages and in the output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) kind: &'static str,
    /// As the document says it.
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// Something to be signed, as it was written.
pub(crate) struct Wanted {
    pub(crate) place: Place,
    pub(crate) name: Name,
    /// Its namespace, also where the document leaves that to the command.
    pub(crate) namespace: String,
    pub(crate) value: Value,
    pub(crate) what: What,
}

impl Wanted {
    /// Place and name, as messages begin.
    pub(crate) fn title(&self) -> String {
        format!("{}, {}", self.place, self.name)
    }
}

/// The kinds that can be signed.
pub(crate) enum What {
    Certificate(Box<Certificate>),
    Request(Box<CertificateRequest>),
    SigningRequest(Box<CertificateSigningRequest>),
}

/// Where objects are, as far as the documents leave it open.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    /// The namespace of those that name none.
    pub(crate) namespace: String,
    /// Where the Secrets of cluster issuers are; `None`: in any one namespace.
    pub(crate) cluster_resource_namespace: Option<String>,
}

/// Everything that was read. It has no `Debug`: Secrets are in it.
pub(crate) struct Objects {
    defaults: Defaults,
    issuers: HashMap<IssuerId, IssuerSpec>,
    secrets: Vec<(SecretId, BTreeMap<String, ByteString>)>,
    /// The labels of namespaces, by name.
    namespaces: HashMap<String, BTreeMap<String, String>>,
    pub(crate) wanted: Vec<Wanted>,
    /// What was passed over, a line each.
    pub(crate) notes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IssuerManifest {
    metadata: ObjectMeta,
    spec: IssuerSpec,
}

/// Fields that an object may have although nothing here reads them.
const UNREAD: &[&str] = &["apiVersion", "kind", "status"];
const UNREAD_OF_REQUESTS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata.annotations",
    "metadata.deletionGracePeriodSeconds",
    "metadata.deletionTimestamp",
    "metadata.finalizers",
    "metadata.generateName",
    "metadata.labels",
    "metadata.managedFields",
    "metadata.ownerReferences",
    "metadata.selfLink",
    "spec.username",
    "spec.uid",
    "spec.groups",
    "spec.extra",
    "status.certificate",
    "status.ca",
    "status.failureTime",
];

impl Objects {
    /// Reads all files and sorts what is in them.
    ///
    /// # Errors
    /// A line for everything that is wrong with them.
    pub(crate) fn read(args: &Input) -> Result<Self, End> {
        let Found { documents, notes } =
            manifests::read(&args.files, &mut std::io::stdin().lock()).map_err(End::BadInput)?;
        let defaults = Defaults {
            namespace: args.namespace.clone(),
            cluster_resource_namespace: args.cluster_resource_namespace.clone(),
        };
        let mut objects = Self::of(documents, defaults).map_err(End::BadInput)?;
        objects.notes.splice(..0, notes);
        Ok(objects)
    }

    /// Sorts the documents.
    ///
    /// # Errors
    /// A line for each field that is wrong, beginning with its place.
    pub(crate) fn of(documents: Vec<Document>, defaults: Defaults) -> Result<Self, Vec<String>> {
        let mut objects = Self {
            defaults,
            issuers: HashMap::new(),
            secrets: Vec::new(),
            namespaces: HashMap::new(),
            wanted: Vec::new(),
            notes: Vec::new(),
        };
        let mut places: HashMap<(&'static str, String, String), Place> = HashMap::new();
        let mut lines = Vec::new();
        for document in documents {
            let place = document.place.clone();
            match objects.take(document) {
                Ok(Some(name)) => {
                    let namespace = objects.place_of(name.namespace.as_deref());
                    if let Some(first) = places.insert((name.kind, namespace, name.name.clone()), place.clone()) {
                        lines.push(format!("{place}, {name}: is there twice, first in {first}; remove one of them"));
                    }
                }
                Ok(None) => {}
                Err(problems) => lines.extend(problems.into_iter().map(|problem| format!("{place}: {problem}"))),
            }
        }
        if lines.is_empty() { Ok(objects) } else { Err(lines) }
    }

    fn place_of(&self, namespace: Option<&str>) -> String {
        namespace.unwrap_or(&self.defaults.namespace).to_owned()
    }

    /// Keeps one document; its name where it is of a kind that counts.
    fn take(&mut self, document: Document) -> Result<Option<Name>, Vec<Problem>> {
        let Document { place, value } = document;
        let (api_version, kind) = header(&value)?;
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let issuer = IssuerKind::ALL.into_iter().find(|issuer| group == GROUP && issuer.kind() == kind);
        let ours = match (issuer, group, kind) {
            (Some(_), ..) => Some(VERSION),
            (_, "cert-manager.io", "Certificate" | "CertificateRequest")
            | (_, "certificates.k8s.io", "CertificateSigningRequest")
            | (_, "", "Secret" | "Namespace") => Some("v1"),
            _ => None,
        };
        match ours {
            None => {
                let kind = shown(kind);
                self.notes.push(format!("{place}: passed over: the kind {kind} of {} is not read", shown(api_version)));
                return Ok(None);
            }
            Some(known) if known != version => {
                let expected = if group.is_empty() { known.to_owned() } else { format!("{group}/{known}") };
                let message = format!("`{}` is not a version that is read; write {expected}", shown(api_version));
                return Err(vec![Problem::new("apiVersion", message)]);
            }
            Some(_) => {}
        }
        if let Some(issuer) = issuer {
            return self.take_issuer(issuer, &value).map(Some);
        }
        if kind == "Secret" {
            return self.take_secret(&value).map(Some);
        }
        if kind == "Namespace" {
            let namespace: Namespace = strict::read(&value, &[])?;
            let name = named("Namespace", &namespace.metadata, false)?;
            self.namespaces.insert(name.name.clone(), namespace.metadata.labels.unwrap_or_default());
            return Ok(Some(name));
        }
        let (name, what) = match kind {
            "Certificate" => {
                let certificate: Certificate = strict::read(&value, &[])?;
                certificate.check()?;
                (named("Certificate", &certificate.metadata, true)?, What::Certificate(Box::new(certificate)))
            }
            "CertificateRequest" => {
                let request: CertificateRequest = strict::read(&value, UNREAD_OF_REQUESTS)?;
                (named("CertificateRequest", &request.metadata, true)?, What::Request(Box::new(request)))
            }
            _ => {
                let request: CertificateSigningRequest = Lean(strict::read(&value, UNREAD)?);
                let name = named("CertificateSigningRequest", &request.metadata, false)?;
                (name, What::SigningRequest(Box::new(request)))
            }
        };
        let namespace = self.place_of(name.namespace.as_deref());
        self.wanted.push(Wanted { place, name: name.clone(), namespace, value, what });
        Ok(Some(name))
    }

    fn take_issuer(&mut self, kind: IssuerKind, value: &Value) -> Result<Name, Vec<Problem>> {
        let issuer: IssuerManifest = strict::read(value, UNREAD)?;
        let namespaced = kind == IssuerKind::Namespaced;
        let name = named(kind.kind(), &issuer.metadata, namespaced)?;
        if issuer.spec.ca.is_none() {
            return Err(vec![Problem::new("spec.ca", "is missing; add it, with the secretName of the CA")]);
        }
        // What the settings say of a field begins with its path.
        issuer.spec.settings().map_err(|problem| vec![Problem::new("", problem)])?;
        let namespace = namespaced.then(|| self.place_of(name.namespace.as_deref()));
        self.issuers.insert(IssuerId { kind, namespace, name: name.name.clone() }, issuer.spec);
        Ok(name)
    }

    fn take_secret(&mut self, value: &Value) -> Result<Name, Vec<Problem>> {
        let secret: Secret = strict::read(value, &[]).map_err(untold)?;
        let name = named("Secret", &secret.metadata, true)?;
        let mut data = secret.data.unwrap_or_default();
        let texts = secret.string_data.unwrap_or_default();
        data.extend(texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))));
        let id = SecretId { namespace: self.place_of(name.namespace.as_deref()), name: name.name.clone() };
        self.secrets.push((id, data));
        Ok(name)
    }

    /// The labels of a namespace whose manifest is there.
    pub(crate) fn labels(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(namespace)
    }

    /// Whether the issuer's policy looks at labels of a namespace whose manifest is not there.
    pub(crate) fn lacks_labels(&self, wanted: &Wanted, issuer: &Observed) -> bool {
        let Observed::Ready(ready) = issuer else { return false };
        let looks = ready.settings.policy.as_ref().is_some_and(|policy| policy.needs_labels(&wanted.namespace));
        looks && self.labels(&wanted.namespace).is_none() && !matches!(wanted.what, What::SigningRequest(_))
    }

    /// The data of a Secret.
    pub(crate) fn secret(&self, id: &SecretId) -> Option<&BTreeMap<String, ByteString>> {
        self.secrets.iter().find(|(known, _)| known == id).map(|(_, data)| data)
    }

    /// An issuer with its CA, judged as the controller does.
    ///
    /// # Errors
    /// What has to be given besides.
    pub(crate) fn observe(&self, id: &IssuerId, now: Timestamp) -> Result<Observed, String> {
        let spec = self.issuers.get(id).ok_or_else(|| format!("{id} is not among the input; add its manifest"))?;
        let ca = spec.ca.as_ref().ok_or_else(|| format!("{id} names no CA; add spec.ca"))?;
        let secret = self.secret_of(id, &ca.secret_name)?;
        let data = self.secret(&secret).cloned().unwrap_or_default();
        let seen = Seen::Nothing.read(Some(data));
        Ok(reconcile_issuer::observe(&seen, &secret, spec, now)
            .map_or(Observed::Missing(None), |(_, observed)| observed))
    }

    /// The CA Secret of an issuer: beside it, or, of a cluster issuer, in the cluster resource namespace.
    fn secret_of(&self, id: &IssuerId, name: &str) -> Result<SecretId, String> {
        let place = id.namespace.as_ref().or(self.defaults.cluster_resource_namespace.as_ref());
        let fits = |secret: &&SecretId| secret.name == name && place.is_none_or(|place| *place == secret.namespace);
        let mut found = self.secrets.iter().map(|(secret, _)| secret).filter(fits);
        match (found.next(), found.next()) {
            (Some(secret), None) => Ok(secret.clone()),
            (Some(first), Some(second)) => Err(format!(
                "two Secrets could be that of {id}: {first} and {second}; choose with --cluster-resource-namespace"
            )),
            (None, _) => {
                let wanted = place.map_or_else(|| name.to_owned(), |place| format!("{place}/{name}"));
                Err(format!("the Secret {wanted} of {id} is not among the input; add it, with tls.crt and tls.key"))
            }
        }
    }
}

/// apiVersion and kind.
fn header(value: &Value) -> Result<(&str, &str), Vec<Problem>> {
    if !value.is_mapping() {
        return Err(vec![Problem::new("", "is not an object; write a Kubernetes manifest")]);
    }
    let text = |key: &str| {
        let text = value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| vec![Problem::new(key, "is missing; add it")])
    };
    Ok((text("apiVersion")?, text("kind")?))
}

/// What is wrong with a Secret, without a word of what stands in it.
fn untold(problems: Vec<Problem>) -> Vec<Problem> {
    let untold = |problem: Problem| match problem.message.as_str() {
        message if message.starts_with("unknown field") || message.starts_with("is missing") => problem,
        _ => Problem::new(problem.field, "cannot be read; values in data are base64, those in stringData text"),
    };
    // A key may stand in place of a name, too.
    let is_name = |part: &str| {
        part.len() <= 63 && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_[]".contains(&byte))
    };
    let told = |problem: Problem| {
        let field = problem.field.split('.').take_while(|part| is_name(part)).collect::<Vec<_>>().join(".");
        Problem { field, ..problem }
    };
    problems.into_iter().map(untold).map(told).collect()
}

/// The name of an object. It becomes a part of file names, so it has to be one that Kubernetes would take.
fn named(kind: &'static str, metadata: &ObjectMeta, namespaced: bool) -> Result<Name, Vec<Problem>> {
    let name = metadata.name.clone().unwrap_or_default();
    if name.is_empty() {
        return Err(vec![Problem::new("metadata.name", "is missing; add it")]);
    }
    let namespace = metadata.namespace.clone().filter(|namespace| namespaced && !namespace.is_empty());
    let mut problems = Vec::new();
    if !is_subdomain(&name) {
        problems.push(not_a_name("metadata.name", &name));
    }
    if let Some(namespace) = namespace.as_ref().filter(|namespace| !is_label(namespace)) {
        problems.push(not_a_name("metadata.namespace", namespace));
    }
    if problems.is_empty() { Ok(Name { kind, namespace, name }) } else { Err(problems) }
}

fn not_a_name(field: &str, found: &str) -> Problem {
    let found = shown(found);
    let rule = "use a-z, 0-9, - and, in names, dots; begin and end with a letter or digit";
    Problem::new(field, format!("`{found}` is not a name that Kubernetes takes; {rule}"))
}
