//! The texts inside the user data. A name that a template does not know is an error.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::RenderError;

const TEMPLATES: &[(&str, &str)] = &[
    ("mongod.conf", include_str!("../templates/mongod.conf")),
    ("postgresql.conf", include_str!("../templates/postgresql.conf")),
    ("pg_hba.conf", include_str!("../templates/pg_hba.conf")),
    ("tandem-initdb.sh", include_str!("../templates/tandem-initdb.sh")),
    ("redis.conf", include_str!("../templates/redis.conf")),
    ("database-drop-in.conf", include_str!("../templates/database-drop-in.conf")),
];

/// The templates, read.
#[derive(Debug)]
pub(super) struct Templates(Environment<'static>);

impl Templates {
    /// Reads them.
    pub(super) fn new() -> Result<Self, RenderError> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).build()?);
        for (name, text) in TEMPLATES {
            templates.add_template(name, text)?;
        }
        Ok(Self(templates))
    }

    /// Fills one.
    pub(super) fn render(&self, name: &str, context: Value) -> Result<String, RenderError> {
        Ok(self.0.get_template(name)?.render(context)?)
    }
}

#[cfg(test)]
mod tests {
    use minijinja::{ErrorKind, context};

    use super::*;

    #[test]
    fn a_name_that_is_not_given_is_an_error() {
        let templates = Templates::new().unwrap();
        for (name, text) in TEMPLATES.iter().filter(|(_, text)| text.contains("{{")) {
            let error = templates.0.get_template(name).unwrap().render(context! {}).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UndefinedError, "{name}: {text}");
        }
        assert!(templates.render("redis.conf", context! {}).is_err());
    }
}
