//! What the tests of this binary share: two control planes, namespaces, issuers.

use std::sync::LazyLock;

use anyhow::{Result, anyhow, ensure};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::Value;
use tandem_tests::{
    ControlPlane, IssuerProcess, Space, access,
    canary::Canary,
    certificates::{Ca, root_ca},
    cluster::ISSUER,
    helm, issuer,
};

/// The issuer's name in the audit log.
pub(crate) const ISSUER_ACCOUNT: &str = "system:serviceaccount:tandem:tandem-issuer";

/// The control plane's argument for an audit log, and where that is in its folder.
pub(crate) const AUDIT: &str = "--audit-log=audit.json";
pub(crate) const AUDIT_LOG: &str = "audit.json";

/// A control plane with CRDs, RBAC and a running issuer.
pub(crate) struct Environment {
    pub(crate) control_plane: ControlPlane,
    pub(crate) issuer: IssuerProcess,
}

impl Environment {
    /// Starts one for a test that cannot share. `arguments` are the control plane's, `variables` the issuer's.
    pub(crate) async fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        Self::start_issuer(arguments, variables, &[]).await
    }

    /// The same with further arguments of `tandem-issuer run`.
    pub(crate) async fn start_issuer(arguments: &[&str], variables: &[(&str, &str)], run: &[&str]) -> Result<Self> {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let start = move || ControlPlane::start_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        // Starting takes seconds, in which this thread's runtime would stand still.
        let control_plane = tokio::task::spawn_blocking(start).await??;
        issuer::install(&control_plane.cluster().await?).await?;
        let issuer = IssuerProcess::of(&control_plane).variables(variables).arguments(run).start().await?;
        Ok(Self { control_plane, issuer })
    }

    /// The same, installed by Helm as most will do it, and with the arguments of the Deployment's pods.
    async fn start_by_helm(arguments: &[&str]) -> Result<Self> {
        let control_plane = ControlPlane::start_with(arguments)?;
        helm::install(&control_plane, &[])?;
        let pods = helm::arguments(&control_plane.cluster().await?).await?;
        let pods: Vec<_> = pods.iter().map(String::as_str).collect();
        let issuer = IssuerProcess::of(&control_plane).exactly(&pods).start().await?;
        Ok(Self { control_plane, issuer })
    }

    /// How often the issuer has written to an object of a kind (in the plural), by the server's account: also where the
    /// object was the same afterwards, not where it had changed meanwhile. A write is in it once the issuer has had its answer.
    pub(crate) fn writes(&self, space: &Space, kind: &str, name: &str) -> Result<usize> {
        let audit = audit_log(&self.control_plane)?;
        let mut writes = 0;
        for line in audit.lines().filter(|line| line.contains(ISSUER_ACCOUNT) && line.contains(&space.name)) {
            let event: Value = serde_json::from_str(line)?;
            let object = &event["objectRef"];
            let same = object["namespace"] == *space.name && object["resource"] == kind && object["name"] == name;
            let reads = matches!(event["verb"].as_str(), Some("get" | "list" | "watch"));
            // What had changed meanwhile is not written, and is looked at again.
            let void = event["responseStatus"]["code"] == 409;
            writes += usize::from(same && !reads && !void && event["user"]["username"] == ISSUER_ACCOUNT);
        }
        Ok(writes)
    }

    /// A namespace of its own for one test.
    pub(crate) async fn space(&self, purpose: &str) -> Result<Space> {
        self.control_plane.cluster().await?.space(purpose).await
    }
}

/// A control plane with an audit log and what the issuer has to find there, for a test that starts issuers by itself.
pub(crate) async fn without_issuer() -> Result<ControlPlane> {
    // Starting takes seconds, in which this thread's runtime would stand still.
    let control_plane = tokio::task::spawn_blocking(|| ControlPlane::start_with(&[AUDIT])).await??;
    issuer::install(&control_plane.cluster().await?).await?;
    Ok(control_plane)
}

