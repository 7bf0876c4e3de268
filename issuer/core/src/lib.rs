//! The pure core of tandem-issuer: it decides what becomes of a certificate request, and signs.
//!
//! ```text
//!  PEM request ──request::ValidRequest──┐
//!                                       ├─decide──▶ Ignore | Wait | Deny | Fail | Sign(Grant)
//!  PEM Secret ──authority::Authority────┘                                        │
//!                                                        certificate::issue ◀────┘
//!                                                  build → sign → verify → Issued (PEM)
//! ```
//!
//! Nothing here knows Kubernetes, a clock, randomness or files: the time, the serial number and the key come in as
//! arguments. So the whole of it can be replayed, fuzzed and used offline.
//!
//! # Guarantees
//! * A certificate is built afresh from what was granted; nothing of a request is copied unseen.
//! * What [`certificate::issue`] returns has been verified up to the root, or to the topmost certificate known.
//! * No error carries key material.

pub mod algorithm;
pub mod authority;
pub mod certificate;
mod chain;
pub mod decide;
pub mod encoding;
pub mod error;
pub mod explain;
mod general_name;
pub mod grant;
mod link;
mod name_constraints;
mod names;
pub mod new_request;
pub mod policy;
mod profile;
pub mod request;
mod rules;
pub mod settings;
pub mod signer;
pub mod subject;
pub mod usage;
pub mod verify;
pub mod weak_keys;

pub use authority::Authority;
pub use certificate::{Issued, issue};
pub use decide::{Decision, decide};
pub use error::{Class, Error};
pub use explain::explain;
pub use grant::{Grant, Serial};
pub use policy::Policy;
pub use settings::Settings;
