//! Name constraints, usages and path lengths of the CA's chain (issuer fact 26).

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tandem_issuer_core::{Authority, Class, Decision, Error, Serial, decide::Request, issue};

use crate::support::{
    Ca, SEQUENCE, SET, below, ca_params, crafted, csr, csr_with, extension, extension_request, now, rdn, read, ready,
    request, root, tlv, to_pem,
};

const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;

fn name(tag: u8, value: &[u8]) -> Vec<u8> {
    tlv(tag, &[value])
}

/// A directory name of these RDNs.
fn directory(rdns: &[Vec<u8>]) -> Vec<u8> {
    tlv(0xa4, &[&tlv(SEQUENCE, &[&rdns.concat()])])
}

fn other_name() -> Vec<u8> {
    tlv(0xa0, &[&tlv(0x06, &[&[0x2a, 3, 4]]), &tlv(0xa0, &[&tlv(0x0c, &[b"upn"])])])
}

/// NameConstraints of the bases of permitted and excluded subtrees.
fn constraints(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Vec<u8> {
    let subtrees = |tag, bases: &[Vec<u8>]| {
        let bases: Vec<u8> = bases.iter().flat_map(|base| tlv(SEQUENCE, &[base])).collect();
        if bases.is_empty() { bases } else { tlv(tag, &[&bases]) }
    };
    tlv(SEQUENCE, &[&subtrees(0xa0, permitted), &subtrees(0xa1, excluded)])
}

/// A CA with an extension of id-ce.
fn with_extension(arc: u64, critical: bool, value: Vec<u8>) -> CertificateParams {
    let mut params = ca_params("constrained");
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, arc], value);
    extension.set_criticality(critical);
    params.custom_extensions.push(extension);
    params
}

