//! docs/databasevm.md: every field is in it, and what it shows works.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{document, render};

fn repository(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The text as serde renames it.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |all, word| all + &word[..1].to_uppercase() + &word[1..])
}

#[test]
fn every_field_of_a_document_is_in_the_reference() {
    let rows = rows(&repository("docs/databasevm.md"));
    let mut fields = 0;
    for file in ["document.rs", "database.rs", "certificate.rs", "machine.rs", "members.rs"] {
        for line in repository(&format!("vm-tools/src/spec/{file}")).lines() {
            let Some((name, _)) = line.strip_prefix("    pub ").and_then(|line| line.split_once(": ")) else {
                continue;
            };
            let name = camel_case(name);
            let in_text = ["apiVersion", "kind", "metadata", "spec", "cloudConfig", "template"].contains(&&*name);
            let known = in_text || rows.iter().any(|row| row.path.split(['.', '[']).any(|step| step == name));
            assert!(known, "{file}: {name} is in no table of docs/databasevm.md");
            fields += 1;
        }
    }
    assert!(fields > 60, "only {fields} fields were found");
}

/// A row of the reference's tables: the path of a field beneath `spec`, and what holds without it.
struct Row {
    path: String,
    default: String,
}

/// All rows, each that stands for several fields (`{a,b}`) as several.
fn rows(reference: &str) -> Vec<Row> {
    let mut all = Vec::new();
    for line in reference.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let (path, default) = (cells[0].trim_matches('`'), cells[1].to_owned());
        let paths = match path.split_once('{').and_then(|(start, rest)| Some((start, rest.split_once('}')?))) {
            None => vec![path.to_owned()],
            Some((start, (names, end))) => names.split(',').map(|name| format!("{start}{name}{end}")).collect(),
        };
        all.extend(paths.into_iter().map(|path| Row { path, default: default.clone() }));
    }
    all
}

/// A document in which a field may stand, without it if it may be left out.
fn around(path: &str) -> Value {
    let mut spec = json!({
        "database": {"postgresql": {}},
        "os": {"family": "debian", "image": "i"},
        "certificate": {"secretName": "s", "issuerRef": {"kind": "TandemClusterIssuer", "name": "internal-ca"}},
        "clients": [{"name": "app", "image": "i"}],
    });
    let at = |prefix: &str| path.starts_with(prefix);
    let database = path.split('.').nth(1).filter(|_| at("database."));
    match database {
        Some("mongodb") => spec["database"] = json!({"mongodb": {}}),
        Some("redis") => spec["database"] = json!({"redis": {}}),
        Some("none") => spec["database"] = json!({"none": {"files": {"folder": "/etc/app"}, "port": 443}}),
        _ => {}
    }
    if at("database.mongodb.membership") || at("database.mongodb.replicaSetName") {
        spec["members"] = json!(3);
        spec["database"]["mongodb"]["membership"] = json!({"keyFile": {"secretName": "k"}});
    }
    if at("database.postgresql.clientcert") {
        spec["database"]["postgresql"]["clientAuth"] = json!("Required");
        spec["clients"] = json!([]);
    }
    if at("clients[].subject") || at("clients[].commonName") {
        spec["clients"][0]["certificate"] = json!("own");
    }
    if at("restartStale") {
        spec["restartStale"] = json!({"schedule": "@daily", "image": "i"});
    }
    if at("machine.instancetype") || at("machine.preference") {
        spec["machine"] = json!({path.split('.').nth(1).unwrap(): {"name": "n"}});
    }
    if at("root.") {
        spec["os"].as_object_mut().unwrap().remove("image");
        let source = path.split('.').nth(3).unwrap_or("http");
        let content = match source {
            "registry" => json!({"url": "docker://registry.example/a"}),
            "http" | "s3" => json!({"url": "https://a.example/b"}),
            _ => json!({"name": "n"}),
        };
        spec["root"] = match path.split('.').nth(1).unwrap() {
            "containerDisk" => json!({"containerDisk": {"image": "i"}}),
            "dataVolume" => json!({"dataVolume": {"source": {source: content}, "size": "10Gi"}}),
            _ => json!({"persistentVolumeClaim": {"claimName": "c"}}),
        };
    }
    json!({
        "apiVersion": "vm.tandem.internal/v1alpha1",
        "kind": "DatabaseVM",
        "metadata": {"name": "orders", "namespace": "shop"},
        "spec": spec,
    })
}

