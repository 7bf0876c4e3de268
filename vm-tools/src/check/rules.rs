//! The rules, by what they look at. Numbers: 0xx the machine, 1xx user data, 2xx certificates, 3xx names and the network, 4xx
//! Secrets and pods.

mod certificates;
mod cloud_config;
mod connections;
mod disks;
mod keyfiles;
mod lookups;
mod machines;
mod membership;
mod missing;
mod namespaces;
mod network;
mod pods;
mod reach;
mod rotation;
mod secrets;
mod user_data;

use std::sync::LazyLock;

use super::{Rule, ignore};

/// All rules, by number.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    static SORTED: LazyLock<Vec<&'static Rule>> = LazyLock::new(|| {
        let mut all: Vec<_> = [
            disks::RULES,
            machines::RULES,
            user_data::RULES,
            cloud_config::RULES,
            lookups::RULES,
            keyfiles::RULES,
            certificates::RULES,
            membership::RULES,
            rotation::RULES,
            network::RULES,
            connections::RULES,
            reach::RULES,
            secrets::RULES,
            pods::RULES,
            namespaces::RULES,
            missing::RULES,
            ignore::RULES,
        ]
        .into_iter()
        .flatten()
        .collect();
        all.sort_by_key(|rule| rule.id);
        all
    });
    SORTED.iter().copied()
}
