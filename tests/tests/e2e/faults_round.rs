//! What every fault has to let happen: requests of both APIs made before, during and after it, an issuer made and a CA
//! replaced during it, and the events that tell of them.

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    Cluster, Space,
    certificates::{Ca, root_ca},
    cluster::{CERTIFICATE_REQUEST, ISSUER},
};

use crate::{
    environment::{make_issuer, with_issuer},
    requests::{ask_plainly, get, issued},
    signing_requests::{self, ask_approved, named, signer},
    waiting::{put, until_in_use},
};

/// What a fault may harm: the calls about one kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Column {
    Request,
    SigningRequest,
    Issuer,
    CaSecret,
    Event,
}

impl Column {
    pub(crate) const ALL: [Self; 5] = [Self::Request, Self::SigningRequest, Self::Issuer, Self::CaSecret, Self::Event];

    /// To which one a call belongs, by its path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let parts = [
            ("/certificaterequests", Self::Request),
            ("/certificatesigningrequests", Self::SigningRequest),
            ("/subjectaccessreviews", Self::SigningRequest),
            ("/tandemissuers", Self::Issuer),
            ("/tandemclusterissuers", Self::Issuer),
            ("/secrets", Self::CaSecret),
            ("/events", Self::Event),
        ];
        parts.into_iter().find(|(part, _)| path.contains(part)).map(|(_, column)| column)
    }
}

const BEFORE: [&str; 2] = ["before-0", "before-1"];
const DURING: [&str; 2] = ["during-0", "during-1"];
const AFTER: [&str; 2] = ["after-0", "after-1"];

/// One round, in a namespace of its own.
pub(crate) struct Round {
    pub(crate) space: Space,
    new_ca: Ca,
}

impl Round {
    /// An issuer that is ready, and requests that are on their way when the fault begins.
    pub(crate) async fn before(cluster: &Cluster) -> Result<Self> {
        let space = cluster.space("fault").await?;
        with_issuer(&space).await?;
        let new_ca = root_ca("the new CA", &PKCS_ECDSA_P256_SHA256)?;
        let round = Self { space, new_ca };
        round.ask(&BEFORE).await?;
        Ok(round)
    }

    /// What happens while the fault lasts.
    pub(crate) async fn during(&self) -> Result<()> {
        self.ask(&DURING).await?;
        let ca = root_ca("the second CA", &PKCS_ECDSA_P256_SHA256)?;
        self.space.put_tls("second", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
        make_issuer(&self.space, "second").await?;
        put(&self.space, &self.new_ca).await
    }

    pub(crate) async fn after(&self) -> Result<()> {
        self.ask(&AFTER).await
    }

    async fn ask(&self, names: &[&str]) -> Result<()> {
        for name in names {
            ask_plainly(&self.space, name).await?;
            let name = named(&self.space, name);
            ask_approved(&self.space, &name, &signer(&self.space), &json!({}), &json!({})).await?;
        }
        Ok(())
    }

    /// Waits until everything has ended as it would have without the fault.
    pub(crate) async fn check(&self, column: Column) -> Result<()> {
        let names = [BEFORE, DURING, AFTER].concat();
        match column {
            Column::Request => {
                for name in names {
                    issued(&self.space, name).await?;
                }
            }
            Column::SigningRequest => {
                for name in names {
                    signing_requests::issued(&self.space, &named(&self.space, name)).await?;
                }
            }
            Column::Issuer => {
                self.space.wait_ready(ISSUER, "second").await?;
            }
            Column::CaSecret => {
                until_in_use(&self.space, &self.new_ca).await?;
                ask_plainly(&self.space, "new-ca").await?;
                let ca = issued(&self.space, "new-ca").await?.ca;
                ensure!(ca == self.new_ca.as_ref().pem().replace('\r', ""), "signed by the CA before");
            }
            // Those of the fault's time may be lost: they are a courtesy.
            Column::Event => {
                ask_plainly(&self.space, "told").await?;
                self.space.event((CERTIFICATE_REQUEST.1, "told"), "CertificateIssued", "").await?;
            }
        }
        Ok(())
    }

    /// All requests, of both APIs.
    pub(crate) async fn requests(&self) -> Result<Vec<DynamicObject>> {
        let mut all = self.space.list(CERTIFICATE_REQUEST).await?;
        let signing_requests = self.space.api(signing_requests::KIND)?;
        for name in [BEFORE, DURING, AFTER].concat() {
            all.push(signing_requests.get(&named(&self.space, name)).await?);
        }
        Ok(all)
    }

    /// Waits until what was asked for during the fault is done.
    pub(crate) async fn done_meanwhile(&self) -> Result<()> {
        for name in DURING {
            issued(&self.space, name).await?;
            signing_requests::issued(&self.space, &named(&self.space, name)).await?;
        }
        Ok(())
    }

    /// Waits until the server has approved what was asked for during the fault.
    pub(crate) async fn approved(&self) -> Result<()> {
        let approved = |object: &DynamicObject| tandem_tests::cluster::condition(object, "Approved").is_some();
        for name in DURING {
            self.space.wait(CERTIFICATE_REQUEST, name, approved).await?;
        }
        Ok(())
    }

    /// Takes the issuers away: what one round has made is not to be watched in the next.
    pub(crate) async fn end(self) -> Result<()> {
        for name in ["internal-ca", "second"] {
            self.space.api(ISSUER)?.delete(name, &Default::default()).await?;
        }
        get(&self.space, "told").await.context("the round had not ended").map(|_| ())
    }
}
