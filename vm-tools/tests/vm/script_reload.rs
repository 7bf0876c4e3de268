//! `tandem-tls --reload` with commands, mongosh and restarts, and what is left when it is killed.

use std::fs;

use tandem_vm::guest::{Reload, StartTls};

use crate::live::{Live, eventually};
use crate::secret::{Secret, authority, secret};
use crate::support::{finish, output, said, start};

/// A guest with a command of the user's that notes down which certificate it was run for. Nothing is asked for its TLS.
fn with_command(command: &str) -> (Live, [Secret; 3]) {
    let (live, authority) = (Live::new(), authority());
    let secrets = [(); 3].map(|()| secret(&authority));
    let note = format!("sha256sum <{} >>{}\n", live.text("tls/tls.crt"), live.text("told"));
    let mut tls = live.tls(Reload::Command(format!("{note}{command}")), 1, StartTls::Direct);
    tls.endpoint = None;
    live.configure(&tls);
    live.renew(&secrets[0]);
    (live, secrets)
}

fn told(live: &Live) -> usize {
    fs::read_to_string(live.path("told")).unwrap_or_default().lines().count()
}

#[test]
fn a_command_is_run_for_every_change_and_for_nothing_else() {
    let (live, [_, new, _]) = with_command("");
    live.boot();
    assert_eq!(told(&live), 0, "told at boot, before the service is there");
    live.tick_says(0, &["unchanged", "the service has taken them (command)"]);
    live.tick_is_silent();
    live.renew(&new);
    live.tick_says(0, &["installed ", "the service has taken them (command)"]);
    live.tick_is_silent();
    assert_eq!(told(&live), 2);
}

#[test]
fn a_command_that_fails_brings_the_old_files_back() {
    let (live, [old, new, newer]) = with_command("[ ! -e \"${0%/*}/fails\" ] || exit 3");
    live.boot();
    live.tick_says(0, &["taken"]);
    live.write("fails", "", 0o644);
    live.renew(&new);
    live.tick_says(1, &["tls-reload ended with status 3", "the old files are back in place, but"]);
    assert_eq!((live.read("tls/tls.crt"), live.read("tls/tls.key")), (old.chain.clone(), old.key.clone()));
    let before = told(&live);
    live.tick_is_silent();
    assert_eq!(told(&live), before, "tried again at once");
    live.two_hours_pass();
    live.tick_says(1, &["the old files are back in place, but"]);
    assert_eq!(told(&live), before + 2);
    fs::remove_file(live.path("fails")).unwrap();
    // The old Secret comes back: it is what is served, so there is nothing to do, and what was refused is forgotten.
    live.renew(&old);
    live.tick_is_silent();
    live.renew(&newer);
    live.tick_says(0, &["taken"]);
    assert_eq!(live.read("tls/tls.crt"), newer.chain);
}

#[test]
fn a_user_who_is_not_there_yet_is_reported_once() {
    let (live, [secret, ..]) = with_command("");
    let config = live.read("tls.conf");
    live.write("tls.conf", &config.replace(" 0400 ", " 0400 nobody-here:"), 0o644);
    live.tick_says(1, &["there is no user nobody-here yet; install the service first"]);
    live.tick_is_silent();
    live.write("tls.conf", &config, 0o644);
    live.tick_says(0, &["installed ", "taken"]);
    assert_eq!(live.read("tls/tls.crt"), secret.chain);
}

/// As systemd does it: a service that is restarted wants the unit of the boot, if that failed, and waits for it.
#[test]
fn the_unit_of_the_boot_does_not_wait_for_a_run_that_waits_for_it() {
    let (live, [_, new, _]) = with_command(
        "timeout 60 sh \"${0%/*}/tandem-tls\" --config \"${0%/*}/tls.conf\" --source \"${0%/*}/secret\" >>\"${0%/*}/boot\" 2>&1",
    );
    live.boot();
    live.tick_says(0, &["taken"]);
    live.renew(&new);
    live.tick_says(0, &["installed ", "taken"]);
    let boot = live.read("boot");
    assert_eq!(boot, "tandem-tls: the service is being told of files that are in place already\n".repeat(2));
    assert!(!live.path("state/telling").exists());
}

/// `restorecon` stands in for SELinux's, and the variable for the journal, which takes `<3>` for an error.
#[test]
fn labels_are_restored_and_errors_are_errors_in_the_journal() {
    let (live, [_, new, _]) = with_command("");
    live.program("restorecon", &format!("echo \"$*\" >>{}; [ ! -e {} ]", live.text("labels"), live.text("fails")));
    live.boot();
    let folder = live.text("tls");
    let expected: Vec<_> = ["tls.crt", "tls.key", "ca.crt"].map(|name| format!("-F {folder}/{name}")).to_vec();
    assert_eq!(live.read("labels").lines().collect::<Vec<_>>(), expected);
    live.write("fails", "", 0o644);
    live.renew(&new);
    let done = output(live.command().arg("--reload").env("JOURNAL_STREAM", "8:1"));
    let said = said(&done);
    assert!(done.status.success() && said.contains("\ntandem-tls: installed "), "{said}");
    assert!(said.contains("<3>tandem-tls: restorecon failed; SELinux may keep the service from reading"), "{said}");
}

