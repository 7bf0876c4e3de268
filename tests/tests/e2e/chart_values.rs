//! The chart's values, each of them: it has a type and an explanation, and something is rendered otherwise for it.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use tandem_tests::{
    helm::{chart, template},
    tools::root,
};

/// Values other than the defaults, as Helm's arguments: each is given in one of these files, which contradict each other.
pub(crate) const OTHERS: [&[&str]; 2] = [
    &[concat!("--values=", env!("CARGO_MANIFEST_DIR"), "/data/values/cluster.yaml")],
    &[concat!("--values=", env!("CARGO_MANIFEST_DIR"), "/data/values/namespaces.yaml")],
];

pub(crate) fn yaml(path: &Path) -> Result<Value> {
    serde_yaml::from_str(&std::fs::read_to_string(path)?).with_context(|| format!("{}", path.display()))
}

/// A value by itself: whatever the schema looks no further into. By its JSON pointer, with its default.
fn leaves(values: &Value, schema: &Value, at: &str, found: &mut Vec<(String, Value)>) -> Result<()> {
    let Some(known) = schema["properties"].as_object() else {
        let typed = ["type", "enum", "anyOf"].iter().any(|word| schema.get(word).is_some());
        ensure!(typed, "values.schema.json, at {at}: of no type");
        found.push((at.to_owned(), values.clone()));
        return Ok(());
    };
    ensure!(schema["additionalProperties"] == false, "values.schema.json, at {at}: it lets mistyped names pass");
    let values = values.as_object().with_context(|| format!("values.yaml, at {at}: not an object"))?;
    let names =
        |map: &Map<String, Value>| -> BTreeSet<_> { map.keys().filter(|key| *key != "global").cloned().collect() };
    let (values_have, schema_has) = (names(values), names(known));
    let one_has: Vec<_> = values_have.symmetric_difference(&schema_has).collect();
    ensure!(one_has.is_empty(), "of values.yaml and values.schema.json only one has, at {at}: {one_has:?}");
    values.iter().try_for_each(|(key, value)| leaves(value, &known[key], &format!("{at}/{key}"), found))
}

fn all() -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    leaves(&yaml(&chart().join("values.yaml"))?, &yaml(&chart().join("values.schema.json"))?, "", &mut found)?;
    ensure!(found.len() > 80, "{} values", found.len());
    Ok(found)
}

/// Every value that there is has a type, and every type a value with a default that fits and a line of explanation.
#[test]
fn every_value_has_its_type_and_its_explanation() -> Result<()> {
    let reference = std::fs::read_to_string(root().join("docs/chart.md"))?;
    let mut explained = BTreeSet::new();
    for row in reference.lines().filter(|line| line.starts_with("| `")) {
        let explanation = row.rsplit(" | ").next().unwrap_or_default().trim_end_matches('|').trim();
        ensure!(explanation.len() > 5, "docs/chart.md, made of values.yaml, does not explain {row}");
        explained.extend(row.split('`').nth(1).map(|name| format!("/{}", name.replace('.', "/"))));
    }
    let all: BTreeSet<_> = all()?.into_iter().map(|(name, _)| name).collect();
    let one_has: Vec<_> = all.symmetric_difference(&explained).collect();
    ensure!(
        one_has.is_empty(),
        "of values.schema.json and docs/chart.md only one has {one_has:?} as a value by itself"
    );
    Ok(())
}

/// What else a value could be: its default where it has been given another one; the contrary of a switch.
fn other(given: Option<&Value>, default: &Value) -> Result<Value> {
    match given {
        Some(given) if given != default => Ok(default.clone()),
        Some(_) => bail!("it is given its default"),
        None => default.as_bool().map(|switch| (!switch).into()).context("it is never given another value"),
    }
}

/// The values with another one at a pointer.
fn with(values: &Value, pointer: &str, value: Value) -> Value {
    let mut all = values.clone();
    let names = pointer.split('/').skip(1);
    *names.fold(&mut all, |place, name| &mut place[name]) = value;
    all
}

/// One value after the other is put back from what the files give to its default, and each switch that they leave is turned.
#[test]
fn every_value_is_heeded() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.json");
    let render = |values: &Value| {
        std::fs::write(&file, values.to_string())?;
        template(&[&format!("--values={}", file.display())])
    };
    let given = OTHERS.iter().map(|arguments| yaml(Path::new(arguments[0].trim_start_matches("--values="))));
    let given = given.collect::<Result<Vec<_>>>()?;
    let rendered = given.iter().map(render).collect::<Result<Vec<_>>>()?;
    let mut idle = Vec::new();
    for (name, default) in all()? {
        let mut met = Vec::new();
        let heeded = given.iter().zip(&rendered).any(|(values, before)| {
            let after = other(values.pointer(&name), &default).and_then(|other| render(&with(values, &name, other)));
            let heeded = after.as_ref().is_ok_and(|after| after != before);
            // It may contradict the others of this file.
            met.push(after.map_or_else(|error| format!("{error:#}"), |_| "the same is rendered".to_owned()));
            heeded
        });
        if !heeded {
            idle.push(format!("{name}: {}", met.join("; ")));
        }
    }
    ensure!(idle.is_empty(), "nothing is rendered otherwise for these values:\n{}", idle.join("\n"));
    Ok(())
}
