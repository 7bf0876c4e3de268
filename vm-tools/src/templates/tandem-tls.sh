#!/bin/sh
# Puts the certificate Secret where the database reads it. Runs before the database at every boot: the disk holds the
# Secret as it was when this VM instance started, and a cloud-init command would run only once.
set -eu
umask 077

DEVICE='/dev/disk/by-id/virtio-{{ serial }}'
OWNER='{{ user }}'
FOLDER='{{ folder }}'
PEM='{{ pem }}'
CA='{{ ca }}'
WAIT=60

say() {
  printf 'tandem-tls: %s\n' "$*"
}

die() {
  printf 'tandem-tls: %s\n' "$*" >&2
  exit 1
}

usage() {
  cat <<USAGE
Usage: tandem-tls [--source DIR] [--root DIR] [--wait SECONDS]

Checks tls.key, tls.crt and ca.crt, then installs
  $FOLDER/$PEM  key and certificate chain, mode 0400, owned by $OWNER
  $FOLDER/$CA  the authorities to trust, mode 0644
Nothing is replaced unless every check passed.

  --source DIR    read the three files from DIR instead of from the disk
                  $DEVICE
  --root DIR      write beneath DIR, with the ids that DIR/etc/passwd gives $OWNER
  --wait SECONDS  how long to wait for the disk ($WAIT)
USAGE
}

misuse() {
  printf 'tandem-tls: %s\n' "$*" >&2
  usage >&2
  exit 2
}

{% include "wait-for-disk.sh" %}

# Prints uid:gid of the database's user. Under --root that user need not exist on this machine.
owner_ids() {
  if [ -z "$root" ]; then
    uid=$(id -u "$OWNER" 2>/dev/null) || die "there is no user $OWNER yet; install the database first"
    printf '%s:%s\n' "$uid" "$(id -g "$OWNER")"
    return
  fi
  [ -r "$root/etc/passwd" ] || die "$root/etc/passwd cannot be read, so the ids of $OWNER are unknown"
  while IFS=: read -r name _ uid gid _; do
    if [ "$name" = "$OWNER" ]; then
      printf '%s:%s\n' "$uid" "$gid"
      return
    fi
  done <"$root/etc/passwd"
  die "$root/etc/passwd has no user $OWNER; install the database first"
}

# A file cut off in the middle has its first line but not its last.
is_pem() {
  case $(cat "$1") in
    *"-----BEGIN $2-----"*"-----END $2-----"*) return 0 ;;
    *) return 1 ;;
  esac
}

# Ends a file's last line, so that two PEM blocks never share one.
cat_lines() {
  cat "$1"
  [ -z "$(tail -c 1 "$1")" ] || echo
}

check_with_openssl() {
  # An empty passphrase, so that an encrypted key fails here instead of asking for one at boot.
  openssl pkey -in "$stage/tls.key" -passin pass: -pubout -out "$stage/key.pub" </dev/null >/dev/null 2>&1 ||
    die "tls.key is not a private key that can be read without a passphrase; the files in place were not touched"
  openssl x509 -in "$stage/tls.crt" -noout -pubkey >"$stage/crt.pub" 2>/dev/null ||
    die "tls.crt is not a certificate; the files in place were not touched"
  [ "$(cat "$stage/key.pub")" = "$(cat "$stage/crt.pub")" ] ||
    die "tls.key is not the key of tls.crt; the files in place were not touched"
  # Without these two variables openssl would also trust the authorities of the guest's own system.
  verdict=$(SSL_CERT_FILE="$stage/none" SSL_CERT_DIR="$stage/none" openssl verify -purpose sslserver \
    -CAfile "$stage/$CA" -untrusted "$stage/tls.crt" "$stage/tls.crt" 2>&1) ||
    die "tls.crt does not verify against ca.crt; the files in place were not touched; openssl says: $verdict"
  say "key and certificate belong together, and the chain verifies; $(openssl x509 -in "$stage/tls.crt" -noout -enddate)"
}

# Same content, mode and owner.
same() {
  [ -f "$2" ] && [ ! -L "$2" ] &&
    [ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ] &&
    [ "$(stat -c '%a %u:%g' "$1")" = "$(stat -c '%a %u:%g' "$2")" ]
}

