//! A private key that is given as an argument comes back in no message, whatever the command and the argument.

use crate::command::tandem_vm;
use crate::support::{output, said};

#[test]
fn a_key_as_an_argument_is_repeated_by_no_command() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let canary = key.lines().nth(1).unwrap().get(..16).unwrap();
    let split: Vec<_> = key.split_whitespace().collect();
    let fails = |arguments: &[&str]| {
        let done = output(tandem_vm().args(arguments));
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        assert!(!said(&done).contains(canary), "the key of {:?} in: {}", &arguments[..1], said(&done));
        assert!(said(&done).contains("an argument is a private key"), "{}", said(&done));
    };
    let command = tandem_vm::cli::command();
    let mut options = 0;
    for command in command.get_subcommands() {
        let name = command.get_name();
        fails(&[name, &key]);
        fails(&[name, "--", &key]);
        fails(&[&[name], &split[..]].concat());
        fails(&[&[name, "--"], &split[..]].concat());
        for long in command.get_arguments().filter_map(clap::Arg::get_long) {
            fails(&[name, &format!("--{long}={key}")]);
            fails(&[name, &format!("--{long}"), &key]);
            options += 1;
        }
    }
    fails(&[&key]);
    fails(&split);
    assert!(options > 60, "only {options} options were found");
}
