//! What was found, for people and as JSON.

use std::fmt::Write;

use serde::Serialize;
use tandem_cli::{printable, shown};

use super::{Finding, Report, Rule, Severity};

impl Report {
    /// For people: what is wrong, where, and what to do, and a last line that counts.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Finding { rule, object, field, message, line, .. } in &self.findings {
            let place = object.place.to_string();
            let (file, document) = place.split_at(object.place.file().len());
            // As compilers write it, so that editors and terminals lead there.
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            let colon = if field.is_empty() { "" } else { ": " };
            // Writing to a String does not fail.
            let _ = write!(
                text,
                "{} {} {}: {object}\n  {field}{colon}{message}\n  {}\n\n",
                rule.severity,
                rule.id,
                printable(&format!("{file}{line}{document}")),
                rule.remedy
            );
        }
        let counted = [
            count(self.count(Severity::Error), "error"),
            count(self.count(Severity::Warning), "warning"),
            count(self.count(Severity::Note), "note"),
        ];
        let ignored = if self.ignored == 0 { String::new() } else { format!("; {} ignored", self.ignored) };
        text + &format!("{} in {}{ignored}\n", counted.join(", "), count(self.objects, "object"))
    }

    /// As JSON, one object. Fields may be added to it; those that are there stay, in name and meaning.
    ///
    /// # Errors
    /// None that is known: it is all text and numbers.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        let one = |finding: &Finding| JsonFinding {
            rule: finding.rule.id,
            name: finding.rule.name,
            severity: finding.rule.severity,
            file: finding.object.place.file().to_owned(),
            document: finding.object.place.document(),
            item: finding.object.place.item(),
            line: finding.line,
            object: JsonObject {
                api_version: finding.object.api_version.clone(),
                kind: finding.object.kind.clone(),
                namespace: finding.object.namespace.clone(),
                name: finding.object.name.clone(),
                rendered: finding.object.rendered,
            },
            field: finding.field.clone(),
            message: finding.message.clone(),
            remedy: finding.rule.remedy,
        };
        let report = JsonReport {
            findings: self.findings.iter().map(one).collect(),
            errors: self.count(Severity::Error),
            warnings: self.count(Severity::Warning),
            notes: self.count(Severity::Note),
            ignored: self.ignored,
            objects: self.objects,
        };
        tandem_cli::json::text(&report)
    }
}

#[derive(Serialize)]
struct JsonReport {
    findings: Vec<JsonFinding>,
    errors: usize,
    warnings: usize,
    notes: usize,
    ignored: usize,
    objects: usize,
}

#[derive(Serialize)]
struct JsonFinding {
    rule: &'static str,
    name: &'static str,
    severity: Severity,
    file: String,
    document: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    object: JsonObject,
    field: String,
    message: String,
    remedy: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonObject {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    rendered: bool,
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

impl Rule {
    /// All that there is to say about the rule.
    #[must_use]
    pub fn explanation(&self) -> String {
        format!(
            "{} {} ({})\n\n{}.\n\nWhy: {}\n\nRemedy: {}\n",
            self.id,
            self.name,
            self.severity,
            capitalized(self.summary),
            self.why,
            self.remedy
        )
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// All rules, a line each.
#[must_use]
pub fn rule_list() -> String {
    super::rules()
        .map(|rule| format!("{} {:<8} {:<32} {}\n", rule.id, rule.severity.to_string(), rule.name, rule.summary))
        .collect()
}

/// All rules as a Markdown page: `docs/checks.md`.
#[must_use]
pub fn rule_page() -> String {
    let mut page = PAGE.to_owned();
    for rule in super::rules() {
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(page, "| {} | {} | {} | {} |", rule.id, rule.severity, cell(rule.summary), cell(rule.remedy));
    }
    page
}

const PAGE: &str = "\
# What `tandem-vm check` looks for

`tandem-vm check FILE|DIR|-...` reads manifests as `kubectl apply` would, DatabaseVM documents as what they render to, and looks at
them together: what is in a VM's disk against what its user data looks for, what a certificate names against what clients dial. It
needs no cluster, and it knows only what the stream says: an object that is not in it is not missed, unless another one shows that
its name is mistyped: a Certificate whose Secret nothing uses, a database's Service of nearly the name that is dialled.

```sh
tandem-vm check examples/check/before.yaml
tandem-vm check -n shop --ignore TVM210 examples/check/before.yaml
tandem-vm render examples/mongodb-vm/databasevm.yaml | tandem-vm check -o sarif -
tandem-vm check --explain TVM001
```

Of cloud-init's schema the keys at the top are known, which of them are lists and which mappings, and how files and commands look;
`cloud-init schema` looks at the rest.

What is in a cluster is looked at by `kubectl get certificate,secret,service,vm --output yaml | tandem-vm check -`. A List is read
as its entries, and so are lists of one kind. What a controller has made of an object that is there as well, such as a VM's instance or a
Deployment's pods, is passed over, and so are the pods in which KubeVirt runs its machines.

Exit code 0: no errors (there may be warnings and notes); 1: errors; 2: the input cannot be read. `--fail-on warning` and `--fail-on
note` have 1 for these as well, `--fail-on never` for nothing.

An object may break a rule where its annotation says so, the machine's counting for its user data as well:

```yaml
metadata:
  annotations:
    vm.tandem.internal/ignore: TVM120, TVM210
```

On the command line, `--ignore RULE` does so for all objects, `--ignore RULE:KIND/NAMESPACE/NAME` for one; so
does `--ignore RULE:KIND/NAME`, in every namespace and for kinds that have none. Several are separated by commas, and a rule may
be called by its name (`--rules`) in place of its number, here and in the annotation. A DatabaseVM has no annotations: name what is
rendered from it, as the finding does.

`-o json` writes one object: `findings`, each with `rule`, `name`, `severity` (`error`, `warning`, `note`), `file`, `document` (from 1),
`item` (from 1, where the document is a List), `line` (of the file, from 1, where it is known), `object` (`apiVersion`, `kind`,
`namespace`, `name`, and `rendered`: it is made from a DatabaseVM), `field`, `message` and `remedy`; and the numbers of `errors`,
`warnings`, `notes`, `ignored` findings and `objects`. A field within user data is written `FIELD > FIELD`. `-o sarif` writes SARIF
2.1.0, where standard input is the file `stdin`. A line is that of the field, or of what a missing one is missing from; of the user
data's beginning; of what is rendered, that of the DatabaseVM.

## Rules

This table is made from the rules; a test fails where it differs.

| rule | severity | what is wrong | remedy |
|---|---|---|---|
";

/// A value as findings show it.
pub(super) fn quoted(value: &str) -> String {
    format!("`{}`", shown(value))
}
