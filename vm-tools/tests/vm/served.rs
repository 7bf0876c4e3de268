//! What is rendered, taken by the real PostgreSQL and the real Redis: the guest's files beneath a folder, the certificate put
//! in place by the guest's own script, the cluster made by the guest's own script, and then the server as the distribution
//! starts it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{document, guest_files, make_folder, output, program, render, said, tool, write_guest};
use crate::verify::servers::{self, NAME, Server, listening, postgresql_programs};
use crate::verify::verify;

/// A guest's files beneath a folder, for one server.
struct Guest {
    folder: TempDir,
    /// Who the server is there: its own user where this is root, else this one.
    user: String,
    is_root: bool,
}

impl Guest {
    /// The guest of a document on a family. In the files that only the server and its own scripts read, paths lead into the
    /// folder; tandem-tls knows of such a folder itself.
    fn new(database: &str, family: &str, server_user: &str) -> Self {
        let folder = TempDir::new().unwrap();
        // The server's user has to get in.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let text = document(&format!("database: {database}\nos: {{family: {family}, image: i}}"));
        let user_data = render(&text).user_data;
        write_guest(&user_data, folder.path());
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let id = |args: &[&str]| said(&output(Command::new("id").args(args))).trim().to_owned();
        let user = if is_root { server_user.to_owned() } else { id(&["-un"]) };
        let guest = Self { folder, user, is_root };
        let own_root = |path: &&String| path.contains("tandem-tls") || path.as_str() == "/etc/tandem/tls.conf";
        for path in guest_files(&user_data).keys().filter(|path| !own_root(path)) {
            let file = guest.path(path);
            let mut text = fs::read_to_string(&file).unwrap();
            for place in ["/etc/", "/var/lib/", "/run/"] {
                text = text.replace(place, &guest.path(place).display().to_string());
            }
            fs::write(&file, text).unwrap();
        }
        let line = format!("{server_user}:x:{}:{}::/:/bin/false\n", id(&["-u", &guest.user]), id(&["-g", &guest.user]));
        fs::write(guest.path("/etc/passwd"), line).unwrap();
        guest
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    /// Has the guest's script put a Secret in place.
    fn install(&self, secret: &Path) {
        let mut command = Command::new("sh");
        command.arg(self.path("/usr/local/sbin/tandem-tls")).arg("--source").arg(secret);
        let done = output(
            command.arg("--root").arg(self.folder.path()).args(["--config"]).arg(self.path("/etc/tandem/tls.conf")),
        );
        assert!(done.status.success(), "{}", said(&done));
    }

    /// A command as the server's user.
    fn as_user(&self, program: &Path) -> Command {
        if !self.is_root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &self.user, "--regid", &self.user, "--clear-groups"]).arg(program);
        command
    }

    /// Makes a PostgreSQL cluster with the guest's script, on a data disk that has nothing.
    fn initdb(&self, initdb: &Path) -> Output {
        let script = self.path("/usr/local/sbin/tandem-initdb");
        let mut text = fs::read_to_string(&script).unwrap();
        let line = text.lines().find(|line| line.starts_with("INITDB=")).unwrap().to_owned();
        text = text.replace(&line, &format!("INITDB='{}'", initdb.display()));
        if !self.is_root {
            // Only root may become somebody else.
            text = text
                .replace("runuser -u \"$OWNER\" -- ", "")
                .replace("OWNER='postgres'", &format!("OWNER='{}'", self.user));
        }
        fs::write(&script, text).unwrap();
        // A restorecon that fails, as where SELinux's policy is broken: the cluster is made nevertheless.
        program(&self.path("/bin/restorecon"), "exit 1");
        let path = format!("{}:{}", self.path("/bin").display(), std::env::var("PATH").unwrap());
        // A locale that every machine has.
        output(Command::new("sh").arg(&script).env("LC_ALL", "C.UTF-8").env("PATH", path))
    }
}

/// PostgreSQL in a guest, and how it is reached.
struct PostgreSql {
    server: Server,
    guest: TempDir,
    psql: PathBuf,
    user: String,
    is_root: bool,
}