fn self_signed(params: CertificateParams) -> Ca {
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn authority(chain: &[&Ca]) -> Result<Authority, Error> {
    let pem: String = chain.iter().map(|ca| ca.as_ref().pem()).collect();
    read(&pem, &chain[0].key().serialize_pem(), None)
}

/// A request (PEM) of this subject and these names.
fn asking(rdns: &[Vec<u8>], names: &[Vec<u8>]) -> String {
    let names = extension(17, rdns.is_empty(), &tlv(SEQUENCE, &[&names.concat()]));
    to_pem("CERTIFICATE REQUEST", &crafted(0, rdns, &[extension_request(&[names])]))
}

/// What becomes of a request: nothing where it is signed and published, else why not.
fn refusal(request: &Request<'_>, authority: &Authority) -> Option<String> {
    match tandem_issuer_core::decide(request, &ready(authority), now()) {
        Decision::Sign(grant) => {
            issue(&grant, authority, Serial::from_random([7; 20]), now()).unwrap();
            None
        }
        Decision::Fail(error) => {
            assert_eq!(error.class(), Class::Permanent);
            Some(error.to_string())
        }
        other => panic!("{other:?}"),
    }
}

const V4: &[u8] = &[10, 1, 0, 0, 255, 255, 0, 0];
const OUTSIDE: &str = "they permit only";
const EXCLUDED: &str = "they exclude";
const INCOMPARABLE: &str = "it cannot be compared with them";

/// Fact 26: each form of name against each form of subtree (RFC 5280 clause 4.2.1.10).
#[test]
fn names_are_compared_with_the_chains_constraints() {
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 12], &[0xff; 4], &[0; 12]].concat();
    let v6_name = |last| name(IP, &[&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[last]].concat());
    // Form; base; names that it holds; names that it does not.
    type Case = (u8, Vec<u8>, Vec<Vec<u8>>, Vec<Vec<u8>>);
    let texts = |tag: u8, texts: &[&str]| texts.iter().map(|text| name(tag, text.as_bytes())).collect::<Vec<_>>();
    let cases: Vec<Case> = vec![
        (
            DNS,
            b"a.test".to_vec(),
            texts(DNS, &["a.test", "b.a.test", "c.b.a.test", "A.Test", "*.a.test"]),
            texts(DNS, &["test", "ba.test", "a.test.org", "b.test"]),
        ),
        (DNS, b"A.TEST".to_vec(), texts(DNS, &["a.test"]), texts(DNS, &["b.test"])),
        (DNS, b".a.test".to_vec(), texts(DNS, &["b.a.test", "*.a.test"]), texts(DNS, &["a.test", "ba.test"])),
        (
            EMAIL,
            b"a.test".to_vec(),
            texts(EMAIL, &["x@a.test", "x@A.TEST"]),
            texts(EMAIL, &["x@ba.test", "a.test@b.test"]),
        ),
        (EMAIL, b".a.test".to_vec(), texts(EMAIL, &["x@b.a.test"]), texts(EMAIL, &["x@a.test", "x@ba.test"])),
        (
            EMAIL,
            b"x@a.test".to_vec(),
            texts(EMAIL, &["x@a.test", "x@A.test"]),
            texts(EMAIL, &["X@a.test", "xx@a.test", "x@b.a.test"]),
        ),
        (
            URI,
            b"a.test".to_vec(),
            texts(URI, &["https://a.test/x", "spiffe://A.test/b.test", "https://a.test:8443?@b.test"]),
            texts(URI, &["https://b.test/a.test", "https://ba.test", "https://b.test?a.test"]),
        ),
        (
            URI,
            b".a.test".to_vec(),
            texts(URI, &["https://b.a.test"]),
            texts(URI, &["https://a.test", "https://ba.test"]),
        ),
        (IP, V4.to_vec(), vec![name(IP, &[10, 1, 255, 1])], vec![name(IP, &[10, 2, 0, 1]), v6_name(1)]),
        (IP, v6, vec![v6_name(0), v6_name(9)], vec![name(IP, &[0x20, 1, 0xd, 0xb8]), name(IP, &[0xff; 16])]),
    ];
    for (tag, base, within, without) in cases {
        let base = [name(tag, &base)];
        for critical in [true, false] {
            let permitting = authority(&[&self_signed(with_extension(30, critical, constraints(&base, &[])))]).unwrap();
            let excluding = authority(&[&self_signed(with_extension(30, critical, constraints(&[], &base)))]).unwrap();
            let check =
                |authority, name: &Vec<u8>| refusal(&request(&asking(&[], std::slice::from_ref(name))), authority);
            for name in &within {
                let shown = String::from_utf8_lossy(name);
                assert_eq!(check(&permitting, name), None, "{base:?} permits {shown}");
                let refused = check(&excluding, name);
                assert!(refused.is_some_and(|why| why.contains(EXCLUDED)), "{base:?} excludes {shown}");
            }
            for name in &without {
                let shown = String::from_utf8_lossy(name);
                let refused = check(&permitting, name);
                assert!(refused.is_some_and(|why| why.contains(OUTSIDE)), "{base:?} does not permit {shown}");
                assert_eq!(check(&excluding, name), None, "{base:?} does not exclude {shown}");
            }
        }
    }
}

