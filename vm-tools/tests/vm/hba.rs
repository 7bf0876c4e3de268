//! Lines of pg_hba.conf, judged by `render` and by the real PostgreSQL.

use std::{cell::Cell, fs, path::PathBuf, process::Command};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tandem_vm::spec::{SpecError, parse};

use crate::support::{document, output, render, said, tool};
use crate::verify::servers::{self, Server, postgresql, postgresql_programs};

/// Lines that both take.
const GOOD: [&str; 26] = [
    "local all all peer",
    "  local\tall\tall\ttrust  ",
    "local all all ident map=os",
    "local replication,all backup md5",
    "local all +team scram-sha-256",
    "hostssl all all all scram-sha-256",
    "hostssl all all 0.0.0.0/0 md5",
    "hostssl all all ::/0 ident",
    "hostssl sameuser,samerole all samenet password",
    "hostssl shop, reports app,+team 10.0.0.0 255.0.0.0 scram-sha-256",
    "hostssl all all 192.0.2.7/32 cert map=people clientcert=verify-full clientname=DN",
    "hostssl all all 2001:db8::/32 scram-sha-256 clientcert=verify-ca # the office",
    "hostssl all all fe80:: ffff:ffff:: reject",
    "hostssl all all db.example.com trust clientcert=verify-full clientname=CN",
    "hostssl all all .example.com scram-sha-256",
    "hostssl \"a database\" \"O\"\"Hara\" samehost md5",
    "hostssl all \"#1\" all md5#2",
    "hostssl all all \"all\" reject",
    "\"hostssl\" all all all \"reject\"",
    "hostssl all all all gss include_realm=0 krb_realm=EXAMPLE.COM map=people",
    "hostssl all all all ldap ldapserver=192.0.2.1 ldapprefix=\"cn=\" ldapsuffix=\", dc=example\"",
    "hostssl all all all ldap \"ldapurl=ldaps://192.0.2.1/dc=example?uid?sub\" ldaptls=0 ldapport=636",
    "hostssl all all all ldap ldapbasedn=dc ldapbinddn=cn ldapbindpasswd=x ldapsearchfilter=(uid=$username)",
    "hostssl all all all radius radiusservers=\"192.0.2.1,192.0.2.2\" radiussecrets=\"a,b\" radiusports=\"1812, 1813\"",
    "local all all radius radiusservers=192.0.2.1 radiussecrets=a radiusidentifiers=b",
    "local all all pam pamservice=postgresql pam_use_hostname=1",
];

/// Lines that neither takes.
const BAD: [&str; 56] = [
    "local",
    "local all",
    "local all all",
    "local all all all peer",
    "local all all 127.0.0.1/32 peer",
    "local all all cert",
    "local all all gss",
    "local all all peer clientcert=verify-ca",
    "local all all peer clientname=CN",
    "local,hostssl all all peer",
    "LOCAL all all peer",
    "host-ssl all all all md5",
    "include_if_exists",
    "hostssl all all",
    "hostssl all all all",
    "hostssl all all scram-sha-256",
    "hostssl all all all peer",
    "hostssl all all all sspi",
    "hostssl all all all bsd",
    "hostssl all all all scram-sha256",
    "hostssl all all all MD5",
    "hostssl all all all md5,scram-sha-256",
    "hostssl all all all md5 trust",
    "hostssl \"all all all md5",
    "hostssl all all 10.0.0.1 md5",
    "hostssl all all 10.0.0.0 255.0.0.0",
    "hostssl all all 10.0.0.0 ffff:: md5",
    "hostssl all all 10.0.0.0 255.0.0.0,255.255.0.0 md5",
    "hostssl all all 10.0.0.0/8,192.0.2.0/24 md5",
    "hostssl all all 10.0.0.0/33 md5",
    "hostssl all all 10.0.0.0/ md5",
    "hostssl all all 10.0.0.0/255.0.0.0 md5",
    "hostssl all all ::/129 md5",
    "hostssl all all db.example.com/24 md5",
    "hostssl all all all cert clientcert=verify-ca",
    "hostssl all all all cert clientname=SAN",
    "hostssl all all all md5 clientcert=yes",
    "hostssl all all all md5 clientcrt=verify-ca",
    "hostssl all all all md5 map=people",
    "hostssl all all all md5 pamservice=postgresql",
    "hostssl all all all gss upn_username=1",
    "hostssl all all all ldap",
    "hostssl all all all ldap ldapprefix=a ldapbasedn=b",
    "hostssl all all all ldap ldapbasedn=b ldapsearchattribute=c ldapsearchfilter=d",
    "hostssl all all all ldap ldapurl=https://192.0.2.1/dc=example",
    "hostssl all all all ldap ldapurl=ldap://192.0.2.1",
    "hostssl all all all ldap ldapurl=ldaps://",
    "hostssl all all all ldap \"ldapurl=ldaps://192.0.2.1/dc=x?uid?sub?(a=b)\"",
    "hostssl all all all ldap \"ldapurl=ldap://192.0.2.1/dc=x?uid\" ldapsearchfilter=(a=b)",
    "hostssl all all all ldap ldapurl=ldaps://192.0.2.1:abc/dc=x",
    "hostssl all all all ldap \"ldapurl=ldaps://192.0.2.1/dc=x?uid?bogus\"",
    "hostssl all all all ldap ldapurl=ldap://u:p@192.0.2.1/dc=x",
    "hostssl all all all radius radiusservers=192.0.2.1",
    "hostssl all all all radius radiusservers=192.0.2.1 radiussecrets=a radiusports=b",
    "hostssl all all all radius radiusservers=\"192.0.2.1,192.0.2.2,192.0.2.3\" radiussecrets=\"a,b\"",
    "hostssl all all all oauth issuer=https://idp.example",
];