impl PostgreSql {
    /// Starts the server of a document; `None` where it is not installed.
    fn start(settings: &str, family: &str, secret: &Path) -> Option<Self> {
        let (bin, psql) = (postgresql_programs()?, tool("psql")?);
        let version = bin.parent().and_then(Path::file_name).unwrap().to_str().unwrap().to_owned();
        // What is installed; Debian 12's is the one that a document means which names none.
        let named =
            if family == "debian" && version != "15" { format!("version: \"{version}\", ") } else { String::new() };
        let settings = settings.replacen('{', &format!("{{{named}"), 1);
        let guest = Guest::new(&format!("{{postgresql: {settings}}}"), family, "postgres");
        if guest.is_root && tool("runuser").is_none() {
            return None;
        }
        guest.install(secret);
        let debian = guest.path(&format!("/etc/postgresql/{version}/main"));
        let data = if family == "debian" {
            format!("/var/lib/postgresql/{version}/main")
        } else {
            "/var/lib/pgsql/data".to_owned()
        };
        let data = guest.path(&data);
        if family == "debian" {
            // The package makes a cluster as soon as it is installed, beside the file of ours that is there already. On the
            // data disk, which then hides it, there is none.
            let mut command = Command::new(tool("pg_createcluster")?);
            command.env("PG_CLUSTER_CONF_ROOT", guest.path("/etc/postgresql")).arg("-d").arg(&data);
            command.arg("-l").arg(guest.path("/log")).arg("-s").arg(guest.folder.path()).args([&version, "main"]);
            let made = output(&mut command);
            assert!(made.status.success(), "{}", said(&made));
            fs::remove_dir_all(&data).unwrap();
        } else {
            make_folder(guest.folder.path(), &data);
        }
        let made = guest.initdb(&bin.join("initdb"));
        for words in ["making one", "restorecon failed; SELinux may keep the database from its files"] {
            assert!(made.status.success() && said(&made).contains(words), "{}", said(&made));
        }
        let again = guest.initdb(&bin.join("initdb"));
        assert!(again.status.success() && said(&again).is_empty(), "twice is not once: {}", said(&again));

        let socket = guest.path("/socket");
        fs::create_dir(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        let start = |port: u16| {
            let mut command = guest.as_user(&bin.join("postgres"));
            command.arg("-D").arg(&data).args(["-p", &port.to_string()]).arg("-k").arg(&socket);
            if family == "debian" {
                command.args(["-c", &format!("config_file={}", debian.join("postgresql.conf").display())]);
            }
            command.current_dir("/");
            command
        };
        let server = listening("postgres", start, TempDir::new().unwrap());
        let postgresql = Self { server, psql, user: guest.user.clone(), is_root: guest.is_root, guest: guest.folder };
        let made = postgresql.local("create role app login password 'secret'");
        assert!(made.status.success(), "{}", said(&made));
        Some(postgresql)
    }

    /// As the superuser, by the socket.
    fn local(&self, query: &str) -> Output {
        let socket = self.guest.path().join("socket");
        let mut command = if self.is_root {
            let mut command = Command::new("runuser");
            command.args(["-u", &self.user, "--"]).arg(&self.psql);
            command
        } else {
            Command::new(&self.psql)
        };
        command
            .args(["-XAt", "-d", "postgres", "-p", &self.server.port.to_string(), "-c", query])
            .arg("-h")
            .arg(socket);
        output(command.current_dir("/"))
    }

    /// As an application, over the network, by this name and with these options.
    fn remote(&self, host: &str, options: &str) -> Output {
        let connection = format!(
            "host={host} hostaddr=127.0.0.1 port={} user=app dbname=postgres password=secret {options}",
            self.server.port
        );
        let query = "select version from pg_stat_ssl where ssl and pid = pg_backend_pid()";
        output(Command::new(&self.psql).args(["-XAt", &connection, "-c", query]).env("HOME", "/nonexistent"))
    }

    fn refuses(&self, host: &str, options: &str, expected: &str) {
        let done = self.remote(host, options);
        assert!(!done.status.success() && said(&done).contains(expected), "{expected}: {}", said(&done));
    }
}

#[test]
fn postgresql_takes_debians_files_and_lets_nobody_in_without_tls() {
    let ca = servers::ca("Test authority");
    let secret = servers::secret(&ca, &servers::leaf());
    let Some(postgresql) = PostgreSql::start("{hba: ['hostssl all monitoring all reject']}", "debian", secret.path())
    else {
        return;
    };
    let verified = format!("sslmode=verify-full sslrootcert={}", secret.path().join("ca.crt").display());
    let done = postgresql.remote(NAME, &verified);
    assert_eq!((done.status.success(), said(&done).as_str()), (true, "TLSv1.3\n"));
    postgresql.refuses("db.example.com", &verified, "does not match host name");
    postgresql.refuses(NAME, &format!("{verified} password=other"), "password authentication failed");
    postgresql.refuses(NAME, "sslmode=disable", "no encryption");
    postgresql.refuses(NAME, "sslmode=require user=monitoring", "pg_hba.conf rejects connection");
    let rules = postgresql.local("select count(*), count(error) from pg_hba_file_rules");
    assert_eq!(said(&rules), "3|0\n");
    verify(postgresql.server.port, secret.path(), &["--protocol", "postgresql"]).expect_failed(&[]);
}

#[test]
fn postgresql_takes_the_rhel_familys_files_and_asks_for_client_certificates() {
    let ca = servers::ca("Test authority");
    let secret = servers::secret(&ca, &servers::leaf());
    let Some(postgresql) = PostgreSql::start("{clientAuth: Required, clientcert: verify-full}", "rhel", secret.path())
    else {
        return;
    };
    let verified = format!("sslmode=verify-full sslrootcert={}", secret.path().join("ca.crt").display());
    let with = |secret: &TempDir| {
        let file = |name: &str| secret.path().join(name).display().to_string();
        fs::set_permissions(file("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
        format!("{verified} sslcert={} sslkey={}", file("tls.crt"), file("tls.key"))
    };
    // Its common name is the user's, as the last rule asks.
    let mut params = servers::leaf();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "app");
    params.extended_key_usages = servers::client_usage();
    let done = postgresql.remote(NAME, &with(&servers::secret(&ca, &params)));
    assert_eq!((done.status.success(), said(&done).as_str()), (true, "TLSv1.3\n"));
    postgresql.refuses(NAME, &verified, "requires a valid client certificate");
    let stranger = servers::ca("A stranger");
    postgresql.refuses(NAME, &with(&servers::secret(&stranger, &params)), "unknown ca");
    params.distinguished_name.push(rcgen::DnType::CommonName, "somebody");
    postgresql.refuses(NAME, &with(&servers::secret(&ca, &params)), "authentication failed for user");
}

/// As docs/databasevm.md has it for a client with a certificate of its own.
#[test]
fn postgresql_takes_a_clients_certificate_in_place_of_its_password() {
    let ca = servers::ca("Test authority");
    let secret = servers::secret(&ca, &servers::leaf());
    let Some(postgresql) = PostgreSql::start("{hba: ['hostssl all app all cert']}", "debian", secret.path()) else {
        return;
    };
    let verified = format!("sslmode=verify-full sslrootcert={}", secret.path().join("ca.crt").display());
    let with = |name: &str| {
        let client = servers::client(&ca, name);
        let file = |name: &str| client.path().join(name).display().to_string();
        fs::set_permissions(file("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
        (format!("{verified} password=wrong sslcert={} sslkey={}", file("tls.crt"), file("tls.key")), client)
    };
    let done = postgresql.remote(NAME, &with("app").0);
    assert_eq!((done.status.success(), said(&done).as_str()), (true, "TLSv1.3\n"));
    postgresql.refuses(NAME, &with("somebody").0, "certificate authentication failed for user");
    postgresql.refuses(NAME, &verified, "requires a valid client certificate");
}

/// Redis in a guest.
struct Redis {
    server: Server,
    guest: TempDir,
    cli: PathBuf,
}

impl Redis {
    fn start(settings: &str, secret: &Path, password: Option<&str>) -> Option<Self> {
        let (program, cli) = (tool("redis-server")?, tool("redis-cli")?);
        let guest = Guest::new(&format!("{{redis: {settings}}}"), "debian", "redis");
        let run = guest.path("/run/redis");
        make_folder(guest.folder.path(), &run);
        fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
        guest.install(secret);
        // The package's own configuration, which ours includes; where it may not be read, what matters of it. Redis opens its
        // log as it reads of it, which only the package's user may.
        let packaged = fs::read_to_string("/etc/redis/redis.conf")
            .unwrap_or_else(|_| "bind 127.0.0.1 -::1\nprotected-mode yes\nport 6379\n".to_owned());
        let packaged =
            packaged.lines().filter(|line| !line.starts_with("logfile ")).collect::<Vec<_>>().join("\n") + "\n";
        make_folder(guest.folder.path(), &guest.path("/etc/redis"));
        // What docs/databasevm.md has written there after the package has come.
        let packaged =
            format!("{packaged}{}", password.map_or(String::new(), |word| format!("\nrequirepass {word}\n")));
        fs::write(guest.path("/etc/redis/redis.conf"), packaged).unwrap();
        fs::set_permissions(guest.path("/etc/redis/redis.conf"), fs::Permissions::from_mode(0o644)).unwrap();
        let start = |port: u16| {
            let mut command = guest.as_user(&program);
            command.arg(guest.path("/etc/tandem/redis.conf")).args(["--tls-port", &port.to_string()]);
            // What differs here from the unit: places that this user may not write.
            command.args(["--daemonize", "no", "--logfile", "", "--pidfile", "", "--save", ""]).arg("--dir").arg(&run);
            command
        };
        let server = listening("redis-server", start, TempDir::new().unwrap());
        Some(Self { server, guest: guest.folder, cli })
    }

    /// An answer over the network.
    fn ask(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.cli);
        output(command.args(["-h", "127.0.0.1", "-p", &self.server.port.to_string()]).args(args).arg("ping"))
    }

    /// A setting, by root's socket.
    fn setting(&self, name: &str) -> String {
        let socket = self.guest.path().join("run/redis/tandem.sock");
        let done = output(Command::new(&self.cli).arg("-s").arg(socket).args(["config", "get", name]));
        said(&done).lines().nth(1).unwrap_or_default().to_owned()
    }
}

#[test]
fn redis_takes_its_file_after_the_packages_and_speaks_tls_alone() {
    let ca = servers::ca("Test authority");
    let secret = servers::secret(&ca, &servers::leaf());
    let Some(redis) = Redis::start("{}", secret.path(), None) else { return };
    let trust = secret.path().join("ca.crt").display().to_string();
    assert_eq!(said(&redis.ask(&["--tls", "--cacert", &trust])), "PONG\n");
    assert!(!said(&redis.ask(&[])).contains("PONG"));
    for (name, value) in [
        ("port", "0"),
        ("bind", "* -::*"),
        ("protected-mode", "no"),
        ("tls-auth-clients", "optional"),
        ("databases", "16"),
    ] {
        assert_eq!(redis.setting(name), value, "{name}");
    }
    verify(redis.server.port, secret.path(), &["--protocol", "redis"]).expect_failed(&[]);
}

#[test]
fn redis_asks_for_client_certificates_where_they_are_required() {
    let ca = servers::ca("Test authority");
    let secret = servers::secret(&ca, &servers::leaf());
    let Some(redis) = Redis::start("{clientAuth: Required}", secret.path(), None) else { return };
    let file = |secret: &TempDir, name: &str| secret.path().join(name).display().to_string();
    let trust = file(&secret, "ca.crt");
    let as_client = |client: &TempDir| {
        let [certificate, key] = ["tls.crt", "tls.key"].map(|name| file(client, name));
        said(&redis.ask(&["--tls", "--cacert", &trust, "--cert", &certificate, "--key", &key]))
    };
    assert_eq!(as_client(&servers::client(&ca, "app")), "PONG\n");
    assert!(!as_client(&servers::client(&servers::ca("A stranger"), "app")).contains("PONG"));
    assert!(!said(&redis.ask(&["--tls", "--cacert", &trust])).contains("PONG"));
}

#[test]
fn redis_asks_for_the_password_that_the_reference_shows() {
    let secret = servers::secret(&servers::ca("Test authority"), &servers::leaf());
    let reference = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/databasevm.md")).unwrap();
    assert!(reference.contains(r#"append: true, defer: true, content: "\nrequirepass change-me\n"}"#));
    let Some(redis) = Redis::start("{}", secret.path(), Some("change-me")) else { return };
    let trust = secret.path().join("ca.crt").display().to_string();
    let tls = ["--tls", "--cacert", &trust];
    assert!(said(&redis.ask(&tls)).contains("NOAUTH"), "{}", said(&redis.ask(&tls)));
    let told = said(&redis.ask(&[&tls[..], &["--no-auth-warning", "--pass", "change-me"]].concat()));
    assert_eq!(told, "PONG\n");
}
