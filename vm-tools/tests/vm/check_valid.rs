//! What is right has no findings: a stream with one of everything that KubeVirt, cert-manager and Kubernetes know, and what render makes.

use std::fs;

use tandem_vm::check::{Severity, check};
use tandem_vm::model::Stream;

use crate::check::{repository, run};
use crate::inject::objects;
use crate::kubevirt;
use crate::support::{EXAMPLES, example, render, said};

const VALID: &str = "vm-tools/tests/vm/check/valid.yaml";

#[test]
fn nothing_is_found_in_a_valid_stream() {
    let done = run(&[VALID]);
    assert_eq!(said(&done), "0 errors, 0 warnings, 0 notes in 24 objects\n");
    assert_eq!(done.status.code(), Some(0));
}

#[test]
fn the_valid_stream_is_valid_to_kubevirt() {
    let all = objects(&fs::read_to_string(repository().join(VALID)).unwrap());
    let mut judged = 0;
    for object in &all {
        let kind = object["kind"].as_str().unwrap();
        if ["VirtualMachine", "VirtualMachinePool", "VirtualMachineInstanceReplicaSet"].contains(&kind) {
            let Some(validator) = kubevirt::validator(kind) else { return };
            assert_eq!(kubevirt::faults(&validator, object), [""; 0], "{kind}");
            judged += 1;
        }
    }
    assert_eq!(judged, 4);
}

#[test]
fn what_the_examples_render_to_has_no_error() {
    for name in EXAMPLES {
        let rendered = render(&example(name));
        let text: String = rendered
            .manifests
            .iter()
            .map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap()))
            .collect();
        let rules = |text: &str| {
            let report = check(&Stream::read(&["-".into()], &mut text.as_bytes(), "default").unwrap(), &[]);
            assert_eq!(report.count(Severity::Error), 0, "{name}: {}", report.text());
            report.findings.iter().map(|finding| finding.rule.id).collect::<Vec<_>>()
        };
        // The document is checked as what it renders to.
        assert_eq!(rules(&text), rules(&example(name)), "{name}");
    }
}
