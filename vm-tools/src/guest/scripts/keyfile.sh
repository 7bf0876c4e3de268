#!/bin/sh
# Puts the replica set's keyFile where mongod reads it, before mongod starts at every boot: on the Secret's disk everybody
# may read it, and mongod wants it to be its own alone. What differs between guests is in /etc/tandem/keyfile.conf.
set -eu
umask 077
LC_ALL=C
export LC_ALL

say() {
  printf 'tandem-keyfile: %s\n' "$*"
}

# In the journal a line that begins with <3> is an error.
die() {
  printf '%standem-keyfile: %s\n' "${JOURNAL_STREAM:+<3>}" "$*" >&2
  exit 1
}

usage() {
  cat <<USAGE
Usage: tandem-keyfile [--config FILE] [--source DIR] [--wait SECONDS]

Checks the keyFile of a Secret, then installs it with mode 0400 as the settings say.

  --config FILE   the settings (/etc/tandem/keyfile.conf)
  --source DIR    read the keyFile from DIR instead of from the disk of the settings
  --wait SECONDS  how long to wait for the disk (60)
USAGE
}

device='' key='' owner='' target=''

setting() {
  case $1 in
    DEVICE) device=$2 ;;
    KEY) key=$2 ;;
    OWNER) owner=$2 ;;
    TARGET) target=$2 ;;
    *) return 1 ;;
  esac
}
