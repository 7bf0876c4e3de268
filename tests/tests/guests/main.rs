//! Real guests: what tandem-vm renders or injects into, booted under QEMU, with Secrets that cert-manager and our issuer
//! made. How that works is drawn in `tandem_tests::guests`.
//!
//! A binary of its own, so that emulated guests do not slow down the other end-to-end tests. All tests together boot six
//! times, and no more (`Machine` counts): a boot takes a minute or more, so each scenario asks all that it can of one guest.
//! These are three of mongodb.rs (on one root disk: the second with the same Secret, the third with a renewed one), one of
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
