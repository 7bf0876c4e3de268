//! Texts → documents with their editors, and the objects in them.

use serde_yaml::Value;
use tandem_cli::{manifests, shown};

use super::{InjectError, Input, MARK};
use crate::model::controller;
use crate::yaml_edit::{self, EditError, Editor, Step, line_break, stream};

/// All files.
#[derive(Clone)]
pub(super) struct Bundle {
    names: Vec<String>,
    /// The documents of each file.
    files: Vec<Vec<Editor>>,
    /// The byte order mark before each, or nothing.
    marks: Vec<&'static str>,
}

/// Where an object stands, and what it is.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Object {
    file: usize,
    document: usize,
    /// Empty, or the steps to the entry of a List.
    pub(super) prefix: Vec<Step>,
    /// The API group, empty for the core group; nothing where it is not said.
    group: Option<String>,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Kind and name of what has made it, and makes it anew.
    controller: Option<String>,
    /// For messages.
    pub(super) place: String,
}

/// Steps from a machine's root to the spec of its VirtualMachineInstance.
/// <https://kubevirt.io/api-reference/main/definitions.html>
const KINDS: [(&str, &[&str]); 4] = [
    ("VirtualMachine", &["spec", "template", "spec"]),
    ("VirtualMachineInstance", &["spec"]),
    ("VirtualMachineInstanceReplicaSet", &["spec", "template", "spec"]),
    ("VirtualMachinePool", &["spec", "virtualMachineTemplate", "spec", "template", "spec"]),
];

/// KubeVirt's API groups.
const GROUPS: [&str; 2] = ["kubevirt.io", "pool.kubevirt.io"];

impl Object {
    /// The path of a field.
    pub(super) fn path(&self, fields: &[&str]) -> Vec<Step> {
        self.prefix.iter().cloned().chain(fields.iter().map(|field| Step::from(*field))).collect()
    }

    /// The API group; empty for the core group, and where it is not said.
    pub(super) fn group(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }

    /// The fields of a machine that lead to its instance's spec.
    pub(super) fn instance(&self) -> &'static [&'static str] {
        let is_kubevirts = self.group.as_ref().is_none_or(|group| GROUPS.contains(&&**group));
        let kind = KINDS.iter().find(|(kind, _)| is_kubevirts && *kind == self.kind);
        kind.map_or(&[], |(_, fields)| fields)
    }

    pub(super) fn full_name(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }

    /// For messages: what a manifest says may move the cursor of a terminal.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", shown(&self.kind), shown(&self.full_name()))
    }
}

impl Bundle {
    /// All files, or what is wrong with any of them.
    pub(super) fn read(inputs: &[Input]) -> Result<Self, Vec<InjectError>> {
        let (mut bundle, mut problems) = (Self { names: Vec::new(), files: Vec::new(), marks: Vec::new() }, Vec::new());
        for input in inputs {
            let (mark, text) = input.text.strip_prefix(BOM).map_or(("", input.text.as_str()), |text| (BOM, text));
            match editors(&input.name, text) {
                Ok(editors) => bundle.files.push(editors),
                Err(error) => problems.push(error),
            }
            bundle.names.push(input.name.clone());
            bundle.marks.push(mark);
        }
        if problems.is_empty() { Ok(bundle) } else { Err(problems) }
    }

    fn texts(&self) -> impl Iterator<Item = String> {
        let files = self.marks.iter().zip(&self.files);
        files.map(|(mark, documents)| [*mark].into_iter().chain(documents.iter().map(Editor::text)).collect())
    }

    /// The files as they are now.
    pub(super) fn files(&self) -> Vec<Input> {
        self.names.iter().zip(self.texts()).map(|(name, text)| Input { name: name.clone(), text }).collect()
    }

    /// Every object, those in lists as well.
    pub(super) fn objects(&self) -> Vec<Object> {
        let mut all = Vec::new();
        for (file, documents) in self.files.iter().enumerate() {
            for (document, editor) in documents.iter().enumerate() {
                let at = format!("{}: document {}", self.names[file], document + 1);
                gather(editor.value(), (file, document), &[], &at, &mut all);
            }
        }
        all
    }

    /// The full names of the machines that are meant, each once; without targets that of the only one.
    pub(super) fn chosen(&self, targets: &[String]) -> Result<Vec<String>, Vec<InjectError>> {
        let all = || targets.iter().map(|target| Some(target.as_str())).collect();
        let targets = if targets.is_empty() { vec![None] } else { all() };
        let (mut names, mut problems) = (Vec::new(), Vec::new());
        for target in targets {
            match self.machine(target).map(|machine| machine.full_name()) {
                Ok(name) if names.contains(&name) => {}
                Ok(name) => names.push(name),
                Err(error) => problems.push(error),
            }
        }
        if problems.is_empty() { Ok(names) } else { Err(problems) }
    }

