//! `tandem-vm render`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::ValueHint;
use serde_yaml::Value;
use tandem_cli::manifests::{self, Found, Place};
use tandem_cli::stdio;

use super::{Done, Streams, note, notes, one};
use crate::check::{self, Finding, Severity};
use crate::model::Stream;
use crate::output::{self, Format};
use crate::spec;
use crate::{Manifest, Rendered};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files of one or several documents, folders of such files, or - for standard input
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// One stream of YAML documents, or a JSON List
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Write each object to a file of its own in DIR instead (Secrets with mode 0600)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output_dir: Option<PathBuf>,
    /// Delete the files in DIR that an earlier run has written and this one has not; otherwise they are named
    #[arg(long, requires = "output_dir")]
    prune: bool,
    /// Write only the guest's cloud-config, of a single document (with members: the first one's)
    #[arg(long, conflicts_with_all = ["output", "output_dir", "prune"])]
    user_data_only: bool,
}

pub(super) const EXAMPLE: &str = "\
Examples:
  # From a few lines to the cluster
  tandem-vm render - <<'YAML' | kubectl apply -f -
  apiVersion: vm.tandem.internal/v1alpha1
  kind: DatabaseVM
  metadata: {name: mongodb, namespace: shop}
  spec:
    database: {mongodb: {version: \"8.0\", clientAuth: Optional}}
    os: {family: rhel, image: \"quay.io/containerdisks/centos-stream:9\"}
    certificate:
      secretName: mongodb-cert-tls
      issuerRef: {kind: TandemClusterIssuer, name: internal-ca}
    clients:
      - {name: app, image: \"registry.example/app:1.0\", certificate: none}
  YAML

  # Every document of a folder, to a file for each object
  tandem-vm render databasevms/ --output-dir rendered

  # What the guest is told at its first boot
  tandem-vm render databasevm.yaml --user-data-only";

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    let Found { documents, notes: passed_over } = manifests::read(&args.files, streams.stdin)?;
    let rendered = render_all(documents)?;
    notes(streams, &passed_over)?;
    if args.user_data_only {
        let [one_only] = &rendered[..] else {
            return Err(vec![format!("--user-data-only: there are {} documents; give one alone", rendered.len())]);
        };
        stdio::print(streams.stdout, one_only.user_data.as_bytes()).map_err(one)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (manifests, told): (Vec<_>, Vec<_>) =
        rendered.into_iter().map(|rendered| (rendered.manifests, rendered.notes)).unzip();
    let manifests = manifests.concat();
    match &args.output_dir {
        Some(dir) => {
            let left = output::write_dir(&manifests, args.output, dir).map_err(one)?;
            for path in left {
                let done = of_earlier_run(&path, args.prune)?;
                note(streams, &format!("{}: {done}", path.display()))?;
            }
        }
        None => {
            let text = output::stream(&manifests, args.output).map_err(one)?;
            stdio::print(streams.stdout, text.as_bytes()).map_err(one)?;
        }
    }
    notes(streams, told.iter().flatten())?;
    Ok(ExitCode::SUCCESS)
}

/// Deletes the file of an object that is not rendered any more, or says that it is there.
fn of_earlier_run(path: &Path, prune: bool) -> Result<&'static str, Vec<String>> {
    if !prune {
        return Ok(
            "is of an earlier run, and nothing here renders it; kubectl delete its object, then delete it or render \
                   with --prune",
        );
    }
    match fs::remove_file(path) {
        // Another run may have been quicker.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(one(format!("{}: {error}; all else is written: delete this file", path.display())));
        }
        _ => {}
    }
    Ok("deleted, since nothing here renders it; its object stays in a cluster until kubectl deletes it there")
}

/// All documents, or what is wrong with any of them. Two that would write the same object are wrong as well: applied one
/// after the other, the second would undo the first.
fn render_all(documents: Vec<manifests::Document>) -> Result<Vec<Rendered>, Vec<String>> {
    let mut all = Vec::new();
    let mut problems = Vec::new();
    let mut places: HashMap<(String, &str, String), Place> = HashMap::new();
    for manifests::Document { place, value } in documents {
        let (namespace, mut rendered) = match render_one(&place, value) {
            Ok(done) => done,
            Err(lines) => {
                problems.extend(lines.iter().map(|line| format!("{place}: {line}")));
                continue;
            }
        };
        let mut twice: Vec<(Place, Vec<String>)> = Vec::new();
        for (kind, name) in rendered.manifests.iter().flat_map(Manifest::writes) {
            let object = (namespace.clone(), kind, name.to_owned());
            let Some(first) = places.get(&object) else {
                places.insert(object, place.clone());
                continue;
            };
            let named = format!("{} {namespace}/{}", object.1, object.2);
            match twice.iter_mut().find(|(other, _)| other == first) {
                Some((_, objects)) => objects.push(named),
                None => twice.push((first.clone(), vec![named])),
            }
        }
        for (first, objects) in twice {
            let (come, more) = match objects.len() {
                1 => ("comes", String::new()),
                number => ("come", format!(" and {} more", number - 1)),
            };
            problems.push(format!("{place}: {}{more} {come} from {first} as well; change a name", objects[0]));
        }
        for told in &mut rendered.notes {
            *told = format!("warning: {place}: {told}");
        }
        all.push(rendered);
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

/// One document's namespace and objects.
fn render_one(place: &Place, value: Value) -> Result<(String, Rendered), Vec<String>> {
    let vm = spec::read(value).map_err(|error| error.lines())?;
    let mut rendered = crate::render(&vm).map_err(|error| error.lines())?;
    let document = vm.document();
    if !document.spec.template.is_empty() {
        rendered.notes.extend(broken(place, &rendered.manifests)?);
    }
    Ok((document.metadata.namespace.clone(), rendered))
}

/// The errors that `check` finds in objects with a template, which has the last word.
fn broken(place: &Place, manifests: &[Manifest]) -> Result<Vec<String>, Vec<String>> {
    let values = manifests.iter().map(serde_yaml::to_value).collect::<Result<Vec<_>, _>>().map_err(one)?;
    let documents = values.into_iter().map(|value| manifests::Document { place: place.clone(), value });
    let report = check::check(&Stream::of(documents.collect(), "")?, &[]);
    let errors = report.findings.iter().filter(|finding| finding.rule.severity == Severity::Error);
    let told = errors.map(|Finding { rule, object, field, message, .. }| {
        format!("spec.template: breaks {} in {object}: {field}: {message}; `tandem-vm check` says what to do", rule.id)
    });
    Ok(told.collect())
}
