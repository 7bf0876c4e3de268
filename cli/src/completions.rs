//! Completions for shells, from a command's arguments.

use clap::Command;
use clap_complete::{Shell, generate};

/// The script by which a shell completes the arguments of the command of this name.
///
/// In bash's script a name with a hyphen would part from itself: where the words of a line are followed, `a-b` is written
/// `a__b`, and where their options stand, `a__subcmd__b` (clap_complete up to 4.6.11 at least,
/// <https://github.com/clap-rs/clap/issues/6421>). So bash's is made for a name without, and then registered for the command.
#[must_use]
pub fn script(shell: Shell, mut command: Command, name: &str) -> String {
    let plain = if shell == Shell::Bash { name.replace('-', "_") } else { name.to_owned() };
    let mut script = Vec::new();
    generate(shell, &mut command, plain.as_str(), &mut script);
    let script = String::from_utf8_lossy(&script);
    // Of all that carries the name, only the registrations end a line with it.
    script.replace(&format!(" {plain}\n"), &format!(" {name}\n"))
}
