//! End-to-end: the issuer and what tandem-vm renders, on a real control plane with the real cert-manager.
//!
//! One control plane and one issuer serve all tests of this binary; each test has a namespace of its own.

mod environment;
mod signing;
