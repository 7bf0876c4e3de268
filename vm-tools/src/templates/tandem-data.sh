#!/bin/sh
# Prepares the data disk. cloud-init's fs_setup would not do: it runs once per instance, and in 22.4 its
# "partition: none" formats a disk that already holds data.
set -eu
umask 077

DEVICE='/dev/disk/by-id/virtio-{{ data_serial }}'
OWNER='{{ user }}'
FOLDER='{{ db_path }}'
WAIT=60

say() {
  printf 'tandem-data: %s\n' "$*"
}

die() {
  printf 'tandem-data: %s\n' "$*" >&2
  exit 1
}

usage() {
  cat <<USAGE
Usage: tandem-data format [DEVICE] | own [FOLDER [OWNER]] | --help

  format  puts {{ filesystem }} on the disk if it carries no signature at all; never touches one that does
          (DEVICE: $DEVICE)
  own     gives the mounted folder to the database's user if it is not theirs yet
          (FOLDER: $FOLDER, OWNER: $OWNER)
USAGE
}

{% include "wait-for-disk.sh" %}

format() {
  # blkid also ends with 2 for a disk that it could not read, which is no proof that the disk is empty.
  head -c 4096 "$1" >/dev/null || die "$1 cannot be read"
  status=0
  found=$(blkid -p -o value -s TYPE -s PTTYPE "$1" 2>/dev/null) || status=$?
  case $status in
    0)
      [ "$found" = '{{ filesystem }}' ] ||
        die "$1 holds '$found', not {{ filesystem }}; it is left alone: empty it by hand (wipefs) if nothing on it is needed"
      say "$1 has its filesystem already"
      ;;
    2)
      say "$1 carries no signature: making {{ filesystem }} on it"
      # Without -f, so that mkfs itself looks once more and refuses what it knows.
      mkfs.{{ filesystem }} -q "$1"
      ;;
    *) die "blkid ended with status $status on $1; it is left alone" ;;
  esac
}

# The user's number can differ from that of the guest that wrote the data: packages choose it when they are installed.
own() {
  ids=$(id -u "$2" 2>/dev/null) || die "there is no user $2 yet; install the database first"
  ids=$ids:$(id -g "$2")
  if [ "$(stat -c '%u:%g' "$1")" = "$ids" ]; then
    return
  fi
  say "giving $1 to $2 ($ids)"
  chmod 0750 "$1"
  if command -v restorecon >/dev/null 2>&1; then
    restorecon -R "$1" || say "restorecon failed; SELinux may keep the database from writing to $1"
  fi
  # chown changes a folder after what is in it: if this is cut short, the next run starts over.
  chown -R -h -P "$ids" "$1"
}

case ${1-} in
  format)
    if [ $# -ge 2 ]; then
      format "$2"
    else
      wait_for_disk "$DEVICE"
      format "$DEVICE"
    fi
    ;;
  own) own "${2-$FOLDER}" "${3-$OWNER}" ;;
  -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
