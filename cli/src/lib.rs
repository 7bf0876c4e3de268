//! What Tandem's commands have in common.
//!
//! ```text
//! stdio::read ─▶ yaml::documents ─▶ serde ──▶ … ──▶ files::write, stdio::print
//! └──── manifests::read ────────┘     └─ problem: what is wrong with a field, for people
//!
//! arguments: no private key is among them
//! ```

pub mod arguments;
pub mod files;
pub mod json;
pub mod manifests;
pub mod problem;
pub mod stdio;
pub mod yaml;

pub use problem::{Problem, printable, shown};