/// The document with a field set, or without it.
fn with(mut document: Value, path: &str, value: Option<Value>) -> Value {
    let steps: Vec<_> = path.split('.').collect();
    let mut place = &mut document["spec"];
    for (i, step) in steps.iter().enumerate() {
        place = match (step.strip_suffix("[]"), &value) {
            (Some(list), _) => &mut place[list][0],
            (None, None) if i + 1 == steps.len() => {
                assert!(place.as_object_mut().unwrap().remove(*step).is_some(), "{path}");
                return document;
            }
            (None, _) => &mut place[step],
        };
    }
    *place = value.unwrap();
    document
}

/// What comes of a document, or the lines that are said of it.
fn come(document: &Value) -> Result<(String, String), Vec<String>> {
    let vm = tandem_vm::spec::parse(&document.to_string()).map_err(|error| error.lines())?;
    let rendered = tandem_vm::render(&vm).map_err(|error| error.lines())?;
    let stream = tandem_vm::output::stream(&rendered.manifests, tandem_vm::output::Format::Yaml).unwrap();
    Ok((stream, rendered.user_data))
}

/// What is said to hold without a field does: a document that says so renders to the same bytes. What is said to be needed is
/// missed, and every field of the tables is one.
#[test]
fn what_the_reference_says_of_each_field_that_is_left_out_is_so() {
    let (mut needed, mut defaults) = (0, 0);
    for Row { path, default } in rows(&repository("docs/databasevm.md")) {
        let document = around(&path);
        let field = format!("spec.{}", path.replace("[]", "[0]"));
        let rendered = come(&document).unwrap_or_else(|lines| panic!("{path}: {lines:?}"));
        let literal = default.strip_prefix('`').and_then(|rest| rest.split_once('`'));
        if default == "needed" {
            let lines = come(&with(document, &path, None)).err().unwrap_or_default();
            assert_eq!(lines, [format!("{field}: is missing; add it")], "{path}");
            needed += 1;
        } else if let Some((text, _)) = literal {
            let text = text.replace("NAMESPACE", "shop").replace("NAME", "orders").replace("CLIENT", "app");
            let said = with(document, &path, Some(serde_yaml::from_str(&text).unwrap()));
            let lines = || format!("{path} is not `{text}` where it is left out");
            assert!(come(&said).as_ref() == Ok(&rendered), "{}: {:?}", lines(), come(&said).err());
            defaults += 1;
        } else {
            // A value that no field takes: what is wrong is its kind or content, not its name.
            let lines = come(&with(document, &path, Some(json!({"no": {"such": "field"}})))).err().unwrap();
            let unknown = format!("{field}: unknown field");
            assert!(!lines.iter().any(|line| line.starts_with(&unknown)), "{lines:?}");
        }
    }
    assert!(needed > 15 && defaults > 30, "{needed} needed fields, {defaults} defaults");
}

#[test]
fn what_the_reference_shows_renders() {
    let reference = repository("docs/databasevm.md");
    let blocks: Vec<_> = reference.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    let (first, parts) = blocks.split_first().unwrap();
    render(first);
    assert_eq!(parts.len(), 4);
    for part in parts {
        let lines: Vec<_> = part.lines().skip(1).map(|line| line.strip_prefix("  ").unwrap()).collect();
        render(&document(&format!(
            "database: {{redis: {{}}}}\nos: {{family: debian, image: i}}\n{}",
            lines.join("\n")
        )));
    }
}
