//! A KRM function: a ResourceList in, the same with its VMs edited out, and what is to be said in its `results`.
//! <https://github.com/kubernetes-sigs/kustomize/blob/master/cmd/config/docs/api-conventions/functions-spec.md>

use std::cmp::Reverse;

use clap::Args as _;
use serde::Deserialize;
use serde_json::json;
use serde_yaml::Value;
use tandem_cli::Problem;

use super::{InjectError, Input, Options, inject};
use crate::yaml_edit::{Editor, keys};

/// The `functionConfig`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    #[serde(rename = "apiVersion")]
    _api_version: Version,
    #[serde(rename = "kind")]
    _kind: Kind,
    /// Whatever metadata it has.
    #[serde(default, rename = "metadata")]
    _metadata: Value,
    spec: Options,
}

#[derive(Deserialize)]
enum Version {
    #[serde(rename = "vm.tandem.internal/v1alpha1")]
    V1Alpha1,
}

#[derive(Deserialize)]
enum Kind {
    Inject,
}

/// The list to write, and whether it is the edited one. One that was not edited says why in its `results`.
///
/// # Errors
/// In words, where the text is no ResourceList to which results could be added.
pub fn function(text: &str) -> Result<(String, Result<(), Vec<InjectError>>), String> {
    let told = |error: crate::yaml_edit::EditError| format!("standard input: {error}");
    let list = Editor::new(text).map_err(told)?;
    if list.get(&keys(&["kind"])).and_then(Value::as_str) != Some("ResourceList") {
        return Err(
            "standard input: is no ResourceList; run this as a KRM function, or use `tandem-vm inject`".to_owned()
        );
    }
    let done = configured(&list).map_err(Vec::from).and_then(|options| {
        let input = Input { name: "ResourceList".to_owned(), text: text.to_owned() };
        inject(&[input], &options).map_err(|errors| errors.into_iter().map(error_in_fields).collect())
    });
    let (text, severity, messages, done) = match done {
        Ok(output) => {
            let said = output.notes.iter().chain(&output.advice);
            let said: Vec<_> = said.map(|note| in_fields(note, "functionConfig.spec")).collect();
            (output.texts.concat(), "info", said, Ok(()))
        }
        Err(errors) => (text.to_owned(), "error", errors.iter().map(InjectError::to_string).collect(), Err(errors)),
    };
    let mut list = Editor::new(text).map_err(told)?;
    let results: Vec<_> = messages.iter().map(|message| json!({"message": message, "severity": severity})).collect();
    let results = serde_yaml::to_value(results).map_err(|error| error.to_string())?;
    list.set(&keys(&["results"]), &results).map_err(told)?;
    Ok((list.text().to_owned(), done))
}

/// An error that names the fields of the functionConfig, where it named options of `inject`.
fn error_in_fields(InjectError { object, problem }: InjectError) -> InjectError {
    let within = if object.is_empty() { "spec" } else { "functionConfig.spec" };
    let message = in_fields(&problem.message.replace("which may be repeated", "which may be a list"), within);
    let named = object.is_empty() && message != problem.message;
    let object = if named { "functionConfig".to_owned() } else { object };
    InjectError { object, problem: Problem { message, ..problem } }
}

/// A message with the fields of the functionConfig in place of the options of `inject`.
fn in_fields(message: &str, within: &str) -> String {
    let options = Options::augment_args(clap::Command::new("inject"));
    let mut names: Vec<_> = options.get_arguments().filter_map(clap::Arg::get_long).collect();
    // One begins as another does.
    names.sort_by_key(|name| Reverse(name.len()));
    let named = |text: String, name: &&str| text.replace(&format!("--{name}"), &format!("{within}.{}", field(name)));
    names.iter().fold(message.to_owned(), named)
}

/// The field of an option: `tlsMode` for `tls-mode`.
fn field(option: &str) -> String {
    let mut words = option.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |field, word| {
        let mut letters = word.chars();
        field + &letters.by_ref().take(1).flat_map(char::to_uppercase).collect::<String>() + letters.as_str()
    })
}

fn configured(list: &Editor) -> Result<Options, InjectError> {
    let config = list.get(&keys(&["functionConfig"])).cloned().unwrap_or_default();
    let config: Config = serde_path_to_error::deserialize(config).map_err(|error| InjectError {
        object: "functionConfig".to_owned(),
        problem: tandem_cli::problem::from_serde(error),
    })?;
    Ok(config.spec)
}
