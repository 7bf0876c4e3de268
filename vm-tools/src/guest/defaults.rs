//! What each database needs, as its packages set it up.

use super::{Content, Endpoint, GuestTls, InstalledFile, Owner, Reload, Source, StartTls};
use crate::spec::Family;

/// Seconds between two looks at a Secret: the kubelet itself needs a minute or two to bring a change.
const POLL: u32 = 30;

impl GuestTls {
    /// MongoDB: `/etc/ssl/mongodb.pem` and `/etc/ssl/ca.crt` before `mongod.service`, told without a password at
    /// 127.0.0.1:27017.
    #[must_use]
    pub fn mongodb(family: Family, source: Source) -> Self {
        let user = match family {
            Family::Rhel => "mongod",
            Family::Debian => "mongodb",
        };
        let files = vec![
            file(Content::Combined, "/etc/ssl/mongodb.pem", Some(user), 0o400),
            file(Content::Ca, "/etc/ssl/ca.crt", None, 0o644),
        ];
        Self {
            files,
            before: vec!["mongod.service".to_owned()],
            reload: Reload::MongoDb { credentials: None },
            endpoint: Some(endpoint(27017, StartTls::Direct)),
            ..Self::files_only(source, "/etc/ssl")
        }
    }

    /// PostgreSQL: `tls.crt`, `tls.key` and `ca.crt` in `/etc/ssl/postgresql` before the server, reloaded by systemd.
    /// Debian's packages run each cluster as an instance of `postgresql@.service`.
    #[must_use]
    pub fn postgresql(family: Family, source: Source) -> Self {
        let service = match family {
            Family::Rhel => "postgresql.service",
            Family::Debian => "postgresql@.service",
        };
        Self {
            files: separate("/etc/ssl/postgresql", Some("postgres")),
            before: vec![service.to_owned()],
            reload: Reload::PostgreSql,
            endpoint: Some(endpoint(5432, StartTls::PostgreSql)),
            ..Self::files_only(source, "/etc/ssl/postgresql")
        }
    }

    /// Redis: `tls.crt`, `tls.key` and `ca.crt` in `/etc/ssl/redis` before the server, told without a password at
    /// 127.0.0.1:6379. With `tls-auth-clients` (Redis's default) give [`Reload::Redis`] the server's socket instead, or
    /// the certificate the usage `client auth`.
    #[must_use]
    pub fn redis(family: Family, source: Source) -> Self {
        let service = match family {
            Family::Rhel => "redis.service",
            Family::Debian => "redis-server.service",
        };
        Self {
            files: separate("/etc/ssl/redis", Some("redis")),
            before: vec![service.to_owned()],
            reload: Reload::Redis { credentials: None, socket: None },
            endpoint: Some(endpoint(6379, StartTls::Direct)),
            ..Self::files_only(source, "/etc/ssl/redis")
        }
    }

    /// Files for whatever reads them: `tls.crt`, `tls.key` (root's alone) and `ca.crt` in a folder, and nobody told.
    #[must_use]
    pub fn files_only(source: Source, folder: &str) -> Self {
        Self {
            source,
            files: separate(folder, None),
            before: Vec::new(),
            reload: Reload::None,
            endpoint: None,
            start: None,
            poll: POLL,
        }
    }
}

fn separate(folder: &str, user: Option<&str>) -> Vec<InstalledFile> {
    vec![
        file(Content::Certificate, &format!("{folder}/tls.crt"), None, 0o644),
        file(Content::Key, &format!("{folder}/tls.key"), user, 0o400),
        file(Content::Ca, &format!("{folder}/ca.crt"), None, 0o644),
    ]
}

fn file(content: Content, path: &str, user: Option<&str>, mode: u32) -> InstalledFile {
    let owner = user.map(|user| Owner { user: user.to_owned(), group: None });
    InstalledFile { content, path: path.to_owned(), owner, mode }
}

fn endpoint(port: u16, start: StartTls) -> Endpoint {
    Endpoint { address: format!("127.0.0.1:{port}"), start }
}
