//! What `explain` prints.

use serde_json::{Value, json};

use crate::support::{
    NOW, certificate, command, condition, csr, explain, folder, request, request_of, stderr, stdout, stream,
};

fn findings(document: Value, args: &[&str]) -> Value {
    let done = explain(&[document], &[&["-o", "json"], args].concat());
    assert_eq!(stderr(&done), "");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let [only] = report["requests"].as_array().unwrap().as_slice() else { panic!("not one: {report}") };
    only.clone()
}

fn of<'a>(report: &'a Value, rule: &str) -> &'a Value {
    report["findings"].as_array().unwrap().iter().find(|finding| finding["rule"] == rule).unwrap()
}

const APPROVED: &str = "the request is approved";
const BEYOND: &str = "the certificate does not outlive its CA";
const NAMED: &str = "somebody is named";

#[test]
fn every_rule_says_what_it_saw_and_whence_it_comes() {
    let report = findings(certificate(json!({"duration": "24h"})), &[]);
    assert_eq!(
        (&report["object"], &report["issuer"]),
        (&json!("Certificate shop/db"), &json!("TandemClusterIssuer internal-ca"))
    );
    assert_eq!((&report["verdict"], &report["finished"]), (&json!("Signed"), &json!(false)));
    for finding in report["findings"].as_array().unwrap() {
        assert_eq!(finding["verdict"], "Kept", "{finding}");
        for part in ["rule", "saw", "source"] {
            assert!(!finding[part].as_str().unwrap().is_empty(), "{finding}");
        }
    }
    assert_eq!(of(&report, APPROVED)["saw"], "nobody has decided; taken for approved");
    assert_eq!(of(&report, NAMED)["source"], "RFC 5280 clause 4.1.2.6");
    let saw = of(&report, BEYOND)["saw"].as_str().unwrap();
    assert!(saw.contains("it would end at 2026-11-22T11:59:00Z"), "{saw}");
}

#[test]
fn all_broken_rules_are_told_and_what_waits_besides() {
    let mut asked = request_of("a", &csr(&[]));
    asked["spec"]["duration"] = json!("20000000h");
    let report = findings(asked, &[]);
    assert_eq!(report["verdict"], "Refused");
    assert_eq!(of(&report, APPROVED)["verdict"], "Waits");
    assert_eq!(of(&report, APPROVED)["message"], "somebody to approve it");
    assert_eq!(of(&report, NAMED)["verdict"], "Broken");
    assert_eq!(of(&report, BEYOND)["verdict"], "Broken");
    let message = of(&report, BEYOND)["message"].as_str().unwrap();
    assert!(message.contains("set the issuer's spec.leafBeyondCA"), "{message}");
}

#[test]
fn a_finished_request_is_said_to_be_so() {
    let mut asked = request("a");
    asked["status"] = json!({"conditions": [condition("Approved", "True", ""), condition("Ready", "True", "Issued")]});
    assert_eq!(findings(asked.clone(), &[])["finished"], true);
    let text = stdout(&explain(&[asked], &[]));
    assert!(text.contains("the controller will not look at it again"), "{text}");
}

#[test]
fn text_is_aligned_and_plain_outside_of_terminals() {
    let mut asked = request("a");
    asked["spec"]["duration"] = json!("20000000h");
    let text = stdout(&explain(&[asked], &["--assume-approved"]));
    assert!(
        text.starts_with("CertificateRequest shop/a, for TandemClusterIssuer internal-ca: would be refused\n"),
        "{text}"
    );
    let expected = "
  kept    the request is approved
          saw   nobody has decided; taken for approved
          from  cert-manager, CertificateRequest: approval
";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("\n  broken  the certificate does not outlive its CA\n          saw   "), "{text}");
    assert!(text.contains("\n          so    the certificate would end at "), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn colours_are_for_who_wants_them() {
    let folder = folder(&[("all.yaml", stream(&[request("a")]))]);
    let coloured = |variables: &[(&str, &str)]| {
        let mut command = command();
        command.arg("explain").arg(folder.path()).args(["--now", NOW]).envs(variables.iter().copied());
        stdout(&command.output().unwrap()).contains('\u{1b}')
    };
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn several_requests_are_explained_in_their_order() {
    let mut denied = request("denied");
    denied["status"] = json!({"conditions": [condition("Denied", "True", "")]});
    let done = explain(&[request("a"), denied], &["-o", "json"]);
    assert_eq!(done.status.code(), Some(1), "the worst counts");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let verdicts: Vec<_> = report["requests"].as_array().unwrap().iter().map(|one| one["verdict"].clone()).collect();
    assert_eq!(verdicts, [json!("Waits"), json!("Refused")]);
}