/// Lines that PostgreSQL takes and we do not, and why.
const STRICTER: [(&str, &str); 14] = [
    ("host all all all scram-sha-256", "it is for plaintext as well"),
    ("hostnossl all all all reject", "nobody comes without TLS"),
    ("hostgssenc all all all gss", "nobody comes without TLS"),
    ("# the office", "it is no rule; YAML has comments"),
    ("local all all peer \\", "what follows would be part of it"),
    ("hostssl all all 10.0.0.300 md5", "no host has this name"),
    ("hostssl all all *.example.com md5", "no host has this name"),
    ("hostssl all all 10/8 md5", "it is 0.0.0.10/8"),
    ("hostssl all all 0xa 0xff md5", "it is 0.0.0.10"),
    ("hostssl all all all ldap ldapbasedn=b ldaptls=yes", "it means no"),
    ("hostssl all all all pam pam_use_hostname=yes", "it means no"),
    ("hostssl all all all ldap ldapbasedn=b ldapscheme=http", "nobody can log in"),
    ("hostssl all all all ldap ldapbasedn=b ldapport=389a", "it is 389"),
    ("hostssl all all all ldap ldapbasedn=\"dc=example", "the quote is not closed"),
];

/// Lines that we take, of which the guest alone knows whether they are good.
const OF_THE_GUEST: [&str; 1] = ["local @databases all peer"];

/// PostgreSQL, which says of each line of a file what is wrong with it, without reading it to use.
struct Judge {
    server: Server,
    psql: PathBuf,
    file: PathBuf,
    version: String,
}

impl Judge {
    /// `None` where PostgreSQL is not installed.
    fn start() -> Option<Self> {
        let (bin, psql) = (postgresql_programs()?, tool("psql")?);
        let secret = servers::secret(&servers::ca("Test authority"), &servers::leaf());
        let server = postgresql(&bin, secret.path(), "host all all all trust\n", &["ssl=on"]);
        let mut judge = Self { server, psql, file: PathBuf::new(), version: String::new() };
        judge.file = judge.ask("show hba_file").into();
        judge.version = judge.ask("select current_setting('server_version_num')::int / 10000");
        Some(judge)
    }

