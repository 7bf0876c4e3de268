//! What the end-to-end tests and the demo stand on: a real control plane, the issuer as a process of its own, and a
//! client with a few verbs.
//!
//! ```text
//!  ControlPlane ─(kubeconfig)─▶ Cluster: apply, get, wait      ─▶ Space: a namespace of a test's own
//!       └────────(token)──────▶ IssuerProcess: target/…/tandem-issuer run
//! ```
//!
//! Whatever is started is stopped and waited for when its value is dropped, and stops by itself when this process dies.

pub mod access;
pub mod admin;
pub mod cable;
pub mod canary;
pub mod certificates;
pub mod cluster;
pub mod control_plane;
pub mod events;
pub mod facts;
pub mod faults;
pub mod guests;
pub mod helm;
mod issuance;
pub mod issuer;
pub mod judges;
pub mod kubelet;
pub mod pod;
pub mod process;
pub mod sharing;
pub mod telemetry;
pub mod tools;
pub mod toxiproxy;

pub use cluster::{Cluster, Space};
pub use control_plane::ControlPlane;
pub use issuer::IssuerProcess;
