
device='' tag='' files='' services='' reload='none' command='' credentials='' socket=''
endpoint='' starttls=''

setting() {
  case $1 in
    DEVICE) device=$2 ;;
    TAG) tag=$2 ;;
    FILE) files=${files:+$files$NEWLINE}$2 ;;
    SERVICE) services=${services:+$services$NEWLINE}$2 ;;
    RELOAD)
      case $2 in
        none | mongodb | postgresql | redis | command | restart) reload=$2 ;;
        *) return 1 ;;
      esac
      ;;
    COMMAND) command=$2 ;;
    CREDENTIALS) credentials=$2 ;;
    SOCKET) socket=$2 ;;
    ENDPOINT) endpoint=$2 ;;
    STARTTLS) starttls=$2 ;;
    *) return 1 ;;
  esac
}

# What can be wrong with the settings is found before anything is touched.
check_settings() {
  [ -n "$files" ] || die "$config names no FILE"
  while read -r content mode owner path rest; do
    case $content in
      key | certificate | ca | combined) ;;
      *) die "$config: '$content' is not key, certificate, ca or combined" ;;
    esac
    case $mode in
      0[0-7][0-7][0-7]) ;;
      *) die "$config: '$mode' is not an octal mode such as 0400" ;;
    esac
    case $path in
      /*[!/]) ;;
      *) die "$config: '$path' is not the absolute path of a file" ;;
    esac
    [ -z "$rest" ] || die "$config: more words than 'CONTENT MODE OWNER PATH' in a FILE"
    [ ! -d "$root$path" ] || die "$root$path is a folder; remove it"
    owner_ids "$owner" >/dev/null || exit 1
  done <<LIST
$files
LIST
}

# Prints the third field of the line that begins with a name: the number in passwd(5) and group(5).
number_of() {
  [ -r "$1" ] || die "$1 cannot be read, so the ids of $2 are unknown"
  while IFS=: read -r name _ number more; do
    if [ "$name" = "$2" ]; then
      # A user's own group is the next field.
      printf '%s:%s\n' "$number" "${more%%:*}"
      return
    fi
  done <"$1"
  die "$1 has no $2; install the service first"
}

# Prints uid:gid of USER or USER:GROUP, nothing for '-'. Under --root they need not exist on this machine.
owner_ids() {
  user=${1%%:*}
  group=${1#"$user"}
  group=${group#:}
  if [ "$user" = - ]; then
    return
  elif [ -n "$root" ]; then
    user=$(number_of "$root/etc/passwd" "$user") || exit 1
    if [ -n "$group" ]; then
      group=$(number_of "$root/etc/group" "$group") || exit 1
      user=${user%%:*}:${group%%:*}
    fi
    printf '%s\n' "$user"
  else
    uid=$(id -u "$user" 2>/dev/null) || refuse "there is no user $user yet; install the service first"
    if [ -n "$group" ]; then
      gid=$(getent group "$group") || refuse "there is no group $group yet; install the service first"
      gid=${gid#*:*:}
      gid=${gid%%:*}
    else
      gid=$(id -g "$user")
    fi
    printf '%s:%s\n' "$uid" "$gid"
  fi
}
