//! `tandem-tls --reload` with commands, mongosh and restarts, and what is left when it is killed.

use std::fs;

use tandem_vm::guest::{Reload, StartTls};

use crate::live::{Live, Server, as_server, eventually, server_user};
use crate::script_tls::bare_path;
use crate::secret::{Secret, authority, secret};
use crate::support::{finish, output, said, start, tool};

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
    let back = "the service did not take them: the old files are back in place, but it did not take those either";
    live.tick_says(1, &["tls-reload ended with status 3", back]);
    assert_eq!((live.read("tls/tls.crt"), live.read("tls/tls.key")), (old.chain.clone(), old.key.clone()));
    let before = told(&live);
    live.tick_is_silent();
    assert_eq!(told(&live), before, "tried again at once");
    live.two_hours_pass();
    live.tick_says(1, &[back]);
    assert_eq!(told(&live), before + 2);
    fs::remove_file(live.path("fails")).unwrap();
    // The old Secret comes back: it is what is served, so there is nothing to do, and what was refused is forgotten.
    live.renew(&old);
    live.tick_is_silent();
    live.renew(&newer);
    live.tick_says(0, &["taken"]);
    assert_eq!(live.read("tls/tls.crt"), newer.chain);
}

/// As where the Secret comes to a guest that has been running: nothing was there before it.
#[test]
fn where_there_is_nothing_to_go_back_to_the_new_files_stay() {
    let (live, [secret, ..]) = with_command("exit 3");
    let expected = "the service did not take them, and there are no older files to go back to";
    live.tick_says(1, &["installed ", "tls-reload ended with status 3", expected]);
    assert_eq!(live.read("tls/tls.crt"), secret.chain);
    live.tick_is_silent();
}

/// The command takes the folder away, as a filesystem does that is full or mounted read-only.
#[test]
fn old_files_that_cannot_be_put_back_are_named_and_the_next_run_tries_again() {
    let (live, [_, new, _]) =
        with_command("[ ! -e \"${0%/*}/fails\" ] || { cd \"${0%/*}\"; mv tls away; touch tls; exit 3; }");
    live.boot();
    live.tick_says(0, &["taken"]);
    live.write("fails", "", 0o644);
    live.renew(&new);
    let paths = ["tls.crt", "tls.key", "ca.crt"].map(|name| live.text(&format!("tls/{name}"))).join(", ");
    let expected = format!("the old files could not be put back; {paths} are new, and the service has not taken them");
    live.tick_says(1, &[&expected]);
    fs::remove_file(live.path("tls")).unwrap();
    fs::rename(live.path("away"), live.path("tls")).unwrap();
    fs::remove_file(live.path("fails")).unwrap();
    live.tick_says(0, &["unchanged: ", "the service has taken them (command)"]);
    assert_eq!(live.read("tls/tls.crt"), new.chain);
}

/// With no program in PATH but what every guest has.
#[test]
fn what_the_guest_has_no_means_for_is_said_and_the_new_files_stay() {
    let redis = Reload::Redis { credentials: None, socket: Some("/run/none".to_owned()) };
    for (reload, expected) in [
        (Reload::Restart, "systemctl is not installed: the service cannot be told"),
        (
            redis,
            "neither redis-cli nor valkey-cli is installed: only a restart of the server serves the new certificate",
        ),
    ] {
        let (live, authority) = (Live::new(), authority());
        let (old, new) = (secret(&authority), secret(&authority));
        let mut tls = live.tls(reload, 1, StartTls::Direct);
        tls.endpoint = None;
        tls.before = vec!["some.service".to_owned()];
        live.configure(&tls);
        live.renew(&old);
        live.boot();
        live.renew(&new);
        bare_path(&live.path("bare"));
        let done = output(live.command().arg("--reload").env("PATH", live.path("bare")));
        let said = said(&done);
        assert_eq!(done.status.code(), Some(1), "{said}");
        let stay = "the new files stay in place: the service serves them after its next start";
        assert!(said.contains(expected) && said.contains(stay), "{said}");
        assert_eq!(live.read("tls/tls.crt"), new.chain);
    }
}

