//! What Tandem's commands have in common.
//!
//! ```text
//! stdio::read ─▶ yaml::documents ─▶ serde ──▶ … ──▶ files::write, stdio::print
//! └──── manifests::read ────────┘     └─ problem: what is wrong with a field, for people; shape: all that is wrong;
//!                                        strict: all that nobody reads
//!
//! arguments: no private key is among them
//! completions: for shells, from the arguments
//! ```

pub mod arguments;
pub mod completions;
pub mod files;
pub mod json;
pub mod manifests;
pub mod problem;
pub mod shape;
pub mod stdio;
pub mod strict;
pub mod yaml;

pub use problem::{Problem, printable, shown};

/// The version that a command tells: the workspace's and, where `release/binaries.sh` has built it, the revision that it was
/// built from, as build metadata of Semantic Versioning (`0.1.0+f2a9c1d04e6b`).
pub const VERSION: &str = match option_env!("TANDEM_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};
