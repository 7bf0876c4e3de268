//! Redis and Valkey, as the distributions package them. The server is started with a configuration of ours that includes the
//! package's: theirs stays as it is, and what is said later wins.

use minijinja::context;

use super::server::Server;
use super::templates::Templates;
use crate::RenderError;
use crate::guest::{Content, GuestTls, InstalledFile, Owner, Reload, Source, WriteFile};
use crate::spec::{ClientAuth, Document, Family, Redis, RedisServer};

pub(super) fn server(
    document: &Document,
    redis: &Redis,
    source: Source,
    templates: &Templates,
) -> Result<Server, RenderError> {
    let family = document.spec.os.family;
    // Also the name of the user and of the folders.
    let (name, start) = match redis.server {
        RedisServer::Redis => {
            ("redis", "ExecStart=/usr/bin/redis-server /etc/tandem/redis.conf --supervised systemd --daemonize no")
        }
        RedisServer::Valkey => {
            ("valkey", "ExecStart=/usr/bin/valkey-server /etc/tandem/valkey.conf --supervised systemd --daemonize no")
        }
    };
    let unit = match family {
        Family::Rhel => format!("{name}.service"),
        Family::Debian => format!("{name}-server.service"),
    };
    // Root's way in, whatever certificate the server asks of others.
    let socket = format!("/run/{name}/tandem.sock");
    let [certificate, key, ca] = ["tls.crt", "tls.key", "ca.crt"].map(|file| format!("/etc/ssl/{name}/{file}"));
    let config = templates.render(
        "redis.conf",
        context! {
            package_config => format!("/etc/{name}/{name}.conf"),
            port => document.spec.database.port(),
            socket => socket.as_str(),
            certificate => certificate.as_str(),
            key => key.as_str(),
            ca => ca.as_str(),
            client_required => redis.client_auth == ClientAuth::Required,
        },
    )?;
    let file = |content, path, owner: Option<&str>, mode| InstalledFile {
        content,
        path,
        owner: owner.map(|user| Owner { user: user.to_owned(), group: None }),
        mode,
    };
    Ok(Server {
        tls: GuestTls {
            files: vec![
                file(Content::Certificate, certificate, None, 0o644),
                file(Content::Key, key, Some(name), 0o400),
                file(Content::Ca, ca, None, 0o644),
            ],
            before: vec![unit.clone()],
            reload: Reload::Redis { credentials: redis.credential_file.clone(), socket: Some(socket) },
            ..GuestTls::redis(family, source)
        },
        user: name.to_owned(),
        unit: Some(unit),
        enable: None,
        data_folder: Some(format!("/var/lib/{name}")),
        files: vec![WriteFile::text(format!("/etc/tandem/{name}.conf"), config)],
        service: vec![
            "ExecStart=",
            start,
            "# The RHEL family's would look for the port without TLS; the signal that follows is enough.",
            "ExecStop=",
        ],
    })
}