    fn ask(&self, query: &str) -> String {
        let connection = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.server.port);
        let done =
            output(Command::new(&self.psql).args(["-XAt", &connection, "-c", query]).env("HOME", "/nonexistent"));
        assert!(done.status.success(), "{}", said(&done));
        said(&done).trim_end().to_owned()
    }

    /// Whether PostgreSQL takes each line, and whether we do.
    fn verdicts(&self, lines: &[String]) -> Vec<(bool, bool)> {
        // Each with an empty line behind it, with which a backslash may join it.
        fs::write(&self.file, lines.iter().map(|line| format!("{line}\n\n")).collect::<String>()).unwrap();
        // Some of what it cannot read it only logs.
        let bad = self.ask("select line_number from pg_hba_file_rules where error is not null or type is null");
        let bad: Vec<usize> = bad.lines().map(|number| number.parse().unwrap()).collect();
        let ours = refused(lines, &self.version);
        (0..lines.len()).map(|i| (!bad.contains(&(2 * i + 1)), !ours.contains(&i))).collect()
    }
}

fn with(lines: &[String], version: &str) -> String {
    let hba = serde_json::to_string(lines).unwrap();
    let database = format!("{{postgresql: {{version: \"{version}\", hba: {hba}}}}}");
    document(&format!("database: {database}\nos: {{family: debian, image: i}}"))
}

/// Which of the lines are refused.
fn refused(lines: &[String], version: &str) -> Vec<usize> {
    let problems = match parse(&with(lines, version)) {
        Ok(_) => Vec::new(),
        Err(SpecError::Fields(problems)) => problems,
        Err(error) => panic!("{error}"),
    };
    let index = |field: &str| field.strip_prefix("spec.database.postgresql.hba[")?.strip_suffix(']')?.parse().ok();
    problems.iter().map(|problem| index(&problem.field).unwrap_or_else(|| panic!("{problem}"))).collect()
}

#[test]
fn postgresql_takes_what_render_takes_and_starts_with_nothing_that_it_refuses() {
    let Some(judge) = Judge::start() else { return };
    let groups = [
        (GOOD.to_vec(), (true, true)),
        (BAD.to_vec(), (false, false)),
        (STRICTER.map(|(line, _)| line).to_vec(), (true, false)),
        (OF_THE_GUEST.to_vec(), (false, true)),
    ];
    let lines: Vec<String> = groups.iter().flat_map(|(lines, _)| lines).map(|line| (*line).to_owned()).collect();
    let expected = groups.iter().flat_map(|(lines, verdicts)| lines.iter().map(|_| *verdicts));
    let wrong: Vec<_> =
        lines.iter().zip(judge.verdicts(&lines)).zip(expected).filter(|((_, is), to_be)| is != to_be).collect();
    assert!(wrong.is_empty(), "(PostgreSQL, render) and what they should say: {wrong:#?}");
}

#[test]
fn what_is_said_of_each_line_that_is_refused_is_as_it_was() {
    let lines = BAD.into_iter().chain(STRICTER.map(|(line, _)| line));
    let told = lines.map(|line| format!("{line}\n  {}\n", parse(&with(&[line.to_owned()], "17")).unwrap_err()));
    insta::assert_snapshot!(told.collect::<String>());
}

/// Parts of lines, good and bad ones, each of which stands beside any of the others.
fn line() -> impl Strategy<Value = String> {
    let part = |parts: &'static [&'static str]| prop::sample::select(parts);
    let names = part(&[
        "all",
        "sameuser",
        "shop,reports",
        "\"my db\"",
        "a\"b \"\"c\"d",
        "replication",
        "+team",
        "\"\"",
        "a, b",
    ]);
    let addresses = part(&[
        "all",
        "samehost",
        "\"all\"",
        "10.0.0.0/8",
        "10.0.0.0 255.0.0.0",
        "::/0",
        "2001:db8:: ffff::",
        "db.example.com",
        ".example.com",
        "10.0.0.1",
        "10.0.0.0/40",
        "db/8",
        "all,samenet",
        "",
    ]);
    let methods = part(&[
        "trust",
        "reject",
        "scram-sha-256",
        "md5",
        "password",
        "ident",
        "peer",
        "cert",
        "gss",
        "ldap",
        "radius",
        "pam",
        "sspi",
        "MD5",
        "\"md5\"",
        "",
    ]);
    let options = part(&[
        "map=m",
        "clientcert=verify-ca",
        "clientcert=verify-full",
        "clientcert=no",
        "clientname=CN",
        "clientname=XN",
        "pamservice=p",
        "include_realm=1",
        "krb_realm=K",
        "ldapserver=h",
        "ldapbasedn=b",
        "ldapprefix=p",
        "ldapsuffix=",
        "ldapsearchattribute=a",
        "ldapsearchfilter=f",
        "ldapport=389",
        "ldapport=0",
        "ldaptls=1",
        "radiusservers=192.0.2.1",
        "radiussecrets=s",
        "radiussecrets=s,t",
        "radiussecrets=",
        "\"radiusports=1812,1813\"",
        "radiusports=1812",
        "nothing=1",
        "bare",
        "# comment",
    ]);
    // Options that belong together, or nothing of the kind would be taken.
    let groups = part(&["radiusservers=192.0.2.1 radiussecrets=s", "ldapbasedn=b", "ldapprefix=p", "", "", ""]);
    let local = (names.clone(), names.clone()).prop_map(|(database, user)| format!("local {database} {user}"));
    let remote = (names.clone(), names, addresses)
        .prop_map(|(database, user, address)| format!("hostssl {database} {user} {address}"));
    (prop_oneof![local, remote], methods, groups, prop::collection::vec(options, 0..3))
        .prop_map(|(start, method, group, options)| format!("{start} {method} {group} {}", options.join(" ")))
}

