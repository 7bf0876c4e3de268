//! Host names in connection strings, host lists and command lines. Only hosts are taken out: no user, password or path.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

/// A URL of a database. Patterns are constants, and a test compiles them.
static URL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:mongodb|postgres|postgresql|redis|rediss|valkey|valkeys|mysql)://([^/?# \t\r\n"'<>]+)"#).ok()
});
/// HOST:PORT with the port of a database.
static WITH_PORT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"([A-Za-z0-9][A-Za-z0-9.-]*):(?:2701[789]|543[23]|6379|6380|26379)(?:[^0-9]|$)").ok());
/// `host=A,B` as libpq reads it, `--host=A`.
static HOST: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?:^|[ \t\n"'?&-])host=([A-Za-z0-9][A-Za-z0-9.,:-]*)"#).ok());
/// A host name.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$").ok()
});

/// Most hosts that are taken from one text.
const MOST: usize = 100;

/// Of a text that may be anything.
pub(super) fn in_text(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for found in groups(&URL, text) {
        let authority = found.rsplit_once('@').map_or(found, |(_, hosts)| hosts);
        all.extend(list(authority));
    }
    for found in groups(&WITH_PORT, text).chain(groups(&HOST, text)) {
        all.extend(list(found));
    }
    let mut seen = HashSet::new();
    all.retain(|host| seen.insert(host.clone()));
    all.truncate(MOST);
    all
}

fn groups<'t>(regex: &'static Option<Regex>, text: &'t str) -> impl Iterator<Item = &'t str> {
    let found = regex.iter().flat_map(move |regex| regex.captures_iter(text));
    found.filter_map(|found| found.get(1)).map(|group| group.as_str()).take(MOST)
}

/// Of a variable, or a key of a ConfigMap: its name may say that its value is a list of hosts.
pub(super) fn in_variable(name: &str, value: &str) -> Vec<String> {
    let name = name.to_ascii_uppercase();
    let says_so = ["HOST", "HOSTS", "HOSTNAME", "SERVER", "SERVERS", "ADDR", "ADDRESS", "ENDPOINT", "ENDPOINTS"]
        .iter()
        .any(|word| name.split(['_', '-', '.']).any(|part| part == *word) || name == format!("PG{word}"));
    let mut all = in_text(value);
    if says_so {
        all.extend(list(value).into_iter().filter(|host| !all.contains(host)).collect::<Vec<_>>());
    }
    all
}

/// `A:1,B` → A, B in lower case; what is no host name, and IP addresses, are left out.
pub(super) fn list(text: &str) -> Vec<String> {
    let host = |entry: &str| {
        let host = entry.trim().rsplit_once(':').map_or(entry.trim(), |(host, _)| host).trim_end_matches('.');
        let is_name = NAME.as_ref().is_some_and(|regex| regex.is_match(host));
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        (is_name && !is_address && host.len() <= 253).then(|| host.to_ascii_lowercase())
    };
    text.split(',').take(MOST).filter_map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_all_their_forms() {
        for (text, expected) in [
            (
                "mongodb://app:p%40ss@mongodb-0:27017,mongodb-1.mongodb:27017/x?replicaSet=rs0",
                &["mongodb-0", "mongodb-1.mongodb"][..],
            ),
            ("postgres://app@Orders.shop.svc./db", &["orders.shop.svc"]),
            ("rediss://:secret@cache:6380", &["cache"]),
            ("host=db-0,db-1 port=5432 sslmode=verify-full", &["db-0", "db-1"]),
            ("--host=db", &["db"]),
            (r#"rs.initiate({_id: "rs0", members: [{_id: 0, host: "mongodb-0:27017"}]})"#, &["mongodb-0"]),
            ("mongodb://10.0.0.1:27017", &[]),
            ("see http://example.org:8080/x and a:b", &[]),
            ("1:270175", &[]),
        ] {
            assert_eq!(in_text(text), expected, "{text}");
        }
        assert_eq!(in_variable("MONGODB_HOST", "mongodb"), ["mongodb"]);
        assert_eq!(in_variable("PGHOST", "db"), ["db"]);
        assert_eq!(in_variable("GHOST", "db"), [""; 0]);
    }
}
