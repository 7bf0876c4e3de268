//! `inject` for PostgreSQL and Redis: the real servers, started as the drop-in of their unit says, with a configuration of the
//! owner's that knows nothing of TLS, or says otherwise.

use std::fs;
use std::process::{Command, Output};

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use tandem_vm::guest::{Reload, StartTls};

use crate::inject_mongod::injected_for;
use crate::live::{Live, Server, as_server, free_port, same_certificate, served, server_user, takes_clients};
use crate::script_postgresql::systemctl;
use crate::secret::{Secret, authority, secret, secret_with};
use crate::support::{guest_files, output, said, tool};
use crate::verify::servers::postgresql_programs;

/// What systemd starts after `inject` with these options, and what was said. The files are those in `tls` of `live`.
fn exec_start(live: &Live, options: &str, drop_in: &str) -> (String, String) {
    let folder = live.text("tls");
    let options = [&options.split(' ').collect::<Vec<_>>()[..], &["--folder", &folder]].concat();
    let (user_data, told) = injected_for(&options);
    let files = guest_files(&user_data);
    let text = &files[&format!("/etc/systemd/system/{drop_in}")].content;
    // An empty one takes away those of before.
    let (_, start) = text.split_once("\nExecStart=\nExecStart=").unwrap();
    (start.lines().next().unwrap().to_owned(), told)
}

/// The files of a Secret in place, for the server's user.
fn place(live: &Live, secret: &Secret) {
    live.configure(&live.tls(Reload::None, 1, StartTls::Direct));
    live.renew(secret);
    live.boot();
}

/// As systemd runs it: the words, with the service's variables.
fn started(line: &str) -> Command {
    let mut command = as_server("sh");
    command.args(["-c", &format!("exec {line}")]);
    command
}

#[test]
fn postgresql_serves_the_secret_whatever_its_configuration_says_and_takes_those_without_tls_as_before() {
    let Some(programs) = postgresql_programs() else { return };
    let authority = authority();
    let (old, new) = (secret(&authority), secret(&authority));
    let live = Live::new();
    place(&live, &old);
    let (line, told) =
        exec_start(&live, "--database postgresql --os rhel", "postgresql.service.d/tandem-postgresql.conf");
    assert!(told.contains("write hostssl there in place of host; nobody has to show a certificate"), "{told}");
    let (data, user) = (live.text("data"), server_user());
    fs::create_dir(&data).unwrap();
    assert!(output(Command::new("chown").args([&user, &data])).status.success());
    let initdb = ["-D", &data, "-A", "trust", "-U", "test", "--no-sync", "--no-locale"];
    let done = output(as_server(programs.join("initdb")).args(initdb));
    assert!(done.status.success(), "{}", said(&done));
    // The last word would be ALTER SYSTEM's.
    fs::write(live.path("data/postgresql.auto.conf"), "ssl = off\nssl_cert_file = '/nowhere'\nfsync = off\n").unwrap();
    let packaged = "/usr/bin/postgres -D ${PGDATA} -c ssl=on ";
    assert!(line.starts_with(packaged), "{line}");
    let line = line.replace("/usr/bin/postgres", programs.join("postgres").to_str().unwrap());
    let server = Server::start(&live.path("log"), |port| {
        let mut command = started(&format!("{line} -c unix_socket_directories= -p {port}"));
        command.env("PGDATA", &data);
        command
    });
    takes_clients(&live.path("log"));
    assert!(same_certificate(&served(server.port, StartTls::PostgreSql), &old.chain));
    let query = |mode: &str| {
        let parameters = format!("host=127.0.0.1 port={} user=test dbname=postgres sslmode={mode}", server.port);
        let ssl = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        let done = output(Command::new(tool("psql").unwrap()).arg(parameters).args(["-XAtq", "-c", ssl]));
        said(&done).trim().to_owned()
    };
    assert_eq!((query("disable").as_str(), query("require").as_str()), ("f", "t"));
    // The paths stay, so SIGHUP brings what has come.
    let mut tls = live.tls(Reload::PostgreSql, server.port, StartTls::PostgreSql);
    tls.before = vec!["postgresql.service".to_owned()];
    live.configure(&tls);
    systemctl(&live, "active", "");
    live.renew(&new);
    live.tick_says(0, &["the service has taken them (postgresql)"]);
    assert!(same_certificate(&served(server.port, StartTls::PostgreSql), &new.chain));
}

