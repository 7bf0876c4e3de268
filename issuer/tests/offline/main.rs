//! `tandem-issuer sign` and `explain`: the command as it is built, on files.

#![allow(clippy::unwrap_used, clippy::panic)]

mod bad_input;
mod command;
mod explain;
mod secrecy;
mod sign;
mod support;
