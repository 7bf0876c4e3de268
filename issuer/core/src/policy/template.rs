//! Patterns as an issuer's spec has them: `${namespace}` is filled in first, then `*` stands for any characters.

use std::borrow::Cow;

const NAMESPACE: &str = "${namespace}";

/// A pattern in which `${namespace}` stands for the namespace of whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(String);

impl Template {
    /// # Errors
    /// Where it is empty, has a control character, or names another variable.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err("it is empty, or has a control character".to_owned());
        }
        if text.replace(NAMESPACE, "").contains("${") {
            return Err(format!("the only variable is {NAMESPACE}"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The pattern for a requester in `namespace`. `None` where it needs one and there is none: it matches nothing then.
    pub(crate) fn expand(&self, namespace: Option<&str>) -> Option<Cow<'_, str>> {
        if !self.0.contains(NAMESPACE) {
            return Some(Cow::Borrowed(&self.0));
        }
        // The API server admits no other; whoever decides offline must not slip in a wildcard by this way.
        let label = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        Some(Cow::Owned(self.0.replace(NAMESPACE, namespace.filter(label)?)))
    }

    /// The pattern for an example of a namespace, to see whether it can match anything.
    pub(crate) fn example(&self) -> Cow<'_, str> {
        self.expand(Some("namespace")).unwrap_or_default()
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` is `pattern`, in which each `*` stands for any characters, also none.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts: Vec<_> = pattern.split('*').collect();
    let (last, Some((first, middle))) = (parts.pop().unwrap_or_default(), parts.split_first()) else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}
