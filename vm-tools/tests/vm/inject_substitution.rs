//! Manifests that are filled in after `inject`, by Flux or envsubst: what they make of the edited ones is what is made of filled in ones.

use regex::Regex;
use tandem_vm::inject::{self, Input};

use crate::inject::{check_injected, every_delivery, injected, objects, options, removed, user_data};
use crate::inject_own;

/// A VM that is to be filled in, with these volumes besides that of the root, and what else is in the stream.
fn with(volumes: &str, others: &str) -> String {
    let metadata = "  name: db
  namespace: ${NAMESPACE}
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: 'echo ${HOME}'
";
    inject_own::vm("", volumes, others).replacen("  name: db\n", metadata, 1).replace("/os:1\n", "/os:${VERSION:=13}\n")
}

/// With a cloud-init volume that has this.
fn vm(source: &str, others: &str) -> String {
    with(&format!("- name: init\n  cloudInitNoCloud:\n    {source}\n"), others)
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
        with("", ""),
        vm("userData: |\n      #cloud-config\n      hostname: a", ""),
        vm("userDataBase64: I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogYQo=", ""),
        vm(&format!("userDataBase64: {}", BASE64_STANDARD.encode(script)), ""),
        vm("networkData: 'version: 2'", ""),
        vm("secretRef:\n      name: init", &secret),
    ] {
        for options in &every_delivery("db")[1..3] {
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

/// What is to be filled in may be another document's, a field's name, and have no braces; what a user's text has may be a shell's.
#[test]
fn what_is_written_and_said_depends_on_where_variables_are() {
    let constant = |text: String| text.replace("${NAMESPACE}", "shop").replace("${VERSION:=13}", "13");
    let plain = constant(with("", ""));
    let certificate = "---\napiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata:\n  name: db\n  namespace: shop\nspec:\n  \
                       dnsNames:\n  - db.${DOMAIN}\n";
    let inline =
        |config: &str, others: &str| constant(vm(&format!("userData: |\n      #cloud-config\n      {config}"), others));
    let keys = "ssh_authorized_keys:\n      - ${SSH_KEY}";
    let secret = |metadata: &str| {
        format!(
            "{}---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: init\n  namespace: ${{NAMESPACE}}\n{metadata}stringData:\n  userdata: \
             |\n    #cloud-config\n    hostname: a\n",
            vm("secretRef:\n      name: init", "")
        )
    };
    let passed_over = secret("  annotations:\n    kustomize.toolkit.fluxcd.io/substitute: disabled\n");
    for (text, encoded, told) in [
        (plain.clone(), false, ""),
        (
            with("", ""),
            true,
            "metadata.namespace has ${…} for Flux or envsubst to fill in, so a Secret that is made for the user data has it encoded, where they \
             find nothing: they would fill in what the guest's script has of that form",
        ),
        (
            with("", "").replace("${", "$").replace(":=13}", "").replace('}', ""),
            true,
            "metadata.namespace has ${…} for Flux",
        ),
        (
            plain.replace("  name: db\n", "  name: db\n  labels:\n    ${KEY}: a\n"),
            true,
            "metadata.labels.${KEY} has ${…} for",
        ),
        (
            format!("{plain}{certificate}"),
            true,
            "Certificate shop/db in the same input (spec.dnsNames[0]) has ${…} for Flux",
        ),
        (
            inline(keys, ""),
            false,
            "its user data has ${…}: where Flux or envsubst fills that in, the guest's script breaks, which has more of \
             that form; inject into what they write",
        ),
        (
            inline(keys, certificate),
            false,
            "Certificate shop/db in the same input (spec.dnsNames[0]) has ${…}: where Flux",
        ),
        (inline("hostname: $HOSTNAME", ""), false, ""),
        (passed_over, false, ""),
    ] {
        let input = [Input { name: "vm.yaml".to_owned(), text: text.clone() }];
        let done = inject::inject(&input, &options("db")).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
        assert_eq!(!done.texts.concat().contains("\nstringData:\n"), encoded, "{text}");
        let notes = done.notes.join("\n");
        assert!(if told.is_empty() { !notes.contains("${…}") } else { notes.contains(told) }, "{notes}\n{text}");
        assert_eq!(removed(&done.texts.concat(), "db"), text);
    }
}

/// Programs have such of their own, and a cluster's `$(VAR)` is not one.
#[test]
fn what_is_no_variable_stays_readable() {
    let text = with("", "").replace("${NAMESPACE}", "shop").replace("${VERSION:=13}", "13");
    for text in [
        text.clone(),
        text.replace("name: root\n            disk", "name: root\n            serial: $5{6}$(a)${7}\n            disk"),
    ] {
        assert!(injected(&text, &options("db")).contains("\nstringData:\n"), "{text}");
    }
}
