//! docs/issuers.md: every field of our kinds, made from the CustomResourceDefinition. Tests only.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};

use super::{IssuerKind, crd};

const HEAD: &str = "\
# TandemIssuer and TandemClusterIssuer

Every field of both kinds, made from their CustomResourceDefinition; `kubectl explain tandemissuer.spec --recursive` shows the same. They
have the same fields: a TandemIssuer's CA Secret is in its own namespace, a TandemClusterIssuer's in the one of
`--cluster-resource-namespace`. `[]` stands for each element of a list.

| field | type | meaning |
|---|---|---|
";

/// The page.
fn page() -> String {
    let crd = crd(IssuerKind::Namespaced);
    let versions = crd.spec.versions.iter();
    let schemas = versions.filter_map(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
    let mut rows = String::from(HEAD);
    schemas.for_each(|schema| fields(schema, "", &mut rows));
    rows
}

/// A row for each field beneath, in the order of the schema, which is that of the names.
fn fields(schema: &JSONSchemaProps, path: &str, rows: &mut String) {
    for (name, field) in schema.properties.iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let required = schema.required.iter().flatten().any(|required| required == name);
        let element = match &field.items {
            Some(JSONSchemaPropsOrArray::Schema(element)) => Some(element),
            _ => None,
        };
        let meaning = field.description.as_deref().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let needed = if required { ", needed" } else { "" };
        rows.push_str(&format!("| `{path}` | {}{needed} | {meaning} |\n", type_of(field)));
        fields(element.map_or(field, |element| element), &element.map_or(path.clone(), |_| format!("{path}[]")), rows);
    }
}

/// The type in a word or two, with the values where there are but some.
fn type_of(field: &JSONSchemaProps) -> String {
    let name = |field: &JSONSchemaProps| field.type_.clone().unwrap_or_else(|| "any".to_owned());
    let values: Vec<_> = field.enum_.iter().flatten().filter_map(|value| value.0.as_str()).collect();
    match &field.items {
        _ if !values.is_empty() => values.join(", "),
        Some(JSONSchemaPropsOrArray::Schema(element)) => format!("list of {}", name(element)),
        _ => name(field),
    }
}

#[test]
fn the_page_has_every_field() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/issuers.md");
    let (page, current) = (page(), std::fs::read_to_string(path).unwrap_or_default());
    if std::env::var_os("TANDEM_UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
        return;
    }
    assert!(page == current, "docs/issuers.md differs from the CRDs: run this test with TANDEM_UPDATE=1");
}
