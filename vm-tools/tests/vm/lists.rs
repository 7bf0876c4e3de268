//! Objects as `kubectl get` and the API server list them: in a List, in a list of one kind, and beside what controllers have made of them.

use std::fs;

use serde_json::{Value, json};
use tandem_vm::check::{Finding, check};
use tandem_vm::inject::{self, Input};
use tandem_vm::model::Stream;
use tempfile::TempDir;

use crate::check::{BEFORE, repository};
use crate::command::{tandem_vm, with_stdin};
use crate::inject::{check_injected, injected, manifest, objects, options, removed};
use crate::support::{output, said};

/// What is found in a text, without where: rule, object, field and message of each.
fn found(text: &str) -> Vec<[String; 4]> {
    let stream = Stream::read(&["-".into()], &mut text.as_bytes(), "default")
        .unwrap_or_else(|lines| panic!("{lines:?}\n{text}"));
    let line = |finding: &Finding| {
        let [object, field, message] =
            [&finding.object.to_string(), &finding.field, &finding.message].map(Clone::clone);
        [finding.rule.id.to_owned(), object, field, message]
    };
    check(&stream, &[]).findings.iter().map(line).collect()
}

fn before() -> Vec<Value> {
    objects(&fs::read_to_string(repository().join(BEFORE)).unwrap())
}

fn list(kind: &str, items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "items": items, "metadata": {"resourceVersion": ""}})
}

/// A list for each kind, as the API server answers: what the entries are stands there once.
fn of_one_kind_each(all: &[Value]) -> Vec<Value> {
    let mut lists: Vec<Value> = Vec::new();
    for object in all {
        let kind = format!("{}List", object["kind"].as_str().unwrap());
        let index = lists.iter().position(|list| list["kind"] == *kind && list["apiVersion"] == object["apiVersion"]);
        let index = index.unwrap_or_else(|| {
            lists.push(json!({"apiVersion": object["apiVersion"], "kind": kind, "items": []}));
            lists.len() - 1
        });
        let mut entry = object.clone();
        entry.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
        lists[index]["items"].as_array_mut().unwrap().push(entry);
    }
    lists
}

#[test]
fn a_list_of_any_kind_is_checked_as_its_entries() {
    let all = before();
    let mut expected = found(&all.iter().map(|object| format!("---\n{object}\n")).collect::<String>());
    assert!(expected.len() > 15, "{expected:?}");
    assert_eq!(found(&list("List", &all).to_string()), expected);
    assert_eq!(found(&list("List", &[list("List", &all)]).to_string()), expected);
    // Kind by kind, which is another order.
    let lists = of_one_kind_each(&all);
    assert!(lists.iter().any(|list| list["kind"] == "VirtualMachineList" && list["items"][0].get("kind").is_none()));
    expected.sort();
    for text in [lists.iter().map(|list| format!("---\n{list}\n")).collect(), list("List", &lists).to_string()] {
        let mut found = found(&text);
        found.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_finding_in_a_list_has_its_entry() {
    let text = serde_yaml::to_string(&list("VirtualMachineList", &before())).unwrap();
    let json = with_stdin(text.as_bytes(), "check", &["-o", "json"]);
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    for finding in report["findings"].as_array().unwrap() {
        let index = usize::try_from(finding["item"].as_u64().unwrap()).unwrap();
        assert_eq!(before()[index - 1]["metadata"]["name"], finding["object"]["name"]);
    }
}

#[test]
fn a_list_without_entries_is_no_list() {
    for items in ["", "items:\n", "items: 5\n", "items: {a: b}\n"] {
        let done = with_stdin(format!("apiVersion: v1\nkind: List\n{items}").as_bytes(), "check", &[]);
        let expected =
            "tandem-vm: standard input: document 1: is a List whose items are no list; begin each of them with -\n";
        assert_eq!((done.status.code(), said(&done).as_str()), (Some(2), expected), "{items}");
    }
    let none = with_stdin(b"apiVersion: v1\nkind: List\nitems: []\n", "check", &[]);
    assert_eq!((none.status.code(), none.stdout.len()), (Some(2), 0), "{}", said(&none));
}

#[test]
fn a_rotation_is_planned_from_a_list_of_any_kind() {
    let all = before();
    let plan = |text: String| {
        let done = with_stdin(text.as_bytes(), "rotation-plan", &["--now", "2026-11-21T12:00:00Z"]);
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
        String::from_utf8(done.stdout).unwrap()
    };
    let expected = plan(all.iter().map(|object| format!("---\n{object}\n")).collect());
    assert_eq!(plan(list("List", &all).to_string()), expected);
    assert_eq!(plan(of_one_kind_each(&all).iter().map(|list| format!("---\n{list}\n")).collect()), expected);
}

/// Such a list takes nothing but VMs, so the Secret with the user data comes before it.
#[test]
fn a_vm_in_a_list_of_vms_is_edited_and_comes_back() {
    let plain = manifest("list.yaml").replace("kind: List\n", "kind: VirtualMachineList\n");
    for text in [
        plain.clone(),
        format!("# of the cluster\n---\n{plain}"),
        plain.replace('\n', "\r\n"),
        format!("a: b\n---\n{plain}"),
    ] {
        let vm = "shop/billing";
        let once = injected(&text, &options(vm));
        check_injected(&text, &once, &options(vm));
        let list = objects_apart(&once);
        assert_eq!(
            list.iter().map(|object| object["kind"].clone()).filter(|kind| kind != &Value::Null).collect::<Vec<_>>(),
            ["Secret", "VirtualMachineList"]
        );
        assert_eq!(injected(&once, &options(vm)), once);
        assert_eq!(removed(&once, vm), text);
    }
}

fn objects_apart(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

#[test]
fn a_vm_in_a_list_within_a_list_is_edited_and_comes_back() {
    let inner: String = manifest("list.yaml").lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("apiVersion: v1\nkind: List\nitems:\n- {}", inner.trim_start());
    let once = injected(&text, &options("shop/billing"));
    assert_eq!(injected(&once, &options("shop/billing")), once);
    assert_eq!(removed(&once, "shop/billing"), text);
}

/// A file with a Secret is closed to others, in whatever list it stands.
#[test]
fn a_list_of_secrets_is_written_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let secrets =
        of_one_kind_each(&[json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})]).remove(0);
    fs::write(folder.path().join("secrets.json"), secrets.to_string()).unwrap();
    fs::write(folder.path().join("vm.yaml"), manifest("none.yaml")).unwrap();
    let out = folder.path().join("out");
    let done = output(
        tandem_vm().args(["inject", "--secret", "tls", "--vm", "bare", "--output-dir"]).arg(&out).arg(folder.path()),
    );
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(fs::metadata(out.join("secrets.json")).unwrap().permissions().mode() & 0o777, 0o600);
}

