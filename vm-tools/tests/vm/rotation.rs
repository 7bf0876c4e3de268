//! `tandem-vm rotation-plan`: what happens at each renewal, and when sides part ways.

mod refused;
mod restarts;

use insta::assert_snapshot;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use tandem_vm::{
    guest::{Content, GuestTls, InstalledFile, Owner, Reload, Source},
    model::Stream,
    rotation::{Divergence, Issued, Plan, Settings, plan},
};

use crate::{
    check::repository,
    command::tandem_vm,
    support::{example, example_path, output, output_of, said},
    verify::servers,
};

const NOW: &str = "2026-11-21T12:00:00Z";

fn settings(count: u32) -> Settings {
    Settings { now: NOW.parse().unwrap(), issued: Issued::default(), count, until: None }
}

fn stream(text: &str) -> Stream {
    Stream::read(&["-".into()], &mut text.as_bytes(), "shop").unwrap_or_else(|lines| panic!("{lines:?}\n{text}"))
}

fn planned(text: &str, settings: &Settings) -> Plan {
    plan(&stream(text), settings).unwrap_or_else(|lines| panic!("{lines:?}\n{text}"))
}

fn object(api_version: &str, kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

/// A Certificate, by an issuer of its own.
fn certificate(name: &str, secret: &str, issuer: &str, more: &str) -> String {
    let spec = format!("{{secretName: {secret}, issuerRef: {{name: {issuer}}}{more}}}");
    object("cert-manager.io/v1", "Certificate", name, &spec)
}

fn issuer(name: &str, source: &str) -> String {
    object("cert-manager.io/v1", "Issuer", name, source)
}

/// An internal CA of ten years, and its issuer.
fn internal_ca(more: &str) -> String {
    issuer("root", "{selfSigned: {}}")
        + &certificate("internal-ca", "internal-ca", "root", &format!(", isCA: true{more}"))
        + &issuer("ca", "{ca: {secretName: internal-ca}}")
}

/// A VM with the Secret of the orders database on a disk.
fn by_disk() -> String {
    object(
        "kubevirt.io/v1",
        "VirtualMachine",
        "orders-vm",
        "{runStrategy: Always, template: {spec: {domain: {devices: {disks: [{name: tls, serial: tls, disk: {bus: virtio}}]}}, \
         volumes: [{name: tls, secret: {secretName: orders-tls}}]}}}",
    )
}

/// A VM with it as a filesystem, and with this user data.
fn by_filesystem(user_data: &str) -> String {
    let volumes = format!(
        "[{{name: tls, secret: {{secretName: orders-tls}}}}, {{name: seed, cloudInitNoCloud: {{userData: {user_data:?}}}}}]"
    );
    let spec = format!(
        "{{template: {{spec: {{domain: {{devices: {{filesystems: [{{name: tls, virtiofs: {{}}}}]}}}}, volumes: {volumes}}}}}}}"
    );
    object("kubevirt.io/v1", "VirtualMachine", "orders-vm", &spec)
}

/// What the guest has for a database that takes a renewed certificate in this way.
fn guest(reload: Reload) -> String {
    let owner = Some(Owner { user: "postgres".to_owned(), group: None });
    let tls = GuestTls {
        source: Source::Filesystem { tag: "tls".to_owned() },
        files: vec![InstalledFile { content: Content::Key, path: "/etc/tls.key".to_owned(), owner, mode: 0o600 }],
        before: vec!["postgresql.service".to_owned()],
        reload,
        endpoint: None,
        start: None,
        poll: 60,
    };
    let files = serde_json::json!({"write_files": tls.write_files().unwrap()});
    format!("#cloud-config\n{files}\n")
}

fn deployment(name: &str, volume: &str, container: &str) -> String {
    let spec = format!("{{template: {{spec: {{volumes: [{volume}], containers: [{container}]}}}}}}");
    object("apps/v1", "Deployment", name, &spec)
}

/// Mounts ca.crt alone, as a whole volume.
fn client() -> String {
    deployment(
        "orders-app",
        "{name: tls, secret: {secretName: orders-tls, items: [{key: ca.crt, path: ca.crt}]}}",
        "{name: app, volumeMounts: [{name: tls, mountPath: /tls}]}",
    )
}

#[test]
fn the_published_example_holds_until_its_first_certificate_ends() {
    let ca = "---\napiVersion: pki.tandem.internal/v1alpha1\nkind: TandemClusterIssuer\nmetadata: {name: internal-ca}\n\
              spec: {ca: {secretName: internal-ca}}\n";
    assert_snapshot!(planned(&(example("databasevm.yaml") + "\n" + ca), &settings(2)).text());
}

/// Article 002: the ClusterIssuer is selfSigned.
#[test]
fn a_self_signed_issuer_parts_both_sides_at_the_first_renewal() {
    let text =
        issuer("self", "{selfSigned: {}}") + &certificate("orders", "orders-tls", "self", "") + &by_disk() + &client();
    assert_snapshot!(planned(&text, &settings(2)).text());
}

#[test]
fn a_filesystem_follows() {
    let text = internal_ca(", duration: 87600h")
        + &certificate("orders", "orders-tls", "ca", ", duration: 2160h, renewBefore: 360h")
        + &by_filesystem(&guest(Reload::PostgreSql))
        + &client();
    let plan = planned(&text, &settings(2));
    assert!(plan.holds);
    assert_snapshot!(plan.text());
}

/// What becomes of a VM with this user data: of what it is told of certificate 2, and of its end.
fn followed(user_data: &str) -> (String, Vec<String>) {
    let text = certificate("orders", "orders-tls", "elsewhere", "") + &by_filesystem(user_data);
    let plan = planned(&text, &settings(2));
    let plan = &plan.certificates[0];
    let change = "let the guest look for a renewed Secret and reload the database; `tandem-vm render` and `tandem-vm inject` \
                  set that up";
    // 90 days.
    let until = |divergence: &Divergence| (divergence.from.to_string(), divergence.change.clone());
    let expected = ("2027-02-19T12:00:00Z".to_owned(), change.to_owned());
    assert!(plan.divergences.iter().all(|divergence| until(divergence) == expected), "{:?}", plan.divergences);
    let told = plan.events.iter().find(|event| event.who == "VirtualMachine shop/orders-vm").unwrap();
    (told.what.clone(), plan.divergences.iter().map(|divergence| divergence.why.clone()).collect())
}

#[test]
fn a_filesystem_that_nobody_looks_at_does_not() {
    let why =
        "serves certificate 1, which has ended: its filesystem follows, but nothing in the guest takes what it brings";
    let nothing =
        "its filesystem has certificate 2, but nothing in its user data looks for it: it goes on serving certificate 1";
    for config in [
        "runcmd: [[mount, -t, virtiofs, other-tls, /tls]]",
        "runcmd:\n# mount -t virtiofs tls /tls\n- ls /tls",
        // cloud-init passes over a tag.
        "mounts: [[tls, /tls, virtiofs]]",
    ] {
        assert_eq!(
            followed(&format!("#cloud-config\n{config}\n")),
            (nothing.to_owned(), vec![why.to_owned()]),
            "{config}"
        );
    }
    let told = "by now the guest has installed certificate 2 and told the database (restart)";
    assert_eq!(followed(&guest(Reload::Restart)), (told.to_owned(), Vec::new()));
    // What a script does is not to be seen.
    let unknown = "by now its filesystem has certificate 2; what the guest does about it is not to be seen";
    assert_eq!(followed("#!/bin/sh\nmount -t virtiofs tls /tls\n"), (unknown.to_owned(), Vec::new()));
}

#[test]
fn a_filesystem_that_is_only_mounted_follows_at_the_next_start() {
    let why = "serves certificate 1, which has ended, unless it was started anew since the renewal: its filesystem follows, but as \
               far as its user data says nothing tells the database";
    let mounted = "its filesystem has certificate 2, which its user data mounts, but as far as that says nothing tells the \
                   database: it goes on serving certificate 1, at least until its next start";
    let unit = "[Mount]\\nWhat=tls\\nWhere=/tls\\nType=virtiofs\\n";
    for config in [
        "runcmd: [[mount, -t, virtiofs, tls, /tls]]".to_owned(),
        "bootcmd:\n- mkdir -p /tls && mount -t virtiofs -o ro 'tls' /tls".to_owned(),
        "write_files:\n- {path: /usr/local/bin/tls, content: \"mount -t virtiofs tls /tls\\ncp /tls/* /etc/ssl/\\n\"}"
            .to_owned(),
        format!("write_files:\n- {{path: /etc/systemd/system/tls.mount, content: \"{unit}\"}}"),
        "write_files:\n- {path: /etc/fstab, append: true, content: \"tls /tls virtiofs ro 0 0\\n\"}".to_owned(),
        "runcmd:\n- echo tls /tls virtiofs ro 0 0 >> /etc/fstab".to_owned(),
    ] {
        assert_eq!(
            followed(&format!("#cloud-config\n{config}\n")),
            (mounted.to_owned(), vec![why.to_owned()]),
            "{config}"
        );
    }
    // What `render` and `inject` set up, but for telling the database.
    assert_eq!(followed(&guest(Reload::None)), (mounted.to_owned(), vec![why.to_owned()]));
    // The example of `check`, whose script runs at every boot.
    let done = output(tandem_vm().arg("rotation-plan").arg(repository().join("examples/check/after.yaml")));
    assert!(done.status.code() == Some(1) && said(&done).contains(mounted), "{}", said(&done));
}

#[test]
fn mounts_by_sub_path_and_variables_never_follow() {
    let sub_path = |name: &str, file: &str| {
        let mount = format!("{{name: app, volumeMounts: [{{name: tls, mountPath: /tls/{file}, subPath: {file}}}]}}");
        deployment(name, "{name: tls, secret: {secretName: orders-tls}}", &mount)
    };
    let variable = "{name: app, env: [{name: KEY, valueFrom: {secretKeyRef: {name: orders-tls, key: tls.key}}}]}";
    let text = certificate("orders", "orders-tls", "elsewhere", ", duration: 24h, renewBeforePercentage: 25")
        + &sub_path("with-certificate", "tls.crt")
        + &sub_path("with-authority", "ca.crt")
        + &deployment("with-variable", "", variable);
    assert_snapshot!(planned(&text, &settings(1)).text());
}

#[test]
fn an_authority_that_changes_its_key_parts_who_has_loaded_it() {
    let leaf = certificate("orders", "orders-tls", "ca", ", duration: 720h") + &client();
    let ca = |more: &str| internal_ca(&format!(", duration: 4320h, renewBefore: 1440h{more}")) + &leaf;
    assert_snapshot!(planned(&ca(""), &settings(8)).text());
    // It may keep its key.
    assert!(planned(&ca(", privateKey: {rotationPolicy: Never}"), &settings(8)).holds);
    // One that is renewed too late for what it has signed.
    let late = internal_ca(", duration: 4296h, renewBefore: 24h, privateKey: {rotationPolicy: Never}") + &leaf;
    let plan = planned(&late, &settings(12));
    let found: Vec<_> = plan.certificates.iter().flat_map(|c| &c.divergences).collect();
    assert_eq!(found.len(), 1, "{}", plan.text());
    assert!(found[0].why.contains("ends, and the certificate is renewed only at"), "{}", plan.text());
    assert_eq!(found[0].from.to_string(), "2027-05-19T12:00:00Z");
    let change = "renew the authority's Certificate earlier: its renewBefore must be longer than what it signs lasts";
    assert_eq!((&*found[0].who, &*found[0].change), ("everybody who has the Secret", change));
}

#[test]
fn an_issuer_of_another_kind_is_called_that() {
    let text = issuer("acme", "{acme: {}}") + &certificate("orders", "orders-tls", "acme", "");
    assert_eq!(planned(&text, &settings(1)).certificates[0].issuer, "Issuer acme (neither selfSigned nor a CA)");
}

#[test]
fn present_certificates_are_those_of_the_stream_or_as_said() {
    let ca = servers::ca("internal-ca");
    let folder = servers::secret(&ca, &servers::leaf());
    let pem = std::fs::read_to_string(folder.path().join("tls.crt")).unwrap();
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders-tls"}, "stringData": {"tls.crt": pem},
    });
    let text = certificate("orders", "orders-tls", "elsewhere", "") + &format!("---\n{secret}\n");
    let present = |settings: &Settings| {
        let present = planned(&text, settings).certificates[0].present;
        [present.issued, present.not_after, present.renewal].map(|time| time.to_string())
    };
    // From 2026 to 2036, the last third of which begins in 2032.
    assert_eq!(present(&settings(1)), ["2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z", "2032-08-31T16:00:00Z"]);
    let mut said = settings(1);
    said.issued.of.insert("shop/orders".to_owned(), "2026-11-01T00:00:00Z".parse().unwrap());
    assert_eq!(present(&said), ["2026-11-01T00:00:00Z", "2027-01-30T00:00:00Z", "2026-12-31T00:00:00Z"]);
    // A certificate that has been renewed since then: twice.
    said.issued.of.insert("shop/orders".to_owned(), "2026-07-01T00:00:00Z".parse().unwrap());
    assert_eq!(present(&said)[0], "2026-10-29T00:00:00Z");
}

