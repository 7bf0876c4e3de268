#!/bin/sh
# Initiates the replica set, from its first member. Runs after mongod at every start, and once there is a set it only says
# so: cut short at any point, it may be run again. What differs between sets is in /etc/tandem/replset.conf.
set -eu
umask 077
LC_ALL=C
export LC_ALL

say() {
  printf 'tandem-replset: %s\n' "$*"
}

# In the journal a line that begins with <3> is an error.
die() {
  printf '%standem-replset: %s\n' "${JOURNAL_STREAM:+<3>}" "$*" >&2
  exit 1
}

usage() {
  cat <<USAGE
Usage: tandem-replset [--config FILE] [--local HOST:PORT] [--pause SECONDS]

Waits until all members of the set answer, and initiates the set if no member belongs to one yet.

  --config FILE      the settings (/etc/tandem/replset.conf)
  --local HOST:PORT  this member, on the loopback interface (127.0.0.1 and the port of the settings)
  --pause SECONDS    how long to wait before asking again (5)
USAGE
}

set_name='' members='' pem='' ca=''

setting() {
  case $1 in
    SET) set_name=$2 ;;
    MEMBER) members=${members:+$members }$2 ;;
    PEM) pem=$2 ;;
    CA) ca=$2 ;;
    *) return 1 ;;
  esac
}
