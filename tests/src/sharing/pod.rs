//! A client with what its pod mounts, and nothing else: the rendered Deployment's volumes and environment.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use rustls::{
    ClientConfig, ClientConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use super::{
    disk,
    mongod::{ANSWER, TIMEOUT, read_chain, read_roots},
};

/// A container's view: its environment, and its Secret volumes in folders.
#[derive(Debug)]
pub struct Pod {
    environment: BTreeMap<String, String>,
    mounts: Vec<(PathBuf, PathBuf)>,
}

impl Pod {
    /// Mounts, beneath `folder`, what the Deployment's first container mounts of Secrets.
    ///
    /// # Errors
    /// Where the Deployment names a Secret or key that is not there.
    pub fn new(
        deployment: &Deployment,
        secrets: &BTreeMap<String, BTreeMap<String, Vec<u8>>>,
        folder: &Path,
    ) -> Result<Self> {
        let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()).context("no pod template")?;
        let container = spec.containers.first().context("no container")?;
        let environment = container.env.iter().flatten();
        let environment = environment.map(|e| (e.name.clone(), e.value.clone().unwrap_or_default())).collect();
        let mut mounts = Vec::new();
        for mount in container.volume_mounts.iter().flatten() {
            let volume = spec.volumes.iter().flatten().find(|volume| volume.name == mount.name).context("no volume")?;
            let alone = volume.secret.iter().map(|secret| (secret.secret_name.as_deref(), &secret.items));
            let sources = volume.projected.iter().filter_map(|projected| projected.sources.as_ref()).flatten();
            let sources = sources.filter_map(|source| source.secret.as_ref());
            let sources: Vec<_> = alone.chain(sources.map(|secret| (Some(&*secret.name), &secret.items))).collect();
            if sources.is_empty() {
                continue;
            }
            let mut files = BTreeMap::new();
            for (name, items) in sources {
                let name = name.unwrap_or_default();
                let secret = secrets.get(name).with_context(|| format!("the Secret {name} does not exist"))?;
                let Some(items) = items else {
                    files.extend(secret.clone());
                    continue;
                };
                for item in items {
                    let value = secret.get(&item.key).with_context(|| format!("{name} has no {}", item.key))?;
                    files.insert(item.path.clone(), value.clone());
                }
            }
            let place = folder.join(&mount.name);
            disk::lay_out(&files, &place)?;
            mounts.push((PathBuf::from(&mount.mount_path), place));
        }
        Ok(Self { environment, mounts })
    }

    /// A variable of the container's environment.
    ///
    /// # Errors
    /// Where it is not set.
    pub fn variable(&self, name: &str) -> Result<&str> {
        self.environment.get(name).map(String::as_str).with_context(|| format!("the Deployment sets no {name}"))
    }

    /// The names of the files that it sees.
    ///
    /// # Errors
    /// Where a folder cannot be read.
    pub fn files(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for (mounted, folder) in &self.mounts {
            for entry in std::fs::read_dir(folder)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if !name.starts_with("..") {
                    names.push(mounted.join(name).display().to_string());
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// Connects to `address` by the host name and with the files that the environment names; returns the server's chain.
    ///
    /// # Errors
    /// Where the server is not trusted, does not have that name, or refuses.
    pub fn connect(&self, address: SocketAddr) -> Result<Vec<CertificateDer<'static>>> {
        self.connect_as(address, self.variable("MONGODB_HOST")?, None)
    }

    /// The same by another name, or with other certificates to trust (a file), to see it refused.
    ///
    /// # Errors
    /// As [`Pod::connect`].
    pub fn connect_as(
        &self,
        address: SocketAddr,
        host: &str,
        trust: Option<&Path>,
    ) -> Result<Vec<CertificateDer<'static>>> {
        let roots = match trust {
            Some(path) => read_roots(path)?,
            None => read_roots(&self.file(self.variable("MONGODB_TLS_CA_FILE")?)?)?,
        };
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let config = match self.environment.get("MONGODB_TLS_CERTIFICATE_FILE") {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let key = self.file(self.variable("MONGODB_TLS_KEY_FILE")?)?;
                builder
                    .with_client_auth_cert(read_chain(&self.file(certificate)?)?, PrivateKeyDer::from_pem_file(key)?)?
            }
        };
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(host.to_owned())?)?;
        let mut stream = StreamOwned::new(connection, connect(address)?);
        stream.write_all(b"?")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        if answer != ANSWER {
            bail!("the server answered something else");
        }
        let chain = stream.conn.peer_certificates().context("the server showed no certificate")?;
        Ok(chain.iter().map(|certificate| certificate.clone().into_owned()).collect())
    }

    fn file(&self, path: &str) -> Result<PathBuf> {
        let path = Path::new(path);
        let found =
            self.mounts.iter().find_map(|(mounted, folder)| Some(folder.join(path.strip_prefix(mounted).ok()?)));
        found.with_context(|| format!("{} is in no mounted Secret", path.display()))
    }
}

/// Speaks to the server without TLS; an error says how it was refused.
///
/// # Errors
/// That is what is hoped for.
pub fn connect_without_tls(address: SocketAddr) -> Result<()> {
    let mut stream = connect(address)?;
    stream.write_all(b"hello without TLS")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("the connection was cut")?;
    if answer == ANSWER { Ok(()) } else { bail!("the server closed the connection without an answer") }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}
