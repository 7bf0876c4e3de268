#!/bin/sh
# The disk that test guests boot from: image.sh FOLDER
#
# Debian 12 with cloud-init, PostgreSQL, Redis, what the stand-in for mongod needs, SELinux's policy and labels, and the files of
# image/; built with mmdebstrap from Debian's packages in some minutes, and kept in FOLDER under the hash of this recipe. The last line of the output is
# where root.img, vmlinuz and initrd.img are.
set -eu

# Where Debian keeps what is for root, also for those who are not.
PATH="$PATH:/usr/sbin:/sbin"

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
images=$(cd "$1" && pwd)
recipe=$(cd "$here" && find image.sh image -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c 1-16)
done=$images/$recipe
if [ -d "$done" ]; then
    echo "$done"
    exit 0
fi

# Two test binaries may ask at once: whoever comes second finds it done.
exec 9>"$images/lock"
flock 9
if [ -d "$done" ]; then
    echo "$done"
    exit 0
fi
# What earlier recipes made is of no use, and large.
find "$images" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
new=$images/new
mkdir "$new"
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM
echo "building the guests' image in $images (some minutes, once)" >&2

packages=systemd-sysv,udev,dbus,kmod,procps,netbase,iproute2,util-linux,openssl,ca-certificates
packages=$packages,linux-image-cloud-amd64,cloud-init,qemu-guest-agent,e2fsprogs,xfsprogs
packages=$packages,selinux-policy-default,policycoreutils,selinux-utils
packages=$packages,postgresql,redis-server,nodejs,python3,python3-bson,python3-pymongo,python3-yaml

# Runs with root's rights over the new system, also where the one who builds is not root.
cat >"$new/finish" <<'FINISH'
#!/bin/sh
set -eu
root=$1 files=$2 new=$3

chroot "$root" useradd --system --user-group --home-dir /var/lib/mongodb --shell /usr/sbin/nologin mongodb
install -o root -g root -m 0755 "$files/mongod" "$files/mongosh" "$files/mongosh-command" "$root/usr/bin/"
install -o root -g root -m 0644 "$files/mongod.service" "$root/lib/systemd/system/"
chroot "$root" install -d -o mongodb -g mongodb /var/lib/mongodb /var/log/mongodb

# The user data says which database runs here.
chroot "$root" systemctl --quiet disable postgresql.service redis-server.service
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer selinux-autorelabel-mark.service
chroot "$root" systemctl --quiet enable systemd-networkd.service
printf '[Match]\nName=en*\n[Network]\nDHCP=yes\n' >"$root/etc/systemd/network/20-wired.network"
# The network of the guest is QEMU's, and no subject of these tests.
# No SSH server and no locales are here for cloud-init to set up, which would cost time as well.
printf 'network: {config: disabled}\nssh_genkeytypes: []\nlocale: false\n' >"$root/etc/cloud/cloud.cfg.d/95-guest.cfg"
printf 'LABEL=rootfs / ext4 defaults 0 0\n' >"$root/etc/fstab"
# Beside the policy's rules for labels, the owner's own, as `semanage fcontext` writes them: a key has not the label of its folder.
printf '/etc/ssl/%s/tls\\.key\t--\tsystem_u:object_r:%s:s0\n' postgresql tls_privkey_t redis redis_conf_t \
    >"$root/etc/selinux/default/contexts/files/file_contexts.local"
: >"$root/etc/machine-id"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*

cp "$root"/boot/vmlinuz-* "$new/vmlinuz"
cp "$root"/boot/initrd.img-* "$new/initrd.img"
rm -rf "$root"/boot/*
# A copy, for mkfs would also take what is mounted beneath.
cp -ax "$root" "$new/root"
truncate -s 3G "$new/root.img"
mkfs.ext4 -q -L rootfs -d "$new/root" "$new/root.img"
# Written into the image: as attributes of files only some machines take them, and for some of those who build.
chroot "$new/root" sh -c 'find / -print0 | xargs -0 matchpathcon' |
    sed -n 's/^\(.*\)\t\([a-z]*_u:.*\)$/ea_set "\1" security.selinux \2/p' >"$new/labels"
debugfs -w -f "$new/labels" "$new/root.img" >"$new/labelled" 2>&1
if grep -v -e '^debugfs 1' -e '^debugfs: ea_set ' "$new/labelled" >&2 || ! [ -s "$new/labels" ]; then
    echo 'the image could not be labelled' >&2
    exit 1
fi
rm -rf "$new/root" "$new/labels" "$new/labelled"
FINISH
chmod 0755 "$new/finish"

# Hooks are mmdebstrap's to expand. The initrd needs no more than what is on QEMU's virtio bus: it is read at every boot, and emulation is slow.
# shellcheck disable=SC2016
TMPDIR="$new" mmdebstrap --quiet --variant=minbase --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"' \
    --essential-hook='echo MODULES=list >"$1/etc/initramfs-tools/conf.d/modules"' \
    --essential-hook='printf "virtio_pci\nvirtio_blk\next4\n" >"$1/usr/share/initramfs-tools/modules.d/virtio"' \
    --customize-hook="\"$new/finish\" \"\$1\" \"$here/image\" \"$new\"" \
    --format=null bookworm - >&2
rm "$new/finish"
mv "$new" "$done"
echo "$done"
