//! The guest's files and commands, for every database, family and way of delivery.

use std::process::Command;

use tandem_vm::guest::{
    Content, Endpoint, Filesystem, GuestData, GuestKeyFile, GuestReplicaSet, GuestTls, InstalledFile, Owner, Reload,
    Server, Source, StartTls, TlsStart, WriteFile,
};
use tandem_vm::spec::Family;
use tempfile::TempDir;

use crate::gates::{about_us, schema, shellcheck, verify_units};
use crate::script_disk::block_device;
use crate::support::{output, program, said, write_guest};

fn virtiofs() -> Source {
    Source::Filesystem { tag: "certificate".to_owned() }
}

fn disk() -> Source {
    Source::Disk { serial: "tls-0123456789abcdef".to_owned() }
}

/// Every constructor in both families, by name.
fn all(source: &Source) -> Vec<(String, GuestTls)> {
    let mut all = vec![("files".to_owned(), GuestTls::files_only(source.clone(), "/etc/ssl/tandem"))];
    for (family, name) in [(Family::Rhel, "rhel"), (Family::Debian, "debian")] {
        all.push((format!("mongodb on {name}"), GuestTls::mongodb(family, source.clone())));
        all.push((format!("postgresql on {name}"), GuestTls::postgresql(family, source.clone())));
        all.push((format!("redis on {name}"), GuestTls::redis(family, source.clone())));
    }
    all
}

/// A cloud-config of these files and commands, and no more.
fn user_data(files: &[WriteFile], commands: &[Vec<String>]) -> String {
    let config = serde_json::json!({"write_files": files, "runcmd": commands});
    format!("#cloud-config\n{}", serde_yaml::to_string(&config).unwrap())
}

/// Scripts and constant units aside.
fn told(tls: &GuestTls) -> String {
    let mut text = String::new();
    for file in tls.write_files().unwrap() {
        let constant = file.content.starts_with("#!") || file.path.ends_with(".service");
        let content = if constant { "(constant)\n" } else { &file.content };
        text += &format!("== {} {}\n{content}", file.permissions, file.path);
    }
    for command in tls.commands() {
        text += &format!("$ {}\n", command.join(" "));
    }
    text
}

#[test]
fn what_each_database_gets() {
    for (name, tls) in all(&virtiofs()) {
        insta::assert_snapshot!(format!("guest of {name}"), told(&tls));
    }
    insta::assert_snapshot!("guest with a disk", told(&GuestTls::files_only(disk(), "/etc/ssl/tandem")));
}

/// Every way to reload, with all that may be said of it.
fn ways() -> [Reload; 7] {
    let file = |name: &str| Some(format!("/etc/tandem/{name}"));
    [
        Reload::None,
        Reload::MongoDb { credentials: file("mongodb") },
        Reload::PostgreSql,
        Reload::Redis { credentials: file("redis"), socket: Some("/run/redis/redis.sock".to_owned()) },
        Reload::Command("nginx -s reload".to_owned()),
        Reload::Command("#!/bin/bash\ncaddy reload\n".to_owned()),
        Reload::Restart,
    ]
}

#[test]
fn the_ways_to_reload() {
    for (i, way) in ways().into_iter().enumerate() {
        let mut tls = GuestTls::mongodb(Family::Rhel, virtiofs());
        tls.reload = way;
        let files = tls.write_files().unwrap();
        let conf = files.iter().find(|file| file.path.ends_with("tls.conf")).unwrap();
        let command = files.iter().find(|file| file.path.ends_with("tls-reload"));
        let command = command.map(|file| format!("== {} {}\n{}", file.permissions, file.path, file.content));
        insta::assert_snapshot!(format!("reload {i}"), format!("{}{}", conf.content, command.unwrap_or_default()));
    }
}

#[test]
fn shellcheck_cloud_init_and_systemd_find_nothing() {
    let mut files_only = GuestTls::files_only(disk(), "/etc/ssl/tandem");
    files_only.reload = Reload::Command("systemctl reload nginx".to_owned());
    for tls in [
        GuestTls::postgresql(Family::Debian, virtiofs()),
        GuestTls::redis(Family::Rhel, virtiofs()),
        GuestTls::mongodb(Family::Rhel, disk()),
        files_only,
    ] {
        let service = tls.before.first().map_or("mongod.service", String::as_str);
        let data = GuestData {
            serial: "data".to_owned(),
            filesystem: Filesystem::Ext4,
            folder: "/srv/my-data".to_owned(),
            owner: "someone".to_owned(),
            service: service.to_owned(),
        };
        let files = [tls.write_files().unwrap(), data.write_files().unwrap()].concat();
        let user_data = user_data(&files, &tls.commands());
        let (Some(shell), Some(schema), Some(units)) =
            (shellcheck(std::slice::from_ref(&user_data)), schema(&user_data), verify_units(&user_data))
        else {
            return;
        };
        assert!(shell.status.success(), "{service}: {}", said(&shell));
        assert!(schema.status.success(), "{service}: {}", said(&schema));
        assert_eq!(about_us(&units), [""; 0], "{service}: {}", said(&units));
    }
}

