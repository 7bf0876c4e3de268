//! The database in the VM; the field's name says which.

use serde::{Deserialize, Serialize};

use super::{Membership, one_of};

one_of! {
    /// The database in the VM; the field's name says which.
    Database {
        /// MongoDB.
        "mongodb" => MongoDb(MongoDb),
        /// PostgreSQL.
        "postgresql" => PostgreSql(PostgreSql),
        /// Redis, or its fork Valkey.
        "redis" => Redis(Redis),
        /// No database of ours: the Secret's files alone, where the document says.
        "none" => None(FilesOnly),
    }
}

impl Database {
    /// The field's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::MongoDb(_) => "mongodb",
            Self::PostgreSql(_) => "postgresql",
            Self::Redis(_) => "redis",
            Self::None(_) => "none",
        }
    }

    /// The TCP port in the guest, on the VM's interface, in Service and NetworkPolicy, if there is one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::MongoDb(_) => Some(27017),
            Self::PostgreSql(_) => Some(5432),
            Self::Redis(_) => Some(6379),
            Self::None(files) => files.port,
        }
    }

    /// Whether a client must present a certificate; what a VM without a database of ours asks for is not known.
    #[must_use]
    pub fn client_auth(&self) -> ClientAuth {
        match self {
            Self::MongoDb(mongodb) => mongodb.client_auth,
            Self::PostgreSql(postgresql) => postgresql.client_auth,
            Self::Redis(redis) => redis.client_auth,
            Self::None(_) => ClientAuth::Optional,
        }
    }
}

/// MongoDB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct MongoDb {
    /// Release series as MongoDB names its repositories: `MAJOR.MINOR`, 5.0 or later.
    pub version: String,
    /// Whether a client must present a certificate.
    pub client_auth: ClientAuth,
    /// Whether a client must log in. Members of a replica set ask for it in any case.
    pub authorization: Authorization,
    /// Where the database's program comes from.
    pub install: Install,
    /// File in the guest with the credentials of a user who has the role `hostManager` (the name in its first line, the
    /// password in its second; only root may read it). With it, and with mongosh, a certificate that is renewed while the VM
    /// runs comes into use at once (`rotateCertificates`), and open connections stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_file: Option<String>,
    /// Another way than that; only `delivery: filesystem` brings a certificate while the VM runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
    /// Name of the replica set. Default: the document's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_set_name: Option<String>,
    /// How the members of a replica set know one another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<Membership>,
}

impl Default for MongoDb {
    fn default() -> Self {
        Self {
            version: "8.0".to_owned(),
            client_auth: ClientAuth::default(),
            authorization: Authorization::default(),
            install: Install::default(),
            credential_file: None,
            reload: None,
            replica_set_name: None,
            membership: None,
        }
    }
}

/// MongoDB's `security.authorization`:
/// <https://www.mongodb.com/docs/manual/reference/configuration-options/#mongodb-setting-security.authorization>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authorization {
    /// Whoever connects may do everything.
    #[default]
    Disabled,
    /// Whoever logs in may do what the user may.
    Enabled,
}

/// PostgreSQL, as the distribution packages it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct PostgreSql {
    /// Major version, which on Debian is part of the package's name and paths; the default, 15, is Debian 12's. The RHEL
    /// family has one, its own: there the field is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether a client must present a certificate, beside its password.
    pub client_auth: ClientAuth,
    /// What `clientAuth: Required` asks of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clientcert: Option<ClientCert>,
    /// Further lines for pg_hba.conf, before ours: `local` or `hostssl` ones, since nobody connects without TLS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hba: Vec<String>,
    /// Where the database's program comes from.
    pub install: Install,
    /// Another way to bring a certificate into use that is renewed while the VM runs than to have PostgreSQL read its files
    /// again (SIGHUP), by which open connections stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
}

impl PostgreSql {
    /// Debian's version: that of the document, or Debian 12's.
    pub(crate) fn version_on_debian(&self) -> &str {
        self.version.as_deref().unwrap_or("15")
    }
}

/// What PostgreSQL asks of a client's certificate:
/// <https://www.postgresql.org/docs/current/auth-pg-hba-conf.html>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCert {
    /// The same authority.
    #[default]
    VerifyCa,
    /// And the database user's name as common name.
    VerifyFull,
}

/// Redis, or its fork Valkey, as the distribution packages it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Redis {
    /// Which of the two: it names package, user, unit and paths.
    pub server: RedisServer,
    /// Whether a client must present a certificate.
    pub client_auth: ClientAuth,
    /// Where the database's program comes from.
    pub install: Install,
    /// File in the guest with the credentials for CONFIG SET (the name in its first line, the password in its second; only
    /// root may read it), where the server asks for some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_file: Option<String>,
    /// Another way to bring a certificate into use that is renewed while the VM runs than CONFIG SET, by which open
    /// connections stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
}

/// Redis or Valkey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum RedisServer {
    #[default]
    Redis,
    /// What RHEL 10 has in place of Redis.
    Valkey,
}

/// The Secret's files for a program of the user's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FilesOnly {
    /// Where the files go, and to whom.
    pub files: Files,
    /// Unit of the program, such as `nginx.service`: it starts after the files are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What is done when the files have changed while the VM runs. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
    /// TCP port of the program. With it come a Service, a NetworkPolicy and a readiness probe; without it, none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// Where the Secret's files go in the guest, and to whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Files {
    /// Folder, an absolute path. It is made where it is missing.
    pub folder: String,
    /// User who owns the files; has to exist when the certificate is installed.
    #[serde(default = "root")]
    pub owner: String,
    /// Group of the files; the owner's own otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Mode of the files that hold the key, in octal and in quotes; others may not read them.
    #[serde(default = "key_mode")]
    pub mode: String,
    /// File name of the certificate and its chain.
    #[serde(default = "certificate_name")]
    pub certificate: String,
    /// File name of the private key.
    #[serde(default = "key_name")]
    pub key: String,
    /// File name of the authorities to trust.
    #[serde(default = "ca_name")]
    pub ca: String,
    /// File name for key, certificate and chain in one, in place of the two files `certificate` and `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combined: Option<String>,
}

fn root() -> String {
    "root".to_owned()
}

fn key_mode() -> String {
    "0400".to_owned()
}

fn certificate_name() -> String {
    "tls.crt".to_owned()
}

fn key_name() -> String {
    "tls.key".to_owned()
}

fn ca_name() -> String {
    "ca.crt".to_owned()
}

one_of! {
    /// What is done when a renewed certificate has come while the VM runs, in place of the database's own way.
    Reload {
        /// A script for `sh`, which runs as root and fails with a status other than 0.
        "command" => Command(String),
        /// systemd reloads or restarts the service.
        "service" => Service(ServiceReload),
    }
}

/// What systemd does with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceReload {
    /// Its `ExecReload`.
    Reload,
    /// Stop and start; open connections end.
    Restart,
}

/// Whether a client must present a certificate. One that is presented is verified in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "PascalCase")]
pub enum ClientAuth {
    /// Clients verify the server; the server needs no certificate of theirs.
    #[default]
    Optional,
    /// Every client needs a certificate of the same authority.
    Required,
}

/// Where the database's program comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Install {
    /// From a package repository (MongoDB's own, else the distribution's), which the guest reaches at first boot.
    #[default]
    Packages,
    /// It is in the root disk's image, with the package's user, folders and unit; nothing is downloaded.
    Image,
}
