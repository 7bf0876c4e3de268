//! User data: what KubeVirt and cloud-init take.

use tandem_cli::problem::nearest;

/// Most bytes of user data, decoded, that KubeVirt admits inside a VirtualMachine; the same for network data:
/// <https://kubevirt.io/user-guide/user_workloads/startup_scripts/#cloud-init>.
pub(crate) const MAX_INLINE: usize = 2048;

/// The annotation of a Secret that was made for the user data of the VM that it names.
pub const USER_DATA_OF: &str = "vm.tandem.internal/user-data-of";

/// What such a Secret may be called.
pub(crate) fn user_data_names(machine: &str) -> [String; 2] {
    let stem = machine.trim_end_matches('-');
    [format!("{stem}-userdata"), format!("{stem}-tandem-userdata")]
}

/// Whether a name may stand at the top of a cloud-config. Those that begin with `x-` are for its author's own use.
pub(crate) fn is_known(key: &str) -> bool {
    KNOWN_KEYS.contains(&key) || key.starts_with("x-")
}

/// The name that was meant by one that is unknown, if one is near.
pub(crate) fn meant(key: &str) -> Option<&'static str> {
    nearest(key, KNOWN_KEYS)
}

/// What may stand at the top of a cloud-config, of version 22.4 and of later ones.
pub const KNOWN_KEYS: [&str; 99] = [
    "allow_public_ssh_keys",
    "allow_userdata",
    "ansible",
    "apk_repos",
    "apt",
    "apt_pipelining",
    "apt_reboot_if_required",
    "apt_update",
    "apt_upgrade",
    "authkey_hash",
    "autoinstall",
    "bootcmd",
    "byobu_by_default",
    "ca-certs",
    "ca_certs",
    "chef",
    "chpasswd",
    "cloud_config_modules",
    "cloud_final_modules",
    "cloud_init_modules",
    "create_hostname_file",
    "device_aliases",
    "disable_ec2_metadata",
    "disable_root",
    "disable_root_opts",
    "disk_setup",
    "drivers",
    "fan",
    "final_message",
    "fqdn",
    "fs_setup",
    "groups",
    "growpart",
    "grub-dpkg",
    "grub_dpkg",
    "hostname",
    "keyboard",
    "landscape",
    "launch-index",
    "locale",
    "locale_configfile",
    "lxd",
    "manage_etc_hosts",
    "manage_resolv_conf",
    "mcollective",
    "merge_how",
    "merge_type",
    "migrate",
    "mount_default_fields",
    "mounts",
    "no_ssh_fingerprints",
    "ntp",
    "output",
    "package_reboot_if_required",
    "package_update",
    "package_upgrade",
    "packages",
    "password",
    "phone_home",
    "power_state",
    "prefer_fqdn_over_hostname",
    "preserve_hostname",
    "puppet",
    "random_seed",
    "rh_subscription",
    "reporting",
    "resize_rootfs",
    "resolv_conf",
    "rpi",
    "rsyslog",
    "runcmd",
    "salt_minion",
    "snap",
    "spacewalk",
    "ssh",
    "ssh_authorized_keys",
    "ssh_deletekeys",
    "ssh_fp_console_blacklist",
    "ssh_genkeytypes",
    "ssh_import_id",
    "ssh_key_console_blacklist",
    "ssh_keys",
    "ssh_publish_hostkeys",
    "ssh_pwauth",
    "ssh_quiet_keygen",
    "swap",
    "system_info",
    "timezone",
    "ubuntu_advantage",
    "ubuntu_pro",
    "updates",
    "user",
    "users",
    "vendor_data",
    "wireguard",
    "write_files",
    "yum_repo_dir",
    "yum_repos",
    "zypper",
];
