//! Findings that are not to be told: for one object by an annotation, for one or all on the command line.

use std::str::FromStr;

use tandem_cli::shown;

use super::{Finding, Findings, Rule, Severity};
use crate::model::{Meta, Stream};

/// The annotation that names rules which an object may break: numbers or names, separated by commas or white space.
pub const ANNOTATION: &str = "vm.tandem.internal/ignore";

/// `RULE`, or for one object `RULE:KIND/NAMESPACE/NAME` or, where that is enough, `RULE:KIND/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    rule: &'static str,
    object: Option<Named>,
}

/// An object as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    kind: String,
    /// `None` for any, and for kinds that have none.
    namespace: Option<String>,
    name: String,
}

impl Named {
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<_> = text.split('/').map(str::to_owned).collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, name] => (kind, None, name),
            [kind, namespace, name] => (kind, Some(namespace.clone()), name),
            _ => return None,
        };
        let empty = kind.is_empty() || name.is_empty();
        (!empty).then(|| Self { kind: kind.clone(), namespace, name: name.clone() })
    }

    fn is(&self, meta: &Meta) -> bool {
        let kind = self.kind.eq_ignore_ascii_case(&meta.kind);
        kind && self.name == meta.name && self.namespace.as_ref().is_none_or(|namespace| *namespace == meta.namespace)
    }
}

impl Ignored {
    pub(super) fn covers(&self, finding: &Finding) -> bool {
        let same = |meta: &Meta| self.object.as_ref().is_none_or(|object| object.is(meta));
        self.rule == finding.rule.id && (same(&finding.object) || finding.concerns.as_ref().is_some_and(same))
    }
}

impl FromStr for Ignored {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, object) = text.split_once(':').map_or((text, None), |(name, object)| (name, Some(object)));
        let named = object.map(|object| {
            Named::parse(object).ok_or("write RULE, or for one object RULE:KIND/NAMESPACE/NAME or RULE:KIND/NAME")
        });
        let object = named.transpose()?;
        Ok(Self { rule: rule(name)?.id, object })
    }
}

/// A rule by its number or its name, in letters of either case.
///
/// # Errors
/// In words, where there is none.
pub(crate) fn rule(name: &str) -> Result<&'static Rule, String> {
    let called = |rule: &&Rule| [rule.id, rule.name].iter().any(|own| own.eq_ignore_ascii_case(name));
    super::rules().find(called).ok_or_else(|| format!("there is no rule `{}`; --rules lists them", shown(name)))
}

fn named(meta: &Meta) -> impl Iterator<Item = &str> {
    let text = meta.annotations.get(ANNOTATION).map_or("", String::as_str);
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty())
}

/// Whether the object, or the machine that it concerns, may break the rule.
pub(super) fn annotated(finding: &Finding) -> bool {
    let objects = [Some(&finding.object), finding.concerns.as_ref()];
    objects
        .into_iter()
        .flatten()
        .any(|meta| named(meta).any(|name| rule(name).is_ok_and(|rule| rule.id == finding.rule.id)))
}

pub(super) const RULES: &[Rule] = &[Rule {
    id: "TVM901",
    name: "unknown-rule-ignored",
    severity: Severity::Warning,
    summary: "an annotation ignores a rule that does not exist",
    why: "A misspelt rule ignores nothing, or worse: it seems to.",
    remedy: "Write numbers or names that `tandem-vm check --rules` lists, separated by commas.",
    check: unknown,
}];

fn unknown(stream: &Stream, found: &mut Findings) {
    for meta in &stream.objects {
        for id in named(meta).filter(|id| rule(id).is_err()) {
            found.add(
                meta,
                format!("metadata.annotations[\"{ANNOTATION}\"]"),
                format!("there is no rule `{}`", shown(id)),
            );
        }
    }
}
