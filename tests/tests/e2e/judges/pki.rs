//! The requests and authorities of the matrix, and what the core makes of them.

use std::collections::{HashMap, hash_map::Entry};

use anyhow::{Result, bail};
use der::{
    Decode, Encode,
    asn1::{BitString, OctetString, SetOfVec},
    oid::AssociatedOid,
};
use jiff::Timestamp;
use rcgen::{CertifiedIssuer, PKCS_ECDSA_P384_SHA384, PublicKeyData};
use tandem_issuer_core::{
    Authority, Decision, Issued, Serial, Settings,
    authority::Material,
    decide::{self, Approval, Issuer, Request},
    issue,
    settings::{LeafBeyondCa, Urls},
    signer::{LocalKey, Signer},
    usage::{self, key_usage_extension},
};
use tandem_tests::certificates::{ca_params, intermediate_ca, root_ca};
use x509_cert::{
    AlgorithmIdentifier, SubjectPublicKeyInfo,
    ext::{
        Extension,
        pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName},
    },
    name::Name,
    request::{CertReq, CertReqInfo, ExtensionReq, Version},
};

use super::matrix::{Case, Chain, Key};

/// A CA as its Secret makes it, and what a verifier is told to trust.
struct Setup {
    authority: Authority,
    trusted: String,
}

/// What is made once: a CA for each key and chain, and the keys of leaves.
#[derive(Default)]
pub(crate) struct Pki {
    setups: HashMap<(&'static str, Chain), Setup>,
    keys: HashMap<&'static str, LeafKey>,
}

struct LeafKey {
    public_key: Vec<u8>,
    signer: LocalKey,
}

impl Pki {
    /// The certificate of a case, as it is published, and what a verifier is told to trust.
    pub(crate) fn issue(&mut self, case: &Case, now: Timestamp) -> Result<(Issued, String)> {
        let key = match self.keys.entry(case.key.name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let key = case.key.make()?;
                let signer = LocalKey::from_pem(key.serialize_pem().as_bytes())?;
                place.insert(LeafKey { public_key: key.subject_public_key_info(), signer })
            }
        };
        let setup = match self.setups.entry((case.ca_key.name, case.chain)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Setup::new(case.ca_key, case.chain)?),
        };
        Ok((setup.issue(case, &csr(case, key)?, now)?, setup.trusted.clone()))
    }
}

impl Setup {
    fn new(key: &Key, chain: Chain) -> Result<Self> {
        let params = ca_params("Issuing CA");
        let root = root_ca("Root CA", &PKCS_ECDSA_P384_SHA384)?;
        let middle = intermediate_ca("Middle CA", &PKCS_ECDSA_P384_SHA384, &root)?;
        let ca = match chain {
            Chain::Root => CertifiedIssuer::self_signed(params, key.make()?)?,
            Chain::OneIntermediate | Chain::RootUnknown => CertifiedIssuer::signed_by(params, key.make()?, &root)?,
            Chain::TwoIntermediates => CertifiedIssuer::signed_by(params, key.make()?, &middle)?,
        };
        let (ca_pem, root, middle) = (ca.as_ref().pem(), root.as_ref().pem(), middle.as_ref().pem());
        let (certificates, roots, trusted) = match chain {
            Chain::Root | Chain::RootUnknown => (ca_pem.clone(), None, ca_pem),
            Chain::OneIntermediate => (ca_pem + &root, None, root),
            Chain::TwoIntermediates => (ca_pem + &middle, Some(root.clone()), root),
        };
        let authority = Authority::from_secret(Material {
            certificates: Some(certificates.as_bytes()),
            key: Some(ca.key().serialize_pem().as_bytes()),
            roots: roots.as_deref().map(str::as_bytes),
        })?;
        Ok(Self { authority, trusted })
    }

    /// Decides and issues as the controller does.
    fn issue(&self, case: &Case, csr: &str, now: Timestamp) -> Result<Issued> {
        let usages: Vec<_> = case.usages.usages.iter().map(|usage| (*usage).to_owned()).collect();
        let request = Request {
            approval: Approval::Approved,
            csr: csr.as_bytes(),
            duration: Ok(Some(case.duration)),
            is_ca: case.usages.ca.is_some(),
            usages: &usages,
            ..Request::default()
        };
        let url = |path: &str| if case.urls { vec![format!("http://pki.example.com/{path}")] } else { Vec::new() };
        let settings = Settings {
            urls: Urls {
                crl_distribution_points: url("ca.crl"),
                ocsp_servers: url("ocsp"),
                issuing_certificate_urls: url("ca.crt"),
            },
            leaf_beyond_ca: LeafBeyondCa::Permit,
            ..Settings::default()
        };
        let issuer = Issuer::Ready { authority: &self.authority, settings: &settings };
        let grant = match decide::decide(&request, &issuer, now) {
            Decision::Sign(grant) => grant,
            other => bail!("{:?} is not granted: {other:?}", case.values()),
        };
        let mut serial = [0xa5; 20];
        serial[12..].copy_from_slice(&u64::try_from(case.number)?.to_be_bytes());
        Ok(issue(&grant, &self.authority, Serial::from_random(serial), now)?)
    }
}

/// A request as cert-manager makes it: what the spec asks for is encoded in it as well.
fn csr(case: &Case, key: &LeafKey) -> Result<String> {
    let extensions: Attributes = SetOfVec::try_from([ExtensionReq(extensions(case)?).try_into()?])?;
    let info = CertReqInfo {
        version: Version::V1,
        subject: match case.names.subject {
            "" => Name::default(),
            subject => subject.parse()?,
        },
        public_key: SubjectPublicKeyInfo::from_der(&key.public_key)?,
        attributes: extensions,
    };
    let signature = BitString::from_bytes(&key.signer.sign(&info.to_der()?)?)?;
    let algorithm = AlgorithmIdentifier::from_der(&key.signer.algorithm_der()?)?;
    let request = CertReq { info, algorithm, signature }.to_der()?;
    Ok(pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", request)))
}

type Attributes = SetOfVec<x509_cert::attr::Attribute>;

fn extensions(case: &Case) -> Result<Vec<Extension>> {
    let mut all = Vec::new();
    let mut add = |extn_id, critical, value| {
        all.push(Extension { extn_id, critical, extn_value: OctetString::new(value)? });
        anyhow::Ok(())
    };
    let names = (case.names.alternative)()?;
    if !names.is_empty() {
        add(SubjectAltName::OID, case.names.subject.is_empty(), SubjectAltName(names).to_der()?)?;
    }
    let usages = usage::Usages::from_names(case.usages.usages, case.usages.ca.is_some())?;
    if let Some(usage) = key_usage_extension(&usages) {
        add(KeyUsage::OID, true, usage.to_der()?)?;
    }
    if !usages.extended.is_empty() {
        add(ExtendedKeyUsage::OID, false, ExtendedKeyUsage(usages.extended).to_der()?)?;
    }
    if let Some(ca) = &case.usages.ca {
        let constraints = BasicConstraints { ca: true, path_len_constraint: ca.path_length };
        add(BasicConstraints::OID, true, constraints.to_der()?)?;
        if let Some(constraints) = (ca.constraints)()? {
            add(NameConstraints::OID, true, constraints.to_der()?)?;
        }
    }
    Ok(all)
}
