//! Honest requests for what the CA's own certificates forbid (facts 25, 26).

use std::sync::LazyLock;

use jiff::SignedDuration;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CidrSubnet, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyPair, NameConstraints,
};
use tandem_issuer_core::Authority;

use crate::support::{authority, below, ca_params, read, root};

use super::{Attempt, Case, Forge, case};

fn made(change: fn(&mut CertificateParams)) -> Authority {
    let mut params = ca_params("restricted");
    change(&mut params);
    authority(&CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
}

/// A CA with these restrictions between the root and the CA that signs.
fn beneath(change: fn(&mut CertificateParams)) -> Authority {
    let top = root("root", &rcgen::PKCS_ECDSA_P256_SHA256);
    let mut params = ca_params("restricted");
    change(&mut params);
    let middle = below(&top, params);
    let lower = below(&middle, ca_params("lower"));
    let chain: String = [&lower, &middle, &top].map(|ca| ca.as_ref().pem()).concat();
    read(&chain, &lower.key().serialize_pem(), None).unwrap()
}

fn permitted(params: &mut CertificateParams) {
    let permitted_subtrees = vec![
        GeneralSubtree::DnsName("inside.example".to_owned()),
        GeneralSubtree::IpAddress(CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0])),
        GeneralSubtree::Rfc822Name("inside.example".to_owned()),
    ];
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
}

fn excluded(params: &mut CertificateParams) {
    let excluded_subtrees = vec![
        GeneralSubtree::DnsName("secret.example".to_owned()),
        GeneralSubtree::IpAddress(CidrSubnet::V4([10, 1, 0, 0], [255, 255, 0, 0])),
        GeneralSubtree::Rfc822Name("secret.example".to_owned()),
    ];
    params.name_constraints = Some(NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees });
}

fn servers_only(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

static PERMITTED: LazyLock<Authority> = LazyLock::new(|| made(permitted));
static PERMITTED_ABOVE: LazyLock<Authority> = LazyLock::new(|| beneath(permitted));
static EXCLUDED: LazyLock<Authority> = LazyLock::new(|| made(excluded));
static EXCLUDED_ABOVE: LazyLock<Authority> = LazyLock::new(|| beneath(excluded));
static SERVERS: LazyLock<Authority> = LazyLock::new(|| made(servers_only));
static SERVERS_ABOVE: LazyLock<Authority> = LazyLock::new(|| beneath(servers_only));
static LAST: LazyLock<Authority> =
    LazyLock::new(|| made(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))));
static LAST_BY_ABOVE: LazyLock<Authority> =
    LazyLock::new(|| beneath(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1))));
static ENDING: LazyLock<Authority> =
    LazyLock::new(|| made(|params| params.not_after = rcgen::date_time_ymd(2026, 12, 1)));
static ENDING_ABOVE: LazyLock<Authority> =
    LazyLock::new(|| beneath(|params| params.not_after = rcgen::date_time_ymd(2026, 12, 1)));

pub(super) fn cases() -> Vec<Case> {
    let name = |authority: &'static Authority, tag, value: &[u8]| Attempt {
        authority,
        ..Forge::names(&[(tag, value)]).into()
    };
    let usage = |authority: &'static Authority, usages: &[&str]| Attempt {
        authority,
        usages: usages.iter().map(|usage| (*usage).to_owned()).collect(),
        ..Forge::new().into()
    };
    let sub_ca = |authority: &'static Authority| Attempt { authority, is_ca: true, ..Forge::new().into() };
    let long = |authority: &'static Authority| Attempt {
        authority,
        duration: Ok(Some(SignedDuration::from_hours(24 * 11))),
        ..Forge::new().into()
    };
    vec![
        case("a DNS name outside what is permitted", name(&PERMITTED, 0x82, b"db.example.com"), NAMES),
        case("a DNS name outside what is permitted above", name(&PERMITTED_ABOVE, 0x82, b"db.example.com"), NAMES),
        case("a DNS name that only ends alike", name(&PERMITTED, 0x82, b"notinside.example"), NAMES),
        case("an address outside what is permitted", name(&PERMITTED, 0x87, &[11, 0, 0, 1]), NAMES),
        case("an IPv6 address where IPv4 is permitted", name(&PERMITTED, 0x87, &[0; 16]), NAMES),
        case("a DNS name that is excluded", name(&EXCLUDED, 0x82, b"db.secret.example"), NAMES),
        case("a DNS name that is excluded above", name(&EXCLUDED_ABOVE, 0x82, b"db.secret.example"), NAMES),
        case("a DNS name that is excluded, in capitals", name(&EXCLUDED, 0x82, b"DB.SECRET.EXAMPLE"), NAMES),
        case("a wildcard that reaches what is excluded", name(&EXCLUDED, 0x82, b"*.secret.example"), NAMES),
        case("an address that is excluded", name(&EXCLUDED, 0x87, &[10, 1, 2, 3]), NAMES),
        case("a usage beyond the CA's", usage(&SERVERS, &["client auth"]), USAGES),
        case("a usage beyond the CA's above", usage(&SERVERS_ABOVE, &["client auth"]), USAGES),
        case("one usage of two beyond the CA's above", usage(&SERVERS_ABOVE, &["server auth", "client auth"]), USAGES),
        case("any usage beneath a CA for servers", usage(&SERVERS_ABOVE, &["any"]), USAGES),
        case("a CA beneath one that is the last", sub_ca(&LAST), "path length"),
        case("a CA beneath one that is the last by its issuer", sub_ca(&LAST_BY_ABOVE), "path length"),
        case("a certificate that outlives its CA", long(&ENDING), "after its CA at 2026-12-01"),
        case("a certificate that outlives its CA's issuer", long(&ENDING_ABOVE), "after its CA at 2026-12-01"),
    ]
}

const NAMES: &str = "name constraint";
const USAGES: &str = "restricts extended key usages";
