#!/bin/sh
# Puts the certificate Secret where a service reads it, before the service starts at every boot; with --reload it also has
# a running service take a Secret that has changed, and goes back to the old files where that fails. The same for every
# guest: what differs is in /etc/tandem/tls.conf.
set -eu
umask 077
# Messages of other programs are looked into, and their dates compared.
LC_ALL=C
export LC_ALL

# How many seconds pass before a Secret that was refused is reported, or tried on the service, once more.
RETRY=3600
NEWLINE='
'

say() {
  printf 'tandem-tls: %s\n' "$*"
}

# In the journal a line that begins with <3> is an error.
warn() {
  printf '%standem-tls: %s\n' "${JOURNAL_STREAM:+<3>}" "$*" >&2
}

die() {
  warn "$*"
  exit 1
}

usage() {
  cat <<USAGE
Usage: tandem-tls [--reload] [--config FILE] [--source DIR] [--root DIR] [--wait SECONDS]

Checks tls.key, tls.crt and ca.crt of a Secret, then installs them as the settings say.
Nothing is replaced unless every check passed.

  --reload        also have the running service take them, and go back to the old files if it does not; says nothing
                  where nothing has changed
  --config FILE   the settings (/etc/tandem/tls.conf)
  --source DIR    read the three files from DIR instead of from the disk or filesystem of the settings
  --root DIR      write beneath DIR, with the settings in it and the ids that its etc/passwd and etc/group give
  --wait SECONDS  how long to wait for the disk or filesystem, for the clock to reach the certificate, or with --reload
                  for the service to serve it (60; with --reload 10)
USAGE
}

misuse() {
  warn "$*"
  usage >&2
  exit 2
}