/// An object with what has made it.
fn made_by(mut object: Value, owner: &Value) -> Value {
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": "u", "controller": true,
    }]);
    object
}

#[test]
fn what_a_controller_has_made_says_nothing_again() {
    let mut all = before();
    let expected = found(&list("List", &all).to_string());
    let of_kind = |kind: &str| all.iter().find(|object| object["kind"] == kind).unwrap().clone();
    let (machine, deployment) = (of_kind("VirtualMachine"), of_kind("Deployment"));
    let object = |api: &str, kind: &str, of: &Value, spec: &Value| {
        let metadata = json!({"name": format!("{}-x", of["metadata"]["name"].as_str().unwrap()), "namespace": of["metadata"]["namespace"]});
        json!({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})
    };
    let instance = made_by(
        object("kubevirt.io/v1", "VirtualMachineInstance", &machine, &machine["spec"]["template"]["spec"]),
        &machine,
    );
    let set = made_by(object("apps/v1", "ReplicaSet", &deployment, &deployment["spec"]), &deployment);
    let pod = made_by(object("v1", "Pod", &deployment, &deployment["spec"]["template"]["spec"]), &set);
    // The pod that runs the machine mounts the Secret, and is no client of it; nobody named its machine.
    let volumes = json!({"containers": [{"name": "compute", "image": "x"}], "volumes": machine["spec"]["template"]["spec"]["volumes"]});
    let launcher = made_by(
        object("v1", "Pod", &machine, &volumes),
        &object("kubevirt.io/v1", "VirtualMachineInstance", &instance, &json!({})),
    );
    all.extend([instance.clone(), set, pod.clone(), launcher]);
    assert_eq!(found(&list("List", &all).to_string()), expected);
    // Alone, they speak for themselves.
    for object in [instance, pod] {
        assert!(!found(&object.to_string()).is_empty(), "{object}");
    }
}

#[test]
fn a_machine_that_another_has_made_is_not_the_one_to_edit() {
    let machine = objects(&manifest("none.yaml")).remove(0);
    let mut instance = json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": machine["metadata"], "spec": machine["spec"]["template"]["spec"]});
    instance = made_by(instance, &machine);
    let yaml = |items: &[Value]| serde_yaml::to_string(&list("List", items)).unwrap();
    let both = yaml(&[machine, instance.clone()]);
    let after = injected(&both, &options("bare"));
    check_injected(&both, &after, &options("bare"));
    let input = Input { name: "vm.yaml".to_owned(), text: yaml(&[instance]) };
    let errors = inject::inject(&[input], &options("bare")).err().unwrap();
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        "vm.yaml: document 1, item 1: VirtualMachineInstance bare: is made by VirtualMachine bare, which would make it anew without the \
         Secret; give that one's manifest"
    );
}
