//! The same faults at every level of a request: a tree of all its elements, and what can be done to each of them.

use rcgen::SigningKey;

use crate::support::{SEQUENCE, SET, tlv};

use super::{
    Attempt,
    forge::{ECDSA_SHA256, KEY},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A length that the end of contents tells, which is BER.
    Indefinite,
    /// A length of more octets than it needs, which is BER.
    LongForm,
    /// A length that reaches beyond the content.
    TooLong,
    /// A length that ends within the content.
    TooShort,
    /// The same tag in another class.
    Class,
    /// Something after what belongs in it.
    Trailing,
    /// Nothing in it.
    Empty,
    /// Left out.
    Missing,
    /// Given twice in a row.
    Twice,
}

use Fault::{Class, Empty, Indefinite, LongForm, Missing, TooLong, TooShort, Trailing, Twice};

const FAULTS: [Fault; 9] = [Indefinite, LongForm, TooLong, TooShort, Class, Trailing, Empty, Missing, Twice];

/// An element with a name.
enum Node {
    Value(&'static str, u8, Vec<u8>),
    Group(&'static str, u8, Vec<Node>),
}

use Node::{Group, Value};

impl Node {
    fn encode(&self, at: &str, fault: Fault) -> Vec<u8> {
        let (name, tag, mut content) = match self {
            Value(name, tag, content) => (*name, *tag, content.clone()),
            Group(name, tag, nodes) => (*name, *tag, nodes.iter().flat_map(|node| node.encode(at, fault)).collect()),
        };
        let whole = tlv(tag, &[&content]);
        if name != at {
            return whole;
        }
        let with_length = |change: fn(&mut u8)| {
            // The last octet of the length stands before the content.
            let mut changed = whole.clone();
            change(&mut changed[whole.len() - content.len() - 1]);
            changed
        };
        match fault {
            Indefinite => [&[tag, 0x80], content.as_slice(), &[0, 0]].concat(),
            LongForm => match &whole[1..] {
                [length @ ..=0x7f, rest @ ..] => [&[tag, 0x81, *length], rest].concat(),
                [octets, rest @ ..] => [&[tag, octets + 1, 0], rest].concat(),
                [] => whole,
            },
            TooLong => with_length(|length| *length += 1),
            TooShort => with_length(|length| *length -= 1),
            Class => [&[tag ^ 0x40], &whole[1..]].concat(),
            Trailing => {
                content.extend([5, 0]);
                tlv(tag, &[&content])
            }
            Empty => tlv(tag, &[]),
            Missing => Vec::new(),
            Twice => whole.repeat(2),
        }
    }

    fn names(&self) -> Vec<&'static str> {
        match self {
            Value(name, ..) => vec![name],
            Group(name, _, nodes) => [*name].into_iter().chain(nodes.iter().flat_map(Self::names)).collect(),
        }
    }
}

/// What is signed.
fn info() -> Node {
    let key = KEY.public_key_raw();
    let name = Group(
        "subject",
        SEQUENCE,
        vec![Group(
            "RDN",
            SET,
            vec![Group(
                "attribute",
                SEQUENCE,
                vec![Value("attribute type", 0x06, vec![0x55, 4, 3]), Value("attribute value", 0x0c, b"db".to_vec())],
            )],
        )],
    );
    let algorithm = Group(
        "key algorithm",
        SEQUENCE,
        vec![
            Value("key type", 0x06, vec![0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
            Value("curve", 0x06, vec![0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
        ],
    );
    let key = Group("key", SEQUENCE, vec![algorithm, Value("key bits", 0x03, [&[0], key].concat())]);
    let extension = Group(
        "extension",
        SEQUENCE,
        vec![
            Value("extension id", 0x06, vec![0x55, 0x1d, 17]),
            Value("criticality", 0x01, vec![0xff]),
            Group(
                "extension value",
                0x04,
                vec![Group("names", SEQUENCE, vec![Value("name", 0x82, b"a.example".to_vec())])],
            ),
        ],
    );
    let request = Group(
        "request for extensions",
        SEQUENCE,
        vec![
            Value("its id", 0x06, vec![0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 0x0e]),
            Group("its values", SET, vec![Group("extensions", SEQUENCE, vec![extension])]),
        ],
    );
    Group("info", SEQUENCE, vec![Value("version", 0x02, vec![0]), name, key, Group("attributes", 0xa0, vec![request])])
}

fn request(at: &str, fault: Fault) -> Vec<u8> {
    let info = info().encode(at, fault);
    let signature = [vec![0], KEY.sign(&info).unwrap()].concat();
    // ECDSA_SHA256 is a sequence of one OID.
    let algorithm = Group("algorithm", SEQUENCE, vec![Value("algorithm id", 0x06, ECDSA_SHA256[4..].to_vec())]);
    let outer = [info, algorithm.encode(at, fault), Value("signature", 0x03, signature).encode(at, fault)].concat();
    Value("request", SEQUENCE, outer).encode(at, fault)
}

/// What looks like a fault and is none; these are signed.
const FINE: &[(&str, Fault, &str)] = &[
    ("subject", Empty, "the names are there"),
    ("RDN", Missing, "the names are there"),
    ("RDN", Twice, "attributes may be repeated"),
    ("attribute", Twice, "as long as they are in order"),
    ("attribute type", Trailing, "another type of attribute"),
    ("attributes", Empty, "a request need not have any"),
    ("attributes", Missing, "OpenSSL leaves them out where there are none, against RFC 2986"),
    ("request for extensions", Missing, "a request need not have any"),
    ("its id", Trailing, "another attribute, which is dropped"),
    ("extensions", Empty, "a request need not have any"),
    ("extension", Missing, "a request need not have any"),
    ("extension id", Trailing, "another extension, which is dropped"),
    ("criticality", Missing, "an extension need not be critical"),
    ("names", Empty, "the subject is there"),
    ("name", Missing, "the subject is there"),
    ("name", Twice, "what was asked for twice is given twice"),
];

/// Fact 10: nothing but DER is read, at any level.
#[test]
fn no_fault_at_any_level_of_a_request_is_signed() {
    let names = info().names().into_iter().chain(["algorithm", "algorithm id", "signature", "request"]);
    let mut complaints = Vec::new();
    let mut refused = 0;
    for (name, fault) in names.flat_map(|name| FAULTS.map(|fault| (name, fault))) {
        let outcome = Attempt::der(&request(name, fault)).outcome();
        match FINE.iter().find(|(known, harmless, _)| (*known, *harmless) == (name, fault)) {
            Some((_, _, why)) => {
                complaints.extend(outcome.err().map(|error| format!("{name} {fault:?}: {why}; {error}")))
            }
            None => {
                refused += 1;
                complaints.extend(super::complaint(&outcome, "").map(|what| format!("{name} {fault:?}: {what}")));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(refused >= 200, "{refused} faults");
}
