//! A stream of manifests in, the same stream out with a Secret for one of its VMs, or for several, one after the other.
//!
//! ```text
//! Input ─▶ bundle: documents, each with an editor ──▶ strip: what an earlier injection left goes ─▶ remove ends here
//!                                                        │
//!          machine: volume, disk or filesystem ◀─────────┤
//!          user_data: write_files and runcmd  ◀──────────┘──▶ secret: where the user data stands, or moves to ─▶ Output
//! ```
//!
//! Injecting begins with stripping, so twice is once, and other options replace those of before. What is added carries
//! [`MARK`] as a comment, by which it is found again; in a manifest that has lost its comments its names do, since those in the user
//! data stay. What has such a name without either, or has more than was written, is the user's, and not taken away.
//! User data moves to a Secret of its own, since what the guest needs is longer than KubeVirt admits inline; the
//! entry as it stood is kept there under [`ORIGINAL`], so that removing puts it back byte for byte.

mod bundle;
mod entry;
mod error;
mod krm;
mod machine;
mod notes;
mod options;
mod script;
mod secret;
mod substitution;
mod useless;
mod user_data;

use serde_yaml::Value;

use bundle::{Bundle, Object};
pub use error::InjectError;
pub use krm::function;
pub use options::{Database, Delivery, Options, Os, ReloadBy};

use crate::guest::GuestTls;
pub use crate::user_data::USER_DATA_OF;
use crate::yaml_edit::other_line_break;

/// The comment behind everything that is added.
pub const MARK: &str = "tandem-vm inject";
/// The volume with the Secret, and its disk or filesystem.
pub const VOLUME: &str = "tandem-tls";
/// The cloud-init volume of a VM that had none, and its disk.
pub const CLOUD_INIT: &str = "tandem-cloudinit";
/// The key of a Secret that keeps an entry with user data as it stood before. KubeVirt reads only the keys that it knows.
pub const ORIGINAL: &str = "tandem-vm.original";

/// A file, and what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name, for messages.
    pub name: String,
    /// Its documents.
    pub text: String,
}

/// The same files, edited.
pub struct Output {
    /// The texts, in the order of the input.
    pub texts: Vec<String>,
    /// Kind, namespace and name of the VM; of several how many they are.
    pub machines: String,
    /// What is to be said of the edit: a line each, with its VM.
    pub notes: Vec<String>,
    /// What is to be done or known once it is applied: likewise.
    pub advice: Vec<String>,
}

/// What became of the files with one VM edited.
struct Edited {
    files: Vec<Input>,
    /// The same, where they have been read.
    bundle: Option<Bundle>,
    machine: String,
    notes: Vec<String>,
    advice: Vec<String>,
}

/// Gives VMs of the stream the Secret.
///
/// # Errors
/// All that is in the way; then nothing of it was done.
pub fn inject(inputs: &[Input], options: &Options) -> Result<Output, Vec<InjectError>> {
    let guest = options.guest().map_err(InjectError::of_options)?;
    let files = guest.write_files().map_err(|error| InjectError::general(error.to_string()))?;
    let part = user_data::Part { files, commands: guest.commands() };
    let bundle = Bundle::read(inputs)?;
    let names = bundle.chosen(&options.vm)?;
    one_after_the_other(bundle, &names, |bundle, name| give(bundle, name, options, &guest, &part))
}

fn give(
    mut bundle: Bundle,
    name: &str,
    options: &Options,
    guest: &GuestTls,
    part: &user_data::Part,
) -> Result<Edited, Vec<InjectError>> {
    let machine = bundle.machine(Some(name))?;
    let mut notes = strip(&mut bundle, &machine)?.notes;
    let machine = bundle.machine(Some(name))?;
    let before = bundle.files();
    machine::is_whole(&bundle, &machine)?;
    let disks = machine::disks(&bundle, &machine);
    let has_cloud_init = matches!(machine::cloud_init(&bundle, &machine), Ok(Some(_)));
    let mut problems = machine::refused(&bundle, &machine, options);
    let way = substitution::way(&bundle, &machine).unwrap_or_else(|error| {
        problems.push(error);
        substitution::Way::default()
    });
    // Where the user data ends the text without a line break, it has to move before anything follows it.
    let made = secret::give(&mut bundle, &machine, part, &options.secret, way.encoded).unwrap_or_else(|error| {
        problems.push(error);
        None
    });
    notes.extend(way.note);
    problems.extend(machine::add(&mut bundle, &machine, options).err());
    // Both may need the same list.
    problems.dedup();
    if !problems.is_empty() {
        return Err(problems);
    }
    machine::write_implicit(&mut bundle, &machine, disks)?;
    if let Some(secret) = made {
        bundle.insert_before(&machine, &secret, secret::COMMENT)?;
    }
    let files = bundle.files();
    // What is written must be found again: by the next injection, and by --remove.
    let bundle = Bundle::read(&files)?;
    let (mut again, found) = (bundle.clone(), bundle.machine(Some(name))?);
    strip(&mut again, &found)?;
    if again.files() != before {
        return Err(vec![irreversible(&before, &again.files())]);
    }
    if !has_secret(&bundle, &found, &options.secret) {
        let name = &options.secret;
        notes.push(format!(
            "starts only where its namespace has the Secret {name} with tls.crt, tls.key and ca.crt, such as a Certificate with \
             secretName: {name} makes it"
        ));
    }
    let advice = options.notes(guest, has_cloud_init);
    Ok(Edited { files, bundle: Some(bundle), machine: machine.shown(), notes, advice })
}

