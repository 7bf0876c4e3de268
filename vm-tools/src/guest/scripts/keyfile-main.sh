
# What MongoDB takes: 6 to 1024 characters of the base64 set, white space not counted. A list of two keys, as it is while
# they are exchanged, is for mongod to judge.
check_key() {
  stripped=$(tr -d ' \t\n\v\f\r' <"$1")
  case $stripped in
    '') die "$key on $source is missing or empty" ;;
    -* | '['*) return ;;
    *[!A-Za-z0-9+/=]*) die "$key on $source has characters that are not of the base64 set" ;;
  esac
  if [ "${#stripped}" -lt 6 ] || [ "${#stripped}" -gt 1024 ]; then
    die "$key on $source has ${#stripped} characters; MongoDB takes 6 to 1024"
  fi
}

config=/etc/tandem/keyfile.conf source='' wait=60
option() {
  case $1 in
    --config) config=$2 ;;
    --source) source=$2 ;;
    --wait)
      seconds "$@"
      wait=$2
      ;;
    *) return 1 ;;
  esac
}
read_options "$@"

stage='' mounted=''
cleanup() {
  [ -z "$stage" ] || rm -f "$stage"
  if [ -n "$mounted" ]; then
    umount "$mounted" 2>/dev/null || :
    rmdir "$mounted" || :
  fi
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

read_settings "$config"
uid=$(id -u "$owner" 2>/dev/null) || die "there is no user $owner yet; install the database first"
ids=$uid:$(id -g "$owner")
from=$source
if [ -z "$from" ]; then
  wait_for_disk "$device"
  mounted=$(mktemp -d /run/tandem-keyfile.XXXXXX)
  mount -t iso9660 -o ro,nodev,nosuid,noexec "$device" "$mounted" || die "$device does not mount as iso9660"
  from=$mounted
  source=$device
fi
[ -s "$from/$key" ] || die "$key is missing or empty on $source"

folder=${target%/*}
make_folder "$folder"
[ ! -d "$target" ] || die "$target is a folder; remove it"
# Beside the target, so that it becomes that by a rename.
stage=$(mktemp "$folder/.tandem-keyfile.XXXXXX")
cat "$from/$key" >"$stage"
check_key "$stage"
settle "$stage" "$ids" 0400 "$target" || exit 1
if [ -f "$target" ] && [ ! -L "$target" ] && [ "$(sha256sum <"$stage")" = "$(sha256sum <"$target")" ] &&
  [ "$(stat -c '%a %u:%g' "$stage")" = "$(stat -c '%a %u:%g' "$target")" ]; then
  say "unchanged: $target is that of $source"
  exit 0
fi
put "$stage" "$target"
stage=''
say "installed $target from $source"
