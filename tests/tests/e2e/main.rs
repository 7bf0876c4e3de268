//! End-to-end: the issuer and what tandem-vm renders, on a real control plane with the real cert-manager.
//!
//! One control plane and one issuer serve nearly all tests of this binary; each test has a namespace of its own. A test
//! waits for conditions, never for time to pass; that nothing happens is shown by something later that does.

mod environment;
mod load;
mod requests;

mod admin;
mod approval;
mod bad_input;
mod canary;
mod cert_manager;
mod chains;
mod chaos;
mod chaos_load;
mod chart;
mod chart_alerts;
mod chart_dashboard;
mod chart_life;
mod chart_rendering;
mod chart_values;
mod conditions;
mod conformance;
mod constraints;
mod events;
mod explaining;
mod faults;
mod faults_clock;
mod faults_matrix;
mod faults_restart;
mod faults_round;
mod faults_toxics;
mod framing;
mod granted;
mod guides;
mod image;
mod in_pod;
mod installed;
mod issuers;
mod judges;
mod leadership;
mod names;
mod namespaces;
mod offline;
mod policy;
mod process;
mod quiet;
mod readme;
mod release;
mod rendering;
mod renewal;
mod rights;
mod secrets;
mod signing;
mod signing_requests;
mod stale;
mod terminal;
mod tracing;
mod unreadable;
mod waiting;
mod weak_keys;
mod whole_suite;
