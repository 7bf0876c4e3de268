//! The database, or what takes its place.

use super::super::{
    Authorization, ClientAuth, Database, Delivery, Family, FilesOnly, MongoDb, PostgreSql, Reload, ServiceReload, Spec,
    values,
};
use super::{Problems, hba};

pub(super) fn database(spec: &Spec, problems: &mut Problems) {
    let reload = match &spec.database {
        Database::MongoDb(mongodb) => {
            version_of_mongodb(mongodb, problems);
            credentials(spec, mongodb.credential_file.as_ref(), problems);
            login(spec, mongodb, problems);
            &mongodb.reload
        }
        Database::PostgreSql(postgresql) => {
            self::postgresql(spec.os.family, postgresql, problems);
            &postgresql.reload
        }
        Database::Redis(redis) => {
            credentials(spec, redis.credential_file.as_ref(), problems);
            &redis.reload
        }
        Database::None(files) => {
            files_only(files, problems);
            &files.reload
        }
    };
    if let Some(reload) = reload {
        self::reload(spec, reload, problems);
    }
}

fn version_of_mongodb(mongodb: &MongoDb, problems: &mut Problems) {
    let version = &mongodb.version;
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u8>().ok()).flatten();
    let parts = version.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    if parts.is_none_or(|(major, _)| major < 5) {
        problems.add(
            "spec.database.mongodb.version",
            format!(
                "`{}` is not a release series of 5.0 or later; write one such as \"8.0\"",
                tandem_cli::shown(version)
            ),
        );
    }
}

/// Where MongoDB asks for a user, it asks the one as well who tells it of a renewed certificate.
fn login(spec: &Spec, mongodb: &MongoDb, problems: &mut Problems) {
    let asks = mongodb.authorization == Authorization::Enabled && spec.delivery == Delivery::Filesystem;
    if asks && mongodb.credential_file.is_none() && mongodb.reload.is_none() {
        let message = "is missing, and MongoDB would take no renewed certificate, since authorization is enabled; add the file, with \
                       a user who has the role hostManager, or say in reload how it is done";
        problems.add("spec.database.mongodb.credentialFile", message);
    }
}

fn postgresql(family: Family, postgresql: &PostgreSql, problems: &mut Problems) {
    let path = |field: &str| format!("spec.database.postgresql.{field}");
    if let Some(version) = &postgresql.version {
        // From 12 on there is ssl_min_protocol_version, and of 12 there are no packages any more.
        if !version.parse::<u8>().is_ok_and(|major| (13..100).contains(&major)) || version.len() != 2 {
            let version = tandem_cli::shown(version);
            problems.add(
                path("version"),
                format!("`{version}` is not a major version of 13 or later; write one such as \"15\""),
            );
        } else if family == Family::Rhel {
            problems.add(path("version"), "is for Debian; the RHEL family has a version of its own: leave it out");
        }
    }
    if postgresql.clientcert.is_some() && postgresql.client_auth == ClientAuth::Optional {
        problems.add(path("clientcert"), "asks for nothing while clientAuth is Optional; write clientAuth: Required");
    }
    let version = match family {
        Family::Debian => postgresql.version_on_debian().parse().ok(),
        Family::Rhel => None,
    };
    for (i, line) in postgresql.hba.iter().enumerate() {
        problems.check(path(&format!("hba[{i}]")), hba::rule(line, version));
    }
}

fn files_only(none: &FilesOnly, problems: &mut Problems) {
    let path = |field: &str| format!("spec.database.none.{field}");
    let files = &none.files;
    problems.check(path("files.folder"), values::guest_path(&files.folder));
    problems.check(path("files.owner"), values::user(&files.owner));
    problems.check_some(&path("files.group"), files.group.as_ref(), values::user);
    problems.check(path("files.mode"), values::key_mode(&files.mode));
    let mut names = vec![("certificate", &files.certificate), ("key", &files.key), ("ca", &files.ca)];
    names.extend(files.combined.as_ref().map(|name| ("combined", name)));
    for (i, (field, name)) in names.iter().enumerate() {
        problems.check(path(&format!("files.{field}")), values::file_name(name));
        if let Some((other, _)) = names[..i].iter().find(|(_, earlier)| earlier == name) {
            let message = format!("`{}` is also the name of {other}; choose another", tandem_cli::shown(name));
            problems.add(path(&format!("files.{field}")), message);
        }
    }
    problems.check_some(&path("service"), none.service.as_ref(), values::unit);
    problems.check_some(&path("service"), none.service.as_ref(), values::others_unit);
    if none.port == Some(0) {
        problems.add(path("port"), "0 is no port; write 1 to 65535");
    }
}

fn reload(spec: &Spec, reload: &Reload, problems: &mut Problems) {
    let database = &spec.database;
    let path = |field: &str| format!("spec.database.{}.reload{field}", database.name());
    if spec.delivery == Delivery::Disk {
        let message = "has nothing to react to, since a disk changes only when the VM starts; \
                       write delivery: filesystem, or leave it out";
        problems.add(path(""), message);
    }
    match (reload, database) {
        (Reload::Command(script), _) => {
            if script.trim().is_empty() {
                problems.add(path(".command"), "is empty; write a script, or leave reload out");
            }
            if script.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
                problems.add(path(".command"), "has control characters; write plain text");
            }
        }
        (Reload::Service(_), Database::None(FilesOnly { service: None, .. })) => {
            problems.add(path(".service"), "there is no service; add spec.database.none.service");
        }
        (Reload::Service(ServiceReload::Reload), Database::MongoDb(_) | Database::Redis(_)) => {
            let message = "`Reload`, which its unit does not know; write Restart, or leave reload out";
            problems.add(path(".service"), message);
        }
        (Reload::Service(_), _) => {}
    }
}

fn credentials(spec: &Spec, file: Option<&String>, problems: &mut Problems) {
    let path = format!("spec.database.{}.credentialFile", spec.database.name());
    problems.check_some(&path, file, values::guest_path);
    if file.is_some() && spec.delivery == Delivery::Disk {
        let message = "is of no use, since a disk changes only when the VM starts; \
                       write delivery: filesystem, or leave it out";
        problems.add(path, message);
    }
}