type Shared = LazyLock<Result<Environment, String>>;

fn start(arguments: &'static [&'static str]) -> Result<Environment, String> {
    // Not on a test's thread, where a runtime runs already, which ends with the test.
    let start = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Environment::start_by_helm(arguments))
    };
    let started = std::thread::spawn(start).join().unwrap_or_else(|_| Err(anyhow!("it panicked")));
    started.map_err(|error| format!("starting the environment: {error:#}"))
}

/// The one that is shared; the first test that asks for it starts it.
pub(crate) fn shared() -> Result<&'static Environment> {
    static SHARED: Shared = LazyLock::new(|| start(&[AUDIT]));
    SHARED.as_ref().map_err(|error| anyhow!("{error}"))
}

/// Another one, where nobody approves requests.
pub(crate) fn without_approver() -> Result<&'static Environment> {
    static SHARED: Shared =
        LazyLock::new(|| start(&[AUDIT, "--cert-manager-controllers=all,-certificaterequests-approver"]));
    SHARED.as_ref().map_err(|error| anyhow!("{error}"))
}

/// A namespace on the shared control plane.
pub(crate) async fn space(purpose: &str) -> Result<Space> {
    shared()?.space(purpose).await
}

/// A namespace on the shared control plane with a TandemIssuer `internal-ca` that is ready, and its CA.
pub(crate) async fn space_with_issuer(purpose: &str) -> Result<(Space, Ca)> {
    let space = space(purpose).await?;
    let ca = with_issuer(&space).await?;
    Ok((space, ca))
}

/// The same where cert-manager's webhook checks nothing.
pub(crate) async fn unvalidated_space_with_issuer(purpose: &str) -> Result<(Space, Ca)> {
    let space = shared()?.control_plane.cluster().await?.space_without_validation(purpose).await?;
    let ca = with_issuer(&space).await?;
    Ok((space, ca))
}

/// Makes a TandemIssuer `internal-ca` with a new CA, and waits until it is ready.
pub(crate) async fn with_issuer(space: &Space) -> Result<Ca> {
    allow_secrets(space).await?;
    let ca = root_ca(&format!("{} CA", space.name), &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    make_issuer(space, "internal-ca").await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    Ok(ca)
}

/// Makes a TandemIssuer whose CA Secret has the same name.
pub(crate) async fn make_issuer(space: &Space, name: &str) -> Result<()> {
    let issuer = serde_json::json!({
        "apiVersion": ISSUER.0, "kind": ISSUER.1, "metadata": {"name": name}, "spec": {"ca": {"secretName": name}},
    });
    space.apply(&issuer.to_string()).await.map(|_| ())
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
        .await?;
    let secrets = serde_json::json!({"namespace": space.name, "resource": "secrets", "verb": "list"});
    access::wait(&space.cluster.client, ISSUER_ACCOUNT, &secrets, true).await
}

/// What is in the audit log by now; a line that is still being written is left out.
pub(crate) fn audit_log(control_plane: &ControlPlane) -> Result<String> {
    let mut audit = std::fs::read_to_string(control_plane.folder().join(AUDIT_LOG))?;
    audit.truncate(audit.rfind('\n').map_or(0, |end| end + 1));
    Ok(audit)
}

/// No piece of these keys is anywhere but in its Secret: not in the issuer's log, nor in any event, issuer or request of the
/// namespace.
pub(crate) async fn assert_untold(environment: &Environment, space: &Space, keys: &Canary) -> Result<()> {
    let mut told = environment.issuer.log()?;
    told.push_str(&serde_json::to_string(&space.events().await?)?);
    for kind in [ISSUER, tandem_tests::cluster::CERTIFICATE_REQUEST] {
        for object in space.list(kind).await? {
            told.push_str(&serde_json::to_string(&object.data["status"])?);
        }
    }
    let leaks = keys.find(&told);
    ensure!(leaks.is_empty(), "key material is told: {leaks:?}");
    Ok(())
}
