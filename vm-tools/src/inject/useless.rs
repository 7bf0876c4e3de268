//! Options that would do nothing beside the others. Who writes one expects something of it, so it is refused.

use super::{Database, Delivery, Options, ReloadBy, VOLUME};

impl Options {
    /// Each with the reason.
    pub(super) fn useless(&self) -> impl Iterator<Item = String> {
        let disk = self.delivery == Delivery::Disk;
        let reload = self.reload_command.is_none() && self.reload == ReloadBy::Database;
        let told = reload && [Database::MongoDb, Database::Redis].contains(&self.database);
        let on_disk = "does nothing with a disk, which is made when the VM instance starts and follows no Secret; leave it out, or \
                       add --delivery filesystem";
        let all = [
            (
                "--serial",
                !disk && ![VOLUME, ""].contains(&&*self.serial),
                "is a disk's, and a filesystem has none; leave it out",
            ),
            (
                "--os",
                self.os.is_some() && self.database == Database::None,
                "says how a database's user and service are called, and there is none; leave it out, or add --database",
            ),
            ("--reload restart", disk && self.reload == ReloadBy::Restart, on_disk),
            ("--reload-command", disk && self.reload_command.is_some(), on_disk),
            ("--credentials", disk && self.credentials.is_some(), on_disk),
            (
                "--credentials",
                !disk && !told && self.credentials.is_some(),
                "is for the own means by which MongoDB and Redis reload, and these are not used; leave it out",
            ),
        ];
        all.into_iter().filter(|(_, useless, _)| *useless).map(|(option, _, why)| format!("{option}: {why}"))
    }
}