/// A guest in which the script is cut short while the service is being told: by a signal of its own, which nothing else
/// gets. What it leaves, and what the next run makes of it.
fn cut_short(signal: &str) -> (Live, [Secret; 3]) {
    let (live, secrets) = with_command("[ ! -e \"${0%/*}/hangs\" ] || { touch \"${0%/*}/there\"; exec sleep 600; }");
    live.boot();
    live.tick_says(0, &["taken"]);
    live.write("hangs", "", 0o644);
    live.renew(&secrets[1]);
    let mut child = start(live.command().arg("--reload"));
    eventually("the command runs", || live.path("there").exists().then_some(()));
    assert_eq!(live.read("tls/tls.crt"), secrets[1].chain);
    let pid = child.child().id().to_string();
    let hanging = said(&output(std::process::Command::new("pgrep").args(["-P", &pid])));
    // As systemd does, which ends all processes of a unit.
    for pid in [pid.trim(), hanging.trim()] {
        output(std::process::Command::new("kill").args([signal, pid]));
    }
    finish(child);
    fs::remove_file(live.path("hangs")).unwrap();
    (live, secrets)
}

#[test]
fn a_run_that_is_stopped_puts_the_old_files_back_and_the_next_one_tries_again() {
    let (live, [old, new, _]) = cut_short("-TERM");
    assert_eq!((live.read("tls/tls.crt"), live.read("tls/tls.key")), (old.chain, old.key));
    live.tick_says(0, &["installed ", "taken"]);
    assert_eq!(live.read("tls/tls.crt"), new.chain);
}

#[test]
fn a_run_that_is_killed_leaves_nothing_that_the_next_one_does_not_mend() {
    let (live, [_, new, _]) = cut_short("-KILL");
    assert_eq!(live.read("tls/tls.crt"), new.chain);
    let before = told(&live);
    live.tick_says(0, &["unchanged", "taken"]);
    assert_eq!(told(&live), before + 1, "nobody was told");
    let left: Vec<_> = fs::read_dir(live.path("state")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("work")), "{left:?}");
    let left = fs::read_dir(live.path("tls")).unwrap().count();
    assert_eq!(left, 3, "a folder was left beside the files");
}

/// mongosh stands in here, for no package registry brings mongod: it notes down how it is called, and what it is given.
fn with_mongosh(answer: &str) -> (Live, [Secret; 3]) {
    let (live, authority) = (Live::new(), authority());
    let secrets = [(); 3].map(|()| secret(&authority));
    live.write("credentials", "rotator\nvery secret\n", 0o600);
    // Nothing listens there: what is served cannot be seen, which is said.
    let port = crate::live::free_port();
    let reload = Reload::MongoDb { credentials: Some(live.text("credentials")) };
    live.configure(&live.tls(reload, port, StartTls::Direct));
    let note = format!("printf '%s\\n' \"$@\" \"file: $TANDEM_CREDENTIALS\" >>{}", live.text("calls"));
    live.program("mongosh", &format!("{note}\n{answer}"));
    live.renew(&secrets[0]);
    live.boot();
    (live, secrets)
}

#[test]
fn mongosh_rotates_certificates_and_its_arguments_hold_no_secret() {
    let (live, _) = with_mongosh("exit 0");
    let said = live.tick_says(0, &["nothing answers with TLS at 127.0.0.1:", "the service has taken them (mongodb)"]);
    let calls = live.read("calls");
    for words in [
        "--nodb\n--norc\n--quiet\n--eval\n",
        "rotateCertificates: 1",
        "mongodb://127.0.0.1:",
        "tlsCAFile=",
        &format!("file: {}", live.text("credentials")),
    ] {
        assert!(calls.contains(words), "{words}: {calls}");
    }
    assert!(!calls.contains("very secret") && !calls.contains("rotator") && !said.contains("very secret"), "{calls}");
}

#[test]
fn a_mongod_that_refuses_keeps_the_old_files() {
    let (live, [old, new, _]) = with_mongosh("echo 'MongoServerError: not authorized'; exit 1");
    live.renew(&new);
    live.tick_says(1, &["mongosh says: MongoServerError: not authorized", "the old files are back in place"]);
    assert_eq!((live.read("tls/tls.crt"), live.read("tls/tls.key")), (old.chain, old.key));
    live.tick_is_silent();
}

#[test]
fn without_mongosh_the_new_files_stay_for_the_next_start_and_it_says_so() {
    let (live, [_, new, _]) = with_mongosh("exit 0");
    fs::remove_file(live.path("bin/mongosh")).unwrap();
    live.renew(&new);
    let expected = ["mongosh is not installed: only a restart", "the new files stay in place"];
    live.tick_says(1, &expected);
    assert_eq!(live.read("tls/tls.crt"), new.chain);
    live.tick_is_silent();
    live.two_hours_pass();
    live.tick_says(1, &expected);
}

/// `systemctl` stands in for systemd.
#[test]
fn only_where_it_is_asked_for_the_service_is_restarted() {
    for (reload, expected) in [(Reload::Restart, "try-restart mongod.service\n"), (Reload::None, "")] {
        let (live, authority) = (Live::new(), authority());
        let (old, new) = (secret(&authority), secret(&authority));
        let mut tls = live.tls(reload, 1, StartTls::Direct);
        tls.endpoint = None;
        tls.before = vec!["mongod.service".to_owned()];
        live.configure(&tls);
        live.write("calls", "", 0o644);
        live.program(
            "systemctl",
            &format!("case $1 in is-active) echo active ;; *) echo \"$*\" >>{} ;; esac", live.text("calls")),
        );
        live.renew(&old);
        live.boot();
        assert_eq!(live.read("calls"), "");
        live.tick_says(0, &["unchanged"]);
        live.renew(&new);
        live.write("calls", "", 0o644);
        live.tick_says(0, &["installed "]);
        assert_eq!(live.read("calls"), expected);
        live.tick_is_silent();
    }
}
