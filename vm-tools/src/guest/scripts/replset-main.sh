
# Has mongosh run a script on one server: ask HOST:PORT SCRIPT [OPTIONS]. Its messages go to $home/said.
ask() {
  mongosh --quiet --norc --eval "$2" \
    "mongodb://$1/?directConnection=true&serverSelectionTimeoutMS=5000&tls=true&tlsCAFile=$ca&tlsCertificateKeyFile=$pem${3-}" \
    </dev/null 2>"$home/said"
}

# This member by the loopback interface, where MongoDB lets a set be initiated before there is a user. No certificate has
# that name; that it is the authority's is checked.
ask_here() {
  ask "$here" "$1" '&tlsAllowInvalidHostnames=true'
}

# Prints `in SET HOST…`, `none` before there is a set, or `alone` without replication. hello needs no user.
STATE='const h = db.hello();
  print(h.setName ? ["in", h.setName, ...(h.hosts || [])].join(" ") : h.isreplicaset ? "none" : "alone")'

# Says a thing once, and again each minute while it stays so.
told='' again=0
tell() {
  if [ "$1" != "$told" ] || [ "$again" -le 0 ]; then
    say "$1"
    told=$1
    again=12
  fi
  again=$((again - 1))
}

# This member belongs to the set. $@ are the members that the set knows of.
finish() {
  if [ -n "$initiated" ]; then
    say "initiated the set $set_name: $*"
  else
    say "this member belongs to the set $set_name: nothing to initiate"
  fi
  for member in $members; do
    case " $* " in
      *" $member "*) ;;
      *) say "the set does not have $member yet; add it on the primary, in mongosh: rs.add('$member')" ;;
    esac
  done
  exit 0
}

# What the other members say, one after the other: sets $missing to those that do not answer yet.
ask_others() {
  missing=''
  for member in $others; do
    state=$(ask "$member" "$STATE") || state=''
    case $state in
      none) ;;
      "in $set_name" | "in $set_name "*)
        say "$member belongs to the set $set_name already, and this member, whose data is new, does not: the set takes it in by itself"
        exit 0
        ;;
      in\ *) die "$member belongs to another set: $state; give it an empty data disk, or take it out of that set" ;;
      alone) die "$member runs without replication; its mongod.conf needs replication.replSetName: $set_name" ;;
      *) missing="$missing $member" ;;
    esac
  done
}

initiate() {
  configuration='' id=0
  for member in $members; do
    configuration="$configuration${configuration:+, }{_id: $id, host: '$member'}"
    id=$((id + 1))
  done
  ask_here "try { rs.initiate({_id: '$set_name', members: [$configuration]}); print('done'); }
    catch (error) { print(error.codeName + ': ' + error.message); }"
}

config=/etc/tandem/replset.conf here='' pause=5
option() {
  case $1 in
    --config) config=$2 ;;
    --local) here=$2 ;;
    --pause) pause=$2 ;;
    *) return 1 ;;
  esac
}
read_options "$@"
read_settings "$config"
first=${members%% *}
others=${members#"$first"}
here=${here:-127.0.0.1:${first##*:}}
command -v mongosh >/dev/null 2>&1 ||
  die "mongosh is not installed, so the set $set_name is not initiated; install it and run: systemctl start tandem-replset"

# mongosh keeps its log and history in HOME, which a service has none of.
home=$(mktemp -d "${TMPDIR:-/tmp}/tandem-replset.XXXXXX")
HOME=$home
export HOME
trap 'rm -rf "$home"' EXIT
trap 'exit 1' HUP INT TERM

initiated=''
while :; do
  state=$(ask_here "$STATE") || state=''
  case $state in
    "in $set_name" | "in $set_name "*)
      # shellcheck disable=SC2086 # the words of what hello said
      finish ${state#"in $set_name"}
      ;;
    in\ *) die "this member belongs to another set: $state; the data on its disk is not of the set $set_name" ;;
    alone) die "mongod runs without replication; its configuration needs replication.replSetName: $set_name" ;;
    none)
      if [ -z "$initiated" ]; then
        ask_others
      fi
      if [ -n "$initiated" ]; then
        tell "mongod took the configuration of the set $set_name, and does not show it yet"
      elif [ -n "$missing" ]; then
        tell "waiting for$missing"
      else
        answer=$(initiate) || answer=$(tail -n 1 "$home/said")
        if [ "$answer" = 'done' ]; then
          initiated=yes
          continue
        fi
        # Whatever it was: the next round looks at what is true now, and at nothing that is remembered.
        tell "not initiated yet: $answer"
      fi
      ;;
    *) tell "waiting for mongod on $here: $(tail -n 1 "$home/said")" ;;
  esac
  sleep "$pause"
done
