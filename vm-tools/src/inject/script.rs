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

/// The script. The first two files are the program and its settings.
pub(super) fn text(files: &[WriteFile], commands: &[GuestCommand]) -> String {
    let mut text = BEGINNING.to_owned();
    for (index, file) in files.iter().enumerate() {
        if index == 2 {
            text += PROGRAM;
        }
        let mut end = "END_OF_FILE".to_owned();
        while file.content.lines().any(|line| line == end) {
            end.push('_');
        }
        // Writing to a String cannot fail. No path and no word below has a quote in it.
        let _ = write!(text, "\nput {} '{}' <<'{end}'\n{}{end}\n", file.permissions, file.path, file.content);
    }
    text.push('\n');
    for command in commands {
        let words: Vec<_> = command.iter().map(|word| format!("'{word}'")).collect();
        let _ = writeln!(text, "{}", words.join(" "));
    }
    text + "echo 'The files are in place.'\n"
}
