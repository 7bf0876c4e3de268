//! The proof that a VM and a pod share one Secret, without a VM: each part is done as KubeVirt, the guest, the database
//! and the pod would do it, on files beneath one folder.
//!
//! ```text
//!  Secret ─disk::lay_out─▶ folder with ..data ─disk::make_iso─▶ ISO ─disk::unpack─▶ guest::Guest (rendered script)
//!     │                                                                                   │ /etc/mongod.conf, PEM
//!     └─────pod::Pod (rendered Deployment) ──────────────TLS──────────────▶ mongod::Mongod ◀┘
//! ```
//!
//! The one stand-in is [`mongod::Mongod`]: no package registry offers the real one.

pub mod disk;
pub mod guest;
pub mod mongod;
pub mod pod;
pub mod rendered;