#[test]
fn postgresql_and_render_agree_on_whatever_is_put_together_from_parts() {
    let Some(judge) = Judge::start() else { return };
    let taken = Cell::new(0);
    let lines = prop::collection::vec(line(), 60);
    TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() })
        .run(&lines, |lines| {
            for (line, (theirs, ours)) in lines.iter().zip(judge.verdicts(&lines)) {
                prop_assert_eq!(theirs, ours, "PostgreSQL and render of {:?}", line);
                taken.set(taken.get() + usize::from(ours));
            }
            Ok(())
        })
        .unwrap();
    assert!(taken.get() > 40, "only {} were taken", taken.get());
}

#[test]
fn what_is_wrong_with_a_line_is_said_with_what_to_write() {
    let methods = "write one of scram-sha-256, cert, peer, reject, trust, md5, password, ident, gss, ldap, pam, radius";
    for (line, why) in [
        ("local all all", "in `local all all` the method is missing; write local DATABASE USER METHOD"),
        (
            "hostssl all all md5",
            "in `hostssl all all md5` the method is missing; write hostssl DATABASE USER ADDRESS METHOD",
        ),
        (
            "hostssl all all a,b md5",
            "in `hostssl all all a,b md5` there is more than one address; write one, and further lines for the others",
        ),
        ("hostssl all all 10.0.0.1 md5", "in `hostssl all all 10.0.0.1 md5` `10.0.0.1` has no mask; write 10.0.0.1/32"),
        ("hostssl all all ::1 md5", "in `hostssl all all ::1 md5` `::1` has no mask; write ::1/128"),
        (
            "hostssl all all ::/129 md5",
            "in `hostssl all all ::/129 md5` `::/129` has no length from 0 to 128 behind its slash",
        ),
        (
            "hostssl all all 10.0.0.300 md5",
            "in `hostssl all all 10.0.0.300 md5` `10.0.0.300` is no address; write a network such as 192.0.2.0/24, a host's name, \
             .example.com for the names of a domain, all, samehost or samenet",
        ),
        ("hostssl all all all scram", &format!("in `hostssl all all all scram` `scram` is no method; {methods}")),
        (
            "local all all all trust",
            &format!("in `local all all all trust` `all` is no method, and a local line has no address; {methods}"),
        ),
        (
            "hostssl all all all peer",
            "in `hostssl all all all peer` peer is for local lines; write scram-sha-256 or cert",
        ),
        (
            "hostssl all all all md5 x",
            "in `hostssl all all all md5 x` `x` is no option; write NAME=VALUE, in quotes where a blank or comma is in it",
        ),
        (
            "hostssl all all all md5 map=m",
            "in `hostssl all all all md5 map=m` `map` is no option of md5 here, which takes clientcert, clientname",
        ),
        ("local all all md5 map=m", "in `local all all md5 map=m` `map` is no option of md5 here, which takes none"),
        (
            "hostssl all all all md5 clientcert=1",
            "in `hostssl all all all md5 clientcert=1` clientcert is `1`; write verify-ca or verify-full",
        ),
        (
            "hostssl \"a all all md5",
            "in `hostssl \"a all all md5` a quote is not closed; close it, or write \"\" for one that is part of a name",
        ),
        ("local all all peer\\", "ends with a backslash, and so would go on with the next line; leave it out"),
        ("local all all peer\0", "has the character '\\0'; write plain text"),
        (" # none", "is no rule; write one, or leave it out"),
        ("include /etc/hba", "begins with `include`; begin with local or hostssl, since nobody connects without TLS"),
    ] {
        let text = with(&["local all all peer".to_owned(), line.to_owned()], "15");
        crate::input::refused(text, &[&format!("spec.database.postgresql.hba[1]: {why}")]);
    }
}