/// Fact 26: where verifiers differ, what one of them refuses is not signed.
#[test]
fn the_strictest_reading_counts() {
    let refused = |permitted: &[Vec<u8>], excluded: &[Vec<u8>], rdns: &[Vec<u8>], name: &[Vec<u8>], why: &str| {
        let ca = self_signed(with_extension(30, true, constraints(permitted, excluded)));
        let refusal = refusal(&request(&asking(rdns, name)), &authority(&[&ca]).unwrap());
        assert!(refusal.as_ref().is_some_and(|text| text.contains(why)), "{why}: {refusal:?}");
    };
    let dns = |text: &str| vec![name(DNS, text.as_bytes())];
    let uri = |text: &str| vec![name(URI, text.as_bytes())];
    let email = |text: &str| vec![name(EMAIL, text.as_bytes())];
    let cn = |text: &str| vec![rdn(&[(3, 0x0c, text.as_bytes())])];
    // A wildcard stands for the excluded name as well.
    refused(&[], &dns("a.test"), &[], &dns("*.test"), EXCLUDED);
    // Go: hosts of URIs and email addresses beneath the excluded one.
    refused(&[], &uri("a.test"), &[], &uri("https://b.a.test"), EXCLUDED);
    refused(&[], &email("a.test"), &[], &email("x@b.a.test"), EXCLUDED);
    // The RFC and OpenSSL: only the host itself.
    refused(&uri("a.test"), &[], &[], &uri("https://b.a.test"), OUTSIDE);
    refused(&email("a.test"), &[], &[], &email("x@b.a.test"), OUTSIDE);
    // No host to compare, or none that all find: addresses, user information, escapes, a second @.
    for text in
        ["urn:uuid:0", "https://10.1.0.1/", "https://[::1]/", "https://b.test@a.test", "https://a%2etest", "//a.test"]
    {
        refused(&uri("a.test"), &[], &[], &uri(text), INCOMPARABLE);
    }
    for text in ["a.test", "\"x@b.test\"@a.test", "x@b@a.test", "@a.test", "x@[10.1.0.1]", "x@a.test."] {
        refused(&email("a.test"), &[], &[], &email(text), INCOMPARABLE);
    }
    for text in ["a.test.", "b..a.test", ".a.test", "b*.a.test", "*.*.a.test", "b a.test"] {
        refused(&dns("a.test"), &[], &[], &dns(text), INCOMPARABLE);
    }
    // Go reads all names as soon as any are constrained.
    refused(&dns("a.test"), &[], &[], &uri("urn:uuid:0"), INCOMPARABLE);
    // OpenSSL takes a common name for a DNS name where there is no other.
    refused(&dns("a.test"), &[], &cn("b.test"), &email("x@a.test"), OUTSIDE);
    // An address beneath constraints of the other version only.
    refused(&[name(IP, V4)], &[], &[], &[name(IP, &[0xff; 16])], OUTSIDE);
    // An IPv4 address as an IPv6 one: Go compares it as the one, and finds a host by it as the other.
    let mapped = name(IP, &[&[0; 10][..], &[0xff; 2], &[10, 1, 0, 1]].concat());
    refused(&[], &[name(IP, V4)], &[], std::slice::from_ref(&mapped), INCOMPARABLE);
    refused(&[name(IP, &[0; 32])], &[], &[], std::slice::from_ref(&mapped), INCOMPARABLE);
    // Forms that nobody compares.
    refused(&[other_name()], &[], &[], &[other_name()], INCOMPARABLE);
    refused(&[], &[name(0x88, &[0x2a, 3])], &[], &[name(0x88, &[0x2a, 3, 4])], INCOMPARABLE);
}

