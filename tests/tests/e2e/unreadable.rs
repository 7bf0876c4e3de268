//! Objects that the API server takes and that are not written as its own programs write them. Nobody's request may hide
//! those of all others: a list is read as a whole.

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use serde_json::Value;
use tandem_tests::certificates::csr;

use crate::{
    environment::space_with_issuer,
    requests::{ask_plainly, issued, request},
};

/// The same bytes in base64, with the bits set that its last character has to spare (RFC 4648 clause 3.5). Go reads it.
fn with_spare_bits(text: &str) -> Result<String> {
    // White space at the end belongs to no block, and makes room for spare bits.
    let padding = " ".repeat((4 - text.len() % 3) % 3);
    let encoded = serde_json::to_value(ByteString(format!("{text}{padding}").into_bytes()))?;
    let plain = encoded.as_str().and_then(|text| text.strip_suffix("==")).context("no spare bits")?;
    let (rest, last) = plain.split_at(plain.len() - 1);
    let last = last.as_bytes()[0];
    ensure!(matches!(last, b'A' | b'Q' | b'g' | b'w'), "no spare bits");
    Ok(format!("{rest}{}==", char::from(last + 1)))
}

/// Fact 10: through cert-manager's webhook.
#[tokio::test]
async fn base64_with_spare_bits_is_read_as_go_reads_it() -> Result<()> {
    let (space, _) = space_with_issuer("spare-bits").await?;
    let mut odd = request("odd", "");
    odd["spec"]["request"] = Value::String(with_spare_bits(&csr(&["odd.test"])?)?);
    space.apply(&odd.to_string()).await?;
    issued(&space, "odd").await?;
    ask_plainly(&space, "next").await?;
    issued(&space, "next").await?;
    Ok(())
}
