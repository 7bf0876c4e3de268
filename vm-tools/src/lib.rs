//! One cert-manager Secret, two worlds: a database in a KubeVirt virtual machine and its clients in containers.
//!
//! A short document goes in; the objects that make the scenario come out, typed, in a fixed order.
//!
//! ```text
//!            spec::parse                     render
//! YAML text ────────────▶ spec::DatabaseVm ─────────▶ Rendered ──▶ output: a stream, a List, or files
//!                         (checked)          │
//!                                            ├─ cloud_init: guest, templates ─▶ user data
//!                                            └─ manifest: types ─────────────▶ Certificate, PersistentVolumeClaim,
//!                                                  Secret, VirtualMachine, Service, NetworkPolicy, Deployments of clients
//! ```
//!
//! Rendering reads no clock, cluster or random number: the same document gives the same bytes. What looks at a running
//! endpoint is apart from it, in [`probe`], [`cluster`] and what is built on them.
//!
//! ```
//! let vm = tandem_vm::spec::parse(
//!     "
//! apiVersion: vm.tandem.internal/v1alpha1
//! kind: DatabaseVM
//! metadata: {name: orders, namespace: shop}
//! spec:
//!   database: {mongodb: {}}
//!   os: {family: rhel, image: registry.example/centos-stream:9}
//!   certificate: {secretName: orders-tls, issuerRef: {kind: TandemClusterIssuer, name: internal-ca}}
//! ",
//! )?;
//! let rendered = tandem_vm::render(&vm)?;
//! assert_eq!(rendered.manifests[0].kind(), "Certificate");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod check;
pub mod cli;
mod cloud_init;
pub mod cluster;
mod encoding;
pub mod guest;
pub mod inject;
pub mod keyfile;
pub mod manifest;
mod merge;
pub mod model;
pub mod mongod_conf;
mod names;
pub mod output;
pub mod probe;
pub mod rotation;
mod schedule;
pub mod spec;
pub mod stale;
mod user_data;
mod values;
pub mod verify;
pub mod yaml_edit;

pub use manifest::Manifest;
pub use names::{MachineNames, Names};
use tandem_cli::Problem;

/// What comes of a document.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rendered {
    /// The objects, in the order in which they are written.
    pub manifests: Vec<Manifest>,
    /// The guest's `#cloud-config`, which is also in one of the objects.
    pub user_data: String,
    /// What is to be known besides, a sentence each.
    pub notes: Vec<String>,
}

/// Rendering failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// What the user has merged into our texts does not fit them.
    #[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
    Fields(Vec<Problem>),
    /// A template is wrong or names something unknown: a fault of this crate, like all that follow.
    #[error("a template of the user data: {0}")]
    Template(#[from] minijinja::Error),
    /// A checked document asks for something that no guest could do.
    #[error("the guest's files: {0}")]
    Guest(#[from] guest::GuestError),
    /// The user data, or a VirtualMachine with a template merged in, cannot be written as YAML.
    #[error("as YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

impl RenderError {
    /// One line for each thing that is wrong.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Fields(problems) => problems.iter().map(Problem::to_string).collect(),
            Self::Template(_) | Self::Guest(_) | Self::Yaml(_) => vec![self.to_string()],
        }
    }
}

/// Renders all objects of a document.
///
/// # Errors
/// [`RenderError`].
pub fn render(vm: &spec::DatabaseVm) -> Result<Rendered, RenderError> {
    let document = vm.document();
    let names = Names::of(document);
    let user_data = |machine| cloud_init::user_data(document, &names, machine);
    let user_data = names.machines.iter().map(user_data).collect::<Result<Vec<_>, _>>()?;
    let manifests = manifest::all(document, &names, &user_data)?;
    let database = manifest::other_release(document).into_iter().chain(spec::hba::notes(document));
    let notes = database.chain(manifest::narrower(document)).chain(manifest::unknown_fields(document)).collect();
    Ok(Rendered { manifests, user_data: user_data.into_iter().next().unwrap_or_default(), notes })
}
