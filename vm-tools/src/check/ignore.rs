//! Findings that are not to be told: for one object by an annotation, for one or all on the command line.

use std::str::FromStr;

use tandem_cli::shown;

use super::{Finding, Findings, Rule, Severity};
use crate::model::{Meta, Stream};

/// The annotation that names rules which an object may break: numbers, separated by commas or white space.
pub const ANNOTATION: &str = "vm.tandem.internal/ignore";

/// `RULE`, or `RULE:KIND/NAMESPACE/NAME` for one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    rule: &'static str,
    object: Option<String>,
}

impl Ignored {
    pub(super) fn covers(&self, finding: &Finding) -> bool {
        let same = |meta: &Meta| {
            self.object
                .as_ref()
                .is_none_or(|object| *object == format!("{}/{}/{}", meta.kind, meta.namespace, meta.name))
        };
        self.rule == finding.rule.id && (same(&finding.object) || finding.concerns.as_ref().is_some_and(same))
    }
}

impl FromStr for Ignored {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rule, object) = text.split_once(':').map_or((text, None), |(rule, object)| (rule, Some(object)));
        if object.is_some_and(|object| object.split('/').filter(|part| !part.is_empty()).count() < 2) {
            return Err("write RULE, or for one object RULE:KIND/NAMESPACE/NAME".to_owned());
        }
        let rule = by_id(rule).ok_or_else(|| format!("there is no rule `{}`; --rules lists them", shown(rule)))?;
        Ok(Self { rule: rule.id, object: object.map(str::to_owned) })
    }
}

/// A rule by its number.
pub(crate) fn by_id(id: &str) -> Option<&'static Rule> {
    super::rules().find(|rule| rule.id == id)
}

fn named(meta: &Meta) -> impl Iterator<Item = &str> {
    let text = meta.annotations.get(ANNOTATION).map_or("", String::as_str);
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty())
}

/// Whether the object, or the machine that it concerns, may break the rule.
pub(super) fn annotated(finding: &Finding) -> bool {
    let objects = [Some(&finding.object), finding.concerns.as_ref()];
    objects.into_iter().flatten().any(|meta| named(meta).any(|id| id == finding.rule.id))
}

pub(super) const RULES: &[Rule] = &[Rule {
    id: "TVM901",
    name: "unknown-rule-ignored",
    severity: Severity::Warning,
    summary: "an annotation ignores a rule that does not exist",
    why: "A misspelt number ignores nothing, or worse: it seems to.",
    remedy: "Write numbers that `tandem-vm check --rules` lists, separated by commas.",
    check: unknown,
}];

fn unknown(stream: &Stream, found: &mut Findings) {
    for meta in &stream.objects {
        for id in named(meta).filter(|id| by_id(id).is_none()) {
            found.add(
                meta,
                format!("metadata.annotations[\"{ANNOTATION}\"]"),
                format!("there is no rule `{}`", shown(id)),
            );
        }
    }
}