/// A status of more than a megabyte is never written, and a request that is never said to have failed is tried for ever.
#[test]
fn a_message_is_bounded_however_much_is_wrong() {
    let bases: Vec<_> = (0..500).map(|index| name(DNS, format!("{index}.test").as_bytes())).collect();
    let ca = self_signed(with_extension(30, true, constraints(&bases, &[])));
    let names: Vec<_> = (0..4000).map(|index| name(DNS, format!("{index}.org").as_bytes())).collect();
    let refused = refusal(&request(&asking(&[], &names)), &authority(&[&ca]).unwrap()).unwrap();
    assert!(refused.len() < 128 * 1024 && refused.ends_with("and 3936 more"), "{} bytes", refused.len());

    let usages = vec!["any".to_owned(); 100_000];
    let csr = csr_with(&KeyPair::generate().unwrap(), |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let refused =
        refusal(&Request { usages: &usages, ..request(&csr) }, &authority(&[&self_signed(ca_params("CA"))]).unwrap());
    let refused = refused.unwrap();
    assert!(refused.len() < 4096 && refused.contains("and 99936 more"), "{} bytes", refused.len());
}

/// Fact 26: directory names, the subject among them, and the subject's email addresses.
#[test]
fn the_subject_is_constrained_too() {
    let organization = |tag, text: &[u8]| rdn(&[(10, tag, text)]);
    let unit = rdn(&[(11, 0x0c, b"Unit")]);
    let base = directory(&[organization(0x13, b"Example Org")]);
    let permitting =
        authority(&[&self_signed(with_extension(30, true, constraints(std::slice::from_ref(&base), &[])))]).unwrap();
    let excluding = authority(&[&self_signed(with_extension(30, true, constraints(&[], &[base])))]).unwrap();
    let dns = [name(DNS, b"any.test")];
    let within = [
        vec![organization(0x13, b"Example Org")],
        vec![organization(0x0c, b"Example Org"), unit.clone()],
        vec![organization(0x0c, b" EXAMPLE  org "), unit.clone()],
    ];
    for rdns in &within {
        assert_eq!(refusal(&request(&asking(rdns, &dns)), &permitting), None);
        assert!(refusal(&request(&asking(rdns, &dns)), &excluding).unwrap().contains(EXCLUDED));
    }
    let without = [
        vec![unit.clone(), organization(0x13, b"Example Org")],
        vec![organization(0x13, b"Example Org 2")],
        vec![rdn(&[(11, 0x0c, b"Unit"), (10, 0x13, b"Example Org")])],
    ];
    for rdns in &without {
        let refused = refusal(&request(&asking(rdns, &dns)), &permitting).unwrap();
        assert!(refused.contains("directory name") && refused.contains(OUTSIDE), "{refused}");
        assert_eq!(refusal(&request(&asking(rdns, &dns)), &excluding), None);
    }
    // An empty subject is no directory name; one among the alternative names is.
    assert_eq!(refusal(&request(&asking(&[], &dns)), &permitting), None);
    assert!(refusal(&request(&asking(&[], &[directory(&without[0])])), &permitting).unwrap().contains(OUTSIDE));
    assert_eq!(refusal(&request(&asking(&[], &[directory(&within[0])])), &permitting), None);

    let base = [name(EMAIL, b"a.test")];
    let permitting = authority(&[&self_signed(with_extension(30, true, constraints(&base, &[])))]).unwrap();
    let address_as = |tag: u8, text: &[u8]| {
        let oid = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];
        tlv(SET, &[&tlv(SEQUENCE, &[&tlv(0x06, &[&oid]), &tlv(tag, &[text])])])
    };
    let address = |text: &[u8]| address_as(0x16, text);
    assert_eq!(refusal(&request(&asking(&[address(b"x@a.test")], &dns)), &permitting), None);
    assert!(refusal(&request(&asking(&[address(b"x@b.test")], &dns)), &permitting).unwrap().contains(OUTSIDE));
    // OpenSSL reads it in no other string type.
    let utf8 = asking(&[address_as(0x0c, b"x@a.test")], &dns);
    assert!(refusal(&request(&utf8), &permitting).unwrap().contains(INCOMPARABLE));
}

