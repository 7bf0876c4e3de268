//! The core from the outside: requests, authorities, certificates, decisions. No cluster, no clock.

#![allow(clippy::unwrap_used, clippy::panic)]

mod authority;
mod certificate;
mod constraints;
mod decide;
mod fuzz;
mod hostile;
mod names;
mod policy;
mod properties;
mod request;
mod support;
mod weak_keys;
