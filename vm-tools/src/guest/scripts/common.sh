set -eu
umask 077
# Messages of other programs are looked into, and their dates compared.
LC_ALL=C
export LC_ALL

say() {
  printf '%s: %s\n' "$program" "$*"
}

# In the journal a line that begins with <3> is an error.
warn() {
  printf '%s%s: %s\n' "${JOURNAL_STREAM:+<3>}" "$program" "$*" >&2
}

die() {
  warn "$*"
  exit 1
}

misuse() {
  warn "$*"
  usage >&2
  exit 2
}

