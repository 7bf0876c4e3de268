//! The machine: root and data disk, hardware.

use std::path::Path;

use super::super::{DataVolume, Database, Root, Source, Spec, values};
use super::Problems;

pub(super) fn os_and_root(spec: &Spec, problems: &mut Problems) {
    match (&spec.os.image, &spec.root) {
        (Some(image), None) => {
            problems.check("spec.os.image", values::image(image));
        }
        (None, Some(root)) => self::root(root, problems),
        (None, None) => problems.add("spec.os.image", "is missing; add it, or spec.root for another kind of root disk"),
        (Some(_), Some(_)) => problems.add("spec.root", "is there beside spec.os.image; leave one of them out"),
    }
    for (i, key) in spec.os.ssh_authorized_keys.iter().enumerate() {
        problems.check(format!("spec.os.sshAuthorizedKeys[{i}]"), values::ssh_public_key(key));
    }
}

fn root(root: &Root, problems: &mut Problems) {
    match root {
        Root::ContainerDisk(disk) => {
            problems.check("spec.root.containerDisk.image", values::image(&disk.image));
            let secret = disk.image_pull_secret.as_ref();
            problems.check_some("spec.root.containerDisk.imagePullSecret", secret, values::subdomain);
        }
        Root::PersistentVolumeClaim(claim) => {
            problems.check("spec.root.persistentVolumeClaim.claimName", values::subdomain(&claim.claim_name));
        }
        Root::DataVolume(volume) => data_volume(volume, problems),
    }
}

fn data_volume(volume: &DataVolume, problems: &mut Problems) {
    let path = |field: &str| format!("spec.root.dataVolume.{field}");
    let class = volume.storage_class_name.as_ref();
    problems.check_some(&path("storageClassName"), class, values::subdomain);
    problems.check_some(&path("size"), volume.size.as_ref(), |size| values::bytes_at_least(size, GIBIBYTE));
    let (kind, remote, local) = match &volume.source {
        Source::Http(remote) => ("http", Some((remote, &["http://", "https://"][..])), None),
        Source::Registry(remote) => ("registry", Some((remote, &["docker://", "oci-archive://"][..])), None),
        Source::S3(remote) => ("s3", Some((remote, &["http://", "https://", "s3://"][..])), None),
        Source::Pvc(local) => ("pvc", None, Some(local)),
        Source::Snapshot(local) => ("snapshot", None, Some(local)),
        Source::DataSource(local) => ("dataSource", None, Some(local)),
    };
    let of_source = |field: &str| path(&format!("source.{kind}.{field}"));
    if let Some((remote, schemes)) = remote {
        problems.check(of_source("url"), values::url(&remote.url, schemes));
        problems.check_some(&of_source("secretRef"), remote.secret_ref.as_ref(), values::subdomain);
        problems.check_some(&of_source("certConfigMap"), remote.cert_config_map.as_ref(), values::subdomain);
        if volume.size.is_none() {
            problems
                .add(path("size"), format!("is missing; add it, since {kind} does not tell how large the image is"));
        }
    }
    if let Some(local) = local {
        problems.check(of_source("name"), values::subdomain(&local.name));
        problems.check_some(&of_source("namespace"), local.namespace.as_ref(), |name| values::label(name, 63));
    }
}

const GIBIBYTE: (&str, f64) = ("1Gi", 1024f64 * 1024f64 * 1024f64);

pub(super) fn storage(spec: &Spec, problems: &mut Problems) {
    let storage = &spec.storage;
    problems.check_some("spec.storage.size", storage.size.as_ref(), |size| values::bytes_at_least(size, GIBIBYTE));
    problems.check_some("spec.storage.storageClassName", storage.storage_class_name.as_ref(), values::subdomain);
    problems.check_some("spec.storage.serial", storage.serial.as_ref(), |serial| {
        values::serial(serial, values::VIRTIO_SERIAL)
    });
    if storage.serial.is_some() && spec.certificate.serial == storage.serial {
        problems.add(
            "spec.storage.serial",
            "is also spec.certificate.serial, and the guest could not tell the disks apart; change one of them",
        );
    }
    problems.check_some("spec.storage.mountPath", storage.mount_path.as_ref(), values::guest_path);
    let files_only = matches!(spec.database, Database::None(_));
    let name = spec.database.name();
    if !files_only && storage.mount_path.is_some() {
        problems
            .add("spec.storage.mountPath", format!("is for database none; {name} knows its own place: leave it out"));
    }
    let described = storage.size.is_some() || storage.storage_class_name.is_some() || storage.serial.is_some();
    if files_only && storage.mount_path.is_none() && (described || storage.data_disk == Some(true)) {
        problems.add("spec.storage.mountPath", "is missing; add it, or leave spec.storage out for no data disk");
    }
    if let (Database::None(none), Some(mount)) = (&spec.database, &storage.mount_path)
        && Path::new(&none.files.folder).starts_with(mount)
    {
        let message =
            "is on the data disk, which is mounted over it later; choose a folder outside spec.storage.mountPath";
        problems.add("spec.database.none.files.folder", message);
    }
    if let Database::None(none) = &spec.database
        && none.service.is_none()
        && storage.mount_path.is_some()
    {
        let message = "is mounted before a service starts, and there is none; add spec.database.none.service";
        problems.add("spec.storage.mountPath", message);
    }
    if storage.data_disk == Some(false) && (described || storage.mount_path.is_some()) {
        problems.add("spec.storage.dataDisk", "`false`, but the disk is described; leave its other fields out");
    }
    let lasting = matches!(spec.root, Some(Root::DataVolume(_) | Root::PersistentVolumeClaim(_)));
    if !files_only && storage.data_disk == Some(false) && !lasting {
        problems.add(
            "spec.storage.dataDisk",
            "`false`, and a container disk forgets the data at every start; \
             write root: {dataVolume: …} or {persistentVolumeClaim: …}, or leave the data disk",
        );
    }
}

pub(super) fn hardware(spec: &Spec, problems: &mut Problems) {
    let machine = &spec.machine;
    let memory = ("512Mi", 512.0 * 1024f64.powi(2));
    problems.check_some("spec.machine.memory", machine.memory.as_ref(), |size| values::bytes_at_least(size, memory));
    if let Some(cores) = machine.cores
        && !(1..=512).contains(&cores)
    {
        problems.add("spec.machine.cores", format!("{cores} cores; write 1 to 512"));
    }
    if machine.instancetype.is_some() {
        for (field, there) in [("cores", machine.cores.is_some()), ("memory", machine.memory.is_some())] {
            if there {
                problems.add(format!("spec.machine.{field}"), "is what the instancetype says; leave one of them out");
            }
        }
    }
    let matchers = [
        ("instancetype", &machine.instancetype, ["VirtualMachineInstancetype", "VirtualMachineClusterInstancetype"]),
        ("preference", &machine.preference, ["VirtualMachinePreference", "VirtualMachineClusterPreference"]),
    ];
    for (field, matcher, kinds) in matchers {
        let Some(matcher) = matcher else { continue };
        problems.check(format!("spec.machine.{field}.name"), values::subdomain(&matcher.name));
        if let Some(kind) = &matcher.kind
            && !kinds.contains(&kind.as_str())
        {
            let message =
                format!("`{}` is not a kind of {field}; write {}", tandem_cli::shown(kind), kinds.join(" or "));
            problems.add(format!("spec.machine.{field}.kind"), message);
        }
    }
}
