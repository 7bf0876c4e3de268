
# Ends a file's last line, so that two PEM blocks never share one.
cat_lines() {
  cat "$1"
  [ -z "$(tail -c 1 "$1")" ] || echo
}

# Makes each file of the settings in the folder $1: 1, 2, 3 …
assemble() {
  mkdir "$1"
  n=0
  while read -r content _; do
    n=$((n + 1))
    case $content in
      key) cat "$work/tls.key" ;;
      certificate) cat "$work/tls.crt" ;;
      ca) cat "$work/ca.crt" ;;
      combined) cat_lines "$work/tls.key" && cat_lines "$work/tls.crt" ;;
    esac >"$1/$n"
  done <<LIST
$files
LIST
}

# Whether all files in place have the content of those in the folder $1, and the mode and owner of the settings.
in_place() {
  n=0
  while read -r _ mode owner path; do
    n=$((n + 1))
    file=$root$path
    [ -f "$file" ] && [ ! -L "$file" ] && [ "$(sha256sum <"$1/$n")" = "$(sha256sum <"$file")" ] || return 1
    [ "0$(stat -c %a "$file")" = "$mode" ] || return 1
    ids=$(owner_ids "$owner")
    [ -z "$ids" ] || [ "$(stat -c %u:%g "$file")" = "$ids" ] || return 1
  done <<LIST
$files
LIST
}

# Keeps the files in place until the service has taken the new ones. What is there already is what it last took.
keep_old() {
  [ ! -d "$state/old" ] || return 0
  mkdir "$work/old"
  n=0
  while read -r _ _ _ path; do
    n=$((n + 1))
    [ -s "$root$path" ] || return 0
    cat "$root$path" >"$work/old/$n"
  done <<LIST
$files
LIST
  mv "$work/old" "$state/old"
}

# Puts the files of the folder $1 in place: all of them are written first, then renamed one after the other.
place() {
  staged=''
  n=0
  while read -r _ mode owner path; do
    n=$((n + 1))
    folder=$root${path%/*}
    make_folder "$folder" || return 1
    inside_root "$folder"
    # Beside the target, so that it becomes that by a rename; only root can look into it.
    stage=$(mktemp -d "$folder/.tandem-tls.XXXXXX") || return 1
    stages=${stages:+$stages$NEWLINE}$stage
    cat "$1/$n" >"$stage/file" || return 1
    ids=$(owner_ids "$owner") || return 1
    settle "$stage/file" "$ids" "$mode" "$path" || return 1
    staged=${staged:+$staged$NEWLINE}"$stage/file $root$path"
  done <<LIST
$files
LIST
  while read -r from to; do
    put "$from" "$to" && rmdir "${from%/*}" || return 1
  done <<LIST
$staged
LIST
}

# A link in the tree must not lead out of it, to this machine's own files.
inside_root() {
  [ -n "$root" ] || return 0
  case $(cd "$1" && pwd -P)/ in
    "$(cd "$root" && pwd -P)"/*) ;;
    *) die "$1 lies outside $root" ;;
  esac
}

# The paths of the settings, for messages.
paths() {
  list=''
  while read -r _ _ _ path; do
    list=${list:+$list, }$root$path
  done <<LIST
$files
LIST
  printf '%s\n' "$list"
}