source=''
root=''
while [ $# -gt 0 ]; do
  case $1 in
    --source | --root | --wait)
      if [ -z "${2-}" ]; then misuse "$1 needs a value"; fi
      case $1 in
        --source) source=$2 ;;
        --root) root=${2%/} ;;
        --wait) WAIT=$2 ;;
      esac
      shift 2
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) misuse "unknown argument $1" ;;
  esac
done
case $WAIT in
  *[!0-9]*) misuse "--wait takes whole seconds, not $WAIT" ;;
esac

stage=''
mounted=''
cleanup() {
  [ -z "$stage" ] || rm -rf "$stage"
  if [ -n "$mounted" ]; then
    umount "$mounted" 2>/dev/null || :
    rmdir "$mounted" || :
  fi
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

if [ -n "$source" ]; then
  [ -d "$source" ] || die "$source is not a folder"
  from=$source
else
  wait_for_disk "$DEVICE"
  mounted=$(mktemp -d /run/tandem-tls.XXXXXX)
  mount -t iso9660 -o ro,nodev,nosuid,noexec "$DEVICE" "$mounted" || die "$DEVICE does not mount as iso9660"
  from=$mounted
  source=$DEVICE
fi
# A Secret volume switches its ..data link to change all keys at once: read all of them behind one link.
if [ -d "$from/..data" ]; then
  from=$(cd "$from/..data" && pwd -P)
fi
for key in tls.key tls.crt ca.crt; do
  [ -s "$from/$key" ] || die "$key is missing or empty on $source; the files in place were not touched"
done

ids=$(owner_ids)
target=$root$FOLDER
[ -d "$target" ] || install -d -m 0755 "$target"
if [ -n "$root" ]; then
  # A link in the tree must not lead out of it, to this machine's own files.
  case $(cd "$target" && pwd -P)/ in
    "$(cd "$root" && pwd -P)"/*) ;;
    *) die "$target lies outside $root" ;;
  esac
fi
for file in "$target/$PEM" "$target/$CA"; do
  [ ! -d "$file" ] || die "$file is a folder; remove it"
done

# Beside the target, so that mv below is a rename; only root can look into it.
stage=$(mktemp -d "$target/.tandem-tls.XXXXXX")
cat "$from/tls.key" >"$stage/tls.key"
cat "$from/tls.crt" >"$stage/tls.crt"
cat "$from/ca.crt" >"$stage/$CA"
is_pem "$stage/tls.key" 'PRIVATE KEY' || is_pem "$stage/tls.key" 'RSA PRIVATE KEY' ||
  is_pem "$stage/tls.key" 'EC PRIVATE KEY' || die "tls.key holds no whole PEM private key; the files in place were not touched"
is_pem "$stage/tls.crt" CERTIFICATE || die "tls.crt holds no whole PEM certificate; the files in place were not touched"
is_pem "$stage/$CA" CERTIFICATE || die "ca.crt holds no whole PEM certificate; the files in place were not touched"
if command -v openssl >/dev/null 2>&1; then
  check_with_openssl
else
  say "openssl is not installed: whether key, certificate and ca.crt belong together was not checked"
fi

cat_lines "$stage/tls.key" >"$stage/$PEM"
cat_lines "$stage/tls.crt" >>"$stage/$PEM"
chown "$ids" "$stage/$PEM" || die "$PEM cannot be given to $OWNER ($ids); run as root"
chmod 0400 "$stage/$PEM"
chmod 0644 "$stage/$CA"

if same "$stage/$PEM" "$target/$PEM" && same "$stage/$CA" "$target/$CA"; then
  say "unchanged: $target/$PEM and $target/$CA are those of $source"
  exit 0
fi
# On disk before the rename, or a crash could leave a new name on an empty file.
sync "$stage/$CA" "$stage/$PEM"
mv -fT "$stage/$CA" "$target/$CA"
mv -fT "$stage/$PEM" "$target/$PEM"
if [ -z "$root" ] && command -v restorecon >/dev/null 2>&1; then
  restorecon -F "$target/$CA" "$target/$PEM" || say "restorecon failed; SELinux may keep the database from reading $target"
fi
say "installed $target/$PEM and $target/$CA from $source"
