//! A Secret on a filesystem, renewed while the guest runs.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use serde_json::Value;
use tandem_tests::sharing::disk;

use crate::scenario::{Guest, Scenario, entry, leaf};

/// The name of the VirtualMachine's one filesystem, which is its volume's, too.
pub(crate) fn filesystem(vm: &DynamicObject) -> Result<String> {
    let name = vm.data.pointer("/spec/template/spec/domain/devices/filesystems/0/name").and_then(Value::as_str);
    Ok(name.context("the VirtualMachine has no filesystem")?.to_owned())
}

/// What a test knows of the database.
pub(crate) struct Database<'a> {
    pub(crate) certificate: &'a str,
    pub(crate) secret: &'a str,
    /// The certificate that a new connection is shown.
    pub(crate) served: &'a dyn Fn() -> Result<String>,
}

impl Database<'_> {
    /// Has the Secret renewed, and changed in the guest's filesystem as the kubelet changes it: the new certificate is
    /// served, and no connection was dropped. Then a Secret whose key is another certificate's: the guest says so, and
    /// serves what it served. `ask` uses a connection that was open before, and says which one it is.
    pub(crate) fn assert_follows(
        &self,
        scenario: &Scenario,
        guest: &mut Guest,
        mut ask: impl FnMut() -> Result<String>,
    ) -> Result<()> {
        const JOURNAL: &str = "journalctl --no-pager --output cat --unit 'tandem-tls*'";
        const BROKEN: &str = "tls.key is not the key of tls.crt";
        let Guest { machine, vm, secrets: first, .. } = guest;
        let mounted = machine.mounted(&filesystem(vm)?);
        ensure!((self.served)()? == leaf(first, self.secret)?, "another certificate is served at first");
        let connection = ask()?;

        scenario.renew(self.certificate)?;
        let second = scenario.secrets()?;
        disk::lay_out(second.get(self.secret).context("no Secret")?, &mounted)?;
        let renewed = leaf(&second, self.secret)?;
        machine.until("the renewed certificate is served", |_| {
            ensure!((self.served)()? == renewed, "the old one is");
            Ok(())
        })?;
        ensure!(ask()? == connection, "the connection was dropped");

        scenario.renew(self.certificate)?;
        let third = scenario.secrets()?;
        let mut broken: BTreeMap<_, _> = third.get(self.secret).context("no Secret")?.clone();
        broken.insert("tls.key".to_owned(), entry(&second, self.secret, "tls.key")?.to_vec());
        // Another database in this guest may have had one before.
        let before = machine.shell(JOURNAL)?.matches(BROKEN).count();
        disk::lay_out(&broken, &mounted)?;
        machine.until("the guest says that the key is another's", |machine| {
            let told = machine.shell(JOURNAL)?;
            ensure!(told.matches(BROKEN).count() > before, "its journal:\n{told}");
            Ok(())
        })?;
        ensure!((self.served)()? == renewed, "the broken Secret was taken");
        ensure!(ask()? == connection, "the connection was dropped");

        // Whole again, the third is taken: what was refused does not stand in its way.
        disk::lay_out(third.get(self.secret).context("no Secret")?, &mounted)?;
        let whole = leaf(&third, self.secret)?;
        machine.until("the whole Secret is served", |_| {
            ensure!((self.served)()? == whole, "the one before is");
            Ok(())
        })?;
        ensure!(ask()? == connection, "the connection was dropped");
        let told = machine.shell("journalctl --no-pager")?;
        for secrets in [&*first, &second, &third] {
            let key = std::str::from_utf8(entry(secrets, self.secret, "tls.key")?)?;
            let line = key.lines().find(|line| !line.starts_with('-')).context("a key without lines")?;
            ensure!(!told.contains(line), "the journal tells a line of a private key");
        }
        Ok(())
    }
}
