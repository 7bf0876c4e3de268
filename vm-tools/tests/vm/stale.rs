//! `tandem-vm stale`, and the CronJob that runs it. That VMs are restarted is shown on a real control plane.

use rcgen::date_time_ymd;
use serde_json::Value;

use crate::{
    command::{render_stdin, tandem_vm},
    support::{example, output, render, said, tool},
    verify::servers::{NAME, Spoken, ca, drain, leaf, s_server, secret},
};

/// Exit code and report.
fn stale(port: u16, folder: &std::path::Path, more: &[&str]) -> (Option<i32>, Value, String) {
    let endpoint = format!("127.0.0.1:{port}");
    let mut command = tandem_vm();
    command.args(["stale", "-o", "json", "--endpoint", &endpoint, "--folder"]).arg(folder).args(more);
    let done = output(&mut command);
    (done.status.code(), serde_json::from_slice(&done.stdout).unwrap_or(Value::Null), said(&done))
}

#[test]
fn what_is_served_is_fresh_stale_or_newer() {
    if tool("openssl").is_none() {
        return;
    }
    let ca_of = ca;
    let ca = ca_of("internal-ca");
    let mut renewed = leaf();
    renewed.not_before = date_time_ymd(2026, 2, 1);
    let (old, new, twin) = (secret(&ca, &leaf()), secret(&ca, &renewed), secret(&ca, &leaf()));
    // Another CA of the same name, which has signed what has the same dates.
    let foreign = secret(&ca_of("internal-ca"), &leaf());
    // Who has no certificate of its own sees what is served as well.
    for options in [&["-tls1_2", "-Verify", "1", "-verify_return_error"][..], &["-tls1_3"]] {
        let server = s_server(old.path(), options);
        let all = [(&old, 0, "fresh"), (&new, 1, "stale"), (&twin, 1, "stale"), (&foreign, 1, "foreign")];
        for (beside, code, age) in all {
            let (found, report, said) = stale(server.port, beside.path(), &[]);
            assert_eq!((found, &report["age"]), (Some(code), &age.into()), "{said}");
            assert_eq!(report["served"]["notBefore"], "2026-01-01T00:00:00Z");
        }
    }
    let server = s_server(new.path(), &[]);
    assert_eq!(stale(server.port, old.path(), &[]).1["age"], "newer");
    // The key is of no use for this, and may be missing.
    std::fs::remove_file(old.path().join("tls.key")).unwrap();
    let endpoint = format!("127.0.0.1:{}", server.port);
    let done =
        output(tandem_vm().args(["stale", "--endpoint", &endpoint, "--server-name", NAME, "--folder"]).arg(old.path()));
    assert_eq!(done.status.code(), Some(0));
    assert!(
        said(&done).starts_with(&format!("{endpoint}: fresh: serves a newer certificate (serial ")),
        "{}",
        said(&done)
    );
}

/// Whatever its age, of the same CA: a restart would bring no other.
#[test]
fn what_is_for_none_of_the_secrets_names_is_another_s() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let served = secret(&ca, &leaf());
    let server = s_server(served.path(), &[]);
    let beside = |names: &[&str], year| {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = leaf();
        params.subject_alt_names = rcgen::CertificateParams::new(names).unwrap().subject_alt_names;
        params.not_before = date_time_ymd(year, 1, 1);
        secret(&ca, &params)
    };
    // Newer and older than what is served, and as old.
    for year in [2025, 2026, 2027] {
        let (code, report, said) = stale(server.port, beside(&["other.shop.svc"], year).path(), &[]);
        assert_eq!((code, &report["age"]), (Some(1), &"foreign".into()), "{year}: {said}");
    }
    // A name has been added, and another taken away.
    let (code, report, said) = stale(server.port, beside(&["new.shop.svc", "ORDERS.shop.svc"], 2027).path(), &[]);
    assert_eq!((code, &report["age"]), (Some(1), &"stale".into()), "{said}");
    // SNI alone, as the help says.
    let (code, report, _) = stale(server.port, served.path(), &["--server-name", "nope.example"]);
    assert_eq!(code, Some(0), "{report}");
    let help = output(tandem_vm().args(["stale", "--help"]));
    let help = String::from_utf8_lossy(&help.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    let sni = "The name that is sent as SNI, by which a server may choose what it serves; the certificate is compared with the \
               Secret's alone [default: the endpoint's host]";
    assert!(help.contains(sni) && !help.contains("must be for"), "{help}");
}