/// Fact 26: every certificate of the chain counts, the root included, for leaves and for CAs; every broken constraint is
/// named, with the CA that has it.
#[test]
fn every_certificate_of_the_chain_constrains() {
    let named = |common_name: &str, base: &[u8]| {
        let mut params = with_extension(30, true, constraints(&[name(DNS, base)], &[]));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        params
    };
    let top = self_signed(named("top", b"test"));
    let middle = below(&top, named("middle", b"a.test"));
    let lower = below(&middle, ca_params("lower"));
    let authority = authority(&[&lower, &middle, &top]).unwrap();
    let both = asking(&[], &[name(DNS, b"b.a.test"), name(DNS, b"b.test"), name(DNS, b"b.org")]);
    for is_ca in [false, true] {
        let refused = refusal(&Request { is_ca, ..request(&both) }, &authority).unwrap();
        assert_eq!(
            refused,
            "the DNS name \"b.test\" breaks the name constraints of the CA \"CN=middle\": they permit only DNS name \"a.test\"; \
             the DNS name \"b.org\" breaks the name constraints of the CA \"CN=middle\": they permit only DNS name \"a.test\"; \
             the DNS name \"b.org\" breaks the name constraints of the CA \"CN=top\": they permit only DNS name \"test\""
        );
        let allowed = asking(&[], &[name(DNS, b"b.a.test")]);
        assert_eq!(refusal(&Request { is_ca, ..request(&allowed) }, &authority), None);
    }
}

/// Fact 24: a chain whose own certificates break the constraints above them signs nothing that anybody takes.
#[test]
fn the_chain_keeps_its_own_constraints() {
    let base = [directory(&[rdn(&[(10, 0x13, b"Example")])])];
    let top = self_signed(with_extension(30, true, constraints(&base, &[])));
    let outside = below(&top, ca_params("outside"));
    let error = authority(&[&outside, &top]).unwrap_err();
    assert_eq!(error.class(), Class::Issuer);
    let message = error.to_string();
    assert!(message.contains("the certificate \"CN=outside\": the directory name \"CN=outside\" breaks"), "{message}");

    // A new certificate of the same CA between the two is exempt.
    let mut params = with_extension(30, true, constraints(&base, &[]));
    params.key_identifier_method = rcgen::KeyIdMethod::Sha384;
    let again = below(&top, params);
    let mut inside = ca_params("inside");
    inside.distinguished_name = rcgen::DistinguishedName::new();
    inside.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
    let inside = below(&again, inside);
    authority(&[&inside, &again, &top]).unwrap();
}

/// Fact 24: constraints that not all verifiers read, and critical extensions that not all know.
#[test]
fn what_cannot_be_read_is_no_ca() {
    let problem = |arc, critical, value: Vec<u8>| {
        authority(&[&self_signed(with_extension(arc, critical, value))]).map_err(|error| error.to_string()).err()
    };
    let with_maximum = tlv(SEQUENCE, &[&tlv(0xa0, &[&tlv(SEQUENCE, &[&name(DNS, b"test"), &[0x81, 1, 5]])])]);
    for (value, says) in [
        (tlv(SEQUENCE, &[]), "they constrain nothing"),
        (with_maximum, "a minimum or a maximum"),
        (constraints(&[name(IP, &[10, 0, 0, 0])], &[]), "an IP range is not"),
        (constraints(&[name(IP, &[10, 0, 0, 0, 255, 0, 255, 0])], &[]), "an IP range is not"),
        (constraints(&[name(IP, &[10, 0, 0, 0, 0xf1, 0, 0, 0])], &[]), "an IP range is not"),
        (constraints(&[name(DNS, b"a..test")], &[]), "an empty label"),
        (constraints(&[name(DNS, b"*.test")], &[]), "a wildcard may only"),
        (constraints(&[name(URI, b"https://a.test")], &[]), "a character that no DNS name has"),
        (constraints(&[], &[name(URI, b"10.0.0.1")]), "is not a subtree"),
        (constraints(&[name(EMAIL, b"x@y@z")], &[]), "no email address"),
        (constraints(&[tlv(0xa3, &[])], &[]), "its name constraints"),
        (vec![0x30, 0x05], "its name constraints"),
    ] {
        let found = problem(30, false, value.clone()).unwrap();
        assert!(found.contains(says), "{says}: {found}");
        // Nor is a CA made with them.
        let wanted = [extension(30, true, &value), extension(17, true, &tlv(SEQUENCE, &[&name(DNS, b"a.test")]))];
        let csr = to_pem("CERTIFICATE REQUEST", &crafted(0, &[], &[extension_request(&wanted)]));
        let free = crate::support::authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
        let refused = refusal(&Request { is_ca: true, ..request(&csr) }, &free).unwrap();
        assert!(refused.contains("name constraint"), "{refused}");
    }
    assert!(problem(99, true, vec![5, 0]).unwrap().contains("critical extension 2.5.29.99 is not known"));
    assert_eq!(problem(99, false, vec![5, 0]), None);
}

