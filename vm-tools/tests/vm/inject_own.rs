//! What is the user's own under the names of an injection, or added to what it made: kept, or refused; never taken away.

use serde_json::Value;
use tandem_vm::inject::{self, Delivery, Input, Options};

use crate::inject::{check_injected, injected, manifest, objects, options, removed};

/// A VM with these disks besides that of the root, these volumes, and what else is in the stream.
pub(crate) fn vm(disks: &str, volumes: &str, others: &str) -> String {
    let indented =
        |text: &str, by: usize| -> String { text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect() };
    format!(
        "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata:\n  name: db\nspec:\n  template:\n    spec:\n      domain:\n        \
         devices:\n          disks:\n          - name: root\n            disk:\n              bus: virtio\n{}      volumes:\n      - \
         name: root\n        containerDisk:\n          image: registry.example/os:1\n{}{others}",
        indented(disks, 10),
        indented(volumes, 6)
    )
}

const INIT: &str = "- name: init\n  cloudInitNoCloud:\n    userData: |\n      #cloud-config\n      hostname: a\n";
const SECRET: &str = "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: init\nstringData:\n  userdata: |\n    #cloud-config\n    hostname: a\n";

/// Why neither the one nor the other is done.
fn refused(text: &str) -> [String; 2] {
    let input = [Input { name: "vm.yaml".to_owned(), text: text.to_owned() }];
    let told = |done: Result<inject::Output, Vec<inject::InjectError>>| {
        let errors = done.err().unwrap_or_else(|| panic!("is done\n{text}"));
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n").replace("vm.yaml: document 1: VirtualMachine db: spec.template.spec.", "")
    };
    [told(inject::inject(&input, &options("db"))), told(inject::remove(&input, &["db".to_owned()]))]
}

/// As the API server gives it back: without comments, and what was a text encoded.
fn without_comments(text: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let stored = |mut object: Value| {
        let fields = object.as_object_mut().unwrap();
        for (key, text) in fields.remove("stringData").iter().flat_map(|map| map.as_object().unwrap()) {
            let data = fields.entry("data").or_insert_with(|| serde_json::json!({}));
            data[key] = BASE64_STANDARD.encode(text.as_str().unwrap()).into();
        }
        serde_yaml::to_string(&object).unwrap()
    };
    objects(text).into_iter().map(stored).collect::<Vec<_>>().join("---\n")
}

fn other_options() -> [Options; 3] {
    let serial = Options { serial: "other".to_owned(), ..options("db") };
    let secret = Options { secret: "other-tls".to_owned(), ..options("db") };
    [serial, secret, Options { delivery: Delivery::Filesystem, ..options("db") }]
}

#[test]
fn a_cloud_init_volume_of_the_users_may_be_called_as_ours() {
    let disk = "- name: tandem-cloudinit\n  disk:\n    bus: virtio\n";
    for disks in ["", disk, "- name: tandem-cloudinit\n  bootOrder: 2\n  disk: {}\n"] {
        for (source, others) in [
            ("cloudInitNoCloud:\n    userData: |\n      #cloud-config\n      hostname: a\n", ""),
            ("cloudInitConfigDrive:\n    userData: |\n      #cloud-config\n      hostname: a\n", ""),
            ("cloudInitNoCloud:\n    networkData: |\n      version: 2\n", ""),
            ("cloudInitNoCloud:\n    secretRef:\n      name: init\n", SECRET),
        ] {
            let text = vm(disks, &format!("- name: tandem-cloudinit\n  {source}"), others);
            assert_eq!(removed(&text, "db"), text);
            let once = injected(&text, &options("db"));
            check_injected(&text, &once, &options("db"));
            assert_eq!(injected(&once, &options("db")), once);
            assert_eq!(removed(&once, "db"), text);
            for other in other_options() {
                assert_eq!(injected(&once, &other), injected(&text, &other));
            }
        }
    }
}

