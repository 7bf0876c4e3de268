//! What is injected, as a script for a guest that has booted before. cloud-init writes files at a first boot only, and to have
//! another one (`cloud-init clean`) would repeat all that is in the owner's user data.

use std::fmt::Write as _;

use crate::guest::{GuestCommand, WriteFile};

const BEGINNING: &str = r#"#!/bin/sh
# Made by `tandem-vm inject --guest-script`, for a guest that has booted before and whose VM has been started with its new
# manifest. Run it there as root. It does what the injected user data does at a first boot, and nothing else of the user data;
# a database that runs is restarted. It may be run again.
set -eu
umask 022

fail() {
  echo "$*" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || fail 'run it as root'

# put MODE PATH: what comes by standard input becomes that file, at once.
put() {
  mkdir -p "${2%/*}"
  cat >"$2.new"
  chmod "$1" "$2.new"
  mv -f "$2.new" "$2"
}
"#;

/// Units come last: a database that is to have its files, and has none, would not start any more.
const PROGRAM: &str = r#"
# Before there is any unit: without the files of the certificate a database would not start with it.
/usr/local/sbin/tandem-tls ||
  fail 'The Secret did not come, so no unit was written, and the database is as it was. Has the VM been started with its new manifest?'
"#;

/// The script. What is no unit is for our program alone: itself, its settings, and the user's command that it runs.
pub(super) fn text(files: &[WriteFile], commands: &[GuestCommand]) -> String {
    let mut text = BEGINNING.to_owned();
    let (units, ours): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.is_unit());
    ours.into_iter().for_each(|file| put(&mut text, file));
    text += PROGRAM;
    units.into_iter().for_each(|file| put(&mut text, file));
    text.push('\n');
    for command in commands {
        let words: Vec<_> = command.iter().map(|word| format!("'{word}'")).collect();
        // Writing to a String cannot fail. No word has a quote in it.
        let _ = writeln!(text, "{}", words.join(" "));
    }
    text + "echo 'The files are in place.'\n"
}

fn put(text: &mut String, file: &WriteFile) {
    let mut end = "END_OF_FILE".to_owned();
    while file.content.lines().any(|line| line == end) {
        end.push('_');
    }
    // Nor can this fail, and no path has a quote in it.
    let _ = write!(text, "\nput {} '{}' <<'{end}'\n{}{end}\n", file.permissions, file.path, file.content);
}