/// Fact 26: each certificate of the chain that restricts its extended key usages must allow all that are asked for, the
/// root included, which webpki does not look at.
#[test]
fn usages_are_those_that_the_chain_allows() {
    let restricted = |name: &str, usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = ca_params(name);
        params.extended_key_usages = usages.to_vec();
        params
    };
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    let top = self_signed(restricted("top", &[ServerAuth, ClientAuth]));
    let middle = below(&top, restricted("middle", &[ServerAuth]));
    let any = below(&top, restricted("any", &[Any]));
    let csr = csr();
    let with = |chain: &[&Ca], usages: &[&str], is_ca| {
        let usages: Vec<_> = usages.iter().map(|usage| (*usage).to_owned()).collect();
        refusal(&Request { usages: &usages, is_ca, ..request(&csr) }, &authority(chain).unwrap())
    };
    for is_ca in [false, true] {
        assert_eq!(with(&[&middle, &top], &["server auth"], is_ca), None);
        assert_eq!(
            with(&[&middle, &top], &["server auth", "client auth"], is_ca).unwrap(),
            "the CA \"CN=middle\" restricts extended key usages to server auth: no verifier would take client auth beneath it"
        );
        // None asked for: none that is refused.
        assert_eq!(with(&[&middle, &top], &["digital signature"], is_ca), None);
        assert_eq!(with(&[&any, &top], &["client auth"], is_ca), None);
        // Any usage is more than two.
        let refused = with(&[&top], &["any"], is_ca).unwrap();
        assert!(refused.contains("would take any beneath"), "{refused}");
        let refused = with(&[&any, &top], &["code signing"], is_ca).unwrap();
        assert!(refused.contains("\"CN=top\"") && refused.contains("code signing"), "{refused}");
    }
}

/// Fact 26: a CA asks for no longer path than the chain leaves.
#[test]
fn a_cas_path_length_fits_beneath_the_chain() {
    let with_room = |length: Option<u8>| {
        let mut params = ca_params("CA");
        params.is_ca = IsCa::Ca(length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
        authority(&[&self_signed(params)]).unwrap()
    };
    let asking = |length: Option<u8>| {
        let length = length.map(|length| tlv(0x02, &[&[length]])).unwrap_or_default();
        let constraints = extension(19, true, &tlv(SEQUENCE, &[&[0x01, 0x01, 0xff], &length]));
        to_pem("CERTIFICATE REQUEST", &crafted(0, &[rdn(&[(3, 0x0c, b"sub")])], &[extension_request(&[constraints])]))
    };
    for (room, wanted, problem) in [
        (None, Some(5), None),
        (Some(1), None, None),
        (Some(1), Some(0), None),
        (Some(3), Some(2), None),
        (Some(0), None, Some("allows none beneath it")),
        (Some(0), Some(0), Some("allows none beneath it")),
        (Some(1), Some(1), Some("encodes path length 1, but the issuing CA's chain leaves 0")),
        (Some(3), Some(7), Some("encodes path length 7, but the issuing CA's chain leaves 2")),
    ] {
        let csr = asking(wanted);
        let refused = refusal(&Request { is_ca: true, ..request(&csr) }, &with_room(room));
        match problem {
            None => assert_eq!(refused, None, "{room:?} {wanted:?}"),
            Some(problem) => assert!(refused.unwrap().contains(problem), "{room:?} {wanted:?}"),
        }
    }
}
