
config='' source='' root='' wait='' reloading=''
option() {
  case $1 in
    --config) config=$2 ;;
    --source) source=$2 ;;
    --root) root=${2%/} ;;
    --wait)
      seconds "$@"
      wait=$2
      ;;
    --reload) reloading=yes words=1 ;;
    *) return 1 ;;
  esac
}
read_options "$@"
if [ -z "$wait" ]; then
  wait=60
  [ -z "$reloading" ] || wait=10
fi
[ -z "$root" ] || [ -z "$reloading" ] || misuse "--reload is for the running system, not for one beneath --root"
config=${config:-$root/etc/tandem/tls.conf}

# In memory, and for root alone. systemd names the folder that it made; at boot it is empty.
state=${RUNTIME_DIRECTORY:-$root/run/tandem-tls}
work='' mounted='' stages='' unfinished='' digest=- telling=''
cleanup() {
  [ -z "$telling" ] || rm -f "$state/telling"
  # Cut short while the service was being told: it starts with the old files, and the next run tries again.
  if [ -n "$unfinished" ] && [ -d "$state/old" ]; then
    unfinished=''
    place "$state/old" || :
  fi
  while read -r stage; do
    [ -z "$stage" ] || rm -rf "$stage"
  done <<LIST
$stages
LIST
  [ -z "$mounted" ] || umount "$mounted" 2>/dev/null 9>&- || :
  [ -z "$work" ] || rm -rf "$work" || :
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

read_settings "$config"
mkdir -p "$state" && chmod 0700 "$state"
# One at a time: the unit of the boot, the timer's, and somebody who tries it by hand.
exec 9>"$state/lock"
until flock -w 1 9; do
  # A service that is restarted with new files wants this unit again; to wait here would be to wait for one another.
  if [ -z "$reloading" ] && [ -e "$state/telling" ]; then
    say "the service is being told of files that are in place already"
    exit 0
  fi
done
rm -f "$state/telling"
check_settings
# What a run that was killed has left.
rm -rf "$state"/work.* || :
while read -r _ _ _ path; do
  rm -rf "$root${path%/*}"/.tandem-tls.* || :
done <<LIST
$files
LIST
work=$(mktemp -d "$state/work.XXXXXX")
if [ -n "$source" ]; then
  [ -d "$source" ] || die "$source is not a folder"
  mounted_at=$source
else
  mount_source
  mounted_at=$mounted
fi
read_secret "$mounted_at"
assemble "$work/new"

taken() {
  rm -rf "$state/old" "$state/refused"
  printf '%s\n' "$digest" >"$state/taken"
}

if [ -n "$reloading" ] && [ "$(cat "$state/taken" 2>/dev/null)" = "$digest" ] && in_place "$work/new"; then
  rm -f "$state/refused"
  exit 0
fi
[ -z "$reloading" ] || ! remembered 'the service did not take it' || exit 0
check_secret

if in_place "$work/new"; then
  say "unchanged: $(paths) are those of $source"
else
  [ -n "$root" ] || keep_old
  unfinished=yes
  place "$work/new" || die "$(paths) could not be replaced"
  say "installed $(paths) from $source"
fi
running=$(state_of_services)
if [ -n "$root" ]; then
  unfinished=''
elif [ "$running" = stopped ]; then
  # It takes them when it starts.
  unfinished=''
  taken
elif [ -z "$reloading" ] || [ "$running" = changing ]; then
  # Whether a service that starts at this moment has read the new files or the old: a later run with --reload tells it.
  unfinished=''
else
  tell_service
fi