    /// The machine that is meant.
    pub(super) fn machine(&self, target: Option<&str>) -> Result<Object, InjectError> {
        let machines = self.objects().into_iter().filter(|object| !object.instance().is_empty());
        let (made, machines): (Vec<_>, Vec<_>) = machines.partition(|machine| machine.controller.is_some());
        let kinds = KINDS.map(|(kind, _)| kind).join(", ");
        let listed = || machines.iter().map(|machine| shown(&machine.full_name())).collect::<Vec<_>>().join(", ");
        // A VM without a namespace has no other name than that, by which others may be called in theirs.
        let whole = machines.iter().any(|machine| target.is_some_and(|target| target == machine.full_name()));
        let mut meant = machines.iter().filter(|machine| {
            target.is_none_or(|target| target == machine.full_name() || !whole && target == machine.name)
        });
        match (meant.next(), meant.next(), target) {
            (Some(machine), None, _) if self.is_flow(machine) => Err(InjectError::new(
                machine,
                "",
                "its document is JSON, or YAML in flow style; write it in block style, as \
                 `kubectl create --dry-run=client --output yaml --filename FILE` does",
            )),
            (Some(machine), None, _) => Ok(machine.clone()),
            (Some(one), Some(other), None) if one.full_name() != other.full_name() => {
                let all = listed();
                Err(InjectError::general(format!(
                    "there are several VMs; choose one with --vm, which may be repeated: {all}"
                )))
            }
            (Some(one), Some(other), Some(_)) if one.full_name() != other.full_name() => {
                Err(InjectError::general(format!("--vm fits several VMs; write NAMESPACE/NAME: {}", listed())))
            }
            (Some(one), Some(other), _) => Err(twice(one, other)),
            (None, _, Some(target)) if !machines.is_empty() => Err(InjectError::general(format!(
                "there is no VM `{}`; choose one with --vm: {}",
                shown(target),
                listed()
            ))),
            (None, ..) => Err(match made.first() {
                Some(machine) => InjectError::new(
                    machine,
                    "",
                    format!(
                        "is made by {}, which would make it anew without the Secret; give that one's manifest",
                        shown(machine.controller.as_deref().unwrap_or_default())
                    ),
                ),
                None => {
                    let message = "there is no VM in the input; give manifests with one of KubeVirt's";
                    InjectError::general(format!("{message} {kinds}"))
                }
            }),
        }
    }

    /// The full name of the machine that has an injection, where one alone has.
    pub(super) fn only_injected(&self) -> Option<String> {
        let machines = self.objects().into_iter().filter(|object| !object.instance().is_empty());
        let mut injected = machines.filter(|machine| super::machine::is_injected(self, machine));
        injected.next().filter(|_| injected.next().is_none()).map(|machine| machine.full_name())
    }

    /// Whether the object's document begins with a bracket.
    fn is_flow(&self, object: &Object) -> bool {
        let mut lines =
            self.editor(object).text().lines().map(|line| line.trim().trim_start_matches("---").trim_start());
        let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
        first.is_some_and(|line| line.starts_with('{'))
    }

    pub(super) fn editor(&self, object: &Object) -> &Editor {
        &self.files[object.file][object.document]
    }

    pub(super) fn editor_mut(&mut self, object: &Object) -> &mut Editor {
        &mut self.files[object.file][object.document]
    }

    /// The value of a field.
    pub(super) fn get(&self, object: &Object, fields: &[&str]) -> Option<&Value> {
        self.editor(object).get(&object.path(fields))
    }

    /// Writes a document or entry of a List before the object: applied in this order, a VM finds its Secret.
    pub(super) fn insert_before(&mut self, object: &Object, new: &Value, comment: &str) -> Result<(), InjectError> {
        let failed = |error: EditError| InjectError::edit(object, "", error);
        if let Some((list, index)) = self.list_around(object) {
            return self.editor_mut(object).insert(&list, index, new).map_err(failed);
        }
        let text = self.editor(object).text();
        let body = yaml_edit::to_string(new).map_err(|error| InjectError::new(object, "", error.to_string()))?;
        let body = format!("{comment}{body}");
        // What stands before the document's `---`, such as comments, stays first; without one the machine gets it.
        let (head, body, rest) = match stream::explicit_start(text).map_err(failed)? {
            Some(start) => (text[..start].to_owned(), format!("---\n{body}"), text[start..].to_owned()),
            None => (String::new(), body, format!("---\n{text}")),
        };
        if head.lines().any(|line| line.starts_with('%')) {
            return Err(InjectError::new(object, "", "its document has directives; remove %YAML and %TAG lines"));
        }
        let (body, rest) = if line_break(text) == "\r\n" {
            let rest = rest.strip_prefix("---\n").map_or(rest.clone(), |rest| format!("---\r\n{rest}"));
            (body.replace('\n', "\r\n"), rest)
        } else {
            (body, rest)
        };
        let editors =
            [format!("{head}{body}"), rest].map(|text| Editor::new(text).map(|editor| editor.with_mark(MARK)));
        let editors = editors.into_iter().collect::<Result<Vec<_>, _>>().map_err(failed)?;
        self.files[object.file].splice(object.document..=object.document, editors);
        Ok(())
    }

