//! Who reaches the database's port besides the document's clients.

use serde_json::{Value, json};

use crate::command::tandem_vm;
use crate::input::refused;
use crate::support::{document, object, output_of, render, said};

/// A document with this database and these further lines.
fn with(database: &str, lines: &str) -> String {
    document(&format!("database: {{{database}}}\nos: {{family: debian, image: i}}\n{lines}"))
}

/// `from` of the rendered NetworkPolicy's one rule.
fn from(text: &str) -> Value {
    object(&render(text), "NetworkPolicy")["spec"]["ingress"][0]["from"].clone()
}

#[test]
fn whom_the_document_names_reaches_the_port_as_well() {
    let others = json!([
        {"podSelector": {}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "reports"}},
         "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}},
        {"namespaceSelector": {"matchExpressions": [{"key": "trusted", "operator": "Exists"}]}},
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "192.0.2.7/32"]}},
        {"ipBlock": {"cidr": "2001:db8::/32"}},
    ]);
    for (database, lines) in [
        ("redis: {}", ""),
        ("mongodb: {membership: {x509: {}}}", "members: 3\n"),
        ("none: {files: {folder: /etc/app}, port: 443}", "clients: [{name: app, image: i}]\n"),
    ] {
        let ours = from(&with(database, lines));
        let all = from(&with(database, &format!("{lines}networkPolicy: {{from: {others}}}")));
        // After ours, which stay.
        assert_eq!(all, json!([ours.as_array().unwrap().clone(), others.as_array().unwrap().clone()].concat()));
    }
}

/// Without them, a selector with a mistyped field would let in everybody.
#[test]
fn a_peer_that_would_let_in_others_than_it_says_is_refused() {
    for (peer, message) in [
        ("{podSelectr: {}}", "podSelectr: unknown field; remove it, or correct its name"),
        (
            "{namespaceSelector: {matchLabel: {a: b}}}",
            "namespaceSelector.matchLabel: unknown field; remove it, or correct its name",
        ),
        (
            "{podSelector: {matchExpressions: [{key: a, operator: In, values: [b]}, {key: a, operater: In, operator: Exists}]}}",
            "podSelector.matchExpressions[1].operater: unknown field; remove it, or correct its name",
        ),
        ("{}", "names nobody; write podSelector, namespaceSelector or ipBlock"),
        ("{podSelector: null}", "names nobody; write podSelector, namespaceSelector or ipBlock"),
        (
            "{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}",
            "ipBlock: stands beside no selector; write it as an entry of its own",
        ),
        ("{ipBlock: {cidr: 10.0.0.0}}", "ipBlock.cidr: `10.0.0.0` is no range; write one such as 192.0.2.0/24"),
        ("{ipBlock: {cidr: 10.0.0.0/33}}", "ipBlock.cidr: `10.0.0.0/33` is no range; write one such as 192.0.2.0/24"),
        (
            "{ipBlock: {cidr: 10.0.0.0/8, except: [192.0.2.0/24]}}",
            "ipBlock.except[0]: `192.0.2.0/24` is no part of 10.0.0.0/8; write one that is",
        ),
        (
            "{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}",
            "ipBlock.except[0]: `10.0.0.0/8` is no part of 10.0.0.0/8; write one that is",
        ),
        (
            "{namespaceSelector: {matchExpressions: [{key: a, operator: in, values: [b]}]}}",
            "namespaceSelector.matchExpressions[0]: has no operator that fits its values; write In or NotIn with some, or Exists \
             or DoesNotExist without",
        ),
        (
            "{podSelector: {matchExpressions: [{key: a, operator: In}]}}",
            "podSelector.matchExpressions[0]: has no operator that fits its values; write In or NotIn with some, or Exists or \
             DoesNotExist without",
        ),
    ] {
        let text = with("redis: {}", &format!("networkPolicy: {{from: [{{podSelector: {{}}}}, {peer}]}}"));
        let dot = if message.starts_with("names nobody") { ": " } else { "." };
        refused(text, &[&format!("spec.networkPolicy.from[1]{dot}{message}")]);
    }
    refused(
        with("none: {files: {folder: /etc/app}}", "networkPolicy: {from: [{podSelector: {}}]}"),
        &["spec.networkPolicy: is for a port; add spec.database.none.port, or leave it out"],
    );
}

#[test]
fn render_says_where_the_policy_lets_in_nobody_or_fewer_than_postgresql() {
    let told = |database: &str, lines: &str| {
        let done = output_of(tandem_vm().args(["render", "-"]), with(database, lines).as_bytes());
        assert!(done.status.success() && said(&done).contains("kind: VirtualMachine"), "{}", said(&done));
        String::from_utf8(done.stderr).unwrap()
    };
    let (client, other) = ("clients: [{name: app, image: i}]", "networkPolicy: {from: [{podSelector: {}}]}");
    let hba = "postgresql: {hba: ['local all all peer', 'hostssl all all all reject', 'hostssl all m 10.0.0.0/8 md5']}";
    let place = "tandem-vm: warning: standard input: document 1: ";
    let others = "name others in spec.networkPolicy.from\n";
    let line = format!("{place}spec.database.postgresql.hba[2]: whoever it is for, the NetworkPolicy lets in ");
    assert_eq!(told(hba, ""), format!("{line}no client; {others}"));
    assert_eq!(told(hba, client), format!("{line}spec.clients alone; {others}"));
    let nobody =
        "the NetworkPolicy lets in no client; name clients in spec.clients, or others in spec.networkPolicy.from\n";
    let rejects = "postgresql: {hba: ['local all all peer', 'hostssl all all all reject # nobody']}";
    for database in [rejects, "redis: {}", "none: {files: {folder: /etc/app}, port: 443}"] {
        assert_eq!(told(database, ""), format!("{place}{nobody}"));
        assert_eq!(told(database, client), "");
    }
    for (database, lines) in [(hba, other), ("redis: {}", other), ("none: {files: {folder: /etc/app}}", "")] {
        assert_eq!(told(database, lines), "", "{database}");
    }
}