#[test]
fn systemd_finds_a_fault_planted_in_the_timer() {
    let tls = GuestTls::postgresql(Family::Debian, virtiofs());
    let user_data = user_data(&tls.write_files().unwrap(), &[]);
    for (from, to, complaint) in [
        ("OnUnitInactiveSec=30", "OnUnitInactive=30", "Unknown key"),
        ("Wants=tandem-tls.service\n", "Wants=tandem-tls\n", "tandem-tls"),
        // What else is said differs among versions of systemd.
        ("LogLevelMax=notice", "LogLevelMax=quiet", "Failed to parse"),
    ] {
        assert!(user_data.contains(from.trim_end()), "{from}");
        let Some(verdict) = verify_units(&user_data.replace(from.trim_end(), to.trim_end())) else {
            return;
        };
        assert!(about_us(&verdict).iter().any(|line| line.contains(complaint)), "{complaint}: {}", said(&verdict));
    }
}

#[test]
fn what_no_guest_could_use_is_an_error_that_says_what_is_needed() {
    type Change = fn(&mut GuestTls);
    fn file(tls: &mut GuestTls) -> &mut InstalledFile {
        &mut tls.files[0]
    }
    let changes: [Change; 40] = [
        |tls| tls.source = Source::Disk { serial: "x".repeat(21) },
        |tls| tls.source = Source::Disk { serial: String::new() },
        |tls| tls.source = Source::Disk { serial: "a b".to_owned() },
        |tls| tls.source = Source::Filesystem { tag: "x".repeat(37) },
        |tls| tls.source = Source::Filesystem { tag: "a'b".to_owned() },
        |tls| tls.files.clear(),
        |tls| file(tls).path = "etc/ssl/mongodb.pem".to_owned(),
        |tls| file(tls).path = "/etc/ssl/".to_owned(),
        |tls| file(tls).path = "/etc/../mongodb.pem".to_owned(),
        |tls| file(tls).path = "/etc//mongodb.pem".to_owned(),
        |tls| file(tls).path = "/etc/my ssl/mongodb.pem".to_owned(),
        |tls| file(tls).path = "/etc/ssl/'\nRELOAD='command".to_owned(),
        |tls| file(tls).mode = 0o404,
        |tls| file(tls).mode = 0o1400,
        |tls| file(tls).mode = 0o200,
        |tls| file(tls).content = Content::Key,
        |tls| file(tls).owner = Some(Owner { user: "-".to_owned(), group: None }),
        |tls| file(tls).owner = Some(Owner { user: "mongod".to_owned(), group: Some("a:b".to_owned()) }),
        |tls| tls.before = vec!["mongod".to_owned()],
        |tls| tls.before = vec!["../mongod.service".to_owned()],
        |tls| tls.before = vec![".service".to_owned()],
        |tls| tls.before = vec!["@.service".to_owned()],
        |tls| tls.reload = Reload::Command(" \n".to_owned()),
        |tls| tls.reload = Reload::Redis { credentials: Some("password".to_owned()), socket: None },
        |tls| (tls.before.clear(), tls.reload = Reload::Restart).1,
        |tls| (tls.before.clear(), tls.reload = Reload::PostgreSql).1,
        |tls| tls.endpoint = None,
        |tls| tls.endpoint = Some(Endpoint { address: "127.0.0.1".to_owned(), start: StartTls::Direct }),
        |tls| tls.endpoint = Some(Endpoint { address: "127.0.0.1:0".to_owned(), start: StartTls::Direct }),
        |tls| tls.endpoint = Some(Endpoint { address: "[[:80".to_owned(), start: StartTls::Direct }),
        |tls| tls.endpoint = Some(Endpoint { address: "--:80".to_owned(), start: StartTls::Direct }),
        |tls| tls.endpoint = Some(Endpoint { address: "a;reboot:80".to_owned(), start: StartTls::Direct }),
        |tls| tls.endpoint = Some(Endpoint { address: "db'.example:80".to_owned(), start: StartTls::Direct }),
        |tls| tls.endpoint = Some(Endpoint { address: "[::1:80".to_owned(), start: StartTls::Direct }),
        |tls| (tls.endpoint = None, tls.reload = Reload::Redis { credentials: None, socket: None }).1,
        |tls| tls.reload = Reload::Redis { credentials: None, socket: Some("redis.sock".to_owned()) },
        |tls| {
            tls.start = Some(TlsStart { server: Server::Postgres, exec_start: "/usr/bin/postgres".to_owned() });
            tls.files.retain(|file| file.content != Content::Ca);
        },
        |tls| tls.start = Some(TlsStart { server: Server::Postgres, exec_start: "postgres".to_owned() }),
        |tls| tls.poll = 0,
        |tls| tls.poll = 86401,
    ];
    let mut said = String::new();
    for (i, change) in changes.into_iter().enumerate() {
        let mut tls = GuestTls::mongodb(Family::Debian, virtiofs());
        file(&mut tls).mode = 0o440;
        change(&mut tls);
        match tls.write_files() {
            // A key where there was a combined file is no fault, with the same mode.
            Ok(_) => assert_eq!(file(&mut tls).content, Content::Key, "change {i}"),
            Err(error) => said += &format!("{error}\n"),
        }
    }
    insta::assert_snapshot!("guest errors", said);
}

