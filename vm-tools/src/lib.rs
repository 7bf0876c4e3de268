//! One cert-manager Secret, two worlds: a database in a KubeVirt virtual machine and its clients in containers.
//!
//! A short document goes in; the objects that make the scenario come out, typed, in a fixed order.
//!
//! ```text
//!            spec::parse                     render
//! YAML text ────────────▶ spec::DatabaseVm ─────────▶ Rendered ──▶ output: a stream, a List, or files
//!                         (checked)          │
//!                                            ├─ cloud_init: templates ─▶ user data
//!                                            └─ manifest: types ──────▶ Certificate, PersistentVolumeClaim, Secret,
//!                                                                       VirtualMachine, Service, NetworkPolicy,
//!                                                                       one Deployment per client
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

pub mod cli;
mod cloud_init;
pub mod cluster;
pub mod guest;
pub mod keyfile;
pub mod manifest;
pub mod model;
mod names;
pub mod output;
pub mod probe;
pub mod spec;
pub mod verify;
pub mod yaml_edit;

pub use manifest::Manifest;
pub use names::Names;

/// What comes of a document.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rendered {
    /// The objects, in the order in which they are written.
    pub manifests: Vec<Manifest>,
    /// The guest's `#cloud-config`, which is also in one of the objects.
    pub user_data: String,
}

/// Rendering failed. A checked document gives no reason for that: it is a fault of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A template is wrong or names something unknown.
    #[error("a template of the user data: {0}")]
    Template(#[from] minijinja::Error),
    /// A value that no guest could use.
    #[error("the guest's files: {0}")]
    Guest(#[from] guest::GuestError),
    /// The user data cannot be written as YAML.
    #[error("the user data: {0}")]
    UserData(#[from] serde_yaml::Error),
}

/// Renders all objects of a document.
///
/// # Errors
/// [`RenderError`].
pub fn render(vm: &spec::DatabaseVm) -> Result<Rendered, RenderError> {
    let document = vm.document();
    let names = Names::of(document);
    let user_data = cloud_init::user_data(document, &names)?;
    Ok(Rendered { manifests: manifest::all(document, &names, &user_data), user_data })
}
