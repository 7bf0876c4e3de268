//! Real guests: a VirtualMachine, rendered or injected into, booted by QEMU from a small Debian image with the volumes that
//! KubeVirt would give it, and asked over the network by the databases' own clients.
//!
//! ```text
//!  control plane: Certificate ─▶ Secret ──disk::lay_out──▶ folder with ..data ─┬─disk::make_iso─▶ disk with a serial
//!  tandem-vm ────────▶ VirtualMachine, user data ─▶ NoCloud ISO                 └─virtiofsd────▶ filesystem with a tag
//!                              │                         │                                          │
//!  tests/guest/image.sh ─▶ root.img ──────────▶ Machine: QEMU ◀──────────────────────────────────────┘
//!                                               │        ▲ ▲
//!                  guest agent: boot, journal ◀─┘        │ └─ psql and redis-cli, the real ones, with servers that are real
//!                                                        └─ pymongo, the real one, with a stand-in for mongod
//! ```
//!
//! What is not real: KubeVirt (the [`Machine`] reads the VirtualMachine and does as it would), the cluster's DNS and
//! Services (a client takes every name for the forwarded port), `mongod`, which no package registry offers, and `mongosh`,
//! which would be too slow here: both are in `tests/guest/image` and say what they do not do. The VirtualMachines' own
//! size is not theirs either: each gets two processors, and memory for a test machine.
//!
//! One guest, PostgreSQL's, runs with SELinux and Debian's policy, permissive: labels are real, and a denial is only logged.
//! The image has its labels in any case, and the others take no notice of them.
//!
//! QEMU emulates (TCG), which is slow and works everywhere. `TANDEM_KVM=1` asks for /dev/kvm.

pub mod agent;
pub mod clients;
pub mod machine;

use std::{path::PathBuf, process::Command, sync::OnceLock};

use anyhow::{Context, Result};

pub use machine::{Extras, Machine};

use crate::tools;

/// What guests and those who talk to them are made of; `make guest-tools` makes it.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where root.img, vmlinuz and initrd.img are.
    pub image: PathBuf,
    /// Serves a folder over virtiofs.
    pub virtiofsd: PathBuf,
    /// A Python with pymongo.
    pub python: PathBuf,
}

/// Makes the parts, once per process; nothing where QEMU is not installed and not required.
///
/// # Errors
/// What `make` said.
pub fn parts() -> Result<Option<Parts>> {
    static DONE: OnceLock<Result<String, String>> = OnceLock::new();
    for program in ["qemu-system-x86_64", "mmdebstrap", "psql", "redis-cli"] {
        if !tools::available(program)? {
            return Ok(None);
        }
    }
    let make = || {
        let mut make = Command::new("make");
        make.args(["--no-print-directory", "guest-tools"]).current_dir(tools::root());
        tools::output(&mut make).map_err(|error| format!("{error:#}"))
    };
    let told = DONE.get_or_init(make).clone().map_err(anyhow::Error::msg)?;
    let image = told.lines().last().context("make guest-tools did not say where the image is")?;
    let tools = tools::root().join("target/tools");
    Ok(Some(Parts {
        image: PathBuf::from(image),
        virtiofsd: tools.join("bin/virtiofsd"),
        python: tools.join("pymongo/bin/python"),
    }))
}
