
# Gives the staged file $1 its owner ($2, uid:gid; nothing for whoever runs this) and mode ($3); it is to become $4.
settle() {
  if [ -n "$2" ] && ! chown "$2" "$1"; then
    warn "$4 cannot be given to $2; run as root"
    return 1
  fi
  # On disk before it is renamed, or a crash could leave a new name on an empty file.
  chmod "$3" "$1" && sync "$1"
}

# Gives a new file or folder the label that SELinux's policy has for its path, which need not be that of the folder around it.
label() {
  if [ -z "${root-}" ] && command -v restorecon >/dev/null 2>&1; then
    restorecon -F "$1" 9>&- || warn "restorecon failed; SELinux may keep the service from reading $1"
  fi
}

# Makes a folder, and those above it, where they are missing.
make_folder() {
  [ ! -d "$1" ] || return 0
  case $1 in
    ?*/*) make_folder "${1%/*}" || return 1 ;;
  esac
  mkdir -m 0755 "$1" && label "$1"
}

# Renames the staged file $1, which lies beside $2, to that.
put() {
  mv -fT "$1" "$2" && label "$2"
}