    /// The list of any objects that an object stands in, and its place there. A list of one kind, such as a VirtualMachineList, takes no
    /// other.
    fn list_around(&self, object: &Object) -> Option<(Vec<Step>, usize)> {
        let entries = (0..object.prefix.len()).rev().filter_map(|at| match &object.prefix[at] {
            Step::Index(index) => Some((&object.prefix[..at], *index)),
            Step::Key(_) => None,
        });
        let of_any = |items: &[Step]| {
            let kind = [&items[..items.len() - 1], &["kind".into()]].concat();
            let kind = self.editor(object).get(&kind).and_then(Value::as_str);
            matches!(kind, Some("List" | "ResourceList"))
        };
        entries.filter(|(items, _)| of_any(items)).map(|(items, index)| (items.to_vec(), index)).next()
    }

    /// Takes an object away: undoes [`Self::insert_before`].
    pub(super) fn remove_object(&mut self, object: &Object) -> Result<(), InjectError> {
        let failed = |error: EditError| InjectError::edit(object, "", error);
        if !object.prefix.is_empty() {
            return self.editor_mut(object).remove(&object.prefix).map_err(failed);
        }
        let documents = &mut self.files[object.file];
        let text = documents[object.document].text();
        let start = stream::explicit_start(text).map_err(failed)?;
        let head = start.map_or("", |start| &text[..start]);
        if let Some(next) = documents.get(object.document + 1) {
            let next = next.text();
            let own = ["---\n", "---\r\n"].iter().find_map(|own| next.strip_prefix(own)).unwrap_or(next);
            let next = format!("{head}{}", if start.is_none() { own } else { next });
            documents[object.document + 1] = Editor::new(next).map_err(failed)?.with_mark(MARK);
        }
        documents.remove(object.document);
        Ok(())
    }
}

/// One object in two places: which of them is in the cluster in the end?
pub(super) fn twice(one: &Object, other: &Object) -> InjectError {
    let why = format!("is there twice, also as {}; give the files that are applied together", one.place);
    InjectError::new(other, "", why)
}

const BOM: &str = "\u{feff}";

/// The documents of a file.
fn editors(name: &str, text: &str) -> Result<Vec<Editor>, InjectError> {
    let failed = |place: String| move |error: EditError| InjectError::in_file(&place, error.to_string());
    let ranges = stream::split(text).map_err(failed(name.to_owned()))?;
    let editor = |(index, range): (usize, std::ops::Range<usize>)| {
        let editor = Editor::new(&text[range]).map(|editor| editor.with_mark(MARK));
        editor.map_err(failed(format!("{name}: document {}", index + 1)))
    };
    ranges.into_iter().enumerate().map(editor).collect()
}

/// The object, or those of a list and of the lists in it.
fn gather(value: &Value, spot: (usize, usize), prefix: &[Step], at: &str, all: &mut Vec<Object>) {
    let Some(items) = manifests::items(value) else {
        all.extend(object(value, spot, prefix.to_vec(), at));
        return;
    };
    for (index, item) in items.iter().enumerate() {
        let prefix = [prefix, &["items".into(), index.into()]].concat();
        gather(item, spot, &prefix, &format!("{at}, item {}", index + 1), all);
    }
}

fn object(value: &Value, (file, document): (usize, usize), prefix: Vec<Step>, at: &str) -> Option<Object> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let (kind, metadata) = (text(value, "kind")?, value.get("metadata")?);
    let name = text(metadata, "name").or_else(|| text(metadata, "generateName"))?;
    let namespace = text(metadata, "namespace").unwrap_or_default();
    let version = text(value, "apiVersion");
    let group = version.map(|version| version.split_once('/').map_or("", |(group, _)| group).to_owned());
    let controller = controller(value).map(|owner| format!("{} {}", owner.kind, owner.name));
    let mut object = Object { file, document, prefix, group, kind, namespace, name, controller, place: String::new() };
    object.place = format!("{at}: {}", object.shown());
    Some(object)
}
