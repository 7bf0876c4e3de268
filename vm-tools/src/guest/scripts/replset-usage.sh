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
