//! The command `tandem-vm`.

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    tandem_vm::cli::run(
        std::env::args_os(),
        &mut io::stdin().lock(),
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    )
}
