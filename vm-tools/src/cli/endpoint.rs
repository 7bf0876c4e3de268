//! Arguments that say which endpoint is meant, and which Secret stands beside it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ValueEnum, ValueHint};
use jiff::SignedDuration;
use pki_types::ServerName;
use tandem_cli::shown;

use super::{duration, one};
use crate::cluster::{self, ObjectId};
use crate::probe::secret::Material;
use crate::probe::{Endpoint, Protocol, Target};

/// Text for people, or JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct To {
    /// Where to connect: a name or an address, and a port
    #[arg(long, value_name = "HOST:PORT", value_hint = ValueHint::Hostname)]
    endpoint: Endpoint,
    #[command(flatten)]
    pub(super) how: How,
}

/// How to connect, wherever it is.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// What is spoken there
    #[arg(long, value_enum, default_value_t)]
    protocol: Protocol,
    /// The name that the certificate must be for, and that is sent as SNI [default: the endpoint's host]
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Time limit for each connection, and for each answer of the API server
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    timeout: SignedDuration,
    /// The user to name to PostgreSQL; its rules for connections go by it. No password is sent [default: postgres]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The database to name to PostgreSQL [default: the user's name]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

impl To {
    pub(super) fn target(&self) -> Result<Target, Vec<String>> {
        self.how.target(self.endpoint.clone())
    }
}

impl How {
    /// The protocol's own port.
    pub(super) fn default_port(&self) -> Option<u16> {
        match self.protocol {
            Protocol::Tls => None,
            Protocol::Postgresql => Some(5432),
            Protocol::Mongodb => Some(27017),
            Protocol::Redis => Some(6379),
        }
    }

    pub(super) fn timeout(&self) -> Result<Duration, Vec<String>> {
        let timeout =
            Duration::try_from(self.timeout).ok().filter(|timeout| !timeout.is_zero() && timeout.as_secs() <= 3600);
        timeout.ok_or_else(|| vec!["--timeout: write a duration between 1ms and 1h, such as 5s".to_owned()])
    }

    pub(super) fn target(&self, endpoint: Endpoint) -> Result<Target, Vec<String>> {
        let name = self.server_name.as_ref().unwrap_or(&endpoint.host);
        let server_name = ServerName::try_from(name.clone())
            .map_err(|_| vec![format!("--server-name: `{}` is neither a DNS name nor an IP address", shown(name))])?;
        let named = [("--user", &self.user), ("--database", &self.database)];
        if self.protocol != Protocol::Postgresql
            && let Some((option, _)) = named.iter().find(|(_, value)| value.is_some())
        {
            return Err(vec![format!(
                "{option}: is named to PostgreSQL alone; leave it out, or add --protocol postgresql"
            )]);
        }
        let user = self.user.clone().unwrap_or_else(|| "postgres".to_owned());
        let login = (user.clone(), self.database.clone().unwrap_or(user));
        Ok(Target { endpoint, protocol: self.protocol, server_name, timeout: self.timeout()?, login })
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct SecretFrom {
    #[command(flatten)]
    source: Source,
    /// The kubeconfig to use with --secret
    #[arg(long, value_name = "FILE", conflicts_with_all = ["folder", "file"], value_hint = ValueHint::FilePath)]
    kubeconfig: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// A folder with the Secret's tls.crt, ca.crt and, perhaps, tls.key
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    folder: Option<PathBuf>,
    /// The Secret's manifest, or - for standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// The Secret in the cluster, read with your own rights
    #[arg(long, value_name = "NAMESPACE/NAME")]
    secret: Option<ObjectId>,
}

impl SecretFrom {
    /// The Secret in the cluster, where it is that.
    pub(super) fn id(&self) -> Option<&ObjectId> {
        self.source.secret.as_ref()
    }

    pub(super) fn kubeconfig(&self) -> Option<&Path> {
        self.kubeconfig.as_deref()
    }

    pub(super) fn read(&self, stdin: &mut dyn Read, timeout: Duration) -> Result<Material, Vec<String>> {
        match &self.source {
            Source { folder: Some(folder), .. } => Material::from_folder(folder).map_err(one),
            Source { file: Some(file), .. } => Material::from_file(file, stdin),
            Source { secret: Some(id), .. } => cluster::run(async {
                let client = cluster::connect(self.kubeconfig.as_deref(), timeout).await?;
                cluster::secret(&client, id).await
            })
            .map_err(one),
            // clap requires one of them.
            Source { .. } => Err(vec!["name the Secret with --folder, --file or --secret".to_owned()]),
        }
    }
}
