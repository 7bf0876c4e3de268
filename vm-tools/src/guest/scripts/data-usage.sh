wait=60
config=/etc/tandem/data.conf
device='' filesystem='' folder='' owner=''

usage() {
  cat <<USAGE
Usage: tandem-data [--config FILE] format [DEVICE] | own [FOLDER [OWNER]] | --help

  format  puts a filesystem on the disk if it carries no signature at all; never touches one that does
  own     gives the mounted folder to the database's user if it is not theirs yet

Device, kind of filesystem, folder and owner are in FILE ($config).
USAGE
}

setting() {
  case $1 in
    DEVICE) device=$2 ;;
    FILESYSTEM) filesystem=$2 ;;
    FOLDER) folder=$2 ;;
    OWNER) owner=$2 ;;
    *) return 1 ;;
  esac
}