#[test]
fn what_the_user_has_added_to_our_cloud_init_volume_stays() {
    let ours = "secretRef:\n            name: db-userdata\n";
    let added = format!("{ours}          networkData: |\n            version: 2\n");
    for text in [
        vm("", "", ""),
        vm("", "", "").replace(
            "          disks:\n          - name: root\n            disk:\n              bus: virtio\n",
            "          rng: {}\n",
        ),
    ] {
        let edited = injected(&text, &options("db")).replace(ours, &added);
        let volume = |text: &str| {
            let machine = objects(text).into_iter().find(|object| object["kind"] == "VirtualMachine").unwrap();
            let spec = machine["spec"]["template"]["spec"].clone();
            assert_eq!(spec["domain"]["devices"]["disks"][0]["name"], "root", "the root disk is not the first\n{text}");
            spec["volumes"]
                .as_array()
                .unwrap()
                .iter()
                .find(|volume| volume["name"] == "tandem-cloudinit")
                .unwrap()
                .clone()
        };
        let network = "version: 2\n";
        let again = injected(&edited, &options("db"));
        let expected = serde_json::json!({"secretRef": {"name": "db-userdata"}, "networkData": network});
        assert_eq!(volume(&again)["cloudInitNoCloud"], expected);
        assert_eq!(injected(&again, &options("db")), again);
        for text in [&edited, &again, &without_comments(&edited)] {
            let rest = removed(text, "db");
            assert_eq!(volume(&rest)["cloudInitNoCloud"], serde_json::json!({"networkData": network}));
            assert!(!rest.contains("kind: Secret") && !rest.contains("tandem-tls"), "{rest}");
        }
    }
}

#[test]
fn what_is_called_as_ours_and_is_not_is_refused() {
    let volume = "- name: tandem-tls\n  secret:\n    secretName: other\n";
    let disk = "- name: tandem-tls\n  disk:\n    bus: virtio\n  serial: mine\n";
    for (disks, volumes, place) in [
        ("- name: tandem-tls\n  cache: none\n  serial: mine\n  disk: {}\n", volume, "volumes[2]"),
        (disk, volume, "volumes[2]"),
        (disk, "", "domain.devices.disks[1]"),
    ] {
        let why = format!("{place}.name: `tandem-tls` is a name of tandem-vm's; choose another");
        for (init, others) in
            [(INIT, ""), ("- name: init\n  cloudInitNoCloud:\n    secretRef:\n      name: init\n", SECRET)]
        {
            let text = vm(disks, &format!("{init}{volumes}"), others);
            assert_eq!(refused(&text), [why.clone(), why.clone()]);
        }
    }
    // Nobody knows whose it is before the user data is seen.
    let elsewhere = vm(disk, "- name: init\n  cloudInitNoCloud:\n    secretRef:\n      name: init\n", "");
    let [_, remove] = refused(&elsewhere);
    assert_eq!(remove, "domain.devices.disks[1].name: `tandem-tls` is a name of tandem-vm's; choose another");
    // Where a volume of that name would be made.
    for (disks, volumes, place) in [
        ("", "- name: tandem-cloudinit\n  emptyDisk:\n    capacity: 1Gi\n", "volumes[1]"),
        ("- name: tandem-cloudinit\n  cdrom: {}\n", "", "domain.devices.disks[1]"),
        ("", "- name: tandem-cloudinit\n  cloudInitNoCloud: {}\n", "volumes[1]"),
    ] {
        let text = vm(disks, volumes, "");
        assert_eq!(removed(&text, "db"), text);
        let errors = inject::inject(&[Input { name: "vm.yaml".to_owned(), text }], &options("db")).err().unwrap();
        let why =
            format!("spec.template.spec.{place}.name: `tandem-cloudinit` is a name of tandem-vm's; choose another");
        assert!(errors[0].to_string().ends_with(&why), "{errors:?}");
    }
}

#[test]
fn fields_that_the_user_has_added_to_ours_are_refused_with_their_names() {
    let filesystem = Options { delivery: Delivery::Filesystem, ..options("db") };
    let text = vm("", "", "");
    for (options, ours, added, place) in [
        (
            options("db"),
            "            serial: tandem-tls\n",
            "            cache: none\n",
            "domain.devices.disks[2].cache",
        ),
        (
            options("db"),
            "            serial: tandem-tls\n",
            "            bootOrder: 9\n",
            "domain.devices.disks[2].bootOrder",
        ),
        (options("db"), "          secretName: shop-tls\n", "          optional: true\n", "volumes[2].secret.optional"),
        (
            options("db"),
            "          - name: tandem-cloudinit # tandem-vm inject\n",
            "            bootOrder: 3\n",
            "domain.devices.disks[1].bootOrder",
        ),
        (filesystem, "            virtiofs: {}\n", "            x: y\n", "domain.devices.filesystems[0].x"),
    ] {
        let once = injected(&text, &options);
        let edited = once.replacen(ours, &format!("{ours}{added}"), 1);
        assert_ne!(edited, once);
        let why = format!(
            "{place}: is not what tandem-vm wrote there, and would go with the rest; take it out, or give volume and disk another name"
        );
        let refused = refused(&edited)
            .map(|told| told.replace("vm.yaml: document 2: VirtualMachine db: spec.template.spec.", ""));
        assert_eq!(refused, [why.clone(), why]);
    }
    // Another bus is the user's as well.
    let edited =
        injected(&text, &options("db")).replacen("bus: virtio\n            serial", "bus: scsi\n            serial", 1);
    assert!(refused(&edited)[0].contains("domain.devices.disks[2].disk.bus: is not what"), "{edited}");
}

