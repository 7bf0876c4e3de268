//! Where a judge objects, and why that is as it should be.

use super::matrix::Case;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judge {
    OpenSsl,
    Go,
    Zlint,
}

/// An objection that is expected of exactly these cases.
pub(crate) struct Exception {
    judge: Judge,
    /// With what the objection begins: for zlint the lint's name.
    pub(crate) says: &'static str,
    /// Why it is not heeded.
    pub(crate) reason: &'static str,
    pub(crate) concerns: fn(&Case) -> bool,
}

impl Exception {
    pub(crate) fn matches(&self, (judge, says): &(Judge, String)) -> bool {
        *judge == self.judge && says.starts_with(self.says)
    }
}

pub(crate) static EXCEPTIONS: &[Exception] = &[
    Exception {
        judge: Judge::Zlint,
        says: "e_ecdsa_allowed_ku: ",
        reason: "cert-manager's default usages hold key encipherment, whatever the key; what a request asks for is granted whole",
        concerns: |case| case.key.is_ecdsa() && case.usages.name == "default",
    },
    Exception {
        judge: Judge::Zlint,
        says: "e_subject_common_name_max_length: ",
        reason: "cert-manager limits its own spec.commonName, not what a request holds: its CA issuer signs it",
        concerns: |case| case.names.name == "CN of 65",
    },
    Exception {
        judge: Judge::Zlint,
        says: "e_ca_subject_field_empty: ",
        reason: "cert-manager's conformance suite asks for a CA that has DNS names alone, and its CA issuer signs it",
        concerns: |case| case.is_ca() && case.is_nameless(),
    },
    Exception {
        judge: Judge::OpenSsl,
        says: "error 84 at 0 depth lookup: Subject name empty",
        reason: "the same",
        concerns: |case| case.is_ca() && case.is_nameless(),
    },
    Exception {
        judge: Judge::Go,
        says: "x509: unhandled critical extension",
        reason: "Go reads no otherName; beside an empty subject the extension is critical (RFC 5280 clause 4.1.2.6)",
        concerns: |case| case.names.name == "otherName",
    },
];