/// Each verdict in the words that people read.
#[test]
fn each_verdict_has_its_sentence() {
    if tool("openssl").is_none() {
        return;
    }
    let ca_of = ca;
    let ca = ca_of("internal-ca");
    let of = |number: u64, month| {
        let mut params = leaf();
        (params.serial_number, params.not_before) = (Some(number.into()), date_time_ymd(2026, month, 1));
        params
    };
    let served = secret(&ca, &of(2, 2));
    let server = s_server(served.path(), &[]);
    let endpoint = format!("127.0.0.1:{}", server.port);
    let mut other = of(5, 2);
    other.subject_alt_names =
        rcgen::CertificateParams::new(vec!["other.shop.svc".to_owned()]).unwrap().subject_alt_names;
    let others =
        [secret(&ca, &of(1, 1)), secret(&ca, &of(3, 3)), secret(&ca_of("internal-ca"), &of(4, 2)), secret(&ca, &other)];
    let mut told = String::new();
    for (beside, code) in [(&served, 0), (&others[0], 0), (&others[1], 1), (&others[2], 1), (&others[3], 1)] {
        let done = output(tandem_vm().args(["stale", "--endpoint", &endpoint, "--folder"]).arg(beside.path()));
        assert_eq!(done.status.code(), Some(code), "{}", said(&done));
        told += &said(&done).replace(&endpoint, "HOST:PORT").replace(&beside.path().display().to_string(), "SECRET");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn an_endpoint_of_which_nothing_is_known_is_not_called_stale() {
    let ca = ca("internal-ca");
    let folder = secret(&ca, &leaf());
    let silent = Spoken::start(|mut stream| drain(&mut stream));
    let (code, _, said) = stale(silent.port, folder.path(), &["--timeout", "300ms"]);
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(
        said,
        format!("tandem-vm: 127.0.0.1:{}: no certificate was served: it does not answer in time\n", silent.port)
    );
    let port = silent.port;
    drop(silent);
    let (code, _, said) = stale(port, folder.path(), &[]);
    assert!(code == Some(3) && said.contains("no connection: "), "{said}");
}

#[test]
fn without_a_cluster_it_says_how_to_name_one() {
    for command in ["stale", "verify"] {
        let folder = tempfile::TempDir::new().unwrap();
        let mut command_line = tandem_vm();
        command_line.args([command, "--endpoint", "127.0.0.1:1", "--secret", "shop/orders-tls"]);
        let done = output(command_line.env_clear().env("HOME", folder.path()));
        let said = said(&done);
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.starts_with("tandem-vm: no cluster was found: "), "{said}");
        assert!(said.ends_with("; name another one with --kubeconfig or $KUBECONFIG\n"), "{said}");
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for (args, why) in [
        (&["--secret", "a/b"][..], "<--endpoint <HOST:PORT>|--vm <NAME>>"),
        (&["--endpoint", "db:1", "--vm", "x", "--secret", "a/b"], "cannot be used with"),
        (&["--vm", "x", "--folder", "."], "--secret"),
        (&["--endpoint", "db:1", "--folder", ".", "--restart"], "cannot be used with"),
        (&["--vm", "x", "--secret", "a/b", "--wait", "5m"], "--restart"),
        (&["--vm", "x", "--secret", "a/b", "--port", "0"], "0 is not in 1..="),
        (&["--vm", "x", "--secret", "a/b"], "--port: is needed with --protocol tls, which has no port of its own"),
        (&["--vm", "x", "--secret", "a/b", "--port", "1", "--kubeconfig", "/nowhere"], "the kubeconfig: "),
    ] {
        let done = output(tandem_vm().arg("stale").args(args));
        assert!(done.status.code() == Some(2) && said(&done).contains(why), "{args:?}: {}", said(&done));
    }
}

const RESTART: &str = "  restartStale: {schedule: \"30 3 * * *\", image: \"registry.example/tandem-vm:0.1\"}\n";

fn with_restart(document: &str) -> String {
    let (head, spec) = document.split_once("\nspec:\n").unwrap();
    format!("{head}\nspec:\n{RESTART}{spec}")
}

#[test]
fn the_cron_job_and_its_rights_are_rendered() {
    let document = example("databasevm.yaml");
    let (without, with) = (render(&document), render(&with_restart(&document)));
    let (common, added) = with.manifests.split_at(without.manifests.len());
    assert_eq!(common, without.manifests);
    let yaml: Vec<_> = added.iter().map(|object| serde_yaml::to_string(object).unwrap()).collect();
    insta::assert_snapshot!(yaml.join("---\n"));
}

/// What the CronJob runs are arguments that the command takes, whichever the database is.
#[test]
fn the_cron_job_runs_what_there_is() {
    let document = with_restart(&example("databasevm.yaml"));
    let list = render_stdin(document.as_bytes(), &["-o", "json"]);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let job = list["items"].as_array().unwrap().iter().find(|item| item["kind"] == "CronJob").unwrap();
    let container = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["command"], serde_json::json!(["tandem-vm"]));
    let args = container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    tandem_vm::cli::command().try_get_matches_from(["tandem-vm"].into_iter().chain(args)).unwrap();
}

/// All members of a replica set, by their names, one after the other.
#[test]
fn every_member_is_looked_after() {
    let rendered = render(&with_restart(&example("mongodb-replica-set/databasevm.yaml")));
    let names = |kind: &str| {
        let named = rendered.manifests.iter().filter(|object| object.kind() == kind);
        named.map(|object| object.name().to_owned()).collect::<Vec<_>>()
    };
    let vms = names("VirtualMachine");
    assert_eq!(vms.len(), 3);
    let role = crate::support::object(&rendered, "Role");
    assert_eq!(role["rules"][1]["resourceNames"], serde_json::json!(vms));
    let job = crate::support::object(&rendered, "CronJob").to_string();
    assert!(vms.iter().all(|vm| job.contains(&format!("\"--vm\",\"{vm}\""))), "{job}");
}

#[test]
fn a_restart_that_could_not_work_is_refused() {
    let document = with_restart(&example("databasevm.yaml"));
    let with = |more: &str| document.replace("\nspec:\n", &format!("\nspec:\n{more}"));
    for (document, why) in [
        (
            with("  delivery: filesystem\n"),
            "spec.restartStale: is for delivery: disk; a filesystem follows the Secret by itself; leave it out",
        ),
        (
            with("  machine: {runStrategy: Manual}\n"),
            "spec.restartStale: needs spec.machine.runStrategy: Always, by which KubeVirt makes a new instance for one that is deleted, and it is Manual",
        ),
        (
            document.replace("30 3 * * *", "at night"),
            "spec.restartStale.schedule: `at night` is not a schedule: has 2 fields; write minute, hour, day, month and weekday, such as \"30 3 * * *\"",
        ),
        (
            document.replace(
                "mongodb:\n      version: \"8.0\"\n      clientAuth: Optional",
                "none: {files: {folder: /etc/ssl}}",
            ),
            "spec.restartStale: has nothing to connect to; add spec.database.none.port, or leave it out",
        ),
        (
            document.replace("registry.example/tandem-vm:0.1", "a b"),
            "spec.restartStale.image: `a b` is not an image reference",
        ),
        (
            document.replace("name: mongodb\n", &format!("name: {}\n", "m".repeat(45))),
            "metadata.name: has 45 bytes; with restartStale use at most 44",
        ),
    ] {
        let done = render_stdin(document.as_bytes(), &[]);
        assert!(done.status.code() == Some(2) && said(&done).contains(why), "{why}\n{}\n{document}", said(&done));
    }
}

/// As the API server has it, which reads a schedule by robfig/cron's `ParseStandard`.
#[test]
fn a_schedule_that_the_api_server_would_refuse_is_refused() {
    let document = with_restart(&example("databasevm.yaml"));
    let rendered = |schedule: &str| render_stdin(document.replace("30 3 * * *", schedule).as_bytes(), &[]);
    for (schedule, why) in [
        ("61 3 * * *", "minute `61` is above 59"),
        ("0 24 * * *", "hour `24` is above 23"),
        ("0 3 0 * *", "day `0` is below 1"),
        ("0 3 1 13 *", "month `13` is above 12"),
        ("0 3 * * 7", "weekday `7` is above 6"),
        ("5-60 3 * * *", "minute `60` is above 59"),
        ("9-5 3 * * *", "minute `9-5` ends before it begins"),
        ("*/0 3 * * *", "minute `*/0` has no step above 0"),
        ("1/2/3 3 * * *", "minute `1/2/3` is no number, range or step"),
        ("1-2-3 3 * * *", "minute `1-2-3` is no number, range or step"),
        ("0 3 * * noday", "weekday `noday` is no number, range or step"),
        ("0 3 * mon *", "month `mon` is no number, range or step"),
        ("99999999999999999999 3 * * *", "minute `99999999999999999999` is no number, range or step"),
        (", 3 * * *", "minute `,` is no number, range or step"),
        ("0 3 * *", "has 4 fields"),
    ] {
        let done = rendered(schedule);
        let line = format!(
            "spec.restartStale.schedule: `{schedule}` is not a schedule: {why}; write minute, hour, day, month and weekday, such as \"30 3 * * *\""
        );
        assert!(done.status.code() == Some(2) && said(&done).contains(&line), "{schedule}: {}", said(&done));
    }
    let done = rendered("0 0 30 2 *");
    let line = "spec.restartStale.schedule: `0 0 30 2 *` never runs: none of its months has such a day; write minute, hour, day, month and weekday, such as \"30 3 * * *\"";
    assert!(done.status.code() == Some(2) && said(&done).contains(line), "{}", said(&done));
    for schedule in
        ["0 0 1 1 0", "59 23 31 12 6", "*/5 3 ? JAN-Mar mon-fri", "0-30/10,45 3 * * Sun,3", "7/9 * * * *", "@daily"]
    {
        let done = rendered(schedule);
        assert!(done.status.success(), "{schedule}: {}", said(&done));
    }
}

/// The plan knows that such a VM does not keep its certificate until it ends.
#[test]
fn a_plan_holds_with_it() {
    for (document, holds) in [(example("databasevm.yaml"), false), (with_restart(&example("databasevm.yaml")), true)] {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("vm.yaml");
        std::fs::write(&file, document).unwrap();
        let done = output(tandem_vm().arg("rotation-plan").arg(&file));
        assert_eq!(done.status.success(), holds, "{}", said(&done));
    }
    let filesystem = example("databasevm.yaml").replace("\nspec:\n", "\nspec:\n  delivery: filesystem\n");
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("vm.yaml");
    std::fs::write(&file, filesystem.replace("mongodb:\n", "mongodb:\n      credentialFile: /root/admin\n")).unwrap();
    let done = output(tandem_vm().arg("rotation-plan").arg(&file));
    assert!(done.status.success(), "{}", said(&done));
}