/// Debian's units start PostgreSQL by a program that hands on what is in one argument; there may be several clusters.
#[test]
fn each_cluster_of_debians_is_started_with_the_files() {
    let (unit, files) = ("postgresql@.service.d/tandem-postgresql.conf", "-c ssl_cert_file=");
    for (options, expected) in [
        ("", "-/usr/bin/pg_ctlcluster --skip-systemctl-redirect %i start -o \"-c ssl=on "),
        (
            " --service postgresql@.service --exec-start /usr/lib/postgresql/15/bin/pg_ctl\u{a0}start\u{a0}-D\u{a0}/srv/%i",
            "/usr/lib/postgresql/15/bin/pg_ctl start -D /srv/%i -o \"-c ssl=on ",
        ),
        (
            " --service postgresql@.service --exec-start /opt/pg/bin/postgres\u{a0}-D\u{a0}/srv/%i",
            "/opt/pg/bin/postgres -D /srv/%i -c ssl=on ",
        ),
    ] {
        let options: Vec<_> = options.split(' ').map(|word| word.replace('\u{a0}', " ")).collect();
        let mut all = vec!["--database", "postgresql", "--os", "debian"];
        all.extend(options.iter().map(String::as_str).filter(|word| !word.is_empty()));
        let (user_data, _) = injected_for(&all);
        let text = &guest_files(&user_data)[&format!("/etc/systemd/system/{unit}")].content;
        assert!(text.contains(&format!("\nExecStart={expected}")) && text.contains(files), "{text}");
        assert_eq!(text.matches('"').count() % 2, 0, "{text}");
        let config: serde_json::Value = serde_yaml::from_str(&user_data).unwrap();
        let last = config["runcmd"].as_array().unwrap().last().unwrap();
        assert_eq!(last, &serde_json::json!(["systemctl", "try-restart", "postgresql@*.service"]));
    }
}

/// What redis-cli is answered at this port, with these options.
fn ping(port: u16, options: &[String]) -> Output {
    let mut command = Command::new(tool("redis-cli").unwrap());
    output(command.args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(options).arg("ping"))
}

#[test]
fn redis_listens_with_tls_alone_or_beside_its_own_port_as_the_mode_says() {
    let (Some(program), Some(_)) = (tool("redis-server"), tool("redis-cli")) else { return };
    let secret = secret_with(&authority(), |it| it.extended_key_usages = vec![ServerAuth, ClientAuth]);
    let live = Live::new();
    place(&live, &secret);
    let tls = ["--tls".to_owned(), "--cacert".to_owned(), live.text("tls/ca.crt")];
    let known = ["--cert".to_owned(), live.text("tls/tls.crt"), "--key".to_owned(), live.text("tls/tls.key")];
    for (mode, auth, beside, replicates) in [
        ("requireTLS", "Optional", false, "yes"),
        ("requireTLS", "Required", false, "yes"),
        ("allowTLS", "Optional", true, "no"),
        ("preferTLS", "Required", true, "yes"),
    ] {
        let plain = free_port();
        let config = live.text("redis.conf");
        live.write("redis.conf", &format!("bind 127.0.0.1\nport {plain}\nsave \"\"\ntls-auth-clients yes\n"), 0o644);
        let options = format!("--database redis --os debian --tls-mode {mode} --client-auth {auth}");
        let (unit, family) = ("redis-server.service.d/tandem-redis.conf", "redis.service.d/tandem-redis.conf");
        // Without an endpoint of the owner's: Redis's own port, or the one beside it.
        let (line, told) = exec_start(&live, &options, unit);
        let port = if beside { 6380 } else { 6379 };
        assert!(
            line.contains(&format!("--tls-port {port} ")) && told.contains(&format!("at port {port}")),
            "{line} {told}"
        );
        assert_eq!(exec_start(&live, &options.replace("debian", "rhel"), family).0, line);
        let server = Server::start(&live.path("log"), |port| {
            let options = format!("{options} --endpoint 127.0.0.1:{port}");
            let line = exec_start(&live, &options, unit).0;
            let packaged = "/usr/bin/redis-server /etc/redis/redis.conf --supervised systemd --daemonize no ";
            let options = line.strip_prefix(packaged).unwrap_or_else(|| panic!("{line}"));
            started(&format!("{} {config} --supervised systemd --daemonize no {options}", program.display()))
        });
        assert!(same_certificate(&served(server.port, StartTls::Direct), &secret.chain), "{mode}");
        let pong = |port, options: &[String]| ping(port, options).stdout == b"PONG\n";
        assert!(pong(server.port, &[&tls[..], &known].concat()), "{mode}");
        assert_eq!(pong(server.port, &tls), auth == "Optional", "{mode}: without a certificate");
        assert!(!pong(server.port, &[]), "{mode}: without TLS at the port with it");
        assert_eq!(pong(plain, &[]), beside, "{mode}: without TLS at its own port");
        let mut ask = Command::new(tool("redis-cli").unwrap());
        ask.args(["-h", "127.0.0.1", "-p", &server.port.to_string()]).args(&tls).args(&known);
        let answer = said(&output(ask.args(["CONFIG", "GET", "tls-replication"])));
        assert_eq!(answer, format!("tls-replication\n{replicates}\n"), "{mode}");
    }
}