/// `rotation-plan -`.
fn run(text: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut command = tandem_vm();
    let done = output_of(command.args(["rotation-plan", "-", "-n", "shop"]).args(args), text.as_bytes());
    (done.status.code(), said(&done))
}

#[test]
fn the_command_ends_as_the_plan_says() {
    let good = certificate("orders", "orders-tls", "elsewhere", "");
    let bad = good.clone() + &by_disk();
    let (code, text) = run(&good, &["--now", NOW]);
    // The second renewal replaces a certificate that ends two thirds of its life after the first one does.
    assert!(code == Some(0) && text.ends_with("\nAll sides agree until 2027-04-20T12:00:00Z.\n"), "{text}");
    let (code, json) = run(&bad, &["--now", NOW, "--until", "2028-01-01T00:00:00Z", "-o", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["holds"], &json["until"]), (Some(1), &false.into(), &"2028-01-01T00:00:00Z".into()));
    let plan = &json["certificates"][0];
    assert_eq!(
        (&plan["certificate"], &plan["duration"], &plan["renewBefore"]),
        (&"shop/orders".into(), &7_776_000.into(), &2_592_000.into())
    );
    assert_eq!(plan["events"][0]["time"], "2027-01-20T12:00:00Z");
    assert_eq!(plan["divergences"][0]["from"], "2027-02-19T12:00:00Z");
    // As docs/rotation.md has it.
    let done = output(tandem_vm().arg("rotation-plan").arg(example_path("databasevm.yaml")).args(["--now", NOW]));
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
}

