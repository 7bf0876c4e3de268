//! Files that are neither specs nor manifests.

use super::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    let conf = |name: &str, text: &str| case(name, "mongod-conf input --in-place --port 1", text);
    vec![
        conf("mongod.conf of before 2.6", "port = 27017\n"),
        conf("mongod.conf with a byte order mark", "\u{feff}net:\n  port: 2\n"),
        conf("mongod.conf with a setting twice", "net:\n  port: 2\n  port: 3\n"),
        conf("mongod.conf with two documents", "net:\n  port: 2\n---\nnet:\n  port: 3\n"),
        conf("mongod.conf in flow style", "{net: {port: 2}}\n"),
        conf("mongod.conf with an alias in the place", "a: &a\n  port: 2\nnet: *a\n"),
        conf("mongod.conf with a merged section", "a: &a\n  port: 2\nnet:\n  <<: *a\n"),
        conf("mongod.conf with a tab", "net:\n\tport: 2\n"),
        conf("mongod.conf with a directive", "net:\n  __exec: netconf\n"),
        conf("mongod.conf with dots", "net.port: 2\n"),
        conf("mongod.conf whose port is a list", "net:\n  port: [1, 2]\n"),
        conf("mongod.conf whose port goes over two lines", "net:\n  port: 27\n    017\n"),
        conf("mongod.conf whose net is a list", "net:\n- port: 2\n"),
        case("mongod.conf of 2 MB", "mongod-conf input --in-place --port 1", vec![b'#'; 2_000_000]),
        case("mongod.conf in UTF-16", "mongod-conf input --in-place --port 1", b"\xff\xfen\0e\0t\0:\0".to_vec()),
    ]
}
