//! What Kubernetes takes of a Secret, and what `inject` makes of user data near that.

use base64::{Engine, engine::general_purpose::STANDARD};
use tandem_vm::inject::{Input, inject};

use crate::inject::{injected, objects, options};

/// <https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size>
const LIMIT: usize = 1_048_576;

const VM: &str = "apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: db}
spec:
  template:
    spec:
      domain:
        devices:
          disks:
          - name: root
            disk: {bus: virtio}
      volumes:
      - name: root
        containerDisk: {image: i}
      - name: init
        cloudInitNoCloud:
";
const SECRET: &str = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: init}\n";

fn user_data(long: usize) -> String {
    format!("#cloud-config\n# x{}\nhostname: db\n", "x".repeat(long))
}

fn with_secret(rest: &str) -> String {
    format!("{VM}          secretRef: {{name: init}}\n{SECRET}{rest}")
}

/// A VM with a comment of so many bytes in its user data.
type Manifest = fn(usize) -> String;

/// In a Secret of the user's own, as text; in quotes, so that how it was written is kept; encoded; in the VM.
fn manifests() -> [(&'static str, Manifest); 4] {
    [
        ("stringData.userdata", |long| {
            let text = user_data(long).replace('\n', "\n    ");
            with_secret(&format!("stringData:\n  other: y\n  userdata: |\n    {}\n", text.trim_end()))
        }),
        ("stringData.userdata", |long| with_secret(&format!("stringData:\n  userdata: {:?}\n", user_data(long)))),
        ("data.userdata", |long| {
            with_secret(&format!("data:\n  other: eQ==\n  userdata: {}\n", STANDARD.encode(user_data(long))))
        }),
        ("spec.template.spec.volumes[1].cloudInitNoCloud.userData", |long| {
            let text = user_data(long).replace('\n', "\n            ");
            format!("{VM}          userData: |\n            {}\n", text.trim_end())
        }),
    ]
}

/// The bytes of the Secret's values, as the API server counts them.
fn size(manifests: &str) -> usize {
    let secret = objects(manifests).into_iter().find(|object| object["kind"] == "Secret").unwrap();
    let values =
        |map: &str| secret[map].as_object().into_iter().flatten().map(|(_, value)| value.as_str().unwrap().to_owned());
    let encoded = values("data").map(|text| STANDARD.decode(text).unwrap().len());
    encoded.chain(values("stringData").map(|text| text.len())).sum()
}

#[test]
fn user_data_is_injected_into_up_to_what_kubernetes_takes_of_a_secret() {
    for (field, manifest) in manifests() {
        let short = size(&injected(&manifest(0), &options("db")));
        // Each further byte is there once, or twice where it is kept how it was written.
        let copies = size(&injected(&manifest(1), &options("db"))) - short;
        let most = (LIMIT - short) / copies;
        assert_eq!(size(&injected(&manifest(most), &options("db"))), short + most * copies, "{field}");
        let input = Input { name: "vm.yaml".to_owned(), text: manifest(most + 1) };
        let errors = inject(&[input], &options("db")).err().unwrap();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let error = errors[0].to_string();
        let found = short + (most + 1) * copies;
        let end = format!(
            "{field}: with it and what the guest needs the Secret's values have {found} bytes, of which Kubernetes takes at most \
             1048576; shorten it: what is long belongs in the guest's image, or where the guest fetches it from"
        );
        assert!(found > LIMIT && found - LIMIT <= copies && error.ends_with(&end), "{error}");
        let object = if field.starts_with("spec") { "VirtualMachine db" } else { "Secret init" };
        assert!(
            error.starts_with("vm.yaml: document ") && error.contains(&format!(": {object}: {field}: ")),
            "{error}"
        );
    }
}