/// Durations that cert-manager takes, with a renewal before their end; and when the present certificate was issued.
fn lifetimes() -> impl Strategy<Value = (String, Settings)> {
    (1..20_000_i64, 0..3_u8, 1..100_i64, 0..40_000_000_i64, 1..6_u32).prop_map(
        |(hours, rule, percentage, ago, count)| {
            let more = match rule {
                0 => String::new(),
                1 => format!(", renewBefore: {}m", (hours * 60 * percentage / 100).max(5)),
                _ => format!(", renewBeforePercentage: {percentage}"),
            };
            let mut settings = settings(count);
            settings.issued.all = Some(Timestamp::from_second(settings.now.as_second() - ago).unwrap());
            (format!(", duration: {hours}h{more}"), settings)
        },
    )
}

proptest! {
    #[test]
    fn events_are_in_order_and_none_has_passed((more, settings) in lifetimes(), ca_hours in 1..200_000_u32) {
        let text = internal_ca(&format!(", duration: {ca_hours}h")) + &certificate("orders", "orders-tls", "ca", &more) + &by_disk() + &client();
        let Ok(plan) = plan(&stream(&text), &settings) else { return Ok(()) };
        for certificate in &plan.certificates {
            let times: Vec<_> = certificate.events.iter().map(|event| event.time).collect();
            prop_assert!(times.is_sorted() && times.iter().all(|time| *time >= settings.now), "{}", plan.text());
            prop_assert!(certificate.divergences.is_sorted_by_key(|divergence| divergence.from));
            prop_assert!(certificate.present.issued <= settings.now && certificate.present.renewal > settings.now);
            prop_assert!(certificate.present.renewal < certificate.present.not_after);
        }
        prop_assert_eq!(plan.holds, plan.certificates.iter().all(|certificate| certificate.divergences.is_empty()));
    }

    #[test]
    fn a_filesystem_with_an_internal_ca_always_holds((more, settings) in lifetimes()) {
        // A CA that outlives all that is looked at.
        let text = internal_ca(", duration: 2000000h")
            + &certificate("orders", "orders-tls", "ca", &more)
            + &by_filesystem(&guest(Reload::PostgreSql))
            + &client();
        let plan = planned(&text, &settings);
        prop_assert!(plan.holds, "{}", plan.text());
    }

    #[test]
    fn a_self_signed_certificate_never_does((more, settings) in lifetimes(), filesystem in any::<bool>()) {
        let vm = if filesystem { by_filesystem(&guest(Reload::PostgreSql)) } else { by_disk() };
        let text = issuer("self", "{selfSigned: {}}") + &certificate("orders", "orders-tls", "self", &more) + &vm;
        let plan = planned(&text, &settings);
        let orders = &plan.certificates[0];
        prop_assert_eq!(orders.divergences[0].from, orders.present.renewal, "{}", plan.text());
    }

    #[test]
    fn a_disk_never_outlives_its_certificate((more, settings) in lifetimes()) {
        let text = certificate("orders", "orders-tls", "elsewhere", &more) + &by_disk();
        let plan = planned(&text, &settings);
        let orders = &plan.certificates[0];
        prop_assert_eq!(orders.divergences[0].from, orders.present.not_after, "{}", plan.text());
        prop_assert_eq!(planned(&text, &settings), plan);
    }
}