#[test]
fn without_openssl_it_says_that_it_did_not_see_what_is_served() {
    let (live, [_, new, _]) = with_command("");
    let config = live.read("tls.conf");
    live.write("tls.conf", &format!("{config}ENDPOINT='127.0.0.1:1'\n"), 0o644);
    live.boot();
    live.renew(&new);
    bare_path(&live.path("bare"));
    let done = output(live.command().arg("--reload").env("PATH", live.path("bare")));
    let said = said(&done);
    assert!(done.status.success(), "{said}");
    for expected in [
        "openssl is not installed: whether the service now serves its new files was not seen",
        "the service has taken them (command)",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(live.read("tls/tls.crt"), new.chain);
}

#[test]
fn a_user_or_group_that_is_not_there_yet_is_reported_once() {
    let (live, [secret, ..]) = with_command("");
    let config = live.read("tls.conf");
    let user = server_user();
    for (owner, expected) in [
        ("nobody-here".to_owned(), "there is no user nobody-here yet; install the service first"),
        (format!("{user}:nobody-here"), "there is no group nobody-here yet; install the service first"),
    ] {
        live.write("tls.conf", &config.replace(&format!(" 0400 {user} "), &format!(" 0400 {owner} ")), 0o644);
        live.tick_says(1, &[expected]);
        live.tick_is_silent();
    }
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

/// `restorecon` stands in for SELinux's, which is real in PostgreSQL's guest; the variable for the journal, which takes `<3>`
/// for an error.
#[test]
fn labels_are_restored_and_errors_are_errors_in_the_journal() {
    let (live, [_, new, _]) = with_command("");
    live.program("restorecon", &format!("echo \"$*\" >>{}; [ ! -e {} ]", live.text("labels"), live.text("fails")));
    live.boot();
    // The folder is new as well.
    let expected = ["tls", "tls/tls.crt", "tls/tls.key", "tls/ca.crt"].map(|name| format!("-F {}\n", live.text(name)));
    assert_eq!(live.read("labels"), expected.concat());
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

/// As when its owner restarts MongoDB before the guest could tell it. What answers at the endpoint is an openssl.
#[test]
fn a_service_that_was_started_meanwhile_needs_not_be_told() {
    let (live, authority) = (Live::new(), authority());
    let (old, new) = (secret(&authority), secret(&authority));
    let Some(openssl) = tool("openssl") else { return };
    live.write("server.pem", &format!("{}{}", new.key, new.chain), 0o644);
    let server = Server::start(&live.path("log"), |port| {
        let mut command = as_server(&openssl);
        command
            .args(["s_server", "-www", "-accept", &format!("127.0.0.1:{port}"), "-cert"])
            .arg(live.path("server.pem"));
        command
    });
    live.configure(&live.tls(Reload::MongoDb { credentials: None }, server.port, StartTls::Direct));
    live.renew(&old);
    live.boot();
    live.renew(&new);
    live.tick_says(
        0,
        &["installed ", "mongosh is not installed", "the service was started with the new files meanwhile"],
    );
    live.tick_is_silent();
}

/// `systemctl` stands in for systemd, and the service does not come back. `sleep` has no patience.
#[test]
fn a_restart_after_which_nothing_answers_is_said_to_be_one() {
    let (live, authority) = (Live::new(), authority());
    let (old, new) = (secret(&authority), secret(&authority));
    let mut tls = live.tls(Reload::Restart, 1, StartTls::Direct);
    tls.before = vec!["mongod.service".to_owned()];
    live.configure(&tls);
    live.program("systemctl", "[ \"$1\" != is-active ] || echo active");
    live.program("sleep", "");
    live.renew(&old);
    live.boot();
    live.renew(&new);
    live.tick_says(
        1,
        &["nothing answers with TLS at 127.0.0.1:1 after the restart", "the old files are back in place, but"],
    );
    assert_eq!(live.read("tls/tls.crt"), old.chain);
}

/// `systemctl` stands in for systemd.
#[test]
fn only_where_it_is_asked_for_the_service_is_restarted() {
    for (reload, expected, told) in [
        (Reload::Restart, "try-restart mongod.service\n", "the service has taken them (restart)"),
        (Reload::None, "", "no way to reload is set: the service serves them after its next start"),
    ] {
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
        live.tick_says(0, &["installed ", told]);
        assert_eq!(live.read("calls"), expected);
        live.tick_is_silent();
    }
}
