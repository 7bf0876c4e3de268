//! Manifests that are filled in after `inject`, by Flux or envsubst: what they make of the edited ones is what is made of filled in ones.

use regex::Regex;

use crate::inject::{check_injected, every_delivery, injected, objects, options, removed, user_data};

const VM: &str = "apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata:
  name: db
  namespace: ${NAMESPACE}
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: 'echo ${HOME}'
spec:
  template:
    spec:
      domain:
        devices:
          disks:
          - name: root
            disk:
              bus: virtio
      volumes:
      - name: root
        containerDisk:
          image: registry.example/os:${VERSION:=13}
";

/// A cloud-init volume with this, and what is behind the VM.
fn vm(source: &str, others: &str) -> String {
    format!("{VM}      - name: init\n        cloudInitNoCloud:\n          {source}\n{others}")
}

/// As Flux's `postBuild`: the variable's value, else the default, else nothing. It knows no other form of a shell's, and leaves no `${`.
fn filled_in(text: &str) -> String {
    let variable = Regex::new(r"\$\{(\w+)(?::=([^}]*))?[^}]*\}").unwrap();
    let value = |found: &regex::Captures<'_>| match &found[1] {
        "NAMESPACE" => "shop".to_owned(),
        _ => found.get(2).map_or(String::new(), |default| default.as_str().to_owned()),
    };
    variable.replace_all(text, value).into_owned()
}

#[test]
fn a_manifest_may_be_filled_in_afterwards() {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let script = "#cloud-config\nruncmd:\n- echo ${HOME}\n";
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: init\n  namespace: ${{NAMESPACE}}\ndata:\n  userdata: {}\n",
        BASE64_STANDARD.encode(script)
    );
    for text in [
        VM.to_owned(),
        vm("userData: |\n            #cloud-config\n            hostname: a", ""),
        vm("userDataBase64: I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogYQo=", ""),
        vm("networkData: 'version: 2'", ""),
        vm("secretRef:\n            name: init", &secret),
    ] {
        for options in &every_delivery("db") {
            let edited = injected(&text, options);
            check_injected(&text, &edited, options);
            assert_eq!(injected(&edited, options), edited);
            assert_eq!(removed(&edited, "db"), text);
            let before = injected(&filled_in(&text), options);
            let [after, before] = [filled_in(&edited), before].map(|text| user_data(&objects(&text), "db").unwrap());
            assert!(after.contains("/usr/local/sbin/tandem-tls") && after.contains("${"), "{after}");
            assert_eq!(after, before);
            assert_eq!(removed(&filled_in(&edited), "db"), filled_in(&text));
        }
    }
}

/// Programs have such of their own, and a cluster's `$(VAR)` is not one.
#[test]
fn what_is_no_variable_stays_readable() {
    let text = VM.replace("${NAMESPACE}", "shop").replace("${VERSION:=13}", "13");
    for text in [
        text.clone(),
        text.replace("name: root\n            disk", "name: root\n            serial: $5{6}$(a)${7}\n            disk"),
    ] {
        assert!(injected(&text, &options("db")).contains("\nstringData:\n"), "{text}");
    }
}
