//! `tandem-tls --reload` and MongoDB: the real mongosh, which runs what the script has for it against a stand-in for mongod.

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use tandem_vm::guest::{Reload, StartTls};

use crate::live::{Live, same_certificate, served};
use crate::mongod::{Member, Members};
use crate::script_replset::mongosh;
use crate::secret::{Secret, authority, secret_with};

struct Mongod {
    live: Live,
    members: Members,
    /// The first is the one that it was started with.
    secrets: [Secret; 3],
}

impl Mongod {
    /// One that asks each client for a certificate; nothing where mongosh is missing. With a credential file in the guest, if its
    /// text is given.
    fn start(credentials: Option<&str>) -> Option<Self> {
        let (mongosh, live, authority) = (mongosh()?.join("mongosh"), Live::new(), authority());
        // What it keeps of its own is gone with the folder.
        live.program("mongosh", &format!("HOME={} exec {} \"$@\"", live.text(""), mongosh.display()));
        let credentials = credentials.map(|text| {
            live.write("credentials", text, 0o600);
            live.text("credentials")
        });
        let configure = |port| {
            live.configure(&live.tls(Reload::MongoDb { credentials: credentials.clone() }, port, StartTls::Direct));
        };
        let for_both =
            |params: &mut rcgen::CertificateParams| params.extended_key_usages = vec![ServerAuth, ClientAuth];
        let secrets = [(); 3].map(|()| secret_with(&authority, for_both));
        let first = &secrets[0];
        configure(1);
        live.renew(first);
        live.boot();
        let members = Members::start(&[Member::Alone], &format!("{}{}", first.key, first.chain), &first.ca);
        members.world().folder = live.path("tls");
        configure(members.ports[0]);
        Some(Self { live, members, secrets })
    }

    fn serves(&self, secret: &Secret) -> bool {
        same_certificate(&served(self.members.ports[0], StartTls::Direct), &secret.chain)
    }
}

#[test]
fn the_real_mongosh_has_the_certificates_rotated_and_what_mongod_refuses_brings_the_old_files_back() {
    let Some(mongod) = Mongod::start(None) else { return };
    let (live, [old, new, newer]) = (&mongod.live, &mongod.secrets);
    assert!(mongod.serves(old));
    live.renew(new);
    live.tick_says(0, &["installed ", "the service has taken them (mongodb)"]);
    assert!(mongod.serves(new));
    live.tick_is_silent();
    // It is told of the new ones, and then of those that come back.
    mongod.members.world().refuse = 2;
    live.renew(newer);
    live.tick_says(
        1,
        &[
            "mongosh says: MongoServerError",
            "Can not set up PEM key file.",
            "the old files are back in place, and served",
        ],
    );
    assert_eq!(live.read("tls/tls.crt"), new.chain);
    assert!(mongod.serves(new));
    let world = mongod.members.world();
    assert_eq!((world.rotated, world.refuse, world.logins.len()), (1, 0, 0));
}

#[test]
fn the_real_mongosh_takes_user_and_password_from_the_credential_file_and_says_that_the_login_failed() {
    let Some(mongod) = Mongod::start(Some("rotator\nvery secret\n")) else { return };
    let (live, [old, new, _]) = (&mongod.live, &mongod.secrets);
    live.renew(new);
    let said = live.tick_says(
        1,
        &["mongosh says: MongoServerError", "Authentication failed.", "the old files are back in place, and served"],
    );
    assert!(!said.contains("rotator") && !said.contains("very secret"), "{said}");
    assert_eq!(live.read("tls/tls.crt"), old.chain);
    assert!(mongod.serves(old));
    let world = mongod.members.world();
    // The first message of SCRAM names the user: RFC 5802, section 7.
    let logins = &world.logins;
    assert!(!logins.is_empty() && logins.iter().all(|login| login.starts_with("n,,n=rotator,r=")), "{logins:?}");
    assert_eq!(world.rotated, 0);
}
