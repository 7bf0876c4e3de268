//! Real guests: what tandem-vm renders or injects into, booted under QEMU, with Secrets that cert-manager and our issuer
//! made. How that works is drawn in `tandem_tests::guests`.
//!
//! A binary of its own, so that emulated guests do not slow down the other end-to-end tests. All tests together boot five
//! times, and may six times (`Machine` counts): a boot takes a minute or more, so each scenario asks all that it can of one
//! guest. These are two of mongodb.rs (the second on the root disk of the first, with a renewed Secret), one of
//! postgresql.rs, where redis.rs follows in the same guest, one of replica_set.rs, and one of injected.rs. `make guests` runs
//! them alone.

mod injected;
mod mongodb;
mod postgresql;
mod redis;
mod replica_set;
mod rotation;
mod scenario;
mod selinux;
