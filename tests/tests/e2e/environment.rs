//! What the tests of this binary share.

use std::sync::LazyLock;

use anyhow::{Result, anyhow};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use tandem_tests::{
    Cluster, ControlPlane, IssuerProcess, Space,
    certificates::{Ca, root_ca},
    issuer,
};

/// A control plane with CRDs, RBAC and a running issuer.
pub(crate) struct Environment {
    pub(crate) control_plane: ControlPlane,
    pub(crate) issuer: IssuerProcess,
}

impl Environment {
    /// Starts one for a test that cannot share.
    pub(crate) fn start() -> Result<Self> {
        // A runtime of its own: the tests' runtimes end with the tests.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let control_plane = ControlPlane::start()?;
        let issuer = runtime.block_on(async {
            issuer::install(&control_plane.cluster().await?).await?;
            IssuerProcess::start(&control_plane).await
        })?;
        Ok(Self { control_plane, issuer })
    }
}

/// The one that is shared; the first test that asks for it starts it.
pub(crate) fn shared() -> Result<&'static Environment> {
    static SHARED: LazyLock<Result<Environment, String>> = LazyLock::new(|| {
        // Not on a runtime's thread, where one must not block.
        std::thread::spawn(|| Environment::start().map_err(|error| format!("{error:#}")))
            .join()
            .unwrap_or_else(|_| Err("starting the environment panicked".to_owned()))
    });
    SHARED.as_ref().map_err(|error| anyhow!("{error}"))
}

/// A namespace on the shared control plane.
pub(crate) async fn space(purpose: &str) -> Result<Space> {
    shared()?.control_plane.cluster().await?.space(purpose).await
}

/// Lets the issuer read the Secrets of a namespace, as a platform engineer would for namespaced issuers.
pub(crate) async fn allow_secrets(space: &Space) -> Result<()> {
    space
        .apply(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tandem-issuer-ca}
rules: [{apiGroups: [''], resources: [secrets], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tandem-issuer-ca}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tandem-issuer-ca}
subjects: [{kind: ServiceAccount, name: tandem-issuer, namespace: tandem}]
",
        )
        .await
        .map(|_| ())
}

/// A namespace with a TandemIssuer `internal-ca` that is ready, and its CA.
pub(crate) async fn space_with_issuer(purpose: &str) -> Result<(Space, Ca)> {
    let space = space(purpose).await?;
    let ca = root_ca(&format!("{} CA", space.name), &PKCS_ECDSA_P256_SHA256)?;
    with_issuer(&space, &ca.as_ref().pem(), ca.key(), None).await?;
    Ok((space, ca))
}

/// Makes a TandemIssuer `internal-ca` of a CA, and waits until it is ready.
pub(crate) async fn with_issuer(space: &Space, certificates: &str, key: &KeyPair, roots: Option<&str>) -> Result<()> {
    allow_secrets(space).await?;
    space.put_tls("internal-ca", certificates, &key.serialize_pem(), roots).await?;
    space
        .apply(
            "
apiVersion: pki.tandem.internal/v1alpha1
kind: TandemIssuer
metadata: {name: internal-ca}
spec: {ca: {secretName: internal-ca}}
",
        )
        .await?;
    space.wait_ready(tandem_tests::cluster::ISSUER, "internal-ca").await?;
    Ok(())
}

/// The shared control plane's client.
pub(crate) async fn cluster() -> Result<Cluster> {
    shared()?.control_plane.cluster().await
}
