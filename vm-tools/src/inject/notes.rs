//! What is said beside the manifests.

use super::options::{Database, Delivery, Options};
use crate::guest::{GuestTls, InstalledFile, Reload, Server, TlsMode, TlsStart};
use crate::spec::ClientAuth;

impl Options {
    /// What else the user has to do or to know; of a VM that had a cloud-init volume before, or none.
    pub(super) fn notes(&self, guest: &GuestTls, has_cloud_init: bool) -> Vec<String> {
        let file = |file: &InstalledFile| {
            let owner = file.owner.as_ref().map_or("root", |owner| &owner.user);
            format!("{} ({owner}, {:04o})", file.path, file.mode)
        };
        let files: Vec<_> = guest.files.iter().map(file).collect();
        let before = match guest.before.as_slice() {
            [] => String::new(),
            services => format!(" before {} starts", services.join(", ")),
        };
        let named = match &guest.start {
            Some(start) => {
                let unit =
                    if self.exec_start.is_some() { "" } else { "; a unit that starts it otherwise needs --exec-start" };
                let (name, command) = (start.server.name(), &start.exec_start);
                format!("{name} is started with them, by `{command}` and options that win over its configuration{unit}")
            }
            None if self.database == Database::MongoDb => {
                "name them in mongod.conf, as `tandem-vm mongod-conf` does".to_owned()
            }
            None => "name them in the service's configuration".to_owned(),
        };
        let mut notes = vec![format!("the guest, which needs systemd, gets {}{before}; {named}", files.join(", "))];
        notes.extend(guest.start.as_ref().map(who_is_let_in));
        // <https://docs.cloud-init.io/en/latest/explanation/first_boot.html>
        let first_boot = if has_cloud_init {
            "cloud-init writes files at a guest's first boot only: in one that has booted before, run what `tandem-vm inject \
             --guest-script` prints, once the VM has started with its new manifest; `cloud-init clean` would repeat all of the owner's user data"
        } else {
            "it had no cloud-init volume, so a guest that has booted before takes its next start for its first: its cloud-init writes \
             the files, and makes SSH host keys anew besides; in a guest that must not, `touch /etc/cloud/cloud-init.disabled` before, \
             and there, as in one without cloud-init, run what `tandem-vm inject --guest-script` prints once the VM has started with \
             its new manifest"
        };
        notes.push(first_boot.to_owned());
        if self.delivery == Delivery::Filesystem {
            notes.push(
                "a Secret as a filesystem (virtiofs) needs KubeVirt 1.8 or later, or from 1.5 on its feature gate \
                 EnableVirtioFsConfigVolumes"
                    .to_owned(),
            );
        }
        notes.push(match (self.delivery, &guest.reload) {
            (Delivery::Disk, _) => "a renewed certificate reaches the guest when its VM instance is made anew; \
                 with --delivery filesystem it does within minutes"
                .to_owned(),
            (Delivery::Filesystem, Reload::None) => {
                "a renewed certificate is placed within minutes, and served after the service's next start; \
                 --reload-command can tell it"
                    .to_owned()
            }
            (Delivery::Filesystem, Reload::Restart) => {
                "a renewed certificate restarts the service, which drops its connections".to_owned()
            }
            (Delivery::Filesystem, _) => "a renewed certificate is placed and reloaded within minutes".to_owned(),
        });
        notes
    }
}

/// What clients meet that know nothing of TLS yet, and how to go on.
fn who_is_let_in(start: &TlsStart) -> String {
    let (clients, client_auth) = match start.server {
        Server::Postgres => {
            return "PostgreSQL takes clients with TLS and without, as its pg_hba.conf says: once all of them have it, write \
                    hostssl there in place of host; nobody has to show a certificate, unless a line there says \
                    clientcert=verify-ca"
                .to_owned();
        }
        Server::Mongod { mode, client_auth } => {
            let clients = match mode {
                TlsMode::Require => {
                    "mongod turns away whoever comes without TLS, also on 127.0.0.1; where clients or members of its set \
                     cannot do it yet, begin with --tls-mode allowTLS"
                }
                TlsMode::Allow => {
                    "mongod takes clients with TLS and without; once all clients and members have it, go on with --tls-mode \
                     preferTLS"
                }
                TlsMode::Prefer => {
                    "mongod takes clients with TLS and without, and comes to other members with it; once nobody comes without, \
                     go on with --tls-mode requireTLS"
                }
            };
            (clients.to_owned(), client_auth)
        }
        Server::Redis { mode, client_auth, port } => {
            let beside = "at the port of its configuration those without it";
            let clients = match mode {
                TlsMode::Require => format!(
                    "redis listens at port {port}, and turns away whoever comes without TLS, also on 127.0.0.1; where clients \
                     or replicas cannot do it yet, begin with --tls-mode allowTLS"
                ),
                TlsMode::Allow => format!(
                    "redis takes clients with TLS at port {port}, and {beside}; once all clients and replicas have it, go on \
                     with --tls-mode preferTLS"
                ),
                TlsMode::Prefer => format!(
                    "redis takes clients with TLS at port {port}, and {beside}; its primary it reaches with TLS: name that \
                     one's port with TLS in replicaof; once nobody comes without, go on with --tls-mode requireTLS, and with \
                     --endpoint if the port is to stay"
                ),
            };
            (clients, client_auth)
        }
    };
    let certificates = match client_auth {
        ClientAuth::Optional => "nobody has to show a certificate, unless --client-auth Required says so",
        ClientAuth::Required => "with TLS, all have to show a certificate",
    };
    format!("{clients}; {certificates}")
}
