
format() {
  # blkid also ends with 2 for a disk that it could not read, which is no proof that the disk is empty.
  head -c 4096 "$1" >/dev/null || die "$1 cannot be read"
  status=0
  found=$(blkid -p -o value -s TYPE -s PTTYPE "$1" 2>/dev/null) || status=$?
  case $status in
    0)
      [ "$found" = "$filesystem" ] ||
        die "$1 holds '$found', not $filesystem; it is left alone: empty it by hand (wipefs) if nothing on it is needed"
      say "$1 has its filesystem already"
      ;;
    2)
      say "$1 carries no signature: making $filesystem on it"
      # Without -f, so that mkfs itself looks once more and refuses what it knows.
      "mkfs.$filesystem" -q "$1"
      ;;
    *) die "blkid ended with status $status on $1; it is left alone" ;;
  esac
}

# Gives the folder, and with -R all that is in it, the label that SELinux's policy has for it.
label() {
  if command -v restorecon >/dev/null 2>&1; then
    restorecon "$@" || warn "restorecon failed; SELinux may keep the database from writing to ${2-$1}"
  fi
}

# The user's number can differ from that of the guest that wrote the data: packages choose it when they are installed.
own() {
  ids=$(id -u "$2" 2>/dev/null) || die "there is no user $2 yet; install the database first"
  ids=$ids:$(id -g "$2")
  if [ "$(stat -c '%u:%g' "$1")" = "$ids" ]; then
    # A new filesystem has no label, and may be theirs nevertheless: root's.
    label "$1"
    return
  fi
  say "giving $1 to $2 ($ids)"
  chmod 0750 "$1"
  label -R "$1"
  # chown changes a folder after what is in it: if this is cut short, the next run starts over.
  chown -R -h -P "$ids" "$1"
}

if [ "${1-}" = --config ] && [ $# -ge 2 ]; then
  config=$2
  shift 2
fi
case ${1-} in
  format)
    read_settings "$config"
    if [ $# -lt 2 ]; then
      wait_for_disk "$device"
    fi
    format "${2-$device}"
    ;;
  own)
    read_settings "$config"
    own "${2-$folder}" "${3-$owner}"
    ;;
  -h | --help) usage ;;
  *) misuse "format or own is needed, not '${1-}'" ;;
esac
