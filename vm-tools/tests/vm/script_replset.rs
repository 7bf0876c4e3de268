//! The guest's script `tandem-replset`, really run, with the real mongosh.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose::ClientAuth,
    ExtendedKeyUsagePurpose::ServerAuth, IsCa, KeyPair,
};
use serde_json::json;
use tempfile::TempDir;

use crate::live::Lines;
use crate::mongod::{Member, Members};
use crate::support::{example, finish, guest_files, kill, output, render, said, skipped, start};

/// The folder of mongosh, as `make tools` installs it.
pub(crate) fn mongosh() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/mongosh/node_modules/.bin");
    if folder.join("mongosh").exists() {
        return Some(folder.canonicalize().unwrap());
    }
    skipped("mongosh is not installed: make tools");
    None
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    // Not the name of the certificates, which would then pass for self-signed.
    params.distinguished_name.push(rcgen::DnType::CommonName, "Test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Three members, and the first one's guest.
struct Set {
    folder: TempDir,
    members: Members,
    path: Option<String>,
}

impl Set {
    fn new(states: [Member; 3]) -> Self {
        let (folder, authority, key) = (TempDir::new().unwrap(), authority(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ServerAuth, ClientAuth];
        let certificate = params.signed_by(&key, &authority).unwrap();
        let pem = key.serialize_pem() + &certificate.pem();
        let members = Members::start(&states, &pem, &authority.pem());
        fs::write(folder.path().join("mongodb.pem"), pem).unwrap();
        fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        fs::write(folder.path().join("tandem-replset"), script()).unwrap();
        let set = Self { folder, members, path: None };
        set.configure(&set.hosts());
        set
    }

    fn hosts(&self) -> Vec<String> {
        self.members.ports.iter().map(|port| format!("localhost:{port}")).collect()
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn configure(&self, hosts: &[String]) {
        let members: String = hosts.iter().map(|host| format!("MEMBER='{host}'\n")).collect();
        let (pem, ca) = (self.file("mongodb.pem"), self.file("ca.crt"));
        fs::write(self.file("replset.conf"), format!("SET='orders'\n{members}PEM='{pem}'\nCA='{ca}'\n")).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command.args([self.file("tandem-replset"), "--config".to_owned(), self.file("replset.conf")]);
        command.args(["--pause", "0.2"]).env("TMPDIR", self.folder.path());
        command.env("PATH", self.path.clone().unwrap_or_else(|| std::env::var("PATH").unwrap()));
        command
    }

    fn run(&self) -> Output {
        output(&mut self.command())
    }

    fn in_set(&self) -> Member {
        Member::In("orders".to_owned(), self.hosts())
    }
}

/// The set, with mongosh in its PATH; nothing where mongosh is missing.
fn with_mongosh(states: [Member; 3]) -> Option<Set> {
    let mongosh = mongosh()?;
    let mut set = Set::new(states);
    set.path = Some(format!("{}:{}", mongosh.display(), std::env::var("PATH").unwrap()));
    Some(set)
}

fn script() -> String {
    let rendered = render(&example("mongodb-replica-set/databasevm.yaml"));
    guest_files(&rendered.user_data).remove("/usr/local/sbin/tandem-replset").unwrap().content
}

#[test]
fn the_set_is_initiated_once_all_members_answer_and_only_once() {
    let Some(set) = with_mongosh([Member::New, Member::New, Member::Down]) else { return };
    let first = start(&mut set.command());
    // It has been asked twice: so the first round was waited out.
    set.members.wait("the second member is asked twice", |world| {
        world.asked.iter().filter(|member| **member == 1).count() >= 2
    });
    assert_eq!(set.members.world().initiated.len(), 0);
    set.members.set(2, Member::New);
    let done = finish(first);
    let hosts = set.hosts();
    let told = said(&done);
    assert!(done.status.success(), "{told}");
    assert!(told.contains(&format!("tandem-replset: waiting for {}\n", hosts[2])), "{told}");
    assert!(told.ends_with(&format!("tandem-replset: initiated the set orders: {}\n", hosts.join(" "))), "{told}");
    assert_eq!(told.matches("waiting").count(), 1, "{told}");
    let again = set.run();
    let expected = "tandem-replset: this member belongs to the set orders: nothing to initiate\n";
    assert_eq!((again.status.code(), said(&again).as_str()), (Some(0), expected));
    let [a, b, c] = &hosts[..] else { panic!() };
    let expected =
        json!({"_id": "orders", "members": [{"_id": 0, "host": a}, {"_id": 1, "host": b}, {"_id": 2, "host": c}]});
    let mut initiated = set.members.world().initiated.clone();
    // mongosh counts the configuration's version, as MongoDB asks for.
    initiated.iter_mut().for_each(|configuration| drop(configuration.as_object_mut().unwrap().remove("version")));
    assert_eq!(initiated, [expected]);
}

#[test]
fn cut_short_while_it_initiates_it_may_be_run_again() {
    let Some(set) = with_mongosh([Member::New, Member::New, Member::New]) else { return };
    set.members.world().silent = true;
    let mut first = start(&mut set.command());
    set.members.wait("the set is initiated", |world| !world.initiated.is_empty());
    kill(first.child().id());
    finish(first);
    let again = set.run();
    let expected = "tandem-replset: this member belongs to the set orders: nothing to initiate\n";
    assert_eq!((again.status.code(), said(&again).as_str()), (Some(0), expected));
    assert_eq!(set.members.world().initiated.len(), 1);
}

#[test]
fn what_mongodb_refuses_is_said_and_tried_again() {
    let Some(set) = with_mongosh([Member::New, Member::New, Member::New]) else { return };
    set.members.world().refuse = 1;
    let done = set.run();
    let refused = "tandem-replset: not initiated yet: NodeNotFound: replSetInitiate quorum check failed\n";
    assert!(done.status.success() && said(&done).starts_with(refused), "{}", said(&done));
    assert_eq!(set.members.world().initiated.len(), 1);
}

#[test]
fn a_set_that_is_not_seen_at_once_is_waited_for_and_not_initiated_again() {
    let Some(set) = with_mongosh([Member::New, Member::New, Member::New]) else { return };
    set.members.world().slow = 2;
    let done = set.run();
    let expected = format!(
        "tandem-replset: mongod took the configuration of the set orders, and does not show it yet\n\
         tandem-replset: initiated the set orders: {}\n",
        set.hosts().join(" ")
    );
    assert_eq!((done.status.code(), said(&done)), (Some(0), expected));
    assert_eq!(set.members.world().initiated.len(), 1);
}

#[test]
fn a_first_member_with_a_new_disk_initiates_no_second_set() {
    let Some(set) = with_mongosh([Member::New, Member::New, Member::New]) else { return };
    set.members.set(2, set.in_set());
    let done = set.run();
    let expected = format!(
        "tandem-replset: {} belongs to the set orders already, and this member, whose data is new, does not: the set takes \
         it in by itself\n",
        set.hosts()[2]
    );
    assert_eq!((done.status.code(), said(&done)), (Some(0), expected));
    assert_eq!(set.members.world().initiated.len(), 0);
}

#[test]
fn members_of_another_set_or_of_none_stop_it() {
    let other = Member::In("other".to_owned(), vec!["elsewhere:27017".to_owned()]);
    for (member, state, expected) in [
        (
            0,
            other.clone(),
            "this member belongs to another set: in other elsewhere:27017; the data on its disk is not of the set orders",
        ),
        (
            1,
            other,
            "HOST belongs to another set: in other elsewhere:27017; give it an empty data disk, or take it out of that set",
        ),
        (0, Member::Alone, "mongod runs without replication; its configuration needs replication.replSetName: orders"),
        (2, Member::Alone, "HOST runs without replication; its mongod.conf needs replication.replSetName: orders"),
    ] {
        let Some(set) = with_mongosh([Member::New, Member::New, Member::New]) else { return };
        set.members.set(member, state);
        let done = set.run();
        let expected = format!("tandem-replset: {}\n", expected.replace("HOST", &set.hosts()[member]));
        assert_eq!((done.status.code(), said(&done)), (Some(1), expected));
        assert_eq!(set.members.world().initiated.len(), 0);
    }
}

#[test]
fn a_member_that_the_set_does_not_have_is_named_with_the_command_for_it() {
    let Some(set) = with_mongosh([Member::New, Member::New, Member::New]) else { return };
    let hosts = set.hosts();
    set.members.set(0, Member::In("orders".to_owned(), hosts[..2].to_vec()));
    let done = set.run();
    let expected =
        format!("the set does not have {0} yet; add it on the primary, in mongosh: rs.add('{0}')\n", hosts[2]);
    assert!(done.status.success() && said(&done).ends_with(&expected), "{}", said(&done));
}

#[test]
fn a_server_of_another_authority_is_no_member() {
    let Some(set) = with_mongosh([Member::New, Member::New, Member::New]) else { return };
    fs::write(set.file("ca.crt"), authority().pem()).unwrap();
    let mut waiting = start(&mut set.command());
    let line = Lines::of(waiting.child().stdout.take().unwrap()).next();
    kill(waiting.child().id());
    finish(waiting);
    let waiting = format!("tandem-replset: waiting for mongod on 127.0.0.1:{}: ", set.members.ports[0]);
    // For this reason and no other, such as a mongosh that does not run.
    assert!(line.starts_with(&waiting) && line.contains("certificate signature failure"), "{line}");
    let world = set.members.world();
    assert_eq!((world.initiated.len(), world.asked.len()), (0, 0));
}

#[test]
fn without_mongosh_it_says_what_to_do() {
    let mut set = Set::new([Member::New, Member::New, Member::New]);
    // The tools of a guest, and no mongosh among them.
    let tools = set.folder.path().join("bin");
    fs::create_dir(&tools).unwrap();
    for name in ["sh", "mktemp", "rm"] {
        std::os::unix::fs::symlink(crate::support::tool(name).unwrap(), tools.join(name)).unwrap();
    }
    set.path = Some(tools.display().to_string());
    let done = set.run();
    let expected = "tandem-replset: mongosh is not installed, so the set orders is not initiated; install it and run: \
                    systemctl start tandem-replset\n";
    assert_eq!((done.status.code(), said(&done).as_str()), (Some(1), expected));
}