#[test]
fn what_no_data_disk_could_be_is_an_error() {
    let good = GuestData {
        serial: "data".to_owned(),
        filesystem: Filesystem::Xfs,
        folder: "/srv/data".to_owned(),
        owner: "someone".to_owned(),
        service: "some.service".to_owned(),
    };
    assert!(good.write_files().is_ok());
    type Change = fn(&mut GuestData);
    let changes: [(Change, &str); 4] = [
        (|data| data.serial = "x".repeat(21), "the serial of the data disk: "),
        (|data| data.folder = "/".to_owned(), "the data folder: "),
        (|data| data.owner = "some one".to_owned(), "the owner of the data folder: "),
        (|data| data.service = "some.mount".to_owned(), "the service of the data folder: "),
    ];
    for (change, what) in changes {
        let mut data = good.clone();
        change(&mut data);
        let error = data.write_files().unwrap_err().to_string();
        assert!(error.starts_with(what), "{error}");
    }
}

#[test]
fn what_no_member_could_use_is_an_error() {
    let [text, blank] = ["a".to_owned(), "a b".to_owned()];
    let good = GuestKeyFile { serial: text.clone(), key: text.clone(), owner: text.clone(), path: "/k".to_owned() };
    assert!(good.write_files().is_ok());
    for (keyfile, what) in [
        (GuestKeyFile { serial: blank.clone(), ..good.clone() }, "the serial of the keyFile's disk: "),
        (GuestKeyFile { key: blank.clone(), ..good.clone() }, "the keyFile's key: "),
        (GuestKeyFile { owner: blank.clone(), ..good.clone() }, "the owner of the keyFile: "),
        (GuestKeyFile { path: blank.clone(), ..good }, "the path of the keyFile: "),
    ] {
        let error = keyfile.write_files().unwrap_err().to_string();
        assert!(error.starts_with(what), "{error}");
    }
    let member = "db-0.example:27017".to_owned();
    let good = GuestReplicaSet { name: text, members: vec![member], pem: "/p".to_owned(), ca: "/c".to_owned() };
    assert!(good.write_files().is_ok());
    for (set, what) in [
        (GuestReplicaSet { name: blank.clone(), ..good.clone() }, "the name of the replica set: "),
        (GuestReplicaSet { members: vec![blank.clone()], ..good.clone() }, "the endpoint: "),
        (GuestReplicaSet { pem: blank.clone(), ..good.clone() }, "the path of the certificate: "),
        (GuestReplicaSet { ca: blank, ..good }, "the path of the authorities: "),
    ] {
        let error = set.write_files().unwrap_err().to_string();
        assert!(error.starts_with(what), "{error}");
    }
}

/// What stands at the disk's place is a block device of this machine, and mount says what it was asked.
#[test]
fn a_disk_or_filesystem_that_does_not_mount_is_named() {
    let guest = TempDir::new().unwrap();
    let run = |source: Source, device: &str| {
        let tls = GuestTls::files_only(source, "/etc/ssl/tandem");
        let user_data = user_data(&tls.write_files().unwrap(), &[]);
        write_guest(&user_data.replace("/dev/disk/by-id/virtio-tls-0123456789abcdef", device), guest.path());
        let bin = guest.path().join("bin");
        program(&bin.join("udevadm"), "exit 0");
        program(&bin.join("mount"), "echo \"asked to mount: $*\"; exit 1");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let script = guest.path().join("usr/local/sbin/tandem-tls");
        let mut command = Command::new("sh");
        command.env("PATH", path).arg(script).args(["--wait", "0", "--root"]).arg(guest.path());
        let done = output(&mut command);
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
        said(&done)
    };
    let filesystem = run(virtiofs(), "");
    let expected = "the filesystem certificate does not mount: asked to mount: -t virtiofs";
    assert!(filesystem.contains(expected), "{filesystem}");
    let Some(device) = block_device() else { return };
    let device = device.to_str().unwrap();
    let disk = run(disk(), device);
    assert!(disk.contains(&format!("asked to mount: -t iso9660 -o ro,nodev,nosuid,noexec {device} ")), "{disk}");
    assert!(
        disk.contains(&format!("{device} does not mount as iso9660; the files in place were not touched")),
        "{disk}"
    );
}
