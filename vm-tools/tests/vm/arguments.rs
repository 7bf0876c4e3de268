//! Arguments that are refused, whatever the command: a private key, which comes back in no message, and what would do nothing.

use crate::command::tandem_vm;
use crate::inject::manifest;
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
        let why = "an argument is a private key, which every user of this machine can see in the list of processes; replace the \
                   key, keep the new one in a file of mode 0600, and name that file";
        assert!(said(&done).contains(why), "{}", said(&done));
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

/// Options that would do nothing beside the others, and why each is refused. Files are `vm.yaml`.
const USELESS: [(&str, &str); 26] = [
    (
        "inject --secret tls --delivery filesystem --serial mine vm.yaml",
        "--serial: is a disk's, and a filesystem has none; leave it out",
    ),
    (
        "inject --secret tls --os debian vm.yaml",
        "--os: says how a database's user and service are called, and there is none; leave it out, or add --database",
    ),
    ("inject --secret tls --reload restart --service a.service vm.yaml", "--reload restart: does nothing with a disk"),
    ("inject --secret tls --reload-command true vm.yaml", "--reload-command: does nothing with a disk"),
    (
        "inject --secret tls --database redis --os rhel --credentials /c vm.yaml",
        "--credentials: does nothing with a disk",
    ),
    (
        "inject --secret tls --delivery filesystem --credentials /c vm.yaml",
        "--credentials: is for the own means by which MongoDB and Redis reload, and these are not used; leave it out",
    ),
    (
        "inject --secret tls --delivery filesystem --database postgresql --os rhel --credentials /c vm.yaml",
        "--credentials: is for the own means by which MongoDB and Redis reload, and these are not used; leave it out",
    ),
    (
        "inject --secret tls --delivery filesystem --database redis --os rhel --reload none --credentials /c vm.yaml",
        "--credentials: is for the own means by which MongoDB and Redis reload, and these are not used; leave it out",
    ),
    (
        "inject --secret tls --delivery filesystem --database redis --os rhel --reload-command true --credentials /c vm.yaml",
        "--credentials: is for the own means by which MongoDB and Redis reload, and these are not used; leave it out",
    ),
    ("inject --secret tls --tls-mode allowTLS vm.yaml", "are for a --database"),
    ("inject --secret tls --keep-config vm.yaml", "are for a --database"),
    ("inject --secret tls --exit-code vm.yaml", "--diff"),
    ("render --prune vm.yaml", "--output-dir"),
    ("keyfile --secret a --replace", "<FILE>"),
    ("keyfile --replace -", "--replace: standard output has no file to replace; name one, or leave it out"),
    ("keyfile --namespace a key", "--secret"),
    (
        "verify --endpoint localhost:1 --folder . --user me",
        "--user: is named to PostgreSQL alone; leave it out, or add --protocol postgresql",
    ),
    (
        "stale --endpoint localhost:1 --protocol mongodb --folder . --database me",
        "--database: is named to PostgreSQL alone",
    ),
    // clap asks for no option that another excludes.
    ("stale --endpoint localhost:1 --folder . --wait 1m", "cannot be used with"),
    ("render --user-data-only --prune vm.yaml", "cannot be used with"),
    ("keyfile --check --namespace a key", "cannot be used with"),
    ("inject --secret tls --in-place --exit-code vm.yaml", "cannot be used with"),
    ("mongod-conf --port 1 --in-place --exit-code vm.yaml", "cannot be used with"),
    ("mongod-conf --port 1 -o json --exit-code vm.yaml", "cannot be used with"),
    ("stale --vm a --folder .", "--vm: name the Secret in the cluster with --secret"),
    ("mongod-conf --port 1 --exit-code vm.yaml", "--diff"),
];

#[test]
fn options_that_would_do_nothing_are_refused_with_the_reason() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("vm.yaml"), manifest("inline.yaml")).unwrap();
    let run = |line: &str| output(tandem_vm().args(line.split(' ')).current_dir(folder.path()));
    for (line, why) in USELESS {
        let done = run(line);
        assert_eq!((done.status.code(), done.stdout.is_empty()), (Some(2), true), "{line}: {}", said(&done));
        assert!(said(&done).contains(why), "{line}: {}", said(&done));
    }
    // All that is wrong is said at once.
    let done = run(
        "inject --secret Tls --delivery filesystem --serial mine --database redis --os rhel --credentials c vm.yaml",
    );
    let told = said(&done);
    for what in ["--secret", "--serial", "--credentials"] {
        assert!(told.contains(&format!("tandem-vm: {what}: ")), "{told}");
    }
    assert_eq!(told.lines().count(), 3, "{told}");
    // What takes out needs to know no more than where.
    let command = tandem_vm::cli::command();
    let inject = command.find_subcommand("inject").unwrap();
    let beside = ["remove", "vm", "diff", "exit-code", "in-place", "output-dir"];
    let mut options = 0;
    for option in inject.get_arguments().filter(|option| option.get_long().is_some_and(|long| !beside.contains(&long)))
    {
        let long = option.get_long().unwrap();
        let value = match option.get_possible_values().first() {
            _ if !option.get_action().takes_values() => String::new(),
            Some(value) => format!("={}", value.get_name()),
            None => "=x".to_owned(),
        };
        let done = run(&format!("inject --remove --{long}{value} vm.yaml"));
        let refused = done.status.code() == Some(2) && said(&done).contains("cannot be used with");
        assert!(refused, "--{long}: {}", said(&done));
        options += 1;
    }
    assert!(options > 15, "{options}");
}