/// Whether the stream has the VM's Secret, or a Certificate that makes it.
fn has_secret(bundle: &Bundle, machine: &Object, secret: &str) -> bool {
    bundle.objects().iter().filter(|object| object.namespace == machine.namespace).any(|object| {
        let made = match (object.group(), &*object.kind) {
            ("", "Secret") => Some(&*object.name),
            ("cert-manager.io", "Certificate") => bundle.get(object, &["spec", "secretName"]).and_then(Value::as_str),
            _ => None,
        };
        made == Some(secret)
    })
}

/// The file of which [`remove`] could not give back each byte, nor a second injection do what the first one did. Lines that do not
/// all end alike are known to be such a place, and no other.
fn irreversible(before: &[Input], again: &[Input]) -> InjectError {
    const OTHERS: &str = "--remove could not give back each byte; write it as `kubectl get --output yaml` does";
    before.iter().zip(again).find(|(before, again)| before != again).map_or_else(
        || InjectError::general(OTHERS.to_owned()),
        |(file, _)| InjectError::in_file(&file.name, mixed_line_ends(&file.text).unwrap_or_else(|| OTHERS.to_owned())),
    )
}

/// Where the lines of a text do not all end alike, and the way out.
fn mixed_line_ends(text: &str) -> Option<String> {
    let (line, end, first) = other_line_break(text)?;
    Some(format!(
        "line {line} ends with {end}, and the first with {first}: --remove could not give back each byte; let all lines end alike, as \
         dos2unix makes them"
    ))
}

/// A POSIX shell script that does in a running guest what the injected user data does at a first boot, and nothing of what is
/// its owner's.
///
/// # Errors
/// [`InjectError`] for options that no guest could use.
pub fn guest_script(options: &Options) -> Result<String, Vec<InjectError>> {
    let guest = options.guest().map_err(InjectError::of_options)?;
    let files = guest.write_files().map_err(|error| InjectError::general(error.to_string()))?;
    Ok(script::text(&files, &guest.commands()))
}

/// Takes out again what [`inject`] added to VMs (`targets` are their names or `NAMESPACE/NAME`; none are needed where one alone has
/// an injection).
///
/// # Errors
/// All that is in the way; then nothing of it was done.
pub fn remove(inputs: &[Input], targets: &[String]) -> Result<Output, Vec<InjectError>> {
    let bundle = Bundle::read(inputs)?;
    let only = Vec::from_iter(bundle.only_injected().filter(|_| targets.is_empty()));
    let names = bundle.chosen(if only.is_empty() { targets } else { &only })?;
    one_after_the_other(bundle, &names, take_out)
}

fn take_out(mut bundle: Bundle, name: &str) -> Result<Edited, Vec<InjectError>> {
    let (before, machine) = (bundle.files(), bundle.machine(Some(name))?);
    let kept = strip(&mut bundle, &machine)?;
    let files = bundle.files();
    let blank = |file: &Input| file.text.trim().is_empty();
    let emptied = before.iter().zip(&files).filter(|(before, after)| blank(after) && !blank(before));
    let emptied = emptied.map(|(file, _)| format!("{} has nothing left in it; delete it", file.name));
    let advice = secret::left(&kept).into_iter().chain(emptied).collect();
    let mut notes = kept.notes;
    if files == before {
        notes.push("has nothing of an injection".to_owned());
    }
    Ok(Edited { files, bundle: None, machine: machine.shown(), notes, advice })
}

/// Edits one VM after the other, each in what became of the files with the one before, as so many runs would.
fn one_after_the_other(
    bundle: Bundle,
    names: &[String],
    edit: impl Fn(Bundle, &str) -> Result<Edited, Vec<InjectError>>,
) -> Result<Output, Vec<InjectError>> {
    let (mut files, mut problems) = (bundle.files(), Vec::new());
    let mut next = Some(bundle);
    let (mut machines, mut notes, mut advice) = (Vec::new(), Lines::default(), Lines::default());
    for name in names {
        let bundle = next.take().map_or_else(|| Bundle::read(&files), Ok)?;
        match edit(bundle, name) {
            Ok(edited) => {
                (files, next) = (edited.files, edited.bundle);
                notes.add(&edited.machine, edited.notes);
                advice.add(&edited.machine, edited.advice);
                machines.push(edited.machine);
            }
            Err(more) => problems.extend(more),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let all = machines.len();
    let texts = files.into_iter().map(|file| file.text).collect();
    Ok(Output { texts, machines: named(&machines, all), notes: notes.told(all), advice: advice.told(all) })
}

/// What is said, with the VMs that it is said of.
#[derive(Default)]
struct Lines(Vec<(String, Vec<String>)>);

impl Lines {
    fn add(&mut self, machine: &str, lines: Vec<String>) {
        for line in lines {
            match self.0.iter_mut().find(|(known, _)| *known == line) {
                Some((_, machines)) => machines.push(machine.to_owned()),
                None => self.0.push((line, vec![machine.to_owned()])),
            }
        }
    }

    /// Each once, of `all` VMs.
    fn told(self, all: usize) -> Vec<String> {
        self.0.into_iter().map(|(line, machines)| format!("{}: {line}", named(&machines, all))).collect()
    }
}

fn named(machines: &[String], all: usize) -> String {
    if all > 1 && machines.len() == all { format!("each of the {all} VMs") } else { machines.join(", ") }
}

fn strip(bundle: &mut Bundle, machine: &Object) -> Result<secret::Kept, InjectError> {
    let injected = secret::has_part(bundle, machine)?;
    // In the reverse order.
    machine::remove(bundle, machine, VOLUME, injected)?;
    let kept = secret::take(bundle, machine)?;
    if kept.added {
        machine::remove(bundle, machine, CLOUD_INIT, true)?;
    }
    machine::unwrite_implicit(bundle, machine)?;
    secret::discard(bundle, &kept)?;
    Ok(kept)
}

/// A mapping with its entries in this order.
fn map<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    Value::Mapping(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}