#[test]
fn what_has_lost_its_comments_comes_out_as_it_went_in() {
    let own = "- name: init\n  cloudInitNoCloud:\n    secretRef:\n      name: init\n";
    for text in
        [vm("", "", ""), vm("- name: init\n  disk: {}\n", INIT, ""), vm("- name: init\n  disk: {}\n", own, SECRET)]
            .into_iter()
            .chain(["secret-string.yaml", "inline.yaml"].map(manifest))
    {
        let name = objects(&text).iter().find(|object| object["kind"] == "VirtualMachine").unwrap()["metadata"]["name"]
            .clone();
        let vm = name.as_str().unwrap();
        let plain = without_comments(&text);
        let of = |options: Options| Options { vm: vec![vm.to_owned()], ..options };
        for before in other_options() {
            let dropped = without_comments(&injected(&text, &of(before.clone())));
            assert_eq!(objects(&removed(&dropped, vm)), objects(&plain), "{before:?}");
            for after in other_options() {
                let wanted = without_comments(&injected(&text, &of(after.clone())));
                let mut found = objects(&without_comments(&injected(&dropped, &of(after))));
                found.sort_by_key(ToString::to_string);
                let mut wanted = objects(&wanted);
                wanted.sort_by_key(ToString::to_string);
                assert_eq!(found, wanted);
            }
        }
    }
}

