//! `make facts`: writes beneath each fact of `docs/facts.md` the tests that show it.

use anyhow::Result;
use tandem_tests::{
    facts::{LIST, lists},
    tools::root,
};

fn main() -> Result<()> {
    let (_, current) = lists()?;
    std::fs::write(root().join(LIST), current)?;
    Ok(())
}
