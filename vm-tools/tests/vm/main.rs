//! What the command and the library promise, checked from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may stop at the first thing that is wrong, and says what it skips"
)]

mod arguments;
mod bad_input;
mod check;
mod check_answers;
mod check_labels;
mod check_missing;
mod check_properties;
mod check_published;
mod check_rules;
mod check_sarif;
mod check_valid;
mod command;
mod databases;
mod docs;
mod every_message;
mod files;
mod folders;
mod gates;
mod guest;
mod hba;
mod help;
mod inject;
mod inject_answers;
mod inject_boot;
mod inject_diff;
mod inject_files;
mod inject_generated;
mod inject_mongod;
mod inject_odd;
mod inject_own;
mod inject_refused;
mod inject_script;
mod inject_several;
mod inject_size;
mod inject_start;
mod inject_substitution;
mod input;
mod input_several;
mod input_spec;
mod keyfile;
mod krm;
mod kubevirt;
mod large;
mod lists;
mod live;
mod meanwhile;
mod members;
mod members_refused;
mod model;
mod mongod;
mod mongod_conf;
mod mongod_conf_properties;
mod mongod_conf_refused;
mod network;
mod odd;
mod properties;
mod quotes;
mod reference;
mod release;
mod rendered;
mod rotation;
mod script_data;
mod script_disk;
mod script_keyfile;
mod script_mongosh;
mod script_postgresql;
mod script_redis;
mod script_reload;
mod script_replset;
mod script_settings;
mod script_tls;
mod secret;
mod served;
mod stale;
mod support;
mod unharmed;
mod verify;
mod words;
mod yaml_edit;
