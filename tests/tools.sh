#!/bin/sh
# Sees to it that commands are there: tools.sh COMMAND:PACKAGE…
# In place of a command a file may stand, as an absolute path or a pattern for one.
# As root the missing ones are installed from Debian's packages; otherwise one line says what is missing.
set -eu

# Where Debian keeps what is for root, also for those who are not.
PATH="$PATH:/usr/sbin:/sbin"

missing=
for pair in "$@"; do
    wanted=${pair%%:*}
    # shellcheck disable=SC2086 # the pattern is meant to be one
    case $wanted in
        /*) ls -d $wanted >/dev/null 2>&1 ;;
        *) command -v "$wanted" >/dev/null 2>&1 ;;
    esac || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "missing:$missing; install with: apt-get install$missing" >&2
    exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# Another one of the system's may be at work, and a connection may end early.
patient='-o DPkg::Lock::Timeout=300 -o Acquire::Retries=5'
# shellcheck disable=SC2086 # options
apt-get $patient update -qq
# shellcheck disable=SC2086 # options, and a list of package names
apt-get $patient install -qq -y --no-install-recommends $missing >/dev/null
