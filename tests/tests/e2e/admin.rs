//! Probes and metrics: what happens is counted, by names that Prometheus' linter has nothing against, and who asks in a bad
//! way is not served and keeps nobody from being served.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject},
};
use rcgen::{CertifiedKey, PKCS_ECDSA_P256_SHA256, generate_simple_self_signed};
use serde_json::json;
use tandem_tests::{
    admin::{Admin, value},
    certificates::{csr, root_ca},
    cluster::{ISSUER, PATIENCE, is_ready},
    process::Process,
    telemetry::lint,
    tools,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{interval, timeout},
};

use crate::{
    environment::{Environment, with_issuer},
    requests::{ask, ask_plainly, failed, issued, pending},
    signing_requests::{ask_approved, named, signer},
};

/// At a free port.
pub(crate) const ADDRESS: &str = "--admin-address=127.0.0.1:0";

#[tokio::test]
async fn what_happens_is_counted() -> Result<()> {
    let (began, began_at) = (Instant::now(), SystemTime::UNIX_EPOCH.elapsed()?.as_secs_f64());
    // A collector that is away harms nobody.
    let away = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")];
    let mut environment = Environment::start_issuer(&[], &away, &[ADDRESS]).await?;
    let admin = Admin::of(&environment.issuer.process().log, None).await?;
    ensure!(admin.ready().await? == "ok: leading\n");
    let (_, caches) = admin.ask("GET", "/readyz?verbose").await?;
    for cache in
        ["certificaterequests", "certificatesigningrequests", "secrets", "tandemclusterissuers", "tandemissuers"]
    {
        ensure!(caches.contains(&format!("[+]{cache} ok\n")), "{caches}");
    }

    let space = environment.space("counted").await?;
    let ca = with_issuer(&space).await?;
    let issuer = space.wait_ready(ISSUER, "internal-ca").await?;
    let authority = of_authority(&issuer).context("no CA is in the status")?;
    let labels =
        format!(r#"{{issuer_kind="TandemIssuer",issuer_namespace="{}",issuer_name="internal-ca"}}"#, space.name);
    for name in ["one", "two"] {
        ask_plainly(&space, name).await?;
        issued(&space, name).await?;
    }
    ask(&space, "refused", &csr(&["*.*.test"])?, json!({})).await?;
    failed(&space, "refused").await?;
    let missing = json!({"issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "missing"}});
    ask(&space, "waits", &csr(&["waits.test"])?, missing).await?;
    pending(&space, "waits").await?;
    ask_approved(&space, &named(&space, "csr"), &signer(&space), &json!({}), &json!({})).await?;

    let counted = |kind: &str, outcome: &str, reason: &str| {
        format!(r#"tandem_issuer_requests_total{{kind="{kind}",outcome="{outcome}",reason="{reason}"}}"#)
    };
    let of = |name: &str, label: &str, value: &str| format!(r#"tandem_issuer_{name}{{{label}="{value}"}}"#);
    let waiting = |name: &str, kind: &str| format!(r#"tandem_issuer_{name}{{kind="{kind}",approval="approved"}}"#);
    let retries =
        |reason: &str| format!(r#"tandem_issuer_retries_total{{resource="certificaterequests",reason="{reason}"}}"#);
    let calls = |verb: &str| format!(r#"tandem_issuer_api_requests_total{{verb="{verb}",code="2xx"}}"#);
    let (ours, kubernetes) = ("certificaterequests", "certificatesigningrequests");
    let exactly = |value: f64| value..=value;
    let (_, certificate) = x509_parser::parse_x509_certificate(ca.as_ref().der())?;
    let not_after: f64 = certificate.validity().not_after.timestamp().to_string().parse()?;
    let memory: f64 = environment.issuer.resident_memory()?.to_string().parse()?;
    // All times of this test, in seconds; the server's are whole ones.
    let most = (began.elapsed() + PATIENCE).as_secs_f64() + 1.0;
    let at_least = |value: f64| value..=100.0;
    let metrics = admin
        .settle(&[
            (counted(ours, "issued", "CertificateIssued"), exactly(2.0)),
            (counted(ours, "failed", "BadNames"), exactly(1.0)),
            (counted(ours, "waiting", "IssuerNotFound"), exactly(1.0)),
            (counted(kubernetes, "issued", "CertificateIssued"), exactly(1.0)),
            (format!("tandem_issuer_certificates_issued_total{labels}"), exactly(3.0)),
            (format!("tandem_issuer_issuer_ready{labels}"), exactly(1.0)),
            (format!("tandem_issuer_ca_not_after_timestamp_seconds{labels}"), exactly(not_after)),
            (format!("tandem_issuer_authority_certificates_issued_total{authority}"), exactly(3.0)),
            (format!("tandem_issuer_authority_not_after_timestamp_seconds{authority}"), exactly(not_after)),
            (waiting("requests_waiting", ours), exactly(1.0)),
            (waiting("requests_waiting", kubernetes), exactly(0.0)),
            (waiting("oldest_waiting_request_age_seconds", ours), 0.001..=most),
            (waiting("oldest_waiting_request_age_seconds", kubernetes), exactly(0.0)),
            (of("signing_duration_seconds_count", "kind", ours), exactly(2.0)),
            (of("signing_duration_seconds_sum", "kind", ours), 1e-5..=most),
            (of("signing_duration_seconds_count", "kind", kubernetes), exactly(1.0)),
            (of("request_duration_seconds_count", "kind", ours), exactly(2.0)),
            (of("request_duration_seconds_sum", "kind", ours), 0.0..=most),
            (of("request_duration_seconds_count", "kind", kubernetes), exactly(1.0)),
            // Each of the four has been looked at, and some more than once.
            (of("queue_wait_duration_seconds_count", "resource", ours), at_least(4.0)),
            (of("queue_wait_duration_seconds_sum", "resource", ours), 1e-6..=most),
            (of("queue_depth", "resource", ours), exactly(0.0)),
            (of("in_work", "resource", ours), exactly(0.0)),
            (of("watch_lists_total", "resource", ours), exactly(1.0)),
            // A status of each request and of the issuer; an event about each of them, and a question about a right.
            (calls("patch"), at_least(6.0)),
            (calls("create"), at_least(7.0)),
            (calls("read"), at_least(5.0)),
            (calls("watch"), at_least(5.0)),
            (format!("tandem_issuer_last_good_ca_in_use{labels}"), exactly(0.0)),
            // So that an alert sees the first one.
            (retries("panicked"), exactly(0.0)),
            (retries("api"), exactly(0.0)),
            (of("watch_errors_total", "resource", ours), exactly(0.0)),
            (r#"tandem_issuer_api_requests_total{verb="patch",code="4xx"}"#.to_owned(), exactly(0.0)),
            ("tandem_issuer_leader".to_owned(), exactly(1.0)),
            (of("build_info", "version", env!("CARGO_PKG_VERSION")), exactly(1.0)),
            ("process_resident_memory_bytes".to_owned(), memory / 2.0..=memory * 2.0),
            ("process_cpu_seconds_total".to_owned(), 0.001..=most),
            ("process_start_time_seconds".to_owned(), began_at - 1.0..=began_at + most),
            ("process_open_fds".to_owned(), 4.0..=1000.0),
            ("process_max_fds".to_owned(), 64.0..=1e12),
        ])
        .await?;
    let problems = lint(&metrics)?;
    ensure!(problems.is_empty(), "Prometheus' linter: {problems}\n{metrics}");
    for name in ["one", "two", "refused", "waits"] {
        ensure!(!metrics.contains(&format!("\"{name}\"")), "a request's name is a label: {metrics}");
    }

    // A Secret that is broken: the certificate of another CA. Then it is gone, and nothing is signed any more.
    space.put_tls("internal-ca", &root_ca("other", &PKCS_ECDSA_P256_SHA256)?.as_ref().pem(), "", None).await?;
    let last_good = format!("tandem_issuer_last_good_ca_in_use{labels}");
    admin
        .settle(&[(last_good.clone(), exactly(1.0)), (format!("tandem_issuer_issuer_ready{labels}"), exactly(1.0))])
        .await?;

    // Another CA takes the place of the first, whose series end; the issuer's go on.
    let new = root_ca("new", &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("internal-ca", &new.as_ref().pem(), &new.key().serialize_pem(), None).await?;
    // The metrics are ahead of the status, which may still be that of the first.
    let replaced = space.wait(ISSUER, "internal-ca", |object| {
        let now = of_authority(object);
        is_ready(object, "True", "KeyPairVerified") && now.is_some_and(|now| now != authority)
    });
    let successor = of_authority(&replaced.await?).context("no CA is in the status")?;
    admin.settle(&[(format!("tandem_issuer_authority_certificates_issued_total{successor}"), exactly(0.0))]).await?;
    ask_plainly(&space, "three").await?;
    issued(&space, "three").await?;
    let metrics = admin
        .settle(&[
            (format!("tandem_issuer_authority_certificates_issued_total{successor}"), exactly(1.0)),
            (format!("tandem_issuer_certificates_issued_total{labels}"), exactly(4.0)),
        ])
        .await?;
    ensure!(!metrics.contains(&authority), "the series of a CA stay when it is replaced: {metrics}");

    // A CA that is gone, and an issuer that is.
    space.secrets().delete("internal-ca", &DeleteParams::default()).await?;
    space.wait(ISSUER, "internal-ca", |object| is_ready(object, "False", "ErrGetKeyPair")).await?;
    admin.settle(&[(format!("tandem_issuer_issuer_ready{labels}"), exactly(0.0)), (last_good, exactly(0.0))]).await?;
    space.api(ISSUER)?.delete("internal-ca", &DeleteParams::default()).await?;
    let mut look = interval(Duration::from_millis(50));
    let gone = async {
        while admin.metrics().await?.contains(labels.trim_end_matches('}')) {
            look.tick().await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, gone).await.context("an issuer's series stay when it is gone")??;
    ensure!(environment.issuer.process().stop()?, "it did not stop cleanly");
    Ok(())
}

/// The labels of the CA that is in the status of an issuer.
fn of_authority(issuer: &DynamicObject) -> Option<String> {
    let (namespace, name) = (issuer.namespace()?, issuer.name_any());
    let key = issuer.data["status"]["authorities"][0]["subjectKeyId"].as_str()?;
    Some(format!(
        r#"{{issuer_kind="TandemIssuer",issuer_namespace="{namespace}",issuer_name="{name}",subject_key_id="{key}"}}"#
    ))
}

/// An issuer whose API server does not answer, with further arguments, and environment variables.
fn start_alone(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Process> {
    let kubeconfig = folder.join("kubeconfig");
    let nowhere = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
        "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody", "namespace": "tandem"}}],
    });
    std::fs::write(&kubeconfig, nowhere.to_string())?;
    let mut command = Command::new(tools::program("tandem-issuer")?);
    command.env_clear().envs(variables.iter().copied());
    command.arg("run").arg("--kubeconfig").arg(kubeconfig).args(arguments);
    Process::start(&mut command, &folder.join("issuer.log"), None)
}

#[tokio::test]
async fn without_an_api_server_it_lives_but_is_not_ready() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut issuer = start_alone(folder.path(), &[ADDRESS], &[])?;
    let admin = Admin::of(&issuer.log, None).await?;
    ensure!(admin.ask("GET", "/livez").await? == (200, "ok\n".to_owned()));
    let (status, text) = admin.ask("GET", "/readyz").await?;
    ensure!(status == 503 && text.contains("[-]tandemissuers not synced yet\n"), "{status} {text}");
    ensure!(text.contains("[-]certificaterequests") && text.contains("[-]secrets"), "{text}");
    admin.wait(r#"tandem_issuer_api_requests_total{verb="read",code="none"}"#, |calls| calls > 0.0).await?;
    admin.wait(r#"tandem_issuer_watch_errors_total{resource="tandemissuers"}"#, |errors| errors > 0.0).await?;
    for (method, path, expected) in
        [("GET", "/", 404), ("GET", "/debug/pprof", 404), ("POST", "/metrics", 405), ("HEAD", "/metrics", 200)]
    {
        let (status, text) = admin.ask(method, path).await?;
        ensure!(status == expected, "{method} {path}: {status} {text}");
        ensure!(method != "HEAD" || text.is_empty(), "HEAD has an answer: {text}");
    }
    let problems = lint(&admin.metrics().await?)?;
    ensure!(problems.is_empty(), "{problems}");

    // More connections than there may be, in all of which nobody asks anything: the oldest end at once, and others are served
    // before the time of the rest is over.
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(&admin.address).await?);
    }
    let served = timeout(PATIENCE, admin.ask("GET", "/livez")).await.context("idle connections keep others waiting")?;
    ensure!(served?.0 == 200);
    let is_over = |connection: &TcpStream| matches!(connection.try_read(&mut [0]), Ok(0));
    ensure!(idle.first().is_some_and(is_over), "a hundred connections at once, and none of them had to end");
    ensure!(!idle.last().is_some_and(is_over), "one more was served only when their time was over");
    // A head that is too long is refused before it ends.
    let mut connection = TcpStream::connect(&admin.address).await?;
    connection.write_all(format!("GET /livez HTTP/1.1\r\nX-Long: {}", "x".repeat(20_000)).as_bytes()).await?;
    let mut answer = Vec::new();
    let read =
        timeout(PATIENCE, connection.read_to_end(&mut answer)).await.context("it waits for the end of a head")?;
    let answer = String::from_utf8_lossy(&answer);
    ensure!(answer.starts_with("HTTP/1.1 431"), "a head of 20 kB is answered with {answer:?}: {read:?}");
    ensure!(issuer.is_running()? && issuer.stop()?, "it did not stop cleanly: {}", issuer.log_tail());
    Ok(())
}

/// A certificate for 127.0.0.1 in PEM and DER, and its key.
fn pair() -> Result<(String, Vec<u8>, String)> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    Ok((cert.pem(), cert.der().to_vec(), signing_key.serialize_pem()))
}

/// Written anew under a running process, as kubelet does; the time of the file's change is told apart.
fn write(file: &Path, text: &str, seconds: u64) -> Result<()> {
    std::fs::write(file, text)?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Ok(std::fs::File::options().write(true).open(file)?.set_modified(time)?)
}

#[tokio::test]
async fn by_tls_with_a_certificate_that_is_renewed_while_it_runs() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let (old, new) = (pair()?, pair()?);
    write(&certificate, &old.0, 1)?;
    write(&key, &old.2, 1)?;
    let files = [format!("--admin-tls-cert={}", certificate.display()), format!("--admin-tls-key={}", key.display())];
    let mut issuer = start_alone(folder.path(), &[ADDRESS, &files[0], &files[1]], &[])?;
    let by_old = Admin::of(&issuer.log, Some(vec![old.1.clone()])).await?;
    let by_new = Admin::of(&issuer.log, Some(vec![new.1.clone()])).await?;
    ensure!(by_old.ask("GET", "/livez").await?.0 == 200);
    ensure!(by_new.ask("GET", "/livez").await.is_err(), "another certificate than that in the file");
    // Plain text is not answered.
    ensure!(Admin::of(&issuer.log, None).await?.ask("GET", "/metrics").await.is_err(), "served without TLS");
    // Half renewed, and then whole.
    write(&certificate, &new.0, 2)?;
    let half = by_old.ask("GET", "/livez").await.context("by half a renewal the old certificate is given up")?;
    ensure!(half.0 == 200, "{half:?}");
    write(&key, &new.2, 2)?;
    let whole = by_new.ask("GET", "/livez").await.context("the renewed certificate is not served")?;
    ensure!(whole.0 == 200, "{whole:?}");
    ensure!(by_old.ask("GET", "/livez").await.is_err(), "the old certificate is still served");
    let log = std::fs::read_to_string(&issuer.log)?;
    ensure!(log.contains("the certificate that was read before stays in use"), "{log}");
    ensure!(issuer.stop()?);
    Ok(())
}

#[tokio::test]
async fn what_it_cannot_serve_it_says_at_its_start() -> Result<()> {
    const TLS: &str = "--otlp-endpoint=https://127.0.0.1:1";
    let folder = tempfile::tempdir()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = format!("--admin-address={}", taken.local_addr()?);
    let ca = root_ca("admin", &PKCS_ECDSA_P256_SHA256)?;
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, ca.as_ref().pem())?;
    std::fs::write(&key, pair()?.2)?;
    let files = [format!("--admin-tls-cert={}", certificate.display()), format!("--admin-tls-key={}", key.display())];
    let no_certificate = format!("--otlp-certificate={}", key.display());
    for (arguments, told) in [
        (vec![address.as_str()], "Address already in use"),
        (vec![ADDRESS, &files[0], &files[1]], "--admin-tls-cert and --admin-tls-key: "),
        (vec!["--admin-address=localhost"], "it has to be an IP address and a port"),
        (vec!["--otlp-endpoint=collector:4318"], "such as http://collector:4318"),
        // In an image there are none of the system.
        (vec![TLS], "name the CA certificates of its server with --otlp-certificate"),
        (vec![TLS, "--otlp-certificate=/nowhere"], "--otlp-certificate /nowhere: No such file or directory"),
        (vec![TLS, &no_certificate], "it has to hold certificates in PEM"),
    ] {
        let mut issuer = start_alone(folder.path(), &arguments, &[("SSL_CERT_FILE", "/nowhere")])?;
        let mut look = interval(Duration::from_millis(20));
        let ended = async {
            while issuer.is_running()? {
                look.tick().await;
            }
            anyhow::Ok(())
        };
        if timeout(PATIENCE, ended).await.is_err() {
            bail!("it runs with {arguments:?}");
        }
        let log = issuer.log_tail();
        ensure!(log.contains(told), "{arguments:?}: {log}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_served_unless_it_is_asked_for() -> Result<()> {
    let environment = Environment::start(&[], &[]).await?;
    // It has been at work for a while.
    with_issuer(&environment.space("unserved").await?).await?;
    let log = environment.issuer.log()?;
    ensure!(log.contains("running") && !log.contains("serving"), "{log}");
    ensure!(value("a 1\n", "a") == Some(1.0) && value("a_total 1\n", "a").is_none(), "the tests cannot read metrics");
    Ok(())
}