#[test]
fn what_a_version_does_not_know_is_refused_for_it() {
    for (line, before, from) in [
        ("hostssl all all all md5 clientname=DN", "13", "14"),
        ("hostssl all all all oauth issuer=https://idp.example scope=openid", "17", "18"),
    ] {
        let refused = |version| refused(&[line.to_owned()], version);
        assert_eq!((refused(before), refused(from)), (vec![0], vec![]), "{line}");
    }
}

#[test]
fn a_password_in_a_line_is_in_no_message() {
    for line in [
        "hostssl all all 10.0.0.1 ldap ldapbasedn=b ldapbindpasswd=hunter2",
        "hostssl all all all ldap ldapbasedn=b ldapbindpasswd=hun hunter2",
        "hostssl all all all ldap ldapbasedn=b ldapbindpassword=hunter2",
        "hostssl all all all ldap ldapbasedn=b ldapbindpaswd=hunter2",
        "hostssl all all all ldap ldapbindpassword = hunter2",
        "hostssl all all all ldap ldapbindpw:hunter2",
        "hostssl all all all ldap ldapurl=ldap://u:hunter2@h/ ldapprefix=x",
        "hostssl all all all ldap ldapbindpa\"\"sswd=hunter2 foo",
        "hostssl all all all radius radiussec\"ret\"s=hunter2 foo",
        "hostssl all all all ldap ldapbindpa\u{17f}\u{17f}wd=hunter2",
        "hostssl all all all scram-sha-256 BEGIN PRIVATE\tKEY hunter2",
        "hostssl all all all ldap ldapbasedn=b ldapport=hunter2 ldapbindpasswd=",
        "hostssl all all all radius radiussecrets=hunter2",
        "hostssl all all all radius radiusservers=192.0.2.1 radiussecrets=\"hunter2",
        "hunter2 all all all ldap ldapbindpasswd=hunter2",
    ] {
        let error = parse(&with(&[line.to_owned()], "15")).unwrap_err().to_string();
        assert!(
            error.starts_with("spec.database.postgresql.hba[0]: ") && !error.contains("hunter2"),
            "{line}: {error}"
        );
    }
    let long = format!("hostssl all {} all scram-sha-256", "u".repeat(11_000));
    let error = parse(&with(&[long], "15")).unwrap_err().to_string();
    assert!(error.contains("has 11030 bytes, which is more than PostgreSQL reads; write at most 4096"), "{error}");
}

#[test]
fn render_says_which_line_asks_for_no_password() {
    let notes = |line: &str| render(&with(&["local all all trust".to_owned(), line.to_owned()], "15")).notes.join("\n");
    let trust = "spec.database.postgresql.hba[1]: `trust` asks for no password, and whoever reaches the port is the user that he \
                 names; write scram-sha-256, or add clientcert=verify-full\n";
    for line in ["hostssl all all all trust", "hostssl all all all trust clientcert=verify-ca"] {
        let said = notes(line);
        assert!(said.starts_with(trust), "{line}: {said}");
    }
    for line in ["hostssl all all all trust clientcert=verify-full", "hostssl all app all reject # trust"] {
        let said = notes(line);
        assert!(!said.contains("password"), "{line}: {said}");
    }
}

proptest! {
    #[test]
    fn no_line_makes_the_check_panic(start in "(local|hostssl)?", rest in any::<String>()) {
        drop(parse(&with(&[format!("{start} {rest}"), rest], "15")));
    }
}