#[test]
fn the_user_datas_secret_takes_no_name_that_is_in_use() {
    let certificate = |secret: &str, namespace: &str| {
        format!(
            "---\napiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {{name: c{namespace}}}\nspec: {{secretName: {secret}}}\n"
        )
    };
    let made = |text: &str, options: &Options| {
        let once = injected(text, options);
        assert_eq!(injected(&once, options), once);
        assert_eq!(removed(&once, "db"), text);
        let secrets = objects(&once).into_iter().filter(|object| object["kind"] == "Secret");
        let ours = secrets.filter(|secret| secret["metadata"]["annotations"].is_object());
        ours.map(|secret| secret["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let plain = vm("", INIT, "");
    assert_eq!(made(&plain, &options("db")), ["db-userdata"]);
    let of_options = Options { secret: "db-userdata".to_owned(), ..options("db") };
    assert_eq!(made(&plain, &of_options), ["db-tandem-userdata"]);
    let network = format!("{INIT}    networkDataSecretRef:\n      name: db-userdata\n");
    let volume = format!("{INIT}- name: x\n  secret:\n    secretName: db-userdata\n");
    let keys = "accessCredentials:\n- sshPublicKey:\n    source:\n      secret:\n        secretName: db-userdata\n";
    for text in [
        vm("", INIT, &certificate("db-userdata", "")),
        vm("", &network, ""),
        vm("", &volume, ""),
        vm("", &format!("{INIT}{keys}"), ""),
    ] {
        assert_eq!(made(&text, &options("db")), ["db-tandem-userdata"], "{text}");
    }
    // One of another namespace is another one.
    let text = vm("", INIT, &certificate("db-userdata", ", namespace: x"));
    assert_eq!(made(&text, &options("db")), ["db-userdata"]);
    let both = vm("", INIT, &certificate("db-tandem-userdata", ""));
    let errors = inject::inject(&[Input { name: "vm.yaml".to_owned(), text: both }], &of_options).err().unwrap();
    assert_eq!(
        errors[0].to_string(),
        "vm.yaml: document 1: VirtualMachine db: the names db-userdata and db-tandem-userdata are in use already; rename one of the \
         Secrets"
    );
}

/// What stands elsewhere, and is merged into the VM.
#[test]
fn what_is_merged_into_volumes_and_disks_is_seen() {
    let shared = |what: &str, disk: &str, volume: &str| {
        let item = |text: &str| text.lines().map(|line| format!("  {line}\n")).collect::<String>();
        let config = item(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: shared}}\nx: &shared\n{what}"));
        let machine = item(&vm(disk, volume, ""));
        format!("apiVersion: v1\nkind: List\nitems:\n-{}-{}", &config[1..], &machine[1..])
    };
    let merged = "takes fields from elsewhere with <<; write them out in their place";
    let volume = "- name: init\n  <<: *shared\n";
    for (what, disk, volume, place, why) in [
        ("  cloudInitNoCloud:\n    userData: |\n      #cloud-config\n", "", volume, "volumes[1]", merged),
        ("  secret: {secretName: shop-tls}\n", "", volume, "volumes[1]", "already brings the Secret shop-tls"),
        ("  sysprep: {}\n", "", volume, "volumes[1]", "is a sysprep volume"),
        (
            "  serial: tandem-tls\n",
            "- name: a\n  <<: *shared\n",
            "",
            "domain.devices.disks[1].serial",
            "is `tandem-tls` already",
        ),
        (
            "  name: tandem-tls\n",
            "- disk: {}\n  <<: *shared\n",
            "",
            "domain.devices.disks[1].name",
            "`tandem-tls` is a name of",
        ),
    ] {
        let text = shared(what, disk, volume);
        let errors = inject::inject(&[Input { name: "vm.yaml".to_owned(), text }], &options("db")).err().unwrap();
        let told = errors[0].to_string();
        assert!(told.contains(&format!("{place}: {why}")), "{told}");
    }
    // What makes no difference here may be merged.
    let text =
        shared("  disk: {bus: virtio}\n", "- name: a\n  <<: *shared\n", "- name: a\n  emptyDisk: {capacity: 1Gi}\n");
    assert_eq!(removed(&injected(&text, &options("db")), "db"), text);
    // Another VM's user data may be in the same Secret by a merge.
    let init = "- name: init\n  cloudInitNoCloud: &shared\n    secretRef:\n      name: init\n";
    let machine = |volumes: &str, name: &str| {
        let text = vm("", volumes, "").replace("name: db\n", &format!("name: {name}\n"));
        format!("-{}", &text.lines().map(|line| format!("  {line}\n")).collect::<String>()[1..])
    };
    let merging = "- name: init\n  cloudInitNoCloud:\n    <<: *shared\n";
    let list =
        format!("apiVersion: v1\nkind: List\nitems:\n{}{}{SECRET}", machine(init, "db"), machine(merging, "db2"));
    let errors = inject::inject(&[Input { name: "vm.yaml".to_owned(), text: list }], &options("db")).err().unwrap();
    assert!(
        errors[0].to_string().contains("the Secret init is also the user data of VirtualMachine db2"),
        "{errors:?}"
    );
}

#[test]
fn which_object_is_meant_is_known_or_refused() {
    let own = "- name: init\n  cloudInitNoCloud:\n    secretRef:\n      name: init\n";
    let twice = "vm.yaml: document 3: Secret init: is there twice, also as vm.yaml: document 2: Secret init; give the files that are \
                 applied together";
    assert_eq!(refused(&vm("", own, &format!("{SECRET}{SECRET}"))), [twice; 2]);
    let elsewhere = vm("", own, &SECRET.replace("  name: init\n", "  name: init\n  namespace: default\n"));
    assert_eq!(
        not_injected(&elsewhere),
        "volumes[1].cloudInitNoCloud.secretRef.name: the Secret init of the input is in the namespace default, and the VM in none; give \
         both the same metadata.namespace, or add the Secret of the VM's"
    );
}

fn not_injected(text: &str) -> String {
    let errors = inject::inject(&[Input { name: "vm.yaml".to_owned(), text: text.to_owned() }], &options("db")).err();
    let told = errors.map(|errors| errors[0].to_string()).unwrap_or_default();
    told.replace("vm.yaml: document 1: VirtualMachine db: spec.template.spec.", "")
}

#[test]
fn only_kubevirts_machines_are_machines() {
    let text = vm("", INIT, "");
    for version in ["evil.io/v1", "v1", "kubevirt.io.evil/v1"] {
        let other = text.replace("kubevirt.io/v1", version);
        let told = not_injected(&other);
        assert!(
            told.starts_with("there is no VM in the input; give manifests with one of KubeVirt's VirtualMachine"),
            "{told}"
        );
        // Nor is it one beside another.
        assert_eq!(
            injected(&format!("{text}---\n{other}"), &Options { vm: Vec::new(), ..options("") })
                .matches("secretRef")
                .count(),
            1
        );
    }
    // What does not say is taken for one.
    let silent = text.replace("apiVersion: kubevirt.io/v1\n", "");
    assert_eq!(removed(&injected(&silent, &options("db")), "db"), silent);
}
