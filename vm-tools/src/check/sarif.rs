//! SARIF 2.1.0, as far as it is needed: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.

use serde::Serialize;

use super::{Finding, Report, Rule, Severity};

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'a str,
    version: &'a str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool<'a>,
    /// Columns are not used; GitHub wants the field nevertheless to be right.
    column_kind: &'a str,
    results: Vec<ResultItem<'a>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    driver: Driver<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver<'a> {
    name: &'a str,
    semantic_version: &'a str,
    rules: Vec<Descriptor<'a>>,
}

/// `reportingDescriptor`, §3.49.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    id: &'a str,
    name: &'a str,
    short_description: Message<'a>,
    full_description: Message<'a>,
    help: Message<'a>,
    default_configuration: Configuration<'a>,
}

#[derive(Serialize)]
struct Configuration<'a> {
    level: &'a str,
}

#[derive(Serialize)]
struct Message<'a> {
    text: std::borrow::Cow<'a, str>,
}

/// `result`, §3.27.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultItem<'a> {
    rule_id: &'a str,
    rule_index: usize,
    level: &'a str,
    message: Message<'a>,
    locations: [Location; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
    logical_locations: [LogicalLocation; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

/// `region`, §3.30: of a field its first line, from 1.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

/// Where in the file: the document, the object and the field.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    name: String,
    fully_qualified_name: String,
    kind: &'static str,
}

fn message(text: &str) -> Message<'_> {
    Message { text: text.into() }
}

/// `level`, §3.27.10.
fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn descriptor(rule: &'static Rule) -> Descriptor<'static> {
    Descriptor {
        id: rule.id,
        name: rule.name,
        short_description: message(rule.summary),
        full_description: message(rule.why),
        help: message(rule.remedy),
        default_configuration: Configuration { level: level(rule.severity) },
    }
}

/// A file's name as a relative or absolute URI reference (RFC 3986): bytes that may not stand in a path are escaped.
fn uri(file: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&b);
    let mut uri = if file.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in file.bytes() {
        if plain(byte) {
            uri.push(byte.into());
        } else {
            uri += &format!("%{byte:02X}");
        }
    }
    uri
}

fn result(finding: &Finding, index: usize) -> ResultItem<'_> {
    let Finding { rule, object, field, message, line, .. } = finding;
    let place = &object.place;
    let item = place.item().map(|item| format!("/{item}")).unwrap_or_default();
    // Whoever reads the log takes it for a file, and GitHub shows no result without one.
    let file = if place.file() == "standard input" { "stdin" } else { place.file() };
    let colon = if field.is_empty() { "" } else { ": " };
    ResultItem {
        rule_id: rule.id,
        rule_index: index,
        level: level(rule.severity),
        message: Message { text: format!("{object}: {field}{colon}{message}. {}", rule.remedy).into() },
        locations: [Location {
            physical_location: PhysicalLocation {
                artifact_location: ArtifactLocation { uri: uri(file) },
                region: line.map(|start_line| Region { start_line }),
            },
            logical_locations: [LogicalLocation {
                name: if field.is_empty() { object.name.clone() } else { field.clone() },
                fully_qualified_name: format!(
                    "{}{item}/{}/{}/{}{colon}{field}",
                    place.document(),
                    object.kind,
                    object.namespace,
                    object.name
                ),
                kind: "resource",
            }],
        }],
    }
}

impl Report {
    /// As a SARIF log of one run, with all rules.
    ///
    /// # Errors
    /// None that is known: it is all text and numbers.
    pub fn sarif(&self) -> Result<String, serde_json::Error> {
        let rules: Vec<_> = super::rules().collect();
        let index = |finding: &Finding| rules.iter().position(|rule| rule.id == finding.rule.id).unwrap_or_default();
        let log = Log {
            schema: "https://json.schemastore.org/sarif-2.1.0.json",
            version: "2.1.0",
            runs: [Run {
                tool: Tool {
                    driver: Driver {
                        name: "tandem-vm",
                        semantic_version: env!("CARGO_PKG_VERSION"),
                        rules: rules.iter().map(|rule| descriptor(rule)).collect(),
                    },
                },
                column_kind: "unicodeCodePoints",
                results: self.findings.iter().map(|finding| result(finding, index(finding))).collect(),
            }],
        };
        tandem_cli::json::text(&log)
    }
}
