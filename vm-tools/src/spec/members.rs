//! Members of a replica set.

use serde::{Deserialize, Serialize};

use super::{ClientCertificate, Database, Document, MongoDb, Subject, one_of};

one_of! {
    /// How the members of a replica set know one another. With either, MongoDB asks its clients for a user as well:
    /// <https://www.mongodb.com/docs/manual/core/security-internal-authentication/>.
    Membership {
        /// By a key that they share.
        "keyFile" => KeyFile(KeyFile),
        /// By their certificate: whoever presents one with the same O and OU is a member.
        "x509" => X509(X509),
    }
}

/// A Secret that is there, with the set's keyFile: `tandem-vm keyfile` makes one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct KeyFile {
    /// Its name.
    pub secret_name: String,
    /// Its key.
    #[serde(default = "key")]
    pub key: String,
}

fn key() -> String {
    crate::keyfile::SECRET_KEY.to_owned()
}

/// Nothing more is to be said: the certificate is the document's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct X509 {}

impl Document {
    /// MongoDB and how its members know one another, if there are several.
    #[must_use]
    pub fn replica_set(&self) -> Option<(&MongoDb, &Membership)> {
        match &self.spec.database {
            Database::MongoDb(mongodb) if self.spec.members > 1 => Some((mongodb, mongodb.membership.as_ref()?)),
            _ => None,
        }
    }

    /// What stands in the subject of the server's certificate besides the common name.
    #[must_use]
    pub fn server_subject(&self) -> Subject {
        let members = || Subject {
            organizations: vec![self.metadata.namespace.clone()],
            organizational_units: vec![self.metadata.name.clone()],
        };
        let default = match self.replica_set() {
            Some((_, Membership::X509(_))) => members(),
            _ => Subject::default(),
        };
        self.spec.certificate.subject.clone().unwrap_or(default)
    }

    /// What stands in the subjects of the clients' own certificates besides the common name, with their places among the
    /// clients. By default no organizational unit, so that no name of a database or client makes it that of any members.
    pub fn own_subjects(&self) -> impl Iterator<Item = (usize, Subject)> {
        let own =
            self.spec.clients.iter().enumerate().filter(|(_, client)| client.certificate == ClientCertificate::Own);
        let default = || Subject { organizations: vec![self.metadata.namespace.clone()], ..Subject::default() };
        own.map(move |(i, client)| (i, client.subject.clone().unwrap_or_else(default)))
    }
}
